//! A conversation stands in one state and one line, has one offer at most, and is counted once; it is the one open
//! conversation of its customer.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use super::frame::{About, At, Found, Invariant, Whole, broken};
use super::known::Known;
use super::plain;
use crate::cell::classes::ClassKey;
use crate::cell::conversation::Conversation;
use crate::cell::derived::LineKey;
use crate::cell::event::{Event, OfferMade};
use crate::cell::state::State;
use crate::ids::{AgentId, LogIndex, QueueId};
use crate::plan::Strategy;

#[derive(Default)]
pub(super) struct OneState;

impl Invariant for OneState {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        check_counts(whole.state)?;
        check_lines(whole.state)
    }

    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        let (was, is) = (
            before.state.meta.conversations,
            after.state.meta.conversations,
        );
        let lost = before
            .state
            .conversations()
            .filter(|old| after.state.conversation(old.id).is_none());
        // What is new was counted once, what has left was counted off once.
        let left = lost.count() as u64;
        let new = after
            .state
            .conversations()
            .filter(|found| before.state.conversation(found.id).is_none());
        match was + new.count() as u64 == is + left {
            true => Ok(()),
            false => counts_differ(),
        }
    }

    fn event(&mut self, known: &Known, _: &At<'_>, event: &Event) -> Found {
        match event {
            Event::OfferMade(made) => check_offer(known, made),
            _ => Ok(()),
        }
    }
}

/// What is offered is known and has no other offer.
fn check_offer(known: &Known, made: &OfferMade) -> Found {
    let (offer, id) = (made.offer, made.conversation);
    let what = match known.seen(id.index) {
        None => format!("offer {offer} is for {id}, which is unknown"),
        Some(seen) => match seen.offer {
            None => return Ok(()),
            Some((open, _)) => format!("{id} got offer {offer} beside {open}"),
        },
    };
    let about = About::Both(id, made.agent.clone());
    broken(Rule::OneState, about, what)
}

fn counts_differ() -> Found {
    let what = "the counts of conversations differ from the records";
    broken(Rule::OneState, About::Cell, what)
}

fn check_counts(state: &State) -> Found {
    let mut open = BTreeSet::new();
    let (mut all, mut not_over) = (0, 0);
    for conversation in state.conversations() {
        all += 1;
        if conversation.phase.is_over() {
            continue;
        }
        not_over += 1;
        let id = conversation.id;
        let customer = state.customer(&conversation.account, &conversation.customer);
        let named = customer.is_some_and(|record| record.open == Some(id));
        if !named || !open.insert((conversation.account.clone(), conversation.customer.clone())) {
            let what = format!("customer of {id} has another open conversation");
            return broken(Rule::OneState, id, what);
        }
    }
    match state.meta.conversations == all && state.meta.open == not_over {
        true => Ok(()),
        false => counts_differ(),
    }
}

/// The lines as the records make them.
#[derive(Default)]
struct Lines<'s> {
    queues: BTreeMap<&'s QueueId, Vec<LogIndex>>,
    own: BTreeMap<&'s AgentId, Vec<LogIndex>>,
    classes: BTreeMap<ClassKey, Vec<LogIndex>>,
}

impl<'s> Lines<'s> {
    fn of(state: &'s State) -> Self {
        let mut lines = Self::default();
        let all = state.conversations().map(|found| &**found);
        let mut waiting: Vec<&Conversation> = all.filter(|found| plain::waits(found)).collect();
        waiting.sort_by_key(|found| plain::place(found));
        for found in waiting {
            let index = found.id.index;
            lines.queues.entry(&found.queue).or_default().push(index);
            if let Some(agent) = plain::kept_for(found) {
                lines.own.entry(agent).or_default().push(index);
            } else if !plain::is_paused(state, found.classed_by, found)
                && !plain::stands_aside(state, found)
            {
                let class = lines.classes.entry(class_of(state, found));
                class.or_default().push(index);
            }
        }
        lines
    }
}

