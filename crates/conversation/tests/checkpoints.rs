//! Checkpoints of a cell: who writes them, and what happens to a replica that differs.
//! Promise: a majority's value alone is logged; a replica that differs stops and says what to do.
//! Not here: asking other nodes (`node`), the halt itself (`raft`).

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
    CellHandle, CellParts, CellReplica, Edge, Faults, Registry, Seen, View, Voters, start_known,
};
use domain::cell::checkpoint::{Checkpoint, Digest, Mark};
use domain::cell::command::{Command, Entry};
use domain::cell::homes::HeldBuckets;
use domain::cell::version::NEWEST_VERSION;
use domain::ids::{CellId, CellTime, LogIndex, MachineVersion};
use group::{LocalGroup, chain_at};
use parking_lot::Mutex;
use ports::{Cure, LogChain, Machine, MustStop, Position};
use runtime::StopSource;
use tokio::sync::watch;

const CELL: CellId = CellId(1);

struct NoFault;

impl Faults for NoFault {
    fn our_fault(&self, _edge: &Edge) -> bool {
        false
    }
}

/// Every node's program is the newest.
struct Newest;

impl Registry for Newest {
    fn machine_version(&self, _node: u64) -> Option<MachineVersion> {
        Some(NEWEST_VERSION)
    }

    fn buckets(&self, _cell: CellId) -> Option<HeldBuckets> {
        None
    }
}

/// Three voters that have what this replica has, but for those that are set by hand.
struct Three {
    view: View,
    odd: Mutex<BTreeMap<u64, Seen>>,
}

#[async_trait::async_trait]
impl Voters for Three {
    async fn seen(&self, node: u64, index: LogIndex) -> Seen {
        let odd = self.odd.lock().get(&node).copied();
        odd.unwrap_or_else(|| self.view.seen(index, Some(chain_at(index.0))))
    }
}

/// The chain of every made-up log.
struct Made;

impl LogChain for Made {
    fn chain(&self, index: u64) -> Option<[u8; 16]> {
        Some(chain_at(index))
    }
}

struct Running {
    cell: CellHandle,
    group: Arc<LocalGroup>,
    voters: Arc<Three>,
    _plan: watch::Sender<Option<domain::plan::VersionedPlan>>,
    _stop: StopSource,
}

impl Running {
    /// A leader of three voters.
    async fn new() -> Self {
        let (mut replica, view) = conversation::replica(CELL);
        replica.follow(Arc::new(Made));
        let group = Arc::new(LocalGroup::new(replica));
        let voters = Arc::new(Three {
            view: view.clone(),
            odd: Mutex::default(),
        });
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
        let (cell, task) = start_known(parts, Arc::new(Newest), voters.clone());
        task.detach();
        group.lead(1);
        Self {
            cell,
            group,
            voters,
            _plan: plan,
            _stop: stop,
        }
    }

    fn last(&self) -> Option<Checkpoint> {
        let view = self.cell.view();
        view.with(|cell, _| cell.state().meta().checkpoint)
    }

