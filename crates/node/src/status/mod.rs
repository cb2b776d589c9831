//! The cluster's status: a node's own account, and all accounts gathered into one screen.
//! Promise: a node that does not answer within a second is reported, never waited for.
//! Not here: what survives what (`survive`), printing (`cli`).

mod gather;
mod journal;
mod sentences;
mod survive;

#[cfg(test)]
mod journal_test;
#[cfg(test)]
mod status_test;

use std::sync::Arc;

use api::Streams;
use domain::control::ControlParts;
use domain::ids::{CellId, LogIndex, NodeId};
use parking_lot::Mutex;
use pb::api::v1::{
    FloorView, GroupView, HaltView, MemberView, NodeView, PassedOver, Refusal, ReplicaProof,
};
use pb::raft::v1::{
    CellMarkResponse, NodeStatusResponse, ProveRequest, SkipWordRequest, SkipWordResponse,
};
use ports::{Cure, Group, GroupStatus, Halt, Machine};
use raft::GroupHandle;
use runtime::{Env, Usage};
use store::{Health, Wal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::archive::CellArchive;
use crate::cells::Cells;
use crate::control::{CONTROL_GROUP, CONTROL_NAME, ControlMachine, StateWatch};
use crate::refuse;
use crate::verify::ask::OwnProofs;

pub(crate) use gather::Gatherer;

/// Entries that were passed over, in an account.
const PASSED_OVER_MAX: usize = 16;

/// A member that answered its leader within this time is reachable, in milliseconds.
pub(crate) const REACHABLE_MS: u64 = 2_000;

/// A node's own account.
#[async_trait::async_trait]
pub(crate) trait OwnAccount: Send + Sync + 'static {
    /// What the node says of itself.
    fn account(&self) -> NodeStatusResponse;
    /// The counters of its own replica of a cell, if it has one.
    fn floor(&self, cell: u32) -> Option<FloorView>;
    /// The archive of its own replica of a cell, if it has one.
    fn archive(&self, cell: u32) -> Option<CellArchive>;
    /// What its own replica of a cell has at a log index, if it has one.
    fn cell_mark(&self, cell: u32, index: u64) -> Option<CellMarkResponse>;
    /// Begins the proof of its own replica of a cell, or says how far it is, if it has one.
    fn prove(&self, cell: u32, ask: ProveRequest) -> Option<ReplicaProof>;
    /// Writes in a cell's log, which its own replica leads, that an entry is passed over.
    async fn skip(&self, cell: u32, word: SkipWordRequest) -> Result<SkipWordResponse, Refusal>;
}

/// What a node knows of itself.
pub(crate) struct Account {
    pub(crate) env: Env,
    pub(crate) node: u64,
    pub(crate) started: Instant,
    pub(crate) control: StateWatch,
    pub(crate) group: GroupHandle<ControlMachine>,
    pub(crate) cells: Cells,
    pub(crate) streams: Streams,
    pub(crate) wal: Wal,
    /// Warnings of the clock's watch.
    pub(crate) notes: Notes,
    /// Proofs of its own replicas.
    pub(crate) proofs: OwnProofs,
}

/// Sentences that a node keeps about itself. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    sentences: Vec<String>,
    clock_ahead_ms: Option<i64>,
}

impl Notes {
    pub(crate) fn set(&self, sentences: Vec<String>, clock_ahead_ms: Option<i64>) {
        *self.0.lock() = Noted {
            sentences,
            clock_ahead_ms,
        };
    }

    /// How far this node's wall clock is ahead of its peers', milliseconds; `None` while none answers.
    pub(crate) fn clock_ahead_ms(&self) -> Option<i64> {
        self.0.lock().clock_ahead_ms
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().sentences.clone()
    }
}

#[async_trait::async_trait]
impl OwnAccount for Account {
    fn account(&self) -> NodeStatusResponse {
        let control = self.control.borrow().clone();
        let known = control.nodes.get(&NodeId(self.node));
        let base = known
            .map(|node| crate::control::node_view(NodeId(self.node), node))
            .unwrap_or_default();
        let node = NodeView {
            node_id: self.node,
            reachable: true,
            version: crate::VERSION.to_owned(),
            up_ms: crate::doors::millis(self.started.elapsed()),
            streams: u32::try_from(self.streams.count()).unwrap_or(u32::MAX),
            resident_mib: resident_mib(&*self.env.usage),
            problems: self.problems(),
            archive: self.cells.archive_view(),
            journal: self.wal.journal().map(|kept| journal::view(kept, &control)),
            ..base
        };
        let status = self.group.status();
        let mut own = group_view(CONTROL_NAME, &status, self.node, &control);
        note_halt(&mut own, &node.node, &self.group.halted());
        let mut groups = vec![own];
        groups.extend(self.cells.group_views());
        NodeStatusResponse {
            node: Some(node),
            groups,
            wall_ms: self.env.clock.now_ms(),
        }
    }

    fn floor(&self, cell: u32) -> Option<FloorView> {
        Some(self.cells.get(CellId(cell))?.floor().counted())
    }

