//! Ends: closed, abandoned, rated.
//! Promise: whoever ends it, at any step, no offer, units or owner are left behind.
//! Not here: after-contact work's own end (`own`).

use mutants::{Mutant, planted};

use super::{
    author_of, check_length, check_sound, check_unsealed, check_voice, copy_of, find_last, heal,
    request, staff, wrong_state,
};
use crate::cell::command::{Actor, Close, Rate};
use crate::cell::conversation::{
    Active, Closed, Conversation, Ending, OnHold, Phase, Rating, WrapUp,
};
use crate::cell::draft::{Draft, next_epoch};
use crate::cell::event::{Event, Tally};
use crate::cell::fingerprint;
use crate::cell::floor::OfferOutcome;
use crate::cell::receipts::Found;
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::cell::transcript::{Author, ItemKind};
use crate::ids::CellTime;
use crate::plan::WrapUpMode;

/// Bytes of a reason to close.
const REASON_BYTES_MAX: usize = 1_024;
/// Bytes of a rating's free words.
const COMMENT_BYTES_MAX: usize = 4_096;

pub(super) fn close(draft: &mut Draft<'_>, close: &Close) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, close.conversation)?;
    let hash = fingerprint::of_close(close);
    if let Some(done) = copy_of(conversation, &close.by, &close.request_id, hash)? {
        return Ok(done);
    }
    if conversation.phase.is_over() {
        return Err(wrong_state(conversation));
    }
    if !matches!(close.by, Actor::Staff { .. }) {
        check_sound(conversation)?;
    }
    check_voice(draft.state, conversation, &close.by)?;
    check_length("reason", close.reason.len(), REASON_BYTES_MAX)?;
    if let Actor::Agent { agent, .. } = &close.by {
        heal(draft, agent);
    }
    let by = author_of(&close.by);
    let reason = Some(close.reason.as_str()).filter(|reason| !reason.is_empty());
    match &conversation.phase {
        Phase::Queued(_) | Phase::Offered(_) if by == Author::Customer => {
            let left_at = conversation.gone.map_or(draft.now(), |gone| gone.at);
            abandon_saying(draft, conversation, left_at, reason);
        }
        Phase::Active(active) => {
            let asked = close.wrap_up && !matches!(close.by, Actor::Customer);
            end_active(draft, conversation, active, (by, reason), asked)?;
        }
        _ => end_saying(draft, conversation, Ending::Closed, (by, reason)),
    }
    if let Actor::Staff { staff } = &close.by {
        let ordered = staff::order(staff, &close.reason, None);
        draft.decided(conversation, Found::Ended, None, ordered);
    }
    let done = Done::Nothing;
    draft.remember(
        request(conversation, &close.by, &close.request_id, hash),
        &done,
    )?;
    Ok(done)
}

/// The customer has left a line: counted against the queue, short ones apart. Who left without a
/// word has left when the client went, not when we gave up waiting.
pub(super) fn abandon(draft: &mut Draft<'_>, conversation: &Conversation, left_at: CellTime) {
    abandon_saying(draft, conversation, left_at, None);
}

fn abandon_saying(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    left_at: CellTime,
    reason: Option<&str>,
) {
    let plan = draft
        .state
        .plan_at(conversation.pinned)
        .and_then(|plan| plan.channels.get(&conversation.channel));
    let channel = plan.unwrap_or_else(|| draft.state.channel(&conversation.channel));
    let wait_ms = left_at.since_ms(conversation.entered_at);
    let short = left_at.since_ms(conversation.aged_from) < channel.short_abandon_ms;
    let threshold_ms = draft
        .state
        .rules(conversation)
        .map_or(0, |rules| rules.service_level.threshold_ms);
    if !conversation.answered {
        draft.count(
            conversation,
            Tally::Abandoned {
                wait_ms,
                within: wait_ms <= threshold_ms,
                short,
            },
        );
    }
    end_saying(
        draft,
        conversation,
        Ending::Abandoned { short },
        (Author::Customer, reason),
    );
}

/// Ends a conversation without after-contact work.
pub(super) fn end(draft: &mut Draft<'_>, conversation: &Conversation, how: Ending, by: Author) {
    end_saying(draft, conversation, how, (by, None));
}

/// The item of an end, with the reason that was given.
fn closed_item(by: Author, reason: Option<&str>) -> ItemKind {
    ItemKind::Closed {
        by,
        reason: reason.map(Box::from),
    }
}

