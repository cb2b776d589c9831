//! A customer's stream at the leader: one task.
//! Promise: welcome, then every item after the cursor, then changes; an acknowledgement only after
//! its message is committed.
//! Not here: fanning items out (`conversation`), the edge's own words (`edge::attach`).

use conversation::{AttachEvent, Attachment, CellHandle, EndReason, MarkFrom};
use domain::cell::reply::Done;
use domain::cell::transcript::{Author as By, Item};
use domain::ids::{AgentId, ConversationId, NodeId, Sequence};
use pb::api::v1::attach_request::Request;
use pb::api::v1::attach_response::Response;
use pb::api::v1::{
    AttachBegin, AttachRefused, AttachResponse, AttachWelcome, ConversationSummary, Interrupted,
    Marker, Refusal, SendRequest, SendResponse, StreamEnded,
};
use pb::raft::v1::{forward_down, forward_up};
use ports::{StreamDown, StreamUp};
use runtime::mailbox;
use tokio::time::Instant;

use super::CellOwner;
use super::acts::{Acts, Answered, until};
use super::down::{Down, Unheard, down};
use crate::convert::{self, Speakers};
use crate::errors::{
    act_error, domain as refused_by_domain, not_leader, outcome_unknown, quorum_lost, slow_consumer,
};
use crate::{check, limits};

/// Opens the stream: attached, and its task running, when this returns.
pub(super) async fn open(
    owner: &CellOwner,
    begin: &AttachBegin,
    edge: NodeId,
    up: mailbox::Receiver<StreamUp>,
) -> Result<mailbox::Receiver<StreamDown>, Refusal> {
    let id = check::conversation(&begin.conversation_id)?;
    let attached = owner
        .handle
        .attach(id, Sequence(begin.cursor), begin.observe, edge)
        .await;
    let attachment = attached.map_err(|error| act_error(&error))?;
    let speakers = owner
        .handle
        .view()
        .with(|cell, _| cell.conversation(id).map(|found| Speakers::of(found)));
    let Some(speakers) = speakers else {
        let gone = domain::cell::refusal::Refusal::ConversationNotFound { conversation: id };
        return Err(refused_by_domain(&gone));
    };
    let (down, downward) = down();
    let stream = CustomerStream {
        id,
        observe: begin.observe,
        handle: owner.handle.clone(),
        acts: Acts::new(owner.handle.clone()),
        speakers,
        down,
        stop: None,
    };
    owner
        .lane
        .spawn("customer stream", stream.run(attachment, up))
        .detach();
    Ok(downward)
}

/// The client has ended its side.
#[derive(Clone, Copy)]
struct Stopping {
    our_fault: bool,
    by: Instant,
}

/// How a stream ends from the owner's side.
enum End {
    /// The client has gone and everything is answered.
    Quiet { our_fault: bool },
    /// Something could not be said.
    Unheard(Unheard),
    /// The leader cannot go on.
    Failed(Refusal),
}

impl From<Unheard> for End {
    fn from(unheard: Unheard) -> Self {
        Self::Unheard(unheard)
    }
}

enum Wake {
    Event(Option<AttachEvent>),
    Answered(Answered<String>),
    Up(Option<StreamUp>),
    Late,
}

struct CustomerStream {
    id: ConversationId,
    observe: bool,
    handle: CellHandle,
    acts: Acts<String>,
    speakers: Speakers,
    down: Down,
    stop: Option<Stopping>,
}

impl CustomerStream {
    async fn run(mut self, mut attachment: Attachment, mut up: mailbox::Receiver<StreamUp>) {
        let end = self.serve(&mut attachment, &mut up).await;
        drop(up);
        match end {
            End::Quiet { our_fault } => {
                attachment.leave(our_fault);
                self.down.quiet(quiet());
            }
            End::Unheard(unheard) => {
                // Detached first: a reader that does not read holds nothing at the conversation.
                attachment.leave(false);
                self.down.unheard(unheard);
            }
            End::Failed(refusal) => {
                attachment.leave(true);
                self.down.fail(refusal);
            }
        }
    }

    async fn serve(
        &mut self,
        attachment: &mut Attachment,
        up: &mut mailbox::Receiver<StreamUp>,
    ) -> End {
        if let Err(unheard) = self.welcome(attachment).await {
            return unheard.into();
        }
        loop {
            if let Some(stopping) = self.stop
                && self.acts.is_empty()
            {
                return End::Quiet {
                    our_fault: stopping.our_fault,
                };
            }
            let done = match self.wake(attachment, up).await {
                Wake::Event(Some(event)) => self.event(event),
                Wake::Event(None) => {
                    let by = Instant::now() + limits::LAST_ANSWERS_WAIT;
                    while let Some(answered) = self.acts.last(by).await {
                        if let Err(unheard) = self.answered(answered) {
                            return unheard.into();
                        }
                    }
                    return End::Failed(ended(attachment.why()));
                }
                Wake::Answered(answered) => self.answered(answered),
                Wake::Up(Some(StreamUp::Message(message))) => self.asked(*message),
                Wake::Up(Some(StreamUp::Stop { our_fault })) => self.stopping(our_fault),
                Wake::Up(None) => self.stopping(false),
                Wake::Late => return End::Failed(outcome_unknown()),
            };
            if let Err(unheard) = done {
                return unheard.into();
            }
        }
    }

