//! Log matching: two logs that have a record at the same index have the same chain there, and so the same records up to
//! it.

use std::collections::BTreeMap;

use super::Found;

/// The rule's name.
pub const RULE: &str = "log matching";
/// Chains that are remembered; a node that was away for longer is compared from there on.
const KNOWN_MAX: usize = 100_000;

/// The chain of each applied record, as the first node has it that showed one.
#[derive(Debug, Default)]
pub struct Chains {
    by_index: BTreeMap<u64, ([u8; 16], usize)>,
}

impl Chains {
    /// The record of an applied entry has this chain in the log of a node.
    ///
    /// # Errors
    /// When it has another in that of another node.
    pub fn shown(&mut self, node: usize, index: u64, chain: [u8; 16]) -> Found {
        let (first, by) = *self.by_index.entry(index).or_insert((chain, node));
        if first != chain {
            let seen = format!("its chain in the log of node {node} is not that of node {by}");
            return Err((RULE, seen));
        }
        if self.by_index.len() > KNOWN_MAX {
            self.by_index.pop_first();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_chain_at_every_node_holds() {
        let mut chains = Chains::default();
        assert_eq!(chains.shown(0, 4, [1; 16]), Ok(()));
        assert_eq!(chains.shown(1, 4, [1; 16]), Ok(()));
        assert_eq!(chains.shown(1, 5, [2; 16]), Ok(()), "another index");
    }

    #[test]
    fn another_chain_at_the_same_index_is_found() {
        let mut chains = Chains::default();
        assert_eq!(chains.shown(0, 4, [1; 16]), Ok(()));
        let (rule, seen) = chains.shown(2, 4, [2; 16]).unwrap_err();
        assert_eq!(rule, RULE);
        assert!(seen.contains("node 2") && seen.contains("node 0"), "{seen}");
    }
}
