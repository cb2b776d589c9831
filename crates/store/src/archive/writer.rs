//! The archive's task: appends, discards and pruning, one after another.
//! Promise: what was appended has been synced, read back and compared before it counts; a file whose
//! write or sync has failed is never written to again.
//! Not here: lookups, which go on beside it (`lookup`), the index of complete files (`builder`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use runtime::mailbox::Receiver;
use runtime::{Commit, Create, DiskFile, DiskLane, Open};
use tokio::sync::oneshot;

use super::block::{self, Kept};
use super::core::{Core, FileState, Holds};
use super::discard::Discard;
use super::entries::Place;
use super::lookup::Query;
use super::prune::{Doomed, Dropped};
use super::reader::{Read, Reader};
use super::segment::{FileId, MARKER_BYTES, SEGMENT_HEAD_BYTES, Stamp, Window, head};
use super::types::{
    AGENTS_MAX, APPEND_BYTES_MAX, APPEND_RECORDS_MAX, ArchiveError, BLOB_BYTES_MAX,
    CUSTOMER_BYTES_MAX, Keep, NAME_BYTES_MAX, Pruned, Record, Sealing,
};
use crate::day::day_of;

/// Records of one file: their entries take some 20 MB of memory while it is written to.
const FILE_RECORDS_MAX: u32 = 65_536;
/// Files written to at once, of all cells and days. Beyond it the one used least lately is completed.
const ACTIVE_FILES_MAX: usize = 4;
/// A segment grows no larger, whatever the options say: places in it have 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Names tried for a new file, should files lie there that nobody knows of.
const NAME_TRIES_MAX: usize = 16;

pub type Answer<T> = oneshot::Sender<Result<T, ArchiveError>>;

/// What the task receives.
pub enum Mail {
    Append(Vec<Record>, Answer<()>),
    Discard {
        cell: u32,
        from: Sealing,
        to: Sealing,
        answer: Answer<()>,
    },
    Prune {
        keeps: Vec<Keep>,
        answer: Answer<Pruned>,
    },
    Close(oneshot::Sender<()>),
}

/// A file that is written to.
struct Active {
    file: Arc<dyn DiskFile>,
    salt: u32,
    /// Where the next batch goes.
    offset: u64,
    /// The number of the next batch.
    batch: u64,
    records: u32,
    /// When it was used last, in appends.
    used: u64,
}

pub struct Writer {
    pub core: Arc<Core>,
    mail: Receiver<Mail>,
    active: BTreeMap<FileId, Active>,
    appends: u64,
}

impl Writer {
    pub fn new(core: Arc<Core>, mail: Receiver<Mail>) -> Self {
        Self {
            core,
            mail,
            active: BTreeMap::new(),
            appends: 0,
        }
    }

    /// Runs until closed, or every handle is dropped.
    pub async fn run(mut self) {
        let mut closing = None;
        while let Some(mail) = self.mail.recv().await {
            // Whoever asked may have gone; what it asked for is done all the same.
            match mail {
                Mail::Append(records, answer) => drop(answer.send(self.append(records).await)),
                Mail::Discard {
                    cell,
                    from,
                    to,
                    answer,
                } => drop(answer.send(self.discard(cell, &[(from, to)]).await)),
                Mail::Prune { keeps, answer } => {
                    drop(answer.send(self.prune(&keeps).await));
                }
                Mail::Close(answer) => {
                    closing = Some(answer);
                    break;
                }
            }
        }
        self.mail.close();
        if closing.is_some() {
            self.complete_all().await;
        }
        self.end().await;
        if let Some(closing) = closing {
            let _ = closing.send(());
        }
    }

    async fn end(&mut self) {
        let index = {
            let mut state = self.core.state.lock();
            state.closed = true;
            state.index.take()
        };
        self.core.whole.send_replace(false);
        if let Some(index) = index
            && let Err(fault) = index.close().await
        {
            tracing::warn!(%fault, "the archive's index does not close");
        }
    }

    async fn complete_all(&mut self) {
        while let Some((&file, _)) = self.active.first_key_value() {
            self.complete(file).await;
        }
    }

