//! One group on this node: start, members, proposals, reads, status, shutdown.
//! Promise: what `ports::Group` says. A proposal is fenced by the term in which its caller knows
//! this node to lead; only an entry that openraft took and did not answer is of unknown outcome.
//! Not here: frames (`transport`), storage (`log`, `replica`), snapshots and stalls (`upkeep`).

mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mutants::{Mutant, planted};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{
    ChangeMembershipError, ClientWriteError, Fatal, InitializeError, LinearizableReadError,
    RaftError,
};
use openraft::{ChangeMembers, Instant as _, Raft, RaftMetrics, ReadPolicy};
use ports::{
    Committed, FollowerStatus, Group, GroupStatus, Halt, HandOverError, Leadership, Machine,
    ProposeError, ReadError,
};
use runtime::AbortOnDrop;
use store::{GroupId, GroupLog, SnapshotStore, Wal};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::error::{MemberError, StartError};
use crate::host::Host;
use crate::log::Log;
use crate::replica::{Replica, Shared, SnapshotPlace, header_of};
use crate::serve::{RaftOf, Served};
use crate::skip;
use crate::transport::Peers;
use crate::types::{Command, LeaderId, Member, Ticket, Types};
use crate::upkeep::{self, Upkeep};

pub use word::SkipWord;

/// The largest command: 1 MiB and its envelope.
pub(crate) const COMMAND_BYTES_MAX: usize = 1024 * 1024 + 64 * 1024;

/// What a group may use.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Proposals under way at a time; one more is `Busy`. Default 4,096: with 1 KiB each, 4 MiB.
    pub proposals_max: usize,
    /// Bytes of log since the last snapshot that make a new one due, if they are also twice the
    /// last snapshot. Default 256 MiB.
    pub snapshot_log_bytes: u64,
    /// Entries kept behind a snapshot for followers that are a little late. Default 10,000.
    pub keep_entries: u64,
    /// Segments of the node's log that this group may hold back before it must snapshot. Default
    /// 16, which is 1 GiB.
    pub segments_max: u64,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            proposals_max: 4_096,
            snapshot_log_bytes: 256 * 1024 * 1024,
            keep_entries: 10_000,
            segments_max: 16,
        }
    }
}

/// What a group is made of.
pub struct GroupSpec {
    /// Its number, the same on every node.
    pub group: GroupId,
    /// What people call it, for logs.
    pub name: Arc<str>,
    /// The node's log.
    pub wal: Wal,
    /// The node's snapshots.
    pub snapshots: SnapshotStore,
    /// Its bounds.
    pub options: GroupOptions,
}

/// A group on this node. Cheap to clone.
pub struct GroupHandle<M: Machine> {
    running: Arc<Running<M>>,
}

struct Running<M: Machine> {
    host: Host,
    group: GroupId,
    node: u64,
    raft: RaftOf<M>,
    shared: Arc<Shared>,
    log: GroupLog,
    proposals: Arc<Semaphore>,
    leadership: watch::Receiver<Leadership>,
    upkeep: Upkeep<M>,
    _tasks: [AbortOnDrop<()>; 2],
}

impl<M: Machine> Clone for GroupHandle<M> {
    fn clone(&self) -> Self {
        Self {
            running: Arc::clone(&self.running),
        }
    }
}

impl<M: Machine> fmt::Debug for GroupHandle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on node {}", self.running.group, self.running.node)
    }
}

impl Host {
    /// Starts a group from what the disk holds. It takes part in votes at once; wait for
    /// [`GroupHandle::recovered`] before serving from it.
    ///
    /// # Errors
    /// When the log or the snapshot cannot be read.
    pub async fn start_group<M: Machine>(
        &self,
        spec: GroupSpec,
        machine: M,
    ) -> Result<GroupHandle<M>, StartError> {
        let host = self.clone();
        let group = spec.group;
        let starting = async move { start(host, spec, machine).await };
        // openraft spawns onto the runtime that it is started on: that must be the raft lane's.
        match self.transport.env.raft.spawn("raft-start", starting).await {
            Ok(started) => started.map_err(|reason| StartError::Storage { group, reason }),
            Err(end) => Err(StartError::Storage {
                group,
                reason: end.to_string(),
            }),
        }
    }
}

