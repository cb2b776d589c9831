//! A node's own replica proven while it runs: its snapshot and log applied once more, off the lanes.
//! Promise: one proof at a time on a node, in slices that leave the pool free between them; serving
//! is not touched but for one cheap copy of the state.
//! Not here: asking all nodes (`ask`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::cell::FrozenCell;
use domain::ids::{CellId, LogIndex};
use parking_lot::Mutex;
use pb::api::v1::{ReplicaProof, replica_proof};
use pb::raft::v1::SnapshotMeta;
use prost::Message;
use runtime::{AbortOnDrop, Env, Stop};
use store::{Chain, GroupId, GroupLog, Record, SnapshotStore, Wal};
use tokio::time::{Instant, sleep};
use wire::snapshot::StateHash;

use super::prover::Prover;
use super::survey::skip_word;
use super::{Breach, hex, rules};
use crate::cells::LocalCell;

/// Bytes of entries in one slice: some thousand messages, which the pool applies within 50 ms.
const SLICE_BYTES: usize = 1 << 20;
/// A replica that has not applied so far is waited for.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks at it.
const AGAIN: Duration = Duration::from_millis(50);

/// The proofs of one node, one at a time. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Proofs {
    job: Arc<Mutex<Option<Job>>>,
}

struct Job {
    id: String,
    told: Arc<Mutex<ReplicaProof>>,
    _running: AbortOnDrop<()>,
}

/// What a proof reads.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) env: Env,
    pub(crate) wal: Wal,
    pub(crate) snapshots: SnapshotStore,
    /// A node that stops gives up what runs.
    pub(crate) stop: Stop,
}

impl Proofs {
    /// Begins the proof `id` of a cell up to `index`, or says how far it is.
    pub(crate) fn ask(
        &self,
        id: &str,
        cell: &Arc<LocalCell>,
        index: u64,
        sources: &Sources,
    ) -> ReplicaProof {
        let mut job = self.job.lock();
        if let Some(known) = job.as_ref() {
            if known.id == id {
                return known.told.lock().clone();
            }
            if known.told.lock().state() == replica_proof::State::Running {
                return ReplicaProof {
                    state: replica_proof::State::Busy.into(),
                    ..ReplicaProof::default()
                };
            }
        }
        let told = Arc::new(Mutex::new(ReplicaProof {
            state: replica_proof::State::Running.into(),
            of: index,
            ..ReplicaProof::default()
        }));
        let proof = Proving {
            cell: cell.clone(),
            sources: sources.clone(),
            log: sources.wal.group(GroupId(cell.id.0)),
            index,
            told: told.clone(),
        };
        let running = sources.env.edge.spawn("proof", proof.run());
        let first = told.lock().clone();
        *job = Some(Job {
            id: id.to_owned(),
            told,
            _running: running.abort_on_drop(),
        });
        first
    }
}

/// Why a proof has no result.
enum Ended {
    /// Something does not hold.
    Broken(Breach),
    /// It could not be made.
    Failed(String),
}

impl From<Breach> for Ended {
    fn from(breach: Breach) -> Self {
        Self::Broken(breach)
    }
}

fn failed(error: &impl std::fmt::Display) -> Ended {
    Ended::Failed(error.to_string())
}

/// One proof under way.
struct Proving {
    cell: Arc<LocalCell>,
    sources: Sources,
    log: GroupLog,
    /// The index at which all replicas are compared.
    index: u64,
    told: Arc<Mutex<ReplicaProof>>,
}

/// A prover on its way through the log.
struct Course {
    prover: Box<Prover>,
    chain: Chain,
    next: u64,
}

impl Proving {
    async fn run(self) {
        let start = Instant::now();
        let stop = self.sources.stop.clone();
        let ended = tokio::select! {
            biased;
            () = stop.stopped() => Err(Ended::Failed("the node stops".to_owned())),
            ended = self.prove() => ended,
        };
        let mut told = self.told.lock();
        told.took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        match ended {
            Ok(()) => told.set_state(replica_proof::State::Done),
            Err(Ended::Broken(breach)) => {
                told.set_state(replica_proof::State::Broken);
                told.breach_index = breach.index;
                told.problem = breach.to_string();
            }
            Err(Ended::Failed(reason)) => {
                told.set_state(replica_proof::State::Failed);
                told.problem = reason;
            }
        }
    }

