//! An agent's stream at the leader: one task.
//! Promise: welcome, what the agent holds, open offers, ready, then changes; every act is answered.
//! Not here: what an event means for the agent (`desk_step`), the edge's own words (`edge::work`).

use conversation::{ActError, CellHandle, Desk, DeskEvent, MarkFrom};
use domain::cell::command::{Command, Intent};
use domain::cell::refusal::Refusal as Domain;
use domain::cell::reply::{Done, LoggedIn};
use domain::cell::transcript::Author as By;
use domain::ids::{AgentId, NodeId, Sequence, Session};
use pb::api::v1::work_request::Request;
use pb::api::v1::work_response::Response;
use pb::api::v1::{
    Interrupted, LogInRequest, LogInResponse, MarkConversationRequest, Refusal, StreamEnded,
    WorkDone, WorkReady, WorkResponse, WorkWelcome,
};
use pb::raft::v1::{forward_down, forward_up};
use ports::{StreamDown, StreamUp};
use runtime::mailbox;
use tokio::time::Instant;

use super::CellOwner;
use super::acts::{Acts, Answered, until};
use super::customer::ended;
use super::desk_step::{DeskStep, Part, Said, SessionOver};
use super::down::{Down, Unheard, down};
use crate::convert::{self, Whose};
use crate::edge::refused as edge_refused;
use crate::errors::{act_error, domain as refused_by_domain, internal, outcome_unknown};
use crate::{check, limits};

/// Events that are looked at under one look at the state.
const EVENTS_PER_LOOK: usize = 64;

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

/// Opens the stream: logged in, and its task running, when this returns.
pub(super) async fn open(
    owner: &CellOwner,
    hello: &LogInRequest,
    (site, edge): (&str, NodeId),
    up: mailbox::Receiver<StreamUp>,
) -> Result<mailbox::Receiver<StreamDown>, Refusal> {
    let agent = convert::agent_name(&hello.agent)?;
    let logged_in = log_in(owner, hello, site).await?;
    let session = Session(logged_in.session);
    // Subscribed before the snapshot is taken: nothing falls between the two.
    let desk = owner
        .handle
        .desk(&agent, session, edge)
        .map_err(|error| act_error(&error))?;
    let (down, downward) = down();
    let stream = DeskStream {
        whose: Whose {
            agent: agent.clone(),
            session,
        },
        edge,
        step: DeskStep::new(agent, session, logged_in.agent.as_ref()),
        handle: owner.handle.clone(),
        acts: Acts::new(owner.handle.clone()),
        down,
        stop: None,
        leaving: false,
    };
    let welcome = WorkWelcome {
        session: logged_in.session,
        resumed: logged_in.resumed,
        agent: logged_in.agent,
        heartbeat_ms: logged_in.heartbeat_ms,
        endpoints: Vec::new(),
    };
    owner
        .lane
        .spawn("agent stream", stream.run(desk, up, welcome))
        .detach();
    Ok(downward)
}

/// How a stream ends from the owner's side.
enum End {
    /// The client has gone and everything is answered.
    Quiet,
    /// Something could not be said.
    Unheard(Unheard),
    /// The leader cannot go on, or the session is over.
    Failed(Refusal),
}

impl From<Unheard> for End {
    fn from(unheard: Unheard) -> Self {
        Self::Unheard(unheard)
    }
}

enum Wake {
    Event(Option<DeskEvent>),
    Answered(Answered<Request>),
    Up(Option<StreamUp>),
    Late,
}

struct DeskStream {
    whose: Whose,
    edge: NodeId,
    step: DeskStep,
    handle: CellHandle,
    acts: Acts<Request>,
    down: Down,
    /// The client has ended its side; what is under way is answered until then.
    stop: Option<Instant>,
    /// The agent logs out, or has, on this stream: the end of the session is no news.
    leaving: bool,
}

impl DeskStream {
    async fn run(
        mut self,
        mut desk: Desk,
        mut up: mailbox::Receiver<StreamUp>,
        welcome: WorkWelcome,
    ) {
        let end = self.serve(&mut desk, &mut up, welcome).await;
        drop((desk, up));
        match end {
            End::Quiet => self.down.quiet(quiet()),
            End::Unheard(unheard) => self.down.unheard(unheard),
            End::Failed(refusal) => self.down.fail(refusal),
        }
    }

