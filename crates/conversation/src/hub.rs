//! Where committed events meet the streams that want them: actors by conversation, desks by agent.
//! Promise: giving an event never waits; an actor that cannot take one is told to read the state again.
//! Not here: what an actor does with an event (`actor`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::cell::event::Event;
use domain::ids::{AgentId, ConversationId};
use parking_lot::Mutex;
use runtime::mailbox;
use tokio::sync::{Notify, watch};

use crate::actor::ToActor;
use crate::concern;
use crate::metrics::Waiting;
use crate::replica::Owners;
use crate::stream::{DESK_EVENTS_MAX, DeskEvent, EndReason, Outlet};

/// Shards of the actor table, so that appliers and callers seldom wait for each other.
const SHARDS: usize = 64;

/// Whether this node serves the cell, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    /// It does not lead, or its first entry is not applied yet.
    No {
        /// The leader's node id, if known.
        leader: Option<u64>,
    },
    /// It serves in this term.
    Yes {
        /// The term in which it proposes.
        term: u64,
        /// Milliseconds since a quorum last confirmed it, when that is too long ago.
        interrupted_ms: Option<u64>,
    },
    /// It leads, but no quorum has answered for an election time-out.
    Lapsed {
        /// The term in which it led.
        term: u64,
    },
}

/// An actor as others see it.
pub(crate) type ActorRef = Arc<ActorEnd>;

/// What an actor and those who reach it share.
pub(crate) struct ActorEnd {
    pub(crate) mailbox: mailbox::Sender<ToActor>,
    /// An event could not be given: the actor reads the state again.
    pub(crate) missed: AtomicBool,
    /// A stream of the customer is attached.
    pub(crate) customer: AtomicBool,
    /// Looked at by an actor that takes nothing from its mailbox for now.
    pub(crate) woken: Notify,
}

impl ActorEnd {
    /// Lets the actor look at what is served, also one that waits for proposals before it takes more.
    fn wake(&self) {
        // A full mailbox wakes an actor that reads it; one that does not is notified.
        let _ = self.mailbox.try_send(ToActor::Look);
        self.woken.notify_one();
    }
}

type DeskOutlets = Vec<(u64, Outlet<DeskEvent>)>;

/// The table of live actors and desks of one cell on this node.
pub(crate) struct Hub {
    actors: Vec<Mutex<BTreeMap<ConversationId, ActorRef>>>,
    desks: Mutex<BTreeMap<AgentId, DeskOutlets>>,
    keys: AtomicU64,
    serving: watch::Sender<Serving>,
    /// Raised whenever everything of before ends: actors and desks of an older one end themselves.
    generation: AtomicU64,
    /// Actors whose task panicked since the start.
    pub(crate) panics: AtomicU64,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            actors: (0..SHARDS).map(|_| Mutex::new(BTreeMap::new())).collect(),
            desks: Mutex::new(BTreeMap::new()),
            keys: AtomicU64::new(1),
            serving: watch::Sender::new(Serving::No { leader: None }),
            generation: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    pub(crate) fn serving(&self) -> Serving {
        *self.serving.borrow()
    }

    /// Changes what is served; actors and desks learn of it.
    pub(crate) fn set_serving(&self, next: Serving) {
        let mut before = next;
        self.serving.send_if_modified(|now| {
            before = std::mem::replace(now, next);
            before != next
        });
        match (before, next) {
            (Serving::Yes { term, .. }, Serving::Yes { term: now, .. }) if term != now => {
                self.end_all(EndReason::NotLeader);
            }
            (Serving::Yes { .. }, Serving::No { .. }) => self.end_all(EndReason::NotLeader),
            (Serving::Yes { .. }, Serving::Lapsed { .. }) => self.end_all(EndReason::QuorumLost),
            (Serving::No { .. } | Serving::Lapsed { .. }, Serving::Yes { .. }) => {
                self.end_all(EndReason::NotLeader);
            }
            (
                Serving::Yes {
                    interrupted_ms: None,
                    ..
                },
                Serving::Yes {
                    interrupted_ms: Some(since_ms),
                    ..
                },
            ) => {
                self.wake_actors();
                self.tell_desks(&DeskEvent::Interrupted { since_ms });
            }
            (
                Serving::Yes {
                    interrupted_ms: Some(_),
                    ..
                },
                Serving::Yes {
                    interrupted_ms: None,
                    ..
                },
            ) => {
                self.wake_actors();
                self.tell_desks(&DeskEvent::Resumed);
            }
            _ => {}
        }
    }

