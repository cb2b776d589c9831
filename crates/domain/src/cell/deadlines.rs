//! Deadlines: one for each conversation and agent that has a timer, in one index.
//! Promise: what is due first is a function of the state; an indexed time is never too late.
//! Not here: what a fired deadline does (`decide::due`).

use super::agent::Agent;
use super::command::LeaseState;
use super::conversation::{Active, Conversation, Held, Phase};
use super::meta::LeaderRecord;
use super::requests::REQUEST_KEPT_MS;
use super::state::State;
use crate::ids::CellTime;
use crate::plan::{QueuePlan, WrapUpMode};

/// Deadlines that one `Tick` fires at most.
pub const TICK_MAX: usize = 256;

/// What can be due in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The offer lapses.
    OfferLapses,
    /// The first reply is late: back to its place.
    FirstReplyReclaim,
    /// The owner has been out of reach for too long.
    OwnerLost,
    /// The first reply is due soon.
    FirstReplyWarn,
    /// The customer has been silent for too long: on hold.
    SilenceHold,
    /// The customer has been silent for a while.
    SilenceWarn,
    /// The waiting customer has left.
    CustomerGone,
    /// Nobody else needs to wait for the preferred agent any more.
    PreferenceEnds,
    /// A pause after a decline ends.
    PassEnds,
    /// On hold for too long.
    HoldOver,
    /// After-contact work ends by itself.
    WrapUpOver,
    /// What has ended is sealed for the archive: answers given before need not be remembered any longer.
    Seals,
}

/// The first timer of a conversation, with when it is due.
pub(crate) fn first_due(state: &State, conversation: &Conversation) -> Option<(CellTime, Timer)> {
    // What broke once has no deadline: it is sealed when many have ended after it.
    if conversation.quarantined.is_some() {
        return None;
    }
    if let Phase::Closed(closed) = &conversation.phase {
        let rests = closed.sealed.is_none();
        return rests.then(|| (sealed_at(state, conversation, closed.at), Timer::Seals));
    }
    let rules = state.rules(conversation)?;
    let mut first = Earliest(None);
    match &conversation.phase {
        Phase::Bot | Phase::Closed(_) => {}
        Phase::Queued(waiting) => {
            if let Held::For { since, ms } = waiting.held {
                first.add(state.meta.leader.renewed(since, ms), Timer::PreferenceEnds);
            }
            for passed in &conversation.passed_over {
                first.add(passed.until, Timer::PassEnds);
            }
        }
        Phase::Offered(offer) => {
            first.add(
                state.meta.leader.renewed(offer.made_at, offer.period_ms),
                Timer::OfferLapses,
            );
        }
        Phase::Active(_) => add_active(state, conversation, rules, &mut first),
        Phase::OnHold(hold) => {
            first.add(
                hold.since.plus_ms(rules.timers.hold_close_ms),
                Timer::HoldOver,
            );
        }
        Phase::WrapUp(wrap_up) => {
            if wrap_up.mode != WrapUpMode::Mandatory {
                first.add(wrap_up.since.plus_ms(wrap_up.limit_ms), Timer::WrapUpOver);
            }
        }
    }
    add_gone(state, conversation, &mut first);
    first.0
}

/// When nobody may rate an ended conversation any more, nor ask for an answer that was given in it or to
/// the opens of its customer, who has no later conversation.
fn sealed_at(state: &State, conversation: &Conversation, ended_at: CellTime) -> CellTime {
    let customer = state.customer(&conversation.account, &conversation.customer);
    let of_opens = customer
        .filter(|customer| customer.last == Some(conversation.id))
        .map_or(&[][..], |customer| &customer.requests);
    let rows = conversation.requests.iter().chain(of_opens);
    let youngest = rows.map(|row| row.at).max();
    ended_at
        .max(youngest.unwrap_or(ended_at))
        .plus_ms(REQUEST_KEPT_MS)
}

/// The earliest of several timers; at the same time the order of `Timer` decides.
struct Earliest(Option<(CellTime, Timer)>);

impl Earliest {
    fn add(&mut self, at: CellTime, timer: Timer) {
        let found = (at, timer);
        self.0 = Some(self.0.map_or(found, |have| have.min(found)));
    }
}

fn add_active(state: &State, conversation: &Conversation, rules: &QueuePlan, first: &mut Earliest) {
    let Phase::Active(active) = &conversation.phase else {
        return;
    };
    let leader = &state.meta.leader;
    let timers = &rules.timers;
    if !active.replied {
        first.add(
            first_reply_due(leader, active, timers.first_reply_reclaim_ms),
            Timer::FirstReplyReclaim,
        );
        if !active.first_reply_warned {
            first.add(
                first_reply_due(leader, active, timers.first_reply_warn_ms),
                Timer::FirstReplyWarn,
            );
        }
    }
    if let Some(since) = active.awaiting_customer {
        first.add(
            leader.renewed(since, timers.silent_hold_ms),
            Timer::SilenceHold,
        );
        if !active.silence_warned {
            first.add(
                leader.renewed(since, timers.silent_warn_ms),
                Timer::SilenceWarn,
            );
        }
    }
    if active.lost_handled {
        return;
    }
    if let Some(agent) = state.agents.get(&active.agent)
        && agent.lease == LeaseState::Lost
    {
        first.add(
            leader.renewed(agent.silent_since, timers.agent_lost_ms),
            Timer::OwnerLost,
        );
    }
}

/// When a first reply that may take this long is due.
fn first_reply_due(leader: &LeaderRecord, active: &Active, period_ms: u64) -> CellTime {
    let left_ms = period_ms.saturating_sub(first_reply_carried_ms(leader, active));
    leader.renewed(active.since, left_ms)
}

/// For how long the first reply has been due, holds left out.
pub(crate) fn first_reply_spent_ms(leader: &LeaderRecord, active: &Active, now: CellTime) -> u64 {
    let since_ms = leader.elapsed_ms(active.since, now);
    first_reply_carried_ms(leader, active).saturating_add(since_ms)
}

/// What counts of the time before the last hold: nothing, where a leader has given every period again.
fn first_reply_carried_ms(leader: &LeaderRecord, active: &Active) -> u64 {
    if leader.full_since > active.since {
        0
    } else {
        active.first_reply_spent_ms
    }
}

fn add_gone(state: &State, conversation: &Conversation, first: &mut Earliest) {
    let waits = matches!(
        conversation.phase,
        Phase::Bot | Phase::Queued(_) | Phase::Offered(_)
    );
    if !waits {
        return;
    }
    let plan = state
        .plan_at(conversation.pinned)
        .and_then(|plan| plan.channels.get(&conversation.channel));
    let channel = plan.unwrap_or_else(|| state.channel(&conversation.channel));
    let (gone_at, period_ms) = match conversation.gone {
        Some(gone) if gone.our_fault => (gone.at, channel.gone_our_fault_ms),
        Some(gone) => (gone.at, channel.gone_ms),
        None if conversation.attached_once => return,
        // Nobody knows whether this customer is there: the longer time, from the last act.
        None => (conversation.customer_acted_at(), channel.gone_our_fault_ms),
    };
    // While an agent had it nobody waited for this customer: what brought it back ends nothing at once.
    let since = gone_at.max(conversation.returned_at);
    first.add(
        state.meta.leader.renewed(since, period_ms),
        Timer::CustomerGone,
    );
}

/// When an agent's first pause ends.
pub(crate) fn agent_due(agent: &Agent) -> Option<CellTime> {
    agent
        .channels
        .iter()
        .map(|pause| pause.until)
        .filter(|until| *until > CellTime(0))
        .min()
}
