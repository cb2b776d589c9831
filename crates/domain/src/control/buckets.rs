//! Buckets: in which cell a customer's conversations are born.
//! Promise: every edge of every site finds the same cell for the same customer.
//! Not here: moving a bucket between cells, which waits until there are two cells.

use std::collections::BTreeMap;

use super::requests::Fingerprint;
use crate::cell::homes::{BucketSet, HeldBuckets};
use crate::ids::{AccountId, CellId, CustomerKey, SiteId, TenantId};

/// Buckets of one region. Fixed for ever: another number would move every customer.
pub const BUCKETS: u16 = 1_024;

/// One bucket of a region, below `BUCKETS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket of a customer on a channel account.
    pub fn of(tenant: &TenantId, account: &AccountId, customer: &CustomerKey) -> Self {
        let hash = Fingerprint::default()
            .text(tenant.as_str())
            .text(account.as_str())
            .text(customer.as_str());
        let bucket = hash.finish() % u64::from(BUCKETS);
        Self(u16::try_from(bucket).unwrap_or(0))
    }

    /// The bucket with this number, if there is one.
    pub fn numbered(number: u16) -> Option<Self> {
        (number < BUCKETS).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Which cell holds which bucket of which region.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketMap {
    /// The cell of every bucket that no region below names: the first cell that was created.
    pub first: Option<CellId>,
    /// Per region its `BUCKETS` cells, in order of the bucket's number.
    pub regions: BTreeMap<SiteId, Vec<CellId>>,
}

impl BucketMap {
    /// The cell of a bucket, or `None` before the first cell exists.
    pub fn cell_of(&self, region: &SiteId, bucket: Bucket) -> Option<CellId> {
        let named = self
            .regions
            .get(region)
            .and_then(|cells| cells.get(usize::from(bucket.0)));
        named.copied().or(self.first)
    }

    /// What a cell holds: its buckets of every region, and whether it is the one that holds the rest.
    pub fn held_by(&self, cell: CellId) -> HeldBuckets {
        let mut held = HeldBuckets {
            regions: BTreeMap::new(),
            others: self.first == Some(cell),
        };
        for (region, cells) in &self.regions {
            let mut set = BucketSet::default();
            let own = (0..BUCKETS)
                .zip(cells)
                .filter(|(_, holder)| **holder == cell);
            own.for_each(|(number, _)| set.add(Bucket(number)));
            held.regions.insert(region.clone(), set);
        }
        held
    }

    /// Gives every bucket of a region to the first cell, if that exists and the region is new.
    pub(super) fn add_region(&mut self, region: &SiteId) {
        if let Some(first) = self.first
            && !self.regions.contains_key(region)
        {
            self.regions
                .insert(region.clone(), vec![first; usize::from(BUCKETS)]);
        }
    }

    /// Makes `cell` the first one, with every bucket of `regions`.
    pub(super) fn begin<'a>(&mut self, cell: CellId, regions: impl Iterator<Item = &'a SiteId>) {
        self.first = Some(cell);
        for region in regions {
            self.add_region(region);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_has_the_same_bucket_for_ever() {
        let bucket = |account, customer| {
            let tenant = TenantId::new("default").expect("well formed");
            let account = AccountId::new(account).expect("well formed");
            Bucket::of(
                &tenant,
                &account,
                &CustomerKey::new(customer).expect("well formed"),
            )
            .number()
        };
        // Golden: a change of these numbers would part customers from their conversations.
        assert_eq!(
            [
                bucket("web-cn", "ming"),
                bucket("web-cn", "li"),
                bucket("web-us", "ming")
            ],
            [208, 80, 189]
        );
    }
}
