//! How fast the pure cell machine is on one core.
//! Promise: entries are made before the clock starts; each iteration applies real commands.
//! Not here: encoding, replication, streams.
//!
//! Goals with 100,000 open conversations: 400,000 sends a second, 200,000 commands a second of the
//! whole life cycle.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use domain::cell::Cell;
use domain::cell::archive::ArchivedUpto;
use domain::cell::checkpoint::Digest;
use domain::cell::command::{
    Accept, Actor, Close, Command, Entry, Intent, LogIn, Open, OwnerAct, Send,
};
use domain::cell::conversation::Phase;
use domain::cell::reply::Done;
use domain::ids::*;
use domain::plan::*;

const OPEN: u64 = 100_000;
const AGENTS: u64 = 400;
/// Conversations that end are archived in such steps.
const ARCHIVED_EVERY: u64 = 256;
/// Each agent holds this many of the standing conversations.
const HELD: u32 = 250;

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is a name"))
}

fn request(n: u64) -> RequestId {
    let text = format!(
        "{:08x}-0000-4000-8000-{:012x}",
        n >> 16,
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    );
    RequestId::new(&text).expect("a well-formed UUID")
}

fn plan() -> FloorPlan {
    let queue = |language: &str| QueuePlan {
        requires: vec![Requirement::Language(name(language), Level(3))],
        urgency: Urgency::Normal,
        strategy: Strategy::LongestIdle,
        waiting_max: 1_000_000,
        paused: false,
        on_agent_lost: OnAgentLost::Requeue,
        wrap_up: WrapUpMode::Optional,
        timers: Timers::default(),
        service_level: ServiceLevel::default(),
        boost_ms_max: 0,
        texts: QueueTexts::default(),
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
        capacity: HELD + 4,
        skills: BTreeMap::new(),
        languages: ["zh", "en", "de"]
            .iter()
            .skip((n % 3) as usize)
            .map(|tag| (name(tag), Level(5)))
            .collect(),
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
        queue: name("q-de"),
        boost_ms: 0,
    };
    let languages = ["zh", "en", "de"];
    FloorPlan {
        tenant: name("default"),
        sites: BTreeMap::from([(name("fra"), site)]),
        skills: BTreeMap::new(),
        languages: languages
            .iter()
            .map(|tag| (name(tag), (*tag).to_owned()))
            .collect(),
        channels: BTreeMap::from([(name("web"), chat)]),
        accounts: BTreeMap::from([(name("web"), account)]),
        intake: Vec::new(),
        queues: languages
            .iter()
            .map(|tag| (name(&format!("q-{tag}")), queue(tag)))
            .collect(),
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
    at: u64,
    sessions: BTreeMap<AgentId, Session>,
    /// The standing conversations.
    ids: Vec<ConversationId>,
}

impl Log {
    fn entry(&mut self, command: Command) -> (LogIndex, Entry) {
        self.index += 1;
        (
            LogIndex(self.index),
            Entry {
                at: CellTime(self.at),
                wall_ms: self.at,
                command,
            },
        )
    }

    fn apply(&mut self, command: Command) -> Done {
        let (index, entry) = self.entry(command);
        self.cell
            .apply(index, &entry)
            .reply
            .unwrap_or_else(|no| panic!("{no}"))
    }

    /// Seals what has rested long enough or is too much, and lets it leave, as a leader does whose archives
    /// have it.
    fn archive(&mut self) {
        // So slowly that no timer of a standing conversation ends within a measurement.
        self.at += 1;
        let by = CellTime(self.at);
        while self.cell.next_deadline().is_some_and(|due| due <= by) {
            self.apply(Command::tick());
        }
        let (state, upto) = (self.cell.state(), self.cell.state().meta().applied);
        let sealed = state.sealed_between(state.meta().archive.upto, upto, usize::MAX);
        let count = sealed.len() as u64;
        self.apply(Command::ArchivedUpto(ArchivedUpto {
            upto,
            count,
            day: 0,
            digest: Digest([self.index as u8; 16]),
            keep_from_day: 0,
        }));
    }

    fn open(&mut self, customer: u64) -> Open {
        let queue = ["q-zh", "q-en", "q-de"][(customer % 3) as usize];
        Open {
            request_id: request(self.index + 1),
            account: name("web"),
            customer: name(&format!("customer-{customer:08}")),
            display_name: "Jo".into(),
            site: name("fra"),
            queue: Some(name(queue)),
            language: None,
            topics: Vec::new(),
            boost_ms: 0,
            bot_first: false,
            body: Some(Body::clear(
                "I have a question about my order of yesterday evening.",
            )),
            sent_ms: 1,
            instance: None,
            previous: None,
        }
    }

    fn accept(&mut self, id: ConversationId) -> OwnerEpoch {
        let conversation = self.cell.conversation(id).expect("it was opened");
        let Phase::Offered(offer) = &conversation.phase else {
            panic!("not offered: {:?}", conversation.phase)
        };
        let named = domain::cell::command::OfferRef {
            offer: offer.id,
            agent: offer.agent.clone(),
            session: offer.session,
        };
        let owner_epoch = conversation.owner_epoch;
        let accept = Accept {
            request_id: request(self.index + 1),
            offer: named,
            owner_epoch,
        };
        match self.apply(Command::Accept(accept)) {
            Done::Owned(owned) => owned.owner_epoch,
            other => panic!("{other:?}"),
        }
    }
}

/// A cell with 100,000 active conversations of 400 agents.
fn standing() -> Log {
    let mut log = Log {
        cell: Cell::new(CellId(1)),
        index: 0,
        at: 1_000,
        sessions: BTreeMap::new(),
        ids: Vec::new(),
    };
    let plan = VersionedPlan {
        version: PlanVersion(1),
        plan: Arc::new(plan()),
    };
    log.apply(Command::AdoptPlan(plan));
    for n in 0..AGENTS {
        let agent: AgentId = name(&format!("agent-{n:03}"));
        let done = log.apply(Command::LogIn(LogIn {
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
        log.sessions.insert(agent, logged_in.session);
    }
    for customer in 0..OPEN {
        let open = log.open(customer);
        let Done::Opened(opened) = log.apply(Command::Open(open)) else {
            panic!("not opened")
        };
        if matches!(
            log.cell
                .conversation(opened.conversation)
                .map(|found| &found.phase),
            Some(Phase::Offered(_))
        ) {
            log.accept(opened.conversation);
        }
        log.ids.push(opened.conversation);
    }
    log
}

/// Messages by customers and owners in turn, over all conversations.
fn sends(log: &mut Log, count: u64, round: u64) -> Vec<(LogIndex, Entry)> {
    let body = Body::clear(
        "Thank you, that is all that I wanted to know about the delivery of my parcel, I will wait for it.",
    );
    (0..count)
        .map(|n| {
            // A stride through the conversations, so that neighbours in time are not neighbours in memory.
            let at = ((n + round) * 7_919) % log.ids.len() as u64;
            let id = log.ids[at as usize];
            let conversation = log.cell.conversation(id).expect("it was listed");
            let author = match conversation.phase.owner() {
                Some(agent) if n % 2 == 1 => Actor::Agent {
                    agent: agent.clone(),
                    session: log.sessions[agent],
                    owner_epoch: conversation.owner_epoch,
                },
                _ => Actor::Customer,
            };
            let body = Body {
                key_id: 0,
                bytes: Arc::from(&body.bytes[..]),
            };
            log.at += u64::from(n % 64 == 0);
            let request_id = request(log.index + 1);
            log.entry(Command::Send(Send {
                conversation: id,
                request_id,
                author,
                body,
                sent_ms: 1,
                instance: None,
            }))
        })
        .collect()
}

/// Messages of one iteration: enough that reading the clock costs nothing beside them.
const BATCH: u64 = 1_000;

fn bench_sends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cell");
    group
        .throughput(Throughput::Elements(BATCH))
        .sample_size(20)
        .measurement_time(Duration::from_secs(8));
    let log = RefCell::new(standing());
    let mut round = 0;
    group.bench_function("sends on 100,000 open conversations", |bencher| {
        bencher.iter_batched(
            || {
                round += BATCH;
                sends(&mut log.borrow_mut(), BATCH, round)
            },
            |entries| {
                let mut log = log.borrow_mut();
                for (index, entry) in &entries {
                    let applied = log.cell.apply(*index, entry);
                    assert!(applied.reply.is_ok());
                    std::hint::black_box(applied.events.len());
                }
                entries
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Open, accept, four messages, close, end of wrap-up: eight commands.
fn life_cycle(log: &mut Log, customer: u64) -> u32 {
    let open = log.open(customer);
    let Done::Opened(opened) = log.apply(Command::Open(open)) else {
        panic!("not opened")
    };
    let id = opened.conversation;
    let owner_epoch = log.accept(id);
    let agent = log
        .cell
        .conversation(id)
        .and_then(|found| found.phase.owner().cloned())
        .expect("it was accepted");
    let session = log.sessions[&agent];
    let ours = Actor::Agent {
        agent,
        session,
        owner_epoch,
    };
    for n in 0..4_u64 {
        let author = if n % 2 == 0 {
            ours.clone()
        } else {
            Actor::Customer
        };
        let body = Body::clear(
            "Thank you, that is all that I wanted to know about the delivery of my parcel, I will wait for it.",
        );
        let request_id = request(log.index + 1);
        log.apply(Command::Send(Send {
            conversation: id,
            request_id,
            author,
            body,
            sent_ms: 1,
            instance: None,
        }));
    }
    let request_id = request(log.index + 1);
    log.apply(Command::Close(Close {
        conversation: id,
        request_id,
        by: ours.clone(),
        reason: String::new(),
        wrap_up: false,
    }));
    let request_id = request(log.index + 1);
    log.apply(Command::FinishWrapUp(OwnerAct {
        conversation: id,
        request_id,
        by: ours,
    }));
    8
}

fn bench_life_cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cell");
    group
        .throughput(Throughput::Elements(8))
        .sample_size(20)
        .measurement_time(Duration::from_secs(8));
    let mut log = standing();
    let mut customer = OPEN;
    group.bench_function("life cycle beside 100,000 open conversations", |bencher| {
        bencher.iter(|| {
            customer += 1;
            if customer.is_multiple_of(ARCHIVED_EVERY) {
                log.archive();
            }
            life_cycle(&mut log, customer)
        });
    });
    group.finish();
}

criterion_group!(benches, bench_sends, bench_life_cycle);
criterion_main!(benches);
