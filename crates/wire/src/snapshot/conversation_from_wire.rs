//! From a conversation's stored form to its record.
//! Promise: every field is checked; items without a gap; what is derived is left to the domain.
//! Not here: the way there (`conversation_to_wire`).

use std::sync::Arc;

use ::pb::store::v1 as pb;
use domain::cell::conversation::{
    Active, Closed, Conversation, Ending, Gone, Held, Offer, OnHold, PassedOver, Phase, Rating,
    Waiting, WrapUp,
};
use domain::cell::items::Items;
use domain::cell::receipts::{Exclusion, Found, Order, Receipt};
use domain::cell::transcript::{
    Author, HoldReason, Item, ItemKind, Message, NoticeKind, RemarkItem, RequeueReason,
};
use domain::ids::{CellTime, LogIndex, OwnerEpoch, PlanVersion, Sequence, Session};
use domain::plan::Strategy;
use mutants::{Mutant, planted};

use super::cell_from_wire::{Read, outcome, remembered};
use super::chunks::not_whole;
use crate::ids::{
    bad_enum, body, conversation as conversation_id, instance, name, need, offer,
    optional_conversation, optional_name, request_id,
};
use crate::plan::from_wire::{urgency, wrap_up};

pub(crate) fn conversation(stored: &pb::Conversation) -> Read<Conversation> {
    Ok(Conversation {
        id: conversation_id(stored.id.as_ref())?,
        tenant: name(&stored.tenant, "conversation.tenant")?,
        account: name(&stored.account, "conversation.account")?,
        customer: name(&stored.customer, "conversation.customer")?,
        display_name: Box::from(stored.display_name.as_str()),
        channel: name(&stored.channel, "conversation.channel")?,
        site: name(&stored.site, "conversation.site")?,
        language: optional_name(stored.language.as_ref(), "conversation.language")?,
        topics: stored
            .topics
            .iter()
            .map(|topic| Box::from(topic.as_str()))
            .collect(),
        previous: optional_conversation(stored.previous.as_ref()),
        continued_to: optional_conversation(stored.continued_to.as_ref()),
        created_at: CellTime(stored.created_at_ms),
        created_wall_ms: stored.created_wall_ms,
        aged_from: CellTime(stored.aged_from_ms),
        entered_at: CellTime(stored.entered_at_ms),
        queue: name(&stored.queue, "conversation.queue")?,
        pinned: PlanVersion(stored.pinned),
        classed_by: PlanVersion(stored.classed_by),
        urgency: urgency(stored.urgency)?,
        // A snapshot of before the asked boost was kept has the capped one alone.
        boost_asked_ms: stored.boost_asked_ms.max(stored.boost_ms),
        boost_ms: stored.boost_ms,
        phase: phase(need(stored.phase.as_ref(), "conversation.phase")?)?,
        owner_epoch: OwnerEpoch(stored.owner_epoch),
        quarantined: stored.quarantined.map(LogIndex),
        gone: gone(stored),
        returned_at: CellTime(stored.returned_at_ms),
        attached_once: stored.attached_once,
        answered: stored.answered,
        first_response_at: stored.first_response_at_ms.map(CellTime),
        handled_ms: stored.handled_ms,
        passed_over: stored
            .passed_over
            .iter()
            .map(passed_over)
            .collect::<Read<_>>()?,
        items: items(&stored.items)?,
        remarks: remarks(&stored.remarks)?,
        messages: stored.messages,
        message_bytes: stored.message_bytes,
        requests: stored
            .requests
            .iter()
            .filter(|_| !planted(Mutant::ForgetDedupAfterSnapshot))
            .map(remembered)
            .collect::<Read<_>>()?,
        receipts: stored
            .receipts
            .iter()
            .map(|found| receipt(found).map(Arc::new))
            .collect::<Read<_>>()?,
        rating: stored.rating.as_ref().map(|rating| {
            Box::new(Rating {
                score: rating.score,
                comment: Box::from(rating.comment.as_str()),
                at: CellTime(rating.at_ms),
            })
        }),
        deadline: stored.deadline_ms.map(CellTime),
    })
}

