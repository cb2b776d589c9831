//! From stored commands to the domain's.
//! Promise: every field is checked; nothing is guessed.
//! Not here: the way there (`to_wire`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ::pb::store::v1::{self as pb, entry::Command as Stored};
use domain::cell::archive::ArchivedUpto;
use domain::cell::command::{
    Accept, Assign, Close, Command, CustomerPresence, Decline, Entry, HandOff, Intent,
    LeaderStarted, Lease, LeaseState, LogIn, LogOut, Note, OfferRef, Open, OwnerAct, QueueAct,
    Rate, Release, Requeue, Send, SetIntent, Target, Tick, Transfer,
};
use domain::cell::homes::{BucketSet, HeldBuckets};
use domain::ids::{CellTime, LogIndex, OwnerEpoch, PlanVersion, Session};
use domain::plan::VersionedPlan;

use crate::error::{WireError, check_machine};
use crate::ids::{
    actor, bad_enum, body, conversation, digest, instance, mark, name, need, offer,
    optional_conversation, optional_name, request_id,
};

type Read<T> = Result<T, WireError>;

pub(super) fn entry(stored: &pb::Entry) -> Read<Entry> {
    let asked = need(stored.command.as_ref(), "command")?;
    Ok(Entry {
        at: CellTime(stored.at_ms),
        wall_ms: stored.wall_ms,
        command: command(asked)?,
    })
}

fn command(stored: &Stored) -> Read<Command> {
    Ok(match stored {
        Stored::LeaderStarted(started) => Command::LeaderStarted(leader_started(*started)),
        Stored::Tick(due) => Command::Tick(tick(due)?),
        Stored::MatchMore(_) => Command::MatchMore,
        Stored::RaiseVersion(raise) => Command::RaiseVersion(check_machine(raise.version)?),
        Stored::HoldBuckets(held) => Command::HoldBuckets(Arc::new(held_buckets(held)?)),
        Stored::AdoptPlan(adopt) => Command::AdoptPlan(adopt_plan(adopt)?),
        Stored::Open(asked) => Command::Open(open(asked)?),
        Stored::Send(asked) => Command::Send(send(asked)?),
        Stored::CustomerPresence(seen) => Command::CustomerPresence(customer_presence(seen)?),
        Stored::Close(asked) => Command::Close(close(asked)?),
        Stored::Rate(asked) => Command::Rate(rate(asked)?),
        Stored::HandOff(asked) => Command::HandOff(hand_off(asked)?),
        Stored::LogIn(asked) => Command::LogIn(log_in(asked)?),
        Stored::LogOut(asked) => Command::LogOut(log_out(asked)?),
        Stored::SetIntent(asked) => Command::SetIntent(set_intent(asked)?),
        Stored::SetNextStatus(asked) => Command::SetNextStatus(set_intent(asked)?),
        Stored::Lease(changed) => Command::Lease(lease(changed)?),
        Stored::OfferShown(shown) => Command::OfferShown(offer_ref(Some(shown))?),
        Stored::Accept(asked) => Command::Accept(accept(asked)?),
        Stored::Decline(asked) => Command::Decline(decline(asked)?),
        Stored::Note(asked) => Command::Note(note(asked)?),
        Stored::Hold(act) => Command::Hold(owner_act(act)?),
        Stored::Resume(act) => Command::Resume(owner_act(act)?),
        Stored::Transfer(asked) => Command::Transfer(transfer(asked)?),
        Stored::FinishWrapUp(act) => Command::FinishWrapUp(owner_act(act)?),
        Stored::Release(asked) => Command::Release(release(asked)?),
        Stored::ArchivedUpto(next) => Command::ArchivedUpto(archived_upto(next)?),
        Stored::Checkpoint(found) => Command::Checkpoint(mark(found)?),
        Stored::Requeue(asked) => Command::Requeue(requeue(asked)?),
        Stored::Assign(asked) => Command::Assign(assign(asked)?),
        Stored::PauseQueue(asked) => Command::PauseQueue(queue_act(asked)?),
        Stored::ResumeQueue(asked) => Command::ResumeQueue(queue_act(asked)?),
    })
}

fn archived_upto(stored: &pb::ArchivedUpto) -> Read<ArchivedUpto> {
    Ok(ArchivedUpto {
        upto: LogIndex(stored.upto),
        count: stored.count,
        day: stored.day,
        digest: digest(&stored.digest, "archived_upto.digest")?,
        keep_from_day: stored.keep_from_day,
    })
}

