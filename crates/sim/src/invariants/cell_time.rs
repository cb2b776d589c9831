//! No wall clock moves cell time: under one leader it runs no faster than the time that all clients share.

use super::Found;

/// The rule's name.
pub const RULE: &str = "no wall clock moves cell time";
/// How far cell time may be ahead of the shared time under one leader: a leader's start may be seen late, by as much as
/// all nodes that have it stand still or are down, which two faults after each other make 40 s.
const AHEAD_MS: u64 = 60_000;

/// The clock of one cell.
#[derive(Debug, Default)]
pub struct CellTime {
    /// Leaders' starts so far; when the last one was seen: cell time, shared time.
    began: (u64, u64, u64),
}

impl CellTime {
    /// After so many starts of leaders the cell's clock stands there, and the shared one at `now_ms`.
    ///
    /// # Errors
    /// When it ran faster under one leader, by more than a host stands still or is out of reach.
    pub fn at(&mut self, starts: u64, cell_ms: u64, now_ms: u64) -> Found {
        if starts != self.began.0 {
            self.began = (starts, cell_ms, now_ms);
        }
        let (_, at_first, began_ms) = self.began;
        let (ran, may) = (
            cell_ms.saturating_sub(at_first),
            now_ms.saturating_sub(began_ms) + AHEAD_MS,
        );
        if ran <= may {
            return Ok(());
        }
        let seen = format!("under one leader it ran {ran} ms and the world at most {may}");
        Err((RULE, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_ahead_under_one_leader_is_found() {
        let mut clock = CellTime::default();
        assert_eq!(clock.at(1, 1_000, 0), Ok(()));
        assert_eq!(clock.at(1, 11_000, 10_000), Ok(()));
        let (rule, _) = clock.at(1, 11_001 + AHEAD_MS, 10_000).unwrap_err();
        assert_eq!(rule, RULE);
        assert_eq!(
            clock.at(2, 500_000, 10_000),
            Ok(()),
            "a leader may begin later"
        );
    }
}