    fn archive(&self, cell: u32) -> Option<CellArchive> {
        let local = self.cells.get(CellId(cell))?;
        Some(local.archive.clone())
    }

    fn cell_mark(&self, cell: u32, index: u64) -> Option<CellMarkResponse> {
        let cell = self.cells.get(CellId(cell))?;
        let log = cell.group.chain(index);
        Some(crate::voters::answer(cell.view.seen(LogIndex(index), log)))
    }

    fn prove(&self, cell: u32, ask: ProveRequest) -> Option<ReplicaProof> {
        let cell = self.cells.get(CellId(cell))?;
        let (proofs, sources) = &*self.proofs;
        Some(proofs.ask(&ask.proof, &cell, ask.index, sources))
    }

    async fn skip(&self, cell: u32, word: SkipWordRequest) -> Result<SkipWordResponse, Refusal> {
        let cell = self.cells.get(CellId(cell));
        let cell = cell.ok_or_else(|| refuse::not_leader(None))?;
        crate::skip::write(&cell, word, self.env.clock.now_ms()).await
    }
}

impl Account {
    fn problems(&self) -> Vec<String> {
        let mut problems = self.notes.all();
        match &*self.wal.health().borrow() {
            Health::Good => {}
            Health::NoSpace { reason } => problems.push(format!("the disk is full: {reason}")),
            Health::Failed { reason } => {
                problems.push(format!("the log has failed for good: {reason}"))
            }
        }
        problems.extend(self.wal.journal().and_then(journal::problem));
        let halted = |name: &str, halted: watch::Receiver<Option<Arc<Halt>>>| {
            let halt = halted.borrow().clone()?;
            Some(format!("the replica of {name} is halted: {}", halt.reason))
        };
        problems.extend(halted(CONTROL_NAME, self.group.halted()));
        problems.extend(
            self.cells
                .all()
                .iter()
                .filter_map(|cell| halted(&cell.name, cell.group.halted())),
        );
        problems.extend(self.cells.all().iter().filter_map(|cell| {
            let alarm = cell.view.alarm()?;
            Some(format!(
                "the checkpoint of {} is missing: {alarm}",
                cell.name
            ))
        }));
        problems
    }
}

/// Notes in the account of node `us` that its replica applies nothing any more.
pub(crate) fn note_halt(
    view: &mut GroupView,
    us: &str,
    halted: &watch::Receiver<Option<Arc<Halt>>>,
) {
    let member = view.members.iter_mut().find(|member| member.node == us);
    if let (Some(halt), Some(member)) = (halted.borrow().as_deref(), member) {
        member.halted = Some(HaltView {
            index: halt.index,
            reason: halt.reason.to_string(),
            skippable: halt.cure == Cure::Skip,
        });
    }
}

/// Notes in an account which entries the replica knows to be passed over.
pub(crate) fn note_passed_over<M: Machine>(view: &mut GroupView, group: &GroupHandle<M>) {
    let passed = group.passed(PASSED_OVER_MAX).into_iter();
    view.passed_over = passed
        .map(|(index, logged)| PassedOver { index, logged })
        .collect();
}

/// A group as one of its replicas sees it. `trails` is known to the leader alone.
pub(crate) fn group_view(
    name: &str,
    status: &GroupStatus,
    us: u64,
    control: &ControlParts,
) -> GroupView {
    let node_name = |id: u64| {
        control
            .nodes
            .get(&NodeId(id))
            .map_or_else(|| format!("node {id}"), |n| n.name.to_string())
    };
    let leads = status.leader == Some(us);
    let member = |(id, voter): (u64, bool)| {
        let follower = status.followers.iter().find(|one| one.node == id);
        let trails = match follower {
            Some(one) if one.matched > 0 => Some(status.last_log.saturating_sub(one.matched)),
            _ if leads && id == us => Some(0),
            _ => None,
        };
        let acked = follower
            .and_then(|one| one.last_ack_ms)
            .is_some_and(|ms| ms <= REACHABLE_MS);
        MemberView {
            node: node_name(id),
            voter,
            trails,
            reachable: id == us || acked,
            halted: None,
        }
    };
    let voters = status.voters.iter().map(|id| (*id, true));
    let learners = status.learners.iter().map(|id| (*id, false));
    GroupView {
        group: name.to_owned(),
        term: status.term,
        leader: status.leader.map(node_name).unwrap_or_default(),
        committed: status.committed,
        applied: status.applied,
        snapshot: status.snapshot,
        members: voters.chain(learners).map(member).collect(),
        ..GroupView::default()
    }
}

/// Resident memory in MiB; 0 where the system does not say.
fn resident_mib(usage: &dyn Usage) -> u32 {
    let bytes = usage.resident_bytes().unwrap_or(0);
    u32::try_from(bytes / (1024 * 1024)).unwrap_or(u32::MAX)
}

/// The group number of the control group is no cell's.
const _: () = assert!(CONTROL_GROUP == 0);
