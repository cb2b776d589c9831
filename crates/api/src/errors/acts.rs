//! The cell's "no" and the ways in which an act can fail, as API refusals.
//! Promise: total over both enums; the sentence begins with the machine's own.
//! Not here: gRPC codes (`codes`).

use conversation::ActError;
use domain::cell::refusal::Refusal as Domain;
use pb::api::v1::{ErrorReason as R, Refusal};

use super::{RefusalWith, not_leader, outcome_unknown, quorum_lost, refusal};

/// Retry hint while nodes are upgraded one after another, in milliseconds.
const RETRY_UPGRADE_MS: u64 = 1_000;

/// What a client reads when an act did not succeed.
pub fn act_error(error: &ActError) -> Refusal {
    match error {
        ActError::Refused(refused) => domain(refused),
        ActError::NotLeader { leader } => {
            let node = leader.map(|node| node.to_string());
            not_leader(node.as_deref())
        }
        ActError::QuorumLost => quorum_lost(),
        ActError::OutcomeUnknown => outcome_unknown(),
        ActError::Exhausted { retry_after_ms } => {
            refusal(R::ResourceExhausted, "too much is under way").retry((*retry_after_ms).max(1))
        }
        ActError::TooNew(too_new) => refusal(
            R::ClusterForming,
            format!("nodes are being upgraded: {too_new}"),
        )
        .retry(RETRY_UPGRADE_MS),
        ActError::Stopped => not_leader(None),
    }
}

/// What a client reads when the machine has refused.
pub fn domain(refused: &Domain) -> Refusal {
    let said = |reason| refusal(reason, refused.to_string());
    match refused {
        Domain::ConversationNotFound { conversation } => {
            said(R::ConversationNotFound).with("conversation", conversation)
        }
        Domain::ConversationClosed { conversation } => {
            said(R::ConversationClosed).with("conversation", conversation)
        }
        Domain::WrongState {
            conversation,
            state,
        } => said(R::WrongState)
            .with("conversation", conversation)
            .with("state", state),
        Domain::MessageEmpty => said(R::MessageEmpty),
        Domain::MessageTooLarge { bytes, limit } => said(R::MessageTooLarge)
            .with("bytes", bytes)
            .with("limitBytes", limit),
        Domain::ScoreOutOfRange { score } => said(R::ScoreOutOfRange).with("score", score),
        Domain::QueueNotFound { .. }
        | Domain::QueuePaused { .. }
        | Domain::QueuePausedAlready { .. }
        | Domain::QueueNotPaused { .. }
        | Domain::QueueFull { .. } => queue(refused),
        Domain::AccountNotFound { account } => said(R::AccountNotFound).with("account", account),
        Domain::AgentNotFound { .. }
        | Domain::AgentNotLoggedIn { .. }
        | Domain::AgentNotReady { .. }
        | Domain::AgentUnreachable { .. }
        | Domain::AgentAtCapacity { .. }
        | Domain::AgentNotSkilled { .. } => agent(refused),
        Domain::StaleSession { .. } | Domain::StaleOwnerEpoch { .. } | Domain::NotOwner { .. } => {
            fence(refused)
        }
        Domain::OfferNotFound { .. } | Domain::OfferEnded { .. } | Domain::OfferNotYours { .. } => {
            offer(refused)
        }
        Domain::RequestIdReused { request_id } => {
            said(R::RequestIdReused).with("requestId", request_id)
        }
        Domain::CursorFromTheFuture { given, last } => said(R::CursorFromTheFuture)
            .with("cursor", given)
            .with("lastSequence", last),
        Domain::WrapUpNotOver {
            conversation,
            remaining_ms,
        } => said(R::WrapUpNotOver)
            .with("conversation", conversation)
            .with("remainingMs", remaining_ms),
        Domain::NotAllowed { actor, act } => {
            not_allowed(refused).with("actor", actor).with("act", act)
        }
        Domain::FieldTooLong { field, limit } => said(R::FieldInvalid)
            .with("field", field)
            .with("limit", limit),
        Domain::TooManyRequests { .. }
        | Domain::MachineDefect { .. }
        | Domain::PlanBehind { .. }
        | Domain::BucketElsewhere { .. }
        | Domain::CellFull { .. }
        | Domain::ArchiveBehind { .. }
        | Domain::LookAgain { .. }
        | Domain::LeaseTooEarly { .. } => later(refused),
        // Only the leader proposes it, so no client reads this.
        Domain::ArchiveDiffers { .. } => said(R::Internal),
    }
}

/// What this side never may do.
fn not_allowed(refused: &Domain) -> Refusal {
    let hint = "nothing was done, and asking again will not help";
    refusal(R::NotAllowed, format!("{refused}; {hint}"))
}

