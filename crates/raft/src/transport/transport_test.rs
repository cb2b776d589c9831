//! One stream at a time: who may talk, how many appends are under way, when a session fails.
//! Promise: the far side is a stub, so that each claim is about the transport alone.
//! Not here: groups (`cluster_test`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::{RaftNetworkFactory, RaftNetworkV2};
use pb::raft::v1 as pb;
use runtime::memory::MemoryNetwork;
use runtime::{Env, Task};
use tokio::sync::{mpsc, watch};

use super::connect::{self, ConnectError};
use super::inbox::{ANSWERING_MAX, SNAPSHOTS_MAX};
use super::{Answer, Identity, Inbound, Lane, Peers, Piece};
use crate::testing::{PATIENCE, identity, listen, member, port};
use crate::types::{Types, Vote};
use crate::{Directory, Host, Members, Profile, wire};

/// A far side that answers appends only once enough of them are unanswered.
struct Hoarder {
    answer_from: usize,
    held_max: watch::Sender<usize>,
    heartbeats: AtomicUsize,
}

#[async_trait]
impl Inbound for Hoarder {
    async fn vote(&self, _call: pb::VoteCall) -> Answer {
        std::future::pending().await
    }

    async fn pre_vote(&self, _call: pb::VoteCall) -> Answer {
        std::future::pending().await
    }

    async fn transfer(&self, _call: pb::TransferCall) -> Answer {
        Answer::Transfer(pb::TransferAnswer { refusal: None })
    }

    async fn heartbeat(&self, _call: pb::AppendCall) -> Answer {
        self.heartbeats.fetch_add(1, Ordering::Relaxed);
        matched(0)
    }

    fn appends(&self, mut calls: mpsc::Receiver<pb::AppendCall>) -> BoxStream<'static, Answer> {
        let (answer_from, held_max) = (self.answer_from, self.held_max.clone());
        let (answers, out) = mpsc::channel(64);
        let lane = runtime::Lane::new("far", tokio::runtime::Handle::current());
        let hoarding = async move {
            let mut held = 0;
            while let Some(_call) = calls.recv().await {
                held += 1;
                held_max.send_modify(|most| *most = held.max(*most));
                while held_max.borrow().ge(&answer_from) && held > 0 {
                    held -= 1;
                    let _ = answers.send(matched(1)).await;
                }
            }
        };
        lane.spawn("hoarder", hoarding).detach();
        tokio_stream::wrappers::ReceiverStream::new(out).boxed()
    }

    fn snapshot(
        self: Arc<Self>,
        _begin: pb::SnapshotBegin,
        pieces: mpsc::Receiver<Piece>,
    ) -> BoxStream<'static, Answer> {
        // Taken and never answered.
        futures::stream::once(async move {
            let _pieces = pieces;
            std::future::pending().await
        })
        .boxed()
    }
}

fn matched(index: u64) -> Answer {
    let log_id = Some(wire::log_id_to(&wire::log_id(1, 1, index)));
    let outcome = pb::append_answer::Outcome::Matched(pb::AppendMatched { log_id });
    Answer::Append(pb::AppendAnswer {
        outcome: Some(outcome),
    })
}

fn append() -> AppendEntriesRequest<Types<u64>> {
    AppendEntriesRequest {
        vote: Vote::new_committed(1, 1),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    }
}

/// Node 1 and node 2 on one network; node 2 serves.
struct Pair {
    near: Host,
    far: Host,
    _server: Task<()>,
}

async fn pair(near: Identity, far: Identity) -> Pair {
    let network = MemoryNetwork::default();
    let env = |seed| Env {
        network: Arc::new(network.clone()),
        ..runtime::memory::env(seed)
    };
    let directory = Directory::new();
    directory.set(2, format!("127.0.0.1:{}", port(2)));
    let near = Host::new(env(1), near, directory.clone());
    let far = Host::new(env(2), far, Directory::new());
    let server = listen(&far, port(2)).await;
    Pair {
        near,
        far,
        _server: server,
    }
}

fn hoarder(answer_from: usize) -> Arc<Hoarder> {
    Arc::new(Hoarder {
        answer_from,
        held_max: watch::Sender::new(0),
        heartbeats: AtomicUsize::new(0),
    })
}

fn members(living: &[u64], newest: u64) -> Members {
    Members {
        living: living.iter().copied().collect(),
        newest,
    }
}

impl Pair {
    async fn opened(&self) -> connect::Opened {
        match connect::open(&self.near.transport, 2, Lane::Signal).await {
            Ok(opened) => opened,
            Err(error) => panic!("not welcome: {error}"),
        }
    }
}

