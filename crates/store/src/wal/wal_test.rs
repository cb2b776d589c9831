//! Claims about the log, one event each.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use runtime::Env;
use runtime::memory::{self, MemoryDisk, SyncFault, Unsynced};

use super::*;

pub(super) const GROUP: GroupId = GroupId(1);
/// Small, so that a few entries roll.
pub(super) const OPTIONS: WalOptions = WalOptions {
    segment_bytes: 4_096,
    cache_bytes: 1 << 20,
    queue_bytes: 1 << 20,
    journal: None,
};
/// Entries leave the cache as soon as they are durable.
pub(super) const NO_CACHE: WalOptions = WalOptions {
    cache_bytes: 0,
    ..OPTIONS
};

pub(super) fn dir() -> &'static Path {
    Path::new("/data/log")
}

pub(super) fn segment(number: u32) -> PathBuf {
    segment::path_of(dir(), number)
}

pub(super) async fn try_open(
    disk: &MemoryDisk,
    options: WalOptions,
) -> Result<(Wal, Vec<Notice>), OpenError> {
    let env = Env {
        disk: Arc::new(disk.clone()),
        ..memory::env(1)
    };
    Wal::open(&env, dir(), options).await
}

pub(super) async fn open(disk: &MemoryDisk) -> Wal {
    let (wal, notices) = try_open(disk, OPTIONS).await.unwrap();
    assert_eq!(notices, []);
    wal
}

pub(super) fn entry(index: u64, payload: &str) -> Record {
    Record {
        term: 1,
        leader_node: 7,
        index,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

pub(super) fn id(index: u64) -> EntryId {
    entry(index, "").id()
}

/// Appends and waits until durable.
pub(super) async fn store(log: &GroupLog, records: Vec<Record>) -> Result<(), WalError> {
    let (reply, answer) = oneshot::channel();
    log.append(records, |outcome| drop(reply.send(outcome)))
        .await?;
    answer.await.unwrap()
}

pub(super) async fn store_many(log: &GroupLog, indexes: Range<u64>) {
    for index in indexes {
        store(log, vec![entry(index, &"x".repeat(500))])
            .await
            .unwrap();
    }
}

pub(super) async fn indexes(log: &GroupLog) -> Vec<u64> {
    let records = log.read(0..u64::MAX, usize::MAX).await.unwrap();
    records.iter().map(|record| record.index).collect()
}

#[tokio::test]
async fn durable_entries_votes_and_purges_survive_a_crash() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "a"), entry(2, "b"), entry(3, "c")])
        .await
        .unwrap();
    log.save_vote(Bytes::from("vote")).await.unwrap();
    log.truncate_after(Some(2)).await.unwrap();
    log.purge(id(1), None).await.unwrap();
    let chain = log.chain(2);
    let disk = disk.crash(&Unsynced::Lost);
    let wal = open(&disk).await;
    let log = wal.group(GROUP);
    assert_eq!(log.read(0..10, 1 << 20).await.unwrap(), [entry(2, "b")]);
    assert_eq!((log.purged(), log.last()), (Some(id(1)), Some(id(2))));
    assert_eq!(log.vote(), Some(Bytes::from("vote")));
    assert!(log.chain(2).is_some() && log.chain(2) == chain);
    assert_eq!(wal.groups(), [GROUP]);
}

