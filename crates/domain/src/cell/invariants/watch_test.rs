//! Each rule of the watch, on states that a correct machine never makes.

use super::{Rule, Violation, Watch, check_invariants};
use crate::cell::command::{Command, Entry, LeaseState};
use crate::cell::conversation::{Active, Held, Phase, Waiting};
use crate::cell::event::{Event, Object};
use crate::cell::floor::OfferOutcome;
use crate::cell::tests::support::*;
use crate::cell::{Applied, State};
use crate::ids::*;

/// A state with one entry that did nothing, to be altered.
struct Made {
    before: State,
    after: State,
    events: Vec<Event>,
    command: Command,
}

impl Made {
    fn of(floor: &Floor) -> Self {
        Self {
            before: floor.state().clone(),
            after: floor.state().clone(),
            events: Vec::new(),
            command: Command::tick(),
        }
    }

    fn judged(&self) -> Result<(), Violation> {
        let entry = Entry {
            at: self.after.now(),
            wall_ms: 0,
            command: self.command.clone(),
        };
        let applied = Applied {
            reply: Ok(crate::cell::reply::Done::Nothing),
            events: self.events.clone(),
        };
        Watch::begin(&self.before).check(&self.after, &entry, &applied)
    }

    fn breaks(&self) -> Rule {
        self.judged().expect_err("it does not hold").rule()
    }

    /// An event that touches a conversation and says nothing of it.
    fn touch(&mut self, conversation: ConversationId) {
        self.events.push(Event::CustomerPresence {
            conversation,
            gone: None,
        });
    }
}

/// A floor on which ana has accepted the conversation of ann and bob waits.
fn busy() -> (Floor, ConversationId, ConversationId) {
    let mut floor = Floor::with(|plan| {
        for agent in plan.agents.values_mut() {
            agent.capacity = 25;
        }
    });
    floor.log_in("ana");
    let ann = floor.open("ann");
    floor.accept(ann);
    let bob = floor.open("bob");
    (floor, ann, bob)
}

#[test]
fn what_holds_is_not_complained_of() {
    let (floor, ann, bob) = busy();
    let mut made = Made::of(&floor);
    made.touch(ann);
    made.touch(bob);
    assert_eq!(made.judged(), Ok(()));
}

#[test]
fn time_that_runs_back_is_seen() {
    let (floor, ..) = busy();
    let mut made = Made::of(&floor);
    made.after.meta.now = CellTime(1);
    assert_eq!(made.breaks(), Rule::TimeNeverRunsBack);
}

#[test]
fn an_epoch_that_falls_and_a_second_owner_in_one_epoch_are_seen() {
    let (floor, ann, _) = busy();
    let mut made = Made::of(&floor);
    made.touch(ann);
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    found.owner_epoch = OwnerEpoch(0);
    assert_eq!(made.breaks(), Rule::EpochsGrow);
    let mut made = Made::of(&floor);
    made.touch(ann);
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    let Phase::Active(active) = &found.phase else {
        panic!("ana has it")
    };
    found.phase = Phase::Active(Active {
        agent: agent("ben"),
        ..active.clone()
    });
    assert_eq!(made.breaks(), Rule::OneOwnerPerEpoch);
}

#[test]
fn a_transcript_that_loses_or_jumps_is_seen() {
    let (floor, ann, _) = busy();
    let mut made = Made::of(&floor);
    made.touch(ann);
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    found.items = found.items.iter().take(found.items.len() - 1).collect();
    assert_eq!(made.breaks(), Rule::TranscriptsGapless);
    let mut made = Made::of(&floor);
    made.touch(ann);
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    let last = found.items.last().unwrap();
    found.items.push(&last);
    assert_eq!(made.breaks(), Rule::TranscriptsGapless);
}

#[test]
fn a_place_that_moves_back_is_seen() {
    let (floor, _, bob) = busy();
    let mut made = Made::of(&floor);
    made.touch(bob);
    let found = made.after.conversations.get_mut(&bob.index).unwrap();
    found.aged_from = CellTime(found.aged_from.0 + 1);
    assert_eq!(made.breaks(), Rule::PlacesStay);
}

#[test]
fn an_agent_who_is_free_beside_work_is_seen_unless_matching_goes_on() {
    let (floor, ann, bob) = busy();
    let mut made = Made::of(&floor);
    made.touch(bob);
    let events = std::mem::take(&mut made.events);
    // Ana's work is taken away and nobody looks for more.
    let found = made.before.conversations.get_mut(&ann.index).unwrap();
    found.phase = Phase::Queued(Waiting {
        prefer: None,
        held: Held::OwnLine,
    });
    made.events = events;
    assert_eq!(made.breaks(), Rule::NobodyIdle);
    made.after.meta.more_due = true;
    assert_eq!(made.judged(), Ok(()));
}

#[test]
fn an_entry_that_takes_more_than_there_is_is_seen() {
    let (floor, ann, _) = busy();
    let mut made = Made::of(&floor);
    let phase = made.after.conversation(ann).unwrap().phase.clone();
    let owner_epoch = made.after.conversation(ann).unwrap().owner_epoch;
    // Taken in this entry, by the events, from an agent who has less by now.
    let found = made.before.conversations.get_mut(&ann.index).unwrap();
    found.phase = Phase::Bot;
    let found = std::sync::Arc::make_mut(&mut made.after.agents);
    let ana = std::sync::Arc::make_mut(found.get_mut(&agent("ana")).unwrap());
    let mut profile = (*ana.profile).clone();
    profile.capacity = 10;
    ana.profile = profile.into();
    made.events = vec![Event::PhaseChanged {
        conversation: ann,
        phase,
        owner_epoch,
    }];
    made.after.meta.more_due = true;
    // That ana owns it in an epoch in which nobody did is seen first: the epoch moves too.
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    found.owner_epoch = OwnerEpoch(owner_epoch.0 + 1);
    assert_eq!(made.breaks(), Rule::CapacityHolds);
}

