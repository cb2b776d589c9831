//! Whether enough archives hold a range: decided from what each has said.
//! Promise: pure; a majority of the voters, on two sites where the voters stand on two, with one hash.
//! Not here: asking them (`collect`).

use std::collections::BTreeSet;

use store::archive::Hash16;

/// What a voter said of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// The hash over it, read back from disk.
    pub(super) digest: Hash16,
    /// How many conversations.
    pub(super) count: u64,
}

/// A voter and its word; `None` when it has not written everything, or has not answered.
#[derive(Debug, Clone)]
pub(super) struct Word {
    /// Where it stands.
    pub(super) site: String,
    /// What it holds.
    pub(super) held: Option<Held>,
}

/// What the words come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Enough hold it.
    Safe(Hash16),
    /// Not enough have said so yet.
    Wait,
    /// A majority holds something else than this node does.
    WeDiffer,
}

/// Judges the words of all voters, our own first.
pub(super) fn judge(count: u64, words: &[Word]) -> Judgement {
    let majority = words.len() / 2 + 1;
    let all_sites: BTreeSet<&str> = words.iter().map(|word| word.site.as_str()).collect();
    let ours = words.first().and_then(|word| word.held);
    for held in words.iter().filter_map(|word| word.held) {
        let same = words.iter().filter(|word| word.held == Some(held));
        let sites: BTreeSet<&str> = same.clone().map(|word| word.site.as_str()).collect();
        let enough = same.count() >= majority && sites.len() >= all_sites.len().min(2);
        if enough && held.count == count {
            return match ours {
                Some(own) if own == held => Judgement::Safe(held.digest),
                Some(_) => Judgement::WeDiffer,
                None => Judgement::Wait,
            };
        }
    }
    match ours {
        Some(own) if own.count != count => Judgement::WeDiffer,
        _ => Judgement::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(site: &str, held: Option<(u8, u64)>) -> Word {
        Word {
            site: site.to_owned(),
            held: held.map(|(byte, count)| Held {
                digest: [byte; 16],
                count,
            }),
        }
    }

    #[test]
    fn a_majority_on_two_sites_is_enough() {
        let words = [
            word("fra", Some((1, 5))),
            word("iad", Some((1, 5))),
            word("sha", None),
        ];
        assert_eq!(judge(5, &words), Judgement::Safe([1; 16]));
    }

    #[test]
    fn a_majority_on_one_site_of_two_is_not() {
        let words = [
            word("fra", Some((1, 5))),
            word("fra", Some((1, 5))),
            word("iad", None),
        ];
        assert_eq!(judge(5, &words), Judgement::Wait);
        let one_site = [
            word("fra", Some((1, 5))),
            word("fra", Some((1, 5))),
            word("fra", None),
        ];
        assert_eq!(judge(5, &one_site), Judgement::Safe([1; 16]));
    }

    #[test]
    fn a_leader_that_differs_from_the_others_says_nothing_and_mends_its_own() {
        let words = [
            word("fra", Some((9, 5))),
            word("iad", Some((1, 5))),
            word("sha", Some((1, 5))),
        ];
        assert_eq!(judge(5, &words), Judgement::WeDiffer);
        let surplus = [
            word("fra", Some((9, 6))),
            word("iad", None),
            word("sha", None),
        ];
        assert_eq!(judge(5, &surplus), Judgement::WeDiffer);
    }

    #[test]
    fn others_who_agree_on_another_count_than_was_sealed_are_not_believed() {
        let words = [
            word("fra", Some((1, 5))),
            word("iad", Some((2, 4))),
            word("sha", Some((2, 4))),
        ];
        assert_eq!(judge(5, &words), Judgement::Wait);
    }

    #[test]
    fn nobody_is_safe_alone() {
        let words = [
            word("fra", Some((1, 5))),
            word("iad", None),
            word("sha", None),
        ];
        assert_eq!(judge(5, &words), Judgement::Wait);
        assert_eq!(judge(0, &[]), Judgement::Wait);
    }
}
