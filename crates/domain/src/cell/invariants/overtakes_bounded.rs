//! A younger conversation is served first only by as much as its boost is larger.

use super::Rule;
use super::frame::{About, At, Found, Invariant, broken};
use super::known::Known;
use super::plain::{self, Work};
use crate::cell::conversation::Conversation;
use crate::cell::event::Event;
use crate::cell::receipts::Found as HowFound;
use crate::cell::state::State;
use crate::ids::AgentId;

#[derive(Default)]
pub(super) struct OvertakesBounded;

impl Invariant for OvertakesBounded {
    fn event(&mut self, known: &Known, at: &At<'_>, event: &Event) -> Found {
        let Event::OfferMade(made) = event else {
            return Ok(());
        };
        if made.receipt.found == HowFound::Named {
            return Ok(());
        }
        let held = known.held(&made.agent);
        match at.state.conversation(made.conversation) {
            Some(winner) => check(known, at.state, (winner, &made.agent), &held),
            None => Ok(()),
        }
    }
}

/// No conversation with an earlier place waits that this agent could have had.
fn check(
    known: &Known,
    state: &State,
    (winner, name): (&Conversation, &AgentId),
    held: &Work,
) -> Found {
    let Some(agent) = state.agents.get(name) else {
        return Ok(());
    };
    let won = plain::place(winner);
    for (_, _, index) in known.line.range(..won) {
        let Some(other) = state.conversations.get(index) else {
            continue;
        };
        let asked = other.id != winner.id
            && !other.passed_over.iter().any(|passed| passed.agent == *name)
            && !is_paused(state, other);
        let rules = plain::rules(state, other.classed_by, other);
        let eligible = rules.is_some_and(|rules| plain::may_serve(agent, &rules.requires));
        if asked && eligible && plain::is_free(state, agent, held, &other.channel) {
            let what = format!(
                "{} was offered to {name} before {}, whose place is earlier",
                winner.id, other.id
            );
            let about = About::Both(winner.id, name.clone());
            return broken(Rule::OvertakesBounded, about, what);
        }
    }
    Ok(())
}

/// Whether the queue serves nothing, by the plan in force or by the one whose line it still stands in.
fn is_paused(state: &State, found: &Conversation) -> bool {
    plain::is_stopped(state, found)
        || [state.meta.plan, found.classed_by]
            .into_iter()
            .any(|version| plain::is_paused(state, version, found))
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::tests::support::Floor;
    use crate::ids::ConversationId;

    #[test]
    fn an_overtake_beyond_the_boost_is_seen() {
        let mut floor = Floor::new();
        let ann = floor.open("ann");
        floor.at += 1_000;
        let bob = floor.open("bob");
        let before = floor.state().clone();
        floor.log_in("ana");
        // Ana was asked for both, ann first: the other way round is an overtake.
        let mut events = floor.last.clone();
        let made_at = |events: &[Event], id: ConversationId| {
            let made = events.iter().position(
                |event| matches!(event, Event::OfferMade(made) if made.conversation == id),
            );
            made.expect("ana is asked")
        };
        let (first, second) = (made_at(&events, ann), made_at(&events, bob));
        assert!(first < second);
        let mut made = Made::of(&floor);
        made.before = before;
        made.events.clone_from(&events);
        assert_eq!(made.judged(), Ok(()));
        let tail = events.split_off(first);
        let (one, other) = tail.split_at(second - first);
        made.events = [&events[..], other, one].concat();
        assert_eq!(made.breaks(), Rule::OvertakesBounded);
    }
}
