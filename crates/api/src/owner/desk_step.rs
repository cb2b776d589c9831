//! What an agent's stream says: from the state and the machine's events.
//! Promise: a snapshot, then changes; no item, note or offer twice; what is gone is said once.
//! Not here: awaiting (`desk`), numbering (`edge::work`).

use std::collections::BTreeMap;

use domain::cell::State;
use domain::cell::conversation::{Closed, Conversation, Ending, Phase};
use domain::cell::event::Event;
use domain::cell::floor::OfferOutcome;
use domain::cell::receipts::Order;
use domain::cell::transcript::Author as By;
use domain::ids::{AgentId, CellTime, ConversationId, OfferId, Session};
use pb::api::v1::offer_ended::Outcome;
use pb::api::v1::work_response::Response;
use pb::api::v1::{
    self as api, AgentSummary, ConversationGone, HeldConversation, Marker, OfferEnded, WorkItem,
    WorkMarker, WorkNote, WorkWarned,
};

use crate::convert::{self, Speakers};

/// What the stream has shown so far.
pub(crate) struct DeskStep {
    agent: AgentId,
    session: Session,
    held: BTreeMap<ConversationId, Shown>,
    offers: BTreeMap<OfferId, ConversationId>,
    /// The agent as the stream showed it last.
    own: Option<AgentSummary>,
}

/// How much of a conversation was shown.
struct Shown {
    items: u64,
    notes: u64,
    /// When it was shown first.
    since: CellTime,
    speakers: Speakers,
}

/// A part of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// What the agent holds.
    Held,
    /// What the agent is offered.
    Offered,
}

/// The session of this stream is no longer the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionOver {
    /// The session in force, 0 for none.
    pub current: Session,
}

/// What is to be said.
pub(crate) type Said = Vec<Response>;

impl DeskStep {
    /// A stream whose welcome showed the agent as `own`.
    pub(crate) fn new(agent: AgentId, session: Session, own: Option<&AgentSummary>) -> Self {
        Self {
            agent,
            session,
            held: BTreeMap::new(),
            offers: BTreeMap::new(),
            own: own.map(lasting),
        }
    }

    /// The agent's own state, said whether it changed or not.
    pub(crate) fn own_state(&mut self, state: &State) -> Option<Response> {
        let summary = convert::agent_summary(state, &self.agent)?;
        self.own = Some(lasting(&summary));
        Some(Response::Agent(summary))
    }

    /// The agent's own state if it differs from what was said last.
    fn own_change(&mut self, state: &State) -> Option<Response> {
        let summary = convert::agent_summary(state, &self.agent)?;
        if self.own.as_ref() == Some(&lasting(&summary)) {
            return None;
        }
        self.own_state(state)
    }

    /// Whether the stream shows this conversation as the agent's.
    pub(crate) fn holds(&self, id: ConversationId) -> bool {
        self.held.contains_key(&id)
    }

    /// Everything that the agent holds or is offered.
    pub(crate) fn concerned(&self, state: &State) -> Vec<ConversationId> {
        state
            .agent_view(&self.agent)
            .map(|view| view.conversations)
            .unwrap_or_default()
    }

    /// A part of the snapshot: the conversation if the agent holds it, or its offer to the agent.
    pub(crate) fn show(&mut self, state: &State, id: ConversationId, part: Part, said: &mut Said) {
        let Some(conversation) = state.conversation(id) else {
            return;
        };
        match part {
            Part::Held if conversation.phase.owner() == Some(&self.agent) => {
                self.hold(state, conversation, said);
            }
            Part::Held => {}
            Part::Offered => self.offered(state, conversation, said),
        }
    }

