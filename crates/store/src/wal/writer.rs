//! The log's task: gathers what waits into one batch, writes and syncs it, answers.
//! Promise: a batch is not written before the sync of the one before has returned; nothing is answered
//! as done before its sync; after a failure nothing is answered as done any more.
//! Not here: order of calls within a group (`group`), reading back (`recover`).

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mutants::{Mutant, planted};
use runtime::mailbox::Receiver;
use runtime::{Commit, Disk, Env, Lane, Random, Task};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use super::core::{Core, Group};
use super::frame::{
    BATCH_HEAD_BYTES, Base, Body, ENTRY_BYTES, HEAD_BYTES, MARKER_BYTES, Stamp, padded,
};
use super::segment::{SEGMENT_HEAD_BYTES, Segment, prepare};
use super::state::Place;
use super::types::{Chain, EntryId, Health, Record, WalError};
use crate::GroupId;

/// Bytes after which a batch takes no further operation: hashing and checksums of as many take the
/// lane about 5 ms, a tenth of the shortest heartbeat. A single append may be larger.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// How long a committed position waits for a batch to ride with before it gets one of its own.
const COMMITTED_IDLE: Duration = Duration::from_millis(200);
/// Pause between two tries to prepare a segment on a full disk. Goes on until there is room.
const SPACE_PAUSE: Duration = Duration::from_secs(1);

/// Called once with the outcome.
pub type Done = Box<dyn FnOnce(Result<(), WalError>) + Send>;

/// An answer that is owed. Dropped ungiven, as when the runtime ends, it says that the log is closed.
pub struct Answer(Option<Done>);

impl Answer {
    pub fn owed(done: Done) -> Self {
        Self(Some(done))
    }

    fn give(mut self, outcome: Result<(), WalError>) {
        if let Some(done) = self.0.take() {
            done(outcome);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(WalError::Closed));
        }
    }
}

/// What a group asks of the log.
pub enum Work {
    Append(Vec<Record>),
    Truncate(Option<EntryId>),
    Purge { upto: EntryId, chain: Option<Chain> },
    Vote(Bytes),
}

/// One piece of work that must become durable.
pub struct Operation {
    pub group: Arc<Group>,
    pub ticket: u64,
    pub work: Work,
    pub answer: Answer,
    /// Room in the queue, given back when the operation is settled.
    pub room: Option<OwnedSemaphorePermit>,
}

/// What the task receives.
pub enum Mail {
    Operation(Operation),
    /// Rides with the next batch.
    Committed(Arc<Group>, Bytes),
    /// Write what waits, then end.
    Close(oneshot::Sender<()>),
}

impl Work {
    /// At most this many bytes in a segment.
    fn bytes_max(&self) -> usize {
        match self {
            Self::Append(records) => records
                .iter()
                .map(|record| padded(ENTRY_BYTES + record.payload.len()))
                .sum(),
            Self::Truncate(_) | Self::Purge { .. } => padded(ENTRY_BYTES + 1),
            Self::Vote(vote) => padded(HEAD_BYTES + vote.len()),
        }
    }

    fn removes(&self) -> bool {
        matches!(self, Self::Truncate(_) | Self::Purge { .. })
    }
}

pub struct Writer {
    pub core: Arc<Core>,
    pub mail: Receiver<Mail>,
    pub preparer: Preparer,
    pub lane: Lane,
    /// The segment being written and where the next batch goes.
    pub active: Arc<Segment>,
    pub offset: u64,
    /// The number of the next batch.
    pub batch: u64,
    /// The segment after the active one, being prepared.
    pub next: Option<Task<io::Result<Arc<Segment>>>>,
    pub committed: BTreeMap<GroupId, (Arc<Group>, Bytes)>,
    pub collector: Option<Task<()>>,
    pub closing: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Runs until closed, failed, or every handle is dropped.
    pub async fn run(mut self) {
        while let Some(operations) = self.gather().await {
            if let Err(failure) = self.write(operations).await {
                self.fail(failure);
                break;
            }
        }
        self.mail.close();
        while let Some(mail) = self.mail.recv().await {
            self.refuse(mail);
        }
        self.end_tasks().await;
        if let Some(closing) = self.closing.take() {
            // Whoever asked may have gone.
            let _ = closing.send(());
        }
    }

