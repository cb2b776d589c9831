//! What this node's archive of a cell is known to hold, by what this process has written and read back.
//! Promise: pure; a range counts as here when its hash, read back from disk, was the agreed one, and when
//! what it has grown by since was appended by this process; after damage nothing is known.
//! Not here: writing (`keep`), reading back (`repair`), who may answer by it (`read`).

use std::collections::BTreeMap;

use domain::cell::archive::ArchivedRange;
use store::archive::Hash16;

/// Entries after one and up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stretch {
    /// After this one.
    pub(super) after: u64,
    /// Up to and with this one.
    pub(super) upto: u64,
}

/// The beginning of a range that was read back with the agreed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folded {
    /// Up to and with this entry.
    pub(super) upto: u64,
    /// The hash over it.
    pub(super) digest: Hash16,
    /// How many conversations.
    pub(super) count: u64,
}

impl Folded {
    /// Nothing of a range that begins after this entry.
    pub(super) fn none(after: u64) -> Self {
        Self {
            upto: after,
            digest: [0; 16],
            count: 0,
        }
    }

    fn all(range: &ArchivedRange) -> Self {
        Self {
            upto: range.upto.0,
            digest: range.digest.0,
            count: range.count,
        }
    }
}

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// By the beginning of each range.
    folded: BTreeMap<u64, Folded>,
    /// Everything that was sealed in here was appended by this process.
    written: Stretch,
    /// How often everything became doubtful.
    doubts: u64,
}

impl Checked {
    /// What was appended without a gap, up to the newest.
    pub(super) fn written(&self) -> Stretch {
        self.written
    }

    /// Everything that was sealed in a stretch was appended.
    pub(super) fn wrote(&mut self, stretch: Stretch) {
        let joined = stretch.after <= self.written.upto && self.written.after <= stretch.upto;
        self.written = match joined {
            true => Stretch {
                after: self.written.after.min(stretch.after),
                upto: self.written.upto.max(stretch.upto),
            },
            false => stretch,
        };
    }

    /// Something on disk was found damaged or lost, and what else is not known: nothing counts any more.
    pub(super) fn doubt(&mut self) {
        self.folded.clear();
        self.written.after = self.written.upto;
        self.doubts += 1;
    }

    /// The doubts so far: what was begun before one is not believed after it.
    pub(super) fn doubts(&self) -> u64 {
        self.doubts
    }

    /// A range was read back with its hash; the reading began when there were so many doubts.
    pub(super) fn found_whole(&mut self, range: &ArchivedRange, doubts: u64) {
        if doubts == self.doubts {
            self.folded.insert(range.after.0, Folded::all(range));
        }
    }

    /// A range was read back with another hash: what it has grown by since it was read back last.
    pub(super) fn found_differing(&mut self, range: &ArchivedRange) {
        if self.written.after < range.upto.0 {
            self.written.after = self.written.upto.min(range.upto.0);
        }
    }

    /// How much of a range was read back; another hash at the same end is another range.
    pub(super) fn folded_upto(&self, range: &ArchivedRange) -> Folded {
        let all = Folded::all(range);
        let before = self.folded.get(&range.after.0);
        let before = before.filter(|before| before.upto < all.upto || **before == all);
        before
            .copied()
            .unwrap_or_else(|| Folded::none(range.after.0))
    }

    /// Whether a range was read back to its end with its hash.
    pub(super) fn is_folded(&self, range: &ArchivedRange) -> bool {
        self.folded.get(&range.after.0) == Some(&Folded::all(range))
    }

    /// Whether a range is known to be here: read back, but for what this process has appended since.
    pub(super) fn has(&self, range: &ArchivedRange) -> bool {
        let upto = self.folded_upto(range).upto;
        let grown = self.written.after <= upto && range.upto.0 <= self.written.upto;
        self.is_folded(range) || grown
    }

    /// A range differs although what it has grown by is whole: it is read back from its beginning.
    pub(super) fn forget(&mut self, range: &ArchivedRange) {
        self.folded.remove(&range.after.0);
    }

    /// Forgets ranges that are kept no longer.
    pub(super) fn retain(&mut self, ranges: &[ArchivedRange]) {
        self.folded
            .retain(|after, _| ranges.iter().any(|range| range.after.0 == *after));
    }
}

#[cfg(test)]
mod tests {
    use domain::cell::checkpoint::Digest;
    use domain::ids::LogIndex;

    use super::*;

    fn range(after: u64, upto: u64, byte: u8) -> ArchivedRange {
        ArchivedRange {
            after: LogIndex(after),
            upto: LogIndex(upto),
            day: 1,
            count: 1,
            digest: Digest([byte; 16]),
        }
    }

    fn stretch(after: u64, upto: u64) -> Stretch {
        Stretch { after, upto }
    }

    #[test]
    fn a_range_that_grows_by_what_was_written_here_stays_known() {
        let mut checked = Checked::default();
        checked.found_whole(&range(0, 10, 1), 0);
        checked.wrote(stretch(10, 30));
        assert!(checked.has(&range(0, 20, 2)));
        assert!(!checked.is_folded(&range(0, 20, 2)));
        assert!(!checked.has(&range(0, 31, 3)), "more than was written");
    }

    #[test]
    fn what_left_without_being_written_here_is_not_known() {
        let mut checked = Checked::default();
        checked.found_whole(&range(0, 10, 1), 0);
        checked.wrote(stretch(0, 10));
        checked.wrote(stretch(20, 30));
        assert_eq!(checked.written(), stretch(20, 30));
        assert!(!checked.has(&range(0, 30, 2)));
        assert!(checked.has(&range(20, 25, 3)));
    }

    #[test]
    fn nothing_is_known_after_a_doubt_and_what_was_read_before_it_does_not_count() {
        let mut checked = Checked::default();
        checked.wrote(stretch(0, 10));
        let before = checked.doubts();
        checked.doubt();
        checked.found_whole(&range(0, 10, 1), before);
        assert!(!checked.has(&range(0, 10, 1)));
        let now = checked.doubts();
        checked.found_whole(&range(0, 10, 1), now);
        assert!(checked.has(&range(0, 10, 1)));
    }

    #[test]
    fn a_range_that_differs_is_not_known_though_this_process_wrote_it() {
        let mut checked = Checked::default();
        checked.wrote(stretch(0, 30));
        checked.found_differing(&range(0, 10, 1));
        assert!(!checked.has(&range(0, 10, 1)));
        assert!(checked.has(&range(10, 30, 2)), "another range");
        assert_eq!(checked.written().upto, 30, "nothing is written twice by it");
    }

    #[test]
    fn a_range_whose_end_differs_is_read_on_from_where_it_was_whole() {
        let mut checked = Checked::default();
        checked.found_whole(&range(0, 10, 1), 0);
        checked.wrote(stretch(0, 30));
        let grown = range(0, 20, 2);
        checked.found_differing(&grown);
        assert!(!checked.has(&grown));
        assert_eq!(checked.folded_upto(&grown), Folded::all(&range(0, 10, 1)));
        checked.forget(&grown);
        assert_eq!(checked.folded_upto(&grown), Folded::none(0));
    }

    #[test]
    fn another_digest_at_the_same_end_is_another_range() {
        let mut checked = Checked::default();
        checked.found_whole(&range(0, 10, 1), 0);
        assert!(!checked.has(&range(0, 10, 2)));
        assert_eq!(checked.folded_upto(&range(0, 10, 2)), Folded::none(0));
    }
}
