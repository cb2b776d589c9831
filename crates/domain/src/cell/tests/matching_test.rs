//! Which conversation is next, and which agent gets it.

use super::support::*;
use crate::cell::command::*;
use crate::plan::*;

#[test]
fn the_oldest_of_a_class_is_offered_first() {
    let mut floor = Floor::new();
    let ids: Vec<_> = (0..4).map(|n| floor.open(&format!("c{n}"))).collect();
    floor.log_in("ana");
    let offered: Vec<_> = floor
        .last_offers()
        .iter()
        .map(|made| made.conversation)
        .collect();
    assert_eq!(offered, ids);
}

#[test]
fn urgency_is_strict_whatever_the_age() {
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("billing")).unwrap().urgency = Urgency::Emergency;
        plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25;
    });
    let old = floor.open_in("a", "sales");
    floor.wait_ms(3_600_000);
    let urgent = floor.open_in("b", "billing");
    floor.log_in("ana");
    assert!(floor.offered_to(urgent).is_some());
    assert!(floor.offered_to(old).is_none());
}

#[test]
fn two_boosts_swap_only_within_their_difference() {
    for (apart_ms, swapped) in [(2_999, true), (3_000, false), (5_000, false)] {
        let mut floor =
            Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25);
        let mut first = floor.open_command("a");
        first.boost_ms = 1_000;
        let first = floor.opened(first).conversation;
        floor.wait_ms(apart_ms);
        let mut second = floor.open_command("b");
        second.boost_ms = 4_000;
        let second = floor.opened(second).conversation;
        floor.log_in("ana");
        assert_eq!(
            floor.offered_to(second).is_some(),
            swapped,
            "{apart_ms} ms apart"
        );
        assert_eq!(
            floor.offered_to(first).is_some(),
            !swapped,
            "{apart_ms} ms apart"
        );
    }
}

#[test]
fn a_boost_is_capped_by_its_queue() {
    let mut floor = Floor::new();
    let mut open = floor.open_command("a");
    open.boost_ms = u64::MAX;
    let id = floor.opened(open).conversation;
    assert_eq!(floor.conversation(id).boost_ms, 60_000);
}

/// A floor where the topic `flights` is worth `rule_ms` and the account `app` `account_ms`, and where
/// `ana` can take one conversation.
fn boosting(rule_ms: u64, account_ms: u64) -> Floor {
    Floor::with(|plan| {
        plan.intake = vec![IntakeRule {
            language: None,
            topic: Some("flights".into()),
            queue: queue("sales"),
            boost_ms: rule_ms,
        }];
        for (name, account) in &mut plan.accounts {
            account.boost_ms = if name.as_str() == "app" {
                account_ms
            } else {
                0
            };
        }
        plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25;
    })
}

#[test]
fn a_boosted_row_overtakes_by_its_boost_and_never_by_more() {
    // The queue allows 60 s: a row that gives 90 s is worth no more.
    for (rule_ms, apart_ms, overtakes) in [
        (30_000, 29_999, true),
        (30_000, 30_000, false),
        (90_000, 59_999, true),
        (90_000, 60_000, false),
    ] {
        let mut floor = boosting(rule_ms, 0);
        let older = floor.open("a");
        floor.wait_ms(apart_ms);
        let mut open = floor.open_command("b");
        open.topics = vec!["flights".into()];
        let boosted = floor.opened(open).conversation;
        floor.log_in("ana");
        let offered = [boosted, older].map(|id| floor.offered_to(id).is_some());
        assert_eq!(
            offered,
            [overtakes, !overtakes],
            "{rule_ms} ms, {apart_ms} ms apart"
        );
    }
}

#[test]
fn two_boosts_of_the_plan_swap_only_within_their_difference() {
    for (apart_ms, swapped) in [(19_999, true), (20_000, false)] {
        let mut floor = boosting(30_000, 10_000);
        let slow = floor.open_on("a", "app");
        floor.wait_ms(apart_ms);
        let mut open = floor.open_command("b");
        open.topics = vec!["flights".into()];
        let fast = floor.opened(open).conversation;
        floor.log_in("ana");
        let offered = [fast, slow].map(|id| floor.offered_to(id).is_some());
        assert_eq!(offered, [swapped, !swapped], "{apart_ms} ms apart");
    }
}

