//! The control group on this node: its machine, its owner, the duties of its leader.
//! Promise: every node knows the newest state that reached it; only the leader changes it.
//! Not here: decisions (`domain::control`), stored forms (`wire`).

mod codec;
mod convert;
mod history;
mod machine;
pub(crate) mod owner;
mod propose;
pub(crate) mod reconcile;
mod step;

#[cfg(test)]
mod step_test;

use std::sync::Arc;

use domain::control::ControlParts;
use domain::plan::VersionedPlan;
use tokio::sync::watch;

pub(crate) use codec::sample_floor;
pub(crate) use convert::{node_view, wrong_cluster};
pub(crate) use machine::{ControlMachine, control_machine};
pub(crate) use propose::Proposer;

/// Follows the control state as this node's replica has it.
pub(crate) type StateWatch = watch::Receiver<Arc<ControlParts>>;
/// Follows the floor plan in force as this node's replica has it.
pub(crate) type PlanWatch = watch::Receiver<Option<VersionedPlan>>;

/// The number of the control group.
pub(crate) const CONTROL_GROUP: u32 = 0;
/// Its name for people.
pub(crate) const CONTROL_NAME: &str = "control";
