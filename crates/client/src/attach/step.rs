//! The state of a followed conversation: what each message of the server means.
//! Promise: no IO and no clock of its own; items are handed on in order, each once; at most one
//! message is on the way; a message leaves the outbox acknowledged, refused for good or out of time.
//! Not here: waiting (`follow`).

use std::collections::VecDeque;
use std::time::Duration;

use mutants::{Mutant, planted};
use pb::api::v1::{self as api, attach_request, attach_response};
use tokio::time::Instant;

use super::{Answer, Begin, Command, Event, Unsent};
use crate::backoff::Backoff;
use crate::call::Core;
use crate::error::{CallError, Kind};
use crate::follow::{self, Steps};
use crate::seams::Seams;

/// Messages that wait for the one on the way; a person has fewer, a program waits.
pub(crate) const OUTBOX_MAX: usize = 64;

/// What the loop does next, in order.
pub(crate) type Step = follow::Step<State>;

#[derive(Debug)]
struct Pending {
    request: api::SendRequest,
    answer: Option<Answer>,
    deadline: Instant,
    /// It was written to a stream at least once since the last definite no.
    written: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
    last: Option<CallError>,
}

/// The state of one followed conversation.
pub(crate) struct State {
    conversation_id: String,
    cursor: u64,
    observe: bool,
    outbox: VecDeque<Pending>,
    /// When the front of the outbox was written to this stream.
    on_way_since: Option<Instant>,
    welcomed: bool,
    attempt_timeout: Duration,
    backoff: Backoff,
    seams: Seams,
}

impl Steps for State {
    type Up = api::AttachRequest;
    type Down = api::AttachResponse;
    type Command = Command;
    type Event = Event;
    type Settled = Result<api::SendResponse, Unsent>;

    fn begin(&self) -> api::AttachRequest {
        up(attach_request::Request::Begin(api::AttachBegin {
            conversation_id: self.conversation_id.clone(),
            cursor: self
                .cursor
                .saturating_sub(u64::from(planted(Mutant::ResumeOffByOne))),
            observe: self.observe,
        }))
    }

    fn on_command(&mut self, command: Command) -> Vec<Step> {
        match command {
            Command::Send {
                request,
                answer,
                deadline,
            } => self.submit(request, answer, deadline),
            Command::Mark(mark) => vec![Step::Say(api::AttachRequest {
                request: Some(api::attach_request::Request::Mark(mark)),
            })],
        }
    }

    fn on_message(&mut self, now: Instant, message: api::AttachResponse) -> Vec<Step> {
        use attach_response::Response;
        let Some(response) = message.response else {
            return Vec::new(); // a kind of message that a newer server knows
        };
        match response {
            Response::Welcome(welcome) => self.on_welcome(welcome),
            Response::Item(item) => self.on_item(item),
            Response::Sent(sent) => self.on_sent(sent),
            Response::Refused(refused) => self.on_refused(now, refused),
            Response::Marker(marker) => vec![Step::Emit(Event::Marker(marker))],
            Response::Summary(summary) => vec![Step::Emit(Event::Summary(summary))],
            Response::Interrupted(interrupted) => vec![Step::Emit(Event::Interrupted {
                since_ms: interrupted.since_ms,
            })],
            Response::Ended(ended) => {
                let what = "the server ended the stream";
                let error = CallError::from_reason(ended.reason(), ended.retry_after_ms, what);
                self.leave(error, ended.endpoints)
            }
        }
    }

    fn on_broke(&mut self, error: &CallError) -> Vec<Step> {
        let worked = self.welcomed;
        self.welcomed = false;
        self.on_way_since = None;
        if !error.is_retryable() {
            return self.end(error.clone());
        }
        match worked {
            true => vec![Step::Emit(Event::Interrupted { since_ms: 0 })],
            false => Vec::new(),
        }
    }

