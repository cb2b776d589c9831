//! Applying one entry: micro-steps, each caught alone, then matching.
//! Promise: a defect in one step harms its subject and nothing else, on every replica alike.
//! Not here: the rules (`decide`), the changes (`evolve`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use mutants::{Mutant, planted};

use super::archive::SEALS_MAX;
use super::checkpoint::Digest;
use super::command::{Command, Entry, Tick};
use super::conversation::{Conversation, Phase};
use super::deadlines::TICK_MAX;
use super::decide::{self, subject_of};
use super::draft::Draft;
use super::event::{Alarm, Event, Subject};
use super::evolve::evolve;
use super::matching::{MATCHES_MAX, Note};
use super::refusal::Refusal;
use super::reply::{Done, Reply, Ticked};
use super::state::{PLANS_MAX, State};
use crate::ids::{AgentId, CellId, CellTime, ConversationId, LogIndex, PlanVersion};

/// A refusal after a defect asks to come back after this long: somebody has to look first.
pub const DEFECT_RETRY_MS: u64 = 30_000;
/// Conversations that one entry moves to the lines of a new plan at most, and as many from an old
/// plan to its successor.
pub const RECLASS_MAX: usize = 1_024;

/// What one entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The answer to its command.
    pub reply: Reply,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// The cell machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    state: State,
}

impl Cell {
    /// A cell that has applied nothing.
    pub fn new(cell: CellId) -> Self {
        Self {
            state: State::new(cell),
        }
    }

    pub(crate) fn from_state(state: State) -> Self {
        Self { state }
    }

    /// The state, to be read.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Replaces the machine's chain, after an entry was applied. Only `wire::cell::Applier` calls this.
    pub fn set_chain(&mut self, chain: Digest) {
        self.state.meta.chain = chain;
    }

    /// The state, for what tests plant in it.
    #[cfg(any(test, feature = "defects"))]
    pub(super) fn plantable(&mut self) -> &mut State {
        &mut self.state
    }

    /// Applies one committed entry, in log order. Total.
    ///
    /// A replica or a proof goes through `wire::cell::Applier`, which moves the machine's chain on.
    pub fn apply(&mut self, index: LogIndex, entry: &Entry) -> Applied {
        let mut run = Run {
            state: &mut self.state,
            events: Vec::new(),
        };
        run.advance(index, entry);
        let reply = match &entry.command {
            Command::Tick(tick) => Ok(Done::Ticked(run.tick(tick))),
            Command::MatchMore => Ok(Done::Nothing),
            command => run.command(command),
        };
        let lines_left = run.reclass();
        let plans_left = run.repin();
        let aside_left = run.stand_aside();
        let came = matches!(entry.command, Command::LogIn(_) | Command::SetIntent(_));
        let matches_left = !(came && planted(Mutant::IdleBesideWork)) && run.matches();
        run.seal_early();
        let never = planted(Mutant::MatchingNeverEnds);
        run.state.meta.more_due = lines_left || plans_left || aside_left || matches_left || never;
        Applied {
            reply,
            events: run.events,
        }
    }
}

/// One entry being applied.
struct Run<'a> {
    state: &'a mut State,
    events: Vec<Event>,
}

