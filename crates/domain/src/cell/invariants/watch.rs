//! What holds from one entry to the next, checked after each entry for what it touched.
//! Promise: kept from the events alone and compared with the records, so that a fault of the machine's
//! own indexes shows; the work of one entry is bounded by what it touched, not by the state.
//! Not here: what holds in a whole state (`check_invariants`).

use std::collections::{BTreeMap, BTreeSet};

use super::plain::{self, Work};
use super::taken::{self, Passes, broken};
use super::{Rule, Violation};
use crate::cell::Applied;
use crate::cell::apply::RECLASS_MAX;
use crate::cell::command::{Command, Entry};
use crate::cell::conversation::{Conversation, Held, Phase};
use crate::cell::event::{Event, Object, OfferMade, Subject};
use crate::cell::floor::OfferOutcome;
use crate::cell::matching::MATCHES_MAX;
use crate::cell::receipts::Found;
use crate::cell::requests::Remembered;
use crate::cell::state::State;
use crate::ids::{
    AgentId, CellTime, ChannelId, ConversationId, LogIndex, OfferId, OwnerEpoch, QueueId,
};

/// Conversations of the line that one freed agent is compared with: the first ones would be served.
const LINE_LOOK_MAX: usize = 256;

/// A place in the order of service.
type Place = (u8, i128, LogIndex);

/// What is remembered of one conversation.
struct Seen {
    epoch: OwnerEpoch,
    owner: Option<AgentId>,
    items: usize,
    queue: QueueId,
    rank: i64,
    waiting: bool,
    /// Its place in the line of those that may be offered to anybody.
    place: Option<Place>,
    taken: Option<(AgentId, ChannelId, u32)>,
    /// The open offer with the epoch that it named.
    offer: Option<(OfferId, OwnerEpoch)>,
    /// When that was made, and for how many milliseconds.
    offered: Option<(CellTime, u64)>,
    aged_from: CellTime,
    deadline: Option<CellTime>,
}

/// The entries of one cell being watched, in log order.
pub struct Watch {
    seen: BTreeMap<LogIndex, Seen>,
    line: BTreeSet<Place>,
    work: BTreeMap<AgentId, BTreeMap<LogIndex, (ChannelId, u32)>>,
    now: CellTime,
    /// `MatchMore` entries in a row, and how many may follow each other.
    more: Option<(u64, u64)>,
    /// Units of agents before they took more in the present entry.
    had: BTreeMap<AgentId, u64>,
    passes: Passes,
    /// When a leader's start last gave every offer its full period.
    full_since: CellTime,
}

fn place_of(found: &Conversation) -> Option<Place> {
    let offerable = match &found.phase {
        Phase::Queued(waiting) => waiting.held == Held::No && found.quarantined.is_none(),
        _ => false,
    };
    offerable.then(|| plain::place(found))
}

fn taken_of(found: &Conversation) -> Option<(AgentId, ChannelId, u32)> {
    let (agent, units) = found.phase.taken()?;
    Some((agent.clone(), found.channel.clone(), units))
}

impl Seen {
    fn of(found: &Conversation) -> Self {
        let open = match &found.phase {
            Phase::Offered(offer) => Some(offer),
            _ => None,
        };
        let offer = open.map(|offer| (offer.id, found.owner_epoch));
        Self {
            epoch: found.owner_epoch,
            owner: found.phase.owner().cloned(),
            items: found.items.len(),
            queue: found.queue.clone(),
            rank: found.rank(),
            waiting: found.is_waiting(),
            place: place_of(found),
            taken: taken_of(found),
            offer,
            offered: open.map(|offer| (offer.made_at, offer.period_ms)),
            aged_from: found.aged_from,
            deadline: found.deadline,
        }
    }
}

