//! Segment files of the archive: names, heads, frames, and reading a file from end to end.
//! Promise: a scan gives every record whose checksum and hash fit, skips what does not and says where.
//! Not here: which file is written to (`writer`), what the index holds of a file (`entries`).
//!
//! A file lies at `CELL/YYYY-MM-DD-N.seg`, the day being the UTC day on which its conversations were
//! closed. It begins with its head, twice: without the salt no frame could be read.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::block::{self, Kept};
use crate::day;
use crate::frame::{FILE_HEAD_BYTES, FileHead, Form, FrameHead, HEAD_BYTES, NoFrame, padded};

/// The files of the archive.
pub const ARCHIVE: Form = Form {
    version: 1,
    file_magic: *b"antiarch",
    frame_magic: 0xa57e,
};
/// Bytes before the first frame.
pub const SEGMENT_HEAD_BYTES: u64 = 2 * FILE_HEAD_BYTES as u64;
/// Of the largest block.
pub const FRAME_BYTES_MAX: usize = (HEAD_BYTES + block::BLOCK_BYTES_MAX + 16).next_multiple_of(8);
/// Bytes of a file read at once: the largest frame, and enough beside it for a scan to get on.
pub const WINDOW_BYTES: usize = FRAME_BYTES_MAX + (4 << 20);
/// Behind a batch, once its sync has returned.
pub const MARKER_BYTES: usize = HEAD_BYTES;

const KIND_BLOCK: u8 = 1;
const KIND_MARKER: u8 = 2;
/// A range that must give way; in a cell's file of discards alone.
pub const KIND_DISCARD: u8 = 3;
/// Up to where records were dropped for lack of room; in a cell's file of discards alone.
pub const KIND_FLOOR: u8 = 4;

/// A segment file: cell, UTC day and a number that counts up within the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    pub cell: u32,
    pub day: u16,
    pub number: u16,
}

impl FileId {
    /// The id as one number, which orders as the id does.
    pub fn packed(self) -> u64 {
        u64::from(self.cell) << 32 | u64::from(self.day) << 16 | u64::from(self.number)
    }

    /// The id that was packed into `packed`.
    pub fn unpacked(packed: u64) -> Self {
        Self {
            cell: (packed >> 32) as u32,
            day: (packed >> 16) as u16,
            number: packed as u16,
        }
    }

    /// Where the file lies.
    pub fn path(self, dir: &Path) -> PathBuf {
        let name = format!("{}-{}.seg", day::text_of(self.day), self.number);
        dir.join(self.cell.to_string()).join(name)
    }

    /// The file of `cell` with this name.
    pub fn named(cell: u32, name: &str) -> Option<Self> {
        let (date, number) = name.strip_suffix(".seg")?.rsplit_once('-')?;
        let number = number.parse().ok()?;
        let id = Self {
            cell,
            day: day::named(date)?,
            number,
        };
        (id.path(Path::new("")).file_name()?.to_str()? == name).then_some(id)
    }
}

/// The head of a new file.
pub fn head(id: FileId, salt: u32) -> Bytes {
    let once = ARCHIVE.file_head(salt, id.packed());
    [once.clone(), once].concat().into()
}

/// Reads the head of file `id`, either copy.
pub fn read_head(content: &[u8], id: FileId) -> FileHead {
    let first = ARCHIVE.read_file_head(content, id.packed());
    let second = content.get(FILE_HEAD_BYTES..).unwrap_or_default();
    match first {
        FileHead::Invalid => ARCHIVE.read_file_head(second, id.packed()),
        valid => valid,
    }
}

/// Adds a frame to `out`, its body written by `body`.
fn put(out: &mut Vec<u8>, salt: u32, head: FrameHead, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + HEAD_BYTES, 0);
    body(out);
    ARCHIVE.seal(salt, out, start, head);
}

/// What every frame of one batch shares.
#[derive(Clone, Copy)]
pub struct Stamp {
    pub cell: u32,
    pub salt: u32,
    pub batch: u64,
}

impl Stamp {
    fn frame_head(self, kind: u8) -> FrameHead {
        FrameHead {
            kind,
            group: self.cell,
            batch: self.batch,
        }
    }

    /// Adds a frame with a block to `out`.
    pub fn put_block(self, out: &mut Vec<u8>, records: &[super::types::Record]) {
        let head = self.frame_head(KIND_BLOCK);
        put(out, self.salt, head, |out| block::put(out, records));
    }

