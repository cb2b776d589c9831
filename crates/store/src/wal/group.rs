//! The handle of one group's log.
//! Promise: writes of one group reach the log in the order in which they changed the view; reads give
//! checked entries or an error.
//! Not here: batching (`writer`).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use runtime::mailbox::Sender;
use tokio::sync::{Semaphore, oneshot};

use super::core::{Core, Group};
use super::frame::{Body, parse};
use super::segment::Segment;
use super::state::{Place, State};
use super::types::{Chain, EntryId, Kept, PAYLOAD_BYTES_MAX, Record, WalError};
use super::writer::{Answer, Done, Mail, Operation, Work};
use crate::GroupId;

/// Bytes read from a segment at once: neighbours of one group come with few reads, and records of
/// other groups between them are not read for long.
const READ_SPAN_BYTES_MAX: u64 = 1 << 20;
/// What an operation without payload counts in the queue.
const SMALL_BYTES: usize = 64;

/// The log and vote of one group. Cheap to clone. Writes of one group take effect in the order in
/// which their calls got past the wait for room; a caller that needs an order awaits each call.
#[derive(Clone)]
pub struct GroupLog {
    pub(super) group: Arc<Group>,
    pub(super) core: Arc<Core>,
    pub(super) mail: Sender<Mail>,
    pub(super) room: Arc<Semaphore>,
}

/// What a read does next.
enum Step {
    End,
    Cached(Vec<Record>),
    Disk {
        segment: Arc<Segment>,
        first: u64,
        places: Vec<Place>,
    },
}

impl GroupLog {
    /// The group.
    pub fn id(&self) -> GroupId {
        self.group.id
    }

    /// The last entry, or the purged one when nothing follows it.
    pub fn last(&self) -> Option<EntryId> {
        self.group.state.lock().view.last
    }

    /// The last entry that was purged.
    pub fn purged(&self) -> Option<EntryId> {
        self.group.state.lock().view.purged
    }

    /// The place of the entry at `index`, if it is held (the purged one included).
    pub fn entry_id(&self, index: u64) -> Option<EntryId> {
        self.group.state.lock().view.entry_id(index)
    }

    /// The vote kept last.
    pub fn vote(&self) -> Option<Bytes> {
        self.group.state.lock().view.vote.clone()
    }

    /// The committed position kept last.
    pub fn committed(&self) -> Option<Bytes> {
        self.group.state.lock().view.committed.clone()
    }

    /// The chain at `index`; `None` when the entry is purged (except the last purged one), not there,
    /// or not yet written.
    pub fn chain(&self, index: u64) -> Option<Chain> {
        let state = self.group.state.lock();
        state
            .view
            .entry_id(index)
            .and_then(|_| state.written.chain(index))
    }

    /// What the log keeps of the entry at `index`, durable or not.
    pub fn kept(&self, index: u64) -> Kept {
        let place = {
            let state = self.group.state.lock();
            if state
                .view
                .purged
                .is_some_and(|purged| index <= purged.index)
            {
                return Kept::Purged;
            }
            let held = state.view.entry_id(index);
            held.and_then(|_| state.written.place(index))
        };
        let segment = place.and_then(|place| Some((place, self.core.segment(place.segment)?)));
        match segment {
            None => Kept::Missing,
            Some((place, segment)) => Kept::At {
                file: segment.path.clone(),
                offset: u64::from(place.offset),
                bytes: u64::from(place.bytes),
                chain: place.chain,
            },
        }
    }

    /// Appends entries that follow the last one; waits for room in the queue. When it returns they
    /// can be read. `done` is called once, when they are durable or never will be; not at all if this
    /// call fails.
    pub async fn append(
        &self,
        records: Vec<Record>,
        done: impl FnOnce(Result<(), WalError>) + Send + 'static,
    ) -> Result<(), WalError> {
        let bytes = records
            .iter()
            .map(|record| record.payload.len() + SMALL_BYTES)
            .sum();
        if let Some(record) = records
            .iter()
            .find(|record| record.payload.len() > PAYLOAD_BYTES_MAX)
        {
            return Err(self.misplaced(record.index, "its payload is larger than the log takes"));
        }
        self.submit(bytes, Box::new(done), |state, ticket| {
            let mut next = state.view.next_index();
            for record in &records {
                if next.is_some_and(|next| next != record.index) {
                    return Err(
                        self.misplaced(record.index, "it does not follow the entry before it")
                    );
                }
                next = Some(record.index + 1);
            }
            for record in &records {
                state.view.append(record.id());
                state.cache.push(record.clone(), ticket);
            }
            Ok(Work::Append(records))
        })
        .await
    }

