//! A supervisor's hands: taking work from its agent, naming an agent for it, stopping a queue.
//! Promise: place and age stay; who did it and why is recorded with it; one owner or one line after it.
//! Not here: transfers (`transfer`), ends (`close`), an agent's intent (`agent`), release (`own`).

use super::send::with_room;
use super::transfer::{can_wait, check_ever, check_target, named, take_away};
use super::{
    check_length, check_remark_fits, check_sound, copy_of, find_last, request, wrong_state,
};
use crate::cell::command::{Actor, Assign, QueueAct, Requeue};
use crate::cell::conversation::{Conversation, Held, PassedOver, Phase, Waiting};
use crate::cell::draft::{Draft, Request, next_epoch};
use crate::cell::event::{Event, Object};
use crate::cell::fingerprint::{Fingerprint, of_assign};
use crate::cell::floor::{OfferOutcome, QueueRecord, Steered};
use crate::cell::receipts::{Found, Order};
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::cell::requests::{Principal, recall};
use crate::cell::state::State;
use crate::cell::transcript::{Author, RequeueReason};
use crate::ids::{AgentId, Body, QueueId, RequestId, StaffId};

/// Bytes of a supervisor's reason.
pub(super) const WHY_BYTES_MAX: usize = 1_024;

/// A supervisor's order, for the receipt.
pub(super) fn order(staff: &StaffId, why: &str, to: Option<&QueueId>) -> Box<Order> {
    Box::new(Order {
        by: Author::Staff(staff.clone()),
        why: why.into(),
        to: to.cloned(),
    })
}

/// Writes a supervisor's reason beside the transcript, for whoever takes the work. A conversation that
/// has no room for it is steered all the same: the receipt tells.
pub(super) fn write_down(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    staff: &StaffId,
    why: &str,
) {
    let body = Body::clear(why);
    if !why.is_empty() && check_remark_fits(conversation, &body).is_ok() {
        draft.remark(conversation, Author::Staff(staff.clone()), body);
    }
}

pub(super) fn requeue(draft: &mut Draft<'_>, act: &Requeue) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, act.conversation)?;
    let hash = Fingerprint::of("requeue").text(&act.reason).hash();
    let actor = Actor::Staff {
        staff: act.staff.clone(),
    };
    if let Some(done) = copy_of(conversation, &actor, &act.request_id, hash)? {
        return Ok(done);
    }
    check_sound(conversation)?;
    check_length("reason", act.reason.len(), WHY_BYTES_MAX)?;
    check_has_somebody(conversation)?;
    let conversation = &*with_room(draft, conversation);
    write_down(draft, conversation, &act.staff, &act.reason);
    take_back(draft, conversation)?;
    let ordered = order(&act.staff, &act.reason, None);
    draft.decided(conversation, Found::Requeued, None, ordered);
    let done = Done::Nothing;
    draft.remember(request(conversation, &actor, &act.request_id, hash), &done)?;
    Ok(done)
}

/// Refuses what waits for everybody already, or is not in a person's hands.
fn check_has_somebody(conversation: &Conversation) -> Result<(), Refusal> {
    match &conversation.phase {
        Phase::Queued(waiting) if waiting.prefer.is_some() => Ok(()),
        Phase::Offered(_) | Phase::Active(_) | Phase::OnHold(_) => Ok(()),
        _ => Err(wrong_state(conversation)),
    }
}

/// Takes it from whoever has it, is asked or waited for. An agent who had it is not asked again for as
/// long as after a decline: else it would often come straight back, longest idle as that agent is.
fn take_back(draft: &mut Draft<'_>, conversation: &Conversation) -> Result<(), Refusal> {
    let waiting = Waiting {
        prefer: None,
        held: Held::No,
    };
    match &conversation.phase {
        Phase::Offered(offer) => {
            draft.end_offer(conversation, offer, OfferOutcome::Rescinded);
            pass_over(draft, conversation, &offer.agent)?;
            let epoch = next_epoch(conversation.owner_epoch);
            draft.phase(conversation, Phase::Queued(waiting), epoch);
            draft.agent_done(&offer.agent, false);
        }
        Phase::Queued(_) => {
            let epoch = next_epoch(conversation.owner_epoch);
            draft.phase(conversation, Phase::Queued(waiting), epoch);
        }
        phase => {
            if let Some(agent) = phase.owner() {
                pass_over(draft, conversation, agent)?;
            }
            draft.requeue(conversation, RequeueReason::BySupervisor, waiting);
        }
    }
    Ok(())
}

fn pass_over(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    agent: &AgentId,
) -> Result<(), Refusal> {
    let pause_ms = draft.rules(conversation)?.timers.back_off_ms_max;
    let passed = PassedOver {
        agent: agent.clone(),
        until: draft.now().plus_ms(pause_ms),
    };
    draft.push(Event::PassedOver {
        conversation: conversation.id,
        passed,
        reason: "".into(),
    });
    Ok(())
}

