//! The wall clock of one host: simulated time, with an offset and a drift of its own.
//! Promise: it moves with the world alone; an offset may move it in either direction at once.
//! Not here: monotonic time (each host's tokio runtime).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use runtime::WallClock;

/// 2026-01-01 00:00 UTC in milliseconds: where the wall clocks of a world begin.
pub const BEGIN_MS: u64 = 1_767_225_600_000;

/// A host's wall clock; clones share it.
#[derive(Clone, Default)]
pub struct SimClock {
    /// True time since the world began, microseconds.
    now_us: Arc<AtomicU64>,
    offset_ms: Arc<AtomicI64>,
    drift_ppm: Arc<AtomicI64>,
}

impl SimClock {
    /// Moves it to a moment of the world.
    pub(super) fn set_us(&self, now_us: u64) {
        self.now_us.store(now_us, Ordering::Relaxed);
    }

    /// Sets how far it is off.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// Sets by how many millionths it runs too fast.
    pub fn set_drift_ppm(&self, drift_ppm: i64) {
        self.drift_ppm.store(drift_ppm, Ordering::Relaxed);
    }
}

impl WallClock for SimClock {
    fn now_ms(&self) -> u64 {
        let now_us = self.now_us.load(Ordering::Relaxed);
        let drift_us =
            i128::from(now_us) * i128::from(self.drift_ppm.load(Ordering::Relaxed)) / 1_000_000;
        let off_ms = i128::from(self.offset_ms.load(Ordering::Relaxed)) + drift_us / 1_000;
        let now_ms = i128::from(BEGIN_MS) + i128::from(now_us / 1_000) + off_ms;
        u64::try_from(now_ms).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_and_drift_move_the_clock_of_one_host() {
        let clock = SimClock::default();
        clock.set_us(10_000_000);
        assert_eq!(clock.now_ms(), BEGIN_MS + 10_000);
        clock.set_offset_ms(-600_000);
        assert_eq!(clock.now_ms(), BEGIN_MS - 590_000);
        clock.set_offset_ms(0);
        clock.set_drift_ppm(200);
        assert_eq!(clock.now_ms(), BEGIN_MS + 10_002);
    }
}
