//! Remembered requests: the first answer, given again to every copy.
//! Promise: at most 64 an object and side; nothing younger than ten minutes of cell time is lost.
//! Not here: messages, whose ids live in the transcript as long as their conversation.

use mutants::{Mutant, planted};

use super::refusal::Refusal;
use super::reply::Done;
use crate::ids::{AgentId, CellTime, RequestId, StaffId};

/// Rows that one side may have in one object: two a second for ten minutes would not fit, but
/// no client has more than one command a request id, and full only means "a little later".
pub const REQUESTS_MAX: usize = 64;
/// How long an answer is kept, in milliseconds of cell time; SDK and edges stop retrying after 2 minutes.
pub const REQUEST_KEPT_MS: u64 = 600_000;

/// Whose table of the object a row belongs to: nobody can fill another side's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The customer.
    Customer,
    /// An agent or a bot.
    Ours,
    /// A supervisor or operator.
    Staff,
}

/// Who made a request; part of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The object's customer.
    Customer,
    /// An agent.
    Agent(AgentId),
    /// A bot.
    Bot,
    /// A supervisor or operator.
    Staff(StaffId),
}

impl Principal {
    /// The side of the table that this principal writes.
    pub fn side(&self) -> Side {
        match self {
            Self::Customer => Side::Customer,
            Self::Agent(_) | Self::Bot => Side::Ours,
            Self::Staff(_) => Side::Staff,
        }
    }
}

/// One remembered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Who made it.
    pub principal: Principal,
    /// Its id.
    pub id: RequestId,
    /// A hash of what was asked, without epoch and session.
    pub payload_hash: u64,
    /// When it was answered.
    pub at: CellTime,
    /// The answer.
    pub done: Done,
}

/// Finds the first answer to a request, or that its id came with another content.
pub(crate) fn recall(
    rows: &[Remembered],
    principal: &Principal,
    id: &RequestId,
    payload_hash: u64,
) -> Result<Option<Done>, Refusal> {
    let same = |row: &&Remembered| row.id == *id && row.principal == *principal;
    match rows
        .iter()
        .find(same)
        .filter(|_| !planted(Mutant::ForgetRequests))
    {
        None => Ok(None),
        Some(row) if row.payload_hash == payload_hash => Ok(Some(row.done.clone())),
        Some(row) => Err(Refusal::RequestIdReused {
            request_id: row.id.clone(),
        }),
    }
}

/// Whether a side may have one more row at `now`.
pub(crate) fn check_room(rows: &[Remembered], side: Side, now: CellTime) -> Result<(), Refusal> {
    if rows.len() < REQUESTS_MAX {
        return Ok(());
    }
    let mut oldest = now;
    let mut young = 0;
    for row in rows {
        if row.principal.side() == side && now.since_ms(row.at) < REQUEST_KEPT_MS {
            young += 1;
            oldest = oldest.min(row.at);
        }
    }
    if young < REQUESTS_MAX {
        return Ok(());
    }
    let retry_after_ms = REQUEST_KEPT_MS - now.since_ms(oldest);
    Err(Refusal::TooManyRequests { retry_after_ms })
}

/// Drops the rows that are ten minutes old, and the room that they took.
pub(crate) fn forget(rows: &mut Vec<Remembered>, now: CellTime) {
    rows.retain(|row| now.since_ms(row.at) < REQUEST_KEPT_MS);
    rows.shrink_to_fit();
}

/// Adds a row and drops those that are older than ten minutes.
pub(crate) fn remember(rows: &mut Vec<Remembered>, row: Remembered, now: CellTime) {
    rows.retain(|old| now.since_ms(old.at) < REQUEST_KEPT_MS);
    // Most tables hold one or two rows for ever: they grow by one.
    if rows.len() == rows.capacity() && rows.len() < 4 {
        rows.reserve_exact(1);
    }
    rows.push(row);
}
