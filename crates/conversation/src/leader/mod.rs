//! The leader's own duties in its cell: the barrier, time, matching, plans, leases, presence.
//! Promise: duties are level-triggered; a lost or repeated one harms nobody.
//! Not here: what clients ask for (`actor`).

mod run;
mod step;

use std::sync::Arc;

use domain::ids::{NodeId, SiteId};
use domain::plan::VersionedPlan;
use runtime::Stop;
use tokio::sync::watch;

pub(crate) use run::run;

use crate::handle::Core;

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

/// What the duties need.
pub(crate) struct Duties {
    pub(crate) core: Arc<Core>,
    pub(crate) plan: watch::Receiver<Option<VersionedPlan>>,
    pub(crate) interrupted_after_ms: u64,
    pub(crate) stop: Stop,
}
