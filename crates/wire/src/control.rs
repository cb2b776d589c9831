//! Entries of the control group's log, as they are stored.
//! Promise: `decode_entry(encode_entry(e)) == e`; equal entries have equal bytes.
//! Not here: snapshots of the control state (`snapshot`).

pub(crate) mod from_wire;
pub(crate) mod to_wire;

use ::pb::store::v1 as pb;
use domain::control::ControlEntry;
use prost::Message as _;

use crate::error::{WireError, check_format};

#[cfg(test)]
mod control_test;

/// The newest format of a stored control entry: what this version writes.
pub const CONTROL_ENTRY_FORMAT: u32 = 1;

/// The stored form of a control entry.
pub fn encode_entry(entry: &ControlEntry) -> Vec<u8> {
    to_wire::entry(entry).encode_to_vec()
}

/// Reads the stored form of a control entry.
///
/// # Errors
/// When the bytes are no control entry, or one of a newer format.
pub fn decode_entry(bytes: &[u8]) -> Result<ControlEntry, WireError> {
    let stored = pb::ControlEntry::decode(bytes)?;
    check_format(stored.format, CONTROL_ENTRY_FORMAT)?;
    from_wire::entry(&upgrade(stored))
}

/// Brings an entry of an older format up to date, one format at a time. The first format has
/// nothing before it; the next one adds its step here.
fn upgrade(stored: pb::ControlEntry) -> pb::ControlEntry {
    stored
}
