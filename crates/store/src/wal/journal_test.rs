//! Claims about the audit journal, one event each.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use runtime::memory::{self, ManualClock, MemoryDisk, Unsynced};
use runtime::{Create, Disk, DiskLane, Env, Open};

use super::wal_test::*;
use super::*;

const DAY_MS: u64 = 86_400_000;
const OTHER: GroupId = GroupId(2);
/// A journal of the log of these tests that keeps everything.
const ALL: JournalOptions = JournalOptions {
    days: 30,
    max_bytes: u64::MAX,
    free_bytes_min: 0,
};

async fn kept(disk: &MemoryDisk, clock: &ManualClock, bounds: JournalOptions) -> Wal {
    let env = Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(clock.clone()),
        ..memory::env(1)
    };
    let options = WalOptions {
        journal: Some(bounds),
        ..OPTIONS
    };
    Wal::open(&env, dir(), options).await.unwrap().0
}

/// Writes entries over several segments and purges all but the last of them.
async fn fill(wal: &Wal, from: u64, to: u64) {
    store_many(&wal.group(GROUP), from..to + 1).await;
    wal.group(GROUP).purge(id(to - 1), None).await.unwrap();
    settle().await;
}

fn files(disk: &MemoryDisk) -> Vec<PathBuf> {
    let journal = journal_dir(dir());
    let mut paths = disk.paths();
    paths.retain(|path| path.starts_with(&journal));
    paths
}

async fn read(disk: &MemoryDisk) -> JournalContent {
    read_journal(Arc::new(disk.clone()), dir()).await.unwrap()
}

#[tokio::test]
async fn a_segment_that_no_group_needs_is_moved_byte_for_byte_and_stays_over_a_restart() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let wal = kept(&disk, &clock, ALL).await;
    store_many(&wal.group(GROUP), 1..21).await;
    let before = disk.content(&segment(1)).unwrap();
    wal.group(GROUP).purge(id(19), None).await.unwrap();
    settle().await;
    assert!(disk.content(&segment(1)).is_none());
    let first = files(&disk)[0].clone();
    assert_eq!(first, Path::new("/data/journal/2026-01-01-0000000001.wal"));
    assert!(disk.content(&first).unwrap() == before);
    let status = wal.journal().unwrap().status();
    assert_eq!(status.segments, files(&disk).len() as u64);
    assert!(status.segments >= 2 && status.bytes >= status.segments * 4_096);
    assert_eq!(status.oldest_day, Some(20_454));
    let disk = disk.crash(&Unsynced::Lost);
    let wal = kept(&disk, &clock, ALL).await;
    assert_eq!(wal.journal().unwrap().status(), status);
    assert_eq!(indexes(&wal.group(GROUP)).await, [20]);
}

#[tokio::test]
async fn without_a_journal_segments_are_removed_and_no_days_keep_none() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let wal = open(&disk).await;
    fill(&wal, 1, 20).await;
    assert_eq!(files(&disk), [] as [PathBuf; 0]);
    wal.close().await;
    let wal = kept(&disk, &clock, ALL).await;
    fill(&wal, 21, 40).await;
    assert!(!files(&disk).is_empty());
    wal.close().await;
    let none = JournalOptions { days: 0, ..ALL };
    let wal = kept(&disk, &clock, none).await;
    assert_eq!(files(&disk), [] as [PathBuf; 0]);
    fill(&wal, 41, 60).await;
    assert_eq!(files(&disk), [] as [PathBuf; 0]);
    assert!(disk.content(&segment(1)).is_none());
}

#[tokio::test]
async fn what_is_too_old_goes_at_a_sweep_at_a_start_and_at_a_purge() {
    let bounds = JournalOptions { days: 2, ..ALL };
    for way in 0..3 {
        let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
        let wal = kept(&disk, &clock, bounds).await;
        fill(&wal, 1, 20).await;
        let old = files(&disk);
        clock.advance_ms(2 * DAY_MS);
        let pruned = wal.journal().unwrap().sweep().await.unwrap();
        assert_eq!((pruned.segments, files(&disk)), (0, old.clone()));
        clock.advance_ms(DAY_MS);
        let wal = match way {
            0 => {
                let pruned = wal.journal().unwrap().sweep().await.unwrap();
                assert_eq!(pruned.segments, old.len() as u64);
                wal
            }
            1 => {
                wal.close().await;
                kept(&disk, &clock, bounds).await
            }
            _ => {
                fill(&wal, 21, 40).await;
                wal
            }
        };
        assert!(old.iter().all(|path| disk.content(path).is_none()));
        let left = wal.journal().unwrap().status();
        assert_eq!(left.segments > 0, way == 2, "{left:?}");
    }
}

