//! Listings of a cell for supervisors and agents.
//! Promise: linearizable, paged, capped; each answer names the index that it holds for.
//! Not here: counting (`domain`), forms (`convert`).

use std::collections::BTreeSet;

use domain::cell::conversation::{Conversation, Phase};
use domain::cell::refusal::Refusal as Domain;
use domain::cell::{Cell, State};
use domain::ids::{AgentId, ConversationId, LogIndex, QueueId};
use pb::api::v1::*;

use super::CellOwner;
use super::pages::Place;
use crate::errors::{act_error, domain as refused_by_domain, field_invalid};
use crate::{check, convert, limits};

impl CellOwner {
    /// Reads the cell, linearizable.
    pub(super) async fn look<T: Send>(
        &self,
        look: impl FnOnce(&Cell) -> T + Send,
    ) -> Result<T, Refusal> {
        self.handle
            .read(look)
            .await
            .map_err(|error| act_error(&error))
    }

    pub(super) async fn list_queues(&self) -> Result<ListQueuesResponse, Refusal> {
        self.look(|cell| ListQueuesResponse {
            queues: convert::queue_views_worst_first(cell.state()),
            applied_index: cell.applied().0,
        })
        .await
    }

    pub(super) async fn get_queue(
        &self,
        request: &GetQueueRequest,
    ) -> Result<GetQueueResponse, Refusal> {
        let name = QueueId::new(&request.queue).map_err(|wrong| field_invalid("queue", wrong))?;
        self.look(|cell| {
            let state = cell.state();
            let queue = convert::queue_view(state, &name).ok_or_else(|| {
                refused_by_domain(&Domain::QueueNotFound {
                    queue: name.clone(),
                })
            })?;
            let line = state.line(&name).take(limits::LINE_HEAD_MAX);
            let line = line.filter_map(|id| summary(state, id)).collect();
            Ok(GetQueueResponse {
                queue: Some(queue),
                line,
                applied_index: cell.applied().0,
            })
        })
        .await?
    }

    pub(super) async fn list_agents(
        &self,
        request: &ListAgentsRequest,
    ) -> Result<ListAgentsResponse, Refusal> {
        let size = limits::AGENTS_PAGE.size(request.page_size);
        self.look(|cell| {
            let state = cell.state();
            let mut agents = state
                .agents()
                .filter(|agent| {
                    request.site.is_empty() || agent.profile.site.as_str() == request.site
                })
                .filter(|agent| agent.name.as_str() > request.page_token.as_str());
            let page: Vec<_> = agents.by_ref().take(size).collect();
            let more = agents.next().is_some();
            let last = page.last().filter(|_| more);
            ListAgentsResponse {
                next_page_token: last.map(|agent| agent.name.to_string()).unwrap_or_default(),
                agents: page
                    .iter()
                    .filter_map(|agent| convert::agent_summary(state, &agent.name))
                    .collect(),
                applied_index: cell.applied().0,
            }
        })
        .await
    }

    pub(super) async fn get_agent(
        &self,
        request: &GetAgentRequest,
    ) -> Result<GetAgentResponse, Refusal> {
        let name = convert::agent_name(&request.agent)?;
        self.look(|cell| {
            let state = cell.state();
            let agent = convert::agent_summary(state, &name).ok_or_else(|| {
                refused_by_domain(&Domain::AgentNotFound {
                    agent: name.clone(),
                })
            })?;
            let view = state.agent_view(&name);
            let ids = view
                .map(|view| [view.conversations, view.own_line].concat())
                .unwrap_or_default();
            Ok(GetAgentResponse {
                agent: Some(agent),
                conversations: ids
                    .into_iter()
                    .filter_map(|id| summary(state, id))
                    .collect(),
                applied_index: cell.applied().0,
            })
        })
        .await?
    }

    pub(super) async fn list_conversations(
        &self,
        request: &ListConversationsRequest,
    ) -> Result<ListConversationsResponse, Refusal> {
        let wanted = Wanted::of(request)?;
        self.look(|cell| wanted.list(cell.state(), cell.applied()))
            .await
    }

    pub(super) async fn get_conversation(
        &self,
        request: &GetConversationRequest,
    ) -> Result<GetConversationResponse, Refusal> {
        let id = check::conversation(&request.conversation_id)?;
        self.look(|cell| {
            let state = cell.state();
            let found = state.conversation(id).ok_or_else(|| not_found(id))?;
            Ok(GetConversationResponse {
                conversation: Some(convert::conversation_summary(state, found)),
                receipts: found
                    .receipts
                    .iter()
                    .map(|receipt| convert::receipt(receipt))
                    .collect(),
                applied_index: cell.applied().0,
            })
        })
        .await?
    }

