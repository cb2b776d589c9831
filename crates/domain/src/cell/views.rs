//! What is shown of a cell: queues, lines, agents, the next deadline.
//! Promise: reads the state at its applied index and changes nothing.
//! Not here: stored or wire forms.

use std::collections::BTreeMap;

use super::Cell;
use super::agent::Agent;
use super::capacity::{Load, can_take, is_eligible};
use super::conversation::Conversation;
use super::derived::{Gauges, LineKey};
use super::floor::{QueueRecord, Steered, Totals};
use super::service_level::share_bp;
use super::state::State;
use crate::ids::{AgentId, CellTime, ChannelId, ConversationId, LogIndex, QueueId, SiteId};

/// A queue at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// The name.
    pub queue: QueueId,
    /// The newest plan lacks it.
    pub retired: bool,
    /// Serves nothing at present.
    pub paused: bool,
    /// The floor plan pauses it.
    pub paused_by_plan: bool,
    /// The last supervisor's act: who paused it, or let it go on.
    pub steered: Option<Steered>,
    /// What it holds, per site.
    pub gauges: BTreeMap<SiteId, Gauges>,
    /// What has happened, per site.
    pub totals: BTreeMap<SiteId, Totals>,
    /// The longest that anybody in the line has waited in this queue, in milliseconds. After a
    /// transfer it is not that of the first, who came with the age of another queue.
    pub longest_wait_ms: u64,
    /// The service level by the queue's definition, in basis points; `None` before the first sample.
    pub service_level_bp: Option<u32>,
    /// Logged-in agents who may serve it.
    pub staffed: u32,
    /// Those among them who are free for at least one of its channels.
    pub free: u32,
    /// Agents' states stand still, because too many offers lapsed.
    pub spike_since: Option<CellTime>,
}

/// An agent at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView<'a> {
    /// The record.
    pub agent: &'a Agent,
    /// Units and conversations in use.
    pub load: Load,
    /// Conversations offered to or owned by the agent.
    pub conversations: Vec<ConversationId>,
    /// Conversations that wait for this agent alone.
    pub own_line: Vec<ConversationId>,
}

impl Cell {
    /// The earliest time at which a `Tick` finds something to do.
    pub fn next_deadline(&self) -> Option<CellTime> {
        self.state().first_deadline().map(|(at, _)| at)
    }

    /// Whether `MatchMore` has something to do.
    pub fn more_due(&self) -> bool {
        self.state().meta.more_due
    }

    /// Cell time.
    pub fn now(&self) -> CellTime {
        self.state().meta.now
    }

    /// The last entry applied.
    pub fn applied(&self) -> LogIndex {
        self.state().meta.applied
    }

    /// A conversation.
    pub fn conversation(&self, id: ConversationId) -> Option<&std::sync::Arc<Conversation>> {
        self.state().conversation(id)
    }
}

impl State {
    /// A queue's line from its head.
    pub fn line(&self, queue: &QueueId) -> impl Iterator<Item = ConversationId> {
        let cell = self.meta.cell;
        let line = self
            .derived
            .queues
            .get(queue)
            .into_iter()
            .flat_map(|index| index.line.iter());
        line.map(move |key| ConversationId {
            cell,
            index: key.index,
        })
    }

    /// How many wait in a queue.
    pub fn waiting(&self, queue: &QueueId) -> u64 {
        self.derived
            .queues
            .get(queue)
            .map_or(0, |index| index.line.len() as u64)
    }

    /// A waiting conversation's place in its queue's line, from 1.
    pub fn position(&self, id: ConversationId) -> Option<u64> {
        let conversation = self.conversation(id)?;
        let line = &self.derived.queues.get(&conversation.queue)?.line;
        let key = LineKey::of(conversation);
        line.contains(&key)
            .then(|| line.range(..key).count() as u64 + 1)
    }

    /// A queue's numbers.
    pub fn queue_view(&self, name: &QueueId) -> Option<QueueView> {
        let record = self.queues.get(name)?;
        let index = self.derived.queues.get(name);
        let longest = index.and_then(|index| index.entered.first());
        let (staffed, free) = self.staff(record);
        Some(QueueView {
            queue: name.clone(),
            retired: record.retired,
            paused: self.is_paused(name),
            paused_by_plan: self.is_paused_by_plan(name),
            steered: record.steered.as_deref().cloned(),
            gauges: index.map(|index| index.gauges.clone()).unwrap_or_default(),
            totals: record.totals.clone(),
            longest_wait_ms: longest.map_or(0, |(since, _)| self.meta.now.since_ms(*since)),
            service_level_bp: share_bp(&self.totals(name), record.plan.service_level.definition),
            staffed,
            free,
            spike_since: record.spike_since.filter(|_| self.is_spiking(record)),
        })
    }

    /// What a queue holds at present, per site of the customer.
    pub fn gauges(&self, queue: &QueueId) -> impl Iterator<Item = (&SiteId, &Gauges)> {
        let index = self.derived.queues.get(queue);
        index.into_iter().flat_map(|index| &index.gauges)
    }

