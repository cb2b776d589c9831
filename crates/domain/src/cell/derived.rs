//! What is derived from the state: lines, the deadline index, free agents, by-agent indexes, gauges.
//! Promise: rebuilt from the stored state it is the same; nothing here is in a snapshot.
//! Not here: what is offered to whom (`matching`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mutants::{Mutant, planted};

use super::agent::Agent;
use super::archive::{Ended, Leaving};
use super::capacity::{FreeKey, Load, can_take, is_eligible};
use super::classes::{ClassId, Classes};
use super::conversation::{Conversation, Held, Phase};
use super::deadlines::{agent_due, first_due};
use super::state::State;
use crate::ids::{AgentId, CellTime, ChannelId, LogIndex, PlanVersion, QueueId, SiteId};
use crate::plan::Urgency;

/// A place in a line: urgency, then age with boost, then the order of opening. Constant while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineKey {
    /// Strict.
    pub urgency: Urgency,
    /// `aged_from - boost`, in milliseconds.
    pub rank: i64,
    /// The conversation.
    pub index: LogIndex,
}

impl LineKey {
    /// Before every place.
    pub const FIRST: Self = Self {
        urgency: Urgency::Emergency,
        rank: i64::MIN,
        index: LogIndex(0),
    };

    pub(crate) fn of(conversation: &Conversation) -> Self {
        Self {
            urgency: conversation.urgency,
            rank: conversation.rank(),
            index: conversation.id.index,
        }
    }
}

/// What a queue holds at present for one site's customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// With a bot.
    pub with_bot: u64,
    /// In a line.
    pub waiting: u64,
    /// Offered to an agent.
    pub offered: u64,
    /// With an agent.
    pub active: u64,
    /// On hold.
    pub on_hold: u64,
    /// In after-contact work.
    pub wrap_up: u64,
    /// Set aside after a defect.
    pub quarantined: u64,
}

/// A queue's line and gauges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueIndex {
    /// Everything that waits in the queue, held for an agent or not.
    pub line: BTreeSet<LineKey>,
    /// The same by when it entered the queue: a transfer keeps its age, so this is another order.
    pub entered: BTreeSet<(CellTime, LogIndex)>,
    /// Per site of the customer.
    pub gauges: BTreeMap<SiteId, Gauges>,
}

/// What belongs to an agent at present.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentIndex {
    /// Units in use.
    pub load: Load,
    /// Conversations offered to or owned by the agent.
    pub conversations: BTreeSet<LogIndex>,
    /// Conversations that wait for this agent alone.
    pub own_line: BTreeSet<LineKey>,
    /// Classes that the agent may serve while logged in: the rank in the free set, `None` when busy.
    pub(crate) stands_in: BTreeMap<ClassId, Option<FreeKey>>,
    /// Classes that the agent's profile fits, as of `known`.
    pub(crate) fits: Vec<ClassId>,
    /// The state of the classes at which `fits` was found.
    pub(crate) known: u64,
}

/// All that is derived.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    pub(crate) deadlines: BTreeSet<(CellTime, LogIndex)>,
    pub(crate) agent_deadlines: BTreeSet<(CellTime, AgentId)>,
    pub(crate) offers: BTreeMap<u64, LogIndex>,
    pub(crate) queues: BTreeMap<QueueId, QueueIndex>,
    pub(crate) agents: BTreeMap<AgentId, AgentIndex>,
    pub(crate) classes: Classes,
    /// Waiting conversations by the plan that their class is of.
    pub(crate) classed: BTreeSet<(PlanVersion, LogIndex)>,
    /// Conversations that are not closed, by the plan that they name.
    pub(crate) pinned: BTreeSet<(PlanVersion, LogIndex)>,
    /// Agents whose own line may have become matchable.
    pub(crate) own_lines_open: BTreeSet<AgentId>,
    /// What has ended and not left for the archive.
    pub(crate) ended: Ended,
    /// Queues whose work does not stand yet where a supervisor's act wants it.
    pub(crate) to_stand_aside: BTreeSet<QueueId>,
}

/// Where a waiting conversation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Line,
    OwnLine(AgentId),
    Parked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gauge {
    WithBot,
    Waiting,
    Offered,
    Active,
    OnHold,
    WrapUp,
    Quarantined,
}

/// Everything that the indexes hold of one conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    queue: QueueId,
    site: SiteId,
    channel: ChannelId,
    gauge: Option<Gauge>,
    place: Option<Place>,
    key: LineKey,
    entered_at: CellTime,
    classed_by: PlanVersion,
    pinned: Option<PlanVersion>,
    holder: Option<AgentId>,
    units: Option<u32>,
    offer: Option<u64>,
    leaving: Option<Leaving>,
}

