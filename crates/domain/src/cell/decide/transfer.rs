//! Transfers: to another line with the full age, or to one agent.
//! Promise: at every step exactly one owner or one line.
//! Not here: other cells.

use super::intake::{check_not_full, check_queue, rules_in_force};
use super::send::with_room;
use super::{
    RETRY_MS, author_of, check_body, check_length, check_remark_fits, check_session, check_sound,
    check_voice, copy_of, find_last, heal, request, staff, wrong_state,
};
use crate::cell::agent::Agent;
use crate::cell::capacity::{can_ever_hold, can_take, is_eligible};
use crate::cell::command::{Actor, Target, Transfer};
use crate::cell::conversation::{Conversation, Held, Phase, Waiting};
use crate::cell::draft::{Draft, next_epoch};
use crate::cell::event::{Event, Tally};
use crate::cell::fingerprint::of_transfer;
use crate::cell::floor::OfferOutcome;
use crate::cell::matching::Match;
use crate::cell::receipts::{Exclusion, Found, Order};
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::cell::state::State;
use crate::cell::transcript::ItemKind;
use crate::ids::{AgentId, OwnerEpoch, QueueId};

pub(super) fn transfer(draft: &mut Draft<'_>, transfer: &Transfer) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, transfer.conversation)?;
    let hash = of_transfer(transfer);
    if let Some(done) = copy_of(conversation, &transfer.by, &transfer.request_id, hash)? {
        return Ok(done);
    }
    check_sound(conversation)?;
    check_may_pass_on(draft, conversation, &transfer.by)?;
    let ordered = order_of(transfer)?;
    let conversation = &*with_room(draft, conversation);
    match (&transfer.note, &transfer.by) {
        (_, Actor::Staff { staff }) => staff::write_down(draft, conversation, staff, &ordered.why),
        (Some(body), _) => {
            check_body(body)?;
            check_remark_fits(conversation, body)?;
            draft.remark(conversation, author_of(&transfer.by), body.clone());
        }
        (None, _) => {}
    }
    match &transfer.target {
        Target::Queue(queue) => to_queue(draft, conversation, queue, ordered)?,
        Target::Agent { agent, wait } => to_agent(draft, conversation, (agent, *wait), ordered)?,
    }
    draft.count(conversation, Tally::Transferred);
    let done = Done::Nothing;
    draft.remember(
        request(conversation, &transfer.by, &transfer.request_id, hash),
        &done,
    )?;
    Ok(done)
}

/// Who passes it on and, where it is a supervisor, why: the note says it.
fn order_of(transfer: &Transfer) -> Result<Box<Order>, Refusal> {
    let to = match &transfer.target {
        Target::Queue(queue) => Some(queue.clone()),
        Target::Agent { .. } => None,
    };
    let why = match (&transfer.by, &transfer.note) {
        (Actor::Staff { .. }, Some(body)) => {
            check_length("reason", body.bytes.len(), staff::WHY_BYTES_MAX)?;
            String::from_utf8_lossy(&body.bytes)
        }
        _ => "".into(),
    };
    Ok(Box::new(Order {
        by: author_of(&transfer.by),
        why: why.into(),
        to,
    }))
}

fn check_may_pass_on(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    by: &Actor,
) -> Result<(), Refusal> {
    if conversation.phase.is_over() || conversation.phase == Phase::Bot {
        return Err(wrong_state(conversation));
    }
    match by {
        Actor::Agent { agent, session, .. } => {
            check_session(draft.state, agent, *session)?;
            check_voice(draft.state, conversation, by)?;
            heal(draft, agent);
            Ok(())
        }
        Actor::Staff { .. } => Ok(()),
        Actor::Customer => Err(Refusal::NotAllowed {
            actor: "customer",
            act: "transfer",
        }),
        Actor::Bot { .. } => Err(Refusal::NotAllowed {
            actor: "bot",
            act: "transfer",
        }),
    }
}

/// Takes the conversation from whoever has it; the phase after that is the caller's.
pub(super) fn take_away(draft: &mut Draft<'_>, conversation: &Conversation) {
    draft.end_work(conversation);
    match &conversation.phase {
        Phase::Offered(offer) => {
            draft.end_offer(conversation, offer, OfferOutcome::Rescinded);
            draft.agent_done(&offer.agent, false);
        }
        Phase::Active(active) => draft.agent_done(&active.agent, true),
        _ => {}
    }
}

fn to_queue(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    queue: &QueueId,
    ordered: Box<Order>,
) -> Result<(), Refusal> {
    let state = draft.state;
    let plan = state.plan().ok_or(Refusal::PlanBehind {
        version: 0,
        retry_after_ms: RETRY_MS,
    })?;
    let waits_there = conversation.is_waiting() && conversation.queue == *queue;
    let rules = if waits_there {
        plan.queues
            .get(queue)
            .ok_or_else(|| Refusal::QueueNotFound {
                queue: queue.clone(),
            })?
    } else {
        check_queue(state, plan, queue)?
    };
    let epoch = next_epoch(conversation.owner_epoch);
    take_away(draft, conversation);
    draft.item(
        conversation,
        ItemKind::TransferredToQueue {
            queue: queue.clone(),
        },
    );
    draft.phase(
        conversation,
        Phase::Queued(Waiting {
            prefer: None,
            held: Held::No,
        }),
        epoch,
    );
    draft.push(Event::QueueEntered {
        conversation: conversation.id,
        queue: queue.clone(),
        pinned: state.meta.plan,
        urgency: rules.urgency,
        boost_ms: conversation.boost_asked_ms.min(rules.boost_ms_max),
        first: false,
        at: draft.now(),
    });
    draft.owner(conversation, None, epoch);
    draft.push(Event::Counted {
        queue: queue.clone(),
        site: conversation.site.clone(),
        tally: Tally::Entered,
    });
    draft.decided(conversation, Found::ToQueue, None, ordered);
    Ok(())
}

