//! The cell as the API sees it: act, read, attach, sit at a desk.
//! Promise: every call ends with an answer that says whether the act was done; nothing waits
//! without a bound.
//! Not here: the leader's own duties (`leader`).

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use domain::cell::Cell;
use domain::cell::command::{Command, Entry, Open};
use domain::cell::refusal::Refusal;
use domain::cell::reply::{Done, Reply};
use domain::ids::{AgentId, CellId, ConversationId, LogIndex, NodeId, Sequence, Session};
use domain::plan::VersionedPlan;
use futures::FutureExt;
use futures::future::BoxFuture;
use mutants::{Mutant, planted};
use parking_lot::Mutex;
use ports::{Archive, Group};
use runtime::trace::Trace;
use runtime::{Env, Stop, Task, Tracer, mailbox};
use tokio::sync::{SemaphorePermit, oneshot, watch};

use crate::actor::{ToActor, activate};
use crate::concern;
use crate::error::{ActError, RETRY_FULL_MS};
use crate::hub::{ActorRef, Serving};
use crate::leader;
use crate::leases::Leases;
use crate::left::{Archives, Asked, EARLIER_LOOKS_MAX, LEFT_MAX};
use crate::limits::Openers;
use crate::replica::View;
use crate::stream::{Attachment, DESK_EVENTS_MAX, Desk, MarkFrom, Outlet};

/// How often an act looks for another actor after it met one at its passivation.
const ACTOR_TRIES: usize = 4;
/// Somebody has to mend the program before a command that was passed over can be asked again, in
/// milliseconds.
const PASSED_OVER_RETRY_MS: u64 = 30_000;
/// Where the wall clock of the planted bug begins: 2026-01-01 in milliseconds since 1970.
const WALL_CLOCK_FROM_MS: u64 = 1_767_225_600_000;
/// Acts outside any conversation under way on one node: logins, opens, intents.
const DIRECT_MAX: usize = 4_096;

/// What a cell needs from its node.
pub struct CellParts {
    /// The cell.
    pub cell: CellId,
    /// The node's outside.
    pub env: Env,
    /// The cell's group.
    pub group: Arc<dyn Group<Reply>>,
    /// The reader of its replica.
    pub view: View,
    /// The newest floor plan of the control group.
    pub plan: watch::Receiver<Option<VersionedPlan>>,
    /// Whose fault a lost client is.
    pub faults: Arc<dyn leader::Faults>,
    /// After how long without a quorum streams are told, in milliseconds: one election time-out.
    pub interrupted_after_ms: u64,
    /// Where conversations go that leave the state.
    pub archives: Archives,
    /// Ends the cell's tasks.
    pub stop: Stop,
}

/// What actors, the leader's duties and callers share.
pub(crate) struct Core {
    pub(crate) env: Env,
    pub(crate) group: Arc<dyn Group<Reply>>,
    pub(crate) view: View,
    pub(crate) leases: Mutex<Leases>,
    pub(crate) faults: Arc<dyn leader::Faults>,
    pub(crate) archive: Arc<dyn Archive>,
    openers: Mutex<Openers>,
    direct: tokio::sync::Semaphore,
    /// What is asked of conversations that are not in the state, by conversation.
    pub(crate) left_windows: Mutex<Openers>,
    /// Places for those who ask an archive.
    pub(crate) left: tokio::sync::Semaphore,
    /// Places for opens that look for earlier conversations.
    pub(crate) looks: tokio::sync::Semaphore,
}

impl Core {
    /// Stamps a command with cell time and encodes it as an entry. The caller has seen that the
    /// command is not newer than the version in force, which only grows.
    pub(crate) fn stamp(&self, command: Command) -> Bytes {
        self.stamp_traced(command, None)
    }

