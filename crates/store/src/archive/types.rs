//! Public values of the archive: records, pages, options, reports, errors.
//! Promise: each error says what happened and which record or file it concerns.
//! Not here: bytes on disk (`block`, `entries`).

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Buf, Bytes};

/// Content of one conversation is at most 1 MiB; its envelope (ids, times, receipts) gets as much
/// room again.
pub const BLOB_BYTES_MAX: usize = 2 << 20;
/// Bytes of a customer's key: account and customer, two names of at most 128 bytes, with room.
pub const CUSTOMER_BYTES_MAX: usize = 512;
/// Bytes of one agent's or queue's name.
pub const NAME_BYTES_MAX: usize = 256;
/// Agents of one conversation.
pub const AGENTS_MAX: usize = 1_024;
/// Records of one `append`: four batches of the usual 256.
pub const APPEND_RECORDS_MAX: usize = 1_024;
/// Bytes of the blobs of one `append`; a single record may be larger.
pub const APPEND_BYTES_MAX: usize = 8 << 20;
/// Records of one page.
pub const PAGE_RECORDS_MAX: usize = 256;
/// Bytes of the blobs of one page, below what one answer between nodes may hold; at least one record
/// is given whatever its size.
pub const PAGE_BYTES_MAX: usize = 1 << 20;

/// Hashes of one page: some 40 bytes each, 80 KiB.
pub const HASHES_MAX: usize = 2_048;
/// Bytes of blobs that are read for one page of hashes, about: a tenth of a second of a slow disk.
pub const HASHED_BYTES_MAX: usize = 16 << 20;

/// A cut BLAKE3.
pub type Hash16 = [u8; 16];

/// One closed conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The cell that owned it.
    pub cell: u32,
    /// The log index of the entry that sealed it.
    pub sealed: u64,
    /// The log index of its opening, its id within the cell.
    pub conversation: u64,
    /// Opaque key of account and customer, at most [`CUSTOMER_BYTES_MAX`].
    pub customer: Bytes,
    /// Agents who owned it.
    pub agents: Vec<String>,
    /// The queue that it left last.
    pub queue: String,
    /// When it was opened, Unix milliseconds.
    pub opened_wall_ms: u64,
    /// When it was closed, Unix milliseconds; its UTC day is the day of its file.
    pub closed_wall_ms: u64,
    /// What reports sum up.
    pub facts: Facts,
    /// The conversation, opaque here, at most [`BLOB_BYTES_MAX`].
    pub blob: Bytes,
}

/// What reports need of a closed conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// An agent has accepted it.
    pub answered: bool,
    /// The customer left before that.
    pub abandoned: bool,
    /// How long it waited, milliseconds.
    pub wait_ms: u64,
    /// How long agents worked on it, milliseconds.
    pub handle_ms: u64,
    /// The customer's rating.
    pub rating: Option<u32>,
}

/// The place of a record in the order of sealing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sealing {
    /// The log index of the entry that sealed it.
    pub sealed: u64,
    /// The conversation.
    pub conversation: u64,
}

impl Record {
    /// Its place in the order of sealing.
    pub fn sealing(&self) -> Sealing {
        Sealing {
            sealed: self.sealed,
            conversation: self.conversation,
        }
    }

    /// What `chain_step` folds.
    pub fn blob_hash(&self) -> Hash16 {
        blob_hash(&self.blob)
    }
}

/// The hash of a record's blob.
pub fn blob_hash(blob: &[u8]) -> Hash16 {
    hash16(&[blob])
}

/// One step of the digest over blobs in the order of (sealed, conversation):
/// `BLAKE3(digest || blob_hash)`, cut to 16 bytes.
pub fn chain_step(digest: Hash16, blob_hash: Hash16) -> Hash16 {
    hash16(&[&digest, &blob_hash])
}

/// BLAKE3 over `parts`, cut to 16 bytes.
pub(super) fn hash16(parts: &[&[u8]]) -> Hash16 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut cut = [0; 16];
    cut.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    cut
}

/// Sizes and ages. The defaults are those of production.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveOptions {
    /// Bytes after which a segment file takes no further batch. Default 64 MiB.
    pub segment_bytes: u64,
    /// Days for which what has left is kept: for whoever says what [`Keep`] says. Default 90.
    pub archive_days: u32,
    /// Bytes of all segments above which the oldest days go. Default 64 GiB.
    pub archive_max_bytes: u64,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            archive_days: 90,
            archive_max_bytes: 64 << 30,
        }
    }
}

/// Which part of an answer is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Where the page before ended; `None` for the first.
    pub after: Option<PageToken>,
    /// Records wanted, held to [`PAGE_RECORDS_MAX`]; at least one.
    pub records_max: usize,
}

/// Among which conversations one is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Within {
    /// Of this cell, or of all.
    pub cell: Option<u32>,
    /// Closed in here, Unix milliseconds.
    pub closed_ms: RangeInclusive<u64>,
}

