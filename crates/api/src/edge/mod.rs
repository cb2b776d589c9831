//! The edge: where clients' calls enter, at any node.
//! Promise: keeps no state of a conversation; what it refuses was certainly not done.
//! Not here: who leads (`ports::Door`), what a call does (`owner`).

mod agent;
mod attach;
mod calls;
mod cluster;
mod customer;
mod floor;
mod stream;
mod streams;
mod ups;
mod work;

use std::sync::Arc;

use domain::cell::Cell;
use domain::ids::{CellId, LogIndex};
use pb::api::v1::{FloorView, Refusal};
use ports::{Cluster, Door, Hands, Operator};
use runtime::Tracer;
use tokio::sync::watch;

use crate::metrics::RpcMetrics;

pub use agent::Agents;
pub(crate) use calls::CONTROL_GROUP;
pub use calls::is_read;
pub use cluster::Clusters;
pub use customer::Conversations;
pub use floor::Floors;
pub use streams::Streams;
pub(crate) use work::refused;

/// Which cell is asked.
pub trait Homes: Send + Sync + 'static {
    /// The cell in which a customer's conversations are born: by the bucket map.
    ///
    /// # Errors
    /// A refusal with a retry hint while no cell can be named.
    fn of_customer(&self, account: &str, customer: &str) -> Result<CellId, Refusal>;
    /// The cell that decides an agent's capacity: by the floor plan.
    fn of_agent(&self, agent: &str) -> CellId;
    /// The cell whose queues, agents and conversations are listed.
    fn of_floor(&self) -> CellId;
}

/// Everything lives in one cell.
#[derive(Debug, Clone, Copy)]
pub struct OneCell(pub CellId);

impl Homes for OneCell {
    fn of_customer(&self, _account: &str, _customer: &str) -> Result<CellId, Refusal> {
        Ok(self.0)
    }

    fn of_agent(&self, _agent: &str) -> CellId {
        self.0
    }

    fn of_floor(&self) -> CellId {
        self.0
    }
}

/// A replica of a cell, possibly stale, for floor streams: the node's own, else another node's.
#[tonic::async_trait]
pub trait Floor: Send + Sync + 'static {
    /// The counters and the index that they hold for; endpoints are left empty. `None` when no node with a
    /// replica answers. Bounded: it waits no longer than a second for other nodes.
    async fn floor(&self) -> Option<FloorView>;
    /// The adopted floor plan.
    fn plan(&self) -> Option<domain::plan::VersionedPlan>;
    /// Follows the applied index; `None` where this node has no replica that could be followed.
    fn applied(&self) -> Option<watch::Receiver<u64>>;
}

/// A replica of a cell with the name that people read.
pub struct LocalFloor {
    /// `main`.
    pub cell_name: String,
    /// The replica's reader.
    pub view: conversation::View,
}

impl LocalFloor {
    /// The counters and the index that they hold for; endpoints are left empty.
    pub fn counted(&self) -> FloorView {
        let read = |cell: &Cell, applied: LogIndex| {
            crate::convert::floor_view(cell.state(), &self.cell_name, applied)
        };
        self.view.with(read)
    }
}

#[tonic::async_trait]
impl Floor for LocalFloor {
    async fn floor(&self) -> Option<FloorView> {
        Some(self.counted())
    }

    fn plan(&self) -> Option<domain::plan::VersionedPlan> {
        self.view.with(|cell, _| {
            let state = cell.state();
            let plan = state.plan()?.clone();
            Some(domain::plan::VersionedPlan {
                version: state.meta().plan,
                plan,
            })
        })
    }

    fn applied(&self) -> Option<watch::Receiver<u64>> {
        Some(self.view.applied())
    }
}

/// What an edge is made of.
pub struct EdgeParts {
    /// The way to the owners of the groups.
    pub door: Arc<dyn Door>,
    /// What clients are told about the cluster.
    pub cluster: Arc<dyn Cluster>,
    /// What operators ask the node.
    pub operator: Arc<dyn Operator>,
    /// What operators do with one node.
    pub hands: Arc<dyn Hands>,
    /// The node's own replica, for floor streams.
    pub floor: Arc<dyn Floor>,
    /// Which cell is asked.
    pub homes: Arc<dyn Homes>,
    /// The client streams of the node.
    pub streams: Streams,
    /// What is counted of its calls.
    pub rpc: Arc<RpcMetrics>,
    /// Makes the spans of those that are traced.
    pub tracer: Tracer,
}

/// The edge of a node. Cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<EdgeParts>);

impl Edge {
    /// An edge over its parts.
    pub fn new(parts: EdgeParts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn door(&self) -> &dyn Door {
        &*self.0.door
    }

    pub(crate) fn cluster(&self) -> &dyn Cluster {
        &*self.0.cluster
    }

    pub(crate) fn operator(&self) -> &dyn Operator {
        &*self.0.operator
    }

    pub(crate) fn hands(&self) -> &dyn Hands {
        &*self.0.hands
    }

    pub(crate) fn floor(&self) -> &Arc<dyn Floor> {
        &self.0.floor
    }

    pub(crate) fn homes(&self) -> &dyn Homes {
        &*self.0.homes
    }

    pub(crate) fn tracer(&self) -> &Tracer {
        &self.0.tracer
    }

    pub(crate) fn rpc(&self) -> &Arc<RpcMetrics> {
        &self.0.rpc
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }
}

#[cfg(test)]
mod edge_test;
#[cfg(test)]
pub(crate) mod fake;
