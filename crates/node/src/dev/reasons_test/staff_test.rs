//! What supervisors and operators may not: queues that are paused or not, nodes that are not there, plans made
//! against another version.

use pb::api::v1::{
    ApplyFloorPlanRequest, ErrorReason as R, GetFloorPlanRequest, GetLogLevelRequest, OpenRequest,
    PauseQueueRequest, ResumeQueueRequest,
};

use super::{Heard, formed};
use crate::dev::Dev;
use crate::dev::stubs_test::{Stubs, opening};

pub(super) async fn play() -> Heard {
    let (env, dev) = formed(63).await;
    let (mut node, mut heard) = (Stubs::at(&env, &dev.nodes()[0]).await, Heard::default());
    queues(&mut node, &mut heard).await;
    plans(&mut node, &mut heard).await;
    nodes(&mut node, &mut heard, &dev).await;
    dev.shutdown().await;
    heard
}

async fn queues(node: &mut Stubs, heard: &mut Heard) {
    let pause = |request_id: String, staff: &str| PauseQueueRequest {
        queue: "desk".to_owned(),
        request_id,
        staff: staff.to_owned(),
        reason: "maintenance".to_owned(),
    };
    let resume = |request_id: String| ResumeQueueRequest {
        queue: "desk".to_owned(),
        request_id,
        staff: "mia".to_owned(),
        reason: "on again".to_owned(),
    };
    let request = resume(node.id());
    let said = heard.call(R::QueueNotPaused, node.floor.resume_queue(request).await);
    assert_eq!(said["byPlan"], "false");
    let request = pause(node.id(), "mia");
    node.floor.pause_queue(request).await.unwrap();
    let request = pause(node.id(), "lin");
    let said = heard.call(R::QueuePaused, node.floor.pause_queue(request).await);
    assert_eq!((&*said["by"], &*said["why"]), ("mia", "maintenance"));
    let request = OpenRequest {
        request_id: node.id(),
        ..opening("ann")
    };
    heard.call(R::QueuePaused, node.customers.open(request).await);
    let request = resume(node.id());
    node.floor.resume_queue(request).await.unwrap();
    node.opened("ann").await;
}

async fn plans(node: &mut Stubs, heard: &mut Heard) {
    let request = GetFloorPlanRequest::default();
    let plan = node
        .cluster
        .get_floor_plan(request)
        .await
        .unwrap()
        .into_inner();
    let apply = ApplyFloorPlanRequest {
        request_id: node.id(),
        toml: plan.toml,
        expected_version: plan.version + 7,
        ..ApplyFloorPlanRequest::default()
    };
    let said = heard.call(
        R::PlanVersionStale,
        node.cluster.apply_floor_plan(apply).await,
    );
    assert_eq!(said["version"], plan.version.to_string());
}

async fn nodes(node: &mut Stubs, heard: &mut Heard, dev: &Dev) {
    let of = |node: &str| GetLogLevelRequest {
        node: node.to_owned(),
    };
    let answer = node.cluster.get_log_level(of("nowhere")).await;
    let said = heard.call(R::NodeNotFound, answer);
    assert_eq!(said["node"], "nowhere");
    let gone = &dev.nodes()[2];
    gone.kill().await;
    let name = &gone.identity().node_name;
    let answer = node.cluster.get_log_level(of(name)).await;
    let said = heard.call(R::NodeUnreachable, answer);
    assert_eq!(said["node"], *name);
}
