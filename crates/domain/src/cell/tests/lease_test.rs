//! Agents who fall silent, are lost, come back or leave.

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::Phase;
use crate::cell::event::{Event, Warning};
use crate::cell::reply::Done;
use crate::cell::transcript::HoldReason;
use crate::ids::*;
use crate::plan::{ChannelPlan, OnAgentLost};

fn on_lost(policy: OnAgentLost) -> Floor {
    Floor::with(|plan| plan.queues.get_mut(&queue("sales")).unwrap().on_agent_lost = policy)
}

#[test]
fn a_suspect_agent_loses_open_offers_at_once_and_gets_no_new_ones() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.open("zoe");
    floor.lease("ana", LeaseState::Suspect).unwrap();
    assert!(matches!(floor.phase(id), Phase::Queued(_)));
    assert!(
        floor
            .state()
            .agent(&agent("ana"))
            .unwrap()
            .channels
            .is_empty(),
        "no miss"
    );
    floor.lease("ana", LeaseState::Alive).unwrap();
    assert!(floor.offered_to(id).is_some());
}

#[test]
fn a_suspect_agent_keeps_active_conversations() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.lease("ana", LeaseState::Suspect).unwrap();
    assert_eq!(floor.owner(id).as_deref(), Some("ana"));
    floor.agent_says(id, "the lease is courtesy, the epoch is the fence");
}

#[test]
fn a_lost_agents_conversation_is_requeued_with_its_age_and_the_customer_is_told() {
    let mut floor = on_lost(OnAgentLost::Requeue);
    floor.log_in("ana");
    let id = floor.active("zoe");
    let aged_from = floor.conversation(id).aged_from;
    floor.wait_ms(30_000);
    let late = floor.owner_actor(id);
    floor.lease("ana", LeaseState::Lost).unwrap();
    assert!(floor.last_items().iter().any(|item| matches!(
        item.kind,
        crate::cell::transcript::ItemKind::Requeued { .. }
    )));
    assert_eq!(floor.conversation(id).aged_from, aged_from);
    assert!(
        floor.try_send(id, late, "I am back").is_err(),
        "fenced by the epoch"
    );
}

#[test]
fn the_lost_agent_gets_it_again_if_back_before_another_accept() {
    let mut floor = on_lost(OnAgentLost::Requeue);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.lease("ana", LeaseState::Lost).unwrap();
    floor.lease("ana", LeaseState::Alive).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
    let mut floor = on_lost(OnAgentLost::Requeue);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.log_in("ben");
    floor.lease("ana", LeaseState::Lost).unwrap();
    assert_eq!(
        floor.offered_to(id).as_deref(),
        Some("ben"),
        "others do not wait for a lost agent"
    );
}

#[test]
fn by_policy_a_lost_agents_conversation_waits_for_the_agent() {
    let mut floor = on_lost(OnAgentLost::Hold);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.log_in("ben");
    floor.lease("ana", LeaseState::Lost).unwrap();
    assert!(matches!(floor.phase(id), Phase::OnHold(hold) if hold.reason == HoldReason::AgentLost));
    floor.customer_says(id, "anybody there?");
    assert!(
        matches!(floor.phase(id), Phase::OnHold(_)),
        "it waits for the agent, not for the customer"
    );
    floor.lease("ana", LeaseState::Alive).unwrap();
    assert!(matches!(floor.phase(id), Phase::Active(_)));
    assert_eq!(
        (floor.owner(id).as_deref(), floor.used("ana")),
        (Some("ana"), 25)
    );
}

#[test]
fn by_policy_a_lost_agents_conversation_is_only_reported_once() {
    let mut floor = on_lost(OnAgentLost::Notify);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "hello");
    floor.customer_says(id, "hi");
    floor.lease("ana", LeaseState::Lost).unwrap();
    let told = floor.last.iter().any(|event| {
        matches!(
            event,
            Event::Warned {
                warning: Warning::OwnerLost,
                ..
            }
        )
    });
    assert!(told);
    assert!(matches!(floor.phase(id), Phase::Active(_)));
    floor.wait_ms(3_600_000);
    floor.apply(Command::tick());
    assert!(!floor.last.iter().any(|event| matches!(
        event,
        Event::Warned {
            warning: Warning::OwnerLost,
            ..
        }
    )));
}

