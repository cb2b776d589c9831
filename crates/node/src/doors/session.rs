//! One connection from one edge, at the owner's end: takes its frames, asks the owners on this node.
//! Promise: a stream never has more on its way than its two windows; one that is slow waits alone, one
//! that keeps to no window ends alone; what the edge granted is what goes down.
//! Not here: who connects (`serve`), how much (`credit`), what a stream does (`api::owner`).

use std::collections::{BTreeMap, VecDeque};
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use domain::ids::NodeId;
use futures::future::Either;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use pb::api::v1::Refusal;
use pb::raft::v1::{
    ForwardAnswer, ForwardCall, ForwardDown, ForwardGrant, ForwardRequest, ForwardResponse,
    ForwardUp, ForwardWindow, forward_request, forward_response,
};
use ports::{ClientSide, Downs, Opened, StreamDown, StreamUp};
use runtime::{Lane, mailbox};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tonic::Streaming;

use super::credit::{Credit, Read, Room, WINDOW};
use super::news::{News, Telling};
use super::presence::{Mark, Place};
use super::serve::Forwards;
use crate::refuse;

/// Unary calls of one connection under way; one more is refused.
const CALLS_MAX: usize = 1_024;
/// Streams of one connection: those that one node serves to clients (20,000), rounded up. One more is
/// refused.
const STREAMS_MAX: usize = 32_768;
/// Messages of one client that are with the owner: a burst, so that the two tasks on the way do not take
/// turns at every message.
const STREAM_UP_BOUND: usize = 64;
/// Messages of one stream that wait until its owner has room: what the edge was granted, and its stop.
const WAITING_MAX: usize = WINDOW.messages as usize + 1;

/// A stream of this connection.
struct Stream {
    /// The owner's mailbox, once it has opened the stream.
    up: Option<mailbox::Sender<StreamUp>>,
    /// What came before the owner had opened the stream or had room; nothing passes it by.
    waiting: VecDeque<StreamUp>,
    /// A task brings what waits to the owner.
    catching_up: bool,
    /// What the owner got and the edge was not told of yet.
    read: Read,
    /// The way down.
    down: Arc<Credit>,
}

type Streams = Arc<Mutex<BTreeMap<u64, Stream>>>;

/// What became of a message on its way up.
enum Passed {
    /// The owner has it, or there is nobody who could have it.
    Done,
    /// So many may follow.
    Grant(u32),
    /// It waits, and somebody has to bring it.
    CatchUp(mailbox::Sender<StreamUp>),
    /// The edge has sent more than it was granted.
    TooMany,
}

impl Stream {
    fn new(down: Arc<Credit>) -> Self {
        Self {
            up: None,
            waiting: VecDeque::new(),
            catching_up: false,
            read: Read::default(),
            down,
        }
    }

    /// Gives a message to the owner, or lets it wait.
    fn pass(&mut self, message: StreamUp) -> Passed {
        let message = match &self.up {
            Some(up) if self.waiting.is_empty() => {
                let weight = message.weight();
                match up.try_send(message) {
                    Ok(()) => return self.noted(weight),
                    Err(mailbox::SendError::Closed(_)) => return Passed::Done,
                    Err(mailbox::SendError::Full(message)) => message,
                }
            }
            _ => message,
        };
        if self.waiting.len() >= WAITING_MAX {
            return Passed::TooMany;
        }
        self.waiting.push_back(message);
        self.catch_up()
    }

    fn noted(&mut self, weight: usize) -> Passed {
        self.read.note(weight).map_or(Passed::Done, Passed::Grant)
    }

    /// Asks for somebody who brings what waits, if nobody does yet.
    fn catch_up(&mut self) -> Passed {
        match &self.up {
            Some(up) if !self.waiting.is_empty() && !self.catching_up => {
                self.catching_up = true;
                Passed::CatchUp(up.clone())
            }
            _ => Passed::Done,
        }
    }
}

/// Enters a stream that is to be opened; `None` where its number is taken, which changes nothing.
fn begin(
    streams: &mut BTreeMap<u64, Stream>,
    call: u64,
    down: &Arc<Credit>,
) -> Option<Result<(), Refusal>> {
    if streams.contains_key(&call) {
        return None;
    }
    if streams.len() >= STREAMS_MAX {
        return Some(Err(refuse::exhausted("forwarded streams", STREAMS_MAX)));
    }
    streams.insert(call, Stream::new(down.clone()));
    Some(Ok(()))
}