    /// Forgets every actor and ends every desk; actors are woken to see the change of serving.
    fn end_all(&self, why: EndReason) {
        // Before and after: an actor that is made while the table is cleared belongs to neither. All of
        // them are woken after the last one, so that they see so.
        self.generation.fetch_add(1, Ordering::AcqRel);
        let mut ended = Vec::new();
        for shard in &self.actors {
            ended.extend(std::mem::take(&mut *shard.lock()).into_values());
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        ended.iter().for_each(|actor| actor.wake());
        self.wake_actors();
        self.end_desks(why);
    }

    /// Lets every actor look at what is served. An actor does not watch it itself: it would enter and
    /// leave a list that all actors share for each message.
    fn wake_actors(&self) {
        for shard in &self.actors {
            shard.lock().values().for_each(|actor| actor.wake());
        }
    }

    /// Ends every desk for a reason.
    pub(crate) fn end_desks(&self, why: EndReason) {
        let desks = std::mem::take(&mut *self.desks.lock());
        for (_, outlet) in desks.values().flatten() {
            outlet.end(why);
        }
    }

    pub(crate) fn next_key(&self) -> u64 {
        self.keys.fetch_add(1, Ordering::Relaxed)
    }

    fn shard(&self, id: ConversationId) -> &Mutex<BTreeMap<ConversationId, ActorRef>> {
        let at = usize::try_from(id.index.0 % SHARDS as u64).unwrap_or(0);
        &self.actors[at]
    }

    /// The actor of a conversation, made by `make` if there is none.
    pub(crate) fn actor(&self, id: ConversationId, make: impl FnOnce() -> ActorRef) -> ActorRef {
        self.shard(id).lock().entry(id).or_insert_with(make).clone()
    }

    /// The live actor of a conversation.
    pub(crate) fn live(&self, id: ConversationId) -> Option<ActorRef> {
        self.shard(id).lock().get(&id).cloned()
    }

    /// Whether a stream of the conversation's customer is attached here.
    pub(crate) fn has_customer(&self, id: ConversationId) -> bool {
        self.live(id)
            .is_some_and(|actor| actor.customer.load(Ordering::Acquire))
    }

    /// Takes an actor out of the table if it is still the one that asks.
    pub(crate) fn forget(&self, id: ConversationId, actor: &ActorRef) {
        let mut shard = self.shard(id).lock();
        if shard
            .get(&id)
            .is_some_and(|known| Arc::ptr_eq(known, actor))
        {
            shard.remove(&id);
        }
    }

    /// What waits in the actors' mailboxes now.
    pub(crate) fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::default();
        for shard in &self.actors {
            for actor in shard.lock().values() {
                let depth = actor.mailbox.len();
                waiting.sum += depth;
                waiting.max = waiting.max.max(depth);
                waiting.actors += 1;
                waiting.busy += usize::from(depth > 0);
            }
        }
        waiting
    }

    /// Live actors now.
    pub(crate) fn actors(&self) -> usize {
        self.actors.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Which of the times between two ends of everything it is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Adds a desk of a generation; false when that one has ended meanwhile.
    pub(crate) fn add_desk(
        &self,
        agent: &AgentId,
        key: u64,
        outlet: Outlet<DeskEvent>,
        generation: u64,
    ) -> bool {
        let mut desks = self.desks.lock();
        if self.generation() != generation {
            return false;
        }
        desks.entry(agent.clone()).or_default().push((key, outlet));
        true
    }

    pub(crate) fn forget_desk(&self, agent: &AgentId, key: u64) {
        let mut desks = self.desks.lock();
        if let Some(outlets) = desks.get_mut(agent) {
            outlets.retain(|(known, _)| *known != key);
            if outlets.is_empty() {
                desks.remove(agent);
            }
        }
    }

    fn tell_desks(&self, event: &DeskEvent) {
        let mut desks = self.desks.lock();
        for outlets in desks.values_mut() {
            outlets.retain(|(_, outlet)| outlet.give(event.clone()));
        }
    }

    /// Passes a marker on to one agent's streams where they have ample room: a marker is worth
    /// nothing late, and a flood of them must not end a desk.
    pub(crate) fn mark_agent(&self, agent: &AgentId, event: &DeskEvent) {
        let mut desks = self.desks.lock();
        for (_, outlet) in desks.get_mut(agent).into_iter().flatten() {
            if outlet.sender.len() < DESK_EVENTS_MAX / 2 {
                outlet.give(event.clone());
            }
        }
    }

    /// Gives a desk event to one agent's streams.
    pub(crate) fn tell_agent(&self, agent: &AgentId, event: &DeskEvent) {
        let mut desks = self.desks.lock();
        if let Some(outlets) = desks.get_mut(agent) {
            outlets.retain(|(_, outlet)| outlet.give(event.clone()));
        }
    }

    /// Gives committed events to the actors and desks that they concern.
    pub(crate) fn publish(&self, events: Vec<Event>, owners: &impl Owners) {
        if !matches!(self.serving(), Serving::Yes { .. }) {
            return;
        }
        for event in events {
            let event = Arc::new(event);
            let conversation = concern::conversation(&event);
            if let Some(actor) = conversation.and_then(|id| self.live(id))
                && actor
                    .mailbox
                    .try_send(ToActor::Applied(event.clone()))
                    .is_err()
            {
                actor.missed.store(true, Ordering::Release);
                // If its mailbox was emptied meanwhile nothing else would wake it.
                let _ = actor.mailbox.try_send(ToActor::Look);
            }
            let owner = conversation.and_then(|id| owners.owner(id));
            for agent in concern::agents(&event, owner) {
                self.tell_agent(&agent, &DeskEvent::Event(event.clone()));
            }
        }
    }
}
