//! What events do to a conversation's record and to the indexes that follow from it.
//! Promise: every change of a place, a phase or units goes through `State::change`.
//! Not here: counters (`floor`), agents (`people`).

use std::sync::Arc;

use mutants::{Mutant, planted};

use crate::cell::conversation::{
    Closed, Conversation, Ending, Gone, Held, PASSED_OVER_MAX, PassedOver, Phase, Rating, Waiting,
};
use crate::cell::defects;
use crate::cell::derived::{LineKey, Spot};
use crate::cell::event::{Event, OfferMade, Warning};
use crate::cell::floor::{CustomerRecord, OfferOutcome};
use crate::cell::state::{CustomerAt, State};
use crate::cell::transcript::{Author, Item, RemarkItem};
use crate::ids::{CellTime, ConversationId, LogIndex, OfferId, OwnerEpoch, PlanVersion};

impl State {
    pub(super) fn add_conversation(&mut self, conversation: &Arc<Conversation>) {
        let at = CustomerAt::new(&conversation.account, &conversation.customer);
        if self.customers.get(&at).is_none() {
            let record = CustomerRecord {
                account: conversation.account.clone(),
                customer: conversation.customer.clone(),
                open: None,
                last: None,
                requests: Vec::new(),
            };
            self.customers.insert(at.clone(), Arc::new(record));
        }
        self.keep_customer(&at);
        if let Some(record) = self.customers.get_mut(&at) {
            record.open = Some(conversation.id);
            record.last = Some(conversation.id);
        }
        let index = conversation.id.index;
        self.meta.conversations += 1;
        self.meta.open += 1;
        let spot = Spot::of(self, conversation);
        self.conversations.insert(index, conversation.clone());
        self.shift(None, Some(spot));
        self.refresh_deadline(index);
    }

    /// Changes a record and moves it in every index that its phase, queue or place decides.
    pub(crate) fn change(&mut self, index: LogIndex, change: impl FnOnce(&mut Conversation)) {
        let Some(found) = self.conversations.get(&index) else {
            return;
        };
        let before = Spot::of(self, found);
        let was_over = found.phase.is_over();
        let Some(record) = self.conversations.get_mut(&index) else {
            return;
        };
        change(record);
        let Some(found) = self.conversations.get(&index) else {
            return;
        };
        let after = Spot::of(self, found);
        if found.phase.is_over() && !was_over {
            self.meta.open = self.meta.open.saturating_sub(1);
            let (id, at) = (found.id, CustomerAt::new(&found.account, &found.customer));
            if let Some(customer) = self.customers.get_mut(&at)
                && customer.open == Some(id)
            {
                customer.open = None;
            }
        }
        self.shift(Some(before), Some(after));
        self.refresh_deadline(index);
    }

    pub(super) fn add_item(&mut self, id: ConversationId, item: &Arc<Item>) {
        let Some(record) = self.conversations.get_mut(&id.index) else {
            return;
        };
        record.items.push(item);
        let Some(message) = item.message() else {
            return;
        };
        defects::trip(defects::Spot::Evolve, &message.body.bytes);
        record.messages += 1;
        record.message_bytes += message.body.bytes.len() as u64;
        if matches!(message.author, Author::Agent(_)) && record.first_response_at.is_none() {
            record.first_response_at = Some(item.at);
        }
        if let Phase::Active(active) = &mut record.phase {
            match message.author {
                Author::Customer => {
                    active.awaiting_customer = None;
                    active.silence_warned = false;
                }
                _ => {
                    active.replied = true;
                    active.awaiting_customer.get_or_insert(item.at);
                }
            }
            self.refresh_deadline(id.index);
        }
    }

    pub(super) fn add_remark(&mut self, id: ConversationId, remark: &Arc<RemarkItem>) {
        if let Some(record) = self.conversations.get_mut(&id.index) {
            record.message_bytes += remark.body.bytes.len() as u64;
            record.remarks.push(remark.clone());
        }
    }

    pub(super) fn set_phase(&mut self, id: ConversationId, phase: &Phase, epoch: OwnerEpoch) {
        let in_force = self.meta.plan;
        let now = self.meta.now;
        let class_anew = matches!(phase, Phase::Queued(_));
        let waits = matches!(phase, Phase::Queued(_) | Phase::Offered(_));
        self.change(id.index, |record| {
            if waits && record.phase.owner().is_some() {
                record.returned_at = now;
                if planted(Mutant::RequeueNewAge) {
                    record.aged_from = now;
                }
            }
            record.phase = phase.clone();
            record.owner_epoch = epoch;
            if class_anew {
                record.classed_by = in_force;
            }
            if let Phase::Closed(_) = phase {
                record.passed_over = Vec::new();
                record.items.shrink();
            }
        });
        if planted(Mutant::DropAtClose) && matches!(phase, Phase::Closed(_)) {
            self.drop_conversation(id.index);
        }
    }

    pub(super) fn enter_queue(&mut self, event: &Event) {
        let Event::QueueEntered {
            conversation,
            queue,
            pinned,
            urgency,
            boost_ms,
            first,
            at,
        } = event
        else {
            return;
        };
        self.change(conversation.index, |record| {
            record.queue = queue.clone();
            record.pinned = *pinned;
            record.classed_by = *pinned;
            record.urgency = *urgency;
            record.boost_ms = *boost_ms;
            record.entered_at = *at;
            record.answered = false;
            record.passed_over = Vec::new();
            if *first {
                record.aged_from = *at;
            }
        });
        // In its old line again it may stand where it stood, but nobody is passed over any more.
        self.reopen_line(conversation.index);
    }

