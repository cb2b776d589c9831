//! openraft's own suite over our log and replica.
//! Promise: what openraft asks of a storage holds on a memory disk.
//! Not here: several nodes (`cluster_test`).

use std::path::Path;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use store::{SnapshotStore, Wal, WalOptions};

use crate::log::Log;
use crate::replica::{Replica, Shared, SnapshotPlace};
use crate::testing::{GROUP, Ledger};
use crate::types::Types;

struct OnMemoryDisk;

impl StoreBuilder<Types<u64>, Log<u64>, Replica<Ledger>, Wal> for OnMemoryDisk {
    async fn build(&self) -> Result<(Wal, Log<u64>, Replica<Ledger>), StorageError<Types<u64>>> {
        let env = runtime::memory::env(1);
        let (wal, _) = Wal::open(&env, Path::new("/log"), WalOptions::small())
            .await
            .unwrap();
        let snapshots = SnapshotStore::open(&env, Path::new("/snapshots"))
            .await
            .unwrap();
        let shared = Shared::new();
        let place = SnapshotPlace {
            group: GROUP,
            name: "ledger".into(),
            at: env.raft.place().clone(),
            store: snapshots,
            log: wal.group(GROUP),
            compute: env.compute.clone(),
        };
        let log = Log::new(wal.group(GROUP), shared.clone());
        let replica = Replica::new(Ledger::default(), place, shared);
        Ok((wal, log, replica))
    }
}

#[tokio::test]
async fn log_and_replica_pass_the_storage_suite_of_openraft() {
    Suite::test_all(OnMemoryDisk).await.unwrap();
}
