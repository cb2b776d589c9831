//! What a leader proposes for the cell itself: its first entry, the machine version, the buckets.
//! Promise: no fallible step; versions and buckets only grow; the first entry gives leases and
//! offers their period again, and waiting time goes on.
//! Not here: comparing renewed deadlines (`meta::LeaderRecord::renewed`).

use std::sync::Arc;

use mutants::{Mutant, planted};

use crate::cell::command::LeaderStarted;
use crate::cell::draft::Draft;
use crate::cell::event::{Alarm, Event};
use crate::cell::homes::HeldBuckets;
use crate::cell::meta::{RESTART_MS_MAX, SERIES_GAP_MS, SERIES_UNSTABLE};
use crate::cell::reply::Done;
use crate::ids::MachineVersion;

pub(super) fn started(draft: &mut Draft<'_>, started: &LeaderStarted) -> Done {
    let meta = &draft.state.meta;
    let leader = &meta.leader;
    let moved_ms = if started.after_restart_of_all && meta.wall_ms > 0 {
        // What cell time has moved by itself since the last entry is no part of what is missing.
        started
            .wall_ms
            .saturating_sub(meta.wall_ms)
            .min(RESTART_MS_MAX)
            .saturating_sub(started.without_leader_ms)
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
    if planted(Mutant::LeaderExpiresOffers) {
        super::offer::lapse_all(draft);
    }
    if series == SERIES_UNSTABLE {
        draft.push(Event::Alarm(Alarm::LeaderUnstable { starts: series }));
    }
    Done::Nothing
}

/// Brings a machine version into force, unless it or a newer one is.
pub(super) fn raise(draft: &mut Draft<'_>, version: MachineVersion) -> Done {
    if version > draft.state.meta.version {
        draft.push(Event::VersionRaised { version });
    }
    Done::Nothing
}

/// Adds buckets to those that the cell holds.
pub(super) fn hold_buckets(draft: &mut Draft<'_>, buckets: &Arc<HeldBuckets>) -> Done {
    let held = draft.state.meta.buckets.as_deref();
    if held.is_none_or(|held| !held.includes(buckets)) {
        draft.push(Event::BucketsHeld {
            buckets: buckets.clone(),
        });
    }
    Done::Nothing
}
