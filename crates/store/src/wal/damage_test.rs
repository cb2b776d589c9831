//! Tests of what the log does with damage: cut, refused with its place, never served.

use bytes::Bytes;
use runtime::memory::{self, MemoryDisk, Unsynced};

use super::wal_test::*;
use super::*;

/// Where the bytes of `payload` stand in a segment.
fn find(disk: &MemoryDisk, number: u32, payload: &str) -> u64 {
    let content = disk.content(&segment(number)).unwrap();
    content
        .windows(payload.len())
        .position(|window| window == payload.as_bytes())
        .unwrap() as u64
}

#[tokio::test]
async fn damage_in_a_batch_with_a_marker_is_refused_with_its_place() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "first")]).await.unwrap();
    store(&log, vec![entry(2, "second")]).await.unwrap();
    settle().await;
    let disk = disk.crash(&Unsynced::Kept);
    disk.damage(&segment(1), find(&disk, 1, "second"), &[1]);
    match try_open(&disk, OPTIONS).await.err().unwrap() {
        OpenError::Damaged {
            file, group, index, ..
        } => {
            assert_eq!((file, group, index), (segment(1), Some(GROUP), Some(2)));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn damage_before_a_later_batch_is_refused_even_without_its_marker() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "first")]).await.unwrap();
    store(&log, vec![entry(2, "second")]).await.unwrap();
    let disk = disk.crash(&Unsynced::Kept);
    let at = find(&disk, 1, "first");
    disk.damage(&segment(1), at, &[1]);
    // The marker stands behind the padded record.
    disk.damage(&segment(1), at + 8, &[0xff; 24]);
    let error = try_open(&disk, OPTIONS).await.err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("new id"), "{error}");
}

#[tokio::test]
async fn a_damaged_last_batch_without_marker_is_cut_and_said() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "first")]).await.unwrap();
    store(&log, vec![entry(2, "second")]).await.unwrap();
    // The marker of the last batch was not synced.
    let disk = disk.crash(&Unsynced::Lost);
    disk.damage(&segment(1), find(&disk, 1, "second"), &[1]);
    let (wal, notices) = try_open(&disk, OPTIONS).await.unwrap();
    assert!(
        matches!(&notices[..], [Notice::TornTailCut { file, batch: 2, .. }] if *file == segment(1))
    );
    assert_eq!(indexes(&wal.group(GROUP)).await, [1]);
    store(&wal.group(GROUP), vec![entry(2, "again")])
        .await
        .unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    let log = open(&disk).await.group(GROUP);
    assert_eq!(
        log.read(1..9, 100).await.unwrap(),
        [entry(1, "first"), entry(2, "again")]
    );
}

#[tokio::test]
async fn what_a_killed_process_left_unsynced_is_synced_before_it_is_shown() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    settle().await;
    // The write goes through, the sync does not.
    disk.faults(|faults| faults.power_lost_after = Some(1));
    assert!(store(&log, vec![entry(1, "a")]).await.is_err());
    let disk = disk.crash(&Unsynced::Kept);
    assert_eq!(indexes(&open(&disk).await.group(GROUP)).await, [1]);
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(indexes(&open(&disk).await.group(GROUP)).await, [1]);
}

#[tokio::test]
async fn power_lost_during_recovery_leaves_no_marker_ahead_of_what_it_covers() {
    // Over several sectors, so that a part of it can be lost.
    let text = "a".repeat(2_000);
    for (operations, seed) in (0..40).flat_map(|at| (0..8).map(move |seed| (at, seed))) {
        let disk = MemoryDisk::default();
        let log = open(&disk).await.group(GROUP);
        settle().await;
        // A process was killed: the entry is in the file, and no sync has made it durable.
        disk.faults(|faults| faults.power_lost_after = Some(1));
        assert!(store(&log, vec![entry(1, &text)]).await.is_err());
        let disk = disk.crash(&Unsynced::Kept);
        // The next one reads it and loses power; each sector of what it wrote is there or not.
        disk.faults(|faults| faults.power_lost_after = Some(operations));
        if let Ok((wal, _)) = try_open(&disk, OPTIONS).await {
            settle().await;
            drop(wal);
        }
        let disk = disk.crash(&Unsynced::Torn(runtime::Random::from_seed(seed)));
        let opened = try_open(&disk, OPTIONS).await;
        let (wal, _) = opened
            .unwrap_or_else(|error| panic!("after {operations} operations, seed {seed}: {error}"));
        let found = indexes(&wal.group(GROUP)).await;
        assert!(found.is_empty() || found == [1], "{found:?}");
    }
}

#[tokio::test]
async fn a_segment_that_a_killed_process_prepared_is_durable_before_it_is_used() {
    let mut disk = MemoryDisk::default();
    // The process dies after each number of operations, so also between rename and sync.
    for operations in 0..60 {
        disk.faults(|faults| faults.power_lost_after = Some(operations));
        drop(try_open(&disk, OPTIONS).await);
        settle().await;
        disk = disk.crash(&Unsynced::Kept);
        let wal = open(&disk).await;
        let next = wal.group(GROUP).last().map_or(1, |last| last.index + 1);
        store_many(&wal.group(GROUP), next..next + 9).await;
        disk = disk.crash(&Unsynced::Lost);
        assert_eq!(open(&disk).await.group(GROUP).last(), Some(id(next + 8)));
    }
}

#[tokio::test]
async fn a_missing_segment_is_refused() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    store_many(&wal.group(GROUP), 1..41).await;
    wal.close().await;
    let env = Env {
        disk: Arc::new(disk.clone()),
        ..memory::env(1)
    };
    // First a gap; then no gap, but the oldest entries are missing.
    for gone in [&[3][..], &[1, 2]] {
        for number in gone {
            env.disk.remove(&segment(*number)).await.unwrap();
        }
        let error = try_open(&disk, OPTIONS).await.err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_not_served_by_a_running_log() {
    let disk = MemoryDisk::default();
    let (wal, _) = try_open(&disk, NO_CACHE).await.unwrap();
    let log = wal.group(GROUP);
    store(&log, vec![entry(1, "first"), entry(2, "second")])
        .await
        .unwrap();
    disk.damage(&segment(1), find(&disk, 1, "second"), &[1]);
    assert_eq!(log.read(1..2, 100).await.unwrap(), [entry(1, "first")]);
    assert!(matches!(
        log.read(2..3, 100).await,
        Err(WalError::Damaged {
            index: 2,
            group: GROUP,
            ..
        })
    ));
}

#[tokio::test]
async fn a_payload_that_looks_like_a_frame_does_not_turn_a_torn_tail_into_a_loss() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    let mut forged = Vec::new();
    frame::Stamp {
        salt: 0,
        batch: 1_000,
    }
    .put(&mut forged, GROUP, &frame::Body::Marker);
    forged.extend_from_slice(b"torn");
    let payload = Bytes::from(forged);
    store(
        &log,
        vec![Record {
            payload,
            ..entry(1, "")
        }],
    )
    .await
    .unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    disk.damage(&segment(1), find(&disk, 1, "torn"), &[1]);
    let (wal, notices) = try_open(&disk, OPTIONS).await.unwrap();
    assert_eq!((notices.len(), wal.group(GROUP).last()), (1, None));
}
