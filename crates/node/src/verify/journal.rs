//! What the audit journal of a directory holds, for people and programs.
//! Promise: not a byte is changed; what does not hold is named by group, entry and place; a journal that
//! cannot be read says so and keeps nothing else from being proven.
//! Not here: how it is read (`store`), the log and its snapshots (`directory`).

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use runtime::Disk;
use store::{JournalContent, JournalFault, JournalProblem, read_journal};

/// What a journal holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalProof {
    /// Segments kept.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The oldest UTC day on which a segment left the log, counted from 1970-01-01; `None` when it is empty.
    pub oldest_day: Option<u32>,
    /// The newest one.
    pub newest_day: Option<u32>,
    /// Each group of which it holds anything.
    pub groups: Vec<JournalledGroup>,
    /// What does not hold, in the order of the files.
    pub breaches: Vec<JournalBreach>,
    /// Further ones, which are not told one by one.
    pub more_breaches: u64,
    /// Why it could not be read; `None` when it was.
    pub unreadable: Option<String>,
}

/// What a journal holds of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalledGroup {
    /// The group's number; 0 is the control group.
    pub group: u32,
    /// The first entry held.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Entries that can be read between them, both included.
    pub entries: u64,
    /// The first and the last entry behind those that neither journal nor log holds; `None` where the log goes on.
    pub gap: Option<(u64, u64)>,
}

/// Something in a journal that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalBreach {
    /// The group's number, and the first and the last entry concerned; `None` where that cannot be told.
    pub entries: Option<(u32, u64, u64)>,
    /// What was seen.
    pub seen: &'static str,
    /// Where it stands.
    pub place: String,
}

impl fmt::Display for JournalBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entries {
            Some((_, first, last)) if first == last => write!(f, "at entry {first}: ")?,
            Some((_, first, last)) => write!(f, "at entries {first} to {last}: ")?,
            None => {}
        }
        write!(f, "{} ({})", self.seen, self.place)
    }
}

/// Reads the journal beside the log in `log`.
pub(super) async fn prove(disk: Arc<dyn Disk>, log: &Path) -> JournalProof {
    match read_journal(disk, log).await {
        Ok(content) => proof_of(content),
        Err(error) => JournalProof {
            unreadable: Some(error.to_string()),
            ..JournalProof::default()
        },
    }
}

fn proof_of(content: JournalContent) -> JournalProof {
    let ends = |range: &RangeInclusive<u64>| (*range.start(), *range.end());
    let groups = content.groups.into_iter().map(|held| {
        let (first, last) = ends(&held.indexes);
        JournalledGroup {
            group: held.group.0,
            first,
            last,
            entries: held.entries,
            gap: held.gap.as_ref().map(ends),
        }
    });
    JournalProof {
        segments: content.segments,
        bytes: content.bytes,
        oldest_day: content.oldest_day,
        newest_day: content.newest_day,
        groups: groups.collect(),
        breaches: content.problems.into_iter().map(breach_of).collect(),
        more_breaches: content.more_problems,
        unreadable: None,
    }
}

fn breach_of(problem: JournalProblem) -> JournalBreach {
    let seen = match problem.fault {
        JournalFault::Checksum => "a record does not fit its checksum",
        JournalFault::Chain => "the content does not fit the hash chain: it was altered",
        JournalFault::Missing => "a segment between others is missing",
        JournalFault::Unreadable => "the head of a segment is damaged, or a later version wrote it",
    };
    let entries = problem.entries;
    let place = problem.place;
    JournalBreach {
        entries: entries.map(|(group, range)| (group.0, *range.start(), *range.end())),
        seen,
        place: format!("file {}, byte {}", place.file.display(), place.offset),
    }
}
