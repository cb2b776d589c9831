//! Earlier versions of the floor plan: listing them, and bringing the content of one into force again.
//! Promise: a revert is a new version with old content, applied against the version that its author saw; a
//! repeat of the same request gets the first answer, also where the version that it names is not kept any
//! more by then.
//! Not here: keeping versions (`domain::control`), applying (`owner`).

use domain::control::ControlParts;
use domain::control::reply::{ControlDone, RequestPlace};
use domain::control::state::StoredPlan;
use domain::ids::RequestId;
use pb::api::v1::{
    ApplyFloorPlanRequest, FloorPlanVersion, ListFloorPlansResponse, Refusal,
    RevertFloorPlanRequest, RevertFloorPlanResponse,
};
use tokio::time::Instant;

use super::codec;
use super::owner::{ControlOwner, staff};
use crate::refuse;

/// Lines of what a version changed.
const CHANGES_SHOWN: usize = 8;

impl ControlOwner {
    /// The versions that are kept, newest first.
    pub(super) async fn versions(&self) -> Result<ListFloorPlansResponse, Refusal> {
        self.barrier().await?;
        let parts = self.proposer.state().borrow().clone();
        Ok(ListFloorPlansResponse {
            versions: versions(&parts),
            wall_ms: self.proposer.wall_ms(),
        })
    }

    /// Brings the content of an earlier version into force.
    pub(super) async fn revert(
        &self,
        request: RevertFloorPlanRequest,
        deadline: Instant,
    ) -> Result<RevertFloorPlanResponse, Refusal> {
        self.barrier().await?;
        let parts = self.proposer.state().borrow().clone();
        let wanted = |stored: &&std::sync::Arc<StoredPlan>| stored.version.0 == request.to_version;
        let Some(stored) = parts.plans.iter().find(wanted) else {
            // Reverting to the oldest version that is kept pushes that one out.
            return match remembered(&parts, &request) {
                Some(version) => Ok(RevertFloorPlanResponse {
                    version,
                    ..RevertFloorPlanResponse::default()
                }),
                None => Err(refuse::field_invalid("to_version", "is not kept any more")),
            };
        };
        let apply = ApplyFloorPlanRequest {
            request_id: request.request_id,
            toml: codec::print_floor(&stored.plan),
            expected_version: request.expected_version,
            dry_run: false,
            staff: request.staff,
        };
        let applied = self.apply_plan(apply, deadline).await?;
        Ok(RevertFloorPlanResponse {
            version: applied.version,
            changes: applied.changes,
            adopted: applied.adopted,
            behind: applied.behind,
            faults: applied.faults,
        })
    }
}

/// The version that an earlier request with this id brought into force.
fn remembered(parts: &ControlParts, request: &RevertFloorPlanRequest) -> Option<u64> {
    let rows = &parts.requests.get(&RequestPlace::Plan)?.rows;
    let by = staff(&request.staff);
    let id = RequestId::new(&request.request_id).ok()?;
    let row = rows
        .iter()
        .find(|row| row.request_id == id && row.principal == by)?;
    match row.done {
        ControlDone::PlanApplied { version, .. } => Some(version.0),
        _ => None,
    }
}

fn versions(parts: &ControlParts) -> Vec<FloorPlanVersion> {
    let before = std::iter::once(None).chain(parts.plans.iter().map(Some));
    let told = parts.plans.iter().zip(before).map(|(stored, before)| {
        let mut changes = match before {
            Some(before) => api::plan_changes::between(Some(&before.plan), &stored.plan),
            None => Vec::new(),
        };
        let left_out = changes.len().saturating_sub(CHANGES_SHOWN);
        changes.truncate(CHANGES_SHOWN);
        FloorPlanVersion {
            version: stored.version.0,
            applied_wall_ms: stored.wall_ms,
            staff: stored.by.to_string(),
            queues: count(stored.plan.queues.len()),
            agents: count(stored.plan.agents.len()),
            changes,
            changes_left_out: count(left_out),
        }
    });
    let mut told: Vec<FloorPlanVersion> = told.collect();
    told.reverse();
    told
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::control::requests::{RequestRow, Requests};
    use domain::ids::{CellTime, PlanVersion, StaffId};
    use domain::plan::FloorPlan;

    use super::*;

    fn stored(version: u64, plan: FloorPlan) -> Arc<StoredPlan> {
        Arc::new(StoredPlan {
            version: PlanVersion(version),
            wall_ms: version * 1_000,
            by: StaffId::new("lin").unwrap(),
            plan: Arc::new(plan),
        })
    }

    fn sample() -> FloorPlan {
        codec::parse_floor(codec::sample_floor()).unwrap()
    }

    #[test]
    fn versions_are_told_newest_first_with_what_each_changed() {
        let mut later = sample();
        later
            .agents
            .values_mut()
            .for_each(|agent| agent.capacity += 1);
        let parts = ControlParts {
            plans: vec![stored(7, sample()), stored(8, later), stored(9, sample())],
            ..ControlParts::default()
        };
        let told = versions(&parts);
        let numbers: Vec<u64> = told.iter().map(|version| version.version).collect();
        assert_eq!(numbers, [9, 8, 7]);
        assert_eq!(
            (told[0].staff.as_str(), told[0].applied_wall_ms),
            ("lin", 9_000)
        );
        let agents = sample().agents.len();
        assert_eq!(told[1].changes.len(), CHANGES_SHOWN);
        assert_eq!(told[1].changes_left_out as usize, agents - CHANGES_SHOWN);
        assert!(
            told[1].changes[0].contains(": capacity "),
            "{:?}",
            told[1].changes
        );
        assert!(
            told[2].changes.is_empty(),
            "the version before it is not kept"
        );
    }

    #[test]
    fn a_repeat_is_known_by_its_id_and_its_author() {
        let mut parts = ControlParts::default();
        let row = RequestRow {
            principal: "lin".to_owned(),
            request_id: RequestId::new("r-1").unwrap(),
            fingerprint: 1,
            at: CellTime(5),
            done: ControlDone::PlanApplied {
                version: PlanVersion(17),
                unchanged: false,
            },
        };
        let rows = Requests { rows: vec![row] };
        parts.requests.insert(RequestPlace::Plan, rows);
        let ask = |id: &str, staff: &str| {
            let request = RevertFloorPlanRequest {
                request_id: id.to_owned(),
                staff: staff.to_owned(),
                ..RevertFloorPlanRequest::default()
            };
            remembered(&parts, &request)
        };
        assert_eq!(ask("r-1", "lin"), Some(17));
        assert_eq!(ask("r-2", "lin"), None);
        assert_eq!(ask("r-1", "ana"), None);
    }
}
