//! A conversation's record: one customer's exchange from open to closed.
//! Promise: a plain value; its phase alone says who owns it and whether units are taken.
//! Not here: how it changes (`decide`, `evolve`).

use std::sync::Arc;

use super::items::{self, Items};
use super::receipts::Receipt;
use super::refusal::Refusal;
use super::requests::Remembered;
use super::transcript::{Author, HoldReason, Item, RemarkItem};
use crate::ids::{
    AccountId, AgentId, CellTime, ChannelId, ConversationId, CustomerKey, LanguageId, LogIndex,
    OfferId, OwnerEpoch, PlanVersion, QueueId, RequestId, Sequence, Session, SiteId, TenantId,
};
use crate::plan::{Urgency, WrapUpMode};

/// Items and remarks of one conversation, of whatever kind; a message or an act of its owner beyond
/// them opens a linked episode in the same entry, a remark is refused.
pub const ITEMS_MAX: usize = 2_000;
/// Further items for what happens without an act that could open the next episode: an accept, a
/// deadline, a lost agent. Beyond them such changes take place without an item; only the end is
/// always written.
pub const ITEMS_RESERVE: usize = 64;
/// Bytes of texts and remarks of one conversation; more open a linked episode in the same entry.
pub const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Agents that one conversation passes over at a time; the oldest goes first.
pub const PASSED_OVER_MAX: usize = 16;

/// One conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    /// Its id: the cell and the log index of its opening.
    pub id: ConversationId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The channel account on which the customer writes.
    pub account: AccountId,
    /// The customer on that account.
    pub customer: CustomerKey,
    /// The customer's name for agents to read, may be empty.
    pub display_name: Box<str>,
    /// The channel.
    pub channel: ChannelId,
    /// The site whose edge took the first call.
    pub site: SiteId,
    /// The customer's language.
    pub language: Option<LanguageId>,
    /// Topics, at most 16.
    pub topics: Box<[Box<str>]>,
    /// The episode before this one.
    pub previous: Option<ConversationId>,
    /// The episode in which this one goes on, because it was full.
    pub continued_to: Option<ConversationId>,
    /// When it was opened: the first clock.
    pub created_at: CellTime,
    /// The leader's wall clock then, Unix milliseconds, for display.
    pub created_wall_ms: u64,
    /// When it first entered a line: with the boost its place, which nothing resets.
    pub aged_from: CellTime,
    /// When it entered its present queue: the second clock.
    pub entered_at: CellTime,
    /// Its queue.
    pub queue: QueueId,
    /// The plan in force when it entered the queue: timers, texts and objective are read there.
    pub pinned: PlanVersion,
    /// The plan by whose requirements it stands in its line.
    pub classed_by: PlanVersion,
    /// Its strict class, fixed on entering the queue.
    pub urgency: Urgency,
    /// The boost that was asked for, in milliseconds: another queue may allow more of it.
    pub boost_asked_ms: u64,
    /// Its boost in milliseconds: what was asked for, capped by the queue that it entered.
    pub boost_ms: u64,
    /// Where it stands.
    pub phase: Phase,
    /// Who may speak for our side.
    pub owner_epoch: OwnerEpoch,
    /// Set aside after a defect at this log index.
    pub quarantined: Option<LogIndex>,
    /// Since when the customer's client is gone.
    pub gone: Option<Gone>,
    /// When it last came back from an agent or from being set aside, 0 for never: the time that a
    /// customer who is gone has left counts from here at the earliest.
    pub returned_at: CellTime,
    /// Whether the customer's client has ever been attached.
    pub attached_once: bool,
    /// Whether an agent has accepted it since it entered its present queue.
    pub answered: bool,
    /// When an agent first wrote.
    pub first_response_at: Option<CellTime>,
    /// Milliseconds in which agents have worked on it so far.
    pub handled_ms: u64,
    /// Agents who declined it and are not asked again for a while.
    pub passed_over: Vec<PassedOver>,
    /// The transcript; the item with sequence n is at n - 1.
    pub items: Items,
    /// Remarks, never shown to the customer; the one with number n is at n - 1.
    pub remarks: Vec<Arc<RemarkItem>>,
    /// How many of the items are messages.
    pub messages: u32,
    /// Bytes of messages and remarks.
    pub message_bytes: u64,
    /// Answers given within ten minutes, messages' apart.
    pub requests: Vec<Remembered>,
    /// The last routing decisions, oldest first.
    pub receipts: Vec<Arc<Receipt>>,
    /// The customer's rating.
    pub rating: Option<Box<Rating>>,
    /// The time under which it stands in the deadline index: never later than its first due timer.
    pub deadline: Option<CellTime>,
}

