//! Claims about the way to the owners: hints, hops, streams, strangers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::control::ControlParts;
use domain::control::command::Addresses;
use domain::control::state::{Cell, Node};
use domain::ids::{CellId, MachineVersion, NodeId, NodeName, SiteId};
use futures::StreamExt;
use parking_lot::Mutex;
use pb::api::v1::{
    AttachRequest, AttachResponse, ErrorReason, FloorView, MarkRequest, MarkResponse, SendRequest,
};
use pb::raft::v1::{
    ForwardCall, ForwardUp, NodeStatusResponse, forward_answer, forward_call, forward_down,
    forward_up,
};
use ports::{CallAnswer, Door, Leadership, Opened, StreamDown, StreamUp};
use raft::Directory;
use runtime::{Env, Lane, StopSource, mailbox, memory};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::service::Routes;

use super::link::Speaker;
use super::presence::{Place, Presence};
use super::serve::Forwards;
use super::{Doors, DoorsParts};
use crate::listener::{Bounds, Callers, Served, Server};
use crate::refuse;
use crate::status::OwnAccount;

pub(super) const MAIN: u32 = 1;
const SITES: [&str; 3] = ["sha", "fra", "iad"];

struct Nothing;

#[async_trait::async_trait]
impl OwnAccount for Nothing {
    fn prove(
        &self,
        _cell: u32,
        _ask: pb::raft::v1::ProveRequest,
    ) -> Option<pb::api::v1::ReplicaProof> {
        None
    }

    async fn skip(
        &self,
        _cell: u32,
        _word: pb::raft::v1::SkipWordRequest,
    ) -> Result<pb::raft::v1::SkipWordResponse, pb::api::v1::Refusal> {
        Err(refuse::not_leader(None))
    }

    fn cell_mark(&self, _cell: u32, _index: u64) -> Option<pb::raft::v1::CellMarkResponse> {
        None
    }

    fn account(&self) -> NodeStatusResponse {
        NodeStatusResponse {
            wall_ms: 7,
            ..NodeStatusResponse::default()
        }
    }

    fn floor(&self, _cell: u32) -> Option<FloorView> {
        None
    }

    fn archive(&self, _cell: u32) -> Option<crate::archive::CellArchive> {
        None
    }
}

#[async_trait::async_trait]
impl ports::Hands for Nothing {
    async fn act(&self, node: &str, request: forward_call::Request) -> CallAnswer {
        assert_eq!(node, "", "the node was found before");
        match request {
            forward_call::Request::SetLogLevel(_) => {
                Err(refuse::field_invalid("filter", "is wrong"))
            }
            _ => Ok(forward_answer::Response::ReloadConfig(
                pb::api::v1::ReloadConfigResponse::default(),
            )),
        }
    }
}

/// A stream whose owner has `ups` and `downs` of these queues at their far ends.
pub(super) fn owned(
    up: mailbox::Sender<StreamUp>,
    down: mailbox::Receiver<StreamDown>,
    lane: &Lane,
) -> Opened {
    let lane = lane.clone();
    Opened::new(move |mut ups| {
        let pulling = async move {
            while let Some(message) = ups.next().await
                && up.send(message).await.is_ok()
            {}
        };
        lane.spawn("test owner", pulling).detach();
        Box::pin(down)
    })
}

/// A client of a stream, read by a connection that takes one message ahead.
pub(super) struct Client {
    pub(super) up: mailbox::Sender<StreamUp>,
    pub(super) down: mailbox::Receiver<StreamDown>,
}

impl Client {
    pub(super) fn of(opened: Opened, lane: &Lane) -> Self {
        let (up, ups) = mailbox::bounded("test.up", 1);
        let (give, down) = mailbox::bounded("test.down", 1);
        let mut downs = opened.join(Box::pin(ups));
        let reading = async move {
            let gone = give.clone();
            let passing = async {
                while let Some(message) = downs.next().await
                    && give.send(message).await.is_ok()
                {}
            };
            tokio::select! { biased;
                () = gone.closed() => {}
                () = passing => {}
            }
        };
        lane.spawn("test connection", reading).detach();
        Self { up, down }
    }
}

/// An owner that leads, or knows who does.
pub(super) struct Fake {
    env: Env,
    leads: bool,
    hint: Option<u64>,
    pub(super) asked: AtomicUsize,
    /// The edges that calls and streams came through.
    edges: Mutex<Vec<u64>>,
    /// Messages that it takes of one stream.
    room: usize,
}

