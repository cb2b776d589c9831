//! Opening an archive: which files are there, which of them the index covers.
//! Promise: a file counts as indexed only if the index holds it to its very end; the others are read.
//! Not here: reading them (`builder`).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::builder::removal;
use super::core::{BULK, Core, FileState, Holds};
use super::discard::{self, Loaded};
use super::index::{Index, IndexFault, Opened};
use super::pages::{MARKS, Mark};
use super::segment::{ARCHIVE, FileId, SEGMENT_HEAD_BYTES, read_head};
use super::types::{ArchiveNotice, ArchiveOpenError};
use crate::frame::FileHead;

/// Finds files, discards and index, and has the builder started for what the index lacks.
pub async fn recover(core: &Arc<Core>) -> Result<(), ArchiveOpenError> {
    core.disk.create_dir_all(&core.dir).await?;
    let dirs = core.disk.list_dirs(&core.dir).await?;
    for dir in dirs {
        let cell = dir
            .parse()
            .ok()
            .filter(|cell: &u32| cell.to_string() == dir);
        if let Some(cell) = cell {
            recover_cell(core, cell).await?;
        }
    }
    match open_index(core).await {
        Ok((index, marks)) => take_over(core, index, marks),
        Err(fault) => {
            tracing::error!(%fault, "the archive's index is set aside and built anew");
            let mut state = core.state.lock();
            state.set_aside += 1;
            state.note(ArchiveNotice::IndexSetAside {
                why: fault.to_string(),
            });
        }
    }
    core.build();
    Ok(())
}

async fn recover_cell(core: &Arc<Core>, cell: u32) -> Result<(), ArchiveOpenError> {
    let dir = core.dir.join(cell.to_string());
    for name in core.disk.list(&dir).await? {
        if let Some(id) = FileId::named(cell, &name) {
            recover_file(core, id).await?;
        }
    }
    // A killed process may have made or renamed a file without syncing that.
    core.disk.sync_dir(&dir).await?;
    match discard::load(&*core.disk, &core.dir, cell).await? {
        Loaded::Discards {
            mut discards,
            floor,
        } => {
            let mut state = core.state.lock();
            state.discards.append(&mut discards);
            state.floors.insert(cell, floor);
        }
        Loaded::Newer(file, found) => return Err(newer(file, found)),
        Loaded::Damaged(file) => {
            let damage = super::types::Damage {
                file,
                offset: 0,
                what: "the ranges that had to give way are unreadable",
            };
            tracing::error!(%damage, "archive");
            let mut state = core.state.lock();
            state.last_damage = Some(damage.clone());
            state.note(ArchiveNotice::Damaged(damage));
        }
    }
    Ok(())
}

async fn recover_file(core: &Arc<Core>, id: FileId) -> Result<(), ArchiveOpenError> {
    let path = core.path(id);
    let file = core.disk.open(&path, BULK).await?;
    let bytes = file.len().await?;
    let content = file.read_at(0, SEGMENT_HEAD_BYTES as usize).await?;
    let mut state = FileState {
        salt: 0,
        bytes,
        settled: false,
        revision: 0,
        holds: Holds::Unindexed,
    };
    match read_head(&content, id) {
        FileHead::Valid { salt } => state.salt = salt,
        FileHead::Newer(found) => return Err(newer(path, found)),
        // Nothing was written behind the head before that was durable.
        FileHead::Invalid if bytes <= SEGMENT_HEAD_BYTES => {
            core.disk.remove(&path).await?;
            return Ok(());
        }
        FileHead::Invalid => {
            core.damaged(id, 0, "the head of a segment is unreadable");
            state.settled = true;
            state.holds = Holds::Indexed(Arc::default());
        }
    }
    core.state.lock().files.insert(id, state);
    Ok(())
}

/// The index and what it says of each file.
async fn open_index(core: &Core) -> Result<(Opened, BTreeMap<FileId, Mark>), IndexFault> {
    let index = Opened::open(&core.opener, &core.dir, 1).await?;
    let sizes: BTreeMap<FileId, u64> = {
        let state = core.state.lock();
        state
            .files
            .iter()
            .map(|(id, file)| (*id, file.bytes))
            .collect()
    };
    let marks = index.run(move |index| read_marks(index, &sizes)).await;
    if marks.is_err()
        && let Err(fault) = index.close().await
    {
        tracing::warn!(%fault, "a broken index does not close and is left to its thread");
    }
    Ok((index, marks?))
}

/// Reads the marks that fit their files, and removes what the index has of files that are gone.
fn read_marks(
    index: &mut dyn Index,
    sizes: &BTreeMap<FileId, u64>,
) -> Result<BTreeMap<FileId, Mark>, IndexFault> {
    let mut marks = BTreeMap::new();
    let mut damaged = false;
    index.each(&[MARKS], &mut |key, value| match Mark::decode(key, value) {
        Some((file, mark)) => drop(marks.insert(file, mark)),
        None => damaged = true,
    })?;
    if damaged {
        return Err(IndexFault::Failed("a mark is unreadable".to_owned()));
    }
    let gone: Vec<FileId> = marks
        .keys()
        .copied()
        .filter(|file| !sizes.contains_key(file))
        .collect();
    for file in gone {
        let changes = removal(index, file)?;
        index.write(changes)?;
    }
    marks.retain(|file, mark| sizes.get(file) == Some(&mark.bytes));
    Ok(marks)
}

fn take_over(core: &Core, index: Opened, marks: BTreeMap<FileId, Mark>) {
    let mut state = core.state.lock();
    state.generation = index.generation;
    state.index = Some(index);
    for (id, mark) in marks {
        if let Some(file) = state.files.get_mut(&id) {
            file.settled = true;
            file.holds = Holds::Indexed(Arc::new(mark));
        }
    }
}

fn newer(file: std::path::PathBuf, found: u8) -> ArchiveOpenError {
    ArchiveOpenError::NewerFormat {
        file,
        found,
        known: ARCHIVE.version,
    }
}

impl From<IndexFault> for io::Error {
    fn from(fault: IndexFault) -> Self {
        Self::other(fault)
    }
}