#[test]
fn each_queue_has_its_own_time_until_an_agent_is_lost_for_it() {
    let mut floor = Floor::with(|plan| {
        plan.queues
            .get_mut(&queue("sales"))
            .unwrap()
            .timers
            .agent_lost_ms = 60_000;
        plan.queues
            .get_mut(&queue("billing"))
            .unwrap()
            .timers
            .agent_lost_ms = 100_000;
    });
    floor.log_in("ana");
    let sales = floor.active("a");
    let billing = floor.open_in("b", "billing");
    floor.accept(billing);
    for id in [sales, billing] {
        floor.agent_says(id, "hello");
        floor.customer_says(id, "hello");
    }
    assert_eq!(floor.state().lost_after_ms(&agent("ana")), 60_000);
    floor.lease("ana", LeaseState::Suspect).unwrap();
    floor.wait_ms(45_000);
    floor.lease("ana", LeaseState::Lost).unwrap();
    assert!(
        matches!(floor.phase(sales), Phase::Queued(_)),
        "15 s + 45 s"
    );
    assert!(matches!(floor.phase(billing), Phase::Active(_)));
    floor.wait_ms(40_000);
    assert!(matches!(floor.phase(billing), Phase::Queued(_)));
}

/// A lease that the leader proposes because it cannot reach the agent's edge.
fn by_our_fault(floor: &mut Floor, name: &str, state: LeaseState) {
    let lease = Lease {
        agent: agent(name),
        session: floor.session(name),
        state,
        our_fault: true,
    };
    floor.ask(Command::Lease(lease)).unwrap();
}

/// Ana with a conversation of a queue that waits `sales_ms` for its agent, and one of 100 s.
fn two_queues(sales_ms: u64) -> (Floor, [ConversationId; 2]) {
    let mut floor = Floor::with(|plan| {
        for (name, ms) in [("sales", sales_ms), ("billing", 100_000)] {
            let rules = plan.queues.get_mut(&queue(name)).unwrap();
            rules.timers.agent_lost_ms = ms;
        }
    });
    floor.log_in("ana");
    let sales = floor.active("a");
    let billing = floor.open_in("b", "billing");
    floor.accept(billing);
    for id in [sales, billing] {
        floor.agent_says(id, "hello");
        floor.customer_says(id, "hello");
    }
    (floor, [sales, billing])
}

#[test]
fn an_agent_whose_site_is_down_is_lost_after_15_seconds_for_every_queue() {
    let (mut floor, both) = two_queues(60_000);
    floor.wait_ms(6_000);
    by_our_fault(&mut floor, "ana", LeaseState::Suspect);
    floor.wait_ms(9_000);
    assert_eq!(both.map(|id| floor.owner(id).is_some()), [true, true]);
    by_our_fault(&mut floor, "ana", LeaseState::Lost);
    assert_eq!(both.map(|id| floor.owner(id)), [None, None]);
}

#[test]
fn an_agent_who_is_suspect_early_by_our_fault_is_not_lost_early_once_the_edge_is_back() {
    let (mut floor, [sales, billing]) = two_queues(60_000);
    floor.wait_ms(6_000);
    by_our_fault(&mut floor, "ana", LeaseState::Suspect);
    floor.wait_ms(54_000);
    floor.lease("ana", LeaseState::Lost).unwrap();
    assert_eq!(floor.owner(sales), None);
    floor.wait_ms(39_999);
    assert_eq!(floor.owner(billing).as_deref(), Some("ana"));
    floor.wait_ms(1);
    assert_eq!(floor.owner(billing), None);
}

#[test]
fn work_of_a_lost_agent_waits_no_longer_for_its_queue_once_the_site_is_down() {
    let (mut floor, [sales, billing]) = two_queues(15_000);
    floor.wait_ms(15_000);
    floor.lease("ana", LeaseState::Lost).unwrap();
    assert_eq!(floor.owner(sales), None);
    floor.wait_ms(5_000);
    assert_eq!(floor.owner(billing).as_deref(), Some("ana"));
    let due = |floor: &Floor| {
        let now = floor.cell.now();
        floor.state().is_lost_work_due(&agent("ana"), now)
    };
    assert!(due(&floor));
    by_our_fault(&mut floor, "ana", LeaseState::Lost);
    assert_eq!(floor.owner(billing), None);
    assert!(!due(&floor), "said once");
}

