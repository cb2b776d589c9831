//! Bugs that are planted on purpose, to see that the simulation finds them.
//! Promise: without the feature `planted` every one of them is a constant `false`, and nothing of it is in the
//! program; with it, one process has at most one.
//! Not here: where each would be (the crates that ask `planted`), finding them (`sim`).

#[cfg(feature = "planted")]
mod chosen;
mod list;

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "planted")]
pub use chosen::{Refused, first_by_hash, plant};
pub use list::{ALL, Bug, Mutant};

/// Whether this build can have a bug planted at all.
pub const CAN_BE_PLANTED: bool = cfg!(feature = "planted");

/// Whether this bug is the one that the process was started with.
#[cfg(feature = "planted")]
#[must_use]
pub fn planted(mutant: Mutant) -> bool {
    chosen::is(mutant)
}

/// Whether this bug is the one that the process was started with: never, in this build.
#[cfg(not(feature = "planted"))]
#[inline(always)]
#[must_use]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}

/// One of `many` things in the order of a hash set: always the first, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn first_by_hash(_many: usize) -> usize {
    0
}

impl Mutant {
    /// What is known of it.
    #[must_use]
    pub fn bug(self) -> &'static Bug {
        let known = ALL.iter().find(|bug| bug.mutant == self);
        known.expect("the list has a row for each, as its test says")
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.bug().name)
    }
}

/// No bug has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no planted bug is called {}", self.0)
    }
}

impl std::error::Error for Unknown {}

impl FromStr for Mutant {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        let found = ALL.iter().find(|bug| bug.name == name);
        found
            .map(|bug| bug.mutant)
            .ok_or_else(|| Unknown(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_its_own_in_kebab_case_and_is_read_back() {
        let names: BTreeSet<&str> = ALL.iter().map(|bug| bug.name).collect();
        assert_eq!(names.len(), ALL.len());
        for bug in ALL {
            let plain = |letter: char| letter.is_ascii_lowercase() || letter == '-';
            assert!(bug.name.chars().all(plain), "{}", bug.name);
            assert_eq!(bug.name.parse(), Ok(bug.mutant));
            assert_eq!(bug.mutant.to_string(), bug.name);
            assert!(bug.breaks.len() > 10, "{}", bug.name);
        }
        assert_eq!(
            "ack-before-lunch".parse::<Mutant>(),
            Err(Unknown("ack-before-lunch".to_owned()))
        );
    }

    #[cfg(not(feature = "planted"))]
    #[test]
    fn nothing_is_planted_without_the_feature() {
        const NEVER: bool = planted(Mutant::AckBeforeSync);
        const { assert!(!NEVER) };
        assert!(ALL.iter().all(|bug| !planted(bug.mutant)));
    }
}