fn leader_started(stored: pb::LeaderStarted) -> LeaderStarted {
    LeaderStarted {
        wall_ms: stored.wall_ms,
        without_leader_ms: stored.without_leader_ms,
        after_restart_of_all: stored.after_restart_of_all,
    }
}

fn tick(stored: &pb::Tick) -> Read<Tick> {
    let unreachable = stored.unreachable.iter();
    Ok(Tick {
        unreachable: unreachable
            .map(|agent| name(agent, "unreachable"))
            .collect::<Read<_>>()?,
    })
}

pub(crate) fn held_buckets(stored: &pb::HeldBuckets) -> Read<HeldBuckets> {
    let mut regions = BTreeMap::new();
    for row in &stored.regions {
        let bits = row.held.as_ref();
        let bytes = bits.try_into().map_err(|_| WireError::BadValue {
            field: "buckets.held",
            value: bits.len() as u64,
        })?;
        let set = BucketSet::from_bytes(bytes);
        if regions
            .insert(name(&row.region, "buckets.region")?, set)
            .is_some()
        {
            return Err(WireError::Repeated {
                field: "buckets",
                key: row.region.clone(),
            });
        }
    }
    Ok(HeldBuckets {
        regions,
        others: stored.others,
    })
}

pub(crate) fn adopt_plan(stored: &pb::AdoptPlan) -> Read<VersionedPlan> {
    let plan = crate::plan::plan_from_wire(need(stored.plan.as_ref(), "plan")?)?;
    Ok(VersionedPlan {
        version: PlanVersion(stored.version),
        plan: Arc::new(plan),
    })
}

fn open(stored: &pb::Open) -> Read<Open> {
    Ok(Open {
        request_id: request_id(stored.request_id.as_ref())?,
        account: name(&stored.account, "account")?,
        customer: name(&stored.customer, "customer")?,
        display_name: stored.display_name.clone(),
        site: name(&stored.site, "site")?,
        queue: optional_name(stored.queue.as_ref(), "queue")?,
        language: optional_name(stored.language.as_ref(), "language")?,
        topics: stored.topics.clone(),
        boost_ms: stored.boost_ms,
        bot_first: stored.bot_first,
        body: stored.body.as_ref().map(body),
        sent_ms: stored.sent_ms,
        instance: instance(stored.instance.as_ref())?,
        previous: optional_conversation(stored.previous.as_ref()),
    })
}

fn send(stored: &pb::Send) -> Read<Send> {
    Ok(Send {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        author: actor(stored.author.as_ref())?,
        body: body(need(stored.body.as_ref(), "body")?),
        sent_ms: stored.sent_ms,
        instance: instance(stored.instance.as_ref())?,
    })
}

fn customer_presence(stored: &pb::CustomerPresence) -> Read<CustomerPresence> {
    Ok(CustomerPresence {
        conversation: conversation(stored.conversation.as_ref())?,
        attached: stored.attached,
        our_fault: stored.our_fault,
    })
}

fn close(stored: &pb::Close) -> Read<Close> {
    Ok(Close {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        by: actor(stored.by.as_ref())?,
        reason: stored.reason.clone(),
        wrap_up: stored.wrap_up,
    })
}

fn rate(stored: &pb::Rate) -> Read<Rate> {
    Ok(Rate {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        score: stored.score,
        comment: stored.comment.clone(),
    })
}

fn hand_off(stored: &pb::HandOff) -> Read<HandOff> {
    Ok(HandOff {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        owner_epoch: OwnerEpoch(stored.owner_epoch),
    })
}

pub(crate) fn intent(stored: Option<&pb::Intent>) -> Read<Intent> {
    let stored = need(stored, "intent")?;
    Ok(if stored.ready {
        Intent::Ready
    } else {
        Intent::NotReady {
            reason: stored.reason.clone(),
        }
    })
}

fn log_in(stored: &pb::LogIn) -> Read<LogIn> {
    Ok(LogIn {
        agent: name(&stored.agent, "agent")?,
        request_id: request_id(stored.request_id.as_ref())?,
        device: name(&stored.device, "device")?,
        session: stored.session.map(Session),
        intent: intent(stored.intent.as_ref())?,
        site: name(&stored.site, "site")?,
    })
}

