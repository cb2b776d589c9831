//! The archive of closed conversations: segment files per cell and day, and an index into them.
//! Promise: what `append` reported is durable and was read back; a record is served only with the hash
//! that it was archived with; whatever happens to the index, no record is lost by it.
//! Not here: what a record means, when to archive, fetch or prune (the node), what replicas agree on.
//!
//! A segment is written to from its first batch until it is full or another one is needed. Until then
//! its entries are in memory; then they go into the index as one run, with a mark that says up to which
//! byte of which file they hold. So each file is found in one place, and what the index lacks after a
//! crash is read from the files that its marks do not cover.

mod block;
mod builder;
mod core;
mod discard;
mod entries;
mod index;
mod lookup;
mod pages;
mod prune;
mod query;
mod reader;
mod recover;
mod scrub;
mod segment;
mod sled_index;
mod types;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use runtime::mailbox::{Sender, bounded};
use runtime::{Env, supervise};
use tokio::sync::oneshot;

use self::core::Core;
use self::recover::recover;
use self::writer::{Mail, Writer};

pub use index::{Change, Index, IndexFault, MemoryIndexes, OpenIndex, Pair};
pub use sled_index::SledIndexes;
pub use types::{
    AGENTS_MAX, APPEND_BYTES_MAX, APPEND_RECORDS_MAX, ArchiveError, ArchiveNotice,
    ArchiveOpenError, ArchiveOptions, ArchiveStatus, BLOB_BYTES_MAX, CUSTOMER_BYTES_MAX,
    ChainError, Chained, Damage, Facts, Figures, Found, HASHES_MAX, Hash16, Hashed, Hashes,
    IndexState, Keep, Lost, NAME_BYTES_MAX, OpenReport, PAGE_BYTES_MAX, PAGE_RECORDS_MAX, Page,
    PageToken, Pruned, Record, Scrubbed, Sealed, Sealing, Within, blob_hash, chain_step,
};

/// Operations that wait for the archive's task: one of each cell, a repair of each, and a prune.
/// Full means that callers wait.
const WAITING_OPERATIONS_MAX: usize = 64;
/// Bytes of segments that `open` waits to see indexed: what was written to when the process ended.
/// More than that is built while the archive serves.
const OPEN_BUILD_BYTES_MAX: u64 = 256 << 20;
/// How long `open` waits for that at most.
const OPEN_BUILD_WAIT: Duration = Duration::from_secs(30);

/// The archive of a node. Cheap to clone. Its task ends when every clone is dropped.
#[derive(Clone)]
pub struct Archive {
    core: Arc<Core>,
    mail: Sender<Mail>,
}

impl Archive {
    /// Opens the archive in `dir`, made if missing, and starts its task on the lane `edge`. One process
    /// at a time: the lock is the data directory's. An index that is missing, damaged or behind is
    /// built from the files: waited for where that takes a second or two, else beside the service.
    pub async fn open(
        env: &Env,
        dir: &Path,
        opener: Arc<dyn OpenIndex>,
        options: ArchiveOptions,
    ) -> Result<(Self, OpenReport), ArchiveOpenError> {
        let core = Arc::new(Core::new(env, dir.to_owned(), opener, options));
        recover(&core).await?;
        let unindexed = core.state.lock().unindexed_bytes();
        if unindexed <= OPEN_BUILD_BYTES_MAX {
            let mut whole = core.whole.subscribe();
            // Late is no error: the archive then opens while its index is being built.
            drop(tokio::time::timeout(OPEN_BUILD_WAIT, whole.wait_for(|whole| *whole)).await);
        }
        let (mail, receiver) = bounded("archive", WAITING_OPERATIONS_MAX);
        let writer = Writer::new(core.clone(), receiver);
        // A panic closes the mailbox: callers are told so, and what was appended stays.
        supervise(&env.edge, "archive", writer.run(), || {}).detach();
        let report = {
            let state = core.state.lock();
            OpenReport {
                files: state.files.len() as u64,
                bytes: state.files.values().map(|file| file.bytes).sum(),
                notices: state.notices.iter().cloned().collect(),
                rebuilding: !state.is_whole(),
            }
        };
        Ok((Self { core, mail }, report))
    }

    /// Archives `records`: when it returns they are durable, read back and compared. One that is there
    /// with the same blob is passed over; with another blob it is a [`ArchiveError::Conflict`]; a
    /// damaged one gives way. At most [`APPEND_RECORDS_MAX`] records and [`APPEND_BYTES_MAX`]. After an
    /// error some of them may be there; append them again.
    pub async fn append(&self, records: Vec<Record>) -> Result<(), ArchiveError> {
        self.ask(|answer| Mail::Append(records, answer)).await
    }

    /// Has records give way that are damaged or not of the agreed history: those of `cell` from `from`
    /// to `to`, both included, that are there now. They are never served again, and can be archived
    /// again. Their bytes go with their files.
    pub async fn discard(&self, cell: u32, from: Sealing, to: Sealing) -> Result<(), ArchiveError> {
        let mail = |answer| Mail::Discard {
            cell,
            from,
            to,
            answer,
        };
        self.ask(mail).await
    }

    /// Drops files of which nothing is kept any longer, then those sealed first while all files together
    /// exceed `archive_max_bytes`. Cells that are not named keep everything.
    pub async fn prune(&self, keeps: Vec<Keep>) -> Result<Pruned, ArchiveError> {
        self.ask(|answer| Mail::Prune { keeps, answer }).await
    }

    /// Brings the index up to date and ends the task. Later operations fail.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.mail.send(Mail::Close(answer)).await.is_ok() {
            // An error means that the task has ended already.
            let _ = closed.await;
        }
    }

    /// How the archive is.
    pub async fn status(&self) -> ArchiveStatus {
        let index = self.core.state.lock().index.clone();
        let mut bytes = 0;
        if let Some(index) = index {
            let asked = index.run(|index| {
                index.check()?;
                Ok(index.bytes())
            });
            match asked.await {
                Ok(found) => bytes = found,
                Err(fault) => self.core.fault(index.generation, &fault),
            }
        }
        self.core.status(bytes)
    }

    /// What was put right since the last call, opening included; the last 64.
    pub fn notices(&self) -> Vec<ArchiveNotice> {
        self.core.state.lock().notices.drain(..).collect()
    }

    async fn ask<T>(
        &self,
        mail: impl FnOnce(writer::Answer<T>) -> Mail,
    ) -> Result<T, ArchiveError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.mail.send(mail(answer)).await;
        sent.map_err(|_| ArchiveError::Closed)?;
        answered.await.map_err(|_| ArchiveError::Closed)?
    }
}

#[cfg(test)]
mod archive_test;
#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod lying_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod prune_test;
#[cfg(test)]
mod sled_test;
