//! The actor of one conversation on the leader.
//! Promise: acts of a conversation are proposed in the order in which they came; a panic here harms
//! no other conversation.
//! Not here: who may act (the machine), agents' streams (`hub`).

mod run;
mod step;

#[cfg(test)]
mod actor_test;

use std::sync::Arc;

use domain::cell::command::Command;
use domain::cell::event::Event;
use domain::cell::reply::Done;
use domain::ids::{NodeId, Sequence};
use runtime::trace::Trace;
use tokio::sync::oneshot;

pub(crate) use run::activate;

use crate::error::ActError;
use crate::stream::{Attachment, MarkFrom};

/// Messages that wait for one actor: both sides, every stream of the conversation, and its events.
pub(crate) const MAILBOX_MAX: usize = 256;
/// Proposals of one conversation under way.
pub(crate) const PROPOSALS_MAX: usize = 32;
/// Streams attached to one conversation: a customer's devices and observers.
pub(crate) const STREAMS_MAX: usize = 64;
/// An actor without work and streams is passivated after this, in milliseconds.
pub(crate) const IDLE_MS: u64 = 30_000;

/// Answers an act.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, ActError>>;

/// What an actor is told.
pub(crate) enum ToActor {
    /// Propose this and answer.
    Act {
        command: Box<Command>,
        /// The trace that it belongs to, if anybody traces it.
        trace: Option<Box<Trace>>,
        answer: Answer<Done>,
    },
    /// Attach a stream.
    Attach {
        cursor: Sequence,
        observe: bool,
        edge: NodeId,
        answer: Answer<Attachment>,
    },
    /// A stream has gone.
    Leave { key: u64, our_fault: bool },
    /// Somebody types or has read.
    Mark {
        from: MarkFrom,
        typing: bool,
        read: Sequence,
    },
    /// An event of this conversation was committed.
    Applied(Arc<Event>),
    /// An event could not be given, or what is served has changed: look again.
    Look,
    /// A planted defect, to show that it harms no other actor.
    #[cfg(test)]
    Panic,
}