    pub(super) fn record_offer(&mut self, made: &OfferMade) {
        self.meta.offers = self.meta.offers.max(made.offer.n);
        self.queue_totals(&made.queue, &made.site, |totals| totals.offers += 1);
        self.add_receipt(made.conversation, &made.receipt);
    }

    pub(super) fn show_offer(&mut self, id: ConversationId, offer: OfferId, at: CellTime) {
        if let Some(record) = self.conversations.get_mut(&id.index)
            && let Phase::Offered(open) = &mut record.phase
            && open.id == offer
        {
            open.shown_at = Some(at);
        }
    }

    pub(super) fn pass_over(&mut self, id: ConversationId, passed: &PassedOver, reason: &str) {
        if let Some(record) = self.conversations.get_mut(&id.index) {
            let mut receipts = record.receipts.iter_mut().rev();
            let offered = receipts.find(|receipt| receipt.chosen.as_ref() == Some(&passed.agent));
            if let Some(receipt) = offered.filter(|_| !reason.is_empty()) {
                Arc::make_mut(receipt).declined = Some(reason.into());
            }
            record.passed_over.retain(|old| old.agent != passed.agent);
            if record.passed_over.len() >= PASSED_OVER_MAX {
                record.passed_over.remove(0);
            }
            if !planted(Mutant::DeclineForgotten) {
                record.passed_over.push(passed.clone());
            }
        }
        self.reopen_line(id.index);
        self.refresh_deadline(id.index);
    }

    pub(super) fn forget_passes(&mut self, id: ConversationId, upto: CellTime) {
        if let Some(record) = self.conversations.get_mut(&id.index) {
            record.passed_over.retain(|passed| passed.until > upto);
        }
        self.reopen_line(id.index);
        self.put_back(&crate::cell::event::Subject::Conversation(id.index));
    }

    /// The line of this conversation may have become matchable.
    fn reopen_line(&mut self, index: LogIndex) {
        let Some(record) = self.conversations.get(&index).cloned() else {
            return;
        };
        let Phase::Queued(waiting) = &record.phase else {
            return;
        };
        if let (Some(agent), true) = (&waiting.prefer, waiting.held != Held::No) {
            self.derived.own_lines_open.insert(agent.clone());
            return;
        }
        let class = self.class_for(&record.queue, &record.channel, record.classed_by);
        self.derived.classes.reopen(class);
    }

    pub(super) fn set_gone(&mut self, id: ConversationId, gone: Option<Gone>) {
        if let Some(record) = self.conversations.get_mut(&id.index) {
            record.gone = gone;
            record.attached_once = true;
        }
        self.refresh_deadline(id.index);
    }

    pub(super) fn warned(&mut self, id: ConversationId, warning: Warning) {
        if let Some(record) = self.conversations.get_mut(&id.index)
            && let Phase::Active(active) = &mut record.phase
        {
            match warning {
                Warning::FirstReply => active.first_reply_warned = true,
                Warning::CustomerSilent => active.silence_warned = true,
                Warning::OwnerLost => active.lost_handled = true,
            }
        }
        self.put_back(&crate::cell::event::Subject::Conversation(id.index));
    }

    pub(super) fn add_work(&mut self, id: ConversationId, ms: u64) {
        if let Some(record) = self.conversations.get_mut(&id.index) {
            record.handled_ms = record.handled_ms.saturating_add(ms);
        }
    }

    pub(super) fn continue_in(&mut self, from: ConversationId, to: ConversationId) {
        if let Some(record) = self.conversations.get_mut(&from.index) {
            record.continued_to = Some(to);
        }
    }

    pub(super) fn rate(&mut self, id: ConversationId, rating: &Rating) {
        if let Some(record) = self.conversations.get_mut(&id.index) {
            record.rating = Some(Box::new(rating.clone()));
        }
    }

    /// Sets a conversation aside: the offer is rescinded, the epoch raised, units freed, line and
    /// deadlines left; transcript, age and place stay.
    pub(super) fn quarantine(&mut self, id: ConversationId, index: LogIndex) {
        let now = self.meta.now;
        let Some(found) = self.conversations.get(&id.index) else {
            return;
        };
        if found.is_sealed() {
            return;
        }
        if let Phase::Offered(offer) = &found.phase {
            let (offer, agent) = (offer.id, offer.agent.clone());
            self.remember_ended(id, offer, &agent, OfferOutcome::Rescinded, now);
        }
        self.change(id.index, |record| {
            record.quarantined = Some(index);
            record.owner_epoch = OwnerEpoch(record.owner_epoch.0.saturating_add(1));
            record.phase = match std::mem::replace(&mut record.phase, Phase::Bot) {
                Phase::WrapUp(wrap_up) => Phase::Closed(Closed {
                    at: wrap_up.since,
                    how: Ending::Closed,
                    by: Author::Machine,
                    agent: Some(wrap_up.agent),
                    sealed: None,
                }),
                Phase::Closed(closed) => Phase::Closed(closed),
                _ => Phase::Queued(Waiting {
                    prefer: None,
                    held: Held::No,
                }),
            };
        });
    }

    pub(super) fn release(&mut self, id: ConversationId) {
        let (in_force, now) = (self.meta.plan, self.meta.now);
        self.change(id.index, |record| {
            record.returned_at = now;
            record.quarantined = None;
            record.classed_by = in_force;
        });
    }

    pub(super) fn reclass(&mut self, conversations: &[ConversationId], plan: PlanVersion) {
        for id in conversations {
            self.change(id.index, |record| record.classed_by = plan);
        }
    }
}

impl LineKey {
    /// The conversation that has this place.
    pub fn conversation(&self, state: &State) -> ConversationId {
        ConversationId {
            cell: state.meta.cell,
            index: self.index,
        }
    }
}
