//! The state of a desk: what each message of the server means.
//! Promise: no IO and no clock of its own; a snapshot after a resume becomes changes; an act leaves
//! the list done, refused for good or out of time.
//! Not here: waiting (`follow`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use pb::api::v1::{self as api, work_request::Request, work_response::Response};
use tokio::time::Instant;

use super::{ActAnswer, ActFailed, Command, DeskEvent, DeskLogin, acts};
use crate::backoff::Backoff;
use crate::call::Core;
use crate::error::{CallError, Kind};
use crate::follow::{self, Steps};
use crate::seams::Seams;

/// Acts that wait for their answers: forty conversations of two dozen acts each.
pub(crate) const ACTS_MAX: usize = 1_024;
/// Until the server says otherwise.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(5);
/// A server that asks for more is at fault, and less would be noise.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// What the loop does next, in order.
pub(crate) type Step = follow::Step<State>;

struct Act {
    request: Request,
    request_id: String,
    answer: ActAnswer,
    deadline: Instant,
    written: bool,
    on_way_since: Option<Instant>,
    not_before: Option<Instant>,
    backoff: Backoff,
    last: Option<CallError>,
}

/// What the reader has seen; a snapshot is compared with it.
#[derive(Default)]
struct Seen {
    /// The last item of each conversation that is held.
    held: BTreeMap<String, u64>,
    /// The last note of each.
    notes: BTreeMap<String, u64>,
    /// Open offers and their conversations.
    offers: BTreeMap<String, String>,
    ready: bool,
}

/// The state of one desk.
pub(crate) struct State {
    login: DeskLogin,
    hello_id: String,
    acts: VecDeque<Act>,
    seen: Seen,
    /// Named by the snapshot that is arriving.
    named: Option<BTreeSet<String>>,
    number: u64,
    welcomed: bool,
    heartbeat: Duration,
    beat_at: Option<Instant>,
    attempt_timeout: Duration,
    backoff: Backoff,
    seams: Seams,
}

impl Steps for State {
    type Up = api::WorkRequest;
    type Down = api::WorkResponse;
    type Command = Command;
    type Event = DeskEvent;
    type Settled = Result<api::WorkDone, ActFailed>;

    fn begin(&self) -> api::WorkRequest {
        up(Request::Hello(api::LogInRequest {
            agent: self.login.agent.clone(),
            request_id: self.hello_id.clone(),
            device_id: self.login.device_id.clone(),
            session: self.login.session,
            intent: Some(api::Intent {
                ready: self.login.ready,
                reason: String::new(),
            }),
        }))
    }

    fn on_command(&mut self, command: Command) -> Vec<Step> {
        match command {
            Command::Act {
                request,
                answer,
                deadline,
            } => self.submit(request, answer, deadline),
            Command::Say(request) => vec![Step::Say(api::WorkRequest {
                request: Some(request),
            })],
        }
    }

    fn on_message(&mut self, now: Instant, message: api::WorkResponse) -> Vec<Step> {
        if message.number != self.number + 1 {
            let text = format!("message {} came after {}", message.number, self.number);
            return self.leave(CallError::local(Kind::OutcomeUnknown, text), Vec::new());
        }
        self.number = message.number;
        let Some(response) = message.response else {
            return Vec::new(); // a kind of message that a newer server knows
        };
        match response {
            Response::Welcome(welcome) => self.on_welcome(now, welcome),
            Response::Ready(_) => self.on_ready(),
            Response::Done(done) => self.on_done(done),
            Response::Refused(refused) => self.on_refused(now, refused),
            Response::Conversation(held) => self.on_held(held),
            Response::Item(api::WorkItem {
                conversation_id,
                item: Some(item),
            }) => self.on_item(conversation_id, item),
            Response::Item(_) => Vec::new(),
            Response::Note(note) => self.on_note(note),
            Response::Offer(offer) => self.on_offer(offer),
            Response::OfferEnded(ended) => {
                self.seen.offers.remove(&ended.offer_id);
                vec![Step::Emit(DeskEvent::OfferEnded(ended))]
            }
            Response::Gone(gone) => {
                self.seen.forget(&gone.conversation_id);
                vec![Step::Emit(DeskEvent::Gone(gone))]
            }
            Response::Summary(summary) => vec![Step::Emit(DeskEvent::Summary(summary))],
            Response::Warned(warned) => vec![Step::Emit(DeskEvent::Warned(warned))],
            Response::Agent(agent) => vec![Step::Emit(DeskEvent::Agent(agent))],
            Response::Marker(marker) => vec![Step::Emit(DeskEvent::Marker(marker))],
            Response::Interrupted(it) => vec![Step::Emit(DeskEvent::Interrupted {
                since_ms: it.since_ms,
            })],
            Response::Ended(ended) => {
                let what = "the server ended the desk's stream";
                let error = CallError::from_reason(ended.reason(), ended.retry_after_ms, what);
                self.leave(error, ended.endpoints)
            }
        }
    }

