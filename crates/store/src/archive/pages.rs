//! How the entries of a file lie in the index: pages of sorted entries, and a mark that says how far
//! they hold.
//! Promise: a page that is missing, damaged or another's is a fault, never an empty answer.
//! Not here: the ordered map that keeps them (`index`).
//!
//! A page is one value of the map, under `table 1 | file 8 | its first entry`:
//! `crc32c u32 | length of the bound u8 | bound | entries`, where the bound is the first entry of the
//! page that follows, so that a lost page shows. One entry a key instead costs sled 0.34 17 KB of memory
//! and 1,377 bytes of disk for each conversation, and takes 11,000 conversations a second; pages of 4,000
//! bytes take 186 bytes of disk and 700,000 conversations a second.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::{Buf, Bytes};

use super::block::{get_bytes, get_number, get_text, put_bytes, put_number};
use super::entries::{Entries, Table, hit};
use super::index::{Index, IndexFault};
use super::segment::FileId;
use super::types::Figures;

/// Bytes of the entries of a page.
const PAGE_BYTES: usize = 4_000;
/// The version of marks and pages; another one is built anew.
const FORMAT: u8 = 1;
/// The first byte of a mark's key, below every table's.
pub const MARKS: u8 = 0;
/// Bits of the filter for each customer: one in a hundred absent ones is looked up in vain.
const FILTER_BITS: usize = 10;
const FILTER_PROBES: u64 = 5;

/// What the index knows of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The file's length up to which the entries hold.
    pub bytes: u64,
    pub records: u32,
    /// Smallest and largest value.
    pub conversations: Span,
    pub sealed: Span,
    pub closed: Span,
    pub customers: Filter,
    pub figures: BTreeMap<String, Figures>,
}

/// Smallest and largest of some values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub min: u64,
    pub max: u64,
}

impl Default for Span {
    /// Of no values.
    fn default() -> Self {
        Self {
            min: u64::MAX,
            max: 0,
        }
    }
}

impl Span {
    pub fn meets(&self, range: &RangeInclusive<u64>) -> bool {
        self.min <= *range.end() && *range.start() <= self.max
    }

    fn of(entries: &Entries, table: Table, file: FileId) -> Self {
        let major = |entry| hit(table, file, entry).map(|hit| hit.major);
        let mut all = entries.of(table);
        let first = all.next().and_then(major);
        let last = all.next_back().and_then(major).or(first);
        match (first, last) {
            (Some(min), Some(max)) => Self { min, max },
            _ => Self::default(),
        }
    }
}

/// Says of a customer's hash that it is absent, or may be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    bits: Bytes,
}

impl Filter {
    fn of(entries: &Entries) -> Self {
        let hashes = || entries.of(Table::Customer).map(|entry| &entry[..8]);
        let mut bits = vec![0_u8; hashes().count() * FILTER_BITS / 8 + 8];
        for hash in hashes() {
            for bit in Self::probes(hash, bits.len()) {
                bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        Self { bits: bits.into() }
    }

    pub fn may_hold(&self, hash: &[u8]) -> bool {
        !self.bits.is_empty()
            && Self::probes(hash, self.bits.len())
                .all(|bit| self.bits[bit / 8] & 1 << (bit % 8) != 0)
    }

    fn probes(mut hash: &[u8], bytes: usize) -> impl Iterator<Item = usize> {
        let (first, step) = (u64::from(hash.get_u32()), u64::from(hash.get_u32()) | 1);
        let bits = bytes as u64 * 8;
        (0..FILTER_PROBES).map(move |probe| ((first + probe * step) % bits) as usize)
    }
}

impl Mark {
    /// The mark of a file of which `entries` cover `bytes`.
    pub fn of(file: FileId, entries: &Entries, bytes: u64) -> Self {
        Self {
            bytes,
            records: entries.records,
            conversations: Span::of(entries, Table::Id, file),
            sealed: Span::of(entries, Table::Order, file),
            closed: Span::of(entries, Table::Time, file),
            customers: Filter::of(entries),
            figures: entries.figures.clone(),
        }
    }

    /// Where the values lie that `table` orders by first.
    pub fn span(&self, table: Table) -> Span {
        match table {
            Table::Id => self.conversations,
            Table::Order => self.sealed,
            Table::Time | Table::Customer | Table::Agent => self.closed,
        }
    }

    /// The key of a file's mark.
    pub fn key(file: FileId) -> Vec<u8> {
        prefix(MARKS, file)
    }

    /// The mark as a value of the index.
    pub fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 4];
        out.push(FORMAT);
        put_number(&mut out, self.bytes);
        put_number(&mut out, u64::from(self.records));
        for span in [self.conversations, self.sealed, self.closed] {
            put_number(&mut out, span.min);
            put_number(&mut out, span.max);
        }
        put_bytes(&mut out, &self.customers.bits);
        put_number(&mut out, self.figures.len() as u64);
        for (queue, figures) in &self.figures {
            put_bytes(&mut out, queue.as_bytes());
            figures
                .parts()
                .into_iter()
                .for_each(|part| put_number(&mut out, part));
        }
        seal(key, &mut out);
        out
    }

