//! One replicated group as its users see it: propose, read, follow.
//! Promise: `NotLeader`, `Busy` and `TooLarge` mean that nothing was appended; everything after an append
//! that did not end in a reply is `OutcomeUnknown`.
//! Not here: consensus (`raft`).

use bytes::Bytes;
use tokio::sync::watch;

/// An entry that was committed and applied.
#[derive(Debug)]
pub struct Committed<R> {
    /// Its log index.
    pub index: u64,
    /// What the machine answered.
    pub reply: R,
}

/// Who leads a group, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    /// The Raft term.
    pub term: u64,
    /// The leader's node id, if one is known.
    pub leader: Option<u64>,
    /// Whether this node is that leader, confirmed by a quorum in this term.
    pub is_self: bool,
}

/// Why a proposal has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not appended: this node does not lead in that term.
    #[error("this node does not lead the group")]
    NotLeader {
        /// The leader's node id, if known.
        leader: Option<u64>,
    },
    /// Certainly not appended: too many proposals are under way.
    #[error("too many proposals are under way")]
    Busy,
    /// Certainly not appended, now or later: no log takes an entry of this size.
    #[error("an entry of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The largest entry, in bytes.
        limit: u64,
    },
    /// It was appended, or may have been; it may still commit.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// The replica has stopped and appends nothing.
    #[error("the replica has stopped: {reason}")]
    Stopped {
        /// Why it stopped.
        reason: String,
    },
}

/// Why a linearizable read could not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This node does not lead the group.
    #[error("this node does not lead the group")]
    NotLeader {
        /// The leader's node id, if known.
        leader: Option<u64>,
    },
    /// The leader could not reach a quorum in time.
    #[error("no quorum answered")]
    QuorumLost,
    /// The replica has stopped.
    #[error("the replica has stopped: {reason}")]
    Stopped {
        /// Why it stopped.
        reason: String,
    },
}

/// Why leadership was not handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// There is nothing to hand over.
    #[error("this node does not lead the group")]
    NotLeader {
        /// The leader's node id, if known.
        leader: Option<u64>,
    },
    /// There is nobody to hand over to.
    #[error("no other voter has answered lately")]
    NoHeir,
    /// The replica has stopped.
    #[error("the replica has stopped: {reason}")]
    Stopped {
        /// Why it stopped.
        reason: String,
    },
}

/// How far one follower is, as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerStatus {
    /// Its node id.
    pub node: u64,
    /// The highest log index known to be on it.
    pub matched: u64,
    /// Milliseconds since it last answered, if it ever did.
    pub last_ack_ms: Option<u64>,
}

/// A replica's own account of its group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupStatus {
    /// The Raft term.
    pub term: u64,
    /// The leader's node id, if known.
    pub leader: Option<u64>,
    /// The highest index known to be committed.
    pub committed: u64,
    /// The highest index applied here.
    pub applied: u64,
    /// The highest index in the log here.
    pub last_log: u64,
    /// The index of the last snapshot, 0 for none.
    pub snapshot: u64,
    /// Node ids of the voters.
    pub voters: Vec<u64>,
    /// Node ids of the learners.
    pub learners: Vec<u64>,
    /// On the leader: how far each other member is.
    pub followers: Vec<FollowerStatus>,
    /// On the leader: whether a quorum answered within the leader's lease.
    pub quorum_ok: bool,
}

/// A replicated group.
#[async_trait::async_trait]
pub trait Group<R>: Send + Sync + 'static {
    /// Proposes an entry in `term` and waits until it is applied here.
    ///
    /// # Errors
    /// See [`ProposeError`]; only `OutcomeUnknown` leaves open whether the entry commits.
    async fn propose(&self, term: u64, payload: Bytes) -> Result<Committed<R>, ProposeError>;

    /// Waits until this replica has applied everything acknowledged before the call (ReadIndex)
    /// and returns the applied index.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn linearize(&self) -> Result<u64, ReadError>;

    /// Follows who leads.
    fn leadership(&self) -> watch::Receiver<Leadership>;

    /// Follows the applied index.
    fn applied(&self) -> watch::Receiver<u64>;

    /// The chain of the log here at an index; `None` where the entry was purged or is not written.
    fn chain(&self, index: u64) -> Option<[u8; 16]>;

    /// The replica's own account.
    fn status(&self) -> GroupStatus;

    /// Hands leadership to the voter that is furthest; returns once it was asked.
    ///
    /// # Errors
    /// See [`HandOverError`].
    async fn transfer_leadership(&self) -> Result<(), HandOverError>;
}