    async fn serve(
        &mut self,
        desk: &mut Desk,
        up: &mut mailbox::Receiver<StreamUp>,
        welcome: WorkWelcome,
    ) -> End {
        if let Err(unheard) = self.welcome(welcome).await {
            return unheard.into();
        }
        loop {
            if self.stop.is_some() && self.acts.is_empty() {
                return End::Quiet;
            }
            let done = match self.wake(desk, up).await {
                Wake::Event(Some(event)) => self.events(event, desk),
                Wake::Event(None) => {
                    let by = Instant::now() + limits::LAST_ANSWERS_WAIT;
                    while let Some(answered) = self.acts.last(by).await {
                        if let Err(unheard) = self.answered(answered) {
                            return unheard.into();
                        }
                    }
                    Err(End::Failed(ended(desk.why())))
                }
                Wake::Answered(answered) => self.answered(answered).map_err(End::from),
                Wake::Up(Some(StreamUp::Message(message))) => {
                    self.asked(*message).map_err(End::from)
                }
                // The agent's lease, not the stream, says whether the agent is there: no fault is told.
                Wake::Up(Some(StreamUp::Stop { .. }) | None) => {
                    self.stop = Some(Instant::now() + limits::UNARY_DEADLINE);
                    Ok(())
                }
                Wake::Late => Err(End::Failed(outcome_unknown())),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn wake(&mut self, desk: &mut Desk, up: &mut mailbox::Receiver<StreamUp>) -> Wake {
        let listens = self.stop.is_none() && self.acts.has_room();
        tokio::select! { biased;
            event = desk.events.recv() => Wake::Event(event),
            answered = self.acts.next() => Wake::Answered(answered),
            message = up.recv(), if listens => Wake::Up(message),
            () = until(self.stop) => Wake::Late,
        }
    }

    async fn welcome(&mut self, welcome: WorkWelcome) -> Result<(), Unheard> {
        self.down.push(told(Response::Welcome(welcome)))?;
        let view = self.handle.view();
        let ids = view.with(|cell, _| self.step.concerned(cell.state()));
        // One conversation at a time, as the reader reads: each is up to 1 MiB. What happens meanwhile
        // comes as an event behind it, and nothing is said twice.
        for part in [Part::Held, Part::Offered] {
            for id in &ids {
                let mut said = Said::new();
                view.with(|cell, _| self.step.show(cell.state(), *id, part, &mut said));
                for response in said {
                    self.down.catch_up(told(response)).await?;
                }
            }
        }
        let ready = Response::Ready(WorkReady {});
        self.down.catch_up(told(ready)).await
    }

    /// Says what an event and those that wait behind it mean.
    fn events(&mut self, first: DeskEvent, desk: &mut Desk) -> Result<(), End> {
        let mut events = vec![first];
        while events.len() < EVENTS_PER_LOOK
            && let Some(next) = desk.events.try_recv()
        {
            events.push(next);
        }
        let mut said = Said::new();
        let step = &mut self.step;
        let looked = self.handle.view().with(|cell, _| {
            events
                .iter()
                .try_for_each(|event| look(step, cell.state(), event, &mut said))
        });
        for response in said {
            self.down.push(told(response))?;
        }
        match looked {
            Err(SessionOver { current }) if !self.leaving => {
                let Whose { agent, session } = self.whose.clone();
                Err(End::Failed(refused_by_domain(&Domain::StaleSession {
                    agent,
                    session,
                    current,
                })))
            }
            _ => Ok(()),
        }
    }

    fn asked(&mut self, message: forward_up::Request) -> Result<(), Unheard> {
        let forward_up::Request::Work(message) = message else {
            return Ok(());
        };
        let Some(request) = message.request else {
            return Ok(());
        };
        match &request {
            Request::Heartbeat(beat) => {
                let session = if beat.session == 0 {
                    self.whose.session
                } else {
                    Session(beat.session)
                };
                match self.handle.heartbeat(&self.whose.agent, session, self.edge) {
                    Ok(()) => Ok(()),
                    Err(error) => self.refuse(&request, act_error(&error)),
                }
            }
            Request::Mark(mark) => match self.mark(mark) {
                Ok(()) => Ok(()),
                Err(refusal) => self.refuse(&request, refusal),
            },
            _ => self.act(request),
        }
    }

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

    fn act(&mut self, request: Request) -> Result<(), Unheard> {
        let handle = &self.handle;
        let agent = &self.whose.agent;
        match convert::act(&request, &self.whose, || present_intent(handle, agent)) {
            Ok(Some(command)) => {
                // The end of the session may be heard before the answer to the act.
                self.leaving |= matches!(request, Request::LogOut(_));
                match self.acts.start(request, command) {
                    Some(answered) => self.answered(answered),
                    None => Ok(()),
                }
            }
            Ok(None) => Ok(()),
            Err(refusal) => self.refuse(&request, refusal),
        }
    }

    fn answered(&mut self, (request, outcome): Answered<Request>) -> Result<(), Unheard> {
        match outcome {
            // Nobody waits for it: the offer may have ended on its way, which the stream says anyway.
            _ if matches!(request, Request::OfferShown(_)) => Ok(()),
            Ok(done) => self
                .down
                .push(told(Response::Done(work_done(&request, done)))),
            Err(error) => {
                self.leaving &= !matches!(request, Request::LogOut(_));
                self.refuse(&request, act_error(&error))
            }
        }
    }

    fn refuse(&mut self, request: &Request, refusal: Refusal) -> Result<(), Unheard> {
        let refused = edge_refused(request, refusal);
        self.down
            .push(StreamDown::Message(Box::new(forward_down::Response::Work(
                refused,
            ))))
    }
}

/// The stream is over, and everything on it was answered.
fn quiet() -> StreamDown {
    told(Response::Ended(StreamEnded::default()))
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
