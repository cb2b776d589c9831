//! Messages: stored once, in order, in the conversation or in the one in which it goes on.
//! Promise: the same id again gives the first answer and changes nothing, also after closing.
//! Not here: opening (`intake`).

use std::borrow::Cow;

use mutants::{Mutant, planted};

use super::{author_of, check_body, check_sound, check_voice, find, find_last, heal, wrong_state};
use crate::cell::command::{Actor, Send};
use crate::cell::conversation::{
    Closed, Conversation, Ending, Gone, Held, MESSAGE_BYTES_MAX, Phase, Waiting,
};
use crate::cell::defects;
use crate::cell::draft::{Draft, next_epoch};
use crate::cell::event::{Event, Tally};
use crate::cell::floor::OfferOutcome;
use crate::cell::items::Items;
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, Sent};
use crate::cell::state::State;
use crate::cell::transcript::{Author, HoldReason, ItemKind, Message, RequeueReason};
use crate::ids::{Body, ConversationId};

/// Full episodes in which a message's id is looked for: of 2,000 messages each, more than anybody
/// writes within the time that a client goes on retrying.
const CONTINUATIONS_MAX: usize = 64;

pub(super) fn send(draft: &mut Draft<'_>, send: &Send) -> Result<Done, Refusal> {
    let state = draft.state;
    defects::trip(defects::Spot::Decide, &send.body.bytes);
    let author = author_of(&send.author);
    let named = find(state, send.conversation)?;
    if let Some(sent) = first_answer(state, named, send, &author)? {
        return Ok(Done::Sent(sent));
    }
    let conversation = find_last(state, send.conversation)?;
    check_sound(conversation)?;
    if conversation.phase.is_over() {
        return Err(Refusal::ConversationClosed {
            conversation: conversation.id,
        });
    }
    check_voice(state, conversation, &send.author)?;
    check_may_write(conversation, &send.author)?;
    check_body(&send.body)?;
    if let Actor::Agent { agent, .. } = &send.author {
        heal(draft, agent);
    }
    let message = Message {
        id: send.request_id.clone(),
        author,
        body: send.body.clone(),
        sent_ms: send.sent_ms,
        instance: send.instance.clone().map(Box::new),
    };
    let sent = store(draft, conversation, message);
    Ok(Done::Sent(sent))
}

/// The first answer to a message with this id, here, where it goes on, or where it came from.
fn first_answer(
    state: &State,
    named: &Conversation,
    send: &Send,
    author: &Author,
) -> Result<Option<Sent>, Refusal> {
    let mut next = Some(named);
    while let Some(conversation) = next {
        if let Some(sent) = recall_message(conversation, &send.request_id, author, &send.body)? {
            return Ok(Some(sent));
        }
        next = conversation
            .continued_to
            .and_then(|id| state.conversation(id))
            .map(|found| &**found);
    }
    let mut later = named;
    for _ in 0..CONTINUATIONS_MAX {
        let before = later.previous.and_then(|id| state.conversation(id));
        let Some(before) = before.filter(|before| before.continued_to == Some(later.id)) else {
            break;
        };
        if let Some(sent) = recall_message(before, &send.request_id, author, &send.body)? {
            return Ok(Some(sent));
        }
        later = before;
    }
    Ok(None)
}

/// The first answer to a message of this conversation.
pub(crate) fn recall_message(
    conversation: &Conversation,
    id: &crate::ids::RequestId,
    author: &Author,
    body: &Body,
) -> Result<Option<Sent>, Refusal> {
    let Some(item) = conversation
        .find_message(id, author)
        .filter(|_| !planted(Mutant::ForgetMessageIds))
    else {
        return Ok(None);
    };
    if item.message().is_some_and(|message| message.body != *body) {
        return Err(Refusal::RequestIdReused {
            request_id: id.clone(),
        });
    }
    let (mut sequence, at, wall_ms) = (item.sequence, item.at, item.wall_ms);
    sequence.0 += u64::from(planted(Mutant::AnswerDiffers));
    Ok(Some(Sent {
        conversation: conversation.id,
        sequence,
        at,
        wall_ms,
    }))
}

fn check_may_write(conversation: &Conversation, actor: &Actor) -> Result<(), Refusal> {
    match (actor, &conversation.phase) {
        (Actor::Customer, _)
        | (Actor::Agent { .. }, Phase::Active(_))
        | (Actor::Bot { .. }, Phase::Bot) => Ok(()),
        (Actor::Staff { .. }, _) => Err(Refusal::NotAllowed {
            actor: "supervisor",
            act: "write to a customer",
        }),
        _ => Err(wrong_state(conversation)),
    }
}

