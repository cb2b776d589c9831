//! Wall time as a seam.
//! Promise: nothing reads the machine's wall clock except through [`WallClock`].
//! Not here: monotonic time, which is `tokio::time` alone.

/// The wall clock of one node. May step in either direction; no decision compares two of them.
pub trait WallClock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 00:00 UTC.
    fn now_ms(&self) -> u64;
}
