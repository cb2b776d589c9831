//! Refusals that the node itself gives: no leader, no room, no path.
//! Promise: each says whether the call was done, and carries a retry hint where the same request id
//! may be tried again.
//! Not here: refusals of the machines (`api::owner`, `control`).

use pb::api::v1::{ErrorReason, Refusal};

/// Retry hint where another leader will be found soon: about one election of the profile `lan`.
const RETRY_LEADER_MS: u64 = 150;
/// Retry hint where a bound was reached.
const RETRY_BUSY_MS: u64 = 250;
/// Retry hint while the cluster forms.
const RETRY_FORMING_MS: u64 = 500;
/// The key under which `NOT_LEADER` names the leader: by node id between nodes, by name to clients.
const LEADER: &str = "leader";

pub(crate) fn refusal(
    reason: ErrorReason,
    message: impl Into<String>,
    retry_after_ms: u64,
) -> Refusal {
    Refusal {
        reason: reason.into(),
        message: message.into(),
        retry_after_ms,
        ..Refusal::default()
    }
}

/// Certainly not done: whoever was asked does not lead.
pub(crate) fn not_leader(leader: Option<u64>) -> Refusal {
    let message = "the node that was asked does not lead the group";
    let mut refused = refusal(ErrorReason::NotLeader, message, RETRY_LEADER_MS);
    if let Some(leader) = leader {
        refused
            .metadata
            .insert(LEADER.to_owned(), leader.to_string());
    }
    refused
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

/// Certainly not done: the group does not exist yet.
pub(crate) fn forming(group: &str) -> Refusal {
    refusal(
        ErrorReason::ClusterForming,
        format!("{group} is not formed yet"),
        RETRY_FORMING_MS,
    )
}

/// May have been done.
pub(crate) fn outcome_unknown() -> Refusal {
    let message = "the outcome is unknown: ask again with the same request id";
    refusal(ErrorReason::OutcomeUnknown, message, RETRY_LEADER_MS)
}

/// A bound was reached; `what` is what there are too many of.
pub(crate) fn exhausted(what: &str, limit: usize) -> Refusal {
    let message = format!("{what} are at their limit of {limit}");
    let mut refused = refusal(ErrorReason::ResourceExhausted, message, RETRY_BUSY_MS);
    refused.metadata.insert("what".to_owned(), what.to_owned());
    refused
        .metadata
        .insert("limit".to_owned(), limit.to_string());
    refused
}

/// A frame or an answer that makes no sense where it came: a defect.
pub(crate) fn internal(what: &str) -> Refusal {
    tracing::error!(what, "a call met a defect");
    refusal(ErrorReason::Internal, what, 0)
}

/// A field is missing or malformed.
pub(crate) fn field_invalid(field: &str, problem: impl std::fmt::Display) -> Refusal {
    let mut refused = refusal(ErrorReason::FieldInvalid, format!("{field} {problem}"), 0);
    refused
        .metadata
        .insert("field".to_owned(), field.to_owned());
    refused
}
