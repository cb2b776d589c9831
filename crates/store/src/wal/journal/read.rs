//! Reading a journal as it stands: what it holds of each group, and what of it does not hold.
//! Promise: nothing on disk is changed; one segment at a time is in memory; damage is named by entry and
//! place and never ends the reading; what stands behind it is read on.
//! Not here: what entries mean (`node::verify`).

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use runtime::Disk;

use super::super::frame::{Base, Body, Frame, MARKER_BYTES, Restated, parse};
use super::super::recover::{Loaded, open_one};
use super::super::scan::Place;
use super::super::segment::{SEGMENT_HEAD_BYTES, number_of, path_of};
use super::super::types::{Chain, OpenError};
use super::extent::heads;
use super::files::{self, FileName};
use super::journal_dir;
use crate::GroupId;

/// Problems that are told one by one; the rest is counted. A person acts on the first.
const PROBLEMS_MAX: usize = 100;

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalContent {
    /// Segments kept.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The oldest UTC day, counted from 1970-01-01; `None` when it is empty.
    pub oldest_day: Option<u32>,
    /// The newest one.
    pub newest_day: Option<u32>,
    /// What it holds of each group of which it holds anything, in order.
    pub groups: Vec<JournalGroup>,
    /// What does not hold, in the order of the files.
    pub problems: Vec<JournalProblem>,
    /// Further problems, which are not told one by one.
    pub more_problems: u64,
}

/// What a journal holds of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalGroup {
    /// The group.
    pub group: GroupId,
    /// The first and the last entry held.
    pub indexes: RangeInclusive<u64>,
    /// Entries that can be read between them, both included.
    pub entries: u64,
    /// Entries behind the last one that neither the journal holds nor the log; `None` when the log goes
    /// on where the journal ends.
    pub gap: Option<RangeInclusive<u64>>,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalProblem {
    /// What it is.
    pub fault: JournalFault,
    /// The group and its entries concerned; `None` where that cannot be told.
    pub entries: Option<(GroupId, RangeInclusive<u64>)>,
    /// Where it stands.
    pub place: Place,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFault {
    /// Bytes that fit no checksum: the entries cannot be read.
    Checksum,
    /// A record whose content does not fit the hash chain of its group although its checksum fits: it
    /// was altered.
    Chain,
    /// A segment between others is not there.
    Missing,
    /// A segment that cannot be read at all: its head is damaged, or a later version wrote it.
    Unreadable,
}

/// Reads the journal beside the log in `log`; an empty one where there is none.
///
/// # Errors
/// When the disk fails; what is damaged is in the content.
pub async fn read_journal(disk: Arc<dyn Disk>, log: &Path) -> io::Result<JournalContent> {
    let dir = journal_dir(log);
    let files = match files::list(&*disk, &dir).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        listed => listed?,
    };
    let mut reading = Reading::default();
    reading.content.bytes = files.values().sum();
    for name in files.keys() {
        reading.file(&*disk, &dir, *name).await?;
    }
    if let Some(newest) = files.keys().next_back() {
        reading.join(&*disk, log, newest.number).await?;
    }
    Ok(reading.finish())
}

/// Something that stands in a segment.
pub enum Piece {
    Frame(Frame),
    /// Bytes that are no frame, up to the next one.
    Damage,
}

/// A segment in memory.
pub struct Pieces {
    salt: u32,
    content: Bytes,
}

impl Pieces {
    /// Reads a segment; `None` when it is no segment of this number that this version can read.
    pub async fn of(disk: &dyn Disk, path: &Path, number: u32) -> io::Result<Option<Self>> {
        let segment = match open_one(disk, path, number).await {
            Ok(segment) => segment,
            Err(OpenError::Io(error)) => return Err(error),
            Err(OpenError::Damaged { .. } | OpenError::NewerFormat { .. }) => None,
        };
        let Some(segment) = segment else {
            return Ok(None);
        };
        let salt = segment.salt;
        let content = Loaded::from(&Arc::new(segment)).await?.content;
        Ok(Some(Self { salt, content }))
    }

    /// Gives every frame, and every stretch of bytes that is none, to `each`.
    pub fn each(&self, each: &mut dyn FnMut(usize, Piece)) {
        let (mut at, mut batch_end) = (SEGMENT_HEAD_BYTES, None);
        while at < self.content.len() {
            match parse(self.salt, &self.content, at) {
                Ok(frame) => {
                    let bytes = frame.bytes;
                    if let Body::BatchHead { bytes } = frame.body {
                        batch_end = at.checked_add(bytes as usize);
                    }
                    each(at, Piece::Frame(frame));
                    at += bytes;
                }
                // A marker needs no sync of its own: a crash behind it may have torn it, and nothing else.
                Err(_) if batch_end == Some(at) => at += MARKER_BYTES,
                Err(_) => {
                    let next = self.next_frame(at);
                    // Zeros were never written: the rest of a segment.
                    if self.content[at..next].iter().any(|byte| *byte != 0) {
                        each(at, Piece::Damage);
                    }
                    at = next;
                }
            }
        }
    }

