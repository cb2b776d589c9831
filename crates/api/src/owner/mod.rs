//! The owner's side of calls and streams: a cell's leader answers them.
//! Promise: everything that is answered was committed; acts of one stream are proposed in its order.
//! Not here: the edge (`edge`), the way between both (`node`), decisions (`domain`).

mod acts;
mod archive;
mod calls;
mod customer;
mod desk;
mod desk_step;
mod lists;
mod pages;
mod served;

use std::time::Duration;

use conversation::CellHandle;
use domain::ids::{CellId, NodeId};
use pb::api::v1::{Refusal, attach_request, work_request};
use pb::raft::v1::{ForwardCall, ForwardUp, forward_call, forward_up};
use ports::{CallAnswer, Door, Opened};
use runtime::trace::{OpenSpan, SpanKind, Trace};
use tokio::time::timeout;
use tracing::Instrument;

use crate::errors::{internal, outcome_unknown, stream_protocol};
use crate::limits;

pub use archive::query as archive_query;
pub use pages::Place;

/// Answers for one cell on the node that leads it; elsewhere it refuses with `NOT_LEADER`, whose
/// `leader` value is the leader's node id where it is known.
#[derive(Clone)]
pub struct CellOwner {
    pub(crate) cell: CellId,
    pub(crate) handle: CellHandle,
}

impl CellOwner {
    /// The owner of a cell; its streams run where they are read.
    pub fn new(cell: CellId, handle: CellHandle) -> Self {
        Self { cell, handle }
    }
}

impl CellOwner {
    /// Answers a call that is traced: its span and its lines in the log are of the trace, and what it proposes.
    async fn answer_traced(
        &self,
        request: forward_call::Request,
        whose: (&str, NodeId),
        trace: Trace,
    ) -> CallAnswer {
        let mut span = self
            .handle
            .tracer()
            .after(trace, "answer", SpanKind::Server);
        // Where nothing is made of spans here, the trace still goes on.
        let trace = span.as_ref().map_or(trace, OpenSpan::trace);
        let traced = Self {
            cell: self.cell,
            handle: self.handle.within(trace),
        };
        let answering = traced.answer(request, whose).instrument(trace.log_span());
        let answered = answering.await;
        if let Some(span) = &mut span {
            span.number("antiphon.cell", self.cell.0.into());
            if let Err(refusal) = &answered {
                span.text("antiphon.reason", refusal.reason().as_str_name());
            }
        }
        answered
    }
}

#[async_trait::async_trait]
impl Door for CellOwner {
    async fn call(&self, call: ForwardCall) -> CallAnswer {
        if call.group != self.cell.0 {
            return Err(internal("a call has reached a cell that it does not name"));
        }
        let Some(request) = call.request else {
            return Err(internal("a forwarded call is empty"));
        };
        let patience = match call.deadline_ms {
            0 => limits::UNARY_DEADLINE,
            asked => Duration::from_millis(asked).min(limits::UNARY_DEADLINE),
        };
        let whose = (call.site.as_str(), NodeId(call.edge));
        let answering = async {
            match Trace::read(&call.traceparent) {
                None => self.answer(request, whose).await,
                Some(trace) => self.answer_traced(request, whose, trace).await,
            }
        };
        // Dropped in the middle, an act may still commit.
        timeout(patience, answering)
            .await
            .unwrap_or_else(|_| Err(outcome_unknown()))
    }

    async fn open(&self, first: ForwardUp) -> Result<Opened, Refusal> {
        if first.group != self.cell.0 {
            return Err(internal(
                "a stream has reached a cell that it does not name",
            ));
        }
        let edge = NodeId(first.edge);
        match first.request {
            Some(forward_up::Request::Attach(attach)) => match attach.request {
                Some(attach_request::Request::Begin(begin)) => {
                    customer::open(self, &begin, edge).await
                }
                _ => Err(stream_protocol("the first message of a stream is `begin`")),
            },
            Some(forward_up::Request::Work(work)) => match work.request {
                Some(work_request::Request::Hello(hello)) => {
                    desk::open(self, &hello, (&first.site, edge)).await
                }
                _ => Err(stream_protocol("the first message of a stream is `hello`")),
            },
            None => Err(internal("a forwarded stream is empty")),
        }
    }
}

#[cfg(test)]
mod clients;
#[cfg(test)]
mod desk_test;
#[cfg(test)]
mod one_node;
#[cfg(test)]
mod owner_test;
#[cfg(test)]
mod staff_test;
