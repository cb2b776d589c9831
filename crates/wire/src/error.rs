//! Why bytes are not what they should be.
//! Promise: names the field, so that a person with the record at hand can find it.
//! Not here: faults of a floor plan's TOML form (`floor`).

use domain::cell::version::{FIRST_VERSION, NEWEST_VERSION};
use domain::ids::{IdError, MachineVersion};

/// Why stored bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not a message of this schema at all.
    #[error("the bytes are not a protobuf message: {reason}")]
    Malformed {
        /// What the decoder said.
        reason: String,
    },
    /// Written by a newer program; stop this one rather than misread.
    #[error("format {found} is newer than {known}, the newest that this version reads")]
    NewerFormat {
        /// The message's format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// Of a machine version that this program lacks; stop it rather than guess.
    #[error("machine version {found} is newer than {known}, the newest that this program knows")]
    NewerMachine {
        /// The version that is needed.
        found: MachineVersion,
        /// The newest known.
        known: MachineVersion,
    },
    /// Format 0 was never written.
    #[error("the message carries no format")]
    NoFormat,
    /// A field that every message of this kind has.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field that holds no id.
    #[error("{field} {problem}")]
    BadId {
        /// The field.
        field: &'static str,
        /// Why it is none.
        problem: IdError,
    },
    /// A number outside what the field may hold.
    #[error("{field} holds {value}, which has no meaning")]
    BadValue {
        /// The field.
        field: &'static str,
        /// The number.
        value: u64,
    },
    /// The same key twice in one table.
    #[error("{field} names {key} twice")]
    Repeated {
        /// The field.
        field: &'static str,
        /// The key.
        key: String,
    },
    /// A snapshot that ends too early, goes on too long, or has its records in another order.
    #[error("the snapshot is not whole: {reason}")]
    NotWhole {
        /// What did not fit.
        reason: String,
    },
}

impl WireError {
    /// Whether a newer program would read what this one cannot.
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::NewerFormat { .. } | Self::NewerMachine { .. })
    }
}

impl From<prost::DecodeError> for WireError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed {
            reason: error.to_string(),
        }
    }
}

/// Compares a message's format with the newest known one.
///
/// # Errors
/// When there is none, or it is newer.
pub(crate) fn check_format(found: u32, known: u32) -> Result<(), WireError> {
    match found {
        0 => Err(WireError::NoFormat),
        found if found > known => Err(WireError::NewerFormat { found, known }),
        _ => Ok(()),
    }
}

/// The machine version of a stored number; absent, which is 0, means the first.
pub(crate) fn machine_version(stored: u32) -> MachineVersion {
    MachineVersion(stored.max(1))
}

/// Compares a machine version with the newest known one.
///
/// # Errors
/// When it is newer.
pub(crate) fn check_machine(stored: u32) -> Result<MachineVersion, WireError> {
    let found = machine_version(stored);
    if found <= NEWEST_VERSION {
        Ok(found)
    } else {
        Err(WireError::NewerMachine {
            found,
            known: NEWEST_VERSION,
        })
    }
}

/// The stored number of a machine version: nothing is written for the first.
pub(crate) fn machine_to_wire(version: MachineVersion) -> u32 {
    if version <= FIRST_VERSION {
        0
    } else {
        version.0
    }
}
