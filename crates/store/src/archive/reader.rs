//! Reading records back from segments.
//! Promise: a record is given only with the hash that it was archived with.
//! Not here: finding it (`lookup`).

use std::sync::Arc;

use bytes::Bytes;

use super::block::Kept;
use super::core::Core;
use super::entries::Hit;
use super::index::IndexFault;
use super::segment::{FileId, block_at, frame_bytes};
use super::types::{ArchiveError, Damage};

/// Bytes read at first: most blocks are whole in them, sixteen conversations of ten short messages
/// taking 18 KB.
const FIRST_READ_BYTES: usize = 24 << 10;
/// A frame that is unpacked where it is awaited: some 100 us. Longer ones go to `Compute`, behind
/// whose other work a lookup would wait.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Reads records, neighbours in a block at one go.
pub struct Reader {
    core: Arc<Core>,
    block: Option<(FileId, u32, Vec<Kept>)>,
}

/// What stands at a place.
pub enum Read {
    Kept(Kept),
    Damaged(Damage),
    /// The file has been dropped since the lookup.
    Gone,
}

impl Reader {
    pub fn new(core: Arc<Core>) -> Self {
        Self { core, block: None }
    }

    /// Reads one of the copies `hits` of one record.
    pub async fn any(&mut self, hits: &[Hit]) -> Result<Read, ArchiveError> {
        let mut outcome = Read::Gone;
        for hit in hits {
            match self.one(hit).await? {
                Read::Gone => {}
                Read::Damaged(damage) => outcome = Read::Damaged(damage),
                kept => return Ok(kept),
            }
        }
        Ok(outcome)
    }

    async fn one(&mut self, hit: &Hit) -> Result<Read, ArchiveError> {
        let at = (hit.file, hit.place.offset);
        if self
            .block
            .as_ref()
            .is_none_or(|(file, offset, _)| (*file, *offset) != at)
        {
            self.block = None;
            match self.read_block(hit).await? {
                Some(Some(block)) => self.block = Some((at.0, at.1, block)),
                Some(None) => {
                    let offset = u64::from(hit.place.offset);
                    let damage =
                        self.core
                            .damaged(hit.file, offset, "a record does not fit its checksum");
                    return Ok(Read::Damaged(damage));
                }
                None => return Ok(Read::Gone),
            }
        }
        let block = self.block.as_ref().map_or(&[][..], |(_, _, block)| block);
        match block.get(usize::from(hit.place.number)) {
            Some(kept) if kept.record.conversation == hit.conversation => {
                Ok(Read::Kept(kept.clone()))
            }
            _ => {
                self.misled(hit);
                Err(self.core.rebuilding())
            }
        }
    }

    /// The outer option is whether the file is still there, the inner one whether the block is whole.
    async fn read_block(&self, hit: &Hit) -> Result<Option<Option<Vec<Kept>>>, ArchiveError> {
        let Some(salt) = self.salt(hit.file) else {
            return Ok(None);
        };
        let (cell, offset) = (hit.file.cell, u64::from(hit.place.offset));
        let read = async {
            let handle = self.core.handle(hit.file).await?;
            let first = handle.read_at(offset, FIRST_READ_BYTES).await?;
            match frame_bytes(&first) {
                Some(bytes) if bytes > first.len() => handle.read_at(offset, bytes).await,
                _ => Ok(first),
            }
        };
        let bytes: Bytes = match read.await {
            Ok(bytes) => bytes,
            // Between lookup and reading the file was dropped.
            Err(_) if self.salt(hit.file).is_none() => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Some(None)),
            Err(error) => return Err(error.into()),
        };
        let block = match bytes.len() <= INLINE_BYTES_MAX {
            true => block_at(salt, cell, &bytes),
            false => {
                let unpack = move || block_at(salt, cell, &bytes);
                self.core.compute.run(unpack).await
            }
        };
        Ok(Some(block))
    }

    /// The segment is whole and the index is wrong about it.
    fn misled(&self, hit: &Hit) {
        let fault = IndexFault::Page {
            file: hit.file.packed(),
            what: format!(
                "another record stands at the place of conversation {}",
                hit.conversation
            ),
        };
        let generation = self.core.state.lock().generation;
        self.core.fault(generation, &fault);
    }

    fn salt(&self, file: FileId) -> Option<u32> {
        let state = self.core.state.lock();
        state.files.get(&file).map(|file| file.salt)
    }
}

/// Groups hits of one record, which stand next to each other.
pub fn copies(hits: &[Hit]) -> impl Iterator<Item = &[Hit]> {
    hits.chunk_by(|a, b| a.rank() == b.rank())
}
