//! Pruning: files go whose records are kept no longer, then the oldest ones where there is no room.
//! Promise: what goes is decided by the order of sealing alone, never by a clock; a file goes with its
//! entries; what goes for lack of room goes with the whole range that it is of, and that is known after every
//! crash.
//! Not here: when to prune, and what is kept (the node).

use std::collections::{BTreeMap, BTreeSet};

use super::Archive;
use super::builder::removal;
use super::core::{Core, FileState, Holds, State};
use super::segment::FileId;
use super::types::{ArchiveError, Keep, Pruned};
use std::sync::Arc;

/// What has been dropped so far.
#[derive(Default)]
pub struct Dropped {
    pub pruned: Pruned,
    days: BTreeSet<u32>,
}

/// Files that go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Doomed {
    pub files: BTreeSet<FileId>,
    /// Up to where records of a cell go that there is no room for.
    pub floors: BTreeMap<u32, u64>,
}

impl Archive {
    /// For lack of room, records of `cell` that were sealed up to this entry were dropped; 0 for none.
    pub fn dropped_upto(&self, cell: u32) -> u64 {
        let state = self.core.state.lock();
        state.floors.get(&cell).copied().unwrap_or_default()
    }

    /// Bytes by which the files will exceed `archive_max_bytes` after they have been pruned, because what is
    /// spared takes them; 0 for none.
    pub fn over_cap(&self, keeps: &[Keep]) -> u64 {
        let doomed = self.core.doomed(keeps);
        let state = self.core.state.lock();
        let stays = state.files.iter();
        let stays = stays.filter(|(id, _)| !doomed.files.contains(id));
        let bytes: u64 = stays.map(|(_, file)| file.bytes).sum();
        bytes.saturating_sub(self.core.options.archive_max_bytes)
    }
}

impl State {
    /// The file of a cell whose newest record is the oldest, beside those in `doomed`.
    fn oldest(&self, keep: &Keep, doomed: &BTreeSet<FileId>) -> Option<(FileId, u64)> {
        let files = self.files.iter();
        let ours = files.filter(|(id, _)| id.cell == keep.cell && !doomed.contains(id));
        let known = ours.filter_map(|(id, file)| Some((*id, file.newest(*id)?)));
        known.min_by_key(|(id, newest)| (*newest, *id))
    }

    /// Whether a file of which no record can be read goes: when others of its cell go, and none of its day
    /// or an earlier one stays.
    fn goes_with_others(&self, id: FileId, doomed: &BTreeSet<FileId>) -> bool {
        let stays = |(other, file): (&FileId, &FileState)| {
            let older = other.cell == id.cell && other.day <= id.day;
            older && !file.is_unreadable() && !doomed.contains(other)
        };
        doomed.iter().any(|other| other.cell == id.cell) && !self.files.iter().any(stays)
    }
}

impl FileState {
    /// The last entry that sealed one of its records; `None` where that is not known.
    fn newest(&self, id: FileId) -> Option<u64> {
        match &self.holds {
            Holds::Active(entries) => entries.newest(id),
            Holds::Indexed(mark) if mark.records > 0 => Some(mark.sealed.max),
            Holds::Indexed(_) | Holds::Unindexed => None,
        }
    }

    fn is_unreadable(&self) -> bool {
        matches!(&self.holds, Holds::Indexed(mark) if mark.records == 0)
    }
}

impl Core {
    /// Files that are kept no longer, and those for which there is no room.
    pub fn doomed(&self, keeps: &[Keep]) -> Doomed {
        let state = self.state.lock();
        let mut doomed = Doomed::default();
        for keep in keeps {
            while let Some((file, newest)) = state.oldest(keep, &doomed.files)
                && newest <= keep.after
            {
                doomed.files.insert(file);
            }
        }
        let bytes_of = |id: &FileId| state.files.get(id).map_or(0, |file| file.bytes);
        let all: u64 = state.files.values().map(|file| file.bytes).sum();
        let mut bytes = all - doomed.files.iter().map(bytes_of).sum::<u64>();
        while bytes > self.options.archive_max_bytes {
            let heads = keeps.iter().filter_map(|keep| {
                let (file, newest) = state.oldest(keep, &doomed.files)?;
                (newest <= keep.spared_after).then_some((keep, file, newest))
            });
            // Sealing is compared within one cell; between cells it is the day in the name.
            let Some((keep, _, newest)) = heads.min_by_key(|(_, file, _)| (file.day, *file)) else {
                break;
            };
            let floor = keep.end_of(newest);
            while let Some((file, newest)) = state.oldest(keep, &doomed.files)
                && newest <= floor
            {
                bytes -= bytes_of(&file);
                doomed.files.insert(file);
            }
            doomed.floors.insert(keep.cell, floor);
        }
        let unreadable = state.files.iter().filter(|(_, file)| file.is_unreadable());
        let empty = unreadable.filter(|(id, _)| state.goes_with_others(**id, &doomed.files));
        let empty: Vec<FileId> = empty.map(|(id, _)| *id).collect();
        doomed.files.extend(empty);
        doomed
    }

    /// Drops a complete file with its entries.
    pub async fn drop_file(
        self: &Arc<Self>,
        id: FileId,
        dropped: &mut Dropped,
    ) -> Result<(), ArchiveError> {
        let (file, index) = {
            let mut state = self.state.lock();
            let Some(file) = state.files.remove(&id) else {
                return Ok(());
            };
            (file, state.index.clone())
        };
        self.forget_handle(id);
        self.build();
        if let Some(index) = index {
            let remove = move |index: &mut dyn super::index::Index| {
                let changes = removal(index, id)?;
                index.write(changes)
            };
            if let Err(fault) = index.run(remove).await {
                self.fault(index.generation, &fault);
            }
        }
        let path = self.path(id);
        self.disk.remove(&path).await?;
        if let Some(dir) = path.parent() {
            self.disk.sync_dir(dir).await?;
        }
        let pruned = &mut dropped.pruned;
        dropped.days.insert(u32::from(id.day));
        pruned.days = dropped.days.iter().copied().collect();
        pruned.files += 1;
        pruned.bytes += file.bytes;
        if let Holds::Indexed(mark) = &file.holds {
            pruned.records += u64::from(mark.records);
        }
        Ok(())
    }
}