    /// The first frame behind `at`, or the end. Frames are seeded with the file's salt, so that no
    /// payload looks like one.
    fn next_frame(&self, at: usize) -> usize {
        (at + 8..self.content.len())
            .step_by(8)
            .find(|at| parse(self.salt, &self.content, *at).is_ok())
            .unwrap_or(self.content.len())
    }
}

/// One group while its segments are read.
#[derive(Default)]
struct Track {
    /// The last entry, held or known of, with the chain there unless what makes it is damaged.
    last: Option<(u64, Chain)>,
    held: Option<RangeInclusive<u64>>,
    /// Between the ends of `held`: entries that cannot be read or never were here.
    lacking: u64,
    gap: Option<RangeInclusive<u64>>,
}

/// The reading of a journal.
#[derive(Default)]
struct Reading {
    content: JournalContent,
    tracks: BTreeMap<GroupId, Track>,
    previous: Option<u32>,
    /// The damage seen last, for the entries that turn out to be missing behind it.
    damage: Option<(JournalFault, Place)>,
    /// Whether entries were named for it.
    is_named: bool,
}

impl Reading {
    async fn file(&mut self, disk: &dyn Disk, dir: &Path, name: FileName) -> io::Result<()> {
        let path = dir.join(name.to_string());
        let place = |offset: usize| Place {
            file: path.clone(),
            offset: offset as u64,
        };
        if let Some(gap) = self
            .previous
            .map(|previous| previous + 1)
            .filter(|next| *next < name.number)
        {
            let missing = FileName {
                number: gap,
                ..name
            };
            let file = dir.join(missing.to_string());
            self.damaged(JournalFault::Missing, Place { file, offset: 0 });
        }
        self.previous = Some(name.number);
        self.content.segments += 1;
        let day = Some(u32::from(name.day));
        self.content.oldest_day = self.content.oldest_day.or(day);
        self.content.newest_day = day;
        let Some(pieces) = Pieces::of(disk, &path, name.number).await? else {
            self.damaged(JournalFault::Unreadable, place(0));
            return Ok(());
        };
        pieces.each(&mut |at, piece| match piece {
            Piece::Frame(frame) => self.frame(frame, name.number == 1, &|| place(at)),
            Piece::Damage => self.damaged(JournalFault::Checksum, place(at)),
        });
        Ok(())
    }

    fn frame(&mut self, frame: Frame, is_first: bool, place: &dyn Fn() -> Place) {
        let group = frame.group;
        match frame.body {
            Body::Entry { at, payload } => self.entry((group, at), &payload, is_first, place),
            Body::Truncate { keep } => self.cut((group, keep), place),
            Body::Purge { upto } => self.track(group).purge(upto),
            Body::State(state) => self.restated(group, &state, place),
            Body::BatchHead { .. } | Body::Marker | Body::Vote(_) | Body::Committed(_) => {}
        }
    }

    /// A log cut behind an entry that it never had lacks those up to there.
    fn cut(&mut self, (group, keep): (GroupId, Option<Base>), place: &dyn Fn() -> Place) {
        let last = self.track(group).last.map(|(last, _)| last);
        if let Some((last, keep)) = last.zip(keep.map(|keep| keep.id.index))
            && last < keep
        {
            self.lost((group, last + 1..=keep), place);
        }
        self.track(group).cut(keep);
    }

    fn track(&mut self, group: GroupId) -> &mut Track {
        self.tracks.entry(group).or_default()
    }

    fn entry(
        &mut self,
        (group, at): (GroupId, Base),
        payload: &[u8],
        is_first: bool,
        place: &dyn Fn() -> Place,
    ) {
        let index = at.id.index;
        let track = self.track(group);
        // A log begins with an empty chain.
        let begins = track.last.is_none() && is_first && index <= 1;
        let before = match track.last {
            Some((last, chain)) if last + 1 == index => Some(chain),
            None if begins => Some(Chain::default()),
            _ => None,
        };
        let expected = track.last.map_or(index, |(last, _)| last + 1);
        if expected < index {
            self.lost((group, expected..=index - 1), place);
        }
        let fits = |chain: Chain| chain.next(at.id.term, index, payload) == at.chain;
        if before.is_some_and(|chain| !fits(chain)) {
            self.problem(JournalProblem {
                fault: JournalFault::Chain,
                entries: Some((group, index..=index)),
                place: place(),
            });
        }
        // One altered record is named once: those behind it were chained to what it had been.
        self.track(group).hold(at);
    }

