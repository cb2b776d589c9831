//! Which cell is whose home, and what a cell is told of it, as this node's control replica says.
//! Promise: every call reads the newest state that has reached this node; nothing is remembered.
//! Not here: the map itself (`domain::control`), the cell's own word on it (`domain::cell`).

use conversation::Registry;
use domain::cell::homes::HeldBuckets;
use domain::control::command::FIRST_CELL;
use domain::control::home::NoHome;
use domain::ids::{AccountId, AgentId, CellId, CustomerKey, MachineVersion, NodeId};
use pb::api::v1::{ErrorReason, Refusal};

use crate::control::StateWatch;
use crate::refuse::{self, field_invalid, refusal};

/// Retry hint where the map names a cell that has not reached this node, in milliseconds: the control
/// group's entry is on its way.
const RETRY_CELL_MS: u64 = 250;

/// Finds homes for the edge of this node.
pub(crate) struct ControlHomes {
    control: StateWatch,
}

impl ControlHomes {
    pub(crate) fn new(control: StateWatch) -> Self {
        Self { control }
    }

    fn first(&self) -> CellId {
        self.control.borrow().buckets.first.unwrap_or(FIRST_CELL)
    }
}

impl api::Homes for ControlHomes {
    fn of_customer(&self, account: &str, customer: &str) -> Result<CellId, Refusal> {
        let account = AccountId::new(account).map_err(|error| field_invalid("account", error))?;
        let customer =
            CustomerKey::new(customer).map_err(|error| field_invalid("customer", error))?;
        let home = self.control.borrow().home_of(&account, &customer);
        home.map_err(|nobody| match nobody {
            NoHome::Forming => refuse::forming("the first cell"),
            NoHome::UnknownCell { .. } => refusal(
                ErrorReason::BucketElsewhere,
                nobody.to_string(),
                RETRY_CELL_MS,
            ),
        })
    }

    fn of_agent(&self, agent: &str) -> CellId {
        let parts = self.control.borrow();
        let plan = parts.plans.last().map(|stored| &stored.plan);
        let profile = AgentId::new(agent)
            .ok()
            .and_then(|agent| plan?.agents.get(&agent));
        let cell = profile.and_then(|profile| {
            let mut cells = parts.cells.iter();
            cells.find(|(_, cell)| cell.name == profile.cell)
        });
        // A cell that the plan names and nobody has made yet: the first one knows the agent too.
        let named = cell.map(|(id, _)| *id);
        named.or(parts.buckets.first).unwrap_or(FIRST_CELL)
    }

    fn of_floor(&self) -> CellId {
        self.first()
    }
}

/// What the leaders of this node's cells copy from the control group.
pub(crate) struct ControlRegistry {
    control: StateWatch,
}

impl ControlRegistry {
    pub(crate) fn new(control: StateWatch) -> Self {
        Self { control }
    }
}

impl Registry for ControlRegistry {
    fn machine_version(&self, node: u64) -> Option<MachineVersion> {
        let parts = self.control.borrow();
        parts.nodes.get(&NodeId(node)).map(|node| node.machine)
    }

