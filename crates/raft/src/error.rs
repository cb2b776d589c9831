//! Why a group did not do what it was asked for.
//! Promise: each says whether it may still happen.
//! Not here: proposals and reads (`ports`).

use store::GroupId;

/// Why a group did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Log or snapshot could not be read.
    #[error("{group} does not start: {reason}")]
    Storage {
        /// The group.
        group: GroupId,
        /// What went wrong.
        reason: String,
    },
}

/// Why members did not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The group has members already.
    #[error("the group was initialised before")]
    AlreadyInitialized,
    /// This node does not lead.
    #[error("this node does not lead the group")]
    NotLeader {
        /// The leader's node id, if known.
        leader: Option<u64>,
    },
    /// Another change is under way.
    #[error("another change of members is under way")]
    InProgress,
    /// The change makes no sense.
    #[error("the change of members is refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// It may still happen.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// The replica has stopped.
    #[error("the replica has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}
