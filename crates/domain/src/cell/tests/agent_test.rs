//! Logins and devices.

use super::support::*;
use crate::cell::command::*;
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, LoggedIn};
use crate::ids::*;

fn log_in(floor: &mut Floor, device_name: &str, session: Option<Session>) -> Result<Done, Refusal> {
    let request_id = floor.fresh();
    floor.ask(Command::LogIn(LogIn {
        agent: agent("ana"),
        request_id,
        device: device(device_name),
        session,
        intent: Intent::Ready,
        site: site("fra"),
    }))
}

#[test]
fn a_session_is_the_log_index_of_its_login() {
    let mut floor = Floor::new();
    let session = floor.log_in("ana");
    assert_eq!(session, Session(floor.index));
}

#[test]
fn a_second_device_joins_the_session_and_keeps_the_intent() {
    let mut floor = Floor::new();
    let session = floor.log_in("ana");
    floor.not_ready("ana");
    let joined = log_in(&mut floor, "phone", None);
    assert_eq!(
        joined,
        Ok(Done::LoggedIn(LoggedIn {
            session,
            resumed: true
        }))
    );
    let found = floor.state().agent(&agent("ana")).unwrap();
    assert_eq!(found.devices, [device("desk"), device("phone")]);
    assert!(matches!(found.intent, Intent::NotReady { .. }));
}

#[test]
fn a_device_with_an_older_session_is_refused() {
    let mut floor = Floor::new();
    let old = floor.log_in("ana");
    let request_id = floor.fresh();
    floor
        .ask(Command::LogOut(LogOut {
            agent: agent("ana"),
            request_id,
            session: old,
            device: None,
        }))
        .unwrap();
    let none = log_in(&mut floor, "desk", Some(old));
    assert_eq!(
        none,
        Err(Refusal::StaleSession {
            agent: agent("ana"),
            session: old,
            current: Session(0)
        })
    );
    let current = floor.log_in("ana");
    let refused = log_in(&mut floor, "desk", Some(old));
    assert_eq!(
        refused,
        Err(Refusal::StaleSession {
            agent: agent("ana"),
            session: old,
            current
        })
    );
}

#[test]
fn losing_one_of_three_devices_changes_nothing() {
    let mut floor = Floor::new();
    let session = floor.log_in("ana");
    for name in ["phone", "tablet"] {
        log_in(&mut floor, name, Some(session)).unwrap();
    }
    let id = floor.active("zoe");
    let request_id = floor.fresh();
    let leave = LogOut {
        agent: agent("ana"),
        request_id,
        session,
        device: Some(device("desk")),
    };
    floor.ask(Command::LogOut(leave)).unwrap();
    let found = floor.state().agent(&agent("ana")).unwrap();
    assert_eq!(
        (found.session, found.intent.clone()),
        (Some(session), Intent::Ready)
    );
    floor.agent_says(id, "from my phone");
}

#[test]
fn acts_of_a_stale_session_are_refused() {
    let mut floor = Floor::new();
    let old = floor.log_in("ana");
    let request_id = floor.fresh();
    floor
        .ask(Command::LogOut(LogOut {
            agent: agent("ana"),
            request_id,
            session: old,
            device: None,
        }))
        .unwrap();
    floor.log_in("ana");
    let mut set = floor.intent_command("ana", Intent::Ready);
    set.session = Some(old);
    assert!(matches!(
        floor.ask(Command::SetIntent(set)),
        Err(Refusal::StaleSession { .. })
    ));
    let id = floor.active("zoe");
    let stale = Actor::Agent {
        agent: agent("ana"),
        session: old,
        owner_epoch: floor.epoch(id),
    };
    assert!(matches!(
        floor.try_send(id, stale, "hi"),
        Err(Refusal::StaleSession { .. })
    ));
}

#[test]
fn going_not_ready_gives_an_open_offer_back_without_a_miss() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.not_ready("ana");
    assert!(floor.offered_to(id).is_none());
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
fn a_supervisor_sets_an_agents_intent_and_that_heals_no_pause() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.open("zoe");
    floor.wait_ms(20_000);
    let mut set = floor.intent_command("ana", Intent::Ready);
    (set.session, set.staff) = (None, Some(staff()));
    floor.ask(Command::SetIntent(set)).unwrap();
    assert_eq!(
        floor.state().agent(&agent("ana")).unwrap().channels.len(),
        1
    );
}

