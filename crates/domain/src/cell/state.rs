//! The state of a cell: what is stored, and what is derived from it.
//! Promise: everything here but `derived` is in a snapshot; the same log gives the same state.
//! Not here: changing it (`evolve`), numbers for the floor (`views`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::agent::Agent;
use super::conversation::Conversation;
use super::derived::Derived;
use super::floor::{CustomerRecord, EndedOffer, QueueRecord};
use super::meta::Meta;
use super::shards::{ShardKey, Shards};
use crate::ids::{
    AccountId, AgentId, CellId, CellTime, ChannelId, ConversationId, CustomerKey, LogIndex,
    OfferId, PlanVersion, QueueId,
};
use crate::plan::{ChannelPlan, FloorPlan, QueuePlan};

/// Shards of conversations and of customers: with a million of them one shard is a thousand
/// pointers, which is what the first change after a snapshot copies.
pub const SHARDS: usize = 1_024;
/// Shards of ended offers.
pub const OFFER_SHARDS: usize = 64;
/// Plans kept because conversations name them; more, and those of the oldest name its successor.
pub const PLANS_MAX: usize = 16;
/// Conversations of a cell, ended ones included, until they leave for the archive: at 4 KiB each, 8 GiB.
pub const CONVERSATIONS_MAX: u64 = 2_000_000;

/// What a channel costs that no plan in the state knows any more.
pub(crate) const UNKNOWN_CHANNEL: ChannelPlan = ChannelPlan::WEB;

/// A customer's place in the shards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomerAt {
    hash: u64,
    account: AccountId,
    customer: CustomerKey,
}

impl CustomerAt {
    /// Where the entry of this customer is.
    pub fn new(account: &AccountId, customer: &CustomerKey) -> Self {
        let seed = xxhash_rust::xxh3::xxh3_64(account.as_str().as_bytes());
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(customer.as_str().as_bytes(), seed);
        Self {
            hash,
            account: account.clone(),
            customer: customer.clone(),
        }
    }
}

impl ShardKey for CustomerAt {
    fn shard(&self) -> u64 {
        self.hash
    }
}

impl ShardKey for LogIndex {
    fn shard(&self) -> u64 {
        self.0
    }
}

/// The state.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) meta: Meta,
    pub(crate) plans: BTreeMap<PlanVersion, Arc<FloorPlan>>,
    pub(crate) queues: Arc<BTreeMap<QueueId, Arc<QueueRecord>>>,
    pub(crate) agents: Arc<BTreeMap<AgentId, Arc<Agent>>>,
    pub(crate) ended_offers: Vec<Arc<BTreeMap<u64, EndedOffer>>>,
    pub(crate) customers: Shards<CustomerAt, CustomerRecord>,
    pub(crate) conversations: Shards<LogIndex, Conversation>,
    pub(crate) derived: Derived,
}

/// Equal in what is stored; what is derived follows.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.meta == other.meta
            && self.plans == other.plans
            && self.queues == other.queues
            && self.agents == other.agents
            && self.ended_offers == other.ended_offers
            && self.customers == other.customers
            && self.conversations == other.conversations
    }
}

impl State {
    /// The state of a cell that has applied nothing.
    pub fn new(cell: CellId) -> Self {
        Self {
            meta: Meta::new(cell),
            plans: BTreeMap::new(),
            queues: Arc::default(),
            agents: Arc::default(),
            ended_offers: vec![Arc::default(); OFFER_SHARDS],
            customers: Shards::new(SHARDS),
            conversations: Shards::new(SHARDS),
            derived: Derived::default(),
        }
    }

    /// The cell's numbers.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Cell time.
    pub fn now(&self) -> CellTime {
        self.meta.now
    }

    /// The plan in force.
    pub fn plan(&self) -> Option<&Arc<FloorPlan>> {
        self.plans.get(&self.meta.plan)
    }

    /// A plan that a conversation names; a dropped one is read as its successor.
    pub fn plan_at(&self, version: PlanVersion) -> Option<&Arc<FloorPlan>> {
        let found = self.meta.aliases.get(&version).copied().unwrap_or(version);
        self.plans.get(&found)
    }

    /// A conversation.
    pub fn conversation(&self, id: ConversationId) -> Option<&Arc<Conversation>> {
        if id.cell == self.meta.cell {
            self.conversations.get(&id.index)
        } else {
            None
        }
    }

