//! How many more losses a group survives.
//! Promise: pure; sites are lost in the worst order.
//! Not here: who is reachable (`gather`).

use std::collections::BTreeMap;

/// A voter and whether it takes part now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Voter {
    pub(super) site: String,
    pub(super) alive: bool,
}

/// What a group survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Survives {
    /// More voters that may be lost.
    pub(super) nodes: u32,
    /// More whole sites that may be lost, whichever they are.
    pub(super) sites: u32,
    /// Whether a majority is there now.
    pub(super) serves: bool,
}

/// Counts the losses that leave a majority of all voters.
pub(super) fn survives(voters: &[Voter]) -> Survives {
    let majority = voters.len() / 2 + 1;
    let mut by_site: BTreeMap<&str, usize> = BTreeMap::new();
    for voter in voters.iter().filter(|voter| voter.alive) {
        *by_site.entry(&voter.site).or_default() += 1;
    }
    let alive: usize = by_site.values().sum();
    if alive < majority || voters.is_empty() {
        return Survives {
            nodes: 0,
            sites: 0,
            serves: false,
        };
    }
    let mut largest_first: Vec<usize> = by_site.into_values().collect();
    largest_first.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = alive;
    let mut sites = 0;
    for lost in largest_first {
        if left < majority + lost {
            break;
        }
        left -= lost;
        sites += 1;
    }
    let nodes = u32::try_from(alive - majority).unwrap_or(u32::MAX);
    Survives {
        nodes,
        sites,
        serves: true,
    }
}
