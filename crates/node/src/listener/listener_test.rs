//! Claims about the listener.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::memory;
use runtime::{BoxConn, Env};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tonic::service::Routes;

use super::{Bounds, Callers, Room, Served, Server};

async fn server(env: &Env, bounds: Bounds) -> (Server, SocketAddr) {
    let listener = env
        .network
        .listen("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let callers = Callers::Clients(Served {
        routes: Routes::new(health),
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
