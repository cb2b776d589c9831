//! Acts of agents, in a stream or alone.
//! Promise: see `check`; an act that passes names its offer or conversation well.
//! Not here: whose agent and session they carry (`edge::work`, `owner`).

use pb::api::v1::work_request::Request;
use pb::api::v1::{Intent, LogInRequest, Refusal};

use super::{bytes, conversation, name, name_or_empty, offer, request_id, text};
use crate::errors::field_invalid;
use crate::limits;

/// What an act says about itself, whichever it is.
#[derive(Debug, Default)]
pub struct Act<'a> {
    /// Its request id, empty where the act has none.
    pub request_id: &'a str,
    /// Who acts, as the act says.
    pub agent: &'a str,
    /// Its conversation, empty where the act has none.
    pub conversation_id: &'a str,
    /// Its offer, empty where the act has none.
    pub offer_id: &'a str,
    /// The text that would be lost by a refusal.
    pub draft: &'a str,
}

/// Takes from an act what each of them says.
pub fn described(request: &Request) -> Act<'_> {
    macro_rules! of {
        ($act:expr, agent $(, $field:ident)*) => {
            Act { agent: &$act.agent, $($field: &$act.$field,)* ..Act::default() }
        };
    }
    match request {
        Request::Hello(act) => of!(act, agent, request_id),
        Request::Heartbeat(act) => of!(act, agent),
        Request::OfferShown(act) => of!(act, agent, offer_id),
        Request::Accept(act) => of!(act, agent, request_id, offer_id),
        Request::Decline(act) => of!(act, agent, request_id, offer_id),
        Request::Reply(act) => Act {
            draft: &act.text,
            ..of!(act, agent, request_id, conversation_id)
        },
        Request::Note(act) => Act {
            draft: &act.text,
            ..of!(act, agent, request_id, conversation_id)
        },
        Request::Mark(act) => of!(act, agent, conversation_id),
        Request::Hold(act) => of!(act, agent, request_id, conversation_id),
        Request::Resume(act) => of!(act, agent, request_id, conversation_id),
        Request::Transfer(act) => Act {
            draft: &act.note,
            ..of!(act, agent, request_id, conversation_id)
        },
        Request::Close(act) => of!(act, agent, request_id, conversation_id),
        Request::FinishWrapUp(act) => of!(act, agent, request_id, conversation_id),
        Request::SetIntent(act) => of!(act, agent, request_id),
        Request::SetNextStatus(act) => of!(act, agent, request_id),
        Request::LogOut(act) => of!(act, agent, request_id),
    }
}

/// Checks an act; its agent may be empty here.
pub fn act(request: &Request) -> Result<(), Refusal> {
    let said = described(request);
    if !matches!(
        request,
        Request::Heartbeat(_) | Request::OfferShown(_) | Request::Mark(_)
    ) {
        request_id(said.request_id)?;
    }
    name_or_empty("agent", said.agent)?;
    match request {
        Request::Hello(act) => log_in(act),
        Request::Heartbeat(_) => Ok(()),
        Request::OfferShown(_) | Request::Accept(_) => offer(said.offer_id).map(drop),
        Request::Decline(act) => {
            offer(&act.offer_id)?;
            bytes("reason", &act.reason, limits::SHORT_BYTES_MAX)
        }
        Request::Reply(_) | Request::Note(_) => {
            conversation(said.conversation_id)?;
            text(said.draft)
        }
        Request::Mark(_) | Request::Hold(_) | Request::Resume(_) | Request::FinishWrapUp(_) => {
            conversation(said.conversation_id).map(drop)
        }
        Request::Transfer(act) => transfer(act),
        Request::Close(act) => {
            conversation(&act.conversation_id)?;
            bytes("reason", &act.reason, limits::CLOSE_REASON_BYTES_MAX)
        }
        Request::SetIntent(act) => match &act.intent {
            Some(intent) => chosen(intent),
            None => Err(field_invalid("intent", "is empty")),
        },
        Request::SetNextStatus(act) => act.intent.as_ref().map_or(Ok(()), chosen),
        Request::LogOut(act) => name_or_empty("device_id", &act.device_id),
    }
}

fn log_in(act: &LogInRequest) -> Result<(), Refusal> {
    name("agent", &act.agent)?;
    name("device_id", &act.device_id)?;
    act.intent.as_ref().map_or(Ok(()), chosen)
}

fn transfer(act: &pb::api::v1::TransferConversationRequest) -> Result<(), Refusal> {
    use pb::api::v1::transfer_conversation_request::Target;
    conversation(&act.conversation_id)?;
    super::text_or_empty(&act.note)?;
    match &act.target {
        Some(Target::ToAgent(agent)) => name("to_agent", agent),
        Some(Target::ToQueue(queue)) => name("to_queue", queue),
        None => Err(field_invalid("target", "is empty")),
    }
}

fn chosen(intent: &Intent) -> Result<(), Refusal> {
    bytes("reason", &intent.reason, limits::SHORT_BYTES_MAX)
}