impl Spot {
    /// The spot of a conversation.
    pub(crate) fn of(state: &State, conversation: &Conversation) -> Self {
        let place = match &conversation.phase {
            Phase::Queued(waiting) if conversation.quarantined.is_none() => {
                Some(match (&waiting.prefer, waiting.held) {
                    (Some(agent), Held::For { .. } | Held::OwnLine) => {
                        Place::OwnLine(agent.clone())
                    }
                    _ if is_parked(state, conversation) => Place::Parked,
                    _ => Place::Line,
                })
            }
            _ => None,
        };
        let taken = conversation.phase.taken();
        let holder = taken
            .map(|(agent, _)| agent)
            .or_else(|| conversation.phase.owner())
            .cloned();
        let offer = if let Phase::Offered(offer) = &conversation.phase {
            Some(offer.id.n)
        } else {
            None
        };
        let closed = matches!(conversation.phase, Phase::Closed(_));
        Self {
            queue: conversation.queue.clone(),
            site: conversation.site.clone(),
            channel: conversation.channel.clone(),
            gauge: gauge(conversation),
            place,
            key: LineKey::of(conversation),
            entered_at: conversation.entered_at,
            classed_by: conversation.classed_by,
            pinned: if closed {
                None
            } else {
                Some(conversation.pinned)
            },
            units: taken.map(|(_, units)| units),
            holder,
            offer,
            leaving: Leaving::of(conversation),
        }
    }
}

fn is_parked(state: &State, conversation: &Conversation) -> bool {
    let plan = state.plan_at(conversation.classed_by);
    let by_plan = plan
        .and_then(|plan| plan.queues.get(&conversation.queue))
        .is_some_and(|queue| queue.paused);
    let record = state.queues.get(&conversation.queue);
    by_plan || record.is_some_and(|record| record.is_aside(LineKey::of(conversation)))
}

fn gauge(conversation: &Conversation) -> Option<Gauge> {
    if conversation.quarantined.is_some() && !conversation.phase.is_over() {
        return Some(Gauge::Quarantined);
    }
    match conversation.phase {
        Phase::Bot => Some(Gauge::WithBot),
        Phase::Queued(_) => Some(Gauge::Waiting),
        Phase::Offered(_) => Some(Gauge::Offered),
        Phase::Active(_) => Some(Gauge::Active),
        Phase::OnHold(_) => Some(Gauge::OnHold),
        Phase::WrapUp(_) => Some(Gauge::WrapUp),
        Phase::Closed(_) => None,
    }
}

impl Gauges {
    fn slot(&mut self, gauge: Gauge) -> &mut u64 {
        match gauge {
            Gauge::WithBot => &mut self.with_bot,
            Gauge::Waiting => &mut self.waiting,
            Gauge::Offered => &mut self.offered,
            Gauge::Active => &mut self.active,
            Gauge::OnHold => &mut self.on_hold,
            Gauge::WrapUp => &mut self.wrap_up,
            Gauge::Quarantined => &mut self.quarantined,
        }
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            with_bot: self.with_bot + other.with_bot,
            waiting: self.waiting + other.waiting,
            offered: self.offered + other.offered,
            active: self.active + other.active,
            on_hold: self.on_hold + other.on_hold,
            wrap_up: self.wrap_up + other.wrap_up,
            quarantined: self.quarantined + other.quarantined,
        }
    }
}

impl State {
    /// Moves a conversation in the indexes after its record changed.
    pub(crate) fn shift(&mut self, before: Option<Spot>, after: Option<Spot>) {
        if before == after {
            return;
        }
        let mut touched: [Option<AgentId>; 2] = [None, None];
        if let Some(spot) = before {
            self.take_out(&spot);
            touched[0] = spot.units.and(spot.holder);
        }
        if let Some(spot) = after {
            self.put_in(&spot);
            touched[1] = spot.units.and(spot.holder);
        }
        if touched[0] == touched[1] {
            touched[1] = None;
        }
        for agent in touched.into_iter().flatten() {
            self.reindex_agent(&agent);
        }
    }

