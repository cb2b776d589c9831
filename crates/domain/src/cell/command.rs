//! What can be asked of a cell: one closed enum.
//! Promise: a command holds everything that its decision needs beside the state.
//! Not here: the decisions.

use std::fmt;
use std::sync::Arc;

use super::archive::ArchivedUpto;
use super::checkpoint::Mark;
use super::homes::HeldBuckets;
use crate::ids::{
    AccountId, AgentId, Body, CellTime, ConversationId, CustomerKey, DeviceId, LanguageId,
    MachineVersion, OfferId, OwnerEpoch, QueueId, RequestId, Session, SiteId, StaffId,
};
use crate::plan::VersionedPlan;

/// One entry of a cell's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The leader's cell time at proposing; `apply` takes max(now, at).
    pub at: CellTime,
    /// The leader's wall clock in Unix milliseconds, for display alone.
    pub wall_ms: u64,
    /// What is asked.
    pub command: Command,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A leader's first entry in its term: the barrier. Proposed by the leader.
    LeaderStarted(LeaderStarted),
    /// Fires at most 256 due deadlines. Proposed by the leader.
    Tick(Tick),
    /// Goes on matching where `more_due` is set. Proposed by the leader.
    MatchMore,
    /// Raises the machine version in force; a lower one changes nothing. Proposed by the leader when
    /// every voter's program knows it.
    RaiseVersion(MachineVersion),
    /// The cell holds these buckets too, from now on. Proposed by the leader, from the control group.
    HoldBuckets(Arc<HeldBuckets>),
    /// Brings a floor plan into force. Proposed by the leader.
    AdoptPlan(VersionedPlan),
    /// Opens a conversation, or finds the customer's open one (rule 7).
    Open(Open),
    /// Stores a message.
    Send(Send),
    /// The customer's client came or went. Proposed by the leader on a change.
    CustomerPresence(CustomerPresence),
    /// Ends a conversation.
    Close(Close),
    /// Rates a closed or closing conversation.
    Rate(Rate),
    /// A bot gives the conversation to people.
    HandOff(HandOff),
    /// An agent logs in, or a device joins or resumes the session.
    LogIn(LogIn),
    /// An agent logs out, or one device leaves the session.
    LogOut(LogOut),
    /// What the agent chose.
    SetIntent(SetIntent),
    /// What becomes the intent when the present work has ended.
    SetNextStatus(SetIntent),
    /// The lease of an agent changed. Proposed by the leader.
    Lease(Lease),
    /// The agent's client shows an offer.
    OfferShown(OfferRef),
    /// The agent takes an offer.
    Accept(Accept),
    /// The agent passes an offer by.
    Decline(Decline),
    /// A remark that customers never see.
    Note(Note),
    /// The agent puts a conversation on hold; its units are freed.
    Hold(OwnerAct),
    /// The agent takes it up again.
    Resume(OwnerAct),
    /// The agent or a supervisor passes it on.
    Transfer(Transfer),
    /// The agent has finished after-contact work.
    FinishWrapUp(OwnerAct),
    /// A supervisor puts a quarantined conversation back in its line at its old place.
    Release(Release),
    /// What was sealed up to an entry leaves the state. Proposed by the leader when a majority of the
    /// voters' archives, on two sites at least, hold it.
    ArchivedUpto(ArchivedUpto),
    /// What a majority of the voters had at one index. Proposed by the leader.
    Checkpoint(Mark),
    /// A supervisor takes a conversation from its agent, back to its line at its old place.
    Requeue(Requeue),
    /// A supervisor names the agent who is asked for waiting work.
    Assign(Assign),
    /// A supervisor stops a queue: it takes nothing new and offers nothing.
    PauseQueue(QueueAct),
    /// A supervisor lets a queue go on that a supervisor has stopped.
    ResumeQueue(QueueAct),
}

/// A leader's first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderStarted {
    /// The leader's wall clock, Unix milliseconds.
    pub wall_ms: u64,
    /// How long the leader saw no leader before itself, in milliseconds.
    pub without_leader_ms: u64,
    /// Whether all voters had restarted, so that the wall clock may move cell time (24 h at most).
    pub after_restart_of_all: bool,
}

