//! What an open conversation takes in memory, counted by the allocator.
//! Promise: counts what lives after the last entry: no entries, no events, no queue of the process.
//! Not here: speed (`cell`), what a node takes beside the state.
//!
//! Goal: at most 4 KiB for an open conversation with ten messages of 100 bytes, its customer's entry
//! and its places in the indexes included.

mod counting;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::cell::Cell;
use domain::cell::command::{Accept, Actor, Command, Entry, Instance, Intent, LogIn, Open, Send};
use domain::cell::conversation::{Conversation, Phase};
use domain::cell::items::Items;
use domain::cell::reply::Done;
use domain::cell::requests::Remembered;
use domain::ids::*;
use domain::plan::*;

use counting::live;

/// Conversations that are measured together: so many that what is bounded for the whole cell, as the
/// ended offers are, hardly shows.
const CONVERSATIONS: u64 = 100_000;
const MESSAGES: u64 = 10;
const MESSAGE_BYTES: usize = 100;
const AGENTS: u64 = 100;
/// Times of a cell that has run for a month: a large number takes more room than a small one.
const CELL_AGE_MS: u64 = 30 * 86_400_000;
const WALL_MS: u64 = 1_790_000_000_000;

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is a name"))
}

fn request(n: u64) -> RequestId {
    RequestId::new(&format!("{n:08x}-0000-4000-8000-{n:012x}")).expect("a well-formed UUID")
}

fn plan() -> FloorPlan {
    let queue = QueuePlan {
        requires: Vec::new(),
        urgency: Urgency::Normal,
        strategy: Strategy::LongestIdle,
        waiting_max: 1_000_000,
        paused: false,
        on_agent_lost: OnAgentLost::Requeue,
        wrap_up: WrapUpMode::Optional,
        timers: Timers::default(),
        service_level: ServiceLevel::default(),
        boost_ms_max: 0,
        texts: QueueTexts {
            greeting: "Welcome. We usually answer within two minutes.".into(),
            ..QueueTexts::default()
        },
    };
    let chat = ChannelPlan {
        cost: 1,
        count_max: None,
        exclusive: false,
        gone_ms: 120_000,
        gone_our_fault_ms: 600_000,
        short_abandon_ms: 10_000,
    };
    let agent = |n: u64| AgentPlan {
        display_name: format!("Agent {n}"),
        site: name("fra"),
        cell: "main".into(),
        capacity: 2_000,
        skills: BTreeMap::new(),
        languages: BTreeMap::new(),
        count_max: BTreeMap::new(),
        team: String::new(),
    };
    let site = SitePlan {
        display_name: "Frankfurt".into(),
        time_zone: "Europe/Berlin".into(),
    };
    let account = AccountPlan {
        channel: name("web"),
        site: name("fra"),
        queue: name("help"),
        boost_ms: 0,
    };
    FloorPlan {
        tenant: name("default"),
        sites: BTreeMap::from([(name("fra"), site)]),
        skills: BTreeMap::new(),
        languages: BTreeMap::from([(name("de"), "German".to_owned())]),
        channels: BTreeMap::from([(name("web"), chat)]),
        accounts: BTreeMap::from([(name("web"), account)]),
        intake: Vec::new(),
        queues: BTreeMap::from([(name("help"), queue)]),
        agents: (0..AGENTS)
            .map(|n| (name(&format!("agent-{n:03}")), agent(n)))
            .collect(),
        policy: FloorPolicy::default(),
    }
}

/// A cell with its place in the log.
struct Log {
    cell: Cell,
    index: u64,
    sessions: BTreeMap<AgentId, Session>,
}

impl Log {
    fn apply(&mut self, command: Command) -> Done {
        self.index += 1;
        let entry = Entry {
            at: CellTime(CELL_AGE_MS + self.index),
            wall_ms: WALL_MS + self.index,
            command,
        };
        let applied = self.cell.apply(LogIndex(self.index), &entry);
        applied.reply.unwrap_or_else(|no| panic!("{no}"))
    }