    async fn append(&mut self, mut records: Vec<Record>) -> Result<(), ArchiveError> {
        self.appends += 1;
        check(&records)?;
        records.sort_by_key(|record| (record.cell, record.sealing()));
        let fresh = self.fresh(records).await?;
        let mut groups: BTreeMap<(u32, u16), Vec<Record>> = BTreeMap::new();
        for record in fresh {
            let day = day_of(record.closed_wall_ms).unwrap_or(u16::MAX);
            groups.entry((record.cell, day)).or_default().push(record);
        }
        for ((cell, day), records) in groups {
            let file = self.file_for(cell, day).await?;
            if let Err(error) = self.put(file, records).await {
                self.abandon(file).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Those of `records` that are not there yet. Damaged ones give way to what is appended now.
    async fn fresh(&mut self, records: Vec<Record>) -> Result<Vec<Record>, ArchiveError> {
        let queries = records
            .iter()
            .map(|record| Query::of_conversation(record.cell, record.conversation));
        let found = self.core.look_up(queries.collect()).await?;
        let mut reader = Reader::new(self.core.clone());
        let mut fresh: Vec<Record> = Vec::with_capacity(records.len());
        let mut giving_way: BTreeMap<u32, Vec<(Sealing, Sealing)>> = BTreeMap::new();
        for (record, hits) in records.into_iter().zip(found) {
            let conflict = ArchiveError::Conflict {
                cell: record.cell,
                conversation: record.conversation,
            };
            let same = |other: &Record| {
                (other.cell, other.conversation) == (record.cell, record.conversation)
            };
            if let Some(twin) = fresh.iter().rfind(|other| same(other)) {
                if twin.blob != record.blob {
                    return Err(conflict);
                }
                continue;
            }
            match reader.any(&hits).await? {
                Read::Kept(kept) if kept.blob_hash == record.blob_hash() => continue,
                Read::Kept(_) => return Err(conflict),
                Read::Damaged(_) => {
                    let at = (record.sealing(), record.sealing());
                    giving_way.entry(record.cell).or_default().push(at);
                }
                Read::Gone => {}
            }
            fresh.push(record);
        }
        for (cell, ranges) in giving_way {
            self.discard(cell, &ranges).await?;
        }
        Ok(fresh)
    }

    /// The file that takes the next batch of a cell and day.
    async fn file_for(&mut self, cell: u32, day: u16) -> Result<FileId, ArchiveError> {
        let open = self
            .active
            .iter()
            .find(|(file, _)| (file.cell, file.day) == (cell, day));
        if let Some((&file, active)) = open {
            let segment_bytes = self.core.options.segment_bytes.min(SEGMENT_BYTES_MAX);
            if active.offset < segment_bytes && active.records < FILE_RECORDS_MAX {
                return Ok(file);
            }
            self.complete(file).await;
        }
        if self.active.len() >= ACTIVE_FILES_MAX {
            let idle = self.active.iter().min_by_key(|(_, active)| active.used);
            if let Some((&file, _)) = idle {
                self.complete(file).await;
            }
        }
        let first = {
            let state = self.core.state.lock();
            let of_day = state
                .files
                .keys()
                .rfind(|file| (file.cell, file.day) == (cell, day));
            of_day.map_or(Some(0), |file| file.number.checked_add(1))
        };
        let numbers = first.into_iter().flat_map(|first| first..=u16::MAX);
        for number in numbers.take(NAME_TRIES_MAX) {
            match self.create(FileId { cell, day, number }).await {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok(created?),
            }
        }
        Err(io::Error::other("no name is left for another segment of the day").into())
    }

    async fn create(&mut self, id: FileId) -> io::Result<FileId> {
        let disk = self.core.disk.clone();
        let path = self.core.path(id);
        let dir = self.core.dir.join(id.cell.to_string());
        disk.create_dir_all(&dir).await?;
        let open = Open {
            create: Create::New,
            lane: DiskLane::Bulk,
        };
        let file = disk.open(&path, open).await?;
        let salt = self.core.random.next_u64() as u32;
        let begun = async {
            file.write_at(0, head(id, salt)).await?;
            file.sync().await?;
            disk.sync_dir(&dir).await
        };
        if let Err(error) = begun.await {
            // Gives the space back. A failure leaves a file that the next opening removes.
            drop(disk.remove(&path).await);
            return Err(error);
        }
        let active = Active {
            file,
            salt,
            offset: SEGMENT_HEAD_BYTES,
            batch: 1,
            records: 0,
            used: self.appends,
        };
        self.active.insert(id, active);
        let state = FileState {
            salt,
            bytes: SEGMENT_HEAD_BYTES,
            settled: true,
            revision: 0,
            holds: Holds::Active(Arc::default()),
        };
        self.core.state.lock().files.insert(id, state);
        Ok(id)
    }

    /// Writes, syncs, reads back and compares; then the records count.
    async fn put(&mut self, id: FileId, records: Vec<Record>) -> Result<(), ArchiveError> {
        let Some(active) = self.active.get_mut(&id) else {
            return Err(ArchiveError::Closed);
        };
        let stamp = Stamp {
            cell: id.cell,
            salt: active.salt,
            batch: active.batch,
        };
        let offset = active.offset;
        let encode = move || (encode(stamp, &records), records);
        let (bytes, records) = self.core.compute.run(encode).await;
        let commit = Commit {
            offset,
            bytes: bytes.clone(),
            trailer: stamp.marker(),
        };
        active.file.commit(commit).await?;
        let read = active.file.read_at(offset, bytes.len()).await?;
        let compare = move || compare(stamp, offset, read, &records);
        let Some(kept) = self.core.compute.run(compare).await else {
            let what = "what was written is not what is read back";
            let damage = self.core.damaged(id, offset, what);
            return Err(io::Error::other(damage.to_string()).into());
        };
        active.offset += (bytes.len() + MARKER_BYTES) as u64;
        active.batch += 1;
        active.records += kept.len() as u32;
        active.used = self.appends;
        let mut state = self.core.state.lock();
        if let Some(file) = state.files.get_mut(&id) {
            file.bytes = active.offset;
            if let Holds::Active(entries) = &mut file.holds {
                let entries = Arc::make_mut(entries);
                kept.iter()
                    .for_each(|(kept, place)| entries.insert(kept, *place));
            }
        }
        Ok(())
    }

    /// Ends writing to a file after a failure: what it holds goes on to count, the rest is cut off.
    async fn abandon(&mut self, id: FileId) {
        let Some(active) = self.active.get(&id) else {
            return;
        };
        // A failure leaves bytes that are scanned at the next opening; they count only if whole.
        drop(active.file.truncate(active.offset).await);
        self.complete(id).await;
    }

    /// Ends writing to a file: its entries go into the index.
    async fn complete(&mut self, id: FileId) {
        let Some(active) = self.active.remove(&id) else {
            return;
        };
        if active.records == 0 {
            self.core.state.lock().files.remove(&id);
            self.core.forget_handle(id);
            drop(self.core.disk.remove(&self.core.path(id)).await);
            return;
        }
        // For the last marker alone; the records are durable.
        drop(active.file.sync().await);
        let (index, entries, bytes) = {
            let state = self.core.state.lock();
            let Some(file) = state.files.get(&id) else {
                return;
            };
            let Holds::Active(entries) = &file.holds else {
                return;
            };
            let index = state.index.clone().filter(|_| state.is_whole());
            (index, entries.clone(), file.bytes)
        };
        let mut mark = None;
        if let Some(index) = index {
            match self.core.write_run(&index, id, entries, bytes).await {
                Ok(written) => mark = Some((index.generation, written)),
                Err(fault) => self.core.fault(index.generation, &fault),
            }
        }
        let mut state = self.core.state.lock();
        let current = state.index.as_ref().map(|index| index.generation);
        if let Some(file) = state.files.get_mut(&id) {
            match mark {
                Some((generation, mark)) if Some(generation) == current => {
                    file.holds = Holds::Indexed(mark);
                }
                _ => file.unindex(),
            }
        }
        drop(state);
        self.core.build();
    }

    /// Has the records of a cell in `ranges`, both ends included, give way.
    async fn discard(
        &mut self,
        cell: u32,
        ranges: &[(Sealing, Sealing)],
    ) -> Result<(), ArchiveError> {
        let actives: Vec<FileId> = self
            .active
            .keys()
            .copied()
            .filter(|file| file.cell == cell)
            .collect();
        for file in actives {
            self.complete(file).await;
        }
        let discards: Vec<Discard> = {
            let state = self.core.state.lock();
            let files = state.files.iter().filter(|(file, _)| file.cell == cell);
            let cuts: BTreeMap<FileId, u64> = files.map(|(id, file)| (*id, file.bytes)).collect();
            let added = ranges.iter().map(|&(from, to)| Discard {
                cell,
                from,
                to,
                cuts: cuts.clone(),
            });
            let all = state.discards.iter().filter(|discard| discard.cell == cell);
            all.cloned().chain(added).collect()
        };
        self.core.store_discards(cell, discards).await?;
        let mut state = self.core.state.lock();
        for (id, file) in &mut state.files {
            let meets = |mark: &super::pages::Mark| {
                ranges
                    .iter()
                    .any(|(from, to)| mark.sealed.meets(&(from.sealed..=to.sealed)))
            };
            let concerned = match &file.holds {
                Holds::Indexed(mark) => meets(mark),
                Holds::Active(_) | Holds::Unindexed => true,
            };
            if id.cell == cell && concerned {
                file.unindex();
            }
        }
        drop(state);
        self.core.build();
        Ok(())
    }

    async fn prune(&mut self, keeps: &[Keep]) -> Result<Pruned, ArchiveError> {
        let Doomed {
            files: doomed,
            floors,
        } = self.core.doomed(keeps);
        for (cell, floor) in floors {
            self.core.store_floor(cell, floor).await?;
        }
        for &file in &doomed {
            self.complete(file).await;
        }
        let mut dropped = Dropped::default();
        for &file in &doomed {
            self.core.drop_file(file, &mut dropped).await?;
        }
        // A file that is made later may get the name of a dropped one.
        let cells: BTreeSet<u32> = {
            let state = self.core.state.lock();
            let named =
                |discard: &&Discard| doomed.iter().any(|file| discard.cuts.contains_key(file));
            state
                .discards
                .iter()
                .filter(named)
                .map(|discard| discard.cell)
                .collect()
        };
        for cell in cells {
            let discards = self.core.state.lock().discards.clone();
            let of_cell = discards.into_iter().filter(|discard| discard.cell == cell);
            self.core.store_discards(cell, of_cell.collect()).await?;
        }
        Ok(dropped.pruned)
    }
}

/// Refuses what is outside its bounds before anything is written.
fn check(records: &[Record]) -> Result<(), ArchiveError> {
    let bytes: usize = records.iter().map(|record| record.blob.len()).sum();
    let Some(first) = records.first() else {
        return Ok(());
    };
    let refused = |record: &Record, what| {
        Err(ArchiveError::Refused {
            cell: record.cell,
            conversation: record.conversation,
            what,
        })
    };
    if records.len() > APPEND_RECORDS_MAX || (records.len() > 1 && bytes > APPEND_BYTES_MAX) {
        return refused(first, "its batch is larger than one append takes");
    }
    for record in records {
        let names = record.agents.iter().chain([&record.queue]);
        if record.blob.len() > BLOB_BYTES_MAX {
            return refused(record, "its content is larger than a record takes");
        }
        if record.customer.len() > CUSTOMER_BYTES_MAX || record.agents.len() > AGENTS_MAX {
            return refused(
                record,
                "its customer's key is too long, or its agents are too many",
            );
        }
        if names.into_iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return refused(record, "a name is too long");
        }
        if day_of(record.closed_wall_ms).is_none_or(|day| day == u16::MAX) {
            return refused(record, "its day of closing is beyond the calendar");
        }
    }
    Ok(())
}

fn encode(stamp: Stamp, records: &[Record]) -> Bytes {
    let mut out = Vec::new();
    let mut rest = records;
    while !rest.is_empty() {
        let (block, more) = rest.split_at(block::fill(rest));
        stamp.put_block(&mut out, block);
        rest = more;
    }
    out.into()
}

/// The records as they were read back, with their places; `None` if they are not those given.
fn compare(
    stamp: Stamp,
    offset: u64,
    read: Bytes,
    records: &[Record],
) -> Option<Vec<(Kept, Place)>> {
    let window = Window {
        salt: stamp.salt,
        cell: stamp.cell,
        base: offset,
        bytes: read,
        last: true,
        suspect: None,
    };
    let mut found = Vec::with_capacity(records.len());
    let scanned = window.scan(|offset, block| {
        for (number, kept) in block.into_iter().enumerate() {
            let place = Place {
                offset: offset as u32,
                number: number as u8,
            };
            found.push((kept, place));
        }
    });
    let whole = scanned.suspect.is_none() && scanned.damages.is_empty();
    let same = found.iter().map(|(kept, _)| &kept.record).eq(records);
    (whole && same).then_some(found)
}