#[test]
fn an_offer_of_another_epoch_and_one_that_ends_twice_are_seen() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let ann = floor.open("ann");
    let Phase::Offered(offer) = floor.state().conversation(ann).unwrap().phase.clone() else {
        panic!("ana is asked")
    };
    let mut made = Made::of(&floor);
    made.touch(ann);
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    found.owner_epoch = OwnerEpoch(found.owner_epoch.0 + 1);
    assert_eq!(made.breaks(), Rule::OffersNameTheEpoch);
    let ended = |outcome| Event::OfferEnded {
        offer: offer.id,
        conversation: ann,
        queue: queue("sales"),
        site: site("fra"),
        agent: agent("ana"),
        outcome,
        at: CellTime(0),
    };
    let mut made = Made::of(&floor);
    made.events = vec![ended(OfferOutcome::Declined), ended(OfferOutcome::Declined)];
    assert_eq!(made.breaks(), Rule::DeadlinesFireOnce);
    made.events = vec![ended(OfferOutcome::Expired)];
    assert_eq!(made.breaks(), Rule::DeadlinesFireOnce, "before its time");
    let found = std::sync::Arc::make_mut(&mut made.after.agents);
    let ana = std::sync::Arc::make_mut(found.get_mut(&agent("ana")).unwrap());
    ana.session = None;
    ana.lease = LeaseState::Lost;
    made.events.clear();
    made.touch(ann);
    assert_eq!(made.breaks(), Rule::OffersNameTheEpoch, "to nobody");
}

#[test]
fn an_overtake_beyond_the_boost_is_seen() {
    let mut floor = Floor::new();
    let ann = floor.open("ann");
    floor.at += 1_000;
    let bob = floor.open("bob");
    let before = floor.state().clone();
    floor.log_in("ana");
    // Ana was asked for both, ann first: the other way round is an overtake.
    let mut events = floor.last.clone();
    let made_at = |events: &[Event], id| {
        let made = events
            .iter()
            .position(|event| matches!(event, Event::OfferMade(made) if made.conversation == id));
        made.expect("ana is asked")
    };
    let (first, second) = (made_at(&events, ann), made_at(&events, bob));
    assert!(first < second);
    let mut made = Made::of(&floor);
    made.before = before;
    made.events = events.clone();
    assert_eq!(made.judged(), Ok(()));
    let tail = events.split_off(first);
    let (one, other) = tail.split_at(second - first);
    made.events = [&events[..], other, one].concat();
    assert_eq!(made.breaks(), Rule::OvertakesBounded);
}

#[test]
fn an_answer_that_is_remembered_twice_is_seen() {
    let (floor, ann, _) = busy();
    let mut made = Made::of(&floor);
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    let row = found.requests.first().expect("the accept").clone();
    found.requests.push(row.clone());
    made.events = vec![Event::Remembered {
        object: Object::Conversation(ann),
        row: Box::new(row),
    }];
    assert_eq!(made.breaks(), Rule::AnsweredOnce);
    let mut whole = floor.state().clone();
    let found = whole.conversations.get_mut(&ann.index).unwrap();
    let stored = found.items.iter().find(|item| item.message().is_some());
    found.items.push(&stored.expect("hello"));
    let broken = check_invariants(&whole).expect_err("stored twice");
    assert_eq!(broken.rule(), Rule::AnsweredOnce);
}

#[test]
fn matching_that_never_ends_is_seen() {
    let (floor, ..) = busy();
    let mut state = floor.state().clone();
    state.meta.more_due = true;
    let mut watch = Watch::begin(&state);
    let entry = Entry {
        at: state.now(),
        wall_ms: 0,
        command: Command::MatchMore,
    };
    let applied = Applied {
        reply: Ok(crate::cell::reply::Done::Nothing),
        events: Vec::new(),
    };
    let steps = (0..100)
        .take_while(|_| watch.check(&state, &entry, &applied).is_ok())
        .count();
    assert_eq!(
        steps, 5,
        "one for the line and four for lines and plans that move"
    );
}

#[test]
fn units_that_are_not_what_the_channel_costs_or_shrink_with_the_same_agent_are_seen() {
    let (floor, ann, _) = busy();
    let found = floor.state().conversation(ann).unwrap();
    let Phase::Active(active) = &found.phase else {
        panic!("ana has it")
    };
    let changed = |agent: AgentId, units| Event::PhaseChanged {
        conversation: ann,
        phase: Phase::Active(Active {
            agent,
            units,
            ..active.clone()
        }),
        owner_epoch: found.owner_epoch,
    };
    let mut made = Made::of(&floor);
    made.events = vec![changed(active.agent.clone(), 0)];
    assert_eq!(made.breaks(), Rule::CapacityHolds, "ana held more");
    let mut made = Made::of(&floor);
    made.events = vec![changed(agent("ben"), 1)];
    assert_eq!(made.breaks(), Rule::CapacityHolds, "web costs 25");
}

#[test]
fn owned_work_that_gets_younger_is_seen() {
    let (floor, ann, _) = busy();
    let mut made = Made::of(&floor);
    made.touch(ann);
    let found = made.after.conversations.get_mut(&ann.index).unwrap();
    found.aged_from = CellTime(found.aged_from.0 + 1);
    assert_eq!(made.breaks(), Rule::PlacesStay);
}
