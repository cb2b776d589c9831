//! The control state and how entries change it.
//! Promise: `evolve` is total; a refusal or a defect changes nothing; ids are never used again.
//! Not here: the decisions (`decide`), the stored form (`wire`).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::buckets::{Bucket, BucketMap};
use super::command::{
    Addresses, ClusterId, ControlEntry, FIRST_CELL, FIRST_NODE, NodeAddress, Profile,
};
use super::reply::{ControlApplied, ControlEvent, ControlRefusal, RequestPlace};
use super::requests::Requests;
use crate::ids::{
    CellId, CellTime, LogIndex, MachineVersion, NodeId, NodeName, PlanVersion, RequestId, SiteId,
    StaffId,
};
use crate::plan::{FloorPlan, VersionedPlan};

/// Versions of the plan that are kept: enough to compare with last week's, and to go back to it. A plan comes
/// in as at most 1 MiB of text, so that they take a few tens of MiB at most; versions share nothing.
pub const PLANS_KEPT: usize = 16;
/// Living nodes of a cluster: five sites with twelve nodes each.
pub const NODES_MAX: usize = 64;
/// Records of removed nodes that are kept, for a sentence that says what became of a node.
pub const REMOVED_NODES_KEPT: usize = 256;
/// Cells that ever existed: groups per node are to stay in the tens.
pub const CELLS_MAX: usize = 64;

/// The cluster itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// Its name for people.
    pub name: String,
    /// Its timing profile.
    pub profile: Profile,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// IANA time zone.
    pub time_zone: String,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Its site.
    pub site: SiteId,
    /// Where it listens.
    pub addresses: Addresses,
    /// The program's version that it runs.
    pub program: String,
    /// The newest machine version of cells that this program knows.
    pub machine: MachineVersion,
    /// The request that made it a member; `None` for the founder.
    pub request_id: Option<RequestId>,
    /// Hash of that request, without the addresses and the program, which change at a restart.
    pub fingerprint: u64,
    /// When it joined, Unix milliseconds, for display.
    pub joined_wall_ms: u64,
    /// When it was removed, Unix milliseconds, for display; `None` for a living node.
    pub removed_wall_ms: Option<u64>,
}

/// A cell, as the control group knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its name.
    pub name: String,
    /// Where its leader is preferred.
    pub home: SiteId,
    /// Its voters: one node per site.
    pub members: BTreeMap<SiteId, NodeId>,
    /// Whether its first election happened. A node whose log of a running cell is empty must
    /// not start the cell again: it would vote twice.
    pub running: bool,
}

/// A version of the plan with its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlan {
    /// Its version.
    pub version: PlanVersion,
    /// When it came into force, Unix milliseconds, for display.
    pub wall_ms: u64,
    /// Who applied it.
    pub by: StaffId,
    /// Its content.
    pub plan: Arc<FloorPlan>,
}

/// Everything that the control machine knows, as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlParts {
    /// The last entry that was applied.
    pub applied: LogIndex,
    /// Control time.
    pub now: CellTime,
    /// The wall clock of the last entry, Unix milliseconds.
    pub wall_ms: u64,
    /// The cluster; `None` before `Found`.
    pub cluster: Option<Cluster>,
    /// The id of the next node.
    pub next_node: NodeId,
    /// The id of the next cell.
    pub next_cell: CellId,
    /// Sites.
    pub sites: BTreeMap<SiteId, Site>,
    /// Nodes, the removed ones too.
    pub nodes: BTreeMap<NodeId, Node>,
    /// Cells.
    pub cells: BTreeMap<CellId, Cell>,
    /// Buckets.
    pub buckets: BucketMap,
    /// The last versions of the plan, oldest first.
    pub plans: Vec<Arc<StoredPlan>>,
    /// Remembered requests.
    pub requests: BTreeMap<RequestPlace, Requests>,
}

impl ControlParts {
    /// Nodes that have not been removed, in order of their ids.
    pub fn living_nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.removed_wall_ms.is_none())
            .map(|(id, node)| (*id, node))
    }

    /// The version of the plan in force, 0 for none.
    pub fn plan_version(&self) -> PlanVersion {
        self.plans
            .last()
            .map_or(PlanVersion(0), |stored| stored.version)
    }
}

impl Default for ControlParts {
    fn default() -> Self {
        Self {
            applied: LogIndex(0),
            now: CellTime(0),
            wall_ms: 0,
            cluster: None,
            next_node: FIRST_NODE,
            next_cell: FIRST_CELL,
            sites: BTreeMap::new(),
            nodes: BTreeMap::new(),
            cells: BTreeMap::new(),
            buckets: BucketMap::default(),
            plans: Vec::new(),
            requests: BTreeMap::new(),
        }
    }
}

