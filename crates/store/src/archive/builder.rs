//! The builder: fills the index from segments, at opening and whenever the index was set aside.
//! Promise: it ends only when every file is in memory or in the index, or the archive is closed.
//! Not here: deciding that an index is broken (`core`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use runtime::DiskFile;

use super::core::{Core, Holds};
use super::discard::Discard;
use super::entries::{Entries, Place, Table};
use super::index::{Change, IndexFault, Opened};
use super::pages::{MARKS, Mark, pages, prefix};
use super::segment::{FileId, MARKER_BYTES, SEGMENT_HEAD_BYTES, Scanned, WINDOW_BYTES, Window};
use super::types::ArchiveNotice;

/// Pause after a failure of index or disk, doubled with each one in a row.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Reads of a file that may fail before what cannot be read is passed over as damaged.
const READ_TRIES_MAX: u32 = 3;
/// What is passed over at once where the disk fails to read.
const UNREADABLE_BYTES: usize = 64 << 10;

impl Core {
    /// Starts the builder unless it runs or has nothing to do.
    pub fn build(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let whole = state.is_whole();
        let start = !whole && !state.building && !state.closed;
        state.building |= start;
        self.whole.send_replace(whole);
        drop(state);
        if start {
            let builder = Builder {
                core: self.clone(),
                pause: PAUSE_MIN,
                failures: 0,
            };
            self.lane.spawn("archive-index", builder.run()).detach();
        }
    }

    /// Writes the entries of `file` into the index, in place of what it has of it.
    pub async fn write_run(
        &self,
        index: &Opened,
        file: FileId,
        entries: Arc<Entries>,
        bytes: u64,
    ) -> Result<Arc<Mark>, IndexFault> {
        let sort = move || (Mark::of(file, &entries, bytes), pages(file, &entries));
        let (mark, run) = self.compute.run(sort).await;
        let key = Mark::key(file);
        let value = mark.encode(&key);
        let write = move |index: &mut dyn super::index::Index| {
            index.check()?;
            let mut changes = removal(index, file)?;
            changes.extend(run.into_iter().map(|(key, value)| (key, Some(value))));
            changes.push((key, Some(value)));
            index.write(changes)?;
            index.flush()
        };
        index.run(write).await?;
        Ok(Arc::new(mark))
    }
}

/// The changes that remove all of `file`.
pub fn removal(index: &dyn super::index::Index, file: FileId) -> Result<Vec<Change>, IndexFault> {
    let mut changes = Vec::new();
    let tables = Table::ALL.map(|table| table as u8);
    for table in tables.into_iter().chain([MARKS]) {
        index.each(&prefix(table, file), &mut |key, _| {
            changes.push((key.to_vec(), None));
        })?;
    }
    Ok(changes)
}

struct Builder {
    core: Arc<Core>,
    pause: Duration,
    /// In a row, of the file at hand.
    failures: u32,
}

/// What a file turned out to hold.
struct Built {
    entries: Entries,
    /// Where the valid content ends.
    end: u64,
    torn: bool,
    /// Of the file when the scan began.
    revision: u64,
}

