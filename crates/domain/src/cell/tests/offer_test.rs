//! Offers: accepted, declined, lapsed, taken back; late answers.

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::Phase;
use crate::cell::event::{Alarm, Event};
use crate::cell::refusal::Refusal;
use crate::ids::*;

#[test]
fn an_offer_takes_the_units_before_it_exists() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.open("zoe");
    assert_eq!(floor.used("ana"), 25);
}

#[test]
fn a_lapsed_offer_puts_the_work_back_at_its_place_and_the_agent_pauses() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let first = floor.open("zoe");
    floor.not_ready("ana");
    floor.ready("ana");
    floor.wait_ms(19_999);
    assert!(matches!(floor.phase(first), Phase::Offered(_)));
    let second = floor.open("yan");
    floor.wait_ms(1);
    assert!(matches!(floor.phase(first), Phase::Queued(_)));
    assert_eq!(floor.line("sales")[0], first, "at the head again");
    assert!(
        matches!(floor.phase(second), Phase::Offered(_)),
        "made before the pause"
    );
}

#[test]
fn whichever_of_accept_and_expiry_is_applied_first_wins() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let accept = floor.accept_command(id);
    floor.wait_ms(20_000);
    let late = floor.ask(Command::Accept(accept));
    assert!(
        matches!(
            late,
            Err(Refusal::OfferEnded {
                outcome: "expired",
                by: None,
                late_ms: 0,
                ..
            })
        ),
        "{late:?}"
    );
    floor.wait_ms(10_000);
    assert_eq!(
        floor.offered_to(id).as_deref(),
        Some("ana"),
        "the pause is over"
    );
    floor.accept(id);
    floor.wait_ms(20_000);
    assert_eq!(
        floor.owner(id).as_deref(),
        Some("ana"),
        "an accepted offer does not lapse"
    );
}

#[test]
fn a_late_accept_says_who_has_it_now() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let late = floor.accept_command(id);
    floor.not_ready("ana");
    floor.log_in("ben");
    floor.accept(id);
    floor.at += 700;
    let refused = floor.ask(Command::Accept(late.clone()));
    assert_eq!(
        refused,
        Err(Refusal::OfferEnded {
            offer: late.offer.offer,
            outcome: "rescinded",
            by: Some(agent("ben")),
            late_ms: 700
        })
    );
}

#[test]
fn a_second_accept_under_another_id_learns_that_it_was_accepted() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let accept = floor.accept_command(id);
    let first = floor.ask(Command::Accept(accept.clone()));
    assert_eq!(
        floor.ask(Command::Accept(accept.clone())),
        first,
        "the same id gives the first answer"
    );
    let again = Accept {
        request_id: rid("other"),
        ..accept
    };
    let refused = floor.ask(Command::Accept(again));
    assert!(
        matches!(
            refused,
            Err(Refusal::OfferEnded {
                outcome: "accepted",
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn an_offer_of_another_agent_and_an_unknown_one_are_refused() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.log_in("ben");
    let mut accept = floor.accept_command(id);
    accept.offer.agent = agent("ben");
    accept.offer.session = floor.session("ben");
    let refused = floor.ask(Command::Accept(accept.clone()));
    assert!(matches!(refused, Err(Refusal::OfferNotYours { .. })));
    accept.offer.offer.n = 77;
    assert!(matches!(
        floor.ask(Command::Accept(accept)),
        Err(Refusal::OfferNotFound { .. })
    ));
}

#[test]
fn an_accept_of_an_older_login_or_epoch_is_refused() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    let mut accept = floor.accept_command(id);
    accept.offer.session = Session(1);
    assert!(matches!(
        floor.ask(Command::Accept(accept)),
        Err(Refusal::StaleSession { .. })
    ));
    let mut accept = floor.accept_command(id);
    accept.owner_epoch = OwnerEpoch(0);
    assert!(matches!(
        floor.ask(Command::Accept(accept)),
        Err(Refusal::StaleOwnerEpoch { .. })
    ));
}

#[test]
fn a_declined_conversation_goes_to_another_agent_and_later_to_the_first_again() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.decline(id).unwrap();
    assert!(
        matches!(floor.phase(id), Phase::Queued(_)),
        "ana passed it by"
    );
    floor.log_in("ben");
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
    floor.decline(id).unwrap();
    floor.wait_ms(60_000);
    assert!(floor.offered_to(id).is_some(), "passing by ends");
}

#[test]
fn two_misses_in_a_row_make_an_agent_not_responding_until_the_agent_acts() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.attach(id);
    floor.wait_ms(20_000);
    floor.wait_ms(10_000);
    assert!(floor.offered_to(id).is_some());
    floor.wait_ms(20_000);
    let pause = floor.state().agent(&agent("ana")).unwrap().channels[0].clone();
    assert_eq!(
        (pause.misses, pause.pause_ms, pause.not_responding),
        (2, 20_000, true)
    );
    floor.wait_ms(600_000);
    assert!(
        floor.offered_to(id).is_none(),
        "waiting alone heals nothing"
    );
    floor.ready("ana");
    assert!(floor.offered_to(id).is_some(), "acting does");
}