    fn on_broke(&mut self, error: &CallError) -> Vec<Step> {
        let worked = self.welcomed;
        self.welcomed = false;
        self.named = None;
        self.number = 0;
        for act in &mut self.acts {
            act.on_way_since = None;
        }
        if !error.is_retryable() {
            return self.end(error.clone());
        }
        match worked {
            true => vec![Step::Emit(DeskEvent::Interrupted { since_ms: 0 })],
            false => Vec::new(),
        }
    }

    fn on_clock(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let stuck = |act: &Act| {
            act.on_way_since
                .is_some_and(|since| now >= since + self.attempt_timeout)
        };
        if self.acts.iter().any(stuck) {
            let error = CallError::local(Kind::OutcomeUnknown, "an act was not answered in time");
            steps.extend(self.leave(error, Vec::new()));
        }
        for act in self
            .acts
            .iter_mut()
            .filter(|act| act.not_before.is_some_and(|due| due <= now))
        {
            act.not_before = None;
        }
        let (late, kept): (Vec<Act>, Vec<Act>) =
            self.acts.drain(..).partition(|act| act.deadline <= now);
        self.acts.extend(kept);
        steps.extend(late.into_iter().map(|act| {
            let error = out_of_time(&act);
            fail(act, error)
        }));
        steps
    }

    fn wakes_at(&self) -> Option<Instant> {
        let deadlines = self.acts.iter().map(|act| act.deadline);
        let stuck = self
            .acts
            .iter()
            .filter_map(|act| act.on_way_since.map(|since| since + self.attempt_timeout));
        let waiting = self.acts.iter().filter(|act| act.on_way_since.is_none());
        let due = waiting.filter_map(|act| act.not_before);
        let beat = self.beat_at.filter(|_| self.welcomed);
        deadlines.chain(stuck).chain(due).chain(beat).min()
    }

    fn due(&mut self, now: Instant) -> Option<api::WorkRequest> {
        self.beat(now).or_else(|| self.pump(now))
    }

    fn end(&mut self, error: CallError) -> Vec<Step> {
        let waiting: Vec<Act> = self.acts.drain(..).collect();
        let mut steps: Vec<Step> = Vec::new();
        for act in waiting {
            let unknown = act.written && error.kind != Kind::Refused;
            let why = match unknown {
                true => out_of_time(&act),
                false => error.clone(),
            };
            steps.push(fail(act, why));
        }
        steps.push(Step::End(error));
        steps
    }

    fn resumed(&self, address: String) -> DeskEvent {
        let session = self.session();
        DeskEvent::Resumed { session, address }
    }

    fn ended(error: CallError) -> DeskEvent {
        DeskEvent::Ended(error)
    }
}

impl State {
    pub(crate) fn new(core: &Core, login: DeskLogin) -> Self {
        Self {
            login,
            hello_id: core.request_id(),
            acts: VecDeque::new(),
            seen: Seen::default(),
            named: None,
            number: 0,
            welcomed: false,
            heartbeat: HEARTBEAT_DEFAULT,
            beat_at: None,
            attempt_timeout: core.options.attempt_timeout,
            backoff: Backoff::new(&core.options),
            seams: core.seams.clone(),
        }
    }

    pub(crate) fn session(&self) -> u64 {
        self.login.session
    }

    /// Takes an act over.
    pub(crate) fn submit(
        &mut self,
        mut request: Request,
        answer: ActAnswer,
        deadline: Instant,
    ) -> Vec<Step> {
        let request_id = request_id_of(&mut request);
        let act = Act {
            request,
            request_id,
            answer,
            deadline,
            written: false,
            on_way_since: None,
            not_before: None,
            backoff: self.backoff.clone(),
            last: None,
        };
        if self.acts.len() >= ACTS_MAX {
            let message = format!("{ACTS_MAX} acts are waiting already");
            return vec![fail(act, CallError::local(Kind::Later, message))];
        }
        self.acts.push_back(act);
        Vec::new()
    }

