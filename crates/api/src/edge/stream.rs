//! A client's stream at its edge: the response itself moves both directions, without a task.
//! Promise: messages keep their order; a stream that the client did not end itself always ends with
//! its reason, endpoints and cursor; nothing is made ahead: a client that does not read is not read either.
//! Not here: what the messages mean (`attach`, `work`), what goes up (`ups`), finding the owner
//! (`ports::Door`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use pb::api::v1::{ErrorReason, Refusal, StreamEnded};
use pb::raft::v1::{ForwardUp, forward_down, forward_up};
use ports::{Downs, StreamDown};
use runtime::trace::TraceParent;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tonic::Status;

use super::Edge;
use super::streams::{Direction, Phase, Ticket};
use super::ups::{ClientUps, RefusedHere, Tracing, broken};
use crate::errors::{self, internal, node_draining, not_leader, stream_protocol};
use crate::limits;

/// A response stream as tonic wants it.
pub(crate) type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What becomes of a message on its way up.
pub(crate) enum Upward<Down> {
    /// It goes to the owner.
    Pass(forward_up::Request),
    /// It is refused here; the stream goes on.
    Refuse(Down),
    /// It ends the stream.
    Violation(Refusal),
}

/// How an owner ends a stream by a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a reason for the client.
    Said,
    /// Everything is answered and the client wants no more: the call ends without an error. A stream
    /// that closes without this has lost its path.
    Quiet,
}

impl End {
    /// Reads the owner's last message.
    pub(crate) fn of(ended: &StreamEnded) -> Self {
        match ended.reason() {
            ErrorReason::Unspecified => Self::Quiet,
            _ => Self::Said,
        }
    }
}

/// One kind of stream, as the edge handles it.
pub(crate) trait Kind: Send + Unpin + Sized + 'static {
    /// What the client sends.
    type Up: Send + 'static;
    /// What the client gets.
    type Down: Send + Unpin + 'static;
    /// What the upward side remembers of the first message.
    type Began: Send + Unpin + 'static;

    /// Checks the first message and makes the opening of it.
    fn begin(edge: &Edge, first: Self::Up) -> Result<(Self::Began, ForwardUp), Refusal>;
    /// Checks a further message.
    fn up(began: &Self::Began, message: Self::Up) -> Upward<Self::Down>;
    /// Takes a message of the owner; notes what it moves and fills in what only the edge knows.
    fn down(&mut self, edge: &Edge, message: forward_down::Response) -> Option<Self::Down>;
    /// Notes a message that the edge itself made.
    fn own(&mut self, message: Self::Down) -> Self::Down;
    /// Says that nothing is confirmed for now.
    fn interrupted(since_ms: u64) -> Self::Down;
    /// Says that the stream ends.
    fn ended(ended: StreamEnded) -> Self::Down;
    /// Whether this message is the end, and which.
    fn end(message: &Self::Down) -> Option<End>;
    /// Where a client that began so would resume before it got anything.
    fn first_cursor(began: &Self::Began) -> u64;
    /// Notes that place.
    fn set_cursor(&mut self, cursor: u64);
    /// Where the client resumes.
    fn cursor(&self) -> u64;
}

/// Where a stream's messages come from.
pub(crate) trait Inbound<Up>:
    Stream<Item = Result<Up, Status>> + Send + Unpin + 'static
{
}

impl<Up, I> Inbound<Up> for I where I: Stream<Item = Result<Up, Status>> + Send + Unpin + 'static {}

/// The stream is on at the owner.
struct Begun {
    downs: Downs,
    cursor: u64,
}

type Opening = BoxFuture<'static, Result<Begun, Refusal>>;

/// Starts a stream: the response can be read at once, also before the first message has come. `asked` says
/// what its client wants of traces; each message that is traced has a span of its own.
///
/// # Errors
/// When the node drains or has too many streams.
pub(crate) fn start<K: Kind + Default>(
    edge: &Edge,
    inbound: impl Inbound<K::Up>,
    asked: Option<TraceParent>,
) -> Result<Responses<K::Down>, Status> {
    if edge.cluster().draining() {
        return Err(errors::status(node_draining(&edge.cluster().node_name())));
    }
    let ticket = edge.streams().enter().map_err(errors::status)?;
    let refused = Arc::new(RefusedHere::new(ticket.signal.clone()));
    let opening = open::<K, _>(edge.clone(), inbound, refused.clone(), asked);
    Ok(Box::pin(Downwards {
        kind: K::default(),
        edge: edge.clone(),
        ticket,
        refused,
        source: Source::Opening(opening.boxed()),
        begun: false,
        heard: Instant::now(),
        last_words: VecDeque::new(),
    }))
}

