//! From the records of a cell's snapshot to its parts, conversations apart.
//! Promise: head first, tail last with the right count; every field is checked.
//! Not here: conversations (`conversation_from_wire`), the way there (`cell_to_wire`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ::pb::store::v1::{self as pb, cell_record::Record as Body};
use domain::cell::Part;
use domain::cell::agent::{Agent, ChannelPause, SetBy};
use domain::cell::archive::{ArchiveRecord, ArchivedRange};
use domain::cell::checkpoint::{Checkpoint, Digest};
use domain::cell::derived::LineKey;
use domain::cell::floor::{
    CustomerRecord, EndedOffer, OfferOutcome, QueueRecord, SpikeSecond, Steered, Totals,
};
use domain::cell::meta::{Extension, LeaderRecord, Meta};
use domain::cell::reply::{Done, LoggedIn, Opened, Owned, Sent, Ticked};
use domain::cell::requests::{Principal, Remembered};
use domain::ids::{CellId, CellTime, LogIndex, OwnerEpoch, PlanVersion, Sequence, Session};

use super::CELL_FORMAT;
use super::chunks::{ChunkReader, not_whole};
use super::conversation_from_wire::conversation;
use crate::cell::from_wire::{adopt_plan, held_buckets, intent, lease_state};
use crate::error::{WireError, check_format, check_machine};
use crate::ids::{
    bad_enum, conversation as conversation_id, digest, mark, name, need, offer,
    optional_conversation, request_id,
};
use crate::plan::from_wire::urgency;
use crate::plan::{agent_from_wire, queue_from_wire};

pub(super) type Read<T> = Result<T, WireError>;

pub(super) fn parts<C: AsRef<[u8]>>(chunks: &[C]) -> Read<Vec<Part>> {
    let mut reader = ChunkReader::new(chunks);
    let mut next = || -> Read<Option<Body>> {
        let record = reader.next::<pb::CellRecord>()?;
        record
            .map(|record| need(record.record, "record"))
            .transpose()
    };
    let mut parts = Vec::new();
    loop {
        match next()? {
            None => return Err(not_whole("its end is missing")),
            Some(Body::Tail(tail)) if tail.records == parts.len() as u64 => break,
            Some(Body::Tail(_)) => return Err(not_whole("records are missing")),
            Some(record) => parts.push(part(&record)?),
        }
    }
    match next()? {
        None => Ok(parts),
        Some(_) => Err(not_whole("it goes on after its end")),
    }
}

fn part(record: &Body) -> Read<Part> {
    Ok(match record {
        Body::Head(stored) => Part::Meta(Box::new(head(stored)?)),
        Body::Plan(stored) => Part::Plan(adopt_plan(stored)?),
        Body::Queue(stored) => Part::Queue(Arc::new(queue(stored)?)),
        Body::Agent(stored) => Part::Agent(Arc::new(agent(stored)?)),
        Body::EndedOffer(stored) => Part::EndedOffer(ended_offer(stored)?),
        Body::Customer(stored) => Part::Customer(Arc::new(customer(stored)?)),
        Body::Conversation(stored) => Part::Conversation(Arc::new(conversation(stored)?)),
        Body::Tail(_) => return Err(not_whole("it has two ends")),
    })
}

fn archived(stored: &pb::ArchivedRange) -> Read<ArchivedRange> {
    Ok(ArchivedRange {
        after: LogIndex(stored.after),
        upto: LogIndex(stored.upto),
        day: stored.day,
        count: stored.count,
        digest: digest(&stored.digest, "archived.digest")?,
    })
}

fn head(stored: &pb::CellHead) -> Read<Meta> {
    check_format(stored.format, CELL_FORMAT)?;
    let version = check_machine(stored.machine_version)?;
    let buckets = stored.buckets.as_ref().map(held_buckets).transpose()?;
    let chain = match stored.chain.is_empty() {
        true => Digest::default(),
        false => digest(&stored.chain, "head.chain")?,
    };
    let checkpoint = stored.checkpoint.as_ref().map(mark).transpose()?;
    let aliases = stored.aliases.iter();
    let extensions = stored.leader_extensions.iter();
    Ok(Meta {
        cell: CellId(stored.cell),
        applied: LogIndex(stored.applied),
        version,
        buckets: buckets.map(Box::new),
        now: CellTime(stored.now_ms),
        wall_ms: stored.wall_ms,
        more_due: stored.more_due,
        offers: stored.offers,
        conversations: stored.conversations,
        open: stored.open,
        plan: PlanVersion(stored.plan),
        aliases: aliases
            .map(|alias| (PlanVersion(alias.from), PlanVersion(alias.to)))
            .collect(),
        leader: LeaderRecord {
            starts: stored.leader_starts,
            started_at: CellTime(stored.leader_started_at_ms),
            series: stored.leader_series,
            full_since: CellTime(stored.leader_full_since_ms),
            extensions: extensions
                .map(|added| Extension {
                    at: CellTime(added.at_ms),
                    ms: added.added_ms,
                })
                .collect(),
        },
        archive: ArchiveRecord {
            upto: LogIndex(stored.archived_upto),
            ranges: stored.archived.iter().map(archived).collect::<Read<_>>()?,
        },
        chain,
        checkpoint: checkpoint.map(|mark| Checkpoint {
            mark,
            at: CellTime(stored.checkpoint_at_ms),
            logged: LogIndex(stored.checkpoint_logged),
        }),
    })
}

