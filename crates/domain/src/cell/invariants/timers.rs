//! Every timer that a conversation has set, by its record.
//! Promise: each of them, not only the first; computed beside the machine's own index and never from it.
//! Not here: what must become of them (`deadlines_fire_once`).

use super::leaders::Leaders;
use super::plain;
use crate::cell::command::LeaseState;
use crate::cell::conversation::{Active, Conversation, Held, Phase};
use crate::cell::deadlines::Timer;
use crate::cell::requests::REQUEST_KEPT_MS;
use crate::cell::state::State;
use crate::ids::CellTime;
use crate::plan::{Timers, WrapUpMode};

/// A timer that is set: which, since when, and when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Armed {
    pub(super) timer: Timer,
    pub(super) since: CellTime,
    pub(super) due: CellTime,
}

impl Armed {
    /// Whether both are the same timer, set at the same moment.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.timer == other.timer && self.since == other.since
    }
}

/// The timers of one conversation, being collected.
struct Collected<'l> {
    leaders: &'l Leaders,
    all: Vec<Armed>,
}

impl Collected<'_> {
    /// One that leaders' starts renew.
    fn renewed(&mut self, timer: Timer, since: CellTime, period_ms: u64) {
        let due = self.leaders.due(since, period_ms);
        self.all.push(Armed { timer, since, due });
    }

    fn fixed(&mut self, timer: Timer, since: CellTime, period_ms: u64) {
        let due = since.plus_ms(period_ms);
        self.all.push(Armed { timer, since, due });
    }
}

/// All timers that a conversation has set.
pub(super) fn armed(state: &State, leaders: &Leaders, found: &Conversation) -> Vec<Armed> {
    let all = Vec::new();
    let mut timers = Collected { leaders, all };
    if found.quarantined.is_some() {
        return timers.all;
    }
    if let Phase::Closed(closed) = &found.phase {
        if closed.sealed.is_none() {
            let since = closed.at.max(last_answer(state, found));
            timers.fixed(Timer::Seals, since, REQUEST_KEPT_MS);
        }
        return timers.all;
    }
    let Some(rules) = plain::rules(state, found.pinned, found) else {
        return timers.all;
    };
    match &found.phase {
        Phase::Bot | Phase::Closed(_) => {}
        Phase::Queued(waiting) => {
            if let Held::For { since, ms } = waiting.held {
                timers.renewed(Timer::PreferenceEnds, since, ms);
            }
            let passes = found.passed_over.iter();
            passes.for_each(|passed| timers.fixed(Timer::PassEnds, passed.until, 0));
        }
        Phase::Offered(offer) => {
            timers.renewed(Timer::OfferLapses, offer.made_at, offer.period_ms);
        }
        Phase::Active(active) => of_active(state, &rules.timers, active, &mut timers),
        Phase::OnHold(hold) => {
            timers.fixed(Timer::HoldOver, hold.since, rules.timers.hold_close_ms);
        }
        Phase::WrapUp(wrap_up) if wrap_up.mode != WrapUpMode::Mandatory => {
            timers.fixed(Timer::WrapUpOver, wrap_up.since, wrap_up.limit_ms);
        }
        Phase::WrapUp(_) => {}
    }
    if let Some((since, period_ms)) = gone(state, found) {
        timers.renewed(Timer::CustomerGone, since, period_ms);
    }
    timers.all
}

/// When the last answer was given that a copy of the same request may ask for again.
fn last_answer(state: &State, found: &Conversation) -> CellTime {
    let customer = state.customer(&found.account, &found.customer);
    let last = customer.filter(|customer| customer.last == Some(found.id));
    let opens = last.map_or(&[][..], |customer| &customer.requests);
    let rows = found.requests.iter().chain(opens);
    rows.map(|row| row.at).max().unwrap_or_default()
}

fn of_active(state: &State, periods: &Timers, active: &Active, timers: &mut Collected<'_>) {
    if !active.replied {
        // What was spent before the last hold counts, unless a leader has given every period again since.
        let spent_ms = match timers.leaders.full_since > active.since {
            true => 0,
            false => active.first_reply_spent_ms,
        };
        let left = |period_ms: u64| period_ms.saturating_sub(spent_ms);
        let (warn, reclaim) = (periods.first_reply_warn_ms, periods.first_reply_reclaim_ms);
        timers.renewed(Timer::FirstReplyReclaim, active.since, left(reclaim));
        if !active.first_reply_warned {
            timers.renewed(Timer::FirstReplyWarn, active.since, left(warn));
        }
    }
    if let Some(since) = active.awaiting_customer {
        timers.renewed(Timer::SilenceHold, since, periods.silent_hold_ms);
        if !active.silence_warned {
            timers.renewed(Timer::SilenceWarn, since, periods.silent_warn_ms);
        }
    }
    let owner = state.agents.get(&active.agent);
    if let Some(owner) = owner.filter(|owner| owner.lease == LeaseState::Lost)
        && !active.lost_handled
    {
        timers.renewed(Timer::OwnerLost, owner.silent_since, periods.agent_lost_ms);
    }
}

/// Since when a waiting customer is gone, and how long that may last.
pub(super) fn gone(state: &State, found: &Conversation) -> Option<(CellTime, u64)> {
    if !matches!(
        found.phase,
        Phase::Bot | Phase::Queued(_) | Phase::Offered(_)
    ) {
        return None;
    }
    gone_for(state, found)
}

/// The same for a customer who may have waited until now.
pub(super) fn gone_for(state: &State, found: &Conversation) -> Option<(CellTime, u64)> {
    let plan = state.plan_at(found.pinned);
    let pinned = plan.and_then(|plan| plan.channels.get(&found.channel));
    let channel = pinned.unwrap_or_else(|| state.channel(&found.channel));
    let (at, period_ms) = match found.gone {
        Some(gone) if gone.our_fault => (gone.at, channel.gone_our_fault_ms),
        Some(gone) => (gone.at, channel.gone_ms),
        None if found.attached_once => return None,
        None => (found.customer_acted_at(), channel.gone_our_fault_ms),
    };
    Some((at.max(found.returned_at), period_ms))
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::deadlines::first_due;

    #[test]
    fn the_first_of_them_is_what_the_machine_waits_for() {
        let (mut floor, ann, bob) = busy();
        floor.gone(bob, false);
        let state = floor.state();
        let leaders = Leaders::of(state);
        for id in [ann, bob] {
            let found = floor.conversation(id);
            let all = armed(state, &leaders, found);
            let first = all.iter().map(|armed| (armed.due, armed.timer)).min();
            assert!(first.is_some());
            assert_eq!(first, first_due(state, found));
        }
    }
}
