//! Claims about the port for nodes: which lane serves a connection, what it reaches, who is refused.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use pb::raft::v1::{ExchangeRequest, ForwardRequest};
use rpc::raft::v1::forward_service_client::ForwardServiceClient;
use rpc::raft::v1::raft_service_client::RaftServiceClient;
use runtime::real::Threads;
use runtime::{BoxConn, Conn, Env, Listener, Network, Purpose, memory};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

use super::{Bounds, Callers, Served, Server};

/// Names of the threads that did something.
type Seen = Arc<Mutex<BTreeSet<String>>>;

fn note(seen: &Seen) {
    let thread = std::thread::current();
    seen.lock()
        .insert(thread.name().unwrap_or_default().to_owned());
}

/// A listener whose connections note the threads that read and write after the first bytes.
struct WatchedPort {
    inner: Box<dyn Listener>,
    seen: Seen,
}

#[async_trait]
impl Listener for WatchedPort {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(BoxConn, SocketAddr)> {
        let (inner, from) = self.inner.accept().await?;
        let seen = self.seen.clone();
        Ok((Box::new(Watched { inner, seen }), from))
    }
}

struct Watched {
    inner: BoxConn,
    seen: Seen,
}

impl Conn for Watched {
    fn moved_here(self: Box<Self>) -> io::Result<BoxConn> {
        // The first bytes were read before.
        self.seen.lock().clear();
        let seen = self.seen;
        let inner = self.inner.moved_here()?;
        Ok(Box::new(Self { inner, seen }))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        note(&self.seen);
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        note(&self.seen);
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// A port for nodes whose two lanes serve the same harmless service.
async fn port(env: &Env, seen: &Seen) -> (Server, SocketAddr) {
    let (_, health) = tonic_health::server::health_reporter();
    let callers = Callers::Nodes {
        consensus: Served {
            calls: None,
            routes: Routes::new(health.clone()),
            lane: env.raft.clone(),
        },
        forwarding: Served {
            calls: None,
            routes: Routes::new(health),
            lane: env.edge.clone(),
        },
    };
    start(env, callers, seen).await
}

async fn start(env: &Env, callers: Callers, seen: &Seen) -> (Server, SocketAddr) {
    let listening = env.network.listen("127.0.0.1:0".parse().unwrap());
    let inner = listening.await.unwrap();
    let address = inner.local_addr().unwrap();
    let seen = seen.clone();
    let listener = Box::new(WatchedPort { inner, seen });
    let server = Server::start(listener, callers, Bounds::peers(), &env.random);
    (server, address)
}

async fn channel(network: &Arc<dyn Network>, address: SocketAddr, purpose: Purpose) -> Channel {
    let network = network.clone();
    let dial = service_fn(move |_: Uri| {
        let network = network.clone();
        async move {
            let dialled = purpose.dial(&*network, &address.to_string()).await;
            dialled.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_static("http://peer");
    endpoint.connect_with_connector(dial).await.unwrap()
}

#[test]
fn each_lane_reads_and_writes_its_own_connections_and_no_others() {
    let threads = Threads {
        raft: 1,
        edge: 2,
        compute: 1,
    };
    let production = Env::production(threads).unwrap();
    let env = production.env();
    for (purpose, lane) in [(Purpose::Forwarding, "edge"), (Purpose::Consensus, "raft")] {
        let seen = Seen::default();
        let (env, watched) = (env.clone(), seen.clone());
        // Listening on the lane that accepts, as a bad case: the socket is watched there at first.
        let asking = production.env().raft.spawn("test", async move {
            let (server, address) = port(&env, &watched).await;
            let channel = channel(&env.network, address, purpose).await;
            let mut health = HealthClient::new(channel);
            for _ in 0..20 {
                let asked = health.check(HealthCheckRequest::default()).await;
                asked.unwrap();
            }
            server.cut();
        });
        production.block_on(asking).unwrap();
        let expected = BTreeSet::from([lane.to_owned()]);
        assert_eq!(*seen.lock(), expected, "{purpose:?}");
    }
    production.shutdown(Duration::from_secs(1));
}

/// The two services of a node, as far as reaching them goes.
struct Reached;

type Nothing<T> = futures::stream::Empty<Result<T, Status>>;

#[async_trait]
impl rpc::raft::v1::raft_service_server::RaftService for Reached {
    type ExchangeStream = Nothing<pb::raft::v1::ExchangeResponse>;

    async fn exchange(
        &self,
        _: Request<tonic::Streaming<ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }
}

#[async_trait]
impl rpc::raft::v1::forward_service_server::ForwardService for Reached {
    type ForwardStream = Nothing<pb::raft::v1::ForwardResponse>;

    async fn forward(
        &self,
        _: Request<tonic::Streaming<ForwardRequest>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        Ok(Response::new(futures::stream::empty()))
    }

    async fn join(
        &self,
        _: Request<pb::raft::v1::JoinRequest>,
    ) -> Result<Response<pb::raft::v1::JoinResponse>, Status> {
        Ok(Response::new(pb::raft::v1::JoinResponse::default()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_reaches_the_services_of_its_purpose_and_no_others() {
    use rpc::raft::v1::forward_service_server::ForwardServiceServer;
    use rpc::raft::v1::raft_service_server::RaftServiceServer;
    let env = memory::env(1);
    let callers = Callers::Nodes {
        consensus: Served {
            calls: None,
            routes: Routes::new(RaftServiceServer::new(Reached)),
            lane: env.raft.clone(),
        },
        forwarding: Served {
            calls: None,
            routes: Routes::new(ForwardServiceServer::new(Reached)),
            lane: env.edge.clone(),
        },
    };
    let (_server, address) = start(&env, callers, &Seen::default()).await;
    for (purpose, consensus, forwarding) in [
        (Purpose::Consensus, Code::Ok, Code::Unimplemented),
        (Purpose::Forwarding, Code::Unimplemented, Code::Ok),
    ] {
        let channel = channel(&env.network, address, purpose).await;
        let exchange = RaftServiceClient::new(channel.clone())
            .exchange(futures::stream::empty())
            .await;
        let forward = ForwardServiceClient::new(channel)
            .forward(futures::stream::empty())
            .await;
        let code = |status: Option<Status>| status.map_or(Code::Ok, |status| status.code());
        assert_eq!(code(exchange.err()), consensus, "{purpose:?}");
        assert_eq!(code(forward.err()), forwarding, "{purpose:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_says_no_purpose_of_this_version_is_cut_off_at_once_and_who_is_silent_in_time() {
    let env = memory::env(1);
    let (server, address) = port(&env, &Seen::default()).await;
    let mut newer = *b"antiphon\0\0\0\x02\0\0\0\x01";
    let mut unknown = newer;
    (newer[15], unknown[11], unknown[15]) = (1, 1, 7);
    let strangers: [&[u8]; 4] = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        &newer,
        &unknown,
    ];
    let start = Instant::now();
    for bytes in strangers {
        let mut stranger = env.network.dial(&address.to_string()).await.unwrap();
        stranger.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset and an end are both an end.
        let _ = stranger.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    for silent_after in [&b""[..], b"antip", b"antiphon\0\0\0\x01\0\0\0\x02PRI"] {
        let start = Instant::now();
        let mut silent = env.network.dial(&address.to_string()).await.unwrap();
        silent.write_all(silent_after).await.unwrap();
        let mut answer = Vec::new();
        let _ = silent.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        assert_eq!(start.elapsed(), Bounds::peers().handshake_wait);
    }
    assert_eq!(server.open(), 0, "nothing is left of them");
}
