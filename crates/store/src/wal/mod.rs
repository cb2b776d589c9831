//! The write-ahead log of a node, one for all its Raft groups.
//! Promise: an entry, vote, truncation or purge reported done survives a crash; one sync covers all
//! that waits; damage of acknowledged data is named at opening and never served.
//! Not here: when to purge or to snapshot (`raft`).

mod core;
mod frame;
mod group;
mod journal;
mod recover;
mod scan;
mod segment;
mod state;
mod types;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use runtime::mailbox::{Sender, bounded};
use runtime::{Env, supervise};
use tokio::sync::{Semaphore, oneshot, watch};

use self::core::Core;
use self::recover::{Recovered, recover};
use self::writer::{Mail, Preparer, Writer};
use crate::GroupId;
use crate::metrics::Metrics;

pub use group::GroupLog;
pub use journal::{
    Journal, JournalContent, JournalFault, JournalGroup, JournalOptions, JournalProblem,
    JournalPruned, JournalRange, JournalStatus, journal_dir, read_journal,
};
pub use scan::{Found, LogScan, Place as FoundAt};
pub use types::{
    Chain, EntryId, Health, Kept, Laggard, Notice, OpenError, PAYLOAD_BYTES_MAX, Record, WalError,
    WalOptions,
};

/// Operations of all groups that wait to be written: tens of groups with some tens of appends each.
/// Full means that callers wait.
const WAITING_OPERATIONS_MAX: usize = 4_096;

/// The log of a node. Cheap to clone. Its task ends when every clone and every group is dropped.
#[derive(Clone)]
pub struct Wal {
    core: Arc<Core>,
    mail: Sender<Mail>,
    room: Arc<Semaphore>,
}

impl Wal {
    /// Opens the log in `dir`, made if missing, and starts its task on the lane `raft`. One process
    /// at a time: the lock is the data directory's.
    pub async fn open(
        env: &Env,
        dir: &Path,
        options: WalOptions,
    ) -> Result<(Self, Vec<Notice>), OpenError> {
        let core = Arc::new(Core {
            options,
            health: watch::Sender::new(Health::Good),
            metrics: Metrics::default(),
            journal: options.journal.map(|bounds| Journal::of(env, dir, bounds)),
            segments: Default::default(),
            groups: Default::default(),
        });
        let preparer = Preparer::new(env, dir.to_owned(), core.clone());
        let Recovered {
            active,
            offset,
            batch,
            next,
            notices,
        } = recover(&preparer, dir).await?;
        if let Some(journal) = &core.journal {
            let segments = core.segments.lock().clone();
            journal.begin(&segments).await;
        }
        let next = match next {
            Some(ready) => env.raft.spawn("wal-ready", async { Ok(ready) }),
            None => preparer.start(&env.raft, active.number + 1),
        };
        let (mail, receiver) = bounded("wal", WAITING_OPERATIONS_MAX);
        let writer = Writer {
            core: core.clone(),
            mail: receiver,
            preparer,
            lane: env.raft.clone(),
            active,
            offset,
            batch,
            next: Some(next),
            committed: BTreeMap::new(),
            collector: None,
            closing: None,
        };
        let panicked = core.clone();
        supervise(&env.raft, "wal", writer.run(), move || {
            panicked.fail("its writer panicked")
        })
        .detach();
        let room = Arc::new(Semaphore::new(options.queue_bytes));
        Ok((Self { core, mail, room }, notices))
    }

    /// The log of one group; empty if it was never written.
    pub fn group(&self, group: GroupId) -> GroupLog {
        let group = self.core.group(group);
        GroupLog {
            group,
            core: self.core.clone(),
            mail: self.mail.clone(),
            room: self.room.clone(),
        }
    }

    /// Groups that have a vote or a log, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        let groups = self.core.all_groups().into_iter();
        let known = groups.filter(|group| {
            let state = group.state.lock();
            state.view.last.is_some() || state.view.vote.is_some()
        });
        known.map(|group| group.id).collect()
    }

    /// How the log is, now and after each change.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.core.health.subscribe()
    }

    /// What the log counts of itself.
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// Segments on disk, the prepared one left out.
    pub fn segments(&self) -> u64 {
        self.core.segments.lock().len() as u64
    }

    /// Where segments go that no group needs any more, if they are kept.
    pub fn journal(&self) -> Option<&Journal> {
        self.core.journal.as_ref()
    }

    /// Groups that need more than `segments_max` segments, the one that reaches back furthest first.
    /// Snapshot and purge them, or the log grows.
    pub fn laggards(&self, segments_max: u64) -> Vec<Laggard> {
        self.core.laggards(segments_max)
    }

    /// Writes what waits, then ends the task. Later operations fail with [`WalError::Closed`].
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.mail.send(Mail::Close(reply)).await.is_ok() {
            // An error means that the task has ended already.
            let _ = closed.await;
        }
    }
}

#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod journal_test;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod scan_test;
#[cfg(test)]
mod wal_test;