async fn refused(near: Identity, far: Identity) -> &'static str {
    let pair = pair(near, far).await;
    match connect::open(&pair.near.transport, 2, Lane::Signal).await {
        Err(ConnectError::Refused { reason, .. }) => reason,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => "nothing",
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_cluster_is_refused() {
    let stranger = Identity {
        cluster_id: "elsewhere".to_owned(),
        ..identity(1)
    };
    assert_eq!(
        refused(stranger, identity(2)).await,
        "REFUSED_REASON_OTHER_CLUSTER"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_the_one_meant_refuses() {
    assert_eq!(
        refused(identity(1), identity(3)).await,
        "REFUSED_REASON_OTHER_NODE"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_with_another_profile_is_refused() {
    let slow = Identity {
        profile: Profile::Global,
        ..identity(1)
    };
    assert_eq!(
        refused(slow, identity(2)).await,
        "REFUSED_REASON_OTHER_PROFILE"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_meant_is_welcome() {
    assert_eq!(refused(identity(1), identity(2)).await, "nothing");
}

#[tokio::test(start_paused = true)]
async fn a_removed_node_is_refused_and_told_what_to_do() {
    let pair = pair(identity(1), identity(2)).await;
    pair.far
        .transport
        .directory
        .set_members(members(&[2, 3], 3));
    let answer = connect::open(&pair.near.transport, 2, Lane::Append).await;
    let Err(ConnectError::Refused { reason, detail, .. }) = answer else {
        panic!("it was heard")
    };
    assert_eq!(reason, "REFUSED_REASON_NO_MEMBER");
    assert!(
        detail.contains("node 1") && detail.contains("empty data directory"),
        "{detail}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_removed_while_it_is_connected_is_heard_no_more() {
    let pair = pair(identity(1), identity(2)).await;
    let directory = &pair.far.transport.directory;
    directory.set_members(members(&[1, 2, 3], 3));
    let mut opened = pair.opened().await;
    directory.set_members(members(&[2, 3], 3));
    let end = tokio::time::timeout(PATIENCE, opened.incoming.message());
    let end = end.await.expect("it ends in time");
    assert!(matches!(end, Ok(None) | Err(_)), "{end:?}");
    assert!(matches!(
        connect::open(&pair.near.transport, 2, Lane::Signal).await,
        Err(ConnectError::Refused { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_node_newer_than_the_list_of_members_is_heard_about_the_group_that_holds_it_alone() {
    let pair = pair(identity(1), identity(2)).await;
    let directory = &pair.far.transport.directory;
    directory.set_members(members(&[], 0));
    for group in [0, 7] {
        pair.far.transport.serve(group, hoarder(1));
    }
    let option = RPCOption::new(PATIENCE);
    let mut control = Peers::<u64>::new(pair.near.transport.clone(), 0);
    let mut control = control.new_client(2, &member(2)).await;
    let mut cell = Peers::<u64>::new(pair.near.transport.clone(), 7);
    let mut cell = cell.new_client(2, &member(2)).await;
    let heard = control.append_entries(append(), option.clone()).await;
    assert!(heard.is_ok(), "{heard:?}");
    let refused = cell.append_entries(append(), option.clone()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("NOT_KNOWN_YET"), "{refused}");
    directory.set_members(members(&[1, 2], 2));
    let heard = cell.append_entries(append(), option).await;
    assert!(heard.is_ok(), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_ends_with_its_peer() {
    let pair = pair(identity(1), identity(2)).await;
    let link = pair.near.transport.link(2, Lane::Signal);
    let deadline = || tokio::time::Instant::now() + PATIENCE;
    assert!(link.conn(deadline()).await.is_ok());
    let directory = &pair.near.transport.directory;
    directory.set_members(members(&[1], 2));
    // Its keeper has to run once; then the connection is gone and nothing dials anew.
    tokio::task::yield_now().await;
    let Err(error) = link.conn(deadline()).await else {
        panic!("it goes on")
    };
    assert!(error.to_string().contains("removed"), "{error}");
}

/// Sends frames of `body` under one call number each until one is answered; gives its number and
/// the answer.
async fn first_answer(
    opened: &mut connect::Opened,
    body: pb::exchange_request::Body,
) -> (u64, Answer) {
    let out = opened.out.clone();
    let sending = async move {
        for call in 1.. {
            let frame = pb::ExchangeRequest {
                call,
                group: 7,
                body: Some(body.clone()),
            };
            if out.send(frame).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        answer = opened.incoming.message() => {
            let answer = answer.unwrap().unwrap();
            (answer.call, answer.body.unwrap())
        }
        () = sending => panic!("the stream ended"),
    }
}

#[tokio::test(start_paused = true)]
async fn calls_and_snapshots_beyond_their_bounds_are_refused_and_the_stream_lives_on() {
    use pb::exchange_request::Body;
    let vote = Body::Vote(pb::VoteCall::default());
    let begin = Body::SnapshotBegin(pb::SnapshotBegin::default());
    for (body, bound) in [(vote, ANSWERING_MAX), (begin, SNAPSHOTS_MAX)] {
        let pair = pair(identity(1), identity(2)).await;
        let far = hoarder(1);
        pair.far.transport.serve(7, far.clone());
        let mut opened = pair.opened().await;
        let (call, answer) = first_answer(&mut opened, body).await;
        assert_eq!(call, bound as u64 + 1);
        let Answer::Failed(failed) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(failed.reason(), pb::FailedReason::TooManyCalls);
        assert!(!opened.out.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn many_appends_are_under_way_at_once_and_all_are_answered() {
    let pair = pair(identity(1), identity(2)).await;
    let far = hoarder(5);
    pair.far.transport.serve(7, far.clone());
    let mut peers = Peers::<u64>::new(pair.near.transport.clone(), 7);
    let mut peer = peers.new_client(2, &member(2)).await;
    let input = futures::stream::iter((0..20).map(|_| append()));
    let answers = async {
        let option = RPCOption::new(PATIENCE);
        let answers = peer.stream_append(input, option).await.unwrap();
        answers
            .map(|answer| answer.unwrap().unwrap())
            .collect::<Vec<_>>()
            .await
    };
    let answers = tokio::time::timeout(PATIENCE, answers).await.unwrap();
    assert_eq!(answers.len(), 20);
    assert!(*far.held_max.borrow() >= 5);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_oldest_append_has_no_answer_for_two_heartbeats_fails() {
    let pair = pair(identity(1), identity(2)).await;
    pair.far.transport.serve(7, hoarder(usize::MAX));
    let mut peers = Peers::<u64>::new(pair.near.transport.clone(), 7);
    let mut peer = peers.new_client(2, &member(2)).await;
    let input = futures::stream::iter([append()])
        .chain(futures::stream::pending())
        .boxed();
    let mut answers = peer
        .stream_append(input, RPCOption::new(PATIENCE))
        .await
        .unwrap();
    let sent = tokio::time::Instant::now();
    let first = tokio::time::timeout(PATIENCE, answers.next())
        .await
        .unwrap();
    assert!(first.unwrap().is_err());
    let waited = sent.elapsed();
    assert!(waited >= Profile::Lan.append_deadline() && waited < Profile::Lan.election_max());
    assert!(answers.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_does_not_wait_behind_appends() {
    let pair = pair(identity(1), identity(2)).await;
    let far = hoarder(usize::MAX);
    pair.far.transport.serve(7, far.clone());
    let mut peers = Peers::<u64>::new(pair.near.transport.clone(), 7);
    let mut appends = peers.new_client(2, &member(2)).await;
    let mut beats = peers.new_heartbeat_client(2, &member(2)).await;
    let input = futures::stream::repeat_with(append).take(64).boxed();
    let mut stuck = appends
        .stream_append(input, RPCOption::new(PATIENCE))
        .await
        .unwrap();
    let beating = async {
        let input = futures::stream::iter([append()]);
        let option = RPCOption::new(Profile::Lan.heartbeat());
        beats
            .stream_append(input, option)
            .await
            .unwrap()
            .next()
            .await
            .unwrap()
    };
    let answered = tokio::select! {
        biased;
        answer = beating => answer,
        answer = stuck.next() => panic!("the append came first: {answer:?}"),
    };
    assert!(answered.unwrap().is_ok());
    assert_eq!(far.heartbeats.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_vote_that_nobody_answers_is_an_error() {
    let pair = pair(identity(1), identity(2)).await;
    pair.far.transport.serve(7, hoarder(1));
    let mut peers = Peers::<u64>::new(pair.near.transport.clone(), 7);
    let request = || openraft::raft::VoteRequest::new(Vote::new(1, 1), None);
    let option = RPCOption::new(Profile::Lan.election_max());
    let mut silent = peers.new_client(2, &member(2)).await;
    assert!(silent.vote(request(), option.clone()).await.is_err());
    assert!(silent.pre_vote(request(), option.clone()).await.is_err());
    let mut unknown = peers.new_client(3, &member(3)).await;
    assert!(unknown.pre_vote(request(), option).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_does_not_run_there_is_an_error_and_the_stream_lives_on() {
    let pair = pair(identity(1), identity(2)).await;
    let mut peers = Peers::<u64>::new(pair.near.transport.clone(), 7);
    let mut peer = peers.new_client(2, &member(2)).await;
    let option = RPCOption::new(PATIENCE);
    let refused = peer
        .append_entries(append(), option.clone())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("UNKNOWN_GROUP"));
    pair.far.transport.serve(7, hoarder(1));
    assert!(peer.append_entries(append(), option).await.is_ok());
}