fn gone(stored: &pb::Conversation) -> Option<Gone> {
    let our_fault = stored.gone_our_fault;
    stored.gone_at_ms.map(|at| Gone {
        at: CellTime(at),
        our_fault,
    })
}

fn passed_over(stored: &pb::PassedOver) -> Read<PassedOver> {
    Ok(PassedOver {
        agent: name(&stored.agent, "passed_over.agent")?,
        until: CellTime(stored.until_ms),
    })
}

fn phase(stored: &pb::conversation::Phase) -> Read<Phase> {
    use pb::conversation::Phase as Stored;
    Ok(match stored {
        Stored::Bot(_) => Phase::Bot,
        Stored::Queued(queued) => Phase::Queued(Waiting {
            prefer: optional_name(queued.prefer.as_ref(), "queued.prefer")?,
            held: held(queued.held.as_ref()),
        }),
        Stored::Offered(offered) => Phase::Offered(Box::new(offered_phase(offered)?)),
        Stored::Active(found) => Phase::Active(active(found)?),
        Stored::OnHold(hold) => Phase::OnHold(OnHold {
            agent: name(&hold.agent, "on_hold.agent")?,
            since: CellTime(hold.since_ms),
            reason: hold_reason(hold.reason)?,
            replied: hold.replied,
            first_reply_spent_ms: hold.first_reply_spent_ms,
            first_reply_warned: hold.first_reply_warned,
        }),
        Stored::WrapUp(found) => Phase::WrapUp(WrapUp {
            agent: name(&found.agent, "wrap_up.agent")?,
            since: CellTime(found.since_ms),
            units: found.units,
            mode: wrap_up(found.mode)?,
            limit_ms: found.limit_ms,
        }),
        Stored::Closed(found) => Phase::Closed(closed(found)?),
    })
}

fn held(stored: Option<&pb::phase_queued::Held>) -> Held {
    use pb::phase_queued::Held as Stored;
    match stored {
        None => Held::No,
        Some(Stored::HeldFor(held)) => Held::For {
            since: CellTime(held.since_ms),
            ms: held.period_ms,
        },
        Some(Stored::HeldOwnLine(_)) => Held::OwnLine,
    }
}

fn offered_phase(stored: &pb::PhaseOffered) -> Read<Offer> {
    Ok(Offer {
        id: offer(stored.id.as_ref())?,
        agent: name(&stored.agent, "offered.agent")?,
        session: Session(stored.session),
        made_at: CellTime(stored.made_at_ms),
        period_ms: stored.period_ms,
        shown_at: stored.shown_at_ms.map(CellTime),
        units: stored.units,
        prefer: optional_name(stored.prefer.as_ref(), "offered.prefer")?,
    })
}

fn active(stored: &pb::PhaseActive) -> Read<Active> {
    Ok(Active {
        agent: name(&stored.agent, "active.agent")?,
        since: CellTime(stored.since_ms),
        units: stored.units,
        replied: stored.replied,
        awaiting_customer: stored.awaiting_customer_ms.map(CellTime),
        first_reply_spent_ms: stored.first_reply_spent_ms,
        first_reply_warned: stored.first_reply_warned,
        silence_warned: stored.silence_warned,
        lost_handled: stored.lost_handled,
    })
}

fn closed(stored: &pb::PhaseClosed) -> Read<Closed> {
    let how = match stored.how() {
        pb::Ending::Closed => Ending::Closed,
        pb::Ending::Abandoned => Ending::Abandoned { short: false },
        pb::Ending::AbandonedShort => Ending::Abandoned { short: true },
        pb::Ending::HoldOver => Ending::HoldOver,
        pb::Ending::Continued => Ending::Continued,
        pb::Ending::Unspecified => return Err(bad_enum("closed.how", stored.how)),
    };
    Ok(Closed {
        at: CellTime(stored.at_ms),
        how,
        by: author(stored.by.as_ref())?,
        agent: optional_name(stored.agent.as_ref(), "closed.agent")?,
        sealed: stored.sealed.map(LogIndex),
    })
}

