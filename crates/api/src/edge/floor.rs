//! `FloorService` at the edge.
//! Promise: lists are linearizable; the floor stream is read from the node's own replica, may be
//! stale and says how far it is.
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
            turn: Turn::First,
        };
        let responses = stream::unfold(watcher, |mut watcher| async move {
            let response = watcher.next().await?;
            Some((Ok(response), watcher))
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

    async fn end_conversation(
        &self,
        request: Request<EndConversationRequest>,
    ) -> Answer<EndConversationResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        check::request_id(&request.request_id).map_err(status)?;
        check::name("staff", &request.staff).map_err(status)?;
        check::bytes("reason", &request.reason, limits::CLOSE_REASON_BYTES_MAX).map_err(status)?;
        ask!(
            self.0,
            conversation.cell.0,
            patience,
            EndConversation(request)
        )
        .map(Response::new)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The first view carries the endpoints.
    First,
    Later,
    Over,
}

/// A floor stream: polled by its connection, so a reader that is slow simply gets fewer views.
struct Watcher {
    edge: Edge,
    ticket: Ticket,
    applied: watch::Receiver<u64>,
    every: Duration,
    next: Instant,
    turn: Turn,
}

impl Watcher {
    async fn next(&mut self) -> Option<WatchFloorResponse> {
        if self.turn == Turn::Over {
            return None;
        }
        let draining = self.ticket.signal.draining();
        let due = async {
            sleep_until(self.next).await;
            // Nothing has changed: the ages still grow, so a view follows after ten quiet turns.
            let changed = tokio::time::timeout(self.every * 10, self.applied.changed());
            if self.turn == Turn::Later {
                changed.await.is_ok_and(|seen| seen.is_err())
            } else {
                false
            }
        };
        let gone = tokio::select! { biased;
            () = draining => true,
            gone = due => gone,
        };
        if gone {
            return Some(self.end());
        }
        self.next = Instant::now() + self.every;
        let mut view = self.edge.floor().floor();
        if self.turn == Turn::First {
            view.endpoints = self.edge.cluster().endpoints();
            self.turn = Turn::Later;
        }
        Some(WatchFloorResponse {
            response: Some(watch_floor_response::Response::Floor(view)),
        })
    }

    fn end(&mut self) -> WatchFloorResponse {
        self.turn = Turn::Over;
        let ended = StreamEnded {
            reason: ErrorReason::NodeDraining.into(),
            endpoints: self.edge.cluster().endpoints(),
            cursor: 0,
            retry_after_ms: limits::RETRY_DRAINING_MS,
        };
        WatchFloorResponse {
            response: Some(watch_floor_response::Response::Ended(ended)),
        }
    }
}
