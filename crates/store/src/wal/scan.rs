//! Reading a log as it stands, record by record, without opening it: for proofs.
//! Promise: nothing on disk is changed; one segment at a time is in memory; what a crash left behind
//! the last whole batch is passed by, and any other damage is an error that names the place.
//! Not here: whether records fit their chain (the proof), opening a log to go on (`recover`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use runtime::Disk;

use super::frame::{Base, Body, Frame};
use super::recover::{Loaded, Scanned, Walk, damaged, evidence, open_one};
use super::segment::{SEGMENT_HEAD_BYTES, number_of, path_of};
use super::types::{Chain, EntryId, OpenError, Record};
use crate::GroupId;

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The segment's file.
    pub file: PathBuf,
    /// Where it begins in it, in bytes.
    pub offset: u64,
}

/// What stands in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An entry, with the chain that was written beside it.
    Entry {
        /// Its content.
        record: Record,
        /// The chain up to it, as it stands there.
        chain: Chain,
    },
    /// Everything after this entry was removed; everything for `None`.
    Truncated {
        /// The last entry that was kept.
        keep: Option<u64>,
    },
    /// Everything up to this entry was removed, because a snapshot holds it.
    Purged {
        /// The last entry that was removed.
        upto: EntryId,
        /// The chain there.
        chain: Chain,
    },
    /// Entries up to this mark, opaque here, were known to be committed.
    Committed(Bytes),
    /// What the log was when the segment began. Counts for a group of which nothing was read before.
    Restated {
        /// The last entry, or the last one that was removed, with the chain there.
        last: Option<(EntryId, Chain)>,
        /// The last entry that was removed.
        purged: Option<u64>,
        /// The mark of what was committed.
        committed: Option<Bytes>,
    },
}

/// A log being read.
pub struct LogScan {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    numbers: Vec<u32>,
    next: usize,
    walk: Walk,
}

/// Takes what is found, in order.
pub type Visit<'v> = &'v mut (dyn FnMut(GroupId, Found, &dyn Fn() -> Place) + Send);

impl LogScan {
    /// Lists the segments in `dir`.
    ///
    /// # Errors
    /// When the disk refuses or a segment is missing in between.
    pub async fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, OpenError> {
        let names = disk.list(dir).await?;
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
        if let Some(pair) = gap {
            return Err(OpenError::Damaged {
                file: path_of(dir, pair[0] + 1),
                offset: 0,
                group: None,
                index: None,
                what: "a segment is missing".to_owned(),
            });
        }
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            numbers,
            next: 0,
            walk: Walk::default(),
        })
    }

    /// Segments that there are.
    pub fn segments(&self) -> usize {
        self.numbers.len()
    }

    /// Gives everything in the next segment to `visit`; `false` at the end of the log.
    ///
    /// # Errors
    /// When the segment cannot be read, or is damaged elsewhere than at the end of what was synced.
    pub async fn next_segment(&mut self, visit: Visit<'_>) -> Result<bool, OpenError> {
        let Some(number) = self.numbers.get(self.next).copied() else {
            return Ok(false);
        };
        self.next += 1;
        let Some(loaded) = self.load(number).await? else {
            // A prepared segment that was never begun has no head that can be read.
            return match self.next == self.numbers.len() && number > 1 {
                true => Ok(false),
                false => Err(self.unreadable(number)),
            };
        };
        let file = loaded.segment.path.clone();
        let scanned = self.walk.segment(&loaded, &mut |at, frame| {
            let place = || Place {
                file: file.clone(),
                offset: at as u64,
            };
            let group = frame.group;
            if let Some(found) = found(frame) {
                visit(group, found, &place);
            }
            Ok(())
        })?;
        match scanned {
            Scanned::Clean { .. } => Ok(true),
            Scanned::Damaged { batch_at, at, what } => {
                self.refuse_loss(&loaded, batch_at, at, what).await?;
                Ok(false)
            }
        }
    }

    async fn load(&self, number: u32) -> Result<Option<Loaded>, OpenError> {
        let path = path_of(&self.dir, number);
        match open_one(&*self.disk, &path, number).await? {
            Some(segment) => Ok(Some(Loaded::from(&Arc::new(segment)).await?)),
            None => Ok(None),
        }
    }

    /// Passes a torn tail by, and refuses a loss.
    async fn refuse_loss(
        &self,
        loaded: &Loaded,
        batch_at: usize,
        at: usize,
        what: String,
    ) -> Result<(), OpenError> {
        let batch = self.walk.expected();
        let mut was_synced = evidence(loaded, batch_at, batch);
        for number in &self.numbers[self.next..] {
            if let Some(later) = self.load(*number).await? {
                was_synced = was_synced || evidence(&later, SEGMENT_HEAD_BYTES, batch);
            }
        }
        match was_synced {
            true => Err(damaged(&loaded.segment, at, None, what)),
            false => Ok(()),
        }
    }

    fn unreadable(&self, number: u32) -> OpenError {
        OpenError::Damaged {
            file: path_of(&self.dir, number),
            offset: 0,
            group: None,
            index: None,
            what: "the head of a segment is unreadable".to_owned(),
        }
    }
}

fn found(frame: Frame) -> Option<Found> {
    let both = |base: Base| (base.id, base.chain);
    Some(match frame.body {
        Body::BatchHead { .. } | Body::Marker | Body::Vote(_) => return None,
        Body::Entry { at, payload } => Found::Entry {
            record: Record {
                term: at.id.term,
                leader_node: at.id.leader_node,
                index: at.id.index,
                payload,
            },
            chain: at.chain,
        },
        Body::Truncate { keep } => Found::Truncated {
            keep: keep.map(|keep| keep.id.index),
        },
        Body::Purge { upto } => Found::Purged {
            upto: upto.id,
            chain: upto.chain,
        },
        Body::Committed(mark) => Found::Committed(mark),
        Body::State(state) => Found::Restated {
            last: state.last.map(both),
            purged: state.purged.map(|purged| purged.id.index),
            committed: state.committed,
        },
    })
}
