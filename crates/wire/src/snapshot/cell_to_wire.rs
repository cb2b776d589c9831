//! From a cell's parts to the records of its snapshot, conversations apart.
//! Promise: every stored field is written.
//! Not here: conversations (`conversation_to_wire`), the way back (`cell_from_wire`).

use ::pb::store::v1::{self as pb, cell_record::Record as Body};
use domain::cell::Part;
use domain::cell::agent::{Agent, ChannelPause, SetBy};
use domain::cell::archive::ArchivedRange;
use domain::cell::checkpoint::Digest;
use domain::cell::derived::LineKey;
use domain::cell::floor::{CustomerRecord, EndedOffer, OfferOutcome, QueueRecord, Steered, Totals};
use domain::cell::meta::Meta;
use domain::cell::reply::Done;
use domain::cell::requests::{Principal, Remembered};
use domain::ids::SiteId;

use super::CELL_FORMAT;
use super::conversation_to_wire::conversation;
use crate::cell::to_wire::{adopt_plan, held_buckets, intent, lease_state};
use crate::error::machine_to_wire;
use crate::ids::{
    conversation_to_wire, digest_to_wire, mark_to_wire, offer_to_wire, request_id_to_wire,
};
use crate::plan::to_wire::urgency;
use crate::plan::{agent_to_wire, queue_to_wire};

pub(super) fn record(part: &Part) -> pb::CellRecord {
    let body = match part {
        Part::Meta(meta) => Body::Head(head(meta)),
        Part::Plan(plan) => Body::Plan(adopt_plan(plan)),
        Part::Queue(found) => Body::Queue(queue(found)),
        Part::Agent(found) => Body::Agent(agent(found)),
        Part::EndedOffer(ended) => Body::EndedOffer(ended_offer(ended)),
        Part::Customer(found) => Body::Customer(customer(found)),
        Part::Conversation(found) => Body::Conversation(conversation(found)),
    };
    pb::CellRecord { record: Some(body) }
}

pub(super) fn tail(records: u64) -> pb::CellRecord {
    pb::CellRecord {
        record: Some(Body::Tail(pb::SnapshotTail { records })),
    }
}

fn head(meta: &Meta) -> pb::CellHead {
    let aliases = meta.aliases.iter();
    let extensions = meta.leader.extensions.iter();
    pb::CellHead {
        format: CELL_FORMAT,
        machine_version: machine_to_wire(meta.version),
        buckets: meta.buckets.as_deref().map(held_buckets),
        cell: meta.cell.0,
        applied: meta.applied.0,
        now_ms: meta.now.0,
        wall_ms: meta.wall_ms,
        more_due: meta.more_due,
        offers: meta.offers,
        conversations: meta.conversations,
        open: meta.open,
        plan: meta.plan.0,
        aliases: aliases
            .map(|(from, to)| pb::PlanAlias {
                from: from.0,
                to: to.0,
            })
            .collect(),
        leader_starts: meta.leader.starts,
        leader_started_at_ms: meta.leader.started_at.0,
        leader_series: meta.leader.series,
        leader_full_since_ms: meta.leader.full_since.0,
        leader_extensions: extensions
            .map(|added| pb::LeaderExtension {
                at_ms: added.at.0,
                added_ms: added.ms,
            })
            .collect(),
        archived_upto: meta.archive.upto.0,
        archived: meta.archive.ranges.iter().map(archived).collect(),
        chain: if meta.chain == Digest::default() {
            bytes::Bytes::new()
        } else {
            digest_to_wire(meta.chain)
        },
        checkpoint: meta.checkpoint.map(|found| mark_to_wire(found.mark)),
        checkpoint_at_ms: meta.checkpoint.map_or(0, |found| found.at.0),
        checkpoint_logged: meta.checkpoint.map_or(0, |found| found.logged.0),
    }
}

fn archived(range: &ArchivedRange) -> pb::ArchivedRange {
    pb::ArchivedRange {
        after: range.after.0,
        upto: range.upto.0,
        day: range.day,
        count: range.count,
        digest: digest_to_wire(range.digest),
    }
}

fn queue(queue: &QueueRecord) -> pb::QueueRecord {
    let window = queue.window.iter().map(|second| pb::SpikeSecond {
        second: second.second,
        ended: second.ended,
        lapsed: second.lapsed,
    });
    pb::QueueRecord {
        plan: Some(queue_to_wire(queue.name.to_string(), &queue.plan)),
        retired: queue.retired,
        totals: queue
            .totals
            .iter()
            .map(|(site, totals)| totals_row(site, totals))
            .collect(),
        window: window.collect(),
        spike_since_ms: queue.spike_since.map(|since| since.0),
        steered: queue.steered.as_deref().map(steered),
        aside_from: queue.aside_from.map(line_place),
        requests: queue.requests.iter().map(remembered).collect(),
    }
}

pub(crate) fn steered(steered: &Steered) -> pb::Steered {
    pb::Steered {
        paused: steered.paused,
        by: steered.by.to_string(),
        why: steered.why.to_string(),
        at_ms: steered.at.0,
        wall_ms: steered.wall_ms,
    }
}

pub(crate) fn line_place(place: LineKey) -> pb::LinePlace {
    pb::LinePlace {
        urgency: urgency(place.urgency).into(),
        rank_ms: place.rank,
        index: place.index.0,
    }
}

