//! A disk that says that it has written something, and has written something else.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use runtime::memory::{self, MemoryDisk};
use runtime::{Commit, Disk, DiskFile, DiskLock, Env, Open};

use super::archive_test::{CELL, SMALL, chain, dir, folded, records, segment};
use super::*;

struct LyingDisk {
    inner: MemoryDisk,
    lies: Arc<AtomicBool>,
}

struct LyingFile {
    inner: Arc<dyn DiskFile>,
    lies: Arc<AtomicBool>,
}

#[async_trait]
impl Disk for LyingDisk {
    fn has_paths(&self) -> bool {
        false
    }

    async fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir).await
    }

    async fn open(&self, path: &Path, open: Open) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(LyingFile {
            inner: self.inner.open(path, open).await?,
            lies: self.lies.clone(),
        }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path).await
    }

    async fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir).await
    }

    async fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list_dirs(dir).await
    }

    async fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir).await
    }

    async fn free_space(&self, dir: &Path) -> io::Result<u64> {
        self.inner.free_space(dir).await
    }

    async fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.inner.lock(path).await
    }
}

#[async_trait]
impl DiskFile for LyingFile {
    async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        self.inner.write_at(offset, bytes).await
    }

    async fn commit(&self, mut commit: Commit) -> io::Result<()> {
        if self.lies.swap(false, Ordering::Relaxed) {
            let mut bytes = commit.bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            commit.bytes = bytes.into();
        }
        self.inner.commit(commit).await
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.inner.read_at(offset, len).await
    }

    async fn truncate(&self, len: u64) -> io::Result<()> {
        self.inner.truncate(len).await
    }

    async fn sync(&self) -> io::Result<()> {
        self.inner.sync().await
    }

    async fn len(&self) -> io::Result<u64> {
        self.inner.len().await
    }
}

#[tokio::test]
async fn what_is_not_read_back_as_it_was_written_does_not_count() {
    let disk = MemoryDisk::default();
    let lies = Arc::new(AtomicBool::new(false));
    let lying = LyingDisk {
        inner: disk.clone(),
        lies: lies.clone(),
    };
    let env = Env {
        disk: Arc::new(lying),
        ..memory::env(1)
    };
    let opened = Archive::open(&env, dir(), Arc::new(MemoryIndexes), SMALL).await;
    let archive = opened.unwrap().0;
    archive.append(records(1..3)).await.unwrap();
    lies.store(true, Ordering::Relaxed);
    let refused = archive.append(records(3..6)).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Io { .. }), "{refused}");
    assert!(!lies.load(Ordering::Relaxed));
    assert_eq!(archive.get(CELL, 3).await.unwrap(), None);
    let status = archive.status().await;
    let damage = status.last_damage.unwrap();
    assert_eq!((status.damages, damage.file), (1, segment(0)));
    archive.append(records(3..6)).await.unwrap();
    assert_eq!(chain(&archive).await.unwrap(), folded(&records(1..6)));
}
