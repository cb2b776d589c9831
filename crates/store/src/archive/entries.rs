//! Entries: what the index says of the records of one file, in five orders.
//! Promise: an entry is a few fixed-size big-endian numbers, so that the order of its bytes is the order
//! of its values; the entries of a file follow from its records alone.
//! Not here: how they lie in the index (`pages`), merging files (`lookup`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::block::Kept;
use super::segment::FileId;
use super::types::{Figures, hash16};

/// The orders in which records are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// conversation 8
    Id = 1,
    /// sealed 8, conversation 8
    Order = 2,
    /// closed 6, conversation 8
    Time = 3,
    /// hash of the customer 8, closed 6, conversation 8
    Customer = 4,
    /// hash of the agent 8, closed 6, conversation 8
    Agent = 5,
}

impl Table {
    pub const ALL: [Self; 5] = [
        Self::Id,
        Self::Order,
        Self::Time,
        Self::Customer,
        Self::Agent,
    ];

    /// Bytes of a key.
    pub fn key_bytes(self) -> usize {
        match self {
            Self::Id => 8,
            Self::Order => 16,
            Self::Time => 14,
            Self::Customer | Self::Agent => 22,
        }
    }

    /// Bytes of an entry: its key and its place.
    pub fn entry_bytes(self) -> usize {
        self.key_bytes() + PLACE_BYTES
    }

    fn slot(self) -> usize {
        self as usize - 1
    }
}

/// Where a record stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Of the frame of its block.
    pub offset: u32,
    /// Its number in the block.
    pub number: u8,
}

const PLACE_BYTES: usize = 5;
const ENTRY_BYTES_MAX: usize = 22 + PLACE_BYTES;
/// Milliseconds of 6 bytes: some 8,900 years.
const MS_MAX: u64 = (1 << 48) - 1;

/// The bytes of an entry, zeros behind them.
pub type Slot = [u8; ENTRY_BYTES_MAX];

/// A record that a lookup has come upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// What the table orders by first: conversation, sealed, or closed.
    pub major: u64,
    pub conversation: u64,
    pub file: FileId,
    pub place: Place,
}

impl Hit {
    /// Records of all cells in one order.
    pub fn rank(&self) -> (u64, u64, u32) {
        (self.major, self.conversation, self.file.cell)
    }
}

/// The hash by which a customer or an agent is looked up.
pub fn name_hash(name: &[u8]) -> [u8; 8] {
    let hash = hash16(&[name]);
    let mut cut = [0; 8];
    cut.copy_from_slice(&hash[..8]);
    cut
}

/// A key of `table` out of its parts.
pub fn key(table: Table, hash: Option<[u8; 8]>, major: u64, conversation: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(ENTRY_BYTES_MAX);
    if let (Table::Customer | Table::Agent, Some(hash)) = (table, hash) {
        key.extend_from_slice(&hash);
    }
    match table {
        Table::Id => {}
        Table::Order => key.extend_from_slice(&major.to_be_bytes()),
        Table::Time | Table::Customer | Table::Agent => {
            key.extend_from_slice(&major.min(MS_MAX).to_be_bytes()[2..]);
        }
    }
    key.extend_from_slice(&conversation.to_be_bytes());
    key
}

/// What an entry of `table` in `file` says; `None` if it has another length.
pub fn hit(table: Table, file: FileId, entry: &[u8]) -> Option<Hit> {
    let entry = entry.get(..table.entry_bytes())?;
    let (key, place) = entry.split_at(table.key_bytes());
    let (rest, conversation) = key.split_at(key.len() - 8);
    let conversation = u64::from_be_bytes(conversation.try_into().ok()?);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let major = match table {
        Table::Id => conversation,
        Table::Order | Table::Time => number(rest),
        Table::Customer | Table::Agent => number(&rest[8..]),
    };
    let place = Place {
        offset: u32::from_be_bytes(place[..4].try_into().ok()?),
        number: place[4],
    };
    Some(Hit {
        major,
        conversation,
        file,
        place,
    })
}

/// The key before `key` among keys of its length; `None` before the first.
pub fn key_before(key: &[u8]) -> Option<Vec<u8>> {
    let mut previous = key.to_vec();
    for byte in previous.iter_mut().rev() {
        *byte = byte.wrapping_sub(1);
        if *byte != u8::MAX {
            return Some(previous);
        }
    }
    None
}

/// All entries of one file in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    sets: [BTreeSet<Slot>; 5],
    pub figures: BTreeMap<String, Figures>,
    pub records: u32,
}

impl Entries {
    /// Takes a record in.
    pub fn insert(&mut self, kept: &Kept, place: Place) {
        for (table, slot) in slots(kept, place) {
            self.sets[table.slot()].insert(slot);
        }
        let figures = self.figures.entry(kept.record.queue.clone()).or_default();
        figures.add(&kept.record.facts);
        self.records += 1;
    }

    /// The last entry that sealed a record.
    pub fn newest(&self, file: FileId) -> Option<u64> {
        let last = self.of(Table::Order).next_back()?;
        hit(Table::Order, file, last).map(|hit| hit.major)
    }

    /// The entries of `table`, in order.
    pub fn of(&self, table: Table) -> impl DoubleEndedIterator<Item = &[u8]> + '_ {
        let bytes = table.entry_bytes();
        self.sets[table.slot()]
            .iter()
            .map(move |slot| &slot[..bytes])
    }

    /// The entries of `table` whose keys lie in `keys`, in order.
    pub fn within(
        &self,
        table: Table,
        keys: RangeInclusive<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = &[u8]> + '_ {
        let bytes = table.entry_bytes();
        let (mut low, mut high) = ([0; ENTRY_BYTES_MAX], [0xff; ENTRY_BYTES_MAX]);
        low[..keys.start().len()].copy_from_slice(keys.start());
        high[..keys.end().len()].copy_from_slice(keys.end());
        // An empty range of a tree must not be asked for backwards.
        let range = (low <= high).then(|| self.sets[table.slot()].range(low..=high));
        range.into_iter().flatten().map(move |slot| &slot[..bytes])
    }
}

fn slots(kept: &Kept, place: Place) -> Vec<(Table, Slot)> {
    let record = &kept.record;
    let slot = |table, hash, major| {
        let mut slot = [0; ENTRY_BYTES_MAX];
        let key = key(table, hash, major, record.conversation);
        slot[..key.len()].copy_from_slice(&key);
        slot[key.len()..key.len() + 4].copy_from_slice(&place.offset.to_be_bytes());
        slot[key.len() + 4] = place.number;
        (table, slot)
    };
    let closed = record.closed_wall_ms;
    let mut slots = vec![
        slot(Table::Id, None, record.conversation),
        slot(Table::Order, None, record.sealed),
        slot(Table::Time, None, closed),
        slot(Table::Customer, Some(name_hash(&record.customer)), closed),
    ];
    for agent in &record.agents {
        slots.push(slot(
            Table::Agent,
            Some(name_hash(agent.as_bytes())),
            closed,
        ));
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_of_its_length_before_it() {
        assert_eq!(key_before(&[2, 0]), Some(vec![1, 0xff]));
        assert_eq!(key_before(&[0, 0]), None);
    }

    #[test]
    fn a_key_orders_as_its_numbers_do() {
        for table in Table::ALL {
            let hash = Some([7; 8]);
            assert_eq!(key(table, hash, 1, 1).len(), table.key_bytes());
            assert!(key(table, hash, 1, 1) < key(table, hash, 2, 256));
            assert!(key(table, hash, 2, 255) < key(table, hash, 2, 256));
        }
    }
}
