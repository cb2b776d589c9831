//! What a node's archive needs as a whole: reading back what lies on disk, dropping old days, and passing on
//! what the store found damaged to the cells whose it is.
//! Promise: one task per node; each finding reaches the cell that it concerns; what is kept is what the
//! cells agreed on, never what a clock says.
//! Not here: mending (`repair`, `keep`).

use std::time::Duration;

use domain::cell::archive::ArchivedRange;
use store::archive::{ArchiveNotice, Damage, Keep};
use tokio::time::{Instant, sleep};

use super::{CellArchive, NodeArchive};

/// How often findings are passed on.
const ROUND: Duration = Duration::from_millis(500);
/// How often old days are dropped.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How often what lies on disk is read back, and how much of it: 360 MiB an hour. As often the audit journal
/// is swept: it leaves room for what others write in between.
const SCRUB_EVERY: Duration = Duration::from_secs(10);
const SCRUB_BYTES: u64 = 1 << 20;

/// The task.
pub(crate) struct Upkeep<C> {
    of: NodeArchive,
    /// The cells that have a replica here.
    cells: C,
    prune_at: Instant,
    scrub_at: Instant,
}

impl<C: Fn() -> Vec<CellArchive> + Send> Upkeep<C> {
    pub(crate) fn new(of: NodeArchive, cells: C) -> Self {
        let now = Instant::now();
        Self {
            of,
            cells,
            prune_at: now + ROUND,
            scrub_at: now,
        }
    }

    /// Goes on until the node stops.
    pub(crate) async fn run(mut self) {
        let stop = self.of.stop.clone();
        while stop.unless(sleep(ROUND)).await.is_some() {
            self.round().await;
        }
    }

    async fn round(&mut self) {
        let now = Instant::now();
        if now >= self.prune_at {
            self.prune_at = now + PRUNE_EVERY;
            self.prune().await;
        }
        if now >= self.scrub_at {
            self.scrub_at = now + SCRUB_EVERY;
            self.of.look(&(self.cells)()).await;
            self.sweep_journal().await;
            if let Err(error) = self.of.store.scrub_step(SCRUB_BYTES).await {
                tracing::debug!(%error, "the archive was not read back");
            }
        }
        for notice in self.of.store.notices() {
            tracing::warn!(%notice, "the archive was put right");
            self.pass_on(&notice);
        }
    }

    /// The audit journal keeps its bounds, and whoever asks for the status sees what it holds.
    async fn sweep_journal(&self) {
        let Some(journal) = &self.of.journal else {
            return;
        };
        let swept = journal.sweep().await;
        if let Err(error) = swept.map(drop).and(journal.look().await) {
            tracing::debug!(%error, "the audit journal was not swept; it is tried again");
        }
    }

    async fn prune(&self) {
        let keeps = (self.cells)().iter().map(keep).collect();
        match self.of.store.prune(keeps).await {
            Ok(pruned) if pruned.files > 0 => tracing::info!(
                files = pruned.files,
                bytes = pruned.bytes,
                "what is kept no longer was dropped from the archive"
            ),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old files of the archive were not dropped"),
        }
    }

    fn pass_on(&self, notice: &ArchiveNotice) {
        let concerned = match notice {
            // Nothing was lost that had been acknowledged.
            ArchiveNotice::TornTailCut { .. } => return,
            ArchiveNotice::Damaged(damage) => cell_of(damage),
            ArchiveNotice::IndexSetAside { .. } => None,
        };
        for archive in (self.cells)() {
            if concerned.is_none_or(|cell| cell == archive.shared.cell.0) {
                archive.doubt();
            }
        }
    }
}

/// What of a cell is kept: what its state remembers, by no clock of this node. The newest range, and what
/// has not left yet, are never dropped for lack of room.
pub(super) fn keep(archive: &CellArchive) -> Keep {
    let record = archive.record();
    let begins = |range: Option<&ArchivedRange>| range.map_or(record.upto.0, |range| range.after.0);
    Keep {
        cell: archive.shared.cell.0,
        after: begins(record.ranges.first()),
        spared_after: begins(record.ranges.last()),
        ends: record.ranges.iter().map(|range| range.upto.0).collect(),
    }
}

/// The cell whose file is damaged: its directory's name.
fn cell_of(damage: &Damage) -> Option<u32> {
    damage.file.parent()?.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_damaged_file_names_its_cell() {
        let damage = |file: &str| Damage {
            file: PathBuf::from(file),
            offset: 0,
            what: "damaged",
        };
        let known = damage("/data/archive/7/2026-11-27-0.seg");
        assert_eq!(cell_of(&known), Some(7));
        assert_eq!(cell_of(&damage("other")), None);
    }
}
