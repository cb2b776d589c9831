//! Supervisors' acts.
//! Promise: see `check`; every act says who does it and why.
//! Not here: whether the supervisor may (`domain`).

use domain::ids::{ConversationId, IdError};
use pb::api::v1::{
    AssignConversationRequest, EndConversationRequest, FloorServiceTransferConversationRequest,
    PauseQueueRequest, Refusal, ReleaseConversationRequest, RequeueConversationRequest,
    ResumeQueueRequest, SetAgentIntentRequest, floor_service_transfer_conversation_request,
};

use super::{bytes, conversation, name, request_id};
use crate::errors::field_invalid;
use crate::limits;

/// Who does it, under which id, and why.
fn act(id: &str, staff: &str, reason: &str) -> Result<(), Refusal> {
    request_id(id)?;
    name("staff", staff)?;
    why(reason)
}

/// The reason of an act, which stands in the record beside who did it: more than blanks.
pub fn why(reason: &str) -> Result<(), Refusal> {
    bytes("reason", reason, limits::CLOSE_REASON_BYTES_MAX)?;
    if reason.trim().is_empty() {
        return Err(field_invalid("reason", IdError::Empty));
    }
    Ok(())
}

/// Ends a conversation.
pub fn end(request: &EndConversationRequest) -> Result<ConversationId, Refusal> {
    act(&request.request_id, &request.staff, &request.reason)?;
    conversation(&request.conversation_id)
}

/// Passes a conversation on.
pub fn transfer(
    request: &FloorServiceTransferConversationRequest,
) -> Result<ConversationId, Refusal> {
    use floor_service_transfer_conversation_request::Target;
    act(&request.request_id, &request.staff, &request.reason)?;
    match &request.target {
        Some(Target::ToAgent(agent)) => name("to_agent", agent)?,
        Some(Target::ToQueue(queue)) => name("to_queue", queue)?,
        None => return Err(field_invalid("target", IdError::Empty)),
    }
    conversation(&request.conversation_id)
}

/// Takes a conversation from its agent.
pub fn requeue(request: &RequeueConversationRequest) -> Result<ConversationId, Refusal> {
    act(&request.request_id, &request.staff, &request.reason)?;
    conversation(&request.conversation_id)
}

/// Names the agent for waiting work.
pub fn assign(request: &AssignConversationRequest) -> Result<ConversationId, Refusal> {
    act(&request.request_id, &request.staff, &request.reason)?;
    name("agent", &request.agent)?;
    conversation(&request.conversation_id)
}

/// Puts back what was set aside.
pub fn release(request: &ReleaseConversationRequest) -> Result<ConversationId, Refusal> {
    act(&request.request_id, &request.staff, &request.reason)?;
    conversation(&request.conversation_id)
}

/// Sets an agent's intent.
pub fn set_agent_intent(request: &SetAgentIntentRequest) -> Result<(), Refusal> {
    name("agent", &request.agent)?;
    let intent = request.intent.as_ref();
    let intent = intent.ok_or_else(|| field_invalid("intent", IdError::Empty))?;
    bytes("intent.reason", &intent.reason, limits::SHORT_BYTES_MAX)?;
    act(&request.request_id, &request.staff, &request.reason)
}

/// Pauses a queue.
pub fn pause(request: &PauseQueueRequest) -> Result<(), Refusal> {
    name("queue", &request.queue)?;
    act(&request.request_id, &request.staff, &request.reason)
}

/// Lets a queue go on.
pub fn resume(request: &ResumeQueueRequest) -> Result<(), Refusal> {
    name("queue", &request.queue)?;
    act(&request.request_id, &request.staff, &request.reason)
}
