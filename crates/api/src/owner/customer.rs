//! A customer's stream at the leader.
//! Promise: welcome, then every item after the cursor, then changes; an acknowledgement only after
//! its message is committed.
//! Not here: fanning items out (`conversation`), waiting and ending (`served`), the edge's own words
//! (`edge::attach`).

use std::sync::Arc;
use std::task::{Context, Poll};

use conversation::{AttachEvent, Attachment, CellHandle, EndReason, MarkFrom};
use domain::cell::reply::Done;
use domain::cell::transcript::{Author as By, Item};
use domain::ids::{AgentId, ConversationId, NodeId, Sequence};
use futures::StreamExt;
use pb::api::v1::attach_request::Request;
use pb::api::v1::attach_response::Response;
use pb::api::v1::{
    AttachBegin, AttachRefused, AttachResponse, AttachWelcome, ConversationSummary, Interrupted,
    Marker, Refusal, SendRequest, SendResponse, StreamEnded,
};
use pb::raft::v1::{forward_down, forward_up};
use ports::{Opened, StreamDown};

use super::CellOwner;
use super::acts::{Acts, Answered};
use super::served::{Out, Served, Side};
use crate::check;
use crate::convert::{self, Speakers};
use crate::errors::{
    act_error, domain as refused_by_domain, internal, not_leader, outcome_unknown, quorum_lost,
    slow_consumer,
};

/// Opens the stream: attached when this returns.
pub(super) async fn open(
    owner: &CellOwner,
    begin: &AttachBegin,
    edge: NodeId,
) -> Result<Opened, Refusal> {
    let id = check::conversation(&begin.conversation_id)?;
    let attached = owner
        .handle
        .attach(id, Sequence(begin.cursor), begin.observe, edge)
        .await;
    let mut attachment = attached.map_err(|error| act_error(&error))?;
    // Until a client has joined it, it is lost on our way.
    attachment.blame(true);
    let here = owner
        .handle
        .view()
        .with(|cell, _| cell.conversation(id).map(|found| Speakers::of(found)));
    let left = attachment.left.clone();
    let Some(speakers) = here.or_else(|| left.as_deref().map(Speakers::of)) else {
        let gone = domain::cell::refusal::Refusal::ConversationNotFound { conversation: id };
        return Err(refused_by_domain(&gone));
    };
    let side = CustomerStream {
        id,
        observe: begin.observe,
        handle: owner.handle.clone(),
        speakers,
        backlog: std::mem::take(&mut attachment.backlog).into_iter(),
        attachment,
    };
    let welcome = told(Response::Welcome(AttachWelcome {
        conversation: side.summary(),
        endpoints: Vec::new(),
    }));
    let acts = Acts::new(owner.handle.clone());
    Ok(Opened::new(move |ups| {
        Box::pin(Served::new(side, acts, welcome, ups))
    }))
}

struct CustomerStream {
    id: ConversationId,
    observe: bool,
    handle: CellHandle,
    speakers: Speakers,
    /// What the transcript had when the stream began.
    backlog: std::vec::IntoIter<Arc<Item>>,
    attachment: Attachment,
}

impl Side for CustomerStream {
    type About = String;
    type Event = AttachEvent;

    fn backlog(&mut self, out: &mut Out) -> bool {
        let Some(item) = self.backlog.next() else {
            return false;
        };
        out.push_back(self.item(&item));
        true
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<AttachEvent>> {
        self.attachment.events.poll_next_unpin(context)
    }

    fn event(&mut self, event: AttachEvent, out: &mut Out) -> Result<(), Refusal> {
        let message = match event {
            AttachEvent::Item(item) => self.item(&item),
            AttachEvent::Marker { from, typing, read } => self.marker(&from, typing, read),
            // Anything that follows an interruption says that it is over; the summary says it at once.
            AttachEvent::Changed | AttachEvent::Resumed => match self.summary() {
                Some(summary) => told(Response::Summary(summary)),
                None => return Ok(()),
            },
            AttachEvent::Interrupted { since_ms } => {
                told(Response::Interrupted(Interrupted { since_ms }))
            }
        };
        out.push_back(message);
        Ok(())
    }

    fn asked(&mut self, message: forward_up::Request, acts: &mut Acts<String>, out: &mut Out) {
        let forward_up::Request::Attach(message) = message else {
            return;
        };
        match message.request {
            Some(Request::Send(send)) if !self.observe => self.send(send, acts, out),
            Some(Request::Mark(mark)) if !self.observe => {
                // Not serving any more shows on the stream by itself; a marker is worth nothing late.
                let read = Sequence(mark.read_sequence);
                let _ = self
                    .handle
                    .mark(self.id, MarkFrom::Customer, mark.typing, read);
            }
            // The edge passes nothing else.
            _ => {}
        }
    }

    fn answered(&mut self, (request_id, outcome): Answered<String>, out: &mut Out) {
        out.push_back(match outcome {
            Ok(Done::Sent(sent)) => told(Response::Sent(SendResponse {
                request_id,
                conversation_id: sent.conversation.to_string(),
                sequence: sent.sequence.0,
                wall_ms: sent.wall_ms,
            })),
            Ok(_) => refused(
                request_id,
                internal("a message was answered as another command"),
            ),
            Err(error) => refused(request_id, act_error(&error)),
        });
    }

    fn blame(&mut self, our_fault: bool) {
        self.attachment.blame(our_fault);
    }

    fn why(&self) -> Refusal {
        ended(self.attachment.why())
    }

    fn quiet() -> StreamDown {
        told(Response::Ended(StreamEnded::default()))
    }
}

impl CustomerStream {
    fn item(&mut self, item: &Item) -> StreamDown {
        let handle = &self.handle;
        told(Response::Item(convert::item(
            item,
            &mut self.speakers,
            |agent| display_name(handle, agent),
        )))
    }

    fn marker(&mut self, from: &MarkFrom, typing: bool, read: Sequence) -> StreamDown {
        let by = match from {
            MarkFrom::Customer => By::Customer,
            MarkFrom::Agent(agent) => By::Agent(agent.clone()),
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

    fn summary(&self) -> Option<ConversationSummary> {
        self.handle.view().with(|cell, _| {
            let state = cell.state();
            let found = state
                .conversation(self.id)
                .or(self.attachment.left.as_ref());
            found.map(|found| convert::conversation_summary(state, found))
        })
    }

    fn send(&mut self, send: SendRequest, acts: &mut Acts<String>, out: &mut Out) {
        match convert::send(&send, self.id) {
            Ok(command) => {
                if let Some(answered) = acts.start(send.request_id, command) {
                    self.answered(answered, out);
                }
            }
            Err(refusal) => out.push_back(refused(send.request_id, refusal)),
        }
    }
}

fn refused(request_id: String, refusal: Refusal) -> StreamDown {
    told(Response::Refused(AttachRefused {
        request_id,
        refusal: Some(refusal),
    }))
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
