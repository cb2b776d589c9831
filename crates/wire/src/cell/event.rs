//! Replies and events of an applied entry as bytes, for the machine's chain alone.
//! Promise: equal replies and events have equal bytes, in every release that knows the same machine
//! version; the rules for a change stand in the schema `event.proto`.
//! Not here: hashing them (`chain`). Nothing reads these bytes back.

use ::pb::store::v1::{self as pb, applied_event::Kind};
use bytes::Bytes;
use domain::cell::conversation::Phase;
use domain::cell::event::{Alarm, Event, Object, OfferMade, Subject, Tally, Warning};
use domain::cell::refusal::Refusal;
use domain::cell::reply::Reply;
use domain::cell::transcript::Item;
use domain::ids::{ConversationId, OwnerEpoch, PlanVersion};
use domain::plan::VersionedPlan;
use prost::Message;

use super::to_wire::{archived_upto, held_buckets};
use crate::ids::{conversation_to_wire as id, mark_to_wire, offer_to_wire};
use crate::plan::to_wire::urgency;
use crate::snapshot::cell_to_wire::{agent, done, line_place, offer_outcome, remembered, steered};
use crate::snapshot::conversation_to_wire::{
    conversation, ending, item, phase, rating, receipt, remark,
};

/// How `AppliedEvent.item_added` begins: its field number and that a length follows.
const ITEM_ADDED_KEY: u8 = 2 << 3 | 2;

fn reply(reply: &Reply) -> pb::AppliedReply {
    match reply {
        Ok(found) => pb::AppliedReply {
            done: Some(pb::Remembered {
                done: Some(done(found)),
                ..pb::Remembered::default()
            }),
            refused: 0,
        },
        Err(refusal) => pb::AppliedReply {
            done: None,
            refused: number(refusal),
        },
    }
}

/// The number of a refusal. What else it says follows from the state, which the events cover.
fn number(refusal: &Refusal) -> u32 {
    match refusal {
        Refusal::ConversationNotFound { .. } => 1,
        Refusal::ConversationClosed { .. } => 2,
        Refusal::WrongState { .. } => 3,
        Refusal::MessageEmpty => 4,
        Refusal::MessageTooLarge { .. } => 5,
        Refusal::ScoreOutOfRange { .. } => 6,
        Refusal::QueueNotFound { .. } => 7,
        Refusal::QueuePaused { .. } => 8,
        Refusal::QueueFull { .. } => 9,
        Refusal::AccountNotFound { .. } => 10,
        Refusal::AgentNotFound { .. } => 11,
        Refusal::AgentNotLoggedIn { .. } => 12,
        Refusal::AgentNotReady { .. } => 13,
        Refusal::AgentUnreachable { .. } => 14,
        Refusal::AgentAtCapacity { .. } => 15,
        Refusal::AgentNotSkilled { .. } => 16,
        Refusal::StaleSession { .. } => 17,
        Refusal::StaleOwnerEpoch { .. } => 18,
        Refusal::OfferNotFound { .. } => 19,
        Refusal::OfferEnded { .. } => 20,
        Refusal::OfferNotYours { .. } => 21,
        Refusal::RequestIdReused { .. } => 22,
        Refusal::TooManyRequests { .. } => 23,
        Refusal::CursorFromTheFuture { .. } => 24,
        Refusal::MachineDefect { .. } => 25,
        Refusal::PlanBehind { .. } => 26,
        Refusal::BucketElsewhere { .. } => 27,
        Refusal::CellFull { .. } => 28,
        Refusal::WrapUpNotOver { .. } => 29,
        Refusal::NotOwner { .. } => 30,
        Refusal::NotAllowed { .. } => 31,
        Refusal::LeaseTooEarly { .. } => 32,
        Refusal::FieldTooLong { .. } => 33,
        Refusal::ArchiveBehind { .. } => 34,
        Refusal::LookAgain { .. } => 35,
        Refusal::ArchiveDiffers { .. } => 36,
        Refusal::QueuePausedAlready { .. } => 37,
        Refusal::QueueNotPaused { .. } => 38,
    }
}

/// Adds an event to `bytes`.
pub(super) fn lay_event(event: &Event, bytes: &mut Vec<u8>) {
    let laid = match event {
        // Nearly every entry of a busy cell: not by way of a value that has room for the largest kind.
        Event::ItemAdded { conversation, item } => {
            bytes.push(ITEM_ADDED_KEY);
            item_added(*conversation, item).encode_length_delimited(bytes)
        }
        _ => applied_event(event).encode(bytes),
    };
    laid.expect("a Vec grows as needed");
}