    /// The same for a command of a request that is traced, if one is given.
    pub(crate) fn stamp_traced(&self, command: Command, trace: Option<&Trace>) -> Bytes {
        debug_assert!(
            self.view
                .with(|cell, _| cell.check_version(&command).is_ok()),
            "a command that is newer than the version in force is never proposed"
        );
        let shared = &self.view.shared;
        let at = match planted(Mutant::WallClockStamps) {
            true => {
                domain::ids::CellTime(self.env.clock.now_ms().saturating_sub(WALL_CLOCK_FROM_MS))
            }
            false => shared.clock.lock().stamp(shared.mono_ms()),
        };
        let entry = Entry {
            at,
            wall_ms: self.env.clock.now_ms(),
            command,
        };
        Bytes::from(match trace {
            None => wire::cell::encode_entry(&entry),
            Some(trace) => wire::cell::encode_traced(&entry, trace.to_string()),
        })
    }

    /// What this replica has at an index.
    pub(crate) fn seen(&self, index: LogIndex) -> leader::Seen {
        self.view.seen(index, self.group.chain(index.0))
    }

    /// Commands of one customer and the window in milliseconds, by the plan in force.
    pub(crate) fn customer_limit(&self) -> (u32, u64) {
        self.view.with(|cell, _| concern::customer_limit(cell))
    }

    async fn propose(&self, term: u64, payload: Bytes) -> Result<Done, ActError> {
        let committed = self.group.propose(term, payload).await?;
        Ok(committed.reply?)
    }
}

/// A cell on this node. Cheap to clone.
#[derive(Clone)]
pub struct CellHandle {
    pub(crate) core: Arc<Core>,
    /// Of what its acts are part, if anybody traces it.
    trace: Option<Box<Trace>>,
}

/// Starts the duties of a cell that no control group knows: its machine version and buckets stay, and
/// no other replica is asked for anything.
pub fn start(parts: CellParts) -> (CellHandle, Task<()>) {
    start_known(
        parts,
        Arc::new(leader::Unregistered),
        Arc::new(leader::NoVoters),
    )
}

/// Starts a cell's duties on this node; the task ends when `stop` says so.
pub fn start_known(
    parts: CellParts,
    registry: Arc<dyn leader::Registry>,
    voters: Arc<dyn leader::Voters>,
) -> (CellHandle, Task<()>) {
    let core = Arc::new(Core {
        env: parts.env,
        group: parts.group,
        view: parts.view,
        leases: Mutex::new(Leases::default()),
        faults: parts.faults,
        archive: parts.archives.kept,
        openers: Mutex::new(Openers::default()),
        direct: tokio::sync::Semaphore::new(DIRECT_MAX),
        left_windows: Mutex::new(Openers::default()),
        left: tokio::sync::Semaphore::new(LEFT_MAX),
        looks: tokio::sync::Semaphore::new(EARLIER_LOOKS_MAX),
    });
    let duties = leader::Duties {
        core: core.clone(),
        plan: parts.plan,
        archived: parts.archives.safe,
        registry,
        voters,
        cell: parts.cell,
        interrupted_after_ms: parts.interrupted_after_ms,
        stop: parts.stop,
    };
    let task = core.env.raft.spawn("leader", leader::run(duties));
    let handle = CellHandle { core, trace: None };
    (handle, task)
}

impl CellHandle {
    /// The same, for acts that are part of a trace.
    #[must_use]
    pub fn within(&self, trace: Trace) -> Self {
        Self {
            core: self.core.clone(),
            trace: Some(Box::new(trace)),
        }
    }

    /// Makes the spans of this node.
    pub fn tracer(&self) -> &Tracer {
        &self.core.env.tracer
    }

    /// The local replica, possibly stale.
    pub fn view(&self) -> View {
        self.core.view.clone()
    }

    /// The cell's group.
    pub fn group(&self) -> Arc<dyn Group<Reply>> {
        self.core.group.clone()
    }

    /// Whether this node serves the cell: it leads and its first entry is applied.
    pub fn serves(&self) -> bool {
        matches!(self.core.view.shared.hub.serving(), Serving::Yes { .. })
    }

    fn term(&self) -> Result<u64, ActError> {
        match self.core.view.shared.hub.serving() {
            Serving::Yes { term, .. } => Ok(term),
            Serving::No { .. } | Serving::Lapsed { .. } if planted(Mutant::ForwardUnfenced) => {
                Ok(self.core.group.status().term)
            }
            Serving::No { leader } => Err(ActError::NotLeader { leader }),
            Serving::Lapsed { .. } => Err(ActError::QuorumLost),
        }
    }