/// Stores a message, in the next episode if this one is full.
pub(super) fn store(draft: &mut Draft<'_>, conversation: &Conversation, message: Message) -> Sent {
    let bytes = conversation.message_bytes + message.body.bytes.len() as u64;
    if !conversation.is_full() && bytes <= MESSAGE_BYTES_MAX {
        return append(draft, conversation, message);
    }
    let next = go_on(draft, conversation);
    append(draft, &next, message)
}

fn append(draft: &mut Draft<'_>, conversation: &Conversation, message: Message) -> Sent {
    let customer = message.author == Author::Customer;
    let first_of_ours =
        matches!(message.author, Author::Agent(_)) && conversation.first_response_at.is_none();
    let sequence = draft.item(conversation, ItemKind::Message(message));
    if first_of_ours {
        let ms = draft.now().since_ms(conversation.created_at);
        draft.count(conversation, Tally::FirstResponse { ms });
    }
    if customer {
        customer_wrote(draft, conversation);
    }
    let (at, wall_ms) = (draft.now(), draft.state.meta.wall_ms);
    Sent {
        conversation: conversation.id,
        sequence,
        at,
        wall_ms,
    }
}

/// A customer who writes is there; a held conversation goes to its agent or to its line.
fn customer_wrote(draft: &mut Draft<'_>, conversation: &Conversation) {
    if let Some(gone) = conversation.gone {
        let gone = Some(Gone {
            at: draft.now(),
            ..gone
        });
        draft.push(Event::CustomerPresence {
            conversation: conversation.id,
            gone,
        });
    }
    let Phase::OnHold(hold) = &conversation.phase else {
        return;
    };
    if hold.reason == HoldReason::AgentLost {
        return;
    }
    match super::own::units_for(draft, conversation, hold) {
        Ok(units) => super::own::take_up(draft, conversation, hold, units),
        Err(_) => {
            let waiting = draft.waiting_for(conversation, &hold.agent);
            draft.requeue(conversation, RequeueReason::AgentBusy, waiting);
        }
    }
}

/// The conversation for an act of its owner: itself, or the next episode if it is full.
pub(super) fn with_room<'c>(
    draft: &mut Draft<'_>,
    conversation: &'c Conversation,
) -> Cow<'c, Conversation> {
    if conversation.is_full() && !conversation.phase.is_over() {
        Cow::Owned(go_on(draft, conversation))
    } else {
        Cow::Borrowed(conversation)
    }
}

/// Closes a full conversation and opens the one in which it goes on: same owner, units, place and requests.
fn go_on(draft: &mut Draft<'_>, conversation: &Conversation) -> Conversation {
    let to = ConversationId {
        cell: draft.state.meta.cell,
        index: draft.index(),
    };
    let epoch = next_epoch(conversation.owner_epoch);
    if let Phase::Offered(offer) = &conversation.phase {
        draft.end_offer(conversation, offer, OfferOutcome::Rescinded);
        draft.agent_done(&offer.agent, false);
    }
    let mut receipts = conversation.receipts.clone();
    if let (Phase::Offered(_), Some(receipt)) = (&conversation.phase, receipts.last_mut()) {
        std::sync::Arc::make_mut(receipt).outcome = Some(OfferOutcome::Rescinded);
    }
    let next = Conversation {
        id: to,
        receipts,
        previous: Some(conversation.id),
        continued_to: None,
        owner_epoch: epoch,
        phase: carried_on(&conversation.phase),
        items: Items::default(),
        remarks: Vec::new(),
        messages: 0,
        message_bytes: 0,
        rating: None,
        deadline: None,
        ..conversation.clone()
    };
    draft.item(conversation, ItemKind::Continued { to });
    let by = Author::Machine;
    let agent = conversation.phase.owner().cloned();
    let closed = Closed {
        at: draft.now(),
        how: Ending::Continued,
        by,
        agent: agent.clone(),
        sealed: None,
    };
    draft.phase(conversation, Phase::Closed(closed), epoch);
    draft.push(Event::Opened {
        conversation: std::sync::Arc::new(next.clone()),
    });
    draft.push(Event::Continued {
        from: conversation.id,
        to,
    });
    draft.owner(&next, agent, epoch);
    draft.push(Event::Ended {
        conversation: conversation.id,
        how: Ending::Continued,
    });
    next
}

/// The phase in which the next episode begins; an offer goes back to the line, because it names an old epoch.
fn carried_on(phase: &Phase) -> Phase {
    match phase {
        Phase::Offered(offer) => Phase::Queued(Waiting {
            prefer: offer.prefer.clone(),
            held: Held::No,
        }),
        _ => phase.clone(),
    }
}
