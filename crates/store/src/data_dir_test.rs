//! Claims about the data directory.

use super::*;
use runtime::memory::{self, MemoryDisk, Unsynced};

fn dir() -> &'static Path {
    Path::new("/data")
}

fn on(disk: &MemoryDisk) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        ..memory::env(1)
    }
}

fn ana() -> Identity {
    Identity {
        cluster_id: "c-1".to_owned(),
        node_id: 3,
        node_name: "fra-n1".to_owned(),
        site: "fra".to_owned(),
        region: "eu".to_owned(),
        profile: "lan".to_owned(),
    }
}

async fn claimed(disk: &MemoryDisk) {
    DataDir::open(&on(disk), dir())
        .await
        .unwrap()
        .claim(ana())
        .await
        .unwrap();
}

async fn refused(disk: &MemoryDisk, identity: Identity) -> String {
    let mut opened = DataDir::open(&on(disk), dir()).await.unwrap();
    opened.claim(identity).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_claim_survives_a_crash() {
    let disk = MemoryDisk::default();
    claimed(&disk).await;
    let disk = disk.crash(&Unsynced::Lost);
    let mut opened = DataDir::open(&on(&disk), dir()).await.unwrap();
    assert_eq!(opened.identity(), Some(&ana()));
    opened.claim(ana()).await.unwrap();
}

#[tokio::test]
async fn a_second_process_is_refused_while_the_first_lives() {
    let disk = MemoryDisk::default();
    let first = DataDir::open(&on(&disk), dir()).await.unwrap();
    let error = DataDir::open(&on(&disk), dir()).await.err().unwrap();
    assert!(matches!(error, DataDirError::InUse { .. }), "{error}");
    drop(first);
    DataDir::open(&on(&disk), dir()).await.unwrap();
}

#[tokio::test]
async fn another_cluster_or_node_is_refused_by_name() {
    let disk = MemoryDisk::default();
    claimed(&disk).await;
    let other = refused(
        &disk,
        Identity {
            cluster_id: "c-2".to_owned(),
            ..ana()
        },
    )
    .await;
    assert!(
        other.contains("cluster c-1") && other.contains("cluster c-2"),
        "{other}"
    );
    let other = refused(
        &disk,
        Identity {
            node_id: 4,
            node_name: "fra-n2".to_owned(),
            ..ana()
        },
    )
    .await;
    assert!(
        other.contains("node 3 (fra-n1)") && other.contains("node 4 (fra-n2)"),
        "{other}"
    );
}

#[tokio::test]
async fn another_profile_is_refused() {
    let disk = MemoryDisk::default();
    claimed(&disk).await;
    let error = refused(
        &disk,
        Identity {
            profile: "global".to_owned(),
            ..ana()
        },
    )
    .await;
    assert!(
        error.contains("profile \"lan\"") && error.contains("profile \"global\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_flipped_bit_in_the_identity_is_refused() {
    let disk = MemoryDisk::default();
    claimed(&disk).await;
    disk.damage(&dir().join("identity"), 50, &[1]);
    let error = DataDir::open(&on(&disk), dir()).await.err().unwrap();
    assert!(
        matches!(error, DataDirError::IdentityLost { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_log_without_identity_is_refused() {
    let disk = MemoryDisk::default();
    let open = Open {
        create: Create::New,
        lane: DiskLane::Bulk,
    };
    disk.open(Path::new("/data/log/0000000001.wal"), open)
        .await
        .unwrap();
    let error = DataDir::open(&on(&disk), dir()).await.err().unwrap();
    assert!(
        matches!(error, DataDirError::IdentityLost { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("taken");
    std::fs::write(&path, "x").unwrap();
    let disk: Arc<dyn Disk> = Arc::new(runtime::real::RealDisk::start().unwrap());
    let error = DataDir::open(
        &Env {
            disk,
            ..memory::env(1)
        },
        &path,
    )
    .await
    .err()
    .unwrap();
    assert!(error.to_string().contains("taken"), "{error}");
}
