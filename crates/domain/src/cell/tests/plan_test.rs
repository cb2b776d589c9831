//! Adopting floor plans.

use super::support::*;
use crate::cell::apply::RECLASS_MAX;
use crate::cell::command::*;
use crate::cell::conversation::Phase;
use crate::cell::event::{Alarm, Event};
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::ids::*;
use crate::plan::*;

#[test]
fn without_a_plan_nothing_opens_and_the_client_is_told_to_come_back() {
    let mut floor = Floor::new();
    floor.cell = crate::cell::Cell::new(CELL);
    let open = floor.open_command("zoe");
    let refused = floor.ask(Command::Open(open));
    assert!(matches!(
        refused,
        Err(Refusal::PlanBehind { version: 0, .. })
    ));
}

#[test]
fn versions_only_grow() {
    let mut floor = Floor::new();
    let mut other = plan();
    other.agents.clear();
    assert_eq!(floor.adopt(1, other).reply, Ok(Done::Nothing));
    assert_eq!(
        floor.state().agents().count(),
        3,
        "an old version changes nothing"
    );
}

#[test]
fn a_queue_that_the_plan_lacks_serves_what_it_has_and_takes_nothing_new() {
    let mut floor = Floor::new();
    let waiting = floor.open_in("zoe", "billing");
    let mut lacking = plan();
    lacking.queues.remove(&queue("billing"));
    floor.adopt(2, lacking);
    assert!(floor.state().queue(&queue("billing")).unwrap().retired);
    let mut open = floor.open_command("yan");
    open.queue = Some(queue("billing"));
    assert_eq!(
        floor.ask(Command::Open(open)),
        Err(Refusal::QueueNotFound {
            queue: queue("billing")
        })
    );
    floor.log_in("ana");
    floor.accept(waiting);
    assert_eq!(floor.owner(waiting).as_deref(), Some("ana"));
}

#[test]
fn an_agent_that_the_plan_lacks_keeps_the_work_in_hand_and_gets_no_more() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let active = floor.active("zoe");
    let offered = floor.open("yan");
    let mut lacking = plan();
    lacking.agents.remove(&agent("ana"));
    floor.adopt(2, lacking.clone());
    assert!(matches!(floor.phase(offered), Phase::Queued(_)));
    floor.agent_says(active, "still yours");
    floor.close_by(active, supervisor()).unwrap();
    floor.finish(active).unwrap();
    let (request_id, session) = (floor.fresh(), floor.session("ana"));
    floor
        .ask(Command::LogOut(LogOut {
            agent: agent("ana"),
            request_id,
            session,
            device: None,
        }))
        .unwrap();
    floor.adopt(3, lacking);
    assert!(
        floor.state().agent(&agent("ana")).is_none(),
        "empty, so the record goes"
    );
}

#[test]
fn lines_are_reclassed_1024_an_entry_and_keep_their_order() {
    let mut floor =
        Floor::with(|plan| plan.queues.get_mut(&queue("sales")).unwrap().waiting_max = 5_000);
    for n in 0..1_500 {
        let open = floor.open_command(&format!("c{n}"));
        floor.index += 1;
        let entry = Entry {
            at: CellTime(floor.at),
            wall_ms: 0,
            command: Command::Open(open),
        };
        floor
            .cell
            .apply(LogIndex(floor.index), &entry)
            .reply
            .unwrap();
    }
    let before = floor.line("sales");
    let mut other = plan();
    let law = Requirement::Skill(skill("law"), Level(1));
    other.queues.get_mut(&queue("sales")).unwrap().requires = vec![law];
    other
        .agents
        .get_mut(&agent("ben"))
        .unwrap()
        .skills
        .insert(skill("law"), Level(1));
    floor.adopt(2, other);
    assert!(floor.cell.more_due());
    let moved = |floor: &Floor| {
        floor
            .state()
            .conversations()
            .filter(|found| found.classed_by == PlanVersion(2))
            .count()
    };
    assert_eq!(moved(&floor), 1_024);
    floor.apply(Command::MatchMore);
    assert_eq!((moved(&floor), floor.cell.more_due()), (1_500, false));
    assert_eq!(floor.line("sales"), before);
    floor.log_in("ana");
    assert!(floor.last_offers().is_empty(), "the new requirement holds");
    floor.log_in("ben");
    assert_eq!(floor.last_offers().len(), 4);
}