fn end_saying(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    how: Ending,
    (by, reason): (Author, Option<&str>),
) {
    let epoch = next_epoch(conversation.owner_epoch);
    if let Phase::Offered(offer) = &conversation.phase {
        let customer_left = by == Author::Customer;
        let outcome = if customer_left {
            OfferOutcome::Cancelled
        } else {
            OfferOutcome::Rescinded
        };
        draft.end_offer(conversation, offer, outcome);
        draft.agent_done(&offer.agent, false);
    }
    draft.end_work(conversation);
    draft.item(conversation, closed_item(by.clone(), reason));
    let agent = conversation.phase.owner().cloned();
    let by_owner = matches!((&by, &agent), (Author::Agent(by), Some(owner)) if by == owner);
    let closed = Closed {
        at: draft.now(),
        how,
        by,
        agent: agent.clone(),
        sealed: None,
    };
    draft.phase(conversation, Phase::Closed(closed), epoch);
    if agent.is_some() {
        draft.owner(conversation, None, epoch);
        draft.count(conversation, Tally::Handled);
    }
    match &conversation.phase {
        Phase::Active(active) => draft.agent_done(&active.agent, true),
        Phase::OnHold(hold) => handled_on_hold(draft, hold, by_owner),
        _ => {}
    }
    draft.push(Event::Ended {
        conversation: conversation.id,
        how,
    });
}

/// The end of a held conversation ends a handling, but frees nothing. For an agent who ends it idle
/// time begins now. If anybody else does, or a day, the agent's work on it was over when the hold
/// began, if there was any: idle time begins then, unless later work was handled meanwhile.
fn handled_on_hold(draft: &mut Draft<'_>, hold: &OnHold, by_owner: bool) {
    let now = draft.now();
    if let Some(agent) = draft.agent(&hold.agent) {
        if by_owner {
            agent.idle_since = now;
        } else if hold.replied {
            agent.idle_since = agent.idle_since.max(hold.since);
        }
        agent.handled += 1;
    }
}

/// Ends an active conversation: closed for the customer, after-contact work for the agent.
fn end_active(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    active: &Active,
    (by, reason): (Author, Option<&str>),
    asked: bool,
) -> Result<(), Refusal> {
    let rules = draft.rules(conversation)?;
    let wanted = match rules.wrap_up {
        WrapUpMode::OnRequest => asked,
        WrapUpMode::Mandatory => true,
        _ => rules.timers.wrap_up_ms > 0,
    };
    // An agent who is logged out does no after-contact work.
    let there = draft
        .agent_now(&active.agent)
        .is_some_and(|agent| agent.session.is_some());
    if !wanted || !there {
        end_saying(draft, conversation, Ending::Closed, (by, reason));
        return Ok(());
    }
    let epoch = next_epoch(conversation.owner_epoch);
    draft.end_work(conversation);
    draft.item(conversation, closed_item(by, reason));
    let wrap_up = WrapUp {
        agent: active.agent.clone(),
        since: draft.now(),
        units: match planted(Mutant::WrapUpWithoutUnits) {
            true => 0,
            false => active.units,
        },
        mode: rules.wrap_up,
        limit_ms: rules.timers.wrap_up_ms,
    };
    draft.phase(conversation, Phase::WrapUp(wrap_up), epoch);
    draft.owner(conversation, Some(active.agent.clone()), epoch);
    Ok(())
}

pub(super) fn rate(draft: &mut Draft<'_>, rate: &Rate) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, rate.conversation)?;
    let hash = fingerprint::of_rate(rate);
    if let Some(done) = copy_of(conversation, &Actor::Customer, &rate.request_id, hash)? {
        return Ok(done);
    }
    if !(1..=5).contains(&rate.score) {
        return Err(Refusal::ScoreOutOfRange { score: rate.score });
    }
    check_length("comment", rate.comment.len(), COMMENT_BYTES_MAX)?;
    if !conversation.phase.is_over() {
        return Err(wrong_state(conversation));
    }
    check_unsealed(conversation)?;
    if conversation.rating.is_some() {
        return Err(Refusal::NotAllowed {
            actor: "customer",
            act: "rate twice",
        });
    }
    let rating = Rating {
        score: rate.score,
        comment: rate.comment.as_str().into(),
        at: draft.now(),
    };
    draft.push(Event::Rated {
        conversation: conversation.id,
        rating: Box::new(rating),
    });
    draft.count(conversation, Tally::Rated { score: rate.score });
    let done = Done::Nothing;
    draft.remember(
        request(conversation, &Actor::Customer, &rate.request_id, hash),
        &done,
    )?;
    Ok(done)
}
