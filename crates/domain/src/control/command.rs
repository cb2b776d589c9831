//! What can be asked of the control group: one closed enum.
//! Promise: a command holds everything that its decision needs beside the state.
//! Not here: the decisions (`decide`), how a plan is judged (`check`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::ids::{
    CellId, CellTime, IdError, MachineVersion, NodeId, NodeName, PlanVersion, RequestId, SiteId,
    StaffId,
};
use crate::plan::FloorPlan;

/// The id of the node that founds a cluster: the first of the counter.
pub const FIRST_NODE: NodeId = NodeId(1);
/// The id of the first cell: the first of the counter.
pub const FIRST_CELL: CellId = CellId(1);

/// One entry of the control group's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlEntry {
    /// The leader's control time at proposing; `apply` takes max(now, at).
    pub at: CellTime,
    /// The leader's wall clock in Unix milliseconds, for display alone.
    pub wall_ms: u64,
    /// What is asked.
    pub command: ControlCommand,
}

/// A command of the control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlCommand {
    /// Begins a cluster. The first entry of the group; proposed by the node that `init` ran on.
    Found(Found),
    /// A node asks for an id.
    Join(Join),
    /// A node that has started tells where it listens. Proposed by the node at each start.
    NodeAddress(NodeAddress),
    /// An operator takes a node out for good. Its id is never used again.
    RemoveNode(RemoveNode),
    /// An operator, or `init`, creates a cell with its first members.
    CreateCell(CreateCell),
    /// The voters of a cell after a change of its membership. Proposed by the cell's leader.
    PlaceCell(PlaceCell),
    /// The cell's first election happened: from now on nobody may start it again. Proposed by
    /// the cell's leader; repeats change nothing.
    CellRunning {
        /// The cell.
        cell: CellId,
    },
    /// Brings a new version of the floor plan into force, if the expected one is in force.
    ApplyPlan(ApplyPlan),
}

/// A cluster's id: a random text made once by `init`, at most 36 printable ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(RequestId);

impl ClusterId {
    /// Checks and wraps a cluster id.
    ///
    /// # Errors
    /// Says whether it is empty, too long or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, IdError> {
        RequestId::new(text).map(Self)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The timing profile of the whole cluster: chosen at `init`, equal on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Sites in one building or city: heartbeat 50 ms.
    Lan,
    /// Round trips up to 60 ms: heartbeat 150 ms.
    Regional,
    /// Round trips up to 250 ms: heartbeat 400 ms.
    Global,
}

impl Profile {
    /// The word that users write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Regional => "regional",
            Self::Global => "global",
        }
    }

    /// Reads the word that users write.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Lan, Self::Regional, Self::Global]
            .into_iter()
            .find(|profile| profile.as_str() == word)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A site as a node describes its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteProfile {
    /// The site's id, also the region of its buckets.
    pub site: SiteId,
    /// IANA time zone, at most 64 bytes; the first node of a site decides it.
    pub time_zone: String,
}

/// Where a node listens: host and port, at most 256 bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// For other nodes.
    pub peer: String,
    /// For clients.
    pub api: String,
}

/// Begins a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The new cluster's id.
    pub cluster: ClusterId,
    /// A name for people, at most 128 bytes.
    pub cluster_name: String,
    /// The timing profile.
    pub profile: Profile,
    /// The name of the first node; its id is `FIRST_NODE`.
    pub node: NodeName,
    /// Its site.
    pub site: SiteProfile,
    /// Where it listens.
    pub addresses: Addresses,
    /// The program's version that the node runs, at most 64 bytes.
    pub program: String,
    /// The newest machine version of cells that this program knows.
    pub machine: MachineVersion,
}

/// A node asks for an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Id of the request, kept as long as the node is a member: a repeat gets the same node id.
    pub request_id: RequestId,
    /// The node's name; no living node may have it.
    pub node: NodeName,
    /// Its site.
    pub site: SiteProfile,
    /// Where it listens.
    pub addresses: Addresses,
    /// The timing profile that the node was configured with.
    pub profile: Profile,
    /// The program's version that the node runs, at most 64 bytes.
    pub program: String,
    /// The newest machine version of cells that this program knows.
    pub machine: MachineVersion,
}

/// A node that has started tells where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// The node.
    pub node: NodeId,
    /// Where it listens.
    pub addresses: Addresses,
    /// The timing profile that the node was configured with.
    pub profile: Profile,
    /// The program's version that the node runs, at most 64 bytes.
    pub program: String,
    /// The newest machine version of cells that this program knows.
    pub machine: MachineVersion,
}

/// Takes a node out for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveNode {
    /// Id of the request.
    pub request_id: RequestId,
    /// Who asks.
    pub by: StaffId,
    /// The node; it may be a member of no cell.
    pub node: NodeId,
}

/// Creates a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateCell {
    /// Id of the request.
    pub request_id: RequestId,
    /// Who asks.
    pub by: StaffId,
    /// Its name, `main` or `fra-c1`; at most 128 bytes, never used twice.
    pub name: String,
    /// Where its leader is preferred; a site of `members`.
    pub home: SiteId,
    /// The first voters: one node per site.
    pub members: BTreeMap<SiteId, NodeId>,
}

/// The voters of a cell after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceCell {
    /// The cell.
    pub cell: CellId,
    /// Its voters from now on: one node per site.
    pub members: BTreeMap<SiteId, NodeId>,
}

/// Brings a new version of the floor plan into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyPlan {
    /// Id of the request.
    pub request_id: RequestId,
    /// Who asks.
    pub by: StaffId,
    /// The version that the change was made against; 0 for the first.
    pub expected: PlanVersion,
    /// The plan; the proposer has run `check` on it.
    pub plan: Arc<FloorPlan>,
}