    async fn prove(&self) -> Result<(), Ended> {
        let frozen = self.freeze().await?;
        let live = frozen.meta().applied.0;
        let live_chain = frozen.meta().chain;
        let mut course = self.begin().await?;
        // All replicas say what they had at one index.
        self.advance(&mut course, self.index).await?;
        self.tell(&mut course, |told, course| {
            told.log_chain = hex(&course.chain.0);
        });
        let hash = self.hash_of(&mut course).await?;
        self.tell(&mut course, |told, course| {
            let state = course.prover.state().map(|cell| cell.state().meta().chain);
            told.machine_chain = state.map(|chain| chain.to_string()).unwrap_or_default();
            told.state_hash = hex(&hash);
        });
        // And what this replica serves is what its log makes.
        self.advance(&mut course, live).await?;
        let made = course.prover.state().map(|cell| cell.state().meta().chain);
        let (ours, theirs) = (self.hash_of(&mut course).await?, self.hash(frozen).await);
        if made != Some(live_chain) || ours != theirs {
            let seen = format!(
                "the log makes the state {}, and the replica serves {}",
                hex(&ours),
                hex(&theirs)
            );
            return Err(Breach::new(live, rules::SERVED, seen).into());
        }
        let ended = self.on_pool(course, |course| course.prover.finish()).await;
        ended.map(drop)
    }

    /// A copy of the state that the replica serves, not older than the common index.
    async fn freeze(&self) -> Result<FrozenCell, Ended> {
        let until = Instant::now() + CATCH_UP_WITHIN;
        loop {
            if let Some(halt) = self.cell.group.halted().borrow().as_deref() {
                return Err(Ended::Failed(format!(
                    "the replica is halted: {}",
                    halt.reason
                )));
            }
            let frozen = self.cell.view.with(|cell, _| cell.freeze());
            if frozen.meta().applied.0 >= self.index {
                return Ok(frozen);
            }
            if Instant::now() >= until {
                let applied = frozen.meta().applied;
                return Err(Ended::Failed(format!(
                    "the replica has applied {applied} and not {} within 10 s",
                    self.index
                )));
            }
            sleep(AGAIN).await;
        }
    }

    /// A prover with the state of the snapshot, or of nothing where the log is whole.
    async fn begin(&self) -> Result<Course, Ended> {
        let group = GroupId(self.cell.id.0);
        let id = CellId(self.cell.id.0);
        let purged = self.log.purged();
        let first = purged.map_or(0, |purged| purged.index + 1);
        let skips = Arc::new(self.skips(first).await?);
        let Some(_) = purged else {
            return Ok(Course {
                prover: Box::new(Prover::cell(id, None, skips)),
                chain: Chain::default(),
                next: 0,
            });
        };
        let current = self.sources.snapshots.current(group).await;
        let current = current.map_err(|error| failed(&error))?;
        let file = current.ok_or_else(|| Ended::Failed("its snapshot is gone".to_owned()))?;
        let header = SnapshotMeta::decode(file.meta().clone()).map_err(|error| failed(&error))?;
        let mut chunks = Vec::new();
        let mut reader = file.reader();
        while let Some(chunk) = reader.next_chunk().await.map_err(|error| failed(&error))? {
            chunks.push(chunk);
        }
        let compute = &self.sources.env.compute;
        let decoded = compute
            .run(move || wire::snapshot::decode_cell(&chunks))
            .await;
        let cell = decoded.map_err(|error| failed(&error))?;
        let index = header.last_log_id.map_or(0, |id| id.index);
        if index > self.index {
            return Err(Ended::Failed(
                "it has made a snapshot behind the index at which all are compared: ask again"
                    .to_owned(),
            ));
        }
        let chain = <[u8; 16]>::try_from(header.chain.as_ref()).ok().map(Chain);
        Ok(Course {
            prover: Box::new(Prover::cell(id, Some((cell, index, chain)), skips)),
            chain: chain.unwrap_or_default(),
            next: index + 1,
        })
    }

