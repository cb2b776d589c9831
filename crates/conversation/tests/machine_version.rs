//! The machine version of a cell: who raises it, and what happens to whoever does not know it.
//! Promise: nothing newer than the version in force is appended; a replica that meets it halts and
//! says what to do.
//! Not here: the halt itself (`raft`, which takes a panic for it), the stored form (`wire`).

#[expect(
    dead_code,
    reason = "leadership and quorum stand still in these claims"
)]
mod group;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conversation::{
    ActError, CellHandle, CellParts, CellReplica, Faults, Registry, Seen, View, Voters, start_known,
};
use domain::cell::Cell;
use domain::cell::command::{Command, Entry};
use domain::cell::homes::HeldBuckets;
use domain::cell::version::{FIRST_VERSION, NEWEST_VERSION, TooNew};
use domain::ids::{CellId, CellTime, LogIndex, MachineVersion};
use group::LocalGroup;
use parking_lot::Mutex;
use ports::{Machine, MustStop, Position};
use runtime::StopSource;
use tokio::sync::watch;

const CELL: CellId = CellId(1);

struct NoFault;

impl Faults for NoFault {
    fn our_fault(&self, _edge: &conversation::Edge) -> bool {
        false
    }
}

/// No other replica answers.
struct Nobody;

#[async_trait::async_trait]
impl Voters for Nobody {
    async fn seen(&self, _node: u64, _index: LogIndex) -> Seen {
        Seen::Unknown
    }
}

/// What the control group knows, set by hand.
#[derive(Default)]
struct Known {
    versions: Mutex<BTreeMap<u64, MachineVersion>>,
    buckets: Mutex<Option<HeldBuckets>>,
}

impl Registry for Known {
    fn machine_version(&self, node: u64) -> Option<MachineVersion> {
        self.versions.lock().get(&node).copied()
    }

    fn buckets(&self, _cell: CellId) -> Option<HeldBuckets> {
        self.buckets.lock().clone()
    }
}

struct Running {
    cell: CellHandle,
    group: Arc<LocalGroup>,
    known: Arc<Known>,
    _plan: watch::Sender<Option<domain::plan::VersionedPlan>>,
    _stop: StopSource,
}

impl Running {
    /// A leader of three voters, of which the programs of 1 and 2 know the second version.
    async fn new() -> Self {
        let (replica, view) = conversation::replica(CELL);
        let group = Arc::new(LocalGroup::new(replica));
        let known = Arc::new(Known::default());
        known.set(1, NEWEST_VERSION);
        known.set(2, NEWEST_VERSION);
        let (plan, newest) = watch::channel(None);
        let stop = StopSource::new();
        let parts = CellParts {
            cell: CELL,
            env: runtime::memory::env(1),
            group: group.clone(),
            view,
            plan: newest,
            faults: Arc::new(NoFault),
            interrupted_after_ms: 300,
            archives: conversation::Archives::none(),
            stop: stop.token(),
        };
        let (cell, task) = start_known(parts, known.clone(), Arc::new(Nobody));
        task.detach();
        group.lead(1);
        let running = Self {
            cell,
            group,
            known,
            _plan: plan,
            _stop: stop,
        };
        running.until(|running| running.cell.serves()).await;
        running
    }

    fn version(&self) -> MachineVersion {
        self.cell.view().with(|cell, _| cell.version())
    }

    fn buckets(&self) -> Option<HeldBuckets> {
        let view = self.cell.view();
        view.with(|cell, _| cell.state().meta().buckets.as_deref().cloned())
    }

    /// Waits until something holds; the paused clock moves on by itself.
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never came to hold");
    }
}

impl Known {
    fn set(&self, node: u64, version: MachineVersion) {
        self.versions.lock().insert(node, version);
    }
}

fn newer_command() -> Command {
    Command::HoldBuckets(Arc::default())
}

#[tokio::test(start_paused = true)]
async fn a_command_newer_than_the_version_in_force_is_refused_and_never_appended() {
    let running = Running::new().await;
    let before = running.group.proposed();
    let refused = running.cell.act(newer_command()).await;
    assert_eq!(
        refused,
        Err(ActError::TooNew(TooNew {
            needs: MachineVersion(2),
            in_force: FIRST_VERSION
        }))
    );
    assert_eq!(running.group.proposed(), before);
}

