//! Random histories with crashes, against a model.
//! Claim: what was acknowledged is there until it is discarded or pruned, whatever happened; what is
//! there was submitted, and has been neither.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use runtime::Random;
use runtime::memory::{MemoryDisk, Unsynced};

use super::archive_test::*;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append {
        cell: u32,
        day: u64,
        records: u64,
        bytes: usize,
    },
    Again {
        share: u64,
    },
    Discard {
        cell: u32,
        share: u64,
        length: u64,
    },
    Prune {
        cell: u32,
        share: u64,
    },
    Scrub,
    Close,
    PowerLoss {
        after: u64,
        unsynced: u8,
        seed: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cell = 1..3_u32;
    let step = prop_oneof![
        10 => (cell.clone(), 0..6_u64, 1..20_u64, 0..600_usize)
            .prop_map(|(cell, day, records, bytes)| Step::Append { cell, day, records, bytes }),
        2 => (0..101_u64).prop_map(|share| Step::Again { share }),
        1 => (cell.clone(), 0..101_u64, 0..9_u64)
            .prop_map(|(cell, share, length)| Step::Discard { cell, share, length }),
        1 => (cell, 0..101_u64).prop_map(|(cell, share)| Step::Prune { cell, share }),
        1 => Just(Step::Scrub),
        1 => Just(Step::Close),
        2 => (0..40_u64, 0..3_u8, any::<u64>())
            .prop_map(|(after, unsynced, seed)| Step::PowerLoss { after, unsynced, seed }),
    ];
    proptest::collection::vec(step, 1..40)
}

const OPTIONS: ArchiveOptions = SMALL;

type Records = BTreeMap<(u32, u64), Record>;

struct World {
    disk: MemoryDisk,
    archive: Archive,
    acknowledged: Records,
    /// Submitted when the power went.
    perhaps: Records,
    next: u64,
}

impl World {
    async fn new() -> Self {
        let disk = MemoryDisk::default();
        let archive = open_report(&disk, OPTIONS).await.0;
        Self {
            disk,
            archive,
            acknowledged: Records::new(),
            perhaps: Records::new(),
            next: 1,
        }
    }

