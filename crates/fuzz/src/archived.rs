//! Files of the archive, its index, and questions to both.
//! Promise: see the crate; what an archive serves was archived, whatever its files and its index say.
//! Not here: what a record holds (`machines`).

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use runtime::Compute;
use runtime::memory::MemoryDisk;
use store::archive::{
    Archive, ArchiveOptions, Change, Facts, Index, IndexFault, MemoryIndexes, OpenIndex, Page,
    PageToken, Pair, Record, Sealing, Within,
};

use crate::ground::{block_on, env, put, settle};
use crate::{made, seal};

const CELL: u32 = 1;
/// 2026-01-01, midnight.
const DAY_MS: u64 = 20_454 * 86_400_000;
/// Records of the archive that every target stands on.
const RECORDS: u64 = 12;
const OPTIONS: ArchiveOptions = ArchiveOptions {
    segment_bytes: 64 << 10,
    archive_days: 90,
    archive_max_bytes: 1 << 30,
};

fn dir() -> &'static Path {
    Path::new("/archive")
}

fn segment() -> PathBuf {
    dir().join("1/2026-01-01-0.seg")
}

fn discards() -> PathBuf {
    dir().join("1/discards")
}

fn record(number: u64) -> Record {
    Record {
        cell: CELL,
        sealed: 10 * number,
        conversation: number,
        customer: format!("web/customer-{}", number % 3).into(),
        agents: vec![format!("agent-{}", number % 2)],
        queue: "help".to_owned(),
        opened_wall_ms: DAY_MS,
        closed_wall_ms: DAY_MS + number * 60_000,
        facts: Facts {
            answered: true,
            abandoned: false,
            wait_ms: number,
            handle_ms: 2 * number,
            rating: (number % 4 == 1).then_some(4),
        },
        blob: made::blob(20 + number as usize),
    }
}

/// An index in memory of which the pairs are known.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Shown {
    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OpenIndex for Shown {
    fn open(&self, _: &Path) -> Result<Box<dyn Index>, IndexFault> {
        Ok(Box::new(self.clone()))
    }

    fn set_aside(&self, _: &Path) -> Result<(), IndexFault> {
        self.with(BTreeMap::clear);
        Ok(())
    }

    fn compute(&self) -> std::io::Result<Compute> {
        Ok(Compute::inline())
    }
}

impl Index for Shown {
    fn last_within(&self, low: &[u8], high: &[u8]) -> Result<Option<Pair>, IndexFault> {
        let found = self.with(|pairs| {
            let mut range = (low <= high).then(|| pairs.range(low.to_vec()..=high.to_vec()));
            let last = range.as_mut().and_then(DoubleEndedIterator::next_back);
            last.map(|(key, value)| (key.clone(), value.clone()))
        });
        Ok(found)
    }

