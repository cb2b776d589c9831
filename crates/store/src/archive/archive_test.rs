//! Tests of the archive: what it keeps, finds, folds and refuses.

use std::path::PathBuf;

use bytes::Bytes;
use runtime::Env;
use runtime::memory::{self, Faults, MemoryDisk, SyncFault, Unsynced};

use super::*;

pub const CELL: u32 = 1;
/// 2026-01-01.
pub const DAY: u32 = 20_454;
pub const DAY_MS: u64 = 86_400_000;
pub const START_MS: u64 = DAY as u64 * DAY_MS;
/// A batch of a few records fills a segment.
pub const SMALL: ArchiveOptions = ArchiveOptions {
    segment_bytes: 600,
    archive_days: 90,
    archive_max_bytes: 1 << 30,
};

pub fn dir() -> &'static Path {
    Path::new("/archive")
}

pub fn env(disk: &MemoryDisk, seed: u64) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        ..memory::env(seed)
    }
}

pub async fn open_report(disk: &MemoryDisk, options: ArchiveOptions) -> (Archive, OpenReport) {
    let env = env(disk, 1);
    let opened = Archive::open(&env, dir(), Arc::new(MemoryIndexes), options).await;
    opened.unwrap()
}

pub async fn open(disk: &MemoryDisk) -> Archive {
    open_report(disk, SMALL).await.0
}

/// The conversation `n`: sealed by the entry 10 n, closed n minutes into the first day.
pub fn record(n: u64) -> Record {
    let text = format!("conversation {n}: ").repeat(10 + n as usize % 7);
    Record {
        cell: CELL,
        sealed: 10 * n,
        conversation: n,
        customer: Bytes::from(format!("web/customer-{}", n % 5)),
        agents: vec![format!("agent-{}", n % 3)],
        queue: if n.is_multiple_of(2) { "help" } else { "sales" }.to_owned(),
        opened_wall_ms: START_MS,
        closed_wall_ms: START_MS + n * 60_000,
        facts: Facts {
            answered: true,
            abandoned: false,
            wait_ms: n,
            handle_ms: 2 * n,
            rating: n.is_multiple_of(2).then_some(4),
        },
        blob: text.into(),
    }
}

pub fn records(range: std::ops::Range<u64>) -> Vec<Record> {
    range.map(record).collect()
}

pub fn folded(records: &[Record]) -> Chained {
    let fold = |digest, record: &Record| chain_step(digest, record.blob_hash());
    Chained {
        digest: records.iter().fold([0; 16], fold),
        count: records.len() as u64,
    }
}

pub fn segment(n: u64) -> PathBuf {
    dir().join(format!("{CELL}/2026-01-01-{n}.seg"))
}

pub async fn chain(archive: &Archive) -> Result<Chained, ChainError> {
    archive.chain(CELL, 0, u64::MAX, [0; 16]).await
}

fn ids(found: &Found) -> Vec<u64> {
    found
        .records
        .iter()
        .map(|record| record.conversation)
        .collect()
}

#[tokio::test]
async fn what_is_appended_is_found_in_every_way_before_and_after_a_crash() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    let all = records(1..41);
    for batch in all.chunks(3) {
        archive.append(batch.to_vec()).await.unwrap();
    }
    let status = archive.status().await;
    assert!(status.files > 4, "{status:?}");
    found_in_every_way(&archive, &all).await;
    let disk = disk.crash(&Unsynced::Lost);
    let (archive, report) = open_report(&disk, SMALL).await;
    assert_eq!((report.rebuilding, report.notices), (false, Vec::new()));
    found_in_every_way(&archive, &all).await;
}

