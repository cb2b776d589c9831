//! How much one customer may ask in a window, before anything is proposed.
//! Promise: at most `max` commands of one customer in any window; memory is bounded.
//! Not here: limits per address or tenant (the edge).

use std::collections::{BTreeMap, VecDeque};

/// Customers remembered for opens; the oldest is forgotten first. 64 bytes each: 4 MiB.
pub const OPENERS_MAX: usize = 65_536;

/// The commands of one customer in the present window.
#[derive(Debug, Clone, Default)]
pub struct Window {
    taken_ms: VecDeque<u64>,
}

impl Window {
    /// Takes one command at `now_ms`, or says after how many milliseconds there is room.
    /// `max` of 0 lifts the limit.
    ///
    /// # Errors
    /// The milliseconds until the oldest command leaves the window, at least 1.
    pub fn take(&mut self, now_ms: u64, max: u32, window_ms: u64) -> Result<(), u64> {
        if max == 0 {
            return Ok(());
        }
        while self
            .taken_ms
            .front()
            .is_some_and(|&taken| now_ms.saturating_sub(taken) >= window_ms)
        {
            self.taken_ms.pop_front();
        }
        match self.taken_ms.front() {
            Some(&oldest) if self.taken_ms.len() >= max as usize => {
                Err((oldest + window_ms).saturating_sub(now_ms).max(1))
            }
            _ => {
                self.taken_ms.push_back(now_ms);
                Ok(())
            }
        }
    }
}

/// The windows of customers who open conversations, bounded; also of conversations that have left, each
/// under its id in place of the customer.
#[derive(Debug, Default)]
pub struct Openers {
    windows: BTreeMap<(String, String), Window>,
    order: VecDeque<(String, String)>,
}

impl Openers {
    /// Takes one open of a customer of an account; see [`Window::take`].
    ///
    /// # Errors
    /// The milliseconds to wait.
    pub fn take(
        &mut self,
        account: &str,
        customer: &str,
        now_ms: u64,
        limit: (u32, u64),
    ) -> Result<(), u64> {
        let key = (account.to_owned(), customer.to_owned());
        if !self.windows.contains_key(&key) {
            if self.order.len() >= OPENERS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.windows.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.windows
            .entry(key)
            .or_default()
            .take(now_ms, limit.0, limit.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_in_ten_seconds_pass_and_the_next_is_told_when() {
        let mut window = Window::default();
        for n in 0..16 {
            assert_eq!(window.take(n * 100, 16, 10_000), Ok(()));
        }
        assert_eq!(window.take(2_000, 16, 10_000), Err(8_000));
        assert_eq!(window.take(10_000, 16, 10_000), Ok(()));
        assert_eq!(window.take(10_050, 16, 10_000), Err(50));
    }

    #[test]
    fn a_limit_of_zero_is_no_limit() {
        let mut window = Window::default();
        assert!((0..1_000).all(|_| window.take(0, 0, 10_000).is_ok()));
    }

    #[test]
    fn openers_are_counted_apart() {
        let mut openers = Openers::default();
        assert_eq!(openers.take("web", "a", 0, (1, 100)), Ok(()));
        assert_eq!(openers.take("web", "b", 0, (1, 100)), Ok(()));
        assert_eq!(openers.take("web", "a", 40, (1, 100)), Err(60));
    }
}