    /// Proposes a command and gives the machine's answer.
    ///
    /// # Errors
    /// See [`ActError`].
    pub async fn act(&self, command: Command) -> Result<Done, ActError> {
        self.begin(command).await
    }

    /// Begins an act. Where the conversation's actor lives, as it does while a stream is attached, the act
    /// is in its mailbox when this returns; else it gets there in the order in which the acts are first
    /// polled.
    pub fn begin(&self, command: Command) -> Act {
        match self.hand_over(command) {
            Ok(answer) => Act(Acting::Handed(answer)),
            Err(NotHanded::Failed(error)) => Act(Acting::Over(Some(Err(error)))),
            Err(NotHanded::NoActor { command, .. }) => {
                let handle = self.clone();
                let acting = async move { handle.act_from_nothing(*command).await };
                Act(Acting::Long(acting.boxed()))
            }
        }
    }

    /// Gives an act to the actor that lives.
    fn hand_over(&self, command: Command) -> Result<Answered, NotHanded> {
        let (term, subject) = self.judge(&command)?;
        let command = Box::new(command);
        let here = subject.filter(|subject| subject.is_here);
        match here.and_then(|subject| self.known_actor(subject.id, term)) {
            Some(actor) => self.give(&actor, command),
            None => Err(NotHanded::NoActor {
                command,
                gone: None,
            }),
        }
    }

    /// The term to act in, and the conversation whose actor takes the command.
    fn judge(&self, command: &Command) -> Result<(u64, Option<Subject>), ActError> {
        let term = self.term()?;
        let (allowed, subject) = self.core.view.with(|cell, _| {
            let allowed = cell.check_version(command);
            let subject = concern::subject(cell, command).map(|id| Subject {
                id,
                is_here: concern::exists(cell, id),
            });
            (allowed, subject)
        });
        allowed?;
        if let Some(index) = self.core.view.shared.passed_over(command) {
            return Err(ActError::Refused(Refusal::MachineDefect {
                conversation: subject.map(|subject| subject.id),
                index,
                retry_after_ms: PASSED_OVER_RETRY_MS,
            }));
        }
        Ok((term, subject))
    }

    /// An act whose conversation has no actor yet, or that has no conversation.
    async fn act_from_nothing(&self, mut command: Command) -> Result<Done, ActError> {
        let (term, subject) = self.judge(&command)?;
        if let Command::Open(open) = &mut command {
            self.admit(open)?;
            if let Some(done) = self.look_for_earlier(open).await? {
                return Ok(done);
            }
        }
        let Some(subject) = subject else {
            let _permit = self.permit_for_open()?;
            let payload = self.core.stamp_traced(command, self.trace.as_deref());
            return self.core.propose(term, payload).await;
        };
        let (conversation, command) = match subject.is_here {
            true => (subject.id, command),
            false => match self.ask_archive(subject.id, command).await? {
                Asked::Answered(done) => return Ok(done),
                Asked::GoesOn(next, command) => (next, command),
            },
        };
        let mut command = Box::new(command);
        for _ in 0..ACTOR_TRIES {
            let actor = self.actor(conversation, term).await?;
            match self.give(&actor, command) {
                Ok(answer) => return Act(Acting::Handed(answer)).await,
                Err(NotHanded::Failed(error)) => return Err(error),
                Err(NotHanded::NoActor {
                    command: back,
                    gone,
                }) => {
                    if let Some(gone) = gone {
                        self.core.view.shared.hub.forget(conversation, &gone);
                    }
                    command = back;
                }
            }
        }
        Err(ActError::Exhausted {
            retry_after_ms: RETRY_FULL_MS,
        })
    }

