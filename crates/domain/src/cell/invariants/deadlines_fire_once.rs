//! Every deadline fires once, when it is due, or is cleared by an event that says why.
//!
//! For each conversation all timers are kept that its record has set. After an entry each of those that it had before is
//! still set, or has fired, or something happened that clears a timer of its kind. In a tick nothing moves but by a timer
//! that is due; what has fired is not set any more; and after a tick that has got through nothing is due that has not
//! fired. Pauses of agents likewise.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use super::frame::{About, At, Found, Invariant, Touched, Whole, broken};
use super::known::Known;
use super::leaders::Leaders;
use super::timers::{Armed, armed};
use crate::cell::command::Command;
use crate::cell::conversation::Conversation;
use crate::cell::deadlines::{Timer, first_due};
use crate::cell::event::{Event, Object, Subject};
use crate::cell::floor::OfferOutcome;
use crate::cell::reply::Done;
use crate::cell::state::State;
use crate::ids::{AgentId, CellTime, ChannelId, ConversationId, LogIndex};

mod causes;

use causes::{Causes, clears, moved_by};

#[derive(Default)]
pub(super) struct DeadlinesFireOnce {
    armed: BTreeMap<LogIndex, Vec<Armed>>,
    by_due: BTreeSet<(CellTime, LogIndex)>,
    pauses: BTreeMap<AgentId, Vec<(ChannelId, CellTime)>>,
    /// What the present entry did to each conversation.
    now: BTreeMap<LogIndex, Causes>,
    /// Every timer is to be looked at again, because plans or leaders have changed.
    all_anew: bool,
}

impl DeadlinesFireOnce {
    /// From this state on.
    pub(super) fn of(state: &State) -> Self {
        let mut rule = Self::default();
        rule.anew(state, &Leaders::of(state));
        for name in state.agents.keys() {
            rule.put_pauses(state, name);
        }
        rule
    }

    fn anew(&mut self, state: &State, leaders: &Leaders) {
        self.armed.clear();
        self.by_due.clear();
        for found in state.conversations() {
            self.put(found.id.index, armed(state, leaders, found));
        }
    }

    fn put(&mut self, index: LogIndex, all: Vec<Armed>) {
        let first = |all: &[Armed]| all.iter().map(|armed| armed.due).min();
        if let Some(due) = self.armed.get(&index).and_then(|old| first(old)) {
            self.by_due.remove(&(due, index));
        }
        match first(&all) {
            Some(due) => {
                self.by_due.insert((due, index));
                self.armed.insert(index, all);
            }
            None => drop(self.armed.remove(&index)),
        }
    }

    fn put_pauses(&mut self, state: &State, name: &AgentId) {
        let agent = state.agents.get(name);
        let pauses = agent.into_iter().flat_map(|agent| &agent.channels);
        let running = pauses.filter(|pause| pause.until > CellTime(0));
        let running: Vec<_> = running
            .map(|pause| (pause.channel.clone(), pause.until))
            .collect();
        match running.is_empty() {
            true => drop(self.pauses.remove(name)),
            false => drop(self.pauses.insert(name.clone(), running)),
        }
    }

    fn cause(&mut self, index: LogIndex) -> &mut Causes {
        self.now.entry(index).or_default()
    }
}

fn fails(id: ConversationId, what: impl Into<String>) -> Found {
    broken(Rule::DeadlinesFireOnce, id, what)
}

impl Invariant for DeadlinesFireOnce {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        whole.state.conversations().try_for_each(|found| {
            let due = first_due(whole.state, found).map(|(at, _)| at);
            if due.is_none_or(|due| found.deadline.is_some_and(|at| at <= due)) {
                return Ok(());
            }
            let id = found.id;
            let what = format!("deadline of {id} is later than its first timer, or missing");
            fails(id, what)
        })
    }

    fn begins(&mut self, _: &Known, _: &At<'_>) -> Found {
        self.now.clear();
        self.all_anew = false;
        Ok(())
    }

    fn event(&mut self, known: &Known, at: &At<'_>, event: &Event) -> Found {
        let found = self.judge(known, at, event);
        self.note(known, at.state, event);
        found
    }

    fn ends(&mut self, known: &Known, at: &At<'_>, touched: &Touched<'_>) -> Found {
        if self.all_anew {
            self.anew(at.state, &known.leaders);
        } else {
            let mut indexes = touched.conversations.clone();
            indexes.extend(self.now.keys().copied());
            for index in indexes {
                let found = at.state.conversations.get(&index);
                let after =
                    found.map_or(Vec::new(), |found| armed(at.state, &known.leaders, found));
                if let Some(found) = found {
                    self.check(found, &after)?;
                }
                self.put(index, after);
            }
        }
        for name in &touched.freed {
            self.put_pauses(at.state, name);
        }
        match &at.applied.reply {
            Ok(Done::Ticked(ticked)) if !ticked.more_due => self.check_none_due(at.state),
            _ => Ok(()),
        }
    }

    fn prune(&mut self, state: &State) {
        let gone = |index: &LogIndex| state.conversations.get(index).is_none();
        let gone: Vec<LogIndex> = self.armed.keys().copied().filter(gone).collect();
        gone.into_iter()
            .for_each(|index| self.put(index, Vec::new()));
    }
}

fn is_tick(at: &At<'_>) -> bool {
    matches!(at.entry.command, Command::Tick(_))
}

