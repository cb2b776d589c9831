//! Claims about the routes of a node's API listener.

use pb::api::v1::{CheckFloorPlanRequest, OpenRequest, SendRequest};
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::*;
use crate::edge::fake;

#[test]
fn reflection_shows_the_public_package_alone() {
    let schema = public_schema().expect("compiled in");
    let services: Vec<_> = schema
        .file
        .iter()
        .flat_map(|file| &file.service)
        .map(|service| service.name().to_owned())
        .collect();
    assert_eq!(services.len(), 4, "{services:?}");
    assert!(
        schema
            .file
            .iter()
            .all(|file| file.package() == PUBLIC_PACKAGE)
    );
    let names: Vec<_> = schema
        .file
        .iter()
        .map(|file| file.name().to_owned())
        .collect();
    for file in &schema.file {
        for needed in &file.dependency {
            assert!(names.contains(needed), "{} needs {needed}", file.name());
        }
    }
}

/// The routes of a node, to be called without a network.
async fn node() -> Routes {
    let (edge, _fake) = fake::edge();
    routes(&edge, &Health::new().await).expect("the schema is well formed")
}

/// Code, reason and limit of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String, String) {
    let status = answer.expect_err("too large");
    let details = status.get_error_details();
    let info = details.error_info().expect("an ErrorInfo").clone();
    let limit = info.metadata.get("limitBytes").cloned().unwrap_or_default();
    (status.code(), info.reason, limit)
}

fn too_large(limit: usize) -> (Code, String, String) {
    let reason = "MESSAGE_TOO_LARGE".to_owned();
    (Code::InvalidArgument, reason, limit.to_string())
}

#[tokio::test]
async fn a_call_beyond_the_receive_limit_is_refused_with_our_reason_and_the_limit() {
    let mut client = ConversationServiceClient::new(node().await);
    let text = "x".repeat(limits::RECEIVE_BYTES_MAX);
    let send = SendRequest {
        text: text.clone(),
        ..SendRequest::default()
    };
    let expected = too_large(limits::RECEIVE_BYTES_MAX);
    assert_eq!(refused(client.send(send).await), expected);
    let open = OpenRequest {
        text,
        ..OpenRequest::default()
    };
    assert_eq!(refused(client.open(open).await), expected);
}

#[tokio::test]
async fn a_floor_plan_has_a_larger_limit_and_the_same_reason() {
    let mut client = ClusterServiceClient::new(node().await);
    let plan = CheckFloorPlanRequest {
        toml: "x".repeat(limits::RECEIVE_CLUSTER_BYTES_MAX),
    };
    let expected = too_large(limits::RECEIVE_CLUSTER_BYTES_MAX);
    assert_eq!(refused(client.check_floor_plan(plan).await), expected);
}