#[tokio::test]
async fn entries_can_be_read_before_they_are_durable() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    disk.faults(|faults| faults.sync_delay = Duration::from_secs(3_600));
    log.append(vec![entry(0, "a"), entry(1, "b")], |_| ())
        .await
        .unwrap();
    assert_eq!(
        log.read(0..2, 1 << 20).await.unwrap(),
        [entry(0, "a"), entry(1, "b")]
    );
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_still_waits_to_be_written_is_never_out_of_reach() {
    let disk = MemoryDisk::default();
    let (wal, _) = try_open(&disk, NO_CACHE).await.unwrap();
    let log = wal.group(GROUP);
    settle().await;
    disk.faults(|faults| faults.sync_delay = Duration::from_millis(10));
    let (reader, (reply, answer)) = (log.clone(), oneshot::channel());
    // Reads on the log's own task, after the first batch and before the second is written.
    let read_at_once = move |_| {
        let read = std::pin::pin!(reader.read(2..4, 100));
        let polled = read.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        drop(reply.send(polled));
    };
    log.append(vec![entry(1, "a")], read_at_once).await.unwrap();
    settle().await;
    log.append(vec![entry(2, "b"), entry(3, "c")], |_| ())
        .await
        .unwrap();
    let read = answer.await.unwrap();
    assert_eq!(
        read,
        std::task::Poll::Ready(Ok(vec![entry(2, "b"), entry(3, "c")]))
    );
}

#[tokio::test]
async fn a_read_gives_at_least_one_entry_and_keeps_its_bound() {
    let disk = MemoryDisk::default();
    for options in [OPTIONS, NO_CACHE] {
        let (wal, _) = try_open(&disk, options).await.unwrap();
        let log = wal.group(GroupId(options.cache_bytes as u32));
        store(
            &log,
            (1..=9).map(|index| entry(index, "0123456789")).collect(),
        )
        .await
        .unwrap();
        assert_eq!(log.read(3..9, 25).await.unwrap().len(), 2);
        assert_eq!(log.read(3..9, 20).await.unwrap().len(), 2);
        assert_eq!(log.read(3..9, 1).await.unwrap(), [entry(3, "0123456789")]);
        assert_eq!(log.read(3..6, 1 << 20).await.unwrap().len(), 3);
        assert_eq!(log.read(10..20, 1 << 20).await.unwrap(), []);
        wal.close().await;
    }
}

#[tokio::test]
async fn an_append_that_leaves_a_gap_is_refused_and_changes_nothing() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "a")]).await.unwrap();
    let refused = store(&log, vec![entry(3, "c")]).await;
    assert!(
        matches!(refused, Err(WalError::Misplaced { index: 3, .. })),
        "{refused:?}"
    );
    store(&log, vec![entry(2, "b")]).await.unwrap();
    assert_eq!(indexes(&log).await, [1, 2]);
}

#[tokio::test]
async fn many_groups_share_one_sync() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    let before = disk.syncs();
    let done = Arc::new(Mutex::new(0));
    for group in 0..50 {
        let done = done.clone();
        let log = wal.group(GroupId(group));
        log.append(vec![entry(1, "a")], move |outcome| {
            *done.lock() += u32::from(outcome.is_ok())
        })
        .await
        .unwrap();
    }
    wal.close().await;
    assert_eq!(*done.lock(), 50);
    // One for the batch, one for the segment that is prepared meanwhile.
    assert!(
        disk.syncs() - before <= 2,
        "{} syncs",
        disk.syncs() - before
    );
}