/// The one list of commands that name a conversation by its id, for reading it and for writing it.
/// Without a wildcard, so that a new command is missed by the compiler and not by those who ask.
macro_rules! named {
    ($command:expr, $($how:tt)+) => {
        match $command {
            Self::Send(act) => Some($($how)+ act.conversation),
            Self::CustomerPresence(act) => Some($($how)+ act.conversation),
            Self::Close(act) => Some($($how)+ act.conversation),
            Self::Rate(act) => Some($($how)+ act.conversation),
            Self::HandOff(act) => Some($($how)+ act.conversation),
            Self::Note(act) => Some($($how)+ act.conversation),
            Self::Hold(act) | Self::Resume(act) | Self::FinishWrapUp(act) => {
                Some($($how)+ act.conversation)
            }
            Self::Transfer(act) => Some($($how)+ act.conversation),
            Self::Release(act) => Some($($how)+ act.conversation),
            Self::Requeue(act) => Some($($how)+ act.conversation),
            Self::Assign(act) => Some($($how)+ act.conversation),
            Self::LeaderStarted(_)
            | Self::Tick(_)
            | Self::MatchMore
            | Self::RaiseVersion(_)
            | Self::HoldBuckets(_)
            | Self::AdoptPlan(_)
            | Self::Open(_)
            | Self::LogIn(_)
            | Self::LogOut(_)
            | Self::SetIntent(_)
            | Self::SetNextStatus(_)
            | Self::Lease(_)
            | Self::OfferShown(_)
            | Self::Accept(_)
            | Self::Decline(_)
            | Self::ArchivedUpto(_)
            | Self::Checkpoint(_)
            | Self::PauseQueue(_)
            | Self::ResumeQueue(_) => None,
        }
    };
}

impl Command {
    /// The conversation that it names by its id; one that answers an offer names none.
    pub fn conversation(&self) -> Option<ConversationId> {
        named!(self, &).copied()
    }

    /// The same command for the conversation in which the named one goes on; `None` where it names none.
    #[must_use]
    pub fn for_episode(mut self, next: ConversationId) -> Option<Self> {
        *named!(&mut self, &mut)? = next;
        Some(self)
    }

    /// A tick that finds every agent within reach.
    pub fn tick() -> Self {
        Self::Tick(Tick::default())
    }
}

/// Fires what is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tick {
    /// Agents whose clients' edges the leader cannot reach: an offer that lapses was not missed.
    pub unreachable: Vec<AgentId>,
}

/// Who speaks or acts in a conversation, with what fences it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The conversation's customer.
    Customer,
    /// The agent who owns it.
    Agent {
        /// Who.
        agent: AgentId,
        /// The login.
        session: Session,
        /// The epoch in which the agent speaks.
        owner_epoch: OwnerEpoch,
    },
    /// A bot.
    Bot {
        /// The epoch in which the bot speaks.
        owner_epoch: OwnerEpoch,
    },
    /// A supervisor or operator.
    Staff {
        /// Who.
        staff: StaffId,
    },
}

/// The client that made a message and its own counter: order is promised per instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The device.
    pub device: DeviceId,
    /// Counts the device's messages from 1.
    pub counter: u64,
}

/// Opens a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// Id of the request, and of the first message if there is one.
    pub request_id: RequestId,
    /// The channel account.
    pub account: AccountId,
    /// The customer on that account.
    pub customer: CustomerKey,
    /// The customer's name for agents to read, may be empty.
    pub display_name: String,
    /// The site whose edge took the call.
    pub site: SiteId,
    /// The queue that is asked for; `None` uses the plan's intake table.
    pub queue: Option<QueueId>,
    /// The customer's language.
    pub language: Option<LanguageId>,
    /// Topics, at most 16.
    pub topics: Vec<String>,
    /// Boost in milliseconds beside what the floor plan gives; the queue caps the sum.
    pub boost_ms: u64,
    /// Whether a bot speaks first.
    pub bot_first: bool,
    /// The first message.
    pub body: Option<Body>,
    /// When the client says that it was written, Unix milliseconds, 0 for unknown.
    pub sent_ms: u64,
    /// Which client made it.
    pub instance: Option<Instance>,
    /// The customer's last conversation by the archive, for a customer whom the state does not know.
    pub previous: Option<ConversationId>,
}

/// Without what the customer is called.
impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("request_id", &self.request_id)
            .field("account", &self.account)
            .field("site", &self.site)
            .field("queue", &self.queue)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// Stores a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message's id.
    pub request_id: RequestId,
    /// Who wrote it.
    pub author: Actor,
    /// The message.
    pub body: Body,
    /// When the client says that it was written, Unix milliseconds, 0 for unknown.
    pub sent_ms: u64,
    /// Which client made it.
    pub instance: Option<Instance>,
}

/// Whether a customer's client can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerPresence {
    /// The conversation.
    pub conversation: ConversationId,
    /// Whether a client is attached.
    pub attached: bool,
    /// Gone by our fault: the longer grace holds.
    pub our_fault: bool,
}

/// Ends a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Close {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who ends it.
    pub by: Actor,
    /// Why, for the record; at most 1 KiB.
    pub reason: String,
    /// The agent asks for after-contact work; matters only where the queue's mode is on request.
    pub wrap_up: bool,
}

/// Without the words of the reason.
impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close")
            .field("conversation", &self.conversation)
            .field("request_id", &self.request_id)
            .field("by", &self.by)
            .field("wrap_up", &self.wrap_up)
            .finish_non_exhaustive()
    }
}