/// One connection from one edge.
pub(super) struct Session {
    forwards: Forwards,
    out: mpsc::Sender<ForwardResponse>,
    streams: Streams,
    telling: Arc<Telling>,
    calls: Arc<Semaphore>,
    edge: NodeId,
    /// What the edge takes of each stream.
    window: ForwardWindow,
    _mark: Mark,
}

impl Session {
    pub(super) fn new(
        forwards: &Forwards,
        edge: &Place,
        window: ForwardWindow,
        out: mpsc::Sender<ForwardResponse>,
    ) -> Self {
        Self {
            forwards: forwards.clone(),
            out,
            streams: Arc::default(),
            telling: Arc::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            edge: edge.node,
            window,
            _mark: forwards.presence.connected(edge),
        }
    }

    /// Tells the edge what was read, for as long as the connection lasts: whoever reads what it sends never
    /// waits for what goes to it.
    pub(super) async fn tell(&self) {
        let frames = |call, news: News| vec![granted(call, news.read)];
        self.telling.tell(&self.out, frames).await;
    }

    pub(super) async fn take(&self, mut incoming: Streaming<ForwardRequest>) {
        while let Ok(Some(request)) = incoming.message().await {
            let call = request.call;
            if let Some(answer) = request.frame.and_then(|frame| self.frame(call, frame))
                && self.out.send(answer).await.is_err()
            {
                return;
            }
        }
    }

    /// Takes one frame; what is to be answered at once.
    fn frame(&self, call: u64, frame: forward_request::Frame) -> Option<ForwardResponse> {
        use forward_request::Frame;
        match frame {
            Frame::Up(up) if up.group != 0 => self.open(call, up),
            Frame::Up(up) => self.pass(call, StreamUp::of(up)?),
            Frame::Unary(unary) => self.unary(call, unary),
            Frame::Stop(stop) => {
                let our_fault = stop.our_fault;
                self.pass(call, StreamUp::Stop { our_fault })
            }
            Frame::Grant(grant) => {
                self.down_of(call)?.grant(grant.messages);
                None
            }
            Frame::Unread(_) => {
                self.down_of(call)?.close();
                None
            }
            Frame::Hello(_) => None,
        }
    }

    fn down_of(&self, call: u64) -> Option<Arc<Credit>> {
        let streams = self.streams.lock();
        streams.get(&call).map(|stream| stream.down.clone())
    }

    fn unary(&self, call: u64, unary: ForwardCall) -> Option<ForwardResponse> {
        let Ok(permit) = self.calls.clone().try_acquire_owned() else {
            return Some(failed(
                call,
                refuse::exhausted("forwarded calls", CALLS_MAX),
            ));
        };
        let (forwards, out, edge) = (self.forwards.clone(), self.out.clone(), self.edge);
        let answering = async move {
            let frame = match forwards.answer(edge, unary).await {
                Ok(response) => forward_response::Frame::Answer(ForwardAnswer {
                    response: Some(response),
                }),
                Err(refusal) => forward_response::Frame::Failed(refusal),
            };
            // An edge that is gone asks again elsewhere.
            let _ = out.send(response(call, frame)).await;
            drop(permit);
        };
        self.spawn("forwarded call", answering);
        None
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let lane = &self.forwards.doors.shared.env.edge;
        lane.spawn(name, task).detach();
    }

    /// Gives a message to a stream's owner.
    fn pass(&self, call: u64, message: StreamUp) -> Option<ForwardResponse> {
        let mut streams = self.streams.lock();
        let stream = streams.get_mut(&call)?;
        match stream.pass(message) {
            Passed::Done => None,
            Passed::Grant(messages) => {
                self.telling.note(call, |news| news.read += messages);
                None
            }
            Passed::CatchUp(up) => {
                let (streams, telling) = (self.streams.clone(), self.telling.clone());
                self.spawn("forwarded stream up", bring(call, up, streams, telling));
                None
            }
            Passed::TooMany => {
                let stream = streams.remove(&call)?;
                drop(streams);
                self.finish(stream);
                let refusal = refuse::internal("the edge sent more than it was granted");
                Some(failed(call, refusal))
            }
        }
    }

