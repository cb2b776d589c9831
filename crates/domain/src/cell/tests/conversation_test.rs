//! The life of a conversation from first message to close.

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::{Ending, Phase};
use crate::cell::event::Event;
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::cell::transcript::{ItemKind, NoticeKind, RequeueReason};
use crate::ids::*;
use crate::plan::WrapUpMode;

#[test]
fn concurrent_first_messages_of_one_customer_make_one_conversation() {
    let mut floor = Floor::new();
    let opened: Vec<_> = (0..5)
        .map(|n| {
            let mut open = floor.open_command("zoe");
            open.body = Some(Body::clear(&format!("m{n}")));
            floor.opened(open)
        })
        .collect();
    assert!(!opened[0].existing && opened[1..].iter().all(|found| found.existing));
    assert!(
        opened
            .iter()
            .all(|found| found.conversation == opened[0].conversation)
    );
    assert_eq!(
        floor.texts(opened[0].conversation),
        ["m0", "m1", "m2", "m3", "m4"]
    );
}

#[test]
fn one_customer_on_two_accounts_has_two_conversations() {
    let mut floor = Floor::new();
    assert_ne!(floor.open_on("zoe", "web"), floor.open_on("zoe", "app"));
}

#[test]
fn a_conversation_goes_from_open_to_closed_with_its_whole_transcript() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
    let owned = floor.accept(id);
    assert_eq!(owned.owner_epoch, OwnerEpoch(2));
    floor.agent_says(id, "how can I help");
    floor.customer_says(id, "like this");
    let by = floor.owner_actor(id);
    floor.close_by(id, by).unwrap();
    assert!(matches!(floor.phase(id), Phase::WrapUp(_)));
    assert_eq!(floor.used("ana"), 25, "after-contact work holds the units");
    floor.finish(id).unwrap();
    assert!(matches!(floor.phase(id), Phase::Closed(_)));
    assert_eq!(floor.used("ana"), 0);
    assert_eq!(floor.texts(id), ["hello", "how can I help", "like this"]);
}

#[test]
fn a_conversation_may_open_without_a_text() {
    let mut floor = Floor::new();
    let mut open = floor.open_command("zoe");
    open.body = None;
    let opened = floor.opened(open);
    assert_eq!(opened.sequence, None);
    assert_eq!(
        floor.customer_says(opened.conversation, "hi").sequence,
        Sequence(2),
        "after the notice"
    );
}

#[test]
fn empty_and_oversized_messages_are_refused() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    assert_eq!(
        floor.try_send(id, Actor::Customer, ""),
        Err(Refusal::MessageEmpty)
    );
    let long = "x".repeat(64 * 1_024 + 1);
    assert_eq!(
        floor.try_send(id, Actor::Customer, &long),
        Err(Refusal::MessageTooLarge {
            bytes: 65_537,
            limit: 65_536
        })
    );
}

#[test]
fn unknown_conversations_queues_accounts_and_agents_are_refused_with_their_reason() {
    let mut floor = Floor::new();
    let unknown = ConversationId {
        cell: CELL,
        index: LogIndex(999),
    };
    assert_eq!(
        floor.try_send(unknown, Actor::Customer, "hi"),
        Err(Refusal::ConversationNotFound {
            conversation: unknown
        })
    );
    let mut open = floor.open_command("zoe");
    open.queue = Some(queue("nowhere"));
    assert_eq!(
        floor.ask(Command::Open(open)),
        Err(Refusal::QueueNotFound {
            queue: queue("nowhere")
        })
    );
    let mut open = floor.open_command("zoe");
    open.account = AccountId::new("fax").unwrap();
    assert_eq!(
        floor.ask(Command::Open(open)),
        Err(Refusal::AccountNotFound {
            account: "fax".into()
        })
    );
    let id = floor.open("zoe");
    let target = Target::Agent {
        agent: agent("nobody"),
        wait: false,
    };
    assert_eq!(
        floor.transfer(id, supervisor(), target),
        Err(Refusal::AgentNotFound {
            agent: agent("nobody")
        })
    );
}

#[test]
fn a_closed_conversation_takes_no_messages_and_a_later_open_makes_a_linked_episode() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let first = floor.active("zoe");
    let by = floor.owner_actor(first);
    floor.close_by(first, by).unwrap();
    assert_eq!(
        floor.try_send(first, Actor::Customer, "one more"),
        Err(Refusal::ConversationClosed {
            conversation: first
        })
    );
    let second = floor.open("zoe");
    assert_eq!(floor.conversation(second).previous, Some(first));
}

