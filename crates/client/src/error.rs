//! Errors: why a call did not give its answer.
//! Promise: each carries the stable reason of the API, its values, and whether it was done.
//! Not here: retrying (`call`).

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use pb::api::v1::{ErrorReason, Refusal};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The domain of our `google.rpc.ErrorInfo`.
const DOMAIN: &str = "antiphon";
const REASON_PREFIX: &str = "ERROR_REASON_";
/// Deep enough for tonic over hyper over h2 over io.
const SOURCES_MAX: usize = 16;

/// What is known about the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The cluster said no. The same call gets the same answer until something else changes.
    Refused,
    /// Certainly not done, for a cause that passes; may be asked again with the same request id.
    Later,
    /// No endpoint took the call.
    Unreachable,
    /// May have been done; to be asked again with the same request id.
    OutcomeUnknown,
    /// A read was not answered in time.
    TimedOut,
    /// A defect of server or client.
    Defect,
}

/// Why a call did not give its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// The stable reason; unspecified when no node of the cluster spoke.
    pub reason: ErrorReason,
    /// One sentence.
    pub message: String,
    /// Every value that the sentence names, by lowerCamel key.
    pub metadata: BTreeMap<String, String>,
    /// Ask again after this time with the same request id.
    pub retry_after: Option<Duration>,
    /// What is known about the call.
    pub kind: Kind,
}

/// The key under which an error of unknown outcome names the request id: whoever asks again under it has
/// nothing done twice.
pub const REQUEST_ID: &str = "requestId";

/// The name of a reason without the enum's prefix, `NOT_LEADER`.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(REASON_PREFIX).unwrap_or(name)
}

impl CallError {
    /// An error without a reason of the cluster.
    pub(crate) fn local(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            reason: ErrorReason::Unspecified,
            message: message.into(),
            metadata: BTreeMap::new(),
            retry_after: None,
            kind,
        }
    }

    /// The reason's name, `UNREACHABLE` and the like where no node spoke.
    pub fn reason_name(&self) -> &'static str {
        match (self.reason, self.kind) {
            (ErrorReason::Unspecified, Kind::Unreachable) => "UNREACHABLE",
            (ErrorReason::Unspecified, Kind::TimedOut) => "TIMED_OUT",
            (ErrorReason::Unspecified, Kind::OutcomeUnknown) => "OUTCOME_UNKNOWN",
            (ErrorReason::Unspecified, _) => "INTERNAL",
            (reason, _) => reason_name(reason),
        }
    }

    /// The same, naming the request's id where it has to be used again.
    pub(crate) fn of_request(mut self, id: Option<String>) -> Self {
        if let Some(id) = id.filter(|_| self.kind == Kind::OutcomeUnknown) {
            self.metadata.insert(REQUEST_ID.to_owned(), id);
        }
        self
    }

    /// Whether the same call may be asked again with the same request id.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            Kind::Later | Kind::Unreachable | Kind::OutcomeUnknown | Kind::TimedOut => true,
            Kind::Refused | Kind::Defect => false,
        }
    }

    /// From what a call got. A status without our `ErrorInfo` that came from below tonic means that
    /// the connection failed.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        if let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) {
            let reason = reason_from_name(&info.reason);
            let metadata = info
                .metadata
                .iter()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            return Self {
                reason,
                message: status.message().to_owned(),
                metadata,
                retry_after,
                kind: kind_of(reason, retry_after),
            };
        }
        Self {
            retry_after,
            ..Self::local(kind_without_reason(status, retry_after), plain(status))
        }
    }

    /// From a refusal inside a stream.
    pub fn from_refusal(refusal: &Refusal) -> Self {
        let retry_after = Some(refusal.retry_after_ms)
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis);
        Self {
            reason: refusal.reason(),
            message: refusal.message.clone(),
            metadata: refusal.metadata.clone().into_iter().collect(),
            retry_after,
            kind: kind_of(refusal.reason(), retry_after),
        }
    }

    /// From a reason alone, as the end of a stream gives it.
    pub(crate) fn from_reason(reason: ErrorReason, retry_after_ms: u64, what: &str) -> Self {
        Self::from_refusal(&Refusal {
            reason: reason.into(),
            message: format!("{what}: {}", reason_name(reason)),
            metadata: Default::default(),
            retry_after_ms,
        })
    }

    /// The node that leads, if the answer named one.
    pub(crate) fn leader_hint(&self) -> Option<&str> {
        let named = self.metadata.get("leader").map(String::as_str);
        named.filter(|name| self.reason == ErrorReason::NotLeader && !name.is_empty())
    }

    /// Whether the endpoint itself should be left alone for a while.
    pub(crate) fn blames_endpoint(&self) -> bool {
        let nobody_spoke = self.reason == ErrorReason::Unspecified;
        match self.reason {
            ErrorReason::NodeDraining | ErrorReason::ClusterForming | ErrorReason::WrongCluster => {
                true
            }
            _ => nobody_spoke && self.is_retryable() && self.retry_after.is_none(),
        }
    }
}