    /// The next act to write now: due, not on the way, and none before it on the same subject.
    pub(crate) fn pump(&mut self, now: Instant) -> Option<api::WorkRequest> {
        if !self.welcomed {
            return None;
        }
        let mut earlier: BTreeSet<&str> = BTreeSet::new();
        let mut found = None;
        for (at, act) in self.acts.iter().enumerate() {
            let first = earlier.insert(acts::subject(&act.request));
            let due = act.not_before.is_none_or(|due| due <= now);
            if first && due && act.on_way_since.is_none() {
                found = Some(at);
                break;
            }
        }
        let act = self.acts.get_mut(found?)?;
        act.written = true;
        act.on_way_since = Some(now);
        Some(up(act.request.clone()))
    }

    /// The heartbeat, when it is due.
    pub(crate) fn beat(&mut self, now: Instant) -> Option<api::WorkRequest> {
        let due = self.beat_at.is_some_and(|at| at <= now);
        (self.welcomed && due).then(|| {
            self.beat_at = Some(now + self.heartbeat);
            up(Request::Heartbeat(api::HeartbeatRequest::default()))
        })
    }

    fn on_welcome(&mut self, now: Instant, welcome: api::WorkWelcome) -> Vec<Step> {
        self.welcomed = true;
        self.named = Some(BTreeSet::new());
        self.login.session = welcome.session;
        // The next hello is another request: it names the session.
        self.hello_id = self.seams.uuid();
        if welcome.heartbeat_ms > 0 {
            self.heartbeat = Duration::from_millis(welcome.heartbeat_ms).max(HEARTBEAT_MIN);
        }
        self.beat_at = Some(now + self.heartbeat);
        let mut steps = vec![Step::Welcomed(welcome.endpoints)];
        steps.extend(
            welcome
                .agent
                .map(|agent| Step::Emit(DeskEvent::Agent(agent))),
        );
        steps
    }

    /// The snapshot is complete: what it did not name has ended while the stream was down.
    fn on_ready(&mut self) -> Vec<Step> {
        let named = self.named.take().unwrap_or_default();
        let mut steps = Vec::new();
        let held: Vec<String> = self.seen.held.keys().cloned().collect();
        for conversation_id in held.into_iter().filter(|id| !named.contains(id)) {
            self.seen.forget(&conversation_id);
            let reason = "it ended or moved on while the stream was down".to_owned();
            let gone = api::ConversationGone {
                conversation_id,
                reason,
            };
            steps.push(Step::Emit(DeskEvent::Gone(gone)));
        }
        let offers = std::mem::take(&mut self.seen.offers);
        for (offer_id, conversation_id) in offers {
            if named.contains(&offer_id) {
                self.seen.offers.insert(offer_id, conversation_id);
                continue;
            }
            let outcome = api::offer_ended::Outcome::Unspecified.into();
            let ended = api::OfferEnded {
                offer_id,
                conversation_id,
                outcome,
            };
            steps.push(Step::Emit(DeskEvent::OfferEnded(ended)));
        }
        if !std::mem::replace(&mut self.seen.ready, true) {
            steps.push(Step::Emit(DeskEvent::Ready));
        }
        steps
    }

    fn on_held(&mut self, held: api::HeldConversation) -> Vec<Step> {
        let Some(summary) = held.conversation.clone() else {
            return Vec::new();
        };
        let id = summary.conversation_id.clone();
        if let Some(named) = &mut self.named {
            named.insert(id.clone());
        }
        if !self.seen.held.contains_key(&id) {
            let last = held.items.last().map_or(0, |item| item.sequence);
            let note = held.notes.last().map_or(0, |note| note.number);
            self.seen.held.insert(id.clone(), last);
            self.seen.notes.insert(id, note);
            return vec![Step::Emit(DeskEvent::Held(held))];
        }
        let mut steps = vec![Step::Emit(DeskEvent::Summary(summary))];
        for item in held.items {
            steps.extend(self.on_item(id.clone(), item));
        }
        for note in held.notes {
            let note = api::WorkNote {
                conversation_id: id.clone(),
                note: Some(note),
            };
            steps.extend(self.on_note(note));
        }
        steps
    }