/// Where a conversation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// A bot speaks.
    Bot,
    /// Waits in a line.
    Queued(Waiting),
    /// Offered to one agent, whose units are taken. Boxed: it is the largest and lasts seconds.
    Offered(Box<Offer>),
    /// An agent works on it.
    Active(Active),
    /// Its agent waits for the customer, or it for its agent; units are free.
    OnHold(OnHold),
    /// After-contact work; units are still taken.
    WrapUp(WrapUp),
    /// Ended.
    Closed(Closed),
}

/// How a waiting conversation may be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The agent who is asked first.
    pub prefer: Option<AgentId>,
    /// Whether anybody else is asked at all.
    pub held: Held,
}

/// Whether a waiting conversation is kept for its preferred agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Anybody may get it.
    No,
    /// Kept for a while.
    For {
        /// From when.
        since: CellTime,
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Waits in the agent's own line, as a transfer asked.
    OwnLine,
}

/// An open offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its id.
    pub id: OfferId,
    /// Whose it is.
    pub agent: AgentId,
    /// The login to which it was made.
    pub session: Session,
    /// When it was made.
    pub made_at: CellTime,
    /// It lapses after this many milliseconds.
    pub period_ms: u64,
    /// When the agent's client said that it shows it.
    pub shown_at: Option<CellTime>,
    /// Units taken.
    pub units: u32,
    /// The agent who would have been asked first, kept for the way back to the line.
    pub prefer: Option<AgentId>,
}

/// An agent works on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// The owner.
    pub agent: AgentId,
    /// Since when.
    pub since: CellTime,
    /// Units taken.
    pub units: u32,
    /// Whether the owner has written since then.
    pub replied: bool,
    /// Since when the owner waits for the customer to write.
    pub awaiting_customer: Option<CellTime>,
    /// Milliseconds for which the first reply was due before `since`: a hold stops that clock and does
    /// not set it back.
    pub first_reply_spent_ms: u64,
    /// The owner was told that the first reply is due.
    pub first_reply_warned: bool,
    /// The owner was told that the customer is silent.
    pub silence_warned: bool,
    /// The policy for a lost agent was applied.
    pub lost_handled: bool,
}

/// On hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnHold {
    /// The owner.
    pub agent: AgentId,
    /// Since when.
    pub since: CellTime,
    /// Why.
    pub reason: HoldReason,
    /// Whether the owner had written by then: if not, a first reply is still due after the hold.
    pub replied: bool,
    /// Milliseconds for which that reply had been due by then.
    pub first_reply_spent_ms: u64,
    /// The owner had been told by then that it is due.
    pub first_reply_warned: bool,
}

/// After-contact work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrapUp {
    /// Who does it.
    pub agent: AgentId,
    /// Since when: the conversation ended for the customer then.
    pub since: CellTime,
    /// Units taken.
    pub units: u32,
    /// How it may end.
    pub mode: WrapUpMode,
    /// It ends by itself after this many milliseconds, where the mode has an end.
    pub limit_ms: u64,
}

/// Ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: CellTime,
    /// How.
    pub how: Ending,
    /// Who ended it.
    pub by: Author,
    /// The agent who owned it last.
    pub agent: Option<AgentId>,
    /// The entry that sealed it: nothing of the record changes any more.
    pub sealed: Option<LogIndex>,
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Somebody closed it.
    Closed,
    /// The customer left while waiting.
    Abandoned {
        /// Sooner than the channel's threshold.
        short: bool,
    },
    /// On hold for too long.
    HoldOver,
    /// It goes on in another conversation.
    Continued,
}

/// The customer's client is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Since when.
    pub at: CellTime,
    /// By our fault: the longer grace holds.
    pub our_fault: bool,
}

/// An agent who declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Who.
    pub agent: AgentId,
    /// Not asked before this time.
    pub until: CellTime,
}

