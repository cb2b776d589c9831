//! Snapshots of groups: one file each, in chunks with checksums.
//! Promise: a snapshot is there completely or not at all; a damaged chunk is an error, never data; the
//! one finished last is current and older ones are removed after it is durable.
//! Not here: what chunks mean, when to take a snapshot (`raft`).
//!
//! A file is a head, the meta part, chunks and a foot. A part is `length u32 | crc32c u32 | bytes`, its
//! checksum seeded with its number so that parts cannot change places. All numbers little-endian.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mutants::{Mutant, planted};
use parking_lot::Mutex;
use runtime::{Create, Disk, DiskFile, DiskLane, Env, Open};

use crate::{GroupId, OpenError};

/// Bytes of one chunk: twice what a machine gives, so that framing around it fits.
pub const CHUNK_BYTES_MAX: usize = 2 << 20;
/// Bytes of the meta part.
pub const META_BYTES_MAX: usize = 1 << 20;
/// Written bytes after which a snapshot is synced in between, so that its last sync does not hold up
/// the log's.
const SYNC_EVERY_BYTES: u64 = 16 << 20;
const FORMAT: u8 = 1;
const HEAD: &[u8; 8] = b"antisnap";
/// `magic 8 | version u8 | 3 zeros | group u32`.
const HEAD_BYTES: u64 = 16;
const PART_HEAD_BYTES: u64 = 8;
/// `chunks u64 | content bytes u64 | digest 32 | crc32c u32 | 4 zeros`.
const FOOT_BYTES: u64 = 56;
const UNFINISHED: &str = ".new";

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk failed.
    #[error("a snapshot failed: {0}")]
    Io(#[from] io::Error),
    /// The file does not fit its checksums.
    #[error(
        "the snapshot {} is damaged at byte {offset}: {what}. A node that runs goes on and writes another one; a \
         node that does not start has lost what its log does not hold any more. {}",
        file.display(),
        OpenError::INSTEAD
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where, in bytes.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// Written by a later version.
    #[error(
        "the snapshot {} is written in version {found} of the format, and this program knows version {FORMAT}: \
         start the version of antiphon that wrote it, or a later one",
        file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The version found.
        found: u8,
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
pub struct SnapshotStore {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Grows with every snapshot begun and finished; the highest of a group is current.
    next: AtomicU64,
    /// Files with a living writer.
    writing: Mutex<BTreeSet<String>>,
}

impl SnapshotStore {
    /// Opens the snapshots in `dir`, made if missing, and removes unfinished ones.
    pub async fn open(env: &Env, dir: &Path) -> Result<Self, SnapshotError> {
        env.disk.create_dir_all(dir).await?;
        let newest = env
            .disk
            .list(dir)
            .await?
            .iter()
            .filter_map(|name| numbers_of(name))
            .map(|(_, n)| n)
            .max();
        let inner = Inner {
            disk: env.disk.clone(),
            dir: dir.to_owned(),
            next: AtomicU64::new(newest.unwrap_or(0) + 1),
            writing: Mutex::default(),
        };
        inner.remove_unfinished().await?;
        // A killed process may have renamed a snapshot without syncing that.
        env.disk.sync_dir(dir).await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The snapshots in `dir` as they stand, to be read alone: nothing is made, removed or synced.
    pub fn as_they_stand(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        let inner = Inner {
            disk,
            dir: dir.to_owned(),
            next: AtomicU64::new(1),
            writing: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Begins a snapshot, taken here or received. `meta` is opaque.
    pub async fn begin(
        &self,
        group: GroupId,
        meta: Bytes,
    ) -> Result<SnapshotWriter, SnapshotError> {
        self.inner.remove_unfinished().await?;
        let name = format!("{}{UNFINISHED}", name_of(group, self.inner.number()));
        let living = Living {
            inner: self.inner.clone(),
            name,
        };
        self.inner.writing.lock().insert(living.name.clone());
        let open = Open {
            create: Create::New,
            lane: DiskLane::Bulk,
        };
        let file = self
            .inner
            .disk
            .open(&self.inner.dir.join(&living.name), open)
            .await?;
        let mut head = BytesMut::with_capacity(HEAD_BYTES as usize);
        head.put_slice(HEAD);
        head.put_slice(&[FORMAT, 0, 0, 0]);
        head.put_u32_le(group.0);
        file.write_at(0, head.freeze()).await?;
        let mut writer = SnapshotWriter {
            living,
            group,
            file,
            offset: HEAD_BYTES,
            synced: 0,
            parts: 0,
            content_bytes: 0,
            hasher: blake3::Hasher::new(),
        };
        writer.hasher.update(&(meta.len() as u64).to_le_bytes());
        writer.put(meta, META_BYTES_MAX).await?;
        Ok(writer)
    }

    /// Groups that have a finished snapshot, in order.
    ///
    /// # Errors
    /// When the disk refuses; a folder that is not there holds none.
    pub async fn groups(&self) -> Result<BTreeSet<GroupId>, SnapshotError> {
        let names = match self.inner.disk.list(&self.inner.dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        let found = names.iter().filter_map(|name| numbers_of(name));
        Ok(found.map(|(group, _)| group).collect())
    }

    /// The newest finished snapshot of a group; its chunks are not checked before they are read.
    pub async fn current(&self, group: GroupId) -> Result<Option<Snapshot>, SnapshotError> {
        let names = self.inner.disk.list(&self.inner.dir).await?;
        let found = names
            .iter()
            .filter_map(|name| numbers_of(name))
            .filter(|(of, _)| *of == group);
        match found.map(|(_, number)| number).max() {
            Some(number) => Ok(Some(self.inner.read_frame(group, number).await?)),
            None => Ok(None),
        }
    }
}

impl Inner {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Removes what writers left behind that were dropped or died with the process.
    async fn remove_unfinished(&self) -> io::Result<()> {
        for name in self.disk.list(&self.dir).await? {
            if name.ends_with(UNFINISHED) && !self.writing.lock().contains(&name) {
                self.disk.remove(&self.dir.join(name)).await?;
            }
        }
        Ok(())
    }

    async fn remove_older(&self, group: GroupId, newest: u64) -> io::Result<()> {
        for name in self.disk.list(&self.dir).await? {
            if numbers_of(&name).is_some_and(|(of, number)| of == group && number < newest) {
                self.disk.remove(&self.dir.join(name)).await?;
            }
        }
        self.disk.sync_dir(&self.dir).await
    }

    /// Opens a finished file and checks head, meta part and foot.
    async fn read_frame(&self, group: GroupId, number: u64) -> Result<Snapshot, SnapshotError> {
        let path = self.dir.join(name_of(group, number));
        let file = self
            .disk
            .open(
                &path,
                Open {
                    create: Create::Never,
                    lane: DiskLane::Bulk,
                },
            )
            .await?;
        let damaged = |offset, what| SnapshotError::Damaged {
            file: path.clone(),
            offset,
            what,
        };
        let len = file.len().await?;
        let foot_at = len
            .checked_sub(FOOT_BYTES)
            .ok_or_else(|| damaged(0, "it is too short"))?;
        let mut head = file.read_at(0, HEAD_BYTES as usize).await?;
        if head.len() < HEAD_BYTES as usize || !head.starts_with(HEAD) {
            return Err(damaged(0, "its head is unreadable"));
        }
        head.advance(HEAD.len());
        let found = head.get_u8();
        if found > FORMAT {
            return Err(SnapshotError::NewerFormat {
                file: path.clone(),
                found,
            });
        }
        head.advance(3);
        if head.get_u32_le() != group.0 {
            return Err(damaged(0, "it belongs to another group"));
        }
        let mut foot = file.read_at(foot_at, FOOT_BYTES as usize).await?;
        let crc = crc32c::crc32c(&foot[..48]);
        let (chunks, content_bytes) = (foot.get_u64_le(), foot.get_u64_le());
        let mut digest = [0; 32];
        foot.copy_to_slice(&mut digest);
        if foot.get_u32_le() != crc {
            return Err(damaged(foot_at, "its foot is unreadable"));
        }
        let body = Contents {
            file,
            path: path.clone(),
            foot_at,
        };
        let meta = body.part(HEAD_BYTES, 0).await?;
        Ok(Snapshot {
            contents: Arc::new(body),
            meta,
            chunks,
            content_bytes,
            digest,
        })
    }
}

/// Tells that a file has a writer.
struct Living {
    inner: Arc<Inner>,
    name: String,
}

impl Drop for Living {
    fn drop(&mut self) {
        self.inner.writing.lock().remove(&self.name);
    }
}

/// A snapshot being written. Dropped unfinished, its file is removed when the next one begins.
pub struct SnapshotWriter {
    living: Living,
    group: GroupId,
    file: Arc<dyn DiskFile>,
    offset: u64,
    synced: u64,
    parts: u32,
    content_bytes: u64,
    hasher: blake3::Hasher,
}

impl SnapshotWriter {
    /// Adds a chunk of at most [`CHUNK_BYTES_MAX`].
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), SnapshotError> {
        self.content_bytes += chunk.len() as u64;
        self.put(chunk, CHUNK_BYTES_MAX).await
    }

    /// Makes the snapshot durable and current, and removes older ones of the group.
    pub async fn finish(self) -> Result<Snapshot, SnapshotError> {
        let inner = &self.living.inner;
        let mut foot = BytesMut::with_capacity(FOOT_BYTES as usize);
        foot.put_u64_le(u64::from(self.parts - 1));
        foot.put_u64_le(self.content_bytes);
        foot.put_slice(self.hasher.finalize().as_bytes());
        foot.put_u32_le(crc32c::crc32c(&foot));
        foot.put_u32_le(0);
        self.file.write_at(self.offset, foot.freeze()).await?;
        if !planted(Mutant::SnapshotNotSynced) {
            self.file.sync().await?;
        }
        let number = inner.number();
        let path = inner.dir.join(name_of(self.group, number));
        inner
            .disk
            .rename(&inner.dir.join(&self.living.name), &path)
            .await?;
        inner.disk.sync_dir(&inner.dir).await?;
        inner.remove_older(self.group, number).await?;
        inner.read_frame(self.group, number).await
    }

    async fn put(&mut self, part: Bytes, bytes_max: usize) -> Result<(), SnapshotError> {
        if part.len() > bytes_max {
            return Err(SnapshotError::TooLarge {
                bytes: part.len(),
                bytes_max,
            });
        }
        self.hasher.update(&part);
        let mut framed = BytesMut::with_capacity(part.len() + PART_HEAD_BYTES as usize);
        framed.put_u32_le(part.len() as u32);
        framed.put_u32_le(crc32c::crc32c_append(self.parts, &part));
        framed.put_slice(&part);
        let bytes = framed.len() as u64;
        self.file.write_at(self.offset, framed.freeze()).await?;
        self.offset += bytes;
        self.parts += 1;
        if self.offset - self.synced >= SYNC_EVERY_BYTES {
            self.file.sync().await?;
            self.synced = self.offset;
        }
        Ok(())
    }
}

/// A finished snapshot. Readable as long as this value lives, also when a newer one replaces it.
#[derive(Clone)]
pub struct Snapshot {
    contents: Arc<Contents>,
    meta: Bytes,
    chunks: u64,
    content_bytes: u64,
    digest: [u8; 32],
}

impl Snapshot {
    /// What `begin` was given.
    pub fn meta(&self) -> &Bytes {
        &self.meta
    }

    /// Bytes of all chunks together.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// blake3 over the length of meta (u64), meta and all chunks.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Reads from the first chunk.
    pub fn reader(&self) -> SnapshotReader {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&(self.meta.len() as u64).to_le_bytes())
            .update(&self.meta);
        let offset = HEAD_BYTES + PART_HEAD_BYTES + self.meta.len() as u64;
        SnapshotReader {
            snapshot: self.clone(),
            offset,
            read: 0,
            hasher,
        }
    }
}

/// Reads chunks in order, each checked.
pub struct SnapshotReader {
    snapshot: Snapshot,
    offset: u64,
    read: u64,
    hasher: blake3::Hasher,
}

impl SnapshotReader {
    /// The next chunk; `None` after the last one, once the digest over all has been found to fit.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotError> {
        let contents = &self.snapshot.contents;
        if self.read == self.snapshot.chunks {
            let fits = self.offset == contents.foot_at
                && *self.hasher.finalize().as_bytes() == self.snapshot.digest;
            return match fits {
                true => Ok(None),
                false => Err(contents.damaged(self.offset, "its chunks do not fit its digest")),
            };
        }
        let chunk = contents.part(self.offset, self.read as u32 + 1).await?;
        self.hasher.update(&chunk);
        self.offset += PART_HEAD_BYTES + chunk.len() as u64;
        self.read += 1;
        Ok(Some(chunk))
    }
}

struct Contents {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    foot_at: u64,
}

impl Contents {
    async fn part(&self, offset: u64, number: u32) -> Result<Bytes, SnapshotError> {
        let mut head = self.file.read_at(offset, PART_HEAD_BYTES as usize).await?;
        let start = offset + PART_HEAD_BYTES;
        if start > self.foot_at || head.len() < PART_HEAD_BYTES as usize {
            return Err(self.damaged(offset, "a part is missing"));
        }
        let (len, crc) = (head.get_u32_le(), head.get_u32_le());
        if start + u64::from(len) > self.foot_at {
            return Err(self.damaged(offset, "the length of a part is unreadable"));
        }
        let part = self.file.read_at(start, len as usize).await?;
        if part.len() < len as usize || crc32c::crc32c_append(number, &part) != crc {
            return Err(self.damaged(offset, "a part does not fit its checksum"));
        }
        Ok(part)
    }

    fn damaged(&self, offset: u64, what: &'static str) -> SnapshotError {
        SnapshotError::Damaged {
            file: self.path.clone(),
            offset,
            what,
        }
    }
}

fn name_of(group: GroupId, number: u64) -> String {
    format!("{:010}-{number:016}.snap", group.0)
}

fn numbers_of(name: &str) -> Option<(GroupId, u64)> {
    let (group, number) = name.strip_suffix(".snap")?.split_once('-')?;
    Some((GroupId(group.parse().ok()?), number.parse().ok()?))
}

#[cfg(test)]
#[path = "snapshot_test.rs"]
mod tests;
