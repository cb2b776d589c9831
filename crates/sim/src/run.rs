//! One run: the cluster forms, serves under faults, is mended, and has to serve everything that is open.
//! Promise: a run ends; what it did is counted; the first violation ends it.
//! Not here: what is drawn (`params`, `faults`), what is judged (`judge`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::memory::{MemoryDisk, Unsynced};

use crate::cluster::Cluster;
use crate::faults::{Fault, Faults, Kind};
use crate::judge::conversation::Judgement;
use crate::judge::history::Outcome;
use crate::judge::{Judge, Violation};
use crate::load::{self, Shared};
use crate::params::Params;
use crate::trace::Trace;
use crate::world::{Carried, End, World};

/// A cluster forms within this, simulated milliseconds.
const FORMS_MS: u64 = 180_000;
/// Once all is mended, a leader is there and every node serves within this.
const SERVES_MS: u64 = 120_000;
/// Then everything that is open has been served within this.
const DRAINS_MS: u64 = 3_600_000;
/// Then every call that stores a message has ended within this: three attempts of 60 s each, or six of 15 s, with
/// pauses between them.
const ENDS_MS: u64 = 400_000;
/// Then every node has read everything within this.
const READS_MS: u64 = 1_200_000;
/// How often the whole state of a cell is looked at.
const SWEEP_MS: u64 = 1_000;
/// A process that ended by itself is started again after this.
const START_AGAIN_MS: u64 = 2_000;

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    /// Simulated milliseconds in all.
    pub ran_ms: u64,
    /// Entries applied.
    pub entries: u64,
    /// Terms in which somebody led.
    pub elections: u64,
    /// Faults that came, by kind.
    pub faults: BTreeMap<Kind, u64>,
    /// Processes that ended by themselves, by what they said.
    pub failures: BTreeMap<String, u64>,
    /// Conversations that clients were told of.
    pub conversations: usize,
    /// Messages that were acknowledged.
    pub messages: usize,
    /// Calls that ended so: done, refused, unknown.
    pub calls: [usize; 3],
    /// What the network carried.
    pub carried: Carried,
    /// What the order of calls was judged by.
    pub judged: Judgement,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

/// A run under way.
pub struct Run {
    params: Params,
    world: World,
    cluster: Cluster,
    judge: Judge,
    shared: Shared,
    faults: Faults,
    failures: BTreeMap<String, u64>,
    down_since: BTreeMap<usize, u64>,
    swept_ms: u64,
}

/// Why a phase ended early.
struct Violated;

impl Run {
    /// A run of a seed, with nothing running yet.
    pub fn new(params: &Params, trace: Trace) -> Self {
        let judge = Judge::new(trace.clone());
        let mut world = World::new(params.seed, params.tick_ms, params.window, trace);
        let cluster = Cluster::new(&mut world, params, &judge);
        Self {
            shared: Shared::new(&judge, params),
            params: params.clone(),
            world,
            cluster,
            judge,
            faults: Faults::default(),
            failures: BTreeMap::new(),
            down_since: BTreeMap::new(),
            swept_ms: 0,
        }
    }

    /// Plays it with these faults.
    pub fn play(mut self, plan: &[Fault]) -> Report {
        // A violation is kept by the judge: it ends the run, whatever phase that is.
        drop(self.phases(plan));
        self.report()
    }

    fn phases(&mut self, plan: &[Fault]) -> Result<(), Violated> {
        self.form()?;
        load::start(&mut self.world, &self.cluster, &self.params, &self.shared);
        self.set_links();
        self.safety(plan)?;
        self.mend_all();
        self.liveness()?;
        self.until(ENDS_MS, "every message is answered", |run| {
            run.shared.is_told()
        })?;
        self.last_reads()
    }