    fn take_out(&mut self, spot: &Spot) {
        if let Some(queue) = self.derived.queues.get_mut(&spot.queue) {
            if let (Some(gauge), Some(gauges)) = (spot.gauge, queue.gauges.get_mut(&spot.site)) {
                let slot = gauges.slot(gauge);
                *slot = slot.saturating_sub(1);
            }
            if spot.place.is_some() {
                queue.line.remove(&spot.key);
                queue.entered.remove(&(spot.entered_at, spot.key.index));
            }
        }
        if let Some(place) = &spot.place {
            self.derived
                .classed
                .remove(&(spot.classed_by, spot.key.index));
            match place {
                Place::Line => {
                    let class = self.class_for(&spot.queue, &spot.channel, spot.classed_by);
                    self.derived.classes.leave(class, &spot.key);
                }
                Place::OwnLine(agent) => {
                    if let Some(index) = self.derived.agents.get_mut(agent) {
                        index.own_line.remove(&spot.key);
                    }
                }
                Place::Parked => {}
            }
        }
        if let Some(version) = spot.pinned {
            self.derived.pinned.remove(&(version, spot.key.index));
        }
        if let Some(offer) = spot.offer {
            self.derived.offers.remove(&offer);
        }
        if let Some(leaving) = &spot.leaving {
            self.derived.ended.take_out(spot.key.index, leaving);
        }
        if let Some(index) = spot
            .holder
            .as_ref()
            .and_then(|agent| self.derived.agents.get_mut(agent))
        {
            index.conversations.remove(&spot.key.index);
            if let Some(units) = spot.units {
                index.load.free(&spot.channel, units);
            }
        }
    }

    fn put_in(&mut self, spot: &Spot) {
        if spot.gauge.is_some() || spot.place.is_some() {
            let queue = entry(&mut self.derived.queues, &spot.queue);
            if let Some(gauge) = spot.gauge {
                *entry(&mut queue.gauges, &spot.site).slot(gauge) += 1;
            }
            if spot.place.is_some() {
                queue.line.insert(spot.key);
                queue.entered.insert((spot.entered_at, spot.key.index));
            }
        }
        if let Some(place) = &spot.place {
            self.derived
                .classed
                .insert((spot.classed_by, spot.key.index));
            match place {
                Place::Line => {
                    let class = self.class_for(&spot.queue, &spot.channel, spot.classed_by);
                    self.derived.classes.join(class, spot.key);
                }
                Place::OwnLine(agent) => {
                    entry(&mut self.derived.agents, agent)
                        .own_line
                        .insert(spot.key);
                    self.derived.own_lines_open.insert(agent.clone());
                }
                Place::Parked => {}
            }
        }
        if let Some(version) = spot.pinned {
            self.derived.pinned.insert((version, spot.key.index));
        }
        if let Some(offer) = spot.offer {
            self.derived.offers.insert(offer, spot.key.index);
        }
        if let Some(leaving) = &spot.leaving {
            self.derived.ended.put_in(spot.key.index, leaving);
        }
        if let Some(agent) = &spot.holder {
            let index = entry(&mut self.derived.agents, agent);
            index.conversations.insert(spot.key.index);
            if let Some(units) = spot.units {
                index.load.take(&spot.channel, units);
            }
        }
    }

    /// Puts an agent where the record and the load say, in every class.
    pub(crate) fn reindex_agent(&mut self, name: &AgentId) {
        let Some(agent) = self.agents.get(name).cloned() else {
            self.forget_agent(name);
            return;
        };
        let mut index = self.derived.agents.remove(name).unwrap_or_default();
        if index.known != self.derived.classes.state() {
            let classes = self.derived.classes.iter();
            let fit = classes.filter(|(_, class)| is_eligible(&agent, &class.key.requires));
            index.fits = fit.map(|(id, _)| id).collect();
            index.known = self.derived.classes.state();
        }
        let wanted = self.standing(&agent, &index);
        for (class, key) in &index.stands_in {
            if wanted.get(class) != Some(key) {
                self.derived.classes.step_down(*class, name, key.as_ref());
            }
        }
        for (class, key) in &wanted {
            if index.stands_in.get(class) != Some(key) {
                self.derived.classes.stand(*class, name, key.clone());
            }
        }
        index.stands_in = wanted;
        if !index.own_line.is_empty() {
            self.derived.own_lines_open.insert(name.clone());
        }
        self.derived.agents.insert(name.clone(), index);
    }

    fn forget_agent(&mut self, name: &AgentId) {
        if let Some(index) = self.derived.agents.remove(name) {
            for (class, key) in &index.stands_in {
                self.derived.classes.step_down(*class, name, key.as_ref());
            }
        }
        self.derived.own_lines_open.remove(name);
    }

    /// The classes in which a logged-in agent stands, with the rank where free.
    fn standing(&self, agent: &Agent, index: &AgentIndex) -> BTreeMap<ClassId, Option<FreeKey>> {
        let mut standing = BTreeMap::new();
        if agent.session.is_none() {
            return standing;
        }
        let mut channels: Vec<(&ChannelId, bool)> = Vec::new();
        for id in &index.fits {
            let Some(class) = self.derived.classes.get(*id) else {
                continue;
            };
            let channel = &class.key.channel;
            let free = match channels.iter().find(|(name, _)| *name == channel) {
                Some((_, free)) => *free,
                None => {
                    let free = can_take(self, agent, &index.load, channel).is_ok();
                    channels.push((channel, free));
                    free
                }
            };
            let key = free.then(|| FreeKey::new(class.key.strategy, agent, &index.load));
            standing.insert(*id, key);
        }
        standing
    }