#[test]
fn an_offer_that_lapses_out_of_our_reach_was_not_missed() {
    let mut floor = Floor::with(|plan| {
        let one_offer_each = |name: &str| (agent(name), agent_plan(name, 25));
        plan.agents = [one_offer_each("ana"), one_offer_each("ben")].into();
    });
    floor.log_in("ana");
    floor.log_in("ben");
    let (first, second) = (floor.open("zoe"), floor.open("yan"));
    assert!(floor.offered_to(first).is_some() && floor.offered_to(second).is_some());
    floor.at += 20_000;
    let due = floor.state().lapsing(CellTime(floor.at));
    assert_eq!(due, [agent("ana"), agent("ben")]);
    floor.apply(Command::Tick(Tick {
        unreachable: vec![agent("ana")],
    }));
    let pauses = |name: &str| floor.state().agent(&agent(name)).unwrap().channels.len();
    assert_eq!(
        (pauses("ana"), pauses("ben")),
        (0, 1),
        "ben could be reached and missed his"
    );
}

#[test]
fn the_pause_after_misses_doubles_to_its_limit() {
    let mut floor = Floor::with(|plan| {
        plan.queues
            .get_mut(&queue("sales"))
            .unwrap()
            .timers
            .misses_max = 99
    });
    floor.log_in("ana");
    floor.open("zoe");
    let mut pauses = Vec::new();
    for _ in 0..5 {
        floor.wait_ms(20_000);
        let pause = floor.state().agent(&agent("ana")).unwrap().channels[0].pause_ms;
        pauses.push(pause);
        floor.wait_ms(pause);
    }
    assert_eq!(pauses, [10_000, 20_000, 40_000, 60_000, 60_000]);
}

#[test]
fn an_offer_shown_after_a_quarter_of_its_time_is_no_miss() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.wait_ms(5_001);
    let shown = floor.offer_ref(id);
    floor.ask(Command::OfferShown(shown)).unwrap();
    floor.wait_ms(15_000);
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
fn an_offer_shown_in_time_and_not_answered_is_a_miss() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.wait_ms(5_000);
    let shown = floor.offer_ref(id);
    floor.ask(Command::OfferShown(shown)).unwrap();
    floor.wait_ms(15_000);
    assert_eq!(
        floor.state().agent(&agent("ana")).unwrap().channels[0].misses,
        1
    );
}

#[test]
fn a_spike_of_lapsed_offers_stops_agents_states_and_raises_one_alarm() {
    let names: Vec<String> = (0..14).map(|n| format!("a{n:02}")).collect();
    let mut floor = Floor::with(|plan| {
        plan.agents = names
            .iter()
            .map(|name| (agent(name), agent_plan(name, 25)))
            .collect();
    });
    for name in &names {
        floor.log_in(name);
    }
    for n in 0..14 {
        floor.open(&format!("c{n}"));
    }
    floor.at += 20_000;
    floor.apply(Command::tick());
    let alarms = floor
        .last
        .iter()
        .filter(|event| matches!(event, Event::Alarm(Alarm::OffersLapse { .. })))
        .count();
    assert_eq!(alarms, 1);
    let missed = floor
        .state()
        .agents()
        .filter(|agent| !agent.channels.is_empty())
        .count();
    assert_eq!(
        missed, 9,
        "from the tenth lapsed offer on nobody's state changes"
    );
    assert!(
        floor
            .state()
            .queue(&queue("sales"))
            .unwrap()
            .spike_since
            .is_some()
    );
}

