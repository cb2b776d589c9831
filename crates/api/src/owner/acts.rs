//! Acts of one stream that are under way.
//! Promise: each reaches the cell before the next one is looked at; the bound is the caller's to keep.
//! Not here: what an answer becomes on the stream (`customer`, `desk`).

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use conversation::{Act, ActError, CellHandle};
use domain::cell::command::Command;
use domain::cell::refusal::Refusal;
use domain::cell::reply::Done;
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use runtime::trace::{OpenSpan, SpanKind, Trace};
use tokio::time::{Sleep, sleep};

use crate::limits;

/// What was asked, and what came of it.
pub(crate) type Answered<A> = (A, Result<Done, ActError>);

/// Acts under way, each with what identifies it to its client.
pub(crate) struct Acts<A> {
    handle: CellHandle,
    /// Of what the acts that are started now are a part.
    trace: Option<Trace>,
    under_way: FuturesUnordered<About<A>>,
    /// Until when a client that writes more often than it may is not read.
    held: Option<Pin<Box<Sleep>>>,
}

/// An act under way.
struct About<A> {
    about: Option<A>,
    act: Act,
    /// Ends with the answer.
    span: Option<OpenSpan>,
}

impl<A: Unpin> Future for About<A> {
    type Output = Option<Answered<A>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(self.act.poll_unpin(context));
        self.span = None;
        Poll::Ready(self.about.take().map(|about| (about, outcome)))
    }
}

impl<A: Unpin> Acts<A> {
    pub(crate) fn new(handle: CellHandle) -> Self {
        Self {
            handle,
            trace: None,
            under_way: FuturesUnordered::new(),
            held: None,
        }
    }

    /// Starts an act: it has been handed to its conversation when this returns. Gives the answer if
    /// there is one at once.
    pub(crate) fn start(&mut self, about: A, command: Command) -> Option<Answered<A>> {
        let (mut act, span) = self.begin(command);
        // Polled here and not only by the set: the set promises no order among new futures, and the
        // order of a client's sends is kept.
        if let Some(outcome) = (&mut act).now_or_never() {
            self.note(&outcome);
            return Some((about, outcome));
        }
        let about = Some(about);
        self.under_way.push(About { about, act, span });
        None
    }

    /// Says of what the acts that are started from now on are a part.
    pub(crate) fn trace(&mut self, trace: Option<Trace>) {
        self.trace = trace;
    }

    fn begin(&self, command: Command) -> (Act, Option<OpenSpan>) {
        let Some(trace) = self.trace else {
            return (self.handle.begin(command), None);
        };
        let span = self.handle.tracer().after(trace, "act", SpanKind::Consumer);
        // Where nothing is made of spans here, the trace still goes on.
        let trace = span.as_ref().map_or(trace, OpenSpan::trace);
        (self.handle.within(trace).begin(command), span)
    }

    /// The next answer; pending while nothing is under way.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Answered<A>> {
        match self.under_way.poll_next_unpin(context) {
            Poll::Ready(Some(Some(answered))) => {
                self.note(&answered.1);
                Poll::Ready(answered)
            }
            _ => Poll::Pending,
        }
    }

    /// A client that was told to wait is not read for a while: to answer each message of a flood would
    /// cost those beside it more than the flood itself.
    fn note(&mut self, outcome: &Result<Done, ActError>) {
        if let Err(ActError::Refused(Refusal::TooManyRequests { retry_after_ms })) = outcome {
            let wait = Duration::from_millis(*retry_after_ms).min(limits::FLOOD_HELD_MAX);
            self.held.get_or_insert_with(|| Box::pin(sleep(wait)));
        }
    }

    /// Ready while the client's next message may be read.
    pub(crate) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(held) = &mut self.held {
            std::task::ready!(held.poll_unpin(context));
            self.held = None;
        }
        // Whoever ends an act looks again.
        match self.under_way.len() < limits::STREAM_ACTS_MAX {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}