    /// After it nothing touches the directory any more, so that it can be opened again.
    async fn end_tasks(&mut self) {
        if let Some(next) = self.next.take() {
            next.abort();
            // Aborted or done, both are fine: an unfinished segment goes at the next opening.
            drop(next.await);
        }
        if let Some(collector) = self.collector.take() {
            drop(collector.await);
        }
    }

    /// What the next batch holds; empty when only committed positions are to be written; `None` at
    /// the end.
    async fn gather(&mut self) -> Option<Vec<Operation>> {
        let mut operations = Vec::new();
        let mut bytes = 0;
        loop {
            let mail = match operations.is_empty() {
                true => match self.wait().await {
                    Waited::Mail(mail) => Some(mail),
                    Waited::Idle => return Some(operations),
                    Waited::End => return (!self.committed.is_empty()).then_some(operations),
                },
                false => self.mail.try_recv(),
            };
            match mail {
                None => return Some(operations),
                Some(Mail::Committed(group, committed)) => {
                    self.committed.insert(group.id, (group, committed));
                }
                Some(Mail::Close(closing)) => {
                    self.closing = Some(closing);
                    self.mail.close();
                }
                Some(Mail::Operation(operation)) => {
                    bytes += operation.work.bytes_max();
                    operations.push(operation);
                    if bytes >= BATCH_BYTES_MAX {
                        return Some(operations);
                    }
                }
            }
        }
    }

    async fn wait(&mut self) -> Waited {
        let received = match self.committed.is_empty() {
            true => self.mail.recv().await,
            false => match tokio::time::timeout(COMMITTED_IDLE, self.mail.recv()).await {
                Ok(received) => received,
                Err(_) => return Waited::Idle,
            },
        };
        received.map_or(Waited::End, Waited::Mail)
    }

    async fn write(&mut self, mut operations: Vec<Operation>) -> Result<(), Failure> {
        let removes = operations.iter().any(|operation| operation.work.removes());
        let bytes_max = self.bytes_max(&operations);
        if let Err(error) = self.make_room(bytes_max).await {
            return Err(Failure { error, operations });
        }
        let batch = self.encode(&operations, bytes_max);
        let stamp = self.stamp();
        let bytes = batch.len() as u64;
        let commit = Commit {
            offset: self.offset,
            bytes: batch.into(),
            trailer: stamp.marker(),
        };
        if planted(Mutant::AckBeforeSync) {
            self.settle(std::mem::take(&mut operations));
        }
        let begun = Instant::now();
        if !planted(Mutant::ReuseIdWithEmptyDisk)
            && let Err(error) = self.active.file.commit(commit).await
        {
            return Err(Failure { error, operations });
        }
        self.core.metrics.fsync.count(begun.elapsed());
        self.offset += bytes + MARKER_BYTES as u64;
        self.batch += 1;
        self.settle(operations);
        if removes {
            self.collect();
        }
        Ok(())
    }

    /// Answers what is durable.
    fn settle(&self, operations: Vec<Operation>) {
        let cache_bytes = self.core.options.cache_bytes;
        for operation in operations {
            // The lock ends with this statement: whoever is answered may take it at once.
            operation
                .group
                .state
                .lock()
                .cache
                .settle(operation.ticket, cache_bytes);
            drop(operation.room);
            operation.answer.give(Ok(()));
        }
    }

    fn bytes_max(&self, operations: &[Operation]) -> usize {
        let committed = self
            .committed
            .values()
            .map(|(_, bytes)| padded(HEAD_BYTES + bytes.len()));
        let works = operations
            .iter()
            .map(|operation| operation.work.bytes_max());
        BATCH_HEAD_BYTES + works.chain(committed).sum::<usize>()
    }

