//! Offers: shown, accepted, declined, lapsed, taken back.
//! Promise: the first answer applied wins; a late one learns who or what was first.
//! Not here: making them (`matching`, `draft`).

use mutants::{Mutant, planted};

use super::{check_length, check_session, check_sound, copy_of, find, heal, request};
use crate::cell::agent::{Agent, ChannelPause};
use crate::cell::command::{Accept, Actor, Decline, OfferRef, Tick};
use crate::cell::conversation::{Active, Conversation, Offer, PassedOver, Phase};
use crate::cell::draft::{Draft, next_epoch};
use crate::cell::event::{Alarm, Event, Tally};
use crate::cell::fingerprint::Fingerprint;
use crate::cell::floor::OfferOutcome;
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, Owned};
use crate::cell::state::State;
use crate::cell::transcript::ItemKind;
use crate::ids::{CellTime, ChannelId, OwnerEpoch, RequestId};
use crate::plan::Timers;

/// Bytes of a reason to decline.
const REASON_BYTES_MAX: usize = 128;
/// An offer that was shown after more than this share of its time had passed was not missed: a quarter.
const SHOWN_LATE_DIVISOR: u64 = 4;

pub(super) fn shown(draft: &mut Draft<'_>, shown: &OfferRef) -> Result<Done, Refusal> {
    check_session(draft.state, &shown.agent, shown.session)?;
    if let Some(conversation) = draft.state.offered(shown.offer)
        && let Phase::Offered(offer) = &conversation.phase
        && offer.agent == shown.agent
        && offer.shown_at.is_none()
    {
        let (conversation, at) = (conversation.id, draft.now());
        draft.push(Event::OfferShown {
            conversation,
            offer: shown.offer,
            at,
        });
    }
    Ok(Done::Nothing)
}

/// The open offer that an agent answers, or who was first.
fn open_offer<'s>(
    state: &'s State,
    named: &OfferRef,
) -> Result<(&'s Conversation, &'s Offer), Refusal> {
    let conversation = state
        .offered(named.offer)
        .ok_or_else(|| too_late(state, named))?;
    let Phase::Offered(offer) = &conversation.phase else {
        return Err(too_late(state, named));
    };
    if offer.agent != named.agent {
        return Err(Refusal::OfferNotYours {
            offer: named.offer,
            agent: named.agent.clone(),
        });
    }
    Ok((conversation, offer))
}

/// What a late answer learns.
fn too_late(state: &State, named: &OfferRef) -> Refusal {
    let Some(ended) = state.ended_offer(named.offer) else {
        return Refusal::OfferNotFound { offer: named.offer };
    };
    if ended.agent != named.agent {
        return Refusal::OfferNotYours {
            offer: named.offer,
            agent: named.agent.clone(),
        };
    }
    let conversation = state.conversation(ended.conversation);
    let owner = conversation.and_then(|found| match &found.phase {
        Phase::Offered(offer) => Some(offer.agent.clone()),
        phase => phase.owner().cloned(),
    });
    let accepted = ended.outcome == OfferOutcome::Accepted;
    Refusal::OfferEnded {
        offer: named.offer,
        outcome: ended.outcome.word(),
        by: if accepted {
            Some(ended.agent.clone())
        } else {
            owner
        },
        late_ms: state.meta.now.since_ms(ended.at),
    }
}

/// The first answer of this agent to the same request about this offer.
fn answered(
    state: &State,
    named: &OfferRef,
    id: &RequestId,
    hash: u64,
) -> Result<Option<Done>, Refusal> {
    let ended = state
        .ended_offer(named.offer)
        .map(|ended| ended.conversation);
    let Some(conversation) = ended.and_then(|id| find(state, id).ok()) else {
        return Ok(None);
    };
    copy_of(conversation, &actor(named), id, hash)
}

fn actor(named: &OfferRef) -> Actor {
    Actor::Agent {
        agent: named.agent.clone(),
        session: named.session,
        owner_epoch: OwnerEpoch(0),
    }
}

