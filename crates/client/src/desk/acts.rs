//! Acts: ids, subjects and texts of what an agent asks for.
//! Promise: an act has one request id from its first attempt on.
//! Not here: when an act is sent (`step`).

use pb::api::v1::work_request::Request;

use crate::call::Core;

/// Gives the act its id if it has none; the id, empty for what needs none.
pub(super) fn identify(request: &mut Request, core: &Core) -> String {
    let Some(id) = id_of(request) else {
        return String::new();
    };
    if id.is_empty() {
        *id = core.request_id();
    }
    id.clone()
}

pub(super) fn id_of(request: &mut Request) -> Option<&mut String> {
    match request {
        Request::Hello(it) => Some(&mut it.request_id),
        Request::Accept(it) => Some(&mut it.request_id),
        Request::Decline(it) => Some(&mut it.request_id),
        Request::Reply(it) => Some(&mut it.request_id),
        Request::Note(it) => Some(&mut it.request_id),
        Request::Hold(it) => Some(&mut it.request_id),
        Request::Resume(it) => Some(&mut it.request_id),
        Request::Transfer(it) => Some(&mut it.request_id),
        Request::Close(it) => Some(&mut it.request_id),
        Request::FinishWrapUp(it) => Some(&mut it.request_id),
        Request::SetIntent(it) => Some(&mut it.request_id),
        Request::SetNextStatus(it) => Some(&mut it.request_id),
        Request::LogOut(it) => Some(&mut it.request_id),
        Request::Heartbeat(_) | Request::OfferShown(_) | Request::Mark(_) => None,
    }
}

/// What acts are kept in order by: the conversation, the offer, or the agent.
pub(super) fn subject(request: &Request) -> &str {
    match request {
        Request::Accept(it) => &it.offer_id,
        Request::Decline(it) => &it.offer_id,
        Request::Reply(it) => &it.conversation_id,
        Request::Note(it) => &it.conversation_id,
        Request::Hold(it) => &it.conversation_id,
        Request::Resume(it) => &it.conversation_id,
        Request::Transfer(it) => &it.conversation_id,
        Request::Close(it) => &it.conversation_id,
        Request::FinishWrapUp(it) => &it.conversation_id,
        _ => "",
    }
}

/// The text that a refusal gives back.
pub(super) fn draft(request: &Request) -> Option<String> {
    match request {
        Request::Reply(it) => Some(it.text.clone()),
        Request::Note(it) => Some(it.text.clone()),
        Request::Transfer(it) if !it.note.is_empty() => Some(it.note.clone()),
        _ => None,
    }
}
