//! Frames and heads of append-only files, byte by byte: what log and archive share.
//! Promise: a frame is valid only with its checksum, which is seeded with the file's salt, so that no
//! payload can imitate one; every frame and every head names the version of its format.
//! Not here: what a frame says (`wal`, `archive`).
//!
//! All numbers little-endian. A frame is padded with zeros to 8 bytes:
//! `crc32c u32 | length u32 | version u8 | kind u8 | magic u16 | group u32 | batch u64 | body`.
//! The checksum covers everything behind itself up to `length`. A file's head is
//! `magic 8 | version u8 | 3 zeros | salt u32 | number u64 | crc32c u32 | 4 zeros`.

use bytes::{Buf, Bytes};

/// Bytes before a frame's body.
pub const HEAD_BYTES: usize = 24;
/// Bytes of a file's head.
pub const FILE_HEAD_BYTES: usize = 32;

/// One kind of file: its magic numbers and its version.
pub struct Form {
    /// The version written, and the newest one read.
    pub version: u8,
    /// Begins a file.
    pub file_magic: [u8; 8],
    /// Stands in every frame.
    pub frame_magic: u16,
}

/// What a frame says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub kind: u8,
    pub group: u32,
    pub batch: u64,
}

/// A frame read back, its body not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    pub head: FrameHead,
    pub body: Bytes,
    /// Bytes to the next frame.
    pub bytes: usize,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoFrame {
    /// They fit no checksum.
    Invalid,
    /// A valid frame of a later version.
    Newer(u8),
}

/// What the head of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileHead {
    /// It is the head of the file asked for.
    Valid {
        /// Seeds the checksums of the file's frames.
        salt: u32,
    },
    /// Written by a later version.
    Newer(u8),
    /// No head, or another file's.
    Invalid,
}

impl Form {
    /// Completes the frame that begins at `start` and whose body has been written behind
    /// [`HEAD_BYTES`] of room.
    pub fn seal(&self, salt: u32, out: &mut Vec<u8>, start: usize, head: FrameHead) {
        let length = out.len() - start;
        let frame = &mut out[start..];
        frame[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        frame[8] = self.version;
        frame[9] = head.kind;
        frame[10..12].copy_from_slice(&self.frame_magic.to_le_bytes());
        frame[12..16].copy_from_slice(&head.group.to_le_bytes());
        frame[16..24].copy_from_slice(&head.batch.to_le_bytes());
        let crc = crc32c::crc32c_append(salt, &frame[4..]);
        frame[..4].copy_from_slice(&crc.to_le_bytes());
        out.resize(start + padded(length), 0);
    }

    /// Reads the frame at `offset`.
    pub fn parse(&self, salt: u32, bytes: &Bytes, offset: usize) -> Result<RawFrame, NoFrame> {
        let mut head = bytes
            .get(offset..)
            .filter(|rest| rest.len() >= HEAD_BYTES)
            .ok_or(NoFrame::Invalid)?;
        let whole = head;
        let (crc, length) = (head.get_u32_le(), head.get_u32_le() as usize);
        let (version, kind, magic) = (head.get_u8(), head.get_u8(), head.get_u16_le());
        let (group, batch) = (head.get_u32_le(), head.get_u64_le());
        if magic != self.frame_magic || length < HEAD_BYTES || length > whole.len() {
            return Err(NoFrame::Invalid);
        }
        if crc32c::crc32c_append(salt, &whole[4..length]) != crc {
            return Err(NoFrame::Invalid);
        }
        if version > self.version {
            return Err(NoFrame::Newer(version));
        }
        Ok(RawFrame {
            head: FrameHead { kind, group, batch },
            body: bytes.slice(offset + HEAD_BYTES..offset + length),
            bytes: padded(length),
        })
    }

    /// The head of file `number`.
    pub fn file_head(&self, salt: u32, number: u64) -> Bytes {
        let mut head = Vec::with_capacity(FILE_HEAD_BYTES);
        head.extend_from_slice(&self.file_magic);
        head.extend_from_slice(&[self.version, 0, 0, 0]);
        head.extend_from_slice(&salt.to_le_bytes());
        head.extend_from_slice(&number.to_le_bytes());
        let crc = crc32c::crc32c(&head);
        head.extend_from_slice(&crc.to_le_bytes());
        head.resize(FILE_HEAD_BYTES, 0);
        head.into()
    }

    /// Reads the head of file `number`.
    pub fn read_file_head(&self, content: &[u8], number: u64) -> FileHead {
        let Some(mut head) = content.get(..FILE_HEAD_BYTES) else {
            return FileHead::Invalid;
        };
        let crc = crc32c::crc32c(&head[..24]);
        let magic_fits = head.starts_with(&self.file_magic);
        head.advance(8);
        let version = head.get_u8();
        head.advance(3);
        let (salt, named) = (head.get_u32_le(), head.get_u64_le());
        match magic_fits && crc == head.get_u32_le() {
            true if version > self.version => FileHead::Newer(version),
            true if named == number => FileHead::Valid { salt },
            _ => FileHead::Invalid,
        }
    }
}

/// Bytes that a frame of `length` takes in the file.
pub fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}
