//! Public values of the log: records, positions, chains, options, errors.
//! Promise: each error says what happened and, where a person must act, what to do next.
//! Not here: bytes on disk (`frame`).

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::journal::JournalOptions;
use crate::GroupId;

/// Where an entry stands in the log of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// The term of the leader that proposed it.
    pub term: u64,
    /// That leader's node id.
    pub leader_node: u64,
    /// Its place in the log; the first is 0 or 1 as the consensus chooses.
    pub index: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of term {}", self.index, self.term)
    }
}

/// One entry of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The term of the leader that proposed it.
    pub term: u64,
    /// That leader's node id.
    pub leader_node: u64,
    /// Its place in the log.
    pub index: u64,
    /// Opaque to the store; at most [`PAYLOAD_BYTES_MAX`].
    pub payload: Bytes,
}

/// 1 MiB of content and its envelope.
pub const PAYLOAD_BYTES_MAX: usize = 2 * 1024 * 1024;

impl Record {
    /// Its place.
    pub fn id(&self) -> EntryId {
        EntryId {
            term: self.term,
            leader_node: self.leader_node,
            index: self.index,
        }
    }
}

/// The hash over all entries of a group up to one index: `c = H(previous c, term, index, payload)`,
/// blake3 cut to 16 bytes. Replicas with equal logs have equal chains.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chain(pub [u8; 16]);

impl Chain {
    /// The chain after one more entry.
    #[must_use]
    pub fn next(&self, term: u64, index: u64, payload: &[u8]) -> Self {
        let mut head = [0_u8; 32];
        head[..16].copy_from_slice(&self.0);
        head[16..24].copy_from_slice(&term.to_le_bytes());
        head[24..].copy_from_slice(&index.to_le_bytes());
        let hash = *blake3::Hasher::new()
            .update(&head)
            .update(payload)
            .finalize()
            .as_bytes();
        let mut cut = [0; 16];
        cut.copy_from_slice(&hash[..16]);
        Self(cut)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Sizes of a log. The defaults are those of production.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// Bytes of one segment file, zero-filled ahead. Default 64 MiB; tests and memory disks use less.
    pub segment_bytes: u64,
    /// Bytes of recent payloads kept in memory per group, beside those not durable yet. Default 8 MiB.
    pub cache_bytes: usize,
    /// Bytes of payloads of all groups that wait to be written. Full means that `append` waits.
    /// Default 32 MiB.
    pub queue_bytes: usize,
    /// How segments are kept that no group needs any more. Default `None`: they are removed.
    pub journal: Option<JournalOptions>,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            cache_bytes: 8 << 20,
            queue_bytes: 32 << 20,
            journal: None,
        }
    }
}

impl WalOptions {
    /// Sizes for a memory disk: tests and `dev` without a data directory.
    pub fn small() -> Self {
        Self {
            segment_bytes: 1 << 20,
            cache_bytes: 1 << 20,
            queue_bytes: 8 << 20,
            journal: None,
        }
    }
}

/// Something found at opening that was put right. To be printed by the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The last batch was not written completely before a crash. It was never acknowledged.
    TornTailCut {
        /// The segment.
        file: PathBuf,
        /// Where the cut lies, in bytes.
        offset: u64,
        /// The number of the batch.
        batch: u64,
    },
    /// A prepared, still empty segment was unreadable and has been made anew.
    EmptySegmentRemade {
        /// The segment.
        file: PathBuf,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTailCut {
                file,
                offset,
                batch,
            } => write!(
                f,
                "the last write before a crash was incomplete: batch {batch} at byte {offset} of {} was cut off; \
                 nothing in it had been acknowledged",
                file.display()
            ),
            Self::EmptySegmentRemade { file } => {
                write!(
                    f,
                    "the empty segment {} was unreadable and was made anew",
                    file.display()
                )
            }
        }
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("the log cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// Acknowledged data is lost. The node must neither vote nor answer appends.
    #[error(
        "acknowledged data of the log is damaged: {what}, file {}, byte {offset}{}. This node must not vote again \
         with this data. {}",
        file.display(),
        place(*.group, *.index),
        Self::INSTEAD
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where the damage lies, in bytes.
        offset: u64,
        /// The group concerned, where that can still be read.
        group: Option<GroupId>,
        /// The entry concerned, where that can still be read.
        index: Option<u64>,
        /// What does not fit.
        what: String,
    },
    /// Written by a later version.
    #[error(
        "{} is written in version {found} of the log's format, and this program knows version {known}: \
         start the version of antiphon that wrote it, or a later one",
        file.display()
    )]
    NewerFormat {
        /// The segment.
        file: PathBuf,
        /// The version found.
        found: u8,
        /// The newest version known.
        known: u8,
    },
}

impl OpenError {
    /// What can be done about a node whose data is not good for a vote any more.
    pub const INSTEAD: &str = "Keep its data directory aside and start nothing on it; the cluster goes on with its \
         other voters. To serve clients here again, join under another node name with an empty directory: \
         `antiphon join HOST:PORT --config NEWFILE --site SITE --node NEWNAME --data NEWDIR`, HOST:PORT being the \
         peer address of a healthy node. That node gets a new id and no vote in `main`, which stays one voter \
         short: replacing a voter is not possible yet";
}

fn place(group: Option<GroupId>, index: Option<u64>) -> String {
    let group = group.map(|group| format!(", {group}")).unwrap_or_default();
    let index = index
        .map(|index| format!(", index {index}"))
        .unwrap_or_default();
    group + &index
}

/// Why an operation of the log failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalError {
    /// A write or sync has failed. That is for ever: nothing is acknowledged any more.
    #[error("the log has failed and acknowledges nothing any more: {reason}")]
    Failed {
        /// What failed first.
        reason: Arc<str>,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// A record read back does not fit its checksum. It is not served.
    #[error("a record of the log is damaged: {group}, index {index}, file {}, byte {offset}", file.display())]
    Damaged {
        /// The group.
        group: GroupId,
        /// The entry.
        index: u64,
        /// The segment.
        file: PathBuf,
        /// Where the record begins, in bytes.
        offset: u64,
    },
    /// The disk failed to read. The log goes on.
    #[error("an entry of the log cannot be read: {reason}")]
    Read {
        /// The disk's words.
        reason: Arc<str>,
    },
    /// An append that does not follow the last entry, or is larger than allowed: a defect of the caller.
    #[error("{group} cannot append index {index}: {what}")]
    Misplaced {
        /// The group.
        group: GroupId,
        /// The first entry concerned.
        index: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// How the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It takes appends.
    Good,
    /// The next segment cannot be prepared; appends go on until the present one is full and then
    /// wait. New work should be refused now. Ends by itself when there is room again.
    NoSpace {
        /// The disk's words.
        reason: Arc<str>,
    },
    /// It acknowledges nothing any more.
    Failed {
        /// What failed first.
        reason: Arc<str>,
    },
}

/// A group that keeps old segments alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Laggard {
    /// The group.
    pub group: GroupId,
    /// Segments from the oldest that it needs to the present one.
    pub segments: u64,
    /// Its last entry in the oldest of those segments: purging up to here lets that segment go.
    pub purge_to: u64,
}

/// What a log keeps of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: it is not there, or not written yet.
    Missing,
    /// It was purged, so a snapshot has it.
    Purged,
    /// Its record, written or about to be.
    At {
        /// The segment's file.
        file: std::path::PathBuf,
        /// Where it begins.
        offset: u64,
        /// Its bytes.
        bytes: u64,
        /// The chain up to it, which stands in it.
        chain: Chain,
    },
}
