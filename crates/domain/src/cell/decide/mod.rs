//! `decide`: one command judged against the state.
//! Promise: reads only; the answer is events or a typed refusal.
//! Not here: the changes (`evolve`).

mod agent;
mod checkpoint;
mod close;
mod due;
mod intake;
mod leader;
mod lease;
mod offer;
mod own;
mod plan;
mod quarantine;
mod send;
mod staff;
mod transfer;

pub(crate) use due::due;
pub(crate) use offer::spikes_over;
pub(crate) use quarantine::quarantine;
pub(crate) use send::recall_message;

use std::sync::Arc;

use mutants::{Mutant, planted};

use super::archive::{ArchivedUpto, LOOK_AGAIN_MS};
use super::command::{Actor, Command};
use super::conversation::{Conversation, ITEMS_MAX, MESSAGE_BYTES_MAX, Phase};
use super::draft::{Draft, Request};
use super::event::Object;
use super::refusal::Refusal;
use super::reply::Done;
use super::requests::{Principal, recall};
use super::state::State;
use super::transcript::Author;
use crate::ids::{AgentId, ConversationId, LogIndex, RequestId, Session};

/// Bytes of one message or remark.
pub const BODY_BYTES_MAX: usize = 64 * 1_024;
/// A "come back later" that needs no wait of its own, in milliseconds.
pub(crate) const RETRY_MS: u64 = 1_000;

/// Judges a command.
pub(crate) fn decide(draft: &mut Draft<'_>, command: &Command) -> Result<Done, Refusal> {
    match command {
        Command::LeaderStarted(started) => Ok(leader::started(draft, started)),
        Command::Tick(_) | Command::MatchMore => Ok(Done::Nothing),
        Command::RaiseVersion(version) => Ok(leader::raise(draft, *version)),
        Command::HoldBuckets(buckets) => Ok(leader::hold_buckets(draft, buckets)),
        Command::AdoptPlan(plan) => Ok(plan::adopt(draft, plan)),
        Command::Open(open) => intake::open(draft, open),
        Command::Send(send) => send::send(draft, send),
        Command::CustomerPresence(presence) => own::presence(draft, presence),
        Command::Close(close) => close::close(draft, close),
        Command::Rate(rate) => close::rate(draft, rate),
        Command::HandOff(hand_off) => intake::hand_off(draft, hand_off),
        Command::LogIn(log_in) => agent::log_in(draft, log_in),
        Command::LogOut(log_out) => agent::log_out(draft, log_out),
        Command::SetIntent(set) => agent::set_intent(draft, set),
        Command::SetNextStatus(set) => agent::set_next(draft, set),
        Command::Lease(lease) => lease::lease(draft, lease),
        Command::OfferShown(shown) => offer::shown(draft, shown),
        Command::Accept(accept) => offer::accept(draft, accept),
        Command::Decline(decline) => offer::decline(draft, decline),
        Command::Note(note) => own::note(draft, note),
        Command::Hold(act) => own::hold(draft, act),
        Command::Resume(act) => own::resume(draft, act),
        Command::Transfer(transfer) => transfer::transfer(draft, transfer),
        Command::FinishWrapUp(act) => own::finish_wrap_up(draft, act),
        Command::Release(release) => own::release(draft, release),
        Command::ArchivedUpto(next) => archived(draft, next),
        Command::Checkpoint(mark) => Ok(checkpoint::checkpoint(draft, *mark)),
        Command::Requeue(act) => staff::requeue(draft, act),
        Command::Assign(act) => staff::assign(draft, act),
        Command::PauseQueue(act) => staff::pause(draft, act),
        Command::ResumeQueue(act) => staff::resume(draft, act),
    }
}

fn archived(draft: &mut Draft<'_>, next: &ArchivedUpto) -> Result<Done, Refusal> {
    for event in super::archive::archived(draft.state, next)? {
        draft.push(event);
    }
    Ok(Done::Nothing)
}

