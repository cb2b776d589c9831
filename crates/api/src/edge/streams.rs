//! The client streams that are open on this node.
//! Promise: never more than the bound; a drain reaches each of them once, spread over its time.
//! Not here: what a stream says when it ends (`stream`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use pb::api::v1::Refusal;
use tokio::time::Instant;

use crate::errors::exhausted;

/// Counts and ends client streams. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    shared: Arc<Shared>,
}

struct Shared {
    limit: usize,
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Signal>>>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Signal>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// A registry that admits `limit` streams at a time (`limits::STREAMS_MAX` advised).
    pub fn new(limit: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit,
                next: AtomicU64::new(0),
                open: Mutex::default(),
            }),
        }
    }

    /// Streams open now.
    pub fn count(&self) -> usize {
        self.shared.open().len()
    }

    /// Asks every open stream to end, one after the other, evenly over `over`; returns when the last
    /// was asked. Streams that begin meanwhile are refused by the edge, which sees the node draining.
    pub async fn drain(&self, over: Duration) {
        let signals: Vec<_> = self.shared.open().values().cloned().collect();
        let start = Instant::now();
        let count = u32::try_from(signals.len()).unwrap_or(u32::MAX).max(1);
        let step = over / count;
        for (at, signal) in (0_u32..).zip(signals) {
            tokio::time::sleep_until(start + step * at).await;
            signal.raise(Phase::Draining);
        }
    }

    /// Admits a stream.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` with a retry hint at the bound.
    pub(crate) fn enter(&self) -> Result<Ticket, Refusal> {
        let mut open = self.shared.open();
        if open.len() >= self.shared.limit {
            return Err(exhausted("streams of this node", self.shared.limit));
        }
        let key = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let signal = Arc::new(Signal::default());
        open.insert(key, signal.clone());
        Ok(Ticket {
            streams: self.clone(),
            key,
            signal,
        })
    }
}

/// How far a stream is on its way to its end; it only moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// It runs.
    Open = 0,
    /// The client has ended its side; what is under way is still answered.
    HalfClosed = 1,
    /// The client is gone.
    Gone = 2,
    /// The node drains.
    Draining = 3,
    /// The client broke the protocol.
    Violated = 4,
}

/// What both directions of a stream tell each other.
#[derive(Default)]
pub(crate) struct Signal {
    phase: AtomicU8,
    violation: OnceLock<Refusal>,
    up: AtomicWaker,
    down: AtomicWaker,
}

/// One of the two that look at a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client.
    Up,
    /// To the client.
    Down,
}

impl Signal {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::HalfClosed,
            2 => Phase::Gone,
            3 => Phase::Draining,
            _ => Phase::Violated,
        }
    }

    /// The phase; `direction` is woken when it moves on.
    pub(crate) fn watch(&self, direction: Direction, context: &mut Context<'_>) -> Phase {
        let waker = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        // Before the look: a change between the two is not missed.
        waker.register(context.waker());
        self.phase()
    }

    /// Moves on to `phase`, never back.
    pub(crate) fn raise(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.wake(Direction::Up);
        self.wake(Direction::Down);
    }

    /// Lets a direction look again.
    pub(crate) fn wake(&self, direction: Direction) {
        match direction {
            Direction::Up => self.up.wake(),
            Direction::Down => self.down.wake(),
        }
    }

    /// Ends the stream for what its client sent.
    pub(crate) fn violate(&self, refusal: Refusal) {
        // Only the first violation counts: it ends the stream.
        let _ = self.violation.set(refusal);
        self.raise(Phase::Violated);
    }

    pub(crate) fn violation(&self) -> Option<&Refusal> {
        self.violation.get()
    }

    /// Resolves once the node drains; for a stream that has no direction up.
    pub(crate) async fn draining(&self) {
        let reached = |context: &mut Context<'_>| match self.watch(Direction::Down, context) {
            Phase::Draining => Poll::Ready(()),
            _ => Poll::Pending,
        };
        std::future::poll_fn(reached).await;
    }
}

/// A stream's place in the registry; dropping it frees the place and tells the other direction.
pub(crate) struct Ticket {
    streams: Streams,
    key: u64,
    pub(crate) signal: Arc<Signal>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.streams.shared.open().remove(&self.key);
        self.signal.raise(Phase::Gone);
    }
}

#[cfg(test)]
mod tests {
    use pb::api::v1::ErrorReason;

    use super::*;

    #[test]
    fn a_full_node_refuses_with_a_retry_hint_and_admits_again_after_one_has_left() {
        let streams = Streams::new(1);
        let first = streams.enter().expect("there is room");
        let refused = streams.enter().map(drop).expect_err("full");
        assert_eq!(refused.reason(), ErrorReason::ResourceExhausted);
        assert!(refused.retry_after_ms > 0);
        drop(first);
        assert!(streams.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_is_spread_over_its_time() {
        let streams = Streams::new(4);
        let tickets: Vec<_> = (0..4)
            .map(|_| streams.enter().expect("there is room"))
            .collect();
        let start = Instant::now();
        streams.drain(Duration::from_secs(4)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        assert!(
            tickets
                .iter()
                .all(|ticket| ticket.signal.phase() == Phase::Draining)
        );
    }

    #[test]
    fn a_phase_never_goes_back() {
        let signal = Signal::default();
        signal.raise(Phase::Draining);
        signal.raise(Phase::HalfClosed);
        assert_eq!(signal.phase(), Phase::Draining);
    }
}
