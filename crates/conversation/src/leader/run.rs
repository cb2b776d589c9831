//! The loop of a cell's leader: it proposes what `step` finds due and watches leases and quorum.
//! Promise: nothing is served before the leader's first entry is applied, nothing after its term.
//! Not here: decisions (`step`, `leases`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::cell::command::{Command, CustomerPresence, LeaderStarted, Lease, LeaseState, Tick};
use domain::cell::homes::HeldBuckets;
use domain::cell::meta::Meta;
use domain::cell::reply::{Done, Reply};
use domain::cell::version::FIRST_VERSION;
use domain::ids::{AgentId, CellTime, ConversationId, MachineVersion, PlanVersion, SiteId};
use domain::plan::VersionedPlan;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use mutants::{Mutant, planted};
use ports::{Committed, Leadership, ProposeError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::checkpoint::Checkpoints;
use super::history::History;
use super::step::{Duty, Facts, Quorum, due, known_to_all, quorum, sleep_ms};
use super::{Duties, Edge};
use crate::concern;
use crate::hub::Serving;
use crate::leases::Leases;
use crate::left::Safe;

/// Leases, quorum and duties are looked at this often even when nothing happens, in milliseconds.
const ROUND_MS: u64 = 100;
/// A tick is applied within this after it was stamped, in milliseconds; those due by then are looked
/// at too.
const APPLIED_WITHIN_MS: u64 = 1_000;
/// Leases are compared every so many rounds.
const LEASE_ROUNDS: u64 = 5;
/// Lease entries under way.
const LEASE_PROPOSALS_MAX: usize = 256;
/// The state is looked at no more often than this while entries stream in, in milliseconds.
const LOOK_MS: u64 = 2;
/// A new leader gives customers' clients this long to come back before it counts them, in milliseconds.
const RETURN_MS: u64 = 15_000;
/// Conversations looked at in one round of that count.
const COUNT_PER_ROUND: usize = 256;
/// Parts of the state in which one round looks for more of them.
const PARTS_PER_ROUND: usize = 32;
/// Pause after a barrier's entry that failed, in milliseconds.
const AGAIN_MS: u64 = 20;

type Outcome = Result<Committed<Reply>, ProposeError>;
type Proposal = BoxFuture<'static, (Asked, Outcome)>;

/// What a proposal of the leader was about.
enum Asked {
    /// One of its duties.
    Duty(Duty),
    /// An agent's lease; compared again in any case.
    Lease,
    /// A customer of whom no stream has come back.
    Gone(ConversationId),
    /// What a majority of the voters had.
    Checkpoint,
}

/// Follows leadership for as long as the cell runs here.
pub(crate) async fn run(duties: Duties) {
    let mut leadership = duties.core.group.leadership();
    let mut history = History::default();
    loop {
        let now = *leadership.borrow_and_update();
        history.note(&duties.core.group.status());
        if now.is_self {
            // Whatever an earlier term served ends here; nothing is served before the barrier.
            let hub = &duties.core.view.shared.hub;
            hub.set_serving(Serving::No { leader: None });
            Term::new(&duties, now.term)
                .serve(&mut leadership, &history)
                .await;
            if !duties.stop.is_stopped() && *leadership.borrow() != now {
                continue;
            }
        }
        // An alarm is the leader's: the next one asks anew.
        duties.core.view.shared.alarm.lock().take();
        let leader = now.leader.filter(|_| !now.is_self);
        duties
            .core
            .view
            .shared
            .hub
            .set_serving(Serving::No { leader });
        if duties.stop.is_stopped() {
            break;
        }
        tokio::select! {
            biased;
            () = duties.stop.stopped() => break,
            changed = leadership.changed() => if changed.is_err() { break },
        }
    }
    duties
        .core
        .view
        .shared
        .hub
        .set_serving(Serving::No { leader: None });
}

/// Why a leader's entry is due before anything is served.
#[derive(Debug, Clone, Copy)]
enum Barrier {
    /// A term begins.
    NewTerm {
        /// Nobody was heard since this process began.
        after_restart_of_all: bool,
    },
    /// A quorum answers again in the same term.
    QuorumBack,
}

/// One term in which this node leads.
struct Term<'a> {
    duties: &'a Duties,
    term: u64,
    proposals: FuturesUnordered<Proposal>,
    under_way: Vec<Duty>,
    /// Duties that failed: not again before the next round, so that a lost quorum costs no spin.
    held: Vec<Duty>,
    rounds: u64,
    started: Instant,
    quorum_ok_at: Instant,
    /// Conversations whose customer is still to be counted.
    to_count: Vec<ConversationId>,
    /// The part of the conversations that is listed next, since streams were last lost.
    next_part: usize,
    /// The newest machine version that every voter's program knows.
    known: MachineVersion,
    /// The buckets that the cell is to hold, while it does not know that it does.
    buckets: Option<Arc<HeldBuckets>>,
    checkpoints: Checkpoints,
}