impl Builder {
    async fn run(mut self) {
        while let Some(step) = self.next() {
            let done = match step {
                Step::Replace => self.replace().await,
                Step::File(index, file) => self.file(&index, file).await,
            };
            match done {
                Ok(()) => (self.pause, self.failures) = (PAUSE_MIN, 0),
                Err(error) => {
                    self.failures += 1;
                    tracing::warn!(%error, "the archive's index cannot be built yet; it is tried again");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// What is to be done next; `None` at the end.
    fn next(&self) -> Option<Step> {
        let mut state = self.core.state.lock();
        let unindexed = state
            .files
            .iter()
            .find(|(_, file)| matches!(file.holds, Holds::Unindexed));
        let step = match (&state.index, unindexed) {
            _ if state.closed => None,
            (None, _) => Some(Step::Replace),
            (Some(index), Some((&file, _))) => Some(Step::File(index.clone(), file)),
            (Some(_), None) => None,
        };
        if step.is_none() {
            state.building = false;
            self.core.whole.send_replace(state.is_whole());
        }
        step
    }

    /// Opens an empty index in place of a broken one.
    async fn replace(&self) -> io::Result<()> {
        let broken = self.core.state.lock().broken.take();
        if let Some(broken) = broken
            && let Err(fault) = broken.close().await
        {
            tracing::warn!(%fault, "a broken index does not close and is left to its thread");
        }
        let generation = self.core.state.lock().generation + 1;
        let index = Opened::replace(&self.core.opener, &self.core.dir, generation).await;
        let index = index.map_err(io::Error::other)?;
        let mut state = self.core.state.lock();
        state.generation = generation;
        state.index = Some(index);
        Ok(())
    }

    async fn file(&self, index: &Opened, file: FileId) -> io::Result<()> {
        let Some(built) = self.scan(file).await? else {
            return Ok(());
        };
        let Built {
            entries,
            end,
            torn,
            revision,
        } = built;
        if torn {
            self.core.cut(file, end).await?;
        }
        let run = self.core.write_run(index, file, Arc::new(entries), end);
        match run.await {
            Ok(mark) => {
                let mut state = self.core.state.lock();
                let current = state.generation == index.generation && state.index.is_some();
                let Some(found) = state.files.get_mut(&file) else {
                    return Ok(());
                };
                found.bytes = end;
                found.settled = true;
                if current && found.revision == revision {
                    found.holds = Holds::Indexed(mark);
                    state.built_bytes += end;
                }
            }
            Err(fault) => self.core.fault(index.generation, &fault),
        }
        Ok(())
    }

    /// What the scan of `file` goes by; `None` if it is no longer there.
    async fn begin(&self, file: FileId) -> io::Result<Option<Scan>> {
        let handle = match self.core.handle(file).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.core.damaged(file, 0, "the file is gone");
                self.core.state.lock().files.remove(&file);
                return Ok(None);
            }
            handle => handle?,
        };
        let state = self.core.state.lock();
        let of_cell = state
            .discards
            .iter()
            .filter(|discard| discard.cell == file.cell);
        let discards = of_cell.cloned().collect();
        Ok(state.files.get(&file).map(|found| Scan {
            handle,
            salt: found.salt,
            bytes: found.bytes,
            settled: found.settled,
            revision: found.revision,
            discards: Arc::new(discards),
        }))
    }

    /// Reads a file from end to end; `None` if it is no longer there.
    async fn scan(&self, file: FileId) -> io::Result<Option<Built>> {
        let Some(scan) = self.begin(file).await? else {
            return Ok(None);
        };
        let Scan {
            handle,
            salt,
            bytes,
            settled,
            revision,
            discards,
        } = scan;
        let mut entries = Entries::default();
        let mut scanned = Scanned {
            next: SEGMENT_HEAD_BYTES,
            ..Scanned::default()
        };
        while scanned.next < bytes {
            let wanted = (bytes - scanned.next).min(WINDOW_BYTES as u64);
            let read = self.window(&*handle, scanned.next, wanted as usize).await?;
            let read_to = scanned.next + read.len() as u64;
            let is_short = (read.len() as u64) < wanted;
            // Without its last marker, which no sync covers, a file is whole.
            if is_short && read_to + (MARKER_BYTES as u64) < bytes {
                self.core
                    .damaged(file, read_to, "the file is shorter than it was");
            }
            if read.is_empty() {
                break;
            }
            let window = Window {
                salt,
                cell: file.cell,
                base: scanned.next,
                bytes: read,
                last: is_short || read_to >= bytes,
                suspect: scanned.suspect,
            };
            let discards = discards.clone();
            let job = move || take_in(window, file, entries, &discards);
            (scanned, entries) = self.core.compute.run(job).await;
            for (from, _) in &scanned.damages {
                self.core
                    .damaged(file, *from, "records do not fit their checksums");
            }
        }
        if let Some(from) = scanned.suspect.filter(|_| settled) {
            self.core
                .damaged(file, from, "records do not fit their checksums");
        }
        if !settled {
            // A killed process may have written it without a sync.
            handle.sync().await?;
        }
        let torn = scanned.suspect.filter(|_| !settled);
        Ok(Some(Built {
            entries,
            end: torn.unwrap_or(bytes),
            torn: torn.is_some(),
            revision,
        }))
    }

    /// Up to `bytes` of a file; zeros for what the disk fails to read again and again.
    async fn window(&self, file: &dyn DiskFile, at: u64, bytes: usize) -> io::Result<Bytes> {
        let read = file.read_at(at, bytes).await;
        if read.is_ok() || self.failures < READ_TRIES_MAX {
            return read;
        }
        let mut window = BytesMut::with_capacity(bytes);
        while window.len() < bytes {
            let part = (bytes - window.len()).min(UNREADABLE_BYTES);
            let offset = at + window.len() as u64;
            let read = file.read_at(offset, part).await.unwrap_or_default();
            let whole = window.len() + part;
            window.extend_from_slice(&read);
            window.resize(whole, 0);
        }
        Ok(window.freeze())
    }
}

/// What a scan goes by.
struct Scan {
    handle: Arc<dyn DiskFile>,
    salt: u32,
    bytes: u64,
    settled: bool,
    revision: u64,
    discards: Arc<Vec<Discard>>,
}

enum Step {
    Replace,
    File(Opened, FileId),
}

fn take_in(
    window: Window,
    file: FileId,
    mut entries: Entries,
    discards: &[Discard],
) -> (Scanned, Entries) {
    let scanned = window.scan(|offset, block| {
        for (number, kept) in block.iter().enumerate() {
            let at = kept.record.sealing();
            if !discards
                .iter()
                .any(|discard| discard.covers(file, offset, at))
            {
                let place = Place {
                    offset: offset as u32,
                    number: number as u8,
                };
                entries.insert(kept, place);
            }
        }
    });
    (scanned, entries)
}

impl Core {
    /// Cuts the end of a file that was never acknowledged, durably.
    async fn cut(&self, file: FileId, end: u64) -> io::Result<()> {
        let handle = self.handle(file).await?;
        handle.truncate(end).await?;
        handle.sync().await?;
        let notice = ArchiveNotice::TornTailCut {
            file: self.path(file),
            offset: end,
        };
        tracing::warn!(%notice, "archive");
        self.state.lock().note(notice);
        Ok(())
    }
}
