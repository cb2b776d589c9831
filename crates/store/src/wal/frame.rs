//! Frames of the log: what stands in a segment, byte by byte.
//! Promise: what was put is what is read; a body that cannot be read is no frame.
//! Not here: checksums and padding (`crate::frame`), which frames follow which (`recover`, `writer`).

use bytes::{Buf, Bytes};

use super::types::{Chain, EntryId};
use crate::GroupId;
use crate::frame::{Form, FrameHead};

pub use crate::frame::{HEAD_BYTES, NoFrame, padded};

/// The version written, and the newest one read.
pub const FORMAT: u8 = 1;
/// The files of the log.
pub const LOG: Form = Form {
    version: FORMAT,
    file_magic: *b"antiplog",
    frame_magic: MAGIC,
};
/// A batch's head: its body is the length of the batch.
pub const BATCH_HEAD_BYTES: usize = HEAD_BYTES + 8;
/// A marker has no body.
pub const MARKER_BYTES: usize = HEAD_BYTES;
/// Of an entry: all but the payload.
pub const ENTRY_BYTES: usize = HEAD_BYTES + 40;
const MAGIC: u16 = 0xa47f;

/// An entry's place and the chain up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    pub id: EntryId,
    pub chain: Chain,
}

/// What a group's log was when a segment began; stands at the head of each segment, so that older
/// segments can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restated {
    /// The first entry held.
    pub first: u64,
    pub purged: Option<Base>,
    pub last: Option<Base>,
    pub vote: Option<Bytes>,
    pub committed: Option<Bytes>,
}

/// The content of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Begins a batch of this many bytes, itself included.
    BatchHead {
        bytes: u64,
    },
    /// The sync of the frame's batch has returned.
    Marker,
    Entry {
        at: Base,
        payload: Bytes,
    },
    /// Everything after this entry is removed; everything for `None`.
    Truncate {
        keep: Option<Base>,
    },
    /// Everything up to this entry is removed.
    Purge {
        upto: Base,
    },
    Vote(Bytes),
    Committed(Bytes),
    State(Restated),
}

/// A frame read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub group: GroupId,
    pub batch: u64,
    pub body: Body,
    /// Bytes to the next frame.
    pub bytes: usize,
}

/// What every frame of one batch shares.
#[derive(Clone, Copy)]
pub struct Stamp {
    pub salt: u32,
    pub batch: u64,
}

impl Stamp {
    /// Adds a frame to `out`.
    pub fn put(self, out: &mut Vec<u8>, group: GroupId, body: &Body) {
        let start = out.len();
        out.resize(start + HEAD_BYTES, 0);
        body.put(out);
        self.seal(out, start, group, body.kind());
    }

    /// Adds an entry without copying its payload twice.
    pub fn put_entry(self, out: &mut Vec<u8>, group: GroupId, at: &Base, payload: &[u8]) {
        let start = out.len();
        out.resize(start + HEAD_BYTES, 0);
        put_base(out, at);
        out.extend_from_slice(payload);
        self.seal(out, start, group, KIND_ENTRY);
    }

    /// Writes the head of a batch into the room left for it at the start of `batch`.
    pub fn put_batch_head(self, batch: &mut [u8]) {
        let mut head = Vec::with_capacity(BATCH_HEAD_BYTES);
        self.put(
            &mut head,
            GroupId(0),
            &Body::BatchHead {
                bytes: batch.len() as u64,
            },
        );
        batch[..BATCH_HEAD_BYTES].copy_from_slice(&head);
    }

    /// The marker of this batch.
    pub fn marker(self) -> Bytes {
        let mut out = Vec::with_capacity(MARKER_BYTES);
        self.put(&mut out, GroupId(0), &Body::Marker);
        out.into()
    }

    fn seal(self, out: &mut Vec<u8>, start: usize, group: GroupId, kind: u8) {
        let head = FrameHead {
            kind,
            group: group.0,
            batch: self.batch,
        };
        LOG.seal(self.salt, out, start, head);
    }
}

/// Reads the frame at `offset`.
pub fn parse(salt: u32, bytes: &Bytes, offset: usize) -> Result<Frame, NoFrame> {
    let raw = LOG.parse(salt, bytes, offset)?;
    if raw.head.batch == u64::MAX {
        return Err(NoFrame::Invalid); // nor could a batch follow that one
    }
    let body = Body::get(raw.head.kind, raw.body).ok_or(NoFrame::Invalid)?;
    Ok(Frame {
        group: GroupId(raw.head.group),
        batch: raw.head.batch,
        body,
        bytes: raw.bytes,
    })
}

/// What the damaged bytes at `offset` say about group and index, if they look like an entry.
pub fn guess_entry(bytes: &[u8], offset: usize) -> Option<(GroupId, u64)> {
    let mut frame = bytes
        .get(offset..)
        .filter(|rest| rest.len() >= ENTRY_BYTES)?;
    let looks =
        frame[8] == FORMAT && frame[9] == KIND_ENTRY && frame[10..12] == MAGIC.to_le_bytes();
    frame.advance(12);
    let group = GroupId(frame.get_u32_le());
    frame.advance(8);
    looks.then(|| (group, frame.get_u64_le()))
}

const KIND_BATCH_HEAD: u8 = 1;
const KIND_MARKER: u8 = 2;
const KIND_ENTRY: u8 = 3;
const KIND_TRUNCATE: u8 = 4;
const KIND_PURGE: u8 = 5;
const KIND_VOTE: u8 = 6;
const KIND_COMMITTED: u8 = 7;
const KIND_STATE: u8 = 8;