impl<'a> Term<'a> {
    fn new(duties: &'a Duties, term: u64) -> Self {
        let now = Instant::now();
        Self {
            duties,
            term,
            proposals: FuturesUnordered::new(),
            under_way: Vec::new(),
            held: Vec::new(),
            rounds: 0,
            started: now,
            quorum_ok_at: now,
            to_count: Vec::new(),
            next_part: 0,
            known: FIRST_VERSION,
            buckets: None,
            checkpoints: Checkpoints::new(),
        }
    }

    async fn serve(mut self, leadership: &mut watch::Receiver<Leadership>, history: &History) {
        if !self.begin(leadership, history).await {
            return;
        }
        self.read_registry();
        let mut applied = self.duties.core.view.applied();
        let mut plan = self.duties.plan.clone();
        let mut round_at = Instant::now() + Duration::from_millis(ROUND_MS);
        let mut looked_at = Instant::now();
        loop {
            let facts = self.look(&mut plan);
            looked_at = looked_at.max(Instant::now());
            self.propose_due(facts, &plan);
            let wake_at = self.wake_at(facts, round_at);
            let look_at = looked_at + Duration::from_millis(LOOK_MS);
            tokio::select! {
                biased;
                () = self.duties.stop.stopped() => return,
                _ = leadership.changed() => {
                    let now = *leadership.borrow_and_update();
                    if !now.is_self || now.term != self.term {
                        return;
                    }
                }
                Some((asked, outcome)) = self.proposals.next() => self.proposed(asked, &outcome),
                _ = plan.changed() => {}
                collected = self.checkpoints.next() => {
                    if let Some(mark) = self.checkpoints.collected(self.duties, collected) {
                        self.propose(Asked::Checkpoint, Command::Checkpoint(mark));
                    }
                }
                () = changed_after(&mut applied, look_at) => looked_at = Instant::now(),
                () = sleep_until(wake_at) => {
                    if Instant::now() >= round_at {
                        if self.quorum_is_back() && !self.resume(leadership).await {
                            return;
                        }
                        round_at = Instant::now() + Duration::from_millis(ROUND_MS);
                        self.round();
                    }
                }
            }
        }
    }

    /// Passes the barrier of a new term and serves; false when the term has passed.
    async fn begin(
        &mut self,
        leadership: &mut watch::Receiver<Leadership>,
        history: &History,
    ) -> bool {
        let view = &self.duties.core.view;
        let shared = &view.shared;
        let (now, applied) = view.with(|cell, applied| (cell.now(), applied.0));
        shared.clock.lock().lead(now, shared.mono_ms());
        let after_restart_of_all = !history.has_heard(applied);
        let barrier = Barrier::NewTerm {
            after_restart_of_all,
        };
        if planted(Mutant::ServeBeforeBarrier) {
            self.serve_anew();
            return true;
        }
        if !self.pass(barrier, leadership).await {
            return false;
        }
        // A restart of all voters has moved cell time by the wall clock: go on from there.
        let now = view.with(|cell, _| cell.now());
        shared.clock.lock().lead(now, shared.mono_ms());
        self.serve_anew();
        true
    }

    /// Passes the barrier of a quorum that answers again; false when the term has passed. Nobody
    /// could be heard meanwhile, so every lease and offer has its full period again.
    async fn resume(&mut self, leadership: &mut watch::Receiver<Leadership>) -> bool {
        let passed = self.pass(Barrier::QuorumBack, leadership).await;
        if passed {
            self.serve_anew();
        }
        passed
    }

