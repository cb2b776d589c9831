//! A client's stream at its edge: one task carries messages up, the response itself takes them down.
//! Promise: messages keep their order; a stream that the client did not end itself always ends with
//! its reason, endpoints and cursor; nothing is buffered beyond the bounds of `limits`.
//! Not here: what the messages mean (`attach`, `work`), finding the owner (`ports::Door`).

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures::Stream;
use pb::api::v1::{ErrorReason, Refusal, StreamEnded};
use pb::raft::v1::{ForwardUp, forward_down, forward_up};
use ports::{DoorStream, StreamDown, StreamUp};
use runtime::mailbox;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::Edge;
use super::streams::{Phase, Signal, Ticket};
use crate::errors::{
    self, internal, message_too_large, node_draining, not_leader, stream_protocol,
};
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
pub(crate) trait Kind: Send + Sized + 'static {
    /// What the client sends.
    type Up: Send + 'static;
    /// What the client gets.
    type Down: Send + 'static;
    /// What the upward side remembers of the first message.
    type Began: Send + Sync;

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
pub(crate) trait Inbound<Up>: Send + 'static {
    /// The next message; `None` when the client has ended its side. Safe to drop and call again.
    fn next(&mut self) -> impl Future<Output = Result<Option<Up>, Status>> + Send;
}

impl<Up: Send + 'static> Inbound<Up> for tonic::Streaming<Up> {
    async fn next(&mut self) -> Result<Option<Up>, Status> {
        self.message().await
    }
}

/// The stream is on at the owner.
struct Begun {
    down: mailbox::Receiver<StreamDown>,
    cursor: u64,
}

type Opened = Result<Begun, Refusal>;

/// Starts a stream: the response can be read at once, also before the first message has come.
///
/// # Errors
/// When the node drains or has too many streams.
pub(crate) fn start<K: Kind + Default>(
    edge: &Edge,
    inbound: impl Inbound<K::Up>,
) -> Result<Responses<K::Down>, Status> {
    if edge.cluster().draining() {
        return Err(errors::status(node_draining(&edge.cluster().node_name())));
    }
    let ticket = edge.streams().enter().map_err(errors::status)?;
    let (opened, opening) = oneshot::channel();
    let (refusing, refused) = mailbox::bounded("stream.refused", limits::STREAM_REFUSED_BOUND);
    let upward = Upwards::<K, _> {
        edge: edge.clone(),
        inbound,
        signal: ticket.signal.clone(),
        refusing,
    };
    edge.lane()
        .spawn("client stream up", upward.run(opened))
        .detach();
    let downward = Downwards {
        kind: K::default(),
        edge: edge.clone(),
        ticket,
        refused,
        source: Source::Opening(opening),
        begun: false,
        heard: Instant::now(),
        last_words: VecDeque::new(),
    };
    Ok(Box::pin(futures::stream::unfold(
        downward,
        |mut downward| async move {
            let next = downward.next().await?;
            Some((next, downward))
        },
    )))
}

/// The direction from the client to the owner: one task.
struct Upwards<K: Kind, I> {
    edge: Edge,
    inbound: I,
    signal: Arc<Signal>,
    refusing: mailbox::Sender<K::Down>,
}

impl<K: Kind, I: Inbound<K::Up>> Upwards<K, I> {
    async fn run(mut self, opened: oneshot::Sender<Opened>) {
        match self.open().await {
            Ok((began, DoorStream { up, down })) => {
                // An error means that the client has gone meanwhile, which the signal says as well.
                let _ = opened.send(Ok(Begun {
                    down,
                    cursor: K::first_cursor(&began),
                }));
                self.carry(&began, up).await;
            }
            Err(refusal) => drop(opened.send(Err(refusal))),
        }
    }

    async fn open(&mut self) -> Result<(K::Began, DoorStream), Refusal> {
        let signal = self.signal.clone();
        let edge = self.edge.clone();
        let opening = async {
            let first = timeout(limits::FIRST_MESSAGE_WAIT, self.inbound.next())
                .await
                .map_err(|_| stream_protocol("the first message did not come in time"))?
                .map_err(|status| {
                    broken(&status).unwrap_or_else(|| stream_protocol("the client has gone"))
                })?
                .ok_or_else(|| stream_protocol("the stream ended before its first message"))?;
            let (began, first) = K::begin(&edge, first)?;
            let opened = timeout(limits::OPEN_STREAM_WAIT, edge.door().open(first)).await;
            opened
                .map_err(|_| not_leader(None))?
                .map(|stream| (began, stream))
        };
        tokio::select! { biased;
            opened = opening => opened,
            () = signal.reached(Phase::Gone) => Err(node_draining(&edge.cluster().node_name())),
        }
    }