fn queue(stored: &pb::QueueRecord) -> Read<QueueRecord> {
    let plan = need(stored.plan.as_ref(), "queue.plan")?;
    let mut totals = BTreeMap::new();
    for row in &stored.totals {
        totals.insert(name(&row.site, "totals.site")?, totals_of(row));
    }
    let window = stored.window.iter().map(|second| SpikeSecond {
        second: second.second,
        ended: second.ended,
        lapsed: second.lapsed,
    });
    Ok(QueueRecord {
        name: name(&plan.id, "queue.plan.id")?,
        plan: Arc::new(queue_from_wire(plan)?),
        retired: stored.retired,
        totals,
        window: window.collect(),
        spike_since: stored.spike_since_ms.map(CellTime),
        steered: stored.steered.as_ref().map(steered).transpose()?,
        aside_from: stored.aside_from.as_ref().map(line_place).transpose()?,
        requests: stored
            .requests
            .iter()
            .map(remembered)
            .collect::<Read<_>>()?,
    })
}

fn steered(stored: &pb::Steered) -> Read<Box<Steered>> {
    Ok(Box::new(Steered {
        paused: stored.paused,
        by: name(&stored.by, "steered.by")?,
        why: stored.why.as_str().into(),
        at: CellTime(stored.at_ms),
        wall_ms: stored.wall_ms,
    }))
}

fn line_place(stored: &pb::LinePlace) -> Read<LineKey> {
    Ok(LineKey {
        urgency: urgency(stored.urgency)?,
        rank: stored.rank_ms,
        index: LogIndex(stored.index),
    })
}

fn totals_of(stored: &pb::Totals) -> Totals {
    Totals {
        entered: stored.entered,
        answered: stored.answered,
        answered_in: stored.answered_in,
        abandoned: stored.abandoned,
        abandoned_in: stored.abandoned_in,
        abandoned_short: stored.abandoned_short,
        requeued: stored.requeued,
        transferred: stored.transferred,
        handled: stored.handled,
        answer_wait_ms: stored.answer_wait_ms,
        answer_wait_ms_max: stored.answer_wait_ms_max,
        abandon_wait_ms: stored.abandon_wait_ms,
        handle_ms: stored.handle_ms,
        wrap_up_ms: stored.wrap_up_ms,
        first_responses: stored.first_responses,
        first_response_ms: stored.first_response_ms,
        offers: stored.offers,
        offers_lapsed: stored.offers_lapsed,
        offers_declined: stored.offers_declined,
        offers_rescinded: stored.offers_rescinded,
        offers_cancelled: stored.offers_cancelled,
        ratings: stored.ratings,
        rating_sum: stored.rating_sum,
    }
}

fn agent(stored: &pb::AgentRecord) -> Read<Agent> {
    let profile = need(stored.profile.as_ref(), "agent.profile")?;
    let next = stored
        .next
        .as_ref()
        .map(|next| intent(Some(next)))
        .transpose()?;
    Ok(Agent {
        name: name(&profile.id, "agent.profile.id")?,
        profile: Arc::new(agent_from_wire(profile)?),
        retired: stored.retired,
        session: stored.session.map(Session),
        session_since: CellTime(stored.session_since_ms),
        devices: stored
            .devices
            .iter()
            .map(|device| name(device, "agent.devices"))
            .collect::<Read<_>>()?,
        site: name(&stored.site, "agent.site")?,
        intent: intent(stored.intent.as_ref())?,
        next,
        intent_since: CellTime(stored.intent_since_ms),
        lease: lease_state(stored.lease)?,
        lease_since: CellTime(stored.lease_since_ms),
        silent_since: CellTime(stored.silent_since_ms),
        idle_since: CellTime(stored.idle_since_ms),
        handled: stored.handled,
        channels: stored.channels.iter().map(pause).collect::<Read<_>>()?,
        requests: stored
            .requests
            .iter()
            .map(remembered)
            .collect::<Read<_>>()?,
        deadline: stored.deadline_ms.map(CellTime),
        set_by: stored.set_by.as_ref().map(set_by).transpose()?,
    })
}