    /// The entries that words in the log say are passed over.
    async fn skips(&self, first: u64) -> Result<BTreeSet<u64>, Ended> {
        let end = self.cell.group.committed() + 1;
        let mut skips = BTreeSet::new();
        let mut next = first;
        while next < end {
            let records = self.read(next, end).await?;
            let Some(last) = records.last() else { break };
            next = last.index + 1;
            skips.extend(
                records
                    .iter()
                    .filter_map(|record| skip_word(&record.payload)),
            );
        }
        Ok(skips)
    }

    async fn read(&self, from: u64, to: u64) -> Result<Vec<Record>, Ended> {
        let read = self.log.read(from..to, SLICE_BYTES).await;
        read.map_err(|error| failed(&error))
    }

    /// Applies the log up to and with `index`, slice by slice.
    async fn advance(&self, course: &mut Course, index: u64) -> Result<(), Ended> {
        while course.next <= index {
            let records = self.read(course.next, index + 1).await?;
            let Some(first) = records.first() else {
                return Err(Ended::Failed(format!(
                    "the log was purged meanwhile and lacks entry {}: ask again",
                    course.next
                )));
            };
            if first.index > course.next && course.next > 0 {
                return Err(Ended::Failed(
                    "the log was purged meanwhile: ask again".to_owned(),
                ));
            }
            let written: Vec<Option<Chain>> = records
                .iter()
                .map(|record| self.log.chain(record.index))
                .collect();
            let taken = std::mem::replace(course, Course::idle());
            *course = self
                .on_pool(taken, move |course| take_all(course, &records, &written))
                .await?;
            self.tell(course, |told, course| {
                let tally = &course.prover.tally;
                told.applied = course.prover.applied().unwrap_or(0);
                told.entries = tally.entries;
                told.messages = tally.messages;
                told.checkpoints = tally.checkpoints;
                let cell = course.prover.state();
                told.conversations = cell.map_or(0, |cell| cell.state().meta().conversations);
            });
        }
        Ok(())
    }

    fn tell(&self, course: &mut Course, say: impl FnOnce(&mut ReplicaProof, &mut Course)) {
        say(&mut self.told.lock(), course);
    }

    async fn on_pool(
        &self,
        mut course: Course,
        work: impl FnOnce(&mut Course) -> Result<(), Breach> + Send + 'static,
    ) -> Result<Course, Ended> {
        let working = self.sources.env.compute.run(move || {
            let outcome = work(&mut course);
            (course, outcome)
        });
        let (course, outcome) = working.await;
        outcome?;
        Ok(course)
    }

    async fn hash_of(&self, course: &mut Course) -> Result<[u8; 32], Ended> {
        let frozen = course.prover.state().map(domain::cell::Cell::freeze);
        let frozen = frozen.ok_or_else(|| Ended::Failed("there is no cell".to_owned()))?;
        Ok(self.hash(frozen).await)
    }

    /// Hashes a state chunk by chunk, so that other work gets between.
    async fn hash(&self, frozen: FrozenCell) -> [u8; 32] {
        let mut hash = StateHash::new(frozen);
        loop {
            let hashing = self.sources.env.compute.run(move || {
                let done = hash.step();
                (hash, done)
            });
            let (rest, done) = hashing.await;
            if let Some(done) = done {
                return done;
            }
            hash = rest;
        }
    }
}

impl Course {
    /// Stands in while the real one is on the pool.
    fn idle() -> Self {
        Self {
            prover: Box::new(Prover::cell(CellId(0), None, Arc::default())),
            chain: Chain::default(),
            next: 0,
        }
    }
}

fn take_all(
    course: &mut Course,
    records: &[Record],
    written: &[Option<Chain>],
) -> Result<(), Breach> {
    for (record, written) in records.iter().zip(written) {
        let chain = course
            .chain
            .next(record.term, record.index, &record.payload);
        if written.is_some_and(|written| written != chain) {
            let seen =
                format!("its content makes the chain {chain}, and its record says otherwise");
            return Err(Breach::new(record.index, rules::LOG_CHAIN, seen));
        }
        course.prover.take(record, chain)?;
        course.chain = chain;
        course.next = record.index + 1;
    }
    Ok(())
}

/// The index at which every replica can say what it had: the furthest that any has applied.
pub(crate) fn common(applied: impl IntoIterator<Item = u64>) -> LogIndex {
    LogIndex(applied.into_iter().max().unwrap_or(0))
}