    fn batch(&mut self, cell: u32, day: u64, records: u64, bytes: usize) -> Vec<Record> {
        let from = self.next;
        self.next += records;
        (from..self.next)
            .map(|n| Record {
                cell,
                // Some entries seal several.
                sealed: n / 3 * 3,
                closed_wall_ms: START_MS + day * DAY_MS + n % 50,
                blob: Bytes::from(vec![n as u8; bytes + n as usize % 40]),
                ..record(n)
            })
            .collect()
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Append {
                cell,
                day,
                records,
                bytes,
            } => {
                let batch = self.batch(cell, day, records, bytes);
                self.archive.append(batch.clone()).await.unwrap();
                self.acknowledged.extend(keyed(batch));
            }
            Step::Again { share } => {
                let nth = self.acknowledged.len() as u64 * share / 101;
                let again: Vec<Record> = self
                    .acknowledged
                    .values()
                    .skip(nth as usize)
                    .take(9)
                    .cloned()
                    .collect();
                self.archive.append(again).await.unwrap();
            }
            Step::Discard {
                cell,
                share,
                length,
            } => self.discard(cell, share, length).await,
            Step::Prune { cell, share } => self.prune(cell, share).await,
            Step::Scrub => {
                let step = self.archive.scrub_step(1 << 20).await.unwrap();
                assert_eq!(step.damages, 0);
            }
            Step::Close => {
                self.archive.close().await;
                self.reopen().await;
            }
            Step::PowerLoss {
                after,
                unsynced,
                seed,
            } => self.power_loss(after, unsynced, seed).await,
        }
    }

    /// What is kept no longer goes with its file, as soon as all of that may go.
    async fn prune(&mut self, cell: u32, share: u64) {
        let after = self.next * share / 101;
        let keep = Keep {
            cell,
            after,
            spared_after: after,
            ends: Vec::new(),
        };
        self.archive.prune(vec![keep]).await.unwrap();
        let old = self.acknowledged.iter();
        let old = old.filter(|(_, record)| record.cell == cell && record.sealed <= after);
        let old: Vec<(u32, u64)> = old.map(|(key, _)| *key).collect();
        for key in old {
            if self.archive.get(key.0, key.1).await.unwrap().is_none() {
                self.acknowledged.remove(&key);
            }
        }
    }

    async fn discard(&mut self, cell: u32, share: u64, length: u64) {
        let from = Sealing {
            sealed: self.next * share / 101,
            conversation: 0,
        };
        let to = Sealing::last_of(from.sealed + length);
        self.archive.discard(cell, from, to).await.unwrap();
        self.acknowledged
            .retain(|_, record| record.cell != cell || !(from..=to).contains(&record.sealing()));
    }

    async fn power_loss(&mut self, after: u64, unsynced: u8, seed: u64) {
        self.disk
            .faults(|faults| faults.power_lost_after = Some(after));
        for round in 0..after / 4 + 1 {
            let batch = self.batch(1 + round as u32 % 2, round % 3, 1 + seed % 7, 300);
            match self.archive.append(batch.clone()).await {
                Ok(()) => self.acknowledged.extend(keyed(batch)),
                Err(_) => self.perhaps.extend(keyed(batch)),
            }
        }
        let unsynced = match unsynced {
            0 => Unsynced::Lost,
            1 => Unsynced::Kept,
            _ => Unsynced::Torn(Random::from_seed(seed)),
        };
        self.disk = self.disk.crash(&unsynced);
        self.reopen().await;
    }

    async fn reopen(&mut self) {
        let (archive, report) = open_report(&self.disk, OPTIONS).await;
        self.archive = archive;
        let torn = |notice: &ArchiveNotice| matches!(notice, ArchiveNotice::TornTailCut { .. });
        assert!(report.notices.iter().all(torn), "{report:?}");
        // What came through without having been acknowledged stays from now on.
        for (key, record) in std::mem::take(&mut self.perhaps) {
            if self.archive.get(key.0, key.1).await.unwrap().is_some() {
                self.acknowledged.insert(key, record);
            }
        }
    }

    async fn check(&self) {
        for cell in 1..3 {
            let mut wanted: Vec<Record> = self
                .acknowledged
                .values()
                .filter(|record| record.cell == cell)
                .cloned()
                .collect();
            wanted.sort_by_key(Record::sealing);
            let mut found = Vec::new();
            let mut after = Sealing::default();
            loop {
                let page = self.archive.in_order(cell, after, u64::MAX).await.unwrap();
                found.extend(page.records);
                let Some(next) = page.next else { break };
                after = next;
            }
            assert_eq!(found, wanted);
            let chained = self
                .archive
                .chain(cell, 0, u64::MAX, [0; 16])
                .await
                .unwrap();
            let unsealed = wanted.iter().filter(|record| record.sealed == 0).count();
            assert_eq!(chained, folded(&wanted[unsealed..]));
        }
        let customers: BTreeSet<&Bytes> = self
            .acknowledged
            .values()
            .map(|record| &record.customer)
            .collect();
        for customer in customers {
            let page = Page {
                after: None,
                records_max: 5,
            };
            let found = self
                .archive
                .by_customer(customer, Within::default(), page)
                .await
                .unwrap();
            let mut wanted: Vec<&Record> = self
                .acknowledged
                .values()
                .filter(|record| record.customer == customer)
                .collect();
            wanted.sort_by_key(|r| std::cmp::Reverse((r.closed_wall_ms, r.conversation, r.cell)));
            assert!(found.records.iter().eq(wanted.into_iter().take(5)));
        }
        let figures = self.archive.figures(0..=u32::MAX).await.unwrap();
        let closed: u64 = figures.values().map(|figures| figures.closed).sum();
        assert_eq!(closed, self.acknowledged.len() as u64);
    }
}

fn keyed(batch: Vec<Record>) -> impl Iterator<Item = ((u32, u64), Record)> {
    batch
        .into_iter()
        .map(|record| ((record.cell, record.conversation), record))
}

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_is_there_until_it_is_discarded_or_pruned(steps in steps()) {
        run(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
                world.check().await;
            }
            world.power_loss(0, 0, 0).await;
            world.check().await;
        });
    }
}
