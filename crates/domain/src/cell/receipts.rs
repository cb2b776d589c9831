//! Receipts: why one routing decision fell as it did, recorded where it fell.
//! Promise: enough to explain the choice from the log alone; bounded.
//! Not here: making the choice (`matching`), reading them (`explain`).

use super::floor::OfferOutcome;
use super::transcript::Author;
use crate::ids::{AgentId, CellTime, LogIndex, PlanVersion, QueueId};
use crate::plan::Strategy;

/// Receipts kept for one conversation: the last eight tell every offer of a usual life. The oldest goes
/// first; what a supervisor did stays in the transcript's items and remarks.
pub const RECEIPTS_MAX: usize = 8;
/// Agents named in one receipt with why they were passed by: 24 bytes each, in every open conversation.
pub const EXCLUSIONS_MAX: usize = 8;

/// Why an eligible agent was not considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// Chose not to take work, or will not after this work.
    NotReady,
    /// The client is silent.
    Unreachable,
    /// No free units for this work.
    AtCapacity,
    /// Misses of offers in a row on this channel.
    NotResponding,
    /// A pause after a missed offer.
    BackOff,
    /// Declined this conversation.
    PassedOver,
    /// Leaves with the work in hand.
    Retired,
}

/// By which rule a decision fell: how the agent was found, or what was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// By the queue's strategy among free agents.
    ByStrategy(Strategy),
    /// Preferred by the conversation.
    Preferred,
    /// Named by a transfer.
    Named,
    /// Named by a supervisor for waiting work.
    Assigned,
    /// Passed on to a line.
    ToQueue,
    /// Waits for one agent alone, as somebody asked.
    ToOwnLine,
    /// Taken from its agent, or from those for whom it was kept, by a supervisor.
    Requeued,
    /// Put back in its line after a defect, by a supervisor.
    Released,
    /// Ended by a supervisor.
    Ended,
}

impl Found {
    /// Whether a person named the agent.
    pub fn is_by_name(self) -> bool {
        matches!(self, Self::Named | Self::Assigned)
    }
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who.
    pub by: Author,
    /// Why, in the words of a supervisor; at most 1 KiB, empty where an agent passed it on.
    pub why: Box<str>,
    /// The line to which it was passed on.
    pub to: Option<QueueId>,
}

/// One routing decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The entry in which it fell.
    pub index: LogIndex,
    /// When.
    pub at: CellTime,
    /// The floor plan whose requirements held.
    pub plan: PlanVersion,
    /// How long the conversation had waited since it first entered a line, in milliseconds.
    pub waited_ms: u64,
    /// Free eligible agents at that moment.
    pub candidates: u32,
    /// Who was chosen; `None` where it went to a line, or ended.
    pub chosen: Option<AgentId>,
    /// By which rule.
    pub found: Found,
    /// Eligible agents who were not free, at most 8, and why.
    pub excluded: Vec<(AgentId, Exclusion)>,
    /// How many more were excluded than are named.
    pub excluded_more: u32,
    /// Why the chosen agent declined, if a reason was given; at most 128 bytes.
    pub declined: Option<Box<str>>,
    /// How the offer ended that was made, once it has.
    pub outcome: Option<OfferOutcome>,
    /// Who decided it, where a person did.
    pub ordered: Option<Box<Order>>,
}
