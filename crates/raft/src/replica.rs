//! The machine of one group behind openraft's state machine trait.
//! Promise: each committed command reaches the machine once and in order; its proposer gets the
//! reply; the batch ends with a flush and then the applied index moves. A machine that panics is
//! never asked again: the replica is halted and says so, its log and vote go on.
//! Not here: what entries mean (the machine), when a snapshot is due (`upkeep`).
//!
//! openraft stops its core, and with it the vote, when `apply` fails. A halted replica therefore
//! takes entries without applying them and reports no error; openraft counts them as applied, so
//! nothing outside may believe openraft's applied index: `Shared::applied` stands still, replies
//! are dropped, snapshots are refused. A restart rebuilds the state from snapshot and log; so does an
//! operator's committed word that the entry is passed over (`skip`).

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use mutants::{Mutant, planted};
use openraft::OptionalSend;
use openraft::storage::{
    ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot,
};
use parking_lot::Mutex;
use pb::raft::v1 as pb;
use ports::{Cure, Frozen, Halt, LogChain, Machine, MustStop, Position};
use prost::Message;
use runtime::Compute;
use store::{Chain, GroupId, GroupLog, SnapshotStore, SnapshotWriter};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::types::{Entry, LeaderId, LogId, SnapshotMeta, StoredMembership, Types};
use crate::wire;

/// Entries between two flushes of a long batch, so that what they published is seen in time.
const FLUSH_ENTRIES_MAX: usize = 1_024;

/// The chain of a group's log, as its machine reads it.
struct Chained(GroupLog);

impl LogChain for Chained {
    fn chain(&self, index: u64) -> Option<[u8; 16]> {
        self.0.chain(index).map(|chain| chain.0)
    }
}

/// What a replica tells the rest of its group's machinery.
pub(crate) struct Shared {
    /// The highest index applied by the machine.
    pub(crate) applied: watch::Sender<u64>,
    /// The leader of the last applied entry: proof that this leader committed in its term.
    pub(crate) applied_leader: watch::Sender<Option<LeaderId>>,
    /// Why the replica is halted, if it is.
    pub(crate) halted: watch::Sender<Option<Arc<Halt>>>,
    /// Bytes of entries applied since the last snapshot.
    pub(crate) unsnapped_bytes: AtomicU64,
    /// Bytes of the last snapshot.
    pub(crate) snapshot_bytes: AtomicU64,
    /// The end of the last installed snapshot and the chain there, for the purge that follows.
    pub(crate) installed: Mutex<Option<(u64, Chain)>>,
    /// A snapshot that was written and that openraft has not heard of.
    pub(crate) written: Mutex<Option<Written>>,
    /// When a leader was last heard and followed.
    pub(crate) heard: Mutex<Option<Instant>>,
    /// Entries that are passed over, each with the index of the word that says so.
    pub(crate) passed: Mutex<BTreeMap<u64, u64>>,
    /// What the replica counts of itself.
    pub(crate) metrics: Metrics,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            applied: watch::Sender::new(0),
            applied_leader: watch::Sender::new(None),
            halted: watch::Sender::new(None),
            unsnapped_bytes: AtomicU64::new(0),
            snapshot_bytes: AtomicU64::new(0),
            installed: Mutex::new(None),
            written: Mutex::new(None),
            heard: Mutex::new(None),
            passed: Mutex::new(BTreeMap::new()),
            metrics: Metrics::default(),
        })
    }

    /// Why the replica is halted, if it is.
    pub(crate) fn halted(&self) -> Option<Arc<Halt>> {
        self.halted.borrow().clone()
    }
}

/// Who waits for an entry, whether it held a command, and what the machine said to it.
type Answer<R> = (Option<ApplyResponder<Types<R>>>, bool, Option<R>);

/// Where a group's snapshots are.
#[derive(Clone)]
pub(crate) struct SnapshotPlace {
    pub(crate) group: GroupId,
    /// What people call the group.
    pub(crate) name: Arc<str>,
    /// Where the replica logs: openraft runs it beside the lane.
    pub(crate) at: tracing::Span,
    pub(crate) store: SnapshotStore,
    pub(crate) log: GroupLog,
    pub(crate) compute: Compute,
}

/// A state that stands still while it is encoded, and what it holds.
pub(crate) struct FrozenState {
    pub(crate) state: Box<dyn Frozen>,
    pub(crate) meta: SnapshotMeta,
    /// The chain of the log where the state stands; unknown while the log here has not written
    /// what the others committed.
    pub(crate) chain: Option<Chain>,
}