    /// Distances between the hosts of different sites; those of one site are near each other.
    fn set_links(&mut self) {
        let sites = self.params.sites.len();
        let nodes = self.cluster.nodes();
        let site = |host: usize| match nodes.get(host) {
            Some(node) => node.site,
            None => (host - nodes.len()) % sites,
        };
        let (least, most) = self.params.delay_us;
        let random = runtime::Random::from_seed(self.params.seed ^ 0xd157);
        let mut distance = BTreeMap::new();
        for from in 0..sites {
            for to in from..sites {
                let far = least + random.below(most - least + 1);
                distance.insert((from, to), if from == to { 150 } else { far });
            }
        }
        for from in 0..self.world.hosts() {
            for to in 0..self.world.hosts() {
                let pair = (site(from).min(site(to)), site(from).max(site(to)));
                self.world.net().link(from, to, |link| {
                    link.delay_us = distance[&pair];
                    link.jitter_us = self.params.jitter_us;
                });
            }
        }
    }

    fn form(&mut self) -> Result<(), Violated> {
        self.set_links();
        let first = self.cluster.first();
        for at in &first {
            self.cluster.start(&mut self.world, *at, &self.params);
        }
        let formed = |run: &Self| first.iter().all(|at| run.cluster.is_ready(*at));
        self.until(FORMS_MS, "the cluster forms", formed)
    }

    fn safety(&mut self, plan: &[Fault]) -> Result<(), Violated> {
        let began_ms = self.world.now_ms();
        let mut next = plan.iter().peekable();
        while self.world.now_ms() - began_ms < self.params.safety_ms {
            let now_ms = self.world.now_ms();
            while let Some(fault) = next.next_if(|fault| began_ms + fault.at_ms <= now_ms) {
                let until_ms = now_ms + fault.for_ms;
                let came = self.faults.begin(
                    &mut self.world,
                    &mut self.cluster,
                    &self.params,
                    (fault, until_ms),
                );
                self.judge
                    .note(|| format!("{fault}{}", if came { "" } else { " (not possible)" }));
            }
            self.mend(now_ms);
            self.step()?;
        }
        Ok(())
    }

    fn mend(&mut self, now_ms: u64) {
        let over = self
            .faults
            .mend(&mut self.world, &mut self.cluster, &self.params, now_ms);
        for fault in over {
            self.judge.note(|| format!("end of fault {}", fault.number));
        }
    }

    fn mend_all(&mut self) {
        self.mend(u64::MAX);
        for at in 0..self.cluster.nodes().len() {
            if !self.world.is_up(self.cluster.nodes()[at].host) {
                self.cluster.start(&mut self.world, at, &self.params);
            }
        }
    }

    fn liveness(&mut self) -> Result<(), Violated> {
        self.shared.closing.store(true, Ordering::Relaxed);
        let serves = |run: &Self| run.serving().into_iter().all(|at| run.cluster.is_ready(at));
        self.until(SERVES_MS, "a mended cluster serves at every node", serves)?;
        let drained = |run: &Self| {
            run.judge.groups(|groups| {
                groups
                    .cells()
                    .all(|(_, cell)| cell.state().meta().open == 0)
            })
        };
        self.until(
            DRAINS_MS,
            "a mended cluster serves everything that is open",
            drained,
        )
    }

    /// The nodes that have to serve once all is mended.
    fn serving(&self) -> Vec<usize> {
        let all = 0..self.cluster.nodes().len();
        all.filter(|at| self.faults.must_serve(*at)).collect()
    }

    /// Every node reads every conversation.
    fn last_reads(&mut self) -> Result<(), Violated> {
        let nodes = self.serving();
        let left = Arc::new(AtomicUsize::new(nodes.len()));
        let addresses: Vec<String> = nodes
            .iter()
            .map(|at| self.cluster.api_address(self.cluster.nodes()[*at].host))
            .collect();
        for (at, address) in addresses.into_iter().enumerate() {
            let host = self.world.add_host(&format!("reader-{at}"));
            let (shared, left) = (self.shared.clone(), left.clone());
            self.world
                .start(host, MemoryDisk::default(), move |env| async move {
                    let done = move || {
                        left.fetch_sub(1, Ordering::Relaxed);
                    };
                    load::read_everything(env, shared, address, done).await;
                });
        }
        self.until(READS_MS, "every node reads every conversation", |_| {
            left.load(Ordering::Relaxed) == 0
        })
    }

