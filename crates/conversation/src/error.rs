//! Why an act has no reply of the machine, or a refusal of it.
//! Promise: everything but `OutcomeUnknown` says for certain whether the act was done.
//! Not here: the words that a client reads (`api`).

use domain::cell::refusal::Refusal;
use domain::cell::version::TooNew;
use ports::{ProposeError, ReadError};

/// Why an act failed or was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// The machine, or the leader before it, said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Certainly not done: this node does not lead the cell.
    #[error("this node does not lead the cell")]
    NotLeader {
        /// The leader's node id, if known.
        leader: Option<u64>,
    },
    /// Certainly not done: no quorum answers.
    #[error("no quorum answers")]
    QuorumLost,
    /// May have been done: ask again with the same request id.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// Certainly not done: a bound is reached.
    #[error("too much is under way")]
    Exhausted {
        /// Try again after this many milliseconds.
        retry_after_ms: u64,
    },
    /// Certainly not done: the command is newer than the machine version in force, which is raised as
    /// soon as every voter's node runs a program that knows it.
    #[error(transparent)]
    TooNew(#[from] TooNew),
    /// The replica has stopped.
    #[error("the replica has stopped")]
    Stopped,
}

/// The pause advised where a mailbox or the proposals are full, in milliseconds: a few commits.
pub(crate) const RETRY_FULL_MS: u64 = 100;

impl From<ProposeError> for ActError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { leader } => Self::NotLeader { leader },
            ProposeError::Busy => Self::Exhausted {
                retry_after_ms: RETRY_FULL_MS,
            },
            ProposeError::TooLarge { bytes, limit } => {
                Self::Refused(Refusal::MessageTooLarge { bytes, limit })
            }
            ProposeError::OutcomeUnknown => Self::OutcomeUnknown,
            ProposeError::Stopped { .. } => Self::Stopped,
        }
    }
}

impl From<ReadError> for ActError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotLeader { leader } => Self::NotLeader { leader },
            ReadError::QuorumLost => Self::QuorumLost,
            ReadError::Stopped { .. } => Self::Stopped,
        }
    }
}
