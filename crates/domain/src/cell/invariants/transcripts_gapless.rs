//! A transcript has no gap, keeps what it had and counts right.

use super::Rule;
use super::frame::{At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::conversation::{Conversation, ITEMS_MAX, ITEMS_RESERVE};
use crate::cell::transcript::Item;
use crate::ids::ConversationId;

#[derive(Default)]
pub(super) struct TranscriptsGapless;

impl Invariant for TranscriptsGapless {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        whole.state.conversations().try_for_each(|found| {
            if adds_up(found) {
                return Ok(());
            }
            does_not(found.id)
        })
    }

    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        before.state.conversations().try_for_each(|old| {
            let new = after.state.conversation(old.id);
            match new.is_none_or(|new| new.items.begin_with(&old.items)) {
                true => Ok(()),
                false => does_not(old.id),
            }
        })
    }

    fn touched(&mut self, known: &Known, _: &At<'_>, is: &Conversation) -> Found {
        let Some(was) = known.seen(is.id.index) else {
            return Ok(());
        };
        let mut news = is.items.after(was.items).zip(was.items as u64 + 1..);
        let gapless = news.all(|(item, n)| item.sequence.0 == n);
        match is.items.len() >= was.items && gapless {
            true => Ok(()),
            false => does_not(is.id),
        }
    }
}

fn does_not(id: ConversationId) -> Found {
    let what = format!("transcript of {id} does not add up");
    broken(Rule::TranscriptsGapless, id, what)
}

fn adds_up(conversation: &Conversation) -> bool {
    let items: Vec<Item> = conversation.items.iter().collect();
    let gapless = items
        .iter()
        .zip(1_u64..)
        .all(|(item, n)| item.sequence.0 == n);
    let remarks = &conversation.remarks;
    let numbered = remarks
        .iter()
        .zip(1_u64..)
        .all(|(remark, n)| remark.number == n);
    let messages = items.iter().filter_map(|item| item.message());
    let (count, bytes) = messages.fold((0, 0), |(n, bytes), message| {
        (n + 1, bytes + message.body.bytes.len() as u64)
    });
    let noted: u64 = remarks
        .iter()
        .map(|remark| remark.body.bytes.len() as u64)
        .sum();
    let tags = items
        .iter()
        .map(|item| item.message().map_or(0, |message| message.id.tag()));
    let counts = conversation.messages == count && conversation.message_bytes == bytes + noted;
    let bounded = conversation.entries() <= ITEMS_MAX + ITEMS_RESERVE + 2;
    let tagged = tags.eq(conversation.items.tags().iter().copied());
    gapless && numbered && counts && tagged && bounded
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;

    #[test]
    fn a_transcript_that_grows_holds() {
        let (mut floor, ann, _) = busy();
        let before = floor.state().clone();
        floor.agent_says(ann, "hello");
        let mut made = Made::of(&floor);
        made.before = before;
        made.touch(ann);
        assert_eq!(made.judged_by(TranscriptsGapless), Ok(()));
        assert_eq!(whole(&TranscriptsGapless, &made.after), Ok(()));
        assert_eq!(step(&TranscriptsGapless, &made.before, &made.after), Ok(()));
    }

    #[test]
    fn a_transcript_that_loses_or_jumps_is_seen() {
        let (floor, ann, _) = busy();
        let mut made = Made::of(&floor);
        made.touch(ann);
        let found = made.after(ann);
        found.items = found.items.iter().take(found.items.len() - 1).collect();
        assert_eq!(made.breaks(), Rule::TranscriptsGapless);
        let found = step(&TranscriptsGapless, &made.before, &made.after);
        assert_eq!(rule_of(found), Some(Rule::TranscriptsGapless));
        let mut made = Made::of(&floor);
        made.touch(ann);
        let last = made.after(ann).items.last().unwrap();
        made.after(ann).items.push(&last);
        assert_eq!(made.breaks(), Rule::TranscriptsGapless);
        assert_eq!(breaks(&made.after), Rule::TranscriptsGapless);
    }

    #[test]
    fn counters_that_do_not_fit_the_items_are_seen() {
        let (floor, ann, _) = busy();
        let mut state = floor.state().clone();
        record(&mut state, ann).messages += 1;
        assert_eq!(breaks(&state), Rule::TranscriptsGapless);
        let mut state = floor.state().clone();
        record(&mut state, ann).message_bytes += 1;
        assert_eq!(breaks(&state), Rule::TranscriptsGapless);
    }
}