    /// Since when somebody has waited longest in a queue; `None` while its line is empty.
    pub fn waiting_since(&self, queue: &QueueId) -> Option<CellTime> {
        let index = self.derived.queues.get(queue)?;
        index.entered.first().map(|(since, _)| *since)
    }

    /// Whether too many offers of a queue have lapsed within the last minute.
    pub(crate) fn is_spiking(&self, record: &QueueRecord) -> bool {
        let (ended, lapsed) = record.last_minute(self.meta.now);
        self.is_spike(ended, lapsed)
    }

    /// Whether so many lapsed offers among so many are too many, by the plan in force.
    pub(crate) fn is_spike(&self, ended: u32, lapsed: u32) -> bool {
        let Some(policy) = self.plan().map(|plan| &plan.policy) else {
            return false;
        };
        let most = u64::from(ended) * u64::from(policy.expiry_spike_permille);
        lapsed >= policy.expiry_spike_min && u64::from(lapsed) * 1_000 > most
    }

    /// A queue's counters over all sites.
    pub fn totals(&self, name: &QueueId) -> Totals {
        let sites = self
            .queues
            .get(name)
            .into_iter()
            .flat_map(|record| record.totals.values());
        sites.fold(Totals::default(), |sum, site| sum.plus(site))
    }

    fn staff(&self, record: &QueueRecord) -> (u32, u32) {
        let channels: Vec<&ChannelId> = self
            .plan()
            .map(|plan| plan.channels.keys().collect())
            .unwrap_or_default();
        let (mut staffed, mut free) = (0, 0);
        for agent in self.agents.values() {
            if agent.session.is_none()
                || agent.retired
                || !is_eligible(agent, &record.plan.requires)
            {
                continue;
            }
            staffed += 1;
            let load = self
                .derived
                .agents
                .get(&agent.name)
                .map(|index| index.load.clone())
                .unwrap_or_default();
            free += u32::from(
                channels
                    .iter()
                    .any(|channel| can_take(self, agent, &load, channel).is_ok()),
            );
        }
        (staffed, free)
    }

    /// Whether anybody who may serve a queue is logged in.
    pub(crate) fn is_staffed(&self, requires: &[crate::plan::Requirement]) -> bool {
        self.agents
            .values()
            .any(|agent| agent.session.is_some() && !agent.retired && is_eligible(agent, requires))
    }

    /// An agent's numbers.
    pub fn agent_view(&self, name: &AgentId) -> Option<AgentView<'_>> {
        let agent = self.agents.get(name)?;
        let index = self.derived.agents.get(name).cloned().unwrap_or_default();
        let cell = self.meta.cell;
        Some(AgentView {
            agent,
            load: index.load,
            conversations: index
                .conversations
                .iter()
                .map(|index| ConversationId {
                    cell,
                    index: *index,
                })
                .collect(),
            own_line: index
                .own_line
                .iter()
                .map(|key| ConversationId {
                    cell,
                    index: key.index,
                })
                .collect(),
        })
    }

    /// How long an agent may be silent before the leader proposes Lost: the shortest of the
    /// conversations that the agent owns, or the floor's own time.
    pub fn lost_after_ms(&self, name: &AgentId) -> u64 {
        let floor = self.plan().map_or(60_000, |plan| plan.policy.lost_ms);
        let owned = self
            .derived
            .agents
            .get(name)
            .into_iter()
            .flat_map(|index| index.conversations.iter());
        let timers = owned.filter_map(|index| {
            self.rules(self.conversations.get(index)?)
                .map(|rules| rules.timers.agent_lost_ms)
        });
        timers.min().unwrap_or(floor)
    }
}

impl Totals {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            entered: self.entered + other.entered,
            answered: self.answered + other.answered,
            answered_in: self.answered_in + other.answered_in,
            abandoned: self.abandoned + other.abandoned,
            abandoned_in: self.abandoned_in + other.abandoned_in,
            abandoned_short: self.abandoned_short + other.abandoned_short,
            requeued: self.requeued + other.requeued,
            transferred: self.transferred + other.transferred,
            handled: self.handled + other.handled,
            answer_wait_ms: self.answer_wait_ms.saturating_add(other.answer_wait_ms),
            answer_wait_ms_max: self.answer_wait_ms_max.max(other.answer_wait_ms_max),
            abandon_wait_ms: self.abandon_wait_ms.saturating_add(other.abandon_wait_ms),
            handle_ms: self.handle_ms.saturating_add(other.handle_ms),
            wrap_up_ms: self.wrap_up_ms.saturating_add(other.wrap_up_ms),
            first_responses: self.first_responses + other.first_responses,
            first_response_ms: self
                .first_response_ms
                .saturating_add(other.first_response_ms),
            offers: self.offers + other.offers,
            offers_lapsed: self.offers_lapsed + other.offers_lapsed,
            offers_declined: self.offers_declined + other.offers_declined,
            offers_rescinded: self.offers_rescinded + other.offers_rescinded,
            offers_cancelled: self.offers_cancelled + other.offers_cancelled,
            ratings: self.ratings + other.ratings,
            rating_sum: self.rating_sum + other.rating_sum,
        }
    }
}
