//! The scrub: reads segments again, oldest first, so that rot is found while peers still have a copy.
//! Promise: every record is read once in a round, and the index is held to it.
//! Not here: repair (the node copies from a peer), when to scrub.

use std::sync::Arc;

use super::Archive;
use super::core::{Core, Holds};
use super::discard::Discard;
use super::entries::{Place, Table, hit, key};
use super::index::{Index, IndexFault};
use super::pages::{Mark, Sheet};
use super::segment::{FRAME_BYTES_MAX, FileId, MARKER_BYTES, SEGMENT_HEAD_BYTES, Window};
use super::types::{ArchiveError, Scrubbed, Sealing};

/// Read at once beside the largest frame.
const PART_BYTES_MAX: u64 = 4 << 20;

/// A part of a file to be checked.
struct Part {
    file: FileId,
    salt: u32,
    from: u64,
    bytes: u64,
    mark: Option<Arc<Mark>>,
    discards: Vec<Discard>,
}

impl Archive {
    /// Reads on where the step before ended, at least `budget_bytes` where so much is left in the
    /// round, and some megabytes at a time. Damage is noted; an index that lacks a record is set aside.
    pub async fn scrub_step(&self, budget_bytes: u64) -> Result<Scrubbed, ArchiveError> {
        let mut done = Scrubbed::default();
        let before = self.core.state.lock().damages.len();
        while done.bytes < budget_bytes.max(1) {
            let Some(part) = self.core.next_part() else {
                done.round_ended = true;
                break;
            };
            self.core.scrub(part, budget_bytes, &mut done).await?;
        }
        done.damages = (self.core.state.lock().damages.len() - before) as u64;
        Ok(done)
    }
}

impl Core {
    /// What is to be read next; `None` ends the round.
    fn next_part(&self) -> Option<Part> {
        let mut state = self.state.lock();
        let cursor = state.scrub.take();
        let age = |file: FileId| (file.day, file);
        let ahead = state.files.iter().filter_map(|(&id, file)| {
            let from = match cursor {
                Some((at, from)) if at == id => from,
                Some((at, _)) if age(at) > age(id) => return None,
                _ => SEGMENT_HEAD_BYTES,
            };
            (from < file.bytes).then_some((id, from, file))
        });
        let (id, from, file) = ahead.min_by_key(|(id, ..)| age(*id))?;
        let mark = match &file.holds {
            Holds::Indexed(mark) => Some(mark.clone()),
            Holds::Active(_) | Holds::Unindexed => None,
        };
        let discards = state
            .discards
            .iter()
            .filter(|discard| discard.cell == id.cell);
        let part = Part {
            file: id,
            salt: file.salt,
            from,
            bytes: file.bytes,
            mark,
            discards: discards.cloned().collect(),
        };
        state.scrub = Some((id, from));
        Some(part)
    }

    async fn scrub(
        self: &Arc<Self>,
        part: Part,
        budget_bytes: u64,
        done: &mut Scrubbed,
    ) -> Result<(), ArchiveError> {
        let wanted = FRAME_BYTES_MAX as u64 + budget_bytes.min(PART_BYTES_MAX);
        let bytes = wanted.min(part.bytes - part.from);
        let file = part.file;
        // A file whose head is unreadable has no records that could be checked.
        let unreadable = part.mark.as_ref().is_some_and(|mark| mark.records == 0);
        let read = async {
            self.handle(file)
                .await?
                .read_at(part.from, bytes as usize)
                .await
        };
        let read = match read.await {
            _ if unreadable => None,
            Ok(read) if !read.is_empty() => Some(read),
            // Its last marker, which no sync covers.
            Ok(_) if bytes <= MARKER_BYTES as u64 => None,
            _ if !self.state.lock().files.contains_key(&file) => None,
            _ => {
                self.damaged(file, part.from, "it cannot be read");
                None
            }
        };
        let Some(read) = read else {
            self.state.lock().scrub = Some((file, part.bytes));
            return Ok(());
        };
        let is_short = (read.len() as u64) < bytes;
        let window = Window {
            salt: part.salt,
            cell: file.cell,
            base: part.from,
            last: is_short || part.from + read.len() as u64 >= part.bytes,
            bytes: read,
            suspect: None,
        };
        let check = move || {
            let mut places = Vec::new();
            let scanned = window.scan(|offset, block| {
                places.extend((0..).zip(&block).map(|(number, kept)| {
                    let place = Place {
                        offset: offset as u32,
                        number,
                    };
                    (kept.record.sealing(), place)
                }));
            });
            (scanned, places)
        };
        let (scanned, places) = self.compute.run(check).await;
        let damages = scanned.damages.iter().map(|(from, _)| *from);
        for from in damages.chain(scanned.suspect) {
            self.damaged(file, from, "records do not fit their checksums");
        }
        done.bytes += scanned.next - part.from;
        done.records += places.len() as u64;
        let next = if is_short { part.bytes } else { scanned.next };
        self.state.lock().scrub = Some((file, next));
        self.hold_index(part, places).await;
        Ok(())
    }

    /// Sets an index aside that lacks a record of a file that it is said to hold.
    async fn hold_index(self: &Arc<Self>, part: Part, mut places: Vec<(Sealing, Place)>) {
        let (Some(mark), Some(index)) = (part.mark, self.state.lock().index.clone()) else {
            return;
        };
        let file = part.file;
        let covered = |at: Sealing, place: Place| {
            let covers = |discard: &Discard| discard.covers(file, u64::from(place.offset), at);
            part.discards.iter().any(covers)
        };
        places.retain(|(at, place)| !covered(*at, *place));
        let held = index.run(move |index| {
            places
                .into_iter()
                .try_for_each(|(at, place)| holds(index, file, at, place))
        });
        let Err(fault) = held.await else { return };
        let unchanged = match self.state.lock().files.get(&file).map(|file| &file.holds) {
            Some(Holds::Indexed(present)) => Arc::ptr_eq(present, &mark),
            _ => false,
        };
        if unchanged || !matches!(fault, IndexFault::Page { .. }) {
            self.fault(index.generation, &fault);
        }
    }
}

fn holds(index: &dyn Index, file: FileId, at: Sealing, place: Place) -> Result<(), IndexFault> {
    let table = Table::Order;
    let sheet = Sheet { index, file, table };
    let key = key(table, None, at.sealed, at.conversation);
    let mut found = false;
    sheet.up(&key[..]..=&key[..], &mut |entry| {
        found |= hit(table, file, entry).is_some_and(|hit| hit.place == place);
        true
    })?;
    match found {
        true => Ok(()),
        false => Err(IndexFault::Page {
            file: file.packed(),
            what: format!("it lacks conversation {}", at.conversation),
        }),
    }
}
