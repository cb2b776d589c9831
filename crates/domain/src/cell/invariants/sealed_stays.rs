//! What was sealed never changes and leaves only for archives that have it.

use super::Rule;
use super::frame::{About, Found, Invariant, Whole, broken};
use crate::cell::conversation::{Conversation, Phase};
use crate::cell::state::State;
use crate::ids::LogIndex;

#[derive(Default)]
pub(super) struct SealedStays;

impl Invariant for SealedStays {
    /// What is remembered of the archives: ranges without gap or overlap, and nothing of them still here.
    fn whole(&self, whole: &Whole<'_>) -> Found {
        let archive = &whole.state.meta.archive;
        let joined = archive
            .ranges
            .windows(2)
            .all(|two| two[0].upto == two[1].after && two[0].day < two[1].day);
        let last = archive.ranges.last();
        let ends = last.is_none_or(|range| range.upto == archive.upto && range.after < range.upto);
        let left_behind = whole.state.sealed_between(LogIndex(0), archive.upto, 1);
        if joined && ends && left_behind.is_empty() {
            return Ok(());
        }
        let what = "the ranges that have left for the archives do not add up";
        broken(Rule::SealedStays, About::Cell, what)
    }

    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        before.state.conversations().try_for_each(|old| {
            let fails =
                |what: &str| broken(Rule::SealedStays, old.id, format!("{} {what}", old.id));
            match after.state.conversation(old.id) {
                None if has_left(old, after.state) => Ok(()),
                None => fails("is gone and no archive has it"),
                Some(new) if old.is_sealed() && new != old => {
                    fails("changed after it was sealed for the archive")
                }
                Some(_) => Ok(()),
            }
        })
    }
}

/// Whether a conversation left the state as it may: sealed, and by an entry that the archives hold.
fn has_left(old: &Conversation, after: &State) -> bool {
    let Phase::Closed(closed) = &old.phase else {
        return false;
    };
    closed
        .sealed
        .is_some_and(|sealed| sealed <= after.meta.archive.upto)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::command::Command;
    use crate::cell::tests::support::*;
    use crate::ids::ConversationId;

    /// A floor on which the conversation of ann has ended and was sealed.
    fn sealed() -> (Floor, ConversationId) {
        let mut floor = Floor::new();
        let ann = floor.open("ann");
        floor.close_by(ann, supervisor()).unwrap();
        floor.wait_ms(crate::cell::requests::REQUEST_KEPT_MS * 2);
        assert!(floor.conversation(ann).is_sealed());
        (floor, ann)
    }

    #[test]
    fn what_leaves_for_an_archive_holds() {
        let (mut floor, _) = sealed();
        let command = Command::ArchivedUpto(floor.archived_command());
        let made = Made::apply(&mut floor, command);
        assert_eq!(made.judged(), Ok(()));
        assert_eq!(step(&SealedStays, &made.before, &made.after), Ok(()));
        assert_eq!(whole(&SealedStays, &made.after), Ok(()));
    }

    #[test]
    fn what_leaves_for_no_archive_is_seen() {
        let (floor, ann) = sealed();
        let mut after = floor.state().clone();
        after.conversations.remove(&ann.index);
        let found = step(&SealedStays, floor.state(), &after);
        assert_eq!(rule_of(found), Some(Rule::SealedStays));
    }

    #[test]
    fn a_sealed_record_that_changes_is_seen() {
        let (floor, ann) = sealed();
        let mut after = floor.state().clone();
        record(&mut after, ann).handled_ms += 1;
        let found = step(&SealedStays, floor.state(), &after);
        assert_eq!(rule_of(found), Some(Rule::SealedStays));
    }

    #[test]
    fn a_range_that_left_something_behind_is_seen() {
        let (mut floor, _) = sealed();
        let command = Command::ArchivedUpto(floor.archived_command());
        let before = floor.state().clone();
        floor.ask(command).unwrap();
        let mut state = before;
        state.meta.archive = floor.state().meta.archive.clone();
        let found = whole(&SealedStays, &state);
        assert_eq!(rule_of(found), Some(Rule::SealedStays));
    }
}
