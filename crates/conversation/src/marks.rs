//! The machine's chain at the entries applied last, so that what others had there can be compared.
//! Promise: a fixed bound of memory; what is remembered is what this replica has applied.
//! Not here: the log's chain (the group), which index is asked for (`leader::checkpoint`).

use std::collections::VecDeque;

use domain::cell::checkpoint::Digest;
use domain::ids::LogIndex;

/// Entries remembered. A checkpoint is due every 10,000 entries, so the last one is always among
/// them; at 20,000 entries/s, the most of a cell, they span 0.8 s, while asking all voters and logging
/// the answer takes some round trips. 24 bytes each: 384 KiB a cell.
const MARKS_MAX: usize = 16_384;

/// The last entries with the chain after each, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    last: VecDeque<(LogIndex, Digest)>,
}

impl Marks {
    /// Remembers the chain after an entry, which follows all that are remembered.
    pub(crate) fn push(&mut self, index: LogIndex, chain: Digest) {
        if self.last.len() == MARKS_MAX {
            self.last.pop_front();
        }
        self.last.push_back((index, chain));
    }

    /// The chain after the entry at an index, if it was a command and is remembered.
    pub(crate) fn at(&self, index: LogIndex) -> Option<Digest> {
        let found = self.last.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        self.last.get(found).map(|(_, chain)| *chain)
    }

    /// Begins anew from a state that came from elsewhere.
    pub(crate) fn restart(&mut self, index: LogIndex, chain: Digest) {
        self.last.clear();
        self.push(index, chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entries_are_remembered_and_no_others() {
        let mut marks = Marks::default();
        let chain = |n: u64| Digest([n as u8; 16]);
        // Every third index is a command.
        let indexes = (0..MARKS_MAX as u64 + 2).map(|n| n * 3);
        for index in indexes {
            marks.push(LogIndex(index), chain(index));
        }
        assert_eq!(marks.at(LogIndex(3)), None, "forgotten");
        assert_eq!(marks.at(LogIndex(6)), Some(chain(6)));
        assert_eq!(marks.at(LogIndex(7)), None, "no command");
        assert_eq!(marks.last.len(), MARKS_MAX);
        marks.restart(LogIndex(5), chain(1));
        assert_eq!(marks.at(LogIndex(6)), None);
        assert_eq!(marks.at(LogIndex(5)), Some(chain(1)));
    }
}
