//! Claims about snapshots.

use super::*;
use runtime::memory::{self, MemoryDisk, Unsynced};

const GROUP: GroupId = GroupId(3);

fn dir() -> &'static Path {
    Path::new("/data/snapshots")
}

fn on(disk: &MemoryDisk) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        ..memory::env(1)
    }
}

async fn written(store: &SnapshotStore, meta: &'static str, chunks: &[&'static str]) -> Snapshot {
    let mut writer = store.begin(GROUP, Bytes::from(meta)).await.unwrap();
    for chunk in chunks {
        writer.write(Bytes::from(*chunk)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn read(snapshot: &Snapshot) -> Result<Vec<Bytes>, SnapshotError> {
    let (mut reader, mut chunks) = (snapshot.reader(), Vec::new());
    while let Some(chunk) = reader.next_chunk().await? {
        chunks.push(chunk);
    }
    Ok(chunks)
}

#[tokio::test]
async fn a_finished_snapshot_is_read_back_after_a_crash() {
    let disk = MemoryDisk::default();
    let store = SnapshotStore::open(&on(&disk), dir()).await.unwrap();
    let taken = written(&store, "at 7", &["one", "", "three"]).await;
    let disk = disk.crash(&Unsynced::Lost);
    let store = SnapshotStore::open(&on(&disk), dir()).await.unwrap();
    let found = store.current(GROUP).await.unwrap().unwrap();
    assert_eq!(found.meta(), "at 7");
    assert_eq!((found.chunks(), found.content_bytes()), (3, 8));
    assert_eq!(found.digest(), taken.digest());
    assert_eq!(read(&found).await.unwrap(), ["one", "", "three"]);
    assert!(store.current(GroupId(4)).await.unwrap().is_none());
}

#[tokio::test]
async fn an_unfinished_snapshot_is_not_current_and_its_file_goes() {
    let disk = MemoryDisk::default();
    let store = SnapshotStore::open(&on(&disk), dir()).await.unwrap();
    let mut writer = store.begin(GROUP, Bytes::new()).await.unwrap();
    writer.write(Bytes::from("half")).await.unwrap();
    drop(writer);
    assert!(store.current(GROUP).await.unwrap().is_none());
    let kept = store.begin(GroupId(4), Bytes::new()).await.unwrap();
    assert_eq!(disk.paths().len(), 1);
    kept.finish().await.unwrap();
    assert_eq!(disk.paths().len(), 1);
}

#[tokio::test]
async fn a_newer_snapshot_replaces_the_older_which_its_readers_keep() {
    let disk = MemoryDisk::default();
    let store = SnapshotStore::open(&on(&disk), dir()).await.unwrap();
    let old = written(&store, "old", &["a"]).await;
    written(&store, "new", &["b"]).await;
    assert_eq!(disk.paths().len(), 1);
    assert_eq!(store.current(GROUP).await.unwrap().unwrap().meta(), "new");
    assert_eq!(read(&old).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn every_flipped_bit_is_found() {
    let disk = MemoryDisk::default();
    let store = SnapshotStore::open(&on(&disk), dir()).await.unwrap();
    written(&store, "meta", &["first chunk", "second chunk"]).await;
    let path = disk.paths().remove(0);
    let bytes = disk.content(&path).unwrap().len() as u64;
    // Three bytes behind the version and the four that pad the foot carry nothing.
    let silent = |at: u64| (9..12).contains(&at) || at >= bytes - 4;
    for at in (0..bytes).filter(|at| !silent(*at)) {
        disk.damage(&path, at, &[0x10]);
        let found = match store.current(GROUP).await {
            Ok(snapshot) => read(&snapshot.unwrap()).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(found.is_err(), "byte {at}");
        disk.damage(&path, at, &[0x10]);
    }
    assert!(
        read(&store.current(GROUP).await.unwrap().unwrap())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_full_disk_fails_the_new_snapshot_and_keeps_the_old() {
    let disk = MemoryDisk::default();
    let store = SnapshotStore::open(&on(&disk), dir()).await.unwrap();
    written(&store, "old", &["a"]).await;
    disk.faults(|faults| faults.capacity_bytes = Some(300));
    let mut writer = store.begin(GROUP, Bytes::from("new")).await.unwrap();
    assert!(writer.write(Bytes::from(vec![1; 1_000])).await.is_err());
    drop(writer);
    assert_eq!(store.current(GROUP).await.unwrap().unwrap().meta(), "old");
}
