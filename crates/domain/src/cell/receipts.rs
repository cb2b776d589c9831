//! Receipts: why one routing decision fell as it did, recorded where it fell.
//! Promise: enough to explain the choice from the log alone; bounded.
//! Not here: making the choice (`matching`).

use crate::ids::{AgentId, CellTime, LogIndex, PlanVersion};
use crate::plan::Strategy;

/// Receipts kept for one conversation: the last eight tell every offer of a usual life.
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

/// How the agent was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// By the queue's strategy among free agents.
    ByStrategy(Strategy),
    /// Preferred by the conversation.
    Preferred,
    /// Named by a transfer.
    Named,
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
    /// Who was chosen.
    pub chosen: AgentId,
    /// How.
    pub found: Found,
    /// Eligible agents who were not free, at most 8, and why.
    pub excluded: Vec<(AgentId, Exclusion)>,
    /// How many more were excluded than are named.
    pub excluded_more: u32,
    /// Why the chosen agent declined, if a reason was given; at most 128 bytes.
    pub declined: Option<Box<str>>,
}
