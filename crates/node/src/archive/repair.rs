//! What has left the state and must be here: read back, and mended from a peer where it is not.
//! Promise: a range counts as here only while its hash, read back from disk, is the one that the cell
//! agreed on; what could not be read is neither whole nor wrong; a range that cannot be mended keeps none of
//! the others waiting, and mending keeps nothing from leaving.
//! Not here: how a range is mended (`mend`), what has not left yet (`keep`).

use std::collections::BTreeMap;
use std::time::Duration;

use domain::cell::archive::ArchivedRange;
use store::archive::ChainError;
use tokio::time::{Instant, sleep};

use super::CellArchive;
use super::checked::Folded;
use super::mend::Mended;

/// How often it is looked whether ranges have grown.
const ROUND: Duration = Duration::from_millis(500);
/// Pause after an attempt at a range that failed everywhere.
const AGAIN: Duration = Duration::from_secs(5);

/// The task that looks and mends.
pub(crate) struct Repair {
    archive: CellArchive,
    /// By the beginning of a range: when it is tried again.
    not_before: BTreeMap<u64, Instant>,
}

/// How a range is here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// With the agreed hash.
    Whole,
    /// With another one, or with a record that is damaged.
    Differs,
    /// It cannot be said at present.
    Unknown,
}

impl Repair {
    pub(crate) fn new(archive: CellArchive) -> Self {
        Self {
            archive,
            not_before: BTreeMap::new(),
        }
    }

    /// Looks and mends until the node stops.
    pub(crate) async fn run(mut self) {
        let stop = self.archive.shared.of.stop.clone();
        while stop.unless(sleep(ROUND)).await.is_some() && stop.unless(self.round()).await.is_some()
        {
        }
    }

    /// Looks once at every range that has not been looked at to its end, the oldest first.
    pub(crate) async fn round(&mut self) {
        let ranges = self.archive.kept_ranges();
        self.archive.shared.checked.lock().retain(&ranges);
        let kept = |after: &u64| ranges.iter().any(|range| range.after.0 == *after);
        self.not_before.retain(|after, _| kept(after));
        for range in &ranges {
            let waits = self.not_before.get(&range.after.0);
            let waits = waits.is_some_and(|at| Instant::now() < *at);
            let folded = self.archive.shared.checked.lock().is_folded(range);
            if !waits && !folded && !self.put_right(range).await {
                let again = Instant::now() + AGAIN;
                self.not_before.insert(range.after.0, again);
            }
        }
    }

    /// Whether it was whole, or is now, or has at least got on, or is kept no longer.
    async fn put_right(&self, range: &ArchivedRange) -> bool {
        if !self.archive.keeps(range) {
            return true;
        }
        match self.archive.look(range).await {
            Look::Whole => return true,
            Look::Unknown => return false,
            Look::Differs => {}
        }
        let cell = self.archive.shared.cell.0;
        tracing::warn!(
            cell,
            after = range.after.0,
            upto = range.upto.0,
            conversations = range.count,
            "a range of the archive is missing or damaged here; it is mended from a peer"
        );
        for peer in self.archive.peers() {
            match self.archive.mend(range, peer).await {
                Ok(Mended::Partly | Mended::NotKept) => return true,
                Ok(Mended::Wholly) if self.archive.look(range).await == Look::Whole => {
                    tracing::info!(cell, peer, "the range of the archive is whole again");
                    return true;
                }
                Ok(Mended::Wholly) => {
                    self.archive.shared.checked.lock().forget(range);
                    tracing::warn!(cell, peer, "the range is not whole after it was mended");
                }
                Err(reason) => tracing::warn!(cell, peer, reason, "the range was not mended"),
            }
        }
        false
    }
}

impl CellArchive {
    /// The ranges of which everything must be here: those that the cell keeps and that this node did not
    /// drop for lack of room, in part or wholly.
    pub(super) fn kept_ranges(&self) -> Vec<ArchivedRange> {
        let dropped_upto = self.shared.of.store.dropped_upto(self.shared.cell.0);
        kept(self.record().ranges, dropped_upto)
    }

    /// Whether a range is kept at this moment: while it is mended, the archive may have dropped it for lack of
    /// room, or the cell may have forgotten its day.
    pub(super) fn keeps(&self, range: &ArchivedRange) -> bool {
        let mut kept = self.kept_ranges().into_iter();
        kept.any(|kept| kept.after == range.after)
    }

    /// Reads a range back; what was read back before is not read again, nor compared with a peer's: a day may
    /// hold hundreds of thousands of conversations, and what is missing is mostly its end.
    pub(super) async fn look(&self, range: &ArchivedRange) -> Look {
        let (doubts, before) = {
            let checked = self.shared.checked.lock();
            (checked.doubts(), checked.folded_upto(range))
        };
        let found = self.fold(range, before).await;
        let mut checked = self.shared.checked.lock();
        match found {
            Look::Whole => checked.found_whole(range, doubts),
            Look::Differs => checked.found_differing(range),
            Look::Unknown => {}
        }
        found
    }

    async fn fold(&self, range: &ArchivedRange, before: Folded) -> Look {
        let (cell, store) = (self.shared.cell.0, &self.shared.of.store);
        let chained = store.chain(cell, before.upto, range.upto.0, before.digest);
        match chained.await {
            Ok(chained) if chained.digest == range.digest.0 => Look::Whole,
            Ok(_) | Err(ChainError::Missing { .. }) => Look::Differs,
            Err(ChainError::Archive(error)) => {
                tracing::debug!(cell, %error, "a range of the archive cannot be read back at present");
                Look::Unknown
            }
        }
    }
}

/// The ranges of which nothing was dropped for lack of room.
fn kept(mut ranges: Vec<ArchivedRange>, dropped_upto: u64) -> Vec<ArchivedRange> {
    ranges.retain(|range| is_kept(range, dropped_upto));
    ranges
}

/// Whether nothing of a range was dropped for lack of room.
pub(super) fn is_kept(range: &ArchivedRange, dropped_upto: u64) -> bool {
    range.after.0 >= dropped_upto
}

#[cfg(test)]
mod tests {
    use domain::cell::checkpoint::Digest;
    use domain::ids::LogIndex;

    use super::*;

    #[test]
    fn a_range_of_which_something_was_dropped_is_not_fetched_again() {
        let range = |after: u64| ArchivedRange {
            after: LogIndex(after),
            upto: LogIndex(after + 10),
            day: 1,
            count: 1,
            digest: Digest::default(),
        };
        let begins = |dropped_upto| {
            let ranges = kept(vec![range(0), range(10), range(20)], dropped_upto);
            let begins: Vec<u64> = ranges.iter().map(|range| range.after.0).collect();
            begins
        };
        assert_eq!(begins(0), [0, 10, 20]);
        assert_eq!(begins(10), [10, 20]);
        assert_eq!(begins(11), [20], "the second one is here in part");
    }
}
