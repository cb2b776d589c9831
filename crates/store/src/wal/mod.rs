//! The write-ahead log of a node, one for all its Raft groups.
//! Promise: an entry, vote, truncation or purge reported done survives a crash; one sync covers all
//! that waits; damage of acknowledged data is named at opening and never served.
//! Not here: when to purge or to snapshot (`raft`).

mod types;

use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use runtime::Env;
use tokio::sync::watch;

pub use types::{
    Chain, EntryId, Health, Laggard, Notice, OpenError, PAYLOAD_BYTES_MAX, Record, WalError,
    WalOptions,
};

use crate::GroupId;

/// The log of a node. Cheap to clone.
#[derive(Clone)]
pub struct Wal {}

impl Wal {
    /// Opens the log in `dir`, made if missing, and starts its task on the lane `raft`.
    pub async fn open(
        _env: &Env,
        _dir: &Path,
        _options: WalOptions,
    ) -> Result<(Self, Vec<Notice>), OpenError> {
        unimplemented!()
    }

    /// The log of one group; empty if it was never written.
    pub fn group(&self, _group: GroupId) -> GroupLog {
        unimplemented!()
    }

    /// Groups that have a vote or a log, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        unimplemented!()
    }

    /// How the log is, now and after each change.
    pub fn health(&self) -> watch::Receiver<Health> {
        unimplemented!()
    }

    /// Segments on disk, the prepared one left out.
    pub fn segments(&self) -> u64 {
        unimplemented!()
    }

    /// Groups whose oldest entry lies more than `segments_max` segments back, the oldest first.
    /// Snapshot and purge them, or the log grows.
    pub fn laggards(&self, _segments_max: u64) -> Vec<Laggard> {
        unimplemented!()
    }

    /// Writes what waits, then ends the task. Later operations fail with [`WalError::Closed`].
    pub async fn close(&self) {
        unimplemented!()
    }
}

/// The log and vote of one group. Cheap to clone. Writes of one group take effect in the order in
/// which their calls got past the wait for room; callers that need an order await each call.
#[derive(Clone)]
pub struct GroupLog {}

impl GroupLog {
    /// The group.
    pub fn id(&self) -> GroupId {
        unimplemented!()
    }

    /// The last entry, or the purged one when nothing follows it.
    pub fn last(&self) -> Option<EntryId> {
        unimplemented!()
    }

    /// The last entry that was purged.
    pub fn purged(&self) -> Option<EntryId> {
        unimplemented!()
    }

    /// The place of the entry at `index`, if it is held (the purged one included).
    pub fn entry_id(&self, _index: u64) -> Option<EntryId> {
        unimplemented!()
    }

    /// Entries of `range` in order, from the first that is held, at most `max_bytes` of payload but
    /// at least one; empty when none is held.
    pub async fn read(
        &self,
        _range: Range<u64>,
        _max_bytes: usize,
    ) -> Result<Vec<Record>, WalError> {
        unimplemented!()
    }

    /// Appends entries that follow the last one; waits for room in the queue. When it returns they
    /// can be read. `done` is called once, when they are durable or never will be.
    pub async fn append(
        &self,
        _records: Vec<Record>,
        _done: impl FnOnce(Result<(), WalError>) + Send + 'static,
    ) -> Result<(), WalError> {
        unimplemented!()
    }

    /// Removes every entry after `keep`, all that is not purged for `None`. Durable when it resolves.
    pub async fn truncate_after(&self, _keep: Option<u64>) -> Result<(), WalError> {
        unimplemented!()
    }

    /// Removes every entry up to `upto`. Where `upto` lies beyond the log, as after a snapshot from
    /// the leader, `chain` is the chain of that snapshot. Durable when it resolves.
    pub async fn purge(&self, _upto: EntryId, _chain: Option<Chain>) -> Result<(), WalError> {
        unimplemented!()
    }

    /// Keeps the vote, opaque here. Durable when it resolves.
    pub async fn save_vote(&self, _vote: Bytes) -> Result<(), WalError> {
        unimplemented!()
    }

    /// The vote kept last.
    pub fn vote(&self) -> Option<Bytes> {
        unimplemented!()
    }

    /// Keeps the committed position, opaque here, with the next batch. Never waited for.
    pub fn save_committed(&self, _committed: Bytes) {
        unimplemented!()
    }

    /// The committed position kept last.
    pub fn committed(&self) -> Option<Bytes> {
        unimplemented!()
    }

    /// The chain at `index`; `None` when the entry is purged (except the last purged one), not there,
    /// or not yet written.
    pub fn chain(&self, _index: u64) -> Option<Chain> {
        unimplemented!()
    }
}
