//! The state as a list of plain values, for a snapshot, and back.
//! Promise: a fixed order; freezing copies pointers only; what is derived is rebuilt at load.
//! Not here: bytes (`wire`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Cell;
use super::agent::Agent;
use super::conversation::Conversation;
use super::floor::{CustomerRecord, EndedOffer, QueueRecord};
use super::meta::Meta;
use super::shards::Shards;
use super::state::{CustomerAt, OFFER_SHARDS, State};
use crate::ids::{AgentId, CellId, PlanVersion, QueueId};
use crate::plan::{FloorPlan, VersionedPlan};

/// One value of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The cell's numbers; always first.
    Meta(Box<Meta>),
    /// A plan that is in force or named, by version.
    Plan(VersionedPlan),
    /// A queue's record, by name.
    Queue(Arc<QueueRecord>),
    /// An agent's record, by name.
    Agent(Arc<Agent>),
    /// An ended offer, by shard and number.
    EndedOffer(EndedOffer),
    /// A customer's entry, by shard and key.
    Customer(Arc<CustomerRecord>),
    /// A conversation, by shard and id.
    Conversation(Arc<Conversation>),
}

/// Why parts are not a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The first part is not the cell's numbers.
    #[error("the snapshot does not begin with the cell's numbers")]
    NoMeta,
    /// The cell's numbers came twice.
    #[error("the snapshot holds the cell's numbers twice")]
    SecondMeta,
    /// A conversation of another cell.
    #[error("the snapshot of cell {cell} holds a conversation of cell {found}")]
    ForeignConversation {
        /// The snapshot's cell.
        cell: CellId,
        /// The conversation's.
        found: CellId,
    },
    /// The plan in force is missing.
    #[error("the snapshot lacks floor plan {version}, which is in force")]
    PlanMissing {
        /// Its version.
        version: PlanVersion,
    },
}

/// A state that no longer changes; cheap to make, may be read by another thread.
#[derive(Debug, Clone)]
pub struct FrozenCell {
    meta: Meta,
    plans: BTreeMap<PlanVersion, Arc<FloorPlan>>,
    queues: Arc<BTreeMap<QueueId, Arc<QueueRecord>>>,
    agents: Arc<BTreeMap<AgentId, Arc<Agent>>>,
    ended_offers: Vec<Arc<BTreeMap<u64, EndedOffer>>>,
    customers: Shards<CustomerAt, CustomerRecord>,
    conversations: Shards<crate::ids::LogIndex, Conversation>,
}

impl FrozenCell {
    /// The cell's numbers.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// All parts in order; each is cheap to take.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        let meta = std::iter::once(Part::Meta(Box::new(self.meta.clone())));
        let plans = self.plans.iter().map(|(version, plan)| {
            Part::Plan(VersionedPlan {
                version: *version,
                plan: plan.clone(),
            })
        });
        let queues = self.queues.values().map(|queue| Part::Queue(queue.clone()));
        let agents = self.agents.values().map(|agent| Part::Agent(agent.clone()));
        let offers = self
            .ended_offers
            .iter()
            .flat_map(|shard| shard.values().cloned().map(Part::EndedOffer));
        let customers = self
            .customers
            .iter()
            .map(|(_, customer)| Part::Customer(customer.clone()));
        let conversations = self
            .conversations
            .iter()
            .map(|(_, found)| Part::Conversation(found.clone()));
        meta.chain(plans)
            .chain(queues)
            .chain(agents)
            .chain(offers)
            .chain(customers)
            .chain(conversations)
    }
}

impl State {
    /// A copy that no longer changes: pointers only.
    pub fn freeze(&self) -> FrozenCell {
        FrozenCell {
            meta: self.meta.clone(),
            plans: self.plans.clone(),
            queues: self.queues.clone(),
            agents: self.agents.clone(),
            ended_offers: self.ended_offers.clone(),
            customers: self.customers.clone(),
            conversations: self.conversations.clone(),
        }
    }

    /// The state that these parts make; what is derived is rebuilt.
    ///
    /// # Errors
    /// Says what is missing or does not belong.
    pub fn from_parts(parts: impl IntoIterator<Item = Part>) -> Result<Self, LoadError> {
        let mut parts = parts.into_iter();
        let Some(Part::Meta(meta)) = parts.next() else {
            return Err(LoadError::NoMeta);
        };
        let mut state = Self::new(meta.cell);
        state.meta = *meta;
        for part in parts {
            state.load(part)?;
        }
        let version = state.meta.plan;
        if version > PlanVersion(0) && !state.plans.contains_key(&version) {
            return Err(LoadError::PlanMissing { version });
        }
        state.rebuild();
        Ok(state)
    }

    fn load(&mut self, part: Part) -> Result<(), LoadError> {
        match part {
            Part::Meta(_) => return Err(LoadError::SecondMeta),
            Part::Plan(plan) => drop(self.plans.insert(plan.version, plan.plan)),
            Part::Queue(queue) => {
                drop(Arc::make_mut(&mut self.queues).insert(queue.name.clone(), queue))
            }
            Part::Agent(agent) => {
                drop(Arc::make_mut(&mut self.agents).insert(agent.name.clone(), agent))
            }
            Part::EndedOffer(ended) => {
                let shard = &mut self.ended_offers[ended.id.n as usize % OFFER_SHARDS];
                Arc::make_mut(shard).insert(ended.id.n, ended);
            }
            Part::Customer(customer) => {
                self.customers.insert(
                    CustomerAt::new(&customer.account, &customer.customer),
                    customer,
                );
            }
            Part::Conversation(mut conversation) => {
                let found = conversation.id.cell;
                if found != self.meta.cell {
                    return Err(LoadError::ForeignConversation {
                        cell: self.meta.cell,
                        found,
                    });
                }
                self.share(Arc::make_mut(&mut conversation));
                self.conversations
                    .insert(conversation.id.index, conversation);
            }
        }
        Ok(())
    }
}

impl Cell {
    /// A copy of the state that no longer changes: pointers only.
    pub fn freeze(&self) -> FrozenCell {
        self.state().freeze()
    }

    /// The cell that these parts make.
    ///
    /// # Errors
    /// Says what is missing or does not belong.
    pub fn from_parts(parts: impl IntoIterator<Item = Part>) -> Result<Self, LoadError> {
        State::from_parts(parts).map(Self::from_state)
    }
}
