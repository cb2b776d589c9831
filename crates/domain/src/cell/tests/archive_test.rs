//! Leaving the state: rest, seal, archive.

use super::support::*;
use crate::cell::archive::*;
use crate::cell::command::*;
use crate::cell::event::Event;
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::cell::requests::REQUEST_KEPT_MS;
use crate::cell::{Cell, State};
use crate::ids::*;

fn closed(floor: &mut Floor, customer: &str) -> ConversationId {
    let id = floor.open(customer);
    floor.close_by(id, Actor::Customer).unwrap();
    id
}

fn archive(floor: &mut Floor) {
    let next = floor.archived_command();
    floor.ask(Command::ArchivedUpto(next)).unwrap();
}

#[test]
fn what_has_ended_rests_for_ten_minutes_is_sealed_and_leaves_only_when_archives_have_it() {
    let mut floor = Floor::new();
    let id = closed(&mut floor, "zoe");
    archive(&mut floor);
    assert!(
        floor.cell.conversation(id).is_some(),
        "it is not sealed yet"
    );
    floor.wait_ms(REQUEST_KEPT_MS - 1);
    assert!(!floor.conversation(id).is_sealed());
    floor.wait_ms(1);
    let sealed = Event::Sealed {
        conversation: id,
        index: LogIndex(floor.index),
    };
    assert!(floor.last.contains(&sealed));
    assert!(
        floor.cell.conversation(id).is_some(),
        "no archive has it yet"
    );
    archive(&mut floor);
    assert!(floor.cell.conversation(id).is_none());
    assert_eq!(floor.state().meta().conversations, 0);
}

#[test]
fn the_customer_is_forgotten_with_the_last_conversation_and_the_next_one_is_told_of_it() {
    let mut floor = Floor::new();
    let id = closed(&mut floor, "zoe");
    floor.wait_ms(REQUEST_KEPT_MS);
    let found = floor.conversation(id).clone();
    archive(&mut floor);
    let of = |state: &State| state.customer(&found.account, &found.customer).cloned();
    assert_eq!(of(floor.state()), None);
    let mut open = floor.open_command("zoe");
    open.previous = Some(id);
    let next = floor.opened(open).conversation;
    assert_eq!(floor.conversation(next).previous, Some(id));
}

#[test]
fn a_customer_who_asked_lately_is_remembered_although_the_conversation_has_left() {
    let mut floor = Floor::new();
    let open = floor.open_command("zoe");
    let first = floor.opened(open.clone());
    floor.close_by(first.conversation, Actor::Customer).unwrap();
    end_until(&mut floor, MANY + 1);
    archive(&mut floor);
    assert!(floor.cell.conversation(first.conversation).is_none());
    assert_eq!(floor.opened(open), first, "the first answer again");
    floor.wait_ms(REQUEST_KEPT_MS);
    closed(&mut floor, "late");
    floor.wait_ms(REQUEST_KEPT_MS);
    archive(&mut floor);
    assert_eq!(floor.state().customers.len(), 0);
}

/// Opens and ends conversations until there are so many ended ones.
#[test]
fn a_customer_with_an_open_conversation_is_never_forgotten_whatever_left_before() {
    let mut floor = Floor::new();
    let first = floor.open("zoe");
    let mut last = first;
    while last == first {
        let full = "x".repeat(64 * 1024);
        last = floor.customer_says(first, &full).conversation;
    }
    floor.close_by(last, Actor::Customer).unwrap();
    // The last episode is sealed before its time and leaves; the first one, which goes on in it, rests.
    end_until(&mut floor, MANY + 2);
    archive(&mut floor);
    assert!(floor.cell.conversation(last).is_none());
    assert!(floor.cell.conversation(first).is_some());
    // Its seal drops what was remembered of the customer, and with that the time to forget her.
    floor.wait_ms(REQUEST_KEPT_MS);
    assert!(floor.conversation(first).is_sealed());
    let again = floor.open("zoe");
    archive(&mut floor);
    assert_eq!(floor.open("zoe"), again, "one open conversation a customer");
    assert!(floor.cell.conversation(again).is_some());
}

fn end_until(floor: &mut Floor, count: u64) {
    while floor.state().ended().count() < count {
        let n = floor.index;
        let mut open = floor.open_command(&format!("many-{n}"));
        open.request_id = rid(&format!("many-{n}"));
        let close = Close {
            conversation: ConversationId {
                cell: CELL,
                index: LogIndex(n + 1),
            },
            request_id: rid(&format!("end-{n}")),
            by: Actor::Customer,
            reason: String::new(),
            wrap_up: false,
        };
        // Straight to the machine: checking every invariant each time would take minutes.
        for command in [Command::Open(open), Command::Close(close)] {
            floor.index += 1;
            let entry = Entry {
                at: CellTime(floor.at),
                wall_ms: 0,
                command,
            };
            let done = floor.cell.apply(LogIndex(floor.index), &entry);
            done.reply.unwrap();
        }
    }
}

/// So many that one more is sealed before its time.
const MANY: u64 = RESTING_MAX as u64;

#[test]
fn where_very_many_end_the_oldest_are_sealed_sooner_and_full_refuses_what_is_new() {
    let mut floor = Floor::new();
    let oldest = closed(&mut floor, "zoe");
    let open = floor.open("still here");
    end_until(&mut floor, MANY + 2);
    assert!(floor.conversation(oldest).is_sealed());
    assert_eq!(floor.state().ended().sealed(), 2);
    end_until(&mut floor, ENDED_MAX);
    let refused = floor.open_command("new");
    assert_eq!(
        floor.ask(Command::Open(refused)),
        Err(Refusal::ArchiveBehind {
            waiting: ENDED_MAX,
            bytes: floor.state().ended().bytes(),
            retry_after_ms: 2_000,
        })
    );
    floor
        .close_by(open, Actor::Customer)
        .expect("a close is never refused for it");
    archive(&mut floor);
    let again = floor.open_command("new");
    floor
        .ask(Command::Open(again))
        .expect("there is room again");
}