    /// What the head of a segment says of a group: it must be what the segments before it made.
    fn restated(&mut self, group: GroupId, state: &Restated, place: &dyn Fn() -> Place) {
        let Some(last) = state.last else { return };
        let index = last.id.index;
        match self.track(group).last {
            Some((ours, chain)) if ours == index && chain != last.chain => {
                self.problem(JournalProblem {
                    fault: JournalFault::Chain,
                    entries: Some((group, index..=index)),
                    place: place(),
                });
            }
            Some((ours, _)) if ours < index => self.lost((group, ours + 1..=index), place),
            _ => {}
        }
        self.track(group).last = Some((index, last.chain));
    }

    /// What the log that goes on says of the journal's end.
    async fn join(&mut self, disk: &dyn Disk, log: &Path, newest: u32) -> io::Result<()> {
        let names = match disk.list(log).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        let Some(oldest) = names.iter().filter_map(|name| number_of(name)).min() else {
            return Ok(());
        };
        let path = path_of(log, oldest);
        let Some(heads) = heads(disk, &path, oldest).await? else {
            return Ok(());
        };
        for (group, state) in heads {
            let last = self.track(group).last.map(|(last, _)| last);
            let Some((last, next)) = last.zip(state.last.map(|last| last.id.index)) else {
                continue;
            };
            if newest.checked_add(1) == Some(oldest) {
                let place = || Place {
                    file: path.clone(),
                    offset: SEGMENT_HEAD_BYTES as u64,
                };
                self.restated(group, &state, &place);
            } else if last < next {
                self.track(group).gap = Some(last + 1..=next);
            }
        }
        Ok(())
    }

    /// Entries that should have come before `place` and did not.
    fn lost(&mut self, entries: (GroupId, RangeInclusive<u64>), place: &dyn Fn() -> Place) {
        let track = self.track(entries.0);
        if track.held.is_some() {
            let count = entries.1.end() - entries.1.start() + 1;
            track.lacking = track.lacking.saturating_add(count);
        }
        let (fault, place) = match &self.damage {
            Some((fault, place)) => (*fault, place.clone()),
            None => (JournalFault::Missing, place()),
        };
        self.is_named = true;
        self.problem(JournalProblem {
            fault,
            entries: Some(entries),
            place,
        });
    }

    fn damaged(&mut self, fault: JournalFault, place: Place) {
        self.name_damage();
        self.damage = Some((fault, place));
        self.is_named = false;
    }

    /// Damage behind which no entry was missing is told without one.
    fn name_damage(&mut self) {
        let unnamed = self.damage.take().filter(|_| !self.is_named);
        if let Some((fault, place)) = unnamed {
            self.problem(JournalProblem {
                fault,
                entries: None,
                place,
            });
        }
    }

    fn problem(&mut self, problem: JournalProblem) {
        if self.content.problems.len() < PROBLEMS_MAX {
            self.content.problems.push(problem);
        } else {
            self.content.more_problems += 1;
        }
    }

    fn finish(mut self) -> JournalContent {
        self.name_damage();
        let groups = self.tracks.into_iter().filter_map(|(group, track)| {
            let indexes = track.held?;
            let span = indexes.end() - indexes.start() + 1;
            Some(JournalGroup {
                group,
                entries: span.saturating_sub(track.lacking),
                indexes,
                gap: track.gap,
            })
        });
        self.content.groups = groups.collect();
        self.content
    }
}

impl Track {
    fn hold(&mut self, at: Base) {
        let index = at.id.index;
        self.last = Some((index, at.chain));
        let first = self.held.as_ref().map_or(index, |held| *held.start());
        self.held = Some(first.min(index)..=index);
    }

    fn cut(&mut self, keep: Option<Base>) {
        self.last = keep.map(|keep| (keep.id.index, keep.chain));
        let held = self.held.take();
        self.held = held.zip(keep).and_then(|(held, keep)| {
            let end = keep.id.index.min(*held.end());
            (*held.start() <= end).then(|| *held.start()..=end)
        });
    }

    /// A purge beyond the log is a snapshot from the leader: the entries before it never were here.
    fn purge(&mut self, upto: Base) {
        let index = upto.id.index;
        if let Some((last, _)) = self.last
            && last < index
            && self.held.is_some()
        {
            self.lacking = self.lacking.saturating_add(index - last);
        }
        if self.last.is_none_or(|(last, _)| last < index) {
            self.last = Some((index, upto.chain));
        }
    }
}