    async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

fn differs(with: u8) -> Seen {
    Seen::Mark {
        log: Digest([with; 16]),
        machine: Digest([with; 16]),
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_logs_a_checkpoint_after_a_minute_with_work_and_none_while_nothing_is_asked() {
    let running = Running::new().await;
    running.wait(59).await;
    assert_eq!(running.last(), None);
    running.wait(2).await;
    let first = running.last().expect("a minute has passed");
    assert_eq!(first.mark.log, Digest(chain_at(first.mark.index.0)));
    let settled = running.group.proposed();
    running.wait(3_600).await;
    assert_eq!(running.group.proposed(), settled, "nothing was asked");
    running.cell.act(Command::MatchMore).await.unwrap();
    running.wait(1).await;
    let second = running.last().expect("it had one");
    assert_eq!(second.mark.index, LogIndex(settled + 1));
}

#[tokio::test(start_paused = true)]
async fn one_odd_voter_of_three_changes_nothing_and_two_keep_everything_from_being_logged() {
    let running = Running::new().await;
    running.voters.odd.lock().insert(2, differs(9));
    running.wait(61).await;
    let first = running.last().expect("two of three agree");
    running.voters.odd.lock().insert(3, Seen::Unknown);
    running.cell.act(Command::MatchMore).await.unwrap();
    let before = running.group.proposed();
    running.wait(120).await;
    assert_eq!(running.last(), Some(first), "one of three is no majority");
    assert_eq!(running.group.proposed(), before, "nothing was appended");
    let alarm = running.cell.view().alarm().expect("a person should look");
    assert!(alarm.contains("node 2 has log 0909"), "{alarm}");
    assert!(alarm.contains("node 3 did not say"), "{alarm}");
    running.voters.odd.lock().clear();
    running.wait(20).await;
    assert!(running.last().unwrap().mark.index > first.mark.index);
    assert_eq!(running.cell.view().alarm(), None);
}

fn entry(command: Command) -> Vec<u8> {
    wire::cell::encode_entry(&Entry {
        at: CellTime(1),
        wall_ms: 1,
        command,
    })
}

/// A replica that has applied two entries.
fn replica() -> (CellReplica, View, Mark) {
    let (mut replica, view) = conversation::replica(CELL);
    replica.follow(Arc::new(Made));
    let raise = Command::RaiseVersion(NEWEST_VERSION);
    for (index, command) in (1..).zip([raise, Command::MatchMore]) {
        let applied = replica.apply(Position { index, term: 1 }, &entry(command));
        assert!(applied.is_ok());
    }
    replica.flush();
    let Seen::Mark { log, machine } = view.seen(LogIndex(2), Some(chain_at(2))) else {
        panic!("it has applied so far");
    };
    let index = LogIndex(2);
    let mark = Mark {
        index,
        log,
        machine,
    };
    (replica, view, mark)
}

/// Applies a checkpoint at index 3; why that stops the replica, if it does.
fn checked(replica: &mut CellReplica, mark: Mark) -> Option<MustStop> {
    let at = Position { index: 3, term: 1 };
    let checkpoint = entry(Command::Checkpoint(mark));
    let panic = catch_unwind(AssertUnwindSafe(|| replica.apply(at, &checkpoint))).err()?;
    Some(*panic.downcast::<MustStop>().expect("a sentence"))
}

#[test]
fn a_replica_that_has_what_the_majority_had_goes_on_and_keeps_the_checkpoint() {
    let (mut replica, view, mark) = replica();
    assert!(checked(&mut replica, mark).is_none());
    replica.flush();
    let (kept, _) = view.checkpoint().expect("it is noted");
    assert_eq!((kept.mark, kept.logged), (mark, LogIndex(3)));
}

#[test]
fn a_replica_that_differs_stops_and_says_where_in_what_and_what_to_do() {
    let other = Digest([5; 16]);
    for (chain, odd) in [("log chain c", true), ("machine chain h", false)] {
        let (mut replica, _view, mut mark) = replica();
        if odd {
            mark.log = other;
        } else {
            mark.machine = other;
        }
        let stop = checked(&mut replica, mark).expect("it differs");
        assert_eq!(stop.cure, Cure::Replace);
        let reason = stop.reason;
        for part in [
            "log index 2",
            chain,
            "0505",
            "antiphon join",
            "keep its data",
        ] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
    }
}

#[test]
fn what_a_replica_does_not_remember_is_not_compared() {
    let (mut replica, _view, mark) = replica();
    let unknown = Mark {
        index: LogIndex(1_000),
        log: Digest(chain_at(1_000)),
        machine: Digest([5; 16]),
    };
    assert_ne!(unknown.machine, mark.machine);
    assert!(checked(&mut replica, unknown).is_none());
}

#[test]
fn a_replica_from_a_snapshot_compares_from_there_on() {
    let (mut replica, _view, mark) = replica();
    let mut frozen = replica.freeze();
    let chunks: Vec<Bytes> = std::iter::from_fn(|| frozen.next_chunk())
        .map(Bytes::from)
        .collect();
    for machine in [mark.machine, Digest([5; 16])] {
        let (mut restored, _view) = conversation::replica(CELL);
        restored.restore(chunks.clone()).unwrap();
        let stop = checked(&mut restored, Mark { machine, ..mark });
        assert_eq!(stop.is_some(), machine != mark.machine);
    }
}