/// Rates a conversation.
#[derive(Clone, PartialEq, Eq)]
pub struct Rate {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// 1 to 5.
    pub score: u32,
    /// Free words, at most 4 KiB.
    pub comment: String,
}

/// Without the words of the comment.
impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rate")
            .field("conversation", &self.conversation)
            .field("request_id", &self.request_id)
            .field("score", &self.score)
            .finish_non_exhaustive()
    }
}

/// A bot gives the conversation to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandOff {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// The epoch in which the bot spoke.
    pub owner_epoch: OwnerEpoch,
}

/// What an agent chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Takes work.
    Ready,
    /// Takes none, for a reason.
    NotReady {
        /// The reason, at most 128 bytes.
        reason: String,
    },
}

/// An agent's device asks for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIn {
    /// Who.
    pub agent: AgentId,
    /// Id of the request.
    pub request_id: RequestId,
    /// The device.
    pub device: DeviceId,
    /// The session that the device believes in; `None` at a first login.
    pub session: Option<Session>,
    /// The intent of a new session; an existing one keeps its own.
    pub intent: Intent,
    /// The site of the edge that took the call.
    pub site: SiteId,
}

/// A device or the whole agent leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOut {
    /// Who.
    pub agent: AgentId,
    /// Id of the request.
    pub request_id: RequestId,
    /// The session.
    pub session: Session,
    /// Only this device; `None` ends the session.
    pub device: Option<DeviceId>,
}

/// An agent's or a supervisor's choice for an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetIntent {
    /// Who.
    pub agent: AgentId,
    /// Id of the request.
    pub request_id: RequestId,
    /// The session; `None` when a supervisor sets it.
    pub session: Option<Session>,
    /// The supervisor, if one sets it.
    pub staff: Option<StaffId>,
    /// The choice.
    pub intent: Intent,
    /// Why a supervisor sets it, for the record; at most 1 KiB, empty where the agent sets it.
    pub why: String,
}

/// A change of an agent's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who.
    pub agent: AgentId,
    /// The session that it speaks of; another one makes it void.
    pub session: Session,
    /// The new state.
    pub state: LeaseState,
    /// Silent by our fault (no connection to the client's edge): counts against nobody.
    pub our_fault: bool,
}

/// Whether an agent's client is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// Heard from in time.
    Alive,
    /// Silent for a while: no new offers, open ones are rescinded.
    Suspect,
    /// Silent for long: the policy of each conversation's queue decides; `our_fault` counts against nobody.
    Lost,
    /// Logged out by silence: the session ends.
    Gone,
}

/// An offer, as its agent names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferRef {
    /// The offer.
    pub offer: OfferId,
    /// Who.
    pub agent: AgentId,
    /// The login.
    pub session: Session,
}

/// Takes an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// Id of the request.
    pub request_id: RequestId,
    /// The offer, agent and login.
    pub offer: OfferRef,
    /// The conversation's epoch that the offer named.
    pub owner_epoch: OwnerEpoch,
}

/// Passes an offer by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// Id of the request.
    pub request_id: RequestId,
    /// The offer, agent and login.
    pub offer: OfferRef,
    /// Why, at most 128 bytes.
    pub reason: String,
}

/// A remark that customers never see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who wrote it; never the customer.
    pub author: Actor,
    /// The remark.
    pub body: Body,
}

/// An act of the owner in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerAct {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who acts.
    pub by: Actor,
}

/// Where a conversation is passed on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One agent; refused if full, not ready or lost, unless `wait`.
    Agent {
        /// Who.
        agent: AgentId,
        /// Wait in that agent's own line.
        wait: bool,
    },
    /// Another line, with the full age.
    Queue(QueueId),
}

/// Passes a conversation on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who passes it on.
    pub by: Actor,
    /// Where to.
    pub target: Target,
    /// A note for whoever takes it.
    pub note: Option<Body>,
}

/// Puts a quarantined conversation back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who did it.
    pub staff: StaffId,
    /// Why, for the record; at most 1 KiB.
    pub reason: String,
}

/// Takes a conversation from its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requeue {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who does it.
    pub staff: StaffId,
    /// Why, for the record; at most 1 KiB.
    pub reason: String,
}

/// Names the agent for waiting work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assign {
    /// The conversation.
    pub conversation: ConversationId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who does it.
    pub staff: StaffId,
    /// The agent; refused if full, not ready or lost, unless `wait`.
    pub agent: AgentId,
    /// Wait in that agent's own line.
    pub wait: bool,
    /// Why, for the record; at most 1 KiB.
    pub reason: String,
}

/// Stops a queue, or lets it go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueAct {
    /// The queue.
    pub queue: QueueId,
    /// Id of the request.
    pub request_id: RequestId,
    /// Who does it.
    pub staff: StaffId,
    /// Why, for the record; at most 1 KiB.
    pub reason: String,
}

/// A shared plan, as commands and states hold it.
pub type SharedPlan = Arc<crate::plan::FloorPlan>;
