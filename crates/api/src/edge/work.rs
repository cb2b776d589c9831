//! An agent's stream as the edge sees it.
//! Promise: a refused act leaves the stream on and gives its text back; responses are numbered from 1
//! in the order in which the client gets them.
//! Not here: moving messages (`stream`), answering them (`owner`).

use pb::api::v1::work_request::Request;
use pb::api::v1::work_response::Response;
use pb::api::v1::{Interrupted, Refusal, StreamEnded, WorkRefused, WorkRequest, WorkResponse};
use pb::raft::v1::{ForwardUp, forward_down, forward_up};

use super::Edge;
use super::stream::{End, Kind, Upward};
use crate::check;
use crate::errors::{field_invalid, stream_protocol};

/// What the edge remembers of an agent's stream.
#[derive(Default)]
pub(crate) struct WorkKind {
    number: u64,
}

/// Whose stream it is.
pub(crate) struct Desk {
    agent: String,
}

impl Kind for WorkKind {
    type Up = WorkRequest;
    type Down = WorkResponse;
    type Began = Desk;

    fn begin(edge: &Edge, first: WorkRequest) -> Result<(Desk, ForwardUp), Refusal> {
        let Some(request @ Request::Hello(hello)) = &first.request else {
            return Err(stream_protocol("the first message of a stream is `hello`"));
        };
        check::act(request)?;
        let agent = hello.agent.clone();
        let first = ForwardUp {
            group: edge.homes().of_agent(&agent).0,
            site: edge.cluster().site(),
            request: Some(forward_up::Request::Work(first)),
            ..ForwardUp::default()
        };
        Ok((Desk { agent }, first))
    }

    fn up(desk: &Desk, message: WorkRequest) -> Upward<WorkResponse> {
        let Some(request) = &message.request else {
            return Upward::Violation(stream_protocol("a message of a stream says what is done"));
        };
        if matches!(request, Request::Hello(_)) {
            return Upward::Violation(stream_protocol("`hello` comes once, and first"));
        }
        match check::act(request).and_then(|()| own_agent(desk, request)) {
            Ok(()) => Upward::Pass(forward_up::Request::Work(message)),
            Err(refusal) => Upward::Refuse(refused(request, refusal)),
        }
    }

    fn down(&mut self, edge: &Edge, message: forward_down::Response) -> Option<WorkResponse> {
        let forward_down::Response::Work(mut message) = message else {
            return None;
        };
        match &mut message.response {
            Some(Response::Welcome(welcome)) => welcome.endpoints = edge.cluster().endpoints(),
            Some(Response::Ended(ended)) => {
                ended.endpoints = edge.cluster().endpoints();
                ended.cursor = self.number;
            }
            _ => {}
        }
        Some(self.own(message))
    }

    fn own(&mut self, mut message: WorkResponse) -> WorkResponse {
        self.number += 1;
        message.number = self.number;
        message
    }

    fn interrupted(since_ms: u64) -> WorkResponse {
        response(Response::Interrupted(Interrupted { since_ms }))
    }

    fn ended(ended: StreamEnded) -> WorkResponse {
        response(Response::Ended(ended))
    }

    fn end(message: &WorkResponse) -> Option<End> {
        match &message.response {
            Some(Response::Ended(ended)) => Some(End::of(ended)),
            _ => None,
        }
    }

    fn first_cursor(_desk: &Desk) -> u64 {
        0
    }

    fn set_cursor(&mut self, _cursor: u64) {}

    fn cursor(&self) -> u64 {
        self.number
    }
}

fn own_agent(desk: &Desk, request: &Request) -> Result<(), Refusal> {
    let named = check::described(request).agent;
    if named.is_empty() || named == desk.agent {
        return Ok(());
    }
    Err(field_invalid(
        "agent",
        format!("is not the stream's own, {}", desk.agent),
    ))
}

/// The answer to an act that was not done; its text goes back as a draft.
pub(crate) fn refused(request: &Request, refusal: Refusal) -> WorkResponse {
    let said = check::described(request);
    response(Response::Refused(WorkRefused {
        request_id: said.request_id.to_owned(),
        refusal: Some(refusal),
        conversation_id: said.conversation_id.to_owned(),
        draft: said.draft.to_owned(),
    }))
}

fn response(response: Response) -> WorkResponse {
    WorkResponse {
        number: 0,
        response: Some(response),
    }
}

#[cfg(test)]
#[path = "work_test.rs"]
mod work_test;
