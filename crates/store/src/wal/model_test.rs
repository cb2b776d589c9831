//! Random histories of several groups with crashes, against a model.
//! Claim: after any crash the log opens, and each group is in a state that it went through, not older
//! than the last one reported durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use runtime::memory::{self, MemoryDisk, Unsynced};
use runtime::{Env, Random};

use super::*;

const GROUPS: u32 = 3;

fn dir() -> &'static Path {
    Path::new("/log")
}

#[derive(Clone, Debug)]
enum Step {
    Append {
        group: u32,
        entries: u64,
        bytes: usize,
        new_term: bool,
    },
    Truncate {
        group: u32,
        back: u64,
    },
    Purge {
        group: u32,
        share: u64,
    },
    SnapshotBeyond {
        group: u32,
        ahead: u64,
    },
    Vote {
        group: u32,
    },
    Committed {
        group: u32,
    },
    Settle,
    Close,
    PowerLoss {
        after: u64,
        unsynced: u8,
        seed: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let group = 0..GROUPS;
    let step = prop_oneof![
        12 => (group.clone(), 1..5_u64, 0..900_usize, any::<bool>())
            .prop_map(|(group, entries, bytes, new_term)| Step::Append { group, entries, bytes, new_term }),
        2 => (group.clone(), 0..6_u64).prop_map(|(group, back)| Step::Truncate { group, back }),
        2 => (group.clone(), 0..101_u64).prop_map(|(group, share)| Step::Purge { group, share }),
        1 => (group.clone(), 1..9_u64).prop_map(|(group, ahead)| Step::SnapshotBeyond { group, ahead }),
        2 => group.clone().prop_map(|group| Step::Vote { group }),
        1 => group.prop_map(|group| Step::Committed { group }),
        2 => Just(Step::Settle),
        1 => Just(Step::Close),
        2 => (0..30_u64, 0..3_u8, any::<u64>())
            .prop_map(|(after, unsynced, seed)| Step::PowerLoss { after, unsynced, seed }),
    ];
    proptest::collection::vec(step, 1..60)
}

/// One group as it should be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    entries: BTreeMap<u64, Record>,
    purged: Option<EntryId>,
    vote: Option<Bytes>,
}

impl Model {
    fn last(&self) -> Option<EntryId> {
        self.entries
            .values()
            .next_back()
            .map(Record::id)
            .or(self.purged)
    }
}

/// All states that a group went through since it was opened, and the newest known to be durable.
#[derive(Default)]
struct History {
    states: Vec<Model>,
    durable: Arc<Mutex<usize>>,
}

impl History {
    fn of(model: Model) -> Self {
        Self {
            states: vec![model],
            durable: Arc::default(),
        }
    }

    fn now(&self) -> &Model {
        self.states.last().unwrap()
    }

    fn push(&mut self, model: Model) -> impl FnOnce(Result<(), WalError>) + Send + 'static {
        self.states.push(model);
        let (durable, number) = (self.durable.clone(), self.states.len() - 1);
        move |outcome| {
            if outcome.is_ok() {
                let mut durable = durable.lock();
                *durable = number.max(*durable);
            }
        }
    }
}

struct World {
    disk: MemoryDisk,
    wal: Wal,
    groups: Vec<History>,
    options: WalOptions,
    term: u64,
    salt: u64,
}

impl World {
    async fn new(cache_bytes: usize, journal: Option<JournalOptions>) -> Self {
        let disk = MemoryDisk::default();
        let options = WalOptions {
            segment_bytes: 6_000,
            cache_bytes,
            queue_bytes: 64 << 10,
            journal,
        };
        let wal = Self::open(&disk, options, 0).await.unwrap();
        let groups = (0..GROUPS).map(|_| History::of(Model::default())).collect();
        Self {
            disk,
            wal,
            groups,
            options,
            term: 1,
            salt: 0,
        }
    }

