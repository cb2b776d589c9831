//! Why a conversation waits and why an agent has no work.

use super::support::*;
use crate::cell::command::*;
use crate::cell::defects;
use crate::cell::explain::*;
use crate::cell::receipts::Exclusion;
use crate::ids::*;
use crate::plan::*;

fn waits(floor: &Floor, id: ConversationId) -> Waits<'_> {
    let found = floor.conversation(id);
    floor.state().waits(found).expect("it waits")
}

fn idle<'f>(floor: &'f Floor, name: &str) -> Idle<'f> {
    floor.state().idle(&agent(name)).expect("is known")
}

/// Who is named with which reason.
fn verdicts(floor: &Floor, id: ConversationId) -> Vec<(String, Option<Exclusion>, Option<u64>)> {
    let now = floor.state().now();
    let agents = waits(floor, id).agents;
    agents
        .iter()
        .map(|standing| {
            let ends_in = standing.until.map(|until| until.since_ms(now));
            (standing.agent.name.to_string(), standing.why, ends_in)
        })
        .collect()
}

fn needs_law(plan: &mut FloorPlan) {
    let law = Requirement::Skill(skill("law"), Level(2));
    plan.queues.get_mut(&queue("billing")).unwrap().requires = vec![law];
    let ana = plan.agents.get_mut(&agent("ana")).unwrap();
    ana.skills.insert(skill("law"), Level(3));
}

#[test]
fn a_conversation_waits_because_of_staffing_until_somebody_is_free() {
    let mut floor = Floor::with(|plan| {
        needs_law(plan);
        plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25;
    });
    let id = floor.open_in("zoe", "billing");
    assert_eq!(waits(&floor, id).causes, [WaitCause::NobodyLoggedIn]);
    floor.log_in("ana");
    assert!(
        floor.state().waits(floor.conversation(id)).is_none(),
        "offered"
    );
    let next = floor.open_in("yan", "billing");
    let explained = waits(&floor, next);
    assert_eq!(explained.causes, [WaitCause::NobodyFree]);
    let law = Requirement::Skill(skill("law"), Level(2));
    assert_eq!(explained.requires, [law]);
    let counts = (explained.eligible, explained.logged_in, explained.line);
    assert_eq!(counts, (1, 1, 1), "ben and cem lack it");
    let full = Some(Exclusion::AtCapacity);
    assert_eq!(verdicts(&floor, next), [("ana".to_owned(), full, None)]);
    let mut nobody = plan();
    needs_law(&mut nobody);
    nobody.agents.remove(&agent("ana"));
    floor.adopt(2, nobody);
    assert_eq!(waits(&floor, next).causes, [WaitCause::NobodyEligible]);
}

#[test]
fn each_agent_who_does_not_get_it_is_named_with_why_and_until_when() {
    let mut floor = Floor::new();
    for name in ["ana", "ben", "cem"] {
        floor.log_in(name);
    }
    floor.not_ready("cem");
    let id = floor.open("zoe");
    floor.decline(id).unwrap();
    floor.wait_ms(5_000);
    floor.apply(Command::tick());
    floor.wait_ms(15_000);
    assert_eq!(
        verdicts(&floor, id),
        [
            ("cem".to_owned(), Some(Exclusion::NotReady), None),
            ("ben".to_owned(), Some(Exclusion::BackOff), Some(10_000)),
            ("ana".to_owned(), Some(Exclusion::PassedOver), Some(40_000)),
        ]
    );
}

#[test]
fn what_keeps_it_from_everybody_comes_before_who_is_free() {
    let mut floor = Floor::new();
    let id = floor.open("zoe");
    floor.pause("sales").unwrap();
    let mut content = plan();
    content.queues.get_mut(&queue("sales")).unwrap().paused = true;
    floor.adopt(2, content);
    floor.log_in("ana");
    let steered = floor.state().queue(&queue("sales")).unwrap();
    let steered = steered.paused_by().unwrap();
    let both = [WaitCause::PausedByStaff(steered), WaitCause::PausedByPlan];
    assert_eq!(waits(&floor, id).causes, both);
    floor
        .try_send(id, Actor::Customer, defects::IN_DECIDE)
        .unwrap_err();
    let index = floor.conversation(id).quarantined.unwrap();
    assert_eq!(waits(&floor, id).causes[0], WaitCause::SetAside(index));
}

