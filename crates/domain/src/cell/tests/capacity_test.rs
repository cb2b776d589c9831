//! Units: costs, counts, exclusive channels, lowered capacity.

use super::support::*;
use crate::cell::capacity::Ratio;
use crate::cell::command::*;

#[test]
fn units_bound_what_an_agent_holds() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let ids: Vec<_> = (0..5).map(|n| floor.open(&format!("c{n}"))).collect();
    assert_eq!(floor.used("ana"), 100);
    assert!(floor.offered_to(ids[4]).is_none());
}

#[test]
fn a_count_per_channel_bounds_it_too_and_the_lower_one_holds() {
    let mut floor = Floor::with(|plan| {
        plan.channels.get_mut(&channel("web")).unwrap().count_max = Some(3);
        plan.agents
            .get_mut(&agent("ana"))
            .unwrap()
            .count_max
            .insert(channel("web"), 2);
    });
    floor.log_in("ana");
    for n in 0..4 {
        floor.open(&format!("c{n}"));
    }
    assert_eq!(floor.used("ana"), 50);
}

#[test]
fn an_exclusive_channel_excludes_all_other_work() {
    let mut floor = Floor::with(|plan| {
        plan.channels.get_mut(&channel("voice")).unwrap().cost = 10;
    });
    floor.log_in("ana");
    let call = floor.open_on("a", "voice");
    let chat = floor.open_on("b", "web");
    assert!(floor.offered_to(call).is_some());
    assert!(floor.offered_to(chat).is_none(), "a call excludes chats");
    let mut floor = Floor::with(|plan| {
        plan.channels.get_mut(&channel("voice")).unwrap().cost = 10;
    });
    floor.log_in("ana");
    let chat = floor.open_on("b", "web");
    let call = floor.open_on("a", "voice");
    assert!(floor.offered_to(chat).is_some());
    assert!(
        floor.offered_to(call).is_none(),
        "a chat stands in the way of a call"
    );
}

#[test]
fn a_lowered_capacity_takes_effect_as_work_ends() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let ids: Vec<_> = (0..4).map(|n| floor.active(&format!("c{n}"))).collect();
    let mut lower = plan();
    lower.agents.get_mut(&agent("ana")).unwrap().capacity = 50;
    floor.adopt(2, lower);
    assert_eq!(floor.used("ana"), 100, "nothing is taken away");
    let waiting = floor.open("new");
    for id in &ids[..3] {
        assert!(floor.offered_to(waiting).is_none());
        floor.close_by(*id, supervisor()).unwrap();
        floor.finish(*id).unwrap();
    }
    assert!(floor.offered_to(waiting).is_some());
}

#[test]
fn load_ratios_are_compared_exactly() {
    let ratio = |used, capacity| Ratio { used, capacity };
    assert!(ratio(60, 80) > ratio(60, 100));
    assert!(ratio(1, 3) < ratio(33_334, 100_001));
    assert_eq!(ratio(20, 60), ratio(1, 3));
    assert_eq!(ratio(0, 0), ratio(5, 5), "no capacity is full");
}

#[test]
fn a_status_for_after_this_work_takes_effect_with_the_last_of_it() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("a");
    let set = floor.intent_command(
        "ana",
        Intent::NotReady {
            reason: "lunch".into(),
        },
    );
    floor.ask(Command::SetNextStatus(set)).unwrap();
    let other = floor.open("b");
    assert!(floor.offered_to(other).is_none(), "no new work meanwhile");
    assert_eq!(
        floor.state().agent(&agent("ana")).unwrap().intent,
        Intent::Ready
    );
    floor.close_by(id, supervisor()).unwrap();
    floor.finish(id).unwrap();
    assert_eq!(
        floor.state().agent(&agent("ana")).unwrap().intent,
        Intent::NotReady {
            reason: "lunch".into()
        }
    );
}