    async fn open(disk: &MemoryDisk, options: WalOptions, seed: u64) -> Result<Wal, OpenError> {
        let env = Env {
            disk: Arc::new(disk.clone()),
            ..memory::env(seed)
        };
        Ok(Wal::open(&env, dir(), options).await?.0)
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Append {
                group,
                entries,
                bytes,
                new_term,
            } => {
                self.append(group, entries, bytes, new_term).await;
            }
            Step::Truncate { group, back } => self.truncate(group, back).await,
            Step::Purge { group, share } => self.purge(group, share).await,
            Step::SnapshotBeyond { group, ahead } => self.snapshot_beyond(group, ahead).await,
            Step::Vote { group } => self.vote(group).await,
            Step::Committed { group } => self
                .wal
                .group(GroupId(group))
                .save_committed(Bytes::from("c")),
            Step::Settle => settle().await,
            Step::Close => self.close().await,
            Step::PowerLoss {
                after,
                unsynced,
                seed,
            } => self.power_loss(after, unsynced, seed).await,
        }
    }

    async fn append(&mut self, group: u32, entries: u64, bytes: usize, new_term: bool) {
        self.term += u64::from(new_term);
        let history = &mut self.groups[group as usize];
        let mut model = history.now().clone();
        let first = model.last().map_or(1, |last| last.index + 1);
        let records: Vec<Record> = (first..first + entries)
            .map(|index| {
                self.salt += 1;
                let payload = Bytes::from(vec![self.salt as u8; bytes]);
                Record {
                    term: self.term,
                    leader_node: self.term % 3,
                    index,
                    payload,
                }
            })
            .collect();
        model
            .entries
            .extend(records.iter().map(|record| (record.index, record.clone())));
        let done = history.push(model);
        // Fails only after a power loss; then nothing is claimed.
        drop(self.wal.group(GroupId(group)).append(records, done).await);
    }

    async fn truncate(&mut self, group: u32, back: u64) {
        let history = &mut self.groups[group as usize];
        let mut model = history.now().clone();
        let Some(last) = model.last() else { return };
        let keep = last.index.checked_sub(back);
        model
            .entries
            .retain(|index, _| keep.is_some_and(|keep| *index <= keep));
        let done = history.push(model);
        done(self.wal.group(GroupId(group)).truncate_after(keep).await);
    }

    async fn purge(&mut self, group: u32, share: u64) {
        let history = &mut self.groups[group as usize];
        let mut model = history.now().clone();
        let nth = (model.entries.len() as u64 * share / 101) as usize;
        let Some(upto) = model.entries.values().nth(nth).map(Record::id) else {
            return;
        };
        model.entries.retain(|index, _| *index > upto.index);
        model.purged = Some(upto);
        let done = history.push(model);
        done(self.wal.group(GroupId(group)).purge(upto, None).await);
    }

    async fn snapshot_beyond(&mut self, group: u32, ahead: u64) {
        let history = &mut self.groups[group as usize];
        let vote = history.now().vote.clone();
        let index = history.now().last().map_or(0, |last| last.index) + ahead;
        let upto = EntryId {
            term: self.term,
            leader_node: 9,
            index,
        };
        let done = history.push(Model {
            entries: BTreeMap::new(),
            purged: Some(upto),
            vote,
        });
        done(
            self.wal
                .group(GroupId(group))
                .purge(upto, Some(Chain([index as u8; 16])))
                .await,
        );
    }

    async fn vote(&mut self, group: u32) {
        self.salt += 1;
        let vote = Bytes::from(self.salt.to_string());
        let history = &mut self.groups[group as usize];
        let done = history.push(Model {
            vote: Some(vote.clone()),
            ..history.now().clone()
        });
        done(self.wal.group(GroupId(group)).save_vote(vote).await);
    }

    async fn close(&mut self) {
        self.wal.close().await;
        self.reopen().await;
    }

    /// The power goes some operations of the disk later, in the middle of what follows.
    async fn power_loss(&mut self, after: u64, unsynced: u8, seed: u64) {
        self.disk
            .faults(|faults| faults.power_lost_after = Some(after));
        for round in 0..after {
            let group = (round % u64::from(GROUPS)) as u32;
            self.append(group, 1 + round % 2, 700, false).await;
            if seed.rotate_left(round as u32).is_multiple_of(3) {
                settle().await;
            }
        }
        settle().await;
        let unsynced = match unsynced {
            0 => Unsynced::Lost,
            1 => Unsynced::Kept,
            _ => Unsynced::Torn(Random::from_seed(seed)),
        };
        self.disk = self.disk.crash(&unsynced);
        self.reopen().await;
    }

    async fn reopen(&mut self) {
        self.salt += 1;
        self.wal = Self::open(&self.disk, self.options, self.salt)
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        self.check_journal().await;
        for group in 0..GROUPS {
            let found = found(&self.wal.group(GroupId(group))).await;
            let history = &self.groups[group as usize];
            let durable = *history.durable.lock();
            assert!(
                history.states[durable..].contains(&found),
                "group {group}: found {found:?}\nnone of {:?}",
                &history.states[durable..]
            );
            self.groups[group as usize] = History::of(found);
        }
    }

    /// What the journal keeps is whole, within its bounds, and the log goes on where it ends.
    async fn check_journal(&self) {
        let Some(bounds) = self.options.journal else {
            return;
        };
        let content = read_journal(Arc::new(self.disk.clone()), dir())
            .await
            .unwrap();
        assert_eq!(content.problems, []);
        assert!(content.bytes <= bounds.max_bytes, "{content:?}");
        assert!(content.segments == 0 || bounds.days > 0, "{content:?}");
        if bounds == UNBOUNDED {
            assert!(content.groups.iter().all(|group| group.gap.is_none()));
            let mut numbers: Vec<u32> = numbers(&self.disk);
            let count = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), count, "a segment lies in both folders");
            assert_eq!(numbers, (1..=count as u32).collect::<Vec<_>>());
        }
    }

    async fn check_running(&self) {
        for group in 0..GROUPS {
            assert_eq!(
                found(&self.wal.group(GroupId(group))).await,
                *self.groups[group as usize].now()
            );
        }
    }
}

/// A journal that keeps everything.
const UNBOUNDED: JournalOptions = JournalOptions {
    days: 30,
    max_bytes: u64::MAX,
    free_bytes_min: 0,
};