    /// The class of work of a queue on a channel by a plan; made known on first need.
    pub(crate) fn class_for(
        &mut self,
        queue: &QueueId,
        channel: &ChannelId,
        version: PlanVersion,
    ) -> ClassId {
        if let Some(found) = self.derived.classes.cached(queue, channel, version) {
            return found;
        }
        let plan = self.queue_plan(version, queue);
        let (requires, strategy) = plan
            .map_or((Vec::new(), crate::plan::Strategy::LongestIdle), |plan| {
                (plan.requires.clone(), plan.strategy)
            });
        let (id, is_new) = self.derived.classes.intern(requires, channel, strategy);
        self.derived.classes.cache(queue, channel, version, id);
        if is_new {
            let names: Vec<AgentId> = self.agents.keys().cloned().collect();
            for name in names {
                self.reindex_agent(&name);
            }
        }
        id
    }

    /// Brings a conversation's entry in the deadline index forward if a timer is due earlier.
    /// A timer that moved back leaves its entry, which is put back when it comes up.
    pub(crate) fn refresh_deadline(&mut self, index: LogIndex) {
        let Some(conversation) = self.conversations.get(&index) else {
            return;
        };
        let have = conversation.deadline;
        let due = first_due(self, conversation).map(|(at, _)| at);
        // What has ended or was set aside has no use for the time of an earlier timer.
        let over =
            matches!(conversation.phase, Phase::Closed(_)) || conversation.quarantined.is_some();
        let want = match (have, due) {
            _ if over => due,
            (Some(have), Some(due)) => Some(have.min(due)),
            (have, due) => have.or(due),
        };
        let forgets =
            planted(Mutant::DeadlineNever) && matches!(conversation.phase, Phase::Offered(_));
        if want != have && !forgets {
            self.set_deadline(index, want);
        }
    }

    /// Writes a conversation's entry in the deadline index.
    pub(crate) fn set_deadline(&mut self, index: LogIndex, want: Option<CellTime>) {
        let Some(conversation) = self.conversations.get_mut(&index) else {
            return;
        };
        if let Some(at) = conversation.deadline.take() {
            self.derived.deadlines.remove(&(at, index));
        }
        conversation.deadline = want;
        if let Some(at) = want {
            self.derived.deadlines.insert((at, index));
        }
    }

    /// Writes an agent's entry in the deadline index.
    pub(crate) fn refresh_agent_deadline(&mut self, name: &AgentId) {
        let Some(agent) = self.agents.get(name) else {
            return;
        };
        let (have, want) = (agent.deadline, agent_due(agent));
        if have == want {
            return;
        }
        if let Some(at) = have {
            self.derived.agent_deadlines.remove(&(at, name.clone()));
        }
        if let Some(at) = want {
            self.derived.agent_deadlines.insert((at, name.clone()));
        }
        if let Some(agent) = self.agent_mut(name) {
            agent.deadline = want;
        }
    }

    /// Makes everything derived anew from what is stored.
    pub(crate) fn rebuild(&mut self) {
        self.derived = Derived::default();
        let agents: Vec<Arc<Agent>> = self.agents.values().cloned().collect();
        for agent in &agents {
            self.derived
                .agents
                .insert(agent.name.clone(), AgentIndex::default());
            if let Some(at) = agent.deadline {
                self.derived
                    .agent_deadlines
                    .insert((at, agent.name.clone()));
            }
        }
        let conversations: Vec<Arc<Conversation>> = self.conversations().cloned().collect();
        for conversation in &conversations {
            if let Some(at) = conversation.deadline {
                self.derived.deadlines.insert((at, conversation.id.index));
            }
            let spot = Spot::of(self, conversation);
            self.put_in(&spot);
        }
        let customers: Vec<_> = self.customers.iter().map(|(at, _)| at.clone()).collect();
        for at in customers {
            self.note_customer(at);
        }
        for agent in &agents {
            self.reindex_agent(&agent.name);
        }
        let steered = self
            .queues
            .values()
            .filter(|record| record.aside_from != record.aside_wanted());
        self.derived.to_stand_aside = steered.map(|record| record.name.clone()).collect();
    }
}

/// The value of a key, made on first need without copying the key otherwise.
fn entry<'a, K: Ord + Clone, V: Default>(map: &'a mut BTreeMap<K, V>, key: &K) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key).expect("it was put in when it was missing")
}
