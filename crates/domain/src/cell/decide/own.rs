//! Acts in a conversation that somebody owns: hold, resume, remarks, wrap-up's end; and presence, release.
//! Promise: a hold frees the units, a resume takes them in the same entry or is refused.
//! Not here: passing it on (`transfer`), ending it (`close`).

use super::send::with_room;
use super::{
    author_of, check_body, check_length, check_remark_fits, check_session, check_sound,
    check_unsealed, check_voice, copy_of, find, find_last, heal, request, staff, wrong_state,
};
use crate::cell::capacity::{Load, units_free};
use crate::cell::command::{Actor, CustomerPresence, Note, OwnerAct, Release};
use crate::cell::conversation::{Active, Closed, Conversation, Ending, Gone, OnHold, Phase};
use crate::cell::deadlines::first_reply_spent_ms;
use crate::cell::draft::Draft;
use crate::cell::event::{Event, Tally};
use crate::cell::fingerprint::Fingerprint;
use crate::cell::receipts::{Exclusion, Found};
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, Owned};
use crate::cell::transcript::{Author, HoldReason, Item, ItemKind};
use crate::plan::WrapUpMode;

pub(super) fn presence(
    draft: &mut Draft<'_>,
    presence: &CustomerPresence,
) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, presence.conversation)?;
    if conversation.phase.is_over() {
        return Ok(Done::Nothing);
    }
    let gone = match (presence.attached, conversation.gone) {
        (true, _) => None,
        // The grace for our fault counts from the last report, when the customer can reach us again.
        (false, _) if presence.our_fault => Some(Gone {
            at: draft.now(),
            our_fault: true,
        }),
        (false, Some(gone)) => Some(gone),
        (false, None) => Some(Gone {
            at: draft.now(),
            our_fault: false,
        }),
    };
    if gone != conversation.gone || !conversation.attached_once {
        draft.push(Event::CustomerPresence {
            conversation: conversation.id,
            gone,
        });
    }
    Ok(Done::Nothing)
}

pub(super) fn note(draft: &mut Draft<'_>, note: &Note) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, note.conversation)?;
    let hash = Fingerprint::of("note").body(Some(&note.body)).hash();
    if let Some(done) = copy_of(conversation, &note.author, &note.request_id, hash)? {
        return Ok(done);
    }
    match &note.author {
        Actor::Customer => {
            return Err(Refusal::NotAllowed {
                actor: "customer",
                act: "add a remark",
            });
        }
        Actor::Agent { agent, session, .. } => {
            check_session(draft.state, agent, *session)?;
            heal(draft, agent);
        }
        Actor::Bot { .. } => check_voice(draft.state, conversation, &note.author)?,
        Actor::Staff { .. } => {}
    }
    check_unsealed(conversation)?;
    check_sound(conversation)?;
    check_body(&note.body)?;
    check_remark_fits(conversation, &note.body)?;
    draft.remark(conversation, author_of(&note.author), note.body.clone());
    let done = Done::Nothing;
    draft.remember(
        request(conversation, &note.author, &note.request_id, hash),
        &done,
    )?;
    Ok(done)
}

pub(super) fn hold(draft: &mut Draft<'_>, act: &OwnerAct) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, act.conversation)?;
    let hash = Fingerprint::of("hold").hash();
    if let Some(done) = copy_of(conversation, &act.by, &act.request_id, hash)? {
        return Ok(done);
    }
    check_sound(conversation)?;
    check_owner(draft, conversation, act)?;
    let conversation = &*with_room(draft, conversation);
    let Phase::Active(active) = &conversation.phase else {
        return Err(wrong_state(conversation));
    };
    put_on_hold(draft, conversation, active, HoldReason::ByAgent);
    let done = Done::Nothing;
    draft.remember(request(conversation, &act.by, &act.request_id, hash), &done)?;
    Ok(done)
}

/// Only the owner, or a supervisor, acts as the owner.
fn check_owner(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    act: &OwnerAct,
) -> Result<(), Refusal> {
    match &act.by {
        Actor::Agent { agent, .. } => {
            check_voice(draft.state, conversation, &act.by)?;
            heal(draft, agent);
            Ok(())
        }
        Actor::Staff { .. } => Ok(()),
        Actor::Customer => Err(Refusal::NotAllowed {
            actor: "customer",
            act: "act as the owner",
        }),
        Actor::Bot { .. } => Err(Refusal::NotAllowed {
            actor: "bot",
            act: "act as the owner",
        }),
    }
}