#[tokio::test]
async fn what_is_too_much_goes_the_oldest_first() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let max_bytes = 3 * 4_096;
    let bounds = JournalOptions { max_bytes, ..ALL };
    let wal = kept(&disk, &clock, bounds).await;
    fill(&wal, 1, 60).await;
    let status = wal.journal().unwrap().status();
    assert_eq!((status.segments, status.bytes), (3, max_bytes));
    // The log goes on where the journal ends.
    let content = read(&disk).await;
    assert_eq!(content.problems, []);
    let [group] = &content.groups[..] else {
        panic!("{content:?}")
    };
    assert_eq!((group.group, group.gap.clone()), (GROUP, None));
    assert!(*group.indexes.start() > 20 && *group.indexes.end() < 60);
    wal.close().await;
    let less = JournalOptions {
        max_bytes: 4_096,
        ..ALL
    };
    let wal = kept(&disk, &clock, less).await;
    assert_eq!(wal.journal().unwrap().status().segments, 1, "at the start");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fills_up_takes_the_journal_before_the_log_waits() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let wal = kept(&disk, &clock, ALL).await;
    disk.faults(|faults| faults.capacity_bytes = Some(20 * 4_096));
    let health = wal.health();
    // Far more than the disk holds, and the log never needs more than a few segments.
    for turn in 0..20 {
        fill(&wal, turn * 20 + 1, turn * 20 + 20).await;
        assert_eq!(*health.borrow(), Health::Good, "turn {turn}");
    }
    assert!(!health.has_changed().unwrap());
    let status = wal.journal().unwrap().status();
    assert!(
        status.segments > 0 && status.bytes <= 20 * 4_096,
        "{status:?}"
    );
    assert_eq!(status.fault, None);
    assert_eq!(read(&disk).await.problems, []);
    let disk = disk.crash(&Unsynced::Lost);
    let wal = kept(&disk, &clock, ALL).await;
    assert_eq!(indexes(&wal.group(GROUP)).await, [400]);
}

#[tokio::test]
async fn room_that_others_took_is_given_back_at_the_next_sweep() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let bounds = JournalOptions {
        free_bytes_min: 2 * 4_096,
        ..ALL
    };
    let wal = kept(&disk, &clock, bounds).await;
    fill(&wal, 1, 60).await;
    let before = wal.journal().unwrap().status();
    let used: usize = disk
        .paths()
        .iter()
        .map(|path| disk.content(path).unwrap().len())
        .sum();
    disk.faults(|faults| faults.capacity_bytes = Some(used as u64 + 100));
    let pruned = wal.journal().unwrap().sweep().await.unwrap();
    assert_eq!(pruned.segments, 2, "{before:?}");
    assert!(disk.free_space(dir()).await.unwrap() >= bounds.free_bytes_min);
    // A disk that is full without the journal: nothing is kept and nothing stays in the log either.
    disk.faults(|faults| faults.capacity_bytes = Some(0));
    // What a removal frees is reckoned, not asked: some disks say so later only.
    while wal.journal().unwrap().sweep().await.unwrap().segments > 0 {}
    assert_eq!(files(&disk), [] as [PathBuf; 0]);
    fill(&wal, 61, 62).await;
    assert_eq!(files(&disk), [] as [PathBuf; 0]);
    assert!(wal.segments() <= 2);
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_said_and_stops_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(runtime::real::RealDisk::start().unwrap());
    let env = Env {
        disk: disk.clone(),
        ..memory::env(1)
    };
    let log = parent.path().join("log");
    let options = WalOptions {
        journal: Some(ALL),
        ..OPTIONS
    };
    std::fs::write(journal_dir(&log), "a file where the folder should be").unwrap();
    let (wal, _) = Wal::open(&env, &log, options).await.unwrap();
    let journal = wal.journal().unwrap();
    assert!(journal.status().fault.is_some());
    store_many(&wal.group(GROUP), 1..21).await;
    wal.group(GROUP).purge(id(19), None).await.unwrap();
    wal.close().await;
    let oldest = disk.list(&log).await.unwrap()[0].clone();
    assert_ne!(oldest, "0000000001.wal", "it left the log all the same");
    // Once it can be used it is, and says so.
    std::fs::remove_file(journal_dir(&log)).unwrap();
    journal.sweep().await.unwrap();
    assert_eq!(journal.status().fault, None);
    let (wal, _) = Wal::open(&env, &log, options).await.unwrap();
    store_many(&wal.group(GROUP), 21..41).await;
    // Taken away while the log runs: made anew.
    std::fs::remove_dir_all(journal_dir(&log)).unwrap();
    wal.group(GROUP).purge(id(39), None).await.unwrap();
    wal.close().await;
    let status = wal.journal().unwrap().status();
    assert!(status.segments > 0 && status.fault.is_none(), "{status:?}");
    let content = read_journal(disk, &log).await.unwrap();
    assert_eq!(content.segments, status.segments);
}

