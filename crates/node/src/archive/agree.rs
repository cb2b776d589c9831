//! Whether enough archives hold a range, and which day it is: decided from what each voter has said.
//! Promise: pure; a majority of the voters, on two sites where the voters stand on two, with the hash that
//! the leader's state has; no single wall clock moves the day.
//! Not here: asking them (`collect`).

use std::collections::BTreeSet;

use mutants::{Mutant, planted};
use store::archive::{Hash16, chain_step};

/// Rounds in which a range that is safe waits for voters who answer and have not written it: three seconds,
/// thirty times what a batch takes.
const LAGGARD_ROUNDS: u32 = 6;

/// What is in a range: as the state has it, or as an archive was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The hash over it, beginning from zeros.
    pub(super) digest: Hash16,
    /// How many conversations.
    pub(super) count: u64,
}

impl Held {
    /// What conversations with these hashes come to, in the order of sealing.
    pub(super) fn of(hashes: &[Hash16]) -> Self {
        Self {
            digest: fold([0; 16], hashes),
            count: hashes.len() as u64,
        }
    }
}

/// The hash over what goes on from `start` with these.
pub(super) fn fold(start: Hash16, hashes: &[Hash16]) -> Hash16 {
    hashes
        .iter()
        .fold(start, |digest, hash| chain_step(digest, *hash))
}

/// A voter and its word.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    /// Where it stands.
    pub(super) site: String,
    /// What it holds; `None` when it has not written everything, or has not answered.
    pub(super) held: Option<Held>,
    /// The UTC day by its wall clock; `None` when it has not answered.
    pub(super) day: Option<u32>,
}

/// Whether a majority of all voters, on two sites where there are two, hold what the state has.
pub(super) fn is_safe(expected: Held, words: &[Word]) -> bool {
    let majority = words.len() / 2 + 1;
    let all_sites: BTreeSet<&str> = words.iter().map(|word| word.site.as_str()).collect();
    let behind = planted(Mutant::CountArchiveBehind);
    let same = words
        .iter()
        .filter(|word| word.held == Some(expected) || behind);
    let sites: BTreeSet<&str> = same.clone().map(|word| word.site.as_str()).collect();
    same.count() >= majority && sites.len() >= all_sites.len().min(2)
}

/// Whether a range may leave that was asked for in so many rounds: it is safe, and whoever answers and has not
/// written it yet was waited for. What leaves before a voter has written it must be mended there from a peer,
/// which costs both more than the wait.
pub(super) fn may_leave(expected: Held, words: &[Word], rounds: u32) -> bool {
    let answers = |word: &&Word| word.day.is_some();
    let all = words
        .iter()
        .filter(answers)
        .all(|word| word.held == Some(expected));
    is_safe(expected, words) && (all || rounds >= LAGGARD_ROUNDS)
}

/// The last day that a majority of all voters have reached, each by its own clock; `None` while no
/// majority has answered. One clock that is wrong moves it by nothing where there are three voters.
pub(super) fn day_reached(words: &[Word]) -> Option<u32> {
    let mut days: Vec<u32> = words.iter().filter_map(|word| word.day).collect();
    days.sort_unstable_by(|a, b| b.cmp(a));
    days.get(words.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Held = Held {
        digest: [1; 16],
        count: 5,
    };

    fn word(site: &str, held: Option<(u8, u64)>) -> Word {
        Word {
            site: site.to_owned(),
            held: held.map(|(byte, count)| Held {
                digest: [byte; 16],
                count,
            }),
            day: None,
        }
    }

    fn days(days: &[Option<u32>]) -> Vec<Word> {
        let word = |day: &Option<u32>| Word {
            day: *day,
            ..Word::default()
        };
        days.iter().map(word).collect()
    }

    #[test]
    fn a_majority_on_two_sites_is_enough() {
        let words = [
            word("fra", Some((1, 5))),
            word("iad", Some((1, 5))),
            word("sha", None),
        ];
        assert!(is_safe(EXPECTED, &words));
    }

    #[test]
    fn a_leader_whose_own_archive_is_sick_counts_the_others() {
        for ours in [None, Some((9, 5)), Some((1, 6))] {
            let words = [
                word("fra", ours),
                word("iad", Some((1, 5))),
                word("sha", Some((1, 5))),
            ];
            assert!(is_safe(EXPECTED, &words));
        }
    }

    #[test]
    fn a_majority_on_one_site_of_two_is_not() {
        let words = [
            word("fra", Some((1, 5))),
            word("fra", Some((1, 5))),
            word("iad", None),
        ];
        assert!(!is_safe(EXPECTED, &words));
        let one_site = [
            word("fra", Some((1, 5))),
            word("fra", Some((1, 5))),
            word("fra", None),
        ];
        assert!(is_safe(EXPECTED, &one_site));
    }

    #[test]
    fn others_who_agree_on_something_else_than_was_sealed_are_not_believed() {
        for theirs in [(2, 5), (1, 4)] {
            let words = [
                word("fra", Some((1, 5))),
                word("iad", Some(theirs)),
                word("sha", Some(theirs)),
            ];
            assert!(!is_safe(EXPECTED, &words));
        }
    }

    #[test]
    fn nobody_is_safe_alone() {
        let words = [
            word("fra", Some((1, 5))),
            word("iad", None),
            word("sha", None),
        ];
        assert!(!is_safe(EXPECTED, &words));
        assert!(!is_safe(EXPECTED, &[]));
    }

    #[test]
    fn whoever_answers_and_has_not_written_yet_is_waited_for_and_not_for_ever() {
        let mut words = [
            word("fra", Some((1, 5))),
            word("iad", Some((1, 5))),
            word("sha", None),
        ];
        assert!(may_leave(EXPECTED, &words, 1), "one that is down is not");
        words[2].day = Some(20_000);
        assert!(!may_leave(EXPECTED, &words, LAGGARD_ROUNDS - 1));
        assert!(may_leave(EXPECTED, &words, LAGGARD_ROUNDS));
        words[1].held = None;
        assert!(!may_leave(EXPECTED, &words, LAGGARD_ROUNDS), "not safe");
        words[1].held = Some(EXPECTED);
        words[2].held = Some(EXPECTED);
        assert!(may_leave(EXPECTED, &words, 1));
    }

    #[test]
    fn one_clock_in_three_moves_no_day() {
        let ahead = [Some(20_365), Some(20_000), Some(20_000)];
        assert_eq!(day_reached(&days(&ahead)), Some(20_000));
        let behind = [Some(0), Some(20_000), Some(20_001)];
        assert_eq!(day_reached(&days(&behind)), Some(20_000));
    }

    #[test]
    fn a_voter_that_is_down_leaves_the_lower_of_two_clocks() {
        let ahead = [Some(20_365), Some(20_000), None];
        assert_eq!(day_reached(&days(&ahead)), Some(20_000));
        let alone = [Some(20_000), None, None];
        assert_eq!(day_reached(&days(&alone)), None);
        assert_eq!(day_reached(&days(&[])), None);
    }
}
