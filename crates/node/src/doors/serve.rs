//! The owner's end of forwarded calls: takes frames, asks the owners on this node, sends answers.
//! Promise: the first frame says who speaks to whom; one stream that overflows ends alone; a
//! forwarded call is answered here or refused.
//! Not here: finding the leader (`mod`), what a call does (`api::owner`, `control`).

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::control::ControlParts;
use domain::ids::NodeId;
use parking_lot::Mutex;
use pb::api::v1::Refusal;
use pb::raft::v1::{
    ForwardAnswer, ForwardCall, ForwardDown, ForwardHello, ForwardRequest, ForwardResponse,
    ForwardUp, JoinRequest, JoinResponse, forward_answer, forward_call, forward_request,
    forward_response,
};
use ports::{Door, StreamDown, StreamUp};
use rpc::raft::v1::forward_service_server::{ForwardService, ForwardServiceServer};
use runtime::mailbox;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::link::FRAME_BYTES_MAX;
use super::piped::DoorStream;
use super::presence::{Mark, Place, Presence};
use super::{Doors, late, millis};
use crate::control::StateWatch;
use crate::refuse;
use crate::status::OwnAccount;

/// Frames that wait for one connection; full means that streams wait, each with its own bound.
const OUT_FRAMES_MAX: usize = 4_096;
/// Unary calls of one connection under way; one more is refused.
const CALLS_MAX: usize = 1_024;
/// Streams of one connection: those that one node serves to clients (20,000), rounded up. One more is
/// refused.
const STREAMS_MAX: usize = 32_768;
/// Messages of one stream that wait until its owner has opened it.
const OPENING_MAX: usize = 64;
/// Messages of one client that wait for the owner: one more ends the stream.
const STREAM_UP_BOUND: usize = 256;
/// The first frame must come within this time.
const HELLO_WAIT: Duration = Duration::from_secs(5);
/// A joining node waits this long for the control group.
const JOIN_DEADLINE: Duration = Duration::from_secs(10);

/// The service that peers' edges call.
#[derive(Clone)]
pub(crate) struct Forwards {
    pub(crate) doors: Doors,
    pub(crate) presence: Presence,
    pub(crate) control: StateWatch,
    pub(crate) account: Arc<dyn OwnAccount>,
}

impl Forwards {
    /// The service to mount on the listener between nodes.
    pub(crate) fn service(self) -> ForwardServiceServer<Self> {
        ForwardServiceServer::new(self)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX)
    }

    /// Checks who speaks to whom.
    fn greet(&self, first: Option<ForwardRequest>) -> Result<Place, Status> {
        let Some(forward_request::Frame::Hello(hello)) = first.and_then(|request| request.frame)
        else {
            return Err(Status::failed_precondition("the first frame must be hello"));
        };
        let us = &self.doors.shared.speaker;
        if hello.cluster_id != us.cluster_id {
            let message = format!(
                "node {} is of cluster {}, not of {}",
                us.node_id, us.cluster_id, hello.cluster_id
            );
            return Err(Status::failed_precondition(message));
        }
        if hello.to_node != us.node_id {
            let message = format!("this is node {}, not node {}", us.node_id, hello.to_node);
            return Err(Status::failed_precondition(message));
        }
        let parts = self.control.borrow();
        let node_id = NodeId(hello.from_node);
        match parts.nodes.get(&node_id) {
            Some(node) if node.removed_wall_ms.is_none() => Ok(Place {
                node: node_id,
                site: node.site.clone(),
            }),
            Some(_) => Err(Status::failed_precondition(format!(
                "node {node_id} was removed from the cluster: stop it and join again with an empty \
                 data directory"
            ))),
            None => Err(Status::failed_precondition(format!(
                "node {node_id} is not known to be a member here: if it has just joined, it will be \
                 in a moment; else join with an empty data directory"
            ))),
        }
    }

    fn hello(&self) -> ForwardResponse {
        let us = &self.doors.shared.speaker;
        let hello = ForwardHello {
            cluster_id: us.cluster_id.clone(),
            from_node: us.node_id,
            to_node: 0,
        };
        ForwardResponse {
            call: 0,
            frame: Some(forward_response::Frame::Hello(hello)),
        }
    }
}

#[async_trait::async_trait]
impl ForwardService for Forwards {
    type ForwardStream =
        Pin<Box<dyn futures::Stream<Item = Result<ForwardResponse, Status>> + Send>>;

