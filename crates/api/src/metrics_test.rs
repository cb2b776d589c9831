//! Claims about what is counted of calls.

use pb::api::v1::{GetStatusRequest, SendRequest};
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use tonic::codegen::http;
use tonic::service::Routes;

use super::*;
use crate::edge::fake;
use crate::server::{Health, routes};

async fn node() -> (Routes, Arc<RpcMetrics>) {
    let (edge, _fake) = fake::edge();
    let routes = routes(&edge, &Health::new().await).expect("the schema is well formed");
    (routes, edge.rpc().clone())
}

/// What is counted of a method: calls by code, and how many have a time.
fn counted(metrics: &RpcMetrics, method: &str) -> (Vec<(&'static str, u64)>, u64) {
    let found = metrics.methods().find(|known| known.method == method);
    let found = found.expect("a method of the schema");
    let timed = found.took.as_ref().map_or(0, |took| took.read().count());
    (found.ended().collect(), timed)
}

#[tokio::test]
async fn a_call_is_counted_by_how_it_ended_also_when_it_is_refused_for_its_size() {
    let (routes, metrics) = node().await;
    let mut operator = ClusterServiceClient::new(routes.clone());
    for _ in 0..2 {
        operator
            .get_status(GetStatusRequest {})
            .await
            .expect("it is answered");
    }
    assert_eq!(counted(&metrics, "GetStatus"), (vec![("OK", 2)], 2));
    let mut customer = ConversationServiceClient::new(routes);
    let send = |text: &str| SendRequest {
        text: text.to_owned(),
        ..SendRequest::default()
    };
    customer
        .send(send(""))
        .await
        .expect_err("it names no conversation");
    let long = "x".repeat(crate::limits::RECEIVE_BYTES_MAX);
    customer
        .send(send(&long))
        .await
        .expect_err("it is too large");
    assert_eq!(
        counted(&metrics, "Send"),
        (vec![("INVALID_ARGUMENT", 2)], 2)
    );
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled() {
    let (mut routes, metrics) = node().await;
    let request = http::Request::builder()
        .method("POST")
        .version(http::Version::HTTP_2)
        .uri("/antiphon.api.v1.ConversationService/Send")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::empty())
        .expect("well formed");
    let response = routes.call(request).await.expect("it has begun");
    drop(response);
    let (ended, _) = counted(&metrics, "Send");
    assert_eq!(
        ended.iter().map(|(_, count)| count).sum::<u64>(),
        1,
        "{ended:?}"
    );
}

#[tokio::test]
async fn paths_that_are_no_method_share_one_name() {
    let (mut routes, metrics) = node().await;
    let before = metrics.methods().count();
    for path in ["/a", "/b/c", "/antiphon.api.v1.ConversationService/Nothing"] {
        let request = http::Request::builder()
            .version(http::Version::HTTP_2)
            .uri(path);
        let request = request
            .body(tonic::body::Body::empty())
            .expect("well formed");
        drop(routes.call(request).await.expect("it is answered"));
    }
    let (ended, _) = counted(&metrics, OTHER);
    assert_eq!(
        ended.iter().map(|(_, count)| count).sum::<u64>(),
        3,
        "{ended:?}"
    );
    assert_eq!(metrics.methods().count(), before);
}
