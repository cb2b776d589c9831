//! The disk as a seam.
//! Promise: operations on files of one [`DiskLane`] take effect in the order in which they were first
//! polled; nothing written is durable before a sync has returned; errors name operation and path.
//! Not here: formats and checksums (`store`).

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Whether `open` expects the file to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// It must exist.
    Never,
    /// It is made, empty, if it does not exist.
    IfMissing,
    /// It must not exist.
    New,
}

/// Which queue a file's operations stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskLane {
    /// The commit path of the log. Nothing slow may stand before it.
    Commit,
    /// All else: snapshots, reads, preparing segments.
    Bulk,
}

/// How a file is opened; always for reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// What to do about a missing file.
    pub create: Create,
    /// The queue of its operations.
    pub lane: DiskLane,
}

/// One durable write, see [`DiskFile::commit`].
#[derive(Clone, Debug)]
pub struct Commit {
    /// Where `bytes` go, in bytes from the start of the file.
    pub offset: u64,
    /// What is durable when the commit returns.
    pub bytes: Bytes,
    /// Written behind `bytes` after the sync, without a sync of its own and without being waited for.
    /// Should that write fail, the next operation on the file fails.
    pub trailer: Bytes,
}

/// Files and directories.
#[async_trait]
pub trait Disk: Send + Sync + 'static {
    /// Whether paths are those of the operating system, so that a library with its own files can use
    /// them beside this disk.
    fn has_paths(&self) -> bool;

    /// Makes `dir` and its parents, if missing; durable when it returns.
    async fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Opens a file.
    async fn open(&self, path: &Path, open: Open) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file, replacing `to`; durable after `sync_dir`.
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; open handles go on. Durable after `sync_dir`.
    async fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files in `dir`, sorted; directories are left out.
    async fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// The names of the directories in `dir`, sorted.
    async fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes creations, renames and removals in `dir` durable.
    async fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that may still be written below `dir`.
    async fn free_space(&self, dir: &Path) -> io::Result<u64>;

    /// Locks the file at `path`, made if missing, against every other process and caller. Fails with
    /// `WouldBlock` when it is held.
    async fn lock(&self, path: &Path) -> io::Result<DiskLock>;
}

/// An open file. Dropping it closes it.
#[allow(
    clippy::len_without_is_empty,
    reason = "asking for the length is an operation of the disk"
)]
#[async_trait]
pub trait DiskFile: Send + Sync + 'static {
    /// Writes `bytes` at `offset`; the file grows as needed.
    async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()>;

    /// Writes and syncs as one operation of the disk's thread.
    async fn commit(&self, commit: Commit) -> io::Result<()>;

    /// Up to `len` bytes from `offset`; fewer only at the end of the file.
    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Cuts or extends (with zeros) the file to `len` bytes.
    async fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes all that was written to this file durable.
    async fn sync(&self) -> io::Result<()>;

    /// The file's length in bytes.
    async fn len(&self) -> io::Result<u64>;
}

/// A lock held until dropped.
pub struct DiskLock {
    _held: Box<dyn Any + Send + Sync>,
}

impl DiskLock {
    /// A lock that ends when `held` is dropped.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self {
            _held: Box::new(held),
        }
    }
}

impl fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskLock")
    }
}

/// The same error with operation and path in its text; its kind stays.
pub(crate) fn named(error: io::Error, operation: &str, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot {operation} {}: {error}", path.display()),
    )
}
