//! The first reading of a log: its chain, what was cut off, what is committed, what is passed over.
//! Promise: the chain is recomputed over every record, those that were cut off later included; memory
//! is bounded by the number of cuts, not of entries.
//! Not here: what entries mean (`prover`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use pb::raft::v1::{EntryBody, LogId, entry_body};
use prost::Message;
use store::{Chain, Found, FoundAt, Record};

use super::{Breach, rules};

/// Chains remembered for a cut: what is cut off was not committed, and a leader has at most some
/// thousands of such entries. 24 bytes each: 1.5 MiB a group.
const CHAINS_MAX: usize = 65_536;
/// The first byte of an entry's body that says that another entry is passed over.
const TAG_SKIP: u8 = 0x1a;

/// What the first reading found of one group.
#[derive(Default)]
pub(crate) struct Survey {
    /// Whether the log does not reach back to its beginning, so that not everything can be applied again.
    pub(crate) is_cut_short: bool,
    /// The last entry known to be committed.
    pub(crate) committed: Option<u64>,
    /// The last entry.
    pub(crate) last: Option<u64>,
    /// Words that entries are passed over: the index of the word, and of the entry.
    words: BTreeMap<u64, u64>,
    /// Cuts: after how many things of this group, and the last entry that each kept.
    cuts: Vec<(u64, Option<u64>)>,
    /// Things read.
    read: u64,
    known: bool,
    tail: Chain,
    chains: VecDeque<(u64, Chain)>,
    /// The chain at the index of the group's snapshot, if the log has it.
    pub(crate) at_snapshot: Option<Chain>,
    /// The chain at the last committed entry.
    pub(crate) at_committed: Option<Chain>,
    pub(crate) breach: Option<Breach>,
}

impl Survey {
    /// Takes the next thing; `snapshot` is the index of the group's snapshot.
    pub(crate) fn take(
        &mut self,
        found: Found,
        snapshot: Option<u64>,
        place: &dyn Fn() -> FoundAt,
    ) {
        self.read += 1;
        match found {
            Found::Entry { record, chain } => {
                self.entry(&record, chain, place);
                if Some(record.index) == snapshot {
                    self.at_snapshot = Some(self.tail);
                }
            }
            Found::Truncated { keep } => self.cut(keep),
            Found::Purged { upto, chain } => {
                if Some(upto.index) == snapshot {
                    self.at_snapshot.get_or_insert(chain);
                }
                // A snapshot from the leader: the log begins anew behind it.
                if self.last.is_none_or(|last| last < upto.index) {
                    self.is_cut_short = true;
                    self.begin_at(upto.index, chain);
                }
            }
            Found::Committed(mark) => self.note_committed(&mark),
            Found::Restated {
                last, committed, ..
            } => {
                if !self.known {
                    self.is_cut_short = last.is_some();
                    if let Some((id, chain)) = last {
                        self.begin_at(id.index, chain);
                    }
                    if let Some(mark) = committed {
                        self.note_committed(&mark);
                    }
                }
            }
        }
        self.known = true;
    }

    fn begin_at(&mut self, index: u64, chain: Chain) {
        self.last = Some(index);
        self.tail = chain;
        self.chains.clear();
        self.chains.push_back((index, chain));
    }

    fn note_committed(&mut self, mark: &[u8]) {
        if let Ok(id) = LogId::decode(mark) {
            self.committed = self.committed.max(Some(id.index));
        }
    }

    fn entry(&mut self, record: &Record, written: Chain, place: &dyn Fn() -> FoundAt) {
        let index = record.index;
        let chain = self.tail.next(record.term, index, &record.payload);
        let follows = self.last.is_none_or(|last| last + 1 == index);
        if self.breach.is_none() && (chain != written || !follows) {
            let (rule, seen) = match follows {
                true => (
                    rules::LOG_CHAIN,
                    format!("its record says {written}, and its content makes it {chain}"),
                ),
                false => (
                    rules::NO_GAP,
                    format!("it follows entry {}", self.last.unwrap_or(0)),
                ),
            };
            let at = place();
            self.breach = Some(Breach {
                place: Some(format!("file {}, byte {}", at.file.display(), at.offset)),
                ..Breach::new(index, rule, seen)
            });
        }
        // One altered record is named once: those behind it were chained to what it had been.
        self.tail = written;
        self.last = Some(index);
        if self.chains.len() == CHAINS_MAX {
            self.chains.pop_front();
        }
        self.chains.push_back((index, written));
        if let Some(entry) = skip_word(&record.payload) {
            self.words.insert(index, entry);
        }
    }

    fn cut(&mut self, keep: Option<u64>) {
        self.cuts.push((self.read, keep));
        self.words.retain(|index, _| Some(*index) <= keep);
        while self
            .chains
            .back()
            .is_some_and(|(index, _)| Some(*index) > keep)
        {
            self.chains.pop_back();
        }
        self.tail = self
            .chains
            .back()
            .map_or(Chain::default(), |(_, chain)| *chain);
        self.last = keep;
    }