pub(super) fn accept(draft: &mut Draft<'_>, accept: &Accept) -> Result<Done, Refusal> {
    let named = &accept.offer;
    let hash = Fingerprint::of("accept").number(named.offer.n).hash();
    if let Some(done) = answered(draft.state, named, &accept.request_id, hash)? {
        return Ok(done);
    }
    check_session(draft.state, &named.agent, named.session)?;
    let (conversation, offer) = open_offer(draft.state, named)?;
    check_sound(conversation)?;
    if accept.owner_epoch != conversation.owner_epoch {
        return Err(Refusal::StaleOwnerEpoch {
            given: accept.owner_epoch,
            current: conversation.owner_epoch,
            owner: None,
        });
    }
    heal(draft, &named.agent);
    let epoch = match planted(Mutant::AcceptKeepsEpoch) {
        true => conversation.owner_epoch,
        false => next_epoch(conversation.owner_epoch),
    };
    draft.end_offer(conversation, offer, OfferOutcome::Accepted);
    watch_spike(draft, conversation, OfferOutcome::Accepted);
    let active = Active {
        agent: offer.agent.clone(),
        since: draft.now(),
        units: offer.units,
        replied: false,
        awaiting_customer: None,
        first_reply_spent_ms: 0,
        first_reply_warned: false,
        silence_warned: false,
        lost_handled: false,
    };
    draft.phase(conversation, Phase::Active(active), epoch);
    draft.owner(conversation, Some(offer.agent.clone()), epoch);
    let display_name = draft
        .agent_now(&offer.agent)
        .map_or("", |agent| &agent.profile.display_name);
    let display_name = std::sync::Arc::from(display_name);
    draft.item(
        conversation,
        ItemKind::Joined {
            agent: offer.agent.clone(),
            display_name,
        },
    );
    if !conversation.answered {
        let wait_ms = draft.now().since_ms(conversation.entered_at);
        let within = wait_ms <= draft.rules(conversation)?.service_level.threshold_ms;
        draft.count(conversation, Tally::Answered { wait_ms, within });
    }
    let done = Done::Owned(Owned {
        conversation: conversation.id,
        owner_epoch: epoch,
    });
    draft.remember(
        request(conversation, &actor(named), &accept.request_id, hash),
        &done,
    )?;
    Ok(done)
}

pub(super) fn decline(draft: &mut Draft<'_>, decline: &Decline) -> Result<Done, Refusal> {
    let named = &decline.offer;
    let hash = Fingerprint::of("decline")
        .number(named.offer.n)
        .text(&decline.reason)
        .hash();
    if let Some(done) = answered(draft.state, named, &decline.request_id, hash)? {
        return Ok(done);
    }
    check_session(draft.state, &named.agent, named.session)?;
    check_length("reason", decline.reason.len(), REASON_BYTES_MAX)?;
    let (conversation, offer) = open_offer(draft.state, named)?;
    heal(draft, &named.agent);
    draft.end_offer(conversation, offer, OfferOutcome::Declined);
    watch_spike(draft, conversation, OfferOutcome::Declined);
    let until = draft
        .now()
        .plus_ms(draft.rules(conversation)?.timers.back_off_ms_max);
    let passed = PassedOver {
        agent: offer.agent.clone(),
        until,
    };
    draft.push(Event::PassedOver {
        conversation: conversation.id,
        passed,
        reason: decline.reason.as_str().into(),
    });
    draft.back_to_line(conversation, offer.prefer.clone());
    draft.agent_done(&offer.agent, false);
    let done = Done::Nothing;
    draft.remember(
        request(conversation, &actor(named), &decline.request_id, hash),
        &done,
    )?;
    Ok(done)
}

/// Takes an offer back: nobody missed anything.
pub(super) fn rescind(draft: &mut Draft<'_>, conversation: &Conversation, offer: &Offer) {
    draft.end_offer(conversation, offer, OfferOutcome::Rescinded);
    draft.back_to_line(conversation, offer.prefer.clone());
    draft.agent_done(&offer.agent, false);
}

