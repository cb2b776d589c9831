//! The node's way to the owner of every group: local, or one hop over a kept stream.
//! Promise: a call is tried again only while it was certainly not done and its deadline lasts; a
//! forwarded call is never forwarded again.
//! Not here: judging calls (`api::owner`, `control`), the other end of the hop (`serve`).

mod conn;
mod credit;
mod forwarded;
pub(crate) mod link;
mod news;
pub(crate) mod presence;
mod route;
pub(crate) mod serve;
mod session;

#[cfg(test)]
mod doors_test;
#[cfg(test)]
mod hop_test;
#[cfg(test)]
mod members_test;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::edge::is_read;
use domain::ids::NodeId;
use mutants::{Mutant, planted};
use parking_lot::{Mutex, RwLock};
use pb::api::v1::{ErrorReason, FloorView, Refusal};
use pb::raft::v1::{
    CellMarkRequest, CellMarkResponse, FloorViewRequest, ForwardCall, ForwardUp, NodeStatusRequest,
    NodeStatusResponse, ProveRequest, SkipWordRequest, forward_answer, forward_call,
};
use ports::{CallAnswer, Door, Leadership, Opened};
use raft::Directory;
use runtime::{Env, Stop};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::conn::{CallEnd, Conn};
use self::forwarded::Forwarded;
use self::link::{Link, Speaker};
use self::route::{Route, Routes};
use crate::control::StateWatch;
use crate::refuse;

/// No call waits longer.
const CALL_DEADLINE_MAX: Duration = Duration::from_secs(10);
/// A stream that found no owner by then is refused.
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// A node that follows the control group hears of a new cell within this.
const CELL_NEWS_WAIT: Duration = Duration::from_secs(1);
/// A node that is there is connected already; one that has just come back is so within this.
const NODE_CONN_WAIT: Duration = Duration::from_secs(1);
/// Pause before a call is tried again when nothing new was heard: a tenth of an election.
const RETRY_PAUSE: Duration = Duration::from_millis(25);
/// Spread of that pause.
const RETRY_SPREAD: f64 = 0.5;
/// What another attempt needs: the longest pause before it, and the wait for a connection. A call that
/// nobody did says so before its deadline; at the deadline its outcome would be called unknown.
const RETRY_NEEDS: Duration = RETRY_PAUSE.saturating_mul(3);

/// Finds the owner of a group. Cheap to clone.
#[derive(Clone)]
pub struct Doors {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    speaker: Speaker,
    directory: Directory,
    stop: Stop,
    routes: Routes,
    owners: RwLock<BTreeMap<u32, Arc<dyn Door>>>,
    links: Mutex<BTreeMap<u64, Arc<Link>>>,
}

/// What doors are made of.
pub(crate) struct DoorsParts {
    pub(crate) env: Env,
    pub(crate) speaker: Speaker,
    pub(crate) directory: Directory,
    pub(crate) control: StateWatch,
    pub(crate) stop: Stop,
}

