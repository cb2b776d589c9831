//! The events of one micro-step while they are being decided.
//! Promise: reads the state, never changes it; numbers that several events share are counted here.
//! Not here: the rules (`decide`).

use std::sync::Arc;

use mutants::{Mutant, planted};

use super::agent::Agent;
use super::capacity::Load;
use super::conversation::{
    Active, Conversation, Held, ITEMS_MAX, ITEMS_RESERVE, Offer, Phase, Waiting,
};
use super::event::{Event, Object, OfferMade, Tally};
use super::floor::OfferOutcome;
use super::matching::Match;
use super::receipts::{Found, Order, Receipt};
use super::refusal::Refusal;
use super::reply::Done;
use super::requests::{Principal, Remembered, check_room};
use super::state::State;
use super::transcript::{Item, ItemKind, RemarkItem, RequeueReason};
use crate::ids::{AgentId, Body, CellTime, LogIndex, OfferId, OwnerEpoch, RequestId, Sequence};
use crate::plan::QueuePlan;

/// The epoch after this one.
pub(crate) fn next_epoch(epoch: OwnerEpoch) -> OwnerEpoch {
    OwnerEpoch(epoch.0.saturating_add(1))
}

/// Events in the making.
pub(crate) struct Draft<'a> {
    pub(crate) state: &'a State,
    pub(crate) events: Vec<Event>,
    items: Vec<(LogIndex, u64)>,
    agents: Vec<Agent>,
    freed: Vec<AgentId>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        Self {
            state,
            events: Vec::new(),
            items: Vec::new(),
            agents: Vec::new(),
            freed: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> CellTime {
        self.state.meta.now
    }

    pub(crate) fn index(&self) -> LogIndex {
        self.state.meta.applied
    }

    pub(crate) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// All events; changed agents last, each once.
    pub(crate) fn finish(mut self) -> Vec<Event> {
        for mut agent in std::mem::take(&mut self.agents) {
            agent.requests = Vec::new();
            self.events.push(Event::AgentChanged {
                agent: Arc::new(agent),
            });
        }
        self.events
    }

    /// The rules of a conversation's queue.
    pub(crate) fn rules(&self, conversation: &Conversation) -> Result<&'a QueuePlan, Refusal> {
        let queue = conversation.queue.clone();
        self.state
            .rules(conversation)
            .ok_or(Refusal::QueueNotFound { queue })
    }

    /// An agent's record, to be changed by this step.
    pub(crate) fn agent(&mut self, name: &AgentId) -> Option<&mut Agent> {
        if let Some(at) = self.agents.iter().position(|agent| agent.name == *name) {
            return self.agents.get_mut(at);
        }
        let agent = Agent::clone(self.state.agents.get(name)?);
        self.agents.push(agent);
        self.agents.last_mut()
    }

    /// An agent's record as this step would leave it.
    pub(crate) fn agent_now(&self, name: &AgentId) -> Option<&Agent> {
        let drafted = self.agents.iter().find(|agent| agent.name == *name);
        drafted.or_else(|| self.state.agents.get(name).map(|agent| &**agent))
    }

    /// What an agent's conversations take before this step.
    pub(crate) fn load(&self, name: &AgentId) -> Load {
        self.state
            .derived
            .agents
            .get(name)
            .map(|index| index.load.clone())
            .unwrap_or_default()
    }

    /// Adds an item at the transcript's end; where not even the reserve has room, only what belongs to
    /// a command of its own or ends it.
    pub(crate) fn item(&mut self, conversation: &Conversation, kind: ItemKind) -> Sequence {
        let index = conversation.id.index;
        let vital = matches!(
            kind,
            ItemKind::Message(_) | ItemKind::Continued { .. } | ItemKind::Closed { .. }
        );
        if !vital && conversation.entries() >= ITEMS_MAX + ITEMS_RESERVE {
            return conversation.last_sequence();
        }
        let added = match self.items.iter_mut().find(|(found, _)| *found == index) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.items.push((index, 1));
                1
            }
        };
        let sequence = Sequence(conversation.last_sequence().0 + added);
        let item = Item {
            sequence: match planted(Mutant::SequenceSkipped) {
                true => Sequence(sequence.0 + 1),
                false => sequence,
            },
            at: self.now(),
            wall_ms: self.state.meta.wall_ms,
            kind,
        };
        self.push(Event::ItemAdded {
            conversation: conversation.id,
            item: Arc::new(item),
        });
        sequence
    }

    /// Adds a remark; one step adds at most one to a conversation.
    pub(crate) fn remark(
        &mut self,
        conversation: &Conversation,
        author: super::transcript::Author,
        body: Body,
    ) {
        let remark = RemarkItem {
            number: conversation.remarks.len() as u64 + 1,
            after: conversation.last_sequence(),
            at: self.now(),
            wall_ms: self.state.meta.wall_ms,
            author,
            body,
        };
        self.push(Event::RemarkAdded {
            conversation: conversation.id,
            remark: Arc::new(remark),
        });
    }

    pub(crate) fn count(&mut self, conversation: &Conversation, tally: Tally) {
        let (queue, site) = (conversation.queue.clone(), conversation.site.clone());
        self.push(Event::Counted { queue, site, tally });
    }

    pub(crate) fn phase(
        &mut self,
        conversation: &Conversation,
        phase: Phase,
        owner_epoch: OwnerEpoch,
    ) {
        self.push(Event::PhaseChanged {
            conversation: conversation.id,
            phase,
            owner_epoch,
        });
    }

    pub(crate) fn owner(
        &mut self,
        conversation: &Conversation,
        owner: Option<AgentId>,
        owner_epoch: OwnerEpoch,
    ) {
        let before = conversation.phase.owner().cloned();
        self.push(Event::OwnerChanged {
            conversation: conversation.id,
            before,
            owner,
            owner_epoch,
        });
    }

    /// Remembers the answer to a request, or refuses because the table is full.
    pub(crate) fn remember(&mut self, request: Request<'_>, done: &Done) -> Result<(), Refusal> {
        check_room(request.rows, request.principal.side(), self.now())?;
        let row = Remembered {
            principal: request.principal,
            id: request.id.clone(),
            payload_hash: request.payload_hash,
            at: self.now(),
            done: done.clone(),
        };
        self.push(Event::Remembered {
            object: request.object,
            row: Box::new(row),
        });
        Ok(())
    }

    /// Ends an open offer in the books; the conversation's next phase is the caller's.
    pub(crate) fn end_offer(
        &mut self,
        conversation: &Conversation,
        offer: &Offer,
        outcome: OfferOutcome,
    ) {
        self.push(Event::OfferEnded {
            offer: offer.id,
            conversation: conversation.id,
            queue: conversation.queue.clone(),
            site: conversation.site.clone(),
            agent: offer.agent.clone(),
            outcome,
            at: self.now(),
        });
    }

    /// Back to its line at its old place, after an offer ended without an owner.
    pub(crate) fn back_to_line(&mut self, conversation: &Conversation, prefer: Option<AgentId>) {
        let phase = Phase::Queued(Waiting {
            prefer,
            held: Held::No,
        });
        self.phase(conversation, phase, conversation.owner_epoch);
    }

    /// Counts the work done since the owner took it, and after-contact work.
    pub(crate) fn end_work(&mut self, conversation: &Conversation) {
        let (since, wrap_up) = match &conversation.phase {
            Phase::Active(active) => (active.since, false),
            Phase::WrapUp(wrap_up) => (wrap_up.since, true),
            _ => return,
        };
        let ms = self.now().since_ms(since);
        self.push(Event::WorkEnded {
            conversation: conversation.id,
            ms,
        });
        self.count(conversation, Tally::Worked { ms, wrap_up });
    }

    /// The agent is done with a conversation that was handled; with the last one the next status takes effect.
    pub(crate) fn agent_done(&mut self, name: &AgentId, handled: bool) {
        let now = self.now();
        self.freed.push(name.clone());
        let freed = self.freed.iter().filter(|agent| *agent == name).count();
        let left = (self.load(name).count as usize).saturating_sub(freed);
        let changes = handled || self.agent_now(name).is_some_and(Agent::has_next);
        if !changes {
            return;
        }
        let Some(agent) = self.agent(name) else {
            return;
        };
        if handled {
            agent.idle_since = now;
            agent.handled += 1;
        }
        if left == 0 {
            agent.end_of_work(now);
        }
    }

    /// Takes a conversation from its owner, who no longer speaks for our side.
    pub(crate) fn requeue(
        &mut self,
        conversation: &Conversation,
        reason: RequeueReason,
        waiting: Waiting,
    ) {
        let epoch = next_epoch(conversation.owner_epoch);
        self.end_work(conversation);
        self.item(conversation, ItemKind::Requeued { reason });
        self.phase(conversation, Phase::Queued(waiting), epoch);
        self.owner(conversation, None, epoch);
        self.count(conversation, Tally::Requeued);
        if let Phase::Active(Active { agent, .. }) = &conversation.phase {
            self.agent_done(agent, false);
        }
    }

    /// How a conversation waits that an agent should have back: kept for a while if that makes sense.
    pub(crate) fn waiting_for(&self, conversation: &Conversation, agent: &AgentId) -> Waiting {
        let waits = self
            .agent_now(agent)
            .is_some_and(|found| !found.retired && found.is_reachable() && found.wants_work());
        let ms = self
            .state
            .rules(conversation)
            .map_or(0, |rules| rules.timers.prefer_ms);
        let held = if waits && ms > 0 {
            Held::For {
                since: self.now(),
                ms,
            }
        } else {
            Held::No
        };
        Waiting {
            prefer: Some(agent.clone()),
            held,
        }
    }

    /// Records what a person decided about where a conversation goes, where no offer tells it.
    pub(crate) fn decided(
        &mut self,
        conversation: &Conversation,
        found: Found,
        chosen: Option<AgentId>,
        ordered: Box<Order>,
    ) {
        let receipt = Receipt {
            index: self.index(),
            at: self.now(),
            plan: self.state.meta.plan,
            waited_ms: self.now().since_ms(conversation.aged_from),
            candidates: 0,
            chosen,
            found,
            excluded: Vec::new(),
            excluded_more: 0,
            declined: None,
            outcome: None,
            ordered: Some(ordered),
        };
        self.push(Event::Decided {
            conversation: conversation.id,
            receipt: Arc::new(receipt),
        });
    }

    /// Makes an offer: units are taken in this very step.
    pub(crate) fn offer(
        &mut self,
        conversation: &Conversation,
        owner_epoch: OwnerEpoch,
        found: Match,
    ) {
        let now = self.now();
        let cell = self.state.meta.cell;
        let made = self
            .events
            .iter()
            .filter(|event| matches!(event, Event::OfferMade(_)))
            .count() as u64;
        let id = OfferId {
            cell,
            agent_cell: cell,
            n: self.state.meta.offers + 1 + made,
        };
        let period_ms = self
            .state
            .rules(conversation)
            .map_or(20_000, |rules| rules.timers.offer_ms);
        let waited_ms = now.since_ms(conversation.aged_from);
        let receipt = Arc::new(Receipt {
            index: self.index(),
            at: now,
            plan: conversation.classed_by,
            waited_ms,
            candidates: found.candidates,
            chosen: Some(found.agent.clone()),
            found: found.found,
            excluded: found.excluded,
            excluded_more: found.excluded_more,
            declined: None,
            outcome: None,
            ordered: found.ordered,
        });
        self.push(Event::OfferMade(Box::new(OfferMade {
            offer: id,
            agent: found.agent.clone(),
            conversation: conversation.id,
            queue: conversation.queue.clone(),
            site: conversation.site.clone(),
            owner_epoch,
            expires_at: now.plus_ms(period_ms),
            customer: conversation.customer.clone(),
            display_name: conversation.display_name.clone(),
            account: conversation.account.clone(),
            waited_ms,
            preview: conversation.items.last().map(Arc::new),
            receipt,
        })));
        let prefer = if let Phase::Queued(waiting) = &conversation.phase {
            waiting.prefer.clone()
        } else {
            None
        };
        let offer = Offer {
            id,
            session: found.session,
            agent: found.agent,
            made_at: now,
            period_ms,
            shown_at: None,
            units: found.units,
            prefer,
        };
        self.phase(conversation, Phase::Offered(Box::new(offer)), owner_epoch);
    }
}

/// A request that is to be remembered.
pub(crate) struct Request<'r> {
    pub(crate) object: Object,
    pub(crate) rows: &'r [Remembered],
    pub(crate) principal: Principal,
    pub(crate) id: &'r RequestId,
    pub(crate) payload_hash: u64,
}
