//! What has happened: the only way in which the state changes, and what streams are told.
//! Promise: applying an event never fails; events of one entry are in the order in which they hold.
//! Not here: sending them (`conversation`). Telling anybody twice is harmless: each names its object.

use std::sync::Arc;

use super::agent::Agent;
use super::archive::ArchivedUpto;
use super::checkpoint::Mark;
use super::conversation::{Conversation, Ending, Gone, PassedOver, Phase, Rating};
use super::derived::LineKey;
use super::floor::{OfferOutcome, Steered};
use super::homes::HeldBuckets;
use super::receipts::Receipt;
use super::requests::Remembered;
use super::transcript::{Item, RemarkItem};
use crate::ids::{
    AccountId, AgentId, CellTime, ConversationId, CustomerKey, LogIndex, MachineVersion, OfferId,
    OwnerEpoch, PlanVersion, QueueId, SiteId,
};
use crate::plan::{Urgency, VersionedPlan};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A conversation exists. Floor streams.
    Opened {
        /// The whole record, without items.
        conversation: Arc<Conversation>,
    },
    /// An item was added to a transcript. Customer's and owner's streams, floor streams that show it.
    ItemAdded {
        /// The conversation.
        conversation: ConversationId,
        /// The item.
        item: Arc<Item>,
    },
    /// A remark was added. Agents' and floor streams, never the customer's.
    RemarkAdded {
        /// The conversation.
        conversation: ConversationId,
        /// The remark.
        remark: Arc<RemarkItem>,
    },
    /// The conversation stands elsewhere. Owner's and floor streams; the customer reads items instead.
    PhaseChanged {
        /// The conversation.
        conversation: ConversationId,
        /// Where it stands now.
        phase: Phase,
        /// Who may speak for our side from now on.
        owner_epoch: OwnerEpoch,
    },
    /// Another side may speak for us. Streams of the old and the new owner; the new one learns the epoch.
    OwnerChanged {
        /// The conversation.
        conversation: ConversationId,
        /// The owner before.
        before: Option<AgentId>,
        /// The owner now.
        owner: Option<AgentId>,
        /// The epoch in which the owner speaks.
        owner_epoch: OwnerEpoch,
    },
    /// It entered a queue: on opening to people, by hand-off, by transfer. Floor streams.
    QueueEntered {
        /// The conversation.
        conversation: ConversationId,
        /// The queue.
        queue: QueueId,
        /// The plan in force.
        pinned: PlanVersion,
        /// The strict class.
        urgency: Urgency,
        /// The boost, capped by the queue.
        boost_ms: u64,
        /// It had no age before this: its age begins now.
        first: bool,
        /// When.
        at: CellTime,
    },
    /// An offer was made. The agent's stream, which shows it; floor streams.
    OfferMade(Box<OfferMade>),
    /// The agent's client shows an offer. Floor streams.
    OfferShown {
        /// The conversation.
        conversation: ConversationId,
        /// The offer.
        offer: OfferId,
        /// When.
        at: CellTime,
    },
    /// An offer ended. The agent's stream takes it away; floor streams.
    OfferEnded {
        /// The offer.
        offer: OfferId,
        /// The conversation.
        conversation: ConversationId,
        /// Its queue.
        queue: QueueId,
        /// The customer's site.
        site: SiteId,
        /// Whose it was.
        agent: AgentId,
        /// How it ended.
        outcome: OfferOutcome,
        /// When.
        at: CellTime,
    },
    /// An agent is passed over for a conversation for a while. Nobody; kept for the receipt.
    PassedOver {
        /// The conversation.
        conversation: ConversationId,
        /// Who, and until when.
        passed: PassedOver,
        /// The reason that was given, may be empty.
        reason: Box<str>,
    },
    /// An ended conversation was sealed for the archive; answers that nobody may ask for any more were
    /// forgotten, with those to the customer's opens. The archive's writer; twice is once.
    Sealed {
        /// The conversation.
        conversation: ConversationId,
        /// The entry that sealed it.
        index: LogIndex,
    },
    /// Pauses for declines that have ended were forgotten. Nobody.
    PassesLapsed {
        /// The conversation.
        conversation: ConversationId,
        /// Those up to this time.
        upto: CellTime,
    },
    /// The customer's client came or went. Owner's and floor streams.
    CustomerPresence {
        /// The conversation.
        conversation: ConversationId,
        /// Since when it is gone; `None` when it is there.
        gone: Option<Gone>,
    },
    /// A timer runs out soon. The owner's stream, floor streams.
    Warned {
        /// The conversation.
        conversation: ConversationId,
        /// The owner.
        agent: AgentId,
        /// Of what.
        warning: Warning,
    },
    /// A counter of the floor moved. Floor streams may use it; the state folds it.
    Counted {
        /// The queue.
        queue: QueueId,
        /// The customer's site.
        site: SiteId,
        /// What happened.
        tally: Tally,
    },
    /// Work of an agent on a conversation ended. Nobody; the record folds it.
    WorkEnded {
        /// The conversation.
        conversation: ConversationId,
        /// Milliseconds of work.
        ms: u64,
    },
    /// The conversation has ended for good. Every stream of it ends.
    Ended {
        /// The conversation.
        conversation: ConversationId,
        /// How.
        how: Ending,
    },
    /// It goes on in another conversation. Customer's and owner's streams follow.
    Continued {
        /// The one that was full.
        from: ConversationId,
        /// The one in which it goes on.
        to: ConversationId,
    },
    /// The customer rated. Owner's and floor streams.
    Rated {
        /// The conversation.
        conversation: ConversationId,
        /// The rating.
        rating: Box<Rating>,
    },
    /// A conversation was set aside after a defect; total. Customer's, owner's and floor streams, alarms.
    Quarantined {
        /// The conversation.
        conversation: ConversationId,
        /// Where the defect showed.
        index: LogIndex,
    },
    /// A supervisor put it back. Floor streams.
    Released {
        /// The conversation.
        conversation: ConversationId,
    },
    /// An agent's record changed. The agent's stream, floor streams.
    AgentChanged {
        /// The whole record, but for `requests`, which stays as it was and is empty here.
        agent: Arc<Agent>,
    },
    /// A request was answered and is remembered. Nobody.
    Remembered {
        /// In which object.
        object: Object,
        /// The row.
        row: Box<Remembered>,
    },
    /// A deadline came up that had been renewed, or was void, and was put back. Nobody.
    DeadlinePutBack {
        /// Whose.
        subject: Subject,
    },
    /// A deadline's step broke and the deadline was taken out; total. Alarms.
    DeadlineDropped {
        /// Whose.
        subject: Subject,
    },
    /// Another machine version is in force. Nobody.
    VersionRaised {
        /// The version.
        version: MachineVersion,
    },
    /// The cell holds these buckets too. Nobody.
    BucketsHeld {
        /// Which.
        buckets: Arc<HeldBuckets>,
    },
    /// A floor plan is in force. Floor streams.
    PlanAdopted {
        /// The plan.
        plan: VersionedPlan,
    },
    /// Waiting conversations stand in the lines of the plan in force. Nobody.
    Reclassed {
        /// Those that were moved, at most 1,024.
        conversations: Vec<ConversationId>,
        /// By which plan.
        plan: PlanVersion,
    },
    /// Conversations that named a plan above the limit name its successor. Nobody.
    Repinned {
        /// Those that were moved, at most 1,024.
        conversations: Vec<ConversationId>,
        /// To which plan.
        plan: PlanVersion,
    },
    /// A leader started. Nobody; every lease and offer has been renewed.
    LeaderStarted {
        /// Counted within the series of quick starts.
        series: u32,
        /// Every lease and offer has its full period again; else only the time without a leader was added.
        full: bool,
        /// The time without a leader, in milliseconds.
        without_leader_ms: u64,
        /// Milliseconds that the wall clock adds to cell time after a restart of all voters.
        moved_ms: u64,
    },
    /// Too many, or no longer too many, offers of a queue lapse. Floor streams, alarms.
    SpikeChanged {
        /// The queue.
        queue: QueueId,
        /// Since when agents' states stand still, `None` when they move again.
        since: Option<CellTime>,
    },
    /// Something that a person should see. Floor streams, alarms.
    Alarm(Alarm),
    /// Sealed conversations left the state, because archives have them. Nobody: who reads one reads the
    /// archive from now on.
    Archived(ArchivedUpto),
    /// A checkpoint was agreed on. Nobody.
    Checkpointed {
        /// What a majority had.
        mark: Mark,
    },
    /// Somebody decided where a conversation goes, without an offer. Floor streams.
    Decided {
        /// The conversation.
        conversation: ConversationId,
        /// Why it goes there.
        receipt: Arc<Receipt>,
    },
    /// A supervisor paused a queue or let it go on. Floor streams.
    QueueSteered {
        /// The queue.
        queue: QueueId,
        /// What was done.
        steered: Box<Steered>,
    },
    /// Waiting work of a queue was taken out of the lines in which agents are found, or put back. Nobody.
    StoodAside {
        /// The queue.
        queue: QueueId,
        /// From this place on it stands aside; at most 1,024 conversations were moved.
        from: Option<LineKey>,
    },
}