#[tokio::test(start_paused = true)]
async fn the_version_is_raised_once_the_last_voter_knows_it_and_then_the_cell_learns_its_buckets() {
    let running = Running::new().await;
    let held = HeldBuckets {
        others: true,
        ..HeldBuckets::default()
    };
    *running.known.buckets.lock() = Some(held.clone());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(running.version(), FIRST_VERSION, "voter 3 is older");
    assert_eq!(running.buckets(), None);
    running.known.set(3, NEWEST_VERSION);
    running
        .until(|running| running.buckets() == Some(held.clone()))
        .await;
    assert_eq!(running.version(), NEWEST_VERSION);
    let settled = running.group.proposed();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(running.group.proposed(), settled, "each was said once");
    assert!(running.cell.act(newer_command()).await.is_ok());
}

fn entry(command: Command) -> Vec<u8> {
    wire::cell::encode_entry(&Entry {
        at: CellTime(1),
        wall_ms: 1,
        command,
    })
}

fn at(index: u64) -> Position {
    Position { index, term: 1 }
}

fn beyond() -> MachineVersion {
    MachineVersion(NEWEST_VERSION.0 + 1)
}

/// Why a call halted the replica.
fn halted<T>(call: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).err();
    let panic = panic.expect("it went on");
    let stop = panic.downcast::<MustStop>().expect("a sentence");
    stop.reason
}

fn says_what_to_do(reason: &str) -> bool {
    let beyond = format!("machine version {}", beyond());
    reason.contains(&beyond) && reason.contains("install the program")
}

#[test]
fn a_replica_halts_at_an_entry_of_a_version_that_its_program_lacks() {
    let (mut replica, view) = conversation::replica(CELL);
    let raised = replica.apply(at(1), &entry(Command::RaiseVersion(NEWEST_VERSION)));
    assert!(raised.is_ok());
    let raise = entry(Command::RaiseVersion(beyond()));
    let reason = halted(|| replica.apply(at(2), &raise));
    assert!(says_what_to_do(&reason), "{reason}");
    assert!(reason.contains("log entry 2"), "{reason}");
    assert_eq!(view.with(|cell, _| cell.version()), NEWEST_VERSION);
}

#[test]
fn a_replica_halts_at_a_command_newer_than_the_version_in_force() {
    let (mut replica, _view) = conversation::replica(CELL);
    let newer = entry(newer_command());
    let reason = halted(|| replica.apply(at(1), &newer));
    assert!(
        reason.contains("needs machine version 2, and 1 is in force"),
        "{reason}"
    );
}

/// The chunks of a cell in which a version is in force.
fn snapshot(version: MachineVersion) -> Vec<Bytes> {
    let mut cell = Cell::new(CELL);
    let raise = Entry {
        at: CellTime(1),
        wall_ms: 1,
        command: Command::RaiseVersion(version),
    };
    cell.apply(LogIndex(7), &raise);
    wire::snapshot::CellChunks::new(cell.freeze())
        .map(Bytes::from)
        .collect()
}

fn restored(replica: &mut CellReplica, view: &View) -> (u64, MachineVersion) {
    replica.flush();
    view.with(|cell, applied| (applied.0, cell.version()))
}

#[test]
fn a_snapshot_of_a_newer_machine_halts_the_replica_and_one_that_it_can_read_ends_the_halt() {
    let (mut replica, view) = conversation::replica(CELL);
    let taken = replica.restore(snapshot(beyond()));
    assert!(taken.is_ok(), "the group's log and vote go on");
    let reason = halted(|| replica.flush());
    assert!(says_what_to_do(&reason), "{reason}");
    assert_eq!(*view.applied().borrow(), 0, "nothing of it is served");
    assert!(replica.restore(snapshot(NEWEST_VERSION)).is_ok());
    assert_eq!(restored(&mut replica, &view), (7, NEWEST_VERSION));
}