    /// Serves, and hears agents and counts customers from the beginning: every stream was ended.
    fn serve_anew(&mut self) {
        let core = &self.duties.core;
        *core.leases.lock() = Leases::default();
        self.started = Instant::now();
        self.quorum_ok_at = self.started;
        self.to_count.clear();
        self.next_part = 0;
        core.view.shared.hub.set_serving(Serving::Yes {
            term: self.term,
            interrupted_ms: None,
        });
    }

    /// Whether a quorum answers after streams were ended because none did.
    fn quorum_is_back(&self) -> bool {
        let core = &self.duties.core;
        let lapsed = matches!(core.view.shared.hub.serving(), Serving::Lapsed { .. });
        lapsed && core.group.status().quorum_ok
    }

    /// Whether a quorum confirms this leader: only then may time decide anything.
    fn is_confirmed(&self) -> bool {
        let core = &self.duties.core;
        let serving = core.view.shared.hub.serving();
        let told = matches!(
            serving,
            Serving::Yes {
                interrupted_ms: None,
                ..
            }
        );
        told && core.group.status().quorum_ok
    }

    /// Milliseconds since a quorum last confirmed this leader.
    fn unconfirmed_ms(&self) -> u64 {
        u64::try_from(self.quorum_ok_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn barrier_entry(&self, barrier: Barrier) -> LeaderStarted {
        let core = &self.duties.core;
        let shared = &core.view.shared;
        let wall_ms = core.env.clock.now_ms();
        match barrier {
            Barrier::NewTerm {
                after_restart_of_all,
            } => {
                // The last entry is the last certain sign of the leader before.
                let last = core.view.with(|cell, _| cell.now());
                let now = shared.clock.lock().stamp(shared.mono_ms());
                LeaderStarted {
                    wall_ms,
                    without_leader_ms: now.since_ms(last),
                    after_restart_of_all,
                }
            }
            Barrier::QuorumBack => LeaderStarted {
                wall_ms,
                without_leader_ms: self.unconfirmed_ms(),
                after_restart_of_all: false,
            },
        }
    }

    /// Proposes the barrier's entry until it is applied; false when the term has passed.
    async fn pass(
        &mut self,
        barrier: Barrier,
        leadership: &mut watch::Receiver<Leadership>,
    ) -> bool {
        let (duties, term) = (self.duties, self.term);
        loop {
            let entry = self.barrier_entry(barrier);
            let payload = duties.core.stamp(Command::LeaderStarted(entry));
            let outcome = tokio::select! {
                biased;
                () = duties.stop.stopped() => return false,
                () = passed(leadership, term) => return false,
                outcome = duties.core.group.propose(term, payload) => outcome,
            };
            match outcome {
                Ok(_) => return true,
                Err(ProposeError::Stopped { .. }) => return false,
                // A lapsed lease also says `NotLeader`: leadership alone tells whether the term has passed.
                Err(_) => {}
            }
            let seen = *leadership.borrow_and_update();
            if !seen.is_self || seen.term != term || duties.stop.is_stopped() {
                return false;
            }
            sleep(Duration::from_millis(AGAIN_MS)).await;
        }
    }

    /// When to look again without being told: at the next deadline or round.
    fn wake_at(&self, facts: Facts, round_at: Instant) -> Instant {
        let blocked = self.under_way.contains(&Duty::Tick) || self.held.contains(&Duty::Tick);
        match sleep_ms(facts) {
            Some(ms) if !blocked => round_at.min(Instant::now() + Duration::from_millis(ms.max(1))),
            _ => round_at,
        }
    }

    fn look(&self, plan: &mut watch::Receiver<Option<VersionedPlan>>) -> Facts {
        let shared = &self.duties.core.view.shared;
        let now = shared.clock.lock().stamp(shared.mono_ms());
        let newest = plan
            .borrow_and_update()
            .as_ref()
            .map_or(PlanVersion(0), |plan| plan.version);
        let archived = self.archived();
        self.duties.core.view.with(|cell, _| Facts {
            now,
            deadline: cell.next_deadline(),
            more_due: cell.more_due(),
            adopted: cell.state().meta().plan,
            newest,
            version: cell.version(),
            known: self.known,
            buckets_due: self.buckets.is_some(),
            archived_due: archived
                .is_some_and(|safe| safe.after == cell.state().meta().archive.upto),
        })
    }

    /// What may leave the state by the word of this term.
    fn archived(&self) -> Option<Safe> {
        let said = *self.duties.archived.borrow();
        said.filter(|safe| safe.term == self.term)
    }

    fn propose_due(&mut self, facts: Facts, plan: &watch::Receiver<Option<VersionedPlan>>) {
        let blocked: Vec<Duty> = self.under_way.iter().chain(&self.held).copied().collect();
        for duty in due(facts, &blocked) {
            if duty == Duty::Tick && !self.is_confirmed() {
                self.held.push(duty);
                continue;
            }
            let command = match duty {
                Duty::MatchMore => Command::MatchMore,
                Duty::Tick => Command::Tick(self.tick(facts.now)),
                Duty::RaiseVersion => Command::RaiseVersion(self.known),
                Duty::HoldBuckets => match self.buckets.clone() {
                    Some(buckets) => Command::HoldBuckets(buckets),
                    None => continue,
                },
                Duty::AdoptPlan => match plan.borrow().clone() {
                    Some(newest) => Command::AdoptPlan(newest),
                    None => continue,
                },
                Duty::Archived => match self.archived() {
                    Some(safe) => Command::ArchivedUpto(safe.next),
                    None => continue,
                },
            };
            self.under_way.push(duty);
            self.propose(Asked::Duty(duty), command);
        }
    }

    /// A tick that says whose offers lapse out of our reach.
    fn tick(&self, now: CellTime) -> Tick {
        let by = now.plus_ms(APPLIED_WITHIN_MS);
        let core = &self.duties.core;
        let due = core.view.with(|cell, _| concern::lapsing(cell, by));
        Tick {
            unreachable: self.unreachable(due).into_iter().collect(),
        }
    }

    /// Those agents whose edges this node cannot reach.
    fn unreachable(&self, agents: Vec<(AgentId, SiteId)>) -> BTreeSet<AgentId> {
        let core = &self.duties.core;
        let leases = core.leases.lock();
        let lost = |(agent, site): (AgentId, SiteId)| {
            let edge = leases.edge(&agent);
            let edge = edge.map_or(Edge::AnyOf(site), Edge::Node);
            core.faults.our_fault(&edge).then_some(agent)
        };
        agents.into_iter().filter_map(lost).collect()
    }

    fn propose(&mut self, asked: Asked, command: Command) {
        let payload = self.duties.core.stamp(command);
        let group = self.duties.core.group.clone();
        let term = self.term;
        self.proposals
            .push(async move { (asked, group.propose(term, payload).await) }.boxed());
    }

    fn proposed(&mut self, asked: Asked, outcome: &Outcome) {
        match asked {
            Asked::Duty(duty) => {
                self.under_way.retain(|under_way| *under_way != duty);
                if duty == Duty::HoldBuckets {
                    self.read_registry();
                }
                // What failed or was refused is due again with the next round, not at once.
                if !matches!(outcome, Ok(Committed { reply: Ok(_), .. })) {
                    self.held.push(duty);
                }
            }
            Asked::Gone(conversation) if outcome.is_err() => {
                self.to_count.push(conversation);
            }
            Asked::Checkpoint => self.checkpoints.logged(outcome.is_err()),
            Asked::Gone(_) | Asked::Lease => {}
        }
        if let Ok(Committed {
            reply: Err(refusal),
            index,
        }) = outcome
        {
            tracing::debug!(index, %refusal, "a duty of the leader was refused");
        }
        if let Ok(Committed {
            reply: Ok(Done::Ticked(ticked)),
            index,
        }) = outcome
        {
            tracing::trace!(index, fired = ticked.fired, "deadlines fired");
        }
    }

    fn round(&mut self) {
        self.rounds += 1;
        self.held.clear();
        self.watch_quorum();
        let confirmed = self.is_confirmed();
        if confirmed {
            self.checkpoints.look(self.duties);
        }
        if self.rounds.is_multiple_of(LEASE_ROUNDS) {
            if confirmed {
                self.compare_leases();
            }
            self.read_registry();
        }
        if confirmed && self.started.elapsed() >= Duration::from_millis(RETURN_MS) {
            self.count_customers();
        }
    }

    /// Compares what the control group knows of this cell with what the cell knows.
    fn read_registry(&mut self) {
        let Duties { registry, core, .. } = self.duties;
        let voters = core.group.status().voters;
        self.known = known_to_all(voters.iter().map(|voter| registry.machine_version(*voter)));
        let due = registry.buckets(self.duties.cell).filter(|due| {
            let held = |meta: &Meta| meta.buckets.as_ref().is_some_and(|held| held.includes(due));
            !core.view.with(|cell, _| held(cell.state().meta()))
        });
        self.buckets = due.map(Arc::new);
    }

    fn watch_quorum(&mut self) {
        let core = &self.duties.core;
        let hub = &core.view.shared.hub;
        if matches!(hub.serving(), Serving::Lapsed { .. }) {
            return;
        }
        let ok = core.group.status().quorum_ok;
        if ok {
            self.quorum_ok_at = Instant::now();
        }
        let since_ms = self.unconfirmed_ms();
        let next = match quorum(ok, 0, since_ms, self.duties.interrupted_after_ms) {
            Quorum::Held => Serving::Yes {
                term: self.term,
                interrupted_ms: None,
            },
            Quorum::Lapsed { since_ms } => Serving::Yes {
                term: self.term,
                interrupted_ms: Some(since_ms),
            },
            Quorum::Lost => Serving::Lapsed { term: self.term },
        };
        hub.set_serving(next);
    }

    fn compare_leases(&mut self) {
        let core = &self.duties.core;
        let room = LEASE_PROPOSALS_MAX.saturating_sub(self.proposals.len());
        let lost = self.unreachable(core.view.with(|cell, _| concern::sites(cell)));
        let now_ms = core.view.shared.mono_ms();
        let now = core.view.shared.clock.lock().stamp(now_ms);
        let view = &core.view;
        let sessions = view.with(|cell, _| concern::sessions(cell, &lost, now));
        let changes = core.leases.lock().changes(&sessions, now_ms);
        for (agent, session, state) in changes.into_iter().take(room) {
            let our_fault = state != LeaseState::Alive && lost.contains(&agent);
            self.propose(
                Asked::Lease,
                Command::Lease(Lease {
                    agent,
                    session,
                    state,
                    our_fault,
                }),
            );
        }
    }

    /// After a change of leader: customers of whom no stream has come back are gone by our fault.
    fn count_customers(&mut self) {
        let view = &self.duties.core.view;
        let parts = view.with(|cell, _| cell.state().conversation_parts());
        let until = parts.min(self.next_part + PARTS_PER_ROUND);
        while self.next_part < until && self.to_count.len() < COUNT_PER_ROUND {
            // One part for each look: entries wait for whoever reads.
            let part = self.next_part;
            let believed = view.with(|cell, _| concern::believed_attached(cell, part));
            self.to_count.extend(believed);
            self.next_part += 1;
        }
        let batch = self.to_count.len().min(COUNT_PER_ROUND);
        let waiting: Vec<ConversationId> = self.to_count.drain(..batch).collect();
        for conversation in waiting {
            if !self.duties.core.view.shared.hub.has_customer(conversation) {
                self.propose(Asked::Gone(conversation), gone(conversation));
            }
        }
    }
}

/// Resolves when this node no longer leads in `term`.
async fn passed(leadership: &mut watch::Receiver<Leadership>, term: u64) {
    loop {
        let now = *leadership.borrow_and_update();
        if !now.is_self || now.term != term || leadership.changed().await.is_err() {
            return;
        }
    }
}

fn gone(conversation: ConversationId) -> Command {
    Command::CustomerPresence(CustomerPresence {
        conversation,
        attached: false,
        our_fault: true,
    })
}

/// Resolves when the applied index has moved, not before `look_at`.
async fn changed_after(applied: &mut watch::Receiver<u64>, look_at: Instant) {
    sleep_until(look_at).await;
    if applied.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