impl DeadlinesFireOnce {
    fn judge(&mut self, known: &Known, at: &At<'_>, event: &Event) -> Found {
        match event {
            Event::OfferEnded {
                offer,
                conversation,
                outcome,
                ..
            } => {
                let seen = known.seen(conversation.index);
                if seen.is_some_and(|seen| seen.offer.map(|(open, _)| open) != Some(*offer)) {
                    let what = format!("offer {offer} of {conversation} ended and was not open");
                    return fails(*conversation, what);
                }
                match outcome {
                    OfferOutcome::Expired => {
                        self.moves(known, at, *conversation, &[Timer::OfferLapses])
                    }
                    _ => Ok(()),
                }
            }
            Event::AgentChanged { agent } if is_tick(at) => {
                self.pause_ended(known, &agent.name, event)
            }
            _ if is_tick(at) => match moved_by(event) {
                Some((id, by)) => self.moves(known, at, id, by),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Notes what an event does to the timers of whom.
    fn note(&mut self, known: &Known, state: &State, event: &Event) {
        match event {
            Event::LeaderStarted { .. } | Event::PlanAdopted { .. } | Event::Archived(_) => {
                self.all_anew = true;
            }
            Event::Repinned { conversations, .. } | Event::Reclassed { conversations, .. } => {
                for id in conversations {
                    self.cause(id.index).add(event);
                }
            }
            Event::AgentChanged { agent } => {
                for index in known.work_of(&agent.name) {
                    self.cause(index).add(event);
                }
            }
            Event::DeadlineDropped {
                subject: Subject::Agent(name),
            } => drop(self.pauses.remove(name)),
            Event::Remembered { object, .. } => {
                let of = match object {
                    Object::Conversation(id) => Some(*id),
                    Object::Customer(account, customer) => state
                        .customer(account, customer)
                        .and_then(|customer| customer.last),
                    Object::Agent(_) | Object::Queue(_) => None,
                };
                if let Some(id) = of {
                    self.cause(id.index).add(event);
                }
            }
            _ => {
                if let Some(id) = causes::conversation_of(event) {
                    self.cause(id.index).add(event);
                }
            }
        }
    }

    /// A conversation was moved by one of these timers: one of them was set and due, and has fired by this.
    fn moves(&mut self, known: &Known, at: &At<'_>, id: ConversationId, by: &[Timer]) -> Found {
        let causes = self.now.entry(id.index).or_default();
        let set = self.armed.get(&id.index).map_or(&[][..], Vec::as_slice);
        let mut set = set.iter().filter(|armed| by.contains(&armed.timer));
        if let Some(due) = set.clone().find(|armed| armed.due <= known.now) {
            causes.fired.push(*due);
            return Ok(());
        }
        // What was set in this very entry may be due in it, and a defect sets aside at any time.
        let broke = |event: &Event| matches!(event, Event::Quarantined { conversation, .. } if *conversation == id);
        if causes.has_moved() || at.applied.events.iter().any(broke) {
            return Ok(());
        }
        match set.next() {
            Some(early) => fails(
                id,
                format!(
                    "{:?} of {id} fired at {} and is due at {}",
                    early.timer, known.now.0, early.due.0
                ),
            ),
            None => fails(id, format!("{by:?} of {id} fired and was not set")),
        }
    }

    /// What was set before the entry is still set, has fired, or was cleared.
    fn check(&self, is: &Conversation, after: &[Armed]) -> Found {
        let none = Causes::default();
        let causes = self.now.get(&is.id.index).unwrap_or(&none);
        let before = self.armed.get(&is.id.index).map_or(&[][..], Vec::as_slice);
        for was in before {
            let still = after.iter().any(|armed| armed.is(was));
            let fired = causes.fired.iter().any(|fired| fired.is(was));
            if still && fired {
                let what = format!("{:?} of {} fired and is still set", was.timer, is.id);
                return fails(is.id, what);
            }
            // What is sealed later or sooner, because of what its customer did elsewhere, is to be sealed still.
            let seals =
                was.timer == Timer::Seals && after.iter().any(|armed| armed.timer == Timer::Seals);
            if !still && !fired && !seals && !clears(causes, was.timer) {
                let what = format!(
                    "{:?} of {} went away and nothing cleared it",
                    was.timer, is.id
                );
                return fails(is.id, what);
            }
        }
        Ok(())
    }

    /// Nothing is due that has not fired.
    fn check_none_due(&self, state: &State) -> Found {
        let now = state.now();
        if let Some((due, index)) = self.by_due.first().filter(|(due, _)| *due <= now) {
            let id = ConversationId {
                cell: state.meta.cell,
                index: *index,
            };
            let set = self
                .armed
                .get(index)
                .map(|all| all.iter().min_by_key(|armed| armed.due));
            let timer = set.flatten().map(|armed| armed.timer);
            let what = format!("{timer:?} of {id} is due since {} and has not fired", due.0);
            return fails(id, what);
        }
        let there = |name: &&AgentId| state.agents.contains_key(*name);
        for (name, running) in self.pauses.iter().filter(|(name, _)| there(name)) {
            if let Some((channel, until)) = running.iter().find(|(_, until)| *until <= now) {
                let what = format!("a pause of {name} on {channel} is over since {}", until.0);
                return broken(Rule::DeadlinesFireOnce, name, what);
            }
        }
        Ok(())
    }

    /// In a tick a pause ends when it is over, and not before.
    fn pause_ended(&self, known: &Known, name: &AgentId, event: &Event) -> Found {
        let (Some(running), Event::AgentChanged { agent }) = (self.pauses.get(name), event) else {
            return Ok(());
        };
        let early = running.iter().find(|(channel, until)| {
            let is = agent.pause(channel);
            *until > known.now && is.is_some_and(|pause| pause.until == CellTime(0))
        });
        match early {
            None => Ok(()),
            Some((channel, until)) => {
                let what = format!("a pause of {name} on {channel} ended before {}", until.0);
                broken(Rule::DeadlinesFireOnce, About::Agent(name.clone()), what)
            }
        }
    }
}

#[cfg(test)]
#[path = "deadlines_fire_once_test.rs"]
mod tests;
