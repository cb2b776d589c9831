//! A planted panic sets one conversation aside and harms nothing else.

use super::support::*;
use crate::cell::Cell;
use crate::cell::capacity::FreeKey;
use crate::cell::command::*;
use crate::cell::conversation::Phase;
use crate::cell::defects;
use crate::cell::event::{Alarm, Event};
use crate::cell::floor::OfferOutcome;
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::ids::*;
use crate::plan::Strategy;

fn named(floor: &mut Floor, customer: &str, name: &str) -> ConversationId {
    let mut open = floor.open_command(customer);
    open.display_name = name.into();
    floor.opened(open).conversation
}

#[test]
fn a_panic_in_decide_quarantines_its_conversation_and_the_line_goes_on() {
    let mut floor = Floor::new();
    let sick = floor.open("a");
    let well = floor.open("b");
    let epoch = floor.epoch(sick);
    let refused = floor.try_send(sick, Actor::Customer, defects::IN_DECIDE);
    let index = LogIndex(floor.index);
    assert_eq!(
        refused,
        Err(Refusal::MachineDefect {
            conversation: Some(sick),
            index,
            retry_after_ms: 30_000
        })
    );
    assert_eq!(floor.conversation(sick).quarantined, Some(index));
    assert!(floor.epoch(sick) > epoch);
    floor.log_in("ana");
    assert!(floor.offered_to(sick).is_none());
    assert!(floor.offered_to(well).is_some());
    let refused = floor.try_send(sick, Actor::Customer, "hello?");
    assert!(matches!(refused, Err(Refusal::MachineDefect { .. })));
    assert_eq!(floor.texts(sick), ["hello"], "the transcript stays");
}

#[test]
fn a_panic_while_matching_quarantines_the_candidate_and_serves_the_next() {
    let mut floor = Floor::new();
    let sick = named(&mut floor, "a", defects::IN_MATCHING);
    let well = floor.open("b");
    floor.log_in("ana");
    assert!(floor.conversation(sick).quarantined.is_some());
    assert_eq!(floor.offered_to(well).as_deref(), Some("ana"));
}

#[test]
fn a_wrong_set_of_free_agents_sets_the_candidate_aside_and_takes_no_units() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.not_ready("ana");
    let id = floor.open("a");
    let mut state = floor.state().clone();
    let view = state.agent_view(&agent("ana")).unwrap();
    let key = FreeKey::new(Strategy::LongestIdle, view.agent, &view.load);
    let classes: Vec<_> = state
        .derived
        .classes
        .iter()
        .map(|(class, _)| class)
        .collect();
    for class in classes {
        let classes = &mut state.derived.classes;
        classes.stand(class, &agent("ana"), Some(key.clone()));
    }
    floor.cell = Cell::from_state(state);
    let entry = Entry {
        at: CellTime(floor.at),
        wall_ms: 0,
        command: Command::MatchMore,
    };
    let applied = floor.cell.apply(LogIndex(floor.index + 1), &entry);
    assert_eq!(applied.reply, Ok(Done::Nothing));
    assert!(floor.conversation(id).quarantined.is_some());
    assert_eq!((floor.offered_to(id), floor.used("ana")), (None, 0));
}

#[test]
fn a_panic_in_a_deadline_takes_the_deadline_out_and_fires_the_next() {
    let mut floor = Floor::new();
    let sick = named(&mut floor, "a", defects::IN_DEADLINE);
    let well = floor.open("b");
    floor.gone(sick, false);
    floor.gone(well, false);
    floor.wait_ms(120_000);
    let found = floor.conversation(sick);
    assert!(found.quarantined.is_some() && found.deadline.is_none());
    assert!(matches!(floor.phase(well), Phase::Closed(_)));
}

#[test]
fn an_active_conversation_that_breaks_frees_its_units() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    floor
        .try_send(id, Actor::Customer, defects::IN_DECIDE)
        .unwrap_err();
    assert_eq!((floor.used("ana"), floor.owner(id)), (0, None));
}

#[test]
fn a_command_without_a_conversation_is_answered_alone() {
    let mut floor = Floor::new();
    let mut open = floor.open_command("a");
    open.display_name = defects::IN_DECIDE.into();
    let refused = floor.ask(Command::Open(open));
    assert!(matches!(
        refused,
        Err(Refusal::MachineDefect {
            conversation: None,
            ..
        })
    ));
    assert!(floor.last.contains(&Event::Alarm(Alarm::Defect {
        index: LogIndex(floor.index)
    })));
    floor.open("b");
}

