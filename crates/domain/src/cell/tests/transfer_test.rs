//! Passing a conversation on: to a queue, to an agent, to an agent's own line.

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::{Held, Phase};
use crate::cell::refusal::Refusal;
use crate::plan::*;

fn to(name: &str, wait: bool) -> Target {
    Target::Agent {
        agent: agent(name),
        wait,
    }
}

#[test]
fn a_transfer_to_a_queue_keeps_the_full_age() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "hello");
    let aged_from = floor.conversation(id).aged_from;
    floor.wait_ms(60_000);
    floor.not_ready("ana");
    let younger = floor.open_in("yan", "billing");
    let by = floor.owner_actor(id);
    floor
        .transfer(id, by, Target::Queue(queue("billing")))
        .unwrap();
    assert_eq!(
        floor.line("billing"),
        [id, younger],
        "older work is first in the new line"
    );
    let found = floor.conversation(id);
    assert_eq!(found.aged_from, aged_from);
    assert_eq!(found.entered_at.0, floor.at, "the second clock starts anew");
    assert_eq!(floor.used("ana"), 0);
}

#[test]
fn a_transfer_to_an_agent_offers_it_to_that_agent_alone_with_units_taken() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.log_in("ben");
    floor.log_in("cem");
    let by = floor.owner_actor(id);
    floor.transfer(id, by, to("cem", false)).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("cem"));
    assert_eq!((floor.used("ana"), floor.used("cem")), (0, 25));
    floor.accept(id);
    assert_eq!(floor.texts(id), ["hello"], "the transcript comes along");
}

#[test]
fn a_transfer_to_an_agent_who_is_full_not_ready_or_out_of_reach_is_refused_and_changes_nothing() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ben")).unwrap().capacity = 10);
    floor.log_in("ana");
    let id = floor.active("zoe");
    let by = floor.owner_actor(id);
    let before = floor.conversation(id).clone();
    let refused = floor.transfer(id, by.clone(), to("ben", false));
    assert_eq!(
        refused,
        Err(Refusal::AgentNotLoggedIn {
            agent: agent("ben")
        })
    );
    floor.log_in("ben");
    let refused = floor.transfer(id, by.clone(), to("ben", false));
    assert_eq!(
        refused,
        Err(Refusal::AgentAtCapacity {
            agent: agent("ben"),
            free: 10,
            needed: 25
        })
    );
    floor.log_in("cem");
    floor.not_ready("cem");
    let refused = floor.transfer(id, by.clone(), to("cem", false));
    assert_eq!(
        refused,
        Err(Refusal::AgentNotReady {
            agent: agent("cem")
        })
    );
    floor.lease("cem", LeaseState::Suspect).unwrap();
    let refused = floor.transfer(id, by, to("cem", false));
    assert_eq!(
        refused,
        Err(Refusal::AgentUnreachable {
            agent: agent("cem")
        })
    );
    assert_eq!(*floor.conversation(id), before);
}

#[test]
fn a_transfer_to_an_agent_without_the_skill_is_refused() {
    let mut floor = Floor::with(|plan| {
        let law = Requirement::Skill(skill("law"), Level(1));
        plan.queues.get_mut(&queue("sales")).unwrap().requires = vec![law];
        plan.agents
            .get_mut(&agent("ana"))
            .unwrap()
            .skills
            .insert(skill("law"), Level(1));
    });
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.log_in("ben");
    let by = floor.owner_actor(id);
    let refused = floor.transfer(id, by, to("ben", true));
    assert_eq!(
        refused,
        Err(Refusal::AgentNotSkilled {
            agent: agent("ben"),
            queue: queue("sales")
        })
    );
}

#[test]
fn who_asks_to_wait_waits_in_the_agents_own_line() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ben")).unwrap().capacity = 25);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.not_ready("ana");
    floor.log_in("ben");
    let busy = floor.active("yan");
    floor.agent_says(busy, "hello");
    floor.ready("ana");
    let by = floor.owner_actor(id);
    floor.transfer(id, by, to("ben", true)).unwrap();
    assert!(matches!(floor.phase(id), Phase::Queued(waiting) if waiting.held == Held::OwnLine));
    floor.wait_ms(100_000);
    assert!(
        floor.offered_to(id).is_none(),
        "ana is free, but it waits for ben"
    );
    floor.close_by(busy, supervisor()).unwrap();
    floor.finish(busy).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
}

