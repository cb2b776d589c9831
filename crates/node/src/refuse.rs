//! Refusals that the node itself gives: no leader, no room, no path.
//! Promise: each says whether the call was done, and carries a retry hint where the same request id
//! may be tried again.
//! Not here: refusals of the machines (`api::owner`, `control`).

use api::errors::RefusalWith;
use pb::api::v1::{ErrorReason, Refusal};

pub(crate) use api::errors::{exhausted, field_invalid, internal, outcome_unknown};

/// Retry hint while the cluster forms.
const RETRY_FORMING_MS: u64 = 500;
/// The key under which `NOT_LEADER` names the leader: by node id between nodes, by name to clients.
const LEADER: &str = "leader";

/// A refusal whose request may be asked again after a while, with the same id.
pub(crate) fn refusal(
    reason: ErrorReason,
    message: impl Into<String>,
    retry_after_ms: u64,
) -> Refusal {
    api::errors::refusal(reason, message).retry(retry_after_ms)
}

/// Certainly not done: whoever was asked does not lead.
pub(crate) fn not_leader(leader: Option<u64>) -> Refusal {
    let leader = leader.map(|node| node.to_string());
    api::errors::not_leader(leader.as_deref())
}

/// The node id that a `NOT_LEADER` names.
pub(crate) fn leader_of(refused: &Refusal) -> Option<u64> {
    refused.metadata.get(LEADER)?.parse().ok()
}

/// The same with the leader's name instead of its id; without a name nobody is named.
pub(crate) fn with_leader_name(mut refused: Refusal, name: Option<String>) -> Refusal {
    match name {
        Some(name) => refused.metadata.insert(LEADER.to_owned(), name),
        None => refused.metadata.remove(LEADER),
    };
    refused
}

/// A read had no answer in time.
pub(crate) fn no_answer() -> Refusal {
    let message = "no answer came before the deadline";
    refusal(ErrorReason::QuorumLost, message, RETRY_FORMING_MS)
}

/// A client has made up a conversation's id, or mistyped it.
pub(crate) fn no_such_cell(group: u32) -> Refusal {
    let message = format!("this cluster has no cell c{group}, so no conversation has this id");
    api::errors::refusal(ErrorReason::ConversationNotFound, message)
}

/// Certainly not done: the group does not exist yet.
pub(crate) fn forming(group: &str) -> Refusal {
    refusal(
        ErrorReason::ClusterForming,
        format!("{group} is not formed yet"),
        RETRY_FORMING_MS,
    )
}
