//! What the machine answers to the proposer of a command.
//! Promise: the same command in the same state gives the same reply on every replica.
//! Not here: the events that a command causes.

use std::sync::Arc;

use super::refusal::Refusal;
use crate::ids::{CellTime, ConversationId, OwnerEpoch, QueueId, Sequence, Session};

/// The answer to one command.
pub type Reply = Result<Done, Refusal>;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Nothing more to say.
    Nothing,
    /// A conversation is open for this customer.
    Opened(Opened),
    /// A message is stored.
    Sent(Sent),
    /// The agent has a session.
    LoggedIn(LoggedIn),
    /// The agent owns the conversation.
    Owned(Owned),
    /// Due deadlines have fired.
    Ticked(Ticked),
}

/// A conversation is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its line.
    pub queue: QueueId,
    /// The first message's place, if the request carried one.
    pub sequence: Option<Sequence>,
    /// Whether it was open before this request (rule 7).
    pub existing: bool,
    /// What the customer reads: the greeting, or that nobody is staffed.
    pub text: Arc<str>,
}

/// A message is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The conversation; another one than asked for when it was continued.
    pub conversation: ConversationId,
    /// The message's place in the transcript.
    pub sequence: Sequence,
    /// When it was stored, cell time.
    pub at: CellTime,
    /// When it was stored, the leader's wall clock in Unix milliseconds.
    pub wall_ms: u64,
}

/// The agent has a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedIn {
    /// The session.
    pub session: Session,
    /// Whether it existed before.
    pub resumed: bool,
}

/// The agent owns a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The conversation.
    pub conversation: ConversationId,
    /// The epoch in which the agent speaks.
    pub owner_epoch: OwnerEpoch,
}

/// Due deadlines have fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticked {
    /// How many, those put back because they had been renewed included.
    pub fired: u32,
    /// Whether more are due at this cell time.
    pub more_due: bool,
}
