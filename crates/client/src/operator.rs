//! Operators: the status of the cluster and its floor plan.
//! Promise: applying a plan waits as long as the budget of a plan allows.
//! Not here: what a plan says (`domain`).

use std::sync::Arc;
use std::time::Duration;

use pb::api::v1 as api;
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use tonic::transport::Channel;

use crate::call::{Core, Effect, Shape};
use crate::error::CallError;
use crate::unary::{Identified as _, calls};

/// Every reachable cell adopts a plan before the call returns; a server ends a call after 10 s.
const APPLY_ATTEMPT: Duration = Duration::from_secs(12);
/// Three attempts.
const APPLY_BUDGET: Duration = Duration::from_secs(40);
/// Whoever leads is found within some elections, and replicas make their state anew.
const SKIP_BUDGET: Duration = Duration::from_secs(30);
/// A plan is at most 1 MiB of text.
const PLAN_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A node is given 8 s by another one for its part of a support bundle.
const REPORT_WAIT: Duration = Duration::from_secs(10);
/// A node's part of a support bundle is at most 4 MiB, and a frame around it.
const REPORT_BYTES_MAX: usize = 5 * 1024 * 1024;

/// What operators do.
#[derive(Clone)]
pub struct Operator {
    core: Arc<Core>,
}

impl Operator {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    calls! { ClusterServiceClient<Channel>;
        /// The whole cluster on one screen.
        get_status(api::GetStatusRequest) -> api::GetStatusResponse, Reads;
        /// The floor plan in force, or an earlier one.
        get_floor_plan(api::GetFloorPlanRequest) -> api::GetFloorPlanResponse, Reads;
        /// Checks a floor plan without changing anything.
        check_floor_plan(api::CheckFloorPlanRequest) -> api::CheckFloorPlanResponse, Reads;
        /// The versions of the floor plan that are kept.
        list_floor_plans(api::ListFloorPlansRequest) -> api::ListFloorPlansResponse, Reads;
        /// What the log of a node lets through.
        get_log_level(api::GetLogLevelRequest) -> api::GetLogLevelResponse, Reads;
        /// Changes what the log of a node lets through, for a while. Twice is as good as once.
        set_log_level(api::SetLogLevelRequest) -> api::SetLogLevelResponse, ChangesWithoutId;
        /// Lets a node read its configuration again. Twice is as good as once.
        reload_config(api::ReloadConfigRequest) -> api::ReloadConfigResponse, ChangesWithoutId;
        /// Begins the proof of a cell's replicas, or says how far it is.
        verify_cell(api::VerifyCellRequest) -> api::VerifyCellResponse, Reads;
    }

    /// A node's part of a support bundle.
    pub async fn get_node_report(
        &self,
        request: api::GetNodeReportRequest,
    ) -> Result<api::GetNodeReportResponse, CallError> {
        let shape = Shape {
            effect: Effect::Reads,
            budget: REPORT_WAIT.max(self.core.options.call_budget),
            attempt: REPORT_WAIT.max(self.core.options.attempt_timeout),
        };
        self.core
            .call(shape, request, |channel, request| async move {
                ClusterServiceClient::new(channel)
                    .max_decoding_message_size(REPORT_BYTES_MAX)
                    .get_node_report(request)
                    .await
            })
            .await
    }

    /// Brings the content of an earlier version of the floor plan into force again.
    pub async fn revert_floor_plan(
        &self,
        mut request: api::RevertFloorPlanRequest,
    ) -> Result<api::RevertFloorPlanResponse, CallError> {
        let id = request.identify(&self.core);
        self.core
            .call(self.apply_shape(), request, |channel, request| async move {
                ClusterServiceClient::new(channel)
                    .revert_floor_plan(request)
                    .await
            })
            .await
            .map_err(|error| error.of_request(id))
    }

    fn apply_shape(&self) -> Shape {
        Shape {
            effect: Effect::Changes,
            budget: APPLY_BUDGET.max(self.core.options.call_budget),
            attempt: APPLY_ATTEMPT.max(self.core.options.attempt_timeout),
        }
    }

    /// Passes over an entry that stops every replica of a cell. To ask again is harmless.
    pub async fn skip_entry(
        &self,
        request: api::SkipEntryRequest,
    ) -> Result<api::SkipEntryResponse, CallError> {
        let shape = Shape {
            effect: Effect::ChangesWithoutId,
            budget: SKIP_BUDGET.max(self.core.options.call_budget),
            attempt: APPLY_ATTEMPT.max(self.core.options.attempt_timeout),
        };
        self.core
            .call(shape, request, |channel, request| async move {
                ClusterServiceClient::new(channel).skip_entry(request).await
            })
            .await
    }

    /// Brings a floor plan into force.
    pub async fn apply_floor_plan(
        &self,
        mut request: api::ApplyFloorPlanRequest,
    ) -> Result<api::ApplyFloorPlanResponse, CallError> {
        let id = request.identify(&self.core);
        self.core
            .call(self.apply_shape(), request, |channel, request| async move {
                ClusterServiceClient::new(channel)
                    .max_decoding_message_size(PLAN_ANSWER_BYTES_MAX)
                    .apply_floor_plan(request)
                    .await
            })
            .await
            .map_err(|error| error.of_request(id))
    }
}