    /// Rolls if a batch does not fit. A batch larger than a segment makes its segment longer.
    async fn make_room(&mut self, bytes_max: usize) -> io::Result<()> {
        let end = self.offset + (bytes_max + MARKER_BYTES) as u64;
        let fits = end <= self.active.bytes || self.offset == SEGMENT_HEAD_BYTES as u64;
        if fits { Ok(()) } else { self.roll().await }
    }

    fn encode(&mut self, operations: &[Operation], bytes_max: usize) -> Vec<u8> {
        let mut batch = Vec::with_capacity(bytes_max);
        batch.resize(BATCH_HEAD_BYTES, 0);
        let stamp = self.stamp();
        if self.offset == SEGMENT_HEAD_BYTES as u64 {
            self.restate(stamp, &mut batch);
        }
        for (group, committed) in std::mem::take(&mut self.committed).into_values() {
            stamp.put(&mut batch, group.id, &Body::Committed(committed.clone()));
            group.state.lock().written.set_committed(committed);
        }
        for operation in operations {
            self.put(stamp, &mut batch, operation);
        }
        stamp.put_batch_head(&mut batch);
        batch
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            salt: self.active.salt,
            batch: self.batch,
        }
    }

    /// Begins a segment with what older segments say, so that they can go.
    fn restate(&self, stamp: Stamp, batch: &mut Vec<u8>) {
        for group in self.core.all_groups() {
            let state = group.state.lock();
            if state.written.is_known() {
                stamp.put(batch, group.id, &Body::State(state.written.restated()));
            }
        }
    }

    fn put(&self, stamp: Stamp, batch: &mut Vec<u8>, operation: &Operation) {
        let group = operation.group.id;
        match &operation.work {
            Work::Append(records) => self.put_entries(stamp, batch, &operation.group, records),
            Work::Truncate(keep) => {
                let mut state = operation.group.state.lock();
                let keep = keep.map(|id| Base {
                    id,
                    chain: state.written.chain(id.index).unwrap_or_default(),
                });
                state.written.truncate(keep);
                stamp.put(batch, group, &Body::Truncate { keep });
            }
            Work::Purge { upto, chain } => {
                let mut state = operation.group.state.lock();
                let chain = state
                    .written
                    .chain(upto.index)
                    .or(*chain)
                    .unwrap_or_default();
                let upto = Base { id: *upto, chain };
                state.written.purge(upto);
                stamp.put(batch, group, &Body::Purge { upto });
            }
            Work::Vote(vote) => {
                operation.group.state.lock().written.set_vote(vote.clone());
                stamp.put(batch, group, &Body::Vote(vote.clone()));
            }
        }
    }

    /// The places are known before the bytes are durable; readers find such entries in the cache.
    fn put_entries(&self, stamp: Stamp, batch: &mut Vec<u8>, group: &Group, records: &[Record]) {
        let mut chain = group.state.lock().written.tail_chain();
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            chain = chain.next(record.term, record.index, &record.payload);
            let offset = self.offset + batch.len() as u64;
            let bytes = ENTRY_BYTES + record.payload.len();
            stamp.put_entry(
                batch,
                group.id,
                &Base {
                    id: record.id(),
                    chain,
                },
                &record.payload,
            );
            let place = Place {
                segment: self.active.number,
                offset: offset as u32,
                bytes: bytes as u32,
                chain,
            };
            places.push((record.id(), place));
        }
        let mut state = group.state.lock();
        places
            .into_iter()
            .for_each(|(id, place)| state.written.append(id, place));
    }

    async fn roll(&mut self) -> io::Result<()> {
        let next = self
            .next
            .take()
            .unwrap_or_else(|| self.preparer.start(&self.lane, self.active.number + 1));
        let segment = next.await.map_err(io::Error::other)??;
        self.core
            .segments
            .lock()
            .insert(segment.number, segment.clone());
        self.offset = SEGMENT_HEAD_BYTES as u64;
        self.next = Some(self.preparer.start(&self.lane, segment.number + 1));
        self.active = segment;
        Ok(())
    }

    /// Lets segments go that no group needs, oldest first, beside the commit path: to the journal, if there
    /// is one.
    fn collect(&mut self) {
        if self
            .collector
            .as_ref()
            .is_some_and(|running| !running.is_finished())
        {
            return; // The next removal comes back to it.
        }
        let needed = self
            .core
            .oldest_needed()
            .unwrap_or(self.active.number)
            .min(self.active.number);
        let mut segments = self.core.segments.lock();
        let kept = segments.split_off(&needed);
        let gone = std::mem::replace(&mut *segments, kept);
        drop(segments);
        if gone.is_empty() {
            return;
        }
        let (disk, dir) = (self.preparer.disk.clone(), self.preparer.dir.clone());
        let core = self.core.clone();
        self.collector = Some(self.lane.spawn("wal-collect", async move {
            for segment in gone.into_values() {
                // Synced one by one: a gap between segments would look like loss.
                let left = match &core.journal {
                    Some(journal) => journal.take(&segment).await,
                    None => {
                        let removed = disk.remove(&segment.path).await;
                        removed.and(disk.sync_dir(&dir).await)
                    }
                };
                if let Err(error) = left {
                    tracing::warn!(%error, "a segment could not leave the log; the next start tries again");
                    return;
                }
            }
        }));
    }

    fn fail(&mut self, failure: Failure) {
        let Failure { error, operations } = failure;
        self.core.fail(&error.to_string());
        tracing::error!(%error, waiting = operations.len(), "the log has failed and acknowledges nothing any more");
        for operation in operations {
            operation.answer.give(Err(self.core.end()));
        }
    }

    fn refuse(&mut self, mail: Mail) {
        match mail {
            Mail::Operation(operation) => operation.answer.give(Err(self.core.end())),
            Mail::Committed(..) => {}
            Mail::Close(closing) => self.closing = Some(closing),
        }
    }
}

