//! What can go wrong with a disk in memory.
//! Not here: doing it (`disk`).

use std::time::Duration;

use crate::Random;

/// What `crash` does with writes that no sync covered.
#[derive(Clone)]
pub enum Unsynced {
    /// All are lost.
    Lost,
    /// All are kept and stay unsynced, as after the kill of a process whose kernel lives on.
    Kept,
    /// Each sector of each write is kept or lost by a draw; directory changes are kept up to a draw.
    Torn(Random),
}

/// How a sync fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncFault {
    /// The next sync fails and its pages are dropped; later syncs say success although that data
    /// never becomes durable, as Linux does.
    Once,
    /// Every sync from now on fails.
    Forever,
}

/// Faults in force. Set through [`MemoryDisk::faults`].
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How syncs fail.
    pub sync: Option<SyncFault>,
    /// Bytes that all files together may hold; more is `StorageFull`.
    pub capacity_bytes: Option<u64>,
    /// Operations that still succeed; then every one fails until `crash`, as after a power cut.
    pub power_lost_after: Option<u64>,
    /// What a sync takes, by `tokio::time`.
    pub sync_delay: Duration,
}
