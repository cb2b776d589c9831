//! The same request twice.

use super::support::*;
use crate::cell::command::*;
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::ids::*;

#[test]
fn the_same_message_id_gives_the_first_answer_and_changes_nothing_also_after_closing() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let send = floor.send_command(id, Actor::Customer, "once");
    let first = floor.ask(Command::Send(send.clone()));
    floor.at += 5_000;
    assert_eq!(floor.ask(Command::Send(send.clone())), first);
    floor.close_by(id, supervisor()).unwrap();
    floor.wait_ms(86_400_000);
    assert_eq!(floor.ask(Command::Send(send)), first);
    assert_eq!(floor.texts(id), ["hello", "once"]);
}

#[test]
fn an_id_used_with_another_content_is_refused() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let send = floor.send_command(id, Actor::Customer, "once");
    floor.ask(Command::Send(send.clone())).unwrap();
    let other = Send {
        body: Body::clear("twice"),
        ..send.clone()
    };
    let refused = floor.ask(Command::Send(other));
    assert_eq!(
        refused,
        Err(Refusal::RequestIdReused {
            request_id: send.request_id
        })
    );
    let open = floor.open_command("yan");
    floor.opened(open.clone());
    let mut other = open;
    other.display_name = "Somebody else".into();
    assert!(matches!(
        floor.ask(Command::Open(other)),
        Err(Refusal::RequestIdReused { .. })
    ));
}

#[test]
fn the_same_open_gives_the_first_answer_also_after_closing() {
    let mut floor = Floor::new();
    let open = floor.open_command("zoe");
    let first = floor.ask(Command::Open(open.clone()));
    assert_eq!(floor.ask(Command::Open(open.clone())), first);
    let Ok(Done::Opened(opened)) = &first else {
        panic!("{first:?}")
    };
    floor.close_by(opened.conversation, supervisor()).unwrap();
    assert_eq!(floor.ask(Command::Open(open.clone())), first);
    floor.wait_ms(3_600_000);
    let other = floor.open_command("zoe");
    floor.opened(other);
    let Ok(Done::Opened(again)) = floor.ask(Command::Open(open)) else {
        panic!("refused")
    };
    assert_eq!(
        again.conversation, opened.conversation,
        "known by its message two episodes later"
    );
}

#[test]
fn an_open_with_a_message_is_known_by_its_message_after_ten_minutes() {
    let mut floor = Floor::new();
    let open = floor.open_command("zoe");
    let first = floor.opened(open.clone());
    floor.close_by(first.conversation, supervisor()).unwrap();
    floor.wait_ms(601_000);
    let again = floor.opened(open);
    assert_eq!(
        (again.conversation, again.sequence),
        (first.conversation, first.sequence)
    );
}

#[test]
fn the_same_id_of_another_principal_is_another_request() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let mine = floor.send_command(id, Actor::Customer, "mine");
    floor.ask(Command::Send(mine.clone())).unwrap();
    let theirs = Send {
        author: floor.owner_actor(id),
        body: Body::clear("theirs"),
        ..mine
    };
    floor.ask(Command::Send(theirs)).unwrap();
    assert_eq!(floor.texts(id), ["hello", "mine", "theirs"]);
}

#[test]
fn a_refusal_is_not_remembered_and_a_copy_is_judged_anew() {
    let mut floor =
        Floor::with(|plan| plan.queues.get_mut(&queue("sales")).unwrap().waiting_max = 1);
    let first = floor.open("a");
    let open = floor.open_command("b");
    assert!(floor.ask(Command::Open(open.clone())).is_err());
    floor.close_by(first, supervisor()).unwrap();
    assert!(floor.ask(Command::Open(open)).is_ok());
}

#[test]
fn a_full_table_refuses_with_a_hint_and_never_fills_another_side() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let note = |floor: &mut Floor, author| {
        let request_id = floor.fresh();
        floor.ask(Command::Note(Note {
            conversation: id,
            request_id,
            author,
            body: Body::clear("n"),
        }))
    };
    // The accept took the first row of our side.
    for n in 1..64 {
        floor.at += 1_000;
        let author = floor.owner_actor(id);
        note(&mut floor, author).unwrap_or_else(|no| panic!("{n}: {no}"));
    }
    let author = floor.owner_actor(id);
    assert_eq!(
        note(&mut floor, author.clone()),
        Err(Refusal::TooManyRequests {
            retry_after_ms: 600_000 - 63_000
        })
    );
    note(&mut floor, supervisor()).unwrap();
    floor.agent_says(id, "messages have no row");
    floor.at += 600_000 - 63_000;
    note(&mut floor, author).unwrap();
}

#[test]
fn a_copy_of_a_finished_act_gives_the_first_answer_though_the_epoch_has_passed() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let (request_id, by) = (floor.fresh(), floor.owner_actor(id));
    let close = Close {
        conversation: id,
        request_id,
        by,
        reason: String::new(),
        wrap_up: false,
    };
    let first = floor.ask(Command::Close(close.clone()));
    assert_eq!(first, Ok(Done::Nothing));
    assert_eq!(floor.ask(Command::Close(close)), first);
}

/// Writes until the conversation goes on in another one; that one.
fn fill(floor: &mut Floor, id: ConversationId) -> ConversationId {
    let long = "x".repeat(65_536);
    loop {
        let sent = floor.customer_says(id, &long);
        if sent.conversation != id {
            return sent.conversation;
        }
    }
}

#[test]
fn a_message_id_is_known_two_continuations_later() {
    let mut floor = Floor::new();
    let first = floor.open("zoe");
    let send = floor.send_command(first, Actor::Customer, "only once");
    let sent = floor.ask(Command::Send(send.clone())).unwrap();
    let second = fill(&mut floor, first);
    let third = fill(&mut floor, second);
    let before = floor.conversation(third).items.len();
    for named in [first, second, third] {
        let mut again = send.clone();
        again.conversation = named;
        assert_eq!(floor.ask(Command::Send(again)), Ok(sent.clone()));
    }
    assert_eq!(floor.conversation(third).items.len(), before);
}

#[test]
fn a_defect_through_an_old_id_sets_the_conversation_aside_in_which_it_goes_on() {
    let mut floor = Floor::new();
    let first = floor.open("zoe");
    let second = fill(&mut floor, first);
    let text = crate::cell::defects::IN_DECIDE;
    floor.try_send(first, Actor::Customer, text).unwrap_err();
    assert!(floor.conversation(second).quarantined.is_some());
    assert!(floor.conversation(first).quarantined.is_none());
}

#[test]
fn an_offer_that_ends_by_continuing_lets_the_next_status_take_effect() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let first = floor.open("zoe");
    let lunch = Intent::NotReady {
        reason: "lunch".into(),
    };
    let set = floor.intent_command("ana", lunch.clone());
    floor.ask(Command::SetNextStatus(set)).unwrap();
    fill(&mut floor, first);
    assert_eq!(floor.state().agent(&agent("ana")).unwrap().intent, lunch);
}
