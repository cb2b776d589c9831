//! What holds in every state of a cell, and between a state and the next: one file each.
//! Promise: checked against the stored records alone, by other ways than those that keep it.
//! Not here: repairing anything.
//!
//! A rule is an `Invariant`: it is asked after each entry for what that touched, and now and then for a whole state.
//! What several of them need of earlier states stands in `known`, what one alone needs in its own file.

mod frame;
mod known;
mod leaders;
#[cfg(test)]
mod made;
pub(crate) mod plain;
mod recent;
mod rules;
mod timers;
mod watch;

mod answered_once;
mod capacity_holds;
mod deadlines_fire_once;
mod epochs_grow;
mod indexes_follow;
mod matching_ends;
mod memory_bounded;
mod nobody_abandoned;
mod nobody_idle;
mod offers_name_the_epoch;
mod one_owner_per_epoch;
mod one_state;
mod overtakes_bounded;
mod passes_hold;
mod paused_offers_nothing;
mod places_stay;
mod sealed_stays;
mod time_never_runs_back;
mod transcripts_gapless;

use super::state::State;
use answered_once::AnsweredOnce;
use capacity_holds::CapacityHolds;
use deadlines_fire_once::DeadlinesFireOnce;
use epochs_grow::EpochsGrow;
use frame::{Invariant, Whole};
use indexes_follow::IndexesFollow;
use matching_ends::MatchingEnds;
use memory_bounded::MemoryBounded;
use nobody_abandoned::NobodyAbandoned;
use nobody_idle::NobodyIdle;
use offers_name_the_epoch::OffersNameTheEpoch;
use one_owner_per_epoch::OneOwnerPerEpoch;
use one_state::OneState;
use overtakes_bounded::OvertakesBounded;
use passes_hold::PassesHold;
use paused_offers_nothing::PausedOffersNothing;
use places_stay::PlacesStay;
use sealed_stays::SealedStays;
use time_never_runs_back::TimeNeverRunsBack;
use transcripts_gapless::TranscriptsGapless;

pub use frame::{About, Violation};
pub use rules::Rule;
pub use watch::Watch;

/// Every rule, following a cell from a state on where there is one, in the order in which they are asked: the first that does not hold is named.
fn all(from: Option<&State>) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(TimeNeverRunsBack),
        Box::new(MatchingEnds::default()),
        Box::new(EpochsGrow),
        Box::new(OneOwnerPerEpoch),
        Box::new(TranscriptsGapless),
        Box::new(PlacesStay),
        Box::new(AnsweredOnce),
        Box::new(PassesHold::default()),
        Box::new(OffersNameTheEpoch),
        Box::new(from.map(DeadlinesFireOnce::of).unwrap_or_default()),
        Box::new(from.map(NobodyAbandoned::of).unwrap_or_default()),
        Box::new(PausedOffersNothing),
        Box::new(SealedStays),
        Box::new(MemoryBounded),
        Box::new(IndexesFollow),
        Box::new(OneState),
        Box::new(OvertakesBounded),
        Box::new(CapacityHolds::default()),
        Box::new(NobodyIdle),
    ]
}

/// Checks everything that holds in one state.
///
/// # Errors
/// Names the first thing that does not hold.
pub fn check_invariants(state: &State) -> Result<(), Violation> {
    let whole = Whole::of(state);
    all(None).iter().try_for_each(|rule| rule.whole(&whole))
}

/// Checks what holds between a state and a later one.
///
/// # Errors
/// Names the first thing that does not hold.
pub fn check_step(before: &State, after: &State) -> Result<(), Violation> {
    let (from, to) = (Whole::of(before), Whole::of(after));
    all(None).iter().try_for_each(|rule| rule.step(&from, &to))
}
