//! A cell with a floor plan, driven in sentences.
//! Promise: each call is one log entry; invariants are checked after each.
//! Not here: claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cell::archive::ArchivedUpto;
use crate::cell::checkpoint::Digest;
use crate::cell::command::*;
use crate::cell::conversation::{Conversation, Phase};
use crate::cell::event::{Event, OfferMade};
use crate::cell::invariants::{Watch, check_invariants, check_step};
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, Opened, Owned, Reply, Sent};
use crate::cell::transcript::Item;
use crate::cell::{Applied, Cell, State};
use crate::ids::*;
use crate::plan::*;

pub(crate) const CELL: CellId = CellId(1);

pub(crate) fn queue(name: &str) -> QueueId {
    QueueId::new(name).unwrap()
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(crate) fn site(name: &str) -> SiteId {
    SiteId::new(name).unwrap()
}

pub(crate) fn rid(text: &str) -> RequestId {
    RequestId::new(text).unwrap()
}

pub(crate) fn staff() -> StaffId {
    StaffId::new("mia").unwrap()
}

pub(crate) fn channel(name: &str) -> ChannelId {
    ChannelId::new(name).unwrap()
}

pub(crate) fn device(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

pub(crate) fn skill(name: &str) -> SkillId {
    SkillId::new(name).unwrap()
}

pub(crate) fn queue_plan() -> QueuePlan {
    QueuePlan {
        requires: Vec::new(),
        urgency: Urgency::Normal,
        strategy: Strategy::LongestIdle,
        waiting_max: 1_000,
        paused: false,
        on_agent_lost: OnAgentLost::Requeue,
        wrap_up: WrapUpMode::TimeBoxed,
        timers: Timers::default(),
        service_level: ServiceLevel::default(),
        boost_ms_max: 60_000,
        texts: QueueTexts {
            greeting: "Welcome".into(),
            full: "The line is full".into(),
            paused: "Back soon".into(),
            nobody_staffed: "Nobody is here yet".into(),
        },
    }
}

pub(crate) fn channel_plan(cost: u32) -> ChannelPlan {
    ChannelPlan {
        cost,
        count_max: None,
        exclusive: false,
        gone_ms: 120_000,
        gone_our_fault_ms: 600_000,
        short_abandon_ms: 10_000,
    }
}

pub(crate) fn agent_plan(name: &str, capacity: u32) -> AgentPlan {
    AgentPlan {
        display_name: name.to_uppercase(),
        site: site("fra"),
        cell: "main".into(),
        capacity,
        skills: BTreeMap::new(),
        languages: BTreeMap::new(),
        count_max: BTreeMap::new(),
        team: String::new(),
    }
}

/// Queues `sales` and `billing`, channels `web`, `app`, `voice`, agents ana, ben, cem with 100 units each.
pub(crate) fn plan() -> FloorPlan {
    let account = |name: &str| AccountPlan {
        channel: channel(name),
        site: site("fra"),
        queue: queue("sales"),
        boost_ms: 0,
    };
    let mut app = channel_plan(25);
    app.gone_ms = 600_000;
    let mut voice = channel_plan(100);
    voice.exclusive = true;
    voice.short_abandon_ms = 5_000;
    let site_plan = SitePlan {
        display_name: "Frankfurt".into(),
        time_zone: "Europe/Berlin".into(),
    };
    FloorPlan {
        tenant: TenantId::new("default").unwrap(),
        sites: BTreeMap::from([(site("fra"), site_plan)]),
        skills: BTreeMap::new(),
        languages: BTreeMap::new(),
        channels: BTreeMap::from([
            (channel("web"), channel_plan(25)),
            (channel("app"), app),
            (channel("voice"), voice),
        ]),
        accounts: ["web", "app", "voice"]
            .map(|name| (AccountId::new(name).unwrap(), account(name)))
            .into(),
        intake: Vec::new(),
        queues: BTreeMap::from([
            (queue("sales"), queue_plan()),
            (queue("billing"), queue_plan()),
        ]),
        agents: ["ana", "ben", "cem"]
            .map(|name| (agent(name), agent_plan(name, 100)))
            .into(),
        policy: FloorPolicy::default(),
    }
}

/// A cell under test.
pub(crate) struct Floor {
    pub cell: Cell,
    pub index: u64,
    pub at: u64,
    pub sessions: BTreeMap<AgentId, Session>,
    pub last: Vec<Event>,
    requests: u64,
}

impl Floor {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut FloorPlan)) -> Self {
        let mut content = plan();
        change(&mut content);
        let mut floor = Self {
            cell: Cell::new(CELL),
            index: 0,
            at: 1_000_000,
            sessions: BTreeMap::new(),
            last: Vec::new(),
            requests: 0,
        };
        floor.adopt(1, content);
        floor
    }

    pub fn state(&self) -> &State {
        self.cell.state()
    }

    pub fn adopt(&mut self, version: u64, plan: FloorPlan) -> Applied {
        self.apply(Command::AdoptPlan(VersionedPlan {
            version: PlanVersion(version),
            plan: Arc::new(plan),
        }))
    }

    /// One entry at the present time; every invariant is checked after it.
    pub fn apply(&mut self, command: Command) -> Applied {
        let before = self.cell.state().clone();
        self.index += 1;
        let entry = Entry {
            at: CellTime(self.at),
            wall_ms: 1_700_000_000_000 + self.at,
            command,
        };
        let applied = self.cell.apply(LogIndex(self.index), &entry);
        check_invariants(self.cell.state())
            .unwrap_or_else(|broken| panic!("{broken} after {entry:?}"));
        check_step(&before, self.cell.state())
            .unwrap_or_else(|broken| panic!("{broken} after {entry:?}"));
        Watch::begin(&before)
            .check(self.cell.state(), &entry, &applied)
            .unwrap_or_else(|broken| panic!("{broken} after {entry:?}"));
        self.last.clone_from(&applied.events);
        applied
    }

    pub fn ask(&mut self, command: Command) -> Reply {
        self.apply(command).reply
    }

    pub fn fresh(&mut self) -> RequestId {
        self.requests += 1;
        rid(&format!("r{}", self.requests))
    }

    /// Lets time pass and fires what is due, in order.
    pub fn wait_ms(&mut self, ms: u64) {
        let end = self.at + ms;
        while let Some(due) = self.cell.next_deadline().filter(|due| due.0 <= end) {
            self.at = self.at.max(due.0);
            self.apply(Command::tick());
        }
        self.at = end;
    }

    pub fn open_command(&mut self, customer: &str) -> Open {
        Open {
            request_id: self.fresh(),
            account: AccountId::new("web").unwrap(),
            customer: CustomerKey::new(customer).unwrap(),
            display_name: String::new(),
            site: site("fra"),
            queue: None,
            language: None,
            topics: Vec::new(),
            boost_ms: 0,
            bot_first: false,
            body: Some(Body::clear("hello")),
            sent_ms: 0,
            instance: None,
            previous: None,
        }
    }

    pub fn opened(&mut self, open: Open) -> Opened {
        match self.ask(Command::Open(open)) {
            Ok(Done::Opened(opened)) => opened,
            other => panic!("{other:?}"),
        }
    }

    pub fn open(&mut self, customer: &str) -> ConversationId {
        let open = self.open_command(customer);
        self.opened(open).conversation
    }

    pub fn open_in(&mut self, customer: &str, name: &str) -> ConversationId {
        let mut open = self.open_command(customer);
        open.queue = Some(queue(name));
        self.opened(open).conversation
    }

    pub fn open_on(&mut self, customer: &str, account: &str) -> ConversationId {
        let mut open = self.open_command(customer);
        open.account = AccountId::new(account).unwrap();
        self.opened(open).conversation
    }

    pub fn log_in(&mut self, name: &str) -> Session {
        let request_id = self.fresh();
        let log_in = LogIn {
            agent: agent(name),
            request_id,
            device: device("desk"),
            session: None,
            intent: Intent::Ready,
            site: site("fra"),
        };
        match self.ask(Command::LogIn(log_in)) {
            Ok(Done::LoggedIn(logged_in)) => {
                self.sessions.insert(agent(name), logged_in.session);
                logged_in.session
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn session(&self, name: &str) -> Session {
        self.sessions.get(&agent(name)).copied().unwrap_or_default()
    }

    pub fn conversation(&self, id: ConversationId) -> &Conversation {
        self.state().conversation(id).unwrap()
    }

    pub fn phase(&self, id: ConversationId) -> &Phase {
        &self.conversation(id).phase
    }

    pub fn epoch(&self, id: ConversationId) -> OwnerEpoch {
        self.conversation(id).owner_epoch
    }

    /// The agent to whom it is offered.
    pub fn offered_to(&self, id: ConversationId) -> Option<String> {
        match self.phase(id) {
            Phase::Offered(offer) => Some(offer.agent.to_string()),
            _ => None,
        }
    }

    pub fn owner(&self, id: ConversationId) -> Option<String> {
        self.phase(id).owner().map(ToString::to_string)
    }

    pub fn offer_ref(&self, id: ConversationId) -> OfferRef {
        match self.phase(id) {
            Phase::Offered(offer) => OfferRef {
                offer: offer.id,
                agent: offer.agent.clone(),
                session: offer.session,
            },
            other => panic!("not offered but {other:?}"),
        }
    }

    pub fn accept_command(&mut self, id: ConversationId) -> Accept {
        Accept {
            request_id: self.fresh(),
            offer: self.offer_ref(id),
            owner_epoch: self.epoch(id),
        }
    }

    pub fn accept(&mut self, id: ConversationId) -> Owned {
        let accept = self.accept_command(id);
        match self.ask(Command::Accept(accept)) {
            Ok(Done::Owned(owned)) => owned,
            other => panic!("{other:?}"),
        }
    }

    pub fn decline(&mut self, id: ConversationId) -> Reply {
        let decline = Decline {
            request_id: self.fresh(),
            offer: self.offer_ref(id),
            reason: "busy".into(),
        };
        self.ask(Command::Decline(decline))
    }

    /// An active conversation of this agent, the only one logged in so far.
    pub fn active(&mut self, customer: &str) -> ConversationId {
        let id = self.open(customer);
        self.accept(id);
        id
    }

    pub fn actor(&self, id: ConversationId, name: &str) -> Actor {
        Actor::Agent {
            agent: agent(name),
            session: self.session(name),
            owner_epoch: self.epoch(id),
        }
    }

    /// The owner as an actor.
    pub fn owner_actor(&self, id: ConversationId) -> Actor {
        let name = self.owner(id).unwrap();
        self.actor(id, &name)
    }

    pub fn send_command(&mut self, id: ConversationId, author: Actor, text: &str) -> Send {
        let request_id = self.fresh();
        Send {
            conversation: id,
            request_id,
            author,
            body: Body::clear(text),
            sent_ms: 0,
            instance: None,
        }
    }

    pub fn try_send(
        &mut self,
        id: ConversationId,
        author: Actor,
        text: &str,
    ) -> Result<Sent, Refusal> {
        let send = self.send_command(id, author, text);
        match self.ask(Command::Send(send)) {
            Ok(Done::Sent(sent)) => Ok(sent),
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err(refusal),
        }
    }

    pub fn customer_says(&mut self, id: ConversationId, text: &str) -> Sent {
        self.try_send(id, Actor::Customer, text).unwrap()
    }

    pub fn agent_says(&mut self, id: ConversationId, text: &str) -> Sent {
        let author = self.owner_actor(id);
        self.try_send(id, author, text).unwrap()
    }

    pub fn close_by(&mut self, id: ConversationId, by: Actor) -> Reply {
        let request_id = self.fresh();
        self.ask(Command::Close(Close {
            conversation: id,
            request_id,
            by,
            reason: String::new(),
            wrap_up: false,
        }))
    }

    pub fn act(&mut self, id: ConversationId, by: Actor) -> OwnerAct {
        OwnerAct {
            conversation: id,
            request_id: self.fresh(),
            by,
        }
    }

    pub fn hold(&mut self, id: ConversationId) -> Reply {
        let by = self.owner_actor(id);
        let act = self.act(id, by);
        self.ask(Command::Hold(act))
    }

    pub fn resume(&mut self, id: ConversationId) -> Reply {
        let by = self.owner_actor(id);
        let act = self.act(id, by);
        self.ask(Command::Resume(act))
    }

    pub fn finish(&mut self, id: ConversationId) -> Reply {
        let by = self.owner_actor(id);
        let act = self.act(id, by);
        self.ask(Command::FinishWrapUp(act))
    }

    pub fn transfer(&mut self, id: ConversationId, by: Actor, target: Target) -> Reply {
        let request_id = self.fresh();
        self.ask(Command::Transfer(Transfer {
            conversation: id,
            request_id,
            by,
            target,
            note: None,
        }))
    }

    pub fn lease(&mut self, name: &str, state: LeaseState) -> Reply {
        let session = self.session(name);
        self.ask(Command::Lease(Lease {
            agent: agent(name),
            session,
            state,
            our_fault: false,
        }))
    }

    pub fn intent_command(&mut self, name: &str, intent: Intent) -> SetIntent {
        let session = Some(self.session(name));
        SetIntent {
            agent: agent(name),
            request_id: self.fresh(),
            session,
            staff: None,
            intent,
            why: String::new(),
        }
    }

    pub fn set_intent(&mut self, name: &str, intent: Intent) -> Reply {
        let set = self.intent_command(name, intent);
        self.ask(Command::SetIntent(set))
    }

    pub fn not_ready(&mut self, name: &str) {
        self.set_intent(
            name,
            Intent::NotReady {
                reason: "lunch".into(),
            },
        )
        .unwrap();
    }

    pub fn ready(&mut self, name: &str) {
        self.set_intent(name, Intent::Ready).unwrap();
    }

    pub fn gone(&mut self, id: ConversationId, our_fault: bool) {
        let presence = CustomerPresence {
            conversation: id,
            attached: false,
            our_fault,
        };
        self.ask(Command::CustomerPresence(presence)).unwrap();
    }

    pub fn attach(&mut self, id: ConversationId) {
        let presence = CustomerPresence {
            conversation: id,
            attached: true,
            our_fault: false,
        };
        self.ask(Command::CustomerPresence(presence)).unwrap();
    }

    pub fn leader_starts(&mut self, without_leader_ms: u64) -> Applied {
        let started = LeaderStarted {
            wall_ms: 0,
            without_leader_ms,
            after_restart_of_all: false,
        };
        self.apply(Command::LeaderStarted(started))
    }

    /// Everything that is sealed is archived.
    pub fn archived_command(&self) -> ArchivedUpto {
        let (state, upto) = (self.state(), self.state().meta().applied);
        let after = state.meta().archive.upto;
        ArchivedUpto {
            upto,
            count: state.sealed_between(after, upto, usize::MAX).len() as u64,
            day: (self.at / 86_400_000) as u32,
            digest: Digest([self.index as u8; 16]),
            keep_from_day: 0,
        }
    }

    pub fn used(&self, name: &str) -> u32 {
        self.state().agent_view(&agent(name)).unwrap().load.used
    }

    pub fn texts(&self, id: ConversationId) -> Vec<String> {
        let items = self.conversation(id).items.iter();
        let bodies = items.filter_map(|item| Some(item.message()?.body.clone()));
        bodies
            .map(|body| String::from_utf8(body.bytes.to_vec()).unwrap())
            .collect()
    }

    pub fn last_items(&self) -> Vec<&Item> {
        let items = self.last.iter().filter_map(|event| match event {
            Event::ItemAdded { item, .. } => Some(&**item),
            _ => None,
        });
        items.collect()
    }

    pub fn last_offers(&self) -> Vec<&OfferMade> {
        let offers = self.last.iter().filter_map(|event| match event {
            Event::OfferMade(made) => Some(&**made),
            _ => None,
        });
        offers.collect()
    }

    pub fn line(&self, name: &str) -> Vec<ConversationId> {
        self.state().line(&queue(name)).collect()
    }
}

pub(crate) fn supervisor() -> Actor {
    Actor::Staff { staff: staff() }
}
