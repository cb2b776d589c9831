//! Listings of a cell for supervisors and agents.
//! Promise: linearizable, paged, capped; each answer names the index that it holds for.
//! Not here: counting (`domain`), forms (`convert`).

use std::collections::BTreeSet;
use std::sync::Arc;

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
            let head: Vec<_> = state.line(&name).take(limits::LINE_HEAD_MAX).collect();
            let line = convert::conversation_summaries(state, &head);
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
                conversations: convert::conversation_summaries(state, &ids),
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
        let mut scan = Scan::default();
        self.look(|cell| {
            wanted.check_names(cell.state())?;
            wanted.scan(cell.state(), &mut scan);
            Ok(())
        })
        .await??;
        let view = self.handle.view();
        while !scan.over {
            // A cell holds a million conversations: nobody waits for the whole of a listing.
            tokio::task::yield_now().await;
            view.with(|cell, _| wanted.scan(cell.state(), &mut scan));
        }
        Ok(view.with(|cell, applied| wanted.list(scan, cell.state(), applied)))
    }

    pub(super) async fn get_conversation(
        &self,
        request: &GetConversationRequest,
    ) -> Result<GetConversationResponse, Refusal> {
        let id = check::conversation(&request.conversation_id)?;
        let found = self.find(id).await?;
        let receipts = found.receipts.iter();
        Ok(GetConversationResponse {
            conversation: Some(self.summary(&found)),
            receipts: receipts.map(|receipt| convert::receipt(receipt)).collect(),
            applied_index: self.handle.view().with(|_, applied| applied.0),
        })
    }

    /// A conversation, of the archive too; linearizable.
    pub(super) async fn find(&self, id: ConversationId) -> Result<Arc<Conversation>, Refusal> {
        self.handle
            .conversation(id)
            .await
            .map_err(|error| act_error(&error))
    }

    /// What people read of a conversation, with names as they are now.
    pub(super) fn summary(&self, found: &Conversation) -> ConversationSummary {
        self.handle
            .view()
            .with(|cell, _| convert::conversation_summary(cell.state(), found))
    }

    pub(super) async fn explain_conversation(
        &self,
        request: &ExplainConversationRequest,
    ) -> Result<ExplainConversationResponse, Refusal> {
        let id = check::conversation(&request.conversation_id)?;
        let found = self.find(id).await?;
        let view = self.handle.view();
        Ok(view.with(|cell, _| convert::explain_conversation(cell.state(), &found)))
    }

    pub(super) async fn explain_agent(
        &self,
        request: &ExplainAgentRequest,
    ) -> Result<ExplainAgentResponse, Refusal> {
        let name = convert::agent_name(&request.agent)?;
        self.look(|cell| {
            let agent = name.clone();
            convert::explain_agent(cell.state(), &name)
                .ok_or_else(|| refused_by_domain(&Domain::AgentNotFound { agent }))
        })
        .await?
    }

    /// Earlier conversations of the customer, newest first: the chain of episodes, into the archive.
    pub(super) async fn list_earlier(
        &self,
        request: &ListEarlierConversationsRequest,
    ) -> Result<ListEarlierConversationsResponse, Refusal> {
        let id = check::conversation(&request.conversation_id)?;
        let size = limits::EARLIER_PAGE.size(request.page_size);
        let earlier = self.handle.earlier(id, size).await;
        let earlier = earlier.map_err(|error| act_error(&error))?;
        Ok(ListEarlierConversationsResponse {
            conversations: earlier.iter().map(|found| self.summary(found)).collect(),
        })
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

    /// A mistyped name is said, not answered with an empty list.
    fn check_names(&self, state: &State) -> Result<(), Refusal> {
        if let Some(queue) = self
            .queue
            .as_ref()
            .filter(|name| state.queue(name).is_none())
        {
            let queue = queue.clone();
            return Err(refused_by_domain(&Domain::QueueNotFound { queue }));
        }
        if let Some(agent) = self
            .agent
            .as_ref()
            .filter(|name| state.agent(name).is_none())
        {
            let agent = agent.clone();
            return Err(refused_by_domain(&Domain::AgentNotFound { agent }));
        }
        Ok(())
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

    /// Looks at the next parts of the state, whole, so that what comes or leaves meanwhile makes none be
    /// passed over.
    fn scan(&self, state: &State, scan: &mut Scan) {
        let mut looked = 0;
        while looked < limits::LISTING_SCAN_MAX && scan.parts < state.conversation_parts() {
            for found in state.conversations_of_part(scan.parts) {
                looked += 1;
                if self.fits(found) {
                    self.keep(place(found), &mut scan.places);
                }
            }
            scan.parts += 1;
        }
        scan.over = scan.parts == state.conversation_parts();
    }

    /// Keeps the first `size + 1` places.
    fn keep(&self, place: Place, places: &mut BTreeSet<Place>) {
        if self.after.is_some_and(|after| place <= after) {
            return;
        }
        if places.len() <= self.size || places.last().is_some_and(|last| place < *last) {
            places.insert(place);
        }
        if places.len() > self.size + 1 {
            places.pop_last();
        }
    }

    fn list(&self, scan: Scan, state: &State, applied: LogIndex) -> ListConversationsResponse {
        let more = scan.places.len() > self.size;
        let cell = state.meta().cell;
        let shown: Vec<Place> = scan.places.into_iter().take(self.size).collect();
        let id = |place: &Place| ConversationId {
            cell,
            index: LogIndex(place.index),
        };
        let mut ids: Vec<ConversationId> = Vec::with_capacity(shown.len());
        for id in shown.iter().map(id) {
            // What has moved on since it was looked at is not shown as what it no longer is.
            let fits = state.conversation(id).is_some_and(|found| self.fits(found));
            if fits && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ListConversationsResponse {
            conversations: convert::conversation_summaries(state, &ids),
            next_page_token: shown
                .last()
                .filter(|_| more)
                .map(|place| place.token())
                .unwrap_or_default(),
            applied_index: applied.0,
        }
    }
}

/// How far a listing has looked.
#[derive(Default)]
struct Scan {
    places: BTreeSet<Place>,
    /// Parts of the state that were looked at.
    parts: usize,
    over: bool,
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
