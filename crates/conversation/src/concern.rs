//! Whom an event concerns, and the few questions that streams and duties ask of the state.
//! Promise: every event of the machine is looked at here and nowhere else in this crate.
//! Not here: changing anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::cell::Cell;
use domain::cell::agent::Agent;
use domain::cell::command::{Command, LeaseState};
use domain::cell::conversation::Conversation;
use domain::cell::event::Event;
use domain::cell::transcript::Item;
use domain::ids::{AgentId, CellTime, ConversationId, Sequence, Session, SiteId};

use crate::leases::{Known, Periods};

/// A session without any word ends after this, in milliseconds: a shift.
const GONE_MS: u64 = 12 * 3_600_000;

/// The conversation that an event belongs to.
pub(crate) fn conversation(event: &Event) -> Option<ConversationId> {
    match event {
        Event::Opened { conversation } => Some(conversation.id),
        Event::ItemAdded { conversation, .. }
        | Event::RemarkAdded { conversation, .. }
        | Event::PhaseChanged { conversation, .. }
        | Event::OwnerChanged { conversation, .. }
        | Event::QueueEntered { conversation, .. }
        | Event::OfferShown { conversation, .. }
        | Event::OfferEnded { conversation, .. }
        | Event::CustomerPresence { conversation, .. }
        | Event::Warned { conversation, .. }
        | Event::Ended { conversation, .. }
        | Event::Rated { conversation, .. }
        | Event::Quarantined { conversation, .. }
        | Event::Decided { conversation, .. }
        | Event::Released { conversation } => Some(*conversation),
        Event::Continued { from, .. } => Some(*from),
        Event::OfferMade(offer) => Some(offer.conversation),
        _ => None,
    }
}

