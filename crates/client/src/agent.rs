//! Agents: the desk, and the unary twins of its acts for simple clients.
//! Promise: each twin is one call with its retries.
//! Not here: the stream behind [`AgentDesk`] (`desk`).

use std::sync::Arc;

use pb::api::v1 as api;
use rpc::api::v1::agent_service_client::AgentServiceClient;
use tonic::transport::Channel;

use crate::call::Core;
use crate::desk::{AgentDesk, DeskLogin};
use crate::unary::calls;

/// What agents do.
#[derive(Clone)]
pub struct Agent {
    core: Arc<Core>,
}

impl Agent {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Takes a seat: logs in, sends heartbeats, resumes at another endpoint when one fails. The
    /// first event tells whether it worked.
    pub fn desk(&self, login: DeskLogin) -> AgentDesk {
        AgentDesk::start(self.core.clone(), login)
    }

    calls! { AgentServiceClient<Channel>;
        /// Logs in, or joins and resumes a session from another device.
        log_in(api::LogInRequest) -> api::LogInResponse, Changes;
        /// Ends the session, or takes one device out of it.
        log_out(api::LogOutRequest) -> api::LogOutResponse, Changes;
        /// Says that the agent's client is alive.
        heartbeat(api::HeartbeatRequest) -> api::HeartbeatResponse, Reads;
        /// Says that the offer is on the agent's screen.
        show_offer(api::ShowOfferRequest) -> api::ShowOfferResponse, Reads;
        /// Takes an offer.
        accept_offer(api::AcceptOfferRequest) -> api::AcceptOfferResponse, Changes;
        /// Passes an offer by.
        decline_offer(api::DeclineOfferRequest) -> api::DeclineOfferResponse, Changes;
        /// Writes to the customer.
        reply(api::ReplyRequest) -> api::ReplyResponse, Changes;
        /// Writes a remark that customers never see.
        add_note(api::AddNoteRequest) -> api::AddNoteResponse, Changes;
        /// Passes on that the agent types or has read.
        mark_conversation(api::MarkConversationRequest) -> api::MarkConversationResponse, Reads;
        /// Puts the conversation on hold.
        hold_conversation(api::HoldConversationRequest) -> api::HoldConversationResponse, Changes;
        /// Takes it up again.
        resume_conversation(api::ResumeConversationRequest) -> api::ResumeConversationResponse, Changes;
        /// Passes it on to an agent or a queue.
        transfer_conversation(api::TransferConversationRequest) -> api::TransferConversationResponse, Changes;
        /// Ends it.
        close_conversation(api::CloseConversationRequest) -> api::CloseConversationResponse, Changes;
        /// Ends after-contact work.
        finish_wrap_up(api::FinishWrapUpRequest) -> api::FinishWrapUpResponse, Changes;
        /// Chooses ready or not ready.
        set_intent(api::SetIntentRequest) -> api::SetIntentResponse, Changes;
        /// Chooses what becomes the intent when the present work has ended.
        set_next_status(api::SetNextStatusRequest) -> api::SetNextStatusResponse, Changes;
        /// Earlier conversations of the customer of a conversation.
        list_earlier_conversations(api::ListEarlierConversationsRequest) -> api::ListEarlierConversationsResponse, Reads;
    }
}