impl Doors {
    pub(crate) fn new(parts: DoorsParts) -> Self {
        let routes = Routes::new(parts.speaker.node_id, parts.control);
        let shared = Shared {
            env: parts.env,
            speaker: parts.speaker,
            directory: parts.directory,
            stop: parts.stop,
            routes,
            owners: RwLock::default(),
            links: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Serves a group from here whenever this node leads it.
    pub(crate) fn serve(
        &self,
        group: u32,
        owner: Arc<dyn Door>,
        leadership: watch::Receiver<Leadership>,
    ) {
        self.shared.owners.write().insert(group, owner);
        self.shared.routes.follow(group, leadership);
    }

    /// Keeps a connection to each of `peers` and to nobody else.
    pub(crate) fn keep(&self, peers: &[u64]) {
        let mut links = self.shared.links.lock();
        links.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            if *peer != self.shared.speaker.node_id && !links.contains_key(peer) {
                links.insert(*peer, Arc::new(self.start_link(*peer)));
            }
        }
    }

    fn start_link(&self, peer: u64) -> Link {
        let shared = &self.shared;
        let (speaker, directory) = (shared.speaker.clone(), shared.directory.clone());
        Link::start(&shared.env, speaker, directory, peer, shared.stop.clone())
    }

    fn link(&self, peer: u64) -> Arc<Link> {
        let mut links = self.shared.links.lock();
        let link = links
            .entry(peer)
            .or_insert_with(|| Arc::new(self.start_link(peer)));
        Arc::clone(link)
    }

    /// Forgets owners and connections, so that nothing keeps what they hold.
    pub(crate) fn close(&self) {
        self.shared.owners.write().clear();
        self.shared.links.lock().clear();
    }

    /// Whether the edge of `peer` can be reached from here.
    pub(crate) fn is_connected(&self, peer: u64) -> bool {
        self.shared
            .links
            .lock()
            .get(&peer)
            .is_some_and(|link| link.conn().is_some())
    }

    fn own_edge(&self) -> NodeId {
        NodeId(self.shared.speaker.node_id)
    }

    /// The owner of a group on this node, whether or not it leads.
    fn local(&self, group: u32) -> Option<Arc<dyn Door>> {
        self.shared.owners.read().get(&group).cloned()
    }

    /// A call that came through `edge`: answered here or not at all.
    pub(crate) async fn call_here(&self, edge: NodeId, mut call: ForwardCall) -> CallAnswer {
        call.edge = edge.0;
        match self.local(call.group) {
            Some(owner) => owner.call(call).await,
            None => Err(refuse::not_leader(self.shared.routes.hint(call.group))),
        }
    }

    /// A stream that came through `edge`: served here or not at all.
    pub(crate) async fn open_here(
        &self,
        edge: NodeId,
        mut first: ForwardUp,
    ) -> Result<Opened, Refusal> {
        first.edge = edge.0;
        match self.local(first.group) {
            Some(owner) => owner.open(first).await,
            None => Err(refuse::not_leader(self.shared.routes.hint(first.group))),
        }
    }

    /// Asks one node for its own account, waiting no longer than `within`.
    pub(crate) async fn node_status(
        &self,
        node: u64,
        within: Duration,
    ) -> Option<NodeStatusResponse> {
        let request = forward_call::Request::NodeStatus(NodeStatusRequest {});
        match self.ask_node(node, 0, request, within).await? {
            forward_answer::Response::NodeStatus(status) => Some(status),
            _ => None,
        }
    }

    /// Asks one node for the counters of its replica of a cell, waiting no longer than `within`.
    pub(crate) async fn floor_view(
        &self,
        node: u64,
        cell: u32,
        within: Duration,
    ) -> Option<FloorView> {
        let request = forward_call::Request::FloorView(FloorViewRequest {});
        match self.ask_node(node, cell, request, within).await? {
            forward_answer::Response::FloorView(floor) => Some(floor),
            _ => None,
        }
    }

    /// Asks one node what its replica of a cell has at a log index, waiting no longer than `within`.
    pub(crate) async fn cell_mark(
        &self,
        node: u64,
        cell: u32,
        index: u64,
        within: Duration,
    ) -> Option<CellMarkResponse> {
        let request = forward_call::Request::CellMark(CellMarkRequest { index });
        match self.ask_node(node, cell, request, within).await? {
            forward_answer::Response::CellMark(mark) => Some(mark),
            _ => None,
        }
    }

    /// Asks one node to do something with itself; `None` when there is no way to it, so that certainly
    /// nothing was done.
    pub(crate) async fn node_act(
        &self,
        node: u64,
        request: forward_call::Request,
        within: Duration,
    ) -> Option<CallAnswer> {
        let deadline = Instant::now() + within;
        let conn = self.conn(node, Instant::now() + NODE_CONN_WAIT).await?;
        let call = ForwardCall {
            deadline_ms: millis(deadline.saturating_duration_since(Instant::now())),
            request: Some(request),
            ..ForwardCall::default()
        };
        let late = late(&call);
        match timeout_at(deadline, conn.call(call)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(CallEnd::NotSent(_))) => None,
            Ok(Err(CallEnd::Broken)) | Err(_) => Some(Err(late)),
        }
    }

    /// Has one node prove its replica of a cell, or asks how far that is.
    pub(crate) async fn prove(
        &self,
        node: u64,
        cell: u32,
        ask: ProveRequest,
        within: Duration,
    ) -> Option<forward_answer::Response> {
        let request = forward_call::Request::Prove(ask);
        self.ask_node(node, cell, request, within).await
    }