    /// One of the places for acts outside any conversation.
    fn permit_for_open(&self) -> Result<SemaphorePermit<'_>, ActError> {
        let permit = self.core.direct.try_acquire();
        permit.map_err(|_| ActError::Exhausted {
            retry_after_ms: RETRY_FULL_MS,
        })
    }

    /// Puts an act into an actor's mailbox.
    fn give(&self, actor: &ActorRef, command: Box<Command>) -> Result<Answered, NotHanded> {
        let (answer, answered) = oneshot::channel();
        let act = ToActor::Act {
            command,
            trace: self.trace.clone(),
            answer,
        };
        match actor.mailbox.try_send(act) {
            Ok(()) => Ok(answered),
            Err(mailbox::SendError::Closed(ToActor::Act { command, .. })) => {
                Err(NotHanded::NoActor {
                    command,
                    gone: Some(actor.clone()),
                })
            }
            Err(mailbox::SendError::Full(_) | mailbox::SendError::Closed(_)) => {
                Err(NotHanded::Failed(ActError::Exhausted {
                    retry_after_ms: RETRY_FULL_MS,
                }))
            }
        }
    }

    /// The customers' limit for opens, which have no actor yet.
    fn admit(&self, open: &Open) -> Result<(), ActError> {
        let limit = self.core.customer_limit();
        let now_ms = self.core.view.shared.mono_ms();
        let taken = self.core.openers.lock().take(
            open.account.as_str(),
            open.customer.as_str(),
            now_ms,
            limit,
        );
        taken.map_err(|retry_after_ms| Refusal::TooManyRequests { retry_after_ms }.into())
    }

    async fn actor(&self, id: ConversationId, term: u64) -> Result<ActorRef, ActError> {
        if let Some(actor) = self.known_actor(id, term) {
            return Ok(actor);
        }
        // A leader that was deposed without knowing it must not end an id for good.
        self.core.group.linearize().await?;
        let missing = Refusal::ConversationNotFound { conversation: id };
        self.known_actor(id, term).ok_or_else(|| missing.into())
    }

    /// The actor of a conversation that the local state has, made if there is none.
    fn known_actor(&self, id: ConversationId, term: u64) -> Option<ActorRef> {
        let hub = &self.core.view.shared.hub;
        if let Some(actor) = hub.live(id) {
            return Some(actor);
        }
        let exists = self.core.view.with(|cell, _| concern::exists(cell, id));
        exists.then(|| hub.actor(id, || activate(&self.core, id, term)))
    }

    /// Reads the state, linearizable; on the leader only.
    ///
    /// # Errors
    /// See [`ActError`]; never `OutcomeUnknown`.
    pub async fn read<T: Send>(&self, read: impl FnOnce(&Cell) -> T + Send) -> Result<T, ActError> {
        if !planted(Mutant::ReadAtFollower) {
            self.term()?;
            self.core.group.linearize().await?;
        }
        Ok(self.core.view.with(|cell, _| read(cell)))
    }

    /// Attaches a stream that came through `edge` to a conversation after `cursor`; an observer is
    /// no customer.
    ///
    /// # Errors
    /// See [`ActError`]; a cursor ahead of the transcript is refused.
    pub async fn attach(
        &self,
        conversation: ConversationId,
        cursor: Sequence,
        observe: bool,
        edge: NodeId,
    ) -> Result<Attachment, ActError> {
        let term = self.term()?;
        let last = || {
            let view = &self.core.view;
            view.with(|cell, _| concern::last_sequence(cell, conversation))
        };
        if last().is_none_or(|last| cursor > last) {
            // A leader that was deposed without knowing it must not call a good cursor bad.
            self.core.group.linearize().await?;
            if last().is_none() {
                let left = self.left(conversation).await?;
                return Attachment::of_left(left, cursor);
            }
        }
        for _ in 0..ACTOR_TRIES {
            let actor = self.actor(conversation, term).await?;
            let (answer, answered) = oneshot::channel();
            match actor.mailbox.try_send(ToActor::Attach {
                cursor,
                observe,
                edge,
                answer,
            }) {
                Ok(()) => {
                    if let Ok(attached) = answered.await {
                        return attached;
                    }
                }
                Err(mailbox::SendError::Full(_)) => {
                    return Err(ActError::Exhausted {
                        retry_after_ms: RETRY_FULL_MS,
                    });
                }
                Err(mailbox::SendError::Closed(_)) => {}
            }
            self.core.view.shared.hub.forget(conversation, &actor);
        }
        Err(ActError::Exhausted {
            retry_after_ms: RETRY_FULL_MS,
        })
    }

    /// Opens the stream of an agent's device, which came through `edge`; a word of the agent.
    ///
    /// # Errors
    /// A session that is not in force is refused.
    pub fn desk(&self, agent: &AgentId, session: Session, edge: NodeId) -> Result<Desk, ActError> {
        let generation = self.core.view.shared.hub.generation();
        self.heartbeat(agent, session, edge)?;
        let (sender, events) = mailbox::bounded("desk", DESK_EVENTS_MAX);
        let why = Arc::new(OnceLock::new());
        let hub = self.core.view.shared.hub.clone();
        let key = hub.next_key();
        let outlet = Outlet {
            sender,
            why: why.clone(),
        };
        if !hub.add_desk(agent, key, outlet, generation) {
            return Err(ActError::NotLeader { leader: None });
        }
        Ok(Desk {
            events,
            why,
            hub,
            agent: agent.clone(),
            key,
        })
    }

    /// Notes that an agent's client is alive and speaks through `edge`.
    ///
    /// # Errors
    /// A session that is not in force is refused.
    pub fn heartbeat(
        &self,
        agent: &AgentId,
        session: Session,
        edge: NodeId,
    ) -> Result<(), ActError> {
        self.term()?;
        let current = self.core.view.with(|cell, _| concern::session(cell, agent));
        let refusal = match current {
            Some(current) if current == session => {
                let now_ms = self.core.view.shared.mono_ms();
                let mut leases = self.core.leases.lock();
                leases.hear(agent, session, edge, now_ms);
                return Ok(());
            }
            Some(current) => Refusal::StaleSession {
                agent: agent.clone(),
                session,
                current,
            },
            None => Refusal::AgentNotLoggedIn {
                agent: agent.clone(),
            },
        };
        Err(refusal.into())
    }

    /// Passes a marker on to whoever is there; nobody there is no error.
    ///
    /// # Errors
    /// `NotLeader` where this node does not serve.
    pub fn mark(
        &self,
        conversation: ConversationId,
        from: MarkFrom,
        typing: bool,
        read: Sequence,
    ) -> Result<(), ActError> {
        let term = self.term()?;
        let missing = Refusal::ConversationNotFound { conversation };
        let actor = self.known_actor(conversation, term).ok_or(missing)?;
        // A marker is worth nothing late: a full mailbox drops it.
        let _ = actor.mailbox.try_send(ToActor::Mark { from, typing, read });
        Ok(())
    }
}