pub(super) fn assign(draft: &mut Draft<'_>, act: &Assign) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, act.conversation)?;
    let hash = of_assign(act);
    let actor = Actor::Staff {
        staff: act.staff.clone(),
    };
    if let Some(done) = copy_of(conversation, &actor, &act.request_id, hash)? {
        return Ok(done);
    }
    check_sound(conversation)?;
    check_length("reason", act.reason.len(), WHY_BYTES_MAX)?;
    check_is_nobodys(conversation, &act.agent)?;
    let conversation = &*with_room(draft, conversation);
    let ordered = order(&act.staff, &act.reason, None);
    let taken = match check_not_paused(draft.state, conversation, &act.agent) {
        Ok(()) => check_target(draft, conversation, &act.agent),
        Err(paused) => Err(paused),
    };
    let epoch = next_epoch(conversation.owner_epoch);
    match taken {
        Ok(units) => {
            let found = named(draft, &act.agent, units, (Found::Assigned, ordered))?;
            take_away(draft, conversation);
            write_down(draft, conversation, &act.staff, &act.reason);
            draft.offer(conversation, epoch, found);
        }
        Err(refusal) if act.wait && can_wait(&refusal) => {
            check_ever(draft, conversation, &act.agent)?;
            take_away(draft, conversation);
            write_down(draft, conversation, &act.staff, &act.reason);
            let waiting = Waiting {
                prefer: Some(act.agent.clone()),
                held: Held::OwnLine,
            };
            draft.phase(conversation, Phase::Queued(waiting), epoch);
            let agent = Some(act.agent.clone());
            draft.decided(conversation, Found::ToOwnLine, agent, ordered);
        }
        Err(refusal) => return Err(refusal),
    }
    let done = Done::Nothing;
    draft.remember(request(conversation, &actor, &act.request_id, hash), &done)?;
    Ok(done)
}

/// Only waiting work is assigned; what somebody owns is passed on by a transfer.
fn check_is_nobodys(conversation: &Conversation, agent: &AgentId) -> Result<(), Refusal> {
    match &conversation.phase {
        Phase::Offered(offer) if offer.agent == *agent => Err(Refusal::NotAllowed {
            actor: "supervisor",
            act: "assign work to the agent who is asked for it already",
        }),
        Phase::Queued(_) | Phase::Offered(_) => Ok(()),
        _ => Err(wrong_state(conversation)),
    }
}

/// Refuses to offer what stands in a paused line, whoever is named. An agent who may wait for it is one
/// who exists and may serve it.
pub(super) fn check_not_paused(
    state: &State,
    conversation: &Conversation,
    agent: &AgentId,
) -> Result<(), Refusal> {
    let queue = &conversation.queue;
    let waits = matches!(conversation.phase, Phase::Queued(_) | Phase::Offered(_));
    if !waits || !state.is_paused(queue) {
        return Ok(());
    }
    super::transfer::check_may_serve(state, conversation, agent)?;
    let rules = state.queue_plan(state.meta.plan, queue);
    Err(Refusal::QueuePaused {
        queue: queue.clone(),
        text: rules.map_or(String::new(), |rules| rules.texts.paused.to_string()),
        by_plan: state.is_paused_by_plan_alone(queue),
    })
}

/// What a supervisor's act on a queue begins with: the first answer, if it is a copy, or its record.
fn begin<'s>(
    state: &'s State,
    act: &QueueAct,
    hash: u64,
) -> Result<(&'s QueueRecord, Option<Done>), Refusal> {
    let record = state
        .queues
        .get(&act.queue)
        .ok_or_else(|| Refusal::QueueNotFound {
            queue: act.queue.clone(),
        })?;
    let principal = Principal::Staff(act.staff.clone());
    let copy = recall(&record.requests, &principal, &act.request_id, hash)?;
    if copy.is_none() {
        check_length("reason", act.reason.len(), WHY_BYTES_MAX)?;
    }
    Ok((record, copy))
}

pub(super) fn pause(draft: &mut Draft<'_>, act: &QueueAct) -> Result<Done, Refusal> {
    let hash = Fingerprint::of("pause").text(&act.reason).hash();
    let (record, copy) = begin(draft.state, act, hash)?;
    if let Some(done) = copy {
        return Ok(done);
    }
    if let Some(steered) = record.paused_by() {
        return Err(Refusal::QueuePausedAlready {
            queue: act.queue.clone(),
            by: steered.by.clone(),
            why: steered.why.to_string(),
        });
    }
    steer(draft, (act, hash), record, true)
}

pub(super) fn resume(draft: &mut Draft<'_>, act: &QueueAct) -> Result<Done, Refusal> {
    let hash = Fingerprint::of("resume queue").text(&act.reason).hash();
    let (record, copy) = begin(draft.state, act, hash)?;
    if let Some(done) = copy {
        return Ok(done);
    }
    if record.paused_by().is_none() {
        return Err(Refusal::QueueNotPaused {
            queue: act.queue.clone(),
            by_plan: draft.state.is_paused_by_plan(&act.queue),
        });
    }
    steer(draft, (act, hash), record, false)
}

fn steer(
    draft: &mut Draft<'_>,
    (act, hash): (&QueueAct, u64),
    record: &QueueRecord,
    paused: bool,
) -> Result<Done, Refusal> {
    let steered = Steered {
        paused,
        by: act.staff.clone(),
        why: act.reason.as_str().into(),
        at: draft.now(),
        wall_ms: draft.state.meta.wall_ms,
    };
    draft.push(Event::QueueSteered {
        queue: act.queue.clone(),
        steered: Box::new(steered),
    });
    let done = Done::Nothing;
    draft.remember(of_queue(record, act, &act.request_id, hash), &done)?;
    Ok(done)
}

fn of_queue<'r>(
    record: &'r QueueRecord,
    act: &QueueAct,
    id: &'r RequestId,
    payload_hash: u64,
) -> Request<'r> {
    Request {
        object: Object::Queue(act.queue.clone()),
        rows: &record.requests,
        principal: Principal::Staff(act.staff.clone()),
        id,
        payload_hash,
    }
}
