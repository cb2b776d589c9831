//! Claims about the listener.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::metrics::RpcMetrics;
use http::uri::PathAndQuery;
use runtime::memory;
use runtime::{BoxConn, Env};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::service::Routes;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use super::{Bounds, Callers, Room, Served, Server};
use crate::doors::link;

async fn server(env: &Env, bounds: Bounds) -> (Server, SocketAddr) {
    let (_, health) = tonic_health::server::health_reporter();
    server_of(env, bounds, (Routes::new(health), None)).await
}

async fn server_of(
    env: &Env,
    bounds: Bounds,
    (routes, calls): (Routes, Option<Arc<RpcMetrics>>),
) -> (Server, SocketAddr) {
    let listener = env
        .network
        .listen("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let callers = Callers::Clients(Served {
        routes,
        calls,
        lane: env.edge.clone(),
    });
    let server = Server::start(listener, callers, bounds, &env.random);
    (server, address)
}

fn room(connections: usize) -> Room {
    Room {
        connections,
        age: Some(Duration::from_secs(60)),
    }
}

fn bounds() -> Bounds {
    Bounds {
        connections: 2,
        ..Bounds::api(2, Duration::from_secs(60))
    }
}

async fn is_closed(connection: &mut BoxConn) -> bool {
    let mut rest = Vec::new();
    connection.read_to_end(&mut rest).await.is_err() || rest.is_empty()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_closed_after_the_handshake_time() {
    let env = memory::env(1);
    let (_server, address) = server(&env, bounds()).await;
    let mut silent = env.network.dial(&address.to_string()).await.unwrap();
    let start = Instant::now();
    assert!(is_closed(&mut silent).await);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_connection_beyond_the_limit_is_closed_at_once() {
    let env = memory::env(1);
    let (_server, address) = server(&env, bounds()).await;
    let _first = env.network.dial(&address.to_string()).await.unwrap();
    let _second = env.network.dial(&address.to_string()).await.unwrap();
    let start = Instant::now();
    let mut third = env.network.dial(&address.to_string()).await.unwrap();
    assert!(is_closed(&mut third).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_limit_moves_while_the_listener_serves() {
    let env = memory::env(1);
    let (server, address) = server(&env, bounds()).await;
    let dial = || async { env.network.dial(&address.to_string()).await.unwrap() };
    let _first = dial().await;
    let mut second = dial().await;
    while server.open() < 2 {
        tokio::task::yield_now().await;
    }
    server.adjust(room(1));
    let mut third = dial().await;
    assert!(is_closed(&mut third).await);
    // What is open already goes on, until it ends by itself.
    second.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    assert_eq!(server.open(), 2);
    server.adjust(room(3));
    let mut fourth = dial().await;
    let start = Instant::now();
    assert!(is_closed(&mut fourth).await);
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(5),
        "it had room and said nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn half_a_request_is_not_waited_for_for_ever() {
    let env = memory::env(1);
    let (_server, address) = server(&env, bounds()).await;
    let mut slow = env.network.dial(&address.to_string()).await.unwrap();
    let head = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: x\r\n\
                content-type: application/grpc\r\ncontent-length: 100\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&[0, 0, 0]).await.unwrap();
    let start = Instant::now();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).await.unwrap();
    assert_eq!(start.elapsed(), api::limits::SERVER_CALL_WAIT);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("grpc-status"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_those_of_its_connection_is_refused_with_a_reason_and_a_hint() {
    let env = memory::env(1);
    let bounds = Bounds {
        calls: 1,
        ..bounds()
    };
    let (_server, address) = server(&env, bounds).await;
    let channel = link::connect(env.network.clone(), address.to_string(), None).await;
    let channel = channel.unwrap();
    // Its message never comes.
    let mut slow = Grpc::new(channel.clone());
    slow.ready().await.unwrap();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = tonic::Request::new(futures::stream::pending());
    let slow = slow.client_streaming(request, path, codec);
    let mut other = HealthClient::new(channel);
    let check = other.check(HealthCheckRequest::default());
    let refused = tokio::select! {
        biased;
        _ = slow => panic!("it has not been asked yet"),
        refused = check => refused.unwrap_err(),
    };
    let details = refused.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!(info.reason, "RESOURCE_EXHAUSTED");
    assert_eq!(info.metadata["limit"], "1");
    assert!(details.retry_info().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_although_a_connection_goes_on() {
    let env = memory::env(1);
    let (server, address) = server(&env, bounds()).await;
    let mut lasting = env.network.dial(&address.to_string()).await.unwrap();
    lasting
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    lasting
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut settings = [0_u8; 9];
    lasting.read_exact(&mut settings).await.unwrap();
    let start = Instant::now();
    server.drain(start + Duration::from_secs(2)).await;
    assert!(start.elapsed() <= Duration::from_secs(2));
    assert!(
        env.network.dial(&address.to_string()).await.is_err(),
        "nothing is accepted any more"
    );
}

#[tokio::test(start_paused = true)]
async fn http_1_is_told_apart_from_http_2() {
    let env = memory::env(1);
    let (_server, address) = server(&env, bounds()).await;
    let mut plain = env.network.dial(&address.to_string()).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

/// A service whose calls are never answered, beside what is counted of them.
fn silent() -> (Routes, Arc<RpcMetrics>) {
    let metrics = Arc::new(RpcMetrics::new().unwrap());
    let never = tower::service_fn(|_: http::Request<_>| {
        std::future::pending::<Result<http::Response<tonic::body::Body>, Infallible>>()
    });
    let counted = api::metrics::counted(metrics.clone(), never);
    let router = Routes::default().into_axum_router();
    (Routes::from(router.fallback_service(counted)), metrics)
}

/// Calls of `Send` by how they ended.
fn sends(metrics: &RpcMetrics) -> Vec<(&'static str, u64)> {
    let send = metrics.methods().find(|known| known.method == "Send");
    send.unwrap().ended().collect()
}

const SEND: &[u8] = b"POST /antiphon.api.v1.ConversationService/Send HTTP/1.1\r\nhost: x\r\n\
    content-type: application/grpc\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_call_that_the_listener_ends_is_counted_as_what_its_client_is_told() {
    let env = memory::env(1);
    let (routes, metrics) = silent();
    let served = (routes, Some(metrics.clone()));
    let (_server, address) = server_of(&env, bounds(), served).await;
    let mut caller = env.network.dial(&address.to_string()).await.unwrap();
    caller.write_all(SEND).await.unwrap();
    let start = Instant::now();
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).await.unwrap();
    assert_eq!(start.elapsed(), api::limits::SERVER_CALL_WAIT);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // UNKNOWN: it may have been done.
    assert!(answer.contains("grpc-status: 2"), "{answer}");
    assert_eq!(sends(&metrics), [("UNKNOWN", 1)]);
    // A client that hangs up is another matter.
    let mut leaving = env.network.dial(&address.to_string()).await.unwrap();
    leaving.write_all(SEND).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(leaving);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sends(&metrics), [("CANCELLED", 1), ("UNKNOWN", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_beyond_those_that_a_connection_may_have_is_counted_as_refused() {
    let env = memory::env(1);
    let (routes, metrics) = silent();
    let none = Bounds {
        calls: 0,
        ..bounds()
    };
    let served = (routes, Some(metrics.clone()));
    let (_server, address) = server_of(&env, none, served).await;
    let mut caller = env.network.dial(&address.to_string()).await.unwrap();
    caller.write_all(SEND).await.unwrap();
    let mut answer = Vec::new();
    caller.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("grpc-status: 8"), "{answer}");
    assert_eq!(sends(&metrics), [("RESOURCE_EXHAUSTED", 1)]);
}
