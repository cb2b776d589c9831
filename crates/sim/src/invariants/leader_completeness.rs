//! A leader's log reaches as far as what was applied in the terms before its own.

use std::collections::BTreeMap;

use super::Found;

/// The rule's name.
pub const RULE: &str = "leader completeness";

/// The last entry of each term that was applied anywhere.
#[derive(Debug, Default)]
pub struct LastOfTerms {
    by_term: BTreeMap<u64, u64>,
}

impl LastOfTerms {
    /// An entry was applied.
    pub fn applied(&mut self, index: u64, term: u64) {
        let last = self.by_term.entry(term).or_default();
        *last = (*last).max(index);
    }

    /// A node leads in a term, with a log up to `last`.
    ///
    /// # Errors
    /// When an entry of an earlier term was applied that its log does not reach.
    pub fn leads(&self, node: usize, term: u64, last: u64) -> Found {
        let earlier = self.by_term.range(..term).map(|(_, index)| *index).max();
        match earlier {
            Some(index) if index > last => {
                let seen = format!(
                    "node {node} leads with a log up to {last}; entry {index} was applied before"
                );
                Err((RULE, seen))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_with_a_log_that_is_too_short_is_found() {
        let mut applied = LastOfTerms::default();
        (0..3).for_each(|index| applied.applied(index, 1));
        assert_eq!(applied.leads(1, 2, 2), Ok(()));
        assert_eq!(applied.leads(1, 1, 0), Ok(()), "of its own term");
        let (rule, _) = applied.leads(2, 3, 1).unwrap_err();
        assert_eq!(rule, RULE);
    }
}
