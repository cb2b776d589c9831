//! Backoff: the pause before the next attempt.
//! Promise: full jitter, doubling up to a cap; never shorter than the server's hint.
//! Not here: whether there is a next attempt (`call`, `link`).

use std::time::Duration;

use crate::options::Options;
use crate::seams::Seams;

/// A hint beyond this is taken as this, so that no answer stops a client for longer.
const HINT_MAX: Duration = Duration::from_secs(30);
/// 2^16 times the base is above any cap.
const DOUBLINGS_MAX: u32 = 16;

/// Draws pauses.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    drawn: u32,
}

impl Backoff {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            base: options.backoff_base,
            cap: options.backoff_cap,
            drawn: 0,
        }
    }

    /// The widest pause that the next draw can give without a hint.
    pub fn widest(&self) -> Duration {
        let doubled = self.base.saturating_mul(1 << self.drawn.min(DOUBLINGS_MAX));
        doubled.min(self.cap)
    }

    /// The next pause: drawn from zero to [`Backoff::widest`], after the hint if there is one.
    pub(crate) fn next(&mut self, seams: &Seams, hint: Option<Duration>) -> Duration {
        let widest = self.widest();
        self.drawn = self.drawn.saturating_add(1);
        let widest_us = u64::try_from(widest.as_micros()).unwrap_or(u64::MAX);
        let drawn = Duration::from_micros(seams.up_to(widest_us));
        drawn + hint.unwrap_or_default().min(HINT_MAX)
    }

    /// Starts anew after a success.
    pub(crate) fn reset(&mut self) {
        self.drawn = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(&Options::default())
    }

    #[test]
    fn a_pause_is_drawn_from_a_range_that_doubles_up_to_the_cap() {
        let seams = Seams::default();
        let mut backoff = backoff();
        let mut widest = Duration::from_millis(50);
        for _ in 0..100 {
            assert_eq!(backoff.widest(), widest);
            assert!(backoff.next(&seams, None) <= widest);
            widest = (widest * 2).min(Duration::from_secs(2));
        }
    }

    #[test]
    fn pauses_spread_over_the_whole_range() {
        let seams = Seams::default();
        let draws: Vec<Duration> = (0..1_000).map(|_| backoff().next(&seams, None)).collect();
        let early = draws
            .iter()
            .filter(|draw| **draw < Duration::from_millis(25));
        assert!((400..600).contains(&early.count()));
    }

    #[test]
    fn a_hint_is_the_shortest_pause_and_is_bounded() {
        let seams = Seams::default();
        let hint = Duration::from_secs(3);
        assert!(backoff().next(&seams, Some(hint)) >= hint);
        let absurd = backoff().next(&seams, Some(Duration::from_secs(86_400)));
        assert!(absurd <= HINT_MAX + Duration::from_millis(50));
    }

    #[test]
    fn a_success_starts_anew() {
        let seams = Seams::default();
        let mut backoff = backoff();
        backoff.next(&seams, None);
        backoff.reset();
        assert_eq!(backoff.widest(), Duration::from_millis(50));
    }
}
