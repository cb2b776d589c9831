//! What is known in memory about one group's log, in two views.
//! Promise: `View` is what callers have asked for, `Written` what stands in segments, in their order;
//! an entry that is not durable is always in the cache.
//! Not here: bytes (`frame`), files (`writer`, `recover`).

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::frame::{Base, Restated};
use super::types::{Chain, EntryId, Record};

/// One group.
#[derive(Default)]
pub struct State {
    pub view: View,
    pub written: Written,
    pub cache: Cache,
    /// Counts removals from the end, so that a reader sees that one has come between.
    pub truncations: u64,
    /// The operation handed to the log last.
    pub ticket: u64,
}

/// As callers see it.
#[derive(Default)]
pub struct View {
    pub last: Option<EntryId>,
    pub purged: Option<EntryId>,
    pub vote: Option<Bytes>,
    pub committed: Option<Bytes>,
    /// The first held entry of each run with one term and leader.
    runs: VecDeque<EntryId>,
}

impl View {
    /// The index that an append must have; any when the group has never held an entry.
    pub fn next_index(&self) -> Option<u64> {
        self.last.map(|last| last.index + 1)
    }

    /// Indexes held.
    pub fn held(&self) -> Range<u64> {
        match (self.runs.front(), self.last) {
            (Some(first), Some(last)) => first.index..last.index + 1,
            _ => 0..0,
        }
    }

    pub fn entry_id(&self, index: u64) -> Option<EntryId> {
        if !self.held().contains(&index) {
            return self.purged.filter(|purged| purged.index == index);
        }
        let run = self
            .runs
            .partition_point(|run| run.index <= index)
            .checked_sub(1)?;
        Some(EntryId {
            index,
            ..self.runs[run]
        })
    }

    pub fn append(&mut self, id: EntryId) {
        let same = |run: &EntryId| (run.term, run.leader_node) == (id.term, id.leader_node);
        if !self.runs.back().is_some_and(same) {
            self.runs.push_back(id);
        }
        self.last = Some(id);
    }

    pub fn truncate(&mut self, keep: Option<EntryId>) {
        while self
            .runs
            .back()
            .is_some_and(|run| keep.is_none_or(|keep| run.index > keep.index))
        {
            self.runs.pop_back();
        }
        self.last = keep;
    }

    pub fn purge(&mut self, upto: EntryId) {
        while self
            .runs
            .get(1)
            .is_some_and(|second| second.index <= upto.index + 1)
        {
            self.runs.pop_front();
        }
        if self.last.is_some_and(|last| last.index > upto.index) {
            if let Some(first) = self.runs.front_mut() {
                first.index = first.index.max(upto.index + 1);
            }
        } else {
            self.runs.clear();
            self.last = Some(upto);
        }
        self.purged = Some(upto);
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub segment: u32,
    pub offset: u32,
    /// Its frame without padding.
    pub bytes: u32,
    pub chain: Chain,
}

/// As the segments have it.
#[derive(Default)]
pub struct Written {
    /// The index of the first place.
    first: u64,
    places: VecDeque<Place>,
    purged: Option<Base>,
    last: Option<Base>,
    vote: Option<Bytes>,
    committed: Option<Bytes>,
    /// While replaying: entries that stood in removed segments and must turn out purged.
    hole: Range<u64>,
}

impl Written {
    pub fn tail_chain(&self) -> Chain {
        self.last.map_or(Chain::default(), |last| last.chain)
    }

    pub fn append(&mut self, id: EntryId, place: Place) {
        if self.places.is_empty() {
            self.first = id.index;
        }
        self.places.push_back(place);
        self.last = Some(Base {
            id,
            chain: place.chain,
        });
    }

    pub fn truncate(&mut self, keep: Option<Base>) {
        let end = keep.map_or(0, |keep| keep.id.index + 1);
        self.places
            .truncate(end.saturating_sub(self.first) as usize);
        self.hole.end = self.hole.end.min(end);
        self.last = keep;
    }

