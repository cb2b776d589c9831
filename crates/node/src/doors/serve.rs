//! The service that peers' edges call: who connects, calls that concern this node itself, joining.
//! Promise: the first frame says who speaks to whom; a forwarded call is answered here or refused.
//! Not here: finding the leader (`mod`), streams (`session`), what a call does (`api::owner`,
//! `control`).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::control::ControlParts;
use domain::ids::NodeId;
use pb::api::v1::Refusal;
use pb::raft::v1::{
    ForwardCall, ForwardHello, ForwardRequest, ForwardResponse, ForwardWindow, JoinRequest,
    JoinResponse, forward_answer, forward_call, forward_request, forward_response,
};
use ports::{Door, Hands};
use rpc::raft::v1::forward_service_server::{ForwardService, ForwardServiceServer};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::credit::WINDOW;
use super::link::FRAME_BYTES_MAX;
use super::presence::{Place, Presence};
use super::session::Session;
use super::{Doors, late, millis};
use crate::control::StateWatch;
use crate::refuse;
use crate::status::OwnAccount;

/// Frames that wait for one connection; full means that streams wait, each with its own bound.
const OUT_FRAMES_MAX: usize = 4_096;
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
    pub(crate) hands: Arc<dyn Hands>,
}

impl Forwards {
    /// The service to mount on the listener between nodes.
    pub(crate) fn service(self) -> ForwardServiceServer<Self> {
        ForwardServiceServer::new(self)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX)
    }

    /// Checks who speaks to whom; the edge, and what it takes of each stream.
    fn greet(&self, first: Option<ForwardRequest>) -> Result<(Place, ForwardWindow), Status> {
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
            Some(node) if node.removed_wall_ms.is_none() => {
                let place = Place {
                    node: node_id,
                    site: node.site.clone(),
                };
                let window = hello.window.ok_or_else(|| {
                    Status::failed_precondition("hello does not say how much of a stream it takes")
                })?;
                Ok((place, window))
            }
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
            window: Some(WINDOW),
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
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let (edge, window) = self.greet(first)?;
        let (out, frames) = mpsc::channel(OUT_FRAMES_MAX);
        // The queue is new: there is room for the first frame.
        let _ = out.try_send(self.hello());
        let session = Session::new(self, &edge, window, out);
        let (control, edge) = (self.control.clone(), edge.node);
        let lane = self.doors.shared.env.edge.clone();
        let stop = self.doors.shared.stop.clone();
        lane.spawn("forward session", async move {
            tokio::select! {
                biased;
                () = stop.stopped() => {}
                () = removed(control, edge) => {}
                () = session.take(incoming) => {}
                () = session.tell() => {}
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

/// Whether this node itself is meant, not a group that it may lead.
fn is_of_node(request: &forward_call::Request) -> bool {
    use forward_call::Request;
    matches!(
        request,
        Request::GetLogLevel(_)
            | Request::SetLogLevel(_)
            | Request::ReloadConfig(_)
            | Request::GetNodeReport(_)
    )
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

impl Forwards {
    /// Answers a call that came through `edge`.
    pub(super) async fn answer(
        &self,
        edge: NodeId,
        call: ForwardCall,
    ) -> Result<forward_answer::Response, Refusal> {
        match &call.request {
            Some(forward_call::Request::NodeStatus(_)) => {
                return Ok(forward_answer::Response::NodeStatus(self.account.account()));
            }
            Some(forward_call::Request::FloorView(_)) => {
                let floor = self.account.floor(call.group);
                let floor = floor.ok_or_else(|| refuse::not_leader(None))?;
                return Ok(forward_answer::Response::FloorView(floor));
            }
            Some(
                request @ (forward_call::Request::ArchiveHolds(_)
                | forward_call::Request::ArchiveGet(_)
                | forward_call::Request::ArchiveFind(_)
                | forward_call::Request::ArchiveHashes(_)
                | forward_call::Request::ArchiveCopy(_)),
            ) => {
                let archive = self.account.archive(call.group);
                let archive = archive.ok_or_else(|| refuse::not_leader(None))?;
                let answer = crate::archive::answer(&archive, request).await;
                return answer.ok_or_else(refuse::no_answer);
            }
            Some(forward_call::Request::CellMark(asked)) => {
                let mark = self.account.cell_mark(call.group, asked.index);
                let mark = mark.ok_or_else(|| refuse::not_leader(None))?;
                return Ok(forward_answer::Response::CellMark(mark));
            }
            Some(forward_call::Request::Prove(ask)) => {
                let proof = self.account.prove(call.group, ask.clone());
                let proof = proof.ok_or_else(|| refuse::not_leader(None))?;
                return Ok(forward_answer::Response::Prove(proof));
            }
            Some(forward_call::Request::SkipWord(word)) => {
                let logged = self.account.skip(call.group, word.clone()).await?;
                return Ok(forward_answer::Response::SkipWord(logged));
            }
            Some(request) if is_of_node(request) => {
                return self.hands.act("", request.clone()).await;
            }
            _ => {}
        }
        let wait = Duration::from_millis(call.deadline_ms);
        let late = late(&call);
        let answering = timeout(wait, self.doors.call_here(edge, call));
        answering.await.unwrap_or(Err(late))
    }
}
