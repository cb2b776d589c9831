//! What a stream of a customer or an agent gets from the leader.
//! Promise: items of an attachment come in order, without gap or repeat, after its backlog;
//! a reader that falls behind is ended with a reason, never buffered without bound.
//! Not here: the wire form (`api`).

use std::sync::{Arc, OnceLock};

use domain::cell::conversation::Conversation;
use domain::cell::event::Event;
use domain::cell::transcript::Item;
use domain::ids::{AgentId, ConversationId, Sequence};
use runtime::mailbox;

use crate::actor::ToActor;
use crate::error::ActError;
use crate::hub::{ActorRef, Hub};

/// Events that wait for one customer's stream: a burst of one conversation. 24 bytes each.
pub(crate) const ATTACH_EVENTS_MAX: usize = 256;
/// Events that wait for one agent's stream: ten conversations in a burst.
pub(crate) const DESK_EVENTS_MAX: usize = 1_024;

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// This node no longer leads the cell.
    NotLeader,
    /// No quorum has answered for too long.
    QuorumLost,
    /// The reader fell behind; it resumes from its cursor.
    SlowConsumer,
    /// The conversation's actor failed; the stream resumes from its cursor.
    Failed,
}

/// Who types or has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkFrom {
    /// The customer.
    Customer,
    /// The agent who owns the conversation.
    Agent(AgentId),
}

/// What happens in an attached conversation.
#[derive(Debug, Clone)]
pub enum AttachEvent {
    /// The next item of the transcript.
    Item(Arc<Item>),
    /// Somebody types or has read.
    Marker {
        /// Who.
        from: MarkFrom,
        /// Typing goes on.
        typing: bool,
        /// Read up to here; 0 says nothing.
        read: Sequence,
    },
    /// State, owner or place in line changed: read the summary again.
    Changed,
    /// Nothing is confirmed until further notice.
    Interrupted {
        /// Milliseconds since the last confirmation.
        since_ms: u64,
    },
    /// Confirmations have come back.
    Resumed,
}

/// A stream attached to a conversation. Dropping it detaches the customer.
pub struct Attachment {
    /// Items after the cursor, up to the moment of attaching.
    pub backlog: Vec<Arc<Item>>,
    /// What follows. When it closes, [`Attachment::why`] tells the reason.
    pub events: mailbox::Receiver<AttachEvent>,
    /// The conversation itself where it has left the state: nothing follows the backlog.
    pub left: Option<Arc<Conversation>>,
    pub(crate) held: Held,
    pub(crate) why: Arc<OnceLock<EndReason>>,
}

/// What keeps a stream attached.
pub(crate) enum Held {
    /// The actor of the conversation.
    ByActor(Leave),
    /// Nothing follows: the stream is open for as long as its reader wants.
    Open {
        _sender: mailbox::Sender<AttachEvent>,
    },
}

impl Attachment {
    /// A stream of a conversation that has left the state.
    ///
    /// # Errors
    /// A cursor ahead of the transcript is refused.
    pub(crate) fn of_left(left: Arc<Conversation>, cursor: Sequence) -> Result<Self, ActError> {
        left.check_cursor(cursor)?;
        let (sender, events) = mailbox::bounded("attached", 1);
        Ok(Self {
            backlog: left.items_after(cursor, usize::MAX).map(Arc::new).collect(),
            events,
            left: Some(left),
            held: Held::Open { _sender: sender },
            why: Arc::default(),
        })
    }

    /// Why the events ended.
    pub fn why(&self) -> EndReason {
        self.why.get().copied().unwrap_or(EndReason::Failed)
    }

    /// From now on, however it is detached: with `our_fault` the customer's lease gets the longer grace.
    pub fn blame(&mut self, our_fault: bool) {
        if let Held::ByActor(leave) = &mut self.held {
            leave.our_fault = our_fault;
        }
    }
}

/// Tells the actor that a stream has gone, however it goes.
pub(crate) struct Leave {
    pub(crate) actor: ActorRef,
    pub(crate) key: u64,
    pub(crate) our_fault: bool,
}

impl Drop for Leave {
    fn drop(&mut self) {
        // A full mailbox is no loss: the actor sweeps closed streams.
        let _ = self.actor.mailbox.try_send(ToActor::Leave {
            key: self.key,
            our_fault: self.our_fault,
        });
    }
}

/// What happens at an agent's desk.
#[derive(Debug, Clone)]
pub enum DeskEvent {
    /// An event of the machine that concerns this agent.
    Event(Arc<Event>),
    /// Somebody types or has read in a conversation of the agent.
    Marker {
        /// The conversation.
        conversation: ConversationId,
        /// Who.
        from: MarkFrom,
        /// Typing goes on.
        typing: bool,
        /// Read up to here; 0 says nothing.
        read: Sequence,
    },
    /// Nothing is confirmed until further notice.
    Interrupted {
        /// Milliseconds since the last confirmation.
        since_ms: u64,
    },
    /// Confirmations have come back.
    Resumed,
}

/// A stream of an agent's device.
pub struct Desk {
    /// What happens. When it closes, [`Desk::why`] tells the reason.
    pub events: mailbox::Receiver<DeskEvent>,
    pub(crate) why: Arc<OnceLock<EndReason>>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) agent: AgentId,
    pub(crate) key: u64,
}

impl Desk {
    /// Why the events ended.
    pub fn why(&self) -> EndReason {
        self.why.get().copied().unwrap_or(EndReason::Failed)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.hub.forget_desk(&self.agent, self.key);
    }
}

/// The leader's end of a stream.
pub(crate) struct Outlet<E> {
    pub(crate) sender: mailbox::Sender<E>,
    pub(crate) why: Arc<OnceLock<EndReason>>,
}

impl<E> Outlet<E> {
    /// Passes an event on; false when the reader is gone or fell behind and must be dropped.
    pub(crate) fn give(&self, event: E) -> bool {
        match self.sender.try_send(event) {
            Ok(()) => true,
            Err(mailbox::SendError::Full(_)) => {
                let _ = self.why.set(EndReason::SlowConsumer);
                false
            }
            Err(mailbox::SendError::Closed(_)) => false,
        }
    }

    /// Notes why the stream ends; dropping the outlet then ends it.
    pub(crate) fn end(&self, why: EndReason) {
        let _ = self.why.set(why);
    }
}
