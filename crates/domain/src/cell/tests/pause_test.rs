//! Queues that a supervisor pauses and lets go on.

use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::Phase;
use crate::cell::invariants::check_invariants;
use crate::cell::refusal::Refusal;
use crate::cell::requests::REQUESTS_MAX;
use crate::cell::{Cell, apply::RECLASS_MAX};
use crate::ids::*;

fn offered_now(floor: &Floor) -> Vec<ConversationId> {
    let offers = floor.last_offers();
    offers.iter().map(|made| made.conversation).collect()
}

#[test]
fn a_paused_queue_offers_nothing_keeps_its_order_and_goes_on_with_the_head() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 50);
    let mut ids = Vec::new();
    for customer in ["a", "b", "c"] {
        ids.push(floor.open(customer));
        floor.at += 1_000;
    }
    floor.pause("sales").unwrap();
    floor.log_in("ana");
    floor.wait_ms(60_000);
    assert_eq!(floor.line("sales"), ids);
    assert!(ids.iter().all(|id| floor.offered_to(*id).is_none()));
    let view = floor.state().queue_view(&queue("sales")).unwrap();
    let steered = view.steered.unwrap();
    assert!(view.paused && !view.paused_by_plan && steered.paused);
    assert_eq!((steered.by, &*steered.why), (staff(), "maintenance"));
    assert_eq!((steered.at.0, view.longest_wait_ms), (1_003_000, 3_000));
    floor.resume_queue("sales").unwrap();
    assert_eq!(offered_now(&floor), ids[..2], "as many as she can hold");
    let view = floor.state().queue_view(&queue("sales")).unwrap();
    let steered = view.steered.unwrap();
    assert_eq!((view.paused, &*steered.why), (false, "done"));
}

#[test]
fn nothing_new_comes_into_a_paused_queue_and_the_customer_reads_the_plans_text() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let owned = floor.active("zoe");
    floor.pause("billing").unwrap();
    let mut open = floor.open_command("yan");
    open.queue = Some(queue("billing"));
    let paused = Refusal::QueuePaused {
        queue: queue("billing"),
        text: "Back soon".into(),
        by_plan: false,
    };
    assert_eq!(floor.ask(Command::Open(open)), Err(paused.clone()));
    let target = Target::Queue(queue("billing"));
    assert_eq!(floor.transfer(owned, supervisor(), target), Err(paused));
    let elsewhere = floor.open("yan");
    assert_eq!(floor.offered_to(elsewhere).as_deref(), Some("ana"));
}

#[test]
fn an_offer_made_before_the_pause_may_be_taken_and_one_that_ends_is_made_to_nobody_else() {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25);
    floor.log_in("ana");
    let first = floor.open("a");
    floor.log_in("ben");
    let second = floor.open("b");
    floor.at += 1_000;
    floor.pause("sales").unwrap();
    floor.accept(first);
    floor.decline(second).unwrap();
    floor.log_in("cem");
    assert_eq!(floor.line("sales"), [second]);
    floor.agent_says(first, "hello");
    assert_eq!(floor.owner(first).as_deref(), Some("ana"));
}

#[test]
fn a_pause_outlives_floor_plans_and_the_plans_own_pause_outlives_it() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.pause("sales").unwrap();
    let mut lacking = plan();
    lacking.queues.remove(&queue("sales"));
    lacking.queues.remove(&queue("billing"));
    floor.pause("billing").unwrap();
    floor.adopt(2, lacking);
    floor.log_in("ana");
    assert_eq!(
        floor.offered_to(id),
        None,
        "paused, though the plan lacks it"
    );
    floor.adopt(3, plan());
    assert_eq!(floor.offered_to(id), None);
    let billing = floor.state().queue(&queue("billing")).unwrap();
    assert!(billing.paused_by().is_some(), "a queue that was never used");
    let mut paused = plan();
    paused.queues.get_mut(&queue("sales")).unwrap().paused = true;
    floor.adopt(4, paused);
    floor.resume_queue("sales").unwrap();
    assert_eq!(floor.offered_to(id), None, "the plan pauses it");
    let not_paused = Refusal::QueueNotPaused {
        queue: queue("sales"),
        by_plan: true,
    };
    assert_eq!(floor.resume_queue("sales"), Err(not_paused));
    floor.adopt(5, plan());
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
}

#[test]
fn a_second_pause_learns_of_the_first_and_there_is_nothing_to_resume_twice() {
    let mut floor = Floor::new();
    let by_plan = false;
    let not_paused = Refusal::QueueNotPaused {
        queue: queue("sales"),
        by_plan,
    };
    assert_eq!(floor.resume_queue("sales"), Err(not_paused.clone()));
    let pause = floor.queue_act("sales", "maintenance");
    floor.ask(Command::PauseQueue(pause.clone())).unwrap();
    let already = Refusal::QueuePausedAlready {
        queue: queue("sales"),
        by: staff(),
        why: "maintenance".into(),
    };
    assert_eq!(floor.pause("sales"), Err(already));
    floor.ask(Command::PauseQueue(pause.clone())).unwrap();
    floor.resume_queue("sales").unwrap();
    assert_eq!(floor.resume_queue("sales"), Err(not_paused));
    floor.ask(Command::PauseQueue(pause.clone())).unwrap();
    let record = floor.state().queue(&queue("sales")).unwrap();
    assert!(record.paused_by().is_none(), "a copy changes nothing");
    let other = QueueAct {
        reason: "another".into(),
        ..pause.clone()
    };
    let reused = Refusal::RequestIdReused {
        request_id: pause.request_id,
    };
    assert_eq!(floor.ask(Command::PauseQueue(other)), Err(reused));
    let nowhere = floor.pause("nowhere");
    let queue = queue("nowhere");
    assert_eq!(nowhere, Err(Refusal::QueueNotFound { queue }));
}

