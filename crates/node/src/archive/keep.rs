//! The writer of a cell's archive on one node.
//! Promise: level-triggered: whatever is sealed in the state and not here is written; it alone says what was
//! written; what is here is thrown away only where the state still has everything of that range, and is
//! written again at once.
//! Not here: what has left (`repair`), what may leave (`collect`), damage and old days (`upkeep`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::cell::conversation::Conversation;
use domain::ids::LogIndex;
use store::archive::{APPEND_BYTES_MAX, APPEND_RECORDS_MAX, ArchiveError, Record, Sealing};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::CellArchive;
use super::agree::Held;
use super::checked::Stretch;
use super::record::record;

/// How soon after an entry the state is looked at for what was sealed: a batch of many.
const WRITE_AFTER: Duration = Duration::from_millis(100);
/// Pause after a write that failed, and between two times that everything is written anew: the second
/// reads back up to 10,000 conversations.
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// The task that writes.
pub(crate) struct Keeper {
    archive: CellArchive,
    /// Where writing goes on: after this entry, or after what has left.
    after: u64,
    write_at: Option<Instant>,
    /// When everything that is still in the state is written anew.
    anew_at: Option<Instant>,
    anew_last: Option<Instant>,
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
    pub(crate) fn new(archive: CellArchive) -> Self {
        Self {
            archive,
            after: 0,
            write_at: Some(Instant::now()),
            anew_at: None,
            anew_last: None,
        }
    }

    /// Writes until the node stops.
    pub(crate) async fn run(mut self) {
        let shared = self.archive.shared.clone();
        let mut applied = shared.view.applied();
        let stop = shared.of.stop.clone();
        loop {
            let (write_at, anew_at) = (self.write_at, self.anew_at);
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = shared.anew.notified(), if anew_at.is_none() => {
                    let now = Instant::now();
                    self.anew_at = Some(self.anew_last.map_or(now, |last| now.max(last + WRITE_AGAIN)));
                }
                () = at(anew_at), if anew_at.is_some() => {
                    self.anew_at = None;
                    self.write_anew().await;
                    self.anew_last = Some(Instant::now());
                }
                () = at(write_at), if write_at.is_some() => self.write().await,
                () = moved(&mut applied), if write_at.is_none() => {
                    self.write_at = Some(Instant::now() + WRITE_AFTER);
                }
            }
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
        let (sealed, applied, from) = shared.view.with(|cell, applied| {
            let from = LogIndex(self.after.max(cell.state().meta().archive.upto.0));
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
        let sealed = sealed.into_iter().map(|(_, conversation)| conversation);
        self.put(sealed.collect()).await?;
        self.after = upto.max(from.0);
        shared.checked.lock().wrote(Stretch {
            after: from.0,
            upto: self.after,
        });
        Ok(whole)
    }

    async fn put(&self, sealed: Vec<Arc<Conversation>>) -> Result<(), WriteFault> {
        let mut batch: Vec<Record> = Vec::new();
        let mut bytes = 0;
        for conversation in sealed {
            let id = conversation.id.index.0;
            let record = self.encode(conversation).await;
            let record = record.ok_or(WriteFault::Unsealed(id))?;
            let full = bytes + record.blob.len() > APPEND_BYTES_MAX;
            if (full && !batch.is_empty()) || batch.len() == APPEND_RECORDS_MAX {
                self.archive.append(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += record.blob.len();
            batch.push(record);
        }
        if !batch.is_empty() {
            self.archive.append(batch).await?;
        }
        Ok(())
    }

    async fn encode(&self, conversation: Arc<Conversation>) -> Option<Record> {
        let compute = &self.archive.shared.of.env.compute;
        compute
            .run(move || {
                let blob = Bytes::from(wire::archive::encode(&conversation));
                record(&conversation, blob)
            })
            .await
    }

    /// Writes once more everything that is still in the state: what is here and whole is passed over.
    async fn write_anew(&mut self) {
        let cell = self.archive.shared.cell.0;
        tracing::warn!(
            cell,
            "what is sealed is compared with the archive and written anew where it differs"
        );
        self.after = 0;
        let written = async {
            while !self.write_batch().await? {}
            self.without_surplus().await
        };
        if let Err(error) = written.await {
            tracing::warn!(cell, %error, "ended conversations are not archived; it is tried again");
            self.write_at = Some(Instant::now() + WRITE_AGAIN);
            self.archive.write_anew();
        }
    }

    /// Has give way what the state does not have beside what it has, and writes that again.
    async fn without_surplus(&self) -> Result<(), WriteFault> {
        let shared = &self.archive.shared;
        let (after, sealed) = shared.view.with(|cell, _| {
            let after = cell.state().meta().archive.upto;
            let upto = LogIndex(self.after);
            (
                after.0,
                cell.state().sealed_between(after, upto, usize::MAX),
            )
        });
        let sealed: Vec<_> = sealed.into_iter().map(|(_, found)| found).collect();
        let hashes = self.archive.hashes(sealed.clone()).await;
        let (store, cell) = (&shared.of.store, shared.cell.0);
        let Ok(chained) = store.chain(cell, after, self.after, [0; 16]).await else {
            // Not known, and nothing to throw anything away for.
            return Ok(());
        };
        let found = Held {
            digest: chained.digest,
            count: chained.count,
        };
        if found == Held::of(&hashes) {
            return Ok(());
        }
        tracing::warn!(
            cell,
            after,
            upto = self.after,
            "the archive holds what was never sealed: the range is written anew"
        );
        // Until it is written again, nothing of it counts, whatever comes in between.
        shared.checked.lock().doubt();
        let from = Sealing {
            sealed: after.saturating_add(1),
            conversation: 0,
        };
        self.archive
            .discard(from, Sealing::last_of(self.after))
            .await?;
        self.put(sealed).await?;
        shared.checked.lock().wrote(Stretch {
            after,
            upto: self.after,
        });
        Ok(())
    }
}

impl CellArchive {
    /// Appends, and has give way what is here under the same name with another content: what the
    /// replicas agree on is being written. What was dropped for lack of room stays dropped.
    pub(super) async fn append(&self, mut batch: Vec<Record>) -> Result<(), ArchiveError> {
        let store = &self.shared.of.store;
        let dropped_upto = store.dropped_upto(self.shared.cell.0);
        batch.retain(|record| record.sealed > dropped_upto);
        if batch.is_empty() {
            return Ok(());
        }
        for _ in 0..=batch.len() {
            match store.append(batch.clone()).await {
                Err(ArchiveError::Conflict { cell, conversation }) => {
                    let Some(ours) = store.get(cell, conversation).await? else {
                        continue;
                    };
                    tracing::warn!(
                        cell,
                        conversation,
                        "the archive held another record; it gives way"
                    );
                    store.discard(cell, ours.sealing(), ours.sealing()).await?;
                }
                done => return done,
            }
        }
        store.append(batch).await
    }

    /// Has the keeper write anew what is still in the state.
    pub(super) fn write_anew(&self) {
        self.shared.anew.notify_one();
    }
}

/// Resolves at a moment, if there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Resolves when an entry was applied.
async fn moved(applied: &mut watch::Receiver<u64>) {
    if applied.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
