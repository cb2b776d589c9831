//! `ClusterService` at the edge.
//! Promise: a plan is checked here, without asking anybody; only its version in force is asked for.
//! Not here: the form of a plan (`wire::floor`), bringing it into force (the control group).

use pb::api::v1::*;
use rpc::api::v1::cluster_service_server::ClusterService;
use tonic::{Request, Response, Status};

use super::Edge;
use super::calls::{CONTROL_GROUP, ask, patience};
use crate::errors::status;
use crate::{check, limits, plan_changes};

/// `ClusterService` of one node.
#[derive(Clone)]
pub struct Clusters(pub Edge);

/// Asks the node that a request names, and takes the answer of the given kind out.
macro_rules! act {
    ($edge:expr, $kind:ident ( $request:expr )) => {{
        let request = $request;
        check::name_or_empty("node", &request.node).map_err(status)?;
        let node = request.node.clone();
        let asked = ::pb::raft::v1::forward_call::Request::$kind(request);
        match $edge.hands().act(&node, asked).await {
            Ok(::pb::raft::v1::forward_answer::Response::$kind(answer)) => {
                Ok(Response::new(answer))
            }
            Ok(_) => Err(status(crate::errors::internal(
                "the node answered another call",
            ))),
            Err(refusal) => Err(status(refusal)),
        }
    }};
}

/// The result of one RPC.
type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ClusterService for Clusters {
    async fn get_status(&self, _request: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        Ok(Response::new(self.0.operator().status().await))
    }

    async fn get_floor_plan(
        &self,
        request: Request<GetFloorPlanRequest>,
    ) -> Answer<GetFloorPlanResponse> {
        let patience = patience(request.metadata());
        ask!(
            self.0,
            CONTROL_GROUP,
            patience,
            GetFloorPlan(request.into_inner())
        )
        .map(Response::new)
    }

    async fn check_floor_plan(
        &self,
        request: Request<CheckFloorPlanRequest>,
    ) -> Answer<CheckFloorPlanResponse> {
        let patience = patience(request.metadata()).at_most(limits::CHECK_PLAN_WAIT);
        let request = request.into_inner();
        check::bytes("toml", &request.toml, limits::PLAN_BYTES_MAX).map_err(status)?;
        let in_force: Result<GetFloorPlanResponse, Status> = ask!(
            self.0,
            CONTROL_GROUP,
            patience,
            GetFloorPlan(GetFloorPlanRequest { version: 0 })
        );
        // Without the control group the cell's adopted plan is the best that is known.
        let (current_version, current) = match in_force {
            Ok(plan) => (plan.version, wire::floor::parse_unchecked(&plan.toml).ok()),
            Err(_) => match self.0.floor().plan() {
                Some(plan) => (plan.version.0, Some((*plan.plan).clone())),
                None => (0, None),
            },
        };
        let mut checked = CheckFloorPlanResponse {
            current_version,
            ..CheckFloorPlanResponse::default()
        };
        match wire::floor::parse(&request.toml) {
            Ok(plan) => {
                checked.changes = plan_changes::between(current.as_ref(), &plan);
                (checked.differences, checked.differences_left_out) =
                    plan_changes::listed(current.as_ref(), &plan);
            }
            Err(faults) => checked.faults = plan_changes::faults(faults),
        }
        Ok(Response::new(checked))
    }

    async fn apply_floor_plan(
        &self,
        request: Request<ApplyFloorPlanRequest>,
    ) -> Answer<ApplyFloorPlanResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::request_id(&request.request_id).map_err(status)?;
        check::name_or_empty("staff", &request.staff).map_err(status)?;
        check::bytes("toml", &request.toml, limits::PLAN_BYTES_MAX).map_err(status)?;
        ask!(self.0, CONTROL_GROUP, patience, ApplyFloorPlan(request)).map(Response::new)
    }

    async fn list_floor_plans(
        &self,
        request: Request<ListFloorPlansRequest>,
    ) -> Answer<ListFloorPlansResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        ask!(self.0, CONTROL_GROUP, patience, ListFloorPlans(request)).map(Response::new)
    }

    async fn revert_floor_plan(
        &self,
        request: Request<RevertFloorPlanRequest>,
    ) -> Answer<RevertFloorPlanResponse> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        check::request_id(&request.request_id).map_err(status)?;
        check::name_or_empty("staff", &request.staff).map_err(status)?;
        ask!(self.0, CONTROL_GROUP, patience, RevertFloorPlan(request)).map(Response::new)
    }

    async fn get_log_level(
        &self,
        request: Request<GetLogLevelRequest>,
    ) -> Answer<GetLogLevelResponse> {
        act!(self.0, GetLogLevel(request.into_inner()))
    }

    async fn set_log_level(
        &self,
        request: Request<SetLogLevelRequest>,
    ) -> Answer<SetLogLevelResponse> {
        let request = request.into_inner();
        check::name_or_empty("staff", &request.staff).map_err(status)?;
        act!(self.0, SetLogLevel(request))
    }

    async fn reload_config(
        &self,
        request: Request<ReloadConfigRequest>,
    ) -> Answer<ReloadConfigResponse> {
        let request = request.into_inner();
        check::name_or_empty("staff", &request.staff).map_err(status)?;
        act!(self.0, ReloadConfig(request))
    }

    async fn get_node_report(
        &self,
        request: Request<GetNodeReportRequest>,
    ) -> Answer<GetNodeReportResponse> {
        act!(self.0, GetNodeReport(request.into_inner()))
    }

    async fn verify_cell(&self, request: Request<VerifyCellRequest>) -> Answer<VerifyCellResponse> {
        let request = request.into_inner();
        check::name("cell", &request.cell).map_err(status)?;
        check::name("proof", &request.proof).map_err(status)?;
        let asked = self.0.operator().verify_cell(request).await;
        asked.map(Response::new).map_err(status)
    }

    async fn skip_entry(&self, request: Request<SkipEntryRequest>) -> Answer<SkipEntryResponse> {
        let request = request.into_inner();
        check::name("cell", &request.cell).map_err(status)?;
        check::name("staff", &request.staff).map_err(status)?;
        check::staff::why(&request.reason).map_err(status)?;
        let skipped = self.0.operator().skip_entry(request).await;
        skipped.map(Response::new).map_err(status)
    }
}