async fn found_in_every_way(archive: &Archive, all: &[Record]) {
    for record in all {
        let got = archive.get(CELL, record.conversation).await.unwrap();
        assert_eq!(got.as_ref(), Some(record));
        let Record {
            sealed,
            conversation,
            ..
        } = *record;
        assert!(archive.contains(CELL, sealed, conversation).await.unwrap());
        assert!(
            !archive
                .contains(CELL, sealed + 1, conversation)
                .await
                .unwrap()
        );
    }
    assert_eq!(archive.get(CELL, 41).await.unwrap(), None);
    assert_eq!(archive.get(CELL + 1, 1).await.unwrap(), None);
    let page = Page {
        after: None,
        records_max: 100,
    };
    let newest = |wanted: &dyn Fn(&Record) -> bool| -> Vec<u64> {
        let ids = all
            .iter()
            .filter(|record| wanted(record))
            .map(|record| record.conversation);
        ids.rev().collect()
    };
    let found = archive
        .by_customer(b"web/customer-2", Within::default(), page)
        .await
        .unwrap();
    assert_eq!(ids(&found), newest(&|record| record.conversation % 5 == 2));
    assert_eq!(
        archive
            .by_customer(b"web/nobody", Within::default(), page)
            .await
            .unwrap(),
        Found::default()
    );
    let hour = START_MS + 10 * 60_000..=START_MS + 20 * 60_000;
    let within = |cell| Within {
        cell,
        closed_ms: hour.clone(),
    };
    let found = archive.by_time(within(None), page).await.unwrap();
    assert_eq!(
        ids(&found),
        newest(&|record| (10..=20).contains(&record.conversation))
    );
    assert_eq!(
        archive.by_time(within(Some(9)), page).await.unwrap(),
        Found::default()
    );
    let found = archive
        .by_agent("agent-1", within(Some(CELL)), page)
        .await
        .unwrap();
    assert_eq!(ids(&found), [19, 16, 13, 10]);
    in_order_and_summed_up(archive, all).await;
}

async fn in_order_and_summed_up(archive: &Archive, all: &[Record]) {
    assert_eq!(chain(archive).await.unwrap(), folded(all));
    let part = archive.chain(CELL, 100, 200, [0; 16]).await.unwrap();
    assert_eq!(part, folded(&all[10..20]));
    let copied = archive
        .in_order(CELL, Sealing::last_of(100), 200)
        .await
        .unwrap();
    assert_eq!((&copied.records[..], copied.next), (&all[10..20], None));
    let help = Figures {
        closed: 20,
        answered: 20,
        wait_ms: 420,
        handle_ms: 840,
        ratings: 20,
        rating_sum: 80,
        ..Figures::default()
    };
    let figures = archive.figures(DAY..=DAY).await.unwrap();
    assert_eq!(
        (figures.len(), figures[&(DAY, "help".to_owned())]),
        (2, help)
    );
    assert!(archive.figures(0..=DAY - 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repeat() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    // Two cells close a conversation at the same moment, again and again.
    for n in 1..30 {
        let twin = Record {
            cell: 2,
            closed_wall_ms: record(n).closed_wall_ms,
            ..record(n)
        };
        archive.append(vec![record(n), twin]).await.unwrap();
    }
    for records_max in [1, 2, 3, 7, 58, 1_000] {
        let mut page = Page {
            after: None,
            records_max,
        };
        let mut seen = Vec::new();
        loop {
            let found = archive.by_time(Within::default(), page).await.unwrap();
            assert!(found.records.len() <= records_max);
            seen.extend(
                found
                    .records
                    .iter()
                    .map(|record| (record.conversation, record.cell)),
            );
            let Some(next) = found.next else { break };
            page.after = PageToken::from_bytes(&next.to_bytes());
            assert_eq!(page.after, Some(next));
        }
        let all: Vec<(u64, u32)> = (1..30).rev().flat_map(|n| [(n, 2), (n, 1)]).collect();
        assert_eq!(seen, all, "{records_max} a page");
    }
    assert_eq!(PageToken::from_bytes(b"short"), None);
}

#[tokio::test]
async fn a_page_ends_with_its_bytes_and_a_copy_goes_on_behind_it() {
    let disk = MemoryDisk::default();
    let archive = open_report(&disk, ArchiveOptions::default()).await.0;
    let large = |n| Record {
        blob: vec![n as u8; PAGE_BYTES_MAX / 2 - 1].into(),
        ..record(n)
    };
    archive.append((1..6).map(large).collect()).await.unwrap();
    let page = Page {
        after: None,
        records_max: 10,
    };
    let found = archive.by_time(Within::default(), page).await.unwrap();
    assert_eq!(ids(&found), [5, 4]);
    let mut after = Sealing::default();
    let mut copied = Vec::new();
    loop {
        let part = archive.in_order(CELL, after, u64::MAX).await.unwrap();
        assert!(part.records.len() <= 2);
        copied.extend(part.records);
        let Some(next) = part.next else { break };
        after = next;
    }
    assert_eq!(copied, (1..6).map(large).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_record_is_kept_once_and_other_content_under_its_id_is_refused() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    archive.append(records(1..10)).await.unwrap();
    let before = archive.status().await;
    archive.append(records(1..10)).await.unwrap();
    archive.append(vec![record(3), record(3)]).await.unwrap();
    assert_eq!(archive.status().await, before);
    let other = Record {
        blob: Bytes::from_static(b"other"),
        ..record(3)
    };
    let conflict = ArchiveError::Conflict {
        cell: CELL,
        conversation: 3,
    };
    assert_eq!(
        archive.append(vec![record(20), other.clone()]).await,
        Err(conflict.clone())
    );
    assert_eq!(archive.get(CELL, 20).await.unwrap(), None);
    let twins = vec![
        record(20),
        Record {
            conversation: 20,
            ..other
        },
    ];
    let conflict = ArchiveError::Conflict {
        cell: CELL,
        conversation: 20,
    };
    assert_eq!(archive.append(twins).await, Err(conflict));
}

#[tokio::test]
async fn a_record_outside_its_bounds_is_refused_and_nothing_is_written() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    let wrong = [
        Record {
            blob: vec![0; BLOB_BYTES_MAX + 1].into(),
            ..record(2)
        },
        Record {
            customer: vec![0; CUSTOMER_BYTES_MAX + 1].into(),
            ..record(2)
        },
        Record {
            agents: vec![String::new(); AGENTS_MAX + 1],
            ..record(2)
        },
        Record {
            queue: "q".repeat(NAME_BYTES_MAX + 1),
            ..record(2)
        },
        Record {
            closed_wall_ms: u64::MAX,
            ..record(2)
        },
    ];
    for record in wrong {
        let refused = archive
            .append(vec![self::record(1), record])
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                ArchiveError::Refused {
                    conversation: 2,
                    ..
                }
            ),
            "{refused}"
        );
    }
    let many = vec![record(1); APPEND_RECORDS_MAX + 1];
    assert!(matches!(
        archive.append(many).await,
        Err(ArchiveError::Refused { .. })
    ));
    assert_eq!(archive.status().await.files, 0);
}