    /// Removes every entry after `keep`, all that is not purged for `None`. Durable when it resolves.
    pub async fn truncate_after(&self, keep: Option<u64>) -> Result<(), WalError> {
        self.settled(|state| {
            let keep = match keep.and_then(|index| state.view.entry_id(index)) {
                None if keep
                    .is_some_and(|keep| state.view.last.is_some_and(|last| last.index <= keep)) =>
                {
                    state.view.last
                }
                found => found.or(state.view.purged),
            };
            state.truncations += 1;
            state.view.truncate(keep);
            state.cache.truncate(keep);
            Work::Truncate(keep)
        })
        .await
    }

    /// Removes every entry up to `upto`. Where `upto` lies beyond the log, as after a snapshot from
    /// the leader, `chain` is the chain of that snapshot. Durable when it resolves.
    pub async fn purge(&self, upto: EntryId, chain: Option<Chain>) -> Result<(), WalError> {
        if self
            .purged()
            .is_some_and(|purged| purged.index >= upto.index)
        {
            return self.core.check();
        }
        self.settled(|state| {
            state.view.purge(upto);
            state.cache.purge(upto);
            Work::Purge { upto, chain }
        })
        .await
    }

    /// Keeps the vote, opaque here. Durable when it resolves.
    pub async fn save_vote(&self, vote: Bytes) -> Result<(), WalError> {
        self.settled(|state| {
            state.view.vote = Some(vote.clone());
            Work::Vote(vote)
        })
        .await
    }

    /// Keeps the committed position, opaque here, with the next batch. Never waited for: where the
    /// queue is full the next one replaces it.
    pub fn save_committed(&self, committed: Bytes) {
        self.group.state.lock().view.committed = Some(committed.clone());
        drop(
            self.mail
                .try_send(Mail::Committed(self.group.clone(), committed)),
        );
    }

    /// Entries of `range` in order, from the first that is held, at most `max_bytes` of payload but
    /// at least one; empty when none is held.
    pub async fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Record>, WalError> {
        self.core.check()?;
        let truncations = self.group.state.lock().truncations;
        let (mut records, mut bytes, mut at) = (Vec::<Record>::new(), 0, range.start);
        loop {
            let step = {
                let state = self.group.state.lock();
                if state.truncations != truncations && !records.is_empty() {
                    return Ok(records);
                }
                if !records.is_empty() && bytes >= max_bytes {
                    return Ok(records);
                }
                self.next_step(&state, at..range.end, max_bytes.saturating_sub(bytes))
            };
            let more = match step {
                Step::End => return Ok(records),
                Step::Cached(found) => found,
                Step::Disk {
                    segment,
                    first,
                    places,
                } => self.read_segment(&segment, first, &places).await?,
            };
            for record in more {
                // A purge may have moved the start; a gap inside is never served.
                if !records.is_empty()
                    && (record.index != at
                        || record.payload.len() > max_bytes.saturating_sub(bytes))
                {
                    return Ok(records);
                }
                bytes += record.payload.len();
                at = record.index + 1;
                records.push(record);
            }
        }
    }

    fn next_step(&self, state: &State, range: Range<u64>, max_bytes: usize) -> Step {
        let held = state.view.held();
        let (start, end) = (range.start.max(held.start), range.end.min(held.end));
        if start >= end {
            return Step::End;
        }
        let cached = state.cache.first().unwrap_or(held.end);
        if start >= cached {
            return Step::Cached(take_cached(state, start..end, max_bytes));
        }
        let places = span(state, start..end.min(cached), max_bytes);
        match places
            .first()
            .and_then(|place| self.core.segment(place.segment))
        {
            Some(segment) => Step::Disk {
                segment,
                first: start,
                places,
            },
            None => Step::End,
        }
    }