/// Where each waiting conversation belongs, by its record, against the lines.
fn check_lines(state: &State) -> Found {
    let mut lines = Lines::of(state);
    let line =
        |keys: &BTreeSet<LineKey>| -> Vec<LogIndex> { keys.iter().map(|key| key.index).collect() };
    let differs = |line: String| {
        let what = format!("{line} is not what waits there, in order");
        broken(Rule::OneState, About::Cell, what)
    };
    for (name, index) in &state.derived.queues {
        if line(&index.line) != lines.queues.remove(name).unwrap_or_default() {
            return differs(format!("the line of {name}"));
        }
    }
    for (name, index) in &state.derived.agents {
        if line(&index.own_line) != lines.own.remove(name).unwrap_or_default() {
            return differs(format!("the own line of {name}"));
        }
    }
    for (_, class) in state.derived.classes.iter() {
        if line(&class.line) != lines.classes.remove(&class.key).unwrap_or_default() {
            return differs(format!("the line of {:?}", class.key));
        }
    }
    match lines.queues.is_empty() && lines.own.is_empty() && lines.classes.is_empty() {
        true => Ok(()),
        false => differs("a line that is missing".to_owned()),
    }
}

fn class_of(state: &State, conversation: &Conversation) -> ClassKey {
    let rules = plain::rules(state, conversation.classed_by, conversation);
    ClassKey {
        requires: rules.map_or(Vec::new(), |rules| rules.requires.clone()),
        channel: conversation.channel.clone(),
        strategy: rules.map_or(Strategy::LongestIdle, |rules| rules.strategy),
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::ids::CellTime;

    #[test]
    fn a_second_offer_beside_an_open_one_is_seen() {
        let (floor, _) = asked();
        let offered = floor
            .last
            .iter()
            .find(|event| matches!(event, Event::OfferMade(_)));
        let mut made = Made::of(&floor);
        assert_eq!(made.judged(), Ok(()));
        made.events.extend(offered.cloned());
        let found = made.judged_by(OneState);
        assert_eq!(rule_of(found), Some(Rule::OneState));
    }

    #[test]
    fn an_offer_of_what_is_unknown_is_seen() {
        let (floor, ann) = asked();
        let mut made = Made::of(&floor);
        made.events = floor.last.clone();
        made.events
            .retain(|event| matches!(event, Event::OfferMade(_)));
        made.before.conversations.remove(&ann.index);
        let found = made.judged_by(OneState);
        assert_eq!(rule_of(found), Some(Rule::OneState));
    }

    #[test]
    fn counts_that_differ_from_the_records_are_seen() {
        let (floor, ann, _) = busy();
        let mut state = floor.state().clone();
        assert_eq!(whole(&OneState, &state), Ok(()));
        state.meta.open += 1;
        assert_eq!(rule_of(whole(&OneState, &state)), Some(Rule::OneState));
        let mut state = floor.state().clone();
        state.conversations.remove(&ann.index);
        let found = step(&OneState, floor.state(), &state);
        assert_eq!(rule_of(found), Some(Rule::OneState));
    }

    #[test]
    fn a_customer_with_two_open_conversations_is_seen() {
        let (floor, ann, bob) = busy();
        let mut state = floor.state().clone();
        let customer = record(&mut state, ann).customer.clone();
        record(&mut state, bob).customer = customer;
        assert_eq!(rule_of(whole(&OneState, &state)), Some(Rule::OneState));
    }

    #[test]
    fn a_line_that_is_not_what_waits_there_is_seen() {
        let (mut floor, _, bob) = busy();
        floor.open("cem");
        let mut state = floor.state().clone();
        record(&mut state, bob).aged_from = CellTime(u64::MAX / 4);
        let found = whole(&OneState, &state);
        assert_eq!(rule_of(found), Some(Rule::OneState), "another order");
        let mut state = floor.state().clone();
        record(&mut state, bob).quarantined = Some(LogIndex(1));
        let found = whole(&OneState, &state);
        assert_eq!(
            rule_of(found),
            Some(Rule::OneState),
            "one that does not wait"
        );
    }
}
