//! Segment files: names, head, zero-filling ahead.
//! Promise: a segment under its final name is complete and durable, so writes into it allocate nothing.
//! Not here: what is written into it (`writer`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use runtime::{Create, Disk, DiskFile, DiskLane, Open};

use super::frame::LOG;
use crate::frame::{FILE_HEAD_BYTES, FileHead};

/// Bytes before the first frame.
pub const SEGMENT_HEAD_BYTES: usize = FILE_HEAD_BYTES;
/// Zeros written at once; also the most that other bulk work waits for.
const FILL_BYTES: usize = 1 << 20;
/// Zeros after which the file is synced, so that one large sync does not hold up the log's.
const FILL_SYNC_BYTES: u64 = 8 << 20;

/// An open segment.
pub struct Segment {
    /// Counts up without a gap.
    pub number: u32,
    /// Seeds the checksums of this segment.
    pub salt: u32,
    pub path: PathBuf,
    /// The file's length.
    pub bytes: u64,
    /// For commits.
    pub file: Arc<dyn DiskFile>,
    /// For reads, off the commit path.
    pub reader: Arc<dyn DiskFile>,
}

/// Where a segment lives.
pub fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.wal"))
}

/// The number in a segment's file name.
pub fn number_of(name: &str) -> Option<u32> {
    name.strip_suffix(".wal")?.parse().ok()
}

/// Whether a file is a segment that was not completed.
pub fn is_unfinished(name: &str) -> bool {
    name.ends_with(".wal.new")
}

/// Makes a zero-filled segment of `bytes` and opens it.
pub async fn prepare(
    disk: &dyn Disk,
    dir: &Path,
    number: u32,
    salt: u32,
    bytes: u64,
) -> io::Result<Segment> {
    let path = path_of(dir, number);
    let unfinished = path.with_extension("wal.new");
    let filled = fill(disk, &unfinished, number, salt, bytes).await;
    if filled.is_err() {
        // Gives the space back. A failure leaves a file that the next opening removes.
        drop(disk.remove(&unfinished).await);
    }
    filled?;
    disk.rename(&unfinished, &path).await?;
    disk.sync_dir(dir).await?;
    open(disk, path, number, salt).await
}

async fn fill(disk: &dyn Disk, path: &Path, number: u32, salt: u32, bytes: u64) -> io::Result<()> {
    let file = disk
        .open(
            path,
            Open {
                create: Create::IfMissing,
                lane: DiskLane::Bulk,
            },
        )
        .await?;
    file.truncate(0).await?;
    file.write_at(0, LOG.file_head(salt, u64::from(number)))
        .await?;
    let zeros = Bytes::from(vec![0; FILL_BYTES]);
    let mut at = SEGMENT_HEAD_BYTES as u64;
    while at < bytes {
        let part = (bytes - at).min(FILL_BYTES as u64);
        file.write_at(at, zeros.slice(..part as usize)).await?;
        let before = at / FILL_SYNC_BYTES;
        at += part;
        if at / FILL_SYNC_BYTES > before {
            file.sync().await?;
        }
    }
    file.sync().await
}

/// Opens the handles of a segment whose head has been read.
pub async fn open(disk: &dyn Disk, path: PathBuf, number: u32, salt: u32) -> io::Result<Segment> {
    let file = disk
        .open(
            &path,
            Open {
                create: Create::Never,
                lane: DiskLane::Commit,
            },
        )
        .await?;
    let reader = disk
        .open(
            &path,
            Open {
                create: Create::Never,
                lane: DiskLane::Bulk,
            },
        )
        .await?;
    let bytes = reader.len().await?;
    Ok(Segment {
        number,
        salt,
        path,
        bytes,
        file,
        reader,
    })
}

/// Reads the head of segment `number`.
pub fn read_head(content: &Bytes, number: u32) -> FileHead {
    LOG.read_file_head(content, u64::from(number))
}
