//! Desks: an agent's stream that logs in, sends heartbeats and resumes by itself.
//! Promise: an act carries one request id through all its attempts and is answered once; acts on one
//! conversation go one after the other; a refused text comes back as a draft; after a resume the
//! reader sees changes, never the same item or offer twice.
//! Not here: what the stream says (`step`), waiting for it (`follow`), opening it (`link`).

mod acts;
mod open;
mod step;

use std::sync::Arc;

use pb::api::v1::{self as api, work_request};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::call::Core;
use crate::error::{CallError, Kind};
use crate::follow;

/// Events that wait for their reader; then the stream is not read.
const EVENTS_BOUND: usize = 1_024;
/// What callers have asked for and the desk's task has not seen yet.
const COMMANDS_BOUND: usize = 256;

/// Who takes a seat.
#[derive(Clone, Debug, Default)]
pub struct DeskLogin {
    /// The name in the floor plan.
    pub agent: String,
    /// A random id of the device; empty draws one.
    pub device_id: String,
    /// The session that the device believes in; 0 at a first login.
    pub session: u64,
    /// Whether the agent takes work at once; an existing session keeps its own intent.
    pub ready: bool,
}

/// What happens at a desk.
#[derive(Clone, Debug, PartialEq)]
pub enum DeskEvent {
    /// The desk works, at first or again. What follows are changes against what was seen before.
    Resumed {
        /// The session.
        session: u64,
        /// The endpoint, host:port.
        address: String,
    },
    /// The first snapshot is complete.
    Ready,
    /// The agent is asked to take a conversation. The device has shown it when it calls
    /// [`AgentDesk::offer_shown`].
    Offer(api::Offer),
    /// An offer has ended; `outcome` is unspecified when it ended while the stream was down.
    OfferEnded(api::OfferEnded),
    /// The agent holds a conversation, with all that was said so far.
    Held(api::HeldConversation),
    /// A conversation of the agent has a new item.
    Item {
        /// The conversation.
        conversation_id: String,
        /// The item.
        item: api::Item,
    },
    /// A conversation of the agent has a new note.
    Note(api::WorkNote),
    /// A conversation of the agent changed its state.
    Summary(api::ConversationSummary),
    /// The agent no longer holds a conversation.
    Gone(api::ConversationGone),
    /// A time of a conversation of the agent runs out soon.
    Warned(api::WorkWarned),
    /// The agent's own state changed.
    Agent(api::AgentSummary),
    /// Somebody types or has read.
    Marker(api::WorkMarker),
    /// Nothing is confirmed until further notice.
    Interrupted {
        /// Milliseconds since the last confirmation; 0 when the path broke.
        since_ms: u64,
    },
    /// The desk ended for good; nothing follows.
    Ended(CallError),
}

/// An act that was not done, or may not have been.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the act was not done: {error}")]
pub struct ActFailed {
    /// Why.
    pub error: CallError,
    /// The id of the act; the same act with the same id is done once.
    pub request_id: String,
    /// The text that was not sent.
    pub draft: Option<String>,
}

/// Where a transfer goes.
#[derive(Clone, Debug)]
pub enum Transfer {
    /// To an agent; with `wait`, to that agent's own line instead of being refused.
    Agent {
        /// The name in the floor plan.
        name: String,
        /// Wait in the agent's own line.
        wait: bool,
    },
    /// To a queue, with the full age.
    Queue(String),
}

pub(crate) type ActAnswer = oneshot::Sender<Result<api::WorkDone, ActFailed>>;

pub(crate) enum Command {
    Act {
        request: work_request::Request,
        answer: ActAnswer,
        deadline: Instant,
    },
    /// Not answered by the server; lost when the stream is down.
    Say(work_request::Request),
}

/// An agent's seat. Dropping it ends the stream, not the session: [`AgentDesk::log_out`] does.
pub struct AgentDesk {
    hand: DeskHand,
    events: mpsc::Receiver<DeskEvent>,
}

/// The acting half of an [`AgentDesk`]; cheap to clone.
#[derive(Clone)]
pub struct DeskHand {
    core: Arc<Core>,
    commands: mpsc::Sender<Command>,
}

