//! The owner of the control group: answers what edges and nodes ask of it.
//! Promise: changes are made by the leader alone; a floor plan is applied against the version that
//! its author saw, and the answer lists the cells that had adopted it.
//! Not here: deciding (`domain::control`), adopting (`conversation`).

use std::sync::Arc;
use std::time::Duration;

use domain::control::ControlCommand;
use domain::control::command::ApplyPlan;
use domain::control::reply::ControlDone;
use domain::ids::{PlanVersion, RequestId, StaffId};
use pb::api::v1::{
    ApplyFloorPlanRequest, ApplyFloorPlanResponse, ErrorReason, GetFloorPlanRequest,
    GetFloorPlanResponse, Refusal,
};
use pb::raft::v1::{
    AnnounceRequest, AnnounceResponse, ForwardCall, ForwardUp, JoinRequest, JoinResponse,
    forward_answer, forward_call,
};
use ports::{CallAnswer, Door, Opened, ReadError};
use tokio::time::Instant;

use super::{Proposer, codec, convert};
use crate::cells::Cells;
use crate::error::NodeError;
use crate::refuse::{self, refusal};

/// `apply` waits this long for the cells to adopt the plan.
const ADOPTION_WAIT: Duration = Duration::from_secs(10);
/// The answer must reach the caller before its own deadline.
const ADOPTION_MARGIN: Duration = Duration::from_millis(500);
/// Who applies a plan when the caller does not say.
const NOBODY: &str = "operator";

/// Answers calls to the control group on this node.
pub(crate) struct ControlOwner {
    pub(crate) proposer: Proposer,
    pub(crate) cells: Cells,
}

/// Whether a text is a floor plan that can be applied.
pub(crate) fn check_floor(text: &str) -> Result<(), NodeError> {
    match codec::parse_floor(text) {
        Ok(_) => Ok(()),
        Err(faults) => {
            let line = |fault: &pb::api::v1::PlanFault| {
                format!("{}:{}: {}", fault.line, fault.column, fault.message)
            };
            Err(NodeError::FloorPlan(faults.iter().map(line).collect()))
        }
    }
}

#[async_trait::async_trait]
impl Door for ControlOwner {
    async fn call(&self, call: ForwardCall) -> CallAnswer {
        use forward_answer::Response;
        use forward_call::Request;
        let deadline = Instant::now() + Duration::from_millis(call.deadline_ms);
        match call.request {
            Some(Request::GetFloorPlan(request)) => {
                self.plan(&request).await.map(Response::GetFloorPlan)
            }
            Some(Request::ApplyFloorPlan(request)) => self
                .apply_plan(request, deadline)
                .await
                .map(Response::ApplyFloorPlan),
            Some(Request::ListFloorPlans(_)) => self.versions().await.map(Response::ListFloorPlans),
            Some(Request::RevertFloorPlan(request)) => self
                .revert(request, deadline)
                .await
                .map(Response::RevertFloorPlan),
            Some(Request::Join(request)) => self.join(&request).await.map(Response::Join),
            Some(Request::Announce(request)) => {
                self.announce(request).await.map(Response::Announce)
            }
            _ => Err(refuse::internal(
                "the control group was asked for what a cell does",
            )),
        }
    }

    async fn open(&self, _first: ForwardUp) -> Result<Opened, Refusal> {
        Err(refuse::internal("the control group has no streams"))
    }
}

impl ControlOwner {
    pub(super) async fn barrier(&self) -> Result<(), Refusal> {
        match self.proposer.group().linearize().await {
            Ok(_) => Ok(()),
            Err(ReadError::NotLeader { leader }) => Err(refuse::not_leader(leader)),
            Err(ReadError::QuorumLost) => Err(refusal(
                ErrorReason::QuorumLost,
                "no quorum can be reached",
                1_000,
            )),
            Err(ReadError::Stopped { .. }) => Err(refuse::not_leader(None)),
        }
    }