#[test]
fn an_own_line_is_let_go_when_its_agent_is_lost() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ben")).unwrap().capacity = 25);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.not_ready("ana");
    floor.log_in("ben");
    floor.active("yan");
    let by = floor.owner_actor(id);
    floor.transfer(id, by, to("ben", true)).unwrap();
    floor.ready("ana");
    floor.lease("ben", LeaseState::Lost).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
}

#[test]
fn a_transfer_into_a_paused_queue_is_refused_and_the_owner_stays() {
    let mut floor =
        Floor::with(|plan| plan.queues.get_mut(&queue("billing")).unwrap().paused = true);
    floor.log_in("ana");
    let id = floor.active("zoe");
    let by = floor.owner_actor(id);
    let refused = floor.transfer(id, by, Target::Queue(queue("billing")));
    assert!(matches!(refused, Err(Refusal::QueuePaused { .. })));
    assert_eq!(floor.owner(id).as_deref(), Some("ana"));
}

#[test]
fn a_supervisor_moves_waiting_work_and_a_customer_does_not() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor
        .transfer(id, supervisor(), Target::Queue(queue("billing")))
        .unwrap();
    assert_eq!(floor.line("billing"), [id]);
    assert!(floor.line("sales").is_empty());
    let refused = floor.transfer(id, Actor::Customer, Target::Queue(queue("sales")));
    assert!(matches!(refused, Err(Refusal::NotAllowed { .. })));
}

#[test]
fn a_declined_transfer_goes_to_the_line_with_its_age() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let aged_from = floor.conversation(id).aged_from;
    floor.log_in("ben");
    floor.at += 5_000;
    let by = floor.owner_actor(id);
    floor.transfer(id, by, to("ben", false)).unwrap();
    floor.not_ready("ana");
    floor.decline(id).unwrap();
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
    assert_eq!(floor.conversation(id).aged_from, aged_from);
}

#[test]
fn moved_within_its_line_a_conversation_may_go_to_an_agent_who_declined_it() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.decline(id).unwrap();
    floor
        .transfer(id, supervisor(), Target::Queue(queue("sales")))
        .unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
}

#[test]
fn a_wait_for_an_agent_who_can_never_hold_the_work_is_refused() {
    let changes: [fn(&mut AgentPlan); 2] = [
        |ben| ben.capacity = 10,
        |ben| ben.count_max = [(channel("web"), 0)].into(),
    ];
    for change in changes {
        let mut floor = Floor::with(|plan| change(plan.agents.get_mut(&agent("ben")).unwrap()));
        floor.log_in("ana");
        let id = floor.active("zoe");
        floor.log_in("ben");
        floor.not_ready("ben");
        let by = floor.owner_actor(id);
        let refused = floor.transfer(id, by, to("ben", true));
        assert!(matches!(refused, Err(Refusal::AgentAtCapacity { .. })));
        assert_eq!(floor.owner(id).as_deref(), Some("ana"));
    }
}

#[test]
fn a_note_of_a_transfer_counts_against_the_conversations_size() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let mut refused = Ok(crate::cell::reply::Done::Nothing);
    for _ in 0..17 {
        let request_id = floor.fresh();
        refused = floor.ask(Command::Transfer(Transfer {
            conversation: id,
            request_id,
            by: supervisor(),
            target: Target::Queue(queue("billing")),
            note: Some(crate::ids::Body::clear(&"x".repeat(65_536))),
        }));
    }
    assert!(matches!(refused, Err(Refusal::FieldTooLong { .. })));
    let found = floor.conversation(id);
    assert!(found.message_bytes <= crate::cell::conversation::MESSAGE_BYTES_MAX);
}

#[test]
fn a_boost_that_one_queue_caps_is_whole_again_in_the_next() {
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("billing")).unwrap().boost_ms_max = 1_000;
    });
    let mut open = floor.open_command("zoe");
    open.boost_ms = 50_000;
    let id = floor.opened(open).conversation;
    for (name, boost_ms) in [("billing", 1_000), ("sales", 50_000)] {
        let target = Target::Queue(queue(name));
        floor.transfer(id, supervisor(), target).unwrap();
        assert_eq!(floor.conversation(id).boost_ms, boost_ms, "in {name}");
    }
}