/// Refusals for a queue's sake; `text` is what the customer reads.
fn queue(refused: &Domain) -> Refusal {
    let said = |reason| refusal(reason, refused.to_string());
    match refused {
        Domain::QueuePaused {
            queue,
            text,
            by_plan,
        } => said(R::QueuePaused)
            .with("queue", queue)
            .with("text", text)
            .with("byPlan", by_plan),
        Domain::QueuePausedAlready { queue, by, why } => {
            let said = match why.as_str() {
                "" => refused.to_string(),
                why => format!("{refused}: {why}"),
            };
            refusal(R::QueuePaused, said)
                .with("queue", queue)
                .with("by", by)
                .with("why", why)
        }
        Domain::QueueNotPaused { queue, by_plan } => {
            let said = match by_plan {
                true => format!("{refused}; the floor plan pauses it: apply one that does not"),
                false => refused.to_string(),
            };
            refusal(R::QueueNotPaused, said)
                .with("queue", queue)
                .with("byPlan", by_plan)
        }
        Domain::QueueFull {
            queue,
            limit,
            text,
            retry_after_ms,
        } => said(R::QueueFull)
            .with("queue", queue)
            .with("limit", limit)
            .with("text", text)
            .retry((*retry_after_ms).max(1)),
        Domain::QueueNotFound { queue } => said(R::QueueNotFound).with("queue", queue),
        _ => said(R::Internal),
    }
}

/// Refusals for an agent's sake.
fn agent(refused: &Domain) -> Refusal {
    let said = |reason| refusal(reason, refused.to_string());
    match refused {
        Domain::AgentNotFound { agent } => said(R::AgentNotFound).with("agent", agent),
        Domain::AgentNotLoggedIn { agent } => said(R::AgentNotLoggedIn).with("agent", agent),
        Domain::AgentNotReady { agent } => said(R::AgentNotReady).with("agent", agent),
        Domain::AgentUnreachable { agent } => said(R::AgentUnreachable).with("agent", agent),
        Domain::AgentAtCapacity {
            agent,
            free,
            needed,
        } => said(R::AgentAtCapacity)
            .with("agent", agent)
            .with("free", free)
            .with("needed", needed),
        Domain::AgentNotSkilled { agent, queue } => said(R::AgentNotSkilled)
            .with("agent", agent)
            .with("queue", queue),
        _ => said(R::Internal),
    }
}

/// Refusals by session, epoch or ownership.
fn fence(refused: &Domain) -> Refusal {
    let said = |reason| refusal(reason, refused.to_string());
    match refused {
        Domain::StaleSession {
            agent,
            session,
            current,
        } => said(R::StaleSession)
            .with("agent", agent)
            .with("session", session)
            .with("currentSession", current),
        Domain::StaleOwnerEpoch {
            given,
            current,
            owner,
        } => named(
            said(R::StaleOwnerEpoch)
                .with("ownerEpoch", given)
                .with("currentOwnerEpoch", current),
            "owner",
            owner.as_ref(),
        ),
        Domain::NotOwner { agent, owner } => {
            let hint = match owner {
                Some(owner) => format!("{owner} does: ask for a transfer"),
                None => "nobody does at present: wait for an offer of it".to_owned(),
            };
            named(
                refusal(R::NotOwner, format!("{refused}; {hint}")).with("agent", agent),
                "owner",
                owner.as_ref(),
            )
        }
        _ => said(R::Internal),
    }
}

/// Refusals for an offer's sake.
fn offer(refused: &Domain) -> Refusal {
    let said = |reason| refusal(reason, refused.to_string());
    match refused {
        Domain::OfferNotFound { offer } => said(R::OfferNotFound).with("offer", offer),
        Domain::OfferEnded {
            offer,
            outcome,
            by,
            late_ms,
        } => named(
            said(R::OfferEnded)
                .with("offer", offer)
                .with("outcome", outcome)
                .with("lateMs", late_ms),
            "by",
            by.as_ref(),
        ),
        Domain::OfferNotYours { offer, agent } => said(R::OfferNotYours)
            .with("offer", offer)
            .with("agent", agent),
        _ => said(R::Internal),
    }
}

/// Refusals that end by waiting: all carry a hint, so the request keeps its id.
fn later(refused: &Domain) -> Refusal {
    let said = |reason, after_ms: u64| refusal(reason, refused.to_string()).retry(after_ms.max(1));
    match refused {
        Domain::TooManyRequests { retry_after_ms } => said(R::RateLimited, *retry_after_ms),
        Domain::MachineDefect {
            conversation,
            index,
            retry_after_ms,
        } => named(
            said(R::MachineDefect, *retry_after_ms).with("logIndex", index),
            "conversation",
            conversation.as_ref(),
        ),
        Domain::PlanBehind {
            version,
            retry_after_ms,
        } => said(R::PlanBehind, *retry_after_ms).with("version", version),
        Domain::BucketElsewhere { retry_after_ms } => said(R::BucketElsewhere, *retry_after_ms),
        Domain::CellFull {
            limit,
            retry_after_ms,
        } => said(R::CellFull, *retry_after_ms).with("limit", limit),
        Domain::ArchiveBehind {
            waiting,
            bytes,
            retry_after_ms,
        } => said(R::ArchiveBehind, *retry_after_ms)
            .with("waiting", waiting)
            .with("bytes", bytes),
        // It left while the act was on its way: the same request finds it in the archive.
        Domain::LookAgain {
            conversation,
            retry_after_ms,
        } => said(R::ArchiveUnreachable, *retry_after_ms).with("conversation", conversation),
        Domain::LeaseTooEarly { retry_after_ms } => said(R::ResourceExhausted, *retry_after_ms),
        _ => said(R::Internal, 0),
    }
}

fn named(refused: Refusal, key: &str, value: Option<&impl ToString>) -> Refusal {
    match value {
        Some(value) => refused.with(key, value.to_string()),
        None => refused,
    }
}