    fn open(&self, call: u64, first: ForwardUp) -> Option<ForwardResponse> {
        let credit = Arc::new(Credit::new(self.window));
        if let Err(refusal) = begin(&mut self.streams.lock(), call, &credit)? {
            return Some(failed(call, refusal));
        }
        let (doors, edge) = (self.forwards.doors.clone(), self.edge);
        let served = Served {
            call,
            credit,
            out: self.out.clone(),
            streams: self.streams.clone(),
            telling: self.telling.clone(),
            lane: self.forwards.doors.shared.env.edge.clone(),
        };
        // Boxed: the task keeps the room that its first part took, for as long as the stream is on.
        let opening = async move { doors.open_here(edge, first).await }.boxed();
        let serving = async move {
            let last = match opening.await {
                Ok(opened) => served.serve(opened).await,
                Err(refusal) => refusal,
            };
            served.streams.lock().remove(&served.call);
            // An edge that is gone needs no last word.
            served.say(failed(served.call, last)).await;
        };
        self.spawn("forwarded stream", serving);
        None
    }

    /// The edge is gone: its streams' owners learn that the clients were cut off by us.
    pub(super) fn end(&self) {
        let streams = std::mem::take(&mut *self.streams.lock());
        for stream in streams.into_values() {
            self.finish(stream);
        }
    }

    /// Ends a stream that is out of the table by our fault. What came up before still reaches its owner,
    /// however far that is behind.
    fn finish(&self, stream: Stream) {
        stream.down.close();
        let Some(up) = stream.up else {
            // Not opened yet: whoever opens it finds it gone.
            return;
        };
        let mut rest = stream.waiting;
        rest.push_back(StreamUp::Stop { our_fault: true });
        while let Some(message) = rest.pop_front() {
            let Err(mailbox::SendError::Full(message)) = up.try_send(message) else {
                continue;
            };
            rest.push_front(message);
            let finishing = async move {
                for message in rest {
                    if up.send(message).await.is_err() {
                        return;
                    }
                }
            };
            return self.spawn("forwarded stream ends", finishing);
        }
    }
}

/// Brings to an owner that is behind what waits for it, until nothing waits.
async fn bring(call: u64, up: mailbox::Sender<StreamUp>, streams: Streams, telling: Arc<Telling>) {
    while let Ok(place) = up.reserve().await {
        let passed = {
            let mut streams = streams.lock();
            let Some(stream) = streams.get_mut(&call) else {
                return;
            };
            let Some(message) = stream.waiting.pop_front() else {
                stream.catching_up = false;
                return;
            };
            let weight = message.weight();
            place.send(message);
            stream.noted(weight)
        };
        if let Passed::Grant(messages) = passed {
            telling.note(call, |news| news.read += messages);
        }
    }
}

/// What the edge has sent of one stream.
struct Sent(mailbox::Receiver<StreamUp>);

impl futures::Stream for Sent {
    type Item = StreamUp;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamUp>> {
        self.0.poll_next_unpin(context)
    }
}

/// A stream that is dropped before its stop was read ends with its connection.
impl ClientSide for Sent {
    fn our_fault(&self) -> bool {
        true
    }
}

/// A stream that its owner serves.
struct Served {
    call: u64,
    credit: Arc<Credit>,
    out: mpsc::Sender<ForwardResponse>,
    streams: Streams,
    telling: Arc<Telling>,
    lane: Lane,
}

impl Served {
    /// Serves the stream until its owner ends it; gives the last word.
    async fn serve(&self, opened: Opened) -> Refusal {
        let (up, ups) = mailbox::bounded("stream.up", STREAM_UP_BOUND);
        if !self.enter(up) {
            // The edge has gone while it was opened, or sent too much: nobody has joined it.
            return Refusal::default();
        }
        let mut downs = opened.join(Box::pin(Sent(ups)));
        loop {
            match self.next(&mut downs).await {
                Some(Some(StreamDown::Message(message))) => {
                    let frame = forward_response::Frame::Down(ForwardDown {
                        response: Some(*message),
                    });
                    if !self.say(response(self.call, frame)).await {
                        return self.end(downs).await;
                    }
                }
                Some(Some(StreamDown::Failed(refusal))) => return *refusal,
                Some(None) => return Refusal::default(),
                None => return self.end(downs).await,
            }
        }
    }