    fn buckets(&self, cell: CellId) -> Option<HeldBuckets> {
        let parts = self.control.borrow();
        parts.buckets.first?;
        Some(parts.buckets.held_by(cell))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use api::Homes;
    use domain::control::buckets::BUCKETS;
    use domain::control::state::{Cell, ControlParts, Node, StoredPlan};
    use domain::ids::{PlanVersion, SiteId, StaffId};
    use tokio::sync::watch;

    use super::*;

    const TWO: CellId = CellId(2);

    /// The sample plan; cell 2 holds the upper half of the buckets of the account's region.
    fn two_cells(account: &str) -> ControlParts {
        let plan = wire::floor::parse(wire::floor::SAMPLE).unwrap();
        let region = plan.accounts[&AccountId::new(account).unwrap()]
            .site
            .clone();
        let half = usize::from(BUCKETS / 2);
        let cell = |name: &str| Cell {
            name: name.to_owned(),
            home: region.clone(),
            members: BTreeMap::new(),
            running: true,
        };
        let mut parts = ControlParts {
            cells: BTreeMap::from([(FIRST_CELL, cell("main")), (TWO, cell("second"))]),
            plans: vec![Arc::new(StoredPlan {
                version: PlanVersion(1),
                wall_ms: 0,
                by: StaffId::new("op").unwrap(),
                plan: Arc::new(plan),
            })],
            ..ControlParts::default()
        };
        let cells = [vec![FIRST_CELL; half], vec![TWO; half]].concat();
        parts.buckets.first = Some(FIRST_CELL);
        parts.buckets.regions.insert(region, cells);
        parts
    }

    fn account() -> String {
        let plan = wire::floor::parse(wire::floor::SAMPLE).unwrap();
        plan.accounts.keys().next().unwrap().to_string()
    }

    fn homes(parts: ControlParts) -> (watch::Sender<Arc<ControlParts>>, ControlHomes) {
        let (says, control) = watch::channel(Arc::new(parts));
        (says, ControlHomes::new(control))
    }

    fn cells_of(homes: &ControlHomes) -> Vec<CellId> {
        let found = (0..64).map(|n| homes.of_customer(&account(), &format!("c{n}")).unwrap());
        let mut found: Vec<_> = found.collect();
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn customers_of_one_account_are_sent_to_the_cells_of_their_buckets() {
        let (_says, homes) = homes(two_cells(&account()));
        assert_eq!(cells_of(&homes), [FIRST_CELL, TWO]);
    }

    #[test]
    fn with_one_cell_everybody_goes_to_it() {
        let mut parts = two_cells(&account());
        parts.cells.remove(&TWO);
        for cells in parts.buckets.regions.values_mut() {
            cells.fill(FIRST_CELL);
        }
        let (_says, homes) = homes(parts);
        assert_eq!(cells_of(&homes), [FIRST_CELL]);
    }

    #[test]
    fn a_cell_that_has_not_reached_this_node_and_none_at_all_are_refused_with_a_retry_hint() {
        let mut parts = two_cells(&account());
        parts.cells.remove(&FIRST_CELL);
        parts.cells.remove(&TWO);
        let (says, homes) = homes(parts);
        let refused = homes.of_customer(&account(), "ming").unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::BucketElsewhere);
        assert!(refused.retry_after_ms > 0);
        says.send_replace(Arc::default());
        let refused = homes.of_customer(&account(), "ming").unwrap_err();
        assert_eq!(refused.reason(), ErrorReason::ClusterForming);
        assert!(refused.retry_after_ms > 0);
    }

    #[test]
    fn a_cells_leader_learns_versions_and_buckets_from_the_control_group() {
        let mut parts = two_cells(&account());
        let node = Node {
            name: "sha-n1".parse().unwrap(),
            site: SiteId::new("sha").unwrap(),
            addresses: domain::control::command::Addresses {
                peer: "127.0.0.1:1".to_owned(),
                api: "127.0.0.1:2".to_owned(),
            },
            program: "1".to_owned(),
            machine: MachineVersion(2),
            request_id: None,
            fingerprint: 0,
            joined_wall_ms: 0,
            removed_wall_ms: None,
        };
        parts.nodes.insert(NodeId(3), node);
        let held = parts.buckets.held_by(TWO);
        let (says, control) = watch::channel(Arc::new(parts));
        let registry = ControlRegistry::new(control);
        assert_eq!(registry.machine_version(3), Some(MachineVersion(2)));
        assert_eq!(registry.machine_version(4), None);
        assert_eq!(registry.buckets(TWO), Some(held));
        says.send_replace(Arc::default());
        assert_eq!(
            registry.buckets(TWO),
            None,
            "before the first cell nobody knows"
        );
    }
}
