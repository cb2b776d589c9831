//! Who calls: customers, agents and a supervisor at each site, all through the SDK.
//! Promise: every call and its end stand in the history, and each acknowledgement, refusal and read is judged at once.
//! Not here: what is judged (`judge`), faults (`faults`).

mod agents;
mod customers;
mod readers;
mod staff;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use client::{BoxIo, CallError, Client, Kind, Options, Seams};
use runtime::memory::MemoryDisk;
use runtime::{Env, Random};
use serde_json::Value;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::invariants::Found;
use crate::judge::history::{Call, Outcome};
use crate::judge::{Judge, Violation};
use crate::params::Params;
use crate::world::{HostId, World};

pub use readers::read_everything;

/// Names of sites, in order.
pub const SITES: [&str; 5] = ["sha", "fra", "iad", "gru", "syd"];
/// Agents of each site.
const AGENTS: usize = 2;
/// Queues of the floor.
const QUEUES: [&str; 2] = ["desk", "fast"];

/// What all clients of a run share.
#[derive(Clone)]
pub struct Shared {
    /// The judge.
    pub judge: Judge,
    /// No new conversations: what is open is served to its end.
    pub closing: Arc<AtomicBool>,
    /// Mean pause between two acts, milliseconds.
    pace_ms: Arc<AtomicU64>,
    /// Calls that store a message and have not ended.
    storing: Arc<AtomicUsize>,
}

/// A call that stores a message, until it is dropped: what it stored may be read before the history has it.
struct Storing(Arc<AtomicUsize>);

impl Drop for Storing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// For clients of this pace.
    pub fn new(judge: &Judge, params: &Params) -> Self {
        Self {
            judge: judge.clone(),
            closing: Arc::default(),
            pace_ms: Arc::new(AtomicU64::new(params.pace_ms)),
            storing: Arc::default(),
        }
    }

    /// Whether every call that stores a message stands in the history.
    pub fn is_told(&self) -> bool {
        self.storing.load(Ordering::Relaxed) == 0
    }
}

/// One client: its connection to the cluster and its own randomness.
#[derive(Clone)]
struct Ctx {
    random: Random,
    client: Client,
    shared: Shared,
    name: String,
    /// How often a call is made before it is given up, each time with the SDK's own attempts.
    attempts_max: usize,
}

/// How long a client waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Temper {
    /// As the SDK has it.
    Plain,
    /// Gives a call up soon, and never learns what became of it.
    Hasty,
    /// Hears every answer, however late.
    Patient,
}

impl Temper {
    fn draw(random: &Random) -> Self {
        match random.below(4) {
            0 => Self::Hasty,
            1 => Self::Patient,
            _ => Self::Plain,
        }
    }

    fn options(self) -> Options {
        let (call_budget, attempt_timeout) = match self {
            Self::Plain => return Options::default(),
            Self::Hasty => (Duration::from_millis(1_500), Duration::from_millis(700)),
            Self::Patient => (Duration::from_secs(60), Duration::from_secs(30)),
        };
        Options {
            call_budget,
            attempt_timeout,
            ..Options::default()
        }
    }

    fn attempts_max(self) -> usize {
        match self {
            Self::Plain => 6,
            Self::Hasty => 1,
            Self::Patient => 3,
        }
    }
}

/// The floor that the run begins with.
pub fn floor(params: &Params) -> String {
    floor_of(params.sites.len(), 30)
}

/// A floor of so many sites whose offers last so many seconds.
pub fn floor_of(sites: usize, offer_s: u64) -> String {
    let mut plan = String::from(include_str!("floor.toml"));
    for (at, site) in SITES.iter().take(sites).enumerate() {
        plan.push_str(&format!(
            "\n[site.{site}]\nname = \"{site}\"\ntime_zone = \"Europe/Berlin\"\n\n[account.web-{site}]\nchannel = \"web\"\n\
             site = \"{site}\"\nqueue = \"{}\"\n",
            QUEUES[at % QUEUES.len()]
        ));
        for number in 0..AGENTS {
            plan.push_str(&format!(
                "\n[agent.{site}-{number}]\nname = \"{site} {number}\"\nsite = \"{site}\"\ncapacity = {}\n\
                 skills = {{ help = 3 }}\nlanguages = {{ de = 5 }}\nteam = \"tests\"\n",
                if number == 0 { 75 } else { 25 }
            ));
        }
    }
    plan.replace("OFFER", &offer_s.to_string())
}

