//! Made-up states: what a correct machine makes, altered by hand, so that each rule is seen to break.
//! Promise: an unaltered one is judged to hold.
//! Not here: claims.

use super::frame::{At, Found, Invariant, Touched, Whole};
use super::known::Known;
use super::{Rule, Violation, Watch, check_invariants};
use crate::cell::agent::Agent;
use crate::cell::command::{Command, Entry};
use crate::cell::conversation::{Conversation, Phase};
use crate::cell::event::Event;
use crate::cell::reply::{Done, Reply};
use crate::cell::tests::support::*;
use crate::cell::{Applied, State};
use crate::ids::*;

/// A state with one entry that did nothing, to be altered.
pub(super) struct Made {
    pub(super) before: State,
    pub(super) after: State,
    pub(super) events: Vec<Event>,
    pub(super) command: Command,
    pub(super) reply: Reply,
}

impl Made {
    pub(super) fn of(floor: &Floor) -> Self {
        Self {
            before: floor.state().clone(),
            after: floor.state().clone(),
            events: Vec::new(),
            command: Command::tick(),
            reply: Ok(Done::Nothing),
        }
    }

    /// The entry that a floor applies now, to be altered afterwards.
    pub(super) fn apply(floor: &mut Floor, command: Command) -> Self {
        let before = floor.state().clone();
        let applied = floor.apply(command.clone());
        Self {
            before,
            after: floor.state().clone(),
            events: applied.events,
            command,
            reply: applied.reply,
        }
    }

    fn entry(&self) -> (Entry, Applied) {
        let entry = Entry {
            at: self.after.now(),
            wall_ms: 0,
            command: self.command.clone(),
        };
        let applied = Applied {
            reply: self.reply.clone(),
            events: self.events.clone(),
        };
        (entry, applied)
    }

    /// What every rule says of the entry.
    pub(super) fn judged(&self) -> Found {
        let (entry, applied) = self.entry();
        Watch::begin(&self.before).check(&self.after, &entry, &applied)
    }

    /// The rule that it breaks.
    pub(super) fn breaks(&self) -> Rule {
        self.judged().expect_err("it does not hold").rule()
    }

    /// What one rule alone says of the entry.
    pub(super) fn judged_by(&self, mut rule: impl Invariant) -> Found {
        let (entry, applied) = self.entry();
        let (state, mut known) = (&self.after, Known::of(&self.before));
        let at = At {
            state,
            entry: &entry,
            applied: &applied,
        };
        rule.begins(&known, &at)?;
        known.now = state.now();
        for event in &applied.events {
            rule.event(&known, &at, event)?;
            known.follow(state, event);
        }
        let touched = Touched::by(&applied.events);
        for index in &touched.conversations {
            if let Some(found) = state.conversations.get(index) {
                rule.touched(&known, &at, found)?;
                known.put(found);
            }
        }
        rule.ends(&known, &at, &touched)
    }

    /// An event that touches a conversation and says nothing of it.
    pub(super) fn touch(&mut self, conversation: ConversationId) {
        self.events.push(Event::CustomerPresence {
            conversation,
            gone: None,
        });
    }

    /// The record of a conversation after the entry, to be altered.
    pub(super) fn after(&mut self, id: ConversationId) -> &mut Conversation {
        self.after.conversations.get_mut(&id.index).unwrap()
    }
}

/// The record of a conversation, to be altered.
pub(super) fn record(state: &mut State, id: ConversationId) -> &mut Conversation {
    state.conversations.get_mut(&id.index).unwrap()
}

/// The record of an agent, to be altered.
pub(super) fn person<'s>(state: &'s mut State, name: &str) -> &'s mut Agent {
    state.agent_mut(&agent(name)).unwrap()
}

/// The rule that a whole state breaks.
pub(super) fn breaks(state: &State) -> Rule {
    check_invariants(state)
        .expect_err("it does not hold")
        .rule()
}

/// What one rule alone says of a whole state.
pub(super) fn whole(rule: &impl Invariant, state: &State) -> Found {
    rule.whole(&Whole::of(state))
}

/// What one rule alone says of a state and a later one.
pub(super) fn step(rule: &impl Invariant, before: &State, after: &State) -> Found {
    rule.step(&Whole::of(before), &Whole::of(after))
}

/// The rule of a breach.
pub(super) fn rule_of(found: Found) -> Option<Rule> {
    found.err().map(|violation: Violation| violation.rule)
}

/// A floor on which ana has accepted the conversation of ann and bob waits.
pub(super) fn busy() -> (Floor, ConversationId, ConversationId) {
    let mut floor = Floor::with(|plan| {
        for agent in plan.agents.values_mut() {
            agent.capacity = 25;
        }
    });
    floor.log_in("ana");
    let ann = floor.open("ann");
    floor.accept(ann);
    let bob = floor.open("bob");
    (floor, ann, bob)
}

/// A floor on which ana is asked for the conversation of ann.
pub(super) fn asked() -> (Floor, ConversationId) {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let ann = floor.open("ann");
    assert!(matches!(floor.phase(ann), Phase::Offered(_)));
    (floor, ann)
}