#[test]
fn what_waits_for_one_agent_says_for_whom() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.not_ready("ana");
    let id = floor.open("zoe");
    floor.assign(id, "ana", true).unwrap();
    floor.log_in("ben");
    let ana = agent("ana");
    let explained = waits(&floor, id);
    assert_eq!(
        explained.causes,
        [WaitCause::OwnLine(&ana), WaitCause::NobodyFree]
    );
    let named: Vec<_> = explained.agents.iter().map(|one| &one.agent.name).collect();
    assert_eq!(named, [&ana], "nobody else is asked");
    assert_eq!(idle(&floor, "ben").work[0].why, WorkWhy::KeptForOthers);
}

#[test]
fn an_agent_without_work_learns_what_lacks() {
    let mut floor = Floor::with(needs_law);
    assert_eq!(
        idle(&floor, "ben").causes,
        [IdleCause::LoggedOut(CellTime(0)), IdleCause::NothingWaits]
    );
    floor.log_in("ben");
    floor.open_in("zoe", "billing");
    let explained = idle(&floor, "ben");
    assert_eq!(explained.causes, [IdleCause::NothingFits]);
    let law = Requirement::Skill(skill("law"), Level(2));
    assert_eq!(explained.work[0].why, WorkWhy::Lacks(&law));
    floor.log_in("cem");
    let other = floor.open("yan");
    floor.decline(other).unwrap();
    floor.decline(other).unwrap();
    let until = CellTime(floor.at + 60_000);
    let explained = idle(&floor, "ben");
    assert_eq!(explained.causes, []);
    let works: Vec<_> = explained.work.iter().map(|work| work.why).collect();
    assert_eq!(works, [WorkWhy::Lacks(&law), WorkWhy::Declined(until)]);
    floor.lease("ben", LeaseState::Suspect).unwrap();
    let since = floor.state().agent(&agent("ben")).unwrap().silent_since;
    let silent = IdleCause::Unreachable(LeaseState::Suspect, since);
    assert_eq!(idle(&floor, "ben").causes, [silent]);
}

#[test]
fn decisions_that_named_an_agent_are_found_newest_first_and_no_more_than_eight() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.log_in("ben");
    floor.not_ready("ben");
    let mut last = None;
    for n in 0..12 {
        let id = floor.open(&format!("c{n}"));
        floor.accept(id);
        floor.close_by(id, supervisor()).unwrap();
        floor.finish(id).unwrap();
        last = Some(id);
    }
    let mentions = idle(&floor, "ben").mentions;
    assert_eq!(mentions.len(), MENTIONS_MAX);
    assert_eq!(Some(mentions[0].0), last);
    assert!(mentions.is_sorted_by_key(|(_, receipt)| std::cmp::Reverse(receipt.index)));
    let why = (agent("ben"), Exclusion::NotReady);
    assert!(
        mentions
            .iter()
            .all(|(_, receipt)| receipt.excluded.contains(&why))
    );
    assert_eq!(idle(&floor, "cem").mentions, []);
}

#[test]
fn an_explanation_is_bounded_whatever_there_is() {
    let many = AGENTS_EXPLAINED_MAX + 6;
    let mut floor = Floor::with(|plan| {
        for n in 0..many {
            let name = format!("x{n}");
            plan.agents.insert(agent(&name), agent_plan(&name, 10));
        }
    });
    for n in 0..many {
        floor.log_in(&format!("x{n}"));
    }
    let id = floor.open("zoe");
    let explained = waits(&floor, id);
    assert_eq!(explained.agents.len(), AGENTS_EXPLAINED_MAX);
    assert_eq!(
        (explained.agents_more, explained.logged_in),
        (6, many as u32)
    );
    for n in 0..LINE_EXPLAINED_MAX {
        floor.open(&format!("c{n}"));
    }
    let work = &idle(&floor, "x0").work;
    assert_eq!(
        (work.len(), work[0].waiting),
        (1, LINE_EXPLAINED_MAX as u32)
    );
    assert_eq!(work[0].first, id);
}