async fn start<M: Machine>(
    host: Host,
    spec: GroupSpec,
    machine: M,
) -> Result<GroupHandle<M>, String> {
    let identity = Arc::clone(&host.transport.identity);
    let shared = Shared::new();
    let log = spec.wal.group(spec.group);
    let place = SnapshotPlace {
        group: spec.group,
        name: spec.name,
        at: host.transport.env.raft.place().clone(),
        store: spec.snapshots,
        log: log.clone(),
        compute: host.transport.env.compute.clone(),
    };
    check_purged(&place).await?;
    let config = identity
        .profile
        .config(&identity.cluster_id, spec.options.keep_entries);
    let config = Arc::new(config.validate().map_err(|error| error.to_string())?);
    let peers = Peers::<M::Reply>::new(host.transport.clone(), spec.group.0);
    *shared.passed.lock() = skip::committed(&log)
        .await
        .map_err(|error| error.to_string())?;
    let replica = Replica::new(machine, place.clone(), Arc::clone(&shared));
    let log = Log::new(log, Arc::clone(&shared));
    let raft: RaftOf<M> = Raft::new(identity.node_id, config, peers, log, replica)
        .await
        .map_err(|error| error.to_string())?;
    host.transport.serve(
        spec.group.0,
        Served::new(raft.clone(), place.clone(), Arc::clone(&shared)),
    );
    let group_log = place.log.clone();
    let upkeep = Upkeep::new(&host, &raft, &shared, place, spec.wal, &spec.options);
    let (says, leadership) = watch::channel(Leadership::default());
    let following = upkeep::follow(raft.clone(), Arc::clone(&shared), identity.node_id, says);
    let lane = host.transport.env.raft.clone();
    let running = Running {
        group: spec.group,
        node: identity.node_id,
        proposals: Arc::new(Semaphore::new(spec.options.proposals_max)),
        leadership,
        _tasks: [
            lane.spawn("raft-leadership", following).abort_on_drop(),
            lane.spawn("raft-upkeep", upkeep.clone().run())
                .abort_on_drop(),
        ],
        upkeep,
        raft,
        shared,
        log: group_log,
        host,
    };
    Ok(GroupHandle {
        running: Arc::new(running),
    })
}

/// A log that was purged is nothing without the snapshot behind which it was: openraft would
/// start from an empty machine.
async fn check_purged(place: &SnapshotPlace) -> Result<(), String> {
    let Some(purged) = place.log.purged() else {
        return Ok(());
    };
    let current = place.store.current(place.group).await;
    let current = current.map_err(|error| error.to_string())?;
    let header = current.as_ref().map(header_of).transpose();
    let header = header.map_err(|error| error.to_string())?;
    let held = header
        .and_then(|header| header.last_log_id)
        .map(|id| id.index);
    if held < Some(purged.index) {
        return Err(format!(
            "the log was purged up to {} and there is no snapshot that reaches so far; replace \
             this node",
            purged.index
        ));
    }
    Ok(())
}