    /// Earlier conversations of the customer, newest first: the chain of episodes.
    pub(super) async fn list_earlier(
        &self,
        request: &ListEarlierConversationsRequest,
    ) -> Result<ListEarlierConversationsResponse, Refusal> {
        let id = check::conversation(&request.conversation_id)?;
        let size = limits::EARLIER_PAGE.size(request.page_size);
        self.look(|cell| {
            let state = cell.state();
            let found = state.conversation(id).ok_or_else(|| not_found(id))?;
            let mut conversations = Vec::new();
            let mut earlier = found.previous;
            while conversations.len() < size
                && let Some(before) = earlier.and_then(|id| state.conversation(id))
            {
                conversations.push(convert::conversation_summary(state, before));
                earlier = before.previous;
            }
            Ok(ListEarlierConversationsResponse { conversations })
        })
        .await?
    }
}

/// Which conversations a listing wants.
struct Wanted {
    queue: Option<QueueId>,
    agent: Option<AgentId>,
    state: ConversationState,
    after: Option<Place>,
    size: usize,
}

impl Wanted {
    fn of(request: &ListConversationsRequest) -> Result<Self, Refusal> {
        let queue = if request.queue.is_empty() {
            None
        } else {
            Some(QueueId::new(&request.queue).map_err(|wrong| field_invalid("queue", wrong))?)
        };
        let agent = if request.agent.is_empty() {
            None
        } else {
            Some(convert::agent_name(&request.agent)?)
        };
        Ok(Self {
            queue,
            agent,
            state: request.state(),
            after: Place::of(&request.page_token)?,
            size: limits::CONVERSATIONS_PAGE.size(request.page_size),
        })
    }

    fn fits(&self, found: &Conversation) -> bool {
        let state = convert::conversation_state(&found.phase);
        let state_fits = match self.state {
            ConversationState::Unspecified => !matches!(found.phase, Phase::Closed(_)),
            wanted => state == wanted,
        };
        state_fits
            && self
                .queue
                .as_ref()
                .is_none_or(|queue| found.queue == *queue)
            && self
                .agent
                .as_ref()
                .is_none_or(|agent| convert::agent_of(&found.phase) == Some(agent))
    }

    fn list(&self, state: &State, applied: LogIndex) -> ListConversationsResponse {
        // The first `size + 1` places of all that fit, kept while going through them once.
        let mut page: BTreeSet<Place> = BTreeSet::new();
        for found in state.conversations().filter(|found| self.fits(found)) {
            let place = place(found);
            if self.after.is_some_and(|after| place <= after) {
                continue;
            }
            if page.len() <= self.size || page.last().is_some_and(|last| place < *last) {
                page.insert(place);
            }
            if page.len() > self.size + 1 {
                page.pop_last();
            }
        }
        let more = page.len() > self.size;
        let cell = state.meta().cell;
        let shown: Vec<Place> = page.into_iter().take(self.size).collect();
        let id = |place: &Place| ConversationId {
            cell,
            index: LogIndex(place.index),
        };
        ListConversationsResponse {
            conversations: shown
                .iter()
                .filter_map(|place| summary(state, id(place)))
                .collect(),
            next_page_token: shown
                .last()
                .filter(|_| more)
                .map(|place| place.token())
                .unwrap_or_default(),
            applied_index: applied.0,
        }
    }
}

/// Longest waiting first, then the oldest of those that do not wait; ended ones newest first.
fn place(found: &Conversation) -> Place {
    let index = found.id.index.0;
    match &found.phase {
        Phase::Queued(_) => Place {
            group: 0,
            time: found.entered_at.0,
            index,
        },
        Phase::Closed(closed) => Place {
            group: 2,
            time: u64::MAX - closed.at.0,
            index,
        },
        _ => Place {
            group: 1,
            time: found.created_at.0,
            index,
        },
    }
}

fn summary(state: &State, id: ConversationId) -> Option<ConversationSummary> {
    state
        .conversation(id)
        .map(|found| convert::conversation_summary(state, found))
}

pub(super) fn not_found(conversation: ConversationId) -> Refusal {
    refused_by_domain(&Domain::ConversationNotFound { conversation })
}
