//! The archive on a real disk with sled, while sled's files are deleted and overwritten.
//! Claim: every answer is right or `Rebuilding`, nothing is lost, and it all ends by itself.

use std::fs;
use std::os::unix::fs::FileExt;

use runtime::real::RealDisk;
use runtime::{Compute, Env, Random, memory};
use tempfile::TempDir;

use super::archive_test::{CELL, DAY, SMALL, chain, folded, record, records};
use super::*;

fn env() -> Env {
    Env {
        disk: Arc::new(RealDisk::start().unwrap()),
        compute: Compute::threads(1).unwrap(),
        ..memory::env(1)
    }
}

async fn open(dir: &TempDir) -> Archive {
    let opened = Archive::open(&env(), dir.path(), Arc::new(SledIndexes), SMALL).await;
    opened.unwrap().0
}

/// An answer that says that the index is being built.
trait Rebuilding {
    fn is_rebuilding(&self) -> bool;
}

impl Rebuilding for ArchiveError {
    fn is_rebuilding(&self) -> bool {
        matches!(self, Self::Rebuilding { .. })
    }
}

impl Rebuilding for ChainError {
    fn is_rebuilding(&self) -> bool {
        matches!(self, Self::Archive(error) if error.is_rebuilding())
    }
}

/// Asks until the index is there; each question waits for it by itself.
async fn answer<T, E: Rebuilding>(ask: impl AsyncFn() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..100 {
        match ask().await {
            Err(error) if error.is_rebuilding() => {}
            answered => return answered,
        }
    }
    panic!("the index is not built");
}

/// Overwrites some bytes of sled's file, anywhere.
fn scribble(dir: &TempDir, random: &Random) {
    let Ok(file) = fs::OpenOptions::new()
        .write(true)
        .open(dir.path().join("index/db"))
    else {
        return;
    };
    let len = file.metadata().unwrap().len();
    for _ in 0..1 + random.below(20) {
        let mut bytes = vec![0; 1 + random.below(200) as usize];
        random.fill(&mut bytes);
        file.write_at(&bytes, random.below(len.max(1))).unwrap();
    }
}

fn delete(dir: &TempDir) {
    drop(fs::remove_dir_all(dir.path().join("index")));
}

#[tokio::test]
async fn sled_may_be_deleted_or_overwritten_at_any_moment() {
    let dir = TempDir::new().unwrap();
    let random = Random::from_seed(7);
    let mut archive = open(&dir).await;
    let mut upto = 1;
    for round in 0..60 {
        let next = upto + 1 + random.below(12);
        answer(async || archive.append(records(upto..next)).await)
            .await
            .unwrap();
        upto = next;
        match random.below(6) {
            0 => delete(&dir),
            1 | 2 => scribble(&dir, &random),
            harm @ (3 | 4) => {
                if random.below(2) == 0 {
                    archive.close().await;
                }
                drop(archive);
                if harm == 3 {
                    delete(&dir);
                } else {
                    scribble(&dir, &random);
                }
                archive = open(&dir).await;
            }
            _ => {}
        }
        let all = records(1..upto);
        let chained = answer(async || chain(&archive).await).await;
        assert_eq!(chained, Ok(folded(&all)), "round {round}");
        let n = 1 + random.below(upto - 1);
        let got = answer(async || archive.get(CELL, n).await).await;
        assert_eq!(got, Ok(Some(record(n))), "round {round}");
        let page = Page {
            after: None,
            records_max: 3,
        };
        let (of, any) = (b"web/customer-1", Within::default());
        let found = answer(async || archive.by_customer(of, any.clone(), page).await).await;
        let wanted = all
            .iter()
            .rev()
            .filter(|record| record.conversation % 5 == 1)
            .take(3);
        assert!(found.unwrap().records.iter().eq(wanted), "round {round}");
        let figures = answer(async || archive.figures(DAY..=DAY).await)
            .await
            .unwrap();
        assert_eq!(
            figures.values().map(|figures| figures.closed).sum::<u64>(),
            upto - 1
        );
    }
    // Sees that sled's files are gone, should that have been the last harm.
    archive.status().await;
    assert_eq!(
        answer(async || archive.get(CELL, upto).await).await,
        Ok(None)
    );
    let status = archive.status().await;
    assert_eq!((status.records, status.damages), (upto - 1, 0));
    let kept = fs::read_dir(dir.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("index.damaged-")
    });
    assert!(kept.count() <= 2);
    archive.close().await;
}

#[tokio::test]
async fn an_index_that_was_closed_is_taken_over_without_a_rebuild() {
    let dir = TempDir::new().unwrap();
    let archive = open(&dir).await;
    archive.append(records(1..50)).await.unwrap();
    archive.close().await;
    let env = env();
    let opened = Archive::open(&env, dir.path(), Arc::new(SledIndexes), SMALL).await;
    let (archive, report) = opened.unwrap();
    assert_eq!((report.rebuilding, report.notices), (false, Vec::new()));
    assert_eq!(archive.status().await.set_aside, 0);
    assert_eq!(chain(&archive).await.unwrap(), folded(&records(1..50)));
    archive.close().await;
}