/// Frees the owner's units; who speaks for our side stays.
pub(super) fn put_on_hold(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    active: &Active,
    reason: HoldReason,
) {
    draft.end_work(conversation);
    draft.item(conversation, ItemKind::Held { reason });
    let hold = OnHold {
        agent: active.agent.clone(),
        since: draft.now(),
        reason,
        replied: active.replied,
        first_reply_spent_ms: first_reply_spent_ms(&draft.state.meta.leader, active, draft.now()),
        first_reply_warned: active.first_reply_warned,
    };
    draft.phase(conversation, Phase::OnHold(hold), conversation.owner_epoch);
    draft.agent_done(&active.agent, false);
}

pub(super) fn resume(draft: &mut Draft<'_>, act: &OwnerAct) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, act.conversation)?;
    let hash = Fingerprint::of("resume").hash();
    if let Some(done) = copy_of(conversation, &act.by, &act.request_id, hash)? {
        return Ok(done);
    }
    check_sound(conversation)?;
    check_owner(draft, conversation, act)?;
    let conversation = &*with_room(draft, conversation);
    let Phase::OnHold(hold) = &conversation.phase else {
        return Err(wrong_state(conversation));
    };
    let units = units_for(draft, conversation, hold)?;
    take_up(draft, conversation, hold, units);
    let done = Done::Owned(Owned {
        conversation: conversation.id,
        owner_epoch: conversation.owner_epoch,
    });
    draft.remember(request(conversation, &act.by, &act.request_id, hash), &done)?;
    Ok(done)
}

/// Units that a held conversation's owner has free for it, or the refusal.
pub(super) fn units_for(
    draft: &Draft<'_>,
    conversation: &Conversation,
    hold: &OnHold,
) -> Result<u32, Refusal> {
    units_beside(draft, conversation, hold, &draft.load(&hold.agent))
}

/// Units that the owner of a held conversation would have free for it beside this load.
pub(super) fn units_beside(
    draft: &Draft<'_>,
    conversation: &Conversation,
    hold: &OnHold,
    load: &Load,
) -> Result<u32, Refusal> {
    let name = &hold.agent;
    let agent = draft
        .agent_now(name)
        .ok_or_else(|| Refusal::AgentNotFound {
            agent: name.clone(),
        })?;
    if !agent.is_reachable() {
        return Err(Refusal::AgentUnreachable {
            agent: name.clone(),
        });
    }
    units_free(draft.state, agent, load, &conversation.channel)
        .map_err(|_: Exclusion| at_capacity(draft, conversation, name))
}

/// The refusal of an agent without free units.
pub(super) fn at_capacity(
    draft: &Draft<'_>,
    conversation: &Conversation,
    agent: &crate::ids::AgentId,
) -> Refusal {
    let capacity = draft
        .agent_now(agent)
        .map_or(0, |found| found.profile.capacity);
    let free = capacity.saturating_sub(draft.load(agent).used);
    let needed = draft.state.channel(&conversation.channel).cost;
    Refusal::AgentAtCapacity {
        agent: agent.clone(),
        free,
        needed,
    }
}

/// Makes a held conversation active again; its owner's units are taken in this step.
pub(super) fn take_up(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    hold: &OnHold,
    units: u32,
) {
    draft.item(conversation, ItemKind::Resumed);
    let awaiting_customer = awaits_customer(draft, conversation).then(|| draft.now());
    let active = Active {
        agent: hold.agent.clone(),
        since: draft.now(),
        units,
        replied: hold.replied,
        awaiting_customer,
        first_reply_spent_ms: hold.first_reply_spent_ms,
        first_reply_warned: hold.first_reply_warned,
        silence_warned: false,
        lost_handled: false,
    };
    draft.phase(
        conversation,
        Phase::Active(active),
        conversation.owner_epoch,
    );
}

