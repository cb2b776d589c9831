//! What a group does beside consensus: says who leads, snapshots in time, gets unstuck.
//! Promise: leadership is claimed only after an entry of this leader's term was applied here; one
//! group of a node encodes at a time; a failed snapshot costs a retry, never the group.
//! Not here: encoding (the machine), the file (`store`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, RaftMetrics};
use ports::{Leadership, Machine};
use runtime::{AbortOnDrop, Lane};
use store::Wal;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::group::GroupOptions;
use crate::host::Host;
use crate::replica::{Shared, SnapshotPlace};
use crate::serve::RaftOf;
use crate::transport::Transport;
use crate::types::{LeaderId, Types};

/// Pause after a snapshot failed, for instance because the disk is full.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(10);
/// A halted leader hands over at once, and again after this time if it leads anew: where every voter
/// is halted, leadership would else move with each look, and no operator's word would find a leader.
const LEAVE_AGAIN: Duration = Duration::from_secs(10);
/// How long openraft may take to note a snapshot that is already written.
const SNAPSHOT_NOTED_WITHIN: Duration = Duration::from_secs(10);

/// Says who leads, each time it changes, until the group stops.
pub(crate) async fn follow<M: Machine>(
    raft: RaftOf<M>,
    shared: Arc<Shared>,
    us: u64,
    says: watch::Sender<Leadership>,
) {
    let mut server = raft.server_metrics();
    let mut proof = shared.applied_leader.subscribe();
    let mut halted = shared.halted.subscribe();
    let mut elected = None;
    let mut failovers = Failovers::default();
    loop {
        let seen = {
            let server = server.borrow_watched();
            let term = server.vote.leader_id.term;
            let ours = server.state.is_leader() && server.current_leader == Some(us);
            let proven = *proof.borrow_and_update() == Some(LeaderId { term, node_id: us });
            let healthy = halted.borrow_and_update().is_none();
            Leadership {
                term,
                leader: server.current_leader,
                is_self: ours && proven && healthy,
            }
        };
        let leader = seen.leader.map(|leader| (seen.term, leader));
        if leader.is_some() && leader != elected {
            elected = leader;
            shared.metrics.elections.count();
        }
        let heard = *shared.heard.lock();
        if let Some(last) = failovers.step(seen.is_self, heard) {
            shared.metrics.failover.count(last.elapsed());
        }
        says.send_if_modified(|said| std::mem::replace(said, seen) != seen);
        tokio::select! {
            biased;
            changed = server.changed() => if changed.is_err() { break },
            changed = proof.changed() => if changed.is_err() { break },
            changed = halted.changed() => if changed.is_err() { break },
        }
    }
    says.send_modify(|said| {
        *said = Leadership {
            leader: None,
            is_self: false,
            ..*said
        }
    });
}

/// Tells when leadership was taken over from somebody who had been heard.
#[derive(Debug, Default)]
struct Failovers {
    leads: bool,
    /// The last word of an earlier leader that has been counted: one that leads again, without having
    /// followed anybody in between, has taken over from nobody.
    counted: Option<Instant>,
}

impl Failovers {
    /// The last word of the earlier leader, when this replica has just taken over.
    fn step(&mut self, leads: bool, heard: Option<Instant>) -> Option<Instant> {
        let led = std::mem::replace(&mut self.leads, leads);
        let begins = leads && !led;
        let last = heard.filter(|heard| begins && self.counted != Some(*heard))?;
        self.counted = Some(last);
        Some(last)
    }
}

/// The voter beside the leader that has most of its log, of those that answered a heartbeat within
/// `lease`: to hand over to a silent one costs an election.
pub(crate) fn next_leader<R: Send + Sync + 'static>(
    metrics: &RaftMetrics<Types<R>>,
    lease: Duration,
) -> Option<u64> {
    let replication = metrics.replication.as_ref()?;
    let acks = metrics.heartbeat.as_ref()?;
    let voters = metrics.membership_config.membership().voter_ids();
    let heirs = voters
        .filter(|voter| *voter != metrics.id)
        .filter_map(|node| {
            Some(Heir {
                node,
                matched: replication.get(&node)?.as_ref()?.index,
                silent_for: acks.get(&node)?.as_ref()?.elapsed(),
            })
        });
    furthest(heirs, lease)
}