impl Watch {
    /// Watches from this state on.
    pub fn begin(state: &State) -> Self {
        let mut watch = Self {
            seen: BTreeMap::new(),
            line: BTreeSet::new(),
            work: BTreeMap::new(),
            now: state.now(),
            more: None,
            had: BTreeMap::new(),
            passes: Passes::default(),
            full_since: state.meta.leader.full_since,
        };
        for found in state.conversations() {
            watch.put(found.id.index, Seen::of(found));
        }
        watch
    }

    fn put(&mut self, index: LogIndex, seen: Seen) {
        self.stand(index, seen.place, seen.taken.clone());
        self.seen.insert(index, seen);
    }

    /// Notes where a conversation stands and whose units it takes.
    fn stand(
        &mut self,
        index: LogIndex,
        place: Option<Place>,
        taken: Option<(AgentId, ChannelId, u32)>,
    ) {
        if let Some(seen) = self.seen.get_mut(&index) {
            if let Some(old) = seen.place.take() {
                self.line.remove(&old);
            }
            if let Some((agent, _, _)) = seen.taken.take()
                && let Some(work) = self.work.get_mut(&agent)
            {
                work.remove(&index);
            }
            seen.place = place;
            seen.taken = taken.clone();
        }
        self.line.extend(place);
        if let Some((agent, channel, units)) = taken {
            let work = self.work.entry(agent).or_default();
            work.insert(index, (channel, units));
        }
    }

    fn held(&self, agent: &AgentId) -> Work {
        let held = self.work.get(agent).into_iter().flat_map(BTreeMap::values);
        held.cloned().collect()
    }

    /// Checks one applied entry.
    ///
    /// # Errors
    /// Names the first rule that does not hold, and what was seen.
    pub fn check(
        &mut self,
        state: &State,
        entry: &Entry,
        applied: &Applied,
    ) -> Result<(), Violation> {
        if state.now() < self.now {
            let what = format!("cell time ran from {} to {}", self.now.0, state.now().0);
            return Err(broken(Rule::TimeNeverRunsBack, what));
        }
        self.now = state.now();
        self.check_more(state, entry)?;
        self.had.clear();
        let mut touched = Touched::default();
        for event in &applied.events {
            self.follow(state, event)?;
            touched.note(event);
        }
        for index in &touched.conversations {
            if let Some(found) = state.conversations.get(index) {
                self.check_conversation(state, found)?;
                self.put(*index, Seen::of(found));
            }
        }
        for (agent, had) in &self.had {
            self.check_capacity(state, agent, *had)?;
        }
        if !state.meta.more_due {
            self.check_idle(state, &touched.conversations, &touched.freed)?;
        }
        Ok(())
    }

    /// Forgets conversations that are no longer in the state.
    pub fn prune(&mut self, state: &State) {
        let gone = |index: &LogIndex| state.conversations.get(index).is_none();
        let gone: Vec<LogIndex> = self.seen.keys().copied().filter(gone).collect();
        for index in gone {
            self.stand(index, None, None);
            self.seen.remove(&index);
        }
    }

    /// Work that is left goes on in as many steps as it needs, and no more.
    fn check_more(&mut self, state: &State, entry: &Entry) -> Result<(), Violation> {
        if !matches!(entry.command, Command::MatchMore) || !state.meta.more_due {
            self.more = None;
            return Ok(());
        }
        let waiting = self.line.len().div_ceil(MATCHES_MAX) as u64;
        let moved = self.seen.len().div_ceil(RECLASS_MAX) as u64;
        // Lines of a new plan and plans above the limit are moved in the same entries.
        let (steps, most) = self.more.unwrap_or((0, waiting + 2 * moved + 2));
        self.more = Some((steps + 1, most));
        if steps < most {
            return Ok(());
        }
        let what = format!("matching is not at its end after {steps} entries, {most} suffice");
        Err(broken(Rule::MatchingEnds, what))
    }

