//! The timer table.

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::{Ending, Phase};
use crate::cell::event::{Event, Warning};
use crate::cell::reply::Done;
use crate::cell::transcript::HoldReason;
use crate::ids::ConversationId;
use crate::plan::OnAgentLost;

fn warned(floor: &Floor, warning: Warning) -> bool {
    floor
        .last
        .iter()
        .any(|event| matches!(event, Event::Warned { warning: found, .. } if *found == warning))
}

#[test]
fn a_first_reply_is_asked_for_after_60_s_and_reclaimed_after_120_s() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let aged_from = floor.conversation(id).aged_from;
    floor.wait_ms(60_000);
    assert!(warned(&floor, Warning::FirstReply));
    floor.not_ready("ana");
    floor.wait_ms(59_999);
    assert!(matches!(floor.phase(id), Phase::Active(_)));
    floor.wait_ms(1);
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
    assert_eq!(
        floor.conversation(id).aged_from,
        aged_from,
        "back to its place"
    );
    floor.ready("ana");
    assert_eq!(
        floor.offered_to(id).as_deref(),
        Some("ana"),
        "the same agent may win it again"
    );
}

#[test]
fn a_reply_in_time_is_not_reclaimed() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "hello");
    floor.customer_says(id, "hello");
    floor.wait_ms(500_000);
    assert!(matches!(floor.phase(id), Phase::Active(_)));
}

#[test]
fn a_silent_customer_is_warned_of_after_3_minutes_and_held_after_10() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "are you there?");
    floor.wait_ms(180_000);
    assert!(warned(&floor, Warning::CustomerSilent));
    floor.wait_ms(419_999);
    assert!(matches!(floor.phase(id), Phase::Active(_)));
    floor.wait_ms(1);
    assert!(
        matches!(floor.phase(id), Phase::OnHold(hold) if hold.reason == HoldReason::CustomerSilent)
    );
    assert_eq!(floor.used("ana"), 0);
}

#[test]
fn a_customers_word_starts_the_silence_anew() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "a");
    floor.wait_ms(170_000);
    floor.customer_says(id, "b");
    floor.agent_says(id, "c");
    floor.wait_ms(179_999);
    assert!(!warned(&floor, Warning::CustomerSilent));
    floor.wait_ms(1);
    assert!(warned(&floor, Warning::CustomerSilent));
}

#[test]
fn a_conversation_on_hold_for_a_day_is_closed() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.hold(id).unwrap();
    floor.wait_ms(86_399_999);
    assert!(matches!(floor.phase(id), Phase::OnHold(_)));
    floor.wait_ms(1);
    assert!(matches!(floor.phase(id), Phase::Closed(closed) if closed.how == Ending::HoldOver));
}

#[test]
fn a_waiting_customer_who_is_gone_abandons_after_the_channels_time() {
    for (account, our_fault, after_ms) in [
        ("web", false, 120_000),
        ("app", false, 600_000),
        ("web", true, 600_000),
    ] {
        let mut floor = Floor::new();
        let id = floor.open_on("zoe", account);
        floor.gone(id, our_fault);
        floor.wait_ms(after_ms - 1);
        assert!(matches!(floor.phase(id), Phase::Queued(_)), "{account}");
        floor.wait_ms(1);
        assert!(
            matches!(floor.phase(id), Phase::Closed(closed) if matches!(closed.how, Ending::Abandoned { .. }))
        );
    }
}

#[test]
fn a_customer_who_comes_back_in_time_has_not_abandoned() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.gone(id, false);
    floor.wait_ms(119_000);
    let back = CustomerPresence {
        conversation: id,
        attached: true,
        our_fault: false,
    };
    floor.ask(Command::CustomerPresence(back)).unwrap();
    floor.wait_ms(600_000);
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
}

#[test]
fn the_grace_for_our_fault_counts_from_its_last_report() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.gone(id, true);
    floor.wait_ms(500_000);
    floor.gone(id, true);
    floor.wait_ms(599_999);
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
    floor.wait_ms(1);
    assert!(matches!(floor.phase(id), Phase::Closed(_)));
}

#[test]
fn waiting_alone_never_ends_a_conversation() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.attach(id);
    floor.wait_ms(30 * 86_400_000);
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
}

#[test]
fn a_preference_ends_and_others_are_asked() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25);
    floor.log_in("ana");
    let held = floor.active("zoe");
    floor.hold(held).unwrap();
    floor.active("yan");
    floor.log_in("ben");
    floor.customer_says(held, "back");
    floor.wait_ms(29_999);
    assert!(floor.offered_to(held).is_none());
    floor.wait_ms(1);
    assert_eq!(floor.offered_to(held).as_deref(), Some("ben"));
}