/// The agents whose streams want an event; `owner` owns its conversation after the batch.
pub(crate) fn agents(event: &Event, owner: Option<AgentId>) -> Vec<AgentId> {
    match event {
        Event::OfferMade(offer) => vec![offer.agent.clone()],
        Event::OfferEnded { agent, .. } => vec![agent.clone()],
        Event::AgentChanged { agent } => vec![agent.name.clone()],
        Event::OwnerChanged { before, owner, .. } => {
            let mut both: Vec<AgentId> = before.iter().chain(owner).cloned().collect();
            both.dedup();
            both
        }
        Event::ItemAdded { .. }
        | Event::RemarkAdded { .. }
        | Event::PhaseChanged { .. }
        | Event::CustomerPresence { .. }
        | Event::Warned { .. }
        | Event::Ended { .. }
        | Event::Continued { .. }
        | Event::Rated { .. }
        | Event::Quarantined { .. } => owner.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The item that an event adds to a transcript.
pub(crate) fn item(event: &Event) -> Option<&Arc<Item>> {
    match event {
        Event::ItemAdded { item, .. } => Some(item),
        _ => None,
    }
}

/// Whether a customer's stream reads the conversation's summary again after an event.
pub(crate) fn changes_summary(event: &Event) -> bool {
    matches!(
        event,
        Event::PhaseChanged { .. }
            | Event::OwnerChanged { .. }
            | Event::QueueEntered { .. }
            | Event::Ended { .. }
            | Event::Continued { .. }
            | Event::Rated { .. }
            | Event::Quarantined { .. }
            | Event::Released { .. }
    )
}

/// What a stream that is attached at a cursor needs.
pub(crate) struct Unread {
    pub(crate) items: Vec<Arc<Item>>,
    pub(crate) last: Sequence,
}

/// Whether the machine believes that the customer is there; `None` once the conversation is over.
pub(crate) fn believed_here(cell: &Cell, id: ConversationId) -> Option<bool> {
    let found = cell.conversation(id)?;
    (!found.phase.is_over()).then(|| found.believed_here())
}

/// The items after a cursor and where the conversation stands. Takes a record, not the cell: a long
/// transcript is read while the cell goes on.
pub(crate) fn items_after(found: &Conversation, cursor: Sequence) -> Unread {
    let items = found.items_after(cursor, usize::MAX);
    Unread {
        items: items.map(Arc::new).collect(),
        last: found.last_sequence(),
    }
}

/// The agent who owns a conversation, on hold and wrap-up included.
pub(crate) fn owner(cell: &Cell, id: ConversationId) -> Option<AgentId> {
    cell.conversation(id)
        .and_then(|found| found.phase.owner().cloned())
}

/// The last item's place.
pub(crate) fn last_sequence(cell: &Cell, id: ConversationId) -> Option<Sequence> {
    cell.conversation(id).map(|found| found.last_sequence())
}

/// Whether the cell has this conversation.
pub(crate) fn exists(cell: &Cell, id: ConversationId) -> bool {
    cell.conversation(id).is_some()
}

/// The session in force of an agent.
pub(crate) fn session(cell: &Cell, agent: &AgentId) -> Option<Session> {
    cell.state().agent(agent).and_then(|found| found.session)
}

/// The conversation whose actor takes a command; `None` for what belongs to no conversation.
pub(crate) fn subject(cell: &Cell, command: &Command) -> Option<ConversationId> {
    let offer = match command {
        Command::Accept(accept) => &accept.offer,
        Command::Decline(decline) => &decline.offer,
        Command::OfferShown(offer) => offer,
        command => return command.conversation(),
    };
    cell.state().conversation_of(offer.offer)
}

/// Commands of one customer and the window in milliseconds, by the plan in force.
pub(crate) fn customer_limit(cell: &Cell) -> (u32, u64) {
    cell.state().plan().map_or((0, 1), |plan| {
        (
            plan.policy.customer_commands_max,
            plan.policy.customer_window_ms,
        )
    })
}

/// Every session with the lease periods that hold for it; `at_fault` says whose edge is lost.
pub(crate) fn sessions(cell: &Cell, at_fault: &BTreeSet<AgentId>, now: CellTime) -> Vec<Known> {
    let state = cell.state();
    if state.plan().is_none() {
        return Vec::new();
    }
    let known = |agent: &Agent| {
        let session = agent.session?;
        let our_fault = at_fault.contains(&agent.name);
        Some(Known {
            agent: agent.name.clone(),
            session,
            lease: Some(agent.lease).filter(|lease| *lease != LeaseState::Gone)?,
            periods: Periods {
                suspect_ms: state.suspect_silence_ms(our_fault),
                lost_ms: state.lost_silence_ms(&agent.name, our_fault),
                gone_ms: GONE_MS,
            },
            overdue: our_fault && state.is_lost_work_due(&agent.name, now),
        })
    };
    state.agents().filter_map(|agent| known(agent)).collect()
}

/// Conversations of one part of the state that have not ended and whose customer the machine believes
/// to be there.
pub(crate) fn believed_attached(cell: &Cell, part: usize) -> Vec<ConversationId> {
    let all = cell.state().conversations_of_part(part);
    all.filter(|found| !found.phase.is_over() && found.believed_here())
        .map(|found| found.id)
        .collect()
}

/// The sites of the last logins of agents who are logged in.
pub(crate) fn sites(cell: &Cell) -> Vec<(AgentId, SiteId)> {
    let logged_in = cell
        .state()
        .agents()
        .filter(|agent| agent.session.is_some());
    logged_in
        .map(|agent| (agent.name.clone(), agent.site.clone()))
        .collect()
}

/// Agents whose offers a tick lets lapse that is applied at `by`, with the sites of their logins.
pub(crate) fn lapsing(cell: &Cell, by: CellTime) -> Vec<(AgentId, SiteId)> {
    let state = cell.state();
    let due = state.lapsing(by).into_iter();
    due.filter_map(|name| {
        let site = state.agent(&name)?.site.clone();
        Some((name, site))
    })
    .collect()
}
