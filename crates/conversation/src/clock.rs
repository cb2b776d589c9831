//! Cell time as leader and followers keep it.
//! Promise: time never runs back, goes on through an election, and no step of a wall clock moves it.
//! Not here: reading a clock (`tokio::time`, at the callers), `max(now, at)` (the machine).

use domain::ids::CellTime;

/// The distance between cell time and this node's monotonic clock.
///
/// A follower keeps the largest `at - own monotonic time on arrival` seen under the present leader;
/// a leader fixes its anchor once, at its first entry, and stamps anchor + monotonic time.
#[derive(Debug, Clone, Copy, Default)]
pub struct CellClock {
    term: u64,
    offset_ms: Option<i64>,
    anchor_ms: Option<i64>,
}

impl CellClock {
    /// Notes an entry of `term` that arrived at `mono_ms` of this node's monotonic clock.
    pub fn heard(&mut self, term: u64, at: CellTime, mono_ms: u64) {
        let offset = distance_ms(at, mono_ms);
        if term != self.term {
            self.term = term;
            self.offset_ms = Some(offset);
        } else {
            self.offset_ms = Some(self.offset_ms.map_or(offset, |known| known.max(offset)));
        }
    }

    /// Fixes the anchor for a leadership that begins at `mono_ms` on a state at `now`.
    pub fn lead(&mut self, now: CellTime, mono_ms: u64) {
        let floor = distance_ms(now, mono_ms);
        self.anchor_ms = Some(self.offset_ms.map_or(floor, |known| known.max(floor)));
    }

    /// The time to stamp at `mono_ms`; before [`Self::lead`] it is what a follower believes.
    pub fn stamp(&self, mono_ms: u64) -> CellTime {
        let distance = self.anchor_ms.or(self.offset_ms).unwrap_or(0);
        let mono = i64::try_from(mono_ms).unwrap_or(i64::MAX);
        CellTime(u64::try_from(mono.saturating_add(distance)).unwrap_or(0))
    }
}

fn distance_ms(at: CellTime, mono_ms: u64) -> i64 {
    let at = i64::try_from(at.0).unwrap_or(i64::MAX);
    let mono = i64::try_from(mono_ms).unwrap_or(i64::MAX);
    at.saturating_sub(mono)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_leader_goes_on_where_the_old_one_was_plus_the_time_between() {
        let mut clock = CellClock::default();
        clock.heard(1, CellTime(10_000), 500);
        clock.heard(1, CellTime(10_100), 700); // arrived late: a smaller distance
        clock.lead(CellTime(10_100), 2_000);
        assert_eq!(clock.stamp(2_000), CellTime(11_500));
        assert_eq!(clock.stamp(2_250), CellTime(11_750));
    }

    #[test]
    fn a_first_leader_without_history_starts_at_the_state_s_time() {
        let mut clock = CellClock::default();
        clock.lead(CellTime(0), 9_000);
        assert_eq!(clock.stamp(9_000), CellTime(0));
        assert_eq!(clock.stamp(9_010), CellTime(10));
    }

    #[test]
    fn a_restarted_node_never_stamps_before_its_state() {
        let mut clock = CellClock::default();
        clock.heard(3, CellTime(50_000), 40); // the log is read again at once after the start
        clock.heard(3, CellTime(90_000), 41);
        clock.lead(CellTime(90_000), 1_041);
        assert_eq!(clock.stamp(1_041), CellTime(91_000));
    }

    #[test]
    fn another_leader_s_distance_is_not_kept() {
        let mut clock = CellClock::default();
        clock.heard(1, CellTime(99_000), 0);
        clock.heard(2, CellTime(99_010), 500);
        clock.lead(CellTime(99_010), 600);
        assert_eq!(clock.stamp(600), CellTime(99_110));
    }
}