/// The conversation that a command is about.
#[derive(Clone, Copy)]
struct Subject {
    id: ConversationId,
    /// The state has it.
    is_here: bool,
}

/// Where an actor's answer arrives.
type Answered = oneshot::Receiver<Result<Done, ActError>>;

/// Why an act is not in a mailbox.
enum NotHanded {
    /// It certainly was not done.
    Failed(ActError),
    /// There is no actor, or it has just gone to rest.
    NoActor {
        command: Box<Command>,
        gone: Option<ActorRef>,
    },
}

impl From<ActError> for NotHanded {
    fn from(error: ActError) -> Self {
        Self::Failed(error)
    }
}

/// An act that has begun; its answer. Dropped, it may still be done.
pub struct Act(Acting);

enum Acting {
    /// In an actor's mailbox.
    Handed(Answered),
    /// On its way there, or without an actor.
    Long(BoxFuture<'static, Result<Done, ActError>>),
    /// Answered at once.
    Over(Option<Result<Done, ActError>>),
}

impl Future for Act {
    type Output = Result<Done, ActError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Acting::Handed(answered) => answered
                .poll_unpin(context)
                .map(|answer| answer.unwrap_or(Err(ActError::OutcomeUnknown))),
            Acting::Long(acting) => acting.poll_unpin(context),
            Acting::Over(answer) => {
                Poll::Ready(answer.take().unwrap_or(Err(ActError::OutcomeUnknown)))
            }
        }
    }
}
