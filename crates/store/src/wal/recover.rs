//! Opening a log: reads every segment, rebuilds the groups, tells a torn tail from a loss.
//! Promise: a damaged batch is cut only if nothing shows that its sync had returned: no marker of it
//! or of a later batch, no valid frame of a later batch. Else the log is refused and the place named.
//! Not here: repair. A node that lost acknowledged data is replaced.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use mutants::{Mutant, planted};
use runtime::{Create, Disk, DiskLane, Open};

use super::core::{Core, Group};
use super::frame::{
    BATCH_HEAD_BYTES, Base, Body, Frame, MARKER_BYTES, NoFrame, Stamp, guess_entry, parse,
};
use super::segment::{self, SEGMENT_HEAD_BYTES, Segment};
use super::state::Place;
use super::types::{Notice, OpenError};
use super::writer::Preparer;
use crate::GroupId;
use crate::frame::FileHead;

/// The first segment of a log is small: it is the only one whose zeros are waited for.
const FIRST_SEGMENT_BYTES: u64 = 4 << 20;

/// Where a log goes on.
pub struct Recovered {
    pub active: Arc<Segment>,
    pub offset: u64,
    /// The number of the next batch.
    pub batch: u64,
    /// A prepared segment behind the active one.
    pub next: Option<Arc<Segment>>,
    pub notices: Vec<Notice>,
}

/// A segment while it is read.
pub(super) struct Loaded {
    pub(super) segment: Arc<Segment>,
    pub(super) content: Bytes,
}

impl Loaded {
    pub(super) async fn from(segment: &Arc<Segment>) -> io::Result<Self> {
        let content = segment.reader.read_at(0, segment.bytes as usize).await?;
        Ok(Self {
            segment: segment.clone(),
            content,
        })
    }
}

/// What a segment turned out to hold.
pub(super) enum Scanned {
    /// Valid batches, then zeros from `end`.
    Clean { end: usize },
    /// The batch that begins at `batch_at` is damaged at `at`.
    Damaged {
        batch_at: usize,
        at: usize,
        what: String,
    },
}

/// Reads the log in `dir` into `core`. One segment at a time is in memory.
pub async fn recover(preparer: &Preparer, dir: &Path) -> Result<Recovered, OpenError> {
    let mut replay = Replay {
        core: preparer.core.clone(),
        walk: Walk::default(),
        notices: Vec::new(),
    };
    let mut segments = open_all(&*preparer.disk, dir, &mut replay.notices).await?;
    if segments.is_empty() {
        let bytes = preparer.core.options.segment_bytes.min(FIRST_SEGMENT_BYTES);
        segments.push(Arc::new(preparer.once(1, bytes).await?));
    }
    let mut end = End {
        number: 0,
        offset: SEGMENT_HEAD_BYTES,
    };
    for number in 0..segments.len() {
        let loaded = Loaded::from(&segments[number]).await?;
        match replay.scan(&loaded)? {
            Scanned::Clean {
                end: SEGMENT_HEAD_BYTES,
            } => {}
            Scanned::Clean { end: offset } => end = End { number, offset },
            Scanned::Damaged { batch_at, at, what } => {
                replay
                    .cut_or_refuse(&loaded, &segments[number + 1..], batch_at, at, what)
                    .await?;
                end = End {
                    number,
                    offset: batch_at,
                };
                break;
            }
        }
    }
    replay.check_complete(&segments[0])?;
    tidy(
        &Loaded::from(&segments[end.number]).await?,
        end.offset,
        replay.expected(),
    )
    .await?;
    let next = segments.get(end.number + 1).cloned();
    segments.truncate(end.number + 1);
    let active = segments[end.number].clone();
    *preparer.core.segments.lock() = segments
        .into_iter()
        .map(|segment| (segment.number, segment))
        .collect();
    let batch = replay.expected();
    Ok(Recovered {
        active,
        offset: end.offset as u64,
        batch,
        next,
        notices: replay.notices,
    })
}

/// Where the valid log ends.
struct End {
    number: usize,
    offset: usize,
}