#[tokio::test]
async fn the_ranges_of_every_group_are_known_without_reading_everything() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let wal = kept(&disk, &clock, ALL).await;
    let journal = wal.journal().unwrap();
    store_many(&wal.group(GROUP), 1..10).await;
    // A group that begins later, behind a snapshot of its leader.
    let chain = Some(Chain([7; 16]));
    wal.group(OTHER).purge(id(500), chain).await.unwrap();
    store(&wal.group(OTHER), vec![entry(501, "late")])
        .await
        .unwrap();
    store_many(&wal.group(GROUP), 10..30).await;
    wal.group(OTHER).purge(id(501), None).await.unwrap();
    wal.group(GROUP).purge(id(28), None).await.unwrap();
    settle().await;
    journal.look().await.unwrap();
    let whole = read(&disk).await;
    assert_eq!(whole.problems, []);
    let read_ranges = |content: &JournalContent| -> Vec<JournalRange> {
        let range = |group: &JournalGroup| JournalRange {
            group: group.group,
            first: *group.indexes.start(),
            last: *group.indexes.end(),
        };
        content.groups.iter().map(range).collect()
    };
    let ranges = journal.status().ranges;
    assert_eq!(ranges, read_ranges(&whole));
    assert_eq!((ranges[0].first, ranges[1].first), (1, 501));
    // The oldest goes: the beginning moves on, the other group has nothing left.
    let bounds = JournalOptions {
        max_bytes: 4_096,
        ..ALL
    };
    wal.close().await;
    let wal = kept(&disk, &clock, bounds).await;
    let journal = wal.journal().unwrap();
    journal.look().await.unwrap();
    let ranges = journal.status().ranges;
    assert_eq!(ranges, read_ranges(&read(&disk).await));
    assert!(ranges.len() == 1 && ranges[0].first > 10, "{ranges:?}");
}

/// Where `text` stands in the journal.
fn place(disk: &MemoryDisk, text: &str) -> (PathBuf, usize) {
    let found = files(disk).into_iter().find_map(|path| {
        let content = disk.content(&path)?;
        let at = content
            .windows(text.len())
            .position(|window| window == text.as_bytes())?;
        Some((path, at))
    });
    found.expect("it is in the journal")
}

/// Two groups in turn over several segments, all of it in the journal.
async fn two_groups(disk: &MemoryDisk, clock: &ManualClock) {
    let wal = kept(disk, clock, ALL).await;
    for index in 1..41 {
        for group in [GROUP, OTHER] {
            let text = format!("g{} e{index} {}", group.0, "x".repeat(200));
            store(&wal.group(group), vec![entry(index, &text)])
                .await
                .unwrap();
        }
    }
    for group in [GROUP, OTHER] {
        wal.group(group).purge(id(39), None).await.unwrap();
    }
    settle().await;
    wal.close().await;
    assert_eq!(read(disk).await.problems, []);
}

#[tokio::test]
async fn damaged_records_are_named_with_group_entry_and_place_and_the_rest_is_read() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    two_groups(&disk, &clock).await;
    let (file, at) = place(&disk, "g2 e7 ");
    disk.damage(&file, at as u64 + 20, &[4]);
    let content = read(&disk).await;
    let [problem] = &content.problems[..] else {
        panic!("{:?}", content.problems)
    };
    assert_eq!(problem.fault, JournalFault::Checksum);
    assert_eq!(problem.entries, Some((OTHER, 7..=7)));
    assert_eq!(problem.place.file, file);
    assert!((at as u64 - 200..=at as u64).contains(&problem.place.offset));
    let [one, two] = &content.groups[..] else {
        panic!("{content:?}")
    };
    assert_eq!(one.indexes.clone().count() as u64, one.entries);
    assert_eq!(two.indexes.clone().count() as u64, two.entries + 1);
}

#[tokio::test]
async fn an_altered_record_with_a_fitting_checksum_is_named_once() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    two_groups(&disk, &clock).await;
    let (file, at) = place(&disk, "g1 e9 ");
    let content = disk.content(&file).unwrap();
    let salt = u32::from_le_bytes(content[12..16].try_into().unwrap());
    let start = at - frame::ENTRY_BYTES;
    let length = u32::from_le_bytes(content[start + 4..start + 8].try_into().unwrap()) as usize;
    let mut altered = content[start..start + length].to_vec();
    altered[frame::ENTRY_BYTES] ^= 1;
    let crc = crc32c::crc32c_append(salt, &altered[4..]).to_le_bytes();
    let mask: Vec<u8> = (0..4).map(|at| crc[at] ^ content[start + at]).collect();
    disk.damage(&file, start as u64, &mask);
    disk.damage(&file, at as u64, &[1]);
    let found = read(&disk).await.problems;
    let [problem] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(problem.fault, JournalFault::Chain);
    assert_eq!(problem.entries, Some((GROUP, 9..=9)));
    assert_eq!(problem.place.offset, start as u64);
}

