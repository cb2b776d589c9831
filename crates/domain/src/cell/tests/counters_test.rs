//! Counters of the floor are folds of the log.

use super::support::*;
use crate::cell::command::*;
use crate::cell::derived::Gauges;

#[test]
fn gauges_follow_each_conversation() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 75);
    floor.log_in("ana");
    let a = floor.active("a");
    floor.active("b");
    let c = floor.active("c");
    floor.hold(a).unwrap();
    floor.close_by(c, Actor::Customer).unwrap();
    floor.open("d");
    floor.open("e");
    let view = floor.state().queue_view(&queue("sales")).unwrap();
    let gauges = view.gauges[&site("fra")];
    assert_eq!(
        gauges,
        Gauges {
            waiting: 1,
            offered: 1,
            active: 1,
            on_hold: 1,
            wrap_up: 1,
            ..Gauges::default()
        }
    );
}

#[test]
fn answers_and_abandons_are_counted_against_the_threshold_of_the_queue() {
    let mut floor = Floor::new();
    floor.open("quick");
    floor.at += 4_000;
    floor.log_in("ana");
    let quick = floor.line("sales").first().copied();
    assert!(quick.is_none(), "offered at once");
    let ids: Vec<_> = floor
        .state()
        .conversations()
        .map(|found| found.id)
        .collect();
    floor.accept(ids[0]);
    floor.not_ready("ana");
    let slow = floor.open("slow");
    let leaves = floor.open("leaves");
    let short = floor.open("short");
    floor.at += 9_999;
    floor.close_by(short, Actor::Customer).unwrap();
    floor.at += 11_000;
    floor.close_by(leaves, Actor::Customer).unwrap();
    floor.ready("ana");
    floor.accept(slow);
    let totals = floor.state().totals(&queue("sales"));
    assert_eq!(
        (totals.entered, totals.answered, totals.answered_in),
        (4, 2, 1)
    );
    assert_eq!(
        (
            totals.abandoned,
            totals.abandoned_in,
            totals.abandoned_short
        ),
        (2, 1, 1)
    );
    assert_eq!(
        (totals.answer_wait_ms, totals.answer_wait_ms_max),
        (4_000 + 20_999, 20_999)
    );
    // (4), the default: answered in / (answered + abandoned after the threshold) = 1 / 3.
    assert_eq!(
        floor
            .state()
            .queue_view(&queue("sales"))
            .unwrap()
            .service_level_bp,
        Some(3_333)
    );
}

#[test]
fn a_requeue_after_an_answer_is_not_a_second_answer() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    floor.wait_ms(120_000);
    floor.accept(id);
    let totals = floor.state().totals(&queue("sales"));
    assert_eq!((totals.answered, totals.requeued), (1, 1));
}

#[test]
fn the_first_response_is_counted_from_the_opening() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    floor.at += 7_000;
    floor.agent_says(id, "hello");
    floor.agent_says(id, "again");
    let totals = floor.state().totals(&queue("sales"));
    assert_eq!(
        (totals.first_responses, totals.first_response_ms),
        (1, 7_000)
    );
}

#[test]
fn handle_time_is_work_and_after_contact_work_without_time_on_hold() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    floor.at += 10_000;
    floor.hold(id).unwrap();
    floor.at += 100_000;
    floor.resume(id).unwrap();
    floor.at += 5_000;
    floor.close_by(id, Actor::Customer).unwrap();
    floor.at += 3_000;
    floor.finish(id).unwrap();
    let totals = floor.state().totals(&queue("sales"));
    assert_eq!(
        (totals.handled, totals.handle_ms, totals.wrap_up_ms),
        (1, 18_000, 3_000)
    );
    assert_eq!(floor.conversation(id).handled_ms, 18_000);
}