impl AgentDesk {
    pub(crate) fn start(core: Arc<Core>, mut login: DeskLogin) -> Self {
        if login.device_id.is_empty() {
            login.device_id = core.request_id();
        }
        let (events, read) = mpsc::channel(EVENTS_BOUND);
        let (commands, asked) = mpsc::channel(COMMANDS_BOUND);
        let spawn = core.seams.spawn.clone();
        let state = step::State::new(&core, login);
        let work = follow::follow(core.clone(), state, asked, events);
        spawn.spawn("desk", Box::pin(work));
        Self {
            hand: DeskHand { core, commands },
            events: read,
        }
    }

    /// The next event; none after [`DeskEvent::Ended`].
    pub async fn next(&mut self) -> Option<DeskEvent> {
        self.events.recv().await
    }

    /// A half that acts while this one reads.
    pub fn hand(&self) -> DeskHand {
        self.hand.clone()
    }
}

impl std::ops::Deref for AgentDesk {
    type Target = DeskHand;

    fn deref(&self) -> &DeskHand {
        &self.hand
    }
}

impl DeskHand {
    /// Takes an offer; the answer carries the epoch in which the agent speaks.
    pub async fn accept(&self, offer: &api::Offer) -> Result<api::WorkDone, ActFailed> {
        let accept = api::AcceptOfferRequest {
            offer_id: offer.offer_id.clone(),
            owner_epoch: offer.owner_epoch,
            ..Default::default()
        };
        self.act(work_request::Request::Accept(accept)).await
    }