    /// All conversations, in a fixed order.
    pub fn conversations(&self) -> impl Iterator<Item = &Arc<Conversation>> {
        self.conversations
            .iter()
            .map(|(_, conversation)| conversation)
    }

    /// How many parts the conversations stand in.
    pub fn conversation_parts(&self) -> usize {
        self.conversations.shard_count()
    }

    /// The conversations of one part, so that nobody needs to walk all of them at one go.
    pub fn conversations_of_part(&self, part: usize) -> impl Iterator<Item = &Arc<Conversation>> {
        self.conversations.shard_values(part)
    }

    /// An agent.
    pub fn agent(&self, name: &AgentId) -> Option<&Arc<Agent>> {
        self.agents.get(name)
    }

    /// All agents, by name.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<Agent>> {
        self.agents.values()
    }

    /// A queue's record.
    pub fn queue(&self, name: &QueueId) -> Option<&Arc<QueueRecord>> {
        self.queues.get(name)
    }

    /// All queues, by name.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<QueueRecord>> {
        self.queues.values()
    }

    /// A customer's entry.
    pub fn customer(
        &self,
        account: &AccountId,
        customer: &CustomerKey,
    ) -> Option<&Arc<CustomerRecord>> {
        self.customers.get(&CustomerAt::new(account, customer))
    }

    /// An offer that has ended, if it is still remembered.
    pub fn ended_offer(&self, offer: OfferId) -> Option<&EndedOffer> {
        self.ended_offers
            .get(offer.n as usize % OFFER_SHARDS)?
            .get(&offer.n)
            .filter(|ended| ended.id == offer)
    }

    /// The conversation of an offer, open or ended, if it is still remembered.
    pub fn conversation_of(&self, offer: OfferId) -> Option<ConversationId> {
        let open = self.offered(offer).map(|found| found.id);
        open.or_else(|| self.ended_offer(offer).map(|ended| ended.conversation))
    }

    /// The conversation of an open offer.
    pub fn offered(&self, offer: OfferId) -> Option<&Arc<Conversation>> {
        self.conversations.get(self.derived.offers.get(&offer.n)?)
    }

    /// The rules of a conversation's queue, as pinned when it entered.
    pub(crate) fn rules(&self, conversation: &Conversation) -> Option<&QueuePlan> {
        self.queue_plan(conversation.pinned, &conversation.queue)
    }

    /// A queue's rules in a plan, or the last known ones.
    pub(crate) fn queue_plan(&self, version: PlanVersion, queue: &QueueId) -> Option<&QueuePlan> {
        let pinned = self
            .plan_at(version)
            .and_then(|plan| plan.queues.get(queue));
        pinned.or_else(|| self.queues.get(queue).map(|record| &*record.plan))
    }

    /// What a channel costs, by the plan in force.
    pub(crate) fn channel(&self, channel: &ChannelId) -> &ChannelPlan {
        self.plan()
            .and_then(|plan| plan.channels.get(channel))
            .unwrap_or(&UNKNOWN_CHANNEL)
    }

    /// Whether a queue serves nothing at present: by the plan or by a supervisor.
    pub(crate) fn is_paused(&self, queue: &QueueId) -> bool {
        let record = self.queues.get(queue);
        self.is_paused_by_plan(queue) || record.is_some_and(|record| record.paused_by().is_some())
    }

    /// Whether a queue is paused and no supervisor has done it.
    pub(crate) fn is_paused_by_plan_alone(&self, queue: &QueueId) -> bool {
        let record = self.queues.get(queue);
        self.is_paused_by_plan(queue) && record.is_none_or(|record| record.paused_by().is_none())
    }

    /// Whether the plan in force pauses a queue.
    pub(crate) fn is_paused_by_plan(&self, queue: &QueueId) -> bool {
        self.plan()
            .and_then(|plan| plan.queues.get(queue))
            .is_some_and(|plan| plan.paused)
    }

    /// The record of a queue, to be changed.
    pub(crate) fn queue_mut(&mut self, queue: &QueueId) -> Option<&mut QueueRecord> {
        Arc::make_mut(&mut self.queues)
            .get_mut(queue)
            .map(Arc::make_mut)
    }

    /// The record of an agent, to be changed in what nothing is derived from.
    pub(crate) fn agent_mut(&mut self, agent: &AgentId) -> Option<&mut Agent> {
        Arc::make_mut(&mut self.agents)
            .get_mut(agent)
            .map(Arc::make_mut)
    }
}
