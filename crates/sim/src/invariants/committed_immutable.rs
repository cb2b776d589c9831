//! What one node has applied at an index, every node applies there, for ever.

use std::collections::BTreeMap;

use super::Breach;

/// The rule's name.
pub const RULE: &str = "committed entries are immutable";
/// Entries that are remembered; a node that was away for longer is compared from there on.
const KNOWN_MAX: usize = 500_000;

/// An entry, as far as it must be the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its term.
    pub term: u64,
    /// The leader that made it.
    pub leader: u64,
    /// A hash of its content.
    pub content: [u8; 16],
}

/// What was applied first at each index.
#[derive(Debug, Default)]
pub struct Applied {
    entries: BTreeMap<u64, Entry>,
}

impl Applied {
    /// A node has applied an entry; whether another one had before.
    ///
    /// # Errors
    /// When that was another entry.
    pub fn applied(&mut self, node: usize, index: u64, entry: Entry) -> Result<bool, Breach> {
        match self.entries.get(&index) {
            Some(first) if *first == entry => Ok(true),
            Some(first) => {
                let seen = format!(
                    "node {node} has one of term {} by node id {}, and one of term {} by node id {} was applied",
                    entry.term, entry.leader, first.term, first.leader
                );
                Err((RULE, seen))
            }
            None => {
                self.entries.insert(index, entry);
                if self.entries.len() > KNOWN_MAX {
                    self.entries.pop_first();
                }
                Ok(false)
            }
        }
    }

    /// Whether an entry was applied there that is still remembered.
    #[must_use]
    pub fn knows(&self, index: u64) -> bool {
        self.entries.contains_key(&index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Entry = Entry {
        term: 1,
        leader: 1,
        content: [1; 16],
    };

    #[test]
    fn the_same_entry_at_every_node_holds() {
        let mut applied = Applied::default();
        assert_eq!(applied.applied(0, 3, FIRST), Ok(false));
        assert_eq!(applied.applied(1, 3, FIRST), Ok(true));
        assert!(applied.knows(3));
    }

    #[test]
    fn another_entry_at_an_applied_index_is_found() {
        let mut applied = Applied::default();
        assert_eq!(applied.applied(0, 3, FIRST), Ok(false));
        let others = [
            Entry { term: 2, ..FIRST },
            Entry { leader: 2, ..FIRST },
            Entry {
                content: [2; 16],
                ..FIRST
            },
        ];
        for other in others {
            let (rule, _) = applied.applied(1, 3, other).unwrap_err();
            assert_eq!(rule, RULE);
        }
    }
}
