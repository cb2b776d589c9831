//! Pruning: whole days go, the oldest first.
//! Promise: a file goes with its entries; today's files are never dropped.
//! Not here: when to prune (the node).

use std::collections::BTreeSet;

use super::builder::removal;
use super::core::{Core, Holds};
use super::segment::FileId;
use super::types::{ArchiveError, Pruned};
use crate::day::day_of;
use std::sync::Arc;

/// What has been dropped so far.
#[derive(Default)]
pub struct Dropped {
    pub pruned: Pruned,
    days: BTreeSet<u32>,
}

impl Core {
    /// Files that are too old, or too many, oldest first.
    pub fn doomed(&self, today_ms: u64) -> Vec<FileId> {
        let today = day_of(today_ms).unwrap_or(u16::MAX);
        let days = u16::try_from(self.options.archive_days).unwrap_or(u16::MAX);
        let oldest_kept = today.saturating_sub(days);
        let state = self.state.lock();
        let mut bytes: u64 = state.files.values().map(|file| file.bytes).sum();
        let mut files: Vec<(FileId, u64)> = state
            .files
            .iter()
            .map(|(id, file)| (*id, file.bytes))
            .collect();
        files.sort_by_key(|(file, _)| (file.day, *file));
        let mut doomed: Vec<FileId> = Vec::new();
        for (file, file_bytes) in files.into_iter().take_while(|(file, _)| file.day < today) {
            let begun = doomed.last().is_some_and(|last| last.day == file.day);
            if file.day < oldest_kept || bytes > self.options.archive_max_bytes || begun {
                bytes -= file_bytes;
                doomed.push(file);
            }
        }
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