#[test]
fn a_queue_that_pauses_offers_nothing_and_goes_on_later_in_its_order() {
    let mut floor = Floor::new();
    let ids: Vec<_> = (0..3).map(|n| floor.open(&format!("c{n}"))).collect();
    let mut paused = plan();
    paused.queues.get_mut(&queue("sales")).unwrap().paused = true;
    floor.adopt(2, paused);
    floor.log_in("ana");
    assert!(ids.iter().all(|id| floor.offered_to(*id).is_none()));
    floor.adopt(3, plan());
    let offered: Vec<_> = floor
        .last_offers()
        .iter()
        .map(|made| made.conversation)
        .collect();
    assert_eq!(offered, ids);
}

#[test]
fn timers_stay_those_of_the_plan_under_which_the_queue_was_entered() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    let mut quick = plan();
    quick
        .queues
        .get_mut(&queue("sales"))
        .unwrap()
        .timers
        .offer_ms = 1_000;
    floor.adopt(2, quick);
    floor.log_in("ana");
    assert!(matches!(floor.phase(id), Phase::Offered(offer) if offer.period_ms == 20_000));
    let later = floor.open("yan");
    assert!(matches!(floor.phase(later), Phase::Offered(offer) if offer.period_ms == 1_000));
}

#[test]
fn at_most_16_plans_are_kept_and_what_named_an_older_one_names_the_oldest() {
    let mut floor = Floor::new();
    for version in 1..40 {
        let mut content = plan();
        content
            .queues
            .get_mut(&queue("sales"))
            .unwrap()
            .timers
            .offer_ms = version * 1_000;
        floor.adopt(version + 1, content);
        floor.open(&format!("c{version}"));
    }
    let state = floor.state();
    assert_eq!(state.plans.len(), 16);
    let oldest = *state.plans.keys().next().unwrap();
    let first = state
        .conversations()
        .min_by_key(|found| found.pinned)
        .unwrap();
    assert_eq!(first.pinned, oldest);
}

#[test]
fn a_queue_for_which_no_agent_of_the_plan_is_eligible_raises_an_alarm() {
    let mut floor = Floor::new();
    let mut content = plan();
    content.queues.get_mut(&queue("billing")).unwrap().requires =
        vec![Requirement::Skill(skill("x"), Level(1))];
    let applied = floor.adopt(2, content);
    assert!(
        applied
            .events
            .contains(&Event::Alarm(Alarm::NobodyEligible {
                queue: queue("billing")
            }))
    );
}

#[test]
fn a_queue_that_was_paused_and_then_removed_serves_its_line() {
    let mut floor = Floor::new();
    let ids: Vec<_> = (0..3).map(|n| floor.open(&format!("c{n}"))).collect();
    let mut paused = plan();
    paused.queues.get_mut(&queue("sales")).unwrap().paused = true;
    floor.adopt(2, paused);
    let mut lacking = plan();
    lacking.queues.remove(&queue("sales"));
    floor.adopt(3, lacking);
    assert!(!floor.state().queue_view(&queue("sales")).unwrap().paused);
    floor.log_in("ana");
    for id in ids {
        floor.accept(id);
        assert_eq!(floor.owner(id).as_deref(), Some("ana"));
    }
}

#[test]
fn after_reclassing_no_entry_walks_the_lines_of_retired_queues_again() {
    let mut floor = Floor::new();
    let ids: Vec<_> = (0..3).map(|n| floor.open(&format!("c{n}"))).collect();
    let mut lacking = plan();
    lacking.queues.remove(&queue("sales"));
    floor.adopt(2, lacking);
    let older = |floor: &Floor| {
        let before = (PlanVersion(2), LogIndex(0));
        floor.state().derived.classed.range(..before).count()
    };
    assert_eq!(older(&floor), 0);
    floor.log_in("ana");
    floor.decline(ids[0]).unwrap();
    assert_eq!(
        older(&floor),
        0,
        "back in the line it is of the plan in force"
    );
}

#[test]
fn a_plan_by_which_an_agent_can_never_hold_it_lets_the_own_line_go() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.log_in("ben");
    floor.not_ready("ben");
    let target = Target::Agent {
        agent: agent("ben"),
        wait: true,
    };
    floor.transfer(id, supervisor(), target).unwrap();
    assert_eq!(floor.offered_to(id), None);
    let mut small = plan();
    small.agents.get_mut(&agent("ben")).unwrap().capacity = 10;
    floor.adopt(2, small);
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
}

