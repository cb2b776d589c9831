//! What is derived is what the records make it: plans, indexes, loads, free agents.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use super::frame::{About, Found, Invariant, Whole, broken};
use super::plain::{self, Work};
use crate::cell::capacity::FreeKey;
use crate::cell::classes::{Class, ClassKey};
use crate::cell::conversation::Phase;
use crate::cell::derived::{Gauges, LineKey};
use crate::cell::state::{PLANS_MAX, State};
use crate::ids::{AgentId, CellTime, LogIndex, QueueId, SiteId};

#[derive(Default)]
pub(super) struct IndexesFollow;

impl Invariant for IndexesFollow {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        check_plans(whole.state)?;
        check_indexes(whole.state)?;
        check_loads(whole)?;
        check_free(whole)
    }
}

fn fails(about: impl Into<About>, what: impl Into<String>) -> Found {
    broken(Rule::IndexesFollow, about, what)
}

fn check_plans(state: &State) -> Found {
    let mut live = state
        .conversations()
        .filter(|found| !matches!(found.phase, Phase::Closed(_)));
    let readable =
        live.all(|found| state.plan_at(found.pinned).is_some() && state.rules(found).is_some());
    match readable && (state.plans.len() <= PLANS_MAX || state.meta.more_due) {
        true => Ok(()),
        false => fails(About::Cell, "plans are missing or too many"),
    }
}

/// What each agent is said to hold against what the conversations take.
fn check_loads(whole: &Whole<'_>) -> Found {
    let (none, derived) = (Work::new(), &whole.state.derived.agents);
    for name in derived.keys().chain(whole.work.keys()) {
        let taken = whole.work.get(name).unwrap_or(&none);
        let load = derived.get(name).map(|index| &index.load);
        let adds_up = load.is_some_and(|load| {
            let channels = taken.iter().all(|(channel, _)| {
                let of_channel = taken.iter().filter(|(name, _)| name == channel).count();
                load.channels
                    .iter()
                    .any(|(name, count)| name == channel && *count as usize == of_channel)
            });
            let counted: u32 = load.channels.iter().map(|(_, count)| count).sum();
            u64::from(load.used) == plain::units(taken)
                && load.count as usize == taken.len()
                && counted == load.count
                && channels
        });
        if !adds_up {
            let what = format!("the load of {name} is not what the conversations take");
            return fails(name, what);
        }
    }
    Ok(())
}

/// For every kind of work that waits, who is free for it and who is not, in the order of asking.
fn check_free(whole: &Whole<'_>) -> Found {
    for (_, class) in whole.state.derived.classes.iter() {
        if !class.line.is_empty() && !is_free_as_said(whole, class) {
            let what = format!(
                "the free agents for {:?} are not those who are free, in order",
                class.key
            );
            return fails(About::Cell, what);
        }
    }
    Ok(())
}

fn is_free_as_said(whole: &Whole<'_>, class: &Class) -> bool {
    let (none, state) = (Work::new(), whole.state);
    let held = |name: &AgentId| whole.work.get(name).unwrap_or(&none);
    let serving = state
        .agents
        .values()
        .filter(|agent| agent.session.is_some() && plain::may_serve(agent, &class.key.requires));
    let (mut free, busy): (Vec<_>, Vec<_>) = serving
        .partition(|agent| plain::is_free(state, agent, held(&agent.name), &class.key.channel));
    free.sort_by(|one, other| {
        let (of_one, of_other) = (held(&one.name), held(&other.name));
        plain::order(class.key.strategy, (one, of_one), (other, of_other))
    });
    let said = class.free.iter().map(|key| &key.agent);
    said.eq(free.iter().map(|agent| &agent.name))
        && class.busy.iter().eq(busy.iter().map(|agent| &agent.name))
}

type Lines = BTreeMap<ClassKey, BTreeSet<LineKey>>;
type FreeSets = BTreeMap<ClassKey, (BTreeSet<FreeKey>, BTreeSet<AgentId>)>;

fn check_indexes(state: &State) -> Found {
    let mut fresh = state.clone();
    fresh.rebuild();
    let differs = |index| {
        let what = format!("the index `{index}` differs from the records");
        fails(About::Cell, what)
    };
    if let Some(index) = other_index(state, &fresh) {
        return differs(index);
    }
    let (lines, free) = classes(state);
    let (want_lines, want_free) = classes(&fresh);
    if lines != want_lines {
        return differs("lines");
    }
    let known = |key: &ClassKey| want_lines.contains_key(key);
    let only =
        |sets: FreeSets| -> FreeSets { sets.into_iter().filter(|(key, _)| known(key)).collect() };
    match only(free) == only(want_free) {
        true => Ok(()),
        false => differs("free agents"),
    }
}

