//! A replicated state machine as the log sees it.
//! Promise: `apply` is total and gets each committed entry once, in log order.
//! Not here: what the entries mean (`domain`), how they are agreed on (`raft`).

use bytes::Bytes;

/// Where an entry stands in its group's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The log index.
    pub index: u64,
    /// The Raft term in which the entry was proposed.
    pub term: u64,
}

/// A state machine of one group.
pub trait Machine: Send + 'static {
    /// What the proposer of an entry gets back after it was applied.
    type Reply: Send + Sync + std::fmt::Debug + 'static;

    /// Applies one committed entry. Total: a refusal is a reply.
    fn apply(&mut self, at: Position, payload: &[u8]) -> Self::Reply;

    /// Ends a batch of applied entries: publishes what was gathered since the last call.
    fn flush(&mut self);

    /// A frozen view of the state, cheap to take; it is encoded off the apply path.
    fn freeze(&mut self) -> Box<dyn Frozen>;

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