#[test]
fn after_the_hand_off_every_later_bot_reply_is_refused() {
    let mut floor = Floor::new();
    let mut open = floor.open_command("zoe");
    open.bot_first = true;
    let id = floor.opened(open).conversation;
    let bot = Actor::Bot {
        owner_epoch: floor.epoch(id),
    };
    floor.try_send(id, bot.clone(), "I am a bot").unwrap();
    let hand_off = HandOff {
        conversation: id,
        request_id: rid("h"),
        owner_epoch: floor.epoch(id),
    };
    floor.ask(Command::HandOff(hand_off)).unwrap();
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
    let late = floor.try_send(id, bot, "too late");
    assert!(
        matches!(late, Err(Refusal::StaleOwnerEpoch { .. })),
        "{late:?}"
    );
    let guess = Actor::Bot {
        owner_epoch: floor.epoch(id),
    };
    let late = floor.try_send(id, guess, "too late");
    assert!(
        matches!(late, Err(Refusal::StaleOwnerEpoch { .. })),
        "{late:?}"
    );
    assert_eq!(floor.texts(id), ["hello", "I am a bot"]);
}

#[test]
fn a_bots_time_does_not_count_as_waiting() {
    let mut floor = Floor::new();
    let mut open = floor.open_command("zoe");
    open.bot_first = true;
    let id = floor.opened(open).conversation;
    floor.wait_ms(30_000);
    let hand_off = HandOff {
        conversation: id,
        request_id: rid("h"),
        owner_epoch: floor.epoch(id),
    };
    floor.ask(Command::HandOff(hand_off)).unwrap();
    let found = floor.conversation(id);
    assert_eq!(found.aged_from.since_ms(found.created_at), 30_000);
}

#[test]
fn a_stale_owner_epoch_is_refused_and_names_the_owner() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let old = floor.owner_actor(id);
    let target = Target::Queue(queue("billing"));
    floor.not_ready("ana");
    floor.transfer(id, old.clone(), target).unwrap();
    floor.log_in("ben");
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
    floor.accept(id);
    let late = floor.try_send(id, old, "I am still here");
    assert_eq!(
        late,
        Err(Refusal::StaleOwnerEpoch {
            given: OwnerEpoch(2),
            current: OwnerEpoch(4),
            owner: Some(agent("ben"))
        })
    );
}

#[test]
fn every_change_of_who_may_speak_raises_the_owner_epoch() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let mut seen = vec![floor.epoch(id)];
    floor.accept(id);
    seen.push(floor.epoch(id));
    floor.hold(id).unwrap();
    assert_eq!(floor.epoch(id), seen[1], "a hold leaves the owner");
    floor.resume(id).unwrap();
    let by = floor.owner_actor(id);
    floor
        .transfer(id, by, Target::Queue(queue("billing")))
        .unwrap();
    seen.push(floor.epoch(id));
    floor.accept(id);
    seen.push(floor.epoch(id));
    floor.close_by(id, Actor::Customer).unwrap();
    seen.push(floor.epoch(id));
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
}

