//! Claims about reading a log as it stands.

use std::sync::Arc;

use runtime::memory::{MemoryDisk, Unsynced};

use super::wal_test::*;
use super::*;

/// The entries that are found, with whether a cut or purge was; and whether the reading ended well.
async fn scanned(disk: &MemoryDisk) -> Result<(Vec<u64>, usize), OpenError> {
    let dir = segment(1).parent().unwrap().to_owned();
    let disk: Arc<dyn runtime::Disk> = Arc::new(disk.crash(&Unsynced::Kept));
    let mut scan = LogScan::open(disk, &dir).await?;
    let (mut entries, mut others) = (Vec::new(), 0);
    while scan
        .next_segment(&mut |_, found, _| match found {
            Found::Entry { record, .. } => entries.push(record.index),
            Found::Truncated { .. } | Found::Purged { .. } => others += 1,
            Found::Committed(_) | Found::Restated { .. } => {}
        })
        .await?
    {}
    Ok((entries, others))
}

#[tokio::test]
async fn everything_that_was_written_is_found_in_order_and_nothing_is_changed() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "a"), entry(2, "b")])
        .await
        .unwrap();
    log.truncate_after(Some(1)).await.unwrap();
    store(&log, vec![entry(2, "c"), entry(3, "d")])
        .await
        .unwrap();
    let before = disk.content(&segment(1));
    assert_eq!(scanned(&disk).await.unwrap(), (vec![1, 2, 2, 3], 1));
    assert_eq!(disk.content(&segment(1)), before);
}

#[tokio::test]
async fn damage_of_what_was_synced_is_an_error_with_its_place() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "first")]).await.unwrap();
    store(&log, vec![entry(2, "second")]).await.unwrap();
    settle().await;
    let content = disk.content(&segment(1)).unwrap();
    let at = content.windows(5).position(|window| window == b"first");
    disk.damage(&segment(1), at.unwrap() as u64, &[1]);
    let error = scanned(&disk).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}