    /// What an event means for the agent.
    pub(crate) fn event(
        &mut self,
        state: &State,
        event: &Event,
        said: &mut Said,
    ) -> Result<(), SessionOver> {
        match event {
            Event::ItemAdded { conversation, .. } => self.news(state, *conversation, said),
            Event::RemarkAdded { conversation, .. } => self.news(state, *conversation, said),
            Event::OfferMade(made) => {
                if let Some(conversation) = state.conversation(made.conversation) {
                    self.offered(state, conversation, said);
                }
            }
            Event::OfferEnded {
                offer,
                conversation,
                outcome,
                ..
            } => {
                self.offer_ended(*offer, *conversation, *outcome, said);
            }
            Event::AgentChanged { agent } if agent.name == self.agent => {
                // The event may be older than this login: the state says which session is in force.
                let current = state.agent(&self.agent).and_then(|found| found.session);
                if current != Some(self.session) {
                    return Err(SessionOver {
                        current: current.unwrap_or_default(),
                    });
                }
                // The end of wrap-up tells nobody but the agent: look at everything that was held.
                let held: Vec<_> = self.held.keys().copied().collect();
                for id in held {
                    self.let_go_if_gone(state, id, said);
                }
                said.extend(self.own_change(state));
            }
            Event::Warned {
                conversation,
                warning,
                ..
            } if self.holds(*conversation) => {
                said.push(Response::Warned(WorkWarned {
                    conversation_id: conversation.to_string(),
                    warning: convert::warning(*warning).into(),
                }));
            }
            Event::OwnerChanged { conversation, .. }
            | Event::PhaseChanged { conversation, .. }
            | Event::CustomerPresence { conversation, .. }
            | Event::Rated { conversation, .. }
            | Event::Quarantined { conversation, .. }
            | Event::Ended { conversation, .. }
            | Event::Continued {
                from: conversation, ..
            } => self.changed(state, *conversation, said),
            _ => {}
        }
        Ok(())
    }

    /// Somebody types or has read in a conversation of the agent.
    pub(crate) fn marker(
        &mut self,
        state: &State,
        id: ConversationId,
        by: &By,
        (typing, read): (bool, u64),
    ) -> Option<Response> {
        let shown = self.held.get_mut(&id)?;
        let author = shown
            .speakers
            .author(by, |agent| convert::agent_display_name(state, agent));
        let marker = Marker {
            author: Some(author),
            typing,
            read_sequence: read,
        };
        Some(Response::Marker(WorkMarker {
            conversation_id: id.to_string(),
            marker: Some(marker),
        }))
    }

    /// A conversation of the agent, or one that may have become or ceased to be so.
    fn changed(&mut self, state: &State, id: ConversationId, said: &mut Said) {
        self.let_go_if_gone(state, id, said);
        let Some(conversation) = state.conversation(id) else {
            return;
        };
        if conversation.phase.owner() != Some(&self.agent) {
            return;
        }
        if self.held.contains_key(&id) {
            self.news(state, id, said);
            said.push(Response::Summary(convert::conversation_summary(
                state,
                conversation,
            )));
        } else {
            self.hold(state, conversation, said);
        }
    }

    fn hold(&mut self, state: &State, conversation: &Conversation, said: &mut Said) {
        let mut speakers = Speakers::of(conversation);
        let name = |agent: &AgentId| convert::agent_display_name(state, agent);
        let items = conversation
            .items
            .iter()
            .map(|item| convert::item(&item, &mut speakers, name))
            .collect();
        let notes = conversation
            .remarks
            .iter()
            .map(|note| convert::note(note, &mut speakers, name))
            .collect();
        said.push(Response::Conversation(HeldConversation {
            conversation: Some(convert::conversation_summary(state, conversation)),
            items,
            notes,
        }));
        let shown = Shown {
            items: conversation.last_sequence().0,
            notes: conversation.remarks.len() as u64,
            since: state.now(),
            speakers,
        };
        self.held.insert(conversation.id, shown);
    }

    /// Items and notes that were not shown yet.
    fn news(&mut self, state: &State, id: ConversationId, said: &mut Said) {
        let (Some(shown), Some(conversation)) = (self.held.get_mut(&id), state.conversation(id))
        else {
            return;
        };
        let name = |agent: &AgentId| convert::agent_display_name(state, agent);
        let new_items = conversation.items_after(domain::ids::Sequence(shown.items), usize::MAX);
        for item in new_items {
            let item = convert::item(&item, &mut shown.speakers, name);
            shown.items = item.sequence;
            said.push(Response::Item(WorkItem {
                conversation_id: id.to_string(),
                item: Some(item),
            }));
        }
        let seen = usize::try_from(shown.notes).unwrap_or(usize::MAX);
        for note in conversation.remarks.iter().skip(seen) {
            let note = convert::note(note, &mut shown.speakers, name);
            shown.notes = note.number;
            said.push(Response::Note(WorkNote {
                conversation_id: id.to_string(),
                note: Some(note),
            }));
        }
    }