#[test]
fn the_boost_of_a_row_and_an_account_survives_a_transfer_and_a_later_plan() {
    let boosting = |plan: &mut FloorPlan| {
        plan.intake = vec![IntakeRule {
            language: None,
            topic: None,
            queue: queue("sales"),
            boost_ms: 40_000,
        }];
        for account in plan.accounts.values_mut() {
            account.boost_ms = 5_000;
        }
        plan.queues.get_mut(&queue("sales")).unwrap().boost_ms_max = 30_000;
    };
    let mut floor = Floor::with(boosting);
    let id = floor.open("zoe");
    assert_eq!(floor.conversation(id).boost_ms, 30_000);
    // The row and the account give nothing any more: what was asked for on entering stays.
    let mut later = plan();
    later.queues.get_mut(&queue("sales")).unwrap().boost_ms_max = 1_000;
    floor.adopt(2, later);
    for (name, boost_ms) in [("billing", 45_000), ("sales", 1_000), ("billing", 45_000)] {
        let target = Target::Queue(queue(name));
        floor.transfer(id, supervisor(), target).unwrap();
        assert_eq!(floor.conversation(id).boost_ms, boost_ms, "in {name}");
    }
}

#[test]
fn a_hand_off_takes_urgency_and_boost_from_the_plan_in_force() {
    let mut floor = Floor::new();
    let mut open = floor.open_command("zoe");
    open.bot_first = true;
    open.boost_ms = 50_000;
    let id = floor.opened(open).conversation;
    let mut later = plan();
    let sales = later.queues.get_mut(&queue("sales")).unwrap();
    sales.urgency = Urgency::Emergency;
    sales.boost_ms_max = 2_000;
    floor.adopt(2, later);
    let (request_id, owner_epoch) = (floor.fresh(), floor.epoch(id));
    let hand_off = HandOff {
        conversation: id,
        request_id,
        owner_epoch,
    };
    floor.ask(Command::HandOff(hand_off)).unwrap();
    let found = floor.conversation(id);
    assert_eq!((found.urgency, found.boost_ms), (Urgency::Emergency, 2_000));
}

#[test]
fn who_asks_to_wait_waits_for_a_suspect_or_lost_agent_too() {
    for lease in [LeaseState::Suspect, LeaseState::Lost] {
        let mut floor = Floor::new();
        floor.log_in("ana");
        let id = floor.active("zoe");
        floor.log_in("ben");
        floor.lease("ben", lease).unwrap();
        let by = floor.owner_actor(id);
        let refused = floor.transfer(id, by.clone(), to("ben", false));
        let unreachable = Refusal::AgentUnreachable {
            agent: agent("ben"),
        };
        assert_eq!(refused, Err(unreachable));
        floor.transfer(id, by, to("ben", true)).unwrap();
        assert!(matches!(floor.phase(id), Phase::Queued(waiting) if waiting.held == Held::OwnLine));
        floor.lease("ben", LeaseState::Alive).unwrap();
        assert_eq!(floor.offered_to(id).as_deref(), Some("ben"), "{lease:?}");
    }
}

#[test]
fn an_agents_own_line_is_bounded_like_the_queue_that_it_is_a_part_of() {
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("sales")).unwrap().waiting_max = 2;
    });
    floor.log_in("ana");
    let ids: Vec<_> = ["zoe", "yan", "xia"].map(|name| floor.active(name)).into();
    floor.log_in("ben");
    floor.not_ready("ben");
    for id in &ids[..2] {
        let by = floor.owner_actor(*id);
        floor.transfer(*id, by, to("ben", true)).unwrap();
    }
    let by = floor.owner_actor(ids[2]);
    let refused = floor.transfer(ids[2], by, to("ben", true));
    assert!(
        matches!(refused, Err(Refusal::QueueFull { limit: 2, .. })),
        "{refused:?}"
    );
    assert_eq!(floor.owner(ids[2]).as_deref(), Some("ana"));
    floor
        .transfer(ids[0], supervisor(), to("ben", true))
        .expect("who waits there already needs no further place");
}
