//! Every "no" of the cell machine, typed.
//! Promise: one reason per cause; its fields hold every value that the sentence names.
//! Not here: failures of the machinery (`ports`).

use crate::ids::{
    AgentId, ConversationId, LogIndex, OfferId, OwnerEpoch, QueueId, RequestId, Sequence, Session,
    StaffId,
};

/// Why a command was refused. Refusals are replies: the machine works as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such conversation in this cell.
    #[error("conversation {conversation} does not exist")]
    ConversationNotFound {
        /// The id that was asked for.
        conversation: ConversationId,
    },
    /// The conversation has ended.
    #[error("conversation {conversation} is closed")]
    ConversationClosed {
        /// The conversation.
        conversation: ConversationId,
    },
    /// The command does not fit the conversation's state.
    #[error("conversation {conversation} is {state}, which does not allow this")]
    WrongState {
        /// The conversation.
        conversation: ConversationId,
        /// Its state, as a word.
        state: &'static str,
    },
    /// Nothing was written.
    #[error("the message is empty")]
    MessageEmpty,
    /// More than the limit.
    #[error("the message has {bytes} bytes, {limit} are allowed")]
    MessageTooLarge {
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A score outside 1 to 5.
    #[error("score {score} is outside 1 to 5")]
    ScoreOutOfRange {
        /// The score that was given.
        score: u32,
    },
    /// No such queue in the plan, or it is retired.
    #[error("queue {queue} does not exist")]
    QueueNotFound {
        /// The queue's name.
        queue: QueueId,
    },
    /// The queue takes nothing at present.
    #[error("queue {queue} is paused")]
    QueuePaused {
        /// The queue.
        queue: QueueId,
        /// What the customer reads.
        text: String,
        /// The floor plan alone pauses it: no supervisor can let it go on.
        by_plan: bool,
    },
    /// A supervisor has paused the queue already.
    #[error("queue {queue} is paused already, by {by}")]
    QueuePausedAlready {
        /// The queue.
        queue: QueueId,
        /// Who paused it.
        by: StaffId,
        /// Why.
        why: String,
    },
    /// No supervisor has paused the queue.
    #[error("queue {queue} is not paused by a supervisor")]
    QueueNotPaused {
        /// The queue.
        queue: QueueId,
        /// Whether the floor plan pauses it.
        by_plan: bool,
    },
    /// The line is full.
    #[error("queue {queue} is full at {limit} waiting")]
    QueueFull {
        /// The queue.
        queue: QueueId,
        /// The limit.
        limit: u32,
        /// What the customer reads.
        text: String,
        /// Try again after this many milliseconds.
        retry_after_ms: u64,
    },
    /// No such account in the plan.
    #[error("channel account {account} does not exist")]
    AccountNotFound {
        /// The account's name.
        account: String,
    },
    /// No such agent in the plan, or retired.
    #[error("agent {agent} does not exist")]
    AgentNotFound {
        /// The agent's name.
        agent: AgentId,
    },
    /// The agent is not logged in.
    #[error("agent {agent} is not logged in")]
    AgentNotLoggedIn {
        /// The agent.
        agent: AgentId,
    },
    /// The agent takes no work at present.
    #[error("agent {agent} is not ready")]
    AgentNotReady {
        /// The agent.
        agent: AgentId,
    },
    /// The agent's client is silent.
    #[error("agent {agent} is out of reach")]
    AgentUnreachable {
        /// The agent.
        agent: AgentId,
    },
    /// No free units for this work.
    #[error("agent {agent} has {free} free units, {needed} are needed")]
    AgentAtCapacity {
        /// The agent.
        agent: AgentId,
        /// Free units.
        free: u32,
        /// Units needed.
        needed: u32,
    },
    /// The agent lacks what the queue requires.
    #[error("agent {agent} may not serve queue {queue}")]
    AgentNotSkilled {
        /// The agent.
        agent: AgentId,
        /// The queue.
        queue: QueueId,
    },
    /// The login that the command carries is no longer the agent's.
    #[error("session {session} of agent {agent} has ended; {current} is in force")]
    StaleSession {
        /// The agent.
        agent: AgentId,
        /// The session that was given.
        session: Session,
        /// The session in force, 0 for none.
        current: Session,
    },
    /// Somebody else speaks for our side by now.
    #[error("owner epoch {given} has passed; {current} is in force")]
    StaleOwnerEpoch {
        /// The epoch that was given.
        given: OwnerEpoch,
        /// The epoch in force.
        current: OwnerEpoch,
        /// Who owns the conversation now, if an agent does.
        owner: Option<AgentId>,
    },
    /// No such offer.
    #[error("offer {offer} does not exist")]
    OfferNotFound {
        /// The offer.
        offer: OfferId,
    },
    /// The offer has ended before the answer came.
    #[error("offer {offer} was {outcome} before the answer came")]
    OfferEnded {
        /// The offer.
        offer: OfferId,
        /// `accepted`, `declined`, `expired`, `rescinded` or `cancelled`.
        outcome: &'static str,
        /// Who accepted it or owns the conversation now, if an agent does.
        by: Option<AgentId>,
        /// How long before the answer, where it lapsed, in milliseconds.
        late_ms: u64,
    },
    /// The offer is another agent's.
    #[error("offer {offer} is not made to agent {agent}")]
    OfferNotYours {
        /// The offer.
        offer: OfferId,
        /// Who answered.
        agent: AgentId,
    },
    /// The same id came with another content.
    #[error("request id {request_id} was used with another content")]
    RequestIdReused {
        /// The id.
        request_id: RequestId,
    },
    /// The table of remembered requests is full.
    #[error("too many requests in a short time")]
    TooManyRequests {
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// A cursor that lies ahead of the transcript.
    #[error("cursor {given} lies ahead of the last item {last}")]
    CursorFromTheFuture {
        /// The cursor.
        given: Sequence,
        /// The last item.
        last: Sequence,
    },
    /// The conversation was set aside after a defect.
    #[error("set aside after a defect at log index {index}")]
    MachineDefect {
        /// The conversation, if the defect has one.
        conversation: Option<ConversationId>,
        /// Where it happened.
        index: LogIndex,
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// The cell has not adopted a plan that knows this.
    #[error("the cell has floor plan version {version} in force")]
    PlanBehind {
        /// The version in force, 0 for none.
        version: u64,
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// The cell does not hold the bucket of this customer.
    #[error("another cell holds this customer")]
    BucketElsewhere {
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// A cell keeps at most so many conversations.
    #[error("the cell is full at {limit} conversations")]
    CellFull {
        /// The limit.
        limit: u64,
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// Too much that has ended waits for the archives.
    #[error("{waiting} ended conversations of {bytes} bytes wait to be archived")]
    ArchiveBehind {
        /// How many.
        waiting: u64,
        /// Their weight in bytes.
        bytes: u64,
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// The conversation has left, or may have left, the state for the archive while the command was on its
    /// way: the same command again is answered from there.
    #[error("conversation {conversation} has gone to the archive")]
    LookAgain {
        /// The id that was asked for.
        conversation: ConversationId,
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// What a leader says was archived is not what was sealed. No client sees this.
    #[error("{count} conversations were sealed up to {upto}, and {said} are said to be archived")]
    ArchiveDiffers {
        /// The index that was named.
        upto: LogIndex,
        /// How many were sealed.
        count: u64,
        /// How many were said.
        said: u64,
    },
    /// Wrap-up may not end yet in this queue.
    #[error("wrap-up of conversation {conversation} ends in {remaining_ms} ms, not earlier")]
    WrapUpNotOver {
        /// The conversation.
        conversation: ConversationId,
        /// Milliseconds left.
        remaining_ms: u64,
    },
    /// The epoch is right, but somebody else, or nobody, owns the conversation.
    #[error("agent {agent} does not own the conversation")]
    NotOwner {
        /// Who acted.
        agent: AgentId,
        /// Who owns it, if an agent does.
        owner: Option<AgentId>,
    },
    /// This side may not do this.
    #[error("a {actor} may not {act}")]
    NotAllowed {
        /// `customer`, `bot`, `supervisor`.
        actor: &'static str,
        /// What was asked for.
        act: &'static str,
    },
    /// A lease may not lapse so soon after a leader has started.
    #[error("the leader has heard agents for too short a time")]
    LeaseTooEarly {
        /// Try again after this many milliseconds.
        retry_after_ms: u64,
    },
    /// A field is outside its bounds.
    #[error("{field} is longer than {limit} bytes or entries")]
    FieldTooLong {
        /// The field.
        field: &'static str,
        /// The limit.
        limit: u64,
    },
}