/// An offer has lapsed: the work goes back to its place; the agent missed it unless we are to blame.
pub(super) fn lapse(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    offer: &Offer,
    tick: &Tick,
) {
    draft.end_offer(conversation, offer, OfferOutcome::Expired);
    let spike = watch_spike(draft, conversation, OfferOutcome::Expired);
    draft.back_to_line(conversation, offer.prefer.clone());
    draft.agent_done(&offer.agent, false);
    if spike || is_our_fault(draft.state, offer, tick) {
        return;
    }
    let now = draft.now();
    let timers = draft
        .rules(conversation)
        .map(|rules| rules.timers.clone())
        .unwrap_or_default();
    if let Some(agent) = draft.agent(&offer.agent) {
        miss(agent, (&conversation.channel, offer), &timers, now);
    }
}

/// The planted bug: every open offer lapses at once.
pub(super) fn lapse_all(draft: &mut Draft<'_>) {
    let state = draft.state;
    for conversation in state.conversations() {
        if let Phase::Offered(offer) = &conversation.phase {
            lapse(draft, conversation, offer, &Tick::default());
        }
    }
}

/// A leader has started since the offer was made, its client showed it late, or the leader cannot
/// reach that client's edge.
fn is_our_fault(state: &State, offer: &Offer, tick: &Tick) -> bool {
    let late =
        |shown: CellTime| shown.since_ms(offer.made_at) > offer.period_ms / SHOWN_LATE_DIVISOR;
    state.meta.leader.started_since(offer.made_at)
        || offer.shown_at.is_some_and(late)
        || tick.unreachable.contains(&offer.agent)
}

/// Counts a missed offer: a pause that doubles, and Not Responding after several in a row.
fn miss(agent: &mut Agent, (channel, offer): (&ChannelId, &Offer), timers: &Timers, now: CellTime) {
    let at = match agent
        .channels
        .iter()
        .position(|pause| pause.channel == *channel)
    {
        Some(at) => at,
        None => {
            agent.channels.push(ChannelPause {
                channel: channel.clone(),
                misses: 0,
                pause_ms: 0,
                missed_at: CellTime(0),
                until: CellTime(0),
                not_responding: false,
            });
            agent.channels.len() - 1
        }
    };
    let pause = &mut agent.channels[at];
    // Offers that were open when one of them lapsed were missed by one absence.
    if offer.made_at < pause.missed_at {
        return;
    }
    pause.missed_at = now;
    pause.misses += 1;
    pause.pause_ms = if pause.pause_ms == 0 {
        timers.back_off_ms
    } else {
        pause.pause_ms.saturating_mul(2)
    };
    pause.pause_ms = pause.pause_ms.min(timers.back_off_ms_max);
    pause.until = if pause.pause_ms == 0 {
        CellTime(0)
    } else {
        now.plus_ms(pause.pause_ms)
    };
    pause.not_responding = pause.misses >= timers.misses_max;
}

/// Counts this end of an offer among those of the last minute; whether agents' states stand still.
fn watch_spike(draft: &mut Draft<'_>, conversation: &Conversation, outcome: OfferOutcome) -> bool {
    let state = draft.state;
    let Some(record) = state.queues.get(&conversation.queue) else {
        return false;
    };
    let stood_still = record.spike_since.is_some() && state.is_spiking(record);
    let (mut ended, mut lapsed) = record.last_minute(draft.now());
    ended += 1;
    lapsed += u32::from(outcome == OfferOutcome::Expired);
    let spike = state.is_spike(ended, lapsed);
    let queue = conversation.queue.clone();
    if spike && !stood_still {
        draft.push(Event::SpikeChanged {
            queue: queue.clone(),
            since: Some(draft.now()),
        });
        draft.push(Event::Alarm(Alarm::OffersLapse {
            queue,
            lapsed,
            ended,
        }));
    } else if !spike && record.spike_since.is_some() {
        draft.push(Event::SpikeChanged { queue, since: None });
    }
    spike
}

/// Says of every queue whose spike has passed with time alone that it has.
pub(crate) fn spikes_over(draft: &mut Draft<'_>) {
    let state = draft.state;
    for record in state.queues.values() {
        if record.spike_since.is_some() && !state.is_spiking(record) {
            draft.push(Event::SpikeChanged {
                queue: record.name.clone(),
                since: None,
            });
        }
    }
}
