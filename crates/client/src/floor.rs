//! Supervisors: lists, acts, explanations, and the counters of the floor as they change.
//! Promise: a list is read whole, page by page; a watch resumes at another endpoint by itself.
//! Not here: how the floor looks (`cli`).

use std::sync::Arc;

use pb::api::v1 as api;
use rpc::api::v1::floor_service_client::FloorServiceClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::Streaming;
use tonic::transport::Channel;

use crate::backoff::Backoff;
use crate::call::{Core, moves_on};
use crate::error::{CallError, Kind};
use crate::pool::{Lease, Wish};
use crate::unary::calls;

/// Agents asked for at once.
const PAGE_AGENTS: u32 = 1_000;
/// A hundred thousand agents; more is a server at fault.
const PAGES_MAX: usize = 100;
/// The server answers at least this often, or it is gone.
const WATCH_SILENCE_FACTOR: u32 = 5;
/// The interval of the counters when none is asked for, in milliseconds.
const EVERY_MS_DEFAULT: u32 = 1_000;

/// What supervisors see and do.
#[derive(Clone)]
pub struct Supervisor {
    core: Arc<Core>,
}

impl Supervisor {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    calls! { FloorServiceClient<Channel>;
        /// Lists queues, worst first.
        list_queues(api::ListQueuesRequest) -> api::ListQueuesResponse, Reads;
        /// Shows one queue with the head of its line.
        get_queue(api::GetQueueRequest) -> api::GetQueueResponse, Reads;
        /// Lists one page of agents.
        list_agents(api::ListAgentsRequest) -> api::ListAgentsResponse, Reads;
        /// Shows one agent with the conversations that the agent holds.
        get_agent(api::GetAgentRequest) -> api::GetAgentResponse, Reads;
        /// Lists one page of conversations.
        list_conversations(api::ListConversationsRequest) -> api::ListConversationsResponse, Reads;
        /// Shows one conversation with the receipts of its routing decisions.
        get_conversation(api::GetConversationRequest) -> api::GetConversationResponse, Reads;
        /// Finds archived conversations, newest first, one page.
        search_archive(api::SearchArchiveRequest) -> api::SearchArchiveResponse, Reads;
        /// Ends a conversation on a supervisor's word.
        end_conversation(api::EndConversationRequest) -> api::EndConversationResponse, Changes;
        /// Passes a conversation on to a line or to one agent.
        transfer_conversation(api::FloorServiceTransferConversationRequest) -> api::FloorServiceTransferConversationResponse, Changes;
        /// Takes a conversation from its agent, back to its old place.
        requeue_conversation(api::RequeueConversationRequest) -> api::RequeueConversationResponse, Changes;
        /// Offers waiting work to one agent, ahead of the line.
        assign_conversation(api::AssignConversationRequest) -> api::AssignConversationResponse, Changes;
        /// Puts back a conversation that was set aside after a defect.
        release_conversation(api::ReleaseConversationRequest) -> api::ReleaseConversationResponse, Changes;
        /// Sets an agent not ready, or ready again where a supervisor had set the agent not ready.
        set_agent_intent(api::SetAgentIntentRequest) -> api::SetAgentIntentResponse, Changes;
        /// Pauses a queue.
        pause_queue(api::PauseQueueRequest) -> api::PauseQueueResponse, Changes;
        /// Lets a queue go on that a supervisor has paused.
        resume_queue(api::ResumeQueueRequest) -> api::ResumeQueueResponse, Changes;
        /// Says why a conversation waits, and why it went where it went.
        explain_conversation(api::ExplainConversationRequest) -> api::ExplainConversationResponse, Reads;
        /// Says why an agent has no work, or no more.
        explain_agent(api::ExplainAgentRequest) -> api::ExplainAgentResponse, Reads;
    }

    /// All agents, of one site or (empty) of all.
    pub async fn agents(&self, site: &str) -> Result<Vec<api::AgentSummary>, CallError> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        for _ in 0..PAGES_MAX {
            let page = self
                .list_agents(api::ListAgentsRequest {
                    site: site.to_owned(),
                    page_size: PAGE_AGENTS,
                    page_token,
                })
                .await?;
            all.extend(page.agents);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
        let message = format!("the list of agents does not end after {PAGES_MAX} pages");
        Err(CallError::local(Kind::Defect, message))
    }