    /// Asks one node, as the leader of a cell's log, to write that an entry is passed over.
    pub(crate) async fn skip_word(
        &self,
        node: u64,
        cell: u32,
        word: SkipWordRequest,
        within: Duration,
    ) -> CallAnswer {
        let request = forward_call::Request::SkipWord(word);
        let answer = self.ask(node, cell, request, within).await;
        answer.unwrap_or_else(|| Err(refuse::outcome_unknown()))
    }

    /// Asks one node about itself; `None` when it does not answer in time or has nothing to say.
    pub(crate) async fn ask_node(
        &self,
        node: u64,
        group: u32,
        request: forward_call::Request,
        within: Duration,
    ) -> Option<forward_answer::Response> {
        self.ask(node, group, request, within).await?.ok()
    }

    /// Asks one node; `None` when it does not answer in time.
    async fn ask(
        &self,
        node: u64,
        group: u32,
        request: forward_call::Request,
        within: Duration,
    ) -> Option<CallAnswer> {
        let deadline = Instant::now() + within;
        let conn = self.conn(node, deadline).await?;
        let call = ForwardCall {
            group,
            deadline_ms: millis(deadline.saturating_duration_since(Instant::now())),
            request: Some(request),
            ..ForwardCall::default()
        };
        timeout_at(deadline, conn.call(call)).await.ok()?.ok()
    }

    /// The connection to a peer; waits for one until `deadline`.
    async fn conn(&self, peer: u64, deadline: Instant) -> Option<Arc<Conn>> {
        let link = self.link(peer);
        if let Some(conn) = link.conn() {
            return Some(conn);
        }
        let mut state = link.state();
        let up = state.wait_for(|conn| conn.as_ref().is_some_and(|conn| !conn.is_closed()));
        let found = timeout_at(deadline, up).await.ok()?.ok()?;
        found.clone()
    }

    async fn try_call(&self, route: Route, call: &ForwardCall, deadline: Instant) -> CallAnswer {
        let peer = match route {
            Route::Here => {
                let late = late(call);
                return within(
                    deadline,
                    self.call_here(self.own_edge(), call.clone()),
                    late,
                )
                .await;
            }
            Route::Peer(peer) => peer,
            Route::Nowhere => return Err(refuse::forming("the group")),
        };
        let Some(conn) = self
            .conn(peer, deadline.min(Instant::now() + RETRY_PAUSE))
            .await
        else {
            self.shared.routes.forget(call.group, peer);
            return Err(refuse::not_leader(None));
        };
        let mut call = call.clone();
        call.deadline_ms = millis(deadline.saturating_duration_since(Instant::now()));
        let reads = call.request.as_ref().is_some_and(is_read);
        match timeout_at(deadline, conn.call(call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(CallEnd::NotSent(refusal))) => Err(refusal),
            // A read that got lost can be asked again; anything else may have been done.
            Ok(Err(CallEnd::Broken)) if reads => Err(refuse::not_leader(None)),
            Err(_) if reads => Err(refuse::no_answer()),
            Ok(Err(CallEnd::Broken)) | Err(_) => Err(refuse::outcome_unknown()),
        }
    }

    async fn try_open(
        &self,
        route: Route,
        first: &ForwardUp,
        deadline: Instant,
    ) -> Result<Opened, Refusal> {
        let peer = match route {
            Route::Here => {
                let opening = self.open_here(self.own_edge(), first.clone());
                return within(deadline, opening, refuse::outcome_unknown()).await;
            }
            Route::Peer(peer) => peer,
            Route::Nowhere => return Err(refuse::forming("the group")),
        };
        let stream = self.open_at(peer, first, deadline).await?;
        Ok(stream.opened())
    }

    async fn open_at(
        &self,
        peer: u64,
        first: &ForwardUp,
        deadline: Instant,
    ) -> Result<Forwarded, Refusal> {
        let Some(conn) = self
            .conn(peer, deadline.min(Instant::now() + RETRY_PAUSE))
            .await
        else {
            self.shared.routes.forget(first.group, peer);
            return Err(refuse::not_leader(None));
        };
        let opening = conn.open(first.clone());
        timeout_at(deadline, opening)
            .await
            .unwrap_or_else(|_| Err(refuse::not_leader(None)))
    }

