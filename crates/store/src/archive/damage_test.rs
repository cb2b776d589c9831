//! Tests of what the archive does with damage: of segments, told and never served; of the index, set
//! aside and built anew.

use bytes::Bytes;
use parking_lot::Mutex;
use runtime::memory::{MemoryDisk, Unsynced};
use runtime::{Compute, Random};

use super::archive_test::*;
use super::*;

/// Content that no compression shortens, so that it stands in the segment as it is.
fn noise(n: u64) -> Record {
    let bytes: Vec<u8> = (0..20_u64)
        .flat_map(|part| super::types::hash16(&[&n.to_le_bytes(), &part.to_le_bytes()]))
        .collect();
    Record {
        blob: bytes.into(),
        ..record(n)
    }
}

fn find_blob(disk: &MemoryDisk, record: &Record) -> u64 {
    let content = disk.content(&segment(0)).unwrap();
    let mut windows = content.windows(64);
    windows
        .position(|window| window == &record.blob[..64])
        .unwrap() as u64
}

async fn present(archive: &Archive, upto: u64) -> Vec<Record> {
    let mut found = Vec::new();
    for n in 1..upto {
        found.extend(archive.get(CELL, n).await.unwrap());
    }
    found
}

#[tokio::test]
async fn a_byte_flipped_anywhere_harms_one_block_and_is_made_good() {
    let whole = MemoryDisk::default();
    let archive = open_report(&whole, ArchiveOptions::default()).await.0;
    // Two full blocks, then five small ones.
    archive.append((1..33).map(noise).collect()).await.unwrap();
    for n in 33..38 {
        archive.append(vec![noise(n)]).await.unwrap();
    }
    drop(archive);
    let all: Vec<Record> = (1..38).map(noise).collect();
    let whole = whole.crash(&Unsynced::Kept);
    let content = whole.content(&segment(0)).unwrap();
    let step = if cfg!(debug_assertions) { 13 } else { 1 };
    for offset in (0..content.len()).step_by(step) {
        let disk = MemoryDisk::default();
        copy(&content, &disk).await;
        disk.damage(&segment(0), offset as u64, &[0x40]);
        let (archive, report) = open_report(&disk, ArchiveOptions::default()).await;
        let found = present(&archive, 38).await;
        assert!(
            found.len() >= 38 - 1 - 16,
            "byte {offset}: {} of 37",
            found.len()
        );
        assert!(
            found.iter().all(|record| all.contains(record)),
            "byte {offset}"
        );
        assert_eq!(chain(&archive).await.unwrap(), folded(&found));
        // Only what takes no record with it goes unsaid: heads, of which there are two, and markers.
        assert!(
            found.len() == 37 || !report.notices.is_empty(),
            "byte {offset}"
        );
        archive.append(all[..20].to_vec()).await.unwrap();
        archive.append(all[20..].to_vec()).await.unwrap();
        assert_eq!(
            chain(&archive).await.unwrap(),
            folded(&all),
            "byte {offset}"
        );
        let closed: u64 = archive
            .figures(DAY..=DAY)
            .await
            .unwrap()
            .values()
            .map(|f| f.closed)
            .sum();
        assert_eq!(closed, 37, "byte {offset}");
    }
}

async fn copy(content: &[u8], disk: &MemoryDisk) {
    let env = env(disk, 1);
    let open = runtime::Open {
        create: runtime::Create::New,
        lane: runtime::DiskLane::Bulk,
    };
    let file = env.disk.open(&segment(0), open).await.unwrap();
    file.write_at(0, Bytes::copy_from_slice(content))
        .await
        .unwrap();
    file.sync().await.unwrap();
}