/// What failed, and what was waiting for it.
struct Failure {
    error: io::Error,
    operations: Vec<Operation>,
}

enum Waited {
    Mail(Mail),
    /// Nothing came, and committed positions wait.
    Idle,
    End,
}

/// Prepares segments.
#[derive(Clone)]
pub struct Preparer {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub random: Random,
    pub core: Arc<Core>,
}

impl Preparer {
    pub fn new(env: &Env, dir: PathBuf, core: Arc<Core>) -> Self {
        Self {
            disk: env.disk.clone(),
            dir,
            random: env.random.clone(),
            core,
        }
    }

    /// Prepares segment `number` on `lane`.
    pub fn start(&self, lane: &Lane, number: u32) -> Task<io::Result<Arc<Segment>>> {
        let preparer = self.clone();
        lane.spawn("wal-prepare", async move {
            preparer.when_there_is_room(number).await
        })
    }

    /// A full disk is waited out, once the journal has given way; any other error ends the log at the next
    /// roll.
    async fn when_there_is_room(&self, number: u32) -> io::Result<Arc<Segment>> {
        loop {
            match self.once(number, self.core.options.segment_bytes).await {
                Err(error) if is_full(&error) && self.journal_gave_way().await => {}
                Err(error) if is_full(&error) => {
                    self.core.change_health(Health::NoSpace {
                        reason: error.to_string().into(),
                    });
                    tokio::time::sleep(SPACE_PAUSE).await;
                }
                prepared => {
                    if prepared.is_ok() {
                        self.core.change_health(Health::Good);
                    }
                    return prepared.map(Arc::new);
                }
            }
        }
    }

    /// Whether the journal let something go for a segment. It gets smaller each time, so this ends.
    async fn journal_gave_way(&self) -> bool {
        match &self.core.journal {
            Some(journal) => {
                let pruned = journal.give_way(self.core.options.segment_bytes).await;
                pruned.segments > 0
            }
            None => false,
        }
    }

    /// Prepares segment `number` of `bytes`.
    pub async fn once(&self, number: u32, bytes: u64) -> io::Result<Segment> {
        let salt = self.random.next_u64() as u32;
        prepare(&*self.disk, &self.dir, number, salt, bytes).await
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