    /// Passes an offer by.
    pub async fn decline(&self, offer_id: &str, reason: &str) -> Result<api::WorkDone, ActFailed> {
        let decline = api::DeclineOfferRequest {
            offer_id: offer_id.to_owned(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        self.act(work_request::Request::Decline(decline)).await
    }

    /// Writes to the customer.
    pub async fn reply(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
        text: &str,
    ) -> Result<api::WorkDone, ActFailed> {
        let reply = api::ReplyRequest {
            conversation_id: conversation_id.to_owned(),
            owner_epoch,
            text: text.to_owned(),
            ..Default::default()
        };
        self.act(work_request::Request::Reply(reply)).await
    }

    /// Writes a remark that customers never see.
    pub async fn note(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
        text: &str,
    ) -> Result<api::WorkDone, ActFailed> {
        let note = api::AddNoteRequest {
            conversation_id: conversation_id.to_owned(),
            owner_epoch,
            text: text.to_owned(),
            ..Default::default()
        };
        self.act(work_request::Request::Note(note)).await
    }

    /// Puts the conversation on hold.
    pub async fn hold(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
    ) -> Result<api::WorkDone, ActFailed> {
        let hold = api::HoldConversationRequest {
            conversation_id: conversation_id.to_owned(),
            owner_epoch,
            ..Default::default()
        };
        self.act(work_request::Request::Hold(hold)).await
    }

    /// Takes it up again; the answer carries the epoch in which the agent speaks.
    pub async fn resume(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
    ) -> Result<api::WorkDone, ActFailed> {
        let resume = api::ResumeConversationRequest {
            conversation_id: conversation_id.to_owned(),
            owner_epoch,
            ..Default::default()
        };
        self.act(work_request::Request::Resume(resume)).await
    }

    /// Passes it on, with a note for whoever takes it (may be empty).
    pub async fn transfer(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
        to: Transfer,
        note: &str,
    ) -> Result<api::WorkDone, ActFailed> {
        use api::transfer_conversation_request::Target;
        let (target, wait) = match to {
            Transfer::Agent { name, wait } => (Target::ToAgent(name), wait),
            Transfer::Queue(name) => (Target::ToQueue(name), false),
        };
        let transfer = api::TransferConversationRequest {
            conversation_id: conversation_id.to_owned(),
            owner_epoch,
            target: Some(target),
            wait,
            note: note.to_owned(),
            ..Default::default()
        };
        self.act(work_request::Request::Transfer(transfer)).await
    }

    /// Ends the conversation; wrap-up follows as the queue says.
    pub async fn close(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
        reason: &str,
    ) -> Result<api::WorkDone, ActFailed> {
        let close = closing(conversation_id, owner_epoch, reason);
        self.act(work_request::Request::Close(close)).await
    }

    /// Ends the conversation and asks for after-contact work, where the queue gives it on request.
    pub async fn close_into_wrap_up(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
        reason: &str,
    ) -> Result<api::WorkDone, ActFailed> {
        let close = api::CloseConversationRequest {
            wrap_up: true,
            ..closing(conversation_id, owner_epoch, reason)
        };
        self.act(work_request::Request::Close(close)).await
    }

    /// Ends after-contact work.
    pub async fn finish_wrap_up(
        &self,
        conversation_id: &str,
        owner_epoch: u64,
    ) -> Result<api::WorkDone, ActFailed> {
        let finish = api::FinishWrapUpRequest {
            conversation_id: conversation_id.to_owned(),
            owner_epoch,
            ..Default::default()
        };
        self.act(work_request::Request::FinishWrapUp(finish)).await
    }

    /// Chooses ready, or not ready with a reason.
    pub async fn set_intent(&self, intent: api::Intent) -> Result<api::WorkDone, ActFailed> {
        let set = api::SetIntentRequest {
            intent: Some(intent),
            ..Default::default()
        };
        self.act(work_request::Request::SetIntent(set)).await
    }

    /// Chooses what becomes the intent when the present work has ended; none takes it back.
    pub async fn set_next_status(
        &self,
        intent: Option<api::Intent>,
    ) -> Result<api::WorkDone, ActFailed> {
        let set = api::SetNextStatusRequest {
            intent,
            ..Default::default()
        };
        self.act(work_request::Request::SetNextStatus(set)).await
    }

    /// Ends the session on all devices.
    pub async fn log_out(&self) -> Result<api::WorkDone, ActFailed> {
        self.act(work_request::Request::LogOut(api::LogOutRequest::default()))
            .await
    }

    /// Does an act; agent, session and request id may be left empty. Ends when it is done, refused,
    /// or the call budget is spent.
    pub async fn act(&self, request: work_request::Request) -> Result<api::WorkDone, ActFailed> {
        let mut request = request;
        let request_id = acts::identify(&mut request, &self.core);
        let draft = acts::draft(&request);
        let gone = |kind| ActFailed {
            error: CallError::local(kind, "the desk's stream has ended"),
            request_id,
            draft,
        };
        let (answer, answered) = oneshot::channel();
        let deadline = Instant::now() + self.core.options.call_budget;
        let command = Command::Act {
            request,
            answer,
            deadline,
        };
        match tokio::time::timeout_at(deadline, self.commands.send(command)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(gone(Kind::Unreachable)),
        }
        match answered.await {
            Ok(settled) => settled,
            Err(_) => Err(gone(Kind::OutcomeUnknown)),
        }
    }

    /// Says that the offer is on the agent's screen. Lost when the stream is down.
    pub fn offer_shown(&self, offer_id: &str) {
        let shown = api::ShowOfferRequest {
            offer_id: offer_id.to_owned(),
            ..Default::default()
        };
        self.say(work_request::Request::OfferShown(shown));
    }

    /// Passes on that the agent types or has read (0 says nothing). Lost when the stream is down.
    pub fn mark(&self, conversation_id: &str, typing: bool, read_sequence: u64) {
        let mark = api::MarkConversationRequest {
            conversation_id: conversation_id.to_owned(),
            typing,
            read_sequence,
            ..Default::default()
        };
        self.say(work_request::Request::Mark(mark));
    }

    fn say(&self, request: work_request::Request) {
        if self.commands.try_send(Command::Say(request)).is_err() {
            tracing::debug!("a marker was dropped: the desk is busy or has ended");
        }
    }
}

fn closing(conversation_id: &str, owner_epoch: u64, reason: &str) -> api::CloseConversationRequest {
    api::CloseConversationRequest {
        conversation_id: conversation_id.to_owned(),
        owner_epoch,
        reason: reason.to_owned(),
        ..Default::default()
    }
}