/// A snapshot in the store, and what it holds.
pub(crate) struct Written {
    pub(crate) file: store::Snapshot,
    pub(crate) meta: SnapshotMeta,
}

impl SnapshotPlace {
    /// `file`, or its copy if it is not this store's current snapshot.
    async fn keep(&self, file: store::Snapshot) -> io::Result<store::Snapshot> {
        let current = self
            .store
            .current(self.group)
            .await
            .map_err(io::Error::other)?;
        if current.is_some_and(|current| current.digest() == file.digest()) {
            return Ok(file);
        }
        let begun = self.store.begin(self.group, file.meta().clone()).await;
        let mut writer = begun.map_err(io::Error::other)?;
        let mut reader = file.reader();
        while let Some(chunk) = reader.next_chunk().await.map_err(io::Error::other)? {
            writer.write(chunk).await.map_err(io::Error::other)?;
        }
        writer.finish().await.map_err(io::Error::other)
    }

    /// Encodes `frozen` off the lane and makes it the group's current snapshot.
    pub(crate) async fn write(&self, frozen: FrozenState) -> io::Result<Written> {
        let mut header = wire::meta_to(&frozen.meta);
        let chain = frozen.chain.map(|chain| Bytes::copy_from_slice(&chain.0));
        header.chain = chain.unwrap_or_default();
        let begun = self
            .store
            .begin(self.group, header.encode_to_vec().into())
            .await;
        let mut writer = begun.map_err(io::Error::other)?;
        let mut state = frozen.state;
        loop {
            let encoding = self.compute.run(move || {
                let chunk = state.next_chunk();
                (state, chunk)
            });
            let (rest, chunk) = encoding.await;
            let Some(chunk) = chunk else { break };
            writer.write(chunk.into()).await.map_err(io::Error::other)?;
            state = rest;
        }
        let file = writer.finish().await.map_err(io::Error::other)?;
        Ok(Written {
            file,
            meta: frozen.meta,
        })
    }
}

/// A snapshot's content on its way through openraft.
pub(crate) enum SnapshotBody {
    /// The current snapshot of this node.
    Stored(store::Snapshot),
    /// Received from a leader and not yet the current one.
    Arriving(Box<SnapshotWriter>),
}

/// One replica of one group.
pub(crate) struct Replica<M: Machine> {
    /// Taken out only while it restores; the lock is there because openraft wants `Sync`, it is
    /// never contended.
    machine: Mutex<Option<M>>,
    pub(crate) applied: Option<LogId>,
    membership: StoredMembership,
    pub(crate) place: SnapshotPlace,
    pub(crate) shared: Arc<Shared>,
}

impl<M: Machine> Replica<M> {
    /// A replica with the machine's initial state. openraft installs the current snapshot and
    /// applies the committed log before it starts.
    pub(crate) fn new(mut machine: M, place: SnapshotPlace, shared: Arc<Shared>) -> Self {
        machine.follow(Arc::new(Chained(place.log.clone())));
        Self {
            machine: Mutex::new(Some(machine)),
            applied: None,
            membership: StoredMembership::default(),
            place,
            shared,
        }
    }

    async fn apply_one(&mut self, entry: &Entry) -> Option<M::Reply> {
        if let Some(skip) = entry.payload.skip() {
            self.pass_over(&skip, entry.log_id.index).await;
        }
        self.applied = Some(entry.log_id);
        if let Some(membership) = openraft::entry::RaftEntry::get_membership(entry) {
            self.membership = StoredMembership::new(Some(entry.log_id), membership);
        }
        self.shared.unsnapped_bytes.fetch_add(
            entry.payload.encoded().len() as u64 + store_overhead(),
            Ordering::Relaxed,
        );
        let command = entry.payload.command()?;
        let again = planted(Mutant::ApplyTwice) && self.shared.installed.lock().take().is_some();
        let at = Position {
            index: entry.log_id.index,
            term: entry.log_id.leader_id.term,
        };
        if self.is_passed_over(at.index) {
            self.guarded("passed_over", at.index, |machine| {
                machine.passed_over(at, command)
            });
            return None;
        }
        if again {
            self.guarded("apply", at.index, |machine| machine.apply(at, command));
        }
        self.guarded("apply", at.index, |machine| machine.apply(at, command))
    }