#[test]
fn a_queue_remembers_64_acts_of_supervisors_for_ten_minutes() {
    let mut floor = Floor::new();
    for _ in 0..REQUESTS_MAX / 2 {
        floor.pause("sales").unwrap();
        floor.resume_queue("sales").unwrap();
    }
    let refused = floor.pause("sales");
    let retry_after_ms = 600_000;
    assert_eq!(refused, Err(Refusal::TooManyRequests { retry_after_ms }));
    floor.pause("billing").unwrap();
    floor.at += 600_000;
    floor.pause("sales").unwrap();
    let rows = floor.state().queue(&queue("sales")).unwrap();
    assert_eq!(rows.requests.len(), 1);
}

#[test]
fn work_of_a_paused_queue_is_assigned_to_nobody_but_may_wait_for_an_agent() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.not_ready("ana");
    let older = floor.open("zoe");
    let id = floor.open("yan");
    floor.pause("sales").unwrap();
    floor.ready("ana");
    let paused = Refusal::QueuePaused {
        queue: queue("sales"),
        text: "Back soon".into(),
        by_plan: false,
    };
    assert_eq!(floor.assign(id, "ana", false), Err(paused.clone()));
    let target = Target::Agent {
        agent: agent("ana"),
        wait: false,
    };
    assert_eq!(floor.transfer(id, supervisor(), target), Err(paused));
    let unknown = floor.assign(id, "nobody", true);
    assert!(matches!(unknown, Err(Refusal::AgentNotFound { .. })));
    floor.assign(id, "ana", true).unwrap();
    assert_eq!(floor.offered_to(id), None);
    floor.requeue(older).unwrap_err();
    floor.resume_queue("sales").unwrap();
    assert_eq!(offered_now(&floor), [older, id]);
}

#[test]
fn work_that_an_agent_owns_is_passed_on_in_a_paused_queue_too() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.log_in("ben");
    floor.pause("sales").unwrap();
    floor.at += 1_000;
    let target = Target::Agent {
        agent: agent("ben"),
        wait: false,
    };
    let by = floor.owner_actor(id);
    floor.transfer(id, by, target).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
    floor.wait_ms(20_000);
    assert!(floor.conversation(id).is_waiting(), "and then it waits");
}

/// One entry without the checks of every invariant, which would take long for thousands.
fn quick(floor: &mut Floor, command: Command) {
    floor.index += 1;
    let entry = Entry {
        at: CellTime(floor.at),
        wall_ms: 1,
        command,
    };
    floor
        .cell
        .apply(LogIndex(floor.index), &entry)
        .reply
        .unwrap();
}

#[test]
fn a_long_line_stands_aside_in_parts_and_comes_back_in_its_order() {
    let waiting = 2 * RECLASS_MAX + 100;
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("sales")).unwrap().waiting_max = 10_000;
    });
    for n in 0..waiting {
        let mut open = floor.open_command(&format!("c{n}"));
        open.boost_ms = (n % 7) as u64 * 1_000;
        quick(&mut floor, Command::Open(open));
    }
    let line = floor.line("sales");
    assert_eq!(line.len(), waiting);
    floor.pause("sales").unwrap();
    assert!(floor.cell.more_due());
    floor.log_in("ana");
    let late = floor.state().queue(&queue("sales")).unwrap().aside_from;
    assert_eq!(late.unwrap().index, line[100].index, "the youngest first");
    assert_eq!(offered_now(&floor), [], "though part stands in its line");
    floor.cell = Cell::from_parts(floor.cell.freeze().parts()).unwrap();
    floor.apply(Command::MatchMore);
    assert!(!floor.cell.more_due());
    check_invariants(floor.state()).unwrap();
    floor.resume_queue("sales").unwrap();
    assert_eq!(offered_now(&floor), line[..4], "the oldest first");
    assert!(floor.cell.more_due());
    floor.pause("sales").unwrap();
    floor.cell = Cell::from_parts(floor.cell.freeze().parts()).unwrap();
    floor.resume_queue("sales").unwrap();
    for _ in 0..2 {
        floor.apply(Command::MatchMore);
    }
    assert!(!floor.cell.more_due());
    assert_eq!(floor.line("sales"), line[4..]);
    let held = line[..4].iter().map(|id| floor.phase(*id));
    assert!(
        held.into_iter()
            .all(|phase| matches!(phase, Phase::Offered(_)))
    );
}