    async fn wake(
        &mut self,
        attachment: &mut Attachment,
        up: &mut mailbox::Receiver<StreamUp>,
    ) -> Wake {
        let by = self.stop.map(|stopping| stopping.by);
        let listens = by.is_none() && self.acts.has_room();
        tokio::select! { biased;
            event = attachment.events.recv() => Wake::Event(event),
            answered = self.acts.next() => Wake::Answered(answered),
            message = up.recv(), if listens => Wake::Up(message),
            () = until(by) => Wake::Late,
        }
    }

    async fn welcome(&mut self, attachment: &mut Attachment) -> Result<(), Unheard> {
        let welcome = AttachWelcome {
            conversation: self.summary(),
            endpoints: Vec::new(),
        };
        self.down.push(told(Response::Welcome(welcome)))?;
        for item in std::mem::take(&mut attachment.backlog) {
            let item = self.item(&item);
            self.down.catch_up(item).await?;
        }
        Ok(())
    }

    fn stopping(&mut self, our_fault: bool) -> Result<(), Unheard> {
        self.stop = Some(Stopping {
            our_fault,
            by: Instant::now() + limits::UNARY_DEADLINE,
        });
        Ok(())
    }

    fn event(&mut self, event: AttachEvent) -> Result<(), Unheard> {
        let message = match event {
            AttachEvent::Item(item) => self.item(&item),
            AttachEvent::Marker { from, typing, read } => {
                let by = match from {
                    MarkFrom::Customer => By::Customer,
                    MarkFrom::Agent(agent) => By::Agent(agent),
                };
                let author = self
                    .speakers
                    .author(&by, |agent| display_name(&self.handle, agent));
                told(Response::Marker(Marker {
                    author: Some(author),
                    typing,
                    read_sequence: read.0,
                }))
            }
            // Anything that follows an interruption says that it is over; the summary says it at once.
            AttachEvent::Changed | AttachEvent::Resumed => match self.summary() {
                Some(summary) => told(Response::Summary(summary)),
                None => return Ok(()),
            },
            AttachEvent::Interrupted { since_ms } => {
                told(Response::Interrupted(Interrupted { since_ms }))
            }
        };
        self.down.push(message)
    }

    fn item(&mut self, item: &Item) -> StreamDown {
        let handle = &self.handle;
        told(Response::Item(convert::item(
            item,
            &mut self.speakers,
            |agent| display_name(handle, agent),
        )))
    }

    fn summary(&self) -> Option<ConversationSummary> {
        self.handle.view().with(|cell, _| {
            let state = cell.state();
            state
                .conversation(self.id)
                .map(|found| convert::conversation_summary(state, found))
        })
    }

    fn asked(&mut self, message: forward_up::Request) -> Result<(), Unheard> {
        let forward_up::Request::Attach(message) = message else {
            return Ok(());
        };
        match message.request {
            Some(Request::Send(send)) if !self.observe => self.send(send),
            Some(Request::Mark(mark)) if !self.observe => {
                // Not serving any more shows on the stream by itself; a marker is worth nothing late.
                let read = Sequence(mark.read_sequence);
                let _ = self
                    .handle
                    .mark(self.id, MarkFrom::Customer, mark.typing, read);
                Ok(())
            }
            // The edge passes nothing else.
            _ => Ok(()),
        }
    }

    fn send(&mut self, send: SendRequest) -> Result<(), Unheard> {
        match convert::send(&send, self.id) {
            Ok(command) => match self.acts.start(send.request_id, command) {
                Some(answered) => self.answered(answered),
                None => Ok(()),
            },
            Err(refusal) => self.refuse(send.request_id, refusal),
        }
    }

    fn answered(&mut self, (request_id, outcome): Answered<String>) -> Result<(), Unheard> {
        match outcome {
            Ok(Done::Sent(sent)) => self.down.push(told(Response::Sent(SendResponse {
                request_id,
                conversation_id: sent.conversation.to_string(),
                sequence: sent.sequence.0,
                wall_ms: sent.wall_ms,
            }))),
            Ok(_) => self.refuse(
                request_id,
                crate::errors::internal("a message was answered as another command"),
            ),
            Err(error) => self.refuse(request_id, act_error(&error)),
        }
    }

    fn refuse(&mut self, request_id: String, refusal: Refusal) -> Result<(), Unheard> {
        self.down.push(told(Response::Refused(AttachRefused {
            request_id,
            refusal: Some(refusal),
        })))
    }
}

/// The stream is over, and everything on it was answered.
fn quiet() -> StreamDown {
    told(Response::Ended(StreamEnded::default()))
}

fn told(response: Response) -> StreamDown {
    StreamDown::Message(Box::new(forward_down::Response::Attach(AttachResponse {
        response: Some(response),
    })))
}

/// The name that people read for an agent, by the local replica.
pub(super) fn display_name(handle: &CellHandle, agent: &AgentId) -> String {
    handle
        .view()
        .with(|cell, _| convert::agent_display_name(cell.state(), agent))
}

/// Why the leader ended a stream, as the edge passes it on.
pub(super) fn ended(why: EndReason) -> Refusal {
    match why {
        EndReason::NotLeader => not_leader(None),
        EndReason::QuorumLost => quorum_lost(),
        EndReason::SlowConsumer => slow_consumer(),
        // What was under way may have been done; the same ids are asked again.
        EndReason::Failed => outcome_unknown(),
    }
}