impl<M: Machine> GroupHandle<M> {
    /// The group's number.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.running.group
    }

    /// Gives a new group its first members; done once, on one of them. The caller has made sure
    /// that the group was not running before this node's log of it was lost.
    ///
    /// # Errors
    /// [`MemberError::AlreadyInitialized`] when the group has a log here.
    pub async fn initialize(&self, members: BTreeMap<u64, Member>) -> Result<(), MemberError> {
        match self.running.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                Err(MemberError::AlreadyInitialized)
            }
            Err(RaftError::APIError(InitializeError::NotInMembers(error))) => {
                Err(MemberError::Refused {
                    reason: error.to_string(),
                })
            }
            Err(RaftError::Fatal(error)) => Err(MemberError::Stopped {
                reason: error.to_string(),
            }),
        }
    }

    /// Whether the group has members, as far as this node's log knows.
    pub async fn is_initialized(&self) -> bool {
        self.running.raft.is_initialized().await.unwrap_or(false)
    }

    /// Adds a learner and waits until it has nearly caught up.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn add_learner(&self, node: u64, member: Member) -> Result<(), MemberError> {
        let added = self.running.raft.add_learner(node, member, true).await;
        added.map(drop).map_err(|error| member_error(&error))
    }

    /// Makes `voters`, all of them members already, the voters. Former voters leave the group.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn set_voters(&self, voters: BTreeSet<u64>) -> Result<(), MemberError> {
        let changed = self.running.raft.change_membership(voters, false).await;
        changed.map(drop).map_err(|error| member_error(&error))
    }

    /// Removes learners.
    ///
    /// # Errors
    /// See [`MemberError`].
    pub async fn remove_learners(&self, nodes: BTreeSet<u64>) -> Result<(), MemberError> {
        let removal = ChangeMembers::RemoveNodes(nodes);
        let changed = self.running.raft.change_membership(removal, false).await;
        changed.map(drop).map_err(|error| member_error(&error))
    }

    /// The members by name, voters and learners.
    #[must_use]
    pub fn members(&self) -> BTreeMap<u64, Member> {
        let metrics = self.metrics();
        metrics
            .membership_config
            .nodes()
            .map(|(node, member)| (*node, member.clone()))
            .collect()
    }

    /// Waits until this replica has applied everything that was committed when it started, so
    /// that a restart does not read backwards.
    ///
    /// # Errors
    /// When that takes longer than `within`, for instance without a leader.
    pub async fn recovered(&self, within: Duration) -> Result<(), ReadError> {
        match self.running.raft.wait_for_recovery(Some(within)).await {
            Ok(_) => Ok(()),
            Err(openraft::metrics::WaitError::Timeout(..)) => Err(ReadError::QuorumLost),
            Err(openraft::metrics::WaitError::ShuttingDown) => Err(ReadError::Stopped {
                reason: "shutting down".to_owned(),
            }),
        }
    }

    /// The highest index known to be committed.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.metrics().local_committed.map_or(0, |id| id.index)
    }

    /// Follows why the replica is halted, if it is: its machine panicked, it serves nothing, its
    /// log and vote go on.
    #[must_use]
    pub fn halted(&self) -> watch::Receiver<Option<Arc<Halt>>> {
        self.running.shared.halted.subscribe()
    }

    /// What the replica counts of itself.
    #[must_use]
    pub fn counted(&self) -> &crate::metrics::Metrics {
        &self.running.shared.metrics
    }

    /// Whether the replica takes part in a working group, as far as it can tell: a leader that had the answer
    /// of a quorum, or a follower that heard its leader, within `within`. A leader alone among voters that
    /// are gone goes on leading; this tells it from one that serves.
    #[must_use]
    pub fn in_touch(&self, within: Duration) -> bool {
        let metrics = self.metrics();
        let heard = *self.running.shared.heard.lock();
        // One that has just been elected was a follower before: what it heard then still counts.
        is_alone(&metrics)
            || acked_within(&metrics, within)
            || heard.is_some_and(|at| at.elapsed() <= within)
    }

    /// Takes a snapshot now and purges the log behind it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn snapshot(&self) -> std::io::Result<()> {
        self.running.upkeep.snapshot().await
    }

    /// Stops the replica: it answers no peer and appends nothing any more.
    pub async fn shutdown(&self) {
        self.running.host.transport.forget(self.running.group.0);
        // A join error says that the core was gone already.
        let _ = self.running.raft.shutdown().await;
    }

    fn metrics(&self) -> RaftMetrics<Types<M::Reply>> {
        self.running.raft.metrics().borrow_watched().clone()
    }

    fn stopped(&self) -> Option<String> {
        self.running
            .shared
            .halted()
            .map(|halt| halt.reason.to_string())
    }
}

fn member_error<R: Send + Sync + 'static>(
    error: &RaftError<Types<R>, ClientWriteError<Types<R>>>,
) -> MemberError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => MemberError::NotLeader {
            leader: forward.leader_id,
        },
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => MemberError::OutcomeUnknown,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_),
        )) => MemberError::InProgress,
        RaftError::APIError(error) => MemberError::Refused {
            reason: error.to_string(),
        },
        RaftError::Fatal(error) => MemberError::Stopped {
            reason: error.to_string(),
        },
    }
}

fn read_stopped<R: Send + Sync + 'static>(error: &Fatal<Types<R>>) -> ReadError {
    ReadError::Stopped {
        reason: error.to_string(),
    }
}

