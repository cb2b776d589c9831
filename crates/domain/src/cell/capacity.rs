//! Capacity: whole units, taken at the offer and held through wrap-up.
//! Promise: whether an agent may take one more conversation is a comparison of integers.
//! Not here: who among several may (`matching`).

use std::cmp::Ordering;

use mutants::{Mutant, planted};

use super::agent::Agent;
use super::receipts::Exclusion;
use super::state::State;
use crate::ids::{AgentId, CellTime, ChannelId};
use crate::plan::{AgentPlan, ChannelPlan, FloorPlan, Requirement, Strategy};

/// What an agent's conversations take, derived from them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    /// Units in use.
    pub used: u32,
    /// Conversations that take units: offered, active, in wrap-up.
    pub count: u32,
    /// How many of them per channel; no zeros.
    pub channels: Vec<(ChannelId, u32)>,
}

impl Load {
    /// Conversations of one channel.
    pub fn of_channel(&self, channel: &ChannelId) -> u32 {
        self.channels
            .iter()
            .find(|(name, _)| name == channel)
            .map_or(0, |(_, count)| *count)
    }

    pub(crate) fn take(&mut self, channel: &ChannelId, units: u32) {
        self.used = self.used.saturating_add(units);
        self.count += 1;
        match self.channels.iter_mut().find(|(name, _)| name == channel) {
            Some((_, count)) => *count += 1,
            None => {
                self.channels.push((channel.clone(), 1));
                self.channels.sort();
            }
        }
    }

    pub(crate) fn free(&mut self, channel: &ChannelId, units: u32) {
        self.used = self.used.saturating_sub(units);
        self.count = self.count.saturating_sub(1);
        if let Some((_, count)) = self.channels.iter_mut().find(|(name, _)| name == channel) {
            *count = count.saturating_sub(1);
        }
        self.channels.retain(|(_, count)| *count > 0);
    }
}

/// Used / capacity, compared exactly.
#[derive(Debug, Clone, Copy)]
pub struct Ratio {
    /// Units in use.
    pub used: u32,
    /// Units in all; 0 compares as full.
    pub capacity: u32,
}

impl Ratio {
    fn products(self, other: Self) -> (u64, u64) {
        let mine = if self.capacity == 0 {
            (1, 1)
        } else {
            (u64::from(self.used), u64::from(self.capacity))
        };
        let theirs = if other.capacity == 0 {
            (1, 1)
        } else {
            (u64::from(other.used), u64::from(other.capacity))
        };
        (mine.0 * theirs.1, theirs.0 * mine.1)
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, theirs) = self.products(*other);
        mine.cmp(&theirs)
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ratio {}

/// An agent's rank among the free ones: lower is asked first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FreeKey {
    /// The load, where the strategy looks at it; else 0.
    pub load: Ratio,
    /// End of the last handled conversation: longest idle first.
    pub idle_since: CellTime,
    /// The name, so that the order is total.
    pub agent: AgentId,
}

impl FreeKey {
    /// The rank of an agent under a strategy.
    pub fn new(strategy: Strategy, agent: &Agent, load: &Load) -> Self {
        let ratio = match strategy {
            Strategy::LongestIdle => Ratio {
                used: 0,
                capacity: 1,
            },
            Strategy::LeastLoad => Ratio {
                used: load.used,
                capacity: agent.profile.capacity,
            },
        };
        Self {
            load: ratio,
            idle_since: agent.idle_since,
            agent: agent.name.clone(),
        }
    }
}

/// Whether an agent has what is required.
pub fn is_eligible(agent: &Agent, requires: &[Requirement]) -> bool {
    requires.iter().all(|requirement| match requirement {
        Requirement::Skill(skill, level) => agent
            .profile
            .skills
            .get(skill)
            .is_some_and(|have| have >= level),
        Requirement::Language(language, level) => agent
            .profile
            .languages
            .get(language)
            .is_some_and(|have| have >= level),
    })
}

/// Whether an agent with no other work could hold a conversation of a channel: if not, waiting is
/// in vain.
pub(crate) fn can_ever_hold(channel: &ChannelPlan, profile: &AgentPlan, name: &ChannelId) -> bool {
    channel.cost <= profile.capacity && count_max(channel, profile, name) != Some(0)
}

/// The lower of the channel's own limit by count and the agent's.
fn count_max(channel: &ChannelPlan, profile: &AgentPlan, name: &ChannelId) -> Option<u32> {
    match (channel.count_max, profile.count_max.get(name)) {
        (Some(channels), Some(own)) => Some(channels.min(*own)),
        (limit, own) => limit.or(own.copied()),
    }
}

/// Units that one more conversation of a channel takes from this agent, or why there are none.
/// Looks at units alone, not at what the agent chose.
pub(crate) fn units_free(
    state: &State,
    agent: &Agent,
    load: &Load,
    channel: &ChannelId,
) -> Result<u32, Exclusion> {
    let plan = state.channel(channel);
    let count = load.of_channel(channel);
    let count_max = count_max(plan, &agent.profile, channel);
    let fits = load.used.saturating_add(plan.cost) <= agent.profile.capacity
        || planted(Mutant::CapacityIgnored);
    let alone = !plan.exclusive || load.count == 0;
    let excluded = state
        .plan()
        .is_some_and(|floor| holds_exclusive(floor, load));
    if fits && alone && !excluded && count_max.is_none_or(|limit| count < limit) {
        Ok(plan.cost)
    } else {
        Err(Exclusion::AtCapacity)
    }
}

fn holds_exclusive(floor: &FloorPlan, load: &Load) -> bool {
    load.channels.iter().any(|(name, _)| {
        floor
            .channels
            .get(name)
            .is_some_and(|channel| channel.exclusive)
    })
}

/// Whether an agent takes work of a channel at present; the units, or why not.
pub(crate) fn can_take(
    state: &State,
    agent: &Agent,
    load: &Load,
    channel: &ChannelId,
) -> Result<u32, Exclusion> {
    if agent.retired {
        return Err(Exclusion::Retired);
    }
    if !agent.is_reachable() && !planted(Mutant::OfferToLost) {
        return Err(Exclusion::Unreachable);
    }
    if !agent.wants_work() {
        return Err(Exclusion::NotReady);
    }
    if let Some(pause) = agent.pause(channel) {
        if pause.not_responding {
            return Err(Exclusion::NotResponding);
        }
        if pause.until > CellTime(0) {
            return Err(Exclusion::BackOff);
        }
    }
    units_free(state, agent, load, channel)
}
