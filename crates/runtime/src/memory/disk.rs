//! A disk in memory that knows which bytes are synced and fails on request.
//! Promise: after `crash`, synced bytes are there; unsynced writes are kept, lost or torn by 512-byte
//! sectors as asked; names follow `sync_dir` in the same way.
//! Not here: latency of reads, several hosts on one disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::faults::{Faults, SyncFault, Unsynced};
use crate::Random;
use crate::disk::{Commit, Create, Disk, DiskFile, DiskLock, Open, named};

/// What a write can tear into: the sector of a disk.
const SECTOR_BYTES: u64 = 512;

/// A disk for tests, for `dev` without a data directory and for the simulation; clones share it.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
    /// The process that this handle belongs to; it dies with the next crash.
    life: u64,
}

#[derive(Default)]
struct State {
    faults: Faults,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
    files: Vec<FileState>,
    locks: BTreeMap<PathBuf, u64>,
    next_lock: u64,
    syncs: u64,
    life: u64,
}

#[derive(Clone)]
enum NameChange {
    Set {
        path: PathBuf,
        file: usize,
    },
    Gone {
        path: PathBuf,
    },
    Moved {
        from: PathBuf,
        to: PathBuf,
        file: usize,
    },
}

#[derive(Default)]
struct FileState {
    bytes: Vec<u8>,
    writes: Vec<Write>,
}

/// A change of a file that is not durable yet, with what it replaced.
struct Write {
    offset: u64,
    new: Bytes,
    old: Vec<u8>,
    len_before: usize,
    len_after: usize,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Unsynced,
    Synced,
    Dropped,
}

impl MemoryDisk {
    /// Changes the faults in force.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.lock().faults);
    }

    /// Ends the process, or cuts the power: unsynced data meets `unsynced`, locks end, faults end except the capacity.
    /// Gives the disk of the next life; this handle, its clones and its files fail from now on, so
    /// that tasks of the dead process write nothing more.
    #[must_use]
    pub fn crash(&self, unsynced: &Unsynced) -> Self {
        let mut state = self.state.lock();
        state.crash(unsynced);
        state.life += 1;
        Self {
            state: self.state.clone(),
            life: state.life,
        }
    }

    /// Inverts bits: each byte from `offset` is xored with `mask`'s next. Durable at once.
    pub fn damage(&self, path: &Path, offset: u64, mask: &[u8]) {
        self.hurt(path, |file| {
            let bytes = file.bytes.iter_mut().skip(offset as usize);
            bytes.zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        });
    }

    /// Cuts a file to `len` bytes. Durable at once.
    pub fn cut_file(&self, path: &Path, len: u64) {
        self.hurt(path, |file| {
            file.writes.clear();
            file.bytes.truncate(len as usize);
        });
    }

    fn hurt(&self, path: &Path, change: impl FnOnce(&mut FileState)) {
        let mut state = self.state.lock();
        if let Some(&file) = state.names.get(path) {
            change(&mut state.files[file]);
        }
    }

    /// The content of a file as a reader would see it now.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let file = *state.names.get(path)?;
        Some(state.files[file].bytes.clone())
    }

    /// What a power cut now would leave of a part of a file: its bytes where all of them are synced and the file has its
    /// name for good, else nothing.
    pub fn synced(&self, path: &Path, offset: u64, len: u64) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let file = *state.durable_names.get(path)?;
        let found = &state.files[file];
        let (from, to) = (offset as usize, (offset + len) as usize);
        let loose = found.writes.iter().any(|write| {
            let end = write.offset as usize + write.new.len();
            write.fate != Fate::Synced && (write.offset as usize) < to && from < end
        });
        let bytes = found.bytes.get(from..to).filter(|_| !loose)?;
        Some(bytes.to_vec())
    }

    /// All files with their lengths, sorted by path.
    pub fn sizes(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let size = |file: &usize| state.files[*file].bytes.len() as u64;
        let files = state.names.iter();
        files
            .map(|(path, file)| (path.clone(), size(file)))
            .collect()
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state.lock().names.keys().cloned().collect()
    }

    /// Syncs of files that have succeeded since the disk was made.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    fn step<T>(
        &self,
        operation: &'static str,
        path: &Path,
        job: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state.lock();
        let done = state.powered(self.life).and_then(|()| job(&mut state));
        done.map_err(|error| named(error, operation, path))
    }
}

