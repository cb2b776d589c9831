//! Unary calls at the edge: deadline, asking the owner, taking the answer apart.
//! Promise: a call that the edge gives up is `OUTCOME_UNKNOWN` if it may have changed something.
//! Not here: finding the owner and asking again (`ports::Door`).

use std::time::Duration;

use pb::api::v1::{ErrorReason, Refusal};
use pb::raft::v1::forward_call::Request as Asked;
use pb::raft::v1::{ForwardCall, forward_answer};
use runtime::trace::{TRACEPARENT, Trace};
use tokio::time::timeout;
use tonic::metadata::MetadataMap;
use tracing::{Instrument, Span};

use super::Edge;
use crate::errors::{self, RefusalWith, refusal};
use crate::limits;

/// The control group's number.
pub(crate) const CONTROL_GROUP: u32 = 0;

impl Edge {
    /// Asks the owner of a group and waits at most `patience`.
    pub(crate) async fn ask(
        &self,
        group: u32,
        request: Asked,
        Patience { time, trace }: Patience,
    ) -> Result<forward_answer::Response, Refusal> {
        let reads = is_read(&request);
        let deadline_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let call = ForwardCall {
            group,
            site: self.cluster().site(),
            deadline_ms,
            request: Some(request),
            traceparent: trace.map(|trace| trace.to_string()).unwrap_or_default(),
            ..ForwardCall::default()
        };
        let logged = trace.map_or_else(Span::none, |trace| trace.log_span());
        let asking = self.door().call(call).instrument(logged);
        match timeout(time, asking).await {
            Ok(answer) => answer,
            Err(_) if !reads => Err(errors::outcome_unknown()),
            Err(_) => Err(refusal(
                ErrorReason::QuorumLost,
                format!("no answer came within {deadline_ms} ms"),
            )
            .with("waitedMs", deadline_ms)
            .retry(limits::RETRY_QUORUM_MS)),
        }
    }
}

/// Whether a call changes nothing, so that it can be asked again after its answer got lost.
pub fn is_read(request: &Asked) -> bool {
    matches!(
        request,
        Asked::Mark(_)
            | Asked::GetTranscript(_)
            | Asked::ListEarlier(_)
            | Asked::ListQueues(_)
            | Asked::GetQueue(_)
            | Asked::ListAgents(_)
            | Asked::GetAgent(_)
            | Asked::ListConversations(_)
            | Asked::GetConversation(_)
            | Asked::SearchArchive(_)
            | Asked::ExplainConversation(_)
            | Asked::ExplainAgent(_)
            | Asked::GetFloorPlan(_)
            | Asked::ListFloorPlans(_)
            | Asked::NodeStatus(_)
            | Asked::GetLogLevel(_)
            | Asked::GetNodeReport(_)
    )
}

/// How a call is asked on behalf of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How long its answer is waited for.
    pub(crate) time: Duration,
    /// Of what it is a part, if anybody traces it.
    pub(crate) trace: Option<Trace>,
}

impl Patience {
    /// The same, waiting no longer than this.
    pub(crate) fn at_most(self, time: Duration) -> Self {
        Self {
            time: self.time.min(time),
            ..self
        }
    }
}

/// How long a call may take, and the trace that it is a part of.
pub(crate) fn patience(metadata: &MetadataMap) -> Patience {
    let trace = metadata.get(TRACEPARENT);
    Patience {
        time: time(metadata),
        trace: trace.and_then(|text| Trace::read(text.to_str().ok()?)),
    }
}

/// What a client asks for, at most 10 s, less what the answer needs.
fn time(metadata: &MetadataMap) -> Duration {
    let asked = metadata
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(grpc_timeout);
    let Some(asked) = asked else {
        return limits::UNARY_DEADLINE;
    };
    let margin = limits::DEADLINE_MARGIN.min(asked / 10);
    (asked - margin).min(limits::UNARY_DEADLINE)
}

/// Reads `grpc-timeout`: at most eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Asks and takes the answer of the given kind out of it, or ends the call with a status.
macro_rules! ask {
    ($edge:expr, $group:expr, $patience:expr, $kind:ident ( $request:expr )) => {{
        let request = ::pb::raft::v1::forward_call::Request::$kind($request);
        match $edge.ask($group, request, $patience).await {
            Ok(::pb::raft::v1::forward_answer::Response::$kind(answer)) => Ok(answer),
            Ok(_) => Err($crate::errors::status($crate::errors::internal(
                "the owner answered another call",
            ))),
            Err(refusal) => Err($crate::errors::status(refusal)),
        }
    }};
}
pub(crate) use ask;

#[cfg(test)]
mod tests {
    use super::*;

    fn with_timeout(text: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", text.parse().expect("ascii"));
        metadata
    }

    #[test]
    fn a_call_waits_ten_seconds_at_most() {
        assert_eq!(time(&MetadataMap::new()), Duration::from_secs(10));
        assert_eq!(time(&with_timeout("1H")), Duration::from_secs(10));
        assert_eq!(time(&with_timeout("soon")), Duration::from_secs(10));
    }

    #[test]
    fn a_call_gives_up_before_its_client_does() {
        assert_eq!(time(&with_timeout("2S")), Duration::from_millis(1_950));
        assert_eq!(time(&with_timeout("100m")), Duration::from_millis(90));
    }
}