/// The control machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    parts: ControlParts,
}

impl Control {
    /// An empty machine, before `Found`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The machine that a snapshot holds.
    pub fn from_parts(parts: ControlParts) -> Self {
        Self { parts }
    }

    /// The state, to read. A clone of it is a snapshot: the plans in it are shared.
    pub fn parts(&self) -> &ControlParts {
        &self.parts
    }

    /// The plan in force with its version.
    pub fn plan(&self) -> Option<VersionedPlan> {
        let stored = self.parts.plans.last()?;
        Some(VersionedPlan {
            version: stored.version,
            plan: stored.plan.clone(),
        })
    }

    /// The cell in which a conversation of this bucket is born; `None` before the first cell.
    pub fn cell_of(&self, region: &SiteId, bucket: Bucket) -> Option<CellId> {
        self.parts.buckets.cell_of(region, bucket)
    }

    /// Applies one committed entry. Total: a defect is answered, and changes nothing but time.
    pub fn apply(&mut self, index: LogIndex, entry: &ControlEntry) -> ControlApplied {
        self.parts.applied = index;
        self.parts.now = self.parts.now.max(entry.at);
        self.parts.wall_ms = entry.wall_ms;
        let decided = catch_unwind(AssertUnwindSafe(|| {
            super::decide::decide(&self.parts, &entry.command)
        }));
        match decided.unwrap_or(Err(ControlRefusal::MachineDefect { index })) {
            Ok((done, changed)) => {
                for event in &changed {
                    self.evolve(event);
                }
                ControlApplied {
                    reply: Ok(done),
                    changed,
                }
            }
            Err(refusal) => ControlApplied {
                reply: Err(refusal),
                changed: Vec::new(),
            },
        }
    }

    fn evolve(&mut self, event: &ControlEvent) {
        let parts = &mut self.parts;
        match event {
            ControlEvent::Founded {
                cluster,
                name,
                profile,
            } => {
                parts.cluster = Some(Cluster {
                    id: cluster.clone(),
                    name: name.clone(),
                    profile: *profile,
                });
            }
            ControlEvent::NodeJoined { id, node, site } => {
                let record = Site {
                    time_zone: site.time_zone.clone(),
                };
                parts.sites.entry(site.site.clone()).or_insert(record);
                parts.buckets.add_region(&site.site);
                parts.nodes.insert(*id, (**node).clone());
                parts.next_node = NodeId(id.0.saturating_add(1));
            }
            ControlEvent::NodeMoved(moved) => self.move_node(moved),
            ControlEvent::NodeRemoved { node } => self.remove_node(*node),
            ControlEvent::CellCreated { id, cell } => {
                parts.cells.insert(*id, (**cell).clone());
                parts.next_cell = CellId(id.0.saturating_add(1));
                if parts.buckets.first.is_none() {
                    parts.buckets.begin(*id, parts.sites.keys());
                }
            }
            ControlEvent::CellPlaced(placed) => {
                if let Some(cell) = parts.cells.get_mut(&placed.cell) {
                    cell.members.clone_from(&placed.members);
                }
            }
            ControlEvent::CellStarted { cell } => {
                if let Some(cell) = parts.cells.get_mut(cell) {
                    cell.running = true;
                }
            }
            ControlEvent::PlanApplied(stored) => {
                parts.plans.push(stored.clone());
                let surplus = parts.plans.len().saturating_sub(PLANS_KEPT);
                parts.plans.drain(..surplus);
            }
            ControlEvent::RequestRemembered { place, row } => {
                parts
                    .requests
                    .entry(*place)
                    .or_default()
                    .remember(row.clone());
            }
        }
    }

    fn move_node(&mut self, moved: &NodeAddress) {
        if let Some(node) = self.parts.nodes.get_mut(&moved.node) {
            node.addresses = moved.addresses.clone();
            node.program.clone_from(&moved.program);
            node.machine = moved.machine;
        }
    }

    fn remove_node(&mut self, id: NodeId) {
        let wall_ms = self.parts.wall_ms;
        if let Some(node) = self.parts.nodes.get_mut(&id) {
            node.removed_wall_ms = Some(wall_ms);
        }
        let removed = || {
            self.parts
                .nodes
                .iter()
                .filter(|(_, node)| node.removed_wall_ms.is_some())
        };
        if removed().count() > REMOVED_NODES_KEPT
            && let Some(oldest) = removed().map(|(id, _)| *id).next()
        {
            self.parts.nodes.remove(&oldest);
        }
    }
}
