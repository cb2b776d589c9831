//! What a conversation holds is bounded, whatever it is, and what may be forgotten is forgotten.

use std::sync::Arc;

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::{Conversation, Ending, ITEMS_MAX, ITEMS_RESERVE, Phase};
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, Reply};
use crate::cell::requests::REQUEST_KEPT_MS;
use crate::cell::state::CONVERSATIONS_MAX;
use crate::cell::transcript::ItemKind;
use crate::cell::{Cell, Part, Planted};
use crate::ids::*;

/// One entry without the checks of every invariant, which would take long for thousands.
fn quick(floor: &mut Floor, command: Command) -> Reply {
    floor.index += 1;
    let entry = Entry {
        at: CellTime(floor.at),
        wall_ms: 1,
        command,
    };
    floor.cell.apply(LogIndex(floor.index), &entry).reply
}

fn attach(floor: &mut Floor, id: ConversationId) {
    let presence = CustomerPresence {
        conversation: id,
        attached: true,
        our_fault: false,
    };
    floor.ask(Command::CustomerPresence(presence)).unwrap();
}

/// Fills a conversation with messages of its customer.
fn fill(floor: &mut Floor, id: ConversationId) {
    while !floor.conversation(id).is_full() {
        let send = floor.send_command(id, Actor::Customer, "m");
        quick(floor, Command::Send(send)).unwrap();
    }
}

fn last_episode(floor: &Floor, id: ConversationId) -> &Conversation {
    let mut found = floor.conversation(id);
    while let Some(next) = found.continued_to {
        found = floor.conversation(next);
    }
    found
}

#[test]
fn an_agent_who_holds_and_resumes_for_ever_fills_no_conversation() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let first = floor.active("zoe");
    for _ in 0..ITEMS_MAX {
        // Slowly enough that no table of requests is full.
        floor.at += 11_000;
        let id = last_episode(&floor, first).id;
        let act = floor.actor(id, "ana");
        let act = floor.act(first, act);
        let command = match floor.phase(id) {
            Phase::Active(_) => Command::Hold(act),
            Phase::OnHold(_) => Command::Resume(act),
            other => panic!("{other:?}"),
        };
        quick(&mut floor, command).unwrap();
    }
    let old = floor.conversation(first);
    assert!(matches!(&old.phase, Phase::Closed(closed) if closed.how == Ending::Continued));
    assert!(old.items.len() <= ITEMS_MAX + 1);
    let next = last_episode(&floor, first);
    assert_eq!(next.previous, Some(first));
    assert_eq!(next.phase.owner(), Some(&agent("ana")));
    let units = if matches!(next.phase, Phase::Active(_)) {
        25
    } else {
        0
    };
    assert_eq!(floor.used("ana"), units);
    crate::cell::invariants::check_invariants(floor.state()).unwrap();
}

#[test]
fn a_cell_that_keeps_all_it_may_begins_nothing_and_goes_on_with_what_it_has() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.cell.plant(Planted::Full);
    let begun = floor.open_command("yan");
    let refused = quick(&mut floor, Command::Open(begun));
    assert!(
        matches!(refused, Err(Refusal::CellFull { limit, retry_after_ms })
            if limit == CONVERSATIONS_MAX && retry_after_ms > 0),
        "{refused:?}"
    );
    let again = floor.open_command("zoe");
    let joined = quick(&mut floor, Command::Open(again));
    assert!(matches!(joined, Ok(Done::Opened(opened)) if opened.conversation == id));
}

#[test]
fn a_transfer_of_a_full_conversation_takes_place_in_the_next_episode_with_its_place() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    fill(&mut floor, id);
    let (aged_from, by) = (floor.conversation(id).aged_from, floor.owner_actor(id));
    floor
        .transfer(id, by, Target::Queue(queue("billing")))
        .unwrap();
    let next = last_episode(&floor, id);
    assert_ne!(next.id, id);
    assert_eq!(
        (&next.queue, next.aged_from),
        (&queue("billing"), aged_from)
    );
    assert!(next.items.len() < 5);
}

#[test]
fn remarks_count_like_items_and_are_refused_in_a_full_conversation() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let note = |floor: &mut Floor| {
        floor.at += 11_000;
        let note = Note {
            conversation: id,
            request_id: floor.fresh(),
            author: Actor::Staff { staff: staff() },
            body: Body::clear("x"),
        };
        quick(floor, Command::Note(note))
    };
    while !floor.conversation(id).is_full() {
        note(&mut floor).unwrap();
    }
    assert_eq!(floor.conversation(id).entries(), ITEMS_MAX);
    let refused = Err(Refusal::FieldTooLong {
        field: "conversation",
        limit: ITEMS_MAX as u64,
    });
    assert_eq!(note(&mut floor), refused);
    assert_ne!(floor.customer_says(id, "still heard").conversation, id);
}

#[test]
fn what_happens_without_an_act_of_anybody_is_written_within_a_reserve_and_then_takes_place_unwritten()
 {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    attach(&mut floor, id);
    fill(&mut floor, id);
    floor.log_in("ana");
    for _ in 0..ITEMS_RESERVE {
        floor.accept(id);
        // No first reply: back to its place, and the same agent may have it again.
        floor.wait_ms(120_000);
    }
    let found = floor.conversation(id);
    assert_eq!(found.items.len(), ITEMS_MAX + ITEMS_RESERVE);
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
    floor.close_by(id, Actor::Staff { staff: staff() }).unwrap();
    let last = floor.conversation(id).items.last().unwrap();
    assert!(matches!(last.kind, ItemKind::Closed { .. }));
}