#[test]
fn a_full_queue_answers_with_its_text_and_a_retry_hint() {
    let mut floor =
        Floor::with(|plan| plan.queues.get_mut(&queue("sales")).unwrap().waiting_max = 1);
    floor.open("a");
    let open = floor.open_command("b");
    let refused = floor.ask(Command::Open(open));
    let Err(Refusal::QueueFull {
        limit,
        text,
        retry_after_ms,
        ..
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!((limit, text.as_str()), (1, "The line is full"));
    assert!(retry_after_ms > 0);
}

#[test]
fn a_paused_queue_answers_with_its_text() {
    let mut floor = Floor::with(|plan| plan.queues.get_mut(&queue("sales")).unwrap().paused = true);
    let open = floor.open_command("b");
    let refused = floor.ask(Command::Open(open));
    assert_eq!(
        refused,
        Err(Refusal::QueuePaused {
            queue: queue("sales"),
            text: "Back soon".into(),
            by_plan: true,
        })
    );
}

#[test]
fn nobody_staffed_is_a_state_with_text_and_not_an_error() {
    let mut floor = Floor::new();
    let open = floor.open_command("a");
    let opened = floor.opened(open);
    assert_eq!(&*opened.text, "Nobody is here yet");
    let last = floor
        .conversation(opened.conversation)
        .items
        .last()
        .unwrap();
    assert!(
        matches!(&last.kind, ItemKind::Notice { kind: NoticeKind::NobodyStaffed, text } if **text == *"Nobody is here yet")
    );
    floor.log_in("ana");
    let open = floor.open_command("b");
    assert_eq!(&*floor.opened(open).text, "Welcome");
}

#[test]
fn the_intake_table_finds_the_queue_by_language_and_topic() {
    let german = LanguageId::new("de").unwrap();
    let rule = |language, topic: Option<&str>, to| crate::plan::IntakeRule {
        language,
        topic: topic.map(ToOwned::to_owned),
        queue: queue(to),
        boost_ms: 0,
    };
    let mut floor = Floor::with(|plan| {
        plan.intake = vec![rule(Some(german.clone()), Some("invoice"), "billing")]
    });
    let mut open = floor.open_command("a");
    open.language = Some(german);
    open.topics = vec!["invoice".into()];
    assert_eq!(floor.opened(open).queue, queue("billing"));
    let open = floor.open_command("b");
    assert_eq!(floor.opened(open).queue, queue("sales"));
}

#[test]
fn a_customer_who_leaves_a_line_abandons_and_cancels_the_offer() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.close_by(id, Actor::Customer).unwrap();
    let cancelled = floor.last.iter().any(|event| {
        matches!(
            event,
            Event::OfferEnded {
                outcome: crate::cell::floor::OfferOutcome::Cancelled,
                ..
            }
        )
    });
    assert!(cancelled);
    assert!(
        matches!(floor.phase(id), Phase::Closed(closed) if closed.how == Ending::Abandoned { short: true })
    );
    assert_eq!(floor.used("ana"), 0);
}

#[test]
fn wrap_up_has_five_modes() {
    for (mode, asked, wraps, early, by_itself) in [
        (WrapUpMode::Optional, false, true, true, true),
        (WrapUpMode::Mandatory, false, true, true, false),
        (WrapUpMode::TimeBoxed, false, true, true, true),
        (WrapUpMode::TimeBoxedWithoutExit, false, true, false, true),
        (WrapUpMode::OnRequest, false, false, true, true),
        (WrapUpMode::OnRequest, true, true, true, true),
    ] {
        let closing = |floor: &mut Floor| {
            floor.log_in("ana");
            let id = floor.active("zoe");
            let (request_id, by) = (floor.fresh(), floor.owner_actor(id));
            let close = Close {
                conversation: id,
                request_id,
                by,
                reason: String::new(),
                wrap_up: asked,
            };
            floor.ask(Command::Close(close)).unwrap();
            id
        };
        let set = |plan: &mut crate::plan::FloorPlan| {
            plan.queues.get_mut(&queue("sales")).unwrap().wrap_up = mode
        };
        let mut floor = Floor::with(set);
        let id = closing(&mut floor);
        assert_eq!(
            matches!(floor.phase(id), Phase::WrapUp(_)),
            wraps,
            "{mode:?}"
        );
        if !wraps {
            continue;
        }
        assert_eq!(floor.finish(id).is_ok(), early, "{mode:?}");
        let mut floor = Floor::with(set);
        let id = closing(&mut floor);
        floor.wait_ms(60_000);
        assert_eq!(
            matches!(floor.phase(id), Phase::Closed(_)),
            by_itself,
            "{mode:?}"
        );
    }
}

#[test]
fn a_customers_message_to_a_held_conversation_takes_the_agents_units_in_the_same_entry() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.hold(id).unwrap();
    assert_eq!(floor.used("ana"), 0, "a hold frees the units");
    floor.customer_says(id, "back again");
    assert!(matches!(floor.phase(id), Phase::Active(_)));
    assert_eq!(floor.used("ana"), 25);
}

#[test]
fn a_held_conversation_whose_agent_is_full_goes_to_its_line_with_its_age_and_waits_for_that_agent()
{
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25);
    floor.log_in("ana");
    let held = floor.active("zoe");
    let aged_from = floor.conversation(held).aged_from;
    floor.hold(held).unwrap();
    let other = floor.active("yan");
    floor.log_in("ben");
    floor.customer_says(held, "back again");
    let reasons = floor.last_items().into_iter().any(|item| {
        matches!(
            item.kind,
            ItemKind::Requeued {
                reason: RequeueReason::AgentBusy
            }
        )
    });
    assert!(reasons);
    assert!(
        floor.offered_to(held).is_none(),
        "ben is free, but it is kept for ana"
    );
    assert_eq!(floor.conversation(held).aged_from, aged_from);
    floor.close_by(other, supervisor()).unwrap();
    floor.finish(other).unwrap();
    assert_eq!(floor.offered_to(held).as_deref(), Some("ana"));
}