/// Numbers of the segments in both folders.
fn numbers(disk: &MemoryDisk) -> Vec<u32> {
    let paths = disk.paths().into_iter();
    let mut numbers: Vec<u32> = paths
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".wal")?.to_owned();
            name.rsplit('-').next()?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// A group as the log gives it.
async fn found(log: &GroupLog) -> Model {
    let records = log.read(0..u64::MAX, usize::MAX).await.unwrap();
    assert!(
        records
            .windows(2)
            .all(|pair| pair[0].index + 1 == pair[1].index)
    );
    let model = Model {
        entries: records
            .into_iter()
            .map(|record| (record.index, record))
            .collect(),
        purged: log.purged(),
        vote: log.vote(),
    };
    assert_eq!(log.last(), model.last());
    for record in model.entries.values() {
        assert_eq!(log.entry_id(record.index), Some(record.id()));
    }
    model
}

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test);
}

/// Something that happens to a file of the journal.
#[derive(Clone, Debug)]
enum Wound {
    Gone(prop::sample::Index),
    Cut(prop::sample::Index, prop::sample::Index),
    Flipped(prop::sample::Index, prop::sample::Index, u8),
}

fn wounds() -> impl Strategy<Value = Wound> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(Wound::Gone),
        (index(), index()).prop_map(|(file, at)| Wound::Cut(file, at)),
        (index(), index(), 0..8_u8).prop_map(|(file, at, bit)| Wound::Flipped(file, at, bit)),
    ]
}

impl Wound {
    async fn inflict(&self, disk: &MemoryDisk) {
        let (Self::Gone(file) | Self::Cut(file, _) | Self::Flipped(file, ..)) = self;
        let journal = journal_dir(dir());
        let mut paths = disk.paths();
        paths.retain(|path| path.starts_with(&journal));
        if paths.is_empty() {
            return;
        }
        let path = file.get(&paths);
        let length = disk.content(path).unwrap().len();
        match self {
            Self::Gone(_) => runtime::Disk::remove(disk, path).await.unwrap(),
            Self::Cut(_, at) => {
                let open = runtime::Open {
                    create: runtime::Create::Never,
                    lane: runtime::DiskLane::Bulk,
                };
                let file = runtime::Disk::open(disk, path, open).await.unwrap();
                file.truncate(at.index(length + 1) as u64).await.unwrap();
            }
            Self::Flipped(_, at, bit) if length > 0 => {
                disk.damage(path, at.index(length) as u64, &[1 << bit]);
            }
            Self::Flipped(..) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_reported_durable_survives_any_crash(
        steps in steps(),
        cache_bytes in prop_oneof![Just(0_usize), Just(3_000), Just(1 << 20)],
        journal in prop_oneof![
            Just(None),
            Just(Some(UNBOUNDED)),
            Just(Some(JournalOptions { max_bytes: 13_000, ..UNBOUNDED })),
            Just(Some(JournalOptions { days: 0, ..UNBOUNDED })),
        ],
    ) {
        run(async {
            let mut world = World::new(cache_bytes, journal).await;
            for step in steps {
                world.take(step).await;
                world.check_running().await;
            }
            world.power_loss(0, 0, 0).await;
        });
    }

    #[test]
    fn whatever_happens_to_the_journal_the_log_opens_as_it_was(
        steps in steps(),
        wounds in proptest::collection::vec(wounds(), 1..6),
    ) {
        run(async {
            let mut world = World::new(0, Some(UNBOUNDED)).await;
            for step in steps {
                world.take(step).await;
            }
            world.close().await;
            world.wal.close().await;
            for wound in wounds {
                wound.inflict(&world.disk).await;
            }
            let wal = World::open(&world.disk, world.options, 0).await.unwrap();
            for group in 0..GROUPS {
                let found = found(&wal.group(GroupId(group))).await;
                assert_eq!(found, *world.groups[group as usize].now());
            }
            read_journal(Arc::new(world.disk.clone()), dir()).await.unwrap();
        });
    }

    #[test]
    fn a_flipped_bit_is_refused_or_without_effect(
        steps in steps(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        run(async {
            let mut world = World::new(0, None).await;
            for step in steps {
                world.take(step).await;
            }
            world.close().await;
            world.wal.close().await;
            let sizes = world.disk.paths().into_iter().map(|path| (world.disk.content(&path).unwrap().len(), path));
            let files: Vec<(usize, std::path::PathBuf)> = sizes.collect();
            let mut offset = at.index(files.iter().map(|(bytes, _)| bytes).sum());
            let hit = files.iter().find(|(bytes, _)| {
                let here = offset < *bytes;
                offset -= if here { 0 } else { *bytes };
                here
            });
            world.disk.damage(&hit.unwrap().1, offset as u64, &[1 << bit]);
            match World::open(&world.disk, world.options, 0).await {
                Err(OpenError::Damaged { .. }) => {}
                Err(other) => panic!("{other}"),
                Ok(wal) => {
                    for group in 0..GROUPS {
                        let found = found(&wal.group(GroupId(group))).await;
                        assert_eq!(found, *world.groups[group as usize].now());
                    }
                }
            }
        });
    }
}