#[test]
fn reconnects_to_a_live_session_take_no_place_among_the_remembered_requests() {
    let mut floor = Floor::new();
    let session = floor.log_in("ana");
    for _ in 0..200 {
        let resumed = log_in(&mut floor, "desk", Some(session));
        assert_eq!(
            resumed,
            Ok(Done::LoggedIn(LoggedIn {
                session,
                resumed: true
            }))
        );
    }
    let rows = &floor.state().agent(&agent("ana")).unwrap().requests;
    assert_eq!(rows.len(), 1, "the first login alone");
}

#[test]
fn the_present_choice_again_takes_an_earlier_next_status_back() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let lunch = Intent::NotReady {
        reason: "lunch".into(),
    };
    for intent in [lunch.clone(), Intent::Ready] {
        let set = floor.intent_command("ana", intent);
        floor.ask(Command::SetNextStatus(set)).unwrap();
    }
    let found = floor.state().agent(&agent("ana")).unwrap();
    assert_eq!((&found.intent, &found.next), (&Intent::Ready, &None));
    let later = floor.intent_command("ana", lunch.clone());
    floor.ask(Command::SetNextStatus(later)).unwrap();
    let found = floor.state().agent(&agent("ana")).unwrap();
    assert_eq!((&found.intent, &found.next), (&Intent::Ready, &Some(lunch)));
    assert!(floor.offered_to(id).is_none());
}

fn idle_since(floor: &Floor) -> u64 {
    floor.state().agent(&agent("ana")).unwrap().idle_since.0
}

#[test]
fn idle_time_begins_with_the_first_login_and_no_later_one_resets_it() {
    let mut floor = Floor::new();
    let session = floor.log_in("ana");
    let first = floor.at;
    assert_eq!(idle_since(&floor), first);
    floor.wait_ms(60_000);
    let request_id = floor.fresh();
    let leave = LogOut {
        agent: agent("ana"),
        request_id,
        session,
        device: None,
    };
    floor.ask(Command::LogOut(leave)).unwrap();
    floor.wait_ms(60_000);
    floor.log_in("ana");
    assert_eq!(idle_since(&floor), first);
}

#[test]
fn a_hold_that_is_given_up_after_a_day_does_not_reset_idle_time() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let held = floor.active("zoe");
    floor.hold(held).unwrap();
    floor.wait_ms(3_600_000);
    let id = floor.active("yan");
    floor.close_by(id, supervisor()).unwrap();
    floor.finish(id).unwrap();
    let handled_at = floor.at;
    floor.wait_ms(86_400_000);
    assert!(floor.conversation(held).phase.is_over());
    assert_eq!(idle_since(&floor), handled_at);
}

#[test]
fn a_held_conversation_begins_idle_time_now_only_if_its_agent_ends_it() {
    // Who closes, whether the agent had written, and the beginning of idle time: of the login, the
    // hold or the end.
    const LOGIN: u64 = 0;
    const HOLD: u64 = 60_000;
    const END: u64 = 360_000;
    for (by, replied, expected) in [
        (Some(Actor::Customer), false, LOGIN),
        (Some(supervisor()), false, LOGIN),
        (Some(Actor::Customer), true, HOLD),
        (Some(supervisor()), true, HOLD),
        (None, false, END),
        (None, true, END),
    ] {
        let mut floor = Floor::new();
        floor.log_in("ana");
        let began = floor.at;
        let id = floor.active("zoe");
        if replied {
            floor.agent_says(id, "let me see");
        }
        floor.wait_ms(60_000);
        floor.hold(id).unwrap();
        floor.wait_ms(300_000);
        let closing = by.clone().unwrap_or_else(|| floor.owner_actor(id));
        floor.close_by(id, closing).unwrap();
        let found = idle_since(&floor) - began;
        assert_eq!(found, expected, "{by:?}, replied: {replied}");
    }
}

#[test]
fn a_held_conversation_that_the_customer_ends_takes_no_idle_time_away() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let held = floor.active("zoe");
    floor.agent_says(held, "let me see");
    floor.hold(held).unwrap();
    floor.wait_ms(60_000);
    let id = floor.active("yan");
    floor.close_by(id, supervisor()).unwrap();
    floor.finish(id).unwrap();
    let handled_at = floor.at;
    floor.wait_ms(60_000);
    floor.close_by(held, Actor::Customer).unwrap();
    assert_eq!(idle_since(&floor), handled_at);
}
