//! `FloorService` at the edge.
//! Promise: lists are linearizable; the floor stream is read from the node's own replica, else from
//! another node's, may be stale and says how far it is.
//! Not here: counting (`domain`), the listings themselves (`owner`).

use std::time::Duration;

use futures::stream;
use pb::api::v1::*;
use rpc::api::v1::floor_service_server::FloorService;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status};

use super::Edge;
use super::calls::{ask, patience};
use super::stream::Responses;
use super::streams::Ticket;
use crate::errors::{node_draining, status};
use crate::{check, limits};

/// `FloorService` of one node.
#[derive(Clone)]
pub struct Floors(pub Edge);

impl Floors {
    fn cell(&self) -> u32 {
        self.0.homes().of_floor().0
    }
}

/// The result of one RPC.
type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl FloorService for Floors {
    type WatchFloorStream = Responses<WatchFloorResponse>;

    async fn watch_floor(
        &self,
        request: Request<WatchFloorRequest>,
    ) -> Answer<Self::WatchFloorStream> {
        let every_ms = match request.into_inner().every_ms {
            0 => limits::FLOOR_EVERY_MS_USUAL,
            asked => asked.clamp(limits::FLOOR_EVERY_MS_MIN, limits::FLOOR_EVERY_MS_MAX),
        };
        let edge = &self.0;
        if edge.cluster().draining() {
            return Err(status(node_draining(&edge.cluster().node_name())));
        }
        let watcher = Watcher {
            edge: edge.clone(),
            ticket: edge.streams().enter().map_err(status)?,
            applied: edge.floor().applied(),
            every: Duration::from_millis(u64::from(every_ms)),
            next: Instant::now(),
            shown: None,
        };
        let responses = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            let (response, goes_on) = match watcher.next().await {
                Ok(view) => (watch_floor_response::Response::Floor(view), Some(watcher)),
                Err(ended) => (watch_floor_response::Response::Ended(ended), None),
            };
            let response = Some(response);
            Some((Ok(WatchFloorResponse { response }), goes_on))
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn list_queues(&self, request: Request<ListQueuesRequest>) -> Answer<ListQueuesResponse> {
        let patience = patience(request.metadata());
        ask!(
            self.0,
            self.cell(),
            patience,
            ListQueues(request.into_inner())
        )
        .map(Response::new)
    }

    async fn get_queue(&self, request: Request<GetQueueRequest>) -> Answer<GetQueueResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::name("queue", &request.queue).map_err(status)?;
        ask!(self.0, self.cell(), patience, GetQueue(request)).map(Response::new)
    }

    async fn list_agents(&self, request: Request<ListAgentsRequest>) -> Answer<ListAgentsResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::name_or_empty("site", &request.site).map_err(status)?;
        check::name_or_empty("page_token", &request.page_token).map_err(status)?;
        ask!(self.0, self.cell(), patience, ListAgents(request)).map(Response::new)
    }

    async fn get_agent(&self, request: Request<GetAgentRequest>) -> Answer<GetAgentResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::name("agent", &request.agent).map_err(status)?;
        let cell = self.0.homes().of_agent(&request.agent);
        ask!(self.0, cell.0, patience, GetAgent(request)).map(Response::new)
    }

    async fn list_conversations(
        &self,
        request: Request<ListConversationsRequest>,
    ) -> Answer<ListConversationsResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::name_or_empty("queue", &request.queue).map_err(status)?;
        check::name_or_empty("agent", &request.agent).map_err(status)?;
        check::name_or_empty("page_token", &request.page_token).map_err(status)?;
        ask!(self.0, self.cell(), patience, ListConversations(request)).map(Response::new)
    }

    async fn get_conversation(
        &self,
        request: Request<GetConversationRequest>,
    ) -> Answer<GetConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            GetConversation(request)
        )
        .map(Response::new)
    }

    async fn search_archive(
        &self,
        request: Request<SearchArchiveRequest>,
    ) -> Answer<SearchArchiveResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        for (field, name) in [
            ("customer", &request.customer),
            ("account", &request.account),
            ("agent", &request.agent),
            ("page_token", &request.page_token),
        ] {
            check::name_or_empty(field, name).map_err(status)?;
        }
        ask!(self.0, self.cell(), patience, SearchArchive(request)).map(Response::new)
    }

    async fn end_conversation(
        &self,
        request: Request<EndConversationRequest>,
    ) -> Answer<EndConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::staff::end(&request).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            EndConversation(request)
        )
        .map(Response::new)
    }

    async fn transfer_conversation(
        &self,
        request: Request<FloorServiceTransferConversationRequest>,
    ) -> Answer<FloorServiceTransferConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::staff::transfer(&request).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            TransferConversation(request)
        )
        .map(Response::new)
    }

    async fn requeue_conversation(
        &self,
        request: Request<RequeueConversationRequest>,
    ) -> Answer<RequeueConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::staff::requeue(&request).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            RequeueConversation(request)
        )
        .map(Response::new)
    }

    async fn assign_conversation(
        &self,
        request: Request<AssignConversationRequest>,
    ) -> Answer<AssignConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::staff::assign(&request).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            AssignConversation(request)
        )
        .map(Response::new)
    }

    async fn release_conversation(
        &self,
        request: Request<ReleaseConversationRequest>,
    ) -> Answer<ReleaseConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::staff::release(&request).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            ReleaseConversation(request)
        )
        .map(Response::new)
    }

    async fn set_agent_intent(
        &self,
        request: Request<SetAgentIntentRequest>,
    ) -> Answer<SetAgentIntentResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::staff::set_agent_intent(&request).map_err(status)?;
        let cell = self.0.homes().of_agent(&request.agent);
        ask!(self.0, cell.0, patience, SetAgentIntent(request)).map(Response::new)
    }

    async fn pause_queue(&self, request: Request<PauseQueueRequest>) -> Answer<PauseQueueResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::staff::pause(&request).map_err(status)?;
        ask!(self.0, self.cell(), patience, PauseQueue(request)).map(Response::new)
    }

    async fn resume_queue(
        &self,
        request: Request<ResumeQueueRequest>,
    ) -> Answer<ResumeQueueResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::staff::resume(&request).map_err(status)?;
        ask!(self.0, self.cell(), patience, ResumeQueue(request)).map(Response::new)
    }

    async fn explain_conversation(
        &self,
        request: Request<ExplainConversationRequest>,
    ) -> Answer<ExplainConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            ExplainConversation(request)
        )
        .map(Response::new)
    }

    async fn explain_agent(
        &self,
        request: Request<ExplainAgentRequest>,
    ) -> Answer<ExplainAgentResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::name("agent", &request.agent).map_err(status)?;
        let cell = self.0.homes().of_agent(&request.agent);
        ask!(self.0, cell.0, patience, ExplainAgent(request)).map(Response::new)
    }
}

