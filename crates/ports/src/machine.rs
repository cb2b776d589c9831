//! A replicated state machine as the log sees it.
//! Promise: `apply` is total and gets each committed entry once, in log order.
//! Not here: what the entries mean (`domain`), how they are agreed on (`raft`).

use std::sync::Arc;

use bytes::Bytes;

/// Where an entry stands in its group's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The log index.
    pub index: u64,
    /// The Raft term in which the entry was proposed.
    pub term: u64,
}

/// The chain over the records of a group's log: equal as long as logs are.
pub trait LogChain: Send + Sync + 'static {
    /// Its value at an index; `None` where the entry was purged or is not yet written here.
    fn chain(&self, index: u64) -> Option<[u8; 16]>;
}

/// What ends a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Passing the entry over, on every replica.
    Skip,
    /// A newer program over the same data.
    Upgrade,
    /// A new node in this one's place: the data is not the group's.
    Replace,
}

/// Why a replica applies nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// The entry at which it stopped.
    pub index: u64,
    /// A sentence for the operator.
    pub reason: Arc<str>,
    /// What ends it.
    pub cure: Cure,
}

/// What a machine unwinds with, as `std::panic::panic_any` does, when it must not go on. Any other
/// panic is a defect at the entry, which can be skipped.
#[derive(Debug)]
pub struct MustStop {
    /// A sentence for the operator, which says what to do.
    pub reason: String,
    /// What ends it.
    pub cure: Cure,
}

/// A state machine of one group.
pub trait Machine: Send + 'static {
    /// What the proposer of an entry gets back after it was applied.
    type Reply: Send + Sync + std::fmt::Debug + 'static;

    /// Hands over the chain of the log that is applied, once, before anything else.
    fn follow(&mut self, _log: Arc<dyn LogChain>) {}

    /// Applies one committed entry. Total: a refusal is a reply.
    fn apply(&mut self, at: Position, payload: &[u8]) -> Self::Reply;

    /// Tells of a committed entry that is passed over, so that it is not proposed again. It may be told
    /// twice.
    fn passed_over(&mut self, _at: Position, _payload: &[u8]) {}

    /// Ends a batch of applied entries: publishes what was gathered since the last call.
    fn flush(&mut self);

    /// A frozen view of the state, cheap to take; it is encoded off the apply path.
    fn freeze(&mut self) -> Box<dyn Frozen>;

    /// Forgets everything: the state is that of a machine which has applied nothing.
    fn reset(&mut self);

    /// Replaces the state by the one that a snapshot holds.
    ///
    /// # Errors
    /// When the chunks are not a snapshot that this version can read.
    fn restore(&mut self, chunks: Vec<Bytes>) -> Result<(), RestoreError>;
}

/// A frozen state, encoded chunk by chunk in a fixed order.
pub trait Frozen: Send {
    /// The next chunk of at most 1 MiB, or `None` at the end.
    fn next_chunk(&mut self) -> Option<Vec<u8>>;
}

/// Why a snapshot could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot cannot be read: {reason}")]
pub struct RestoreError {
    /// What did not fit.
    pub reason: String,
}
