//! What the control machine answers, and what it tells those who follow it.
//! Promise: the same command in the same state gives the same reply and events on every replica.
//! Not here: the decisions (`decide`).

use std::sync::Arc;

use super::command::{ClusterId, NodeAddress, PlaceCell, Profile, SiteProfile};
use super::requests::RequestRow;
use super::state::{Cell, Node, StoredPlan};
use crate::ids::{CellId, LogIndex, NodeId, NodeName, PlanVersion, RequestId, SiteId};

/// The answer to one control command.
pub type ControlReply = Result<ControlDone, ControlRefusal>;

/// What applying one entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlApplied {
    /// The answer to the proposer.
    pub reply: ControlReply,
    /// What changed, in order; empty after a refusal or a repeat.
    pub changed: Vec<ControlEvent>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlDone {
    /// Nothing more to say.
    Nothing,
    /// The node is a member, or was already by the same request.
    Joined {
        /// Its id.
        node: NodeId,
    },
    /// The cell exists.
    CellCreated {
        /// Its id.
        cell: CellId,
    },
    /// The plan is in force.
    PlanApplied {
        /// Its version.
        version: PlanVersion,
        /// Whether the plan was the one in force already, so that no version was made.
        unchanged: bool,
    },
}

/// A change of the control state. Followers of the machine read these to open connections,
/// start cells and copy plans; a lost one harms nobody, for the state holds everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlEvent {
    /// The cluster has begun.
    Founded {
        /// Its id.
        cluster: ClusterId,
        /// Its name for people.
        name: String,
        /// Its timing profile.
        profile: Profile,
    },
    /// A node is a member.
    NodeJoined {
        /// Its id.
        id: NodeId,
        /// Its record.
        node: Box<Node>,
        /// Its site, for a site that is new.
        site: SiteProfile,
    },
    /// A node listens elsewhere, or runs another version.
    NodeMoved(NodeAddress),
    /// A node is a member no longer.
    NodeRemoved {
        /// Its id.
        node: NodeId,
    },
    /// A cell exists.
    CellCreated {
        /// Its id.
        id: CellId,
        /// Its record.
        cell: Box<Cell>,
    },
    /// A cell has other voters.
    CellPlaced(PlaceCell),
    /// A cell has had its first election.
    CellStarted {
        /// The cell.
        cell: CellId,
    },
    /// A plan version is in force.
    PlanApplied(Arc<StoredPlan>),
    /// A request is remembered beside what it changed.
    RequestRemembered {
        /// Where.
        place: RequestPlace,
        /// What.
        row: RequestRow,
    },
}

/// The object that remembers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestPlace {
    /// Removals of nodes.
    Nodes,
    /// Creation of cells.
    Cells,
    /// Versions of the plan.
    Plan,
}

/// Why a control command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlRefusal {
    /// Nothing can be asked before `Found`.
    #[error("the cluster is not initialised")]
    NotFounded,
    /// A cluster is founded once.
    #[error("the cluster {cluster} exists already")]
    AlreadyFounded {
        /// Its id.
        cluster: ClusterId,
    },
    /// Timing profiles must be equal everywhere.
    #[error("the cluster runs profile {cluster}, the node {node}")]
    ProfileDiffers {
        /// The cluster's.
        cluster: Profile,
        /// The node's.
        node: Profile,
    },
    /// A living node has this name.
    #[error("the name {name} is in use by node {node}")]
    NodeNameInUse {
        /// The name.
        name: NodeName,
        /// Who has it.
        node: NodeId,
    },
    /// No such node.
    #[error("node {node} does not exist")]
    NodeNotFound {
        /// The id.
        node: NodeId,
    },
    /// The node was taken out; its data directory is to be set aside and it joins as a new one.
    #[error("node {node} was removed from the cluster")]
    NodeRemoved {
        /// The id.
        node: NodeId,
    },
    /// The node still votes in a cell.
    #[error("node {node} is a member of cell {cell}")]
    NodeInCell {
        /// The node.
        node: NodeId,
        /// The cell.
        cell: CellId,
    },
    /// The cluster must keep a node.
    #[error("node {node} is the last of the cluster")]
    LastNode {
        /// The node.
        node: NodeId,
    },
    /// As many nodes as a cluster may have.
    #[error("the cluster has {limit} nodes already")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
    /// As many cells as a cluster may have.
    #[error("the cluster has had {limit} cells already")]
    TooManyCells {
        /// The limit.
        limit: usize,
    },
    /// No such cell.
    #[error("cell {cell} does not exist")]
    CellNotFound {
        /// The id.
        cell: CellId,
    },
    /// A cell's name is never used twice.
    #[error("the name {name} is in use by cell {cell}")]
    CellNameInUse {
        /// The name.
        name: String,
        /// Who has it.
        cell: CellId,
    },
    /// A cell needs at least one member.
    #[error("a cell needs at least one member")]
    NoMembers,
    /// A member is listed under a site that is not its own.
    #[error("node {node} is not of site {site}")]
    MemberOfOtherSite {
        /// The node.
        node: NodeId,
        /// The site under which it was listed.
        site: SiteId,
    },
    /// The home of a cell must be a site of its members.
    #[error("site {site} has no member of the cell")]
    HomeWithoutMember {
        /// The site.
        site: SiteId,
    },
    /// Another version is in force than the change was made against.
    #[error("floor plan version {current} is in force, not {expected}")]
    PlanVersionDiffers {
        /// The version that was expected.
        expected: PlanVersion,
        /// The version in force, 0 for none.
        current: PlanVersion,
    },
    /// A text is empty or too long.
    #[error("{field} must have 1 to {limit} bytes")]
    BadText {
        /// Which.
        field: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// The same id came with another content.
    #[error("request id {request_id} was used with another content")]
    RequestIdReused {
        /// The id.
        request_id: RequestId,
    },
    /// The table of remembered requests is full.
    #[error("too many requests within ten minutes")]
    TooManyRequests {
        /// Try again after this many milliseconds; the id stays.
        retry_after_ms: u64,
    },
    /// A defect of the machine; the command changed nothing.
    #[error("a defect at log index {index} stopped the command")]
    MachineDefect {
        /// Where it happened.
        index: LogIndex,
    },
}

/// Longest address in bytes: a host name has at most 253, a port 6 with its colon.
pub const ADDRESS_BYTES_MAX: usize = 256;