/// The conversation that a command concerns, noted before its step begins: the record that the
/// decision works on, which for an old id is the one in which it goes on.
pub(crate) fn subject_of(state: &State, command: &Command) -> Option<LogIndex> {
    let of_offer = |offer| state.conversation_of(offer).map(|id| id.index);
    let exact = |id| find(state, id).ok().map(|found| found.id.index);
    let named = match command {
        Command::FinishWrapUp(act) => return exact(act.conversation),
        Command::Release(release) => return exact(release.conversation),
        Command::OfferShown(shown) => return of_offer(shown.offer),
        Command::Accept(accept) => return of_offer(accept.offer.offer),
        Command::Decline(decline) => return of_offer(decline.offer.offer),
        Command::Open(open) => state
            .customer(&open.account, &open.customer)
            .and_then(|record| record.open),
        command => command.conversation(),
    };
    named
        .and_then(|id| find_last(state, id).ok())
        .map(|found| found.id.index)
}

/// A conversation by its id. One that is not here and was opened before something left may have left too.
pub(crate) fn find(state: &State, id: ConversationId) -> Result<&Arc<Conversation>, Refusal> {
    state.conversation(id).ok_or_else(|| {
        if state.may_have_left(id) {
            Refusal::LookAgain {
                conversation: id,
                retry_after_ms: LOOK_AGAIN_MS,
            }
        } else {
            Refusal::ConversationNotFound { conversation: id }
        }
    })
}

/// Refuses a change of what was sealed.
pub(crate) fn check_unsealed(conversation: &Conversation) -> Result<(), Refusal> {
    if conversation.is_sealed() {
        return Err(wrong_state(conversation));
    }
    Ok(())
}

/// A conversation by its id, or the one in which it goes on.
pub(crate) fn find_last(state: &State, id: ConversationId) -> Result<&Arc<Conversation>, Refusal> {
    let mut found = find(state, id)?;
    // Each step goes to a conversation that was opened later, so this ends.
    while let Some(next) = found.continued_to.and_then(|next| state.conversation(next)) {
        found = next;
    }
    Ok(found)
}

/// Refuses what a conversation that was set aside does not take.
pub(crate) fn check_sound(conversation: &Conversation) -> Result<(), Refusal> {
    match conversation.quarantined {
        None => Ok(()),
        Some(index) => Err(Refusal::MachineDefect {
            conversation: Some(conversation.id),
            index,
            retry_after_ms: super::apply::DEFECT_RETRY_MS,
        }),
    }
}

/// The phase does not allow what was asked.
pub(crate) fn wrong_state(conversation: &Conversation) -> Refusal {
    if conversation.phase.is_over() {
        return Refusal::ConversationClosed {
            conversation: conversation.id,
        };
    }
    Refusal::WrongState {
        conversation: conversation.id,
        state: conversation.phase.word(),
    }
}

/// The login in force is the one that the command carries.
pub(crate) fn check_session(
    state: &State,
    agent: &AgentId,
    session: Session,
) -> Result<(), Refusal> {
    let record = state
        .agents
        .get(agent)
        .ok_or_else(|| Refusal::AgentNotFound {
            agent: agent.clone(),
        })?;
    if record.session == Some(session) {
        return Ok(());
    }
    Err(Refusal::StaleSession {
        agent: agent.clone(),
        session,
        current: record.session.unwrap_or(Session(0)),
    })
}

/// Who acts, as the transcript names them.
pub(crate) fn author_of(actor: &Actor) -> Author {
    match actor {
        Actor::Customer => Author::Customer,
        Actor::Agent { agent, .. } => Author::Agent(agent.clone()),
        Actor::Bot { .. } => Author::Bot,
        Actor::Staff { staff } => Author::Staff(staff.clone()),
    }
}

/// Who acts, as the table of requests names them.
pub(crate) fn principal_of(actor: &Actor) -> Principal {
    match actor {
        Actor::Customer => Principal::Customer,
        Actor::Agent { agent, .. } => Principal::Agent(agent.clone()),
        Actor::Bot { .. } => Principal::Bot,
        Actor::Staff { staff } => Principal::Staff(staff.clone()),
    }
}