    /// The marker of this batch.
    pub fn marker(self) -> Bytes {
        let mut out = Vec::with_capacity(MARKER_BYTES);
        put(&mut out, self.salt, self.frame_head(KIND_MARKER), |_| {});
        out.into()
    }

    /// A frame with the body of a discard.
    pub fn discard(self, body: &[u8]) -> Bytes {
        self.whole(KIND_DISCARD, body)
    }

    /// A frame that says up to where records were dropped.
    pub fn floor(self, body: &[u8]) -> Bytes {
        self.whole(KIND_FLOOR, body)
    }

    fn whole(self, kind: u8, body: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(padded(HEAD_BYTES + body.len()));
        let head = self.frame_head(kind);
        put(&mut out, self.salt, head, |out| out.extend_from_slice(body));
        out.into()
    }
}

/// The records of the block in the frame at the start of `bytes`; `None` if that is damaged.
pub fn block_at(salt: u32, cell: u32, bytes: &Bytes) -> Option<Vec<Kept>> {
    let frame = ARCHIVE.parse(salt, bytes, 0).ok()?;
    if (frame.head.kind, frame.head.group) != (KIND_BLOCK, cell) {
        return None;
    }
    block::get(cell, frame.body)
}

/// Bytes of the frame that begins with `head`, as far as its unchecked length says so; `None` if no
/// block is so long.
pub fn frame_bytes(head: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?) as usize;
    (HEAD_BYTES..=FRAME_BYTES_MAX)
        .contains(&length)
        .then(|| padded(length))
}

/// Part of a file, to be scanned.
pub struct Window {
    pub salt: u32,
    pub cell: u32,
    /// Where `bytes` begin in the file.
    pub base: u64,
    pub bytes: Bytes,
    /// Nothing of the file follows.
    pub last: bool,
    /// Where bytes that fit no checksum began before this window.
    pub suspect: Option<u64>,
}

/// What a window held beside its records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Damaged regions with valid frames behind them: from, to.
    pub damages: Vec<(u64, u64)>,
    /// Where bytes began that fit no checksum and that no valid frame has followed yet.
    pub suspect: Option<u64>,
    /// Where the next window begins.
    pub next: u64,
}

impl Window {
    /// Gives each block and its offset to `visit`. Long windows take milliseconds: for `Compute`.
    pub fn scan(self, mut visit: impl FnMut(u64, Vec<Kept>)) -> Scanned {
        let mut scanned = Scanned {
            suspect: self.suspect,
            ..Scanned::default()
        };
        let mut at = 0;
        while at < self.bytes.len() {
            let offset = self.base + at as u64;
            match ARCHIVE.parse(self.salt, &self.bytes, at) {
                Ok(frame) => {
                    if let Some(from) = scanned.suspect.take() {
                        scanned.damages.push((from, offset));
                    }
                    if frame.head.kind == KIND_BLOCK {
                        match block::get(self.cell, frame.body) {
                            Some(records) if frame.head.group == self.cell => {
                                visit(offset, records);
                            }
                            _ => scanned.damages.push((offset, offset + frame.bytes as u64)),
                        }
                    }
                    at += frame.bytes;
                }
                // A file of a later version is refused by its head.
                Err(NoFrame::Invalid | NoFrame::Newer(_)) => {
                    // The frame may be whole and end behind this window.
                    if !self.last && at + FRAME_BYTES_MAX > self.bytes.len() {
                        break;
                    }
                    scanned.suspect.get_or_insert(offset);
                    at += 8;
                }
            }
        }
        scanned.next = self.base + at as u64;
        scanned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_day_and_found_by_its_name() {
        for (day, date) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (20_784, "2026-11-27"),
        ] {
            let id = FileId {
                cell: 3,
                day,
                number: 2,
            };
            let path = id.path(Path::new("/a"));
            assert_eq!(path, Path::new("/a/3").join(format!("{date}-2.seg")));
            assert_eq!(FileId::named(3, &format!("{date}-2.seg")), Some(id));
            assert_eq!(FileId::unpacked(id.packed()), id);
        }
    }

    #[test]
    fn other_names_are_no_segment() {
        for name in [
            "",
            "lock",
            "2026-02-30-1.seg",
            "2026-1-01-1.seg",
            "2026-01-01-01.seg",
            "1969-12-31-0.seg",
        ] {
            assert_eq!(FileId::named(1, name), None, "{name}");
        }
    }
}
