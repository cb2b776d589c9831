//! Nothing moves a place in line back, and work never gets younger.

use super::Rule;
use super::frame::{At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::conversation::Conversation;
use crate::ids::CellTime;

#[derive(Default)]
pub(super) struct PlacesStay;

impl Invariant for PlacesStay {
    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        before.state.conversations().try_for_each(|old| {
            let new = after.state.conversation(old.id);
            let waits = |new: &&std::sync::Arc<Conversation>| {
                old.is_waiting() && new.is_waiting() && old.queue == new.queue
            };
            new.filter(waits)
                .map_or(Ok(()), |new| check_place(old.rank(), new))
        })
    }

    fn touched(&mut self, known: &Known, _: &At<'_>, is: &Conversation) -> Found {
        let Some(was) = known.seen(is.id.index) else {
            return Ok(());
        };
        if was.waiting && is.is_waiting() && is.queue == was.queue {
            check_place(was.rank, is)?;
        }
        match was.waiting || was.owner.is_some() {
            true => check_age(was.aged_from, is),
            false => Ok(()),
        }
    }
}

fn check_place(was: i64, is: &Conversation) -> Found {
    if is.rank() <= was {
        return Ok(());
    }
    let what = format!("{} lost its place in {}", is.id, is.queue);
    broken(Rule::PlacesStay, is.id, what)
}

/// Work that was in a line or with an agent never gets younger.
fn check_age(was: CellTime, is: &Conversation) -> Found {
    if is.aged_from <= was {
        return Ok(());
    }
    let (id, since) = (is.id, is.aged_from.0);
    let what = format!("{id} waits since {since} and not since {}", was.0);
    broken(Rule::PlacesStay, id, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;

    #[test]
    fn a_place_that_moves_back_is_seen() {
        let (floor, _, bob) = busy();
        let mut made = Made::of(&floor);
        made.touch(bob);
        assert_eq!(made.judged(), Ok(()));
        made.after(bob).aged_from.0 += 1;
        assert_eq!(made.breaks(), Rule::PlacesStay);
        let found = step(&PlacesStay, &made.before, &made.after);
        assert_eq!(rule_of(found), Some(Rule::PlacesStay));
    }

    #[test]
    fn owned_work_that_gets_younger_is_seen() {
        let (floor, ann, _) = busy();
        let mut made = Made::of(&floor);
        made.touch(ann);
        made.after(ann).aged_from.0 += 1;
        assert_eq!(made.breaks(), Rule::PlacesStay);
    }

    #[test]
    fn a_place_that_moves_on_holds() {
        let (floor, _, bob) = busy();
        let mut made = Made::of(&floor);
        made.touch(bob);
        made.after(bob).boost_ms += 10;
        assert_eq!(made.judged_by(PlacesStay), Ok(()));
        assert_eq!(step(&PlacesStay, &made.before, &made.after), Ok(()));
    }
}