    /// Nobody reads any more: what is said is dropped, until the owner has heard the stream's stop and whose
    /// fault it was.
    async fn end(&self, mut downs: Downs) -> Refusal {
        while downs.next().await.is_some() {}
        Refusal::default()
    }

    /// Lets what comes up reach the owner; `false` when the stream is over already.
    fn enter(&self, up: mailbox::Sender<StreamUp>) -> bool {
        let mut streams = self.streams.lock();
        let Some(stream) = streams.get_mut(&self.call) else {
            return false;
        };
        stream.up = Some(up);
        let passed = stream.catch_up();
        drop(streams);
        if let Passed::CatchUp(up) = passed {
            let bringing = bring(self.call, up, self.streams.clone(), self.telling.clone());
            self.lane.spawn("forwarded stream up", bringing).detach();
        }
        true
    }

    /// Gives a frame to the connection as that has room; `false` when it is gone. A frame is held only while
    /// it waits, and a stream that says nothing keeps no room for one.
    fn say(&self, frame: ForwardResponse) -> impl Future<Output = bool> {
        match self.out.try_send(frame) {
            Ok(()) => Either::Left(ready(true)),
            Err(TrySendError::Closed(_)) => Either::Left(ready(false)),
            Err(TrySendError::Full(frame)) => {
                let sending = async move { self.out.send(frame).await.is_ok() };
                Either::Right(sending.boxed())
            }
        }
    }

    /// The owner's next message, once the edge has room for it; `None` when nobody reads any more.
    async fn next(&self, downs: &mut Downs) -> Option<Option<StreamDown>> {
        let pulled = poll_fn(|context| match self.credit.watch(context) {
            Room::Closed => Poll::Ready(None),
            Room::None => Poll::Pending,
            Room::Some => downs.poll_next_unpin(context).map(Some),
        });
        let message = pulled.await?;
        if let Some(message @ StreamDown::Message(_)) = &message {
            self.credit.spend(message.weight());
        }
        Some(message)
    }
}

fn response(call: u64, frame: forward_response::Frame) -> ForwardResponse {
    ForwardResponse {
        call,
        frame: Some(frame),
    }
}

/// So many messages may follow.
fn granted(call: u64, messages: u32) -> ForwardResponse {
    response(
        call,
        forward_response::Frame::Grant(ForwardGrant { messages }),
    )
}

/// The last word on a call or stream; an empty refusal ends a stream quietly.
fn failed(call: u64, refusal: Refusal) -> ForwardResponse {
    response(call, forward_response::Frame::Failed(refusal))
}

#[cfg(test)]
mod tests {
    use pb::api::v1::ErrorReason;

    use super::*;

    #[test]
    fn a_stream_beyond_the_bound_of_its_connection_is_refused() {
        let mut streams = BTreeMap::new();
        let down = Arc::new(Credit::new(WINDOW));
        for call in 0..STREAMS_MAX as u64 {
            assert_eq!(begin(&mut streams, call, &down), Some(Ok(())));
        }
        assert_eq!(begin(&mut streams, 0, &down), None, "its number is taken");
        let refused = begin(&mut streams, u64::MAX, &down).unwrap().unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::ResourceExhausted);
        assert!(refused.retry_after_ms > 0);
        streams.pop_first();
        assert_eq!(begin(&mut streams, u64::MAX, &down), Some(Ok(())));
    }

    #[test]
    fn an_edge_that_keeps_to_no_window_is_found_out() {
        let mut stream = Stream::new(Arc::new(Credit::new(WINDOW)));
        let (up, _ups) = mailbox::bounded("test.up", 1);
        stream.up = Some(up);
        let mut passed = || stream.pass(StreamUp::Stop { our_fault: false });
        assert!(matches!(passed(), Passed::Done));
        assert!(matches!(passed(), Passed::CatchUp(_)));
        for _ in 1..WAITING_MAX {
            assert!(matches!(passed(), Passed::Done));
        }
        assert!(matches!(passed(), Passed::TooMany));
    }
}
