//! Files of the log and of the journal.
//! Promise: see the crate; a log that opens is read, closed and opened again with the same content.
//! Not here: what entries hold (`machines`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use runtime::memory::{MemoryDisk, Unsynced};
use store::{EntryId, GroupId, LogScan, Record, Wal, WalOptions, journal_dir, read_journal};

use crate::ground::{block_on, env, put, settle};
use crate::{made, seal};

/// Bytes of a segment here: a few frames of a seed.
const SEGMENT_BYTES: u64 = 4_096;
/// Bytes read back of a group's log at once.
const READ_BYTES_MAX: usize = 1 << 20;

fn dir() -> &'static Path {
    Path::new("/node/log")
}

fn segment() -> PathBuf {
    dir().join("0000000001.wal")
}

fn options() -> WalOptions {
    WalOptions {
        segment_bytes: SEGMENT_BYTES,
        ..WalOptions::small()
    }
}

/// The file of an input: its checksums made right where the first byte is odd, zeros behind it where its
/// second bit is set, as in a segment that is not full.
fn file(data: &[u8]) -> Vec<u8> {
    let Some((mode, file)) = data.split_first() else {
        return Vec::new();
    };
    let mut file = file.to_vec();
    if mode & 1 != 0 {
        seal::frames(&mut file, 1);
    }
    if mode & 2 != 0 {
        file.resize(file.len().next_multiple_of(SEGMENT_BYTES as usize), 0);
    }
    file
}

/// A segment read as it stands.
pub fn wal_scan(data: &[u8]) {
    let file = file(data);
    block_on(async {
        let disk = MemoryDisk::default();
        put(&disk, &segment(), &file).await;
        let Ok(mut scan) = LogScan::open(Arc::new(disk.clone()), dir()).await else {
            return;
        };
        let mut found = 0;
        while let Ok(true) = scan.next_segment(&mut |_, _, _| found += 1).await {}
        assert!(
            found * 24 <= file.len(),
            "each thing that is found has a frame"
        );
        assert_eq!(
            disk.content(&segment()),
            Some(file),
            "nothing on disk is changed"
        );
    });
}

/// All that a log says of one group.
#[derive(Debug, PartialEq)]
struct Held {
    group: GroupId,
    purged: Option<EntryId>,
    vote: Option<Bytes>,
    records: Vec<Record>,
}

/// A segment that a log begins with, opened to go on.
pub fn wal_open(data: &[u8]) {
    let file = file(data);
    block_on(async {
        let disk = MemoryDisk::default();
        put(&disk, &segment(), &file).await;
        let Some(first) = held(&disk).await else {
            return;
        };
        let disk = disk.crash(&Unsynced::Kept);
        let second = held(&disk)
            .await
            .expect("a log that was opened opens again");
        assert_eq!(first, second, "opening changes nothing of what a log holds");
    });
}

async fn held(disk: &MemoryDisk) -> Option<Vec<Held>> {
    let (wal, _) = Wal::open(&env(disk), dir(), options()).await.ok()?;
    let mut all = Vec::new();
    for group in wal.groups() {
        let log = wal.group(group);
        let purged = log.purged();
        let first = purged.map_or(Some(0), |purged| purged.index.checked_add(1));
        let end = log.last().and_then(|last| last.index.checked_add(1));
        let mut records = Vec::new();
        let mut next = first;
        while let (Some(from), Some(end)) = (next, end)
            && from < end
        {
            let read = log.read(from..end, READ_BYTES_MAX).await;
            let Some(last) = read.as_ref().ok().and_then(|read| read.last()) else {
                break;
            };
            next = last.index.checked_add(1);
            records.extend(read.unwrap_or_default());
        }
        all.push(Held {
            group,
            purged,
            vote: log.vote(),
            records,
        });
    }
    wal.close().await;
    settle().await;
    Some(all)
}

/// A segment in the journal.
pub fn wal_journal(data: &[u8]) {
    let file = file(data);
    block_on(async {
        let disk = MemoryDisk::default();
        let path = journal_dir(dir()).join("2026-01-01-0000000001.wal");
        put(&disk, &path, &file).await;
        let read = read_journal(Arc::new(disk), dir()).await;
        let content = read.expect("damage never ends the reading");
        assert_eq!((content.segments, content.bytes), (1, file.len() as u64));
        for group in content.groups {
            assert!(group.indexes.start() <= group.indexes.end());
            assert!(
                group.entries * 64 <= file.len() as u64,
                "each entry has a frame"
            );
        }
    });
}

/// Logs with every kind of frame, as `store` writes them.
pub fn seeds() -> Vec<Vec<u8>> {
    let entry = |index: u64, payload: Bytes| Record {
        term: 1 + index / 3,
        leader_node: 1,
        index,
        payload,
    };
    let whole = block_on(async {
        let disk = MemoryDisk::default();
        let (wal, _) = Wal::open(&env(&disk), dir(), options()).await.ok()?;
        let (log, other) = (wal.group(GroupId(1)), wal.group(GroupId(7)));
        let first = (0..4).map(|index| entry(index, made::blob(9 + index as usize)));
        log.append(first.collect(), |_| {}).await.ok()?;
        log.save_vote(Bytes::from_static(b"vote")).await.ok()?;
        log.save_committed(Bytes::from_static(b"mark"));
        log.truncate_after(Some(2)).await.ok()?;
        other
            .append(vec![entry(0, made::blob(3))], |_| {})
            .await
            .ok()?;
        let upto = log.entry_id(1)?;
        log.purge(upto, log.chain(1)).await.ok()?;
        log.append(vec![entry(3, made::blob(70))], |_| {})
            .await
            .ok()?;
        wal.close().await;
        settle().await;
        disk.content(&segment())
    });
    let mut file = whole.expect("a disk in memory takes a log");
    let used = file
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    file.truncate(used.next_multiple_of(8));
    vec![[&[3], &file[..]].concat()]
}