    /// Whether a client has named a cell that does not exist. A new cell is known everywhere soon
    /// after its birth, so that is waited for.
    fn names_no_cell(&self, group: u32, refusal: &Refusal, tries: &Tries) -> bool {
        refusal.reason() == ErrorReason::ClusterForming
            && tries.began.elapsed() >= CELL_NEWS_WAIT
            && self.shared.routes.is_unknown_cell(group)
    }

    /// Waits for news about the leader of `group`, or a short pause. `false` when the deadline
    /// leaves no time for another attempt.
    async fn again(
        &self,
        (group, asked): (u32, Route),
        refusal: &Refusal,
        tries: &mut Tries,
    ) -> bool {
        let hinted = refuse::leader_of(refusal);
        if let (Route::Peer(peer), None) = (asked, hinted) {
            // It leads no more, or is sick, and knows nobody: another member may.
            self.shared.routes.forget(group, peer);
        }
        let news = hinted.is_some_and(|leader| self.shared.routes.learn(group, leader));
        if Instant::now() + RETRY_NEEDS >= tries.deadline {
            return false;
        }
        let at_once = news && !std::mem::replace(&mut tries.hint_followed, true);
        if !at_once {
            let pause = self.shared.env.random.jitter(RETRY_PAUSE, RETRY_SPREAD);
            self.shared.routes.changed(group, pause).await;
        }
        true
    }
}

#[async_trait::async_trait]
impl Door for Doors {
    async fn call(&self, call: ForwardCall) -> CallAnswer {
        let deadline = Instant::now() + patience(&call);
        let mut tries = Tries::until(deadline);
        loop {
            let mut route = self.shared.routes.find(call.group);
            if planted(Mutant::ReadAtFollower) && call.request.as_ref().is_some_and(is_read) {
                route = self.local(call.group).map_or(route, |_| Route::Here);
            }
            match self.try_call(route, &call, deadline).await {
                Err(refusal) if self.names_no_cell(call.group, &refusal, &tries) => {
                    return Err(refuse::no_such_cell(call.group));
                }
                Err(refusal) if may_try_again(&refusal) => {
                    if !self.again((call.group, route), &refusal, &mut tries).await {
                        return Err(self.shared.routes.named(refusal));
                    }
                }
                answer => return answer,
            }
        }
    }

    async fn open(&self, first: ForwardUp) -> Result<Opened, Refusal> {
        let deadline = Instant::now() + OPEN_DEADLINE;
        let mut tries = Tries::until(deadline);
        loop {
            let route = self.shared.routes.find(first.group);
            match self.try_open(route, &first, deadline).await {
                Err(refusal) if self.names_no_cell(first.group, &refusal, &tries) => {
                    return Err(refuse::no_such_cell(first.group));
                }
                Err(refusal) if may_try_again(&refusal) => {
                    if !self.again((first.group, route), &refusal, &mut tries).await {
                        return Err(self.shared.routes.named(refusal));
                    }
                }
                opened => return opened,
            }
        }
    }
}

/// The attempts at one call or stream.
struct Tries {
    began: Instant,
    deadline: Instant,
    /// A hint was followed without a pause. Two nodes that name each other, as around an election,
    /// would else be asked in a circle as fast as they answer.
    hint_followed: bool,
}

impl Tries {
    fn until(deadline: Instant) -> Self {
        Self {
            began: Instant::now(),
            deadline,
            hint_followed: false,
        }
    }
}

/// How long a call may take; 0 asks for the most.
fn patience(call: &ForwardCall) -> Duration {
    match call.deadline_ms {
        0 => CALL_DEADLINE_MAX,
        asked => Duration::from_millis(asked).min(CALL_DEADLINE_MAX),
    }
}

/// Whether the call was certainly not done and another node may do it.
fn may_try_again(refusal: &Refusal) -> bool {
    matches!(
        refusal.reason(),
        ErrorReason::NotLeader | ErrorReason::ClusterForming
    )
}

/// What a call is told that has no answer by its deadline: a read can be asked again.
pub(super) fn late(call: &ForwardCall) -> Refusal {
    match call.request.as_ref().is_some_and(is_read) {
        true => refuse::no_answer(),
        false => refuse::outcome_unknown(),
    }
}

async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, Refusal>>,
    late: Refusal,
) -> Result<T, Refusal> {
    timeout_at(deadline, work).await.unwrap_or(Err(late))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
