//! From a conversation's record to its stored form.
//! Promise: every stored field is written; what is derived is not.
//! Not here: the way back (`conversation_from_wire`).

use ::pb::store::v1 as pb;
use domain::cell::conversation::{
    Active, Closed, Conversation, Ending, Held, Offer, Phase, Rating, WrapUp,
};
use domain::cell::receipts::{Exclusion, Found, Order, Receipt};
use domain::cell::transcript::{
    Author, HoldReason, Item, ItemKind, Message, NoticeKind, RemarkItem, RequeueReason,
};
use domain::plan::Strategy;
use mutants::{Mutant, planted};

use super::cell_to_wire::{offer_outcome, remembered};
use crate::ids::{
    body_to_wire, conversation_to_wire, instance_to_wire, offer_to_wire, request_id_to_wire,
};
use crate::plan::to_wire::{urgency, wrap_up};

pub(crate) fn conversation(found: &Conversation) -> pb::Conversation {
    let passed_over = found.passed_over.iter().map(|passed| pb::PassedOver {
        agent: passed.agent.to_string(),
        until_ms: passed.until.0,
    });
    pb::Conversation {
        id: Some(conversation_to_wire(found.id)),
        tenant: found.tenant.to_string(),
        account: found.account.to_string(),
        customer: found.customer.to_string(),
        display_name: found.display_name.to_string(),
        channel: found.channel.to_string(),
        site: found.site.to_string(),
        language: found.language.as_ref().map(ToString::to_string),
        topics: found.topics.iter().map(ToString::to_string).collect(),
        previous: found.previous.map(conversation_to_wire),
        continued_to: found.continued_to.map(conversation_to_wire),
        created_at_ms: found.created_at.0,
        created_wall_ms: found.created_wall_ms,
        aged_from_ms: found.aged_from.0,
        entered_at_ms: found.entered_at.0,
        queue: found.queue.to_string(),
        pinned: found.pinned.0,
        classed_by: found.classed_by.0,
        urgency: urgency(found.urgency).into(),
        boost_ms: found.boost_ms,
        phase: Some(phase(&found.phase)),
        owner_epoch: found.owner_epoch.0,
        quarantined: found.quarantined.map(|index| index.0),
        gone_at_ms: found.gone.map(|gone| gone.at.0),
        gone_our_fault: found.gone.is_some_and(|gone| gone.our_fault),
        answered: found.answered,
        first_response_at_ms: found.first_response_at.map(|at| at.0),
        handled_ms: found.handled_ms,
        passed_over: passed_over.collect(),
        items: found.items.iter().map(|found| item(&found)).collect(),
        remarks: found.remarks.iter().map(|found| remark(found)).collect(),
        messages: found.messages,
        message_bytes: found.message_bytes,
        requests: match planted(Mutant::DropDedupFromSnapshot) {
            true => Vec::new(),
            false => found.requests.iter().map(remembered).collect(),
        },
        receipts: found.receipts.iter().map(|found| receipt(found)).collect(),
        rating: found.rating.as_deref().map(rating),
        deadline_ms: found.deadline.map(|deadline| deadline.0),
        attached_once: found.attached_once,
        boost_asked_ms: found.boost_asked_ms,
        returned_at_ms: found.returned_at.0,
    }
}

pub(crate) fn rating(rating: &Rating) -> pb::Rating {
    pb::Rating {
        score: rating.score,
        comment: rating.comment.to_string(),
        at_ms: rating.at.0,
    }
}

pub(crate) fn phase(phase: &Phase) -> pb::conversation::Phase {
    use pb::conversation::Phase as Stored;
    match phase {
        Phase::Bot => Stored::Bot(pb::PhaseBot {}),
        Phase::Queued(waiting) => Stored::Queued(pb::PhaseQueued {
            prefer: waiting.prefer.as_ref().map(ToString::to_string),
            held: held(waiting.held),
        }),
        Phase::Offered(found) => Stored::Offered(offered(found)),
        Phase::Active(found) => Stored::Active(active(found)),
        Phase::OnHold(hold) => Stored::OnHold(pb::PhaseOnHold {
            agent: hold.agent.to_string(),
            since_ms: hold.since.0,
            reason: hold_reason(hold.reason).into(),
            replied: hold.replied,
            first_reply_spent_ms: hold.first_reply_spent_ms,
            first_reply_warned: hold.first_reply_warned,
        }),
        Phase::WrapUp(found) => Stored::WrapUp(after_work(found)),
        Phase::Closed(found) => Stored::Closed(closed(found)),
    }
}