    fn on_item(&mut self, conversation_id: String, item: api::Item) -> Vec<Step> {
        if let Some(last) = self.seen.held.get_mut(&conversation_id) {
            if item.sequence <= *last {
                return Vec::new();
            }
            if item.sequence > *last + 1 {
                let text = format!(
                    "{conversation_id}: item {} came after {last}",
                    item.sequence
                );
                return self.leave(CallError::local(Kind::OutcomeUnknown, text), Vec::new());
            }
            *last = item.sequence;
        }
        vec![Step::Emit(DeskEvent::Item {
            conversation_id,
            item,
        })]
    }

    fn on_note(&mut self, note: api::WorkNote) -> Vec<Step> {
        let number = note.note.as_ref().map_or(0, |note| note.number);
        match self.seen.notes.get_mut(&note.conversation_id) {
            Some(last) if number <= *last => return Vec::new(),
            Some(last) => *last = number,
            None => {}
        }
        vec![Step::Emit(DeskEvent::Note(note))]
    }

    fn on_offer(&mut self, offer: api::Offer) -> Vec<Step> {
        if let Some(named) = &mut self.named {
            named.insert(offer.offer_id.clone());
        }
        let conversation = offer.conversation.as_ref();
        let conversation_id = conversation.map_or(String::new(), |it| it.conversation_id.clone());
        let known = self
            .seen
            .offers
            .insert(offer.offer_id.clone(), conversation_id);
        match known {
            Some(_) => Vec::new(),
            None => vec![Step::Emit(DeskEvent::Offer(offer))],
        }
    }

    fn on_done(&mut self, done: api::WorkDone) -> Vec<Step> {
        match self.take(&done.request_id) {
            Some(act) => vec![Step::Settle(act.answer, Ok(done))],
            None => Vec::new(), // of an act whose budget was spent
        }
    }

    fn on_refused(&mut self, now: Instant, refused: api::WorkRefused) -> Vec<Step> {
        let error = CallError::from_refusal(&refused.refusal.unwrap_or_default());
        if !self.welcomed {
            return self.leave(error, Vec::new());
        }
        if error.is_retryable() {
            let again = self
                .acts
                .iter_mut()
                .find(|act| act.request_id == refused.request_id);
            if let Some(act) = again {
                let pause = act.backoff.next(&self.seams, error.retry_after);
                act.not_before = Some(now + pause);
                act.on_way_since = None;
                act.last = Some(error);
            }
            return Vec::new();
        }
        let act = self.take(&refused.request_id);
        act.map(|act| fail(act, error)).into_iter().collect()
    }

    fn take(&mut self, request_id: &str) -> Option<Act> {
        let at = self
            .acts
            .iter()
            .position(|act| act.request_id == request_id)?;
        self.acts.remove(at)
    }

    fn leave(&mut self, error: CallError, endpoints: Vec<api::Endpoint>) -> Vec<Step> {
        let mut steps = self.on_broke(&error);
        if error.is_retryable() {
            steps.push(Step::Reconnect(error, endpoints));
        }
        steps
    }
}

impl Seen {
    fn forget(&mut self, conversation_id: &str) {
        self.held.remove(conversation_id);
        self.notes.remove(conversation_id);
    }
}

fn up(request: Request) -> api::WorkRequest {
    api::WorkRequest {
        request: Some(request),
    }
}

fn request_id_of(request: &mut Request) -> String {
    acts::id_of(request).cloned().unwrap_or_default()
}

fn fail(act: Act, error: CallError) -> Step {
    let failed = ActFailed {
        error,
        request_id: act.request_id,
        draft: acts::draft(&act.request),
    };
    Step::Settle(act.answer, Err(failed))
}

fn out_of_time(act: &Act) -> CallError {
    match (act.written, &act.last) {
        (true, _) => CallError {
            reason: api::ErrorReason::OutcomeUnknown,
            ..CallError::local(
                Kind::OutcomeUnknown,
                "no answer came in time; the act may have been done",
            )
        },
        (false, Some(last)) => last.clone(),
        (false, None) => CallError::local(Kind::Unreachable, "no endpoint took the act in time"),
    }
}