fn author(stored: Option<&pb::Principal>) -> Read<Author> {
    use pb::principal::Who;
    let who = need(stored.and_then(|found| found.who.as_ref()), "author")?;
    Ok(match who {
        Who::Customer(_) => Author::Customer,
        Who::Agent(agent) => Author::Agent(name(agent, "author.agent")?),
        Who::Bot(_) => Author::Bot,
        Who::Staff(staff) => Author::Staff(name(staff, "author.staff")?),
        Who::Machine(_) => Author::Machine,
    })
}

fn hold_reason(stored: i32) -> Read<HoldReason> {
    match pb::HoldReason::try_from(stored) {
        Ok(pb::HoldReason::ByAgent) => Ok(HoldReason::ByAgent),
        Ok(pb::HoldReason::CustomerSilent) => Ok(HoldReason::CustomerSilent),
        Ok(pb::HoldReason::AgentLost) => Ok(HoldReason::AgentLost),
        Ok(pb::HoldReason::Unspecified) | Err(_) => Err(bad_enum("hold.reason", stored)),
    }
}

fn requeue_reason(stored: i32) -> Read<RequeueReason> {
    match pb::RequeueReason::try_from(stored) {
        Ok(pb::RequeueReason::AgentLost) => Ok(RequeueReason::AgentLost),
        Ok(pb::RequeueReason::AgentLeft) => Ok(RequeueReason::AgentLeft),
        Ok(pb::RequeueReason::NoFirstReply) => Ok(RequeueReason::NoFirstReply),
        Ok(pb::RequeueReason::AgentBusy) => Ok(RequeueReason::AgentBusy),
        Ok(pb::RequeueReason::Quarantined) => Ok(RequeueReason::Quarantined),
        Ok(pb::RequeueReason::BySupervisor) => Ok(RequeueReason::BySupervisor),
        Ok(pb::RequeueReason::Unspecified) | Err(_) => Err(bad_enum("requeued.reason", stored)),
    }
}

/// Items are found by their place, so a gap would shift all that follow.
fn items(stored: &[pb::Item]) -> Read<Items> {
    let gapless = stored
        .iter()
        .zip(1..)
        .all(|(item, place)| item.sequence == place);
    if !gapless {
        return Err(not_whole("a transcript has a gap"));
    }
    stored.iter().map(item).collect()
}

fn item(stored: &pb::Item) -> Read<Item> {
    use pb::item::Kind;
    let kind = match need(stored.kind.as_ref(), "item.kind")? {
        Kind::Message(found) => ItemKind::Message(message(found)?),
        Kind::Joined(joined) => ItemKind::Joined {
            agent: name(&joined.agent, "joined.agent")?,
            display_name: Arc::from(joined.display_name.as_str()),
        },
        Kind::Requeued(requeued) => ItemKind::Requeued {
            reason: requeue_reason(requeued.reason)?,
        },
        Kind::Held(held) => ItemKind::Held {
            reason: hold_reason(held.reason)?,
        },
        Kind::Resumed(_) => ItemKind::Resumed,
        Kind::TransferredToQueue(queue) => ItemKind::TransferredToQueue {
            queue: name(queue, "transferred_to_queue")?,
        },
        Kind::TransferredToAgent(agent) => ItemKind::TransferredToAgent {
            agent: name(agent, "transferred_to_agent")?,
        },
        Kind::Continued(to) => ItemKind::Continued {
            to: conversation_id(Some(to))?,
        },
        Kind::Notice(notice) => {
            let kind = match notice.kind() {
                pb::NoticeKind::Greeting => NoticeKind::Greeting,
                pb::NoticeKind::NobodyStaffed => NoticeKind::NobodyStaffed,
                pb::NoticeKind::Unspecified => return Err(bad_enum("notice.kind", notice.kind)),
            };
            ItemKind::Notice {
                kind,
                text: Arc::from(notice.text.as_str()),
            }
        }
        Kind::Closed(by) => ItemKind::Closed {
            by: author(Some(by))?,
            reason: stored.closed_reason.as_deref().map(Box::from),
        },
    };
    Ok(Item {
        sequence: Sequence(stored.sequence),
        at: CellTime(stored.at_ms),
        wall_ms: stored.wall_ms,
        kind,
    })
}

