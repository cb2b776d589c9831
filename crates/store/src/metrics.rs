//! What the store counts of itself.
//! Promise: one log of a node, one set of numbers.
//! Not here: the page on which they stand (`node::metrics`).

use runtime::measure::{DISK_BOUNDS_US, Histogram, Kind, Series};

/// How long a batch of the log took to become durable.
pub const FSYNC_SECONDS: Series = Series {
    name: "antiphon_store_fsync_seconds",
    kind: Kind::Histogram,
    help: "Time to write and sync one batch of the write-ahead log, which serves all groups of the node.",
    labels: &[],
};
/// Segments of the log.
pub const LOG_SEGMENTS: Series = Series {
    name: "antiphon_store_log_segments",
    kind: Kind::Gauge,
    help: "Segments of the write-ahead log on disk.",
    labels: &[],
};

/// Segments of the audit journal.
pub const JOURNAL_SEGMENTS: Series = Series {
    name: "antiphon_store_journal_segments",
    kind: Kind::Gauge,
    help: "Segments of the audit journal: left by the log and kept for a while.",
    labels: &[],
};
/// Bytes of the audit journal.
pub const JOURNAL_BYTES: Series = Series {
    name: "antiphon_store_journal_bytes",
    kind: Kind::Gauge,
    help: "Bytes of the audit journal, which gives way before anything else when the disk runs short of room.",
    labels: &[],
};

/// The numbers of one log.
#[derive(Debug)]
pub struct Metrics {
    /// [`FSYNC_SECONDS`].
    pub fsync: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            fsync: Histogram::new(DISK_BOUNDS_US),
        }
    }
}