struct Replay {
    core: Arc<Core>,
    walk: Walk,
    notices: Vec<Notice>,
}

/// Walks the batches of one segment after the other.
#[derive(Default)]
pub(super) struct Walk {
    /// The number of the batch that must come next; unknown before the first.
    batch: Option<u64>,
}

/// Takes each frame of a whole batch, with its place in the segment.
pub(super) type Each<'e> = &'e mut (dyn FnMut(usize, Frame) -> Result<(), OpenError> + Send);

impl Walk {
    pub(super) fn expected(&self) -> u64 {
        self.batch.unwrap_or(1)
    }

    /// Gives the frames of every whole batch to `each`, and says how the segment ends.
    pub(super) fn segment(
        &mut self,
        loaded: &Loaded,
        each: Each<'_>,
    ) -> Result<Scanned, OpenError> {
        let content = &loaded.content;
        let mut at = SEGMENT_HEAD_BYTES;
        loop {
            let head = self.frame(loaded, at)?;
            let extent = head.as_ref().and_then(|head| match head.body {
                Body::BatchHead { bytes } if self.batch.is_none_or(|batch| batch == head.batch) => {
                    Some((head.batch, at.checked_add(bytes as usize)?))
                }
                _ => None,
            });
            let Some((batch, end)) = extent.filter(|(_, end)| *end <= content.len()) else {
                let zeros = content
                    .get(at..)
                    .unwrap_or_default()
                    .iter()
                    .all(|byte| *byte == 0);
                return Ok(match zeros {
                    true => Scanned::Clean { end: at },
                    false => Scanned::Damaged {
                        batch_at: at,
                        at,
                        what: "the head of a batch is unreadable".into(),
                    },
                });
            };
            self.batch = Some(batch);
            match self.read_batch(loaded, at, end)? {
                Ok(frames) => frames
                    .into_iter()
                    .try_for_each(|(at, frame)| each(at, frame))?,
                Err(damaged) => {
                    let what = "a record does not fit its checksum".into();
                    return Ok(Scanned::Damaged {
                        batch_at: at,
                        at: damaged,
                        what,
                    });
                }
            }
            self.batch = Some(batch + 1);
            at = end + MARKER_BYTES;
        }
    }

    fn frame(&self, loaded: &Loaded, at: usize) -> Result<Option<Frame>, OpenError> {
        match parse(loaded.segment.salt, &loaded.content, at) {
            Ok(frame) => Ok(Some(frame)),
            Err(NoFrame::Invalid) => Ok(None),
            Err(NoFrame::Newer(found)) => Err(newer(&loaded.segment.path, found)),
        }
    }

    /// The frames of a batch with their offsets, or where it is damaged.
    fn read_batch(
        &self,
        loaded: &Loaded,
        start: usize,
        end: usize,
    ) -> Result<Result<Vec<(usize, Frame)>, usize>, OpenError> {
        let (mut frames, mut at) = (Vec::new(), start + BATCH_HEAD_BYTES);
        while at < end {
            match self
                .frame(loaded, at)?
                .filter(|frame| Some(frame.batch) == self.batch)
            {
                Some(frame) => {
                    let bytes = frame.bytes;
                    frames.push((at, frame));
                    at += bytes;
                }
                None => return Ok(Err(at)),
            }
        }
        Ok(if at == end { Ok(frames) } else { Err(start) })
    }
}

impl Replay {
    fn expected(&self) -> u64 {
        self.walk.expected()
    }

    fn scan(&mut self, loaded: &Loaded) -> Result<Scanned, OpenError> {
        let core = &self.core;
        self.walk.segment(loaded, &mut |at, frame| {
            let group = core.group(frame.group);
            Self::apply(loaded, &group, at, frame)
        })
    }

