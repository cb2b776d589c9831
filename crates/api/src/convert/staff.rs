//! Supervisors' requests to commands of the cell.
//! Promise: the same request gives the same command, so that a repeat is recognised.
//! Not here: whether a supervisor may (`domain`); ends (`commands`).

use domain::cell::command::{
    Actor, Assign, Command, Intent, QueueAct, Release, Requeue, SetIntent, Target, Transfer,
};
use domain::ids::{Body, StaffId};
use pb::api::v1::{
    AssignConversationRequest, FloorServiceTransferConversationRequest, PauseQueueRequest, Refusal,
    ReleaseConversationRequest, RequeueConversationRequest, ResumeQueueRequest,
    SetAgentIntentRequest, floor_service_transfer_conversation_request,
};

use super::commands::{agent_name, intent, parsed};
use crate::check;
use crate::errors::field_invalid;

fn staff(text: &str) -> Result<StaffId, Refusal> {
    parsed("staff", text)
}

/// Passes a conversation on.
pub fn transfer(request: FloorServiceTransferConversationRequest) -> Result<Command, Refusal> {
    use floor_service_transfer_conversation_request::Target as To;
    let target = match &request.target {
        Some(To::ToAgent(agent)) => Target::Agent {
            agent: parsed("to_agent", agent)?,
            wait: request.wait,
        },
        Some(To::ToQueue(queue)) => Target::Queue(parsed("to_queue", queue)?),
        None => return Err(field_invalid("target", "is empty")),
    };
    Ok(Command::Transfer(Transfer {
        conversation: check::conversation(&request.conversation_id)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        by: Actor::Staff {
            staff: staff(&request.staff)?,
        },
        target,
        note: Some(Body::clear(&request.reason)),
    }))
}

/// Takes a conversation from its agent.
pub fn requeue(request: RequeueConversationRequest) -> Result<Command, Refusal> {
    Ok(Command::Requeue(Requeue {
        conversation: check::conversation(&request.conversation_id)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        staff: staff(&request.staff)?,
        reason: request.reason,
    }))
}

/// Names the agent for waiting work.
pub fn assign(request: AssignConversationRequest) -> Result<Command, Refusal> {
    Ok(Command::Assign(Assign {
        conversation: check::conversation(&request.conversation_id)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        staff: staff(&request.staff)?,
        agent: agent_name(&request.agent)?,
        wait: request.wait,
        reason: request.reason,
    }))
}

/// Puts back what was set aside.
pub fn release(request: ReleaseConversationRequest) -> Result<Command, Refusal> {
    Ok(Command::Release(Release {
        conversation: check::conversation(&request.conversation_id)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        staff: staff(&request.staff)?,
        reason: request.reason,
    }))
}

/// Sets an agent's intent.
pub fn set_agent_intent(request: SetAgentIntentRequest) -> Result<Command, Refusal> {
    let choice: Intent = intent(request.intent.as_ref());
    Ok(Command::SetIntent(SetIntent {
        agent: agent_name(&request.agent)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        session: None,
        staff: Some(staff(&request.staff)?),
        intent: choice,
        why: request.reason,
    }))
}

/// Pauses a queue.
pub fn pause(request: PauseQueueRequest) -> Result<Command, Refusal> {
    Ok(Command::PauseQueue(QueueAct {
        queue: parsed("queue", &request.queue)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        staff: staff(&request.staff)?,
        reason: request.reason,
    }))
}

/// Lets a queue go on.
pub fn resume(request: ResumeQueueRequest) -> Result<Command, Refusal> {
    Ok(Command::ResumeQueue(QueueAct {
        queue: parsed("queue", &request.queue)?,
        request_id: check::parsed_request_id(&request.request_id)?,
        staff: staff(&request.staff)?,
        reason: request.reason,
    }))
}
