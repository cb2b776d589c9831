//! The floor plan, as it is stored in log entries and snapshots.
//! Promise: `decode_plan(encode_plan(p)) == p`; equal plans have equal bytes.
//! Not here: the TOML form (`floor`), whether the plan makes sense (`domain::control::check`).

pub(crate) mod from_wire;
pub(crate) mod to_wire;

use ::pb::store::v1 as pb;
use domain::control::{PlanFault, PlanPath, PlanProblem};
use domain::plan::FloorPlan;
use prost::Message as _;

pub(crate) use from_wire::{
    agent as agent_from_wire, plan as plan_from_wire, queue as queue_from_wire,
};
pub(crate) use to_wire::{agent as agent_to_wire, plan as plan_to_wire, queue as queue_to_wire};

use crate::error::{WireError, check_format};

#[cfg(test)]
mod plan_test;

/// The newest format of a stored plan: what this version writes.
pub const PLAN_FORMAT: u32 = 1;
/// Largest encoded plan in bytes: no log entry is larger than 1 MiB plus its envelope.
pub const PLAN_BYTES_MAX: usize = 1 << 20;

/// The stored form of a plan.
pub fn encode_plan(plan: &FloorPlan) -> Vec<u8> {
    plan_to_wire(plan).encode_to_vec()
}

/// Reads the stored form of a plan.
///
/// # Errors
/// When the bytes are no plan, or one of a newer format.
pub fn decode_plan(bytes: &[u8]) -> Result<FloorPlan, WireError> {
    plan_from_wire(&pb::FloorPlan::decode(bytes)?)
}

/// Every fault of a plan: those of `domain::control::check`, and its size.
pub fn check_plan(plan: &FloorPlan) -> Vec<PlanFault> {
    let mut faults = domain::control::check(plan);
    let bytes = plan_to_wire(plan).encoded_len();
    if bytes > PLAN_BYTES_MAX {
        let problem = PlanProblem::TooLarge {
            bytes,
            limit: PLAN_BYTES_MAX,
        };
        faults.push(PlanFault {
            path: PlanPath::default(),
            problem,
            suggestion: None,
        });
    }
    faults
}

/// Compares a stored plan's format with the newest known one.
fn check_plan_format(stored: &pb::FloorPlan) -> Result<(), WireError> {
    check_format(stored.format, PLAN_FORMAT)
}