#[async_trait::async_trait]
impl Door for Fake {
    async fn call(&self, call: ForwardCall) -> CallAnswer {
        self.edges.lock().push(call.edge);
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.leads {
            true => Ok(forward_answer::Response::Mark(MarkResponse {})),
            false => Err(refuse::not_leader(self.hint)),
        }
    }

    async fn open(&self, first: ForwardUp) -> Result<Opened, pb::api::v1::Refusal> {
        self.edges.lock().push(first.edge);
        if !self.leads {
            return Err(refuse::not_leader(self.hint));
        }
        let (up, mut ups) = mailbox::bounded::<StreamUp>("test.up", self.room);
        let (downs, down) = mailbox::bounded("test.down", 16);
        let echo = move || {
            StreamDown::Message(Box::new(forward_down::Response::Attach(
                AttachResponse::default(),
            )))
        };
        downs.try_send(echo()).unwrap();
        let answering = async move {
            while let Some(StreamUp::Message(_)) = ups.recv().await {
                if downs.send(echo()).await.is_err() {
                    return;
                }
            }
        };
        self.env.edge.spawn("echo", answering).detach();
        Ok(owned(up, down, &self.env.edge))
    }
}

pub(super) struct Bench {
    pub(super) env: Env,
    control: watch::Sender<Arc<ControlParts>>,
    directory: Directory,
    stop: StopSource,
    pub(super) servers: Vec<Server>,
    presences: Vec<Presence>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut parts = ControlParts::default();
        let site = |at: usize| SiteId::new(SITES[at]).unwrap();
        for (at, name) in SITES.iter().enumerate() {
            let node = Node {
                name: NodeName::new(&format!("{name}-n1")).unwrap(),
                site: site(at),
                addresses: Addresses {
                    peer: String::new(),
                    api: String::new(),
                },
                program: "1".to_owned(),
                machine: MachineVersion(1),
                request_id: None,
                fingerprint: 0,
                joined_wall_ms: 0,
                removed_wall_ms: None,
            };
            parts.nodes.insert(NodeId(at as u64 + 1), node);
        }
        let members = (0..SITES.len())
            .map(|at| (site(at), NodeId(at as u64 + 1)))
            .collect();
        let cell = Cell {
            name: "main".to_owned(),
            home: site(0),
            members,
            running: true,
        };
        parts.cells.insert(CellId(MAIN), cell);
        Self {
            env: memory::env(3),
            control: watch::Sender::new(Arc::new(parts)),
            directory: Directory::new(),
            stop: StopSource::new(),
            servers: Vec::new(),
            presences: Vec::new(),
        }
    }

    pub(super) fn owner(&self, leads: bool, hint: Option<u64>) -> Arc<Fake> {
        Arc::new(Fake {
            env: self.env.clone(),
            leads,
            hint,
            asked: AtomicUsize::new(0),
            edges: Mutex::default(),
            room: 256,
        })
    }

    /// A node of `cluster` that listens; with an owner it holds a replica that knows no leader.
    pub(super) async fn node(&mut self, id: u64, cluster: &str, owner: Option<Arc<Fake>>) -> Doors {
        let owner = owner.map(|owner| (owner.leads, owner as Arc<dyn Door>));
        self.node_with(id, cluster, owner).await
    }

    /// The same with any owner; whether it leads.
    pub(super) async fn node_with(
        &mut self,
        id: u64,
        cluster: &str,
        owner: Option<(bool, Arc<dyn Door>)>,
    ) -> Doors {
        let doors = Doors::new(DoorsParts {
            env: self.env.clone(),
            speaker: Speaker {
                cluster_id: cluster.to_owned(),
                node_id: id,
            },
            directory: self.directory.clone(),
            control: self.control.subscribe(),
            stop: self.stop.token(),
        });
        if let Some((leads, owner)) = owner {
            let known = Leadership {
                term: 1,
                leader: leads.then_some(id),
                is_self: leads,
            };
            let (says, leadership) = watch::channel(known);
            std::mem::forget(says);
            doors.serve(MAIN, owner, leadership);
        }
        let presence = Presence::new(Place {
            node: NodeId(id),
            site: SiteId::new("sha").unwrap(),
        });
        self.presences.push(presence.clone());
        let forwards = Forwards {
            doors: doors.clone(),
            presence,
            control: self.control.subscribe(),
            account: Arc::new(Nothing),
            hands: Arc::new(Nothing),
        };
        let listener = self
            .env
            .network
            .listen("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        self.directory
            .set(id, listener.local_addr().unwrap().to_string());
        let callers = Callers::Nodes {
            consensus: Served {
                calls: None,
                routes: Routes::default(),
                lane: self.env.raft.clone(),
            },
            forwarding: Served {
                calls: None,
                routes: Routes::new(forwards.service()),
                lane: self.env.edge.clone(),
            },
        };
        let server = Server::start(listener, callers, Bounds::peers(), &self.env.random);
        self.servers.push(server);
        doors
    }
}