/// The first index beside the classes that is another than one made anew.
fn other_index(state: &State, fresh: &State) -> Option<&'static str> {
    let (have, want) = (&state.derived, &fresh.derived);
    if have.deadlines != want.deadlines || have.agent_deadlines != want.agent_deadlines {
        return Some("deadlines");
    }
    if have.offers != want.offers {
        return Some("offers");
    }
    if have.ended != want.ended {
        return Some("ended");
    }
    if gauges(state) != gauges(fresh) || queue_lines(state) != queue_lines(fresh) {
        return Some("queues");
    }
    if have.classed != want.classed || have.pinned != want.pinned {
        return Some("plans");
    }
    let other = want.agents.iter().any(|(name, index)| {
        have.agents.get(name).is_none_or(|other| {
            other.load != index.load
                || other.conversations != index.conversations
                || other.own_line != index.own_line
        })
    });
    other.then_some("agents")
}

fn gauges(state: &State) -> BTreeMap<(QueueId, SiteId), Gauges> {
    let queues = state.derived.queues.iter();
    let all = queues.flat_map(|(queue, index)| {
        index
            .gauges
            .iter()
            .map(move |(site, found)| ((queue.clone(), site.clone()), *found))
    });
    all.filter(|(_, found)| *found != Gauges::default())
        .collect()
}

type QueueLine = (BTreeSet<LineKey>, BTreeSet<(CellTime, LogIndex)>);

fn queue_lines(state: &State) -> BTreeMap<QueueId, QueueLine> {
    let queues = state
        .derived
        .queues
        .iter()
        .filter(|(_, index)| !index.line.is_empty());
    queues
        .map(|(queue, index)| (queue.clone(), (index.line.clone(), index.entered.clone())))
        .collect()
}

/// Classes that hold work, with their lines and free agents.
fn classes(state: &State) -> (Lines, FreeSets) {
    let busy = state
        .derived
        .classes
        .iter()
        .filter(|(_, class)| !class.line.is_empty());
    let mut lines = Lines::new();
    let mut free = FreeSets::new();
    for (_, class) in busy {
        lines.insert(class.key.clone(), class.line.clone());
        free.insert(class.key.clone(), (class.free.clone(), class.busy.clone()));
    }
    (lines, free)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::tests::support::agent;
    use crate::ids::PlanVersion;

    fn broken_by(change: impl FnOnce(&mut State)) -> Option<Rule> {
        let (floor, ..) = busy();
        let mut state = floor.state().clone();
        assert_eq!(whole(&IndexesFollow, &state), Ok(()));
        change(&mut state);
        rule_of(whole(&IndexesFollow, &state))
    }

    #[test]
    fn an_index_that_the_records_do_not_make_is_seen() {
        let found = broken_by(|state| state.derived.deadlines.clear());
        assert_eq!(found, Some(Rule::IndexesFollow));
        let found = broken_by(|state| drop(state.derived.agents.remove(&agent("ana"))));
        assert_eq!(found, Some(Rule::IndexesFollow));
        let found = broken_by(|state| state.derived.queues.clear());
        assert_eq!(found, Some(Rule::IndexesFollow));
    }

    #[test]
    fn a_load_that_is_counted_wrong_is_seen() {
        let found = broken_by(|state| {
            let index = state.derived.agents.get_mut(&agent("ana")).unwrap();
            index.load.used += 1;
        });
        assert_eq!(found, Some(Rule::IndexesFollow));
    }

    #[test]
    fn a_plan_that_is_named_and_missing_is_seen() {
        let found = broken_by(|state| drop(state.plans.remove(&PlanVersion(1))));
        assert_eq!(found, Some(Rule::IndexesFollow));
    }

    #[test]
    fn an_agent_who_is_said_to_be_free_and_is_not_is_seen() {
        let (floor, ..) = busy();
        let mut state = floor.state().clone();
        person(&mut state, "ana").idle_since = CellTime(0);
        person(&mut state, "ana").session = None;
        let found = rule_of(whole(&IndexesFollow, &state));
        assert_eq!(found, Some(Rule::IndexesFollow));
    }
}
