//! An agent's stream at the leader.
//! Promise: welcome, what the agent holds, open offers, ready, then changes; every act is answered.
//! Not here: what an event means for the agent (`desk_step`), waiting and ending (`served`), the edge's own
//! words (`edge::work`).

use std::collections::VecDeque;
use std::task::{Context, Poll};

use conversation::{ActError, CellHandle, Desk, DeskEvent, MarkFrom};
use domain::cell::command::{Command, Intent};
use domain::cell::refusal::Refusal as Domain;
use domain::cell::reply::{Done, LoggedIn};
use domain::cell::transcript::Author as By;
use domain::ids::{AgentId, ConversationId, NodeId, Sequence, Session};
use futures::StreamExt;
use pb::api::v1::work_request::Request;
use pb::api::v1::work_response::Response;
use pb::api::v1::{
    Interrupted, LogInRequest, LogInResponse, MarkConversationRequest, Refusal, StreamEnded,
    WorkDone, WorkReady, WorkResponse, WorkWelcome,
};
use pb::raft::v1::{forward_down, forward_up};
use ports::{Opened, StreamDown};

use super::CellOwner;
use super::acts::{Acts, Answered};
use super::customer::ended;
use super::desk_step::{DeskStep, Part, Said, SessionOver};
use super::served::{Out, Served, Side};
use crate::check;
use crate::convert::{self, Whose};
use crate::edge::refused as edge_refused;
use crate::errors::{act_error, domain as refused_by_domain, internal};

/// Events that are looked at under one look at the state.
const EVENTS_PER_LOOK: usize = 64;
/// Bytes said after which a look ends: one conversation of 1 MiB more may be said.
const LOOK_BYTES_MAX: usize = 256 * 1024;

/// Logs an agent's device in.
pub(super) async fn log_in(
    owner: &CellOwner,
    hello: &LogInRequest,
    site: &str,
) -> Result<LogInResponse, Refusal> {
    let login = convert::log_in(hello, site)?;
    let agent = login.agent.clone();
    let done = owner
        .handle
        .act(Command::LogIn(login))
        .await
        .map_err(|error| act_error(&error))?;
    let Done::LoggedIn(LoggedIn { session, resumed }) = done else {
        return Err(internal("a login was answered as another command"));
    };
    let (summary, heartbeat_ms) = owner.handle.view().with(|cell, _| {
        let state = cell.state();
        let heartbeat_ms = state.plan().map_or(5_000, |plan| plan.policy.heartbeat_ms);
        (convert::agent_summary(state, &agent), heartbeat_ms)
    });
    Ok(LogInResponse {
        session: session.0,
        resumed,
        agent: summary,
        heartbeat_ms,
    })
}

/// Opens the stream: logged in when this returns.
pub(super) async fn open(
    owner: &CellOwner,
    hello: &LogInRequest,
    (site, edge): (&str, NodeId),
) -> Result<Opened, Refusal> {
    let agent = convert::agent_name(&hello.agent)?;
    let logged_in = log_in(owner, hello, site).await?;
    let session = Session(logged_in.session);
    // Subscribed before the snapshot is taken: nothing falls between the two.
    let desk = owner
        .handle
        .desk(&agent, session, edge)
        .map_err(|error| act_error(&error))?;
    let step = DeskStep::new(agent.clone(), session, logged_in.agent.as_ref());
    let view = owner.handle.view();
    let ids = view.with(|cell, _| step.concerned(cell.state()));
    let parts = [Part::Held, Part::Offered].map(|part| ids.iter().map(move |id| (part, *id)));
    let side = DeskStream {
        whose: Whose { agent, session },
        edge,
        step,
        handle: owner.handle.clone(),
        snapshot: parts.into_iter().flatten().collect(),
        ready: false,
        desk,
        leaving: false,
    };
    let welcome = told(Response::Welcome(WorkWelcome {
        session: logged_in.session,
        resumed: logged_in.resumed,
        agent: logged_in.agent,
        heartbeat_ms: logged_in.heartbeat_ms,
        endpoints: Vec::new(),
    }));
    let acts = Acts::new(owner.handle.clone());
    Ok(Opened::new(move |ups| {
        Box::pin(Served::new(side, acts, welcome, ups))
    }))
}

struct DeskStream {
    whose: Whose,
    edge: NodeId,
    step: DeskStep,
    handle: CellHandle,
    /// What is left to show of what the agent held and was offered when the stream began.
    snapshot: VecDeque<(Part, ConversationId)>,
    /// All of that is shown.
    ready: bool,
    desk: Desk,
    /// The agent logs out, or has, on this stream: the end of the session is no news.
    leaving: bool,
}