    /// Follows one event, so that the next one is judged by what holds at that moment.
    fn follow(&mut self, state: &State, event: &Event) -> Result<(), Violation> {
        self.passes.follow(event);
        match event {
            Event::LeaderStarted { full: true, .. } => self.full_since = self.now,
            Event::Opened { conversation } => {
                self.put(conversation.id.index, Seen::of(conversation));
            }
            Event::OfferMade(made) => return self.offered(state, made),
            Event::OfferEnded { .. } => return self.offer_ended(event),
            Event::PhaseChanged {
                conversation,
                phase,
                ..
            } => {
                let seen = self.seen.get(&conversation.index);
                let taken = seen.and_then(|seen| seen.taken.as_ref());
                taken::check_units(state, *conversation, taken, phase)?;
                self.phase_changed(state, *conversation, phase);
            }
            Event::Remembered { object, row } => return remembered_once(state, object, row),
            // Set aside, it stands in no line for what follows in the same entry.
            Event::Quarantined { conversation, .. } => self.stand(conversation.index, None, None),
            _ => {}
        }
        Ok(())
    }

    fn phase_changed(&mut self, state: &State, id: ConversationId, phase: &Phase) {
        let Some(found) = state.conversation(id) else {
            return;
        };
        // What the place depends on is settled before the line is asked for it.
        let place = match phase {
            Phase::Queued(waiting) if waiting.held == Held::No => {
                found.quarantined.is_none().then(|| plain::place(found))
            }
            _ => None,
        };
        if let Some((agent, _)) = phase.taken()
            && !self.had.contains_key(agent)
        {
            self.had
                .insert(agent.clone(), plain::units(&self.held(agent)));
        }
        let taken = phase
            .taken()
            .map(|(agent, units)| (agent.clone(), found.channel.clone(), units));
        self.stand(id.index, place, taken);
    }

    fn offered(&mut self, state: &State, made: &OfferMade) -> Result<(), Violation> {
        self.passes.check(made)?;
        let (now, index) = (self.now, made.conversation.index);
        let Some(seen) = self.seen.get_mut(&index) else {
            let what = format!(
                "offer {} is for {}, which is unknown",
                made.offer, made.conversation
            );
            return Err(broken(Rule::OneState, what));
        };
        if let Some((open, _)) = seen.offer.replace((made.offer, made.owner_epoch)) {
            let what = format!(
                "{} got offer {} beside {open}",
                made.conversation, made.offer
            );
            return Err(broken(Rule::OneState, what));
        }
        seen.offered = Some((now, made.expires_at.since_ms(now)));
        if made.receipt.found == Found::Named {
            return Ok(());
        }
        let held = self.held(&made.agent);
        match state.conversation(made.conversation) {
            Some(winner) => self.check_overtakes(state, (&**winner, &made.agent), &held),
            None => Ok(()),
        }
    }

    /// No conversation with an earlier place waits that this agent could have had.
    fn check_overtakes(
        &self,
        state: &State,
        (winner, name): (&Conversation, &AgentId),
        held: &Work,
    ) -> Result<(), Violation> {
        let Some(agent) = state.agents.get(name) else {
            return Ok(());
        };
        let won = plain::place(winner);
        for (_, _, index) in self.line.range(..won) {
            let Some(other) = state.conversations.get(index) else {
                continue;
            };
            let asked = other.id != winner.id
                && !other.passed_over.iter().any(|passed| passed.agent == *name)
                && !is_paused(state, other);
            let rules = plain::rules(state, other.classed_by, other);
            let eligible = rules.is_some_and(|rules| plain::may_serve(agent, &rules.requires));
            if asked && eligible && plain::is_free(state, agent, held, &other.channel) {
                let what = format!(
                    "{} was offered to {name} before {}, whose place is earlier",
                    winner.id, other.id
                );
                return Err(broken(Rule::OvertakesBounded, what));
            }
        }
        Ok(())
    }

