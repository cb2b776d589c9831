//! In one owner epoch of a conversation at most one agent owns it.

use super::Rule;
use super::frame::{At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::conversation::Conversation;
use crate::ids::{AgentId, OwnerEpoch};

#[derive(Default)]
pub(super) struct OneOwnerPerEpoch;

impl Invariant for OneOwnerPerEpoch {
    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        before.state.conversations().try_for_each(|old| {
            let new = after.state.conversation(old.id);
            new.map_or(Ok(()), |new| {
                check((old.phase.owner(), old.owner_epoch), new)
            })
        })
    }

    fn touched(&mut self, known: &Known, _: &At<'_>, is: &Conversation) -> Found {
        let was = known.seen(is.id.index);
        was.map_or(Ok(()), |was| check((was.owner.as_ref(), was.epoch), is))
    }
}

fn check((was, epoch): (Option<&AgentId>, OwnerEpoch), is: &Conversation) -> Found {
    let owner = is.phase.owner();
    if owner.is_none() || owner == was || is.owner_epoch != epoch {
        return Ok(());
    }
    let what = format!("{} has another owner in epoch {epoch}", is.id);
    broken(Rule::OneOwnerPerEpoch, is.id, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::conversation::{Active, Phase};
    use crate::cell::tests::support::agent;

    #[test]
    fn another_owner_in_the_same_epoch_is_seen_and_in_the_next_one_not() {
        let (floor, ann, _) = busy();
        let mut made = Made::of(&floor);
        made.touch(ann);
        assert_eq!(made.judged_by(OneOwnerPerEpoch), Ok(()));
        let Phase::Active(active) = made.after(ann).phase.clone() else {
            panic!("ana has it")
        };
        made.after(ann).phase = Phase::Active(Active {
            agent: agent("ben"),
            ..active
        });
        assert_eq!(made.breaks(), Rule::OneOwnerPerEpoch);
        let found = step(&OneOwnerPerEpoch, &made.before, &made.after);
        assert_eq!(rule_of(found), Some(Rule::OneOwnerPerEpoch));
        made.after(ann).owner_epoch.0 += 1;
        assert_eq!(made.judged_by(OneOwnerPerEpoch), Ok(()));
        assert_eq!(step(&OneOwnerPerEpoch, &made.before, &made.after), Ok(()));
    }
}