#[test]
fn a_resume_without_free_units_is_refused() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25);
    floor.log_in("ana");
    let held = floor.active("zoe");
    floor.hold(held).unwrap();
    floor.active("yan");
    assert_eq!(
        floor.resume(held),
        Err(Refusal::AgentAtCapacity {
            agent: agent("ana"),
            free: 0,
            needed: 25
        })
    );
}

#[test]
fn remarks_are_numbered_apart_and_leave_the_transcript_as_it_is() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let before = floor.conversation(id).last_sequence();
    let (request_id, author) = (floor.fresh(), floor.owner_actor(id));
    let note = Note {
        conversation: id,
        request_id,
        author,
        body: Body::clear("angry"),
    };
    floor.ask(Command::Note(note)).unwrap();
    let found = floor.conversation(id);
    assert_eq!(found.last_sequence(), before);
    assert_eq!(
        (found.remarks[0].number, found.remarks[0].after),
        (1, before)
    );
    let request_id = floor.fresh();
    let note = Note {
        conversation: id,
        request_id,
        author: Actor::Customer,
        body: Body::clear("x"),
    };
    assert!(matches!(
        floor.ask(Command::Note(note)),
        Err(Refusal::NotAllowed { .. })
    ));
}

#[test]
fn a_full_conversation_goes_on_in_a_linked_episode_with_owner_units_and_dedup() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    while !floor.conversation(id).is_full() {
        let send = floor.send_command(id, Actor::Customer, "m");
        floor.index += 1;
        let entry = Entry {
            at: CellTime(floor.at),
            wall_ms: 1,
            command: Command::Send(send),
        };
        floor
            .cell
            .apply(LogIndex(floor.index), &entry)
            .reply
            .unwrap_or_else(|no| panic!("{no}"));
    }
    let epoch = floor.epoch(id);
    let send = floor.send_command(id, Actor::Customer, "one too many");
    let Ok(Done::Sent(sent)) = floor.ask(Command::Send(send.clone())) else {
        panic!("refused")
    };
    assert_ne!(sent.conversation, id);
    assert_eq!(sent.sequence, Sequence(1));
    let next = floor.conversation(sent.conversation);
    assert_eq!(
        (next.previous, next.owner_epoch),
        (Some(id), OwnerEpoch(epoch.0 + 1))
    );
    assert_eq!(floor.owner(sent.conversation).as_deref(), Some("ana"));
    assert_eq!(floor.used("ana"), 25);
    assert!(
        floor
            .last
            .iter()
            .any(|event| matches!(event, Event::Continued { from, .. } if *from == id))
    );
    assert_eq!(
        floor.ask(Command::Send(send)),
        Ok(Done::Sent(sent)),
        "the same id again"
    );
    let later = floor.customer_says(id, "by the old name");
    assert_eq!(later.conversation, sent.conversation);
}

#[test]
fn a_conversation_of_a_mebibyte_goes_on_in_a_linked_episode() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let text = "x".repeat(64 * 1_024);
    let places: Vec<ConversationId> = (0..17)
        .map(|_| floor.customer_says(id, &text).conversation)
        .collect();
    assert!(places[..15].iter().all(|place| *place == id));
    assert_ne!(places[16], id);
    assert_eq!(
        floor.line("sales"),
        [places[16]],
        "the place in line goes with it"
    );
}

#[test]
fn a_rating_is_taken_once_after_the_end() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let rate = |floor: &mut Floor, score| {
        let request_id = floor.fresh();
        floor.ask(Command::Rate(Rate {
            conversation: id,
            request_id,
            score,
            comment: "ok".into(),
        }))
    };
    assert!(matches!(
        rate(&mut floor, 5),
        Err(Refusal::WrongState { .. })
    ));
    floor.close_by(id, supervisor()).unwrap();
    assert_eq!(
        rate(&mut floor, 6),
        Err(Refusal::ScoreOutOfRange { score: 6 })
    );
    rate(&mut floor, 4).unwrap();
    assert_eq!(floor.conversation(id).rating.as_ref().unwrap().score, 4);
    assert!(matches!(
        rate(&mut floor, 1),
        Err(Refusal::NotAllowed { .. })
    ));
}

#[test]
fn a_cursor_ahead_of_the_transcript_is_refused() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let found = floor.conversation(id);
    assert_eq!(
        found.check_cursor(Sequence(9)),
        Err(Refusal::CursorFromTheFuture {
            given: Sequence(9),
            last: Sequence(2)
        })
    );
    assert_eq!(found.items_after(Sequence(1), 10).len(), 1);
}