    fn until(
        &mut self,
        within_ms: u64,
        what: &'static str,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), Violated> {
        let began_ms = self.world.now_ms();
        while !holds(self) {
            if self.world.now_ms() - began_ms > within_ms {
                let seen = format!(
                    "it has not within {} s: {}",
                    within_ms / 1_000,
                    self.standing()
                );
                self.judge.accuse(Violation::new("liveness", what, seen));
                return Err(Violated);
            }
            self.step()?;
        }
        Ok(())
    }

    /// Who is up and how far, for whoever reads why nothing goes on.
    fn standing(&self) -> String {
        let node = |at: usize| {
            let up = self.world.is_up(self.cluster.nodes()[at].host);
            let (ready, failed) = (self.cluster.is_ready(at), self.cluster.failed(at));
            let status = self.cluster.inside(at).map(|inside| {
                let groups = inside.groups();
                let status = |group: &u32| {
                    let status = inside.status(*group).unwrap_or_default();
                    format!(
                        "group {group}: term {} leader {:?} applied {} of {}",
                        status.term, status.leader, status.applied, status.last_log
                    )
                };
                groups.iter().map(status).collect::<Vec<_>>().join("; ")
            });
            format!("node {at} up {up} ready {ready} failed {failed:?} {status:?}")
        };
        let nodes: Vec<String> = (0..self.cluster.nodes().len()).map(node).collect();
        nodes.join(" | ")
    }

    fn step(&mut self) -> Result<(), Violated> {
        self.world.step();
        let now_ms = self.world.now_ms();
        self.judge.set_now_us(now_ms * 1_000);
        self.look_after_processes(now_ms);
        if now_ms >= self.swept_ms + SWEEP_MS {
            self.swept_ms = now_ms;
            let swept = self.judge.groups(|groups| groups.sweep());
            self.judge.check(swept);
            self.judge.check_files(self.cluster.nodes().len());
        }
        match self.judge.is_violated() {
            true => Err(Violated),
            false => Ok(()),
        }
    }

    /// Starts processes again that ended by themselves.
    fn look_after_processes(&mut self, now_ms: u64) {
        for at in 0..self.cluster.nodes().len() {
            let Some(why) = self.cluster.failed(at) else {
                continue;
            };
            if self.world.is_up(self.cluster.nodes()[at].host) {
                self.judge.note(|| format!("node {at} ended: {why}"));
                *self.failures.entry(why).or_default() += 1;
                self.cluster
                    .end(&mut self.world, at, End::Killed, &Unsynced::Kept);
                self.down_since.insert(at, now_ms);
            }
        }
        let again: Vec<usize> = self
            .down_since
            .iter()
            .filter(|(_, since)| now_ms >= **since + START_AGAIN_MS)
            .map(|(at, _)| *at)
            .collect();
        for at in again {
            self.down_since.remove(&at);
            if !self.world.is_up(self.cluster.nodes()[at].host) {
                self.cluster.start(&mut self.world, at, &self.params);
            }
        }
    }

    fn report(self) -> Report {
        let judge = &self.judge;
        let judged = judge.conclude();
        let count = |outcome| judge.history(|history| history.count(outcome));
        Report {
            ran_ms: self.world.now_ms(),
            entries: judge.groups(|groups| groups.entries()),
            elections: judge.groups(|groups| groups.elections()),
            faults: self.faults.counts.clone(),
            failures: self.failures.clone(),
            conversations: judge.promises(|promises| promises.conversations().len()),
            messages: judge.promises(|promises| promises.messages()),
            calls: [
                count(Outcome::Ok),
                count(Outcome::Refused),
                count(Outcome::Unknown),
            ],
            carried: self.world.net().carried(),
            judged,
            violations: judge.violations(),
        }
    }

    /// The judge, who outlives the run.
    pub fn judge(&self) -> Judge {
        self.judge.clone()
    }
}
