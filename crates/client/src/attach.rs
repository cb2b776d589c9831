//! Conversations as their customers follow them: a stream that resumes by itself.
//! Promise: items come in order, without gap or repeat, across endpoints; one message at a time is on
//! the way; a message that is not acknowledged is sent again with the same id, and comes back as it was.
//! Not here: what the stream says (`step`), waiting for it (`follow`), opening it (`link`).

mod open;
mod step;

use std::sync::Arc;

use pb::api::v1 as api;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::call::Core;
use crate::error::{CallError, Kind};
use crate::follow;

/// Events that wait for their reader; then the stream is not read, and the server drops it with a
/// cursor from which it resumes.
const EVENTS_BOUND: usize = 256;
/// What callers have asked for and the stream's task has not seen yet.
const COMMANDS_BOUND: usize = 64;

/// Where a stream begins.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    pub(crate) conversation_id: String,
    pub(crate) cursor: u64,
    pub(crate) observe: bool,
}

/// What happens in a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The next item of the transcript.
    Item(api::Item),
    /// A message given to [`Conversation::submit`] is stored.
    Acked(api::SendResponse),
    /// A message given to [`Conversation::submit`] was not stored; the draft is as it was given.
    Refused(Unsent),
    /// Somebody types or has read.
    Marker(api::Marker),
    /// State, owner or place in line changed.
    Summary(api::ConversationSummary),
    /// Nothing is confirmed until further notice.
    Interrupted {
        /// Milliseconds since the last confirmation, as the server says; 0 when the path broke.
        since_ms: u64,
    },
    /// The stream works, at first or again.
    Resumed {
        /// The endpoint, host:port.
        address: String,
        /// The last item that was seen before; what follows continues from it.
        cursor: u64,
    },
    /// The conversation goes on under another id, which the handle follows by itself.
    Continued {
        /// The other id.
        conversation_id: String,
    },
    /// The stream ended for good; nothing follows.
    Ended(CallError),
}

/// A message that was not stored, or may not have been.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the message was not acknowledged: {error}")]
pub struct Unsent {
    /// Why.
    pub error: CallError,
    /// The message, its id included: [`Conversation::send_again`] takes it. A changed text is
    /// another message and needs another id.
    pub draft: api::SendRequest,
}

pub(crate) type Answer = oneshot::Sender<Result<api::SendResponse, Unsent>>;

pub(crate) enum Command {
    Send {
        request: api::SendRequest,
        /// Without it the answer comes as an event.
        answer: Option<Answer>,
        deadline: Instant,
    },
    Mark(api::MarkRequest),
}

/// A conversation that is followed. Dropping it ends the stream. Its events must be read, or no
/// message is acknowledged either.
pub struct Conversation {
    conversation_id: String,
    writer: Writer,
    events: mpsc::Receiver<Event>,
}

/// The writing half of a [`Conversation`]; cheap to clone.
#[derive(Clone)]
pub struct Writer {
    core: Arc<Core>,
    commands: mpsc::Sender<Command>,
}

impl Conversation {
    pub(crate) fn start(core: Arc<Core>, begin: Begin) -> Self {
        let (events, read) = mpsc::channel(EVENTS_BOUND);
        let (commands, asked) = mpsc::channel(COMMANDS_BOUND);
        let conversation_id = begin.conversation_id.clone();
        let spawn = core.seams.spawn.clone();
        let state = step::State::new(&core, begin);
        let follow = follow::follow(core.clone(), state, asked, events);
        spawn.spawn("conversation", Box::pin(follow));
        Self {
            conversation_id,
            writer: Writer { core, commands },
            events: read,
        }
    }

    /// The id that was asked for.
    pub fn conversation_id(&self) -> &str {
        &self.conversation_id
    }

    /// The next event; none after [`Event::Ended`].
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// A half that writes while this one reads.
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// See [`Writer::send`].
    pub async fn send(&self, text: &str) -> Result<api::SendResponse, Unsent> {
        self.writer.send(text).await
    }

    /// See [`Writer::submit`].
    pub async fn submit(&self, text: &str) -> Result<String, Unsent> {
        self.writer.submit(text).await
    }

    /// See [`Writer::send_again`].
    pub async fn send_again(&self, draft: api::SendRequest) -> Result<api::SendResponse, Unsent> {
        self.writer.send_again(draft).await
    }

    /// See [`Writer::mark`].
    pub fn mark(&self, typing: bool, read_sequence: u64) {
        self.writer.mark(typing, read_sequence);
    }
}

impl Writer {
    /// Stores a message; ends when it is durable, refused, or the call budget is spent.
    pub async fn send(&self, text: &str) -> Result<api::SendResponse, Unsent> {
        self.send_again(self.draft(text)).await
    }

    /// Stores a message under the id it already has. An id stands for one text.
    pub async fn send_again(&self, draft: api::SendRequest) -> Result<api::SendResponse, Unsent> {
        let (answer, answered) = oneshot::channel();
        let copy = draft.clone();
        self.ask(draft, Some(answer)).await?;
        match answered.await {
            Ok(settled) => settled,
            Err(_) => Err(gone(copy, Kind::OutcomeUnknown)),
        }
    }

    /// Hands a message over and gives its id; the answer comes as [`Event::Acked`] or
    /// [`Event::Refused`]. Waits while 64 messages are waiting.
    pub async fn submit(&self, text: &str) -> Result<String, Unsent> {
        let draft = self.draft(text);
        let id = draft.request_id.clone();
        self.ask(draft, None).await?;
        Ok(id)
    }

    /// Passes on that the customer types or has read (0 says nothing). Lost when the stream is down.
    pub fn mark(&self, typing: bool, read_sequence: u64) {
        let mark = api::MarkRequest {
            conversation_id: String::new(),
            typing,
            read_sequence,
        };
        if self.commands.try_send(Command::Mark(mark)).is_err() {
            tracing::debug!("a marker was dropped: the stream is busy or has ended");
        }
    }

    fn draft(&self, text: &str) -> api::SendRequest {
        api::SendRequest {
            request_id: self.core.request_id(),
            text: text.to_owned(),
            ..Default::default()
        }
    }

    async fn ask(&self, request: api::SendRequest, answer: Option<Answer>) -> Result<(), Unsent> {
        let deadline = Instant::now() + self.core.options.call_budget;
        let command = Command::Send {
            request: request.clone(),
            answer,
            deadline,
        };
        match tokio::time::timeout_at(deadline, self.commands.send(command)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(gone(request, Kind::Unreachable)),
        }
    }
}

fn gone(draft: api::SendRequest, kind: Kind) -> Unsent {
    Unsent {
        error: CallError::local(kind, "the conversation's stream has ended"),
        draft,
    }
}
