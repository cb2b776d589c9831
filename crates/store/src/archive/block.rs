//! Blocks: some records compressed as one, the body of a frame in a segment.
//! Promise: a record read back has the hash of the blob that was given, or is no record; a block never
//! unpacks to more than [`BLOCK_BYTES_MAX`].
//! Not here: frames and files (`segment`).
//!
//! A block is `length unpacked u32 | packing u8 | records u8 | 2 zeros | bytes`. Unpacked, it holds
//! records one after another: numbers as LEB128, strings and bytes behind their length.

use bytes::{Buf, BufMut, Bytes};

use super::types::{
    AGENTS_MAX, BLOB_BYTES_MAX, CUSTOMER_BYTES_MAX, Facts, Hash16, NAME_BYTES_MAX, Record, hash16,
};

/// Records of one block. More compress better and make a lookup unpack more: with ten messages of
/// 100 bytes each record takes 1,482 bytes alone, 1,156 in a block of 8, 1,102 in one of 16, 1,070 in
/// one of 32.
pub const BLOCK_RECORDS_MAX: usize = 16;
/// Unpacked bytes after which a block takes no further record.
const BLOCK_BYTES_ENOUGH: usize = 64 << 10;
/// A record without its blob: all names at their bounds, and 128 bytes of numbers and lengths.
const RECORD_BYTES_BESIDE_BLOB: usize =
    CUSTOMER_BYTES_MAX + (AGENTS_MAX + 1) * (NAME_BYTES_MAX + 2) + 128;
/// A block that was nearly full before its largest record.
pub const BLOCK_BYTES_MAX: usize = BLOCK_BYTES_ENOUGH + BLOB_BYTES_MAX + RECORD_BYTES_BESIDE_BLOB;
const HEAD_BYTES: usize = 8;
const PACKING_NONE: u8 = 0;
const PACKING_LZ4: u8 = 1;

const ANSWERED: u8 = 1;
const ABANDONED: u8 = 2;
const RATED: u8 = 4;

/// A record as a block has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub record: Record,
    pub blob_hash: Hash16,
}

/// How many of `records` go into the next block.
pub fn fill(records: &[Record]) -> usize {
    let mut bytes = 0;
    let fitting = records.iter().take(BLOCK_RECORDS_MAX).take_while(|record| {
        let fits = bytes < BLOCK_BYTES_ENOUGH;
        bytes += record.blob.len();
        fits
    });
    fitting.count()
}

/// Adds the block of `records`, as many as [`fill`] says, to `out`.
pub fn put(out: &mut Vec<u8>, records: &[Record]) {
    let mut unpacked = Vec::new();
    records
        .iter()
        .for_each(|record| put_record(&mut unpacked, record));
    let packed = lz4_flex::block::compress(&unpacked);
    let (packing, bytes) = match packed.len() < unpacked.len() {
        true => (PACKING_LZ4, &packed),
        false => (PACKING_NONE, &unpacked),
    };
    out.put_u32_le(unpacked.len() as u32);
    out.put_slice(&[packing, records.len() as u8, 0, 0]);
    out.put_slice(bytes);
}

/// The records of a block of `cell`; `None` if it is none, or a hash does not fit.
pub fn get(cell: u32, mut block: Bytes) -> Option<Vec<Kept>> {
    if block.len() < HEAD_BYTES {
        return None;
    }
    let (unpacked_len, packing) = (block.get_u32_le() as usize, block.get_u8());
    let count = usize::from(block.get_u8());
    block.advance(2);
    if unpacked_len > BLOCK_BYTES_MAX {
        return None;
    }
    let mut unpacked: Bytes = match packing {
        PACKING_NONE => block,
        PACKING_LZ4 => lz4_flex::block::decompress(&block, unpacked_len)
            .ok()?
            .into(),
        _ => return None,
    };
    let whole = unpacked.len() == unpacked_len;
    let records: Option<Vec<Kept>> = (0..count)
        .map(|_| get_record(cell, &mut unpacked))
        .collect();
    records.filter(|_| whole && unpacked.is_empty())
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    let Facts {
        answered,
        abandoned,
        wait_ms,
        handle_ms,
        rating,
    } = record.facts;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(flag(answered, ANSWERED) | flag(abandoned, ABANDONED) | flag(rating.is_some(), RATED));
    put_number(out, record.sealed);
    put_number(out, record.conversation);
    put_number(out, record.opened_wall_ms);
    put_number(out, record.closed_wall_ms);
    put_number(out, wait_ms);
    put_number(out, handle_ms);
    put_number(out, u64::from(rating.unwrap_or(0)));
    put_bytes(out, &record.customer);
    put_bytes(out, record.queue.as_bytes());
    put_number(out, record.agents.len() as u64);
    for agent in &record.agents {
        put_bytes(out, agent.as_bytes());
    }
    out.put_slice(&record.blob_hash());
    put_bytes(out, &record.blob);
}

