//! What has left the state and must be here: looked at, and fetched from a peer where it is not.
//! Promise: a range counts as here only while its hash, read back from disk, is the one that the cell
//! agreed on; what a peer sends is believed by that hash alone.
//! Not here: what has not left yet (`keep`).

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::cell::archive::ArchivedRange;
use pb::raft::v1::{ArchiveCopyRequest, forward_answer, forward_call};
use store::archive::{Record, Sealed, Sealing, chain_step};
use tokio::time::Instant;

use super::CellArchive;
use super::record::of_bytes;

/// One page of a peer's is waited for no longer.
const COPY_WAIT: Duration = Duration::from_secs(5);
/// Pages that one attempt copies: a day of millions, a MiB each.
const PAGES_MAX: usize = 65_536;
/// Pause after an attempt that failed everywhere.
const AGAIN: Duration = Duration::from_secs(5);

/// How far the ranges were looked at.
pub(crate) struct Repair {
    archive: CellArchive,
    /// By the beginning of each range: up to where it has the right hash, and that hash.
    checked: BTreeMap<u64, (u64, [u8; 16])>,
    not_before: Option<Instant>,
}

impl Repair {
    pub(crate) fn new(archive: CellArchive) -> Self {
        Self {
            archive,
            checked: BTreeMap::new(),
            not_before: None,
        }
    }

    /// Something on disk was found damaged or lost: every range is looked at again.
    pub(super) fn look_again(&mut self) {
        self.checked.clear();
    }

    /// Looks at one range that has not been looked at, or has grown; mends it if needed.
    pub(crate) async fn step(&mut self) {
        let shared = self.archive.shared.clone();
        let ranges = self.kept_ranges();
        self.checked
            .retain(|after, _| ranges.iter().any(|range| range.after.0 == *after));
        let due = ranges.iter().find(|range| !self.is_checked(range));
        shared.complete.store(due.is_none(), Ordering::Release);
        let Some(range) = due else { return };
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.not_before = None;
        if self.look(range).await || self.fetch(range).await {
            let checked = (range.upto.0, range.digest.0);
            self.checked.insert(range.after.0, checked);
        } else {
            self.not_before = Some(Instant::now() + AGAIN);
        }
    }

    /// The ranges of days that archives keep for certain: the first day may be dropped in the middle of a
    /// round.
    fn kept_ranges(&self) -> Vec<ArchivedRange> {
        let shared = &self.archive.shared;
        let from = shared.of.keep_from().saturating_add(1);
        let ranges = shared
            .view
            .with(|cell, _| cell.state().meta().archive.ranges.clone());
        ranges
            .into_iter()
            .filter(|range| range.day > from)
            .collect()
    }

    fn is_checked(&self, range: &ArchivedRange) -> bool {
        let checked = self.checked.get(&range.after.0);
        checked.is_some_and(|(upto, digest)| *upto == range.upto.0 && *digest == range.digest.0)
    }

    /// Whether a range has its hash here; what was looked at before is not read again.
    async fn look(&self, range: &ArchivedRange) -> bool {
        let before = self.checked.get(&range.after.0);
        let (after, start) = before.copied().unwrap_or((range.after.0, [0; 16]));
        let shared = &self.archive.shared;
        let store = &shared.of.store;
        let chained = store.chain(shared.cell.0, after, range.upto.0, start).await;
        chained.is_ok_and(|chained| chained.digest == range.digest.0)
    }

    /// Copies a range from the first peer that has it as the cell agreed on it.
    async fn fetch(&mut self, range: &ArchivedRange) -> bool {
        self.checked.remove(&range.after.0);
        if self.look(range).await {
            return true;
        }
        let cell = self.archive.shared.cell.0;
        tracing::warn!(
            cell,
            after = range.after.0,
            upto = range.upto.0,
            conversations = range.count,
            "a range of the archive is missing or damaged here; it is fetched from a peer"
        );
        for peer in self.archive.peers() {
            match self.mend_from(range, peer).await {
                Ok(()) => {
                    tracing::info!(cell, peer, "the range of the archive is whole again");
                    return true;
                }
                Err(reason) => tracing::warn!(cell, peer, reason, "the range was not mended"),
            }
        }
        false
    }

    /// Copies what a peer has of a range. Only a peer whose copy was as agreed on makes anything here
    /// give way beside single records.
    async fn mend_from(&self, range: &ArchivedRange, peer: u64) -> Result<(), String> {
        self.copy(range, peer).await?;
        if !self.look(range).await {
            // Everything that was agreed on is here by now, and something else too.
            let discarded = self.archive.discard(range.after.0, range.upto.0).await;
            discarded.map_err(|error| error.to_string())?;
            self.copy(range, peer).await?;
        }
        match self.look(range).await {
            true => Ok(()),
            false => Err("it is not whole after everything was copied".to_owned()),
        }
    }

    /// Adds what one peer has of a range, if that is what the cell agreed on.
    async fn copy(&self, range: &ArchivedRange, peer: u64) -> Result<(), String> {
        let mut after = Sealing {
            sealed: range.after.0,
            conversation: u64::MAX,
        };
        let (mut digest, mut count) = ([0; 16], 0_u64);
        for _ in 0..PAGES_MAX {
            let page = self.page(range, peer, after).await?;
            for record in &page.records {
                digest = chain_step(digest, record.blob_hash());
                count += 1;
            }
            if !page.records.is_empty() {
                let appended = self.archive.append(page.records).await;
                appended.map_err(|error| error.to_string())?;
            }
            match page.next.filter(|next| *next > after) {
                Some(next) => after = next,
                None if digest == range.digest.0 && count == range.count => return Ok(()),
                None => return Err("the peer has another range than was agreed on".to_owned()),
            }
        }
        Err("the range does not end".to_owned())
    }

    async fn page(
        &self,
        range: &ArchivedRange,
        peer: u64,
        after: Sealing,
    ) -> Result<Sealed, String> {
        let request = forward_call::Request::ArchiveCopy(ArchiveCopyRequest {
            sealed: after.sealed,
            conversation: after.conversation,
            upto: range.upto.0,
        });
        let answer = self.archive.ask_peer(peer, request, COPY_WAIT).await;
        let Some(forward_answer::Response::ArchiveCopied(page)) = answer else {
            return Err("the peer does not answer".to_owned());
        };
        let ours = |record: &Record| {
            record.cell == self.archive.shared.cell.0
                && record.sealed > range.after.0
                && record.sealed <= range.upto.0
        };
        let records: Option<Vec<Record>> = page.records.into_iter().map(of_bytes).collect();
        let records = records.filter(|records| records.iter().all(ours));
        Ok(Sealed {
            records: records.ok_or("the peer gives what is no record of the range")?,
            damaged: 0,
            next: page.more.then_some(Sealing {
                sealed: page.sealed,
                conversation: page.conversation,
            }),
        })
    }
}