    fn each(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), IndexFault> {
        let pairs = self.with(|pairs| pairs.clone());
        pairs
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn write(&mut self, changes: Vec<Change>) -> Result<(), IndexFault> {
        self.with(|pairs| {
            for (key, value) in changes {
                match value {
                    Some(value) => drop(pairs.insert(key, value)),
                    None => drop(pairs.remove(&key)),
                }
            }
        });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IndexFault> {
        Ok(())
    }

    fn check(&self) -> Result<(), IndexFault> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.with(|pairs| pairs.len() as u64)
    }
}

/// An archive's files and its index, as `store` makes them.
struct Kept {
    disk: MemoryDisk,
    pairs: Vec<Pair>,
}

fn kept() -> Kept {
    let made = block_on(async {
        let (disk, shown) = (MemoryDisk::default(), Shown::default());
        let opened = Archive::open(&env(&disk), dir(), Arc::new(shown.clone()), OPTIONS).await;
        let (archive, _) = opened.ok()?;
        archive
            .append((1..=RECORDS / 2).map(record).collect())
            .await
            .ok()?;
        archive
            .append((RECORDS / 2 + 1..=RECORDS).map(record).collect())
            .await
            .ok()?;
        let at = |number: u64| Sealing {
            sealed: 10 * number,
            conversation: number,
        };
        archive.discard(CELL, at(3), at(4)).await.ok()?;
        archive.close().await;
        settle().await;
        let pairs = shown.with(|pairs| pairs.clone().into_iter().collect());
        Some(Kept { disk, pairs })
    });
    made.expect("a disk in memory takes an archive")
}

thread_local! {
    static KEPT: OnceCell<Kept> = const { OnceCell::new() };
    static ASKED: OnceCell<Archive> = const { OnceCell::new() };
}

fn with_kept<T>(look: impl FnOnce(&Kept) -> T) -> T {
    KEPT.with(|cell| look(cell.get_or_init(kept)))
}

fn content(path: &Path) -> Vec<u8> {
    with_kept(|kept| kept.disk.content(path)).unwrap_or_default()
}

/// Asks everything that an archive can be asked; each record that it serves was archived.
async fn ask_all(archive: &Archive) {
    let page = || Page {
        after: None,
        records_max: 5,
    };
    let mut served = Vec::new();
    let mut next = Some(page());
    // As many pages as there can be, and one that would be too many.
    for _ in 0..=RECORDS {
        let Some(page) = next.take() else { break };
        if let Ok(found) = archive.by_time(Within::default(), page).await {
            next = found.next.map(|after| Page {
                after: Some(after),
                ..page
            });
            served.extend(found.records);
        }
    }
    assert!(next.is_none(), "paging comes to an end");
    for found in [
        archive
            .by_customer(b"web/customer-1", Within::default(), page())
            .await,
        archive.by_agent("agent-1", Within::default(), page()).await,
    ] {
        served.extend(found.map(|found| found.records).unwrap_or_default());
    }
    for number in [0, 1, RECORDS, u64::MAX] {
        served.extend(archive.get(CELL, number).await.ok().flatten());
    }
    let sealed = archive.in_order(CELL, Sealing::default(), u64::MAX).await;
    served.extend(sealed.map(|sealed| sealed.records).unwrap_or_default());
    drop(archive.hashes(CELL, Sealing::default(), u64::MAX).await);
    drop(archive.chain(CELL, 0, u64::MAX, [0; 16]).await);
    drop(archive.figures(0..=u32::MAX).await);
    drop(archive.scrub_step(1).await);
    for found in served {
        let number = found.conversation;
        assert!(
            (1..=RECORDS).contains(&number),
            "no such record was archived: {number}"
        );
        assert_eq!(
            found.blob,
            record(number).blob,
            "a record is served with its own bytes"
        );
    }
}

/// A segment, or where the first byte's second bit is set the ranges that give way; its checksums made right
/// where its first bit is set.
pub fn archive_files(data: &[u8]) {
    let Some((mode, file)) = data.split_first() else {
        return;
    };
    let mut file = file.to_vec();
    if mode & 1 != 0 {
        seal::frames(&mut file, 2);
    }
    let (path, other) = match mode & 2 {
        0 => (segment(), None),
        _ => (discards(), Some(content(&segment()))),
    };
    block_on(async {
        let disk = MemoryDisk::default();
        put(&disk, &path, &file).await;
        if let Some(other) = &other {
            put(&disk, &segment(), other).await;
        }
        let opened = Archive::open(&env(&disk), dir(), Arc::new(MemoryIndexes), OPTIONS).await;
        if let Ok((archive, _)) = opened {
            read_through(&archive, file.len()).await;
            archive.close().await;
            settle().await;
        }
    });
}

/// A segment may say anything that has the hash of its blob; what it serves is no more than it has.
async fn read_through(archive: &Archive, bytes: usize) {
    let page = Page {
        after: None,
        records_max: 64,
    };
    if let Ok(found) = archive.by_time(Within::default(), page).await {
        assert!(found.records.len() <= 64);
        for record in &found.records {
            let again = archive.get(record.cell, record.conversation).await;
            assert!(again.is_ok(), "what a page shows can be asked for");
        }
    }
    drop(archive.in_order(CELL, Sealing::default(), u64::MAX).await);
    drop(archive.hashes(CELL, Sealing::default(), u64::MAX).await);
    drop(archive.chain(CELL, 0, u64::MAX, [0; 16]).await);
    drop(archive.figures(0..=u32::MAX).await);
    let scrubbed = archive.scrub_step(1).await;
    assert!(scrubbed.is_err() || bytes < 1 << 20);
}

/// An index that says anything about a segment that is whole: pairs, each part behind its length in two bytes, the
/// checksums made right where the first byte is odd.
pub fn archive_index(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else {
        return;
    };
    let pairs = pairs(rest, mode % 2 == 1);
    let (file, ranges) = (content(&segment()), content(&discards()));
    block_on(async {
        let (disk, shown) = (MemoryDisk::default(), Shown::default());
        put(&disk, &segment(), &file).await;
        put(&disk, &discards(), &ranges).await;
        shown.with(|known| known.extend(pairs));
        let opened = Archive::open(&env(&disk), dir(), Arc::new(shown), OPTIONS).await;
        if let Ok((archive, _)) = opened {
            ask_all(&archive).await;
            archive.close().await;
            settle().await;
        }
    });
}

fn pairs(mut rest: &[u8], sealed: bool) -> Vec<Pair> {
    let mut part = || {
        let (len, behind) = rest.split_first_chunk()?;
        let len = usize::from(u16::from_le_bytes(*len)).min(behind.len());
        let (part, behind) = behind.split_at(len);
        rest = behind;
        Some(part.to_vec())
    };
    let mut pairs = Vec::new();
    while let (Some(key), Some(mut value)) = (part(), part()) {
        if sealed {
            seal::value(&key, &mut value);
        }
        pairs.push((key, value));
    }
    pairs
}

/// A search: a page token as a client brings it back, cell, span and names.
pub fn archive_search(data: &[u8]) {
    let Some((head, name)) = data.split_first_chunk::<40>() else {
        return;
    };
    let number = |at: usize| {
        let eight = head[at..].first_chunk().expect("the head is long enough");
        u64::from_be_bytes(*eight)
    };
    let within = Within {
        cell: (head[36] & 1 != 0).then_some(CELL),
        closed_ms: number(20)..=number(28),
    };
    let page = Page {
        after: (head[36] & 2 != 0)
            .then(|| PageToken::from_bytes(&head[..20]))
            .flatten(),
        records_max: usize::from(head[37]),
    };
    let archive = ASKED.with(|asked| asked.get_or_init(asked_archive).clone());
    let found = block_on(async {
        match head[38] % 4 {
            0 => archive.by_time(within.clone(), page).await,
            1 => archive.by_customer(name, within.clone(), page).await,
            2 => {
                archive
                    .by_agent(&String::from_utf8_lossy(name), within.clone(), page)
                    .await
            }
            _ => {
                let after = Sealing {
                    sealed: number(0),
                    conversation: number(8),
                };
                let sealed = archive.in_order(CELL, after, number(20)).await;
                drop(archive.hashes(CELL, after, number(20)).await);
                drop(archive.chain(CELL, number(20), number(28), [0; 16]).await);
                let fits = |record: &Record| {
                    let at = (record.sealed, record.conversation);
                    (after.sealed, after.conversation) < at && record.sealed <= number(20)
                };
                assert!(sealed.is_ok_and(|sealed| sealed.records.iter().all(fits)));
                return None;
            }
        }
        .ok()
    });
    let Some(found) = found else { return };
    let times: Vec<u64> = found
        .records
        .iter()
        .map(|record| record.closed_wall_ms)
        .collect();
    assert!(
        times.is_sorted_by(|later, earlier| later >= earlier),
        "newest first"
    );
    assert!(times.iter().all(|time| within.closed_ms.contains(time)));
    assert!(times.len() <= page.records_max.max(1));
}

fn asked_archive() -> Archive {
    let (file, ranges) = (content(&segment()), content(&discards()));
    block_on(async {
        let disk = MemoryDisk::default();
        put(&disk, &segment(), &file).await;
        put(&disk, &discards(), &ranges).await;
        let opened = Archive::open(&env(&disk), dir(), Arc::new(MemoryIndexes), OPTIONS).await;
        opened.expect("what was closed opens again").0
    })
}

/// A segment, and the ranges that give way.
pub fn file_seeds() -> Vec<Vec<u8>> {
    vec![
        [&[1], &content(&segment())[..]].concat(),
        [&[3], &content(&discards())[..]].concat(),
    ]
}

/// The index of a segment.
pub fn index_seeds() -> Vec<Vec<u8>> {
    let mut seed = vec![1];
    with_kept(|kept| {
        for part in kept.pairs.iter().flat_map(|(key, value)| [key, value]) {
            seed.extend_from_slice(&(part.len() as u16).to_le_bytes());
            seed.extend_from_slice(part);
        }
    });
    vec![seed]
}

/// A search of each kind.
pub fn search_seeds() -> Vec<Vec<u8>> {
    let seed = |kind: u8, name: &str| {
        let mut seed = [DAY_MS + 360_000, 6].map(u64::to_be_bytes).concat();
        seed.extend_from_slice(&CELL.to_be_bytes());
        seed.extend_from_slice(&0_u64.to_be_bytes());
        seed.extend_from_slice(&u64::MAX.to_be_bytes());
        seed.extend_from_slice(&[3, 4, kind, 0]);
        seed.extend_from_slice(name.as_bytes());
        seed
    };
    vec![
        seed(0, ""),
        seed(1, "web/customer-1"),
        seed(2, "agent-1"),
        seed(3, ""),
    ]
}