/// A voter that could lead next.
struct Heir {
    node: u64,
    matched: u64,
    silent_for: Duration,
}

fn furthest(heirs: impl Iterator<Item = Heir>, lease: Duration) -> Option<u64> {
    heirs
        .filter(|heir| heir.silent_for <= lease)
        .max_by_key(|heir| (heir.matched, heir.node))
        .map(|heir| heir.node)
}

/// The group's upkeep. Cheap to clone.
pub(crate) struct Upkeep<M: Machine> {
    raft: RaftOf<M>,
    shared: Arc<Shared>,
    place: SnapshotPlace,
    wal: Wal,
    transport: Transport,
    encoding: Arc<Semaphore>,
    lane: Lane,
    snapshot_log_bytes: u64,
    segments_max: u64,
}

impl<M: Machine> Clone for Upkeep<M> {
    fn clone(&self) -> Self {
        Self {
            raft: self.raft.clone(),
            shared: Arc::clone(&self.shared),
            place: self.place.clone(),
            wal: self.wal.clone(),
            transport: self.transport.clone(),
            encoding: Arc::clone(&self.encoding),
            lane: self.lane.clone(),
            snapshot_log_bytes: self.snapshot_log_bytes,
            segments_max: self.segments_max,
        }
    }
}

impl<M: Machine> Upkeep<M> {
    pub(crate) fn new(
        host: &Host,
        raft: &RaftOf<M>,
        shared: &Arc<Shared>,
        place: SnapshotPlace,
        wal: Wal,
        options: &GroupOptions,
    ) -> Self {
        Self {
            raft: raft.clone(),
            shared: Arc::clone(shared),
            place,
            wal,
            transport: host.transport.clone(),
            encoding: Arc::clone(&host.encoding),
            lane: host.transport.env.raft.clone(),
            snapshot_log_bytes: options.snapshot_log_bytes,
            segments_max: options.segments_max,
        }
    }