    /// Ends the reading: what stands in the log for good.
    pub(crate) fn finish(&mut self) -> Standing {
        let committed = self.committed.min(self.last);
        let found = self
            .chains
            .iter()
            .rev()
            .find(|(index, _)| Some(*index) == committed);
        self.at_committed = found.map(|(_, chain)| *chain);
        let words = self
            .words
            .iter()
            .filter(|(word, _)| Some(**word) <= committed);
        let skips: BTreeSet<u64> = words.map(|(_, entry)| *entry).collect();
        // From the end: the lowest entry that any later cut keeps.
        let mut least = None;
        let mut cuts: Vec<(u64, Option<u64>)> = Vec::with_capacity(self.cuts.len());
        for (at, keep) in self.cuts.iter().rev() {
            let lowest = least.map_or(*keep, |least: Option<u64>| least.min(*keep));
            least = Some(lowest);
            cuts.push((*at, lowest));
        }
        cuts.reverse();
        Standing {
            committed,
            last: self.last,
            skips,
            cuts,
            read: 0,
        }
    }
}

/// Which entries stand in a log for good, for the second reading.
#[derive(Default)]
pub(crate) struct Standing {
    pub(crate) committed: Option<u64>,
    pub(crate) last: Option<u64>,
    pub(crate) skips: BTreeSet<u64>,
    /// After how many things, and the lowest entry that this cut and all later ones keep.
    cuts: Vec<(u64, Option<u64>)>,
    read: u64,
}

impl Standing {
    /// Whether the next thing, an entry at `index`, is there for good.
    pub(crate) fn stands(&mut self, index: Option<u64>) -> bool {
        self.read += 1;
        let Some(index) = index else { return false };
        let next = self.cuts.partition_point(|(at, _)| *at <= self.read);
        let cut = self
            .cuts
            .get(next)
            .is_some_and(|(_, keep)| Some(index) > *keep);
        !cut && Some(index) <= self.committed
    }
}

/// The entry that a body says is passed over, if it says so.
pub(super) fn skip_word(body: &Bytes) -> Option<u64> {
    if body.first() != Some(&TAG_SKIP) {
        return None;
    }
    match EntryBody::decode(body.clone()).ok()?.kind? {
        entry_body::Kind::Skip(skip) => Some(skip.index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log in the making: what a segment would hold.
    #[derive(Default)]
    struct Made {
        found: Vec<Found>,
        chains: Vec<Chain>,
    }

    impl Made {
        fn entry(&mut self, term: u64, payload: &'static [u8]) {
            let index = self.chains.len() as u64 + 1;
            let before = self.chains.last().copied().unwrap_or_default();
            let chain = before.next(term, index, payload);
            self.chains.push(chain);
            let record = Record {
                term,
                leader_node: 1,
                index,
                payload: Bytes::from_static(payload),
            };
            self.found.push(Found::Entry { record, chain });
        }

        fn cut(&mut self, keep: u64) {
            self.chains.truncate(keep as usize);
            let keep = Some(keep);
            self.found.push(Found::Truncated { keep });
        }

        fn committed(&mut self, index: u64) {
            let mark = LogId {
                term: 1,
                leader_node: 1,
                index,
            };
            self.found
                .push(Found::Committed(mark.encode_to_vec().into()));
        }

        fn surveyed(&self) -> Survey {
            let mut survey = Survey::default();
            let place = || FoundAt {
                file: "segment".into(),
                offset: 8,
            };
            for found in &self.found {
                survey.take(found.clone(), None, &place);
            }
            survey
        }

        /// The payloads that stand for good.
        fn standing(&self) -> Vec<Bytes> {
            let mut standing = self.surveyed().finish();
            let stand = self.found.iter().filter_map(|found| match found {
                Found::Entry { record, .. } => standing
                    .stands(Some(record.index))
                    .then(|| record.payload.clone()),
                _ => {
                    standing.stands(None);
                    None
                }
            });
            stand.collect()
        }
    }

    #[test]
    fn what_was_cut_off_and_what_is_not_committed_does_not_stand() {
        let mut made = Made::default();
        made.entry(1, b"one");
        made.entry(1, b"lost");
        made.entry(1, b"lost too");
        made.cut(1);
        made.entry(2, b"two");
        made.committed(2);
        made.entry(2, b"not yet");
        assert_eq!(made.surveyed().breach, None);
        assert_eq!(made.standing(), [&b"one"[..], b"two"]);
    }

    #[test]
    fn the_first_record_that_does_not_fit_the_chain_is_named_and_no_other() {
        let mut made = Made::default();
        for _ in 0..4 {
            made.entry(1, b"as it was");
        }
        if let Found::Entry { record, .. } = &mut made.found[1] {
            record.payload = Bytes::from_static(b"as it is");
        }
        let breach = made.surveyed().breach.expect("it is seen");
        assert_eq!((breach.index, breach.rule.as_str()), (2, rules::LOG_CHAIN));
        assert_eq!(breach.place.as_deref(), Some("file segment, byte 8"));
    }

    #[test]
    fn a_word_to_skip_counts_once_it_is_committed() {
        // An encoded `EntryBody` that says to skip entry 1.
        const WORD: &[u8] = &[0x1a, 2, 8, 1];
        let mut made = Made::default();
        made.entry(1, b"poison");
        made.entry(1, WORD);
        made.committed(1);
        assert!(made.surveyed().finish().skips.is_empty());
        made.committed(2);
        assert_eq!(made.surveyed().finish().skips, BTreeSet::from([1]));
        made.cut(1);
        assert!(made.surveyed().finish().skips.is_empty());
    }
}
