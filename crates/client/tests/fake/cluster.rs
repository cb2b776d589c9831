//! The cluster service of the fake: what operators ask that carries no request id.
//! Promise: each of these is noted and answered as the test set it; the others are answered empty.
//! Not here: connections (`super`).

use client::api;
use rpc::api::v1::cluster_service_server::ClusterService;
use tonic::{Request, Response, Status};

use super::Service;

macro_rules! methods {
    ($($name:ident($request:ident) -> $answer:ident;)*) => {
        #[tonic::async_trait]
        impl ClusterService for Service {
            $(async fn $name(
                &self,
                _request: Request<api::$request>,
            ) -> Result<Response<api::$answer>, Status> {
                self.note("")?;
                Ok(Response::new(api::$answer::default()))
            })*
        }
    };
}

methods! {
    get_status(GetStatusRequest) -> GetStatusResponse;
    get_floor_plan(GetFloorPlanRequest) -> GetFloorPlanResponse;
    check_floor_plan(CheckFloorPlanRequest) -> CheckFloorPlanResponse;
    apply_floor_plan(ApplyFloorPlanRequest) -> ApplyFloorPlanResponse;
    list_floor_plans(ListFloorPlansRequest) -> ListFloorPlansResponse;
    revert_floor_plan(RevertFloorPlanRequest) -> RevertFloorPlanResponse;
    get_log_level(GetLogLevelRequest) -> GetLogLevelResponse;
    set_log_level(SetLogLevelRequest) -> SetLogLevelResponse;
    reload_config(ReloadConfigRequest) -> ReloadConfigResponse;
    get_node_report(GetNodeReportRequest) -> GetNodeReportResponse;
    skip_entry(SkipEntryRequest) -> SkipEntryResponse;
    verify_cell(VerifyCellRequest) -> VerifyCellResponse;
}