impl Body {
    fn kind(&self) -> u8 {
        match self {
            Self::BatchHead { .. } => KIND_BATCH_HEAD,
            Self::Marker => KIND_MARKER,
            Self::Entry { .. } => KIND_ENTRY,
            Self::Truncate { .. } => KIND_TRUNCATE,
            Self::Purge { .. } => KIND_PURGE,
            Self::Vote(_) => KIND_VOTE,
            Self::Committed(_) => KIND_COMMITTED,
            Self::State(_) => KIND_STATE,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::BatchHead { bytes } => out.extend_from_slice(&bytes.to_le_bytes()),
            Self::Marker => {}
            Self::Entry { at, payload } => {
                put_base(out, at);
                out.extend_from_slice(payload);
            }
            Self::Truncate { keep } => put_optional(out, keep.as_ref(), put_base),
            Self::Purge { upto } => put_base(out, upto),
            Self::Vote(bytes) | Self::Committed(bytes) => out.extend_from_slice(bytes),
            Self::State(state) => {
                out.extend_from_slice(&state.first.to_le_bytes());
                put_optional(out, state.purged.as_ref(), put_base);
                put_optional(out, state.last.as_ref(), put_base);
                put_optional(out, state.vote.as_ref(), put_bytes);
                put_optional(out, state.committed.as_ref(), put_bytes);
            }
        }
    }

    /// A body with more behind it than its kind has is none: what is behind could change, and with it the
    /// checksum.
    fn get(kind: u8, mut body: Bytes) -> Option<Self> {
        let found = Self::get_first(kind, &mut body)?;
        body.is_empty().then_some(found)
    }

    fn get_first(kind: u8, body: &mut Bytes) -> Option<Self> {
        Some(match kind {
            KIND_BATCH_HEAD => Self::BatchHead {
                bytes: body.try_get_u64_le().ok()?,
            },
            KIND_MARKER => Self::Marker,
            KIND_ENTRY => Self::Entry {
                at: get_base(body)?,
                payload: std::mem::take(body),
            },
            KIND_TRUNCATE => Self::Truncate {
                keep: get_optional(body, get_base)?,
            },
            KIND_PURGE => Self::Purge {
                upto: get_base(body)?,
            },
            // Copied: they are kept, and must not keep a whole segment in memory.
            KIND_VOTE => Self::Vote(Bytes::copy_from_slice(&std::mem::take(body))),
            KIND_COMMITTED => Self::Committed(Bytes::copy_from_slice(&std::mem::take(body))),
            KIND_STATE => Self::State(Restated {
                first: body.try_get_u64_le().ok()?,
                purged: get_optional(body, get_base)?,
                last: get_optional(body, get_base)?,
                vote: get_optional(body, get_bytes)?,
                committed: get_optional(body, get_bytes)?,
            }),
            _ => return None,
        })
    }
}

fn put_base(out: &mut Vec<u8>, base: &Base) {
    out.extend_from_slice(&base.id.index.to_le_bytes());
    out.extend_from_slice(&base.id.term.to_le_bytes());
    out.extend_from_slice(&base.id.leader_node.to_le_bytes());
    out.extend_from_slice(&base.chain.0);
}

/// Nothing could follow the last number: no log has an entry there.
fn get_base(body: &mut Bytes) -> Option<Base> {
    let index = body
        .try_get_u64_le()
        .ok()
        .filter(|index| *index < u64::MAX)?;
    let term = body.try_get_u64_le().ok()?;
    let leader_node = body.try_get_u64_le().ok()?;
    let mut chain = Chain::default();
    body.try_copy_to_slice(&mut chain.0).ok()?;
    Some(Base {
        id: EntryId {
            term,
            leader_node,
            index,
        },
        chain,
    })
}

fn put_bytes(out: &mut Vec<u8>, bytes: &Bytes) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn get_bytes(body: &mut Bytes) -> Option<Bytes> {
    let len = body.try_get_u32_le().ok()? as usize;
    (len <= body.len()).then(|| Bytes::copy_from_slice(&body.split_to(len)))
}

fn put_optional<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

/// The outer option is whether the bytes could be read.
fn get_optional<T>(
    body: &mut Bytes,
    get: impl FnOnce(&mut Bytes) -> Option<T>,
) -> Option<Option<T>> {
    match body.try_get_u8().ok()? {
        0 => Some(None),
        _ => get(body).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, batch: u64) -> Bytes {
        let id = EntryId {
            term: 1,
            leader_node: 1,
            index,
        };
        let chain = Chain::default();
        let mut out = Vec::new();
        Stamp { salt: 7, batch }.put_entry(&mut out, GroupId(1), &Base { id, chain }, b"payload");
        out.into()
    }

    #[test]
    fn a_frame_behind_which_nothing_can_follow_is_none() {
        assert!(parse(7, &entry(u64::MAX - 1, u64::MAX - 1), 0).is_ok());
        assert_eq!(parse(7, &entry(u64::MAX, 1), 0), Err(NoFrame::Invalid));
        assert_eq!(parse(7, &entry(1, u64::MAX), 0), Err(NoFrame::Invalid));
    }

    #[test]
    fn a_frame_with_more_than_its_kind_has_is_none() {
        let framed = |behind: &[u8]| {
            let mut out = vec![0; HEAD_BYTES];
            Body::BatchHead { bytes: 64 }.put(&mut out);
            out.extend_from_slice(behind);
            let stamp = Stamp { salt: 7, batch: 1 };
            stamp.seal(&mut out, 0, GroupId(0), KIND_BATCH_HEAD);
            Bytes::from(out)
        };
        assert!(parse(7, &framed(&[]), 0).is_ok());
        assert_eq!(parse(7, &framed(&[0]), 0), Err(NoFrame::Invalid));
    }
}
