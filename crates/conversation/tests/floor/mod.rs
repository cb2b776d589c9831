//! A floor with one cell on its leader, over a group of one that commits at once.
//! Promise: time is the paused clock's; edges are lost when the test says so.
//! Not here: claims.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use conversation::{CellHandle, CellParts, Edge, Faults};
use domain::cell::command::{Actor, Command, Intent, LogIn, Open, Send};
use domain::cell::reply::Done;
use domain::ids::{
    AccountId, AgentId, Body, CellId, ConversationId, CustomerKey, DeviceId, NodeId, PlanVersion,
    RequestId, Session, SiteId,
};
use domain::plan::{FloorPlan, VersionedPlan};
use parking_lot::Mutex;
use runtime::StopSource;
use tokio::sync::watch;

use crate::group::LocalGroup;

/// The edge through which clients come.
pub const EDGE: NodeId = NodeId(2);

/// Edges out of reach, by hand.
#[derive(Default)]
pub struct Lost {
    edges: Mutex<BTreeSet<NodeId>>,
}

impl Lost {
    /// Takes the connection to an edge away.
    pub fn cut(&self, edge: NodeId) {
        self.edges.lock().insert(edge);
    }
}

impl Faults for Lost {
    fn our_fault(&self, edge: &Edge) -> bool {
        matches!(edge, Edge::Node(node) if self.edges.lock().contains(node))
    }
}

/// A cell that this process leads, and what its clients do.
pub struct Floor {
    pub cell: CellHandle,
    pub group: Arc<LocalGroup>,
    /// Edges that the leader cannot reach.
    pub faults: Arc<Lost>,
    _plan: watch::Sender<Option<VersionedPlan>>,
    _stop: StopSource,
    requests: std::cell::Cell<u32>,
}

impl Floor {
    pub async fn new() -> Self {
        Self::with_plan(|_| {}).await
    }

    /// A cell that has the sample's plan with these changes.
    pub async fn with_plan(change: impl FnOnce(&mut FloorPlan)) -> Self {
        let floor = Self::begun(|_| {}, conversation::Archives::none(), change);
        floor.group.lead(1);
        floor.has_a_plan().await;
        floor
    }

    /// Waits for the plan.
    pub async fn has_a_plan(&self) {
        let planned = |floor: &Self| {
            let view = floor.cell.view();
            view.with(|cell, _| cell.state().meta().plan == PlanVersion(1))
        };
        self.until(planned).await;
    }

    /// A process that begins on what `disk` leaves in the group.
    pub fn before_any_leader(disk: impl FnOnce(&LocalGroup)) -> Self {
        Self::begun(disk, conversation::Archives::none(), |_| {})
    }

    /// A cell that has a plan, and from which conversations leave into these archives.
    pub async fn with_archives(archives: conversation::Archives) -> Self {
        let floor = Self::begun(|_| {}, archives, |_| {});
        floor.group.lead(1);
        floor.has_a_plan().await;
        floor
    }

    fn begun(
        disk: impl FnOnce(&LocalGroup),
        archives: conversation::Archives,
        change: impl FnOnce(&mut FloorPlan),
    ) -> Self {
        let (replica, view) = conversation::replica(CellId(1));
        let group = Arc::new(LocalGroup::new(replica));
        disk(&group);
        let mut plan = wire::floor::parse(wire::floor::SAMPLE).expect("the sample has no fault");
        plan.policy.customer_commands_max = 16;
        change(&mut plan);
        let (plan, newest) = watch::channel(Some(VersionedPlan {
            version: PlanVersion(1),
            plan: Arc::new(plan),
        }));
        let faults = Arc::new(Lost::default());
        let stop = StopSource::new();
        let (cell, task) = conversation::start(CellParts {
            cell: CellId(1),
            env: runtime::memory::env(1),
            group: group.clone(),
            view,
            plan: newest,
            faults: faults.clone(),
            interrupted_after_ms: 300,
            archives,
            stop: stop.token(),
        });
        task.detach();
        Self {
            cell,
            group,
            faults,
            _plan: plan,
            _stop: stop,
            requests: std::cell::Cell::new(0),
        }
    }

    /// Waits until something holds; the paused clock moves on by itself.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut look = tokio::time::interval(Duration::from_millis(1));
        for _ in 0..100_000 {
            look.tick().await;
            if holds(self) {
                return;
            }
        }
        panic!("it never came to hold");
    }

    pub fn request(&self) -> RequestId {
        self.requests.set(self.requests.get() + 1);
        RequestId::new(&format!("r{}", self.requests.get())).expect("well formed")
    }

    pub fn opening(&self, customer: &str) -> Command {
        Command::Open(Open {
            request_id: self.request(),
            account: AccountId::new("web-de").expect("well formed"),
            customer: CustomerKey::new(customer).expect("well formed"),
            display_name: String::new(),
            site: SiteId::new("fra").expect("well formed"),
            queue: None,
            language: Some(domain::ids::LanguageId::new("de").expect("well formed")),
            topics: Vec::new(),
            boost_ms: 0,
            bot_first: false,
            body: None,
            sent_ms: 0,
            instance: None,
            previous: None,
        })
    }

    pub async fn open(&self, customer: &str) -> ConversationId {
        match self.cell.act(self.opening(customer)).await {
            Ok(Done::Opened(opened)) => opened.conversation,
            other => panic!("not opened: {other:?}"),
        }
    }

    pub fn send(&self, conversation: ConversationId, text: &str) -> Command {
        Command::Send(Send {
            conversation,
            request_id: self.request(),
            author: Actor::Customer,
            body: Body::clear(text),
            sent_ms: 0,
            instance: None,
        })
    }

    pub async fn log_in(&self, agent: &AgentId) -> Session {
        let log_in = Command::LogIn(LogIn {
            agent: agent.clone(),
            request_id: self.request(),
            device: DeviceId::new("d1").expect("well formed"),
            session: None,
            intent: Intent::Ready,
            site: SiteId::new("fra").expect("well formed"),
        });
        match self.cell.act(log_in).await {
            Ok(Done::LoggedIn(logged_in)) => logged_in.session,
            other => panic!("not logged in: {other:?}"),
        }
    }

    /// An agent of the sample plan who may serve the queue of a conversation.
    pub fn eligible(&self, conversation: ConversationId) -> AgentId {
        self.cell.view().with(|cell, _| {
            let queue = &cell.conversation(conversation).expect("it is open").queue;
            let plan = cell.state().plan().expect("a plan is in force");
            let requires = &plan.queues[queue].requires;
            let mut agents = cell.state().agents();
            let found = agents.find(|agent| domain::cell::capacity::is_eligible(agent, requires));
            found.expect("somebody may serve it").name.clone()
        })
    }
}