    fn on_clock(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        if self
            .on_way_since
            .is_some_and(|since| now >= since + self.attempt_timeout)
        {
            let message = "a message was not acknowledged in time";
            steps.extend(self.leave(CallError::local(Kind::OutcomeUnknown, message), Vec::new()));
        }
        let first_is_late = self.outbox.front().is_some_and(|p| p.deadline <= now);
        if first_is_late {
            self.on_way_since = None;
        }
        let (late, kept): (Vec<Pending>, Vec<Pending>) = self
            .outbox
            .drain(..)
            .partition(|pending| pending.deadline <= now);
        self.outbox.extend(kept);
        for pending in late {
            let error = out_of_time(&pending);
            steps.push(settle(pending, Err(error)));
        }
        steps
    }

    fn wakes_at(&self) -> Option<Instant> {
        let deadlines = self.outbox.iter().map(|pending| pending.deadline);
        let stuck = self.on_way_since.map(|since| since + self.attempt_timeout);
        // Before the welcome nothing can be written: a due moment then would be a clock that has
        // always rung already, and the stream would never be opened anew.
        let writable = self.welcomed && self.on_way_since.is_none();
        let front = self.outbox.front().filter(|_| writable);
        let due = front.and_then(|pending| pending.not_before);
        deadlines.chain(stuck).chain(due).min()
    }

    fn due(&mut self, now: Instant) -> Option<api::AttachRequest> {
        self.pump(now)
    }

    fn end(&mut self, error: CallError) -> Vec<Step> {
        let waiting: Vec<Pending> = self.outbox.drain(..).collect();
        let mut steps: Vec<Step> = Vec::new();
        for pending in waiting {
            let unknown = pending.written;
            let error = match unknown && error.kind != Kind::Refused {
                true => out_of_time(&pending),
                false => error.clone(),
            };
            steps.push(settle(pending, Err(error)));
        }
        steps.push(Step::End(error));
        steps
    }

    fn resumed(&self, address: String) -> Event {
        let cursor = self.cursor();
        Event::Resumed { address, cursor }
    }

    fn ended(error: CallError) -> Event {
        Event::Ended(error)
    }
}

