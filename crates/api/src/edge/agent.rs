//! `AgentService` at the edge.
//! Promise: a unary act is the same act as in the stream, to the cell that judges it.
//! Not here: what happens there (`owner`).

use pb::api::v1::work_request::Request as Act;
use pb::api::v1::*;
use pb::raft::v1::WorkAnswer;
use rpc::api::v1::agent_service_server::AgentService;
use tonic::{Request, Response, Status, Streaming};

use super::Edge;
use super::calls::{ask, patience};
use super::stream::{self, Responses};
use super::work::WorkKind;
use crate::check;
use crate::errors::{field_invalid, internal, status};
use crate::metrics::asked;

/// `AgentService` of one node.
#[derive(Clone)]
pub struct Agents(pub Edge);

impl Agents {
    /// Asks for an act outside a stream.
    async fn act<T>(&self, request: Request<T>, act: fn(T) -> Act) -> Result<WorkAnswer, Status> {
        let patience = patience(request.metadata());
        let act = act(request.into_inner());
        let group = self.judge(&act).map_err(status)?;
        ask!(
            self.0,
            group,
            patience,
            Work(WorkRequest { request: Some(act) })
        )
    }

    /// The same for acts whose answer is in `WorkDone`.
    async fn done<T>(&self, request: Request<T>, act: fn(T) -> Act) -> Result<WorkDone, Status> {
        let answer = self.act(request, act).await?;
        answer
            .done
            .ok_or_else(|| status(internal("the owner did not say what was done")))
    }

    /// The cell that judges an act: the conversation's or the offer's, else the agent's own.
    fn judge(&self, act: &Act) -> Result<u32, Refusal> {
        check::act(act)?;
        let said = check::described(act);
        if said.agent.is_empty() {
            return Err(field_invalid("agent", "is empty"));
        }
        if !said.conversation_id.is_empty() {
            return Ok(check::conversation(said.conversation_id)?.cell.0);
        }
        if !said.offer_id.is_empty() {
            return Ok(check::offer(said.offer_id)?.cell.0);
        }
        Ok(self.0.homes().of_agent(said.agent).0)
    }
}

/// The result of one RPC.
type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AgentService for Agents {
    type WorkStream = Responses<WorkResponse>;

    async fn work(&self, request: Request<Streaming<WorkRequest>>) -> Answer<Self::WorkStream> {
        let asked = asked(request.metadata().as_ref());
        stream::start::<WorkKind>(&self.0, request.into_inner(), asked).map(Response::new)
    }

    async fn log_in(&self, request: Request<LogInRequest>) -> Answer<LogInResponse> {
        let answer = self.act(request, Act::Hello).await?;
        let logged_in = answer
            .log_in
            .ok_or_else(|| status(internal("the owner did not name the session")))?;
        Ok(Response::new(logged_in))
    }

    async fn log_out(&self, request: Request<LogOutRequest>) -> Answer<LogOutResponse> {
        self.done(request, Act::LogOut)
            .await
            .map(|_| Response::new(LogOutResponse {}))
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Answer<HeartbeatResponse> {
        self.done(request, Act::Heartbeat)
            .await
            .map(|_| Response::new(HeartbeatResponse {}))
    }

    async fn show_offer(&self, request: Request<ShowOfferRequest>) -> Answer<ShowOfferResponse> {
        self.done(request, Act::OfferShown)
            .await
            .map(|_| Response::new(ShowOfferResponse {}))
    }

    async fn accept_offer(
        &self,
        request: Request<AcceptOfferRequest>,
    ) -> Answer<AcceptOfferResponse> {
        let WorkDone {
            conversation_id,
            owner_epoch,
            ..
        } = self.done(request, Act::Accept).await?;
        Ok(Response::new(AcceptOfferResponse {
            conversation_id,
            owner_epoch,
        }))
    }

    async fn decline_offer(
        &self,
        request: Request<DeclineOfferRequest>,
    ) -> Answer<DeclineOfferResponse> {
        self.done(request, Act::Decline)
            .await
            .map(|_| Response::new(DeclineOfferResponse {}))
    }

    async fn reply(&self, request: Request<ReplyRequest>) -> Answer<ReplyResponse> {
        let WorkDone { sequence, .. } = self.done(request, Act::Reply).await?;
        Ok(Response::new(ReplyResponse { sequence }))
    }

    async fn add_note(&self, request: Request<AddNoteRequest>) -> Answer<AddNoteResponse> {
        self.done(request, Act::Note)
            .await
            .map(|_| Response::new(AddNoteResponse {}))
    }

    async fn mark_conversation(
        &self,
        request: Request<MarkConversationRequest>,
    ) -> Answer<MarkConversationResponse> {
        self.done(request, Act::Mark)
            .await
            .map(|_| Response::new(MarkConversationResponse {}))
    }

    async fn hold_conversation(
        &self,
        request: Request<HoldConversationRequest>,
    ) -> Answer<HoldConversationResponse> {
        self.done(request, Act::Hold)
            .await
            .map(|_| Response::new(HoldConversationResponse {}))
    }

    async fn resume_conversation(
        &self,
        request: Request<ResumeConversationRequest>,
    ) -> Answer<ResumeConversationResponse> {
        let WorkDone { owner_epoch, .. } = self.done(request, Act::Resume).await?;
        Ok(Response::new(ResumeConversationResponse { owner_epoch }))
    }

    async fn transfer_conversation(
        &self,
        request: Request<TransferConversationRequest>,
    ) -> Answer<TransferConversationResponse> {
        self.done(request, Act::Transfer)
            .await
            .map(|_| Response::new(TransferConversationResponse {}))
    }

    async fn close_conversation(
        &self,
        request: Request<CloseConversationRequest>,
    ) -> Answer<CloseConversationResponse> {
        self.done(request, Act::Close)
            .await
            .map(|_| Response::new(CloseConversationResponse {}))
    }

    async fn finish_wrap_up(
        &self,
        request: Request<FinishWrapUpRequest>,
    ) -> Answer<FinishWrapUpResponse> {
        self.done(request, Act::FinishWrapUp)
            .await
            .map(|_| Response::new(FinishWrapUpResponse {}))
    }

    async fn set_intent(&self, request: Request<SetIntentRequest>) -> Answer<SetIntentResponse> {
        self.done(request, Act::SetIntent)
            .await
            .map(|_| Response::new(SetIntentResponse {}))
    }

    async fn set_next_status(
        &self,
        request: Request<SetNextStatusRequest>,
    ) -> Answer<SetNextStatusResponse> {
        self.done(request, Act::SetNextStatus)
            .await
            .map(|_| Response::new(SetNextStatusResponse {}))
    }

    async fn list_earlier_conversations(
        &self,
        request: Request<ListEarlierConversationsRequest>,
    ) -> Answer<ListEarlierConversationsResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        let conversation = check::conversation(&request.conversation_id).map_err(status)?;
        ask!(self.0, conversation.cell.0, patience, ListEarlier(request)).map(Response::new)
    }
}
