//! From the domain's commands to stored ones.
//! Promise: every field is written.
//! Not here: the way back (`from_wire`).

use ::pb::store::v1::{self as pb, entry::Command as Stored};
use domain::cell::archive::ArchivedUpto;
use domain::cell::command::{
    Accept, Assign, Close, Command, CustomerPresence, Decline, Entry, HandOff, Intent,
    LeaderStarted, Lease, LeaseState, LogIn, LogOut, Note, OfferRef, Open, OwnerAct, QueueAct,
    Rate, Release, Requeue, Send, SetIntent, Target, Transfer,
};
use domain::cell::homes::HeldBuckets;
use domain::plan::VersionedPlan;

use super::ENTRY_FORMAT;
use crate::error::machine_to_wire;
use crate::ids::{
    actor_to_wire, body_to_wire, conversation_to_wire, digest_to_wire, instance_to_wire,
    mark_to_wire, offer_to_wire, request_id_to_wire,
};

pub(super) fn entry(entry: &Entry) -> pb::Entry {
    pb::Entry {
        format: ENTRY_FORMAT,
        at_ms: entry.at.0,
        wall_ms: entry.wall_ms,
        machine_version: machine_to_wire(entry.command.readable_since()),
        traceparent: String::new(),
        command: Some(command(&entry.command)),
    }
}

fn command(command: &Command) -> Stored {
    match command {
        Command::LeaderStarted(started) => Stored::LeaderStarted(leader_started(*started)),
        Command::Tick(tick) => Stored::Tick(pb::Tick {
            unreachable: tick.unreachable.iter().map(ToString::to_string).collect(),
        }),
        Command::MatchMore => Stored::MatchMore(pb::MatchMore {}),
        Command::RaiseVersion(version) => {
            Stored::RaiseVersion(pb::RaiseVersion { version: version.0 })
        }
        Command::HoldBuckets(held) => Stored::HoldBuckets(held_buckets(held)),
        Command::AdoptPlan(adopt) => Stored::AdoptPlan(adopt_plan(adopt)),
        Command::Open(asked) => Stored::Open(open(asked)),
        Command::Send(asked) => Stored::Send(send(asked)),
        Command::CustomerPresence(seen) => Stored::CustomerPresence(customer_presence(seen)),
        Command::Close(asked) => Stored::Close(close(asked)),
        Command::Rate(asked) => Stored::Rate(rate(asked)),
        Command::HandOff(asked) => Stored::HandOff(hand_off(asked)),
        Command::LogIn(asked) => Stored::LogIn(log_in(asked)),
        Command::LogOut(asked) => Stored::LogOut(log_out(asked)),
        Command::SetIntent(asked) => Stored::SetIntent(set_intent(asked)),
        Command::SetNextStatus(asked) => Stored::SetNextStatus(set_intent(asked)),
        Command::Lease(changed) => Stored::Lease(lease(changed)),
        Command::OfferShown(shown) => Stored::OfferShown(offer_ref(shown)),
        Command::Accept(asked) => Stored::Accept(accept(asked)),
        Command::Decline(asked) => Stored::Decline(decline(asked)),
        Command::Note(asked) => Stored::Note(note(asked)),
        Command::Hold(act) => Stored::Hold(owner_act(act)),
        Command::Resume(act) => Stored::Resume(owner_act(act)),
        Command::Transfer(asked) => Stored::Transfer(transfer(asked)),
        Command::FinishWrapUp(act) => Stored::FinishWrapUp(owner_act(act)),
        Command::Release(asked) => Stored::Release(release(asked)),
        Command::ArchivedUpto(next) => Stored::ArchivedUpto(archived_upto(next)),
        Command::Checkpoint(found) => Stored::Checkpoint(mark_to_wire(*found)),
        Command::Requeue(asked) => Stored::Requeue(requeue(asked)),
        Command::Assign(asked) => Stored::Assign(assign(asked)),
        Command::PauseQueue(asked) => Stored::PauseQueue(queue_act(asked)),
        Command::ResumeQueue(asked) => Stored::ResumeQueue(queue_act(asked)),
    }
}

pub(super) fn archived_upto(next: &ArchivedUpto) -> pb::ArchivedUpto {
    pb::ArchivedUpto {
        upto: next.upto.0,
        count: next.count,
        day: next.day,
        digest: digest_to_wire(next.digest),
        keep_from_day: next.keep_from_day,
    }
}

