//! Owner epochs only grow.

use super::Rule;
use super::frame::{At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::conversation::Conversation;
use crate::ids::{ConversationId, OwnerEpoch};

#[derive(Default)]
pub(super) struct EpochsGrow;

impl Invariant for EpochsGrow {
    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        before.state.conversations().try_for_each(|old| {
            let new = after.state.conversation(old.id);
            new.map_or(Ok(()), |new| {
                check(old.id, old.owner_epoch, new.owner_epoch)
            })
        })
    }

    fn touched(&mut self, known: &Known, _: &At<'_>, is: &Conversation) -> Found {
        let was = known.seen(is.id.index);
        was.map_or(Ok(()), |was| check(is.id, was.epoch, is.owner_epoch))
    }
}

fn check(id: ConversationId, was: OwnerEpoch, is: OwnerEpoch) -> Found {
    if is >= was {
        return Ok(());
    }
    let what = format!("{id} went from epoch {was} to {is}");
    broken(Rule::EpochsGrow, id, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;

    #[test]
    fn an_epoch_that_stays_or_grows_holds() {
        let (floor, _, bob) = busy();
        let mut made = Made::of(&floor);
        made.touch(bob);
        assert_eq!(made.judged(), Ok(()));
        made.after(bob).owner_epoch.0 += 1;
        assert_eq!(made.judged_by(EpochsGrow), Ok(()));
    }

    #[test]
    fn an_epoch_that_falls_is_seen() {
        let (floor, ann, _) = busy();
        let mut made = Made::of(&floor);
        made.touch(ann);
        made.after(ann).owner_epoch = OwnerEpoch(0);
        assert_eq!(made.breaks(), Rule::EpochsGrow);
        let found = step(&EpochsGrow, &made.before, &made.after);
        assert_eq!(rule_of(found), Some(Rule::EpochsGrow));
    }
}