#[test]
fn the_boosts_of_row_account_and_command_add_up_below_the_cap() {
    let mut floor = boosting(20_000, 10_000);
    for (account, topic, named, asked_ms, boost_ms) in [
        ("web", "weather", None, 0, 0),
        ("web", "flights", None, 0, 20_000),
        ("app", "weather", None, 0, 10_000),
        ("app", "flights", None, 0, 30_000),
        ("app", "flights", None, 5_000, 35_000),
        ("app", "flights", None, 50_000, 60_000),
        ("app", "flights", None, u64::MAX, 60_000),
        // A queue that was named is not the row's choice: the row gives nothing.
        ("app", "flights", Some("sales"), 0, 10_000),
    ] {
        let customer = format!("{account}-{topic}-{asked_ms}-{}", named.is_some());
        let mut open = floor.open_command(&customer);
        open.account = crate::ids::AccountId::new(account).unwrap();
        open.topics = vec![topic.into()];
        open.queue = named.map(queue);
        open.boost_ms = asked_ms;
        let id = floor.opened(open).conversation;
        assert_eq!(floor.conversation(id).boost_ms, boost_ms, "{customer}");
    }
}

/// Agents a, b, c, d of the golden order with chat at 20 units.
fn golden(strategy: Strategy) -> Floor {
    let mut floor = Floor::with(|plan| {
        plan.channels.get_mut(&channel("web")).unwrap().cost = 20;
        let capacities = [("a", 100), ("b", 80), ("c", 100), ("d", 60)];
        plan.agents = capacities
            .map(|(name, capacity)| (agent(name), agent_plan(name, capacity)))
            .into();
        let sales = plan.queues.get_mut(&queue("sales")).unwrap();
        sales.strategy = strategy;
        sales.timers.wrap_up_ms = 0;
    });
    // c ends its last conversation 7 minutes before the end, a 5 minutes, b and d now.
    for (name, busy, idle_ms) in [
        ("c", 3, 120_000),
        ("a", 3, 299_000),
        ("b", 3, 1_000),
        ("d", 0, 0),
    ] {
        floor.log_in(name);
        let ids: Vec<_> = (0..=busy)
            .map(|n| floor.active(&format!("{name}{n}")))
            .collect();
        for id in &ids {
            floor.agent_says(*id, "hello");
            floor.customer_says(*id, "hello");
        }
        floor.close_by(ids[0], supervisor()).unwrap();
        floor
            .set_intent(
                name,
                Intent::NotReady {
                    reason: "set-up".into(),
                },
            )
            .unwrap();
        floor.wait_ms(idle_ms);
    }
    floor
}

#[test]
fn the_golden_order_of_load_ratios_is_d_c_a_b() {
    let mut floor = golden(Strategy::LeastLoad);
    let used: Vec<u32> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| floor.used(name))
        .collect();
    assert_eq!(used, [60, 60, 60, 0]);
    let ids: Vec<_> = (0..4).map(|n| floor.open(&format!("new{n}"))).collect();
    // While the queue pauses everybody becomes ready; each may take one more.
    let mut paused = (**floor.state().plan().unwrap()).clone();
    for (name, most) in [("a", 4), ("b", 4), ("c", 4), ("d", 1)] {
        paused
            .agents
            .get_mut(&agent(name))
            .unwrap()
            .count_max
            .insert(channel("web"), most);
    }
    let open = paused.clone();
    paused.queues.get_mut(&queue("sales")).unwrap().paused = true;
    floor.adopt(2, paused);
    ["a", "b", "c", "d"]
        .iter()
        .for_each(|name| floor.ready(name));
    assert!(ids.iter().all(|id| floor.offered_to(*id).is_none()));
    floor.adopt(3, open);
    let by: Vec<_> = ids
        .iter()
        .map(|id| floor.offered_to(*id).unwrap())
        .collect();
    assert_eq!(by, ["d", "c", "a", "b"]);
}

