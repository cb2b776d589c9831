//! A queue's record and the customers' entries: counters, the window of lapsed offers.
//! Promise: every counter is a fold of the log.
//! Not here: shares and percentages (`service_level`); what waits now (`derived`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::derived::LineKey;
use super::requests::Remembered;
use crate::ids::{
    AccountId, AgentId, CellTime, ConversationId, CustomerKey, OfferId, QueueId, SiteId, StaffId,
};
use crate::plan::QueuePlan;

/// Width of the window in which lapsed offers are compared with all, in seconds.
pub const SPIKE_WINDOW_S: u64 = 60;
/// Ended offers remembered per shard, so that a late answer learns who was first: 64 shards x 256.
pub const ENDED_OFFERS_MAX: usize = 256;

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// The name.
    pub name: QueueId,
    /// The newest plan that has this queue.
    pub plan: Arc<QueuePlan>,
    /// The newest plan lacks it: it takes nothing new and serves what it has.
    pub retired: bool,
    /// What has happened, per site of the customer.
    pub totals: BTreeMap<SiteId, Totals>,
    /// Offers that ended within the last minute, per second, oldest first.
    pub window: VecDeque<SpikeSecond>,
    /// Agents' states stand still since then, because too many offers lapsed.
    pub spike_since: Option<CellTime>,
    /// The last supervisor's act: whoever paused the queue, or let it go on. Plans do not change it.
    pub steered: Option<Box<Steered>>,
    /// From this place on, work stands aside from the lines in which agents are found: everything while
    /// paused, nothing while not, a part while lines are being moved.
    pub aside_from: Option<LineKey>,
    /// Answers to supervisors given within ten minutes.
    pub requests: Vec<Remembered>,
}

/// A supervisor's hand on a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steered {
    /// Whether the queue is paused by it.
    pub paused: bool,
    /// Who.
    pub by: StaffId,
    /// Why, at most 1 KiB.
    pub why: Box<str>,
    /// When, cell time.
    pub at: CellTime,
    /// When, the leader's wall clock in Unix milliseconds, for display.
    pub wall_ms: u64,
}

impl QueueRecord {
    /// The supervisor's act by which it is paused at present.
    pub fn paused_by(&self) -> Option<&Steered> {
        self.steered.as_deref().filter(|steered| steered.paused)
    }

    /// Whether work at this place stands aside.
    pub(crate) fn is_aside(&self, place: LineKey) -> bool {
        self.aside_from.is_some_and(|from| place >= from)
    }

    /// From where on work is to stand aside.
    pub(crate) fn aside_wanted(&self) -> Option<LineKey> {
        self.paused_by().map(|_| LineKey::FIRST)
    }

    /// Offers that ended within the last minute, and those among them that lapsed.
    pub(crate) fn last_minute(&self, now: CellTime) -> (u32, u32) {
        let second = now.0 / 1_000;
        let recent = self
            .window
            .iter()
            .filter(|slot| slot.second + SPIKE_WINDOW_S > second);
        recent.fold((0, 0), |(ended, lapsed), slot| {
            (ended + slot.ended, lapsed + slot.lapsed)
        })
    }
}

/// Offers of one second of cell time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpikeSecond {
    /// The second.
    pub second: u64,
    /// Offers that ended in it.
    pub ended: u32,
    /// Those among them that lapsed.
    pub lapsed: u32,
}

/// What has happened since the queue exists; sums in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Conversations that entered the queue.
    pub entered: u64,
    /// Accepted by an agent.
    pub answered: u64,
    /// Accepted within the threshold.
    pub answered_in: u64,
    /// The customer left while waiting, short ones included.
    pub abandoned: u64,
    /// Left within the threshold.
    pub abandoned_in: u64,
    /// Left sooner than the channel's short-abandon threshold.
    pub abandoned_short: u64,
    /// Went back to the line after an accept.
    pub requeued: u64,
    /// Passed on to another queue or agent.
    pub transferred: u64,
    /// Ended after an agent had worked on it.
    pub handled: u64,
    /// Time in the queue of the answered.
    pub answer_wait_ms: u64,
    /// Longest time in the queue of an answered one.
    pub answer_wait_ms_max: u64,
    /// Time in the queue of the abandoned.
    pub abandon_wait_ms: u64,
    /// Work on conversations, after-contact work included.
    pub handle_ms: u64,
    /// After-contact work alone.
    pub wrap_up_ms: u64,
    /// Conversations in which an agent has written.
    pub first_responses: u64,
    /// Opening to the agent's first message.
    pub first_response_ms: u64,
    /// Offers made.
    pub offers: u64,
    /// Offers that lapsed.
    pub offers_lapsed: u64,
    /// Offers declined.
    pub offers_declined: u64,
    /// Offers rescinded.
    pub offers_rescinded: u64,
    /// Offers cancelled, because the customer left.
    pub offers_cancelled: u64,
    /// Ratings given.
    pub ratings: u64,
    /// Sum of their scores.
    pub rating_sum: u64,
}

/// A customer on one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRecord {
    /// The account.
    pub account: AccountId,
    /// The customer.
    pub customer: CustomerKey,
    /// The conversation that is open for the customer.
    pub open: Option<ConversationId>,
    /// The last one, open or ended.
    pub last: Option<ConversationId>,
    /// Answers to `open` given within ten minutes.
    pub requests: Vec<Remembered>,
}

/// How an offer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferOutcome {
    /// The agent took it.
    Accepted,
    /// The agent passed it by.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// We took it back.
    Rescinded,
    /// The customer left.
    Cancelled,
}

impl OfferOutcome {
    /// The outcome as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Rescinded => "rescinded",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An offer that has ended, kept for late answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOffer {
    /// The offer.
    pub id: OfferId,
    /// The conversation.
    pub conversation: ConversationId,
    /// Whose it was.
    pub agent: AgentId,
    /// How it ended.
    pub outcome: OfferOutcome,
    /// When.
    pub at: CellTime,
}