/// Whether our side wrote last, in this step or before, so that the customer's silence counts.
fn awaits_customer(draft: &Draft<'_>, conversation: &Conversation) -> bool {
    let by_us = |item: &Item| Some(item.message()?.author != Author::Customer);
    let mut of_this_step = draft.events.iter().rev();
    let last = of_this_step.find_map(|event| match event {
        Event::ItemAdded {
            conversation: id,
            item,
        } if *id == conversation.id => by_us(item),
        _ => None,
    });
    let before = || {
        let mut items = conversation.items.iter().rev();
        items.find_map(|item| by_us(&item))
    };
    last.or_else(before).unwrap_or(false)
}

pub(super) fn finish_wrap_up(draft: &mut Draft<'_>, act: &OwnerAct) -> Result<Done, Refusal> {
    let conversation = find(draft.state, act.conversation)?;
    let hash = Fingerprint::of("finish").hash();
    if let Some(done) = copy_of(conversation, &act.by, &act.request_id, hash)? {
        return Ok(done);
    }
    let Phase::WrapUp(wrap_up) = &conversation.phase else {
        return Err(wrong_state(conversation));
    };
    let by_agent = match &act.by {
        // The close has raised the epoch, and nobody else can own it any more: the login is enough.
        Actor::Agent { agent, session, .. } => {
            check_session(draft.state, agent, *session)?;
            if *agent != wrap_up.agent {
                return Err(Refusal::NotOwner {
                    agent: agent.clone(),
                    owner: Some(wrap_up.agent.clone()),
                });
            }
            heal(draft, agent);
            true
        }
        Actor::Staff { .. } => false,
        Actor::Customer | Actor::Bot { .. } => {
            return Err(Refusal::NotAllowed {
                actor: "customer",
                act: "finish wrap-up",
            });
        }
    };
    let remaining_ms = wrap_up
        .since
        .plus_ms(wrap_up.limit_ms)
        .since_ms(draft.now());
    if by_agent && wrap_up.mode == WrapUpMode::TimeBoxedWithoutExit && remaining_ms > 0 {
        return Err(Refusal::WrapUpNotOver {
            conversation: conversation.id,
            remaining_ms,
        });
    }
    end_wrap_up(draft, conversation);
    let done = Done::Nothing;
    draft.remember(request(conversation, &act.by, &act.request_id, hash), &done)?;
    Ok(done)
}

/// Ends after-contact work: units are free, the agent's idle time begins.
pub(super) fn end_wrap_up(draft: &mut Draft<'_>, conversation: &Conversation) {
    let Phase::WrapUp(wrap_up) = &conversation.phase else {
        return;
    };
    draft.end_work(conversation);
    let closed = Closed {
        at: wrap_up.since,
        how: Ending::Closed,
        by: closed_by(conversation),
        agent: Some(wrap_up.agent.clone()),
        sealed: None,
    };
    draft.phase(
        conversation,
        Phase::Closed(closed),
        conversation.owner_epoch,
    );
    draft.count(conversation, Tally::Handled);
    draft.agent_done(&wrap_up.agent, true);
    draft.push(Event::Ended {
        conversation: conversation.id,
        how: Ending::Closed,
    });
}

/// Who ended it for the customer, as the transcript says.
fn closed_by(conversation: &Conversation) -> Author {
    let mut newest_first = conversation.items.iter().rev();
    let ends = newest_first.find_map(|item| match item.kind {
        ItemKind::Closed { by, .. } => Some(by),
        _ => None,
    });
    ends.unwrap_or(Author::Machine)
}

pub(super) fn release(draft: &mut Draft<'_>, release: &Release) -> Result<Done, Refusal> {
    let conversation = find(draft.state, release.conversation)?;
    let hash = Fingerprint::of("release").text(&release.reason).hash();
    let actor = Actor::Staff {
        staff: release.staff.clone(),
    };
    if let Some(done) = copy_of(conversation, &actor, &release.request_id, hash)? {
        return Ok(done);
    }
    check_length("reason", release.reason.len(), staff::WHY_BYTES_MAX)?;
    if conversation.quarantined.is_none() || conversation.is_sealed() {
        return Err(wrong_state(conversation));
    }
    staff::write_down(draft, conversation, &release.staff, &release.reason);
    draft.push(Event::Released {
        conversation: conversation.id,
    });
    let ordered = staff::order(&release.staff, &release.reason, None);
    draft.decided(conversation, Found::Released, None, ordered);
    let done = Done::Nothing;
    draft.remember(
        request(conversation, &actor, &release.request_id, hash),
        &done,
    )?;
    Ok(done)
}
