//! The archives of the cells on this node: written from their states, compared, repaired and read.
//! Promise: what a leader lets go is on the disks of a majority of the voters, on two sites where there
//! are two, and was read back there; a range that is missing or damaged here is fetched from a peer and
//! believed by its hash alone.
//! Not here: files and indexes (`store`), when a conversation is sealed (`domain`), proposing that it
//! leaves (`conversation`).

mod agree;
mod ask;
mod collect;
mod keep;
mod read;
mod record;
mod repair;

#[cfg(test)]
pub(crate) use repair::Repair;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use conversation::View;
use domain::cell::archive::ArchivedUpto;
use domain::ids::CellId;
use parking_lot::Mutex;
use pb::api::v1::ArchiveView;
use runtime::{Env, Stop};
use store::archive::{
    Archive, ArchiveOptions, ArchiveStatus, IndexState, MemoryIndexes, OpenIndex, SledIndexes,
};
use tokio::sync::watch;

use crate::control::StateWatch;
use crate::doors::Doors;
use crate::error::NodeError;

pub(crate) use ask::answer;
pub(crate) use keep::Keeper;

const DAY_MS: u64 = 86_400_000;

/// The archive of this node, and the way to those of others.
#[derive(Clone)]
pub(crate) struct NodeArchive {
    pub(crate) env: Env,
    pub(crate) node: u64,
    pub(crate) store: Archive,
    pub(crate) doors: Doors,
    pub(crate) control: StateWatch,
    pub(crate) options: ArchiveOptions,
    /// What the keeper saw last.
    pub(crate) looked: Arc<Mutex<Option<ArchiveStatus>>>,
    pub(crate) stop: Stop,
}

/// Opens the archive below the data directory.
///
/// # Errors
/// When the disk fails or a newer program wrote it.
pub(crate) async fn open(
    env: &Env,
    dir: &Path,
    options: ArchiveOptions,
) -> Result<Archive, NodeError> {
    let indexes: Arc<dyn OpenIndex> = if env.disk.has_paths() {
        Arc::new(SledIndexes)
    } else {
        Arc::new(MemoryIndexes)
    };
    let opened = Archive::open(env, &dir.join("archive"), indexes, options).await;
    let (archive, report) = opened.map_err(std::io::Error::other)?;
    for notice in &report.notices {
        tracing::warn!(%notice, "the archive was put right");
    }
    Ok(archive)
}

/// The archive of one cell here, as all that use it see it.
#[derive(Clone)]
pub(crate) struct CellArchive {
    pub(crate) shared: Arc<Shared>,
}

/// What the keeper of a cell's archive, its readers and its peers share.
pub(crate) struct Shared {
    pub(crate) of: NodeArchive,
    pub(crate) cell: CellId,
    pub(crate) view: View,
    /// Everything that was sealed up to this entry was appended here.
    pub(crate) written: AtomicU64,
    /// Every range that has left the state is here and has its hash.
    pub(crate) complete: AtomicBool,
    /// What enough archives hold, while this node leads.
    pub(crate) safe: watch::Sender<Option<ArchivedUpto>>,
}

impl CellArchive {
    pub(crate) fn new(of: NodeArchive, cell: CellId, view: View) -> Self {
        Self {
            shared: Arc::new(Shared {
                of,
                cell,
                view,
                written: AtomicU64::new(0),
                complete: AtomicBool::new(false),
                safe: watch::Sender::new(None),
            }),
        }
    }

    /// What the cell's leader and its readers use.
    pub(crate) fn for_cell(&self) -> conversation::Archives {
        conversation::Archives {
            kept: Arc::new(self.clone()),
            safe: self.shared.safe.subscribe(),
        }
    }

    /// Whether everything that has left the state is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.shared.complete.load(Ordering::Acquire)
    }

    /// The other members of the cell.
    fn peers(&self) -> Vec<u64> {
        let control = self.shared.of.control.borrow();
        let cell = control.cells.get(&self.shared.cell);
        let members = cell.map(|cell| cell.members.values().map(|node| node.0).collect());
        let members: Vec<u64> = members.unwrap_or_default();
        let us = self.shared.of.node;
        members.into_iter().filter(|node| *node != us).collect()
    }
}

impl NodeArchive {
    /// Looks at the files and indexes, for whoever asks until the next look.
    async fn look(&self) {
        let status = self.store.status().await;
        *self.looked.lock() = Some(status);
    }

    /// How the archive was at the last look; what the cells' states say is of now.
    pub(crate) fn view(&self, cells: &[CellArchive]) -> ArchiveView {
        let waiting = |archive: &CellArchive| {
            let view = &archive.shared.view;
            view.with(|cell, _| cell.state().ended().count())
        };
        let mut view = ArchiveView {
            keeps_days: self.options.archive_days,
            keeps_gib: u32::try_from(self.options.archive_max_bytes >> 30).unwrap_or(u32::MAX),
            complete: cells.iter().all(CellArchive::is_complete),
            waiting: cells.iter().map(waiting).sum(),
            ..ArchiveView::default()
        };
        if let Some(looked) = &*self.looked.lock() {
            view.conversations = looked.records;
            view.bytes = looked.segment_bytes + looked.index_bytes;
            view.oldest_day = looked.oldest_day.unwrap_or_default();
            view.indexing = looked.index != IndexState::Whole;
        }
        view
    }

    /// Today in UTC days.
    fn today(&self) -> u32 {
        u32::try_from(self.env.clock.now_ms() / DAY_MS).unwrap_or(u32::MAX)
    }

    /// The first day that archives keep.
    fn keep_from(&self) -> u32 {
        self.today().saturating_sub(self.options.archive_days)
    }
}