#[test]
fn receipts_say_why_an_agent_was_chosen_and_others_were_not() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.log_in("ben");
    floor.not_ready("ben");
    let id = floor.open("zoe");
    let receipt = floor.conversation(id).receipts[0].clone();
    assert_eq!(
        (receipt.index, receipt.plan),
        (LogIndex(floor.index), PlanVersion(1))
    );
    assert_eq!(
        (receipt.candidates, receipt.chosen.clone()),
        (1, Some(agent("ana")))
    );
    assert_eq!(
        receipt.excluded,
        [(agent("ben"), crate::cell::receipts::Exclusion::NotReady)]
    );
    floor.attach(id);
    for _ in 0..20 {
        floor.decline(id).unwrap();
        floor.wait_ms(60_000);
    }
    assert_eq!(floor.conversation(id).receipts.len(), 8, "bounded");
}

#[test]
fn a_spike_ends_by_itself_when_its_minute_has_passed() {
    let mut floor = Floor::with(|plan| {
        plan.policy.expiry_spike_min = 2;
    });
    for name in ["ana", "ben"] {
        floor.log_in(name);
    }
    for n in 0..4 {
        floor.open(&format!("c{n}"));
    }
    floor.wait_ms(20_000);
    let view = |floor: &Floor| floor.state().queue_view(&queue("sales")).unwrap();
    assert!(view(&floor).spike_since.is_some());
    for name in ["ana", "ben"] {
        floor.not_ready(name);
    }
    floor.at += 61_000;
    floor.apply(Command::tick());
    assert_eq!(view(&floor).spike_since, None);
    let over = |event: &Event| matches!(event, Event::SpikeChanged { since: None, .. });
    assert!(floor.last.iter().any(over));
}

#[test]
fn offers_that_lapse_at_one_instant_are_one_miss() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    for n in 0..4 {
        floor.open(&format!("c{n}"));
    }
    floor.wait_ms(20_000);
    let pause = &floor.state().agent(&agent("ana")).unwrap().channels[0];
    assert_eq!((pause.misses, pause.not_responding), (1, false));
}

#[test]
fn an_offer_made_before_the_pause_began_is_no_second_miss() {
    for (pause_ms, later_ms) in [(10_000, 5_000), (1_000, 15_000)] {
        let mut floor = Floor::with(|plan| {
            let sales = plan.queues.get_mut(&queue("sales")).unwrap();
            sales.timers.back_off_ms = pause_ms;
        });
        floor.log_in("ana");
        let first = floor.open("zoe");
        floor.wait_ms(later_ms);
        let second = floor.open("yan");
        floor.wait_ms(20_000 - later_ms);
        assert!(floor.offered_to(first).is_none() && floor.offered_to(second).is_some());
        floor.close_by(first, Actor::Customer).unwrap();
        floor.wait_ms(later_ms);
        let totals = floor.state().totals(&queue("sales"));
        assert_eq!(totals.offers_lapsed, 2);
        let pause = &floor.state().agent(&agent("ana")).unwrap().channels[0];
        assert_eq!(
            (pause.misses, pause.not_responding),
            (1, false),
            "the same absence, after a pause of {pause_ms} ms"
        );
    }
}

#[test]
fn exactly_30_percent_of_lapsed_offers_are_no_spike_and_one_more_is() {
    let (lapses, accepts) = (15, 35);
    for (accepted, spikes) in [(accepts, false), (accepts - 1, true)] {
        let mut floor = Floor::with(|plan| {
            let mut ana = agent_plan("ana", 10_000);
            ana.display_name = "Ana".into();
            plan.agents = [(agent("ana"), ana)].into();
        });
        floor.log_in("ana");
        let ids: Vec<_> = (0..lapses + accepted)
            .map(|n| floor.open(&format!("c{n}")))
            .collect();
        for id in &ids[lapses..] {
            floor.accept(*id);
        }
        floor.wait_ms(20_000);
        let totals = floor.state().totals(&queue("sales"));
        assert_eq!(totals.offers_lapsed, lapses as u64);
        let view = floor.state().queue_view(&queue("sales")).unwrap();
        assert_eq!(
            view.spike_since.is_some(),
            spikes,
            "{lapses} of {} lapsed",
            lapses + accepted
        );
    }
}