/// A rating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rating {
    /// 1 to 5.
    pub score: u32,
    /// Free words.
    pub comment: Box<str>,
    /// When, cell time.
    pub at: CellTime,
}

impl Phase {
    /// The phase as a word, for people and refusals.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Bot => "with a bot",
            Self::Queued(_) => "queued",
            Self::Offered(_) => "offered",
            Self::Active(_) => "active",
            Self::OnHold(_) => "on hold",
            Self::WrapUp(_) => "in wrap-up",
            Self::Closed(_) => "closed",
        }
    }

    /// Whether the conversation has ended for its customer.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::WrapUp(_) | Self::Closed(_))
    }

    /// The agent who speaks for our side, on hold included.
    pub fn owner(&self) -> Option<&AgentId> {
        match self {
            Self::Active(active) => Some(&active.agent),
            Self::OnHold(hold) => Some(&hold.agent),
            Self::WrapUp(wrap_up) => Some(&wrap_up.agent),
            Self::Bot | Self::Queued(_) | Self::Offered(_) | Self::Closed(_) => None,
        }
    }

    /// The agent whose units are taken, with how many.
    pub fn taken(&self) -> Option<(&AgentId, u32)> {
        match self {
            Self::Offered(offer) => Some((&offer.agent, offer.units)),
            Self::Active(active) => Some((&active.agent, active.units)),
            Self::WrapUp(wrap_up) => Some((&wrap_up.agent, wrap_up.units)),
            Self::Bot | Self::Queued(_) | Self::OnHold(_) | Self::Closed(_) => None,
        }
    }
}

impl Conversation {
    /// The last item's place, 0 for none.
    pub fn last_sequence(&self) -> Sequence {
        Sequence(self.items.len() as u64)
    }

    /// Refuses a cursor that lies ahead of the transcript.
    ///
    /// # Errors
    /// Says where the transcript ends.
    pub fn check_cursor(&self, given: Sequence) -> Result<(), Refusal> {
        let last = self.last_sequence();
        if given <= last {
            Ok(())
        } else {
            Err(Refusal::CursorFromTheFuture { given, last })
        }
    }

    /// Items after a cursor, at most `limit`.
    pub fn items_after(&self, cursor: Sequence, limit: usize) -> std::iter::Take<items::Iter<'_>> {
        let from = usize::try_from(cursor.0).unwrap_or(usize::MAX);
        self.items.after(from).take(limit)
    }

    /// The item that a message id of this author made.
    pub fn find_message(&self, id: &RequestId, author: &Author) -> Option<Item> {
        let mut items = self.items.messages_with(id);
        items.find(|item| {
            item.message()
                .is_some_and(|message| message.author == *author)
        })
    }

    /// Whether the customer's client is believed to be there: it has been, and is not gone.
    pub fn believed_here(&self) -> bool {
        self.attached_once && self.gone.is_none()
    }

    /// The customer's last act that the transcript tells of: the opening or a message.
    pub fn customer_acted_at(&self) -> CellTime {
        let mut newest_first = self.items.iter().rev();
        let wrote = newest_first.find(|item| {
            item.message()
                .is_some_and(|message| message.author == Author::Customer)
        });
        let acted = wrote.or_else(|| self.items.first()).map(|item| item.at);
        acted.map_or(self.created_at, |at| at.max(self.created_at))
    }

    /// The constant key of its place: lower is earlier.
    pub fn rank(&self) -> i64 {
        let from = i64::try_from(self.aged_from.0).unwrap_or(i64::MAX);
        from.saturating_sub(i64::try_from(self.boost_ms).unwrap_or(i64::MAX))
    }

    /// Items and remarks.
    pub fn entries(&self) -> usize {
        self.items.len() + self.remarks.len()
    }

    /// Whether what comes next belongs in the next episode.
    pub fn is_full(&self) -> bool {
        self.entries() >= ITEMS_MAX
    }

    /// Whether it was sealed for the archive: nothing of the record changes any more.
    pub fn is_sealed(&self) -> bool {
        matches!(&self.phase, Phase::Closed(closed) if closed.sealed.is_some())
    }

    /// Whether it waits in a line and may be offered.
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Queued(_)) && self.quarantined.is_none()
    }
}