/// Reads the first message and opens the stream at its owner.
async fn open<K: Kind, I: Inbound<K::Up>>(
    edge: Edge,
    mut inbound: I,
    refused: Arc<RefusedHere<K::Down>>,
    asked: Option<TraceParent>,
) -> Result<Begun, Refusal> {
    let first = timeout(limits::FIRST_MESSAGE_WAIT, inbound.next())
        .await
        .map_err(|_| stream_protocol("the first message did not come in time"))?
        .ok_or_else(|| stream_protocol("the stream ended before its first message"))?
        .map_err(|status| {
            broken(&status).unwrap_or_else(|| stream_protocol("the client has gone"))
        })?;
    let (began, first) = K::begin(&edge, first)?;
    let opened = timeout(limits::OPEN_STREAM_WAIT, edge.door().open(first))
        .await
        .map_err(|_| not_leader(None))??;
    let cursor = K::first_cursor(&began);
    let tracing = Tracing {
        tracer: edge.tracer().clone(),
        asked,
    };
    let ups = ClientUps::<K, I>::new(began, inbound, refused, tracing);
    let downs = opened.join(Box::pin(ups));
    Ok(Begun { downs, cursor })
}

enum Source {
    /// The owner has not answered yet.
    Opening(Opening),
    /// The stream is on.
    Open(Downs),
    /// The node drains: the owner was told, and what it still answers until then is said.
    Draining(Downs, Pin<Box<Sleep>>),
    /// Only last words follow.
    Over,
}

/// What the client gets; polled by its connection.
struct Downwards<K: Kind> {
    kind: K,
    edge: Edge,
    ticket: Ticket,
    refused: Arc<RefusedHere<K::Down>>,
    source: Source,
    begun: bool,
    heard: Instant,
    last_words: VecDeque<Result<K::Down, Status>>,
}

/// What happens next.
enum Heard<Down> {
    Opened(Result<Begun, Refusal>),
    Owner(Option<StreamDown>),
    Refused(Down),
    /// The client broke the protocol.
    Violated,
    /// The node drains.
    Draining,
    /// The owner had its time for last answers.
    Late,
}

impl<K: Kind> Stream for Downwards<K> {
    type Item = Result<K::Down, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(word) = this.last_words.pop_front() {
                return Poll::Ready(Some(word));
            }
            if matches!(this.source, Source::Over) {
                return Poll::Ready(None);
            }
            let heard = std::task::ready!(this.poll_hear(context));
            if let Some(message) = this.on(heard) {
                return Poll::Ready(Some(Ok(message)));
            }
        }
    }
}

impl<K: Kind> Downwards<K> {
    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<Heard<K::Down>> {
        // First: a client that reads slowly, or an owner that always has more to say, puts the end of the
        // stream off no further than this.
        if let Some(heard) = self.hear_the_end(context) {
            return Poll::Ready(heard);
        }
        let polled = match &mut self.source {
            Source::Opening(opening) => opening.poll_unpin(context).map(Heard::Opened),
            Source::Open(downs) | Source::Draining(downs, _) => {
                downs.poll_next_unpin(context).map(Heard::Owner)
            }
            Source::Over => Poll::Pending,
        };
        match polled {
            // A violation closes the owner's side too: it is the reason, not a broken path.
            Poll::Ready(Heard::Owner(None)) if self.ticket.signal.violation().is_some() => {
                return Poll::Ready(Heard::Violated);
            }
            Poll::Ready(heard) => return Poll::Ready(heard),
            Poll::Pending => {}
        }
        self.ticket.signal.watch(Direction::Down, context);
        // What pulls the owner's stream may have moved these.
        if let Some(refused) = self.refused.take() {
            return Poll::Ready(Heard::Refused(refused));
        }
        match self.hear_the_end(context) {
            Some(heard) => Poll::Ready(heard),
            None => Poll::Pending,
        }
    }

    /// Whether the stream is to end.
    fn hear_the_end(&mut self, context: &mut Context<'_>) -> Option<Heard<K::Down>> {
        match (self.ticket.signal.phase(), &mut self.source) {
            (Phase::Violated, _) => Some(Heard::Violated),
            (_, Source::Draining(_, by)) => {
                by.poll_unpin(context).is_ready().then_some(Heard::Late)
            }
            (Phase::Draining, _) => Some(Heard::Draining),
            _ => None,
        }
    }