impl State {
    fn powered(&mut self, life: u64) -> io::Result<()> {
        if life != self.life {
            return Err(io::Error::other("the process has died"));
        }
        match &mut self.faults.power_lost_after {
            Some(0) => Err(io::Error::other("the power is cut")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn open(&mut self, path: &Path, create: Create) -> io::Result<usize> {
        match (self.names.get(path), create) {
            (Some(_), Create::New) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(&file), _) => Ok(file),
            (None, Create::Never) => Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                let file = self.files.len();
                self.files.push(FileState::default());
                self.names.insert(path.to_owned(), file);
                self.unsynced_names.push(NameChange::Set {
                    path: path.to_owned(),
                    file,
                });
                Ok(file)
            }
        }
    }

    fn room_for(&self, file: usize, end: usize) -> io::Result<()> {
        let grows = end.saturating_sub(self.files[file].bytes.len()) as u64;
        if grows > 0 && grows > self.free() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn free(&self) -> u64 {
        let used: u64 = self
            .names
            .values()
            .map(|&file| self.files[file].bytes.len() as u64)
            .sum();
        self.faults
            .capacity_bytes
            .unwrap_or(u64::MAX / 2)
            .saturating_sub(used)
    }

    fn write(&mut self, file: usize, offset: u64, bytes: Bytes) -> io::Result<()> {
        self.room_for(file, offset as usize + bytes.len())?;
        self.files[file].write(offset, bytes);
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        match self.faults.sync {
            None => {
                self.syncs += 1;
                self.files[file].settle(Fate::Synced);
                return Ok(());
            }
            Some(SyncFault::Once) => self.faults.sync = None,
            Some(SyncFault::Forever) => {}
        }
        self.files[file].settle(Fate::Dropped);
        Err(io::Error::other("input/output error (injected)"))
    }

    fn sync_dir(&mut self, dir: &Path) {
        let changes = std::mem::take(&mut self.unsynced_names);
        for change in changes {
            if change.is_in(dir) {
                change.apply(&mut self.durable_names);
            } else {
                self.unsynced_names.push(change);
            }
        }
    }

    fn crash(&mut self, unsynced: &Unsynced) {
        match unsynced {
            // The kernel still has everything, and a power cut may still take it.
            Unsynced::Kept => {}
            Unsynced::Lost => self.cut(None),
            Unsynced::Torn(random) => self.cut(Some(random)),
        }
        self.locks.clear();
        self.faults = Faults {
            capacity_bytes: self.faults.capacity_bytes,
            ..Faults::default()
        };
    }

    /// A power cut: what was not synced is lost, or kept by draws of `torn`.
    fn cut(&mut self, torn: Option<&Random>) {
        let changes = std::mem::take(&mut self.unsynced_names);
        let kept = torn.map_or(0, |random| random.below(changes.len() as u64 + 1));
        changes
            .iter()
            .take(kept as usize)
            .for_each(|change| change.apply(&mut self.durable_names));
        self.names = self.durable_names.clone();
        self.files.iter_mut().for_each(|file| file.cut(torn));
    }
}

impl NameChange {
    fn is_in(&self, dir: &Path) -> bool {
        let (Self::Set { path, .. } | Self::Gone { path } | Self::Moved { to: path, .. }) = self;
        path.parent() == Some(dir)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Set { path, file } => drop(names.insert(path.clone(), *file)),
            Self::Gone { path } => drop(names.remove(path)),
            Self::Moved { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

impl FileState {
    fn write(&mut self, offset: u64, new: Bytes) {
        let (start, len_before) = (offset as usize, self.bytes.len());
        let end = start + new.len();
        let old = self
            .bytes
            .get(start.min(len_before)..end.min(len_before))
            .unwrap_or_default()
            .to_vec();
        self.put(start, &new);
        let len_after = self.bytes.len();
        self.writes.push(Write {
            offset,
            new,
            old,
            len_before,
            len_after,
            fate: Fate::Unsynced,
        });
    }

    fn truncate(&mut self, len: usize) {
        let len_before = self.bytes.len();
        let old = self.bytes.get(len..).unwrap_or_default().to_vec();
        self.bytes.resize(len, 0);
        let offset = len.min(len_before) as u64;
        let write = Write {
            offset,
            new: Bytes::new(),
            old,
            len_before,
            len_after: len,
            fate: Fate::Unsynced,
        };
        self.writes.push(write);
    }

    fn put(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
    }

    fn settle(&mut self, fate: Fate) {
        let open = self
            .writes
            .iter_mut()
            .filter(|write| write.fate == Fate::Unsynced);
        open.for_each(|write| write.fate = fate);
        if self.writes.iter().all(|write| write.fate == Fate::Synced) {
            self.writes.clear();
        }
    }

    fn cut(&mut self, torn: Option<&Random>) {
        let writes = std::mem::take(&mut self.writes);
        for write in writes.iter().rev() {
            self.bytes.resize(write.len_before, 0);
            self.put(write.offset as usize, &write.old);
            self.bytes.truncate(write.len_before);
        }
        for write in &writes {
            match (write.fate, torn) {
                (Fate::Synced, _) => self.redo(write),
                (Fate::Unsynced, Some(random)) => self.redo_torn(write, random),
                (Fate::Unsynced, None) | (Fate::Dropped, _) => {}
            }
        }
    }

    fn redo(&mut self, write: &Write) {
        if write.new.is_empty() {
            self.bytes.resize(write.len_after, 0);
        } else {
            self.put(write.offset as usize, &write.new);
        }
    }

    fn redo_torn(&mut self, write: &Write, random: &Random) {
        if write.new.is_empty() {
            if random.below(2) == 0 {
                self.redo(write);
            }
            return;
        }
        let end = write.offset + write.new.len() as u64;
        let mut at = write.offset;
        while at < end {
            let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            if random.below(2) == 0 {
                let range = (at - write.offset) as usize..(next - write.offset) as usize;
                self.put(at as usize, &write.new[range]);
            }
            at = next;
        }
    }
}

#[async_trait]
impl Disk for MemoryDisk {
    fn has_paths(&self) -> bool {
        false
    }

    async fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        // Directories have no being of their own here: a file's path is enough.
        self.step("make the directory", dir, |_| Ok(()))
    }

    async fn open(&self, path: &Path, open: Open) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.step("open", path, |state| state.open(path, open.create))?;
        Ok(Arc::new(MemoryFile {
            disk: self.clone(),
            path: path.to_owned(),
            file,
        }))
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", from, |state| {
            let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), file);
            let change = NameChange::Moved {
                from: from.to_owned(),
                to: to.to_owned(),
                file,
            };
            state.unsynced_names.push(change);
            Ok(())
        })
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove", path, |state| {
            state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
            state.unsynced_names.push(NameChange::Gone {
                path: path.to_owned(),
            });
            Ok(())
        })
    }

    async fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.step("list", dir, |state| {
            let paths = state.names.keys().filter(|path| path.parent() == Some(dir));
            Ok(paths
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect())
        })
    }

    async fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.step("list", dir, |state| {
            let below = state
                .names
                .keys()
                .filter_map(|path| path.strip_prefix(dir).ok());
            let mut dirs: Vec<String> = below
                .filter(|path| path.components().count() > 1)
                .filter_map(|path| Some(path.iter().next()?.to_string_lossy().into_owned()))
                .collect();
            dirs.dedup();
            Ok(dirs)
        })
    }

    async fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step("sync the directory", dir, |state| {
            state.sync_dir(dir);
            Ok(())
        })
    }

    async fn free_space(&self, dir: &Path) -> io::Result<u64> {
        self.step("ask the free space of", dir, |state| Ok(state.free()))
    }

    async fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let number = self.step("lock", path, |state| {
            if state.locks.contains_key(path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.open(path, Create::IfMissing)?;
            state.next_lock += 1;
            state.locks.insert(path.to_owned(), state.next_lock);
            Ok(state.next_lock)
        })?;
        Ok(DiskLock::new(Held {
            disk: self.clone(),
            path: path.to_owned(),
            number,
        }))
    }
}