#[test]
fn nothing_changes_a_sealed_record() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = closed(&mut floor, "zoe");
    floor.wait_ms(REQUEST_KEPT_MS);
    let sealed = floor.conversation(id).clone();
    let closed = Err(Refusal::ConversationClosed { conversation: id });
    let rate = Command::Rate(Rate {
        conversation: id,
        request_id: floor.fresh(),
        score: 5,
        comment: String::new(),
    });
    let author = supervisor();
    let note = Command::Note(Note {
        conversation: id,
        request_id: floor.fresh(),
        author,
        body: Body::clear("too late"),
    });
    let send = Command::Send(floor.send_command(id, Actor::Customer, "hello?"));
    for command in [rate, note, send] {
        assert_eq!(floor.ask(command), closed);
    }
    floor.gone(id, false);
    assert_eq!(*floor.conversation(id), sealed);
}

#[test]
fn a_command_for_what_has_left_is_to_look_in_the_archive_and_has_its_first_answer_there() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let send = Command::Send(floor.send_command(id, Actor::Customer, "hello"));
    let first = floor.ask(send.clone());
    assert!(matches!(first, Ok(Done::Sent(_))));
    let close = Close {
        conversation: id,
        request_id: floor.fresh(),
        by: Actor::Customer,
        reason: "bye".into(),
        wrap_up: false,
    };
    floor.ask(Command::Close(close)).unwrap();
    let other = Command::Send(floor.send_command(id, Actor::Customer, "one more thing"));
    floor.wait_ms(REQUEST_KEPT_MS);
    let left = std::sync::Arc::new(floor.conversation(id).clone());
    archive(&mut floor);
    for command in [&send, &other] {
        assert_eq!(
            floor.ask(command.clone()),
            Err(Refusal::LookAgain {
                conversation: id,
                retry_after_ms: LOOK_AGAIN_MS,
            })
        );
    }
    let state = floor.state();
    assert_eq!(state.answer_for_left(&left, &send), first);
    assert_eq!(
        state.answer_for_left(&left, &other),
        Err(Refusal::ConversationClosed { conversation: id })
    );
    let never = ConversationId {
        cell: CELL,
        index: LogIndex(floor.index + 100),
    };
    let unknown = Command::Send(floor.send_command(never, Actor::Customer, "who?"));
    assert_eq!(
        floor.ask(unknown),
        Err(Refusal::ConversationNotFound {
            conversation: never
        })
    );
}

#[test]
fn ranges_of_one_day_are_one_and_a_leader_that_counts_wrong_is_refused() {
    let mut floor = Floor::new();
    for customer in ["zoe", "yan"] {
        closed(&mut floor, customer);
        floor.wait_ms(REQUEST_KEPT_MS);
        archive(&mut floor);
    }
    let record = &floor.state().meta().archive;
    let [range] = record.ranges[..] else {
        panic!("two entries of one day make one range: {record:?}");
    };
    assert_eq!((range.after, range.count), (LogIndex(0), 2));
    assert_eq!(range.upto, record.upto);
    closed(&mut floor, "xia");
    floor.wait_ms(REQUEST_KEPT_MS);
    let mut wrong = floor.archived_command();
    wrong.count = 2;
    assert_eq!(
        floor.ask(Command::ArchivedUpto(wrong)),
        Err(Refusal::ArchiveDiffers {
            upto: wrong.upto,
            count: 1,
            said: 2,
        })
    );
    let mut next = floor.archived_command();
    next.day += 1;
    next.keep_from_day = next.day;
    floor.ask(Command::ArchivedUpto(next)).unwrap();
    let record = &floor.state().meta().archive;
    assert_eq!(record.ranges.len(), 1, "the day before is not kept");
    assert_eq!(record.ranges[0].day, next.day);
    assert_eq!(floor.ask(Command::ArchivedUpto(next)), Ok(Done::Nothing));
}

#[test]
fn a_snapshot_keeps_what_was_sealed_and_what_has_left() {
    let mut floor = Floor::new();
    closed(&mut floor, "zoe");
    floor.wait_ms(REQUEST_KEPT_MS);
    archive(&mut floor);
    closed(&mut floor, "yan");
    floor.wait_ms(REQUEST_KEPT_MS);
    let twin = Cell::from_parts(floor.cell.freeze().parts()).unwrap();
    assert!(twin == floor.cell);
    assert_eq!(twin.state().ended(), floor.state().ended());
    assert_eq!(twin.state().ended().sealed(), 1);
}

#[test]
fn every_command_that_names_a_conversation_follows_it_into_the_next_episode() {
    let mut floor = Floor::new();
    let (id, next) = (floor.open("zoe"), floor.open("yan"));
    let act = floor.act(id, supervisor());
    let commands = [
        Command::Send(floor.send_command(id, Actor::Customer, "hello")),
        Command::Hold(act.clone()),
        Command::FinishWrapUp(act),
        Command::Requeue(Requeue {
            conversation: id,
            request_id: floor.fresh(),
            staff: staff(),
            reason: "too slow".into(),
        }),
    ];
    for command in commands {
        assert_eq!(command.conversation(), Some(id), "{command:?}");
        let followed = command.for_episode(next).unwrap();
        assert_eq!(followed.conversation(), Some(next));
    }
    assert_eq!(Command::MatchMore.for_episode(next), None);
}
