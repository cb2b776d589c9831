//! What is remembered of a cell from one entry to the next.
//! Promise: kept from the events and the records that they touched, so that a fault of the machine's own indexes shows;
//! as large as the state's conversations, whatever the length of the log.
//! Not here: what a single rule remembers (its own file).

use std::collections::{BTreeMap, BTreeSet};

use super::leaders::Leaders;
use super::plain::{self, Work};
use crate::cell::conversation::{Conversation, Held, Phase};
use crate::cell::event::Event;
use crate::cell::state::State;
use crate::ids::{
    AgentId, CellTime, ChannelId, ConversationId, LogIndex, OfferId, OwnerEpoch, QueueId,
};

/// A place in the order of service.
pub(super) type Place = (u8, i128, LogIndex);

/// Whose units a conversation takes, on which channel, how many.
pub(super) type Taken = (AgentId, ChannelId, u32);

/// What is remembered of one conversation.
pub(super) struct Seen {
    pub(super) epoch: OwnerEpoch,
    pub(super) owner: Option<AgentId>,
    pub(super) items: usize,
    pub(super) queue: QueueId,
    pub(super) rank: i64,
    pub(super) waiting: bool,
    /// Its place in the line of those that may be offered to anybody.
    pub(super) place: Option<Place>,
    pub(super) taken: Option<Taken>,
    /// The open offer with the epoch that it named.
    pub(super) offer: Option<(OfferId, OwnerEpoch)>,
    /// When that was made, and for how many milliseconds.
    pub(super) offered: Option<(CellTime, u64)>,
    pub(super) aged_from: CellTime,
}

fn place_of(found: &Conversation) -> Option<Place> {
    let offerable = match &found.phase {
        Phase::Queued(waiting) => waiting.held == Held::No && found.quarantined.is_none(),
        _ => false,
    };
    offerable.then(|| plain::place(found))
}

fn taken_of(found: &Conversation) -> Option<Taken> {
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
        }
    }
}

/// What is known of a cell.
pub(super) struct Known {
    seen: BTreeMap<LogIndex, Seen>,
    /// Those that may be offered to anybody, in order of service.
    pub(super) line: BTreeSet<Place>,
    work: BTreeMap<AgentId, BTreeMap<LogIndex, (ChannelId, u32)>>,
    /// Cell time after the last entry that was followed.
    pub(super) now: CellTime,
    /// Leaders' starts.
    pub(super) leaders: Leaders,
}

impl Known {
    /// What a state shows.
    pub(super) fn of(state: &State) -> Self {
        let mut known = Self {
            seen: BTreeMap::new(),
            line: BTreeSet::new(),
            work: BTreeMap::new(),
            now: state.now(),
            leaders: Leaders::of(state),
        };
        for found in state.conversations() {
            known.put(found);
        }
        known
    }

    /// What is remembered of a conversation.
    pub(super) fn seen(&self, index: LogIndex) -> Option<&Seen> {
        self.seen.get(&index)
    }

    /// What an agent holds.
    pub(super) fn held(&self, agent: &AgentId) -> Work {
        let held = self.work.get(agent).into_iter().flat_map(BTreeMap::values);
        held.cloned().collect()
    }

    /// Whose units an agent's are taken by.
    pub(super) fn work_of(&self, agent: &AgentId) -> impl Iterator<Item = LogIndex> {
        let work = self.work.get(agent).into_iter();
        work.flat_map(|work| work.keys().copied())
    }

    /// Remembers a record as it is.
    pub(super) fn put(&mut self, found: &Conversation) {
        let (index, seen) = (found.id.index, Seen::of(found));
        self.stand(index, seen.place, seen.taken.clone());
        self.seen.insert(index, seen);
    }

    /// Notes where a conversation stands and whose units it takes.
    fn stand(&mut self, index: LogIndex, place: Option<Place>, taken: Option<Taken>) {
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

    /// Follows one event, so that the next one is judged by what holds at that moment.
    pub(super) fn follow(&mut self, state: &State, event: &Event) {
        match event {
            Event::LeaderStarted { .. } => self.leaders.follow(event, self.now),
            Event::Opened { conversation } => self.put(conversation),
            Event::OfferMade(made) => {
                let now = self.now;
                if let Some(seen) = self.seen.get_mut(&made.conversation.index) {
                    seen.offer = Some((made.offer, made.owner_epoch));
                    seen.offered = Some((now, made.expires_at.since_ms(now)));
                }
            }
            Event::OfferEnded { conversation, .. } => {
                if let Some(seen) = self.seen.get_mut(&conversation.index) {
                    seen.offer = None;
                    seen.offered = None;
                }
            }
            Event::PhaseChanged {
                conversation,
                phase,
                ..
            } => self.phase_changed(state, *conversation, phase),
            // Set aside, it stands in no line for what follows in the same entry.
            Event::Quarantined { conversation, .. } => self.stand(conversation.index, None, None),
            _ => {}
        }
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
        let taken = phase
            .taken()
            .map(|(agent, units)| (agent.clone(), found.channel.clone(), units));
        self.stand(id.index, place, taken);
    }

    /// Forgets conversations that are no longer in the state.
    pub(super) fn prune(&mut self, state: &State) {
        let gone = |index: &LogIndex| state.conversations.get(index).is_none();
        let gone: Vec<LogIndex> = self.seen.keys().copied().filter(gone).collect();
        for index in gone {
            self.stand(index, None, None);
            self.seen.remove(&index);
        }
    }
}
