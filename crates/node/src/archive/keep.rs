//! The keeper of a cell's archive on one node: writes, collects while it leads, mends.
//! Promise: level-triggered: whatever is sealed in the state and not here is written, whatever has left
//! and is not here is fetched; every step is bounded.
//! Not here: each step (`collect`, `repair`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use domain::cell::conversation::Conversation;
use domain::ids::LogIndex;
use ports::Group;
use store::archive::{APPEND_BYTES_MAX, APPEND_RECORDS_MAX, ArchiveError, Record, Sealing};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::CellArchive;
use super::record::record;
use super::repair::Repair;

/// How soon after an entry the state is looked at for what was sealed: a batch of many.
const WRITE_AFTER: Duration = Duration::from_millis(100);
/// How often a leader asks what others hold, and everybody looks at what has left.
const ROUND: Duration = Duration::from_millis(500);
/// Pause after a write that failed.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// How often old days are dropped.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How often what lies on disk is read back, and how much of it: 360 MiB an hour.
const SCRUB_EVERY: Duration = Duration::from_secs(10);
const SCRUB_BYTES: u64 = 1 << 20;

/// The task of one cell's archive.
pub(crate) struct Keeper {
    archive: CellArchive,
    group: raft::GroupHandle<conversation::CellReplica>,
    repair: Repair,
    write_at: Option<Instant>,
    prune_at: Instant,
    scrub_at: Instant,
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
enum WriteFault {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("conversation {0} was sealed and has no place in an archive")]
    Unsealed(u64),
}

impl Keeper {
    pub(crate) fn new(
        archive: CellArchive,
        group: raft::GroupHandle<conversation::CellReplica>,
    ) -> Self {
        let now = Instant::now();
        Self {
            repair: Repair::new(archive.clone()),
            archive,
            group,
            write_at: Some(now),
            prune_at: now + ROUND,
            scrub_at: now,
        }
    }

    /// Keeps the archive until the node stops.
    pub(crate) async fn run(mut self) {
        let shared = self.archive.shared.clone();
        let mut applied = shared.view.applied();
        let stop = shared.of.stop.clone();
        let mut round_at = Instant::now() + ROUND;
        loop {
            let wake_at = self.write_at.map_or(round_at, |at| at.min(round_at));
            let waits = self.write_at.is_none();
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = moved(&mut applied), if waits => {
                    self.write_at = Some(Instant::now() + WRITE_AFTER);
                    continue;
                }
                () = sleep_until(wake_at) => {}
            }
            if self.write_at.is_some_and(|at| at <= Instant::now()) {
                self.write().await;
            }
            if Instant::now() >= round_at {
                self.round().await;
                round_at = Instant::now() + ROUND;
            }
        }
    }

    async fn round(&mut self) {
        self.collect().await;
        self.repair.step().await;
        let now = Instant::now();
        let of = &self.archive.shared.of;
        if now >= self.prune_at {
            self.prune_at = now + PRUNE_EVERY;
            match of.store.prune(of.env.clock.now_ms()).await {
                Ok(pruned) if pruned.files > 0 => tracing::info!(
                    files = pruned.files,
                    bytes = pruned.bytes,
                    "days that are kept no longer were dropped from the archive"
                ),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "old days of the archive were not dropped"),
            }
        }
        if now >= self.scrub_at {
            self.scrub_at = now + SCRUB_EVERY;
            of.look().await;
            match of.store.scrub_step(SCRUB_BYTES).await {
                Ok(scrubbed) if scrubbed.damages > 0 => self.repair.look_again(),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the archive was not read back"),
            }
        }
        for notice in of.store.notices() {
            tracing::warn!(%notice, "the archive was put right");
            self.repair.look_again();
        }
    }

    /// Writes what is sealed in the state and not here.
    async fn write(&mut self) {
        self.write_at = match self.write_batch().await {
            Ok(true) => None,
            Ok(false) => Some(Instant::now()),
            Err(error) => {
                tracing::warn!(%error, "ended conversations are not archived; it is tried again");
                Some(Instant::now() + WRITE_AGAIN)
            }
        };
    }

    /// Writes one batch; whether that was all.
    async fn write_batch(&mut self) -> Result<bool, WriteFault> {
        let shared = self.archive.shared.clone();
        let written = shared.written.load(Ordering::Acquire);
        let (sealed, applied, from) = shared.view.with(|cell, applied| {
            let from = LogIndex(written.max(cell.state().meta().archive.upto.0));
            let sealed = cell
                .state()
                .sealed_between(from, applied, APPEND_RECORDS_MAX);
            (sealed, applied, from)
        });
        let whole = sealed.len() < APPEND_RECORDS_MAX;
        // What one entry sealed may lie across two batches: the last entry of a full one counts later.
        // An entry seals at most half of a batch.
        let upto = match sealed.last() {
            Some((last, _)) if !whole => last.0.saturating_sub(1),
            _ => applied.0,
        };
        let mut batch: Vec<Record> = Vec::new();
        let mut bytes = 0;
        for (_, conversation) in sealed {
            let id = conversation.id.index.0;
            let record = self.encode(conversation).await;
            let record = record.ok_or(WriteFault::Unsealed(id))?;
            if bytes + record.blob.len() > APPEND_BYTES_MAX && !batch.is_empty() {
                self.archive.append(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += record.blob.len();
            batch.push(record);
        }
        if !batch.is_empty() {
            self.archive.append(batch).await?;
        }
        shared.written.store(upto.max(from.0), Ordering::Release);
        Ok(whole)
    }

    async fn encode(&self, conversation: std::sync::Arc<Conversation>) -> Option<Record> {
        let compute = &self.archive.shared.of.env.compute;
        compute
            .run(move || {
                let blob = Bytes::from(wire::archive::encode(&conversation));
                record(&conversation, blob)
            })
            .await
    }

    /// While this node leads the cell: asks what the others hold and says what may leave.
    async fn collect(&self) {
        let leads = self.group.leadership().borrow().is_self;
        let safe = if leads {
            let voters = self.group.status().voters;
            self.archive.collect(&voters).await
        } else {
            None
        };
        if let Some(safe) = safe {
            self.archive.shared.safe.send_replace(Some(safe));
        }
    }
}

impl CellArchive {
    /// Appends, and has give way what is here under the same name with another content: what the
    /// replicas agree on is being written.
    pub(super) async fn append(&self, batch: Vec<Record>) -> Result<(), ArchiveError> {
        let store = &self.shared.of.store;
        for _ in 0..=batch.len() {
            match store.append(batch.clone()).await {
                Err(ArchiveError::Conflict { cell, conversation }) => {
                    let Some(ours) = store.get(cell, conversation).await? else {
                        continue;
                    };
                    let at = Sealing {
                        sealed: ours.sealed,
                        conversation,
                    };
                    tracing::warn!(
                        cell,
                        conversation,
                        "the archive held another record; it gives way"
                    );
                    store.discard(cell, at, at).await?;
                }
                done => return done,
            }
        }
        store.append(batch).await
    }
}

/// Resolves when an entry was applied.
async fn moved(applied: &mut watch::Receiver<u64>) {
    if applied.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