#[test]
fn a_tick_fires_at_most_256_deadlines_in_order_and_says_that_more_are_due() {
    let mut floor = Floor::new();
    let ids: Vec<_> = (0..300).map(|n| floor.open(&format!("c{n}"))).collect();
    for id in &ids {
        floor.index += 1;
        let presence = CustomerPresence {
            conversation: *id,
            attached: false,
            our_fault: false,
        };
        let entry = Entry {
            at: crate::ids::CellTime(floor.at),
            wall_ms: 0,
            command: Command::CustomerPresence(presence),
        };
        floor
            .cell
            .apply(crate::ids::LogIndex(floor.index), &entry)
            .reply
            .unwrap();
    }
    floor.at += 120_000;
    let Ok(Done::Ticked(ticked)) = floor.ask(Command::tick()) else {
        panic!("no tick")
    };
    assert_eq!((ticked.fired, ticked.more_due), (256, true));
    assert!(matches!(floor.phase(ids[255]), Phase::Closed(_)));
    assert!(matches!(floor.phase(ids[256]), Phase::Queued(_)));
    let Ok(Done::Ticked(ticked)) = floor.ask(Command::tick()) else {
        panic!("no tick")
    };
    assert_eq!((ticked.fired, ticked.more_due), (44, false));
}

#[test]
fn after_a_resume_of_what_was_held_for_silence_the_silence_counts_anew() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "are you there?");
    floor.wait_ms(600_000);
    assert!(matches!(floor.phase(id), Phase::OnHold(_)));
    floor.resume(id).unwrap();
    floor.wait_ms(599_999);
    assert!(matches!(floor.phase(id), Phase::Active(_)));
    floor.wait_ms(1);
    assert!(matches!(floor.phase(id), Phase::OnHold(_)));
    floor.customer_says(id, "back");
    assert!(
        matches!(floor.phase(id), Phase::Active(active) if active.awaiting_customer.is_none()),
        "the customer wrote last"
    );
}

#[test]
fn a_waiting_customer_who_never_attached_has_abandoned_ten_minutes_after_the_last_act() {
    let mut floor = Floor::new();
    let silent = floor.open("zoe");
    let writes = floor.open("yan");
    let attaches = floor.open("xia");
    floor.wait_ms(300_000);
    floor.customer_says(writes, "still here");
    floor.attach(attaches);
    let here = [silent, writes, attaches].map(|id| floor.conversation(id).believed_here());
    assert_eq!(here, [false, false, true]);
    floor.wait_ms(299_999);
    assert!(floor.conversation(silent).is_waiting());
    floor.wait_ms(1);
    let abandoned = Ending::Abandoned { short: false };
    assert!(matches!(floor.phase(silent), Phase::Closed(closed) if closed.how == abandoned));
    let totals = floor.state().totals(&queue("sales"));
    assert_eq!(
        (totals.abandon_wait_ms, totals.abandoned_in),
        (600_000, 0),
        "nothing told of an earlier leaving"
    );
    assert!(floor.conversation(writes).is_waiting());
    floor.wait_ms(300_000);
    assert!(matches!(floor.phase(writes), Phase::Closed(_)));
    floor.wait_ms(86_400_000);
    assert!(
        floor.conversation(attaches).is_waiting(),
        "attached, it waits for ever"
    );
    floor.gone(attaches, false);
    assert!(!floor.conversation(attaches).believed_here());
    floor.wait_ms(120_000);
    assert!(matches!(floor.phase(attaches), Phase::Closed(_)));
}

/// A hold, by whatever cause, and the end of it.
fn hold_and_return(floor: &mut Floor, id: ConversationId, cause: HoldReason) {
    match cause {
        HoldReason::AgentLost => {
            floor.lease("ana", LeaseState::Lost).unwrap();
            floor.wait_ms(60_000);
            assert!(matches!(floor.phase(id), Phase::OnHold(_)));
            floor.lease("ana", LeaseState::Alive).unwrap();
        }
        HoldReason::ByAgent => {
            floor.hold(id).unwrap();
            floor.resume(id).unwrap();
        }
        HoldReason::CustomerSilent => {
            floor.hold(id).unwrap();
            floor.customer_says(id, "well?");
        }
    }
    assert!(matches!(floor.phase(id), Phase::Active(_)), "{cause:?}");
}