#[tokio::test]
async fn the_largest_record_is_kept() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    let noise: Vec<u8> = (0..BLOB_BYTES_MAX as u32 / 16)
        .flat_map(|n| super::types::hash16(&[&n.to_le_bytes()]))
        .collect();
    let largest = Record {
        blob: noise.into(),
        customer: vec![1; CUSTOMER_BYTES_MAX].into(),
        agents: (0..AGENTS_MAX)
            .map(|n| format!("{n:0>NAME_BYTES_MAX$}"))
            .collect(),
        queue: "q".repeat(NAME_BYTES_MAX),
        ..record(1)
    };
    archive.append(vec![largest.clone()]).await.unwrap();
    archive.append(records(2..20)).await.unwrap();
    let archive = open(&disk.crash(&Unsynced::Lost)).await;
    assert_eq!(archive.get(CELL, 1).await.unwrap(), Some(largest));
    assert_eq!(archive.get(CELL, 19).await.unwrap(), Some(record(19)));
}

#[tokio::test]
async fn a_full_disk_is_told_and_ends_by_itself() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    archive.append(records(1..5)).await.unwrap();
    let used: usize = disk
        .paths()
        .iter()
        .map(|path| disk.content(path).unwrap().len())
        .sum();
    disk.faults(|faults| faults.capacity_bytes = Some(used as u64 + 100));
    for _ in 0..3 {
        let full = archive.append(records(5..9)).await.unwrap_err();
        assert!(matches!(full, ArchiveError::NoSpace { .. }), "{full}");
    }
    assert_eq!(archive.get(CELL, 5).await.unwrap(), None);
    assert_eq!(chain(&archive).await.unwrap(), folded(&records(1..5)));
    disk.faults(|faults| *faults = Faults::default());
    archive.append(records(5..9)).await.unwrap();
    let archive = open(&disk.crash(&Unsynced::Lost)).await;
    assert_eq!(chain(&archive).await.unwrap(), folded(&records(1..9)));
}