impl Side for DeskStream {
    type About = Request;
    type Event = DeskEvent;

    /// One conversation at a time, as the reader reads: each is up to 1 MiB. What happens meanwhile
    /// comes as an event behind it, and nothing is said twice.
    fn backlog(&mut self, out: &mut Out) -> bool {
        if let Some((part, id)) = self.snapshot.pop_front() {
            let mut said = Said::new();
            let step = &mut self.step;
            self.handle
                .view()
                .with(|cell, _| step.show(cell.state(), id, part, &mut said));
            out.extend(said.into_iter().map(told));
            return true;
        }
        if !self.ready {
            self.ready = true;
            out.push_back(told(Response::Ready(WorkReady {})));
            return true;
        }
        false
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<DeskEvent>> {
        self.desk.events.poll_next_unpin(context)
    }

    /// Says what an event and those that wait behind it mean.
    fn event(&mut self, first: DeskEvent, out: &mut Out) -> Result<(), Refusal> {
        let (step, events) = (&mut self.step, &mut self.desk.events);
        let looked = self.handle.view().with(|cell, _| {
            let mut next = Some(first);
            let (mut seen, mut bytes) = (0, 0);
            while let Some(event) = next {
                let mut said = Said::new();
                let looked = look(step, cell.state(), &event, &mut said);
                for response in said {
                    let message = told(response);
                    bytes += message.weight();
                    out.push_back(message);
                }
                looked?;
                seen += 1;
                let goes_on = seen < EVENTS_PER_LOOK && bytes < LOOK_BYTES_MAX;
                next = goes_on.then(|| events.try_recv()).flatten();
            }
            Ok(())
        });
        match looked {
            Err(SessionOver { current }) if !self.leaving => {
                let Whose { agent, session } = self.whose.clone();
                Err(refused_by_domain(&Domain::StaleSession {
                    agent,
                    session,
                    current,
                }))
            }
            _ => Ok(()),
        }
    }

    fn asked(&mut self, message: forward_up::Request, acts: &mut Acts<Request>, out: &mut Out) {
        let forward_up::Request::Work(message) = message else {
            return;
        };
        let Some(request) = message.request else {
            return;
        };
        match &request {
            Request::Heartbeat(beat) => {
                let session = match beat.session {
                    0 => self.whose.session,
                    named => Session(named),
                };
                let heard = self.handle.heartbeat(&self.whose.agent, session, self.edge);
                out.extend(
                    heard
                        .err()
                        .map(|error| refused(&request, act_error(&error))),
                );
            }
            Request::Mark(mark) => {
                let marked = self.mark(mark);
                out.extend(marked.err().map(|refusal| refused(&request, refusal)));
            }
            _ => self.act(request, acts, out),
        }
    }

    fn answered(&mut self, (request, outcome): Answered<Request>, out: &mut Out) {
        match outcome {
            // Nobody waits for it: the offer may have ended on its way, which the stream says anyway.
            _ if matches!(request, Request::OfferShown(_)) => {}
            Ok(done) => out.push_back(told(Response::Done(work_done(&request, done)))),
            Err(error) => {
                self.leaving &= !matches!(request, Request::LogOut(_));
                out.push_back(refused(&request, act_error(&error)));
            }
        }
    }

    /// The agent's lease, not the stream, says whether the agent is there: no fault is told.
    fn blame(&mut self, _our_fault: bool) {}

    fn why(&self) -> Refusal {
        ended(self.desk.why())
    }

    fn quiet() -> StreamDown {
        told(Response::Ended(StreamEnded::default()))
    }
}

impl DeskStream {
    fn mark(&self, mark: &MarkConversationRequest) -> Result<(), Refusal> {
        let id = check::conversation(&mark.conversation_id)?;
        if !self.step.holds(id) {
            let agent = self.whose.agent.clone();
            return Err(refused_by_domain(&Domain::NotOwner { agent, owner: None }));
        }
        let from = MarkFrom::Agent(self.whose.agent.clone());
        let marked = self
            .handle
            .mark(id, from, mark.typing, Sequence(mark.read_sequence));
        marked.map_err(|error| act_error(&error))
    }

