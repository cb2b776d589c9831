//! A leader's first entry: the barrier after which everything goes on.
//! Promise: no fallible step; waiting time goes on, leases and offers get their period again.
//! Not here: comparing renewed deadlines (`meta::LeaderRecord::renewed`).

use crate::cell::command::LeaderStarted;
use crate::cell::draft::Draft;
use crate::cell::event::{Alarm, Event};
use crate::cell::meta::{RESTART_MS_MAX, SERIES_GAP_MS, SERIES_UNSTABLE};
use crate::cell::reply::Done;

pub(super) fn started(draft: &mut Draft<'_>, started: &LeaderStarted) -> Done {
    let meta = &draft.state.meta;
    let leader = &meta.leader;
    let moved_ms = if started.after_restart_of_all && meta.wall_ms > 0 {
        started
            .wall_ms
            .saturating_sub(meta.wall_ms)
            .min(RESTART_MS_MAX)
    } else {
        0
    };
    let since_ms = draft.now().plus_ms(moved_ms).since_ms(leader.started_at);
    let quick = leader.starts > 0 && since_ms < SERIES_GAP_MS;
    let series = if quick {
        leader.series.saturating_add(1)
    } else {
        1
    };
    let full = series < SERIES_UNSTABLE;
    draft.push(Event::LeaderStarted {
        series,
        full,
        without_leader_ms: started.without_leader_ms,
        moved_ms,
    });
    if series == SERIES_UNSTABLE {
        draft.push(Event::Alarm(Alarm::LeaderUnstable { starts: series }));
    }
    Done::Nothing
}
