//! The rules of capacity, eligibility and order once more, by the plainest computation there is.
//! Promise: reads stored records alone, each time from the beginning, and calls nothing that the
//! machine decides by: a fault in a shared sum or comparison would hide itself.
//! Not here: what is compared with it (`invariants`, the property test).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::super::agent::Agent;
use super::super::command::{Intent, LeaseState};
use super::super::conversation::{Conversation, Held, Phase};
use super::super::state::State;
use crate::ids::{AgentId, CellTime, ChannelId, LogIndex, PlanVersion};
use crate::plan::{QueuePlan, Requirement, Strategy, Urgency};

/// What an agent's conversations take: the channel and the units of each.
pub(crate) type Work = Vec<(ChannelId, u32)>;

/// The work of every agent who has any: units are taken at the offer, held through wrap-up and
/// freed on hold.
pub(crate) fn work(state: &State) -> BTreeMap<AgentId, Work> {
    let mut all = BTreeMap::<AgentId, Work>::new();
    for conversation in state.conversations() {
        let (agent, units) = match &conversation.phase {
            Phase::Offered(offer) => (&offer.agent, offer.units),
            Phase::Active(active) => (&active.agent, active.units),
            Phase::WrapUp(wrap_up) => (&wrap_up.agent, wrap_up.units),
            Phase::Bot | Phase::Queued(_) | Phase::OnHold(_) | Phase::Closed(_) => continue,
        };
        let of_agent = all.entry(agent.clone()).or_default();
        of_agent.push((conversation.channel.clone(), units));
    }
    all
}

/// Units in use.
pub(crate) fn units(work: &Work) -> u64 {
    work.iter().map(|(_, units)| u64::from(*units)).sum()
}

/// Whether an agent has every skill and language that is required, at the level or above.
pub(crate) fn may_serve(agent: &Agent, requires: &[Requirement]) -> bool {
    for requirement in requires {
        let (have, need) = match requirement {
            Requirement::Skill(skill, need) => (agent.profile.skills.get(skill), need),
            Requirement::Language(language, need) => (agent.profile.languages.get(language), need),
        };
        match have {
            Some(have) if have.0 >= need.0 => {}
            _ => return false,
        }
    }
    true
}

/// Free = ready, lease alive, units free, not in back-off. Whether the agent was passed over for one
/// conversation is not asked here.
pub(crate) fn is_free(state: &State, agent: &Agent, work: &Work, channel: &ChannelId) -> bool {
    let there = agent.session.is_some() && agent.lease == LeaseState::Alive && !agent.retired;
    let leaves_next = matches!(agent.next, Some(Intent::NotReady { .. }));
    let ready = agent.intent == Intent::Ready && !leaves_next;
    // A pause lasts until a tick has ended it.
    let pauses = agent
        .channels
        .iter()
        .any(|pause| pause.channel == *channel && (pause.not_responding || pause.until.0 != 0));
    there && ready && !pauses && has_room(state, agent, work, channel)
}

/// Whether one more conversation of a channel fits beside an agent's work.
fn has_room(state: &State, agent: &Agent, work: &Work, channel: &ChannelId) -> bool {
    let plan = state.channel(channel);
    let exclusive = |name: &ChannelId| {
        let known = state.plan().and_then(|floor| floor.channels.get(name));
        known.is_some_and(|channel| channel.exclusive)
    };
    let alone = if plan.exclusive {
        work.is_empty()
    } else {
        !work.iter().any(|(name, _)| exclusive(name))
    };
    let of_channel = work.iter().filter(|(name, _)| name == channel).count() as u64;
    let limits = [
        plan.count_max,
        agent.profile.count_max.get(channel).copied(),
    ];
    let within = limits
        .into_iter()
        .flatten()
        .all(|limit| of_channel < u64::from(limit));
    let fits = units(work) + u64::from(plan.cost) <= u64::from(agent.profile.capacity);
    fits && within && alone
}

/// A queue's rules in a plan, or the last ones of a queue that the plan lacks.
pub(crate) fn rules<'s>(
    state: &'s State,
    version: PlanVersion,
    conversation: &Conversation,
) -> Option<&'s QueuePlan> {
    let known = state.plan_at(version);
    let known = known.and_then(|plan| plan.queues.get(&conversation.queue));
    let last = state.queues.get(&conversation.queue);
    known.or(last.map(|record| &*record.plan))
}

/// Whether a plan says that the conversation's queue serves nothing.
pub(crate) fn is_paused(state: &State, version: PlanVersion, conversation: &Conversation) -> bool {
    let plan = state.plan_at(version);
    let queue = plan.and_then(|plan| plan.queues.get(&conversation.queue));
    queue.is_some_and(|queue| queue.paused)
}

/// Whether a supervisor has paused the conversation's queue.
pub(crate) fn is_stopped(state: &State, conversation: &Conversation) -> bool {
    let queue = state.queues.get(&conversation.queue);
    let steered = queue.and_then(|queue| queue.steered.as_ref());
    steered.is_some_and(|steered| steered.paused)
}

/// Whether it stands aside from the lines in which agents are found, as its queue's record has it.
pub(crate) fn stands_aside(state: &State, conversation: &Conversation) -> bool {
    let queue = state.queues.get(&conversation.queue);
    queue
        .and_then(|queue| queue.aside_from)
        .is_some_and(|from| {
            let from = (urgency(from.urgency), i128::from(from.rank), from.index);
            place(conversation) >= from
        })
}

/// The place in a line: class of urgency, age with boost, log index.
pub(crate) fn place(conversation: &Conversation) -> (u8, i128, LogIndex) {
    let aged_from = i128::from(conversation.aged_from.0);
    let boost_ms = i128::from(conversation.boost_ms);
    let rank = aged_from - boost_ms;
    (urgency(conversation.urgency), rank, conversation.id.index)
}

fn urgency(urgency: Urgency) -> u8 {
    match urgency {
        Urgency::Emergency => 0,
        Urgency::Normal => 1,
        Urgency::Background => 2,
    }
}

/// The agent for whom alone a waiting conversation is kept.
pub(crate) fn kept_for(conversation: &Conversation) -> Option<&AgentId> {
    match &conversation.phase {
        Phase::Queued(waiting) if waiting.held != Held::No => waiting.prefer.as_ref(),
        _ => None,
    }
}

/// Whether it stands in a line and was not set aside.
pub(crate) fn waits(conversation: &Conversation) -> bool {
    matches!(conversation.phase, Phase::Queued(_)) && conversation.quarantined.is_none()
}

/// Who of two free agents is asked first.
pub(crate) fn order(
    strategy: Strategy,
    (one, of_one): (&Agent, &Work),
    (other, of_other): (&Agent, &Work),
) -> Ordering {
    // An agent without capacity counts as full.
    let share = |agent: &Agent, work: &Work| match agent.profile.capacity {
        0 => (1, 1),
        capacity => (u128::from(units(work)), u128::from(capacity)),
    };
    let idle = |agent: &Agent| -> (CellTime, AgentId) { (agent.idle_since, agent.name.clone()) };
    let by_load = match strategy {
        Strategy::LongestIdle => Ordering::Equal,
        Strategy::LeastLoad => {
            let (used, all) = share(one, of_one);
            let (other_used, other_all) = share(other, of_other);
            (used * other_all).cmp(&(other_used * all))
        }
    };
    by_load.then_with(|| idle(one).cmp(&idle(other)))
}
