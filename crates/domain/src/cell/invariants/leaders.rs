//! The time that leaders' starts have given back, followed from the events.
//! Promise: computed beside the machine's own record of leaders and never from it, but where the watch begins.
//! Not here: what is due (`timers`).

use crate::cell::event::Event;
use crate::cell::meta::EXTENSIONS_MAX;
use crate::cell::state::State;
use crate::ids::CellTime;

/// Leaders' starts.
#[derive(Debug, Default, Clone)]
pub(super) struct Leaders {
    /// The last start.
    pub(super) started_at: Option<CellTime>,
    /// The last one that gave every period again.
    pub(super) full_since: CellTime,
    /// Those since then, with the time without a leader before each.
    given: Vec<(CellTime, u64)>,
}

impl Leaders {
    /// What a state remembers.
    pub(super) fn of(state: &State) -> Self {
        let leader = &state.meta.leader;
        let given = leader.extensions.iter().map(|given| (given.at, given.ms));
        Self {
            started_at: (leader.starts > 0).then_some(leader.started_at),
            full_since: leader.full_since,
            given: given.collect(),
        }
    }

    /// Follows an event of an entry after which cell time is `now`.
    pub(super) fn follow(&mut self, event: &Event, now: CellTime) {
        let Event::LeaderStarted {
            full,
            without_leader_ms,
            moved_ms,
            ..
        } = event
        else {
            return;
        };
        self.started_at = Some(now);
        if *full {
            self.full_since = now;
            self.given.clear();
            return;
        }
        self.given
            .push((now, without_leader_ms.saturating_add(*moved_ms)));
        if self.given.len() > EXTENSIONS_MAX {
            // Of very many the machine adds the first to the next: whoever began between them gets more.
            let (_, first) = self.given.remove(0);
            self.given[0].1 = self.given[0].1.saturating_add(first);
        }
    }

    /// When something is due that began then and lasts so long while there is a leader.
    pub(super) fn due(&self, since: CellTime, period_ms: u64) -> CellTime {
        let base = since.max(self.full_since);
        let given = self.given.iter().filter(|(at, _)| *at > base);
        given.fold(base.plus_ms(period_ms), |due, (_, ms)| due.plus_ms(*ms))
    }

    /// Whether a leader has started since then.
    pub(super) fn started_since(&self, then: CellTime) -> bool {
        self.started_at.is_some_and(|at| at >= then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(full: bool, without_leader_ms: u64) -> Event {
        Event::LeaderStarted {
            series: 1,
            full,
            without_leader_ms,
            moved_ms: 0,
        }
    }

    #[test]
    fn a_start_gives_the_whole_period_again_or_the_time_without_a_leader() {
        let mut leaders = Leaders::default();
        assert_eq!(leaders.due(CellTime(10), 100), CellTime(110));
        leaders.follow(&start(true, 7), CellTime(50));
        assert_eq!(leaders.due(CellTime(10), 100), CellTime(150));
        leaders.follow(&start(false, 7), CellTime(60));
        assert_eq!(leaders.due(CellTime(10), 100), CellTime(157));
        assert_eq!(
            leaders.due(CellTime(60), 100),
            CellTime(160),
            "began after it"
        );
        assert!(leaders.started_since(CellTime(60)) && !leaders.started_since(CellTime(61)));
    }
}