#[tokio::test]
async fn a_failed_sync_counts_nothing_and_its_file_is_not_written_again() {
    let disk = MemoryDisk::default();
    let archive = open_report(&disk, ArchiveOptions::default()).await.0;
    archive.append(records(1..5)).await.unwrap();
    let before = disk.content(&segment(0)).unwrap();
    disk.faults(|faults| faults.sync = Some(SyncFault::Once));
    let failed = archive.append(records(5..9)).await.unwrap_err();
    assert!(matches!(failed, ArchiveError::Io { .. }), "{failed}");
    assert_eq!(archive.get(CELL, 5).await.unwrap(), None);
    // The next sync lies, as Linux does: what it covers must not be the same file.
    archive.append(records(5..9)).await.unwrap();
    assert_eq!(disk.content(&segment(0)).unwrap(), before);
    let archive = open(&disk.crash(&Unsynced::Lost)).await;
    assert_eq!(chain(&archive).await.unwrap(), folded(&records(1..9)));
}

#[tokio::test]
async fn a_discarded_range_is_gone_for_ever_and_can_be_archived_again() {
    let mut disk = MemoryDisk::default();
    let mut archive = open(&disk).await;
    archive.append(records(1..20)).await.unwrap();
    archive.append(records(20..40)).await.unwrap();
    let at = |n| record(n).sealing();
    archive.discard(CELL, at(5), at(24)).await.unwrap();
    let rest: Vec<Record> = records(1..5).into_iter().chain(records(25..40)).collect();
    for _ in 0..2 {
        assert_eq!(archive.get(CELL, 5).await.unwrap(), None);
        assert_eq!(chain(&archive).await.unwrap(), folded(&rest));
        assert_eq!(
            archive
                .figures(DAY..=DAY)
                .await
                .unwrap()
                .values()
                .map(|f| f.closed)
                .sum::<u64>(),
            19
        );
        disk = disk.crash(&Unsynced::Lost);
        archive = open(&disk).await;
    }
    let other = |n| Record {
        blob: Bytes::from_static(b"the agreed one"),
        ..record(n)
    };
    archive.append((5..25).map(other).collect()).await.unwrap();
    let now: Vec<Record> = (1..40)
        .map(|n| {
            if (5..25).contains(&n) {
                other(n)
            } else {
                record(n)
            }
        })
        .collect();
    for _ in 0..2 {
        assert_eq!(chain(&archive).await.unwrap(), folded(&now));
        assert_eq!(archive.get(CELL, 24).await.unwrap(), Some(other(24)));
        disk = disk.crash(&Unsynced::Lost);
        archive = open(&disk).await;
    }
}

#[tokio::test]
async fn a_file_of_a_later_version_is_not_touched() {
    let disk = MemoryDisk::default();
    open(&disk).await.append(records(1..3)).await.unwrap();
    let path = segment(0);
    let env = env(&disk, 1);
    let file = env.disk.open(&path, super::core::BULK).await.unwrap();
    let mut head = Vec::new();
    head.extend_from_slice(b"antiarch\x02\0\0\0abcd");
    let id = super::segment::FileId {
        cell: CELL,
        day: DAY as u16,
        number: 0,
    };
    head.extend_from_slice(&id.packed().to_le_bytes());
    let crc = crc32c::crc32c(&head);
    head.extend_from_slice(&crc.to_le_bytes());
    file.write_at(0, head.into()).await.unwrap();
    let before = disk.content(&path);
    let opened = Archive::open(&env, dir(), Arc::new(MemoryIndexes), SMALL).await;
    assert!(matches!(
        opened,
        Err(ArchiveOpenError::NewerFormat { found: 2, .. })
    ));
    assert_eq!(disk.content(&path), before);
}

#[tokio::test]
async fn a_closed_archive_says_so_and_opens_whole() {
    let disk = MemoryDisk::default();
    let archive = open(&disk).await;
    archive.append(records(1..9)).await.unwrap();
    archive.close().await;
    assert_eq!(
        archive.append(records(9..10)).await,
        Err(ArchiveError::Closed)
    );
    let archive = open(&disk).await;
    assert_eq!(chain(&archive).await.unwrap(), folded(&records(1..9)));
}