#[test]
fn the_reasons_of_a_close_and_of_a_decline_are_kept() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let decline = Decline {
        request_id: floor.fresh(),
        offer: floor.offer_ref(id),
        reason: "wrong team".into(),
    };
    floor.ask(Command::Decline(decline)).unwrap();
    let receipts = &floor.conversation(id).receipts;
    assert_eq!(receipts[0].declined.as_deref(), Some("wrong team"));
    let active = floor.active("yan");
    let close = Close {
        conversation: active,
        request_id: floor.fresh(),
        by: floor.owner_actor(active),
        reason: "solved".into(),
        wrap_up: false,
    };
    floor.ask(Command::Close(close)).unwrap();
    let mut items = floor.conversation(active).items.iter();
    let reason = items.find_map(|item| match item.kind {
        ItemKind::Closed { reason, .. } => reason,
        _ => None,
    });
    assert_eq!(reason.as_deref(), Some("solved"));
}

#[test]
fn ten_minutes_after_its_end_a_conversation_remembers_messages_and_no_other_request() {
    let mut floor = Floor::new();
    let open = floor.open_command("zoe");
    let id = floor.opened(open.clone()).conversation;
    let said = floor.send_command(id, Actor::Customer, "said");
    let Ok(Done::Sent(sent)) = floor.ask(Command::Send(said.clone())) else {
        panic!("refused")
    };
    floor.close_by(id, Actor::Customer).unwrap();
    let rows = |floor: &Floor| {
        let found = floor.conversation(id);
        let customer = floor.state().customer(&found.account, &found.customer);
        (found.requests.len(), customer.unwrap().requests.len())
    };
    floor.wait_ms(REQUEST_KEPT_MS - 1);
    assert_eq!(rows(&floor), (1, 1), "nothing younger is lost");
    floor.wait_ms(1);
    assert_eq!(rows(&floor), (0, 0));
    assert_eq!(floor.conversation(id).deadline, None);
    assert_eq!(floor.ask(Command::Send(said)), Ok(Done::Sent(sent)));
    assert_eq!(
        floor.opened(open).conversation,
        id,
        "its message's id stays"
    );
}

#[test]
fn a_rating_within_that_time_makes_it_rest_for_another_ten_minutes() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.close_by(id, Actor::Customer).unwrap();
    floor.wait_ms(REQUEST_KEPT_MS - 5);
    let rate = Rate {
        conversation: id,
        request_id: floor.fresh(),
        score: 5,
        comment: String::new(),
    };
    floor.ask(Command::Rate(rate)).unwrap();
    assert_eq!(floor.conversation(id).requests.len(), 2, "close and rating");
    floor.wait_ms(REQUEST_KEPT_MS - 1);
    assert!(!floor.conversation(id).is_sealed());
    floor.wait_ms(1);
    assert!(floor.conversation(id).is_sealed());
    assert!(floor.conversation(id).requests.is_empty());
}

/// The greeting's place in memory, in the transcript and in the customer's remembered answer.
fn greetings(cell: &Cell, id: ConversationId) -> Vec<*const u8> {
    let found = cell.conversation(id).unwrap();
    let notices = found.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Notice { text, .. } => Some(text.as_ptr()),
        _ => None,
    });
    let customer = cell.state().customer(&found.account, &found.customer);
    let rows = customer.unwrap().requests.iter();
    let answers = rows.filter_map(|row| match &row.done {
        Done::Opened(opened) => Some(opened.text.as_ptr()),
        _ => None,
    });
    notices.chain(answers).collect()
}

#[test]
fn a_greeting_is_kept_once_however_many_customers_read_it() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let (one, two) = (floor.open("zoe"), floor.open("yan"));
    let plan = floor.state().plan().unwrap().clone();
    let kept = plan.queues[&queue("sales")].texts.greeting.as_ptr();
    for id in [one, two] {
        assert_eq!(greetings(&floor.cell, id), [kept, kept]);
    }
}

#[test]
fn a_cell_that_was_read_shares_names_and_greetings_as_the_one_that_was_written() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    // As a snapshot is read: every conversation has names, items and texts of its own.
    let frozen = floor.cell.freeze();
    let parts = frozen.parts().map(|part| match part {
        Part::Conversation(found) => {
            let mut own = Conversation::clone(&found);
            own.queue = QueueId::new(own.queue.as_str()).unwrap();
            own.customer = CustomerKey::new(own.customer.as_str()).unwrap();
            let items = found.items.iter().map(|mut item| {
                if let ItemKind::Notice { text, .. } = &mut item.kind {
                    *text = Arc::from(&**text);
                }
                item
            });
            own.items = items.collect();
            Part::Conversation(Arc::new(own))
        }
        other => other,
    });
    let read = Cell::from_parts(parts).unwrap();
    assert!(read == floor.cell);
    let plan = read.state().plan().unwrap();
    let (known, rules) = plan.queues.get_key_value(&queue("sales")).unwrap();
    let found = read.conversation(id).unwrap();
    assert_eq!(found.queue.as_str().as_ptr(), known.as_str().as_ptr());
    let customer = read.state().customer(&found.account, &found.customer);
    let customer = customer.unwrap().customer.as_str().as_ptr();
    assert_eq!(found.customer.as_str().as_ptr(), customer);
    assert_eq!(greetings(&read, id)[0], rules.texts.greeting.as_ptr());
}
