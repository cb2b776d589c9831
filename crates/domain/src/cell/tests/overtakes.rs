//! Overtakes: who may be offered work before whom, judged over all lines of a cell.
//! Promise: an older conversation counts wherever the agent who got the offer was eligible and
//! offerable for it at that very moment, whatever line it stood in.
//! Not here: the search (`matching`).

use std::collections::BTreeMap;

use crate::cell::conversation::{Conversation, Held, Phase};
use crate::cell::event::{Event, OfferMade};
use crate::cell::invariants::plain::{self, Work};
use crate::cell::{Applied, State};
use crate::ids::{AgentId, ConversationId};

/// One offer of an entry, made by a line and not by name.
struct Made<'e> {
    offer: &'e OfferMade,
    /// Its place among the entry's events.
    at: usize,
}

/// The offers of the entry in the order in which they were made.
fn offers(done: &Applied) -> Vec<Made<'_>> {
    let events = done.events.iter().enumerate();
    let made = events.filter_map(|(at, event)| match event {
        Event::OfferMade(offer) if !offer.receipt.found.is_by_name() => Some(Made { offer, at }),
        _ => None,
    });
    made.collect()
}

/// Where a conversation stood before the event at this place.
fn phase_before(before: &State, done: &Applied, at: usize, id: ConversationId) -> Option<Phase> {
    let last = done.events[..at]
        .iter()
        .rev()
        .find_map(|event| match event {
            Event::PhaseChanged {
                conversation,
                phase,
                ..
            } if *conversation == id => Some(phase.clone()),
            Event::Opened { conversation } if conversation.id == id => {
                Some(conversation.phase.clone())
            }
            _ => None,
        });
    last.or_else(|| before.conversation(id).map(|found| found.phase.clone()))
}

/// What the agent held when the offer was made: all that is held after the entry, without this offer
/// and those after it. Matching ends an entry and only takes units.
fn work_before(after: &BTreeMap<AgentId, Work>, offers: &[Made<'_>], nth: usize) -> Work {
    let agent = &offers[nth].offer.agent;
    let mut work = after.get(agent).cloned().unwrap_or_default();
    let later = offers[nth..]
        .iter()
        .filter(|made| made.offer.agent == *agent);
    work.truncate(work.len().saturating_sub(later.count()));
    work
}

/// No conversation that waited was passed by a lesser one, where the agent could have had it.
pub(super) fn check_overtakes(before: &State, after: &State, done: &Applied) -> usize {
    let offers = offers(done);
    let mut work = plain::work(after);
    // Offers of this entry last, so that taking the last ones away leaves what was there before.
    for (name, held) in &mut work {
        let mut all = Work::new();
        let fresh: Vec<_> = offers
            .iter()
            .filter(|made| made.offer.agent == *name)
            .filter_map(|made| after.conversation(made.offer.conversation))
            .filter_map(|found| Some((found.channel.clone(), found.phase.taken()?.1)))
            .collect();
        for row in held.iter() {
            all.push(row.clone());
        }
        for row in &fresh {
            let at = all
                .iter()
                .position(|found| found == row)
                .expect("it is held");
            all.remove(at);
        }
        all.extend(fresh);
        *held = all;
    }
    let mut compared = 0;
    for nth in 0..offers.len() {
        let held = work_before(&work, &offers, nth);
        compared += check_offer((before, after), done, &offers[nth], &held);
    }
    compared
}

/// One offer against every conversation that waited; how many of another line were compared.
fn check_offer(
    (before, after): (&State, &State),
    done: &Applied,
    made: &Made<'_>,
    held: &Work,
) -> usize {
    let Some(winner) = after.conversation(made.offer.conversation) else {
        return 0;
    };
    let agent = &after.agents[&made.offer.agent];
    let mut others = 0;
    for other in after.conversations().filter(|other| other.id != winner.id) {
        let offerable = other.quarantined.is_none()
            && phase_before(before, done, made.at, other.id).is_some_and(
                |phase| matches!(phase, Phase::Queued(waiting) if waiting.held == Held::No),
            )
            && !paused(after, other)
            && !other
                .passed_over
                .iter()
                .any(|passed| passed.agent == agent.name);
        let rules = plain::rules(after, other.classed_by, other);
        let eligible = rules.is_some_and(|rules| plain::may_serve(agent, &rules.requires));
        if !offerable || !eligible || !plain::is_free(after, agent, held, &other.channel) {
            continue;
        }
        let same = other.queue == winner.queue && other.channel == winner.channel;
        others += usize::from(!same);
        check_pair(winner, other);
    }
    others
}

/// Whether the queue serves nothing, by the plan in force or by the one whose line it still stands in.
fn paused(state: &State, conversation: &Conversation) -> bool {
    [state.meta.plan, conversation.classed_by]
        .into_iter()
        .any(|version| plain::is_paused(state, version, conversation))
        || plain::is_stopped(state, conversation)
        || plain::stands_aside(state, conversation)
}

fn check_pair(winner: &Conversation, other: &Conversation) {
    assert!(
        winner.urgency <= other.urgency,
        "{} waits beside {}, a lesser one",
        other.id,
        winner.id
    );
    let older_ms = winner.aged_from.since_ms(other.aged_from);
    if winner.urgency == other.urgency && older_ms > 0 {
        let boost_ms = winner.boost_ms.saturating_sub(other.boost_ms);
        assert!(
            boost_ms >= older_ms,
            "{} was overtaken by {}, {older_ms} ms younger with {boost_ms} ms more boost",
            other.id,
            winner.id
        );
    }
    assert!(
        plain::place(winner) < plain::place(other),
        "{} was asked before {}, whose place is earlier",
        winner.id,
        other.id
    );
}
