//! What this node's edge tells clients about the cluster.
//! Promise: nodes of other sites come first, connected ones before others; the floor is shown at every
//! node, whether or not it holds a replica of the cell.
//! Not here: the whole status (`status`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pb::api::v1::{Endpoint, FloorView};
use ports::Cluster;
use store::Identity;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cells::Cells;
use crate::control::{PlanWatch, StateWatch};
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

/// The cell for floor streams: this node's replica, else that of a member.
pub(crate) struct NodeFloor {
    cells: Cells,
    control: StateWatch,
    plan: PlanWatch,
    doors: Doors,
    /// The member that answered last; it is asked first.
    answered: AtomicU64,
}

/// No member is waited for longer: a round trip of 250 ms, and the time to count.
const MEMBER_WAIT: Duration = Duration::from_millis(400);
/// All of them together.
const MEMBERS_WAIT: Duration = Duration::from_secs(1);

impl NodeFloor {
    pub(crate) fn new(cells: Cells, control: StateWatch, plan: PlanWatch, doors: Doors) -> Self {
        Self {
            cells,
            control,
            plan,
            doors,
            answered: AtomicU64::new(0),
        }
    }

    fn local(&self) -> Option<api::LocalFloor> {
        let cell = self.cells.all().into_iter().next()?;
        Some(cell.floor())
    }

    /// The cell and the nodes that hold a replica of it, in the order in which they are asked.
    fn members(&self) -> Option<(u32, Vec<u64>)> {
        let control = self.control.borrow();
        let (id, cell) = control.cells.iter().next()?;
        let mut members: Vec<u64> = cell.members.values().map(|node| node.0).collect();
        let answered = self.answered.load(Ordering::Relaxed);
        members.sort_by_key(|node| (!self.doors.is_connected(*node), *node != answered));
        Some((id.0, members))
    }

    async fn elsewhere(&self, cell: u32, members: Vec<u64>) -> Option<FloorView> {
        for member in members {
            if let Some(floor) = self.doors.floor_view(member, cell, MEMBER_WAIT).await {
                self.answered.store(member, Ordering::Relaxed);
                return Some(floor);
            }
            // A member that hangs is connected for a while yet: another one is asked first next time.
            let _ = self
                .answered
                .compare_exchange(member, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        None
    }
}

#[async_trait::async_trait]
impl api::Floor for NodeFloor {
    async fn floor(&self) -> Option<FloorView> {
        if let Some(local) = self.local() {
            return Some(local.counted());
        }
        match self.members() {
            Some((cell, members)) => {
                let asking = self.elsewhere(cell, members);
                timeout(MEMBERS_WAIT, asking).await.ok().flatten()
            }
            // The cluster is forming: there is nothing to count anywhere.
            None => Some(FloorView::default()),
        }
    }

    fn plan(&self) -> Option<domain::plan::VersionedPlan> {
        let adopted = self.local().and_then(|floor| floor.plan());
        // Every node follows the control group: its plan is adopted by the cell in a moment.
        adopted.or_else(|| self.plan.borrow().clone())
    }

    fn applied(&self) -> Option<watch::Receiver<u64>> {
        self.local()?.applied()
    }
}