/// Adds a reply to `bytes`.
pub(super) fn lay_reply(done: &Reply, bytes: &mut Vec<u8>) {
    reply(done).encode(bytes).expect("a Vec grows as needed");
}

fn applied_event(event: &Event) -> pb::AppliedEvent {
    let kind = of_conversation(event)
        .or_else(|| of_offer(event))
        .or_else(|| of_work(event))
        .or_else(|| of_staff(event))
        .or_else(|| of_cell(event));
    pb::AppliedEvent { kind }
}

fn item_added(conversation: ConversationId, added: &Item) -> pb::ItemAdded {
    pb::ItemAdded {
        conversation: Some(id(conversation)),
        item: Some(item(added)),
    }
}

fn of_conversation(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::Opened {
            conversation: opened,
        } => Kind::Opened(conversation(opened)),
        Event::ItemAdded {
            conversation,
            item: added,
        } => Kind::ItemAdded(item_added(*conversation, added)),
        Event::RemarkAdded {
            conversation,
            remark: added,
        } => Kind::RemarkAdded(pb::RemarkAdded {
            conversation: Some(id(*conversation)),
            remark: Some(remark(added)),
        }),
        Event::PhaseChanged {
            conversation,
            phase,
            owner_epoch,
        } => Kind::PhaseChanged(phase_changed(*conversation, phase, *owner_epoch)),
        Event::OwnerChanged {
            conversation,
            before,
            owner,
            owner_epoch,
        } => Kind::OwnerChanged(pb::OwnerChanged {
            conversation: Some(id(*conversation)),
            before: before.as_ref().map(ToString::to_string),
            owner: owner.as_ref().map(ToString::to_string),
            owner_epoch: owner_epoch.0,
        }),
        Event::QueueEntered {
            conversation,
            queue,
            pinned,
            urgency: class,
            boost_ms,
            first,
            at,
        } => Kind::QueueEntered(pb::QueueEntered {
            conversation: Some(id(*conversation)),
            queue: queue.to_string(),
            pinned: pinned.0,
            urgency: i32::from(urgency(*class)).unsigned_abs(),
            boost_ms: *boost_ms,
            first: *first,
            at_ms: at.0,
        }),
        Event::CustomerPresence { conversation, gone } => {
            Kind::CustomerPresence(pb::PresenceChanged {
                conversation: Some(id(*conversation)),
                gone_at_ms: gone.map(|gone| gone.at.0),
                our_fault: gone.is_some_and(|gone| gone.our_fault),
            })
        }
        _ => return None,
    })
}

fn phase_changed(found: ConversationId, now: &Phase, owner_epoch: OwnerEpoch) -> pb::Conversation {
    pb::Conversation {
        id: Some(id(found)),
        phase: Some(phase(now)),
        owner_epoch: owner_epoch.0,
        ..pb::Conversation::default()
    }
}

fn of_offer(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::OfferMade(made) => Kind::OfferMade(offer_made(made)),
        Event::OfferShown {
            conversation,
            offer,
            at,
        } => Kind::OfferShown(pb::OfferShown {
            conversation: Some(id(*conversation)),
            offer: Some(offer_to_wire(*offer)),
            at_ms: at.0,
        }),
        Event::OfferEnded {
            offer,
            conversation,
            queue,
            site,
            agent,
            outcome,
            at,
        } => Kind::OfferEnded(pb::OfferEnded {
            ended: Some(pb::EndedOffer {
                id: Some(offer_to_wire(*offer)),
                conversation: Some(id(*conversation)),
                agent: agent.to_string(),
                outcome: offer_outcome(*outcome).into(),
                at_ms: at.0,
            }),
            queue: queue.to_string(),
            site: site.to_string(),
        }),
        Event::PassedOver {
            conversation,
            passed,
            reason,
        } => Kind::PassedOver(pb::AgentPassedOver {
            conversation: Some(id(*conversation)),
            passed: Some(pb::PassedOver {
                agent: passed.agent.to_string(),
                until_ms: passed.until.0,
            }),
            reason: reason.to_string(),
        }),
        Event::PassesLapsed { conversation, upto } => Kind::PassesLapsed(pb::PassesLapsed {
            conversation: Some(id(*conversation)),
            upto_ms: upto.0,
        }),
        _ => return None,
    })
}

fn offer_made(made: &OfferMade) -> pb::OfferMade {
    pb::OfferMade {
        offer: Some(offer_to_wire(made.offer)),
        agent: made.agent.to_string(),
        conversation: Some(id(made.conversation)),
        queue: made.queue.to_string(),
        site: made.site.to_string(),
        owner_epoch: made.owner_epoch.0,
        expires_at_ms: made.expires_at.0,
        waited_ms: made.waited_ms,
        receipt: Some(receipt(&made.receipt)),
    }
}

