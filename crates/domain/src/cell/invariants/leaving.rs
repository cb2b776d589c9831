//! What has left the state for the archives.
//! Promise: checked against the stored records alone.
//! Not here: the archives (`store`).

use super::Violation;
use crate::cell::conversation::{Conversation, Phase};
use crate::cell::state::State;
use crate::ids::LogIndex;

/// Whether a conversation left the state as it may: sealed, and by an entry that the archives hold.
pub(super) fn has_left(old: &Conversation, after: &State) -> bool {
    let Phase::Closed(closed) = &old.phase else {
        return false;
    };
    closed
        .sealed
        .is_some_and(|sealed| sealed <= after.meta.archive.upto)
}

/// What is remembered of the archives: ranges without gap or overlap, and nothing of them still here.
pub(super) fn check_archive(state: &State) -> Result<(), Violation> {
    let archive = &state.meta.archive;
    let joined = archive
        .ranges
        .windows(2)
        .all(|two| two[0].upto == two[1].after && two[0].day < two[1].day);
    let last = archive.ranges.last();
    let ends = last.is_none_or(|range| range.upto == archive.upto && range.after < range.upto);
    let left_behind = state.sealed_between(LogIndex(0), archive.upto, 1);
    if joined && ends && left_behind.is_empty() {
        Ok(())
    } else {
        Err(Violation::Archive)
    }
}