    fn act(&mut self, request: Request, acts: &mut Acts<Request>, out: &mut Out) {
        let handle = &self.handle;
        let agent = &self.whose.agent;
        match convert::act(&request, &self.whose, || present_intent(handle, agent)) {
            Ok(Some(command)) => {
                // The end of the session may be heard before the answer to the act.
                self.leaving |= matches!(request, Request::LogOut(_));
                if let Some(answered) = acts.start(request, command) {
                    self.answered(answered, out);
                }
            }
            Ok(None) => {}
            Err(refusal) => out.push_back(refused(&request, refusal)),
        }
    }
}

fn refused(request: &Request, refusal: Refusal) -> StreamDown {
    let refused = edge_refused(request, refusal);
    StreamDown::Message(Box::new(forward_down::Response::Work(refused)))
}

/// What one event means.
fn look(
    step: &mut DeskStep,
    state: &domain::cell::State,
    event: &DeskEvent,
    said: &mut Said,
) -> Result<(), SessionOver> {
    match event {
        DeskEvent::Event(event) => return step.event(state, event, said),
        DeskEvent::Marker {
            conversation,
            from,
            typing,
            read,
        } => {
            let by = match from {
                MarkFrom::Customer => By::Customer,
                MarkFrom::Agent(agent) => By::Agent(agent.clone()),
            };
            said.extend(step.marker(state, *conversation, &by, (*typing, read.0)));
        }
        DeskEvent::Interrupted { since_ms } => said.push(Response::Interrupted(Interrupted {
            since_ms: *since_ms,
        })),
        // Anything that follows an interruption says that it is over; the summary says it at once.
        DeskEvent::Resumed => said.extend(step.own_state(state)),
    }
    Ok(())
}

/// What the agent has chosen at present.
pub(super) fn present_intent(handle: &CellHandle, agent: &AgentId) -> Intent {
    let intent = handle
        .view()
        .with(|cell, _| cell.state().agent(agent).map(|found| found.intent.clone()));
    intent.unwrap_or(Intent::Ready)
}

/// The answer to an act.
pub(super) fn work_done(request: &Request, done: Done) -> WorkDone {
    let said = check::described(request);
    let answer = WorkDone {
        request_id: said.request_id.to_owned(),
        conversation_id: said.conversation_id.to_owned(),
        ..WorkDone::default()
    };
    match done {
        Done::Sent(sent) => WorkDone {
            conversation_id: sent.conversation.to_string(),
            sequence: sent.sequence.0,
            ..answer
        },
        Done::Owned(owned) => WorkDone {
            conversation_id: owned.conversation.to_string(),
            owner_epoch: owned.owner_epoch.0,
            ..answer
        },
        Done::Nothing | Done::Opened(_) | Done::LoggedIn(_) | Done::Ticked(_) => answer,
    }
}

/// An act outside a stream; heartbeats and markers have no entry.
pub(super) async fn unary(
    owner: &CellOwner,
    request: Request,
    edge: NodeId,
) -> Result<WorkDone, Refusal> {
    check::act(&request)?;
    let agent = convert::agent_name(check::described(&request).agent)?;
    let handle = &owner.handle;
    let failed = |error: ActError| act_error(&error);
    match &request {
        Request::Heartbeat(beat) => {
            handle
                .heartbeat(&agent, Session(beat.session), edge)
                .map_err(failed)?;
            return Ok(work_done(&request, Done::Nothing));
        }
        Request::Mark(mark) => {
            handle
                .heartbeat(&agent, Session(mark.session), edge)
                .map_err(failed)?;
            let id = check::conversation(&mark.conversation_id)?;
            let owns = handle.view().with(|cell, _| {
                cell.conversation(id)
                    .is_some_and(|found| found.phase.owner() == Some(&agent))
            });
            if !owns {
                return Err(refused_by_domain(&Domain::NotOwner { agent, owner: None }));
            }
            let marked = handle.mark(
                id,
                MarkFrom::Agent(agent),
                mark.typing,
                Sequence(mark.read_sequence),
            );
            marked.map_err(failed)?;
            return Ok(work_done(&request, Done::Nothing));
        }
        _ => {}
    }
    let whose = Whose {
        agent: agent.clone(),
        session: Session(0),
    };
    let command = convert::act(&request, &whose, || present_intent(handle, &agent))?;
    let Some(command) = command else {
        return Err(internal("an act without an entry was not answered"));
    };
    let done = handle.act(command).await.map_err(failed)?;
    Ok(work_done(&request, done))
}

fn told(response: Response) -> StreamDown {
    StreamDown::Message(Box::new(forward_down::Response::Work(WorkResponse {
        number: 0,
        response: Some(response),
    })))
}
