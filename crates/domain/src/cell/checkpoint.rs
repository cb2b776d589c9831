//! Checkpoints: what the logs and the machines of a majority had at one index, agreed on in the log.
//! Promise: the state keeps the last one; an older one changes nothing.
//! Not here: computing chains (`wire`, `store`), asking the voters, comparing (`conversation`).

use std::fmt;

use crate::ids::{CellTime, LogIndex};

/// Sixteen bytes of a hash that stand for a row of things: for everything before them in one of the two
/// chains, or for what was archived of a day.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(pub [u8; 16]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Both chains at one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The index, at which a command was applied.
    pub index: LogIndex,
    /// The chain of the log's records, `c`: equal as long as the logs are.
    pub log: Digest,
    /// The machine's chain, `h`: equal as long as the machines have answered and done the same.
    pub machine: Digest,
}

/// The last checkpoint, as the state keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// What a majority had.
    pub mark: Mark,
    /// When it was logged, cell time.
    pub at: CellTime,
    /// The index of its own entry.
    pub logged: LogIndex,
}