fn of_work(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::Sealed { conversation, .. } => Kind::Sealed(id(*conversation)),
        Event::Warned {
            conversation,
            agent,
            warning,
        } => Kind::Warned(pb::Warned {
            conversation: Some(id(*conversation)),
            agent: agent.to_string(),
            warning: match warning {
                Warning::FirstReply => 1,
                Warning::CustomerSilent => 2,
                Warning::OwnerLost => 3,
            },
        }),
        Event::Counted { queue, site, tally } => {
            Kind::Counted(counted((queue.to_string(), site.to_string()), *tally))
        }
        Event::WorkEnded { conversation, ms } => Kind::WorkEnded(pb::WorkEnded {
            conversation: Some(id(*conversation)),
            ms: *ms,
        }),
        Event::Ended { conversation, how } => Kind::Ended(pb::ConversationEnded {
            conversation: Some(id(*conversation)),
            how: ending(*how).into(),
        }),
        Event::Continued { from, to } => Kind::Continued(pb::ConversationContinued {
            from: Some(id(*from)),
            to: Some(id(*to)),
        }),
        Event::Rated {
            conversation,
            rating: given,
        } => Kind::Rated(pb::ConversationRated {
            conversation: Some(id(*conversation)),
            rating: Some(rating(given)),
        }),
        Event::Quarantined {
            conversation,
            index,
        } => Kind::Quarantined(pb::ConversationQuarantined {
            conversation: Some(id(*conversation)),
            index: index.0,
        }),
        Event::Released { conversation } => Kind::Released(id(*conversation)),
        Event::AgentChanged { agent: changed } => Kind::AgentChanged(agent(changed)),
        Event::Remembered { object, row } => {
            Kind::Remembered(request_remembered(object, remembered(row)))
        }
        Event::DeadlinePutBack { subject: whose } => Kind::DeadlinePutBack(subject(whose)),
        Event::DeadlineDropped { subject: whose } => Kind::DeadlineDropped(subject(whose)),
        _ => return None,
    })
}

fn counted((queue, site): (String, String), tally: Tally) -> pb::Counted {
    let (number, amount, within, special) = match tally {
        Tally::Entered => (1, 0, false, false),
        Tally::Answered { wait_ms, within } => (2, wait_ms, within, false),
        Tally::Abandoned {
            wait_ms,
            within,
            short,
        } => (3, wait_ms, within, short),
        Tally::Requeued => (4, 0, false, false),
        Tally::Transferred => (5, 0, false, false),
        Tally::Worked { ms, wrap_up } => (6, ms, false, wrap_up),
        Tally::Handled => (7, 0, false, false),
        Tally::FirstResponse { ms } => (8, ms, false, false),
        Tally::Rated { score } => (9, u64::from(score), false, false),
    };
    pb::Counted {
        queue,
        site,
        tally: number,
        amount,
        within,
        special,
    }
}

fn request_remembered(object: &Object, row: pb::Remembered) -> pb::RequestRemembered {
    let mut stored = pb::RequestRemembered {
        row: Some(row),
        ..pb::RequestRemembered::default()
    };
    match object {
        Object::Conversation(conversation) => stored.conversation = Some(id(*conversation)),
        Object::Agent(agent) => stored.agent = agent.to_string(),
        Object::Queue(queue) => stored.queue = queue.to_string(),
        Object::Customer(account, customer) => {
            stored.account = account.to_string();
            stored.customer = customer.to_string();
        }
    }
    stored
}

fn subject(subject: &Subject) -> pb::DeadlineSubject {
    match subject {
        Subject::Agent(agent) => pb::DeadlineSubject {
            agent: agent.to_string(),
            conversation: 0,
        },
        Subject::Conversation(index) => pb::DeadlineSubject {
            agent: String::new(),
            conversation: index.0,
        },
    }
}

