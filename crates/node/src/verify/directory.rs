//! A data directory read as it stands: a copy, or that of a node which does not run.
//! Promise: not a byte is changed; a directory in use is refused; memory is that of one segment and
//! of the states, however long the log is.
//! Not here: the node that runs (`live`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::cell::Cell;
use domain::control::Control;
use domain::ids::CellId;
use pb::raft::v1::SnapshotMeta;
use prost::Message;
use runtime::{Disk, DiskLock};
use store::{Chain, Found, GroupId, LogScan, OpenError, SnapshotError, SnapshotStore};
use tokio::time::Instant;
use wire::snapshot::StateHash;

use super::journal::{self, JournalProof};
use super::prover::Prover;
use super::survey::{Standing, Survey};
use super::{Breach, GroupProof, hex, rules};
use crate::control::CONTROL_GROUP;

/// Where a node's parts lie in its directory.
const LOG: &str = "log";
const SNAPSHOTS: &str = "snapshots";
const LOCK: &str = "lock";

/// Why a directory could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A process has it.
    #[error(
        "the data directory {} is in use: what is being written is not to be read. Ask the node itself \
         (`antiphon verify --addr HOST:PORT`), stop it first, or verify a copy",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// There is no log in it.
    #[error("{} is no data directory of a node: its folder `log` is not there or empty", path.display())]
    NotThere {
        /// The directory.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The log is damaged.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// A snapshot is damaged.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// A snapshot as it stands.
struct Kept {
    index: u64,
    chain: Option<Chain>,
    hash: [u8; 32],
    state: State,
}

enum State {
    Cell(Box<Cell>),
    Control(Box<Control>),
    Unreadable(String),
}

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryProof {
    /// The proof of every group, from its snapshot and its log.
    pub groups: Vec<GroupProof>,
    /// The audit journal, on which nothing of the groups rests.
    pub journal: JournalProof,
}

/// Proves every group of a directory, and reads its audit journal.
///
/// # Errors
/// When log or snapshots cannot be read at all; what does not hold is in the proofs.
pub async fn verify_directory(
    disk: Arc<dyn Disk>,
    dir: &Path,
) -> Result<DirectoryProof, VerifyError> {
    let _lock = lock(&*disk, dir).await?;
    let snapshots = SnapshotStore::as_they_stand(disk.clone(), &dir.join(SNAPSHOTS));
    let log = dir.join(LOG);
    let (mut surveys, kept) = survey(&disk, &log, &snapshots).await?;
    let mut replays = BTreeMap::new();
    for (group, survey) in &mut surveys {
        let kept = kept.get(group);
        replays.insert(*group, Replay::new(*group, survey, kept));
    }
    let mut scan = LogScan::open(disk.clone(), &log).await?;
    while scan
        .next_segment(&mut |group, found, _| {
            if let Some(replay) = replays.get_mut(&group) {
                replay.take(found);
            }
        })
        .await?
    {}
    let finished = replays.into_iter().map(|(group, replay)| {
        let survey = surveys.remove(&group).unwrap_or_default();
        replay.finish(group, survey)
    });
    Ok(DirectoryProof {
        groups: finished.collect(),
        journal: journal::prove(disk, &log).await,
    })
}

/// Keeps a node from starting on the directory meanwhile; a copy has no lock file.
async fn lock(disk: &dyn Disk, dir: &Path) -> Result<Option<DiskLock>, VerifyError> {
    let path = dir.to_owned();
    let names = disk.list(dir).await;
    let names = names.map_err(|_| VerifyError::NotThere { path: path.clone() })?;
    let segments = disk.list(&dir.join(LOG)).await.unwrap_or_default();
    if segments.is_empty() {
        return Err(VerifyError::NotThere { path });
    }
    if !names.iter().any(|name| name == LOCK) {
        return Ok(None);
    }
    match disk.lock(&dir.join(LOCK)).await {
        Ok(held) => Ok(Some(held)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(VerifyError::InUse { path }),
        Err(error) => Err(error.into()),
    }
}

type Surveyed = (BTreeMap<GroupId, Survey>, BTreeMap<GroupId, Kept>);

/// The first reading, and the snapshots of the groups that it finds.
async fn survey(
    disk: &Arc<dyn Disk>,
    log: &Path,
    snapshots: &SnapshotStore,
) -> Result<Surveyed, VerifyError> {
    let mut kept = BTreeMap::new();
    for group in snapshots.groups().await? {
        if let Some(found) = read_snapshot(snapshots, group).await? {
            kept.insert(group, found);
        }
    }
    let mut surveys: BTreeMap<GroupId, Survey> = BTreeMap::new();
    let mut scan = LogScan::open(disk.clone(), log).await?;
    while scan
        .next_segment(&mut |group, found, place| {
            let survey = surveys.entry(group).or_default();
            let snapshot = kept.get(&group).map(|kept| kept.index);
            survey.take(found, snapshot, place);
        })
        .await?
    {}
    Ok((surveys, kept))
}

async fn read_snapshot(
    snapshots: &SnapshotStore,
    group: GroupId,
) -> Result<Option<Kept>, VerifyError> {
    let Some(file) = snapshots.current(group).await? else {
        return Ok(None);
    };
    let header = SnapshotMeta::decode(file.meta().clone()).map_err(io::Error::other)?;
    let mut chunks = Vec::new();
    let mut reader = file.reader();
    while let Some(chunk) = reader.next_chunk().await? {
        chunks.push(chunk);
    }
    let state = if group.0 == CONTROL_GROUP {
        match wire::snapshot::decode_control(&chunks) {
            Ok(control) => State::Control(Box::new(control)),
            Err(error) => State::Unreadable(error.to_string()),
        }
    } else {
        match wire::snapshot::decode_cell(&chunks) {
            Ok(cell) => State::Cell(Box::new(cell)),
            Err(error) => State::Unreadable(error.to_string()),
        }
    };
    let chain = <[u8; 16]>::try_from(header.chain.as_ref()).ok().map(Chain);
    Ok(Some(Kept {
        index: header.last_log_id.map_or(0, |id| id.index),
        chain,
        hash: StateHash::of_chunks(&chunks),
        state,
    }))
}

/// One group being applied again.
struct Replay {
    prover: Prover,
    standing: Standing,
    from_snapshot: Option<u64>,
    /// Where the state is compared with a snapshot that the log reaches back behind.
    compare_at: Option<(u64, [u8; 32])>,
    first: Option<u64>,
    breach: Option<Breach>,
    took_ms: u64,
}

impl Replay {
    fn new(group: GroupId, survey: &mut Survey, kept: Option<&Kept>) -> Self {
        let standing = survey.finish();
        let skips = Arc::new(standing.skips.clone());
        let is_control = group.0 == CONTROL_GROUP;
        // With the whole log everything is applied again, and the snapshot is compared on the way.
        let from = kept.filter(|_| survey.is_cut_short);
        let breach = kept.and_then(|kept| check_snapshot(kept, survey));
        let prover = match (
            is_control,
            from.map(|kept| (&kept.state, kept.index, kept.chain)),
        ) {
            (true, Some((State::Control(control), index, _))) => {
                Prover::control(Some(((**control).clone(), index)), skips)
            }
            (true, _) => Prover::control(None, skips),
            (false, Some((State::Cell(cell), index, chain))) => Prover::cell(
                CellId(group.0),
                Some(((**cell).clone(), index, chain)),
                skips,
            ),
            (false, _) => Prover::cell(CellId(group.0), None, skips),
        };
        let compared = kept.filter(|_| !survey.is_cut_short && !is_control);
        Self {
            prover,
            standing,
            from_snapshot: from.map(|kept| kept.index),
            compare_at: compared.map(|kept| (kept.index, kept.hash)),
            first: None,
            breach,
            took_ms: 0,
        }
    }

    fn take(&mut self, found: Found) {
        let Found::Entry { record, chain } = found else {
            self.standing.stands(None);
            return;
        };
        let stands = self.standing.stands(Some(record.index));
        if !stands || self.breach.is_some() {
            return;
        }
        if self.prover.applied() < Some(record.index) {
            self.first.get_or_insert(record.index);
        }
        let start = Instant::now();
        if let Err(breach) = self.prover.take(&record, chain) {
            self.breach = Some(breach);
        }
        self.compare(record.index);
        self.took_ms += u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    }

    /// The state that the log makes against the one that a snapshot holds.
    fn compare(&mut self, index: u64) {
        let Some((_, theirs)) = self.compare_at.filter(|(at, _)| *at == index) else {
            return;
        };
        let Some(cell) = self.prover.state() else {
            return;
        };
        let ours = hash_of(cell);
        if ours != theirs && self.breach.is_none() {
            let seen = format!(
                "the state that the log makes is {}, and the snapshot holds {}",
                hex(&ours),
                hex(&theirs)
            );
            self.breach = Some(Breach::new(index, rules::SNAPSHOT, seen));
        }
    }

    fn finish(mut self, group: GroupId, survey: Survey) -> GroupProof {
        let breach = earliest(survey.breach, self.breach.take());
        let breach = breach.or_else(|| self.prover.finish().err());
        let (committed, last) = (self.standing.committed, self.standing.last);
        let tally = &self.prover.tally;
        let cell = self.prover.state();
        GroupProof {
            group: group.0,
            first: self.first.unwrap_or(0),
            last: self.prover.applied().unwrap_or(0),
            entries: tally.entries,
            uncommitted: last.unwrap_or(0).saturating_sub(committed.unwrap_or(0)),
            from_snapshot: self.from_snapshot,
            skipped: self.standing.skips.iter().copied().collect(),
            checkpoints: tally.checkpoints,
            conversations: cell.map_or(0, |cell| cell.state().meta().conversations),
            messages: tally.messages,
            first_wall_ms: tally.first_wall_ms,
            last_wall_ms: tally.last_wall_ms,
            log_chain: survey.at_committed.map(|c| hex(&c.0)).unwrap_or_default(),
            machine_chain: cell.map_or(String::new(), |cell| cell.state().meta().chain.to_string()),
            state_hash: cell.map_or(String::new(), |cell| hex(&hash_of(cell))),
            took_ms: self.took_ms / 1_000,
            breach,
        }
    }
}

/// Whether a snapshot can be read and stands where the log's chain says.
fn check_snapshot(kept: &Kept, survey: &Survey) -> Option<Breach> {
    if let State::Unreadable(reason) = &kept.state {
        let seen = format!("the snapshot cannot be read: {reason}");
        return Some(Breach::new(kept.index, rules::READABLE, seen));
    }
    let (ours, theirs) = survey.at_snapshot.zip(kept.chain)?;
    (ours != theirs).then(|| {
        let seen = format!("the log's chain there is {ours}, and the snapshot says {theirs}");
        Breach::new(kept.index, rules::SNAPSHOT, seen)
    })
}

fn earliest(one: Option<Breach>, other: Option<Breach>) -> Option<Breach> {
    match (one, other) {
        (Some(one), Some(other)) if other.index < one.index => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

fn hash_of(cell: &Cell) -> [u8; 32] {
    let mut hash = StateHash::new(cell.freeze());
    loop {
        if let Some(done) = hash.step() {
            return done;
        }
    }
}
