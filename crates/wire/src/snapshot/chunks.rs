//! Records laid end to end and cut into chunks, and back.
//! Promise: a chunk has at most `CHUNK_BYTES_MAX` bytes; a record may lie across chunks.
//! Not here: what a record holds.

use std::borrow::Cow;

use prost::Message;

use super::CHUNK_BYTES_MAX;
use crate::error::WireError;

/// Lays records end to end, each after its length.
#[derive(Default)]
pub(super) struct ChunkWriter {
    pending: Vec<u8>,
    records: u64,
    ended: bool,
}

impl ChunkWriter {
    /// The next chunk: from `next` until it is full, with the tail after the last record.
    pub(super) fn next_chunk<R: Message>(
        &mut self,
        mut next: impl FnMut() -> Option<R>,
        tail: impl Fn(u64) -> R,
    ) -> Option<Vec<u8>> {
        while !self.ended && self.pending.len() < CHUNK_BYTES_MAX {
            match next() {
                Some(record) => {
                    self.records += 1;
                    self.lay(&record);
                }
                None => {
                    self.ended = true;
                    self.lay(&tail(self.records));
                }
            }
        }
        if self.pending.is_empty() {
            return None;
        }
        let rest = self
            .pending
            .split_off(self.pending.len().min(CHUNK_BYTES_MAX));
        Some(std::mem::replace(&mut self.pending, rest))
    }

    fn lay(&mut self, record: &impl Message) {
        self.pending
            .reserve(record.encoded_len() + prost::length_delimiter_len(record.encoded_len()));
        record
            .encode_length_delimited(&mut self.pending)
            .expect("a Vec grows as needed");
    }
}

/// Reads the records of chunks one after another.
pub(super) struct ChunkReader<'c, C> {
    chunks: &'c [C],
    /// Bytes of the first chunk that have been read.
    at: usize,
    /// Bytes that have not been read yet.
    left: usize,
}

impl<'c, C: AsRef<[u8]>> ChunkReader<'c, C> {
    pub(super) fn new(chunks: &'c [C]) -> Self {
        let left = chunks.iter().map(|chunk| chunk.as_ref().len()).sum();
        Self {
            chunks,
            at: 0,
            left,
        }
    }

    /// The next record, or `None` at the end of the last chunk.
    pub(super) fn next<R: Message + Default>(&mut self) -> Result<Option<R>, WireError> {
        if self.left == 0 {
            return Ok(None);
        }
        let len = self.length()?;
        let bytes = self.take(len)?;
        Ok(Some(R::decode(bytes.as_ref())?))
    }

    /// A record's length: a varint, which may itself lie across chunks.
    fn length(&mut self) -> Result<usize, WireError> {
        let mut length = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.take(1)?[0];
            length |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(length)
                    .map_err(|_| not_whole("a record's length is too large"));
            }
        }
        Err(not_whole("a record's length does not end"))
    }

    /// The next bytes; copied only when they lie across chunks.
    fn take(&mut self, len: usize) -> Result<Cow<'c, [u8]>, WireError> {
        if len > self.left {
            return Err(not_whole("it ends inside a record"));
        }
        self.left -= len;
        let mut across = Vec::new();
        loop {
            let Some((first, later)) = self.chunks.split_first() else {
                return Ok(Cow::Owned(across));
            };
            let chunk: &'c [u8] = first.as_ref();
            let wanted = len - across.len();
            let here = chunk.len() - self.at;
            if across.is_empty() && wanted <= here && here > 0 {
                let bytes = &chunk[self.at..self.at + wanted];
                self.at += wanted;
                return Ok(Cow::Borrowed(bytes));
            }
            let taken = wanted.min(here);
            across.extend_from_slice(&chunk[self.at..self.at + taken]);
            self.at += taken;
            if across.len() == len {
                return Ok(Cow::Owned(across));
            }
            self.chunks = later;
            self.at = 0;
        }
    }
}

pub(super) fn not_whole(reason: &str) -> WireError {
    WireError::NotWhole {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::pb::store::v1::Label;

    fn label(bytes: usize) -> Label {
        Label {
            id: String::new(),
            text: "x".repeat(bytes),
        }
    }

    #[test]
    fn a_record_larger_than_a_chunk_lies_across_chunks_and_comes_back() {
        let mut sizes = [10, 3 * CHUNK_BYTES_MAX, 20, CHUNK_BYTES_MAX - 7].into_iter();
        let mut writer = ChunkWriter::default();
        let chunks: Vec<_> =
            std::iter::from_fn(|| writer.next_chunk(|| sizes.next().map(label), |_| label(0)))
                .collect();
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES_MAX));
        let mut reader = ChunkReader::new(&chunks);
        let mut found = Vec::new();
        while let Some(read) = reader.next::<Label>().expect("is whole") {
            found.push(read.text.len());
        }
        assert_eq!(found, [10, 3 * CHUNK_BYTES_MAX, 20, CHUNK_BYTES_MAX - 7, 0]);
    }

    #[test]
    fn chunks_of_any_cut_are_read_and_a_missing_end_is_refused() {
        let mut sizes = [5, 300].into_iter();
        let whole = ChunkWriter::default()
            .next_chunk(|| sizes.next().map(label), |_| label(0))
            .expect("there is one chunk");
        let bytes: Vec<_> = whole.iter().map(|byte| [*byte]).collect();
        let mut reader = ChunkReader::new(&bytes);
        assert_eq!(reader.next::<Label>().expect("is whole"), Some(label(5)));
        assert_eq!(reader.next::<Label>().expect("is whole"), Some(label(300)));
        let cut = [&whole[..100]];
        let mut reader = ChunkReader::new(&cut);
        assert_eq!(reader.next::<Label>().expect("is whole"), Some(label(5)));
        assert!(matches!(
            reader.next::<Label>(),
            Err(WireError::NotWhole { .. })
        ));
    }
}
