//! What this node's edge tells clients about the cluster.
//! Promise: nodes of other sites come first, connected ones before others.
//! Not here: the whole status (`status`).

use std::sync::atomic::{AtomicBool, Ordering};

use pb::api::v1::{Endpoint, FloorView};
use ports::Cluster;
use store::Identity;
use tokio::sync::watch;

use crate::cells::Cells;
use crate::control::StateWatch;
use crate::doors::Doors;

/// The cluster as this node's edge sees it.
pub(crate) struct ClusterView {
    identity: Identity,
    control: StateWatch,
    doors: Doors,
    draining: AtomicBool,
}

impl ClusterView {
    pub(crate) fn new(identity: Identity, control: StateWatch, doors: Doors) -> Self {
        Self {
            identity,
            control,
            doors,
            draining: AtomicBool::new(false),
        }
    }

    /// From now on the node goes away. Whether it did already.
    pub(crate) fn begin_drain(&self) -> bool {
        self.draining.swap(true, Ordering::AcqRel)
    }
}

impl Cluster for ClusterView {
    fn endpoints(&self) -> Vec<Endpoint> {
        let control = self.control.borrow().clone();
        let others = control
            .living_nodes()
            .filter(|(id, _)| id.0 != self.identity.node_id);
        let mut endpoints: Vec<_> = others
            .map(|(id, node)| {
                let endpoint = Endpoint {
                    site: node.site.to_string(),
                    node: node.name.to_string(),
                    address: node.addresses.api.clone(),
                };
                let same_site = endpoint.site == self.identity.site;
                ((!self.doors.is_connected(id.0), same_site, id), endpoint)
            })
            .collect();
        endpoints.sort_by_key(|(rank, _)| *rank);
        endpoints
            .into_iter()
            .map(|(_, endpoint)| endpoint)
            .collect()
    }

    fn site(&self) -> String {
        self.identity.site.clone()
    }

    fn node_name(&self) -> String {
        self.identity.node_name.clone()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// The local replica of the cell for floor streams; empty until there is one.
pub(crate) struct NodeFloor {
    cells: Cells,
    nothing: watch::Sender<u64>,
}

impl NodeFloor {
    pub(crate) fn new(cells: Cells) -> Self {
        Self {
            cells,
            nothing: watch::Sender::new(0),
        }
    }

    fn local(&self) -> Option<api::LocalFloor> {
        let cell = self.cells.all().into_iter().next()?;
        Some(api::LocalFloor {
            cell_name: cell.name.clone(),
            view: cell.view.clone(),
        })
    }
}

impl api::Floor for NodeFloor {
    fn floor(&self) -> FloorView {
        self.local().map(|floor| floor.floor()).unwrap_or_default()
    }

    fn plan(&self) -> Option<domain::plan::VersionedPlan> {
        self.local().and_then(|floor| floor.plan())
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.local()
            .map_or_else(|| self.nothing.subscribe(), |floor| floor.applied())
    }
}