impl Default for Within {
    /// All.
    fn default() -> Self {
        Self {
            cell: None,
            closed_ms: 0..=u64::MAX,
        }
    }
}

/// Where a page newest first ended. Opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageToken {
    pub(super) closed_ms: u64,
    pub(super) conversation: u64,
    pub(super) cell: u32,
}

/// Bytes of a token.
const TOKEN_BYTES: usize = 20;

impl PageToken {
    /// The token as bytes, for a client to carry.
    pub fn to_bytes(self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..8].copy_from_slice(&self.closed_ms.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.conversation.to_be_bytes());
        bytes[16..].copy_from_slice(&self.cell.to_be_bytes());
        bytes
    }

    /// A token that a client brings back; `None` for anything of another length.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        (bytes.len() == TOKEN_BYTES).then(|| Self {
            closed_ms: bytes.get_u64(),
            conversation: bytes.get_u64(),
            cell: bytes.get_u32(),
        })
    }
}

/// Records newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// They stand in the order of closing, the last closed first.
    pub records: Vec<Record>,
    /// Records of this page that are damaged and therefore left out.
    pub damaged: Vec<Lost>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<PageToken>,
}

/// A record of a page that cannot be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its conversation.
    pub conversation: u64,
    /// How many records of the page stand before it.
    pub before: usize,
}

/// Records in the order of sealing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// They stand in the order of (sealed, conversation).
    pub records: Vec<Record>,
    /// Records of this page that are damaged and therefore left out.
    pub damaged: u32,
    /// The last record looked at; the next page begins after it. `None` at the end of the range.
    pub next: Option<Sealing>,
}

/// The hash of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Its place.
    pub at: Sealing,
    /// The hash of its blob; `None` where the record is damaged.
    pub hash: Option<Hash16>,
}

/// Hashes in the order of sealing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    /// They stand in the order of (sealed, conversation).
    pub hashes: Vec<Hashed>,
    /// The last record looked at; the next page begins after it. `None` at the end of the range.
    pub next: Option<Sealing>,
}

/// A fold over a range of blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chained {
    /// The digest after the last blob.
    pub digest: Hash16,
    /// Blobs folded.
    pub count: u64,
}

/// What closed conversations of one UTC day and queue add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Conversations closed.
    pub closed: u64,
    /// Of these: abandoned by the customer.
    pub abandoned: u64,
    /// Of these: accepted by an agent.
    pub answered: u64,
    /// Sum of waiting, milliseconds.
    pub wait_ms: u64,
    /// Sum of work, milliseconds.
    pub handle_ms: u64,
    /// Ratings given.
    pub ratings: u64,
    /// Sum of the ratings.
    pub rating_sum: u64,
}

impl Figures {
    pub(super) fn add(&mut self, facts: &Facts) {
        self.merge(&Self {
            closed: 1,
            abandoned: u64::from(facts.abandoned),
            answered: u64::from(facts.answered),
            wait_ms: facts.wait_ms,
            handle_ms: facts.handle_ms,
            ratings: u64::from(facts.rating.is_some()),
            rating_sum: u64::from(facts.rating.unwrap_or(0)),
        });
    }

    /// Adds another sum; sums saturate, because the numbers come from outside.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, more) in self.parts_mut().into_iter().zip(other.parts()) {
            *mine = mine.saturating_add(more);
        }
    }

    pub(super) fn parts(&self) -> [u64; 7] {
        let mut copy = *self;
        copy.parts_mut().map(|part| *part)
    }

    pub(super) fn parts_mut(&mut self) -> [&mut u64; 7] {
        [
            &mut self.closed,
            &mut self.abandoned,
            &mut self.answered,
            &mut self.wait_ms,
            &mut self.handle_ms,
            &mut self.ratings,
            &mut self.rating_sum,
        ]
    }
}

/// A region of a file that fits no checksum. It is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub file: PathBuf,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// What does not fit.
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, what } = self;
        write!(f, "{} at byte {offset} of {}", what, file.display())
    }
}

/// Something found at opening or later that was put right. To be printed by the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchiveNotice {
    /// The end of a file was not written completely before a crash. It was never acknowledged.
    TornTailCut {
        /// The segment.
        file: PathBuf,
        /// Where the cut lies, in bytes.
        offset: u64,
    },
    /// Records are lost here; they are to be fetched from a peer.
    Damaged(Damage),
    /// The index was not usable and is built anew from the segments.
    IndexSetAside {
        /// What was wrong.
        why: String,
    },
}