    async fn plan(&self, request: &GetFloorPlanRequest) -> Result<GetFloorPlanResponse, Refusal> {
        self.barrier().await?;
        let parts = self.proposer.state().borrow().clone();
        let found = match request.version {
            0 => parts.plans.last(),
            version => parts
                .plans
                .iter()
                .find(|stored| stored.version.0 == version),
        };
        match found {
            Some(stored) => {
                let toml = codec::print_floor(&stored.plan);
                Ok(GetFloorPlanResponse {
                    version: stored.version.0,
                    toml,
                })
            }
            None if request.version == 0 => Ok(GetFloorPlanResponse::default()),
            None => Err(refuse::field_invalid("version", "is not kept any more")),
        }
    }

    async fn join(&self, request: &JoinRequest) -> Result<JoinResponse, Refusal> {
        self.barrier().await?;
        let cluster = self.proposer.state().borrow().cluster.clone();
        let cluster = cluster.ok_or_else(|| refuse::forming("the cluster"))?;
        let command = ControlCommand::Join(convert::join(request, &cluster)?);
        let done = self
            .proposer
            .propose(command)
            .await
            .map_err(|error| convert::control_error(&error))?;
        let ControlDone::Joined { node } = done else {
            return Err(refuse::internal("a join was answered with something else"));
        };
        let parts = self.proposer.state().borrow().clone();
        Ok(JoinResponse {
            cluster_id: cluster.id.to_string(),
            cluster: cluster.name,
            node_id: node.0,
            profile: cluster.profile.to_string(),
            nodes: parts
                .living_nodes()
                .map(|(id, node)| convert::node_view(id, node))
                .collect(),
        })
    }

    async fn announce(&self, request: AnnounceRequest) -> Result<AnnounceResponse, Refusal> {
        let profile = self
            .proposer
            .state()
            .borrow()
            .cluster
            .as_ref()
            .map(|cluster| cluster.profile);
        let profile = profile.ok_or_else(|| refuse::forming("the cluster"))?;
        let command = ControlCommand::NodeAddress(convert::announce(request, profile));
        let done = self.proposer.propose(command).await;
        done.map(|_| AnnounceResponse {})
            .map_err(|error| convert::control_error(&error))
    }

    pub(super) async fn apply_plan(
        &self,
        request: ApplyFloorPlanRequest,
        deadline: Instant,
    ) -> Result<ApplyFloorPlanResponse, Refusal> {
        self.barrier().await?;
        let current = self.proposer.state().borrow().plans.last().cloned();
        let version = current.as_ref().map_or(0, |stored| stored.version.0);
        let plan = match codec::parse_floor(&request.toml) {
            Ok(plan) => plan,
            Err(faults) => {
                return Ok(ApplyFloorPlanResponse {
                    version,
                    faults,
                    ..ApplyFloorPlanResponse::default()
                });
            }
        };
        let changes =
            api::plan_changes::between(current.as_ref().map(|stored| &*stored.plan), &plan);
        if request.dry_run {
            return Ok(ApplyFloorPlanResponse {
                version,
                changes,
                ..ApplyFloorPlanResponse::default()
            });
        }
        let by = staff(&request.staff);
        let command = ControlCommand::ApplyPlan(ApplyPlan {
            request_id: RequestId::new(&request.request_id).map_err(convert::bad("request_id"))?,
            by: StaffId::new(by).map_err(convert::bad("staff"))?,
            expected: PlanVersion(request.expected_version),
            plan: Arc::new(plan),
        });
        let done = self
            .proposer
            .propose(command)
            .await
            .map_err(|error| convert::control_error(&error))?;
        let ControlDone::PlanApplied { version, .. } = done else {
            return Err(refuse::internal("a plan was answered with something else"));
        };
        let latest = deadline.checked_sub(ADOPTION_MARGIN).unwrap_or(deadline);
        let until = latest.min(Instant::now() + ADOPTION_WAIT);
        let (adopted, behind) = self.cells.adopted(version, until).await;
        Ok(ApplyFloorPlanResponse {
            version: version.0,
            faults: Vec::new(),
            changes,
            adopted,
            behind,
        })
    }
}

/// Who asks, as the record has it.
pub(super) fn staff(said: &str) -> &str {
    match said {
        "" => NOBODY,
        said => said,
    }
}