pub(super) fn mark() -> ForwardCall {
    call(forward_call::Request::Mark(MarkRequest::default()))
}

fn call(request: forward_call::Request) -> ForwardCall {
    ForwardCall {
        group: MAIN,
        deadline_ms: 2_000,
        request: Some(request),
        ..ForwardCall::default()
    }
}

fn attach() -> ForwardUp {
    let request = Some(forward_up::Request::Attach(AttachRequest::default()));
    ForwardUp {
        group: MAIN,
        site: "sha".to_owned(),
        request,
        ..ForwardUp::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_follows_the_hint_to_the_leader() {
    let mut bench = Bench::new();
    let (follower, leader) = (bench.owner(false, Some(3)), bench.owner(true, None));
    let doors = bench.node(1, "c", None).await;
    bench.node(2, "c", Some(follower.clone())).await;
    bench.node(3, "c", Some(leader.clone())).await;
    assert!(matches!(
        doors.call(mark()).await,
        Ok(forward_answer::Response::Mark(_))
    ));
    assert_eq!(leader.asked.load(Ordering::Relaxed), 1);
    assert!(doors.call(mark()).await.is_ok());
    assert!(
        follower.asked.load(Ordering::Relaxed) <= 1,
        "the hint is remembered"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_leader_until_its_deadline() {
    let mut bench = Bench::new();
    let owner = bench.owner(false, None);
    let doors = bench.node(1, "c", Some(owner.clone())).await;
    bench.node(2, "c", Some(owner)).await;
    let start = Instant::now();
    let refused = doors.call(mark()).await.unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::NotLeader);
    assert!(
        start.elapsed() > Duration::from_millis(1_900)
            && start.elapsed() <= Duration::from_millis(2_000)
    );
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_call_is_never_forwarded_again() {
    let mut bench = Bench::new();
    let leader = bench.owner(true, None);
    bench.node(3, "c", Some(leader.clone())).await;
    let second = bench.node(2, "c", None).await;
    let refused = second.call_here(NodeId(1), mark()).await.unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::NotLeader);
    assert_eq!(leader.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_both_ways_over_the_hop_and_ends_with_its_owner() {
    let mut bench = Bench::new();
    let doors = bench.node(1, "c", None).await;
    let leader = bench.owner(true, None);
    bench.node(2, "c", Some(leader)).await;
    let opened = doors.open(attach()).await.unwrap();
    let mut stream = Client::of(opened, &bench.env.edge);
    assert!(matches!(
        stream.down.recv().await,
        Some(StreamDown::Message(_))
    ));
    for _ in 0..3 {
        let message = forward_up::Request::Attach(AttachRequest::default());
        stream
            .up
            .send(StreamUp::Message(Box::new(message)))
            .await
            .unwrap();
        assert!(matches!(
            stream.down.recv().await,
            Some(StreamDown::Message(_))
        ));
    }
    stream
        .up
        .send(StreamUp::Stop { our_fault: false })
        .await
        .unwrap();
    assert!(
        stream.down.recv().await.is_none(),
        "the owner ended it quietly"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_learns_that_its_path_broke() {
    let mut bench = Bench::new();
    let doors = bench.node(1, "c", None).await;
    let leader = bench.owner(true, None);
    bench.node(2, "c", Some(leader)).await;
    let opened = doors.open(attach()).await.unwrap();
    let mut stream = Client::of(opened, &bench.env.edge);
    assert!(matches!(
        stream.down.recv().await,
        Some(StreamDown::Message(_))
    ));
    bench.servers[1].cut();
    assert!(stream.down.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_mutating_call_whose_path_broke_has_an_unknown_outcome() {
    struct Silent;
    #[async_trait::async_trait]
    impl Door for Silent {
        async fn call(&self, _call: ForwardCall) -> CallAnswer {
            std::future::pending().await
        }
        async fn open(&self, _first: ForwardUp) -> Result<Opened, pb::api::v1::Refusal> {
            std::future::pending().await
        }
    }
    let mut bench = Bench::new();
    let doors = bench.node(1, "c", None).await;
    let second = bench.node(2, "c", None).await;
    let leadership = watch::Sender::new(Leadership {
        term: 1,
        leader: Some(2),
        is_self: true,
    });
    second.serve(MAIN, Arc::new(Silent), leadership.subscribe());
    let refused = doors
        .call(call(forward_call::Request::Send(SendRequest::default())))
        .await
        .unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::OutcomeUnknown);
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_cluster_is_refused() {
    let mut bench = Bench::new();
    let stranger = bench.node(1, "other", None).await;
    let leader = bench.owner(true, None);
    bench.node(2, "c", Some(leader.clone())).await;
    let refused = stranger.call(mark()).await.unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::NotLeader);
    assert_eq!(leader.asked.load(Ordering::Relaxed), 0);
    assert!(!stranger.is_connected(2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_to_an_address_where_another_node_answers_is_refused() {
    let mut bench = Bench::new();
    let doors = bench.node(1, "c", None).await;
    bench.node(2, "c", None).await;
    let second = bench.directory.address(2).unwrap();
    bench.directory.set(3, second);
    assert!(
        doors
            .node_status(3, Duration::from_millis(500))
            .await
            .is_none()
    );
    let account = doors
        .node_status(2, Duration::from_millis(500))
        .await
        .unwrap();
    assert_eq!(account.wall_ms, 7);
}

#[tokio::test(start_paused = true)]
async fn the_owner_learns_the_edge_from_who_is_connected() {
    let mut bench = Bench::new();
    let far = bench.node(1, "c", None).await;
    let leader = bench.owner(true, None);
    let near = bench.node(2, "c", Some(leader.clone())).await;
    let forged = ForwardCall { edge: 9, ..mark() };
    assert!(far.call(forged.clone()).await.is_ok());
    assert!(
        far.open(ForwardUp {
            edge: 9,
            ..attach()
        })
        .await
        .is_ok()
    );
    assert!(near.call(forged).await.is_ok());
    assert_eq!(*leader.edges.lock(), [1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_made_up_cell_is_answered_soon_and_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let doors = bench.node(1, "c", None).await;
    let start = Instant::now();
    for made_up in 100..110 {
        let call = ForwardCall {
            group: made_up,
            ..mark()
        };
        let refused = doors.call(call).await.unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::ConversationNotFound);
        assert_eq!(refused.retry_after_ms, 0);
    }
    assert!(start.elapsed() < Duration::from_secs(11));
    let opened = doors
        .open(ForwardUp {
            group: 99,
            ..attach()
        })
        .await;
    let refused = opened.expect_err("no such cell");
    assert_eq!(refused.reason(), ErrorReason::ConversationNotFound);
    assert_eq!(doors.shared.routes.remembered(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_name_each_other_are_asked_with_pauses_until_the_deadline() {
    let mut bench = Bench::new();
    let (second, third) = (bench.owner(false, Some(3)), bench.owner(false, Some(2)));
    let doors = bench.node(1, "c", None).await;
    bench.node(2, "c", Some(second.clone())).await;
    bench.node(3, "c", Some(third.clone())).await;
    let start = Instant::now();
    let refused = doors.call(mark()).await.unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::NotLeader);
    assert!(start.elapsed() <= Duration::from_millis(2_000));
    let asked = second.asked.load(Ordering::Relaxed) + third.asked.load(Ordering::Relaxed);
    // 25 ms, half as long at least: 160 pauses in two seconds.
    assert!((20..=170).contains(&asked), "asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn the_keeper_of_a_link_ends_with_its_peer() {
    let mut bench = Bench::new();
    let doors = bench.node(1, "c", None).await;
    bench.node(2, "c", None).await;
    let edge = conversation::Edge::Node(NodeId(1));
    let within = Duration::from_secs(1);
    doors.keep(&[2]);
    assert!(doors.node_status(2, within).await.is_some());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!bench.presences[1].our_fault(&edge), "it is kept");
    doors.keep(&[]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!doors.is_connected(2));
    assert!(
        bench.presences[1].our_fault(&edge),
        "nobody keeps it or dials anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_removed_is_cut_off_and_refused() {
    let mut bench = Bench::new();
    let doors = bench.node(1, "c", None).await;
    let leader = bench.owner(true, None);
    bench.node(2, "c", Some(leader.clone())).await;
    assert!(doors.call(mark()).await.is_ok());
    let opened = doors.open(attach()).await.unwrap();
    let mut stream = Client::of(opened, &bench.env.edge);
    assert!(stream.down.recv().await.is_some());
    bench.control.send_modify(|parts| {
        let nodes = &mut Arc::make_mut(parts).nodes;
        nodes.get_mut(&NodeId(1)).unwrap().removed_wall_ms = Some(1);
    });
    assert!(stream.down.recv().await.is_none(), "its streams end");
    let refused = doors.call(mark()).await.unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::NotLeader);
    assert_eq!(leader.asked.load(Ordering::Relaxed), 1);
}