#[test]
fn a_conversation_read_by_a_later_plan_has_that_plans_timers_in_the_index() {
    let mut floor = Floor::new();
    let with_gone_ms = |ms: u64| {
        let mut content = plan();
        content.channels.get_mut(&channel("web")).unwrap().gone_ms = ms;
        content
    };
    floor.adopt(2, with_gone_ms(300_000));
    let id = floor.open("zoe");
    floor.gone(id, false);
    for version in 3..20 {
        floor.adopt(version, with_gone_ms(100_000));
        floor.open(&format!("c{version}"));
    }
    // `Floor::apply` has checked after each entry that no deadline is too late.
    floor.wait_ms(100_000);
    assert!(matches!(floor.phase(id), Phase::Closed(_)));
}

#[test]
fn twenty_plans_one_after_the_other_keep_every_line_and_its_order() {
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("sales")).unwrap().waiting_max = 5_000;
    });
    let ids: Vec<_> = (0..40).map(|n| floor.open(&format!("c{n}"))).collect();
    for version in 2..30 {
        let mut content = plan();
        let sales = content.queues.get_mut(&queue("sales")).unwrap();
        sales.paused = version % 3 == 0;
        if version % 5 == 0 {
            content.queues.remove(&queue("sales"));
        }
        floor.adopt(version, content);
        floor.open_in(&format!("d{version}"), "billing");
    }
    assert_eq!(floor.line("sales"), ids);
    floor.log_in("ana");
    assert_eq!(floor.offered_to(ids[0]).as_deref(), Some("ana"));
}

#[test]
fn conversations_of_plans_above_the_limit_move_1024_an_entry() {
    let mut floor =
        Floor::with(|plan| plan.queues.get_mut(&queue("sales")).unwrap().waiting_max = 5_000);
    for n in 0..1_500 {
        let open = floor.open_command(&format!("c{n}"));
        floor.index += 1;
        let entry = Entry {
            at: CellTime(floor.at),
            wall_ms: 0,
            command: Command::Open(open),
        };
        let applied = floor.cell.apply(LogIndex(floor.index), &entry);
        applied.reply.unwrap();
    }
    let named = |floor: &Floor, version: u64| {
        let all = floor.state().conversations();
        all.filter(|found| found.pinned == PlanVersion(version))
            .count()
    };
    for version in 2..17 {
        floor.adopt(version, plan());
        floor.open_in(&format!("d{version}"), "billing");
    }
    assert_eq!((named(&floor, 1), floor.cell.more_due()), (1_500, false));
    floor.adopt(17, plan());
    assert_eq!((named(&floor, 1), named(&floor, 2)), (476, 1_025));
    assert!(floor.cell.more_due());
    floor.apply(Command::MatchMore);
    assert_eq!((named(&floor, 1), named(&floor, 2)), (0, 1_501));
    assert_eq!(
        (floor.state().plans.len(), floor.cell.more_due()),
        (16, false)
    );
}

#[test]
fn a_queue_that_is_back_serves_what_waited_in_it_by_its_new_rules() {
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("billing")).unwrap().waiting_max = 5_000;
    });
    let ids: Vec<_> = (0..2)
        .map(|n| floor.open_in(&format!("c{n}"), "billing"))
        .collect();
    // More than one entry moves, so that some are still judged by the plan that lacks their queue.
    for n in 2..RECLASS_MAX + 10 {
        let mut open = floor.open_command(&format!("c{n}"));
        open.queue = Some(queue("billing"));
        floor.index += 1;
        let entry = Entry {
            at: CellTime(floor.at),
            wall_ms: 0,
            command: Command::Open(open),
        };
        let applied = floor.cell.apply(LogIndex(floor.index), &entry);
        applied.reply.unwrap();
    }
    floor.log_in("ana");
    floor.not_ready("ana");
    let other = floor.open("c");
    let mut without = plan();
    without.queues.remove(&queue("billing"));
    floor.adopt(2, without);
    floor.apply(Command::MatchMore);
    let mut back = plan();
    let law = Requirement::Skill(skill("law"), Level(1));
    back.queues.get_mut(&queue("billing")).unwrap().requires = vec![law];
    let ben = back.agents.get_mut(&agent("ben")).unwrap();
    ben.skills.insert(skill("law"), Level(1));
    floor.adopt(3, back);
    // `Floor::adopt` has compared the lines with those of a cell that was read from a snapshot.
    assert!(floor.cell.more_due());
    assert_eq!(floor.line("billing")[..2], ids);
    floor.ready("ana");
    assert_eq!(floor.offered_to(other).as_deref(), Some("ana"));
    assert!(floor.offered_to(ids[0]).is_none(), "ana lacks the skill");
    floor.log_in("ben");
    for id in &ids {
        assert_eq!(floor.offered_to(*id).as_deref(), Some("ben"));
    }
}
