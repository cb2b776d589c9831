//! One group's log and vote, as openraft wants them, over the node's write-ahead log.
//! Promise: an append returns at once and reports when it is durable, in order; a vote is durable
//! when its write resolves; the committed mark is appended and never waited for.
//! Not here: records, segments, syncs (`store`).

use std::fmt::Debug;
use std::io;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use mutants::{Mutant, planted};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::{LogState, OptionalSend};
use pb::raft::v1 as pb;
use prost::Message;
use store::{EntryId, GroupLog, Record, WalError};

use crate::replica::Shared;
use crate::types::{Body, Entry, LogId, Types, Vote};
use crate::wire;

/// Bytes of entries in one append to a follower, below its receive limit of 4 MiB.
pub(crate) const APPEND_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of entries held while a long range is read.
pub(crate) const READ_BYTES_MAX: usize = 1024 * 1024;

/// The log of one group. Clones read and write the same log.
pub(crate) struct Log<R> {
    group: GroupLog,
    shared: Arc<Shared>,
    reply: PhantomData<fn() -> R>,
}

impl<R> Clone for Log<R> {
    fn clone(&self) -> Self {
        Self::new(self.group.clone(), Arc::clone(&self.shared))
    }
}

impl<R> Log<R> {
    pub(crate) fn new(group: GroupLog, shared: Arc<Shared>) -> Self {
        Self {
            group,
            shared,
            reply: PhantomData,
        }
    }

    /// The indexes that the log holds: first and one past the last.
    fn held(&self) -> (u64, u64) {
        let first = self.group.purged().map_or(0, |id| id.index + 1);
        let end = self.group.last().map_or(first, |id| id.index + 1);
        (first, end.max(first))
    }

    /// `range`, cut to what the log holds.
    fn clip(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let (first, end) = self.held();
        let from = match range.start_bound() {
            Bound::Included(at) => *at,
            Bound::Excluded(at) => at + 1,
            Bound::Unbounded => first,
        };
        let to = match range.end_bound() {
            Bound::Included(at) => at + 1,
            Bound::Excluded(at) => *at,
            Bound::Unbounded => end,
        };
        (from.max(first), to.min(end))
    }

    /// The first entries of `from..to`, at most `bytes_max` of them unless the first is larger.
    async fn read_some(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let read = self.group.read(from..to, bytes_max).await;
        let records = read.map_err(io::Error::other)?;
        let first = records.first().map(|record| record.index);
        // Only a log that was never purged may begin later than asked.
        let begins_later = self.group.purged().is_none() && first > Some(from);
        if first != Some(from) && !begins_later {
            return Err(io::Error::other(format!("the log lacks entry {from}")));
        }
        records.into_iter().map(entry_of).collect()
    }
}

/// Keeps the vote with which openraft begins where none is kept.
pub(crate) async fn write_first_vote(group: &GroupLog, node: u64) -> Result<(), WalError> {
    let vote = pb::Vote {
        term: 0,
        node,
        committed: false,
    };
    group.save_vote(Bytes::from(vote.encode_to_vec())).await
}

/// The index after the last of `entries`, of which there is at least one.
fn after(entries: &[Entry]) -> u64 {
    entries.last().map_or(0, |entry| entry.log_id.index + 1)
}

fn record_of(entry: Entry) -> Record {
    Record {
        term: entry.log_id.leader_id.term,
        leader_node: entry.log_id.leader_id.node_id,
        index: entry.log_id.index,
        payload: entry.payload.encoded().clone(),
    }
}

fn entry_of(record: Record) -> io::Result<Entry> {
    let body = Body::from_encoded(record.payload).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("entry {}: {error}", record.index),
        )
    })?;
    Ok(Entry::new(
        wire::log_id(record.term, record.leader_node, record.index),
        body,
    ))
}

pub(crate) fn id_of(id: EntryId) -> LogId {
    wire::log_id(id.term, id.leader_node, id.index)
}

fn undecodable(what: &str, error: &prost::DecodeError) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the stored {what}: {error}"),
    )
}

impl<R: Send + Sync + 'static> RaftLogReader<Types<R>> for Log<R> {
    async fn try_get_log_entries<B>(&mut self, range: B) -> io::Result<Vec<Entry>>
    where
        B: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (mut from, to) = self.clip(&range);
        let mut entries = Vec::new();
        while from < to {
            let some = self.read_some(from, to, READ_BYTES_MAX).await?;
            from = after(&some);
            entries.extend(some);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let Some(bytes) = self.group.vote() else {
            return Ok(None);
        };
        let vote = pb::Vote::decode(bytes).map_err(|error| undecodable("vote", &error))?;
        Ok(Some(wire::vote_from(vote)))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let (from, to) = self.clip(&(start..end));
        if from >= to {
            return Ok(Vec::new());
        }
        self.read_some(from, to, APPEND_BYTES_MAX).await
    }

    async fn entries_stream<B>(
        &mut self,
        range: B,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        B: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = self.clip(&range);
        let reading = Reading {
            log: self.clone(),
            next: from,
            to,
            read: Vec::new().into_iter(),
        };
        futures::stream::try_unfold(reading, Reading::advance)
    }
}

/// A long range on its way to the machine, read piece by piece.
struct Reading<R> {
    log: Log<R>,
    next: u64,
    to: u64,
    read: std::vec::IntoIter<Entry>,
}

impl<R> Reading<R> {
    async fn advance(mut self) -> io::Result<Option<(Entry, Self)>> {
        if let Some(entry) = self.read.next() {
            return Ok(Some((entry, self)));
        }
        if self.next >= self.to {
            return Ok(None);
        }
        let some = self
            .log
            .read_some(self.next, self.to, READ_BYTES_MAX)
            .await?;
        self.next = after(&some);
        self.read = some.into_iter();
        Ok(self.read.next().map(|entry| (entry, self)))
    }
}

impl<R: Send + Sync + 'static> RaftLogStorage<Types<R>> for Log<R> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types<R>>> {
        let purged = self.group.purged().map(id_of);
        let last = self.group.last().map(id_of).or(purged);
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if planted(Mutant::VoteNotKept) {
            return Ok(());
        }
        let bytes = Bytes::from(wire::vote_to(vote).encode_to_vec());
        self.group.save_vote(bytes).await.map_err(io::Error::other)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(id) = committed {
            self.group
                .save_committed(Bytes::from(wire::log_id_to(&id).encode_to_vec()));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let Some(bytes) = self.group.committed() else {
            return Ok(None);
        };
        let id = pb::LogId::decode(bytes).map_err(|error| undecodable("commit mark", &error))?;
        Ok(Some(wire::log_id_from(id)))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<R>>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records: Vec<Record> = entries.into_iter().map(record_of).collect();
        let appended = self.group.append(records, move |result| {
            callback.io_completed(result.map_err(io::Error::other));
        });
        appended.await.map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.group
            .truncate_after(last.map(|id| id.index))
            .await
            .map_err(io::Error::other)
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let leader = upto.leader_id;
        let id = EntryId {
            term: leader.term,
            leader_node: leader.node_id,
            index: upto.index + u64::from(planted(Mutant::PurgeOneTooMany)),
        };
        let installed = *self.shared.installed.lock();
        let chain = installed
            .filter(|(index, _)| *index == upto.index)
            .map(|(_, chain)| chain);
        self.group.purge(id, chain).await.map_err(io::Error::other)
    }
}
