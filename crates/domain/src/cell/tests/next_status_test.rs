//! What an agent chose for after the present work, under a supervisor's hand.

use super::support::*;
use crate::cell::command::*;
use crate::cell::refusal::Refusal;
use crate::cell::reply::Reply;

fn named(reason: &str) -> Intent {
    Intent::NotReady {
        reason: reason.into(),
    }
}

fn set_by_mia(floor: &mut Floor, intent: Intent) -> Reply {
    let request_id = floor.fresh();
    floor.ask(Command::SetIntent(SetIntent {
        agent: agent("ana"),
        request_id,
        session: None,
        staff: Some(staff()),
        intent,
        why: "the roster".into(),
    }))
}

fn choose_next(floor: &mut Floor, intent: Intent) {
    let set = floor.intent_command("ana", intent);
    floor.ask(Command::SetNextStatus(set)).unwrap();
}

/// What holds, what comes next, and whether a supervisor set it.
fn chosen(floor: &Floor) -> (Intent, Option<Intent>, bool) {
    let found = floor.state().agent(&agent("ana")).unwrap();
    (
        found.intent.clone(),
        found.next.clone(),
        found.set_by.is_some(),
    )
}

/// Ana, at work, who has chosen lunch for after it.
fn before_lunch() -> (Floor, crate::ids::ConversationId) {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    choose_next(&mut floor, named("lunch"));
    (floor, id)
}

fn refused() -> Reply {
    Err(Refusal::NotAllowed {
        actor: "supervisor",
        act: "make an agent ready who has chosen not to be",
    })
}

#[test]
fn a_supervisors_ready_is_refused_where_the_agent_has_chosen_to_leave_after_the_present_work() {
    let (mut floor, id) = before_lunch();
    assert_eq!(set_by_mia(&mut floor, Intent::Ready), refused());
    assert_eq!(chosen(&floor), (Intent::Ready, Some(named("lunch")), false));
    floor.close_by(id, supervisor()).unwrap();
    floor.finish(id).unwrap();
    assert_eq!(
        chosen(&floor).0,
        named("lunch"),
        "the agent's own choice came"
    );
}

#[test]
fn what_a_supervisor_sets_and_takes_back_leaves_the_agents_next_status_as_it_was() {
    let (mut floor, id) = before_lunch();
    set_by_mia(&mut floor, named("tea")).unwrap();
    assert_eq!(chosen(&floor), (named("tea"), None, true));
    // Set once more, for the choice must outlive that too.
    set_by_mia(&mut floor, named("training")).unwrap();
    set_by_mia(&mut floor, Intent::Ready).unwrap();
    assert_eq!(chosen(&floor), (Intent::Ready, Some(named("lunch")), true));
    floor.close_by(id, supervisor()).unwrap();
    floor.finish(id).unwrap();
    assert_eq!(chosen(&floor), (named("lunch"), None, false));
}

#[test]
fn work_that_ends_under_a_supervisors_hand_brings_the_agents_choice_into_force_beneath_it() {
    let (mut floor, id) = before_lunch();
    set_by_mia(&mut floor, named("tea")).unwrap();
    floor.close_by(id, supervisor()).unwrap();
    floor.finish(id).unwrap();
    assert_eq!(chosen(&floor), (named("tea"), None, true));
    assert_eq!(set_by_mia(&mut floor, Intent::Ready), refused());
    let id = floor.open("yan");
    assert_eq!(floor.offered_to(id), None);
}

#[test]
fn an_agent_who_chooses_anew_under_a_supervisors_hand_is_taken_at_the_last_word() {
    let (mut floor, id) = before_lunch();
    set_by_mia(&mut floor, named("tea")).unwrap();
    choose_next(&mut floor, named("home"));
    set_by_mia(&mut floor, named("training")).unwrap();
    floor.close_by(id, supervisor()).unwrap();
    floor.finish(id).unwrap();
    assert_eq!(set_by_mia(&mut floor, Intent::Ready), refused());
    let found = floor.state().agent(&agent("ana")).unwrap();
    assert_eq!(found.set_by.as_ref().unwrap().chosen, named("home"));
}