    /// Looks after the group once per election time-out, until it stops.
    pub(crate) async fn run(self) {
        let every = self.transport.identity.profile.election_max();
        let mut stall = Stall::new(every * 2);
        let mut snapshots = Snapshots::default();
        let mut left_at = None;
        let stop = self.transport.stop.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = tokio::time::sleep(every) => {}
            }
            let metrics = self.raft.metrics().borrow_watched().clone();
            if metrics.running_state.is_err() {
                return;
            }
            self.look_for_stall(&metrics, &mut stall, every).await;
            self.leave_when_halted(&metrics, &mut left_at).await;
            self.look_for_snapshot(&mut snapshots);
        }
    }

    async fn look_for_stall(
        &self,
        metrics: &RaftMetrics<Types<M::Reply>>,
        stall: &mut Stall,
        lease: Duration,
    ) {
        let acked = metrics.last_quorum_acked.as_ref();
        let seen = Seen {
            leads_with_quorum: metrics.state.is_leader()
                && acked.is_some_and(|at| at.elapsed() <= lease),
            last_log: metrics.last_log_index,
            committed: metrics.cluster_committed.as_ref().map(|id| id.index),
        };
        match stall.step(Instant::now(), seen) {
            Remedy::None => {}
            Remedy::RebuildAppends => {
                let group = &*self.place.name;
                tracing::warn!(group, "commits stand still: new append streams");
                self.transport.rebuild_appends();
            }
            Remedy::StepAside => {
                self.step_aside(metrics, "commits stand still").await;
            }
        }
    }

    /// A leader whose machine is broken hands over.
    async fn leave_when_halted(
        &self,
        metrics: &RaftMetrics<Types<M::Reply>>,
        left_at: &mut Option<Instant>,
    ) {
        let leave = metrics.state.is_leader() && self.shared.halted().is_some();
        let lately = left_at.is_some_and(|at| at.elapsed() < LEAVE_AGAIN);
        if leave && !lately && self.step_aside(metrics, "the replica is halted").await {
            *left_at = Some(Instant::now());
        }
    }

    /// Whether there was somebody to hand over to.
    async fn step_aside(&self, metrics: &RaftMetrics<Types<M::Reply>>, reason: &str) -> bool {
        let lease = self.transport.identity.profile.election_max();
        let Some(to) = next_leader(metrics, lease) else {
            return false;
        };
        let group = &*self.place.name;
        tracing::warn!(group, to, reason, "leadership is handed over");
        // A core that has stopped leads nothing.
        let _ = self.raft.trigger().transfer_leader(to).await;
        true
    }

    fn look_for_snapshot(&self, snapshots: &mut Snapshots) {
        let now = Instant::now();
        if snapshots.busy(now) || !self.snapshot_due() {
            return;
        }
        snapshots.not_before = Some(now + SNAPSHOT_RETRY);
        let upkeep = self.clone();
        let taking = async move {
            if let Err(error) = upkeep.snapshot().await {
                let group = &*upkeep.place.name;
                tracing::warn!(group, reason = %error, "a snapshot failed; it is tried again");
            }
        };
        snapshots.under_way = Some(self.lane.spawn("raft-snapshot", taking).abort_on_drop());
    }

    fn snapshot_due(&self) -> bool {
        let since = self.shared.unsnapped_bytes.load(Ordering::Relaxed);
        let last = self.shared.snapshot_bytes.load(Ordering::Relaxed);
        let due = since > self.snapshot_log_bytes.max(2 * last);
        due || self.is_laggard()
    }

    fn is_laggard(&self) -> bool {
        let laggards = self.wal.laggards(self.segments_max);
        laggards
            .iter()
            .any(|laggard| laggard.group == self.place.group)
    }

    /// Freezes, encodes, hands the result to openraft and purges the log behind it. After a
    /// failure the next one is as due as this one was.
    pub(crate) async fn snapshot(&self) -> io::Result<()> {
        let due = self.shared.unsnapped_bytes.load(Ordering::Relaxed);
        let taken = self.take_snapshot().await;
        if taken.is_err() {
            self.shared
                .unsnapped_bytes
                .fetch_max(due, Ordering::Relaxed);
        }
        taken
    }

    async fn take_snapshot(&self) -> io::Result<()> {
        let _right = self.encoding.acquire().await.map_err(io::Error::other)?;
        let laggard = self.is_laggard();
        let freezing = self.raft.with_state_machine(|replica| {
            let frozen = replica.freeze();
            Box::pin(async move { frozen })
        });
        let Some(frozen) = freezing.await.map_err(io::Error::other)? else {
            return Err(io::Error::other("the replica is halted"));
        };
        if frozen.chain.is_none() {
            return Err(io::Error::other(
                "the log here has not written what is applied",
            ));
        }
        let Some(index) = frozen.meta.last_log_id.map(|id| id.index) else {
            return Ok(());
        };
        let written = self.place.write(frozen).await?;
        let bytes = written.file.content_bytes();
        self.shared.snapshot_bytes.store(bytes, Ordering::Relaxed);
        *self.shared.written.lock() = Some(written);
        self.raft
            .trigger()
            .snapshot()
            .await
            .map_err(io::Error::other)?;
        let wait = self.raft.wait(Some(SNAPSHOT_NOTED_WITHIN));
        let noted = wait.metrics(
            |metrics| {
                metrics
                    .snapshot
                    .as_ref()
                    .is_some_and(|id| id.index >= index)
            },
            "the snapshot is noted",
        );
        noted.await.map_err(io::Error::other)?;
        if laggard {
            self.raft
                .trigger()
                .purge_log(index)
                .await
                .map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Snapshots of one group, one at a time.
#[derive(Default)]
struct Snapshots {
    under_way: Option<AbortOnDrop<()>>,
    not_before: Option<Instant>,
}

impl Snapshots {
    fn busy(&mut self, now: Instant) -> bool {
        use futures::FutureExt;
        if let Some(task) = &mut self.under_way
            && task.now_or_never().is_some()
        {
            self.under_way = None;
        }
        self.under_way.is_some() || self.not_before.is_some_and(|at| now < at)
    }
}

/// What a look at the group shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    leads_with_quorum: bool,
    last_log: Option<u64>,
    committed: Option<u64>,
}

/// What to do about commits that stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    None,
    RebuildAppends,
    StepAside,
}

