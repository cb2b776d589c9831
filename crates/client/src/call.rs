//! Calls: one question, asked until it is answered, the budget is spent or the answer is final.
//! Promise: every attempt carries the same request, so the same request id; an endpoint that fails
//! is left; hints about time and leader are honoured; an unknown outcome is told as such.
//! Not here: streams (`link`), which endpoint is healthy (`pool`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::backoff::Backoff;
use crate::error::{CallError, Kind};
use crate::options::Options;
use crate::pool::{Pool, Wish};
use crate::seams::Seams;

/// What all parts of a client share.
pub(crate) struct Core {
    pub(crate) pool: Arc<Pool>,
    pub(crate) options: Options,
    pub(crate) seams: Seams,
    /// Of what everything that is asked is a part, if the caller traces it.
    trace: Option<TraceParent>,
}

/// The header in which a trace travels, as W3C names it.
const TRACEPARENT: &str = "traceparent";
/// A text of the form of a `traceparent`.
type TraceParent = MetadataValue<Ascii>;

/// Whether a call changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It only reads: an attempt without answer did no harm.
    Reads,
    /// It changes something under a request id: an attempt without answer may have been done, and whoever
    /// is asked again knows whether it was.
    Changes,
    /// It changes something and carries no id: what a later attempt is told says nothing of an earlier one.
    ChangesWithoutId,
}

/// How a call is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) effect: Effect,
    pub(crate) budget: Duration,
    pub(crate) attempt: Duration,
}

impl Core {
    pub(crate) fn new(
        addresses: Vec<String>,
        options: Options,
        seams: Seams,
    ) -> Result<Self, CallError> {
        let options = options.bounded();
        Ok(Self {
            pool: Arc::new(Pool::new(addresses, options.clone(), seams.clone())?),
            options,
            seams,
            trace: None,
        })
    }

    /// The same connections, for what is a part of a trace.
    pub(crate) fn traced(&self, traceparent: &str) -> Result<Self, CallError> {
        let wrong = |_| CallError::local(Kind::Defect, "the traceparent is not ASCII text");
        Ok(Self {
            pool: self.pool.clone(),
            options: self.options.clone(),
            seams: self.seams.clone(),
            trace: Some(traceparent.parse().map_err(wrong)?),
        })
    }

    /// A request or a stream of them, as a part of the trace if there is one.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(trace) = &self.trace {
            request.metadata_mut().insert(TRACEPARENT, trace.clone());
        }
        request
    }

    pub(crate) fn request_id(&self) -> String {
        self.seams.uuid()
    }

    /// The usual shape of a call.
    pub(crate) fn shape(&self, effect: Effect) -> Shape {
        Shape {
            effect,
            budget: self.options.call_budget,
            attempt: self.options.attempt_timeout,
        }
    }

    /// Asks `request` by `go` until there is an answer.
    pub(crate) async fn call<Q, A, F, Fut>(
        &self,
        shape: Shape,
        request: Q,
        mut go: F,
    ) -> Result<A, CallError>
    where
        Q: Clone,
        F: FnMut(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + shape.budget;
        let mut course = Course::new(self, shape.effect);
        loop {
            let lease = self.pool.pick(&course.wish);
            let left = deadline.saturating_duration_since(Instant::now());
            let attempt = left.min(shape.attempt);
            let mut asked = self.request(request.clone());
            asked.set_timeout(attempt);
            let error = match timeout(attempt, go(lease.channel.clone(), asked)).await {
                Ok(Ok(answer)) => {
                    self.pool.worked(&lease);
                    return Ok(answer.into_inner());
                }
                Ok(Err(status)) => CallError::from_status(&status),
                Err(_) => CallError::local(
                    Kind::OutcomeUnknown,
                    format!("{} did not answer within {attempt:?}", lease.address),
                ),
            };
            // Its sentence may hold what somebody wrote, such as why a queue is paused.
            let (address, reason) = (&lease.address, error.reason_name());
            tracing::debug!(address, reason, "attempt failed");
            match error.blames_endpoint() {
                true => self.pool.failed(&lease),
                false => self.pool.worked(&lease),
            }
            if !error.is_retryable() {
                return Err(course.end(error, shape.budget));
            }
            let pause = course.after(self, error, lease.address.clone());
            if Instant::now() + pause >= deadline {
                return Err(course.give_up(shape.budget));
            }
            sleep(pause).await;
        }
    }
}

/// What a call has seen so far.
struct Course {
    effect: Effect,
    wish: Wish,
    backoff: Backoff,
    /// An attempt may have been done.
    unknown: bool,
    last: Option<CallError>,
}

impl Course {
    fn new(core: &Core, effect: Effect) -> Self {
        Self {
            effect,
            wish: Wish::default(),
            backoff: Backoff::new(&core.options),
            unknown: false,
            last: None,
        }
    }

    /// Notes a failed attempt; the pause before the next one.
    fn after(&mut self, core: &Core, error: CallError, address: String) -> Duration {
        self.unknown |= error.kind == Kind::OutcomeUnknown;
        self.wish = Wish {
            leader: error.leader_hint().map(str::to_owned),
            avoid: moves_on(&error).then_some(address),
        };
        let pause = self.backoff.next(&core.seams, error.retry_after);
        self.last = Some(error);
        pause
    }

    /// What a final answer means after all that was seen. A refusal of the cluster tells of this
    /// request id, whichever attempt did it; a defect, and any answer where there is no id, tells of the
    /// last attempt alone.
    fn end(mut self, error: CallError, budget: Duration) -> CallError {
        if error.kind != Kind::Defect && self.effect != Effect::ChangesWithoutId {
            return error;
        }
        self.last = Some(error);
        self.give_up(budget)
    }

    fn give_up(self, budget: Duration) -> CallError {
        let unknown = self.unknown;
        let last = self
            .last
            .unwrap_or_else(|| CallError::local(Kind::TimedOut, "the budget was spent"));
        match (unknown, self.effect) {
            (true, Effect::Changes | Effect::ChangesWithoutId) => CallError {
                reason: pb::api::v1::ErrorReason::OutcomeUnknown,
                kind: Kind::OutcomeUnknown,
                message: format!(
                    "no definite answer within {budget:?}; it may have been done: {}",
                    last.message
                ),
                ..last
            },
            (true, Effect::Reads) if last.kind == Kind::OutcomeUnknown => CallError {
                kind: Kind::TimedOut,
                ..last
            },
            _ => last,
        }
    }
}

/// A full or limited server says the same at every edge; anything else may be better elsewhere.
pub(crate) fn moves_on(error: &CallError) -> bool {
    use pb::api::v1::ErrorReason;
    !matches!(
        error.reason,
        ErrorReason::RateLimited
            | ErrorReason::ResourceExhausted
            | ErrorReason::PlanBehind
            | ErrorReason::BucketElsewhere
            | ErrorReason::MachineDefect
    )
}
