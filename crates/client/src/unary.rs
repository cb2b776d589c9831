//! Unary calls: one method each, generated from a list, and the request ids that they carry.
//! Promise: a request without an id gets one before its first attempt.
//! Not here: retrying (`call`).

use pb::api::v1 as api;

use crate::call::Core;

/// Gives a request its id before the first attempt.
pub(crate) trait Identified {
    /// Fills in an id where there is none; the id, if the request carries one.
    fn identify(&mut self, core: &Core) -> Option<String>;
}

macro_rules! identified {
    ($($request:ty),* $(,)?) => {
        $(impl Identified for $request {
            fn identify(&mut self, core: &Core) -> Option<String> {
                if self.request_id.is_empty() {
                    self.request_id = core.request_id();
                }
                Some(self.request_id.clone())
            }
        })*
    };
}

macro_rules! without_id {
    ($($request:ty),* $(,)?) => {
        $(impl Identified for $request {
            fn identify(&mut self, _core: &Core) -> Option<String> {
                None
            }
        })*
    };
}

identified!(
    api::OpenRequest,
    api::SendRequest,
    api::CloseRequest,
    api::RateRequest,
    api::LogInRequest,
    api::LogOutRequest,
    api::AcceptOfferRequest,
    api::DeclineOfferRequest,
    api::ReplyRequest,
    api::AddNoteRequest,
    api::HoldConversationRequest,
    api::ResumeConversationRequest,
    api::TransferConversationRequest,
    api::CloseConversationRequest,
    api::FinishWrapUpRequest,
    api::SetIntentRequest,
    api::SetNextStatusRequest,
    api::EndConversationRequest,
    api::FloorServiceTransferConversationRequest,
    api::RequeueConversationRequest,
    api::AssignConversationRequest,
    api::ReleaseConversationRequest,
    api::SetAgentIntentRequest,
    api::PauseQueueRequest,
    api::ResumeQueueRequest,
    api::ApplyFloorPlanRequest,
    api::RevertFloorPlanRequest,
);

without_id!(
    api::VerifyCellRequest,
    api::MarkRequest,
    api::GetTranscriptRequest,
    api::HeartbeatRequest,
    api::ShowOfferRequest,
    api::MarkConversationRequest,
    api::ListEarlierConversationsRequest,
    api::SearchArchiveRequest,
    api::ListQueuesRequest,
    api::GetQueueRequest,
    api::ListAgentsRequest,
    api::GetAgentRequest,
    api::ListConversationsRequest,
    api::GetConversationRequest,
    api::ExplainConversationRequest,
    api::ExplainAgentRequest,
    api::GetStatusRequest,
    api::GetFloorPlanRequest,
    api::CheckFloorPlanRequest,
    api::ListFloorPlansRequest,
    api::GetLogLevelRequest,
    api::SetLogLevelRequest,
    api::ReloadConfigRequest,
    api::GetNodeReportRequest,
);

/// Writes one method for each call: `name(Request) -> Response, Effect;`.
macro_rules! calls {
    ($stub:ty; $($(#[$doc:meta])* $name:ident($request:ty) -> $answer:ty, $effect:ident;)*) => {
        $(
            $(#[$doc])*
            pub async fn $name(&self, mut request: $request) -> Result<$answer, $crate::CallError> {
                let id = $crate::unary::Identified::identify(&mut request, &self.core);
                let shape = self.core.shape($crate::call::Effect::$effect);
                self.core
                    .call(shape, request, |channel, request| async move {
                        <$stub>::new(channel).$name(request).await
                    })
                    .await
                    .map_err(|error| error.of_request(id))
            }
        )*
    };
}

pub(crate) use calls;
