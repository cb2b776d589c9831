//! Every state is what the entries make: its machine chain, and all of it.

use std::collections::BTreeMap;

use super::Found;

/// The rule's name.
pub const RULE: &str = "every state is what the entries make";
/// Machine chains that are remembered to compare states with.
const STATES_MAX: usize = 20_000;

/// The machine chain that the entries make, by index.
#[derive(Debug, Default)]
pub struct States {
    chains: BTreeMap<u64, [u8; 16]>,
}

impl States {
    /// The entries up to an index make this chain.
    pub fn made(&mut self, index: u64, chain: [u8; 16]) {
        self.chains.insert(index, chain);
        if self.chains.len() > STATES_MAX {
            self.chains.pop_first();
        }
    }

    /// A node's state holds for an index and has this chain. One that is not remembered is not compared.
    ///
    /// # Errors
    /// When the entries make another.
    pub fn shown(&self, index: u64, chain: [u8; 16]) -> Found {
        match self.chains.get(&index) {
            Some(ours) if *ours != chain => Err((
                RULE,
                format!("its machine chain at entry {index} is another"),
            )),
            _ => Ok(()),
        }
    }
}

/// A node's whole state at an index, beside the one that the entries make.
///
/// # Errors
/// When they differ.
pub fn check_whole<S: PartialEq>(index: u64, made: &S, shown: &S) -> Found {
    match made == shown {
        true => Ok(()),
        false => {
            let seen = format!("its state at entry {index} is another, under the same chain");
            Err((RULE, seen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_the_entries_do_not_make_is_found() {
        let mut states = States::default();
        states.made(3, [1; 16]);
        assert_eq!(states.shown(3, [1; 16]), Ok(()));
        assert_eq!(states.shown(7, [9; 16]), Ok(()), "not comparable");
        let (rule, _) = states.shown(3, [9; 16]).unwrap_err();
        assert_eq!(rule, RULE);
    }

    #[test]
    fn a_whole_state_that_differs_is_found() {
        assert_eq!(check_whole(3, &"a", &"a"), Ok(()));
        let (rule, _) = check_whole(3, &"a", &"b").unwrap_err();
        assert_eq!(rule, RULE);
    }
}
