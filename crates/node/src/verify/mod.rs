//! Proofs: a node's log and snapshots read once more, and every rule checked.
//! Promise: nothing that is read is changed; the first thing that does not hold is named.
//! Not here: the rules of a cell (`domain::cell::invariants`), the form of a log (`store`).

pub(crate) mod ask;
mod directory;
mod journal;
pub(crate) mod live;
mod prover;
#[cfg(test)]
mod prover_test;
mod survey;
#[cfg(test)]
mod verify_test;

use std::fmt;

pub use directory::{DirectoryProof, VerifyError, verify_directory};
pub use journal::{JournalBreach, JournalProof, JournalledGroup};
pub use prover::{Prover, Tally};

/// Names of the rules that are not the machine's own.
mod rules {
    pub(super) const LOG_CHAIN: &str = "the log chain c fits every record";
    pub(super) const MACHINE_CHAIN: &str = "the machine chain h is that of the checkpoint";
    pub(super) const READABLE: &str = "every entry can be read";
    pub(super) const VERSION: &str = "no entry is newer than the machine version in force";
    pub(super) const GOES_ON: &str = "the machine goes on";
    pub(super) const NO_GAP: &str = "the log has no gap";
    pub(super) const BARRIER: &str = "a leader's start comes before all else in its term";
    pub(super) const SERVED: &str = "what the replica serves is what its log makes";
    pub(super) const SNAPSHOT: &str = "the snapshot is what the log makes";
}

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The entry at which it shows.
    pub index: u64,
    /// The rule, by its name.
    pub rule: String,
    /// What was seen.
    pub seen: String,
    /// Where the entry stands, if that is known.
    pub place: Option<String>,
    /// Whom it is about, where a rule of a cell does not hold.
    pub about: Option<Box<About>>,
}

/// Whom a rule of a cell is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The conversation, agent or queue, or the cell as a whole.
    pub who: String,
    /// The last entries that touched them, oldest first.
    pub before: Vec<String>,
}

impl Breach {
    /// The last entries that touched whom it is about, oldest first.
    #[must_use]
    pub fn before(&self) -> &[String] {
        self.about.as_ref().map_or(&[], |about| &about.before)
    }

    pub(crate) fn new(index: u64, rule: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            index,
            rule: rule.into(),
            seen: seen.into(),
            place: None,
            about: None,
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at entry {}: {} - {}", self.index, self.rule, self.seen)?;
        match &self.place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

/// What the proof of one group found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupProof {
    /// The group's number; 0 is the control group.
    pub group: u32,
    /// The first entry that was applied again.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Entries applied again.
    pub entries: u64,
    /// Entries behind the last that is known to be committed: their chain alone was checked.
    pub uncommitted: u64,
    /// The snapshot from which it began; `None` for the empty state.
    pub from_snapshot: Option<u64>,
    /// Entries that were passed over, as operators have said.
    pub skipped: Vec<u64>,
    /// Checkpoints that were compared.
    pub checkpoints: u64,
    /// Conversations in the last state.
    pub conversations: u64,
    /// Messages stored by the entries.
    pub messages: u64,
    /// The wall clock of the first entry that carries one, Unix milliseconds; 0 for none.
    pub first_wall_ms: u64,
    /// The wall clock of the last one.
    pub last_wall_ms: u64,
    /// The log's chain at the last entry, in hexadecimal.
    pub log_chain: String,
    /// The machine's chain there, in hexadecimal; empty for the control group.
    pub machine_chain: String,
    /// A hash of the whole last state, in hexadecimal; empty for the control group.
    pub state_hash: String,
    /// How long applying again took, in milliseconds.
    pub took_ms: u64,
    /// The first thing that does not hold.
    pub breach: Option<Breach>,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
