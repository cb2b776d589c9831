//! Entries of a cell's log, as they are stored and as they are applied.
//! Promise: `decode_entry(encode_entry(e)) == e`; equal entries have equal bytes.
//! Not here: the log around them (`store`), snapshots (`snapshot`).

mod chain;
mod event;
pub(crate) mod from_wire;
pub(crate) mod to_wire;

use ::pb::store::v1 as pb;
use domain::cell::command::Entry;
use prost::Message as _;

use crate::error::{WireError, check_format, check_machine};

pub use chain::Applier;

#[cfg(test)]
mod cell_test;
#[cfg(test)]
mod chain_test;

/// The newest format of a stored entry: what this version writes.
pub const ENTRY_FORMAT: u32 = 1;

/// The stored form of an entry.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    to_wire::entry(entry).encode_to_vec()
}

/// The stored form of an entry of a traced request; `traceparent` is kept beside it.
pub fn encode_traced(entry: &Entry, traceparent: String) -> Vec<u8> {
    let mut stored = to_wire::entry(entry);
    stored.traceparent = traceparent;
    stored.encode_to_vec()
}

/// Reads the stored form of an entry.
///
/// # Errors
/// When the bytes are no entry, or one of a newer format or machine version.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, WireError> {
    decode_traced(bytes).map(|(entry, _)| entry)
}

/// The same with the `traceparent` that is kept beside the entry; empty where nobody traces it. Nothing is
/// decided by it.
///
/// # Errors
/// As [`decode_entry`].
pub fn decode_traced(bytes: &[u8]) -> Result<(Entry, String), WireError> {
    let mut stored = pb::Entry::decode(bytes)?;
    check_format(stored.format, ENTRY_FORMAT)?;
    check_machine(stored.machine_version)?;
    let traceparent = std::mem::take(&mut stored.traceparent);
    Ok((from_wire::entry(&upgrade(stored))?, traceparent))
}

/// Brings an entry of an older format up to date, one format at a time. The first format has
/// nothing before it; the next one adds its step here.
fn upgrade(stored: pb::Entry) -> pb::Entry {
    stored
}
