//! The one bug of this process.
//! Promise: chosen at most once, before anything runs; none until then.
//! Not here: a process that has several runs, or runs without a bug beside one with it.

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use super::Mutant;

/// A process is one run of the simulation: what all its nodes are made of has the bug.
static CHOSEN: OnceLock<Mutant> = OnceLock::new();

/// Another bug was planted in this process before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this process has a planted bug already")
    }
}

impl std::error::Error for Refused {}

/// Plants a bug in this process.
///
/// # Errors
/// When there is one already.
pub fn plant(mutant: Mutant) -> Result<(), Refused> {
    CHOSEN.set(mutant).map_err(|_| Refused)
}

pub(crate) fn is(mutant: Mutant) -> bool {
    CHOSEN.get() == Some(&mutant)
}

/// The first of `many` things as a hash set has them, which is another one for each set.
#[must_use]
pub fn first_by_hash(many: usize) -> usize {
    let set: HashSet<usize> = (0..many).collect();
    set.into_iter().next().unwrap_or(0)
}