fn log_out(stored: &pb::LogOut) -> Read<LogOut> {
    Ok(LogOut {
        agent: name(&stored.agent, "agent")?,
        request_id: request_id(stored.request_id.as_ref())?,
        session: Session(stored.session),
        device: optional_name(stored.device.as_ref(), "device")?,
    })
}

fn set_intent(stored: &pb::SetIntent) -> Read<SetIntent> {
    Ok(SetIntent {
        agent: name(&stored.agent, "agent")?,
        request_id: request_id(stored.request_id.as_ref())?,
        session: stored.session.map(Session),
        staff: optional_name(stored.staff.as_ref(), "staff")?,
        intent: intent(stored.intent.as_ref())?,
        why: stored.why.clone(),
    })
}

pub(crate) fn lease_state(stored: i32) -> Read<LeaseState> {
    match pb::LeaseState::try_from(stored) {
        Ok(pb::LeaseState::Alive) => Ok(LeaseState::Alive),
        Ok(pb::LeaseState::Suspect) => Ok(LeaseState::Suspect),
        Ok(pb::LeaseState::Lost) => Ok(LeaseState::Lost),
        Ok(pb::LeaseState::Gone) => Ok(LeaseState::Gone),
        Ok(pb::LeaseState::Unspecified) | Err(_) => Err(bad_enum("lease.state", stored)),
    }
}

fn lease(stored: &pb::Lease) -> Read<Lease> {
    Ok(Lease {
        agent: name(&stored.agent, "agent")?,
        session: Session(stored.session),
        state: lease_state(stored.state)?,
        our_fault: stored.our_fault,
    })
}

fn offer_ref(stored: Option<&pb::OfferRef>) -> Read<OfferRef> {
    let stored = need(stored, "offer")?;
    Ok(OfferRef {
        offer: offer(stored.offer.as_ref())?,
        agent: name(&stored.agent, "agent")?,
        session: Session(stored.session),
    })
}

fn accept(stored: &pb::Accept) -> Read<Accept> {
    Ok(Accept {
        request_id: request_id(stored.request_id.as_ref())?,
        offer: offer_ref(stored.offer.as_ref())?,
        owner_epoch: OwnerEpoch(stored.owner_epoch),
    })
}

fn decline(stored: &pb::Decline) -> Read<Decline> {
    Ok(Decline {
        request_id: request_id(stored.request_id.as_ref())?,
        offer: offer_ref(stored.offer.as_ref())?,
        reason: stored.reason.clone(),
    })
}

fn note(stored: &pb::Note) -> Read<Note> {
    Ok(Note {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        author: actor(stored.author.as_ref())?,
        body: body(need(stored.body.as_ref(), "body")?),
    })
}

fn owner_act(stored: &pb::OwnerAct) -> Read<OwnerAct> {
    Ok(OwnerAct {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        by: actor(stored.by.as_ref())?,
    })
}

fn transfer(stored: &pb::Transfer) -> Read<Transfer> {
    let target = match need(stored.target.as_ref(), "target")? {
        pb::transfer::Target::Agent(target) => Target::Agent {
            agent: name(&target.agent, "target.agent")?,
            wait: target.wait,
        },
        pb::transfer::Target::Queue(queue) => Target::Queue(name(queue, "target.queue")?),
    };
    Ok(Transfer {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        by: actor(stored.by.as_ref())?,
        target,
        note: stored.note.as_ref().map(body),
    })
}

fn release(stored: &pb::Release) -> Read<Release> {
    Ok(Release {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        staff: name(&stored.staff, "staff")?,
        reason: stored.reason.clone(),
    })
}

fn requeue(stored: &pb::Requeue) -> Read<Requeue> {
    Ok(Requeue {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        staff: name(&stored.staff, "staff")?,
        reason: stored.reason.clone(),
    })
}

fn assign(stored: &pb::Assign) -> Read<Assign> {
    let target = need(stored.target.as_ref(), "target")?;
    Ok(Assign {
        conversation: conversation(stored.conversation.as_ref())?,
        request_id: request_id(stored.request_id.as_ref())?,
        staff: name(&stored.staff, "staff")?,
        agent: name(&target.agent, "target.agent")?,
        wait: target.wait,
        reason: stored.reason.clone(),
    })
}

fn queue_act(stored: &pb::QueueAct) -> Read<QueueAct> {
    Ok(QueueAct {
        queue: name(&stored.queue, "queue")?,
        request_id: request_id(stored.request_id.as_ref())?,
        staff: name(&stored.staff, "staff")?,
        reason: stored.reason.clone(),
    })
}