    fn on(&mut self, heard: Heard<K::Down>) -> Option<K::Down> {
        match heard {
            Heard::Opened(Ok(Begun { downs, cursor })) => {
                self.kind.set_cursor(cursor);
                self.source = Source::Open(downs);
            }
            Heard::Opened(Err(refusal)) => self.fail(refusal),
            Heard::Owner(Some(StreamDown::Message(message))) => return self.taken(*message),
            Heard::Owner(Some(StreamDown::Failed(refusal))) => self.end(*refusal),
            Heard::Owner(None) => self.end(not_leader(None)),
            Heard::Refused(refused) => return Some(self.kind.own(refused)),
            Heard::Violated | Heard::Late => self.signalled(),
            Heard::Draining => match std::mem::replace(&mut self.source, Source::Over) {
                Source::Open(downs) => {
                    let by = Box::pin(sleep(limits::LAST_ANSWERS_WAIT));
                    self.source = Source::Draining(downs, by);
                }
                _ => self.signalled(),
            },
        }
        None
    }

    fn taken(&mut self, message: forward_down::Response) -> Option<K::Down> {
        self.heard = Instant::now();
        self.begun = true;
        let Some(message) = self.kind.down(&self.edge, message) else {
            self.fail(internal(
                "the owner answered a stream with a message of another kind",
            ));
            return None;
        };
        match K::end(&message) {
            None => Some(message),
            Some(End::Said) => {
                self.source = Source::Over;
                Some(message)
            }
            // The owner was told to stop because this edge ends the stream: that is the reason.
            Some(End::Quiet) if self.ticket.signal.phase() >= Phase::Draining => {
                self.signalled();
                None
            }
            // The client ended its side and everything is answered.
            Some(End::Quiet) => {
                self.source = Source::Over;
                self.say_refused();
                None
            }
        }
    }

    fn signalled(&mut self) {
        match self.ticket.signal.violation().cloned() {
            Some(refusal) => self.fail(refusal),
            None => self.end(node_draining(&self.edge.cluster().node_name())),
        }
    }

    /// What was refused here is answered before the stream ends.
    fn say_refused(&mut self) {
        while let Some(refused) = self.refused.take() {
            let refused = self.kind.own(refused);
            self.last_words.push_back(Ok(refused));
        }
    }

    /// Ends the call itself with a status.
    fn fail(&mut self, refusal: Refusal) {
        self.source = Source::Over;
        self.say_refused();
        self.last_words.push_back(Err(errors::status(refusal)));
    }

    /// Ends the stream with what the client needs to go on elsewhere.
    fn end(&mut self, mut refusal: Refusal) {
        // A node that goes away hands its leaderships over first: what its clients are to know is that
        // it goes away.
        if refusal.reason() == ErrorReason::NotLeader && self.edge.cluster().draining() {
            refusal = node_draining(&self.edge.cluster().node_name());
        }
        let reason = refusal.reason();
        // Before the stream is on there is nothing to resume, and a refusal of the machine is the
        // call's own answer.
        if !self.begun || !resumable(reason) {
            return self.fail(refusal);
        }
        self.source = Source::Over;
        self.say_refused();
        if matches!(
            reason,
            ErrorReason::NotLeader | ErrorReason::QuorumLost | ErrorReason::OutcomeUnknown
        ) {
            let since_ms = u64::try_from(self.heard.elapsed().as_millis()).unwrap_or(u64::MAX);
            let interrupted = self.kind.own(K::interrupted(since_ms));
            self.last_words.push_back(Ok(interrupted));
        }
        let ended = StreamEnded {
            reason: refusal.reason,
            endpoints: self.edge.cluster().endpoints(),
            cursor: self.kind.cursor(),
            retry_after_ms: refusal.retry_after_ms,
        };
        let ended = self.kind.own(K::ended(ended));
        self.last_words.push_back(Ok(ended));
    }
}

/// Whether a stream that ended for this reason goes on elsewhere from its cursor.
fn resumable(reason: ErrorReason) -> bool {
    matches!(
        reason,
        ErrorReason::NotLeader
            | ErrorReason::QuorumLost
            | ErrorReason::OutcomeUnknown
            | ErrorReason::SlowConsumer
            | ErrorReason::NodeDraining
            | ErrorReason::ClusterForming
            | ErrorReason::ResourceExhausted
    )
}

#[cfg(test)]
#[path = "stream_test.rs"]
mod stream_test;