/// What concerns the cell itself. Exhaustive: an event without bytes is a fault of this file.
fn of_cell(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::VersionRaised { version } => Kind::VersionRaised(version.0),
        Event::BucketsHeld { buckets } => Kind::BucketsHeld(held_buckets(buckets)),
        Event::PlanAdopted { plan } => Kind::PlanAdopted(plan_adopted(plan)),
        Event::Reclassed {
            conversations,
            plan,
        } => Kind::Reclassed(moved(conversations, *plan)),
        Event::Repinned {
            conversations,
            plan,
        } => Kind::Repinned(moved(conversations, *plan)),
        Event::LeaderStarted {
            series,
            full,
            without_leader_ms,
            moved_ms,
        } => Kind::LeaderStarted(pb::LeaderCounted {
            series: *series,
            full: *full,
            without_leader_ms: *without_leader_ms,
            moved_ms: *moved_ms,
        }),
        Event::SpikeChanged { queue, since } => Kind::SpikeChanged(pb::SpikeChanged {
            queue: queue.to_string(),
            since_ms: since.map(|since| since.0),
        }),
        Event::Alarm(raised) => Kind::Alarm(alarm(raised)),
        Event::Checkpointed { mark } => Kind::Checkpointed(mark_to_wire(*mark)),
        Event::Archived(next) => Kind::Archived(archived_upto(next)),
        // Named one by one, so that a new event is missed by the compiler and not by the chain.
        Event::Opened { .. }
        | Event::ItemAdded { .. }
        | Event::RemarkAdded { .. }
        | Event::PhaseChanged { .. }
        | Event::OwnerChanged { .. }
        | Event::QueueEntered { .. }
        | Event::CustomerPresence { .. }
        | Event::OfferMade(_)
        | Event::OfferShown { .. }
        | Event::OfferEnded { .. }
        | Event::PassedOver { .. }
        | Event::PassesLapsed { .. }
        | Event::Sealed { .. }
        | Event::Warned { .. }
        | Event::Counted { .. }
        | Event::WorkEnded { .. }
        | Event::Ended { .. }
        | Event::Continued { .. }
        | Event::Rated { .. }
        | Event::Quarantined { .. }
        | Event::Released { .. }
        | Event::AgentChanged { .. }
        | Event::Remembered { .. }
        | Event::DeadlinePutBack { .. }
        | Event::DeadlineDropped { .. }
        | Event::Decided { .. }
        | Event::QueueSteered { .. }
        | Event::StoodAside { .. } => return None,
    })
}

fn of_staff(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::Decided {
            conversation,
            receipt: decided,
        } => Kind::Decided(pb::ConversationDecided {
            conversation: Some(id(*conversation)),
            receipt: Some(receipt(decided)),
        }),
        Event::QueueSteered {
            queue,
            steered: done,
        } => Kind::QueueSteered(pb::QueueSteered {
            queue: queue.to_string(),
            steered: Some(steered(done)),
        }),
        Event::StoodAside { queue, from } => Kind::StoodAside(pb::QueueStoodAside {
            queue: queue.to_string(),
            from: from.map(line_place),
        }),
        _ => return None,
    })
}

/// The version and a hash of the content, which has up to 1 MiB.
fn plan_adopted(plan: &VersionedPlan) -> pb::PlanAdopted {
    let content = crate::plan::plan_to_wire(&plan.plan).encode_to_vec();
    pb::PlanAdopted {
        version: plan.version.0,
        content: Bytes::copy_from_slice(&super::chain::cut(&content).0),
    }
}

fn moved(conversations: &[ConversationId], plan: PlanVersion) -> pb::ConversationsMoved {
    pb::ConversationsMoved {
        conversations: conversations.iter().map(|moved| moved.index.0).collect(),
        plan: plan.0,
    }
}

fn alarm(alarm: &Alarm) -> pb::AlarmRaised {
    let (number, queue, numbers) = match alarm {
        Alarm::LeaderUnstable { starts } => (1, None, vec![u64::from(*starts)]),
        Alarm::OffersLapse {
            queue,
            lapsed,
            ended,
        } => (2, Some(queue), vec![u64::from(*lapsed), u64::from(*ended)]),
        Alarm::NobodyEligible { queue } => (3, Some(queue), Vec::new()),
        Alarm::Defect { index } => (4, None, vec![index.0]),
    };
    pb::AlarmRaised {
        alarm: number,
        queue: queue.map(ToString::to_string).unwrap_or_default(),
        numbers,
    }
}

#[cfg(test)]
mod tests {
    use domain::cell::transcript::{Author, ItemKind, Message as Said};
    use domain::ids::{Body, CellId, CellTime, LogIndex, RequestId, Sequence};

    use super::*;

    #[test]
    fn an_item_is_laid_as_the_schema_says() {
        let item = Item {
            sequence: Sequence(7),
            at: CellTime(11),
            wall_ms: 13,
            kind: ItemKind::Message(Said {
                id: RequestId::new("order-17").unwrap(),
                author: Author::Customer,
                body: Body::clear("hello"),
                sent_ms: 17,
                instance: None,
            }),
        };
        let event = Event::ItemAdded {
            conversation: ConversationId {
                cell: CellId(1),
                index: LogIndex(3),
            },
            item: item.into(),
        };
        let mut laid = Vec::new();
        lay_event(&event, &mut laid);
        assert_eq!(laid, applied_event(&event).encode_to_vec());
    }
}
