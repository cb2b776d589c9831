//! The archives of the cells on this node: written from their states, compared, repaired and read.
//! Promise: what a leader lets go is on the disks of a majority of the voters, on two sites where there
//! are two, and was read back there; a range that is missing or damaged here is fetched from a peer and
//! believed by its hash alone.
//! Not here: files and indexes (`store`), when a conversation is sealed (`domain`), proposing that it
//! leaves (`conversation`).

mod agree;
mod ask;
mod checked;
mod collect;
mod find;
mod keep;
mod mend;
mod read;
mod record;
mod repair;
mod upkeep;

#[cfg(test)]
mod cap_test;

use std::path::Path;
use std::sync::Arc;

use conversation::{CellReplica, Safe, View};
use domain::ids::CellId;
use parking_lot::Mutex;
use pb::api::v1::ArchiveView;
use ports::Halt;
use runtime::{Env, Stop};
use store::Journal;
use store::archive::{
    Archive, ArchiveOptions, ArchiveStatus, IndexState, Keep, MemoryIndexes, OpenIndex, SledIndexes,
};
use tokio::sync::{Notify, watch};

use self::checked::Checked;
use self::collect::Collector;
use self::keep::Keeper;
use self::repair::Repair;
use self::upkeep::keep;
use crate::control::StateWatch;
use crate::doors::Doors;
use crate::error::NodeError;

pub(crate) use ask::answer;
pub(crate) use upkeep::Upkeep;

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
    /// The audit journal beside it, if one is kept.
    pub(crate) journal: Option<Journal>,
    /// What the keeper saw last.
    pub(crate) looked: Arc<Mutex<Option<Looked>>>,
    pub(crate) stop: Stop,
}

/// How an archive was at a look.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    status: ArchiveStatus,
    /// Bytes above its cap that pruning spares.
    over_bytes: u64,
}

/// What has ended in a cell and not left its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Conversations.
    pub(crate) count: u64,
    /// Their weight.
    pub(crate) bytes: u64,
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
    /// Why the replica is halted, if it is: its state stands still then.
    halted: watch::Receiver<Option<Arc<Halt>>>,
    /// What is known to be here.
    checked: Mutex<Checked>,
    /// What is still in the state is to be written anew.
    anew: Notify,
    /// What enough archives hold, while this node leads.
    safe: watch::Sender<Option<Safe>>,
}

impl CellArchive {
    /// Starts the tasks of a cell's archive, which end with the node.
    pub(crate) fn start(
        of: NodeArchive,
        cell: CellId,
        view: View,
        group: &raft::GroupHandle<CellReplica>,
    ) -> Self {
        let edge = of.env.edge.clone();
        let archive = Self {
            shared: Arc::new(Shared {
                of,
                cell,
                view,
                halted: group.halted(),
                checked: Mutex::default(),
                anew: Notify::new(),
                safe: watch::Sender::new(None),
            }),
        };
        let keeper = Keeper::new(archive.clone());
        let collector = Collector::new(archive.clone(), group.clone());
        let repair = Repair::new(archive.clone());
        edge.spawn("archive keeper", keeper.run()).detach();
        edge.spawn("archive collector", collector.run()).detach();
        edge.spawn("archive repair", repair.run()).detach();
        archive
    }

    /// What the cell's leader and its readers use.
    pub(crate) fn for_cell(&self) -> conversation::Archives {
        conversation::Archives {
            kept: Arc::new(self.clone()),
            safe: self.shared.safe.subscribe(),
        }
    }

    /// Whether everything that has left the state and is kept is here.
    pub(crate) fn is_complete(&self) -> bool {
        self.standing(0).complete
    }

    /// What has ended and not left the state.
    pub(crate) fn waiting(&self) -> Waiting {
        self.shared.view.with(|cell, _| {
            let ended = cell.state().ended();
            Waiting {
                count: ended.count(),
                bytes: ended.bytes(),
            }
        })
    }

    /// Whether this node's replica is halted.
    fn is_halted(&self) -> bool {
        self.shared.halted.borrow().is_some()
    }

    /// Something on disk was found damaged or lost: what has left is read back again, and what has not is
    /// written again where it is not whole.
    pub(crate) fn doubt(&self) {
        self.shared.checked.lock().doubt();
        self.write_anew();
    }

    /// The other members of the cell.
    pub(crate) fn peers(&self) -> Vec<u64> {
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
    async fn look(&self, cells: &[CellArchive]) {
        let status = self.store.status().await;
        let keeps: Vec<Keep> = cells.iter().map(keep).collect();
        let over_bytes = self.store.over_cap(&keeps);
        *self.looked.lock() = Some(Looked { status, over_bytes });
    }

    /// How the archive was at the last look; what the cells' states say is of now.
    pub(crate) fn view(&self, cells: &[CellArchive]) -> ArchiveView {
        let mut view = ArchiveView {
            keeps_days: self.options.archive_days,
            keeps_gib: u32::try_from(self.options.archive_max_bytes >> 30).unwrap_or(u32::MAX),
            complete: cells.iter().all(CellArchive::is_complete),
            waiting: cells.iter().map(|cell| cell.waiting().count).sum(),
            ..ArchiveView::default()
        };
        if let Some(Looked { status, over_bytes }) = &*self.looked.lock() {
            view.conversations = status.records;
            view.bytes = status.segment_bytes + status.index_bytes;
            view.oldest_day = status.oldest_day.unwrap_or_default();
            view.indexing = status.index != IndexState::Whole;
            view.over_bytes = *over_bytes;
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