/// An offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferMade {
    /// Its id.
    pub offer: OfferId,
    /// Whose it is.
    pub agent: AgentId,
    /// The conversation.
    pub conversation: ConversationId,
    /// Its queue.
    pub queue: QueueId,
    /// The customer's site.
    pub site: SiteId,
    /// The epoch that an accept must name.
    pub owner_epoch: OwnerEpoch,
    /// When it lapses, unless a leader's start renews it.
    pub expires_at: CellTime,
    /// The customer.
    pub customer: CustomerKey,
    /// The customer's name, may be empty.
    pub display_name: Box<str>,
    /// The channel account.
    pub account: AccountId,
    /// Milliseconds since the conversation first entered a line.
    pub waited_ms: u64,
    /// The transcript's last item, for a preview; `None` before the first.
    pub preview: Option<Arc<Item>>,
    /// Why this agent.
    pub receipt: Arc<Receipt>,
}

/// What runs out soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The first reply after the accept.
    FirstReply,
    /// The customer's silence.
    CustomerSilent,
    /// The owner is out of reach, and the queue's policy is to tell only.
    OwnerLost,
}

/// A step of the floor's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// Entered the queue.
    Entered,
    /// Accepted, for the first time in this queue.
    Answered {
        /// Time in the queue, in milliseconds.
        wait_ms: u64,
        /// Within the objective's threshold.
        within: bool,
    },
    /// The customer left while waiting.
    Abandoned {
        /// Time in the queue, in milliseconds.
        wait_ms: u64,
        /// Within the objective's threshold.
        within: bool,
        /// Sooner than the channel's short-abandon threshold.
        short: bool,
    },
    /// Back to the line after an accept.
    Requeued,
    /// Passed on.
    Transferred,
    /// An agent worked on it.
    Worked {
        /// For so long.
        ms: u64,
        /// After-contact work.
        wrap_up: bool,
    },
    /// Ended after an agent had worked on it.
    Handled,
    /// An agent's first message.
    FirstResponse {
        /// Since the opening, in milliseconds.
        ms: u64,
    },
    /// Rated.
    Rated {
        /// 1 to 5.
        score: u32,
    },
}

/// In which object a request is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A conversation.
    Conversation(ConversationId),
    /// An agent.
    Agent(AgentId),
    /// A customer's entry.
    Customer(AccountId, CustomerKey),
    /// A queue.
    Queue(QueueId),
}

/// Whose deadline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An agent's: the end of a pause.
    Agent(AgentId),
    /// A conversation's.
    Conversation(LogIndex),
}

/// What a person should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// Leaders change too often.
    LeaderUnstable {
        /// Starts in the series.
        starts: u32,
    },
    /// Too many offers of a queue lapse; agents' states stand still.
    OffersLapse {
        /// The queue.
        queue: QueueId,
        /// Lapsed within the window.
        lapsed: u32,
        /// Ended within the window.
        ended: u32,
    },
    /// No agent of the plan may serve this queue.
    NobodyEligible {
        /// The queue.
        queue: QueueId,
    },
    /// A command without a conversation broke and was answered alone.
    Defect {
        /// Where.
        index: LogIndex,
    },
}