    /// Reads records that stand near each other in one segment; `first` is the index of the first.
    async fn read_segment(
        &self,
        segment: &Segment,
        first: u64,
        places: &[Place],
    ) -> Result<Vec<Record>, WalError> {
        let (Some(start), Some(end)) = (places.first(), places.last()) else {
            return Ok(Vec::new());
        };
        let start = u64::from(start.offset);
        let len = u64::from(end.offset) + u64::from(end.bytes) - start;
        let bytes = segment.reader.read_at(start, len as usize).await;
        let bytes = bytes.map_err(|error| WalError::Read {
            reason: error.to_string().into(),
        })?;
        let mut records = Vec::with_capacity(places.len());
        for (index, place) in (first..).zip(places) {
            let offset = u64::from(place.offset) - start;
            let frame = parse(segment.salt, &bytes, offset as usize).ok();
            let entry = frame
                .filter(|frame| frame.group == self.id())
                .map(|frame| frame.body);
            match entry {
                Some(Body::Entry { at, payload })
                    if at.id.index == index && at.chain == place.chain =>
                {
                    let EntryId {
                        term,
                        leader_node,
                        index,
                    } = at.id;
                    records.push(Record {
                        term,
                        leader_node,
                        index,
                        payload,
                    });
                }
                _ => {
                    return Err(WalError::Damaged {
                        group: self.id(),
                        index,
                        file: segment.path.clone(),
                        offset: u64::from(place.offset),
                    });
                }
            }
        }
        Ok(records)
    }

    /// Submits and waits until durable.
    async fn settled(&self, make: impl FnOnce(&mut State) -> Work) -> Result<(), WalError> {
        let (reply, answer) = oneshot::channel();
        // The caller may stop waiting; the work is done all the same.
        let done = Box::new(move |outcome| drop(reply.send(outcome)));
        self.submit(SMALL_BYTES, done, |state, _| Ok(make(state)))
            .await?;
        answer.await.unwrap_or_else(|_| Err(self.core.end()))
    }

    /// Waits for room, then changes the view and hands over the work under one lock, so that both
    /// have one order.
    async fn submit(
        &self,
        bytes: usize,
        done: Done,
        make: impl FnOnce(&mut State, u64) -> Result<Work, WalError>,
    ) -> Result<(), WalError> {
        self.core.check()?;
        let bytes = bytes.min(self.core.options.queue_bytes) as u32;
        let room = self
            .room
            .clone()
            .acquire_many_owned(bytes)
            .await
            .map_err(|_| self.core.end())?;
        let permit = self.mail.reserve().await.map_err(|_| self.core.end())?;
        self.core.check()?;
        let mut state = self.group.state.lock();
        let ticket = state.ticket + 1;
        let work = make(&mut state, ticket)?;
        state.ticket = ticket;
        let group = self.group.clone();
        let answer = Answer::owed(done);
        let room = Some(room);
        permit.send(Mail::Operation(Operation {
            group,
            ticket,
            work,
            answer,
            room,
        }));
        Ok(())
    }

    fn misplaced(&self, index: u64, what: &'static str) -> WalError {
        WalError::Misplaced {
            group: self.id(),
            index,
            what,
        }
    }
}

fn take_cached(state: &State, range: Range<u64>, max_bytes: usize) -> Vec<Record> {
    let mut bytes = 0;
    let wanted = state
        .cache
        .from(range.start)
        .take((range.end - range.start) as usize);
    // One more than the bound allows: the caller takes it if it is the first, or drops it.
    let fitting = wanted.take_while(|record| {
        let fits = bytes <= max_bytes;
        bytes += record.payload.len();
        fits
    });
    fitting.cloned().collect()
}

/// Places of `range` that one read of one segment covers; at least one.
fn span(state: &State, range: Range<u64>, max_bytes: usize) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let limit =
        READ_SPAN_BYTES_MAX.min((max_bytes as u64).saturating_add(READ_SPAN_BYTES_MAX / 16));
    for index in range {
        let Some(place) = state.written.place(index) else {
            break;
        };
        if let Some(first) = places.first() {
            let end = u64::from(place.offset) + u64::from(place.bytes);
            if place.segment != first.segment || end - u64::from(first.offset) > limit {
                break;
            }
        }
        places.push(place);
    }
    places
}