    fn log_in(&mut self, n: u64) {
        let agent: AgentId = name(&format!("agent-{n:03}"));
        let done = self.apply(Command::LogIn(LogIn {
            agent: agent.clone(),
            request_id: request(n),
            device: name("desk"),
            session: None,
            intent: Intent::Ready,
            site: name("fra"),
        }));
        let Done::LoggedIn(logged_in) = done else {
            panic!("{done:?}")
        };
        self.sessions.insert(agent, logged_in.session);
    }

    /// A conversation that begins with its customer's message and that an agent has taken; who speaks for
    /// our side.
    fn begin(&mut self, customer: u64) -> (ConversationId, Actor) {
        let opened = self.apply(Command::Open(Open {
            request_id: request(self.index + 1),
            account: name("web"),
            customer: name(&format!("customer-{customer:08}")),
            display_name: "Jo Miller".into(),
            site: name("fra"),
            queue: None,
            language: Some(name("de")),
            topics: Vec::new(),
            boost_ms: 0,
            bot_first: false,
            body: Some(body()),
            sent_ms: WALL_MS + self.index,
            instance: Some(instance(customer, 1)),
            previous: None,
        }));
        let Done::Opened(opened) = opened else {
            panic!("{opened:?}")
        };
        let id = opened.conversation;
        (id, self.accept(id))
    }

    /// Its agent and its customer write by turns.
    fn converse(&mut self, customer: u64, (id, ours): (ConversationId, Actor)) {
        for n in 1..MESSAGES {
            let author = [Actor::Customer, ours.clone()][(n % 2) as usize].clone();
            self.apply(Command::Send(Send {
                conversation: id,
                request_id: request(self.index + 1),
                author,
                body: body(),
                sent_ms: WALL_MS + self.index,
                instance: (n % 2 == 0).then(|| instance(customer, n + 1)),
            }));
        }
    }

    fn accept(&mut self, id: ConversationId) -> Actor {
        let found = self.cell.conversation(id).expect("it was opened");
        let Phase::Offered(offer) = &found.phase else {
            panic!("not offered: {:?}", found.phase)
        };
        let (agent, session) = (offer.agent.clone(), offer.session);
        let offer = domain::cell::command::OfferRef {
            offer: offer.id,
            agent: agent.clone(),
            session,
        };
        let owner_epoch = found.owner_epoch;
        let accepted = self.apply(Command::Accept(Accept {
            request_id: request(self.index + 1),
            offer,
            owner_epoch,
        }));
        let Done::Owned(owned) = accepted else {
            panic!("{accepted:?}")
        };
        Actor::Agent {
            agent,
            session,
            owner_epoch: owned.owner_epoch,
        }
    }
}

fn instance(customer: u64, counter: u64) -> Instance {
    Instance {
        device: name(&format!("device-{customer:08}")),
        counter,
    }
}

fn body() -> Body {
    Body::clear(&"x".repeat(MESSAGE_BYTES))
}

fn main() {
    let mut log = Log {
        cell: Cell::new(CellId(1)),
        index: 0,
        sessions: BTreeMap::new(),
    };
    log.apply(Command::AdoptPlan(VersionedPlan {
        version: PlanVersion(1),
        plan: Arc::new(plan()),
    }));
    (0..AGENTS).for_each(|n| log.log_in(n));
    let mut begun = Vec::with_capacity(CONVERSATIONS as usize);
    let before = live();
    begun.extend((0..CONVERSATIONS).map(|customer| log.begin(customer)));
    let began = live();
    for (customer, who) in (0..).zip(begun.drain(..)) {
        log.converse(customer, who);
    }
    let now = live();
    let each = |bytes: usize, of: u64| bytes / (CONVERSATIONS * of) as usize;
    println!(
        "an open conversation with {MESSAGES} messages of {MESSAGE_BYTES} bytes: {} bytes, {} with the \
         allocator's own",
        each(now.0 - before.0, 1),
        each(now.1 - before.1, 1)
    );
    println!(
        "of these: {} with the first message, an agent and the receipt of his offer; {} for each further \
         message",
        each(began.0 - before.0, 1),
        each(now.0 - began.0, MESSAGES - 1)
    );
    println!(
        "sizes: record {} (of it the transcript {}), remembered request {}",
        size_of::<Conversation>(),
        size_of::<Items>(),
        size_of::<Remembered>()
    );
    std::hint::black_box(&log);
}
