//! `evolve`: one event applied to the state.
//! Promise: total; no refusal, no panic, nothing read but state and event.
//! Not here: whether the event should have happened (`decide`).

mod conversation;
mod floor;
mod people;
mod plan;
mod steer;

use super::checkpoint::Checkpoint;
use super::conversation::Phase;
use super::event::{Event, Object, Subject};
use super::requests::{forget, remember};
use super::state::{CustomerAt, State};
use crate::ids::ConversationId;

/// Applies one event.
pub(crate) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::Opened { conversation } => state.add_conversation(conversation),
        Event::ItemAdded { conversation, item } => state.add_item(*conversation, item),
        Event::RemarkAdded {
            conversation,
            remark,
        } => state.add_remark(*conversation, remark),
        Event::PhaseChanged {
            conversation,
            phase,
            owner_epoch,
        } => {
            state.set_phase(*conversation, phase, *owner_epoch);
        }
        Event::QueueEntered { .. } => state.enter_queue(event),
        Event::OfferMade(made) => state.record_offer(made),
        Event::OfferShown {
            conversation,
            offer,
            at,
        } => state.show_offer(*conversation, *offer, *at),
        Event::OfferEnded { .. } => state.end_offer(event),
        Event::PassedOver {
            conversation,
            passed,
            reason,
        } => state.pass_over(*conversation, passed, reason),
        Event::Sealed {
            conversation,
            index,
        } => state.seal(*conversation, *index),
        Event::PassesLapsed { conversation, upto } => state.forget_passes(*conversation, *upto),
        Event::CustomerPresence { conversation, gone } => state.set_gone(*conversation, *gone),
        Event::Warned {
            conversation,
            warning,
            ..
        } => state.warned(*conversation, *warning),
        Event::Counted { queue, site, tally } => state.count(queue, site, *tally),
        Event::WorkEnded { conversation, ms } => state.add_work(*conversation, *ms),
        Event::Continued { from, to } => state.continue_in(*from, *to),
        Event::Rated {
            conversation,
            rating,
        } => state.rate(*conversation, rating),
        Event::Quarantined {
            conversation,
            index,
        } => state.quarantine(*conversation, *index),
        Event::Released { conversation } => state.release(*conversation),
        Event::AgentChanged { agent } => state.set_agent(agent),
        Event::Remembered { object, row } => state.remember(object, row),
        Event::DeadlinePutBack { subject } => state.put_back(subject),
        Event::DeadlineDropped { subject } => state.drop_deadline(subject),
        Event::VersionRaised { .. }
        | Event::BucketsHeld { .. }
        | Event::PlanAdopted { .. }
        | Event::Reclassed { .. }
        | Event::Repinned { .. }
        | Event::LeaderStarted { .. }
        | Event::Decided { .. }
        | Event::QueueSteered { .. }
        | Event::StoodAside { .. }
        | Event::SpikeChanged { .. }
        | Event::Archived(_)
        | Event::Checkpointed { .. } => evolve_cell(state, event),
        Event::OwnerChanged { .. } | Event::Ended { .. } | Event::Alarm(_) => {}
    }
}

/// Applies one event that concerns the cell itself, its plan, a queue or a receipt alone.
fn evolve_cell(state: &mut State, event: &Event) {
    match event {
        Event::VersionRaised { version } => {
            state.meta.version = state.meta.version.max(*version);
        }
        Event::BucketsHeld { buckets } => {
            let held = state.meta.buckets.get_or_insert_default();
            held.add(buckets);
        }
        Event::PlanAdopted { plan } => state.adopt(plan),
        Event::Repinned {
            conversations,
            plan,
        } => state.repin(conversations, *plan),
        Event::Reclassed {
            conversations,
            plan,
        } => state.reclass(conversations, *plan),
        Event::LeaderStarted {
            series,
            full,
            without_leader_ms,
            moved_ms,
        } => {
            state.leader_started(*series, *full, *without_leader_ms, *moved_ms);
        }
        Event::SpikeChanged { queue, since } => state.set_spike(queue, *since),
        Event::Archived(next) => state.archived(next),
        Event::Checkpointed { mark } => {
            state.meta.checkpoint = Some(Checkpoint {
                mark: *mark,
                at: state.meta.now,
                logged: state.meta.applied,
            });
        }
        Event::Decided {
            conversation,
            receipt,
        } => state.add_receipt(*conversation, receipt),
        Event::QueueSteered { queue, steered } => state.steer(queue, steered),
        Event::StoodAside { queue, from } => state.stand_aside(queue, *from),
        _ => {}
    }
}

impl State {
    fn remember(&mut self, object: &Object, row: &super::requests::Remembered) {
        let now = self.meta.now;
        match object {
            Object::Conversation(id) => {
                if let Some(found) = self.conversations.get_mut(&id.index) {
                    remember(&mut found.requests, row.clone(), now);
                    if matches!(found.phase, Phase::Closed(_)) {
                        self.refresh_deadline(id.index);
                    }
                }
            }
            Object::Agent(name) => {
                if let Some(agent) = self.agent_mut(name) {
                    remember(&mut agent.requests, row.clone(), now);
                }
            }
            Object::Queue(name) => {
                if let Some(queue) = self.queue_mut(name) {
                    remember(&mut queue.requests, row.clone(), now);
                }
            }
            Object::Customer(account, customer) => {
                self.change_customer(CustomerAt::new(account, customer), |found| {
                    remember(&mut found.requests, row.clone(), now);
                });
            }
        }
    }

    /// Drops the rows of an ended conversation, and of its customer, that are ten minutes old.
    pub(crate) fn forget_requests(&mut self, id: ConversationId) {
        let now = self.meta.now;
        let Some(found) = self.conversations.get_mut(&id.index) else {
            return;
        };
        forget(&mut found.requests, now);
        let at = CustomerAt::new(&found.account, &found.customer);
        self.change_customer(at, |customer| forget(&mut customer.requests, now));
    }

    fn put_back(&mut self, subject: &Subject) {
        match subject {
            Subject::Agent(name) => self.refresh_agent_deadline(name),
            Subject::Conversation(index) => {
                self.set_deadline(*index, None);
                self.refresh_deadline(*index);
            }
        }
    }

    fn drop_deadline(&mut self, subject: &Subject) {
        match subject {
            Subject::Conversation(index) => self.set_deadline(*index, None),
            Subject::Agent(name) => {
                if let Some(agent) = self.agent_mut(name) {
                    agent.channels.clear();
                }
                self.refresh_agent_deadline(name);
                self.reindex_agent(name);
            }
        }
    }
}
