//! What an agent's work takes, how old work is, and who is passed over, from one entry to the next.
//! Promise: judged by the events and what was remembered before them.
//! Not here: units in all against the capacity (`watch`).

use std::collections::BTreeMap;

use super::{Rule, Violation};
use crate::cell::conversation::{Conversation, PASSED_OVER_MAX, Phase};
use crate::cell::event::{Event, OfferMade};
use crate::cell::state::State;
use crate::ids::{AgentId, CellTime, ChannelId, ConversationId, LogIndex};

/// Units are what the channel costs when they are taken, and stay until the agent is done.
pub(super) fn check_units(
    state: &State,
    id: ConversationId,
    before: Option<&(AgentId, ChannelId, u32)>,
    phase: &Phase,
) -> Result<(), Violation> {
    let (Some((agent, units)), Some(found)) = (phase.taken(), state.conversation(id)) else {
        return Ok(());
    };
    let kept = before.filter(|(holder, _, _)| holder == agent);
    let due = kept.map_or_else(
        || state.channel(&found.channel).cost,
        |(_, _, units)| *units,
    );
    if units == due {
        return Ok(());
    }
    let what = format!("{id} takes {units} units of {agent} and not {due}");
    Err(broken(Rule::CapacityHolds, what))
}

/// Work that was in a line or with an agent never gets younger.
pub(super) fn check_age(was: CellTime, is: &Conversation) -> Result<(), Violation> {
    if is.aged_from <= was {
        return Ok(());
    }
    let what = format!(
        "{} waits since {} and not since {}",
        is.id, is.aged_from.0, was.0
    );
    Err(broken(Rule::PlacesStay, what))
}

/// Who has declined what, and until when that holds.
#[derive(Default)]
pub(super) struct Passes {
    until: BTreeMap<LogIndex, BTreeMap<AgentId, CellTime>>,
}

impl Passes {
    /// Follows one event.
    pub(super) fn follow(&mut self, event: &Event) {
        match event {
            Event::PassedOver {
                conversation,
                passed,
                ..
            } => {
                let of_this = self.until.entry(conversation.index).or_default();
                of_this.insert(passed.agent.clone(), passed.until);
            }
            Event::PassesLapsed { conversation, upto } => {
                if let Some(of_this) = self.until.get_mut(&conversation.index) {
                    of_this.retain(|_, until| *until > *upto);
                }
            }
            Event::QueueEntered { conversation, .. } | Event::Ended { conversation, .. } => {
                self.until.remove(&conversation.index);
            }
            _ => {}
        }
    }

    /// Whoever has declined is not asked again before the time is over, unless by name.
    pub(super) fn check(&self, made: &OfferMade) -> Result<(), Violation> {
        let of_this = self.until.get(&made.conversation.index);
        // Of very many the machine forgets the first.
        let of_this = of_this.filter(|passes| passes.len() < PASSED_OVER_MAX);
        if made.receipt.found.is_by_name()
            || of_this.is_none_or(|passes| !passes.contains_key(&made.agent))
        {
            return Ok(());
        }
        let what = format!("{} was offered again to {}", made.conversation, made.agent);
        Err(broken(Rule::PassesHold, what))
    }
}

/// An offer that was made then for so long lapses now: not before it has had its period since a leader's start gave
/// it the full one again.
pub(super) fn check_period(
    full_since: CellTime,
    now: CellTime,
    id: ConversationId,
    (made_at, period_ms): (CellTime, u64),
) -> Result<(), Violation> {
    let begins = made_at.max(full_since);
    if now >= begins.plus_ms(period_ms) {
        return Ok(());
    }
    let what = format!("an offer of {id} lapsed before its period after a leader's start");
    Err(broken(Rule::DeadlinesFireOnce, what))
}

pub(super) fn broken(rule: Rule, what: String) -> Violation {
    Violation::Broken { rule, what }
}
