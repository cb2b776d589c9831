//! A node that comes back has what it had, unless its disk has lost what was not synced.

use std::collections::BTreeMap;

use super::Found;

/// The rule's name.
pub const RULE: &str = "a node keeps what it had";

/// What each node had applied of each group when it was last seen.
#[derive(Debug, Default)]
pub struct Kept {
    had: BTreeMap<(usize, u32), u64>,
}

impl Kept {
    /// A node has a log up to `last_log` and has applied up to `applied`.
    ///
    /// # Errors
    /// When its log ends before what it had applied in an earlier life.
    pub fn holds(&mut self, node: usize, group: u32, (applied, last_log): (u64, u64)) -> Found {
        let had = self.had.entry((node, group)).or_default();
        if last_log < *had {
            let seen = format!("its log ends at {last_log}, and it had applied entry {had}");
            return Err((RULE, seen));
        }
        *had = (*had).max(applied);
        Ok(())
    }

    /// The disk of a node has lost what was not synced: what others committed may be among it.
    pub fn lost_power(&mut self, node: usize) {
        self.had.retain(|(of, _), _| *of != node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_comes_back_with_less_is_found_unless_it_lost_its_power() {
        let mut kept = Kept::default();
        assert_eq!(kept.holds(0, 1, (7, 9)), Ok(()));
        assert_eq!(kept.holds(0, 2, (0, 3)), Ok(()), "another group");
        assert_eq!(kept.holds(0, 1, (2, 7)), Ok(()));
        let (rule, _) = kept.holds(0, 1, (2, 6)).unwrap_err();
        assert_eq!(rule, RULE);
        kept.lost_power(0);
        assert_eq!(kept.holds(0, 1, (2, 6)), Ok(()));
    }
}
