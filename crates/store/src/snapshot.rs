//! Snapshots of groups: one file each, in chunks with checksums.
//! Promise: a snapshot is there completely or not at all; a damaged chunk is an error, never data.
//! Not here: what chunks mean, when to take a snapshot (`raft`).

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use runtime::Env;

use crate::GroupId;

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk failed.
    #[error("a snapshot failed: {0}")]
    Io(#[from] io::Error),
    /// The file does not fit its checksums. Fetch the snapshot from another voter.
    #[error("the snapshot {} is damaged at byte {offset}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A chunk or the meta part is larger than allowed: a defect of the caller.
    #[error("a part of {bytes} bytes is larger than {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
}

/// The snapshots of a node. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotStore {}

impl SnapshotStore {
    /// Opens the snapshots in `dir`, made if missing, and removes unfinished ones.
    pub async fn open(_env: &Env, _dir: &Path) -> Result<Self, SnapshotError> {
        unimplemented!()
    }

    /// Begins a snapshot, taken here or received. `meta` is opaque.
    pub async fn begin(
        &self,
        _group: GroupId,
        _meta: Bytes,
    ) -> Result<SnapshotWriter, SnapshotError> {
        unimplemented!()
    }

    /// The newest finished snapshot of a group.
    pub async fn current(&self, _group: GroupId) -> Result<Option<Snapshot>, SnapshotError> {
        unimplemented!()
    }
}

/// A snapshot being written. Dropped unfinished, it is removed at the next opening.
pub struct SnapshotWriter {}

impl SnapshotWriter {
    /// Adds a chunk.
    pub async fn write(&mut self, _chunk: Bytes) -> Result<(), SnapshotError> {
        unimplemented!()
    }

    /// Makes the snapshot durable and current, and removes older ones of the group.
    pub async fn finish(self) -> Result<Snapshot, SnapshotError> {
        unimplemented!()
    }
}

/// A finished snapshot. Readable as long as this value lives, also when a newer one replaces it.
#[derive(Clone)]
pub struct Snapshot {}

impl Snapshot {
    /// What `begin` was given.
    pub fn meta(&self) -> &Bytes {
        unimplemented!()
    }

    /// Bytes of all chunks together.
    pub fn content_bytes(&self) -> u64 {
        unimplemented!()
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u64 {
        unimplemented!()
    }

    /// blake3 over meta and chunks.
    pub fn digest(&self) -> [u8; 32] {
        unimplemented!()
    }

    /// Reads from the first chunk.
    pub fn reader(&self) -> SnapshotReader {
        unimplemented!()
    }
}

/// Reads chunks in order, each checked.
pub struct SnapshotReader {}

impl SnapshotReader {
    /// The next chunk; `None` after the last one, once the digest over all has been found to fit.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotError> {
        unimplemented!()
    }
}