    fn apply(loaded: &Loaded, group: &Group, offset: usize, frame: Frame) -> Result<(), OpenError> {
        let state = &mut *group.state.lock();
        match frame.body {
            Body::BatchHead { .. } | Body::Marker => {}
            Body::Entry { at, payload } => {
                let follows = state
                    .view
                    .next_index()
                    .is_none_or(|next| next == at.id.index);
                let chain = state
                    .written
                    .tail_chain()
                    .next(at.id.term, at.id.index, &payload);
                if !follows || chain != at.chain {
                    let what = "an entry does not fit the hash chain of its group".to_owned();
                    return Err(damaged(
                        &loaded.segment,
                        offset,
                        Some((group.id, at.id.index)),
                        what,
                    ));
                }
                state.view.append(at.id);
                state
                    .written
                    .append(at.id, place(loaded, offset, payload.len(), at));
            }
            Body::Truncate { keep } => {
                state.view.truncate(keep.map(|keep| keep.id));
                state.written.truncate(keep);
            }
            Body::Purge { upto } => {
                state.view.purge(upto.id);
                state.written.purge(upto);
            }
            Body::Vote(vote) => {
                state.view.vote = Some(vote.clone());
                state.written.set_vote(vote);
            }
            Body::Committed(committed) => {
                state.view.committed = Some(committed.clone());
                state.written.set_committed(committed);
            }
            // Seeds the group in the oldest segment; later segments repeat what is known.
            Body::State(restated) if !state.written.is_known() => state.restate(restated),
            Body::State(_) => {}
        }
        Ok(())
    }

    /// Notes a torn tail, or refuses a loss.
    async fn cut_or_refuse(
        &mut self,
        loaded: &Loaded,
        later: &[Arc<Segment>],
        batch_at: usize,
        at: usize,
        what: String,
    ) -> Result<(), OpenError> {
        let batch = self.expected();
        let mut was_synced = evidence(loaded, batch_at, batch);
        for segment in later {
            was_synced =
                was_synced || evidence(&Loaded::from(segment).await?, SEGMENT_HEAD_BYTES, batch);
        }
        if was_synced && !planted(Mutant::CutCoveredTail) {
            return Err(self.damaged(loaded, at, what));
        }
        let file = loaded.segment.path.clone();
        self.notices.push(Notice::TornTailCut {
            file,
            offset: batch_at as u64,
            batch,
        });
        Ok(())
    }

    fn check_complete(&self, oldest: &Segment) -> Result<(), OpenError> {
        if self.walk.batch.is_none() && oldest.number > 1 {
            return Err(damaged(
                oldest,
                0,
                None,
                "the oldest segment is empty".to_owned(),
            ));
        }
        for group in self.core.all_groups() {
            if let Some(index) = group.state.lock().written.missing() {
                let what =
                    "entries that were not purged are missing before this segment".to_owned();
                return Err(damaged(oldest, 0, Some((group.id, index)), what));
            }
        }
        Ok(())
    }

    /// Names group and index if the damaged bytes still tell them believably.
    fn damaged(&self, loaded: &Loaded, at: usize, what: String) -> OpenError {
        let guess = guess_entry(&loaded.content, at).filter(|(group, index)| {
            let groups = self.core.groups.lock();
            let next = groups
                .get(group)
                .and_then(|group| group.state.lock().view.next_index());
            next.is_some_and(|next| next.abs_diff(*index) <= u64::from(u16::MAX))
        });
        damaged(&loaded.segment, at, guess, what)
    }
}

/// Makes the end of the log as a running log leaves it, durably: zeros behind it, the marker of the
/// last batch before it. What a killed process wrote without sync is synced before the marker says
/// so: a power loss in between must leave a torn tail, not what looks like a loss.
async fn tidy(loaded: &Loaded, end: usize, next_batch: u64) -> io::Result<()> {
    let file = &loaded.segment.file;
    let behind = loaded.content.get(end..).unwrap_or_default();
    if let Some(last) = behind.iter().rposition(|byte| *byte != 0) {
        file.write_at(end as u64, Bytes::from(vec![0; last + 1]))
            .await?;
    }
    file.sync().await?;
    if end > SEGMENT_HEAD_BYTES {
        let stamp = Stamp {
            salt: loaded.segment.salt,
            batch: next_batch - 1,
        };
        file.write_at((end - MARKER_BYTES) as u64, stamp.marker())
            .await?;
    }
    file.sync().await
}