fn leader_started(started: LeaderStarted) -> pb::LeaderStarted {
    pb::LeaderStarted {
        wall_ms: started.wall_ms,
        without_leader_ms: started.without_leader_ms,
        after_restart_of_all: started.after_restart_of_all,
    }
}

pub(crate) fn held_buckets(held: &HeldBuckets) -> pb::HeldBuckets {
    let regions = held.regions.iter();
    pb::HeldBuckets {
        regions: regions
            .map(|(region, set)| pb::HeldRegion {
                region: region.to_string(),
                held: set.as_bytes().to_vec().into(),
            })
            .collect(),
        others: held.others,
    }
}

pub(crate) fn adopt_plan(adopt: &VersionedPlan) -> pb::AdoptPlan {
    pb::AdoptPlan {
        version: adopt.version.0,
        plan: Some(crate::plan::plan_to_wire(&adopt.plan)),
    }
}

fn open(open: &Open) -> pb::Open {
    pb::Open {
        request_id: Some(request_id_to_wire(&open.request_id)),
        account: open.account.to_string(),
        customer: open.customer.to_string(),
        display_name: open.display_name.clone(),
        site: open.site.to_string(),
        queue: open.queue.as_ref().map(ToString::to_string),
        language: open.language.as_ref().map(ToString::to_string),
        topics: open.topics.clone(),
        boost_ms: open.boost_ms,
        bot_first: open.bot_first,
        body: open.body.as_ref().map(body_to_wire),
        sent_ms: open.sent_ms,
        instance: open.instance.as_ref().map(instance_to_wire),
        previous: open.previous.map(conversation_to_wire),
    }
}

fn send(send: &Send) -> pb::Send {
    pb::Send {
        conversation: Some(conversation_to_wire(send.conversation)),
        request_id: Some(request_id_to_wire(&send.request_id)),
        author: Some(actor_to_wire(&send.author)),
        body: Some(body_to_wire(&send.body)),
        sent_ms: send.sent_ms,
        instance: send.instance.as_ref().map(instance_to_wire),
    }
}

fn customer_presence(seen: &CustomerPresence) -> pb::CustomerPresence {
    pb::CustomerPresence {
        conversation: Some(conversation_to_wire(seen.conversation)),
        attached: seen.attached,
        our_fault: seen.our_fault,
    }
}

fn close(close: &Close) -> pb::Close {
    pb::Close {
        conversation: Some(conversation_to_wire(close.conversation)),
        request_id: Some(request_id_to_wire(&close.request_id)),
        by: Some(actor_to_wire(&close.by)),
        reason: close.reason.clone(),
        wrap_up: close.wrap_up,
    }
}

fn rate(rate: &Rate) -> pb::Rate {
    pb::Rate {
        conversation: Some(conversation_to_wire(rate.conversation)),
        request_id: Some(request_id_to_wire(&rate.request_id)),
        score: rate.score,
        comment: rate.comment.clone(),
    }
}

fn hand_off(hand_off: &HandOff) -> pb::HandOff {
    pb::HandOff {
        conversation: Some(conversation_to_wire(hand_off.conversation)),
        request_id: Some(request_id_to_wire(&hand_off.request_id)),
        owner_epoch: hand_off.owner_epoch.0,
    }
}

pub(crate) fn intent(intent: &Intent) -> pb::Intent {
    match intent {
        Intent::Ready => pb::Intent {
            ready: true,
            reason: String::new(),
        },
        Intent::NotReady { reason } => pb::Intent {
            ready: false,
            reason: reason.clone(),
        },
    }
}

fn log_in(log_in: &LogIn) -> pb::LogIn {
    pb::LogIn {
        agent: log_in.agent.to_string(),
        request_id: Some(request_id_to_wire(&log_in.request_id)),
        device: log_in.device.to_string(),
        session: log_in.session.map(|session| session.0),
        intent: Some(intent(&log_in.intent)),
        site: log_in.site.to_string(),
    }
}

fn log_out(log_out: &LogOut) -> pb::LogOut {
    pb::LogOut {
        agent: log_out.agent.to_string(),
        request_id: Some(request_id_to_wire(&log_out.request_id)),
        session: log_out.session.0,
        device: log_out.device.as_ref().map(ToString::to_string),
    }
}