#[test]
fn the_golden_ranks_are_d_c_a_b_for_one_conversation_each() {
    let floor = golden(Strategy::LeastLoad);
    let mut keys: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| {
            let view = floor.state().agent_view(&agent(name)).unwrap();
            crate::cell::capacity::FreeKey::new(Strategy::LeastLoad, view.agent, &view.load)
        })
        .collect();
    keys.sort();
    let order: Vec<&str> = keys.iter().map(|key| key.agent.as_str()).collect();
    assert_eq!(order, ["d", "c", "a", "b"]);
}

#[test]
fn longest_idle_asks_the_agent_whose_last_conversation_ended_first() {
    let mut floor = Floor::new();
    for name in ["cem", "ben", "ana"] {
        floor.log_in(name);
        floor.at += 1_000;
    }
    let by: Vec<_> = (0..3)
        .map(|n| {
            let id = floor.open(&format!("c{n}"));
            let name = floor.offered_to(id).unwrap();
            floor.accept(id);
            floor.close_by(id, supervisor()).unwrap();
            floor.at += 10;
            floor.finish(id).unwrap();
            name
        })
        .collect();
    assert_eq!(by, ["cem", "ben", "ana"]);
    let id = floor.open("next");
    assert_eq!(floor.offered_to(id).as_deref(), Some("cem"));
}

#[test]
fn neither_a_change_of_status_nor_a_declined_or_lapsed_offer_resets_idle_time() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let idle_since = floor.state().agent(&agent("ana")).unwrap().idle_since;
    floor.at += 5_000;
    floor.not_ready("ana");
    floor.ready("ana");
    let id = floor.open("zoe");
    floor.decline(id).unwrap();
    floor.open("yan");
    floor.wait_ms(20_000);
    assert_eq!(
        floor.state().agent(&agent("ana")).unwrap().idle_since,
        idle_since
    );
}

#[test]
fn an_agent_without_the_skill_is_not_asked() {
    let mut floor = Floor::with(|plan| {
        let law = Requirement::Skill(skill("law"), Level(3));
        plan.queues.get_mut(&queue("sales")).unwrap().requires = vec![law];
        plan.agents
            .get_mut(&agent("ana"))
            .unwrap()
            .skills
            .insert(skill("law"), Level(2));
        plan.agents
            .get_mut(&agent("ben"))
            .unwrap()
            .skills
            .insert(skill("law"), Level(3));
    });
    floor.log_in("ana");
    let id = floor.open("zoe");
    assert!(floor.offered_to(id).is_none());
    floor.log_in("ben");
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
}

#[test]
fn an_agent_of_two_queues_gets_the_older_work_of_either() {
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("billing")).unwrap().strategy = Strategy::LeastLoad;
        plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25;
    });
    let billing = floor.open_in("a", "billing");
    floor.at += 1;
    let sales = floor.open_in("b", "sales");
    floor.log_in("ana");
    assert!(floor.offered_to(billing).is_some());
    assert!(floor.offered_to(sales).is_none());
}

#[test]
fn one_entry_makes_at_most_64_matches_and_says_that_more_are_due() {
    let mut floor =
        Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25 * 150);
    for n in 0..150 {
        floor.open(&format!("c{n}"));
    }
    floor.log_in("ana");
    assert_eq!(floor.last_offers().len(), 64);
    assert!(floor.cell.more_due());
    floor.apply(Command::MatchMore);
    assert_eq!(floor.last_offers().len(), 64);
    assert!(floor.cell.more_due());
    floor.apply(Command::MatchMore);
    assert_eq!(floor.last_offers().len(), 22);
    assert!(!floor.cell.more_due());
}

#[test]
fn positions_count_from_the_head_of_the_queues_line() {
    let mut floor = Floor::new();
    let ids: Vec<_> = (0..3).map(|n| floor.open(&format!("c{n}"))).collect();
    let places: Vec<_> = ids
        .iter()
        .map(|id| floor.state().position(*id).unwrap())
        .collect();
    assert_eq!(places, [1, 2, 3]);
}
