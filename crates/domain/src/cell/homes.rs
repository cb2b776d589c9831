//! The buckets whose customers' conversations are born in this cell.
//! Promise: a cell that knows its buckets opens nothing for a customer of another one.
//! Not here: which cell has which bucket (`control::buckets`), finding the cell (`node`).

use std::collections::BTreeMap;
use std::fmt;

use crate::control::buckets::{BUCKETS, Bucket};
use crate::ids::SiteId;

/// Bytes of a set of buckets.
pub const SET_BYTES: usize = BUCKETS as usize / 8;

/// A set of buckets of one region: a bit each, the lowest first.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketSet([u8; SET_BYTES]);

impl BucketSet {
    /// The set with these bits.
    pub fn from_bytes(bytes: [u8; SET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bits.
    pub fn as_bytes(&self) -> &[u8; SET_BYTES] {
        &self.0
    }

    /// Adds a bucket.
    pub fn add(&mut self, bucket: Bucket) {
        let (byte, bit) = place(bucket);
        self.0[byte] |= bit;
    }

    /// Whether a bucket is in it.
    pub fn holds(&self, bucket: Bucket) -> bool {
        let (byte, bit) = place(bucket);
        self.0[byte] & bit != 0
    }

    fn add_all(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0) {
            *ours |= theirs;
        }
    }

    fn includes(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(ours, theirs)| ours & theirs == theirs)
    }
}

/// The byte and the bit of a bucket; its number is below `BUCKETS`.
fn place(bucket: Bucket) -> (usize, u8) {
    let number = bucket.number();
    (usize::from(number / 8), 1 << (number % 8))
}

impl Default for BucketSet {
    fn default() -> Self {
        Self([0; SET_BYTES])
    }
}

impl fmt::Debug for BucketSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: u32 = self.0.iter().map(|byte| byte.count_ones()).sum();
        write!(f, "BucketSet({count} buckets)")
    }
}

/// The buckets that a cell holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldBuckets {
    /// Per region those that it holds.
    pub regions: BTreeMap<SiteId, BucketSet>,
    /// Whether it holds every bucket of the regions that are not named here.
    pub others: bool,
}

impl HeldBuckets {
    /// Whether a customer's conversations are born here.
    pub fn holds(&self, region: &SiteId, bucket: Bucket) -> bool {
        self.regions
            .get(region)
            .map_or(self.others, |set| set.holds(bucket))
    }

    /// Whether it holds all that `more` names.
    pub fn includes(&self, more: &Self) -> bool {
        let named = more.regions.iter().all(|(region, set)| {
            let ours = self.regions.get(region);
            ours.is_some_and(|ours| ours.includes(set))
        });
        named && (self.others || !more.others)
    }

    /// Adds what `more` names.
    pub(crate) fn add(&mut self, more: &Self) {
        for (region, set) in &more.regions {
            self.regions.entry(region.clone()).or_default().add_all(set);
        }
        self.others |= more.others;
    }
}
