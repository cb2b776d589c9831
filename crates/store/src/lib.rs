//! What a node keeps on disk: log and votes of all its Raft groups, snapshots, closed conversations,
//! its identity.
//! Promise: what was reported durable is there after a crash, or the damage is named and refused.
//! Not here: consensus (`raft`), meaning of payloads (`wire`, `domain`).

pub mod archive;
mod data_dir;
mod day;
mod frame;
pub mod metrics;
mod snapshot;
mod wal;

use std::fmt;

pub use data_dir::{DataDir, DataDirError, Identity};
pub use snapshot::{Snapshot, SnapshotError, SnapshotReader, SnapshotStore, SnapshotWriter};
pub use wal::{
    Chain, EntryId, Found, FoundAt, GroupLog, Health, Journal, JournalContent, JournalFault,
    JournalGroup, JournalOptions, JournalProblem, JournalPruned, JournalRange, JournalStatus, Kept,
    Laggard, LogScan, Notice, OpenError, PAYLOAD_BYTES_MAX, Record, Wal, WalError, WalOptions,
    journal_dir, read_journal,
};

/// A Raft group of the cluster; numbers are allotted once and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {}", self.0)
    }
}