#[test]
fn reconnecting_never_turns_a_chosen_not_ready_into_ready() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.not_ready("ana");
    floor.lease("ana", LeaseState::Lost).unwrap();
    floor.log_in("ana");
    let found = floor.state().agent(&agent("ana")).unwrap();
    assert_eq!(found.lease, LeaseState::Alive);
    assert!(matches!(found.intent, Intent::NotReady { .. }));
}

#[test]
fn an_agent_who_is_gone_leaves_nothing_behind() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let active = floor.active("a");
    let wrapping = floor.active("b");
    floor.close_by(wrapping, Actor::Customer).unwrap();
    let offered = floor.open("c");
    floor.lease("ana", LeaseState::Gone).unwrap();
    assert!(matches!(floor.phase(active), Phase::Queued(_)));
    assert!(matches!(floor.phase(wrapping), Phase::Closed(_)));
    assert!(matches!(floor.phase(offered), Phase::Queued(_)));
    assert_eq!(
        (
            floor.used("ana"),
            floor.state().agent(&agent("ana")).unwrap().session
        ),
        (0, None)
    );
}

#[test]
fn a_lease_of_another_session_is_void() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let lease = Lease {
        agent: agent("ana"),
        session: Session(1),
        state: LeaseState::Lost,
        our_fault: false,
    };
    assert_eq!(floor.ask(Command::Lease(lease)), Ok(Done::Nothing));
    assert_eq!(
        floor.state().agent(&agent("ana")).unwrap().lease,
        LeaseState::Alive
    );
}

#[test]
fn an_agent_lost_by_a_short_queues_time_keeps_the_work_of_a_longer_one_until_its_own() {
    let mut floor = Floor::with(|plan| {
        let billing = plan.queues.get_mut(&queue("billing")).unwrap();
        billing.timers.agent_lost_ms = 15_000;
    });
    floor.log_in("ana");
    let long = floor.active("zoe");
    let short = floor.open_in("yan", "billing");
    floor.accept(short);
    floor.wait_ms(15_000);
    assert_eq!(floor.state().lost_after_ms(&agent("ana")), 15_000);
    floor.lease("ana", LeaseState::Lost).unwrap();
    floor.wait_ms(0);
    assert_eq!(floor.owner(short), None);
    assert_eq!(floor.owner(long).as_deref(), Some("ana"));
    floor.wait_ms(44_999);
    assert_eq!(floor.owner(long).as_deref(), Some("ana"));
    floor.wait_ms(1);
    assert_eq!(floor.owner(long), None);
}

#[test]
fn held_work_that_returns_respects_exclusive_channels_and_limits_by_count() {
    type Change = fn(&mut ChannelPlan);
    let changes: [(Change, &str); 2] = [
        (|app| app.count_max = Some(1), "app"),
        (|app| app.exclusive = true, "web"),
    ];
    for (change, account) in changes {
        let content = || {
            let mut content = plan();
            let sales = content.queues.get_mut(&queue("sales")).unwrap();
            sales.on_agent_lost = OnAgentLost::Hold;
            content
        };
        let mut floor = Floor::with(|plan| *plan = content());
        floor.log_in("ana");
        let first = floor.open_on("a", "app");
        floor.accept(first);
        let second = floor.open_on("b", account);
        floor.accept(second);
        floor.wait_ms(60_000);
        floor.lease("ana", LeaseState::Lost).unwrap();
        let mut stricter = content();
        change(stricter.channels.get_mut(&channel("app")).unwrap());
        floor.adopt(2, stricter);
        floor.lease("ana", LeaseState::Alive).unwrap();
        let taken_up = [first, second].map(|id| matches!(floor.phase(id), Phase::Active(_)));
        assert_eq!(taken_up, [true, false], "app beside {account}");
    }
}

#[test]
fn an_owner_lost_a_second_time_is_warned_of_a_second_time() {
    let mut floor = on_lost(OnAgentLost::Notify);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "hello");
    for _ in 0..2 {
        floor.wait_ms(60_000);
        floor.lease("ana", LeaseState::Lost).unwrap();
        let warned = |event: &Event| {
            matches!(
                event,
                Event::Warned {
                    warning: Warning::OwnerLost,
                    ..
                }
            )
        };
        assert!(floor.last.iter().any(warned));
        floor.lease("ana", LeaseState::Alive).unwrap();
    }
}
