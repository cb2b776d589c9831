//! What a leader calls committed is synced on the disks of most voters.
//!
//! Which members vote is known from the leader's own word; an entry is judged only where it was appended after that word
//! was first heard in the term, because those before it may have been committed by other voters.

use super::Found;

/// The rule's name.
pub const RULE: &str = "a committed entry is on a quorum";

/// What a leader says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The term in which it leads.
    pub term: u64,
    /// Who votes, by node id.
    pub voters: Vec<u64>,
    /// The end of its log.
    pub last_log: u64,
    /// The highest entry that it calls committed.
    pub committed: u64,
}

/// What a group's leaders have said so far.
#[derive(Debug, Default)]
pub struct Committed {
    term: u64,
    voters: Vec<u64>,
    /// Entries up to this one are not judged.
    upto: u64,
}

impl Committed {
    /// A leader says how far it is; the entry that must be on a quorum now, if there is another one.
    pub fn said(&mut self, said: &Said) -> Option<u64> {
        if said.term < self.term {
            return None;
        }
        if said.term != self.term || said.voters != self.voters {
            self.term = said.term;
            self.voters.clone_from(&said.voters);
            self.upto = said.last_log;
            return None;
        }
        if said.committed <= self.upto {
            return None;
        }
        self.upto = said.committed;
        Some(said.committed)
    }
}

/// Of these voters those have an entry, with the same chain, where a power cut leaves it.
///
/// # Errors
/// When they are not the most.
pub fn check(index: u64, voters: &[u64], holders: &[u64]) -> Found {
    let held = voters
        .iter()
        .filter(|voter| holders.contains(voter))
        .count();
    if 2 * held > voters.len() {
        return Ok(());
    }
    let seen = format!(
        "entry {index} is called committed, and of the voters {voters:?} only {holders:?} have it on their disks"
    );
    Err((RULE, seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(term: u64, voters: &[u64], (last_log, committed): (u64, u64)) -> Said {
        Said {
            term,
            voters: voters.to_vec(),
            last_log,
            committed,
        }
    }

    #[test]
    fn an_entry_is_judged_once_and_only_behind_the_first_word_of_a_leader() {
        let mut group = Committed::default();
        assert_eq!(group.said(&said(1, &[1, 2, 3], (5, 3))), None);
        assert_eq!(
            group.said(&said(1, &[1, 2, 3], (5, 5))),
            None,
            "from before"
        );
        assert_eq!(group.said(&said(1, &[1, 2, 3], (7, 6))), Some(6));
        assert_eq!(group.said(&said(1, &[1, 2, 3], (7, 6))), None, "again");
        assert_eq!(group.said(&said(1, &[1, 2], (8, 8))), None, "other voters");
        assert_eq!(group.said(&said(1, &[1, 2], (9, 9))), Some(9));
        assert_eq!(
            group.said(&said(2, &[1, 2], (9, 9))),
            None,
            "another leader"
        );
    }

    #[test]
    fn an_entry_that_most_have_holds() {
        assert_eq!(check(7, &[1, 2, 3], &[3, 1]), Ok(()));
        assert_eq!(check(7, &[1], &[1]), Ok(()));
    }

    #[test]
    fn an_entry_that_too_few_have_is_found() {
        let (rule, _) = check(7, &[1, 2, 3], &[2]).unwrap_err();
        assert_eq!(rule, RULE);
        let half = check(7, &[1, 2, 3, 4], &[1, 2]);
        assert_eq!(half.unwrap_err().0, RULE, "half is not most");
        let others = check(7, &[1, 2, 3], &[1, 8, 9]);
        assert_eq!(
            others.unwrap_err().0,
            RULE,
            "who does not vote does not count"
        );
    }
}
