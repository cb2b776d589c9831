//! Which duties are due, decided from plain facts.
//! Promise: at most one entry of each kind is under way.
//! Not here: proposing (`run`).

use domain::cell::version::{BUCKETS_SINCE, FIRST_VERSION, NEWEST_VERSION};
use domain::ids::{CellTime, MachineVersion, PlanVersion};
use mutants::{Mutant, planted};

/// What the leader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Cell time by the leader's clock.
    pub(crate) now: CellTime,
    /// The first deadline of the state.
    pub(crate) deadline: Option<CellTime>,
    /// Matches are left.
    pub(crate) more_due: bool,
    /// The plan that the cell has in force.
    pub(crate) adopted: PlanVersion,
    /// The newest plan of the control group.
    pub(crate) newest: PlanVersion,
    /// The machine version in force.
    pub(crate) version: MachineVersion,
    /// The newest machine version that every voter's program knows.
    pub(crate) known: MachineVersion,
    /// The cell is to hold buckets of which it does not know.
    pub(crate) buckets_due: bool,
    /// Archives hold more than has left.
    pub(crate) archived_due: bool,
}

/// Kinds of duties; one entry of each at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duty {
    /// Go on matching, ahead of other work.
    MatchMore,
    /// Bring the newest machine version into force that every voter's program knows.
    RaiseVersion,
    /// Tell the cell which buckets it holds.
    HoldBuckets,
    /// Bring the newest plan into force.
    AdoptPlan,
    /// Fire due deadlines.
    Tick,
    /// Let go what archives hold.
    Archived,
}

/// Duties that are due and not under way, in the order in which they are proposed.
pub(crate) fn due(facts: Facts, under_way: &[Duty]) -> Vec<Duty> {
    let mut duties = Vec::new();
    if facts.more_due {
        duties.push(Duty::MatchMore);
    }
    if facts.known > facts.version {
        duties.push(Duty::RaiseVersion);
    }
    if facts.buckets_due && facts.version >= BUCKETS_SINCE {
        duties.push(Duty::HoldBuckets);
    }
    if facts.newest > facts.adopted {
        duties.push(Duty::AdoptPlan);
    }
    let due = facts.deadline.is_some_and(|deadline| deadline <= facts.now);
    if due && !planted(Mutant::TickNever) {
        duties.push(Duty::Tick);
    }
    if facts.archived_due {
        duties.push(Duty::Archived);
    }
    duties.retain(|duty| !under_way.contains(duty));
    duties
}

/// The newest machine version that the programs of all these nodes know, and this one; one that is
/// not known counts as the oldest.
pub(crate) fn known_to_all(
    versions: impl IntoIterator<Item = Option<MachineVersion>>,
) -> MachineVersion {
    let known = versions
        .into_iter()
        .map(|version| version.unwrap_or(FIRST_VERSION))
        .min();
    known.unwrap_or(FIRST_VERSION).min(NEWEST_VERSION)
}

/// Milliseconds until the first deadline; `None` without one.
pub(crate) fn sleep_ms(facts: Facts) -> Option<u64> {
    facts.deadline.map(|deadline| deadline.since_ms(facts.now))
}

/// How the quorum lease of a leader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// Confirmed lately.
    Held,
    /// Not confirmed for so many milliseconds: streams are told.
    Lapsed { since_ms: u64 },
    /// Not confirmed for an election time-out: streams are ended.
    Lost,
}

/// Judges the quorum lease from when it was last held.
pub(crate) fn quorum(ok: bool, last_ok_ms: u64, now_ms: u64, limit_ms: u64) -> Quorum {
    let since_ms = now_ms.saturating_sub(last_ok_ms);
    if ok {
        Quorum::Held
    } else if since_ms < limit_ms {
        Quorum::Lapsed { since_ms }
    } else {
        Quorum::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Facts = Facts {
        now: CellTime(1_000),
        deadline: None,
        more_due: false,
        adopted: PlanVersion(3),
        newest: PlanVersion(3),
        version: FIRST_VERSION,
        known: FIRST_VERSION,
        buckets_due: false,
        archived_due: false,
    };

    #[test]
    fn nothing_is_due_in_an_idle_cell() {
        assert_eq!(due(IDLE, &[]), []);
        assert_eq!(sleep_ms(IDLE), None);
    }

    #[test]
    fn matching_goes_ahead_of_a_plan_and_a_plan_ahead_of_deadlines() {
        let facts = Facts {
            more_due: true,
            newest: PlanVersion(4),
            deadline: Some(CellTime(1_000)),
            ..IDLE
        };
        assert_eq!(
            due(facts, &[]),
            [Duty::MatchMore, Duty::AdoptPlan, Duty::Tick]
        );
        assert_eq!(
            due(facts, &[Duty::AdoptPlan]),
            [Duty::MatchMore, Duty::Tick]
        );
    }

    #[test]
    fn a_deadline_is_not_due_early_and_an_older_plan_is_never_adopted() {
        let facts = Facts {
            deadline: Some(CellTime(1_001)),
            newest: PlanVersion(2),
            ..IDLE
        };
        assert_eq!(due(facts, &[]), []);
        assert_eq!(sleep_ms(facts), Some(1));
    }

    #[test]
    fn a_version_is_raised_when_every_voters_program_knows_it_and_never_beyond_our_own() {
        let two = Some(MachineVersion(2));
        assert_eq!(known_to_all([two, two, two]), MachineVersion(2));
        assert_eq!(known_to_all([two, Some(MachineVersion(1))]), FIRST_VERSION);
        assert_eq!(known_to_all([two, None]), FIRST_VERSION);
        assert_eq!(known_to_all([]), FIRST_VERSION);
        let newer = Some(MachineVersion(NEWEST_VERSION.0 + 1));
        assert_eq!(known_to_all([newer, newer]), NEWEST_VERSION);
        let facts = Facts {
            known: MachineVersion(2),
            ..IDLE
        };
        assert_eq!(due(facts, &[]), [Duty::RaiseVersion]);
    }

    #[test]
    fn what_archives_hold_is_let_go_after_everything_that_somebody_waits_for() {
        let facts = Facts {
            archived_due: true,
            deadline: Some(CellTime(1_000)),
            ..IDLE
        };
        assert_eq!(due(facts, &[]), [Duty::Tick, Duty::Archived]);
    }

    #[test]
    fn buckets_are_told_only_under_a_version_that_knows_them() {
        let facts = Facts {
            buckets_due: true,
            ..IDLE
        };
        assert_eq!(due(facts, &[]), []);
        let raised = Facts {
            version: BUCKETS_SINCE,
            known: BUCKETS_SINCE,
            ..facts
        };
        assert_eq!(due(raised, &[]), [Duty::HoldBuckets]);
    }

    #[test]
    fn a_quorum_lease_lapses_and_is_lost_after_one_election_time_out() {
        assert_eq!(quorum(true, 0, 5_000, 300), Quorum::Held);
        assert_eq!(
            quorum(false, 1_000, 1_100, 300),
            Quorum::Lapsed { since_ms: 100 }
        );
        assert_eq!(quorum(false, 1_000, 1_300, 300), Quorum::Lost);
    }
}