#[test]
fn a_hold_before_the_first_reply_leaves_it_due() {
    let causes = [
        HoldReason::ByAgent,
        HoldReason::AgentLost,
        HoldReason::CustomerSilent,
    ];
    for cause in causes {
        for replied in [false, true] {
            let mut floor = Floor::with(|plan| {
                let sales = plan.queues.get_mut(&queue("sales")).unwrap();
                sales.on_agent_lost = OnAgentLost::Hold;
            });
            floor.log_in("ana");
            let id = floor.active("zoe");
            if replied {
                floor.agent_says(id, "hello");
                floor.customer_says(id, "hello");
            }
            hold_and_return(&mut floor, id, cause);
            floor.not_ready("ana");
            floor.wait_ms(60_000);
            assert_eq!(
                warned(&floor, Warning::FirstReply),
                !replied,
                "{cause:?}, replied: {replied}"
            );
            floor.wait_ms(59_999);
            assert!(matches!(floor.phase(id), Phase::Active(_)));
            floor.wait_ms(1);
            assert_eq!(
                matches!(floor.phase(id), Phase::Queued(_)),
                !replied,
                "{cause:?}, replied: {replied}"
            );
        }
    }
}

#[test]
fn holding_and_resuming_again_and_again_does_not_put_the_first_reply_off() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let warned = |floor: &Floor| match floor.phase(id) {
        Phase::Active(active) => active.first_reply_warned,
        other => panic!("not active but {other:?}"),
    };
    // Four holds of an hour, each after 25 s: 100 s of the time to reply have passed.
    for spent_s in [25, 50, 75, 100] {
        floor.wait_ms(25_000);
        floor.hold(id).unwrap();
        floor.wait_ms(3_600_000);
        floor.resume(id).unwrap();
        assert_eq!(warned(&floor), spent_s >= 60, "after {spent_s} s");
    }
    floor.not_ready("ana");
    floor.wait_ms(19_999);
    assert!(warned(&floor));
    floor.wait_ms(1);
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
}

#[test]
fn a_leaders_start_gives_the_first_reply_its_whole_time_again_after_a_hold_too() {
    for held_after in [false, true] {
        let mut floor = Floor::new();
        floor.log_in("ana");
        let id = floor.active("zoe");
        floor.wait_ms(50_000);
        floor.hold(id).unwrap();
        floor.resume(id).unwrap();
        floor.wait_ms(1_000);
        floor.leader_starts(0);
        floor.not_ready("ana");
        if held_after {
            floor.wait_ms(30_000);
            floor.hold(id).unwrap();
            floor.wait_ms(500_000);
            floor.resume(id).unwrap();
            floor.wait_ms(89_999);
        } else {
            floor.wait_ms(119_999);
        }
        assert!(matches!(floor.phase(id), Phase::Active(_)), "{held_after}");
        floor.wait_ms(1);
        assert!(matches!(floor.phase(id), Phase::Queued(_)), "{held_after}");
    }
}

#[test]
fn a_conversation_that_comes_back_to_a_line_leaves_a_gone_customer_the_whole_time_again() {
    for (attached, grace_ms) in [(true, 120_000), (false, 600_000)] {
        for transferred in [true, false] {
            let mut floor = Floor::new();
            floor.log_in("ana");
            let id = floor.active("zoe");
            floor.agent_says(id, "hello");
            floor.customer_says(id, "hello");
            if attached {
                floor.gone(id, false);
            }
            floor.wait_ms(1_000_000);
            if transferred {
                floor.not_ready("ana");
                let by = floor.owner_actor(id);
                let billing = Target::Queue(queue("billing"));
                floor.transfer(id, by, billing).unwrap();
            } else {
                floor.lease("ana", LeaseState::Lost).unwrap();
            }
            floor.wait_ms(grace_ms - 1);
            assert!(
                matches!(floor.phase(id), Phase::Queued(_)),
                "attached: {attached}, transferred: {transferred}"
            );
            floor.wait_ms(1);
            assert!(matches!(floor.phase(id), Phase::Closed(_)));
        }
    }
}

#[test]
fn an_offer_that_ends_without_an_answer_gives_a_gone_customer_no_more_time() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.gone(id, false);
    floor.wait_ms(110_000);
    floor.log_in("ana");
    assert!(floor.offered_to(id).is_some());
    floor.not_ready("ana");
    floor.wait_ms(10_000);
    assert!(matches!(floor.phase(id), Phase::Closed(_)));
}