fn set_intent(set: &SetIntent) -> pb::SetIntent {
    pb::SetIntent {
        agent: set.agent.to_string(),
        request_id: Some(request_id_to_wire(&set.request_id)),
        session: set.session.map(|session| session.0),
        staff: set.staff.as_ref().map(ToString::to_string),
        intent: Some(intent(&set.intent)),
        why: set.why.clone(),
    }
}

pub(crate) fn lease_state(state: LeaseState) -> pb::LeaseState {
    match state {
        LeaseState::Alive => pb::LeaseState::Alive,
        LeaseState::Suspect => pb::LeaseState::Suspect,
        LeaseState::Lost => pb::LeaseState::Lost,
        LeaseState::Gone => pb::LeaseState::Gone,
    }
}

fn lease(lease: &Lease) -> pb::Lease {
    pb::Lease {
        agent: lease.agent.to_string(),
        session: lease.session.0,
        state: lease_state(lease.state).into(),
        our_fault: lease.our_fault,
    }
}

fn offer_ref(offer: &OfferRef) -> pb::OfferRef {
    pb::OfferRef {
        offer: Some(offer_to_wire(offer.offer)),
        agent: offer.agent.to_string(),
        session: offer.session.0,
    }
}

fn accept(accept: &Accept) -> pb::Accept {
    pb::Accept {
        request_id: Some(request_id_to_wire(&accept.request_id)),
        offer: Some(offer_ref(&accept.offer)),
        owner_epoch: accept.owner_epoch.0,
    }
}

fn decline(decline: &Decline) -> pb::Decline {
    pb::Decline {
        request_id: Some(request_id_to_wire(&decline.request_id)),
        offer: Some(offer_ref(&decline.offer)),
        reason: decline.reason.clone(),
    }
}

fn note(note: &Note) -> pb::Note {
    pb::Note {
        conversation: Some(conversation_to_wire(note.conversation)),
        request_id: Some(request_id_to_wire(&note.request_id)),
        author: Some(actor_to_wire(&note.author)),
        body: Some(body_to_wire(&note.body)),
    }
}

fn owner_act(act: &OwnerAct) -> pb::OwnerAct {
    pb::OwnerAct {
        conversation: Some(conversation_to_wire(act.conversation)),
        request_id: Some(request_id_to_wire(&act.request_id)),
        by: Some(actor_to_wire(&act.by)),
    }
}

fn transfer(transfer: &Transfer) -> pb::Transfer {
    let target = match &transfer.target {
        Target::Agent { agent, wait } => pb::transfer::Target::Agent(pb::AgentTarget {
            agent: agent.to_string(),
            wait: *wait,
        }),
        Target::Queue(queue) => pb::transfer::Target::Queue(queue.to_string()),
    };
    pb::Transfer {
        conversation: Some(conversation_to_wire(transfer.conversation)),
        request_id: Some(request_id_to_wire(&transfer.request_id)),
        by: Some(actor_to_wire(&transfer.by)),
        target: Some(target),
        note: transfer.note.as_ref().map(body_to_wire),
    }
}

fn release(release: &Release) -> pb::Release {
    pb::Release {
        conversation: Some(conversation_to_wire(release.conversation)),
        request_id: Some(request_id_to_wire(&release.request_id)),
        staff: release.staff.to_string(),
        reason: release.reason.clone(),
    }
}

fn requeue(requeue: &Requeue) -> pb::Requeue {
    pb::Requeue {
        conversation: Some(conversation_to_wire(requeue.conversation)),
        request_id: Some(request_id_to_wire(&requeue.request_id)),
        staff: requeue.staff.to_string(),
        reason: requeue.reason.clone(),
    }
}

fn assign(assign: &Assign) -> pb::Assign {
    pb::Assign {
        conversation: Some(conversation_to_wire(assign.conversation)),
        request_id: Some(request_id_to_wire(&assign.request_id)),
        staff: assign.staff.to_string(),
        target: Some(pb::AgentTarget {
            agent: assign.agent.to_string(),
            wait: assign.wait,
        }),
        reason: assign.reason.clone(),
    }
}

fn queue_act(act: &QueueAct) -> pb::QueueAct {
    pb::QueueAct {
        queue: act.queue.to_string(),
        request_id: Some(request_id_to_wire(&act.request_id)),
        staff: act.staff.to_string(),
        reason: act.reason.clone(),
    }
}