/// A held lock; the number tells it from one taken after a crash.
struct Held {
    disk: MemoryDisk,
    path: PathBuf,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.locks.get(&self.path) == Some(&self.number) {
            state.locks.remove(&self.path);
        }
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
    file: usize,
}

impl MemoryFile {
    fn step<T>(
        &self,
        operation: &'static str,
        job: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.step(operation, &self.path, job)
    }

    async fn pause(&self) {
        let delay = self.disk.state.lock().faults.sync_delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

#[async_trait]
impl DiskFile for MemoryFile {
    async fn write_at(&self, offset: u64, bytes: Bytes) -> io::Result<()> {
        self.step("write", |state| state.write(self.file, offset, bytes))
    }

    async fn commit(&self, commit: Commit) -> io::Result<()> {
        let trailer_at = commit.offset + commit.bytes.len() as u64;
        self.step("write", |state| {
            state.write(self.file, commit.offset, commit.bytes)
        })?;
        self.sync().await?;
        // An error of the trailer is told by the next operation: the power stays cut.
        drop(self.step("write", |state| {
            state.write(self.file, trailer_at, commit.trailer)
        }));
        Ok(())
    }

    async fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.step("read", |state| {
            let bytes = &state.files[self.file].bytes;
            let start = (offset as usize).min(bytes.len());
            let end = start.saturating_add(len).min(bytes.len());
            Ok(Bytes::copy_from_slice(&bytes[start..end]))
        })
    }

    async fn truncate(&self, len: u64) -> io::Result<()> {
        self.step("truncate", |state| {
            state.room_for(self.file, len as usize)?;
            state.files[self.file].truncate(len as usize);
            Ok(())
        })
    }

    async fn sync(&self) -> io::Result<()> {
        self.pause().await;
        self.step("sync", |state| state.sync(self.file))
    }

    async fn len(&self) -> io::Result<u64> {
        self.step("ask the length of", |state| {
            Ok(state.files[self.file].bytes.len() as u64)
        })
    }
}

#[cfg(test)]
#[path = "disk_test.rs"]
mod tests;