fn held(held: Held) -> Option<pb::phase_queued::Held> {
    use pb::phase_queued::Held as Stored;
    match held {
        Held::No => None,
        Held::For { since, ms } => Some(Stored::HeldFor(pb::HeldFor {
            since_ms: since.0,
            period_ms: ms,
        })),
        Held::OwnLine => Some(Stored::HeldOwnLine(pb::HeldOwnLine {})),
    }
}

fn offered(offer: &Offer) -> pb::PhaseOffered {
    pb::PhaseOffered {
        id: Some(offer_to_wire(offer.id)),
        agent: offer.agent.to_string(),
        session: offer.session.0,
        made_at_ms: offer.made_at.0,
        period_ms: offer.period_ms,
        shown_at_ms: offer.shown_at.map(|at| at.0),
        units: offer.units,
        prefer: offer.prefer.as_ref().map(ToString::to_string),
    }
}

fn active(active: &Active) -> pb::PhaseActive {
    pb::PhaseActive {
        agent: active.agent.to_string(),
        since_ms: active.since.0,
        units: active.units,
        replied: active.replied,
        awaiting_customer_ms: active.awaiting_customer.map(|since| since.0),
        first_reply_spent_ms: active.first_reply_spent_ms,
        first_reply_warned: active.first_reply_warned,
        silence_warned: active.silence_warned,
        lost_handled: active.lost_handled,
    }
}

fn after_work(found: &WrapUp) -> pb::PhaseWrapUp {
    pb::PhaseWrapUp {
        agent: found.agent.to_string(),
        since_ms: found.since.0,
        units: found.units,
        mode: wrap_up(found.mode).into(),
        limit_ms: found.limit_ms,
    }
}

pub(crate) fn ending(how: Ending) -> pb::Ending {
    match how {
        Ending::Closed => pb::Ending::Closed,
        Ending::Abandoned { short: false } => pb::Ending::Abandoned,
        Ending::Abandoned { short: true } => pb::Ending::AbandonedShort,
        Ending::HoldOver => pb::Ending::HoldOver,
        Ending::Continued => pb::Ending::Continued,
    }
}

fn closed(closed: &Closed) -> pb::PhaseClosed {
    pb::PhaseClosed {
        at_ms: closed.at.0,
        how: ending(closed.how).into(),
        by: Some(author(&closed.by)),
        agent: closed.agent.as_ref().map(ToString::to_string),
        sealed: closed.sealed.map(|index| index.0),
    }
}

fn author(author: &Author) -> pb::Principal {
    use pb::principal::Who;
    let who = match author {
        Author::Customer => Who::Customer(pb::PrincipalCustomer {}),
        Author::Agent(agent) => Who::Agent(agent.to_string()),
        Author::Bot => Who::Bot(pb::PrincipalBot {}),
        Author::Staff(staff) => Who::Staff(staff.to_string()),
        Author::Machine => Who::Machine(pb::PrincipalMachine {}),
    };
    pb::Principal { who: Some(who) }
}

fn hold_reason(reason: HoldReason) -> pb::HoldReason {
    match reason {
        HoldReason::ByAgent => pb::HoldReason::ByAgent,
        HoldReason::CustomerSilent => pb::HoldReason::CustomerSilent,
        HoldReason::AgentLost => pb::HoldReason::AgentLost,
    }
}

fn requeue_reason(reason: RequeueReason) -> pb::RequeueReason {
    match reason {
        RequeueReason::AgentLost => pb::RequeueReason::AgentLost,
        RequeueReason::AgentLeft => pb::RequeueReason::AgentLeft,
        RequeueReason::NoFirstReply => pb::RequeueReason::NoFirstReply,
        RequeueReason::AgentBusy => pb::RequeueReason::AgentBusy,
        RequeueReason::Quarantined => pb::RequeueReason::Quarantined,
        RequeueReason::BySupervisor => pb::RequeueReason::BySupervisor,
    }
}