    async fn carry(&mut self, began: &K::Began, up: mailbox::Sender<StreamUp>) {
        let signal = self.signal.clone();
        // Made once: each of them registers itself somewhere when it is first polled.
        let mut gone = pin!(signal.reached(Phase::Gone));
        let mut closed = pin!(up.closed());
        while self.signal.phase() == Phase::Open {
            let next = tokio::select! { biased;
                next = self.inbound.next() => next,
                () = gone.as_mut() => break,
                () = closed.as_mut() => return,
            };
            match next {
                Ok(Some(message)) => {
                    if !self.pass(began, message, &up).await {
                        return;
                    }
                }
                Ok(None) => self.signal.raise(Phase::HalfClosed),
                Err(status) => match broken(&status) {
                    Some(refusal) => self.signal.violate(refusal),
                    None => self.signal.raise(Phase::Gone),
                },
            }
        }
        let our_fault = self.signal.phase() == Phase::Draining;
        // A closed mailbox means that the owner has ended the stream already.
        let _ = timeout(limits::CATCH_UP_WAIT, up.send(StreamUp::Stop { our_fault })).await;
    }

    /// Passes one message on; false when the stream is over.
    async fn pass(
        &mut self,
        began: &K::Began,
        message: K::Up,
        up: &mailbox::Sender<StreamUp>,
    ) -> bool {
        match K::up(began, message) {
            Upward::Pass(message) => match up.try_send(StreamUp::Message(Box::new(message))) {
                Ok(()) => true,
                Err(mailbox::SendError::Closed(_)) => false,
                // The owner is behind: the client's own sending waits, which HTTP/2 tells it.
                Err(mailbox::SendError::Full(message)) => tokio::select! { biased;
                    sent = up.send(message) => sent.is_ok(),
                    () = self.signal.reached(Phase::Gone) => true,
                },
            },
            Upward::Refuse(refused) => tokio::select! { biased;
                sent = self.refusing.send(refused) => sent.is_ok(),
                () = self.signal.reached(Phase::Gone) => true,
            },
            Upward::Violation(refusal) => {
                self.signal.violate(refusal);
                true
            }
        }
    }
}

/// What a failed read says about the client: a refusal if it sent garbage, `None` if it has gone.
fn broken(status: &Status) -> Option<Refusal> {
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

enum Source {
    /// The owner has not answered yet.
    Opening(oneshot::Receiver<Opened>),
    /// The stream is on.
    Open(mailbox::Receiver<StreamDown>),
    /// Only last words follow.
    Over,
}

/// The direction from the owner to the client: polled by the connection itself, without a task.
struct Downwards<K: Kind> {
    kind: K,
    edge: Edge,
    ticket: Ticket,
    refused: mailbox::Receiver<K::Down>,
    source: Source,
    begun: bool,
    heard: Instant,
    last_words: VecDeque<Result<K::Down, Status>>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "it lives for one poll; a box would cost an allocation a message"
)]
enum Heard<Down> {
    Opened(Opened),
    Owner(Option<StreamDown>),
    Refused(Down),
    Signal,
}

impl<K: Kind> Downwards<K> {
    async fn next(&mut self) -> Option<Result<K::Down, Status>> {
        loop {
            if let Some(word) = self.last_words.pop_front() {
                return Some(word);
            }
            match self.hear().await? {
                Heard::Opened(Ok(Begun { down, cursor })) => {
                    self.kind.set_cursor(cursor);
                    self.source = Source::Open(down);
                }
                Heard::Opened(Err(refusal)) => self.fail(refusal),
                Heard::Owner(Some(StreamDown::Message(message))) => {
                    if let Some(message) = self.taken(*message) {
                        return Some(Ok(message));
                    }
                }
                Heard::Owner(Some(StreamDown::Failed(refusal))) => self.end(*refusal),
                Heard::Owner(None) => self.end(not_leader(None)),
                Heard::Refused(refused) => return Some(Ok(self.kind.own(refused))),
                Heard::Signal => self.signalled(),
            }
        }
    }

    /// Waits for whatever comes first; `None` when nothing more can come.
    async fn hear(&mut self) -> Option<Heard<K::Down>> {
        let signal = &self.ticket.signal;
        let ending = signal.phase() >= Phase::Draining;
        match &mut self.source {
            Source::Over => None,
            _ if ending => Some(Heard::Signal),
            Source::Opening(opening) => Some(tokio::select! { biased;
                opened = opening => Heard::Opened(opened.unwrap_or_else(|_| Err(internal("the stream was not opened")))),
                () = signal.reached(Phase::Draining) => Heard::Signal,
            }),
            Source::Open(down) => {
                // The busy path: no future is made while messages wait.
                if let Some(message) = down.try_recv() {
                    return Some(Heard::Owner(Some(message)));
                }
                Some(tokio::select! { biased;
                    // A violation closes the owner's side too: it is the reason, not a broken path.
                    message = down.recv() => match message {
                        None if signal.violation().is_some() => Heard::Signal,
                        message => Heard::Owner(message),
                    },
                    Some(refused) = self.refused.recv() => Heard::Refused(refused),
                    () = signal.reached(Phase::Draining) => Heard::Signal,
                })
            }
        }
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

    /// Ends the call itself with a status.
    fn fail(&mut self, refusal: Refusal) {
        self.source = Source::Over;
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