impl State {
    pub(crate) fn new(core: &Core, begin: Begin) -> Self {
        Self {
            conversation_id: begin.conversation_id,
            cursor: begin.cursor,
            observe: begin.observe,
            outbox: VecDeque::new(),
            on_way_since: None,
            welcomed: false,
            attempt_timeout: core.options.attempt_timeout,
            backoff: Backoff::new(&core.options),
            seams: core.seams.clone(),
        }
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Takes a message over.
    pub(crate) fn submit(
        &mut self,
        request: api::SendRequest,
        answer: Option<Answer>,
        deadline: Instant,
    ) -> Vec<Step> {
        let pending = Pending {
            request,
            answer,
            deadline,
            written: false,
            not_before: None,
            backoff: self.backoff.clone(),
            last: None,
        };
        if self.outbox.len() >= OUTBOX_MAX {
            let message = format!("{OUTBOX_MAX} messages are waiting already");
            return vec![settle(pending, Err(CallError::local(Kind::Later, message)))];
        }
        self.outbox.push_back(pending);
        Vec::new()
    }

    /// The message to write now, if one is due and none is on the way.
    pub(crate) fn pump(&mut self, now: Instant) -> Option<api::AttachRequest> {
        if !self.welcomed || self.on_way_since.is_some() {
            return None;
        }
        let front = self.outbox.front_mut()?;
        if front.not_before.is_some_and(|due| due > now) {
            return None;
        }
        if front.written && planted(Mutant::NewIdOnRetry) {
            front.request.request_id = self.seams.uuid();
        }
        front.written = true;
        self.on_way_since = Some(now);
        Some(up(attach_request::Request::Send(front.request.clone())))
    }

    fn on_welcome(&mut self, welcome: api::AttachWelcome) -> Vec<Step> {
        self.welcomed = true;
        self.on_way_since = None;
        let mut steps = vec![Step::Welcomed(welcome.endpoints)];
        steps.extend(
            welcome
                .conversation
                .map(|summary| Step::Emit(Event::Summary(summary))),
        );
        steps
    }

    fn on_item(&mut self, item: api::Item) -> Vec<Step> {
        if item.sequence < self.cursor
            || (item.sequence == self.cursor && !planted(Mutant::ResumeOffByOne))
        {
            return Vec::new();
        }
        if item.sequence > self.cursor + 1 {
            let message = format!("item {} came after {}", item.sequence, self.cursor);
            return self.leave(CallError::local(Kind::OutcomeUnknown, message), Vec::new());
        }
        self.cursor = item.sequence;
        let continued = continuation(&item);
        let mut steps = vec![Step::Emit(Event::Item(item))];
        if let Some(conversation_id) = continued {
            self.conversation_id = conversation_id.clone();
            self.cursor = 0;
            steps.push(Step::Emit(Event::Continued { conversation_id }));
            let error = CallError::local(Kind::Later, "the conversation goes on under another id");
            steps.extend(self.leave(error, Vec::new()));
        }
        steps
    }

    fn on_sent(&mut self, sent: api::SendResponse) -> Vec<Step> {
        let is_front = self
            .outbox
            .front()
            .is_some_and(|pending| pending.request.request_id == sent.request_id);
        let settled = is_front.then(|| self.outbox.pop_front()).flatten();
        match settled {
            Some(pending) => {
                self.on_way_since = None;
                vec![settle(pending, Ok(sent))]
            }
            None => Vec::new(), // of a message whose budget was spent
        }
    }

    fn on_refused(&mut self, now: Instant, refused: api::AttachRefused) -> Vec<Step> {
        let error = CallError::from_refusal(&refused.refusal.unwrap_or_default());
        if !self.welcomed {
            return self.leave(error, Vec::new());
        }
        let Some(front) = self.outbox.front_mut() else {
            return Vec::new();
        };
        if front.request.request_id != refused.request_id {
            return Vec::new();
        }
        self.on_way_since = None;
        if error.is_retryable() {
            let pause = front.backoff.next(&self.seams, error.retry_after);
            front.not_before = Some(now + pause);
            front.last = Some(error);
            return Vec::new();
        }
        let refused = self.outbox.pop_front();
        refused
            .map(|pending| settle(pending, Err(error)))
            .into_iter()
            .collect()
    }

    fn leave(&mut self, error: CallError, endpoints: Vec<api::Endpoint>) -> Vec<Step> {
        let mut steps = self.on_broke(&error);
        if error.is_retryable() {
            steps.push(Step::Reconnect(error, endpoints));
        }
        steps
    }
}

fn up(request: attach_request::Request) -> api::AttachRequest {
    api::AttachRequest {
        request: Some(request),
    }
}

fn continuation(item: &api::Item) -> Option<String> {
    let Some(api::item::Content::Change(change)) = &item.content else {
        return None;
    };
    let continued = change.kind() == api::change::Kind::Continued;
    (continued && !change.conversation_id.is_empty()).then(|| change.conversation_id.clone())
}

fn settle(pending: Pending, result: Result<api::SendResponse, CallError>) -> Step {
    let draft = pending.request;
    let result = result.map_err(|error| Unsent { error, draft });
    match (pending.answer, result) {
        (Some(answer), result) => Step::Settle(answer, result),
        (None, Ok(sent)) => Step::Emit(Event::Acked(sent)),
        (None, Err(unsent)) => Step::Emit(Event::Refused(unsent)),
    }
}

fn out_of_time(pending: &Pending) -> CallError {
    match (pending.written, &pending.last) {
        (true, _) => CallError {
            reason: api::ErrorReason::OutcomeUnknown,
            ..CallError::local(
                Kind::OutcomeUnknown,
                "no acknowledgement came in time; the message may be stored",
            )
        },
        (false, Some(last)) => last.clone(),
        (false, None) => {
            CallError::local(Kind::Unreachable, "no endpoint took the message in time")
        }
    }
}
