//! Snapshots: the state of a cell or of the control group as chunks of bytes.
//! Promise: equal states give equal bytes, in a fixed order; chunks have at most 1 MiB; what is
//! decoded is the state that was encoded; damaged bytes are refused, never a panic.
//! Not here: files and checksums (`store`), sending (`raft`), when one is taken (`node`).

mod cell_from_wire;
pub(crate) mod cell_to_wire;
mod chunks;
mod control_from_wire;
mod control_to_wire;
pub(crate) mod conversation_from_wire;
pub(crate) mod conversation_to_wire;

use domain::cell::{Cell, FrozenCell, Part};
use domain::control::{Control, ControlParts};

use crate::error::WireError;
use chunks::ChunkWriter;

#[cfg(test)]
mod history;
#[cfg(test)]
mod snapshot_test;

/// Largest chunk in bytes.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// The newest format of a cell's snapshot: what this version writes.
pub const CELL_FORMAT: u32 = 1;
/// The newest format of a control snapshot: what this version writes.
pub const CONTROL_FORMAT: u32 = 1;

/// The chunks of a cell's snapshot. Taking it is cheap; the first chunk lists the parts, each
/// further one encodes what fits in it.
pub struct CellChunks {
    frozen: Option<FrozenCell>,
    parts: std::vec::IntoIter<Part>,
    writer: ChunkWriter,
}

impl CellChunks {
    /// The chunks of a frozen state.
    pub fn new(frozen: FrozenCell) -> Self {
        Self {
            frozen: Some(frozen),
            parts: Vec::new().into_iter(),
            writer: ChunkWriter::default(),
        }
    }
}

impl Iterator for CellChunks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(frozen) = self.frozen.take() {
            // Pointers only: a million conversations are 24 MiB here, for the time of encoding.
            self.parts = frozen.parts().collect::<Vec<_>>().into_iter();
        }
        let Self { parts, writer, .. } = self;
        writer.next_chunk(
            || parts.next().map(|part| cell_to_wire::record(&part)),
            cell_to_wire::tail,
        )
    }
}

/// A hash over the chunks of a cell's snapshot, made piece by piece: equal for equal states.
pub struct StateHash {
    chunks: CellChunks,
    hasher: blake3::Hasher,
}

impl StateHash {
    /// Begins to hash a frozen state.
    pub fn new(frozen: FrozenCell) -> Self {
        Self {
            chunks: CellChunks::new(frozen),
            hasher: blake3::Hasher::new(),
        }
    }

    /// Hashes one more chunk of at most 1 MiB; the hash when there is none left.
    pub fn step(&mut self) -> Option<[u8; 32]> {
        match self.chunks.next() {
            Some(chunk) => {
                self.hasher.update(&chunk);
                None
            }
            None => Some(*self.hasher.finalize().as_bytes()),
        }
    }

    /// The hash of a state whose chunks are at hand.
    pub fn of_chunks<C: AsRef<[u8]>>(chunks: &[C]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for chunk in chunks {
            hasher.update(chunk.as_ref());
        }
        *hasher.finalize().as_bytes()
    }
}

/// The cell that a snapshot's chunks hold.
///
/// # Errors
/// When the chunks are no whole snapshot of a cell, or one of a newer format.
pub fn decode_cell<C: AsRef<[u8]>>(chunks: &[C]) -> Result<Cell, WireError> {
    let parts = cell_from_wire::parts(chunks)?;
    Cell::from_parts(parts).map_err(|error| WireError::NotWhole {
        reason: error.to_string(),
    })
}

/// The chunks of a control snapshot.
pub struct ControlChunks {
    records: std::vec::IntoIter<control_to_wire::Record>,
    writer: ChunkWriter,
}

impl ControlChunks {
    /// The chunks of a control state.
    pub fn new(parts: &ControlParts) -> Self {
        Self {
            records: control_to_wire::records(parts).into_iter(),
            writer: ChunkWriter::default(),
        }
    }
}

impl Iterator for ControlChunks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let Self { records, writer } = self;
        writer.next_chunk(|| records.next(), control_to_wire::tail)
    }
}

/// The control machine that a snapshot's chunks hold.
///
/// # Errors
/// When the chunks are no whole snapshot of a control state, or one of a newer format.
pub fn decode_control<C: AsRef<[u8]>>(chunks: &[C]) -> Result<Control, WireError> {
    control_from_wire::parts(chunks).map(Control::from_parts)
}
