//! A wall clock that stands still until it is set.
//! Promise: only [`ManualClock::set_ms`] and [`ManualClock::advance_ms`] move it.
//! Not here: monotonic time (`tokio::time::pause`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::WallClock;

/// 2026-01-01 00:00 UTC in milliseconds.
const START_MS: u64 = 1_767_225_600_000;

/// A clock for tests; clones share it.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now_ms: Arc<AtomicU64>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            now_ms: Arc::new(AtomicU64::new(START_MS)),
        }
    }
}

impl ManualClock {
    /// Sets the time, in either direction.
    pub fn set_ms(&self, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Moves the time on.
    pub fn advance_ms(&self, by_ms: u64) {
        self.now_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl WallClock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }
}