    async fn forward(
        &self,
        request: Request<Streaming<ForwardRequest>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        let mut incoming = request.into_inner();
        let first = timeout(HELLO_WAIT, incoming.message()).await;
        let edge = self.greet(first.map_err(|_| Status::deadline_exceeded("no hello came"))??)?;
        let (out, frames) = mpsc::channel(OUT_FRAMES_MAX);
        // The queue is new: there is room for the first frame.
        let _ = out.try_send(self.hello());
        let session = Session {
            forwards: self.clone(),
            out,
            streams: Arc::default(),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            _mark: self.presence.connected(&edge),
            edge: edge.node,
        };
        let (control, edge) = (self.control.clone(), edge.node);
        let lane = self.doors.shared.env.edge.clone();
        let stop = self.doors.shared.stop.clone();
        lane.spawn("forward session", async move {
            tokio::select! {
                biased;
                () = stop.stopped() => {}
                () = removed(control, edge) => {}
                () = session.take(incoming) => {}
            }
            session.end();
        })
        .detach();
        let frames = futures::StreamExt::map(ReceiverStream::new(frames), Ok);
        Ok(Response::new(Box::pin(frames)))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let ours = &self.doors.shared.speaker.cluster_id;
        let theirs = &request.get_ref().cluster_id;
        if !theirs.is_empty() && theirs != ours {
            // Answered by any node, leader or not: a directory in the wrong place is named at once.
            let refusal = crate::control::wrong_cluster(ours, theirs);
            return Err(crate::join::status(&refusal));
        }
        let call = ForwardCall {
            group: 0,
            deadline_ms: millis(JOIN_DEADLINE),
            request: Some(forward_call::Request::Join(request.into_inner())),
            ..ForwardCall::default()
        };
        match self.doors.call(call).await {
            Ok(forward_answer::Response::Join(joined)) => Ok(Response::new(joined)),
            Ok(_) => Err(Status::internal(
                "the control group answered something else",
            )),
            Err(refusal) => Err(crate::join::status(&refusal)),
        }
    }
}