    /// Follows the counters; at most one view in `every_ms` (0 for one a second).
    pub fn watch(&self, every_ms: u32) -> Floor {
        Floor {
            core: self.core.clone(),
            every_ms,
            stream: None,
            backoff: Backoff::new(&self.core.options),
            wish: Wish::default(),
            down_since: None,
        }
    }
}

/// The counters of the floor, followed.
pub struct Floor {
    core: Arc<Core>,
    every_ms: u32,
    stream: Option<(Lease, Streaming<api::WatchFloorResponse>)>,
    backoff: Backoff,
    wish: Wish,
    down_since: Option<Instant>,
}

impl Floor {
    /// The next view, from whichever endpoint works; an error when none has for too long.
    pub async fn next(&mut self) -> Result<api::FloorView, CallError> {
        loop {
            let error = match self.attempt().await {
                Ok(view) => {
                    self.backoff.reset();
                    self.wish = Wish::default();
                    self.down_since = None;
                    self.core.pool.learn(&view.endpoints);
                    return Ok(view);
                }
                Err(error) => error,
            };
            let down_since = *self.down_since.get_or_insert_with(Instant::now);
            if let Some((lease, _)) = self.stream.take() {
                if error.blames_endpoint() {
                    self.core.pool.failed(&lease);
                }
                self.wish.avoid = moves_on(&error).then(|| lease.address.clone());
            }
            if !error.is_retryable() || down_since.elapsed() >= self.core.options.retry_for {
                return Err(error);
            }
            sleep(self.backoff.next(&self.core.seams, error.retry_after)).await;
        }
    }

    async fn attempt(&mut self) -> Result<api::FloorView, CallError> {
        let every = match self.every_ms {
            0 => EVERY_MS_DEFAULT,
            every_ms => every_ms,
        };
        let patience = std::time::Duration::from_millis(u64::from(every)) * WATCH_SILENCE_FACTOR
            + self.core.options.attempt_timeout;
        if self.stream.is_none() {
            self.open().await?;
        }
        let Some((_, stream)) = &mut self.stream else {
            return Err(CallError::local(Kind::Defect, "the stream was not opened"));
        };
        let heard = timeout(patience, stream.message()).await;
        let message = match heard {
            Ok(Ok(Some(message))) => message.response,
            Ok(Ok(None)) => None,
            Ok(Err(status)) => return Err(CallError::from_status(&status)),
            Err(_) => None,
        };
        match message {
            Some(api::watch_floor_response::Response::Floor(view)) => Ok(view),
            Some(api::watch_floor_response::Response::Ended(ended)) => {
                self.core.pool.learn(&ended.endpoints);
                let what = "the server ended the stream";
                let error = CallError::from_reason(ended.reason(), ended.retry_after_ms, what);
                Err(error)
            }
            None => Err(CallError::local(
                Kind::OutcomeUnknown,
                "the stream fell silent",
            )),
        }
    }

    async fn open(&mut self) -> Result<(), CallError> {
        let lease = self.core.pool.pick(&self.wish);
        let mut stub = FloorServiceClient::new(lease.channel.clone());
        let request = api::WatchFloorRequest {
            every_ms: self.every_ms,
        };
        let patience = self.core.options.attempt_timeout;
        let error = match timeout(patience, stub.watch_floor(request)).await {
            Ok(Ok(answer)) => {
                self.stream = Some((lease, answer.into_inner()));
                return Ok(());
            }
            Ok(Err(status)) => CallError::from_status(&status),
            Err(_) => CallError::local(Kind::OutcomeUnknown, "the endpoint did not answer"),
        };
        if error.blames_endpoint() {
            self.core.pool.failed(&lease);
        }
        self.wish.avoid = moves_on(&error).then(|| lease.address.clone());
        Err(error)
    }
}
