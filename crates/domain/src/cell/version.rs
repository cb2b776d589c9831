//! Machine versions: since when a command exists, and what stops a replica that does not know it.
//! Promise: what an entry needs is read from the entry and the state alone, on every replica alike.
//! Not here: when the version is raised (`conversation`), the stored form (`wire`).
//!
//! An older program must never guess at an entry, and a change of behaviour must fall on one log
//! index. So a new command, or a decision that falls otherwise than before, gets the next version;
//! the leader raises the version in force by an entry once every voter's program knows it, and
//! before that it does not propose what needs it.
//!
//! Versions count from the first release: until there is one, decisions change without a version, and
//! a data directory of an earlier state of the source is not to be opened by a later one.

use super::Cell;
use super::command::Command;
use crate::ids::MachineVersion;

/// The version in which every cell begins.
pub const FIRST_VERSION: MachineVersion = MachineVersion(1);
/// Since this version a cell knows its buckets.
pub const BUCKETS_SINCE: MachineVersion = MachineVersion(2);
/// Since this version the machine's chain goes on with each entry, and there are checkpoints.
pub const CHAIN_SINCE: MachineVersion = MachineVersion(3);
/// The newest version that this program knows.
pub const NEWEST_VERSION: MachineVersion = CHAIN_SINCE;

/// A command that is newer than the version in force: it is not to be proposed, and where it was, no
/// replica goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it needs machine version {needs}, and {in_force} is in force")]
pub struct TooNew {
    /// The version since which the command exists.
    pub needs: MachineVersion,
    /// The version in force.
    pub in_force: MachineVersion,
}

impl Command {
    /// The version that must be in force when it is proposed.
    pub fn since(&self) -> MachineVersion {
        match self {
            Self::HoldBuckets(_) => BUCKETS_SINCE,
            Self::Checkpoint(_) => CHAIN_SINCE,
            _ => FIRST_VERSION,
        }
    }

    /// The version that a program must know to read it: a raise is proposed under the version before.
    pub fn readable_since(&self) -> MachineVersion {
        match self {
            Self::RaiseVersion(version) => self.since().max(*version),
            _ => self.since(),
        }
    }
}

impl Cell {
    /// The machine version in force.
    pub fn version(&self) -> MachineVersion {
        self.state().meta().version
    }

    /// Whether a command may be proposed and applied under the version in force.
    ///
    /// # Errors
    /// Says which version it needs.
    pub fn check_version(&self, command: &Command) -> Result<(), TooNew> {
        let (needs, in_force) = (command.since(), self.version());
        if needs <= in_force {
            Ok(())
        } else {
            Err(TooNew { needs, in_force })
        }
    }
}
