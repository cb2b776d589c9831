//! Made-up entries in which deadlines fire early, twice, late, never, or go away.

use super::super::made::*;
use super::*;
use crate::cell::command::Tick;
use crate::cell::conversation::{Phase, Waiting};
use crate::cell::reply::Ticked;
use crate::cell::tests::support::*;

fn judged(made: &Made) -> Option<Rule> {
    rule_of(made.judged_by(DeadlinesFireOnce::of(&made.before)))
}

/// The tick in which the first deadline of a floor fires; one that was renewed is put back before it.
fn due(floor: &mut Floor) -> Made {
    loop {
        floor.at = floor.cell.next_deadline().expect("one is set").0;
        let made = Made::apply(floor, Command::Tick(Tick::default()));
        let put_back = |event: &Event| matches!(event, Event::DeadlinePutBack { .. });
        if !made.events.iter().all(put_back) {
            return made;
        }
    }
}

#[test]
fn an_offer_that_ends_twice_or_before_its_time_is_seen() {
    let (mut floor, _) = asked();
    let made = due(&mut floor);
    assert_eq!(judged(&made), None, "in time");
    let ended = |event: &&Event| matches!(event, Event::OfferEnded { .. });
    let ended = made.events.iter().find(ended).expect("it lapsed").clone();
    let mut twice = made;
    twice.events.push(ended);
    assert_eq!(judged(&twice), Some(Rule::DeadlinesFireOnce), "twice");
    let mut early = twice;
    early.events.pop();
    early.after.meta.now.0 -= 1;
    assert_eq!(judged(&early), Some(Rule::DeadlinesFireOnce), "too early");
}

#[test]
fn a_deadline_that_is_due_and_does_not_fire_is_seen() {
    let (floor, _) = asked();
    let mut made = Made::of(&floor);
    let ticked = |more_due| Ok(Done::Ticked(Ticked { fired: 0, more_due }));
    made.reply = ticked(false);
    assert_eq!(judged(&made), None, "not due yet");
    made.after.meta.now = CellTime(u64::MAX / 2);
    assert_eq!(judged(&made), Some(Rule::DeadlinesFireOnce));
    made.reply = ticked(true);
    assert_eq!(judged(&made), None, "more ticks come");
}

#[test]
fn a_deadline_that_fires_and_is_still_set_is_seen() {
    let (mut floor, ..) = busy();
    // Ana owes ann a first reply: she is warned.
    let made = due(&mut floor);
    assert_eq!(judged(&made), None);
    let warned = |event: &Event| matches!(event, Event::Warned { .. });
    assert!(made.events.iter().any(warned), "{:?}", made.events);
    let mut still = made;
    let now = still.after.now();
    still.after = still.before.clone();
    still.after.meta.now = now;
    still.reply = Ok(Done::Nothing);
    assert_eq!(judged(&still), Some(Rule::DeadlinesFireOnce));
}

#[test]
fn a_deadline_that_goes_away_without_a_cause_is_seen() {
    let (mut floor, _, bob) = busy();
    floor.gone(bob, false);
    let mut made = Made::of(&floor);
    let passes = Event::PassesLapsed {
        conversation: bob,
        upto: CellTime(0),
    };
    made.command = Command::MatchMore;
    made.events = vec![passes];
    assert_eq!(judged(&made), None);
    made.after(bob).gone = None;
    assert_eq!(judged(&made), Some(Rule::DeadlinesFireOnce), "nobody came");
    made.touch(bob);
    assert_eq!(judged(&made), None, "the customer came");
}

#[test]
fn what_moves_in_a_tick_without_a_deadline_is_seen() {
    let (floor, ann, _) = busy();
    let mut made = Made::of(&floor);
    let owner_epoch = made.after(ann).owner_epoch;
    made.events = vec![Event::PhaseChanged {
        conversation: ann,
        phase: Phase::Queued(Waiting {
            prefer: None,
            held: crate::cell::conversation::Held::No,
        }),
        owner_epoch,
    }];
    assert_eq!(judged(&made), Some(Rule::DeadlinesFireOnce));
    made.command = Command::MatchMore;
    assert_eq!(judged(&made), None, "by somebody's act");
}

#[test]
fn a_pause_that_ends_early_or_never_is_seen() {
    let (mut floor, _) = asked();
    due(&mut floor);
    let paused = floor.state().agent(&agent("ana")).unwrap().channels.clone();
    let until = paused.first().expect("she missed an offer").until;
    let mut made = Made::of(&floor);
    person(&mut made.after, "ana").channels[0].until = CellTime(0);
    let ana = made.after.agent(&agent("ana")).unwrap().clone();
    made.events = vec![Event::AgentChanged { agent: ana }];
    assert_eq!(judged(&made), Some(Rule::DeadlinesFireOnce), "too early");
    made.after.meta.now = until;
    assert_eq!(judged(&made), None, "in time");
    let mut never = Made::of(&floor);
    never.after.meta.now = until;
    never.reply = Ok(Done::Ticked(Ticked {
        fired: 0,
        more_due: false,
    }));
    assert_eq!(judged(&never), Some(Rule::DeadlinesFireOnce), "never");
}