    fn offer_ended(&mut self, event: &Event) -> Result<(), Violation> {
        let Event::OfferEnded {
            offer,
            conversation,
            outcome,
            ..
        } = event
        else {
            return Ok(());
        };
        let now = self.now;
        let Some(seen) = self.seen.get_mut(&conversation.index) else {
            return Ok(());
        };
        let open = seen.offer.take().map(|(open, _)| open);
        if open != Some(*offer) {
            let what = format!("offer {offer} of {conversation} ended and was not open");
            return Err(broken(Rule::DeadlinesFireOnce, what));
        }
        let due = seen.deadline.is_some_and(|deadline| deadline <= now);
        if *outcome == OfferOutcome::Expired && !due {
            let what = format!("offer {offer} of {conversation} lapsed before its deadline");
            return Err(broken(Rule::DeadlinesFireOnce, what));
        }
        match (outcome, seen.offered.take()) {
            (OfferOutcome::Expired, Some(offered)) => {
                taken::check_period(self.full_since, now, *conversation, offered)
            }
            _ => Ok(()),
        }
    }

    /// Compares a record with what was known of it before the entry.
    fn check_conversation(&self, state: &State, is: &Conversation) -> Result<(), Violation> {
        let Some(was) = self.seen.get(&is.id.index) else {
            return Ok(());
        };
        let id = is.id;
        if is.owner_epoch < was.epoch {
            let what = format!("{id} went from epoch {} to {}", was.epoch, is.owner_epoch);
            return Err(broken(Rule::EpochsGrow, what));
        }
        let owner = is.phase.owner();
        if owner.is_some() && owner != was.owner.as_ref() && is.owner_epoch == was.epoch {
            let what = format!("{id} has another owner in epoch {}", is.owner_epoch);
            return Err(broken(Rule::OneOwnerPerEpoch, what));
        }
        let mut news = is.items.after(was.items).zip(was.items as u64 + 1..);
        let gapless = news.all(|(item, n)| item.sequence.0 == n);
        if is.items.len() < was.items || !gapless {
            return Err(Violation::Transcript { conversation: id });
        }
        if was.waiting && is.is_waiting() && is.queue == was.queue && is.rank() > was.rank {
            let what = format!("{id} lost its place in {}", is.queue);
            return Err(broken(Rule::PlacesStay, what));
        }
        if was.waiting || was.owner.is_some() {
            taken::check_age(was.aged_from, is)?;
        }
        self.check_offer(state, is, was)
    }

    fn check_offer(&self, state: &State, is: &Conversation, was: &Seen) -> Result<(), Violation> {
        let Phase::Offered(offer) = &is.phase else {
            return Ok(());
        };
        let named = was.offer.filter(|(open, _)| *open == offer.id);
        if named.is_none_or(|(_, epoch)| epoch != is.owner_epoch) {
            let what = format!("offer {} of {} names another epoch", offer.id, is.id);
            return Err(broken(Rule::OffersNameTheEpoch, what));
        }
        let agent = state.agents.get(&offer.agent);
        match agent.is_some_and(|agent| agent.session == Some(offer.session)) {
            true => Ok(()),
            false => Err(Violation::OfferToNobody { offer: offer.id }),
        }
    }

    fn check_capacity(&self, state: &State, name: &AgentId, had: u64) -> Result<(), Violation> {
        let used = plain::units(&self.held(name));
        let agent = state.agents.get(name);
        let capacity = agent.map_or(0, |agent| agent.profile.capacity);
        if used <= had || used <= u64::from(capacity) {
            return Ok(());
        }
        Err(Violation::OverCapacity {
            agent: name.clone(),
            used,
            capacity,
        })
    }

    /// What was touched and waits, beside every agent; agents who were touched, beside the line.
    fn check_idle(
        &self,
        state: &State,
        conversations: &BTreeSet<LogIndex>,
        freed: &BTreeSet<&AgentId>,
    ) -> Result<(), Violation> {
        let touched = conversations.iter().filter_map(|index| {
            let seen = self.seen.get(index)?;
            state.conversations.get(index).filter(|_| seen.waiting)
        });
        for found in touched {
            for agent in state.agents.keys() {
                self.check_pair(state, found, agent)?;
            }
        }
        for agent in freed {
            for (_, _, index) in self.line.iter().take(LINE_LOOK_MAX) {
                if let Some(found) = state.conversations.get(index) {
                    self.check_pair(state, found, agent)?;
                }
            }
        }
        Ok(())
    }

