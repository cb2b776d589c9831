//! Conversations and agents in a few words.
//! Promise: every time is cell time at the state's applied index.
//! Not here: transcripts (`items`), queues (`floor`).

use std::collections::{BTreeMap, BTreeSet};

use domain::cell::State;
use domain::cell::command::{Intent, LeaseState};
use domain::cell::conversation::{Closed, Conversation, Ending, Phase};
use domain::cell::event::Warning;
use domain::ids::{AgentId, ConversationId, QueueId};
use pb::api::v1 as api;
use pb::api::v1::{AgentSummary, ConversationState, ConversationSummary};

/// A conversation in a few words.
pub(crate) fn conversation_summary(state: &State, found: &Conversation) -> ConversationSummary {
    let waits = matches!(found.phase, Phase::Queued(_));
    let position = waits.then(|| state.position(found.id)).flatten();
    summary_at(state, found, position.unwrap_or(0))
}

/// Several in a few words, in the given order. Each line is gone along once, not once for each that
/// waits in it.
pub(crate) fn conversation_summaries(
    state: &State,
    ids: &[ConversationId],
) -> Vec<ConversationSummary> {
    let found = ids.iter().filter_map(|id| state.conversation(*id));
    let mut waiting: BTreeMap<&QueueId, BTreeSet<ConversationId>> = BTreeMap::new();
    for conversation in found.clone() {
        if matches!(conversation.phase, Phase::Queued(_)) {
            let of_queue = waiting.entry(&conversation.queue).or_default();
            of_queue.insert(conversation.id);
        }
    }
    let mut positions = BTreeMap::new();
    for (queue, wanted) in waiting {
        let line = (1..).zip(state.line(queue));
        let places = line.filter(|(_, id)| wanted.contains(id));
        positions.extend(places.take(wanted.len()).map(|(place, id)| (id, place)));
    }
    let position = |conversation: &Conversation| positions.get(&conversation.id).copied();
    found
        .map(|conversation| summary_at(state, conversation, position(conversation).unwrap_or(0)))
        .collect()
}

/// A conversation at a place of its line, 0 for none.
fn summary_at(state: &State, found: &Conversation, position: u64) -> ConversationSummary {
    let now = state.now();
    let waits = matches!(found.phase, Phase::Queued(_));
    let ended_at = if let Phase::Closed(closed) = &found.phase {
        closed.at
    } else {
        now
    };
    ConversationSummary {
        conversation_id: found.id.to_string(),
        state: conversation_state(&found.phase).into(),
        queue: found.queue.to_string(),
        account: found.account.to_string(),
        customer: found.customer.to_string(),
        customer_display_name: found.display_name.to_string(),
        site: found.site.to_string(),
        language: found
            .language
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        topics: found.topics.iter().map(ToString::to_string).collect(),
        agent: agent_of(&found.phase)
            .map(ToString::to_string)
            .unwrap_or_default(),
        owner_epoch: found.owner_epoch.0,
        age_ms: ended_at.since_ms(found.created_at),
        waited_ms: if waits {
            now.since_ms(found.entered_at)
        } else {
            0
        },
        position: u32::try_from(position).unwrap_or(u32::MAX),
        last_sequence: found.last_sequence().0,
        quarantined: found.quarantined.is_some(),
        score: found.rating.as_ref().map_or(0, |rating| rating.score),
        previous_conversation_id: found.previous.map(|id| id.to_string()).unwrap_or_default(),
    }
}

/// Where a conversation stands.
pub(crate) fn conversation_state(phase: &Phase) -> ConversationState {
    match phase {
        Phase::Bot => ConversationState::Bot,
        Phase::Queued(_) => ConversationState::Queued,
        Phase::Offered(_) => ConversationState::Offered,
        Phase::Active(_) => ConversationState::Active,
        Phase::OnHold(_) => ConversationState::OnHold,
        Phase::WrapUp(_) => ConversationState::WrapUp,
        Phase::Closed(Closed {
            how: Ending::Abandoned { .. },
            ..
        }) => ConversationState::Abandoned,
        Phase::Closed(_) => ConversationState::Closed,
    }
}

/// Who owns it, is asked, or owned it last.
pub(crate) fn agent_of(phase: &Phase) -> Option<&AgentId> {
    match phase {
        Phase::Offered(offer) => Some(&offer.agent),
        Phase::Closed(closed) => closed.agent.as_ref(),
        phase => phase.owner(),
    }
}

/// The name that people read for an agent.
pub(crate) fn agent_display_name(state: &State, agent: &AgentId) -> String {
    match state.agent(agent) {
        Some(found) if !found.profile.display_name.is_empty() => found.profile.display_name.clone(),
        _ => agent.to_string(),
    }
}

/// An agent in a few words.
pub(crate) fn agent_summary(state: &State, name: &AgentId) -> Option<AgentSummary> {
    let view = state.agent_view(name)?;
    let agent = view.agent;
    let profile = &agent.profile;
    let set_by = agent.set_by.as_deref();
    let not_responding = agent.channels.iter().filter(|pause| pause.not_responding);
    Some(AgentSummary {
        agent: agent.name.to_string(),
        display_name: profile.display_name.clone(),
        site: profile.site.to_string(),
        session: agent.session.map_or(0, |session| session.0),
        intent: Some(intent(&agent.intent)),
        next_status: agent.next.as_ref().map(intent),
        lease: lease(agent.session.is_some(), agent.lease).into(),
        used: view.load.used,
        capacity: profile.capacity,
        conversations: u32::try_from(view.conversations.len()).unwrap_or(u32::MAX),
        not_responding: not_responding
            .map(|pause| pause.channel.to_string())
            .collect(),
        idle_ms: state.now().since_ms(agent.idle_since),
        skills: profile
            .skills
            .iter()
            .map(|(name, level)| (name.to_string(), u32::from(level.0)))
            .collect(),
        languages: profile
            .languages
            .iter()
            .map(|(name, level)| (name.to_string(), u32::from(level.0)))
            .collect(),
        team: profile.team.clone(),
        set_by: set_by
            .map(|set_by| set_by.staff.to_string())
            .unwrap_or_default(),
        set_why: set_by
            .map(|set_by| set_by.why.to_string())
            .unwrap_or_default(),
    })
}

/// What an agent chose.
fn intent(intent: &Intent) -> api::Intent {
    match intent {
        Intent::Ready => api::Intent {
            ready: true,
            reason: String::new(),
        },
        Intent::NotReady { reason } => api::Intent {
            ready: false,
            reason: reason.clone(),
        },
    }
}

/// Of what an agent is warned.
pub(crate) fn warning(warning: Warning) -> api::work_warned::Warning {
    match warning {
        Warning::FirstReply => api::work_warned::Warning::FirstReply,
        Warning::CustomerSilent => api::work_warned::Warning::CustomerSilent,
        Warning::OwnerLost => api::work_warned::Warning::OwnerLost,
    }
}

fn lease(logged_in: bool, lease: LeaseState) -> api::LeaseState {
    match lease {
        _ if !logged_in => api::LeaseState::Offline,
        LeaseState::Alive => api::LeaseState::Alive,
        LeaseState::Suspect => api::LeaseState::Suspect,
        LeaseState::Lost => api::LeaseState::Lost,
        LeaseState::Gone => api::LeaseState::Offline,
    }
}