#[tokio::test]
async fn missing_segments_and_a_gap_to_the_log_are_named() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    two_groups(&disk, &clock).await;
    let all = files(&disk);
    assert!(all.len() >= 5, "{all:?}");
    let whole = read(&disk).await;
    disk.remove(&all[2]).await.unwrap();
    let content = read(&disk).await;
    let both: Vec<_> = content
        .problems
        .iter()
        .map(|problem| (problem.fault, problem.place.file.clone()))
        .collect();
    assert_eq!(both, vec![(JournalFault::Missing, all[2].clone()); 2]);
    let lost: u64 = content
        .problems
        .iter()
        .map(|problem| problem.entries.clone().unwrap().1.count() as u64)
        .sum();
    let entries = |content: &JournalContent| -> u64 {
        content.groups.iter().map(|group| group.entries).sum()
    };
    assert_eq!(entries(&content) + lost, entries(&whole));
    // The newest goes: the log does not begin where the journal ends.
    disk.remove(all.last().unwrap()).await.unwrap();
    let content = read(&disk).await;
    assert_eq!(content.problems.len(), 2);
    for (group, before) in content.groups.iter().zip(&whole.groups) {
        let gap = group.gap.clone().expect("a gap");
        assert_eq!(*gap.start(), group.indexes.end() + 1);
        assert_eq!(gap.end(), before.indexes.end());
    }
    // A head that cannot be read, and a file that was cut to nothing.
    disk.damage(&all[0], 0, &[0xff]);
    let content = read(&disk).await;
    assert_eq!(content.problems[0].fault, JournalFault::Unreadable);
}

#[tokio::test]
async fn a_move_that_a_crash_cut_in_two_leaves_the_segment_to_the_log() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let wal = kept(&disk, &clock, ALL).await;
    store_many(&wal.group(GROUP), 1..21).await;
    wal.close().await;
    // In both folders under its number, and another file of the same number.
    let double = journal_dir(dir()).join("2026-01-01-0000000001.wal");
    let other = journal_dir(dir()).join("2025-12-31-0000000002.wal");
    let content = disk.content(&segment(1)).unwrap();
    for (path, content) in [(&double, content), (&other, b"of another log".to_vec())] {
        let open = runtime::Open {
            create: runtime::Create::New,
            lane: runtime::DiskLane::Bulk,
        };
        let file = disk.open(path, open).await.unwrap();
        file.write_at(0, Bytes::from(content)).await.unwrap();
    }
    let wal = kept(&disk, &clock, ALL).await;
    assert_eq!(files(&disk), [other]);
    assert_eq!(indexes(&wal.group(GROUP)).await.len(), 20);
}

#[tokio::test]
async fn a_cut_behind_an_entry_that_never_was_hides_no_gap() {
    let disk = MemoryDisk::default();
    let base = |index, chain| frame::Base {
        id: id(index),
        chain,
    };
    let stamp = frame::Stamp { salt: 7, batch: 1 };
    let first = base(1, Chain::default().next(1, 1, b"one"));
    let never = base(900, Chain::default());
    let mut file = frame::LOG.file_head(7, 1).to_vec();
    stamp.put_entry(&mut file, GROUP, &first, b"one");
    let keep = Some(never);
    stamp.put(&mut file, GROUP, &frame::Body::Truncate { keep });
    let next = base(901, never.chain.next(1, 901, b"next"));
    stamp.put_entry(&mut file, GROUP, &next, b"next");
    let path = journal_dir(dir()).join("2026-01-01-0000000001.wal");
    disk.create_dir_all(&journal_dir(dir())).await.unwrap();
    let open = Open {
        create: Create::New,
        lane: DiskLane::Bulk,
    };
    let written = disk.open(&path, open).await.unwrap();
    written.write_at(0, file.into()).await.unwrap();
    let content = read(&disk).await;
    let [problem] = &content.problems[..] else {
        panic!("{content:?}")
    };
    assert_eq!(problem.fault, JournalFault::Missing);
    assert_eq!(problem.entries, Some((GROUP, 2..=900)));
    assert_eq!(
        (&content.groups[0].indexes, content.groups[0].entries),
        (&(1..=901), 2)
    );
}