/// Whether anything from `from` on shows that `batch` had been synced.
pub(super) fn evidence(loaded: &Loaded, from: usize, batch: u64) -> bool {
    (from..loaded.content.len()).step_by(8).any(|at| {
        parse(loaded.segment.salt, &loaded.content, at).is_ok_and(|frame| match frame.body {
            Body::Marker => frame.batch >= batch,
            _ => frame.batch > batch,
        })
    })
}

async fn open_all(
    disk: &dyn Disk,
    dir: &Path,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Arc<Segment>>, OpenError> {
    disk.create_dir_all(dir).await?;
    let names = disk.list(dir).await?;
    for name in names.iter().filter(|name| segment::is_unfinished(name)) {
        disk.remove(&dir.join(name)).await?;
    }
    // A killed process may have renamed a segment without syncing that: it must not be built on before.
    disk.sync_dir(dir).await?;
    let mut numbers: Vec<u32> = names
        .iter()
        .filter_map(|name| segment::number_of(name))
        .collect();
    numbers.sort_unstable();
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for &number in &numbers {
        if let Some(gap) = segments
            .last()
            .map(|last| last.number + 1)
            .filter(|next| *next != number)
        {
            let file = segment::path_of(dir, gap);
            let what = "a segment is missing".to_owned();
            return Err(OpenError::Damaged {
                file,
                offset: 0,
                group: None,
                index: None,
                what,
            });
        }
        let path = segment::path_of(dir, number);
        match open_one(disk, &path, number).await? {
            Some(segment) => segments.push(Arc::new(segment)),
            None if numbers.last() == Some(&number)
                && number > 1
                && is_empty(disk, &path).await? =>
            {
                disk.remove(&path).await?;
                notices.push(Notice::EmptySegmentRemade { file: path });
            }
            None => {
                let what = "the head of a segment is unreadable".to_owned();
                return Err(OpenError::Damaged {
                    file: path,
                    offset: 0,
                    group: None,
                    index: None,
                    what,
                });
            }
        }
    }
    Ok(segments)
}

/// `None` when the head of the segment is unreadable.
pub(super) async fn open_one(
    disk: &dyn Disk,
    path: &Path,
    number: u32,
) -> Result<Option<Segment>, OpenError> {
    let file = disk
        .open(
            path,
            Open {
                create: Create::Never,
                lane: DiskLane::Bulk,
            },
        )
        .await?;
    match segment::read_head(&file.read_at(0, SEGMENT_HEAD_BYTES).await?, number) {
        FileHead::Valid { salt } => Ok(Some(
            segment::open(disk, path.to_owned(), number, salt).await?,
        )),
        FileHead::Newer(found) => Err(newer(path, found)),
        FileHead::Invalid => Ok(None),
    }
}

/// Whether a segment was prepared and never used.
async fn is_empty(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let file = disk
        .open(
            path,
            Open {
                create: Create::Never,
                lane: DiskLane::Bulk,
            },
        )
        .await?;
    let content = file.read_at(0, file.len().await? as usize).await?;
    Ok(content
        .iter()
        .skip(SEGMENT_HEAD_BYTES)
        .all(|byte| *byte == 0))
}

fn place(loaded: &Loaded, offset: usize, payload: usize, at: Base) -> Place {
    let bytes = (super::frame::ENTRY_BYTES + payload) as u32;
    Place {
        segment: loaded.segment.number,
        offset: offset as u32,
        bytes,
        chain: at.chain,
    }
}

fn newer(path: &Path, found: u8) -> OpenError {
    OpenError::NewerFormat {
        file: path.to_owned(),
        found,
        known: super::frame::FORMAT,
    }
}

pub(super) fn damaged(
    segment: &Segment,
    at: usize,
    entry: Option<(GroupId, u64)>,
    what: String,
) -> OpenError {
    let file = segment.path.clone();
    let (group, index) = entry.unzip();
    OpenError::Damaged {
        file,
        offset: at as u64,
        group,
        index,
        what,
    }
}