fn reason_from_name(name: &str) -> ErrorReason {
    ErrorReason::from_str_name(&format!("{REASON_PREFIX}{name}"))
        .unwrap_or(ErrorReason::Unspecified)
}

fn kind_of(reason: ErrorReason, retry_after: Option<Duration>) -> Kind {
    match reason {
        ErrorReason::OutcomeUnknown => Kind::OutcomeUnknown,
        ErrorReason::NotLeader
        | ErrorReason::QuorumLost
        | ErrorReason::RateLimited
        | ErrorReason::ResourceExhausted
        | ErrorReason::PlanBehind
        | ErrorReason::BucketElsewhere
        | ErrorReason::SlowConsumer
        | ErrorReason::NodeDraining
        | ErrorReason::ClusterForming => Kind::Later,
        _ if retry_after.is_some() => Kind::Later,
        ErrorReason::Internal
        | ErrorReason::StreamProtocol
        | ErrorReason::MessageMalformed
        | ErrorReason::Unspecified => Kind::Defect,
        _ => Kind::Refused,
    }
}

fn kind_without_reason(status: &Status, retry_after: Option<Duration>) -> Kind {
    if status.source().is_some() {
        let dialled = !is_connect_error(status);
        return match dialled {
            true => Kind::OutcomeUnknown,
            false => Kind::Unreachable,
        };
    }
    match status.code() {
        _ if retry_after.is_some() => Kind::Later,
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => Kind::OutcomeUnknown,
        Code::ResourceExhausted => Kind::Later,
        _ => Kind::Defect,
    }
}

fn is_connect_error(status: &Status) -> bool {
    let mut source = status.source();
    for _ in 0..SOURCES_MAX {
        match source {
            Some(error) if error.is::<tonic::ConnectError>() => return true,
            Some(error) => source = error.source(),
            None => return false,
        }
    }
    false
}

fn plain(status: &Status) -> String {
    let mut deepest = None;
    let mut source = status.source();
    for _ in 0..SOURCES_MAX {
        let Some(error) = source else { break };
        deepest = Some(error.to_string());
        source = error.source();
    }
    match deepest {
        Some(cause) => format!("the connection failed: {cause}"),
        None if status.message().is_empty() => status.code().description().to_owned(),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    fn status(reason: &str, retry: Option<Duration>) -> Status {
        let mut details = ErrorDetails::with_error_info(
            reason,
            DOMAIN,
            HashMap::from([("leader".to_owned(), "fra-n1".to_owned())]),
        );
        if let Some(delay) = retry {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(Code::FailedPrecondition, "a sentence", details)
    }

    #[test]
    fn the_reason_and_its_values_come_from_the_error_info() {
        let error = CallError::from_status(&status("NOT_LEADER", None));
        assert_eq!(error.reason, ErrorReason::NotLeader);
        assert_eq!(error.leader_hint(), Some("fra-n1"));
        assert_eq!(error.kind, Kind::Later);
        assert_eq!(error.message, "a sentence");
        assert_eq!(error.reason_name(), "NOT_LEADER");
    }

    #[test]
    fn a_domain_refusal_is_final() {
        let error = CallError::from_status(&status("OFFER_ENDED", None));
        assert_eq!(error.kind, Kind::Refused);
        assert!(!error.is_retryable());
        assert_eq!(error.leader_hint(), None);
    }

    #[test]
    fn any_answer_with_a_retry_hint_may_be_asked_again() {
        let error = CallError::from_status(&status("MACHINE_DEFECT", Some(Duration::from_secs(2))));
        assert_eq!(error.kind, Kind::Later);
        assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
    }

    #[test]
    fn an_unknown_outcome_is_told_from_a_definite_no() {
        let unknown = CallError::from_status(&status("OUTCOME_UNKNOWN", None));
        assert_eq!(unknown.kind, Kind::OutcomeUnknown);
        let bare = CallError::from_status(&Status::unavailable("gone"));
        assert_eq!(bare.kind, Kind::OutcomeUnknown);
        assert!(bare.blames_endpoint());
    }

    #[test]
    fn another_domain_is_not_our_reason() {
        let details = ErrorDetails::with_error_info("NOT_LEADER", "elsewhere", HashMap::new());
        let status = Status::with_error_details(Code::Internal, "x", details);
        let error = CallError::from_status(&status);
        assert_eq!(error.reason, ErrorReason::Unspecified);
        assert_eq!(error.kind, Kind::Defect);
    }
}