impl Run<'_> {
    fn advance(&mut self, index: LogIndex, entry: &Entry) {
        let meta = &mut self.state.meta;
        meta.applied = index;
        meta.now = meta.now.max(entry.at);
        // A leader's start compares the wall clock with the last stored one before it is replaced.
        if !matches!(entry.command, Command::LeaderStarted(_)) && entry.wall_ms > 0 {
            meta.wall_ms = entry.wall_ms;
        }
    }

    fn evolve(&mut self, events: Vec<Event>) {
        for event in &events {
            evolve(self.state, event);
        }
        if self.events.is_empty() {
            self.events = events;
        } else {
            self.events.extend(events);
        }
    }

    fn command(&mut self, command: &Command) -> Reply {
        let state = &*self.state;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut draft = Draft::new(state);
            let done = decide::decide(&mut draft, command)?;
            Ok((draft.finish(), done))
        }));
        match outcome {
            Ok(Ok((events, done))) => {
                self.evolve(events);
                if let Command::LeaderStarted(started) = command {
                    self.state.meta.wall_ms = self.state.meta.wall_ms.max(started.wall_ms);
                }
                Ok(done)
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(self.defect(subject_of(self.state, command))),
        }
    }

    /// Sets the subject of a defect aside, or says that a command without one broke.
    fn defect(&mut self, subject: Option<LogIndex>) -> Refusal {
        let index = self.state.meta.applied;
        let found = subject
            .and_then(|subject| self.state.conversations.get(&subject))
            .cloned();
        let events = match &found {
            Some(conversation) => self.set_aside(conversation),
            None => vec![Event::Alarm(Alarm::Defect { index })],
        };
        self.evolve(events);
        Refusal::MachineDefect {
            conversation: found.map(|found| found.id),
            index,
            retry_after_ms: DEFECT_RETRY_MS,
        }
    }

    /// The events of a quarantine; if even making them breaks, the one that is enough.
    fn set_aside(&self, conversation: &Conversation) -> Vec<Event> {
        let state = &*self.state;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut draft = Draft::new(state);
            decide::quarantine(&mut draft, conversation);
            draft.finish()
        }));
        outcome.unwrap_or_else(|_| {
            vec![Event::Quarantined {
                conversation: conversation.id,
                index: state.meta.applied,
            }]
        })
    }

    /// Fires due deadlines, one step each.
    fn tick(&mut self, tick: &Tick) -> Ticked {
        let mut draft = Draft::new(self.state);
        decide::spikes_over(&mut draft);
        let over = draft.finish();
        self.evolve(over);
        let mut fired = 0;
        while fired < TICK_MAX {
            let Some(subject) = self.state.due_subject() else {
                break;
            };
            fired += 1;
            let state = &*self.state;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let mut draft = Draft::new(state);
                decide::due(&mut draft, &subject, tick);
                draft.finish()
            }));
            match (outcome, subject) {
                (Ok(events), _) => self.evolve(events),
                (Err(_), Subject::Conversation(index)) => drop(self.defect(Some(index))),
                (Err(_), subject @ Subject::Agent(_)) => {
                    drop(self.defect(None));
                    self.evolve(vec![Event::DeadlineDropped { subject }]);
                }
            }
        }
        Ticked {
            fired: fired as u32,
            more_due: self.state.due_subject().is_some(),
        }
    }

    /// Seals the oldest of too many ended conversations.
    fn seal_early(&mut self) {
        let (cell, index) = (self.state.meta.cell, self.state.meta.applied);
        for _ in 0..SEALS_MAX {
            let Some(oldest) = self.state.ended().too_many() else {
                return;
            };
            let conversation = ConversationId {
                cell,
                index: oldest,
            };
            self.evolve(vec![Event::Sealed {
                conversation,
                index,
            }]);
        }
    }

    /// Moves waiting conversations to the lines of the plan in force; whether some are left.
    fn reclass(&mut self) -> bool {
        let conversations = self.state.to_reclass(RECLASS_MAX);
        if conversations.is_empty() {
            return false;
        }
        let plan = self.state.meta.plan;
        self.evolve(vec![Event::Reclassed {
            conversations,
            plan,
        }]);
        !self.state.to_reclass(1).is_empty()
    }

    /// Makes conversations of the oldest plans above the limit name the plan after them; whether
    /// there are still too many plans.
    fn repin(&mut self) -> bool {
        let mut room = RECLASS_MAX;
        while self.state.plans.len() > PLANS_MAX {
            let before = self.state.plans.len();
            if let Some((plan, conversations)) = self.state.to_repin(room) {
                room -= conversations.len();
                self.evolve(vec![Event::Repinned {
                    conversations,
                    plan,
                }]);
            }
            self.state.drop_plans();
            if room == 0 || self.state.plans.len() == before {
                return self.state.plans.len() > PLANS_MAX;
            }
        }
        false
    }

    /// Moves waiting work of queues that supervisors have paused or let go on; whether some is left.
    fn stand_aside(&mut self) -> bool {
        if let Some((queue, from)) = self.state.next_aside(RECLASS_MAX)
            && !planted(Mutant::PauseForgotten)
        {
            self.evolve(vec![Event::StoodAside { queue, from }]);
        }
        !self.state.derived.to_stand_aside.is_empty()
    }

    /// Makes at most 64 matches, one step each; whether some are left.
    fn matches(&mut self) -> bool {
        let mut steps = 0;
        while self.state.may_match() {
            let note = Note::new(None);
            let state = &*self.state;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let search = state.match_next(&note);
                let mut draft = Draft::new(state);
                if let Some((index, found)) = search.hit
                    && let Some(conversation) = state.conversations.get(&index)
                {
                    if planted(Mutant::TwoOffers) {
                        draft.offer(conversation, conversation.owner_epoch, found.clone());
                    }
                    draft.offer(conversation, conversation.owner_epoch, found);
                }
                (search.closed, search.closed_lines, draft.finish())
            }));
            match outcome {
                Ok((_, _, events)) if steps >= MATCHES_MAX && !events.is_empty() => return true,
                Ok((closed, closed_lines, events)) => {
                    self.state.derived.classes.close(&closed);
                    for agent in &closed_lines {
                        self.state.derived.own_lines_open.remove(agent);
                    }
                    let idle = events.is_empty();
                    self.evolve(events);
                    if idle {
                        return false;
                    }
                }
                Err(_) if steps >= MATCHES_MAX => return true,
                Err(_) => drop(self.defect(note.get())),
            }
            steps += 1;
        }
        false
    }
}