#[tokio::test]
async fn a_record_that_rots_while_the_archive_runs_is_told_and_replaced() {
    for complete in [false, true] {
        let disk = MemoryDisk::default();
        let options = match complete {
            true => SMALL,
            false => ArchiveOptions::default(),
        };
        let archive = open_report(&disk, options).await.0;
        for batch in 0..8 {
            let from = batch * 4 + 1;
            archive
                .append((from..from + 4).map(noise).collect())
                .await
                .unwrap();
        }
        let all: Vec<Record> = (1..33).map(noise).collect();
        disk.damage(&segment(0), find_blob(&disk, &noise(3)), &[1]);
        match archive.get(CELL, 3).await.unwrap_err() {
            ArchiveError::Damaged {
                conversation: 3,
                damage,
                ..
            } => {
                assert_eq!(damage.file, segment(0));
                assert!(damage.offset < 100, "{damage}");
            }
            other => panic!("{other}"),
        }
        // The whole block is lost, and the first of it is the first of the range.
        match chain(&archive).await.unwrap_err() {
            ChainError::Missing { at, .. } => assert_eq!(at, noise(1).sealing()),
            other => panic!("{other}"),
        }
        let page = Page {
            after: None,
            records_max: 100,
        };
        let found = archive.by_time(Within::default(), page).await.unwrap();
        let lost: Vec<(u64, usize)> = found
            .damaged
            .iter()
            .map(|lost| (lost.conversation, lost.before))
            .collect();
        assert_eq!(found.records.len(), 28);
        let oldest: Vec<u64> = (1..5).rev().map(|n| noise(n).conversation).collect();
        assert_eq!(lost, oldest.iter().map(|id| (*id, 28)).collect::<Vec<_>>());
        let copied = archive
            .in_order(CELL, Sealing::default(), u64::MAX)
            .await
            .unwrap();
        assert_eq!((copied.records.len(), copied.damaged), (28, 4));
        assert_eq!(archive.status().await.damages, 1);
        archive.append(all.clone()).await.unwrap();
        assert_eq!(chain(&archive).await.unwrap(), folded(&all));
        let status = archive.status().await;
        assert_eq!((status.records, status.set_aside), (32, 0));
        let archive = open(&disk.crash(&Unsynced::Lost)).await;
        assert_eq!(chain(&archive).await.unwrap(), folded(&all));
    }
}

#[tokio::test]
async fn a_torn_end_is_cut_and_said_once_and_damage_before_a_marker_is_no_torn_end() {
    let disk = MemoryDisk::default();
    let archive = open_report(&disk, ArchiveOptions::default()).await.0;
    archive.append(vec![noise(1)]).await.unwrap();
    archive.append(vec![noise(2)]).await.unwrap();
    // The marker of the last batch was not synced.
    let disk = disk.crash(&Unsynced::Lost);
    let at = find_blob(&disk, &noise(2));
    disk.damage(&segment(0), at, &[1]);
    let (archive, report) = open_report(&disk, ArchiveOptions::default()).await;
    assert!(
        matches!(&report.notices[..], [ArchiveNotice::TornTailCut { file, offset }] if *file == segment(0) && *offset < at),
        "{report:?}"
    );
    assert_eq!(present(&archive, 4).await, [noise(1)]);
    let disk = disk.crash(&Unsynced::Lost);
    let (archive, report) = open_report(&disk, ArchiveOptions::default()).await;
    assert_eq!(report.notices, []);
    archive.append(vec![noise(3)]).await.unwrap();
    let disk = disk.crash(&Unsynced::Kept);
    let content = disk.content(&segment(1)).unwrap();
    disk.damage(&segment(1), content.len() as u64 - 40, &[1]);
    let (archive, report) = open_report(&disk, ArchiveOptions::default()).await;
    assert!(
        matches!(&report.notices[..], [ArchiveNotice::Damaged(damage)] if damage.file == segment(1)),
        "{report:?}"
    );
    assert_eq!(present(&archive, 4).await, [noise(1)]);
}

#[tokio::test]
async fn the_scrub_finds_what_has_rotted_in_every_file_within_one_round() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    for n in 1..33 {
        archive.append(vec![noise(n)]).await.unwrap();
    }
    let round = scrub_round(&archive).await;
    assert_eq!((round.records, round.damages), (32, 0));
    disk.damage(&segment(0), find_blob(&disk, &noise(2)), &[1]);
    let last = archive.status().await.files - 1;
    disk.damage(&segment(last), 100, &[1]);
    let round = scrub_round(&archive).await;
    assert_eq!((round.records, round.damages), (30, 2));
    // What has been told is not told again.
    assert_eq!(scrub_round(&archive).await.damages, 0);
}