fn message(stored: &pb::ItemMessage) -> Read<Message> {
    Ok(Message {
        id: request_id(stored.id.as_ref())?,
        author: author(stored.author.as_ref())?,
        body: body(need(stored.body.as_ref(), "message.body")?),
        sent_ms: stored.sent_ms,
        instance: instance(stored.instance.as_ref())?.map(Box::new),
    })
}

fn remarks(stored: &[pb::Remark]) -> Read<Vec<Arc<RemarkItem>>> {
    stored
        .iter()
        .map(|found| remark(found).map(Arc::new))
        .collect()
}

fn remark(stored: &pb::Remark) -> Read<RemarkItem> {
    Ok(RemarkItem {
        number: stored.number,
        after: Sequence(stored.after),
        at: CellTime(stored.at_ms),
        wall_ms: stored.wall_ms,
        author: author(stored.author.as_ref())?,
        body: body(need(stored.body.as_ref(), "remark.body")?),
    })
}

fn receipt(stored: &pb::Receipt) -> Read<Receipt> {
    let found = match stored.found() {
        pb::FoundBy::LongestIdle => Found::ByStrategy(Strategy::LongestIdle),
        pb::FoundBy::LeastLoad => Found::ByStrategy(Strategy::LeastLoad),
        pb::FoundBy::Preferred => Found::Preferred,
        pb::FoundBy::Named => Found::Named,
        pb::FoundBy::Assigned => Found::Assigned,
        pb::FoundBy::ToQueue => Found::ToQueue,
        pb::FoundBy::ToOwnLine => Found::ToOwnLine,
        pb::FoundBy::Requeued => Found::Requeued,
        pb::FoundBy::Released => Found::Released,
        pb::FoundBy::Ended => Found::Ended,
        pb::FoundBy::Unspecified => return Err(bad_enum("receipt.found", stored.found)),
    };
    let mut excluded = Vec::with_capacity(stored.excluded.len());
    for row in &stored.excluded {
        excluded.push((name(&row.agent, "excluded.agent")?, exclusion(row.why)?));
    }
    let chosen = Some(&stored.chosen).filter(|chosen| !chosen.is_empty());
    let outcome = match stored.outcome {
        0 => None,
        how => Some(outcome(stored.outcome()).ok_or_else(|| bad_enum("receipt.outcome", how))?),
    };
    Ok(Receipt {
        index: LogIndex(stored.index),
        at: CellTime(stored.at_ms),
        plan: PlanVersion(stored.plan),
        waited_ms: stored.waited_ms,
        candidates: stored.candidates,
        chosen: optional_name(chosen, "receipt.chosen")?,
        found,
        excluded,
        excluded_more: stored.excluded_more,
        declined: stored.declined.as_deref().map(Box::from),
        outcome,
        ordered: stored.ordered.as_ref().map(order).transpose()?,
    })
}

fn order(stored: &pb::Order) -> Read<Box<Order>> {
    Ok(Box::new(Order {
        by: author(stored.by.as_ref())?,
        why: stored.why.as_str().into(),
        to: optional_name(stored.to_queue.as_ref(), "order.to_queue")?,
    }))
}

fn exclusion(stored: i32) -> Read<Exclusion> {
    match pb::Exclusion::try_from(stored) {
        Ok(pb::Exclusion::NotReady) => Ok(Exclusion::NotReady),
        Ok(pb::Exclusion::Unreachable) => Ok(Exclusion::Unreachable),
        Ok(pb::Exclusion::AtCapacity) => Ok(Exclusion::AtCapacity),
        Ok(pb::Exclusion::NotResponding) => Ok(Exclusion::NotResponding),
        Ok(pb::Exclusion::BackOff) => Ok(Exclusion::BackOff),
        Ok(pb::Exclusion::PassedOver) => Ok(Exclusion::PassedOver),
        Ok(pb::Exclusion::Retired) => Ok(Exclusion::Retired),
        Ok(pb::Exclusion::Unspecified) | Err(_) => Err(bad_enum("excluded.why", stored)),
    }
}
