//! A change of leader counts against nobody, and does not renew for ever.

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::Phase;
use crate::cell::event::{Alarm, Event};
use crate::cell::refusal::Refusal;
use crate::ids::*;

#[test]
fn cell_time_never_runs_back() {
    let mut floor = Floor::new();
    let before = floor.cell.now();
    floor.at -= 500;
    floor.open("zoe");
    assert_eq!(floor.cell.now(), before);
}

#[test]
fn a_leaders_start_gives_a_pending_offer_its_full_period_again_and_waiting_goes_on() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let aged_from = floor.conversation(id).aged_from;
    floor.wait_ms(19_000);
    floor.leader_starts(800);
    let offer = floor.offer_ref(id).offer;
    floor.wait_ms(19_999);
    assert_eq!(floor.offer_ref(id).offer, offer);
    floor.wait_ms(1);
    assert_ne!(
        floor.offer_ref(id).offer,
        offer,
        "lapsed, and offered anew because nobody missed it"
    );
    assert_eq!(floor.conversation(id).aged_from, aged_from);
}

#[test]
fn an_expiry_after_a_leader_change_is_no_miss() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.open("zoe");
    floor.wait_ms(1_000);
    floor.leader_starts(0);
    floor.wait_ms(20_000);
    assert!(
        floor
            .state()
            .agent(&agent("ana"))
            .unwrap()
            .channels
            .is_empty()
    );
}

#[test]
fn a_leaders_start_rewrites_no_deadline_and_an_early_one_is_put_back() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let indexed = floor.conversation(id).deadline;
    floor.wait_ms(10_000);
    floor.leader_starts(0);
    assert_eq!(floor.conversation(id).deadline, indexed);
    floor.at = indexed.unwrap().0;
    floor.apply(Command::tick());
    assert!(
        floor
            .last
            .iter()
            .all(|event| matches!(event, Event::DeadlinePutBack { .. })),
        "not a firing"
    );
    assert_eq!(
        floor.conversation(id).deadline,
        Some(CellTime(floor.at - 10_000 + 20_000))
    );
}

#[test]
fn from_the_third_of_a_series_only_the_time_without_a_leader_is_added() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.at += 60_000;
    let id = floor.open("zoe");
    let offer = floor.offer_ref(id).offer;
    floor.leader_starts(0);
    floor.wait_ms(5_000);
    floor.leader_starts(0);
    let full = floor.at;
    floor.wait_ms(5_000);
    let third = floor.leader_starts(700);
    let alarms = |events: &[Event]| {
        events
            .iter()
            .filter(|event| matches!(event, Event::Alarm(Alarm::LeaderUnstable { .. })))
            .count()
    };
    assert_eq!(alarms(&third.events), 1, "the third raises the alarm");
    floor.wait_ms(5_000);
    let fourth = floor.leader_starts(300);
    assert_eq!(alarms(&fourth.events), 0, "once");
    floor.wait_ms(full + 20_000 + 700 + 300 - floor.at - 1);
    assert_eq!(floor.offer_ref(id).offer, offer);
    floor.wait_ms(1);
    assert_ne!(floor.offer_ref(id).offer, offer);
    floor.wait_ms(60_000);
    floor.leader_starts(0);
    assert_eq!(
        floor.state().meta().leader.series,
        1,
        "a quiet minute ends the series"
    );
}

#[test]
fn nobody_is_called_silent_within_three_heartbeats_of_a_leaders_start() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.leader_starts(0);
    floor.wait_ms(14_999);
    assert_eq!(
        floor.lease("ana", LeaseState::Lost),
        Err(Refusal::LeaseTooEarly { retry_after_ms: 1 })
    );
    floor.wait_ms(1);
    floor.lease("ana", LeaseState::Lost).unwrap();
}

#[test]
fn a_customer_gone_before_a_leaders_start_gets_the_full_time_again() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.gone(id, false);
    floor.wait_ms(100_000);
    floor.leader_starts(5_000);
    floor.wait_ms(119_999);
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
    floor.wait_ms(1);
    assert!(matches!(floor.phase(id), Phase::Closed(_)));
}

#[test]
fn after_a_restart_of_all_voters_the_wall_clock_adds_what_has_passed_at_most_a_day() {
    let start = |floor: &mut Floor, wall_ms| {
        let started = LeaderStarted {
            wall_ms,
            without_leader_ms: 0,
            after_restart_of_all: true,
        };
        let before = floor.cell.now();
        floor.apply(Command::LeaderStarted(started));
        floor.cell.now().since_ms(before)
    };
    let mut floor = Floor::new();
    floor.open("zoe");
    let wall_ms = floor.state().meta().wall_ms;
    assert_eq!(start(&mut floor, wall_ms - 5_000), 0, "never negative");
    assert_eq!(start(&mut floor, wall_ms + 3_600_000), 3_600_000);
    assert_eq!(
        start(&mut floor, wall_ms + 3_600_000 + 9 * 86_400_000),
        86_400_000
    );
}

#[test]
fn what_cell_time_has_moved_by_itself_is_not_added_a_second_time() {
    let mut floor = Floor::new();
    floor.open("zoe");
    let (before, wall_ms) = (floor.cell.now(), floor.state().meta().wall_ms);
    floor.at += 40_000;
    floor.apply(Command::LeaderStarted(LeaderStarted {
        wall_ms: wall_ms + 3_600_000,
        without_leader_ms: 40_000,
        after_restart_of_all: true,
    }));
    assert_eq!(floor.cell.now().since_ms(before), 3_600_000);
}

#[test]
fn the_time_that_a_restart_of_all_adds_is_time_without_a_leader() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.at += 60_000;
    let id = floor.open("zoe");
    let offer = floor.offer_ref(id).offer;
    floor.leader_starts(0);
    floor.wait_ms(5_000);
    floor.leader_starts(0);
    let full = floor.cell.now();
    floor.wait_ms(5_000);
    let wall_ms = floor.state().meta().wall_ms;
    floor.at += 2_000;
    floor.apply(Command::LeaderStarted(LeaderStarted {
        wall_ms: wall_ms + 30_000,
        without_leader_ms: 2_000,
        after_restart_of_all: true,
    }));
    assert_eq!(floor.state().meta().leader.series, 3);
    let due = floor.state().meta().leader.renewed(full, 20_000);
    assert_eq!(due.since_ms(full), 20_000 + 30_000);
    assert_eq!(floor.offer_ref(id).offer, offer);
}

#[test]
fn the_clients_epoch_is_untouched_by_a_change_of_leader() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let epoch = floor.epoch(id);
    floor.leader_starts(0);
    assert_eq!(floor.epoch(id), epoch);
    floor.agent_says(id, "still here");
}