pub(crate) fn item(item: &Item) -> pb::Item {
    use pb::item::Kind;
    let kind = match &item.kind {
        ItemKind::Message(found) => Kind::Message(message(found)),
        ItemKind::Joined {
            agent,
            display_name,
        } => Kind::Joined(pb::ItemJoined {
            agent: agent.to_string(),
            display_name: display_name.to_string(),
        }),
        ItemKind::Requeued { reason } => Kind::Requeued(pb::ItemRequeued {
            reason: requeue_reason(*reason).into(),
        }),
        ItemKind::Held { reason } => Kind::Held(pb::ItemHeld {
            reason: hold_reason(*reason).into(),
        }),
        ItemKind::Resumed => Kind::Resumed(pb::ItemResumed {}),
        ItemKind::TransferredToQueue { queue } => Kind::TransferredToQueue(queue.to_string()),
        ItemKind::TransferredToAgent { agent } => Kind::TransferredToAgent(agent.to_string()),
        ItemKind::Continued { to } => Kind::Continued(conversation_to_wire(*to)),
        ItemKind::Notice { kind, text } => {
            let kind = match kind {
                NoticeKind::Greeting => pb::NoticeKind::Greeting,
                NoticeKind::NobodyStaffed => pb::NoticeKind::NobodyStaffed,
            };
            Kind::Notice(pb::ItemNotice {
                kind: kind.into(),
                text: text.to_string(),
            })
        }
        ItemKind::Closed { by, .. } => Kind::Closed(author(by)),
    };
    let closed_reason = match &item.kind {
        ItemKind::Closed { reason, .. } => reason.as_deref().map(str::to_owned),
        _ => None,
    };
    pb::Item {
        closed_reason,
        sequence: item.sequence.0,
        at_ms: item.at.0,
        wall_ms: item.wall_ms,
        kind: Some(kind),
    }
}

fn message(message: &Message) -> pb::ItemMessage {
    pb::ItemMessage {
        id: Some(request_id_to_wire(&message.id)),
        author: Some(author(&message.author)),
        body: Some(body_to_wire(&message.body)),
        sent_ms: message.sent_ms,
        instance: message.instance.as_deref().map(instance_to_wire),
    }
}

pub(crate) fn remark(remark: &RemarkItem) -> pb::Remark {
    pb::Remark {
        number: remark.number,
        after: remark.after.0,
        at_ms: remark.at.0,
        wall_ms: remark.wall_ms,
        author: Some(author(&remark.author)),
        body: Some(body_to_wire(&remark.body)),
    }
}

pub(crate) fn receipt(receipt: &Receipt) -> pb::Receipt {
    let excluded = receipt.excluded.iter().map(|(agent, why)| pb::Excluded {
        agent: agent.to_string(),
        why: exclusion(*why).into(),
    });
    let found = match receipt.found {
        Found::ByStrategy(Strategy::LongestIdle) => pb::FoundBy::LongestIdle,
        Found::ByStrategy(Strategy::LeastLoad) => pb::FoundBy::LeastLoad,
        Found::Preferred => pb::FoundBy::Preferred,
        Found::Named => pb::FoundBy::Named,
        Found::Assigned => pb::FoundBy::Assigned,
        Found::ToQueue => pb::FoundBy::ToQueue,
        Found::ToOwnLine => pb::FoundBy::ToOwnLine,
        Found::Requeued => pb::FoundBy::Requeued,
        Found::Released => pb::FoundBy::Released,
        Found::Ended => pb::FoundBy::Ended,
    };
    pb::Receipt {
        index: receipt.index.0,
        at_ms: receipt.at.0,
        plan: receipt.plan.0,
        waited_ms: receipt.waited_ms,
        candidates: receipt.candidates,
        chosen: receipt
            .chosen
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        found: found.into(),
        excluded: excluded.collect(),
        excluded_more: receipt.excluded_more,
        declined: receipt.declined.as_deref().map(str::to_owned),
        outcome: receipt.outcome.map_or(0, |how| offer_outcome(how).into()),
        ordered: receipt.ordered.as_deref().map(order),
    }
}

fn order(order: &Order) -> pb::Order {
    pb::Order {
        by: Some(author(&order.by)),
        why: order.why.to_string(),
        to_queue: order.to.as_ref().map(ToString::to_string),
    }
}

fn exclusion(why: Exclusion) -> pb::Exclusion {
    match why {
        Exclusion::NotReady => pb::Exclusion::NotReady,
        Exclusion::Unreachable => pb::Exclusion::Unreachable,
        Exclusion::AtCapacity => pb::Exclusion::AtCapacity,
        Exclusion::NotResponding => pb::Exclusion::NotResponding,
        Exclusion::BackOff => pb::Exclusion::BackOff,
        Exclusion::PassedOver => pb::Exclusion::PassedOver,
        Exclusion::Retired => pb::Exclusion::Retired,
    }
}