/// Watches whether a leader that is heard still commits.
#[derive(Debug)]
struct Stall {
    patience: Duration,
    committed: Option<u64>,
    since: Option<Instant>,
    rebuilt: bool,
}

impl Stall {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            committed: None,
            since: None,
            rebuilt: false,
        }
    }

    fn step(&mut self, now: Instant, seen: Seen) -> Remedy {
        let pending = seen.leads_with_quorum && seen.last_log > seen.committed;
        if !pending || seen.committed != self.committed {
            self.committed = seen.committed;
            self.since = pending.then_some(now);
            self.rebuilt = false;
            return Remedy::None;
        }
        let since = *self.since.get_or_insert(now);
        if now - since < self.patience {
            return Remedy::None;
        }
        self.since = Some(now);
        if std::mem::replace(&mut self.rebuilt, true) {
            Remedy::StepAside
        } else {
            Remedy::RebuildAppends
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_of_those_that_answer_leads_next() {
        let lease = Duration::from_millis(300);
        let heir = |(node, matched, silent_ms)| Heir {
            node,
            matched,
            silent_for: Duration::from_millis(silent_ms),
        };
        let choose = |heirs: &[(u64, u64, u64)]| furthest(heirs.iter().copied().map(heir), lease);
        assert_eq!(choose(&[(2, 90, 10), (3, 100, 40)]), Some(3));
        assert_eq!(
            choose(&[(2, 90, 10), (3, 100, 301)]),
            Some(2),
            "3 is silent"
        );
        assert_eq!(choose(&[(2, 90, 400), (3, 100, 301)]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_take_over_is_counted_once_and_only_from_somebody_who_was_heard() {
        let mut failovers = Failovers::default();
        let first = Instant::now();
        assert_eq!(failovers.step(true, None), None, "the first leader of all");
        assert_eq!(failovers.step(false, Some(first)), None);
        assert_eq!(failovers.step(true, Some(first)), Some(first));
        assert_eq!(failovers.step(true, Some(first)), None);
        assert_eq!(failovers.step(false, Some(first)), None);
        assert_eq!(
            failovers.step(true, Some(first)),
            None,
            "it followed nobody"
        );
        let second = first + Duration::from_millis(5);
        failovers.step(false, Some(second));
        assert_eq!(failovers.step(true, Some(second)), Some(second));
    }

    fn stuck() -> Seen {
        Seen {
            leads_with_quorum: true,
            last_log: Some(9),
            committed: Some(7),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_heard_leader_that_commits_nothing_rebuilds_its_streams_and_then_steps_aside() {
        let start = Instant::now();
        let mut stall = Stall::new(Duration::from_millis(600));
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(stall.step(at(0), stuck()), Remedy::None);
        assert_eq!(stall.step(at(300), stuck()), Remedy::None);
        assert_eq!(stall.step(at(600), stuck()), Remedy::RebuildAppends);
        assert_eq!(stall.step(at(900), stuck()), Remedy::None);
        assert_eq!(stall.step(at(1_200), stuck()), Remedy::StepAside);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_commits_or_is_not_heard_is_left_alone() {
        let start = Instant::now();
        let mut stall = Stall::new(Duration::from_millis(600));
        let at = |ms| start + Duration::from_millis(ms);
        let unheard = Seen {
            leads_with_quorum: false,
            ..stuck()
        };
        let moved = Seen {
            committed: Some(8),
            ..stuck()
        };
        assert_eq!(stall.step(at(0), stuck()), Remedy::None);
        assert_eq!(stall.step(at(700), unheard), Remedy::None);
        assert_eq!(stall.step(at(800), stuck()), Remedy::None);
        assert_eq!(stall.step(at(1_300), moved), Remedy::None);
        assert_eq!(stall.step(at(1_600), moved), Remedy::None);
    }
}
