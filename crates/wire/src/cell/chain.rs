//! Applying entries with the machine's chain: `h = H(previous h, index, reply, events)`.
//! Promise: replicas and proofs move the chain on by this one function; machines that answered and
//! did the same have the same chain, and once they differ it never agrees again.
//! Not here: the bytes of replies and events (`event`), comparing chains (`conversation`).

use domain::cell::checkpoint::Digest;
use domain::cell::command::Entry;
use domain::cell::version::CHAIN_SINCE;
use domain::cell::{Applied, Cell};
use domain::ids::LogIndex;

use super::event;

/// Bytes of the buffer that are kept from one entry to the next: most entries need less than 1 KiB,
/// one that moves a thousand conversations some 16 KiB.
const KEPT_BYTES: usize = 64 * 1_024;

/// Applies entries and moves the chain on. It keeps a buffer and no state.
#[derive(Debug, Default)]
pub struct Applier {
    bytes: Vec<u8>,
}

impl Applier {
    /// Applies one committed entry, in log order. Total, as `Cell::apply` is.
    ///
    /// The chain begins with the entry that brings `CHAIN_SINCE` into force, so that replicas whose
    /// programs learnt of it at different times have the same.
    pub fn apply(&mut self, cell: &mut Cell, index: LogIndex, entry: &Entry) -> Applied {
        let applied = cell.apply(index, entry);
        if cell.version() >= CHAIN_SINCE {
            let chain = self.next(cell.state().meta().chain, index, &applied);
            cell.set_chain(chain);
        }
        applied
    }

    /// The chain after one more entry.
    fn next(&mut self, before: Digest, index: LogIndex, applied: &Applied) -> Digest {
        self.bytes.clear();
        self.bytes.extend_from_slice(&before.0);
        self.bytes.extend_from_slice(&index.0.to_le_bytes());
        self.lay(|bytes| event::lay_reply(&applied.reply, bytes));
        for happened in &applied.events {
            self.lay(|bytes| event::lay_event(happened, bytes));
        }
        let chain = cut(&self.bytes);
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        chain
    }

    /// Adds what `lay` writes behind its length, so that no two lists of events have the same bytes.
    fn lay(&mut self, lay: impl FnOnce(&mut Vec<u8>)) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        lay(&mut self.bytes);
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// A hash cut to 16 bytes, as that of the log's chain.
pub(super) fn cut(bytes: &[u8]) -> Digest {
    let hash = blake3::hash(bytes);
    let mut cut = [0; 16];
    cut.copy_from_slice(&hash.as_bytes()[..16]);
    Digest(cut)
}