fn set_by(stored: &pb::SetBy) -> Read<Box<SetBy>> {
    Ok(Box::new(SetBy {
        staff: name(&stored.staff, "set_by.staff")?,
        why: stored.why.as_str().into(),
        chosen: intent(stored.chosen.as_ref())?,
        next: match &stored.next {
            Some(next) => Some(intent(Some(next))?),
            None => None,
        },
    }))
}

fn pause(stored: &pb::ChannelPause) -> Read<ChannelPause> {
    Ok(ChannelPause {
        channel: name(&stored.channel, "pause.channel")?,
        misses: stored.misses,
        pause_ms: stored.pause_ms,
        missed_at: CellTime(stored.missed_at_ms),
        until: CellTime(stored.until_ms),
        not_responding: stored.not_responding,
    })
}

pub(super) fn remembered(stored: &pb::Remembered) -> Read<Remembered> {
    use pb::principal::Who;
    let who = need(
        stored
            .principal
            .as_ref()
            .and_then(|found| found.who.as_ref()),
        "principal",
    )?;
    let principal = match who {
        Who::Customer(_) => Principal::Customer,
        Who::Agent(agent) => Principal::Agent(name(agent, "principal.agent")?),
        Who::Bot(_) => Principal::Bot,
        Who::Staff(staff) => Principal::Staff(name(staff, "principal.staff")?),
        Who::Machine(_) => {
            return Err(WireError::BadValue {
                field: "principal",
                value: 5,
            });
        }
    };
    Ok(Remembered {
        principal,
        id: request_id(stored.id.as_ref())?,
        payload_hash: stored.payload_hash,
        at: CellTime(stored.at_ms),
        done: done(need(stored.done.as_ref(), "done")?)?,
    })
}

fn done(stored: &pb::remembered::Done) -> Read<Done> {
    use pb::remembered::Done as Stored;
    Ok(match stored {
        Stored::Nothing(_) => Done::Nothing,
        Stored::Opened(opened) => Done::Opened(Opened {
            conversation: conversation_id(opened.conversation.as_ref())?,
            queue: name(&opened.queue, "opened.queue")?,
            sequence: opened.sequence.map(Sequence),
            existing: opened.existing,
            text: Arc::from(opened.text.as_str()),
        }),
        Stored::Sent(sent) => Done::Sent(Sent {
            conversation: conversation_id(sent.conversation.as_ref())?,
            sequence: Sequence(sent.sequence),
            at: CellTime(sent.at_ms),
            wall_ms: sent.wall_ms,
        }),
        Stored::LoggedIn(login) => Done::LoggedIn(LoggedIn {
            session: Session(login.session),
            resumed: login.resumed,
        }),
        Stored::Owned(owned) => Done::Owned(Owned {
            conversation: conversation_id(owned.conversation.as_ref())?,
            owner_epoch: OwnerEpoch(owned.owner_epoch),
        }),
        Stored::Ticked(ticked) => Done::Ticked(Ticked {
            fired: ticked.fired,
            more_due: ticked.more_due,
        }),
    })
}

pub(super) fn outcome(stored: pb::OfferOutcome) -> Option<OfferOutcome> {
    match stored {
        pb::OfferOutcome::Accepted => Some(OfferOutcome::Accepted),
        pb::OfferOutcome::Declined => Some(OfferOutcome::Declined),
        pb::OfferOutcome::Expired => Some(OfferOutcome::Expired),
        pb::OfferOutcome::Rescinded => Some(OfferOutcome::Rescinded),
        pb::OfferOutcome::Cancelled => Some(OfferOutcome::Cancelled),
        pb::OfferOutcome::Unspecified => None,
    }
}

fn ended_offer(stored: &pb::EndedOffer) -> Read<EndedOffer> {
    let outcome =
        outcome(stored.outcome()).ok_or_else(|| bad_enum("ended_offer.outcome", stored.outcome))?;
    Ok(EndedOffer {
        id: offer(stored.id.as_ref())?,
        conversation: conversation_id(stored.conversation.as_ref())?,
        agent: name(&stored.agent, "ended_offer.agent")?,
        outcome,
        at: CellTime(stored.at_ms),
    })
}

fn customer(stored: &pb::CustomerRecord) -> Read<CustomerRecord> {
    Ok(CustomerRecord {
        account: name(&stored.account, "customer.account")?,
        customer: name(&stored.customer, "customer.customer")?,
        open: optional_conversation(stored.open.as_ref()),
        last: optional_conversation(stored.last.as_ref()),
        requests: stored
            .requests
            .iter()
            .map(remembered)
            .collect::<Read<_>>()?,
    })
}