/// Starts the clients of every site, each site on a host of its own; the hosts.
pub fn start(
    world: &mut World,
    cluster: &Cluster,
    params: &Params,
    shared: &Shared,
) -> Vec<HostId> {
    let mut hosts = Vec::new();
    for (site, site_name) in SITES.iter().enumerate().take(params.sites.len()) {
        let host = world.add_host(&format!("clients-{}", site_name));
        let addresses = cluster.api_addresses(site);
        let (shared, customers) = (shared.clone(), params.customers);
        let sites = params.sites.len();
        world.start(host, MemoryDisk::default(), move |env| async move {
            let spawn = |name: String, run: fn(Ctx, String, usize) -> futures::future::BoxFuture<'static, ()>| {
                let temper = Temper::draw(&env.random);
                let ctx = Ctx::new(&env, &addresses, &shared, (&name, temper));
                let task = run(ctx, (*site_name).to_owned(), sites);
                env.edge.spawn("client", task).detach();
            };
            for number in 0..customers {
                spawn(format!("c{site}-{number}"), |ctx, site, _| Box::pin(customers::run(ctx, site)));
            }
            for number in 0..AGENTS {
                spawn(format!("{}-{number}", site_name), |ctx, _, _| Box::pin(agents::run(ctx)));
            }
            spawn(format!("reader-{site}"), |ctx, _, _| Box::pin(readers::run(ctx)));
            spawn(format!("staff-{site}"), |ctx, _, sites| Box::pin(staff::run(ctx, sites)));
            std::future::pending::<()>().await;
        });
        hosts.push(host);
    }
    hosts
}

impl Ctx {
    fn new(
        env: &Env,
        addresses: &[String],
        shared: &Shared,
        (name, temper): (&str, Temper),
    ) -> Self {
        let random = env.random.fork();
        let ids = random.fork();
        let (network, lane) = (env.network.clone(), env.edge.clone());
        let seams = Seams {
            dial: Arc::new(move |address: String| {
                let network = network.clone();
                async move { Ok(Box::new(network.dial(&address).await?) as BoxIo) }
            }),
            source: Arc::new(move || ids.next_u64()),
            spawn: Arc::new(move |name: &'static str, task| lane.spawn(name, task).detach()),
        };
        let client = Client::connect_with(addresses.to_vec(), temper.options(), seams)
            .expect("addresses of hosts are addresses");
        Self {
            random,
            client,
            shared: shared.clone(),
            name: name.to_owned(),
            attempts_max: temper.attempts_max(),
        }
    }

    fn judge(&self) -> &Judge {
        &self.shared.judge
    }

    fn closing(&self) -> bool {
        self.shared.closing.load(Ordering::Relaxed)
    }

    /// Says that a message is under way, until the guard is dropped.
    fn storing(&self) -> Storing {
        self.shared.storing.fetch_add(1, Ordering::Relaxed);
        Storing(self.shared.storing.clone())
    }

    /// Waits for about the pace.
    async fn pause(&self) {
        let most = 2 * self.shared.pace_ms.load(Ordering::Relaxed);
        sleep(Duration::from_millis(self.random.below(most) + 1)).await;
    }

    /// True once in so many times.
    fn once_in(&self, times: u64) -> bool {
        self.random.below(times) == 0
    }

    fn now_us(&self) -> u64 {
        self.judge().now_us()
    }

    /// A message was acknowledged at a place.
    fn acknowledged(&self, conversation: &str, sequence: u64, request_id: &str) {
        let now_us = self.now_us();
        let judged = self.judge().promises(|promises| {
            promises.acknowledged(now_us, conversation, (sequence, request_id))
        });
        self.judge().check(judged);
    }

    /// A message was not stored, and never will be if the cluster has said no.
    fn not_stored(&self, conversation: &str, request_id: &str, error: &CallError) {
        if outcome_of(error) != Outcome::Refused {
            return;
        }
        let (now_us, reason) = (self.now_us(), error.reason_name());
        let judged = self
            .judge()
            .promises(|promises| promises.refused(now_us, conversation, request_id, reason));
        self.judge().check(judged);
    }

    /// Has what a rule found of a conversation kept.
    fn judged(&self, conversation: &str, found: Found) {
        if let Err((rule, seen)) = found {
            let subject = format!("conversation {conversation}");
            self.judge().accuse(Violation::new(rule, subject, seen));
        }
    }

    /// This client has ended a conversation: whoever reads of a violation is told.
    fn closed(&self, conversation: &str) {
        let now_us = self.now_us();
        self.judge().promises(|promises| {
            promises.tell(now_us, conversation, || format!("ended by {}", self.name));
        });
    }

    /// Notes a call that has ended.
    fn ended(
        &self,
        op: &'static str,
        conversation: &str,
        args: Value,
        called_us: u64,
        end: (Outcome, Value),
    ) {
        let (outcome, value) = end;
        let now_us = self.now_us();
        self.judge().note(|| {
            format!(
                "{} {op} {conversation} {args} {outcome:?} {value}",
                self.name
            )
        });
        let call = Call {
            id: 0,
            client: self.name.clone(),
            op: op.into(),
            conversation: conversation.to_owned(),
            args,
            call_ns: called_us * 1_000,
            return_ns: Some(now_us * 1_000),
            outcome,
            value,
        };
        self.judge().history(|history| history.add(call));
    }
}

/// What an error says about whether a call was done.
fn outcome_of(error: &CallError) -> Outcome {
    match error.kind {
        Kind::Refused => Outcome::Refused,
        // Certainly not done by this attempt; an earlier one under the same id may have been.
        Kind::Later | Kind::Unreachable | Kind::OutcomeUnknown | Kind::TimedOut | Kind::Defect => {
            Outcome::Unknown
        }
    }
}