    pub fn purge(&mut self, upto: Base) {
        let next = upto.id.index + 1;
        let gone = next
            .saturating_sub(self.first)
            .min(self.places.len() as u64);
        self.places.drain(..gone as usize);
        self.first = self.first.max(next);
        self.hole.start = self.hole.start.max(next);
        if self.last.is_none_or(|last| last.id.index <= upto.id.index) {
            self.last = Some(upto);
        }
        self.purged = Some(upto);
    }

    pub fn set_vote(&mut self, vote: Bytes) {
        self.vote = Some(vote);
    }

    pub fn set_committed(&mut self, committed: Bytes) {
        self.committed = Some(committed);
    }

    pub fn place(&self, index: u64) -> Option<Place> {
        self.places
            .get(index.checked_sub(self.first)? as usize)
            .copied()
    }

    pub fn chain(&self, index: u64) -> Option<Chain> {
        let purged = self.purged.filter(|purged| purged.id.index == index);
        purged
            .map(|purged| purged.chain)
            .or_else(|| self.place(index).map(|place| place.chain))
    }

    /// The oldest segment with an entry that is held, and the last such entry in it.
    pub fn oldest_segment(&self) -> Option<(u32, u64)> {
        let oldest = self.places.front()?.segment;
        let entries = self.places.partition_point(|place| place.segment <= oldest) as u64;
        Some((oldest, self.first + (entries - 1)))
    }

    pub fn restated(&self) -> Restated {
        Restated {
            first: self.first,
            purged: self.purged,
            last: self.last,
            vote: self.vote.clone(),
            committed: self.committed.clone(),
        }
    }

    /// Whether anything was ever written for the group.
    pub fn is_known(&self) -> bool {
        self.last.is_some() || self.vote.is_some() || self.committed.is_some()
    }

    /// Entries that no segment has although they were not purged.
    pub fn missing(&self) -> Option<u64> {
        (!self.hole.is_empty()).then_some(self.hole.start)
    }
}

impl State {
    /// Takes over what the head of the oldest segment says.
    pub fn restate(&mut self, state: Restated) {
        if let Some(last) = state.last {
            self.view.truncate(Some(last.id));
            self.written.hole = state.first..last.id.index + 1;
            self.written.first = last.id.index + 1;
        }
        self.view.purged = state.purged.map(|purged| purged.id);
        self.view.vote = state.vote.clone();
        self.view.committed = state.committed.clone();
        self.written.purged = state.purged;
        self.written.last = state.last;
        self.written.vote = state.vote;
        self.written.committed = state.committed;
    }
}

/// Recent entries: always the end of the log.
#[derive(Default)]
pub struct Cache {
    entries: VecDeque<(Record, u64)>,
    bytes: usize,
    synced: u64,
}

impl Cache {
    /// The index of its first entry.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|(record, _)| record.index)
    }

    /// Entries from `index`, which must not lie before the first.
    pub fn from(&self, index: u64) -> impl Iterator<Item = &Record> {
        let skipped = self.first().map_or(0, |first| index.saturating_sub(first));
        self.entries
            .iter()
            .skip(skipped as usize)
            .map(|(record, _)| record)
    }

    pub fn push(&mut self, record: Record, ticket: u64) {
        self.bytes += record.payload.len();
        self.entries.push_back((record, ticket));
    }

    pub fn truncate(&mut self, keep: Option<EntryId>) {
        while let Some((record, _)) = self
            .entries
            .pop_back_if(|(record, _)| keep.is_none_or(|keep| record.index > keep.index))
        {
            self.bytes -= record.payload.len();
        }
    }

    pub fn purge(&mut self, upto: EntryId) {
        while let Some((record, _)) = self
            .entries
            .pop_front_if(|(record, _)| record.index <= upto.index)
        {
            self.bytes -= record.payload.len();
        }
    }

    /// Operations up to `ticket` are durable: what exceeds `bytes_max` may go.
    pub fn settle(&mut self, ticket: u64, bytes_max: usize) {
        self.synced = self.synced.max(ticket);
        let synced = self.synced;
        while self.bytes > bytes_max {
            match self.entries.pop_front_if(|(_, ticket)| *ticket <= synced) {
                Some((record, _)) => self.bytes -= record.payload.len(),
                None => return,
            }
        }
    }
}
