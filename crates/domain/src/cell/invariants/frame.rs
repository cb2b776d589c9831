//! What a rule is given, when it is asked, and how it says what does not hold.
//! Promise: a rule reads and changes nothing but its own memory; a breach names its rule and whom it is about.
//! Not here: the rules (a file each), in which order they are asked (`watch`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Rule;
use super::known::Known;
use super::plain::{self, Work};
use crate::cell::Applied;
use crate::cell::command::Entry;
use crate::cell::conversation::Conversation;
use crate::cell::event::{Event, Subject};
use crate::cell::state::State;
use crate::ids::{AgentId, ConversationId, LogIndex, QueueId};

/// Whom a breach is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The cell as a whole.
    Cell,
    /// A conversation.
    Conversation(ConversationId),
    /// An agent.
    Agent(AgentId),
    /// A conversation and an agent.
    Both(ConversationId, AgentId),
    /// A queue.
    Queue(QueueId),
}

impl From<ConversationId> for About {
    fn from(id: ConversationId) -> Self {
        Self::Conversation(id)
    }
}

impl From<&AgentId> for About {
    fn from(name: &AgentId) -> Self {
        Self::Agent(name.clone())
    }
}

impl From<&QueueId> for About {
    fn from(name: &QueueId) -> Self {
        Self::Queue(name.clone())
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell => f.write_str("the cell"),
            Self::Conversation(id) => write!(f, "conversation {id}"),
            Self::Agent(name) => write!(f, "agent {name}"),
            Self::Both(id, name) => write!(f, "conversation {id} and agent {name}"),
            Self::Queue(name) => write!(f, "queue {name}"),
        }
    }
}

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Whom it is about.
    pub about: About,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// The rule that does not hold.
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

/// Whether a rule holds.
pub(super) type Found = Result<(), Violation>;

/// A breach of a rule.
pub(super) fn broken(rule: Rule, about: impl Into<About>, what: impl Into<String>) -> Found {
    Err(Violation {
        rule,
        about: about.into(),
        what: what.into(),
    })
}

/// An entry that was applied.
pub(super) struct At<'s> {
    /// The state after it.
    pub(super) state: &'s State,
    /// The entry.
    pub(super) entry: &'s Entry,
    /// What it did.
    pub(super) applied: &'s Applied,
}

/// A state as a whole.
pub(super) struct Whole<'s> {
    /// The state.
    pub(super) state: &'s State,
    /// What its conversations take of each agent.
    pub(super) work: BTreeMap<AgentId, Work>,
}

impl<'s> Whole<'s> {
    pub(super) fn of(state: &'s State) -> Self {
        let work = plain::work(state);
        Self { state, work }
    }
}

/// What an entry touched.
#[derive(Default)]
pub(super) struct Touched<'e> {
    /// Conversations.
    pub(super) conversations: BTreeSet<LogIndex>,
    /// Agents who may have become free.
    pub(super) freed: BTreeSet<&'e AgentId>,
}

impl<'e> Touched<'e> {
    /// What these events touched.
    pub(super) fn by(events: &'e [Event]) -> Self {
        let mut touched = Self::default();
        events.iter().for_each(|event| touched.note(event));
        touched
    }

    fn note(&mut self, event: &'e Event) {
        let id = match event {
            Event::Opened { conversation } => Some(conversation.id),
            Event::ItemAdded { conversation, .. }
            | Event::OwnerChanged { conversation, .. }
            | Event::QueueEntered { conversation, .. }
            | Event::PassesLapsed { conversation, .. }
            | Event::PassedOver { conversation, .. }
            | Event::CustomerPresence { conversation, .. }
            | Event::Released { conversation }
            | Event::Quarantined { conversation, .. } => Some(*conversation),
            Event::PhaseChanged { conversation, .. } => Some(*conversation),
            Event::DeadlinePutBack {
                subject: Subject::Conversation(index),
            } => {
                self.conversations.insert(*index);
                None
            }
            Event::OfferEnded {
                conversation,
                agent,
                ..
            } => {
                self.freed.insert(agent);
                Some(*conversation)
            }
            Event::AgentChanged { agent } => {
                self.freed.insert(&agent.name);
                None
            }
            _ => None,
        };
        self.conversations.extend(id.map(|id| id.index));
    }
}

/// One rule. It is asked at the moments that it needs, for what an entry touched and no more; `whole` alone looks at
/// everything.
pub(super) trait Invariant: Send {
    /// What holds in every state.
    fn whole(&self, _: &Whole<'_>) -> Found {
        Ok(())
    }

    /// What holds between a state and any later one.
    fn step(&self, _before: &Whole<'_>, _after: &Whole<'_>) -> Found {
        Ok(())
    }

    /// An entry was applied; `known` is what was known before it.
    fn begins(&mut self, _: &Known, _: &At<'_>) -> Found {
        Ok(())
    }

    /// One of its events; `known` has followed those before it.
    fn event(&mut self, _: &Known, _: &At<'_>, _: &Event) -> Found {
        Ok(())
    }

    /// A conversation that it touched, as it is now; `known` has it as it was, but for its place, its units and its
    /// offer, which have followed all events.
    fn touched(&mut self, _: &Known, _: &At<'_>, _is: &Conversation) -> Found {
        Ok(())
    }

    /// All of it was followed.
    fn ends(&mut self, _: &Known, _: &At<'_>, _: &Touched<'_>) -> Found {
        Ok(())
    }

    /// Forgets conversations that are no longer in the state.
    fn prune(&mut self, _: &State) {}
}