    /// Reads a mark and whose it is.
    pub fn decode(key: &[u8], value: &[u8]) -> Option<(FileId, Self)> {
        let file = FileId::unpacked(u64::from_be_bytes(key.get(1..)?.try_into().ok()?));
        let mut from = Bytes::copy_from_slice(unseal(key, value)?);
        if from.try_get_u8().ok()? != FORMAT {
            return None;
        }
        let mut mark = Self {
            bytes: get_number(&mut from)?,
            records: u32::try_from(get_number(&mut from)?).ok()?,
            ..Self::default()
        };
        for span in [&mut mark.conversations, &mut mark.sealed, &mut mark.closed] {
            span.min = get_number(&mut from)?;
            span.max = get_number(&mut from)?;
        }
        // Copied: it is kept, and must not keep the whole value in memory.
        mark.customers.bits = Bytes::copy_from_slice(&get_bytes(&mut from)?);
        for _ in 0..get_number(&mut from)? {
            let queue = get_text(&mut from)?;
            let mut figures = Figures::default();
            for part in figures.parts_mut() {
                *part = get_number(&mut from)?;
            }
            mark.figures.insert(queue, figures);
        }
        Some((file, mark))
    }
}

/// What all keys of one table and file begin with.
pub fn prefix(table: u8, file: FileId) -> Vec<u8> {
    let mut prefix = vec![table];
    prefix.extend_from_slice(&file.packed().to_be_bytes());
    prefix
}

/// The pages of a file's entries, as keys and values.
pub fn pages(file: FileId, entries: &Entries) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for table in Table::ALL {
        let whole: Vec<&[u8]> = entries.of(table).collect();
        let first = vec![0; table.entry_bytes()];
        let mut starts: Vec<(&[u8], &[&[u8]])> = whole
            .chunks(PAGE_BYTES / table.entry_bytes())
            .map(|chunk| (chunk[0], chunk))
            .collect();
        // The first page begins before every entry, so that each key has its page.
        match starts.first_mut() {
            Some(start) => start.0 = &first,
            None => starts.push((&first, &[])),
        }
        for (number, (start, chunk)) in starts.iter().enumerate() {
            let bound = starts.get(number + 1).map_or(&[][..], |(start, _)| start);
            let key = [&prefix(table as u8, file), *start].concat();
            let mut value = vec![0; 4];
            value.push(bound.len() as u8);
            value.extend_from_slice(bound);
            chunk
                .iter()
                .for_each(|entry| value.extend_from_slice(entry));
            seal(&key, &mut value);
            all.push((key, value));
        }
    }
    all
}

/// Entries of one table in one file.
#[derive(Clone, Copy)]
pub struct Sheet<'a> {
    pub index: &'a dyn Index,
    pub file: FileId,
    pub table: Table,
}

struct Page {
    start: Vec<u8>,
    bound: Vec<u8>,
    entries: Vec<u8>,
}

impl Sheet<'_> {
    /// Calls `visit` with the entries whose keys lie in `keys`, in order, until it says false.
    pub fn up(
        self,
        keys: RangeInclusive<&[u8]>,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), IndexFault> {
        let (low, high) = self.range(keys);
        let mut at = low.clone();
        loop {
            let page = self.page(&at)?;
            for entry in page.entries.chunks_exact(low.len()) {
                if entry > &high[..] || (entry >= &low[..] && !visit(entry)) {
                    return Ok(());
                }
            }
            if page.bound.is_empty() || page.bound > high {
                return Ok(());
            }
            at = page.bound;
        }
    }

    /// The same from the last to the first.
    pub fn down(
        self,
        keys: RangeInclusive<&[u8]>,
        visit: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), IndexFault> {
        let (low, high) = self.range(keys);
        let mut at = high.clone();
        loop {
            let page = self.page(&at)?;
            for entry in page.entries.rchunks_exact(low.len()) {
                if entry < &low[..] || (entry <= &high[..] && !visit(entry)) {
                    return Ok(());
                }
            }
            match super::entries::key_before(&page.start) {
                Some(before) if page.start > low => at = before,
                _ => return Ok(()),
            }
        }
    }

    fn range(self, keys: RangeInclusive<&[u8]>) -> (Vec<u8>, Vec<u8>) {
        let bytes = self.table.entry_bytes();
        let (mut low, mut high) = (keys.start().to_vec(), keys.end().to_vec());
        low.resize(bytes, 0);
        high.resize(bytes, u8::MAX);
        (low, high)
    }

    /// The page in which `entry` would stand.
    fn page(self, entry: &[u8]) -> Result<Page, IndexFault> {
        let prefix = prefix(self.table as u8, self.file);
        let high = [&prefix, entry].concat();
        let found = self.index.last_within(&prefix, &high)?;
        let (key, value) = found.ok_or_else(|| self.fault("a page is missing"))?;
        let body = unseal(&key, &value).ok_or_else(|| self.fault("a page is damaged"))?;
        let (bound, entries) = body
            .split_first()
            .and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)))
            .ok_or_else(|| self.fault("a page is damaged"))?;
        if !bound.is_empty() && entry >= bound {
            return Err(self.fault("a page is missing"));
        }
        Ok(Page {
            start: key[prefix.len()..].to_vec(),
            bound: bound.to_vec(),
            entries: entries.to_vec(),
        })
    }

    fn fault(self, what: &str) -> IndexFault {
        IndexFault::Page {
            file: self.file.packed(),
            what: format!("{what} in table {:?}", self.table),
        }
    }
}

/// Fills in the checksum over key and value, for which four bytes stand at the front.
fn seal(key: &[u8], value: &mut [u8]) {
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), &value[4..]);
    value[..4].copy_from_slice(&crc.to_le_bytes());
}

fn unseal<'v>(key: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let (mut crc, body) = value.split_at_checked(4)?;
    (crc.get_u32_le() == crc32c::crc32c_append(crc32c::crc32c(key), body)).then_some(body)
}
