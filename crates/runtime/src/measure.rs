//! Counters and histograms that a part keeps of itself, and the series under which they are shown.
//! Promise: counting is one or two additions to a word of memory: no lock, no allocation, no label is looked up.
//! Not here: writing a page of them (`node::metrics`); what is read from state when asked.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A series as it is shown to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    /// Its name, with the unit last; a counter ends in `_total`.
    pub name: &'static str,
    /// What its numbers are.
    pub kind: Kind,
    /// One sentence, with its full stop.
    pub help: &'static str,
    /// The labels of its samples, each of few values; never a conversation or a customer.
    pub labels: &'static [&'static str],
}

/// What the numbers of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 at the start of what counts it.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by upper bounds, with sum and count.
    Histogram,
    /// Sum and count alone.
    Summary,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        })
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds for what is done between memory and disk, in microseconds.
pub const DISK_BOUNDS_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];
/// Upper bounds for what crosses the network, in microseconds; the last is the deadline of a call.
pub const CALL_BOUNDS_US: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// Times by upper bounds. Read while it is written to, its sum may be ahead of its counts by what is being
/// counted.
#[derive(Debug)]
pub struct Histogram {
    bounds_us: &'static [u64],
    /// One more than there are bounds: the last is of what is longer than all of them.
    counts: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

impl Histogram {
    /// An empty one; the bounds ascend.
    pub fn new(bounds_us: &'static [u64]) -> Self {
        debug_assert!(bounds_us.is_sorted(), "bounds ascend");
        Self {
            bounds_us,
            counts: (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_us: AtomicU64::new(0),
        }
    }

    /// Counts a time.
    pub fn count(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = self.bounds_us.partition_point(|bound| *bound < us);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Counted {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        Counted {
            bounds_us: self.bounds_us,
            counts: counts.collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Upper bounds in microseconds, inclusive, ascending.
    pub bounds_us: &'static [u64],
    /// How many were within each bound and above the one before; the last is above all.
    pub counts: Vec<u64>,
    /// All of them together, microseconds.
    pub sum_us: u64,
}

impl Counted {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_under_the_first_bound_that_holds_it() {
        let histogram = Histogram::new(&[10, 20]);
        for us in [0, 10, 11, 20, 21, 1_000] {
            histogram.count(Duration::from_micros(us));
        }
        let counted = histogram.read();
        assert_eq!(counted.counts, [2, 2, 2]);
        assert_eq!((counted.sum_us, counted.count()), (1_062, 6));
    }
}