fn get_record(cell: u32, from: &mut Bytes) -> Option<Kept> {
    let flags = from.try_get_u8().ok()?;
    let sealed = get_number(from)?;
    let conversation = get_number(from)?;
    let opened_wall_ms = get_number(from)?;
    let closed_wall_ms = get_number(from)?;
    let wait_ms = get_number(from)?;
    let handle_ms = get_number(from)?;
    let rating = u32::try_from(get_number(from)?).ok()?;
    let customer = get_bytes(from)?;
    let queue = get_text(from)?;
    let agents = get_number(from)?;
    if agents > AGENTS_MAX as u64 {
        return None;
    }
    let agents = (0..agents).map(|_| get_text(from)).collect::<Option<_>>()?;
    let mut blob_hash = Hash16::default();
    from.try_copy_to_slice(&mut blob_hash).ok()?;
    let blob = get_bytes(from)?;
    let facts = Facts {
        answered: flags & ANSWERED != 0,
        abandoned: flags & ABANDONED != 0,
        wait_ms,
        handle_ms,
        rating: (flags & RATED != 0).then_some(rating),
    };
    let record = Record {
        cell,
        sealed,
        conversation,
        customer,
        agents,
        queue,
        opened_wall_ms,
        closed_wall_ms,
        facts,
        blob,
    };
    (hash16(&[&record.blob]) == blob_hash).then_some(Kept { record, blob_hash })
}

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn get_number(from: &mut Bytes) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        let part = u64::from(byte & 0x7f);
        number |= part
            .checked_shl(shift)
            .filter(|shifted| shifted >> shift == part)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.put_slice(bytes);
}

pub(super) fn get_bytes(from: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(get_number(from)?).ok()?;
    (len <= from.len()).then(|| from.split_to(len))
}

pub(super) fn get_text(from: &mut Bytes) -> Option<String> {
    String::from_utf8(get_bytes(from)?.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(conversation: u64, blob: Vec<u8>) -> Record {
        Record {
            cell: 7,
            sealed: u64::MAX,
            conversation,
            customer: Bytes::from_static(b"web/ana"),
            agents: vec!["jo".into(), "li".into()],
            queue: "help".into(),
            opened_wall_ms: 1,
            closed_wall_ms: 1 << 40,
            facts: Facts {
                answered: true,
                abandoned: false,
                wait_ms: 300,
                handle_ms: 0,
                rating: Some(5),
            },
            blob: blob.into(),
        }
    }

    #[test]
    fn what_is_put_is_what_is_read_packed_or_not() {
        let noise: Vec<u8> = (0..500_u32)
            .flat_map(|n| hash16(&[&n.to_le_bytes()]))
            .collect();
        for blob in [Vec::new(), vec![b'x'; 5_000], noise] {
            let records = [record(1, blob.clone()), record(2, blob)];
            let mut block = Vec::new();
            put(&mut block, &records);
            let read = get(7, block.into()).unwrap();
            let read: Vec<Record> = read.into_iter().map(|kept| kept.record).collect();
            assert_eq!(read, records);
        }
    }

    #[test]
    fn a_block_ends_with_its_count_or_its_bytes() {
        let small: Vec<Record> = (0..40).map(|n| record(n, vec![1; 10])).collect();
        assert_eq!(fill(&small), BLOCK_RECORDS_MAX);
        let large: Vec<Record> = (0..40).map(|n| record(n, vec![1; 40 << 10])).collect();
        assert_eq!(fill(&large), 2);
        assert_eq!(fill(&[record(1, vec![0; BLOB_BYTES_MAX])]), 1);
    }

    #[test]
    fn bytes_that_are_no_block_give_no_record() {
        let mut block = Vec::new();
        put(&mut block, &[record(1, vec![b'x'; 300])]);
        for len in 0..block.len() {
            assert_eq!(
                get(7, Bytes::copy_from_slice(&block[..len])),
                None,
                "{len} bytes"
            );
        }
        // A length that asks for more memory than any block takes.
        block[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(get(7, block.into()), None);
    }
}