fn totals_row(site: &SiteId, totals: &Totals) -> pb::Totals {
    pb::Totals {
        site: site.to_string(),
        entered: totals.entered,
        answered: totals.answered,
        answered_in: totals.answered_in,
        abandoned: totals.abandoned,
        abandoned_in: totals.abandoned_in,
        abandoned_short: totals.abandoned_short,
        requeued: totals.requeued,
        transferred: totals.transferred,
        handled: totals.handled,
        answer_wait_ms: totals.answer_wait_ms,
        answer_wait_ms_max: totals.answer_wait_ms_max,
        abandon_wait_ms: totals.abandon_wait_ms,
        handle_ms: totals.handle_ms,
        wrap_up_ms: totals.wrap_up_ms,
        first_responses: totals.first_responses,
        first_response_ms: totals.first_response_ms,
        offers: totals.offers,
        offers_lapsed: totals.offers_lapsed,
        offers_declined: totals.offers_declined,
        offers_rescinded: totals.offers_rescinded,
        offers_cancelled: totals.offers_cancelled,
        ratings: totals.ratings,
        rating_sum: totals.rating_sum,
    }
}

pub(crate) fn agent(agent: &Agent) -> pb::AgentRecord {
    pb::AgentRecord {
        profile: Some(agent_to_wire(agent.name.to_string(), &agent.profile)),
        retired: agent.retired,
        session: agent.session.map(|session| session.0),
        session_since_ms: agent.session_since.0,
        devices: agent.devices.iter().map(ToString::to_string).collect(),
        site: agent.site.to_string(),
        intent: Some(intent(&agent.intent)),
        next: agent.next.as_ref().map(intent),
        intent_since_ms: agent.intent_since.0,
        lease: lease_state(agent.lease).into(),
        lease_since_ms: agent.lease_since.0,
        silent_since_ms: agent.silent_since.0,
        idle_since_ms: agent.idle_since.0,
        handled: agent.handled,
        channels: agent.channels.iter().map(pause).collect(),
        requests: agent.requests.iter().map(remembered).collect(),
        deadline_ms: agent.deadline.map(|deadline| deadline.0),
        set_by: agent.set_by.as_deref().map(set_by),
    }
}

fn set_by(set_by: &SetBy) -> pb::SetBy {
    pb::SetBy {
        staff: set_by.staff.to_string(),
        why: set_by.why.to_string(),
        chosen: Some(intent(&set_by.chosen)),
        next: set_by.next.as_ref().map(intent),
    }
}

fn pause(pause: &ChannelPause) -> pb::ChannelPause {
    pb::ChannelPause {
        channel: pause.channel.to_string(),
        misses: pause.misses,
        pause_ms: pause.pause_ms,
        missed_at_ms: pause.missed_at.0,
        until_ms: pause.until.0,
        not_responding: pause.not_responding,
    }
}

pub(crate) fn remembered(row: &Remembered) -> pb::Remembered {
    use pb::principal::Who;
    let who = match &row.principal {
        Principal::Customer => Who::Customer(pb::PrincipalCustomer {}),
        Principal::Agent(agent) => Who::Agent(agent.to_string()),
        Principal::Bot => Who::Bot(pb::PrincipalBot {}),
        Principal::Staff(staff) => Who::Staff(staff.to_string()),
    };
    pb::Remembered {
        principal: Some(pb::Principal { who: Some(who) }),
        id: Some(request_id_to_wire(&row.id)),
        payload_hash: row.payload_hash,
        at_ms: row.at.0,
        done: Some(done(&row.done)),
    }
}

pub(crate) fn done(done: &Done) -> pb::remembered::Done {
    use pb::remembered::Done as Stored;
    match done {
        Done::Nothing => Stored::Nothing(pb::DoneNothing {}),
        Done::Opened(opened) => Stored::Opened(pb::DoneOpened {
            conversation: Some(conversation_to_wire(opened.conversation)),
            queue: opened.queue.to_string(),
            sequence: opened.sequence.map(|sequence| sequence.0),
            existing: opened.existing,
            text: opened.text.to_string(),
        }),
        Done::Sent(sent) => Stored::Sent(pb::DoneSent {
            conversation: Some(conversation_to_wire(sent.conversation)),
            sequence: sent.sequence.0,
            at_ms: sent.at.0,
            wall_ms: sent.wall_ms,
        }),
        Done::LoggedIn(login) => Stored::LoggedIn(pb::DoneLoggedIn {
            session: login.session.0,
            resumed: login.resumed,
        }),
        Done::Owned(owned) => Stored::Owned(pb::DoneOwned {
            conversation: Some(conversation_to_wire(owned.conversation)),
            owner_epoch: owned.owner_epoch.0,
        }),
        Done::Ticked(ticked) => Stored::Ticked(pb::DoneTicked {
            fired: ticked.fired,
            more_due: ticked.more_due,
        }),
    }
}

pub(crate) fn offer_outcome(outcome: OfferOutcome) -> pb::OfferOutcome {
    match outcome {
        OfferOutcome::Accepted => pb::OfferOutcome::Accepted,
        OfferOutcome::Declined => pb::OfferOutcome::Declined,
        OfferOutcome::Expired => pb::OfferOutcome::Expired,
        OfferOutcome::Rescinded => pb::OfferOutcome::Rescinded,
        OfferOutcome::Cancelled => pb::OfferOutcome::Cancelled,
    }
}

fn ended_offer(ended: &EndedOffer) -> pb::EndedOffer {
    pb::EndedOffer {
        id: Some(offer_to_wire(ended.id)),
        conversation: Some(conversation_to_wire(ended.conversation)),
        agent: ended.agent.to_string(),
        outcome: offer_outcome(ended.outcome).into(),
        at_ms: ended.at.0,
    }
}

fn customer(customer: &CustomerRecord) -> pb::CustomerRecord {
    pb::CustomerRecord {
        account: customer.account.to_string(),
        customer: customer.customer.to_string(),
        open: customer.open.map(conversation_to_wire),
        last: customer.last.map(conversation_to_wire),
        requests: customer.requests.iter().map(remembered).collect(),
    }
}
