//! The audit journal: segments of the log that no group needs any more, moved beside it and kept for a
//! while.
//! Promise: a segment is moved, never copied, and leaves the log durably before the next one does; days
//! and bytes are bounded; where room on the disk runs short the journal gives way before anything else.
//! Not here: reading it (`read`). Nothing of it is ever read to open a log: whatever happens to the
//! folder, a node starts and serves as it would without.
//!
//! A segment lies at `journal/YYYY-MM-DD-NUMBER.wal`, the day being the UTC day on which it left the log.
//! It is the log's file, of all groups together, byte for byte.

mod extent;
mod files;
mod read;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use runtime::{Disk, Env, WallClock};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::files::FileName;
use super::segment::Segment;
use crate::GroupId;
use crate::day::day_of;

pub use read::{JournalContent, JournalFault, JournalGroup, JournalProblem, read_journal};

/// The bounds of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// Days for which a segment is kept, counted from the day on which it left the log; 0 keeps none.
    pub days: u32,
    /// Bytes of all its files; what is beyond goes, the oldest first.
    pub max_bytes: u64,
    /// Bytes that must stay free on the disk for all else. Below it the journal gives way, the oldest
    /// segments first, until it is empty.
    pub free_bytes_min: u64,
}

/// Entries of one group that stand in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRange {
    /// The group.
    pub group: GroupId,
    /// The first entry.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// How a journal is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// Segments kept.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The oldest UTC day, counted from 1970-01-01; `None` when it is empty.
    pub oldest_day: Option<u32>,
    /// What it held of each group at the last [`Journal::look`].
    pub ranges: Vec<JournalRange>,
    /// Why it could not keep what it should have, until it can again.
    pub fault: Option<Arc<str>>,
}

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalPruned {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The audit journal of a node. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn WallClock>,
    dir: PathBuf,
    log: PathBuf,
    options: JournalOptions,
    /// The right to change the folder: one operation at a time.
    turn: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The files with their bytes.
    files: BTreeMap<FileName, u64>,
    /// Whether those are all: the folder could be read.
    is_listed: bool,
    /// The first and the last file when the ranges were looked for, and what was found.
    looked: Option<(FileName, FileName)>,
    ranges: Vec<JournalRange>,
    fault: Option<Arc<str>>,
}

/// Where the journal of the log in `log` lies.
#[must_use]
pub fn journal_dir(log: &Path) -> PathBuf {
    log.with_file_name("journal")
}