    /// Freezes the state for a snapshot; `None` while the replica is halted.
    pub(crate) fn freeze(&mut self) -> Option<FrozenState> {
        let claimed = match planted(Mutant::SnapshotMissesLastEntry) {
            true => self.place.log.last().map(crate::log::id_of),
            false => self.applied,
        };
        let index = claimed.map(|id| id.index);
        let chain = index.and_then(|index| self.place.log.chain(index));
        let state = self.guarded("freeze", index.unwrap_or(0), Machine::freeze)?;
        let last_membership = self.membership.clone();
        let meta = SnapshotMeta {
            last_log_id: claimed,
            last_membership,
        };
        self.shared.unsnapped_bytes.store(0, Ordering::Relaxed);
        Some(FrozenState { state, meta, chain })
    }

    /// Calls the machine; a panic halts the replica.
    pub(crate) fn guarded<T>(
        &mut self,
        what: &'static str,
        index: u64,
        call: impl FnOnce(&mut M) -> T,
    ) -> Option<T> {
        if self.shared.halted.borrow().is_some() {
            return None;
        }
        self.call(what, index, call)
    }

    /// Calls the machine though the replica may be halted; a panic halts it, or halts it anew.
    pub(crate) fn call<T>(
        &mut self,
        what: &'static str,
        index: u64,
        call: impl FnOnce(&mut M) -> T,
    ) -> Option<T> {
        let machine = self.machine.get_mut().as_mut()?;
        // The line that names a panic is of this node, though openraft runs the replica beside the lane.
        let caught = self
            .place
            .at
            .in_scope(|| catch_unwind(AssertUnwindSafe(|| call(machine))));
        match caught {
            Ok(value) => Some(value),
            Err(panic) => {
                self.halt(what, index, panic);
                None
            }
        }
    }

    fn halt(&self, what: &'static str, index: u64, panic: Box<dyn Any + Send>) {
        let (reason, cure) = match panic.downcast::<MustStop>() {
            Ok(stop) => (stop.reason, stop.cure),
            // What it said may be what somebody wrote, and a halt is shown and logged.
            Err(_said) => {
                let reason =
                    format!("the machine panicked in {what} at {index}; the log names the line");
                (reason, Cure::Skip)
            }
        };
        let group = &*self.place.name;
        tracing::error!(parent: &self.place.at, group, reason, "the replica is halted");
        let reason = reason.into();
        let halt = Halt {
            index,
            reason,
            cure,
        };
        self.shared.halted.send_replace(Some(Arc::new(halt)));
    }

    /// Ends a batch: the machine publishes, the applied index moves, then proposers are answered.
    fn end_batch(&mut self, answers: &mut Vec<Answer<M::Reply>>) {
        self.publish();
        for (responder, is_command, reply) in answers.drain(..) {
            Self::answer(responder, is_command, reply);
        }
    }

    fn publish(&mut self) {
        let Some(applied) = self.applied else { return };
        self.guarded("flush", applied.index, Machine::flush);
        if self.shared.halted.borrow().is_some() {
            return;
        }
        self.shared.applied.send_replace(applied.index);
        self.shared.applied_leader.send_if_modified(|leader| {
            let changed = *leader != Some(applied.leader_id);
            *leader = Some(applied.leader_id);
            changed
        });
    }

    fn answer(
        responder: Option<ApplyResponder<Types<M::Reply>>>,
        is_command: bool,
        reply: Option<M::Reply>,
    ) {
        // A command without a reply was not applied: dropping the responder tells its proposer
        // that the outcome is unknown.
        if let Some(responder) = responder
            && (reply.is_some() || !is_command)
        {
            responder.send(reply);
        }
    }

    /// Replaces the machine's state by that of `file`.
    pub(crate) async fn restore(&mut self, file: &store::Snapshot) -> io::Result<()> {
        let chunks = read_chunks(file).await?;
        let Some(mut machine) = self.machine.get_mut().take() else {
            return Err(io::Error::other("a restore was cut short before"));
        };
        let restoring = self.place.compute.run(move || {
            let result = catch_unwind(AssertUnwindSafe(|| machine.restore(chunks)));
            (machine, result)
        });
        let (machine, result) = restoring.await;
        *self.machine.get_mut() = Some(machine);
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(_said) => Err(io::Error::other("restore panicked; the log names the line")),
        }
    }
}

/// Bytes that the log spends on an entry beside its body, about.
const fn store_overhead() -> u64 {
    64
}