#[test]
fn two_clocks_are_kept() {
    let mut floor = Floor::new();
    let id = floor.open("a");
    floor.at += 30_000;
    floor
        .transfer(id, supervisor(), Target::Queue(queue("billing")))
        .unwrap();
    floor.at += 5_000;
    floor.log_in("ana");
    floor.accept(id);
    assert_eq!(
        floor.state().totals(&queue("billing")).answer_wait_ms,
        5_000,
        "since entering this queue"
    );
    let found = floor.conversation(id);
    assert_eq!(
        floor.cell.now().since_ms(found.created_at),
        35_000,
        "since creation"
    );
}

#[test]
fn the_longest_wait_is_that_of_the_head() {
    let mut floor = Floor::new();
    floor.open("a");
    floor.at += 5_000;
    floor.open("b");
    floor.at += 1_000;
    floor.apply(Command::tick());
    assert_eq!(
        floor
            .state()
            .queue_view(&queue("sales"))
            .unwrap()
            .longest_wait_ms,
        6_000
    );
}

#[test]
fn the_longest_wait_is_that_of_whoever_entered_this_queue_first() {
    let mut floor = Floor::new();
    let moved = floor.open("a");
    floor.at += 60_000;
    let waits = floor.open_in("b", "billing");
    floor.at += 5_000;
    floor
        .transfer(moved, supervisor(), Target::Queue(queue("billing")))
        .unwrap();
    floor.at += 1_000;
    floor.apply(Command::tick());
    assert_eq!(floor.line("billing"), [moved, waits], "with its full age");
    let longest_wait_ms = |floor: &Floor| {
        let view = floor.state().queue_view(&queue("billing")).unwrap();
        view.longest_wait_ms
    };
    assert_eq!(longest_wait_ms(&floor), 6_000);
    floor.close_by(waits, Actor::Customer).unwrap();
    assert_eq!(longest_wait_ms(&floor), 1_000);
}

#[test]
fn a_short_abandon_is_sooner_than_10_s_on_chat_and_5_s_on_voice() {
    for (account, threshold_ms) in [("web", 10_000), ("voice", 5_000)] {
        for (waited_ms, short) in [(threshold_ms - 1, 1), (threshold_ms, 0)] {
            let mut floor = Floor::new();
            let id = floor.open_on("zoe", account);
            floor.at += waited_ms;
            floor.close_by(id, Actor::Customer).unwrap();
            let totals = floor.state().totals(&queue("sales"));
            assert_eq!(
                (totals.abandoned, totals.abandoned_short),
                (1, short),
                "{waited_ms} ms on {account}"
            );
        }
    }
}

#[test]
fn exactly_20_s_are_within_20_s() {
    for (waited_ms, within) in [(20_000, 1), (20_001, 0)] {
        let mut floor = Floor::new();
        let answered = floor.open("zoe");
        let leaves = floor.open("yan");
        floor.at += waited_ms;
        floor.close_by(leaves, Actor::Customer).unwrap();
        floor.log_in("ana");
        floor.accept(answered);
        let totals = floor.state().totals(&queue("sales"));
        assert_eq!((totals.answered, totals.abandoned), (1, 1));
        assert_eq!(
            (totals.answered_in, totals.abandoned_in),
            (within, within),
            "{waited_ms} ms"
        );
    }
}

#[test]
fn times_at_the_end_of_their_range_stop_the_sums_there() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let (one, two) = (floor.active("a"), floor.active("b"));
    // Room for the wall clock, which is ahead.
    floor.at = u64::MAX - (1 << 45);
    floor.agent_says(one, "hello");
    floor.agent_says(two, "hello");
    floor.close_by(one, Actor::Customer).unwrap();
    floor.close_by(two, Actor::Customer).unwrap();
    let totals = floor.state().totals(&queue("sales"));
    assert_eq!(totals.first_response_ms, u64::MAX);
    assert_eq!(totals.handle_ms, u64::MAX);
    assert_eq!(totals.plus(&totals).handle_ms, u64::MAX);
}
