//! The cells that have a replica on this node: starting them, and what others ask of them.
//! Promise: a cell's group is started once and initialised once; a node whose log of a running
//! cell is empty does not start it.
//! Not here: which cells exist (`domain::control`), what a cell does (`conversation`, `api`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conversation::{CellHandle, CellParts, CellReplica, View};
use domain::control::state::Cell;
use domain::ids::{CellId, NodeId, PlanVersion};
use parking_lot::RwLock;
use pb::api::v1::{ArchiveView, GroupView};
use ports::{Group, GroupStatus};
use raft::{GroupHandle, GroupOptions, GroupSpec, Host, Member};
use runtime::{Env, Stop, Task};
use store::{GroupId, SnapshotStore, Wal};
use tokio::time::{Instant, timeout_at};

use crate::archive::{CellArchive, NodeArchive, Upkeep};
use crate::control::{PlanWatch, StateWatch};
use crate::doors::Doors;
use crate::doors::presence::Presence;
use crate::error::NodeError;
use crate::homes::ControlRegistry;
use crate::marks::{self, Ground};
use crate::status::{group_view, note_halt, note_passed_over};
use crate::voters::PeerVoters;

/// One question to another node about a cell.
const ASK_WAIT: Duration = Duration::from_secs(1);
/// How often a cell of other nodes is asked whether it has adopted a plan.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// The cells of this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cells {
    shared: Arc<Shared>,
}

struct Shared {
    parts: CellsParts,
    cells: RwLock<BTreeMap<CellId, Arc<LocalCell>>>,
}

/// What cells are started with.
pub(crate) struct CellsParts {
    pub(crate) env: Env,
    pub(crate) node: u64,
    pub(crate) dir: PathBuf,
    pub(crate) host: Host,
    pub(crate) wal: Wal,
    pub(crate) snapshots: SnapshotStore,
    pub(crate) doors: Doors,
    pub(crate) presence: Presence,
    pub(crate) control: StateWatch,
    pub(crate) plan: PlanWatch,
    pub(crate) interrupted_after_ms: u64,
    /// What the group of each cell may use.
    pub(crate) options: GroupOptions,
    pub(crate) archive: NodeArchive,
    pub(crate) stop: Stop,
}

/// A cell with a replica here.
pub(crate) struct LocalCell {
    pub(crate) id: CellId,
    pub(crate) name: String,
    pub(crate) group: GroupHandle<CellReplica>,
    pub(crate) view: View,
    pub(crate) archive: CellArchive,
    _duties: Task<()>,
}

impl LocalCell {
    /// The replica as floor streams read it.
    pub(crate) fn floor(&self) -> api::LocalFloor {
        api::LocalFloor {
            cell_name: self.name.clone(),
            view: self.view.clone(),
        }
    }

    /// The version of the floor plan that this replica knows to be adopted.
    pub(crate) fn plan_version(&self) -> u64 {
        self.view.with(|cell, _| cell.state().meta().plan.0)
    }
}

impl Cells {
    pub(crate) fn new(parts: CellsParts) -> Self {
        Self {
            shared: Arc::new(Shared {
                parts,
                cells: RwLock::default(),
            }),
        }
    }

    /// The cells here, in order.
    pub(crate) fn all(&self) -> Vec<Arc<LocalCell>> {
        self.shared.cells.read().values().cloned().collect()
    }

    pub(crate) fn get(&self, cell: CellId) -> Option<Arc<LocalCell>> {
        self.shared.cells.read().get(&cell).cloned()
    }