/// A floor stream: polled by its connection, so a reader that is slow simply gets fewer views.
struct Watcher {
    edge: Edge,
    ticket: Ticket,
    /// Of the node's own replica, if it has one.
    applied: Option<watch::Receiver<u64>>,
    every: Duration,
    /// When the next view is due.
    next: Instant,
    /// The index of the last view; `None` before the first, which carries the endpoints.
    shown: Option<u64>,
}

impl Watcher {
    /// The next view, or how the stream ends.
    async fn next(&mut self) -> Result<FloorView, StreamEnded> {
        let signal = self.ticket.signal.clone();
        let edge = self.edge.clone();
        let ended = tokio::select! { biased;
            () = signal.draining() => going_away(),
            view = self.view() => match view {
                Ok(mut view) => {
                    if self.shown.replace(view.applied_index).is_none() {
                        view.endpoints = edge.cluster().endpoints();
                    }
                    return Ok(view);
                }
                Err(ended) => ended,
            },
        };
        Err(StreamEnded {
            endpoints: edge.cluster().endpoints(),
            ..ended
        })
    }

    async fn view(&mut self) -> Result<FloorView, StreamEnded> {
        let began = Instant::now();
        let mut quiet = 0;
        loop {
            sleep_until(self.next).await;
            if self.applied.is_none() {
                self.applied = self.edge.floor().applied();
            }
            if let Some(applied) = self.applied.as_mut().filter(|_| self.shown.is_some()) {
                // Nothing has changed: the ages still grow, so a view follows after some quiet turns.
                let at_most = self.every * limits::FLOOR_QUIET_TURNS;
                if let Ok(Err(_)) = tokio::time::timeout(at_most, applied.changed()).await {
                    return Err(going_away());
                }
            }
            self.next = Instant::now() + self.every;
            let view = self.edge.floor().floor().await;
            match view {
                Some(view) if self.is_news(&view) || quiet >= limits::FLOOR_QUIET_TURNS => {
                    return Ok(view);
                }
                Some(_) => quiet += 1,
                None if began.elapsed() >= limits::FLOOR_SILENCE_MAX => return Err(unreachable()),
                None => {}
            }
        }
    }

    /// Whether a view is worth showing. The own replica was waited for; another node's was just asked.
    fn is_news(&self, view: &FloorView) -> bool {
        self.applied.is_some() || self.shown != Some(view.applied_index)
    }
}

/// The node goes away.
fn going_away() -> StreamEnded {
    StreamEnded {
        reason: ErrorReason::NodeDraining.into(),
        retry_after_ms: limits::RETRY_DRAINING_MS,
        ..StreamEnded::default()
    }
}

/// No node with a replica answers this one.
fn unreachable() -> StreamEnded {
    StreamEnded {
        reason: ErrorReason::NotLeader.into(),
        retry_after_ms: limits::RETRY_LEADER_MS,
        ..StreamEnded::default()
    }
}