/// Resolves when the node is removed from the cluster.
async fn removed(mut control: StateWatch, node: NodeId) {
    let removed = |parts: &Arc<ControlParts>| {
        let known = parts.nodes.get(&node);
        known.is_some_and(|node| node.removed_wall_ms.is_some())
    };
    if control.wait_for(removed).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A stream of this connection.
enum Stream {
    /// Its owner is still opening it; what came meanwhile waits.
    Opening(Vec<StreamUp>),
    /// Its owner takes messages.
    Open(mailbox::Sender<StreamUp>),
}

type Streams = Arc<Mutex<BTreeMap<u64, Stream>>>;

/// Enters a stream that is to be opened; `None` where its number is taken, which changes nothing.
fn begin(streams: &mut BTreeMap<u64, Stream>, call: u64) -> Option<Result<(), Refusal>> {
    if streams.contains_key(&call) {
        return None;
    }
    if streams.len() >= STREAMS_MAX {
        return Some(Err(refuse::exhausted("forwarded streams", STREAMS_MAX)));
    }
    streams.insert(call, Stream::Opening(Vec::new()));
    Some(Ok(()))
}

/// One connection from one edge.
struct Session {
    forwards: Forwards,
    out: mpsc::Sender<ForwardResponse>,
    streams: Streams,
    calls: Arc<Semaphore>,
    edge: NodeId,
    _mark: Mark,
}

impl Session {
    async fn take(&self, mut incoming: Streaming<ForwardRequest>) {
        use forward_request::Frame;
        while let Ok(Some(request)) = incoming.message().await {
            let call = request.call;
            let refused = match request.frame {
                Some(Frame::Up(up)) => self.up(call, up),
                Some(Frame::Unary(unary)) => self.unary(call, unary),
                Some(Frame::Stop(stop)) => {
                    self.pass(
                        call,
                        StreamUp::Stop {
                            our_fault: stop.our_fault,
                        },
                    );
                    None
                }
                Some(Frame::Hello(_)) | None => None,
            };
            if let Some(refusal) = refused
                && self.out.send(failed(call, refusal)).await.is_err()
            {
                return;
            }
        }
    }

    fn unary(&self, call: u64, unary: ForwardCall) -> Option<Refusal> {
        let Ok(permit) = self.calls.clone().try_acquire_owned() else {
            return Some(refuse::exhausted("forwarded calls", CALLS_MAX));
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
            let _ = out
                .send(ForwardResponse {
                    call,
                    frame: Some(frame),
                })
                .await;
            drop(permit);
        };
        self.forwards
            .doors
            .shared
            .env
            .edge
            .spawn("forwarded call", answering)
            .detach();
        None
    }

    fn up(&self, call: u64, up: ForwardUp) -> Option<Refusal> {
        if up.group != 0 {
            return self.open(call, up);
        }
        self.pass(call, StreamUp::Message(Box::new(up.request?)))
    }

    /// Gives a message to a stream's owner; a stream that overflows is ended.
    fn pass(&self, call: u64, message: StreamUp) -> Option<Refusal> {
        let mut streams = self.streams.lock();
        match streams.get_mut(&call)? {
            Stream::Opening(waiting) if waiting.len() < OPENING_MAX => {
                waiting.push(message);
                None
            }
            Stream::Open(up) if up.try_send(message).is_ok() => None,
            Stream::Open(up) if up.is_closed() => None,
            Stream::Opening(_) | Stream::Open(_) => {
                streams.remove(&call);
                Some(refuse::exhausted("messages of one stream", OPENING_MAX))
            }
        }
    }

    fn open(&self, call: u64, first: ForwardUp) -> Option<Refusal> {
        if let Err(refusal) = begin(&mut self.streams.lock(), call)? {
            return Some(refusal);
        }
        let (doors, out, streams) = (
            self.forwards.doors.clone(),
            self.out.clone(),
            self.streams.clone(),
        );
        let edge = self.edge;
        let serving = async move {
            let opening = doors.open_here(edge, first).await;
            let lane = &doors.shared.env.edge;
            let last = match opening {
                Ok(opened) => {
                    let opened = DoorStream::of(opened, STREAM_UP_BOUND, lane);
                    serve_stream(opened, call, &out, &streams).await
                }
                Err(refusal) => refusal,
            };
            streams.lock().remove(&call);
            // An edge that is gone needs no last word.
            let _ = out.send(failed(call, last)).await;
        };
        self.forwards
            .doors
            .shared
            .env
            .edge
            .spawn("forwarded stream", serving)
            .detach();
        None
    }

    /// The edge is gone: its streams' owners learn that the clients were cut off by us.
    fn end(&self) {
        for (_, stream) in std::mem::take(&mut *self.streams.lock()) {
            if let Stream::Open(up) = stream {
                // Dropping the sender says the same, without whose fault it was.
                let _ = up.try_send(StreamUp::Stop { our_fault: true });
            }
        }
    }
}

impl Forwards {
    async fn answer(
        &self,
        edge: NodeId,
        call: ForwardCall,
    ) -> Result<forward_answer::Response, Refusal> {
        if let Some(forward_call::Request::NodeStatus(_)) = &call.request {
            return Ok(forward_answer::Response::NodeStatus(self.account.account()));
        }
        let wait = Duration::from_millis(call.deadline_ms);
        let late = late(&call);
        let answering = timeout(wait, self.doors.call_here(edge, call));
        answering.await.unwrap_or(Err(late))
    }
}

/// Serves one stream until its owner ends it; gives the last word.
async fn serve_stream(
    mut opened: DoorStream,
    call: u64,
    out: &mpsc::Sender<ForwardResponse>,
    streams: &Streams,
) -> Refusal {
    {
        let mut streams = streams.lock();
        // Missing: it overflowed or the edge has gone while it was opened.
        let Some(Stream::Opening(waiting)) = streams.insert(call, Stream::Open(opened.up.clone()))
        else {
            streams.remove(&call);
            let our_fault = out.is_closed();
            // An owner that has no room for this at its start has none for the stream.
            let _ = opened.up.try_send(StreamUp::Stop { our_fault });
            return Refusal::default();
        };
        for message in waiting {
            // An owner that has no room for these has none for the stream.
            if opened.up.try_send(message).is_err() {
                return refuse::exhausted("messages of one stream", OPENING_MAX);
            }
        }
    }
    drop(opened.up);
    while let Some(down) = opened.down.recv().await {
        let message = match down {
            StreamDown::Message(response) => ForwardDown {
                response: Some(*response),
            },
            StreamDown::Failed(refusal) => return *refusal,
        };
        let frame = ForwardResponse {
            call,
            frame: Some(forward_response::Frame::Down(message)),
        };
        if out.send(frame).await.is_err() {
            break;
        }
    }
    Refusal::default()
}

/// The last word on a call or stream; an empty refusal ends a stream quietly.
fn failed(call: u64, refusal: Refusal) -> ForwardResponse {
    ForwardResponse {
        call,
        frame: Some(forward_response::Frame::Failed(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use pb::api::v1::ErrorReason;

    use super::*;

    #[test]
    fn a_stream_beyond_the_bound_of_its_connection_is_refused() {
        let mut streams = BTreeMap::new();
        for call in 0..STREAMS_MAX as u64 {
            assert_eq!(begin(&mut streams, call), Some(Ok(())));
        }
        assert_eq!(begin(&mut streams, 0), None, "its number is taken");
        let refused = begin(&mut streams, u64::MAX).unwrap().unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::ResourceExhausted);
        assert!(refused.retry_after_ms > 0);
        streams.pop_first();
        assert_eq!(begin(&mut streams, u64::MAX), Some(Ok(())));
    }
}
