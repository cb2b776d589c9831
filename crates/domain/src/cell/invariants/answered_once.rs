//! A request id is answered once: no message is stored twice, no answer is remembered twice, and tables are bounded.

use super::Rule;
use super::frame::{About, At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::conversation::Conversation;
use crate::cell::event::{Event, Object};
use crate::cell::requests::{REQUESTS_MAX, Remembered, Side};
use crate::cell::state::State;
use crate::cell::transcript::{Author, Item};

#[derive(Default)]
pub(super) struct AnsweredOnce;

impl Invariant for AnsweredOnce {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        let state = whole.state;
        for found in state.conversations() {
            check_messages(found)?;
            check_table(&found.requests, || found.id.into())?;
        }
        for agent in state.agents.values() {
            check_table(&agent.requests, || (&agent.name).into())?;
        }
        for queue in state.queues.values() {
            check_table(&queue.requests, || (&queue.name).into())?;
        }
        Ok(())
    }

    fn event(&mut self, _: &Known, at: &At<'_>, event: &Event) -> Found {
        match event {
            Event::Remembered { object, row } => remembered_once(at.state, object, row),
            _ => Ok(()),
        }
    }
}

/// No two messages of one writer have the same id.
fn check_messages(conversation: &Conversation) -> Found {
    let mut tags: Vec<u32> = conversation.items.tags().to_vec();
    tags.retain(|tag| *tag != 0);
    tags.sort_unstable();
    // Equal ids have equal tags, as the rule of transcripts holds: most transcripts need not be unpacked.
    if tags.windows(2).all(|pair| pair[0] != pair[1]) {
        return Ok(());
    }
    let items: Vec<Item> = conversation.items.iter().collect();
    let messages = items.iter().filter_map(|item| item.message());
    let mut ids: Vec<_> = messages
        .map(|message| (&message.id, writer(&message.author)))
        .collect();
    ids.sort_unstable();
    if ids.windows(2).all(|pair| pair[0] != pair[1]) {
        return Ok(());
    }
    let what = format!("a message of {} is stored twice", conversation.id);
    broken(Rule::AnsweredOnce, conversation.id, what)
}

/// Who wrote a message, as far as its id goes.
fn writer(author: &Author) -> (u8, &str) {
    match author {
        Author::Customer => (0, ""),
        Author::Agent(agent) => (1, agent.as_str()),
        Author::Bot => (2, ""),
        Author::Staff(staff) => (3, staff.as_str()),
        Author::Machine => (4, ""),
    }
}

fn check_table(rows: &[Remembered], whose: impl Fn() -> About) -> Found {
    for side in [Side::Customer, Side::Ours, Side::Staff] {
        let of_side = rows.iter().filter(|row| row.principal.side() == side);
        if of_side.count() > REQUESTS_MAX {
            let what = format!("the table of requests of {} is over its bound", whose());
            return broken(Rule::AnsweredOnce, whose(), what);
        }
    }
    Ok(())
}

/// An answer that is remembered stands in its table once.
fn remembered_once(state: &State, object: &Object, row: &Remembered) -> Found {
    let (rows, about) = match object {
        Object::Conversation(id) => {
            let found = state.conversation(*id);
            (found.map(|found| &found.requests), (*id).into())
        }
        Object::Agent(name) => {
            let found = state.agents.get(name);
            (found.map(|found| &found.requests), name.into())
        }
        Object::Queue(name) => {
            let found = state.queues.get(name);
            (found.map(|found| &found.requests), name.into())
        }
        Object::Customer(account, customer) => {
            let found = state.customer(account, customer);
            let last = found.and_then(|found| found.last);
            let about = last.map_or(About::Cell, About::from);
            (found.map(|found| &found.requests), about)
        }
    };
    let same = |other: &&Remembered| other.principal == row.principal && other.id == row.id;
    let times = rows.map_or(1, |rows| rows.iter().filter(same).count());
    if times <= 1 {
        return Ok(());
    }
    let what = format!("request {} is remembered {times} times", row.id);
    broken(Rule::AnsweredOnce, about, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::tests::support::rid;
    use crate::ids::ConversationId;

    fn remembered(made: &mut Made, id: ConversationId) -> Remembered {
        let row = made.after(id).requests.first().expect("the accept").clone();
        made.events = vec![Event::Remembered {
            object: Object::Conversation(id),
            row: Box::new(row.clone()),
        }];
        row
    }

    #[test]
    fn an_answer_that_is_remembered_twice_is_seen() {
        let (floor, ann, _) = busy();
        let mut made = Made::of(&floor);
        let row = remembered(&mut made, ann);
        assert_eq!(made.judged(), Ok(()), "once");
        made.after(ann).requests.push(row);
        assert_eq!(made.breaks(), Rule::AnsweredOnce);
    }

    #[test]
    fn a_message_that_is_stored_twice_is_seen() {
        let (floor, ann, _) = busy();
        let mut state = floor.state().clone();
        assert_eq!(whole(&AnsweredOnce, &state), Ok(()));
        let found = record(&mut state, ann);
        let stored = found.items.iter().find(|item| item.message().is_some());
        found.items.push(&stored.expect("hello"));
        let broken = whole(&AnsweredOnce, &state);
        assert_eq!(rule_of(broken), Some(Rule::AnsweredOnce));
    }

    #[test]
    fn a_table_over_its_bound_is_seen() {
        let (floor, ann, _) = busy();
        let mut state = floor.state().clone();
        let found = record(&mut state, ann);
        let row = found.requests.first().expect("the accept").clone();
        let more = (0..REQUESTS_MAX).map(|n| Remembered {
            id: rid(&format!("more{n}")),
            ..row.clone()
        });
        found.requests.extend(more);
        assert_eq!(breaks(&state), Rule::AnsweredOnce);
    }
}
