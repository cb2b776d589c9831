//! A customer's stream as the edge sees it.
//! Promise: a refused request leaves the stream on; the cursor is the last item that was passed on.
//! Not here: moving messages (`stream`), answering them (`owner`).

use pb::api::v1::attach_request::Request;
use pb::api::v1::attach_response::Response;
use pb::api::v1::{
    AttachRefused, AttachRequest, AttachResponse, ErrorReason, Interrupted, MarkRequest, Refusal,
    SendRequest, StreamEnded,
};
use pb::raft::v1::{ForwardUp, forward_down, forward_up};

use super::Edge;
use super::stream::{End, Kind, Upward};
use crate::check;
use crate::errors::{field_invalid, refusal, stream_protocol};

/// What the edge remembers of a customer's stream.
#[derive(Default)]
pub(crate) struct AttachKind {
    cursor: u64,
}

/// What the first message said.
pub(crate) struct Begun {
    conversation_id: String,
    cursor: u64,
    observe: bool,
}

impl Kind for AttachKind {
    type Up = AttachRequest;
    type Down = AttachResponse;
    type Began = Begun;

    fn begin(edge: &Edge, first: AttachRequest) -> Result<(Begun, ForwardUp), Refusal> {
        let Some(Request::Begin(begin)) = &first.request else {
            return Err(stream_protocol("the first message of a stream is `begin`"));
        };
        let conversation = check::conversation(&begin.conversation_id)?;
        let begun = Begun {
            conversation_id: begin.conversation_id.clone(),
            cursor: begin.cursor,
            observe: begin.observe,
        };
        let first = ForwardUp {
            group: conversation.cell.0,
            site: edge.cluster().site(),
            request: Some(forward_up::Request::Attach(first)),
            ..ForwardUp::default()
        };
        Ok((begun, first))
    }

    fn up(begun: &Begun, message: AttachRequest) -> Upward<AttachResponse> {
        match &message.request {
            None => Upward::Violation(stream_protocol("a message of a stream says what is asked")),
            Some(Request::Begin(_)) => {
                Upward::Violation(stream_protocol("`begin` comes once, and first"))
            }
            Some(Request::Send(send)) => match sendable(begun, send) {
                Ok(()) => Upward::Pass(forward_up::Request::Attach(message)),
                Err(refusal) => Upward::Refuse(refused(&send.request_id, refusal)),
            },
            Some(Request::Mark(mark)) => match markable(begun, mark) {
                Ok(()) => Upward::Pass(forward_up::Request::Attach(message)),
                Err(refusal) => Upward::Refuse(refused("", refusal)),
            },
        }
    }

    fn down(&mut self, edge: &Edge, message: forward_down::Response) -> Option<AttachResponse> {
        let forward_down::Response::Attach(mut message) = message else {
            return None;
        };
        match &mut message.response {
            Some(Response::Welcome(welcome)) => welcome.endpoints = edge.cluster().endpoints(),
            Some(Response::Item(item)) => self.cursor = self.cursor.max(item.sequence),
            Some(Response::Ended(ended)) => {
                ended.endpoints = edge.cluster().endpoints();
                ended.cursor = self.cursor.max(ended.cursor);
            }
            _ => {}
        }
        Some(message)
    }

    fn own(&mut self, message: AttachResponse) -> AttachResponse {
        message
    }

    fn interrupted(since_ms: u64) -> AttachResponse {
        response(Response::Interrupted(Interrupted { since_ms }))
    }

    fn ended(ended: StreamEnded) -> AttachResponse {
        response(Response::Ended(ended))
    }

    fn end(message: &AttachResponse) -> Option<End> {
        match &message.response {
            Some(Response::Ended(ended)) => Some(End::of(ended)),
            _ => None,
        }
    }

    fn first_cursor(begun: &Begun) -> u64 {
        begun.cursor
    }

    fn set_cursor(&mut self, cursor: u64) {
        self.cursor = cursor;
    }

    fn cursor(&self) -> u64 {
        self.cursor
    }
}

fn sendable(begun: &Begun, send: &SendRequest) -> Result<(), Refusal> {
    own_conversation(begun, &send.conversation_id)?;
    not_observing(begun)?;
    check::send(send)
}

fn markable(begun: &Begun, mark: &MarkRequest) -> Result<(), Refusal> {
    own_conversation(begun, &mark.conversation_id)?;
    not_observing(begun)
}

fn own_conversation(begun: &Begun, named: &str) -> Result<(), Refusal> {
    if named.is_empty() || named == begun.conversation_id {
        return Ok(());
    }
    Err(field_invalid(
        "conversation_id",
        format!("is not the stream's own, {}", begun.conversation_id),
    ))
}

fn not_observing(begun: &Begun) -> Result<(), Refusal> {
    if begun.observe {
        Err(refusal(
            ErrorReason::StreamProtocol,
            "a stream that observes writes nothing",
        ))
    } else {
        Ok(())
    }
}

fn refused(request_id: &str, refusal: Refusal) -> AttachResponse {
    response(Response::Refused(AttachRefused {
        request_id: request_id.to_owned(),
        refusal: Some(refusal),
    }))
}

fn response(response: Response) -> AttachResponse {
    AttachResponse {
        response: Some(response),
    }
}