/// Our side speaks in the present epoch, and an agent is the owner.
pub(crate) fn check_voice(
    state: &State,
    conversation: &Conversation,
    actor: &Actor,
) -> Result<(), Refusal> {
    let stale = |given| Refusal::StaleOwnerEpoch {
        given,
        current: conversation.owner_epoch,
        owner: conversation.phase.owner().cloned(),
    };
    match actor {
        Actor::Customer | Actor::Staff { .. } => Ok(()),
        Actor::Bot { owner_epoch } => {
            let speaks =
                conversation.phase == Phase::Bot && *owner_epoch == conversation.owner_epoch;
            if speaks {
                Ok(())
            } else {
                Err(stale(*owner_epoch))
            }
        }
        Actor::Agent {
            agent,
            session,
            owner_epoch,
        } => {
            check_session(state, agent, *session)?;
            if *owner_epoch != conversation.owner_epoch && !planted(Mutant::SkipOwnerEpoch) {
                return Err(stale(*owner_epoch));
            }
            if conversation.phase.owner() == Some(agent) {
                return Ok(());
            }
            Err(Refusal::NotOwner {
                agent: agent.clone(),
                owner: conversation.phase.owner().cloned(),
            })
        }
    }
}

/// The first answer to a request of this conversation, if it is a copy.
pub(crate) fn copy_of(
    conversation: &Conversation,
    actor: &Actor,
    id: &RequestId,
    payload_hash: u64,
) -> Result<Option<Done>, Refusal> {
    recall(
        &conversation.requests,
        &principal_of(actor),
        id,
        payload_hash,
    )
}

/// A request that this conversation remembers.
pub(crate) fn request<'r>(
    conversation: &'r Conversation,
    actor: &Actor,
    id: &'r RequestId,
    payload_hash: u64,
) -> Request<'r> {
    Request {
        object: Object::Conversation(conversation.id),
        rows: &conversation.requests,
        principal: principal_of(actor),
        id,
        payload_hash,
    }
}

/// An agent who acts is there: misses in a row are forgotten, with what they led to.
pub(crate) fn heal(draft: &mut Draft<'_>, name: &AgentId) {
    let missed = draft
        .agent_now(name)
        .is_some_and(|agent| !agent.channels.is_empty());
    if missed && let Some(agent) = draft.agent(name) {
        agent.channels.clear();
    }
}

/// Checks a text's length.
pub(crate) fn check_length(
    field: &'static str,
    length: usize,
    limit: usize,
) -> Result<(), Refusal> {
    if length <= limit {
        Ok(())
    } else {
        Err(Refusal::FieldTooLong {
            field,
            limit: limit as u64,
        })
    }
}

/// Checks a message's or a remark's size.
pub(crate) fn check_body(body: &crate::ids::Body) -> Result<(), Refusal> {
    if body.bytes.is_empty() {
        return Err(Refusal::MessageEmpty);
    }
    if body.bytes.len() > BODY_BYTES_MAX {
        let bytes = body.bytes.len() as u64;
        return Err(Refusal::MessageTooLarge {
            bytes,
            limit: BODY_BYTES_MAX as u64,
        });
    }
    Ok(())
}

/// Refuses a remark that a conversation has no room for: unlike a message it opens no next episode.
pub(crate) fn check_remark_fits(
    conversation: &Conversation,
    body: &crate::ids::Body,
) -> Result<(), Refusal> {
    if conversation.is_full() {
        return Err(Refusal::FieldTooLong {
            field: "conversation",
            limit: ITEMS_MAX as u64,
        });
    }
    let bytes = conversation.message_bytes + body.bytes.len() as u64;
    if bytes <= MESSAGE_BYTES_MAX {
        return Ok(());
    }
    Err(Refusal::FieldTooLong {
        field: "conversation",
        limit: MESSAGE_BYTES_MAX,
    })
}