#[tokio::test]
async fn a_log_rolls_and_reads_back_over_segments() {
    let disk = MemoryDisk::default();
    for options in [OPTIONS, NO_CACHE] {
        let (wal, _) = try_open(&disk, options).await.unwrap();
        let log = wal.group(GroupId(options.cache_bytes as u32));
        store_many(&log, 1..41).await;
        assert!(wal.segments() > 5);
        assert_eq!(indexes(&log).await, (1..41).collect::<Vec<_>>());
        wal.close().await;
    }
    let disk = disk.crash(&Unsynced::Lost);
    let wal = open(&disk).await;
    assert_eq!(
        indexes(&wal.group(GroupId(0))).await,
        (1..41).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_entry_larger_than_a_segment_is_kept() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    let large = entry(1, &"y".repeat(100_000));
    store(&log, vec![large.clone()]).await.unwrap();
    store(&log, vec![entry(2, "b")]).await.unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    let log = open(&disk).await.group(GROUP);
    assert_eq!(
        log.read(1..3, 1 << 20).await.unwrap(),
        [large, entry(2, "b")]
    );
}

#[tokio::test]
async fn purged_segments_go_and_votes_stay() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    let (busy, quiet) = (wal.group(GROUP), wal.group(GroupId(2)));
    quiet.save_vote(Bytes::from("quiet vote")).await.unwrap();
    store_many(&busy, 1..41).await;
    busy.purge(id(40), None).await.unwrap();
    wal.close().await;
    drop((wal, busy, quiet));
    settle().await;
    assert!(disk.content(&segment(1)).is_none());
    let disk = disk.crash(&Unsynced::Lost);
    let wal = open(&disk).await;
    assert_eq!(
        wal.group(GroupId(2)).vote(),
        Some(Bytes::from("quiet vote"))
    );
    assert_eq!(wal.group(GROUP).last(), Some(id(40)));
    assert_eq!(wal.group(GROUP).purged(), Some(id(40)));
    store(&wal.group(GROUP), vec![entry(41, "next")])
        .await
        .unwrap();
}

/// Lets every task run that can.
pub(super) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_group_that_holds_the_oldest_segment_is_named() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    store(
        &wal.group(GroupId(2)),
        vec![entry(1, "old"), entry(2, "old")],
    )
    .await
    .unwrap();
    store_many(&wal.group(GROUP), 1..41).await;
    wal.group(GROUP).purge(id(39), None).await.unwrap();
    let segments = wal.segments();
    assert_eq!(
        wal.laggards(3),
        [Laggard {
            group: GroupId(2),
            segments,
            purge_to: 2
        }]
    );
    wal.group(GroupId(2)).purge(id(2), None).await.unwrap();
    settle().await;
    assert!(wal.segments() <= 2);
    assert_eq!(wal.laggards(3), []);
}

#[tokio::test]
async fn a_purge_beyond_the_log_takes_the_chain_of_the_snapshot() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    store(&log, vec![entry(1, "a")]).await.unwrap();
    log.purge(id(100), Some(Chain([9; 16]))).await.unwrap();
    assert_eq!(
        (log.last(), log.chain(100)),
        (Some(id(100)), Some(Chain([9; 16])))
    );
    store(&log, vec![entry(101, "b")]).await.unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    let log = open(&disk).await.group(GROUP);
    assert_eq!(log.chain(101), Some(Chain([9; 16]).next(1, 101, b"b")));
}

#[tokio::test]
async fn equal_logs_have_equal_chains_whatever_was_truncated_between() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    let (one, two) = (wal.group(GroupId(1)), wal.group(GroupId(2)));
    store(&one, vec![entry(1, "a"), entry(2, "b")])
        .await
        .unwrap();
    store(
        &two,
        vec![entry(1, "a"), entry(2, "lost"), entry(3, "lost")],
    )
    .await
    .unwrap();
    two.truncate_after(Some(1)).await.unwrap();
    store(&two, vec![entry(2, "b")]).await.unwrap();
    assert!(one.chain(2).is_some());
    assert_eq!(one.chain(2), two.chain(2));
}

