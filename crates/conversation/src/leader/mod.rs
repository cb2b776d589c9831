//! The leader's own duties in its cell: the barrier, time, matching, plans, leases, presence.
//! Promise: duties are level-triggered; a lost or repeated one harms nobody.
//! Not here: what clients ask for (`actor`).

mod checkpoint;
mod history;
mod run;
mod step;

use std::sync::Arc;

use domain::cell::homes::HeldBuckets;
use domain::ids::{CellId, MachineVersion, NodeId, SiteId};
use domain::plan::VersionedPlan;
use runtime::Stop;
use tokio::sync::watch;

pub(crate) use checkpoint::NoVoters;
pub use checkpoint::{Seen, Voters};
pub(crate) use run::run;

use crate::handle::Core;
use crate::left::Safe;

/// The edge through which a client was last heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// This node.
    Node(NodeId),
    /// Not heard under this leader yet: any edge of the site at which it last logged in.
    AnyOf(SiteId),
}

/// Whose fault it is when a client is silent: the one place that decides it.
pub trait Faults: Send + Sync + 'static {
    /// Whether this node has had no connection to the client's edge for two seconds.
    fn our_fault(&self, edge: &Edge) -> bool;
}

/// What the control group knows of a cell: its leader copies it into the cell's log.
pub trait Registry: Send + Sync + 'static {
    /// The newest machine version that the program of a node knows, if the node is known.
    fn machine_version(&self, node: u64) -> Option<MachineVersion>;
    /// The buckets that a cell is to hold, if the map names any cell.
    fn buckets(&self, cell: CellId) -> Option<HeldBuckets>;
}

/// Knows nothing: a cell without a control group.
pub(crate) struct Unregistered;

impl Registry for Unregistered {
    fn machine_version(&self, _node: u64) -> Option<MachineVersion> {
        None
    }

    fn buckets(&self, _cell: CellId) -> Option<HeldBuckets> {
        None
    }
}

/// What the duties need.
pub(crate) struct Duties {
    pub(crate) core: Arc<Core>,
    pub(crate) plan: watch::Receiver<Option<VersionedPlan>>,
    pub(crate) archived: watch::Receiver<Option<Safe>>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) voters: Arc<dyn Voters>,
    pub(crate) cell: CellId,
    pub(crate) interrupted_after_ms: u64,
    pub(crate) stop: Stop,
}