impl State {
    /// The subject of the first deadline that is due.
    pub(crate) fn due_subject(&self) -> Option<Subject> {
        let (at, subject) = self.first_deadline()?;
        (at <= self.meta.now).then_some(subject)
    }

    /// Agents whose offers the next tick lets lapse if it is applied at `by`.
    pub fn lapsing(&self, by: CellTime) -> Vec<AgentId> {
        let due = self
            .derived
            .deadlines
            .range(..=(by, LogIndex(u64::MAX)))
            .take(TICK_MAX);
        let found = due.filter_map(|(_, index)| self.conversations.get(index));
        found
            .filter_map(|conversation| match &conversation.phase {
                Phase::Offered(offer) => Some(offer.agent.clone()),
                _ => None,
            })
            .collect()
    }

    /// The first entry of the deadline index.
    pub(crate) fn first_deadline(&self) -> Option<(CellTime, Subject)> {
        let agent = self.derived.agent_deadlines.first();
        let agent = agent.map(|(at, name)| (*at, Subject::Agent(name.clone())));
        let conversation = self.derived.deadlines.first();
        let conversation = conversation.map(|(at, index)| (*at, Subject::Conversation(*index)));
        match (agent, conversation) {
            (Some(agent), Some(conversation)) => Some(agent.min(conversation)),
            (agent, conversation) => agent.or(conversation),
        }
    }

    /// The plan after the oldest one, with conversations that name the oldest; `None` if none does.
    fn to_repin(&self, limit: usize) -> Option<(PlanVersion, Vec<ConversationId>)> {
        let mut versions = self.plans.keys().copied();
        let (oldest, next) = (versions.next()?, versions.next()?);
        // A snapshot may hold plans that are read as another.
        let read_as = self.meta.aliases.iter();
        let read_as = read_as
            .filter(|(_, to)| **to == oldest)
            .map(|(from, _)| *from);
        let named = read_as.chain([oldest]).flat_map(|version| {
            let all = (version, LogIndex(0))..=(version, LogIndex(u64::MAX));
            self.derived.pinned.range(all)
        });
        let cell = self.meta.cell;
        let found: Vec<ConversationId> = named
            .take(limit)
            .map(|(_, index)| ConversationId {
                cell,
                index: *index,
            })
            .collect();
        (!found.is_empty()).then_some((next, found))
    }

    /// Waiting conversations that stand in lines of older plans, oldest first. Those of a queue that
    /// the plan in force lacks move too: it is not paused any more and keeps its last rules.
    pub(crate) fn to_reclass(&self, limit: usize) -> Vec<ConversationId> {
        let before = (self.meta.plan, LogIndex(0));
        let older = self
            .derived
            .classed
            .range(..before)
            .map(|(_, index)| *index);
        let cell = self.meta.cell;
        older
            .take(limit)
            .map(|index| ConversationId { cell, index })
            .collect()
    }
}