#[async_trait]
impl<M: Machine> Group<M::Reply> for GroupHandle<M> {
    async fn propose(
        &self,
        term: u64,
        payload: Bytes,
    ) -> Result<Committed<M::Reply>, ProposeError> {
        if let Some(reason) = self.stopped() {
            return Err(ProposeError::Stopped { reason });
        }
        if payload.len() > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLarge {
                bytes: payload.len() as u64,
                limit: COMMAND_BYTES_MAX as u64,
            });
        }
        let running = &self.running;
        let place = Arc::clone(&running.proposals).try_acquire_owned();
        let place = place.map_err(|_| ProposeError::Busy)?;
        let (ticket, arrives) = Ticket::new(place);
        let leader = LeaderId {
            term,
            node_id: running.node,
        };
        let begun = Instant::now();
        let write = running
            .raft
            .write(Command::Machine(payload))
            .responder(ticket)
            .with_leader(leader);
        if let Err(error) = write.await {
            return Err(ProposeError::Stopped {
                reason: error.to_string(),
            });
        }
        match arrives.await {
            Ok(Ok(written)) => match written.data {
                Some(reply) => {
                    running.shared.metrics.append.count(begun.elapsed());
                    Ok(Committed {
                        index: written.log_id.index,
                        reply,
                    })
                }
                None => Err(ProposeError::OutcomeUnknown),
            },
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(ProposeError::NotLeader {
                leader: forward.leader_id,
            }),
            Ok(Err(_)) | Err(_) if planted(Mutant::RefuseAppended) => {
                let (bytes, limit) = (0, 0);
                Err(ProposeError::TooLarge { bytes, limit })
            }
            Ok(Err(_)) | Err(_) => Err(ProposeError::OutcomeUnknown),
        }
    }

    async fn linearize(&self) -> Result<u64, ReadError> {
        if planted(Mutant::ReadWithoutQuorum) {
            return Ok(*self.running.shared.applied.borrow());
        }
        let raft = &self.running.raft;
        let linearizer = match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => linearizer,
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                return Err(ReadError::NotLeader {
                    leader: forward.leader_id,
                });
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                return Err(ReadError::QuorumLost);
            }
            Err(RaftError::Fatal(error)) => return Err(read_stopped(&error)),
        };
        linearizer
            .await_ready(raft)
            .await
            .map_err(|error| read_stopped(&error))?;
        match self.stopped() {
            Some(reason) => Err(ReadError::Stopped { reason }),
            None => Ok(*self.running.shared.applied.borrow()),
        }
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.running.leadership.clone()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.running.shared.applied.subscribe()
    }

    fn chain(&self, index: u64) -> Option<[u8; 16]> {
        self.running.log.chain(index).map(|chain| chain.0)
    }

    fn status(&self) -> GroupStatus {
        let metrics = self.metrics();
        let membership = metrics.membership_config.membership();
        let lease = self.running.host.transport.identity.profile.election_max();
        let quorum_ok = is_alone(&metrics) || acked_within(&metrics, lease);
        GroupStatus {
            term: metrics.current_term,
            leader: metrics.current_leader,
            committed: metrics.local_committed.map_or(0, |id| id.index),
            applied: *self.running.shared.applied.borrow(),
            last_log: metrics.last_log_index.unwrap_or(0),
            snapshot: metrics.snapshot.map_or(0, |id| id.index),
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            followers: followers(&metrics, self.running.node),
            quorum_ok: metrics.state.is_leader() && quorum_ok,
        }
    }

    async fn transfer_leadership(&self) -> Result<(), HandOverError> {
        let metrics = self.metrics();
        let us = self.running.node;
        if metrics.current_leader != Some(us) {
            return Err(HandOverError::NotLeader {
                leader: metrics.current_leader,
            });
        }
        let lease = self.running.host.transport.identity.profile.election_max();
        let to = upkeep::next_leader(&metrics, lease).ok_or(HandOverError::NoHeir)?;
        let asked = self.running.raft.trigger().transfer_leader(to).await;
        asked.map_err(|error| HandOverError::Stopped {
            reason: error.to_string(),
        })
    }
}

/// Whether a quorum has answered this leader of late; false on a follower.
fn acked_within<R: Send + Sync + 'static>(
    metrics: &RaftMetrics<Types<R>>,
    within: Duration,
) -> bool {
    let acked = metrics.last_quorum_acked.as_ref();
    acked.is_some_and(|at| at.elapsed() <= within)
}

/// Whether this replica is the only voter: it leads, and nobody is there to answer it.
fn is_alone<R: Send + Sync + 'static>(metrics: &RaftMetrics<Types<R>>) -> bool {
    let mut voters = metrics.membership_config.membership().voter_ids();
    metrics.state.is_leader() && voters.all(|voter| voter == metrics.id)
}

fn followers<R: Send + Sync + 'static>(
    metrics: &RaftMetrics<Types<R>>,
    us: u64,
) -> Vec<FollowerStatus> {
    let Some(replication) = &metrics.replication else {
        return Vec::new();
    };
    let acks = metrics.heartbeat.as_ref();
    let ack_ms = |node: &u64| {
        let at = acks
            .and_then(|acks| acks.get(node))
            .and_then(Option::as_ref)?;
        u64::try_from(at.elapsed().as_millis()).ok()
    };
    replication
        .iter()
        .filter(|(node, _)| **node != us)
        .map(|(node, matched)| FollowerStatus {
            node: *node,
            matched: matched.as_ref().map_or(0, |id| id.index),
            last_ack_ms: ack_ms(node),
        })
        .collect()
}