impl fmt::Display for ArchiveNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTailCut { file, offset } => write!(
                f,
                "the last write before a crash was incomplete: {} was cut at byte {offset}; nothing behind it had \
                 been acknowledged",
                file.display()
            ),
            Self::Damaged(damage) => write!(
                f,
                "closed conversations are damaged and not served: {damage}; they are fetched from a peer"
            ),
            Self::IndexSetAside { why } => write!(
                f,
                "the archive's index was set aside and is built anew from its files: {why}"
            ),
        }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Segment files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was put right so far.
    pub notices: Vec<ArchiveNotice>,
    /// The index is still being built.
    pub rebuilding: bool,
}

/// How the index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// It covers every record.
    Whole,
    /// It is being built.
    Rebuilding {
        /// Bytes of segments read.
        done: u64,
        /// Bytes of segments to read.
        of: u64,
    },
}

/// How an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// Bytes of segment files.
    pub segment_bytes: u64,
    /// Bytes of the index on disk; 0 for one in memory.
    pub index_bytes: u64,
    /// Segment files.
    pub files: u64,
    /// Records that the index covers.
    pub records: u64,
    /// The oldest UTC day with a file, in days since 1970-01-01.
    pub oldest_day: Option<u32>,
    /// How the index is.
    pub index: IndexState,
    /// How often the index was set aside since opening.
    pub set_aside: u64,
    /// Different damaged places found since opening.
    pub damages: u64,
    /// The last of them.
    pub last_damage: Option<Damage>,
}

/// What is kept of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The cell.
    pub cell: u32,
    /// What was sealed up to this entry is kept no longer.
    pub after: u64,
    /// What was sealed after this entry is never dropped for lack of room.
    pub spared_after: u64,
    /// The entries at which ranges end, in order: what goes for lack of room goes up to the next one, because
    /// what is left of a range has no hash of its own by which it could be checked.
    pub ends: Vec<u64>,
}

impl Keep {
    /// Up to where records go when one that was sealed by this entry goes for lack of room.
    pub(super) fn end_of(&self, sealed: u64) -> u64 {
        let at = self.ends.partition_point(|end| *end < sealed);
        let end = self.ends.get(at).copied().unwrap_or(sealed);
        end.min(self.spared_after).max(sealed)
    }
}

/// What `prune` dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// UTC days of which files were dropped, in days since 1970-01-01, oldest first.
    pub days: Vec<u32>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their records, as far as the index covered them.
    pub records: u64,
}

/// What one step of the scrub did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Bytes read back and checked.
    pub bytes: u64,
    /// Records that fit their hashes.
    pub records: u64,
    /// Damaged regions found.
    pub damages: u64,
    /// The step has reached the end; the next one begins with the oldest file.
    pub round_ended: bool,
}

/// Why an archive could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveOpenError {
    /// The disk failed.
    #[error("the archive cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// Written by a later version.
    #[error(
        "{} is written in version {found} of the archive's format, and this program knows version {known}: start \
         the version of antiphon that wrote it, or a later one",
        file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The version found.
        found: u8,
        /// The newest version known.
        known: u8,
    },
}

/// Why an operation of the archive failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The index is being built; ask again.
    #[error("the archive's index is being built, {done} of {of} bytes are read; ask again")]
    Rebuilding {
        /// Bytes of segments read.
        done: u64,
        /// Bytes of segments to read.
        of: u64,
    },
    /// A record is there and does not fit its checksum or hash. It is not served.
    #[error(
        "conversation {conversation} of cell {cell} is damaged in this node's archive: {damage}"
    )]
    Damaged {
        /// The cell.
        cell: u32,
        /// The conversation.
        conversation: u64,
        /// Where.
        damage: Damage,
    },
    /// Another blob was archived before under the same conversation.
    #[error("conversation {conversation} of cell {cell} is archived already, with other content")]
    Conflict {
        /// The cell.
        cell: u32,
        /// The conversation.
        conversation: u64,
    },
    /// A record or batch outside its bounds: a defect of the caller.
    #[error("conversation {conversation} of cell {cell} cannot be archived: {what}")]
    Refused {
        /// The cell.
        cell: u32,
        /// The conversation.
        conversation: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The disk is full. Nothing of the batch counts.
    #[error("the disk of the archive is full: {reason}")]
    NoSpace {
        /// The disk's words.
        reason: Arc<str>,
    },
    /// The disk failed. Nothing of the batch counts.
    #[error("the archive's disk failed: {reason}")]
    Io {
        /// The disk's words.
        reason: Arc<str>,
    },
    /// The archive was closed, or its task has ended.
    #[error("the archive is closed")]
    Closed,
}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        let reason = error.to_string().into();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { reason },
            _ => Self::Io { reason },
        }
    }
}

/// Why a range could not be folded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A record of the range is known and cannot be read: to be fetched from a peer.
    #[error("cell {cell} lacks conversation {} in this node's archive: {damage}", at.conversation)]
    Missing {
        /// The cell.
        cell: u32,
        /// Its place.
        at: Sealing,
        /// Where it is damaged.
        damage: Damage,
    },
    /// The archive could not answer.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}
