//! The stored forms of control entries, snapshots and floor plans, by their names in `wire`.
//! Promise: what one version wrote, a later one reads.
//! Not here: the forms themselves (`wire`).

use bytes::Bytes;
use domain::control::{Control, ControlEntry, ControlParts};
use domain::plan::FloorPlan;
use pb::api::v1::PlanFault;

pub(super) fn encode_entry(entry: &ControlEntry) -> Bytes {
    wire::control::encode_entry(entry).into()
}

pub(super) fn decode_entry(payload: &[u8]) -> Result<ControlEntry, String> {
    wire::control::decode_entry(payload).map_err(|error| error.to_string())
}

pub(super) fn chunks(parts: ControlParts) -> impl Iterator<Item = Vec<u8>> + Send {
    wire::snapshot::ControlChunks::new(&parts)
}

pub(super) fn from_chunks(chunks: &[Bytes]) -> Result<Control, String> {
    wire::snapshot::decode_control(chunks).map_err(|error| error.to_string())
}

/// The plan that a text describes, or its faults.
pub(super) fn parse_floor(text: &str) -> Result<FloorPlan, Vec<PlanFault>> {
    wire::floor::parse(text).map_err(api::plan_changes::faults)
}

pub(super) fn print_floor(plan: &FloorPlan) -> String {
    wire::floor::render(plan)
}

/// The sample plan that ships with the program.
pub(crate) fn sample_floor() -> &'static str {
    wire::floor::SAMPLE
}