    fn let_go_if_gone(&mut self, state: &State, id: ConversationId, said: &mut Said) {
        if !self.held.contains_key(&id) {
            return;
        }
        let conversation = state.conversation(id);
        if conversation.is_some_and(|found| found.phase.owner() == Some(&self.agent)) {
            return;
        }
        // What was said up to the end is still the agent's to read; what follows a transfer is not.
        if conversation.is_some_and(|found| found.phase.is_over()) {
            self.news(state, id, said);
        }
        let shown = self.held.remove(&id);
        let reason = match (conversation, shown) {
            (Some(found), Some(shown)) => gone_words(found, shown.since),
            _ => "left the cell".to_owned(),
        };
        said.push(Response::Gone(ConversationGone {
            conversation_id: id.to_string(),
            reason,
        }));
    }

    fn offered(&mut self, state: &State, conversation: &Conversation, said: &mut Said) {
        let Phase::Offered(offer) = &conversation.phase else {
            return;
        };
        if offer.agent != self.agent || self.offers.contains_key(&offer.id) {
            return;
        }
        self.offers.insert(offer.id, conversation.id);
        let expires_at = state.meta().leader.renewed(offer.made_at, offer.period_ms);
        said.push(Response::Offer(api::Offer {
            offer_id: offer.id.to_string(),
            conversation: Some(convert::conversation_summary(state, conversation)),
            owner_epoch: conversation.owner_epoch.0,
            expires_in_ms: expires_at.since_ms(state.now()),
        }));
    }

    fn offer_ended(
        &mut self,
        offer: OfferId,
        id: ConversationId,
        outcome: OfferOutcome,
        said: &mut Said,
    ) {
        // An offer that was made and ended between two looks was never shown.
        if self.offers.remove(&offer).is_none() {
            return;
        }
        let outcome = match outcome {
            OfferOutcome::Accepted => Outcome::Accepted,
            OfferOutcome::Declined => Outcome::Declined,
            OfferOutcome::Expired => Outcome::Expired,
            OfferOutcome::Rescinded => Outcome::Rescinded,
            OfferOutcome::Cancelled => Outcome::Cancelled,
        };
        said.push(Response::OfferEnded(OfferEnded {
            offer_id: offer.to_string(),
            conversation_id: id.to_string(),
            outcome: outcome.into(),
        }));
    }
}

/// What of an agent's state changes by acts alone, not by the passing of time.
fn lasting(summary: &AgentSummary) -> AgentSummary {
    AgentSummary {
        idle_ms: 0,
        ..summary.clone()
    }
}

/// Where it went; of what a supervisor has taken since it was shown, who and why too.
fn gone_words(found: &Conversation, since: CellTime) -> String {
    let word = gone_word(&found.phase);
    let orders = found.receipts.iter().rev();
    let mut orders = orders.filter_map(|receipt| {
        let order = receipt.ordered.as_deref().filter(|_| receipt.at >= since)?;
        matches!(&order.by, By::Staff(_)).then_some(order)
    });
    match orders.next() {
        Some(Order {
            by: By::Staff(staff),
            why,
            ..
        }) if why.is_empty() => {
            format!("{word}: by supervisor {staff}")
        }
        Some(Order {
            by: By::Staff(staff),
            why,
            ..
        }) => {
            format!("{word}: by supervisor {staff}, {why}")
        }
        _ => word.to_owned(),
    }
}

fn gone_word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Closed(Closed {
            how: Ending::Continued,
            ..
        }) => "continued under another id",
        Phase::Closed(_) => "closed",
        Phase::Queued(_) | Phase::Bot => "back in a line",
        Phase::Offered(_) | Phase::Active(_) | Phase::OnHold(_) | Phase::WrapUp(_) => {
            "with another agent"
        }
    }
}
