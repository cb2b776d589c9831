//! What events do to queues' counters, to the window of lapsed offers and to ended offers.
//! Promise: counters only fold events; bounded memory.
//! Not here: what is derived from the conversations (`derived`).

use std::sync::Arc;

use crate::cell::event::{Event, Tally};
use crate::cell::floor::{
    ENDED_OFFERS_MAX, EndedOffer, OfferOutcome, SPIKE_WINDOW_S, SpikeSecond, Totals,
};
use crate::cell::state::{OFFER_SHARDS, State};
use crate::ids::{AgentId, CellTime, ConversationId, OfferId, QueueId, SiteId};

impl State {
    pub(super) fn queue_totals(
        &mut self,
        queue: &QueueId,
        site: &SiteId,
        change: impl FnOnce(&mut Totals),
    ) {
        let Some(record) = self.queue_mut(queue) else {
            return;
        };
        if !record.totals.contains_key(site) {
            record.totals.insert(site.clone(), Totals::default());
        }
        if let Some(totals) = record.totals.get_mut(site) {
            change(totals);
        }
    }

    pub(super) fn count(&mut self, queue: &QueueId, site: &SiteId, tally: Tally) {
        self.queue_totals(queue, site, |totals| match tally {
            Tally::Entered => totals.entered += 1,
            Tally::Answered { wait_ms, within } => {
                totals.answered += 1;
                totals.answered_in += u64::from(within);
                add(&mut totals.answer_wait_ms, wait_ms);
                totals.answer_wait_ms_max = totals.answer_wait_ms_max.max(wait_ms);
            }
            Tally::Abandoned {
                wait_ms,
                within,
                short,
            } => {
                totals.abandoned += 1;
                totals.abandoned_in += u64::from(within);
                totals.abandoned_short += u64::from(short);
                add(&mut totals.abandon_wait_ms, wait_ms);
            }
            Tally::Requeued => totals.requeued += 1,
            Tally::Transferred => totals.transferred += 1,
            Tally::Worked { ms, wrap_up } => {
                add(&mut totals.handle_ms, ms);
                add(&mut totals.wrap_up_ms, if wrap_up { ms } else { 0 });
            }
            Tally::Handled => totals.handled += 1,
            Tally::FirstResponse { ms } => {
                totals.first_responses += 1;
                add(&mut totals.first_response_ms, ms);
            }
            Tally::Rated { score } => {
                totals.ratings += 1;
                totals.rating_sum += u64::from(score);
            }
        });
    }

    pub(super) fn end_offer(&mut self, event: &Event) {
        let Event::OfferEnded {
            offer,
            conversation,
            queue,
            site,
            agent,
            outcome,
            at,
        } = event
        else {
            return;
        };
        self.queue_totals(queue, site, |totals| match outcome {
            OfferOutcome::Accepted => {}
            OfferOutcome::Declined => totals.offers_declined += 1,
            OfferOutcome::Expired => totals.offers_lapsed += 1,
            OfferOutcome::Rescinded => totals.offers_rescinded += 1,
            OfferOutcome::Cancelled => totals.offers_cancelled += 1,
        });
        self.add_to_window(queue, *outcome, *at);
        if let Some(record) = self.conversations.get_mut(&conversation.index) {
            record.answered |= *outcome == OfferOutcome::Accepted;
            let open = record.receipts.last_mut().filter(|receipt| {
                receipt.chosen.as_ref() == Some(agent) && receipt.outcome.is_none()
            });
            if let Some(receipt) = open {
                Arc::make_mut(receipt).outcome = Some(*outcome);
            }
        }
        self.remember_ended(*conversation, *offer, agent, *outcome, *at);
    }

    fn add_to_window(&mut self, queue: &QueueId, outcome: OfferOutcome, at: CellTime) {
        let Some(record) = self.queue_mut(queue) else {
            return;
        };
        let second = at.0 / 1_000;
        record
            .window
            .retain(|old| old.second + SPIKE_WINDOW_S > second);
        let lapsed = u32::from(outcome == OfferOutcome::Expired);
        match record.window.back_mut() {
            Some(last) if last.second == second => {
                last.ended += 1;
                last.lapsed += lapsed;
            }
            _ => record.window.push_back(SpikeSecond {
                second,
                ended: 1,
                lapsed,
            }),
        }
    }

    pub(super) fn remember_ended(
        &mut self,
        conversation: ConversationId,
        offer: OfferId,
        agent: &AgentId,
        outcome: OfferOutcome,
        at: CellTime,
    ) {
        let shard = Arc::make_mut(&mut self.ended_offers[offer.n as usize % OFFER_SHARDS]);
        shard.insert(
            offer.n,
            EndedOffer {
                id: offer,
                conversation,
                agent: agent.clone(),
                outcome,
                at,
            },
        );
        while shard.len() > ENDED_OFFERS_MAX {
            shard.pop_first();
        }
    }

    pub(super) fn set_spike(&mut self, queue: &QueueId, since: Option<CellTime>) {
        if let Some(record) = self.queue_mut(queue) {
            record.spike_since = since;
        }
    }
}

/// Sums of times stop at the largest there is: one entry with a time at the end of its range is enough for it.
fn add(sum_ms: &mut u64, ms: u64) {
    *sum_ms = sum_ms.saturating_add(ms);
}
