//! A cell on one node for tests: what is proposed is committed at once.
//! Promise: the real machine, actors and owner; no network, no disk.
//! Not here: consensus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use conversation::{CellParts, CellReplica, Edge, Faults, replica};
use domain::cell::reply::Reply;
use domain::ids::*;
use domain::plan::*;
use pb::api::v1::Refusal;
use pb::raft::v1::{ForwardCall, forward_answer, forward_call};
use ports::{
    Committed, Door, Group, GroupStatus, HandOverError, Leadership, Machine, Position,
    ProposeError, ReadError,
};
use runtime::StopSource;
use tokio::sync::watch;

use super::CellOwner;

/// The only cell.
pub(crate) const CELL: CellId = CellId(1);

/// A group of one replica that is its own quorum.
struct OneNode {
    replica: Mutex<(CellReplica, u64)>,
    leadership: watch::Sender<Leadership>,
    applied: watch::Sender<u64>,
    /// While it is closed what is committed is not answered.
    gate: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl Group<Reply> for OneNode {
    async fn propose(&self, term: u64, payload: Bytes) -> Result<Committed<Reply>, ProposeError> {
        let committed = {
            let mut locked = self.replica.lock().expect("no panic");
            let (replica, last) = &mut *locked;
            *last += 1;
            let reply = replica.apply(Position { index: *last, term }, &payload);
            replica.flush();
            self.applied.send_replace(*last);
            Committed {
                index: *last,
                reply,
            }
        };
        let mut gate = self.gate.subscribe();
        let opened = gate.wait_for(|open| *open).await;
        opened.expect("the group is there");
        Ok(committed)
    }

    async fn linearize(&self) -> Result<u64, ReadError> {
        Ok(*self.applied.borrow())
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn chain(&self, _index: u64) -> Option<[u8; 16]> {
        None
    }

    fn status(&self) -> GroupStatus {
        GroupStatus {
            quorum_ok: true,
            ..GroupStatus::default()
        }
    }

    async fn transfer_leadership(&self) -> Result<(), HandOverError> {
        Ok(())
    }
}

struct NoFaults;

impl Faults for NoFaults {
    fn our_fault(&self, _edge: &Edge) -> bool {
        false
    }
}

fn queue_plan() -> QueuePlan {
    QueuePlan {
        requires: Vec::new(),
        urgency: Urgency::Normal,
        strategy: Strategy::LongestIdle,
        waiting_max: 1_000,
        paused: false,
        on_agent_lost: OnAgentLost::Requeue,
        wrap_up: WrapUpMode::Optional,
        timers: Timers::default(),
        service_level: ServiceLevel::default(),
        boost_ms_max: 0,
        texts: QueueTexts {
            greeting: "Welcome".into(),
            ..QueueTexts::default()
        },
    }
}

/// One site, queue `help`, channel `web` with account `web-cn`, agents ana and bo.
fn plan() -> FloorPlan {
    let fra = SiteId::new("fra").expect("a name");
    let help = QueueId::new("help").expect("a name");
    let web = ChannelId::new("web").expect("a name");
    let agent = |name: &str| AgentPlan {
        display_name: name.to_uppercase(),
        site: fra.clone(),
        cell: "main".into(),
        capacity: 100,
        skills: BTreeMap::new(),
        languages: BTreeMap::new(),
        count_max: BTreeMap::new(),
        team: String::new(),
    };
    let account = AccountPlan {
        channel: web.clone(),
        site: fra.clone(),
        queue: help.clone(),
        boost_ms: 0,
    };
    FloorPlan {
        tenant: TenantId::new("default").expect("a name"),
        sites: BTreeMap::from([(
            fra.clone(),
            SitePlan {
                display_name: "Frankfurt".into(),
                time_zone: "Europe/Berlin".into(),
            },
        )]),
        skills: BTreeMap::new(),
        languages: BTreeMap::new(),
        channels: BTreeMap::from([(web, ChannelPlan::WEB)]),
        accounts: BTreeMap::from([(AccountId::new("web-cn").expect("a name"), account)]),
        intake: Vec::new(),
        queues: BTreeMap::from([(help, queue_plan())]),
        agents: ["ana", "bo"]
            .map(|name| (AgentId::new(name).expect("a name"), agent(name)))
            .into(),
        policy: FloorPolicy {
            customer_commands_max: 0,
            ..FloorPolicy::default()
        },
    }
}

/// A cell that serves, with its plan adopted.
pub(crate) struct Node {
    pub owner: CellOwner,
    group: Arc<OneNode>,
    _stop: StopSource,
    _plan: watch::Sender<Option<VersionedPlan>>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With another plan than [`plan`].
    pub(crate) async fn start_with(change: impl FnOnce(&mut FloorPlan)) -> Self {
        let mut planned = plan();
        change(&mut planned);
        let (replica, view) = replica(CELL);
        let leadership = Leadership {
            term: 1,
            leader: Some(1),
            is_self: true,
        };
        let group = Arc::new(OneNode {
            replica: Mutex::new((replica, 0)),
            leadership: watch::Sender::new(leadership),
            applied: watch::Sender::new(0),
            gate: watch::Sender::new(true),
        });
        let adopted = VersionedPlan {
            version: PlanVersion(1),
            plan: Arc::new(planned),
        };
        let plan = watch::Sender::new(Some(adopted));
        let stop = StopSource::new();
        let env = runtime::memory::env(7);
        let (handle, task) = conversation::start(CellParts {
            cell: CELL,
            env,
            group: group.clone(),
            view: view.clone(),
            plan: plan.subscribe(),
            faults: Arc::new(NoFaults),
            interrupted_after_ms: 300,
            archives: conversation::Archives::none(),
            stop: stop.token(),
        });
        task.detach();
        let mut applied = view.applied();
        while view.with(|cell, _| cell.state().plan().is_none()) {
            applied.changed().await.expect("the replica is there");
        }
        Self {
            owner: CellOwner::new(CELL, handle),
            group,
            _stop: stop,
            _plan: plan,
        }
    }

    /// Whether what is committed is answered.
    pub(crate) fn answers(&self, open: bool) {
        self.group.gate.send_replace(open);
    }

    /// Another node leads from now on.
    pub(crate) fn follow(&self) {
        self.group.leadership.send_replace(Leadership {
            term: 2,
            leader: Some(2),
            is_self: false,
        });
    }

    pub(crate) async fn ask(
        &self,
        request: forward_call::Request,
    ) -> Result<forward_answer::Response, Refusal> {
        let call = ForwardCall {
            group: CELL.0,
            site: "fra".into(),
            deadline_ms: 1_000,
            request: Some(request),
            ..ForwardCall::default()
        };
        self.owner.call(call).await
    }
}