#[tokio::test]
async fn a_failed_sync_is_for_ever_and_nothing_is_acknowledged_any_more() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    let log = wal.group(GROUP);
    store(&log, vec![entry(1, "a")]).await.unwrap();
    settle().await;
    disk.faults(|faults| faults.sync = Some(SyncFault::Once));
    assert!(matches!(
        store(&log, vec![entry(2, "b")]).await,
        Err(WalError::Failed { .. })
    ));
    // The disk would take it now.
    assert!(matches!(
        store(&log, vec![entry(3, "c")]).await,
        Err(WalError::Failed { .. })
    ));
    assert!(matches!(
        log.save_vote(Bytes::from("v")).await,
        Err(WalError::Failed { .. })
    ));
    assert!(matches!(
        log.truncate_after(None).await,
        Err(WalError::Failed { .. })
    ));
    assert!(matches!(
        log.purge(id(1), None).await,
        Err(WalError::Failed { .. })
    ));
    assert!(matches!(
        log.read(1..2, 100).await,
        Err(WalError::Failed { .. })
    ));
    assert!(matches!(&*wal.health().borrow(), Health::Failed { .. }));
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(indexes(&open(&disk).await.group(GROUP)).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_makes_appends_wait_and_ends_by_itself() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    let log = wal.group(GROUP);
    settle().await;
    disk.faults(|faults| faults.capacity_bytes = Some(3 * 4_096));
    let filling = store_many(&log, 1..40);
    let health = &mut wal.health();
    let full = health.wait_for(|health| matches!(health, Health::NoSpace { .. }));
    tokio::select! { biased; () = filling => panic!("the disk was never full"), seen = full => drop(seen) }
    let waiting = log.last().unwrap().index;
    disk.faults(|faults| faults.capacity_bytes = None);
    health
        .wait_for(|health| *health == Health::Good)
        .await
        .unwrap();
    store(&log, vec![entry(waiting + 1, "after")])
        .await
        .unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(
        indexes(&open(&disk).await.group(GROUP)).await,
        (1..waiting + 2).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_committed_position_is_written_when_idle_and_never_waited_for() {
    let disk = MemoryDisk::default();
    let log = open(&disk).await.group(GROUP);
    log.save_committed(Bytes::from("7"));
    assert_eq!(log.committed(), Some(Bytes::from("7")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(
        open(&disk).await.group(GROUP).committed(),
        Some(Bytes::from("7"))
    );
}

#[tokio::test]
async fn a_closed_log_has_written_what_waited_and_takes_no_more() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    let log = wal.group(GROUP);
    log.append(vec![entry(1, "a")], |_| ()).await.unwrap();
    log.save_committed(Bytes::from("1"));
    wal.close().await;
    assert_eq!(
        store(&log, vec![entry(2, "b")]).await,
        Err(WalError::Closed)
    );
    let disk = disk.crash(&Unsynced::Lost);
    let log = open(&disk).await.group(GROUP);
    assert_eq!(
        (log.last(), log.committed()),
        (Some(id(1)), Some(Bytes::from("1")))
    );
}

#[tokio::test]
async fn the_production_disk_carries_a_log_over_a_restart() {
    let parent = tempfile::tempdir().unwrap();
    let disk: Arc<dyn runtime::Disk> = Arc::new(runtime::real::RealDisk::start().unwrap());
    let env = Env {
        disk,
        ..memory::env(1)
    };
    for round in 0..3 {
        let (wal, notices) = Wal::open(&env, parent.path(), OPTIONS).await.unwrap();
        assert_eq!(notices, []);
        let log = wal.group(GROUP);
        assert_eq!(indexes(&log).await, (0..round * 20).collect::<Vec<_>>());
        store_many(&log, round * 20..round * 20 + 20).await;
        wal.close().await;
    }
}

#[tokio::test]
async fn what_is_kept_of_an_entry_is_told_with_its_place_and_chain() {
    let disk = MemoryDisk::default();
    let wal = open(&disk).await;
    let log = wal.group(GROUP);
    assert_eq!(log.kept(1), Kept::Missing);
    store_many(&log, 1..4).await;
    let Kept::At {
        file,
        offset,
        bytes,
        chain,
    } = log.kept(2)
    else {
        panic!("entry 2 is there")
    };
    assert_eq!(Some(chain), log.chain(2));
    let record = disk.synced(&file, offset, bytes).expect("it is durable");
    assert!(record.windows(16).any(|part| part == chain.0));
    log.purge(id(2), None).await.unwrap();
    assert_eq!(log.kept(2), Kept::Purged);
    assert!(matches!(log.kept(3), Kept::At { .. }));
    assert_eq!(log.kept(4), Kept::Missing);
}
