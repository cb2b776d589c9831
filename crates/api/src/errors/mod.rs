//! The one mapping from refusals and failures to what clients read.
//! Promise: each cause has one stable reason; every value of the sentence is in the metadata; a
//! retry hint says that the same request id may be tried again.
//! Not here: deciding (`domain`), retrying (`client`).

mod acts;
mod codes;

use std::time::Duration;

use mutants::{Mutant, planted};
use pb::api::v1::{ErrorReason, Refusal};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::limits;

pub use acts::{act_error, domain};
pub use codes::code;

/// The `domain` of every `google.rpc.ErrorInfo` of this API.
pub const ERROR_DOMAIN: &str = "antiphon";

/// A refusal without values and without a retry hint.
pub fn refusal(reason: ErrorReason, message: impl Into<String>) -> Refusal {
    Refusal {
        reason: reason.into(),
        message: message.into(),
        ..Refusal::default()
    }
}

/// The reason without the enum's prefix, as it travels in `ErrorInfo`.
pub fn reason_text(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// A refusal as the end of a call or stream.
pub fn status(refusal: Refusal) -> Status {
    let reason = refusal.reason();
    let mut details = ErrorDetails::new();
    details.set_error_info(reason_text(reason), ERROR_DOMAIN, refusal.metadata);
    if refusal.retry_after_ms > 0 {
        details.set_retry_info(Some(Duration::from_millis(refusal.retry_after_ms)));
    }
    Status::with_error_details(code(reason), refusal.message, details)
}

/// Adds values and hints to a refusal.
pub trait RefusalWith: Sized {
    /// Adds a value of the sentence under its lowerCamel key.
    #[must_use]
    fn with(self, key: &str, value: impl ToString) -> Self;
    /// Says after how many milliseconds to try again with the same request id.
    #[must_use]
    fn retry(self, after_ms: u64) -> Self;
}

impl RefusalWith for Refusal {
    fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    fn retry(mut self, after_ms: u64) -> Self {
        self.retry_after_ms = after_ms;
        self
    }
}

/// A field is missing or malformed; `problem` completes the sentence "`field` ...".
pub fn field_invalid(field: &str, problem: impl std::fmt::Display) -> Refusal {
    refusal(ErrorReason::FieldInvalid, format!("{field} {problem}"))
        .with("field", field)
        .with("problem", problem)
}

/// The message has no text.
pub fn message_empty() -> Refusal {
    refusal(ErrorReason::MessageEmpty, "the message is empty")
}

/// The message has more bytes than allowed.
pub fn message_too_large(bytes: usize, limit: usize) -> Refusal {
    refusal(
        ErrorReason::MessageTooLarge,
        format!("the message has {bytes} bytes, {limit} are allowed"),
    )
    .with("bytes", bytes)
    .with("limitBytes", limit)
}

/// What was sent is not a message of the call.
pub fn message_malformed() -> Refusal {
    refusal(
        ErrorReason::MessageMalformed,
        "what was sent is not a message of this call",
    )
}

/// No archive can be read at present.
pub fn archive_unreachable(why: impl std::fmt::Display) -> Refusal {
    refusal(ErrorReason::ArchiveUnreachable, why.to_string()).retry(limits::RETRY_ARCHIVE_MS)
}

/// The stream sent something that does not fit its protocol.
pub fn stream_protocol(problem: impl Into<String>) -> Refusal {
    refusal(ErrorReason::StreamProtocol, problem)
}

/// This node goes away.
pub fn node_draining(node: &str) -> Refusal {
    refusal(
        ErrorReason::NodeDraining,
        format!("node {node} is going away"),
    )
    .with("node", node)
    .retry(limits::RETRY_DRAINING_MS)
}

/// Certainly not done: whoever was asked does not lead; `leader` names the node that does.
pub fn not_leader(leader: Option<&str>) -> Refusal {
    let refused = refusal(
        ErrorReason::NotLeader,
        "the node that was asked does not lead the group",
    );
    let refused = match leader {
        Some(leader) => refused.with("leader", leader),
        None => refused,
    };
    refused.retry(limits::RETRY_LEADER_MS)
}

/// Certainly not done: no quorum can be reached.
pub fn quorum_lost() -> Refusal {
    refusal(ErrorReason::QuorumLost, "no quorum can be reached").retry(limits::RETRY_QUORUM_MS)
}

/// May have been done.
pub fn outcome_unknown() -> Refusal {
    if planted(Mutant::UnknownToldAsRefused) {
        return refusal(ErrorReason::NotAllowed, "it was not done");
    }
    refusal(
        ErrorReason::OutcomeUnknown,
        "the outcome is unknown: ask again with the same request id",
    )
    .retry(limits::RETRY_LEADER_MS)
}

/// A bound was reached; `what` is what there are too many of.
pub fn exhausted(what: &str, limit: usize) -> Refusal {
    refusal(
        ErrorReason::ResourceExhausted,
        format!("{what} are at their limit of {limit}"),
    )
    .with("what", what)
    .with("limit", limit)
    .retry(limits::RETRY_BUSY_MS)
}

/// The client reads too slowly.
pub fn slow_consumer() -> Refusal {
    refusal(
        ErrorReason::SlowConsumer,
        "the client reads too slowly; resume from the cursor",
    )
    .retry(limits::RETRY_BUSY_MS)
}

/// A defect of the server itself. The sentence goes to the client, so it names no value of a person.
pub fn internal(what: impl Into<String>) -> Refusal {
    let what = what.into();
    tracing::error!(what, "a call met a defect");
    refusal(ErrorReason::Internal, what)
}

#[cfg(test)]
#[path = "errors_test.rs"]
mod errors_test;
