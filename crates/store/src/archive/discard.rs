//! Discards: ranges of records that must give way, and how far into each file they reach; and up to where
//! records were dropped for lack of room.
//! Promise: a discarded record is never served again; one that is archived after the discard is.
//! Not here: when a range is discarded (the caller of `Archive::discard`).
//!
//! The discards of a cell lie in `CELL/discards`, written anew with each one: they are few, each being
//! a repair.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use runtime::{Create, Disk, DiskLane, Open};

use super::block::{get_number, put_number};
use super::core::Core;
use super::segment::{
    ARCHIVE, FileId, KIND_DISCARD, KIND_FLOOR, SEGMENT_HEAD_BYTES, Stamp, head, read_head,
};
use super::types::Sealing;
use crate::frame::FileHead;

/// Records of one cell that stand before the cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    pub cell: u32,
    /// The first and the last record, both included.
    pub from: Sealing,
    pub to: Sealing,
    /// For each file of the cell then, the bytes that it had.
    pub cuts: BTreeMap<FileId, u64>,
}

impl Discard {
    /// Whether it covers the record of a block at `offset`.
    pub fn covers(&self, file: FileId, offset: u64, at: Sealing) -> bool {
        (self.from..=self.to).contains(&at) && self.cuts.get(&file).is_some_and(|cut| offset < *cut)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [
            self.from.sealed,
            self.from.conversation,
            self.to.sealed,
            self.to.conversation,
            self.cuts.len() as u64,
        ] {
            put_number(&mut out, number);
        }
        for (file, cut) in &self.cuts {
            put_number(&mut out, file.packed());
            put_number(&mut out, *cut);
        }
        out
    }

    fn decode(cell: u32, mut from: Bytes) -> Option<Self> {
        let mut sealing = || {
            Some(Sealing {
                sealed: get_number(&mut from)?,
                conversation: get_number(&mut from)?,
            })
        };
        let (first, last) = (sealing()?, sealing()?);
        let cuts = (0..get_number(&mut from)?)
            .map(|_| {
                Some((
                    FileId::unpacked(get_number(&mut from)?),
                    get_number(&mut from)?,
                ))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            cell,
            from: first,
            to: last,
            cuts,
        })
    }
}

/// What a cell's file of discards says.
pub enum Loaded {
    Discards {
        discards: Vec<Discard>,
        /// Up to which entry records were dropped for lack of room.
        floor: u64,
    },
    /// Unreadable: records that had to give way may be served again until they are discarded anew.
    Damaged(PathBuf),
    Newer(PathBuf, u8),
}

/// The id in the head of a cell's discards, which is no segment's: its day is never reached.
fn id(cell: u32) -> FileId {
    FileId {
        cell,
        day: u16::MAX,
        number: u16::MAX,
    }
}

fn path(dir: &Path, cell: u32) -> PathBuf {
    dir.join(cell.to_string()).join("discards")
}

/// Reads the discards of a cell.
pub async fn load(disk: &dyn Disk, dir: &Path, cell: u32) -> io::Result<Loaded> {
    let path = path(dir, cell);
    let open = Open {
        create: Create::Never,
        lane: DiskLane::Bulk,
    };
    let file = match disk.open(&path, open).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Loaded::Discards {
                discards: Vec::new(),
                floor: 0,
            });
        }
        Err(error) => return Err(error),
    };
    let content = file.read_at(0, file.len().await? as usize).await?;
    let salt = match read_head(&content, id(cell)) {
        FileHead::Valid { salt } => salt,
        FileHead::Newer(found) => return Ok(Loaded::Newer(path, found)),
        FileHead::Invalid => return Ok(Loaded::Damaged(path)),
    };
    let (mut discards, mut floor) = (Vec::new(), 0);
    let mut at = SEGMENT_HEAD_BYTES as usize;
    // Frames stand without a gap: what cannot be read is damage.
    while at < content.len() {
        let Ok(frame) = ARCHIVE.parse(salt, &content, at) else {
            return Ok(Loaded::Damaged(path));
        };
        let mut body = frame.body;
        let read = match frame.head.kind {
            KIND_DISCARD => Discard::decode(cell, body).map(|discard| discards.push(discard)),
            KIND_FLOOR => get_number(&mut body).map(|read| floor = read),
            _ => None,
        };
        if read.is_none() {
            return Ok(Loaded::Damaged(path));
        }
        at += frame.bytes;
    }
    Ok(Loaded::Discards { discards, floor })
}

/// Replaces the discards of a cell, durably.
async fn store(
    disk: &dyn Disk,
    dir: &Path,
    cell: u32,
    salt: u32,
    (discards, floor): (&[Discard], u64),
) -> io::Result<()> {
    let path = path(dir, cell);
    let unfinished = path.with_extension("new");
    let open = Open {
        create: Create::IfMissing,
        lane: DiskLane::Bulk,
    };
    let mut content = head(id(cell), salt).to_vec();
    let batch = 0;
    let mut dropped = Vec::new();
    put_number(&mut dropped, floor);
    content.extend_from_slice(&Stamp { cell, salt, batch }.floor(&dropped));
    for (batch, discard) in (1..).zip(discards) {
        let stamp = Stamp { cell, salt, batch };
        content.extend_from_slice(&stamp.discard(&discard.encode()));
    }
    let file = disk.open(&unfinished, open).await?;
    file.truncate(0).await?;
    file.write_at(0, content.into()).await?;
    file.sync().await?;
    disk.rename(&unfinished, &path).await?;
    disk.sync_dir(&dir.join(cell.to_string())).await
}

impl Core {
    /// Replaces the discards of a cell, without the files that are no more.
    pub async fn store_discards(&self, cell: u32, discards: Vec<Discard>) -> io::Result<()> {
        let floor = self.state.lock().floors.get(&cell).copied();
        self.store_both(cell, (discards, floor.unwrap_or_default()))
            .await
    }

    /// Notes durably that records of a cell up to an entry are dropped for lack of room.
    pub async fn store_floor(&self, cell: u32, floor: u64) -> io::Result<()> {
        let (discards, before) = {
            let state = self.state.lock();
            let all = state.discards.iter().filter(|discard| discard.cell == cell);
            let discards: Vec<Discard> = all.cloned().collect();
            (discards, state.floors.get(&cell).copied())
        };
        let floor = before.map_or(floor, |before| before.max(floor));
        self.store_both(cell, (discards, floor)).await
    }

    async fn store_both(
        &self,
        cell: u32,
        (mut discards, floor): (Vec<Discard>, u64),
    ) -> io::Result<()> {
        {
            let state = self.state.lock();
            for discard in &mut discards {
                discard
                    .cuts
                    .retain(|file, _| state.files.contains_key(file));
            }
        }
        discards.retain(|discard| !discard.cuts.is_empty());
        let dir = self.dir.join(cell.to_string());
        self.disk.create_dir_all(&dir).await?;
        let salt = self.random.next_u64() as u32;
        store(&*self.disk, &self.dir, cell, salt, (&discards, floor)).await?;
        let mut state = self.state.lock();
        state.floors.insert(cell, floor);
        state.discards.retain(|discard| discard.cell != cell);
        state.discards.append(&mut discards);
        Ok(())
    }
}