async fn scrub_round(archive: &Archive) -> Scrubbed {
    let mut sum = Scrubbed::default();
    for _ in 0..1_000 {
        let step = archive.scrub_step(1).await.unwrap();
        sum.records += step.records;
        sum.damages += step.damages;
        if step.round_ended {
            return sum;
        }
    }
    panic!("the round does not end");
}

/// An index that fails as it is told.
#[derive(Clone, Default)]
struct Shaky {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    /// Calls that still succeed; then one fails.
    calls: Option<u64>,
    panics: bool,
    /// Calls do not return until this is let go.
    hangs: Option<Arc<Mutex<()>>>,
    /// Calls run on a thread, as those of a real index do.
    threaded: bool,
    /// The last key that begins so is lost when the index is written next.
    forgets: Option<Vec<u8>>,
    set_aside: u64,
}

struct ShakyIndex {
    inner: Box<dyn Index>,
    plan: Arc<Mutex<Plan>>,
}

impl ShakyIndex {
    fn step(&self) -> Result<(), IndexFault> {
        let hangs = self.plan.lock().hangs.clone();
        if let Some(hangs) = hangs {
            drop(hangs.lock());
        }
        let mut plan = self.plan.lock();
        match plan.calls {
            Some(0) => {
                plan.calls = None;
                assert!(!plan.panics, "a defect of the index");
                Err(IndexFault::Failed("a fault".to_owned()))
            }
            Some(calls) => {
                plan.calls = Some(calls - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl OpenIndex for Shaky {
    fn open(&self, dir: &Path) -> Result<Box<dyn Index>, IndexFault> {
        Ok(Box::new(ShakyIndex {
            inner: MemoryIndexes.open(dir)?,
            plan: self.plan.clone(),
        }))
    }

    fn set_aside(&self, _: &Path) -> Result<(), IndexFault> {
        self.plan.lock().set_aside += 1;
        Ok(())
    }

    fn compute(&self) -> std::io::Result<Compute> {
        match self.plan.lock().threaded {
            true => Compute::threads(1),
            false => Ok(Compute::inline()),
        }
    }
}

impl Index for ShakyIndex {
    fn last_within(&self, low: &[u8], high: &[u8]) -> Result<Option<Pair>, IndexFault> {
        self.step()?;
        self.inner.last_within(low, high)
    }

    fn each(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), IndexFault> {
        self.step()?;
        self.inner.each(prefix, visit)
    }

    fn write(&mut self, mut changes: Vec<Change>) -> Result<(), IndexFault> {
        self.step()?;
        let mut plan = self.plan.lock();
        if let Some(prefix) = &plan.forgets {
            let last = changes.iter().rposition(|(key, _)| key.starts_with(prefix));
            if let Some(last) = last {
                changes.remove(last);
                plan.forgets = None;
            }
        }
        self.inner.write(changes)
    }

    fn flush(&mut self) -> Result<(), IndexFault> {
        self.step()?;
        self.inner.flush()
    }

    fn check(&self) -> Result<(), IndexFault> {
        self.step()
    }

    fn bytes(&self) -> u64 {
        0
    }
}

#[tokio::test]
async fn an_index_that_fails_or_panics_at_any_call_costs_a_rebuild_and_no_answer() {
    for (calls, panics) in (0..25).flat_map(|calls| [(calls, false), (calls, true)]) {
        let disk = MemoryDisk::default();
        let shaky = Shaky::default();
        let opened = Archive::open(&env(&disk, 1), dir(), Arc::new(shaky.clone()), SMALL).await;
        let archive = opened.unwrap().0;
        *shaky.plan.lock() = Plan {
            calls: Some(calls),
            panics,
            ..Plan::default()
        };
        let all = records(1..25);
        for batch in all.chunks(4) {
            archive.append(batch.to_vec()).await.unwrap();
            assert_eq!(
                archive
                    .get(CELL, batch[0].conversation)
                    .await
                    .unwrap()
                    .as_ref(),
                Some(&batch[0])
            );
        }
        assert_eq!(
            chain(&archive).await.unwrap(),
            folded(&all),
            "after {calls} calls"
        );
        assert_eq!(present(&archive, 25).await, all, "after {calls} calls");
        assert_eq!(shaky.plan.lock().set_aside, 1, "after {calls} calls");
        assert_eq!(archive.status().await.set_aside, 1);
    }
}

#[tokio::test]
async fn an_index_that_loses_a_page_is_found_out_by_whoever_needs_the_page() {
    for table in 1..=5 {
        let disk = MemoryDisk::default();
        let shaky = Shaky::default();
        let opened = Archive::open(&env(&disk, 1), dir(), Arc::new(shaky.clone()), SMALL).await;
        let archive = opened.unwrap().0;
        shaky.plan.lock().forgets = Some(vec![table]);
        for n in 1..33 {
            archive.append(vec![noise(n)]).await.unwrap();
        }
        let page = Page {
            after: None,
            records_max: 100,
        };
        let all: Vec<Record> = (1..33).map(noise).collect();
        assert_eq!(present(&archive, 33).await, all);
        assert_eq!(chain(&archive).await.unwrap(), folded(&all));
        let found = archive.by_time(Within::default(), page).await.unwrap();
        assert_eq!(found.records.len(), 32);
        let found = archive
            .by_customer(b"web/customer-1", Within::default(), page)
            .await
            .unwrap();
        assert_eq!(found.records.len(), 7);
        let found = archive
            .by_agent("agent-1", Within::default(), page)
            .await
            .unwrap();
        assert_eq!(found.records.len(), 11);
        assert_eq!(shaky.plan.lock().set_aside, 1, "table {table}");
    }
}

#[tokio::test]
async fn the_last_of_several_pages_is_missed_too() {
    for table in 1..=5 {
        let disk = MemoryDisk::default();
        let shaky = Shaky::default();
        let options = ArchiveOptions::default();
        let env = env(&disk, 1);
        let opened = Archive::open(&env, dir(), Arc::new(shaky.clone()), options).await;
        let archive = opened.unwrap().0;
        // More than one page of 307 ids, the shortest entries.
        let all = records(1..400);
        archive.append(all.clone()).await.unwrap();
        shaky.plan.lock().forgets = Some(vec![table]);
        // Nothing stands there; the file that is written to is completed by it.
        let nothing = Sealing::last_of(u64::MAX);
        archive.discard(CELL, nothing, nothing).await.unwrap();
        assert_eq!(shaky.plan.lock().forgets, None);
        assert_eq!(archive.get(CELL, 399).await.unwrap(), Some(record(399)));
        assert_eq!(chain(&archive).await.unwrap(), folded(&all));
        let page = Page {
            after: None,
            records_max: 1,
        };
        let newest = archive.by_time(Within::default(), page).await.unwrap();
        assert_eq!(newest.records, [record(399)]);
        for n in 0..5 {
            let customer = format!("web/customer-{n}");
            let found = archive
                .by_customer(customer.as_bytes(), Within::default(), page)
                .await
                .unwrap();
            assert_eq!(found.records, [record(395 + n)]);
        }
        for (n, last) in [(0, 399), (1, 397), (2, 398)] {
            let agent = format!("agent-{n}");
            let found = archive
                .by_agent(&agent, Within::default(), page)
                .await
                .unwrap();
            assert_eq!(found.records, [record(last)]);
        }
        assert_eq!(shaky.plan.lock().set_aside, 1, "table {table}");
    }
}

#[tokio::test]
async fn the_scrub_holds_the_index_to_the_segments() {
    let disk = MemoryDisk::default();
    let shaky = Shaky::default();
    let opened = Archive::open(&env(&disk, 1), dir(), Arc::new(shaky.clone()), SMALL).await;
    let archive = opened.unwrap().0;
    // The page of the order of sealing.
    shaky.plan.lock().forgets = Some(vec![2]);
    for n in 1..33 {
        archive.append(vec![noise(n)]).await.unwrap();
    }
    assert_eq!(shaky.plan.lock().set_aside, 0);
    scrub_round(&archive).await;
    assert_eq!(archive.status().await.set_aside, 1);
    assert_eq!(scrub_round(&archive).await.records, 32);
}

#[tokio::test]
async fn power_lost_at_any_operation_takes_nothing_that_was_acknowledged() {
    for (operations, seed) in (0..40).flat_map(|at| (0..6).map(move |seed| (at, seed))) {
        let disk = MemoryDisk::default();
        let archive = open(&disk).await;
        archive.append(records(1..5)).await.unwrap();
        disk.faults(|faults| faults.power_lost_after = Some(operations));
        let mut acknowledged = records(1..5);
        for n in (5..30).step_by(3) {
            match archive.append(records(n..n + 3)).await {
                Ok(()) => acknowledged.extend(records(n..n + 3)),
                Err(_) => break,
            }
        }
        let disk = disk.crash(&Unsynced::Torn(Random::from_seed(seed)));
        let archive = open(&disk).await;
        let found = present(&archive, 33).await;
        assert!(
            found.starts_with(&acknowledged),
            "{operations} operations, seed {seed}"
        );
        assert!(found.len() <= acknowledged.len() + 3);
        archive.append(records(1..33)).await.unwrap();
        assert_eq!(chain(&archive).await.unwrap(), folded(&records(1..33)));
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "the lock is what hangs")]
async fn an_index_that_hangs_is_left_to_its_thread_and_another_takes_its_place() {
    let disk = MemoryDisk::default();
    let shaky = Shaky::default();
    shaky.plan.lock().threaded = true;
    let opened = Archive::open(&env(&disk, 1), dir(), Arc::new(shaky.clone()), SMALL).await;
    let archive = opened.unwrap().0;
    for n in 1..10 {
        archive.append(vec![noise(n)]).await.unwrap();
    }
    let hang = Arc::new(Mutex::new(()));
    let held = hang.lock();
    shaky.plan.lock().hangs = Some(hang.clone());
    // Nothing else can happen, so the clock goes on to the end of the wait.
    tokio::time::pause();
    let asked = archive.get(CELL, 1).await;
    assert!(
        matches!(asked, Err(ArchiveError::Rebuilding { .. })),
        "{asked:?}"
    );
    tokio::time::resume();
    shaky.plan.lock().hangs = None;
    let mut asked = archive.get(CELL, 1).await;
    while let Err(ArchiveError::Rebuilding { .. }) = asked {
        asked = archive.get(CELL, 1).await;
    }
    assert_eq!(asked, Ok(Some(noise(1))));
    assert_eq!(archive.status().await.set_aside, 1);
    drop(held);
}

#[tokio::test]
async fn a_file_that_is_cut_under_a_running_archive_ends_neither_scrub_nor_rebuild() {
    // The last marker alone, a part of the last block, all but the head.
    for (cut, left) in [(24, 16), (40, 12), (1 << 20, 12)] {
        let disk = MemoryDisk::default();
        let shaky = Shaky::default();
        let env = env(&disk, 1);
        let opened = Archive::open(&env, dir(), Arc::new(shaky.clone()), SMALL).await;
        let archive = opened.unwrap().0;
        for n in (1..17).step_by(4) {
            let batch = (n..n + 4).map(noise).collect();
            archive.append(batch).await.unwrap();
        }
        let last = archive.status().await.files - 1;
        let path = segment(last);
        let file = env.disk.open(&path, super::core::BULK).await.unwrap();
        let bytes = file.len().await.unwrap();
        file.truncate(bytes.saturating_sub(cut).max(64))
            .await
            .unwrap();
        scrub_round(&archive).await;
        // Nothing stands there; the file that is written to is completed by it.
        let nothing = Sealing::last_of(u64::MAX);
        archive.discard(CELL, nothing, nothing).await.unwrap();
        shaky.plan.lock().calls = Some(0);
        drop(archive.get(CELL, 1).await);
        let found = present(&archive, 17).await.len();
        match cut {
            24 => assert_eq!((found, archive.status().await.damages), (left, 0)),
            _ => assert!(
                found == left && archive.status().await.damages > 0,
                "{found} after {cut}"
            ),
        }
    }
}