    fn check_pair(
        &self,
        state: &State,
        found: &Conversation,
        name: &AgentId,
    ) -> Result<(), Violation> {
        let Some(agent) = state
            .agents
            .get(name)
            .filter(|agent| agent.session.is_some())
        else {
            return Ok(());
        };
        let plan = state.meta.plan;
        let asked = match plain::kept_for(found) {
            Some(only) => only == name,
            None => {
                let rules = plain::rules(state, plan, found);
                plain::may_serve(agent, rules.map_or(&[][..], |rules| &rules.requires))
            }
        };
        let passed = found.passed_over.iter().any(|passed| passed.agent == *name);
        let idle = asked
            && !passed
            && !plain::is_paused(state, plan, found)
            && !plain::is_stopped(state, found)
            && plain::is_free(state, agent, &self.held(name), &found.channel);
        match idle {
            false => Ok(()),
            true => Err(Violation::IdleBesideWork {
                conversation: found.id,
                agent: name.clone(),
            }),
        }
    }
}

/// What an entry touched.
#[derive(Default)]
struct Touched<'e> {
    conversations: BTreeSet<LogIndex>,
    /// Agents who may have become free.
    freed: BTreeSet<&'e AgentId>,
}

impl<'e> Touched<'e> {
    fn note(&mut self, event: &'e Event) {
        let id = match event {
            Event::Opened { conversation } => Some(conversation.id),
            Event::ItemAdded { conversation, .. }
            | Event::OwnerChanged { conversation, .. }
            | Event::QueueEntered { conversation, .. }
            | Event::PassesLapsed { conversation, .. }
            | Event::PassedOver { conversation, .. }
            | Event::CustomerPresence { conversation, .. }
            | Event::Released { conversation }
            | Event::Quarantined { conversation, .. } => Some(*conversation),
            Event::PhaseChanged { conversation, .. } => Some(*conversation),
            Event::DeadlinePutBack {
                subject: Subject::Conversation(index),
            } => {
                self.conversations.insert(*index);
                None
            }
            Event::OfferEnded {
                conversation,
                agent,
                ..
            } => {
                self.freed.insert(agent);
                Some(*conversation)
            }
            Event::AgentChanged { agent } => {
                self.freed.insert(&agent.name);
                None
            }
            _ => None,
        };
        self.conversations.extend(id.map(|id| id.index));
    }
}

/// An answer that is remembered stands in its table once.
fn remembered_once(state: &State, object: &Object, row: &Remembered) -> Result<(), Violation> {
    let rows = match object {
        Object::Conversation(id) => state.conversation(*id).map(|found| &found.requests),
        Object::Agent(name) => state.agents.get(name).map(|found| &found.requests),
        Object::Queue(name) => state.queues.get(name).map(|found| &found.requests),
        Object::Customer(account, customer) => state
            .customer(account, customer)
            .map(|found| &found.requests),
    };
    let same = |other: &&Remembered| other.principal == row.principal && other.id == row.id;
    let times = rows.map_or(1, |rows| rows.iter().filter(same).count());
    if times <= 1 {
        return Ok(());
    }
    let what = format!("request {} is remembered {times} times", row.id);
    Err(broken(Rule::AnsweredOnce, what))
}

/// Whether the queue serves nothing, by the plan in force or by the one whose line it still stands in.
fn is_paused(state: &State, found: &Conversation) -> bool {
    plain::is_stopped(state, found)
        || [state.meta.plan, found.classed_by]
            .into_iter()
            .any(|version| plain::is_paused(state, version, found))
}
