//! What a client sends on its stream, as its owner pulls it.
//! Promise: messages keep their order; what is refused here never reaches the owner and the stream goes on;
//! the owner is told once that the client, or this node, goes away.
//! Not here: what the messages mean (`attach`, `work`), what the client gets (`stream`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use pb::api::v1::Refusal;
use pb::raft::v1::forward_up;
use ports::{ClientSide, StreamUp, TracedUp};
use runtime::Tracer;
use runtime::trace::{SpanKind, TraceParent};
use tonic::{Code, Status};

use super::stream::{Inbound, Kind, Upward};
use super::streams::{Direction, Phase, Signal};
use crate::errors::{message_too_large, stream_protocol};
use crate::limits;

/// Refusals made at the edge that wait for the client to read them.
pub(crate) struct RefusedHere<Down> {
    signal: Arc<Signal>,
    waiting: Mutex<VecDeque<Down>>,
}

impl<Down> RefusedHere<Down> {
    pub(crate) fn new(signal: Arc<Signal>) -> Self {
        Self {
            signal,
            waiting: Mutex::default(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Down>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one to be said.
    pub(crate) fn take(&self) -> Option<Down> {
        let mut waiting = self.waiting();
        let was_full = waiting.len() >= limits::STREAM_REFUSED_BOUND;
        let refused = waiting.pop_front();
        drop(waiting);
        if was_full {
            self.signal.wake(Direction::Up);
        }
        refused
    }

    fn push(&self, refused: Down) {
        self.waiting().push_back(refused);
        self.signal.wake(Direction::Down);
    }

    fn is_full(&self) -> bool {
        self.waiting().len() >= limits::STREAM_REFUSED_BOUND
    }
}

/// Which messages of a stream are traced.
pub(crate) struct Tracing {
    pub(crate) tracer: Tracer,
    /// What the client said when it opened the stream.
    pub(crate) asked: Option<TraceParent>,
}

impl Tracing {
    /// A message on its way up: as a part of a trace, if it changes something and is drawn or was asked for.
    fn passed(&self, message: forward_up::Request) -> StreamUp {
        let name = changing(&message).filter(|_| self.tracer.is_on());
        let span = name.and_then(|name| {
            let asked = self.asked;
            self.tracer.begin(asked, name, SpanKind::Producer)
        });
        match span {
            None => StreamUp::Message(Box::new(message)),
            Some(span) => StreamUp::Traced(Box::new(TracedUp {
                trace: span.trace(),
                message,
            })),
        }
    }
}

/// The name of a message that becomes an entry; heartbeats and markers do not.
fn changing(message: &forward_up::Request) -> Option<&'static str> {
    use pb::api::v1::{attach_request, work_request};
    match message {
        forward_up::Request::Attach(attach) => match &attach.request {
            Some(attach_request::Request::Send(_)) => Some("stream send"),
            _ => None,
        },
        forward_up::Request::Work(work) => match &work.request {
            Some(work_request::Request::Heartbeat(_) | work_request::Request::Mark(_)) | None => {
                None
            }
            Some(_) => Some("stream act"),
        },
    }
}

/// The direction from the client to the owner.
pub(crate) struct ClientUps<K: Kind, I> {
    began: K::Began,
    inbound: I,
    refused: Arc<RefusedHere<K::Down>>,
    stopped: bool,
    tracing: Tracing,
}

impl<K: Kind, I: Inbound<K::Up>> ClientUps<K, I> {
    pub(crate) fn new(
        began: K::Began,
        inbound: I,
        refused: Arc<RefusedHere<K::Down>>,
        tracing: Tracing,
    ) -> Self {
        Self {
            began,
            inbound,
            refused,
            stopped: false,
            tracing,
        }
    }

    fn signal(&self) -> &Signal {
        &self.refused.signal
    }

    /// What one message of the client becomes; none when nothing of it goes up.
    fn take(&mut self, message: Option<Result<K::Up, Status>>) -> Option<StreamUp> {
        match message {
            Some(Ok(message)) => match K::up(&self.began, message) {
                Upward::Pass(message) => return Some(self.tracing.passed(message)),
                Upward::Refuse(refused) => self.refused.push(refused),
                Upward::Violation(refusal) => self.signal().violate(refusal),
            },
            Some(Err(status)) => match broken(&status) {
                Some(refusal) => self.signal().violate(refusal),
                None => self.signal().raise(Phase::Gone),
            },
            None => self.signal().raise(Phase::HalfClosed),
        }
        None
    }
}

impl<K: Kind, I: Inbound<K::Up>> Stream for ClientUps<K, I> {
    type Item = StreamUp;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamUp>> {
        let this = self.get_mut();
        if this.stopped {
            return Poll::Ready(None);
        }
        loop {
            let phase = this.signal().watch(Direction::Up, context);
            if phase != Phase::Open {
                this.stopped = true;
                let our_fault = phase == Phase::Draining;
                return Poll::Ready(Some(StreamUp::Stop { our_fault }));
            }
            // The client does not read what it was refused: it is not read either.
            if this.refused.is_full() {
                return Poll::Pending;
            }
            let message = std::task::ready!(this.inbound.poll_next_unpin(context));
            if let Some(up) = this.take(message) {
                return Poll::Ready(Some(up));
            }
        }
    }
}

impl<K: Kind, I: Inbound<K::Up>> ClientSide for ClientUps<K, I> {
    fn our_fault(&self) -> bool {
        self.signal().phase() == Phase::Draining
    }
}

/// What a failed read says about the client: a refusal if it sent garbage, `None` if it has gone.
pub(crate) fn broken(status: &Status) -> Option<Refusal> {
    match status.code() {
        Code::OutOfRange => Some(message_too_large(
            limits::RECEIVE_BYTES_MAX + 1,
            limits::RECEIVE_BYTES_MAX,
        )),
        Code::Internal | Code::InvalidArgument | Code::Unimplemented => Some(stream_protocol(
            "the stream sent something that is not a message of this call",
        )),
        _ => None,
    }
}