impl Journal {
    /// The journal of the log in `log`, as yet without its files.
    pub(super) fn of(env: &Env, log: &Path, options: JournalOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                disk: env.disk.clone(),
                clock: env.clock.clone(),
                dir: journal_dir(log),
                log: log.to_owned(),
                options,
                turn: Semaphore::new(1),
                state: Mutex::default(),
            }),
        }
    }

    /// Finds what is kept, once the log is open with `segments`, and enforces the bounds. A folder that
    /// cannot be used is said, and tried again at each sweep.
    pub(super) async fn begin(&self, segments: &BTreeMap<u32, Arc<Segment>>) {
        let begun = async {
            let _turn = self.turn().await?;
            self.list().await?;
            self.drop_doubles(segments).await?;
            self.prune(0).await
        };
        match begun.await {
            Ok(pruned) => self.tell(pruned),
            Err(error) => self.fault(&error),
        }
    }

    async fn list(&self) -> io::Result<()> {
        let shared = &*self.shared;
        shared.disk.create_dir_all(&shared.dir).await?;
        let files = files::list(&*shared.disk, &shared.dir).await?;
        let mut state = shared.state.lock();
        state.files = files;
        state.is_listed = true;
        Ok(())
    }

    /// A move that a crash cut in two leaves a segment in both folders: it is the log's, which moves it
    /// again. Another file of the same number is no double: the log was made anew.
    async fn drop_doubles(&self, segments: &BTreeMap<u32, Arc<Segment>>) -> io::Result<()> {
        let shared = &*self.shared;
        let names: Vec<FileName> = shared.state.lock().files.keys().copied().collect();
        for name in names {
            let Some(segment) = segments.get(&name.number) else {
                continue;
            };
            if name.salt(&*shared.disk, &shared.dir).await? == Some(segment.salt) {
                self.drop_file(name, &mut JournalPruned::default()).await?;
            }
        }
        Ok(())
    }

    /// The bounds in force.
    #[must_use]
    pub fn options(&self) -> JournalOptions {
        self.shared.options
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        let state = self.shared.state.lock();
        JournalStatus {
            segments: state.files.len() as u64,
            bytes: state.files.values().sum(),
            oldest_day: state.files.keys().map(|name| name.day.into()).min(),
            ranges: state.ranges.clone(),
            fault: state.fault.clone(),
        }
    }

    /// Enforces the bounds: what is too old, too much, or in the way on a disk without room goes.
    ///
    /// # Errors
    /// When the disk refuses; the rest is tried at the next sweep.
    pub async fn sweep(&self) -> io::Result<JournalPruned> {
        let _turn = self.turn().await?;
        let is_listed = self.shared.state.lock().is_listed;
        if !is_listed {
            self.list().await?;
            self.shared.state.lock().fault = None;
        }
        let pruned = self.prune(0).await?;
        self.tell(pruned);
        Ok(pruned)
    }

    /// Takes a segment that no group needs: kept here if the bounds let it, else removed. It has left
    /// the log durably when this returns.
    pub(super) async fn take(&self, segment: &Segment) -> io::Result<()> {
        let _turn = self.turn().await?;
        let shared = &*self.shared;
        match self.keep(segment).await {
            // First where it came to: gone from the log alone it would be lost.
            Ok(true) => shared.disk.sync_dir(&shared.dir).await?,
            Ok(false) => shared.disk.remove(&segment.path).await?,
            Err(error) => {
                self.fault(&error);
                // It must not lie in the log for ever because the journal cannot have it.
                shared.disk.remove(&segment.path).await?;
            }
        }
        shared.disk.sync_dir(&shared.log).await
    }

    /// Moves a segment here if there is room; an error leaves it in the log's folder.
    async fn keep(&self, segment: &Segment) -> io::Result<bool> {
        let shared = &*self.shared;
        let bytes = segment.reader.len().await?;
        self.tell(self.prune(bytes).await?);
        if !self.has_room_for(bytes).await {
            return Ok(false);
        }
        let name = FileName {
            number: segment.number,
            day: self.today(),
        };
        let path = shared.dir.join(name.to_string());
        if shared.disk.rename(&segment.path, &path).await.is_err() {
            // The folder may have been taken away.
            shared.disk.create_dir_all(&shared.dir).await?;
            shared.disk.rename(&segment.path, &path).await?;
        }
        let mut state = shared.state.lock();
        state.files.insert(name, bytes);
        state.fault = None;
        Ok(true)
    }

    /// The log needs `bytes` on a disk that is full: lets go as much, the oldest first; what it let go.
    pub(super) async fn give_way(&self, bytes: u64) -> JournalPruned {
        let mut pruned = JournalPruned::default();
        let Ok(_turn) = self.turn().await else {
            return pruned;
        };
        while pruned.bytes < bytes
            && let Some(oldest) = self.oldest()
        {
            match self.drop_file(oldest, &mut pruned).await {
                Ok(()) => {}
                Err(error) => {
                    self.fault(&error);
                    break;
                }
            }
        }
        self.tell(pruned);
        pruned
    }

    /// Looks which entries are kept of each group, if that has changed since the last look.
    ///
    /// # Errors
    /// When a file cannot be read; what was known stays.
    pub async fn look(&self) -> io::Result<()> {
        let _turn = self.turn().await?;
        let shared = &*self.shared;
        let (names, ends) = {
            let state = shared.state.lock();
            let names: Vec<FileName> = state.files.keys().copied().collect();
            let ends = names.first().copied().zip(names.last().copied());
            if ends == state.looked {
                return Ok(());
            }
            (names, ends)
        };
        let place = (&*shared.dir, &*shared.log);
        let ranges = extent::ranges(&*shared.disk, place, &names).await?;
        let mut state = shared.state.lock();
        state.ranges = ranges;
        state.looked = ends;
        Ok(())
    }

    async fn turn(&self) -> io::Result<SemaphorePermit<'_>> {
        self.shared.turn.acquire().await.map_err(io::Error::other)
    }

    fn today(&self) -> u16 {
        day_of(self.shared.clock.now_ms()).unwrap_or(u16::MAX)
    }

    fn oldest(&self) -> Option<FileName> {
        let state = self.shared.state.lock();
        state.files.first_key_value().map(|(name, _)| *name)
    }

    /// Drops what must go for `incoming` bytes more to fit. What that frees is reckoned: some disks say so
    /// seconds later, and the whole journal would have gone by then.
    async fn prune(&self, incoming: u64) -> io::Result<JournalPruned> {
        let mut pruned = JournalPruned::default();
        let free = self.free().await;
        while let Some(oldest) = self.oldest()
            && self.must_go(oldest, incoming, free.saturating_add(pruned.bytes))
        {
            self.drop_file(oldest, &mut pruned).await?;
        }
        Ok(pruned)
    }

    /// Bytes free on the disk; where it does not say, its refusals alone count.
    async fn free(&self) -> u64 {
        let free = self.shared.disk.free_space(&self.shared.dir).await;
        free.unwrap_or(u64::MAX)
    }

    fn must_go(&self, oldest: FileName, incoming: u64, free: u64) -> bool {
        let JournalOptions {
            days,
            max_bytes,
            free_bytes_min,
        } = self.shared.options;
        let kept_from = u32::from(self.today()).saturating_sub(days);
        let bytes: u64 = self.shared.state.lock().files.values().sum();
        days == 0
            || u32::from(oldest.day) < kept_from
            || bytes.saturating_add(incoming) > max_bytes
            || free < free_bytes_min
    }

    /// Whether a segment may come in, once all that must go for it has gone.
    async fn has_room_for(&self, bytes: u64) -> bool {
        let JournalOptions {
            days,
            max_bytes,
            free_bytes_min,
        } = self.shared.options;
        days > 0 && bytes <= max_bytes && self.free().await >= free_bytes_min
    }

    async fn drop_file(&self, name: FileName, pruned: &mut JournalPruned) -> io::Result<()> {
        let shared = &*self.shared;
        match shared.disk.remove(&shared.dir.join(name.to_string())).await {
            // Somebody else may have taken it away.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let bytes = shared.state.lock().files.remove(&name);
        pruned.segments += 1;
        pruned.bytes += bytes.unwrap_or(0);
        // A removal that a crash undoes is made again at the next start.
        shared.disk.sync_dir(&shared.dir).await
    }

    fn tell(&self, pruned: JournalPruned) {
        if pruned.segments > 0 {
            let JournalPruned { segments, bytes } = pruned;
            tracing::info!(
                segments,
                bytes,
                "segments of the audit journal that are kept no longer were dropped"
            );
        }
    }

    fn fault(&self, error: &io::Error) {
        tracing::warn!(%error, "the audit journal cannot keep what it should; the log goes on without it");
        self.shared.state.lock().fault = Some(error.to_string().into());
    }
}
