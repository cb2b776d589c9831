//! What a conversation's customer and agents read: the items of its transcript, and notes.
//! Promise: an item never changes; items carry a gapless sequence, notes a count of their own.
//! Not here: who may add one (`decide`).

use std::sync::Arc;

use super::command::Instance;
use crate::ids::{AgentId, Body, CellTime, ConversationId, QueueId, RequestId, Sequence, StaffId};

/// Who wrote or did something, without what fenced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// The conversation's customer.
    Customer,
    /// An agent.
    Agent(AgentId),
    /// A bot.
    Bot,
    /// A supervisor or operator.
    Staff(StaffId),
    /// The machine itself, by a deadline or a policy.
    Machine,
}

/// A message of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The message's id: the request id that brought it.
    pub id: RequestId,
    /// Who wrote it.
    pub author: Author,
    /// The message.
    pub body: Body,
    /// When the client says that it was written, Unix milliseconds, 0 for unknown.
    pub sent_ms: u64,
    /// Which client made it.
    pub instance: Option<Box<Instance>>,
}

/// Why a conversation went back to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequeueReason {
    /// Its agent was out of reach for too long.
    AgentLost,
    /// Its agent logged out.
    AgentLeft,
    /// Its agent gave no first reply in time.
    NoFirstReply,
    /// The customer wrote to a held conversation and the agent had no free units.
    AgentBusy,
    /// It was set aside after a defect.
    Quarantined,
    /// A supervisor took it from its agent.
    BySupervisor,
}

/// Why a conversation is on hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// The agent put it there.
    ByAgent,
    /// The customer was silent.
    CustomerSilent,
    /// It waits for its agent, who is out of reach.
    AgentLost,
}

/// Which text of the floor plan a notice shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// The queue's greeting.
    Greeting,
    /// Nobody who could serve is logged in.
    NobodyStaffed,
}

/// What an item says. All of it may be shown to the customer, but for a reason to close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// Somebody wrote.
    Message(Message),
    /// An agent has taken the conversation.
    Joined {
        /// Who.
        agent: AgentId,
        /// The name that customers see.
        display_name: Arc<str>,
    },
    /// It waits in its line again, with its age.
    Requeued {
        /// Why.
        reason: RequeueReason,
    },
    /// It was put on hold.
    Held {
        /// Why.
        reason: HoldReason,
    },
    /// It was taken up again.
    Resumed,
    /// It was passed on to another line.
    TransferredToQueue {
        /// The line.
        queue: QueueId,
    },
    /// It was passed on to another agent.
    TransferredToAgent {
        /// Who.
        agent: AgentId,
    },
    /// It goes on in another conversation, because this one is full.
    Continued {
        /// The other one.
        to: ConversationId,
    },
    /// A text of the floor plan.
    Notice {
        /// Which.
        kind: NoticeKind,
        /// What the customer reads.
        text: Arc<str>,
    },
    /// It has ended for the customer.
    Closed {
        /// Who ended it.
        by: Author,
        /// Why, in the words of who ended it; for our side alone, at most 1 KiB.
        reason: Option<Box<str>>,
    },
}

/// One item of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its place, from 1, without gaps.
    pub sequence: Sequence,
    /// When it was stored, cell time.
    pub at: CellTime,
    /// When it was stored, the leader's wall clock in Unix milliseconds, for display.
    pub wall_ms: u64,
    /// What it says.
    pub kind: ItemKind,
}

impl Item {
    /// The message, if the item is one.
    pub fn message(&self) -> Option<&Message> {
        match &self.kind {
            ItemKind::Message(message) => Some(message),
            _ => None,
        }
    }
}

/// A remark that customers never see, beside the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemarkItem {
    /// Counts the conversation's remarks from 1, without gaps.
    pub number: u64,
    /// The last item of the transcript when it was made, 0 for none.
    pub after: Sequence,
    /// When it was stored, cell time.
    pub at: CellTime,
    /// When it was stored, the leader's wall clock in Unix milliseconds.
    pub wall_ms: u64,
    /// Who wrote it; never the customer.
    pub author: Author,
    /// The remark.
    pub body: Body,
}