/// All chunks of a stored snapshot.
async fn read_chunks(file: &store::Snapshot) -> io::Result<Vec<Bytes>> {
    let mut reader = file.reader();
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk().await.map_err(io::Error::other)? {
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// The stored header of a snapshot.
pub(crate) fn header_of(file: &store::Snapshot) -> io::Result<pb::SnapshotMeta> {
    pb::SnapshotMeta::decode(file.meta().clone()).map_err(io::Error::other)
}

fn meta_of(file: &store::Snapshot) -> io::Result<SnapshotMeta> {
    wire::meta_from(header_of(file)?).map_err(io::Error::other)
}

/// The chain of the log at the end of a snapshot, and the index where that is.
fn chain_of(file: &store::Snapshot) -> io::Result<Option<(u64, Chain)>> {
    let header = header_of(file)?;
    let chain = <[u8; 16]>::try_from(header.chain.as_ref()).ok().map(Chain);
    Ok(header.last_log_id.map(|id| id.index).zip(chain))
}

type Stored<M> = Snapshot<
    LeaderId,
    u64,
    crate::types::Member,
    <Replica<M> as RaftStateMachine<Types<<M as Machine>::Reply>>>::SnapshotData,
>;

impl<M: Machine> RaftStateMachine<Types<M::Reply>> for Replica<M> {
    type SnapshotData = SnapshotBody;
    type SnapshotBuilder = Builder<M>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types<M::Reply>>>> + Unpin + OptionalSend,
    {
        // Answered after the flush: who is told of an entry and waits for its answer as well is woken
        // once, and finds both.
        let mut answers = Vec::new();
        while let Some((entry, responder)) = entries.try_next().await? {
            let reply = self.apply_one(&entry).await;
            answers.push((responder, entry.payload.command().is_some(), reply));
            if answers.len() == FLUSH_ENTRIES_MAX {
                self.end_batch(&mut answers);
            }
        }
        self.end_batch(&mut answers);
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder<M>> {
        let written = self.shared.written.lock().take();
        let work = match written {
            Some(written) => Work::Written(written),
            // openraft itself never forces; without a written snapshot it has asked too early.
            None if force => Work::Frozen(self.freeze()?, self.place.clone()),
            None => return None,
        };
        Some(Builder {
            work: Mutex::new(Some(work)),
            machine: std::marker::PhantomData,
        })
    }

    async fn get_snapshot_builder(&mut self) -> Builder<M> {
        unreachable!("openraft builds through try_create_snapshot_builder")
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotBody,
    ) -> io::Result<()> {
        let file = match snapshot {
            SnapshotBody::Stored(file) => self.place.keep(file).await?,
            SnapshotBody::Arriving(writer) => writer.finish().await.map_err(io::Error::other)?,
        };
        if !planted(Mutant::SnapshotWithoutState) {
            self.restore(&file).await?;
        }
        *self.shared.installed.lock() = chain_of(&file)?;
        self.shared
            .snapshot_bytes
            .store(file.content_bytes(), Ordering::Relaxed);
        self.shared.unsnapped_bytes.store(0, Ordering::Relaxed);
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        // A fresh state from elsewhere ends a halt: nothing of the broken one is left.
        self.shared.halted.send_replace(None);
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Stored<M>>> {
        let current = self.place.store.current(self.place.group).await;
        let Some(file) = current.map_err(io::Error::other)? else {
            return Ok(None);
        };
        let meta = meta_of(&file)?;
        Ok(Some(Snapshot {
            meta,
            snapshot: SnapshotBody::Stored(file),
        }))
    }
}

/// Hands a snapshot to openraft, as a rule one that is already written.
pub(crate) struct Builder<M> {
    work: Mutex<Option<Work>>,
    machine: std::marker::PhantomData<fn() -> M>,
}

/// What is left to do for a snapshot.
enum Work {
    Written(Written),
    Frozen(FrozenState, SnapshotPlace),
}

impl<M: Machine> RaftSnapshotBuilder<Types<M::Reply>> for Builder<M> {
    type SnapshotData = SnapshotBody;

    async fn build_snapshot(&mut self) -> io::Result<Stored<M>> {
        let work = self.work.get_mut().take();
        let written = match work {
            Some(Work::Written(written)) => written,
            Some(Work::Frozen(frozen, place)) => place.write(frozen).await?,
            None => return Err(io::Error::other("a builder builds once")),
        };
        Ok(Snapshot {
            meta: written.meta,
            snapshot: SnapshotBody::Stored(written.file),
        })
    }
}
