//! Claims about the memory disk.

use super::*;
use crate::DiskLane;

const OPEN: Open = Open {
    create: Create::IfMissing,
    lane: DiskLane::Commit,
};

fn path() -> &'static Path {
    Path::new("/data/file")
}

async fn synced_file(disk: &MemoryDisk, content: &'static [u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path(), OPEN).await.unwrap();
    file.write_at(0, Bytes::from_static(content)).await.unwrap();
    file.sync().await.unwrap();
    disk.sync_dir(Path::new("/data")).await.unwrap();
    file
}

#[tokio::test]
async fn a_crash_loses_what_was_not_synced_and_nothing_else() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"synced").await;
    file.write_at(3, Bytes::from_static(b"-unsynced"))
        .await
        .unwrap();
    file.truncate(2).await.unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(disk.content(path()).unwrap(), b"synced");
}

#[tokio::test]
async fn a_killed_process_loses_nothing_until_the_power_is_cut() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"synced").await;
    file.write_at(6, Bytes::from_static(b"+")).await.unwrap();
    let disk = disk.crash(&Unsynced::Kept);
    assert_eq!(disk.content(path()).unwrap(), b"synced+");
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(disk.content(path()).unwrap(), b"synced");
}

#[tokio::test]
async fn a_file_whose_directory_was_not_synced_is_gone_after_a_crash() {
    let disk = MemoryDisk::default();
    let file = disk.open(path(), OPEN).await.unwrap();
    file.write_at(0, Bytes::from_static(b"x")).await.unwrap();
    file.sync().await.unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(disk.content(path()), None);
}

#[tokio::test]
async fn a_rename_is_undone_unless_its_directory_was_synced() {
    let disk = MemoryDisk::default();
    synced_file(&disk, b"x").await;
    disk.rename(path(), Path::new("/data/other")).await.unwrap();
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(disk.paths(), [path()]);
}

#[tokio::test]
async fn a_torn_write_keeps_some_sectors() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"").await;
    file.write_at(0, Bytes::from(vec![7; 512 * 64]))
        .await
        .unwrap();
    let disk = disk.crash(&Unsynced::Torn(Random::from_seed(5)));
    let content = disk.content(path()).unwrap();
    let kept = content
        .chunks(512)
        .filter(|sector| sector.iter().all(|byte| *byte == 7))
        .count();
    let lost = content
        .chunks(512)
        .filter(|sector| sector.iter().all(|byte| *byte == 0))
        .count();
    assert!(kept > 0 && lost > 0);
}

#[tokio::test]
async fn data_of_a_failed_sync_never_becomes_durable_though_later_syncs_succeed() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"aaaa").await;
    disk.faults(|faults| faults.sync = Some(SyncFault::Once));
    file.write_at(0, Bytes::from_static(b"bb")).await.unwrap();
    assert!(file.sync().await.is_err());
    file.write_at(3, Bytes::from_static(b"c")).await.unwrap();
    file.sync().await.unwrap();
    assert_eq!(disk.content(path()).unwrap(), b"bbac");
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(disk.content(path()).unwrap(), b"aaac");
}

#[tokio::test]
async fn a_sync_that_fails_forever_fails_until_the_crash() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"a").await;
    disk.faults(|faults| faults.sync = Some(SyncFault::Forever));
    assert!(file.sync().await.is_err());
    assert!(file.sync().await.is_err());
}

#[tokio::test]
async fn a_full_disk_refuses_growth_and_takes_overwrites() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"aaaa").await;
    disk.faults(|faults| faults.capacity_bytes = Some(5));
    assert_eq!(disk.free_space(path()).await.unwrap(), 1);
    file.write_at(0, Bytes::from_static(b"bbbb")).await.unwrap();
    let error = file
        .write_at(4, Bytes::from_static(b"cc"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[tokio::test]
async fn after_a_power_cut_everything_fails_until_the_crash() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"a").await;
    disk.faults(|faults| faults.power_lost_after = Some(1));
    file.write_at(0, Bytes::from_static(b"b")).await.unwrap();
    assert!(file.sync().await.is_err());
    assert!(file.sync().await.is_err());
    let disk = disk.crash(&Unsynced::Lost);
    assert_eq!(disk.content(path()).unwrap(), b"a");
}

#[tokio::test]
async fn a_dead_process_writes_nothing_more() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"a").await;
    let reborn = disk.crash(&Unsynced::Kept);
    assert!(file.write_at(0, Bytes::from_static(b"b")).await.is_err());
    assert!(disk.remove(path()).await.is_err());
    assert_eq!(reborn.content(path()).unwrap(), b"a");
}

#[tokio::test]
async fn a_lock_ends_with_its_guard_or_a_crash() {
    let disk = MemoryDisk::default();
    let first = disk.lock(path()).await.unwrap();
    assert!(disk.lock(path()).await.is_err());
    let disk = disk.crash(&Unsynced::Kept);
    let second = disk.lock(path()).await.unwrap();
    drop(first);
    assert!(disk.lock(path()).await.is_err());
    drop(second);
    assert!(disk.lock(path()).await.is_ok());
}

#[tokio::test]
async fn a_part_of_a_file_is_synced_where_a_power_cut_leaves_it() {
    let disk = MemoryDisk::default();
    let file = synced_file(&disk, b"synced").await;
    assert_eq!(disk.synced(path(), 2, 4).unwrap(), b"nced");
    assert_eq!(disk.synced(path(), 2, 5), None, "longer than the file");
    file.write_at(4, Bytes::from_static(b"-loose"))
        .await
        .unwrap();
    assert_eq!(disk.synced(path(), 0, 4).unwrap(), b"sync");
    assert_eq!(disk.synced(path(), 0, 5), None, "its end is not synced");
    file.sync().await.unwrap();
    assert_eq!(disk.synced(path(), 0, 10).unwrap(), b"sync-loose");
    let other = Path::new("/data/other");
    let nameless = disk.open(other, OPEN).await.unwrap();
    nameless
        .write_at(0, Bytes::from_static(b"x"))
        .await
        .unwrap();
    nameless.sync().await.unwrap();
    assert_eq!(disk.synced(other, 0, 1), None, "its name is not synced");
    assert_eq!(
        disk.sizes(),
        [(path().to_owned(), 10), (other.to_owned(), 1)]
    );
}