#[test]
fn a_supervisor_releases_it_to_its_old_place_or_closes_it() {
    let mut floor = Floor::new();
    let sick = floor.open("a");
    floor.at += 1_000;
    let younger = floor.open("b");
    floor
        .try_send(sick, Actor::Customer, defects::IN_DECIDE)
        .unwrap_err();
    assert_eq!(floor.line("sales"), [younger]);
    let request_id = floor.fresh();
    let release = Release {
        conversation: sick,
        request_id,
        staff: staff(),
        reason: String::new(),
    };
    floor.ask(Command::Release(release)).unwrap();
    assert_eq!(floor.line("sales"), [sick, younger]);
    floor
        .try_send(sick, Actor::Customer, defects::IN_DECIDE)
        .unwrap_err();
    assert!(floor.close_by(sick, Actor::Customer).is_err());
    floor.close_by(sick, supervisor()).unwrap();
    assert!(matches!(floor.phase(sick), Phase::Closed(_)));
    let next = floor.open("a");
    assert_ne!(next, sick);
}

/// Breaks a conversation; the refusal's events are in `floor.last`.
fn broken(floor: &mut Floor, id: ConversationId) {
    floor
        .try_send(id, Actor::Customer, defects::IN_DECIDE)
        .unwrap_err();
    assert!(floor.conversation(id).quarantined.is_some());
}

fn next_is_lunch(floor: &mut Floor) {
    let lunch = Intent::NotReady {
        reason: "lunch".into(),
    };
    let set = floor.intent_command("ana", lunch);
    floor.ask(Command::SetNextStatus(set)).unwrap();
}

/// Whether ana's desk was told that she has this conversation no more.
fn owner_told(floor: &Floor, id: ConversationId) -> bool {
    floor.last.iter().any(|event| {
        matches!(event, Event::OwnerChanged { conversation, before: Some(_), owner: None, owner_epoch }
            if *conversation == id && *owner_epoch == floor.epoch(id))
    })
}

fn at_lunch(floor: &Floor) -> bool {
    floor.state().agent(&agent("ana")).unwrap().intent != Intent::Ready
}

#[test]
fn an_offered_conversation_that_breaks_has_its_offer_rescinded_told_and_counted() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("a");
    let offer = floor.offer_ref(id).offer;
    next_is_lunch(&mut floor);
    broken(&mut floor, id);
    let told = floor.last.iter().any(|event| {
        matches!(event, Event::OfferEnded { offer: ended, outcome: OfferOutcome::Rescinded, .. }
            if *ended == offer)
    });
    assert!(told);
    assert_eq!(floor.state().totals(&queue("sales")).offers_rescinded, 1);
    assert_eq!(floor.used("ana"), 0);
    assert!(at_lunch(&floor), "the next status takes effect");
}

#[test]
fn an_active_conversation_that_breaks_tells_its_owner_and_counts_the_work() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    next_is_lunch(&mut floor);
    floor.wait_ms(5_000);
    broken(&mut floor, id);
    assert!(owner_told(&floor, id));
    assert_eq!(floor.state().totals(&queue("sales")).handle_ms, 5_000);
    assert_eq!(floor.used("ana"), 0);
    assert!(at_lunch(&floor), "the next status takes effect");
}

#[test]
fn a_held_conversation_that_breaks_tells_its_owner() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    floor.hold(id).unwrap();
    broken(&mut floor, id);
    assert!(owner_told(&floor, id));
    assert_eq!((floor.used("ana"), floor.owner(id)), (0, None));
}

#[test]
fn after_contact_work_that_breaks_is_over_and_counted() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    floor.close_by(id, Actor::Customer).unwrap();
    assert!(matches!(floor.phase(id), Phase::WrapUp(_)));
    next_is_lunch(&mut floor);
    broken(&mut floor, id);
    assert!(owner_told(&floor, id));
    assert!(matches!(floor.phase(id), Phase::Closed(_)));
    assert_eq!(floor.state().totals(&queue("sales")).handled, 1);
    assert_eq!(floor.used("ana"), 0);
    assert!(at_lunch(&floor), "the next status takes effect");
}

#[test]
fn a_bots_conversation_that_breaks_is_the_bots_no_more() {
    let mut floor = Floor::new();
    let mut open = floor.open_command("a");
    open.bot_first = true;
    let id = floor.opened(open).conversation;
    let owner_epoch = floor.epoch(id);
    broken(&mut floor, id);
    assert!(floor.epoch(id) > owner_epoch);
    let refused = floor.try_send(id, Actor::Bot { owner_epoch }, "hello");
    assert!(matches!(refused, Err(Refusal::MachineDefect { .. })));
}

#[test]
fn a_release_leaves_a_customer_who_is_gone_the_whole_time_again() {
    let mut floor = Floor::new();
    let id = floor.open("a");
    floor
        .try_send(id, Actor::Customer, defects::IN_DECIDE)
        .unwrap_err();
    floor.gone(id, false);
    floor.wait_ms(1_000_000);
    let release = Release {
        conversation: id,
        request_id: floor.fresh(),
        staff: staff(),
        reason: String::new(),
    };
    floor.ask(Command::Release(release)).unwrap();
    floor.wait_ms(119_999);
    assert!(floor.conversation(id).is_waiting());
    floor.wait_ms(1);
    assert!(floor.conversation(id).phase.is_over());
}