    /// Starts every cell that this node is a member of, whenever the control state names one.
    ///
    /// # Errors
    /// When a cell cannot or must not be started; the node is then of no use.
    pub(crate) async fn follow(self) -> NodeError {
        self.keep_archive();
        let mut control = self.shared.parts.control.clone();
        loop {
            let parts = control.borrow_and_update().clone();
            for (id, cell) in &parts.cells {
                let ours = cell
                    .members
                    .values()
                    .any(|member| member.0 == self.shared.parts.node);
                if ours
                    && self.get(*id).is_none()
                    && let Err(error) = self.start(*id, cell).await
                {
                    return error;
                }
            }
            if control.changed().await.is_err() {
                // The control replica is gone: the node stops.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Starts what the node's archive needs as a whole.
    fn keep_archive(&self) {
        let parts = &self.shared.parts;
        let cells = Arc::downgrade(&self.shared);
        let archives = move || {
            let cells = cells.upgrade().map(|shared| Self { shared }.all());
            let cells = cells.unwrap_or_default();
            cells.iter().map(|cell| cell.archive.clone()).collect()
        };
        let upkeep = Upkeep::new(parts.archive.clone(), archives);
        let edge = &parts.env.edge;
        edge.spawn("archive upkeep", upkeep.run()).detach();
    }

    async fn start(&self, id: CellId, cell: &Cell) -> Result<(), NodeError> {
        let parts = &self.shared.parts;
        let group = GroupId(id.0);
        let ground = Ground {
            env: &parts.env,
            dir: &parts.dir,
            wal: &parts.wal,
            host: &parts.host,
        };
        let name = format!("cell {}", cell.name);
        marks::begin(ground, group, (&name, cell.running)).await?;
        let (replica, view) = conversation::replica(id);
        let replica = replica.traced(parts.env.tracer.clone());
        let spec = GroupSpec {
            group,
            name: cell.name.as_str().into(),
            wal: parts.wal.clone(),
            snapshots: parts.snapshots.clone(),
            options: parts.options.clone(),
        };
        let handle = parts.host.start_group(spec, replica).await?;
        let archive = CellArchive::start(parts.archive.clone(), id, view.clone(), &handle);
        let (cell_handle, duties) = self.serve(id, &handle, (&view, &archive));
        let owner = api::CellOwner::new(id, cell_handle);
        parts
            .doors
            .serve(id.0, Arc::new(owner), handle.leadership());
        self.initialize(cell, &handle).await?;
        let local = LocalCell {
            id,
            name: cell.name.clone(),
            group: handle,
            view,
            archive,
            _duties: duties,
        };
        self.shared.cells.write().insert(id, Arc::new(local));
        tracing::info!(
            cell = cell.name,
            at_node = parts.node,
            "a replica of the cell runs here"
        );
        Ok(())
    }

    fn serve(
        &self,
        id: CellId,
        group: &GroupHandle<CellReplica>,
        (view, archive): (&View, &CellArchive),
    ) -> (CellHandle, Task<()>) {
        let parts = &self.shared.parts;
        let parts_of_cell = CellParts {
            cell: id,
            env: parts.env.clone(),
            group: Arc::new(group.clone()),
            view: view.clone(),
            plan: parts.plan.clone(),
            faults: Arc::new(parts.presence.clone()),
            interrupted_after_ms: parts.interrupted_after_ms,
            archives: archive.for_cell(),
            stop: parts.stop.clone(),
        };
        let registry = ControlRegistry::new(parts.control.clone());
        let voters = PeerVoters::new(parts.doors.clone(), id);
        conversation::start_known(parts_of_cell, Arc::new(registry), Arc::new(voters))
    }

    /// The first member gives the group its members, once.
    async fn initialize(
        &self,
        cell: &Cell,
        group: &GroupHandle<CellReplica>,
    ) -> Result<(), NodeError> {
        let first = cell.members.values().min().map(|node| node.0);
        if cell.running || first != Some(self.shared.parts.node) || group.is_initialized().await {
            return Ok(());
        }
        let control = self.shared.parts.control.borrow().clone();
        let member = |node: &domain::ids::NodeId| {
            let known = control.nodes.get(node);
            let name = known.map(|node| node.name.to_string()).unwrap_or_default();
            let site = known.map(|node| node.site.to_string()).unwrap_or_default();
            (node.0, Member { name, site })
        };
        match group
            .initialize(cell.members.values().map(member).collect())
            .await
        {
            Ok(()) | Err(raft::MemberError::AlreadyInitialized) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the cell's leader has heard every member.
    pub(crate) async fn is_complete(&self, id: CellId) -> bool {
        let Some(cell) = self.get(id) else {
            return false;
        };
        let status = cell.group.status();
        if status.leader == Some(self.shared.parts.node) {
            return all_heard(&status, self.shared.parts.node);
        }
        let Some(leader) = status.leader else {
            return false;
        };
        let Some(account) = self.shared.parts.doors.node_status(leader, ASK_WAIT).await else {
            return false;
        };
        let found = account.groups.iter().find(|group| group.group == cell.name);
        found.is_some_and(|group| group.members.iter().all(|member| member.trails.is_some()))
    }

    /// Waits until every cell has adopted a plan version; gives those that have and those that
    /// have not, by name.
    pub(crate) async fn adopted(
        &self,
        version: PlanVersion,
        until: Instant,
    ) -> (Vec<String>, Vec<String>) {
        let cells = self.shared.parts.control.borrow().cells.clone();
        let (mut adopted, mut behind) = (Vec::new(), Vec::new());
        for (id, cell) in cells {
            let there = match self.get(id) {
                Some(local) => timeout_at(until, wait_here(&local, version)).await.is_ok(),
                None => timeout_at(until, self.wait_there(&cell, version))
                    .await
                    .is_ok(),
            };
            if there {
                adopted.push(cell.name)
            } else {
                behind.push(cell.name)
            }
        }
        (adopted, behind)
    }

    /// Asks the members of a cell that has no replica here.
    async fn wait_there(&self, cell: &Cell, version: PlanVersion) {
        loop {
            for member in cell.members.values() {
                let account = self
                    .shared
                    .parts
                    .doors
                    .node_status(member.0, ASK_WAIT)
                    .await;
                let groups = account.map(|account| account.groups).unwrap_or_default();
                if groups
                    .iter()
                    .any(|group| group.group == cell.name && group.plan_version >= version.0)
                {
                    return;
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// The cells' groups as this node sees them.
    pub(crate) fn group_views(&self) -> Vec<GroupView> {
        let control = self.shared.parts.control.borrow().clone();
        let us = control.nodes.get(&NodeId(self.shared.parts.node));
        let us = us.map(|node| node.name.to_string()).unwrap_or_default();
        let view = |cell: Arc<LocalCell>| {
            let status = cell.group.status();
            let mut view = group_view(&cell.name, &status, self.shared.parts.node, &control);
            view.plan_version = cell.plan_version();
            view.commanded = cell.view.with(|_, applied| applied.0);
            note_halt(&mut view, &us, &cell.group.halted());
            note_passed_over(&mut view, &cell.group);
            let waiting = cell.archive.waiting();
            view.ended_waiting = waiting.count;
            view.ended_waiting_bytes = waiting.bytes;
            if let Some((last, age_ms)) = cell.view.checkpoint() {
                view.checkpoint = last.mark.index.0;
                view.checkpoint_age_ms = age_ms;
            }
            view
        };
        self.all().into_iter().map(view).collect()
    }

    /// How the archive of this node is.
    pub(crate) fn archive_view(&self) -> Option<ArchiveView> {
        let all: Vec<CellArchive> = self.all().iter().map(|cell| cell.archive.clone()).collect();
        Some(self.shared.parts.archive.view(&all))
    }

    /// Hands over every cell that this node leads and waits until another one leads.
    pub(crate) async fn hand_over(&self, until: Instant) {
        for cell in self.all() {
            crate::drain::hand_over(&cell.group, &cell.name, until).await;
        }
    }

    /// Stops every replica.
    pub(crate) async fn shutdown(&self) {
        for cell in self.all() {
            cell.group.shutdown().await;
        }
    }
}

async fn wait_here(cell: &LocalCell, version: PlanVersion) {
    let mut applied = cell.view.applied();
    while cell.plan_version() < version.0 {
        if applied.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// On the leader: whether every voter has stored something.
fn all_heard(status: &GroupStatus, us: u64) -> bool {
    let heard = |voter: &u64| {
        *voter == us
            || status
                .followers
                .iter()
                .any(|one| one.node == *voter && one.matched > 0)
    };
    status.voters.iter().all(heard)
}