/// Offers it to one agent at once, or lets it wait in that agent's own line if that was asked for.
fn to_agent(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    (name, wait): (&AgentId, bool),
    ordered: Box<Order>,
) -> Result<(), Refusal> {
    let taken = match staff::check_not_paused(draft.state, conversation, name) {
        Ok(()) => check_target(draft, conversation, name),
        Err(paused) => Err(paused),
    };
    let epoch = next_epoch(conversation.owner_epoch);
    match taken {
        Ok(units) => {
            let found = named(draft, name, units, (Found::Named, ordered))?;
            take_away(draft, conversation);
            draft.item(
                conversation,
                ItemKind::TransferredToAgent {
                    agent: name.clone(),
                },
            );
            draft.owner(conversation, None, epoch);
            draft.offer(conversation, epoch, found);
            Ok(())
        }
        Err(refusal) if wait && can_wait(&refusal) => {
            check_ever(draft, conversation, name)?;
            check_room(draft, conversation)?;
            wait_in_line(draft, conversation, name, epoch);
            draft.decided(conversation, Found::ToOwnLine, Some(name.clone()), ordered);
            Ok(())
        }
        Err(refusal) => Err(refusal),
    }
}

/// The offer to an agent whom somebody named.
pub(super) fn named(
    draft: &Draft<'_>,
    name: &AgentId,
    units: u32,
    (found, ordered): (Found, Box<Order>),
) -> Result<Match, Refusal> {
    let session = draft.state.agents.get(name).and_then(|agent| agent.session);
    let session = session.ok_or_else(|| Refusal::AgentNotLoggedIn {
        agent: name.clone(),
    })?;
    Ok(Match {
        agent: name.clone(),
        session,
        units,
        found,
        candidates: 1,
        excluded: Vec::new(),
        excluded_more: 0,
        ordered: Some(ordered),
    })
}

/// Refuses work that the agent could not hold even with nothing else to do.
pub(super) fn check_ever(
    draft: &Draft<'_>,
    conversation: &Conversation,
    name: &AgentId,
) -> Result<(), Refusal> {
    let channel = draft.state.channel(&conversation.channel);
    let ever = draft
        .agent_now(name)
        .is_some_and(|agent| can_ever_hold(channel, &agent.profile, &conversation.channel));
    if ever {
        Ok(())
    } else {
        Err(super::own::at_capacity(draft, conversation, name))
    }
}

/// Refuses one more in a line that is full: an agent's own line is a part of the queue's.
fn check_room(draft: &Draft<'_>, conversation: &Conversation) -> Result<(), Refusal> {
    let rules = rules_in_force(draft.state, &conversation.queue)?;
    if conversation.is_waiting() {
        return Ok(());
    }
    check_not_full(draft.state, &conversation.queue, rules)
}

/// Whether waiting may help: an agent who does not exist or may not serve is refused all the same.
pub(super) fn can_wait(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::AgentAtCapacity { .. }
            | Refusal::AgentNotReady { .. }
            | Refusal::AgentUnreachable { .. }
            | Refusal::QueuePaused { .. }
    )
}

fn wait_in_line(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    name: &AgentId,
    epoch: OwnerEpoch,
) {
    take_away(draft, conversation);
    draft.item(
        conversation,
        ItemKind::TransferredToAgent {
            agent: name.clone(),
        },
    );
    let waiting = Waiting {
        prefer: Some(name.clone()),
        held: Held::OwnLine,
    };
    draft.phase(conversation, Phase::Queued(waiting), epoch);
    draft.owner(conversation, None, epoch);
}

/// The agent if one of this name may have it: known, logged in, not its holder, with the skills.
pub(super) fn check_may_serve<'s>(
    state: &'s State,
    conversation: &Conversation,
    name: &AgentId,
) -> Result<&'s Agent, Refusal> {
    let not_found = || Refusal::AgentNotFound {
        agent: name.clone(),
    };
    let agent = state
        .agents
        .get(name)
        .filter(|agent| !agent.retired)
        .ok_or_else(not_found)?;
    let holds = match &conversation.phase {
        Phase::Offered(offer) => Some(&offer.agent),
        Phase::Active(active) => Some(&active.agent),
        _ => None,
    };
    if holds == Some(name) {
        return Err(Refusal::NotAllowed {
            actor: "transfer",
            act: "name the agent who has the conversation",
        });
    }
    if agent.session.is_none() {
        return Err(Refusal::AgentNotLoggedIn {
            agent: name.clone(),
        });
    }
    let requires = state
        .queue_plan(state.meta.plan, &conversation.queue)
        .map_or(&[][..], |rules| &rules.requires);
    if !is_eligible(agent, requires) {
        return Err(Refusal::AgentNotSkilled {
            agent: name.clone(),
            queue: conversation.queue.clone(),
        });
    }
    Ok(agent)
}

/// Units that the agent has free for it, or why the transfer is refused.
pub(super) fn check_target(
    draft: &Draft<'_>,
    conversation: &Conversation,
    name: &AgentId,
) -> Result<u32, Refusal> {
    let state = draft.state;
    let agent = check_may_serve(state, conversation, name)?;
    let load = draft.load(name);
    can_take(state, agent, &load, &conversation.channel).map_err(|reason| match reason {
        Exclusion::AtCapacity => super::own::at_capacity(draft, conversation, name),
        Exclusion::Unreachable => Refusal::AgentUnreachable {
            agent: name.clone(),
        },
        _ => Refusal::AgentNotReady {
            agent: name.clone(),
        },
    })
}
