//! Durable entries per second of one group: three nodes in one process over loopback TCP, real
//! files, 300-byte commands, some proposals under way at a time.
//! Run: `cargo bench -p raft --bench commit -- DIR` (default `/tmp`).

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use hdrhistogram::Histogram;
use ports::{Frozen, Group, Machine, Position, RestoreError};
use raft::{Directory, GroupHandle, GroupOptions, GroupSpec, Host, Identity, Member, Profile};
use runtime::real::{Production, Threads};
use runtime::{BoxConn, Env, Listener, Purpose};
use store::{GroupId, SnapshotStore, Wal, WalOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tonic::transport::server::Connected;

/// How long each load runs.
const RUN: Duration = Duration::from_secs(8);

struct Counter(u64);

impl Machine for Counter {
    type Reply = u64;

    fn apply(&mut self, _at: Position, _payload: &[u8]) -> u64 {
        self.0 += 1;
        self.0
    }

    fn flush(&mut self) {}

    fn freeze(&mut self) -> Box<dyn Frozen> {
        Box::new(Empty)
    }

    fn reset(&mut self) {
        self.0 = 0;
    }

    fn restore(&mut self, _chunks: Vec<Bytes>) -> Result<(), RestoreError> {
        Ok(())
    }
}

struct Empty;

impl Frozen for Empty {
    fn next_chunk(&mut self) -> Option<Vec<u8>> {
        None
    }
}

struct Accepted(BoxConn);

impl Connected for Accepted {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn greeted(listener: &mut dyn Listener) -> io::Result<Accepted> {
    let (mut conn, _) = listener.accept().await?;
    let purpose = Purpose::of(&mut conn).await.map_err(io::Error::other)?;
    assert_eq!(purpose, Purpose::Consensus);
    Ok(Accepted(conn))
}

fn connections(listener: Box<dyn Listener>) -> impl Stream<Item = io::Result<Accepted>> {
    futures::stream::unfold(listener, |mut listener| async move {
        let accepted = greeted(&mut *listener).await;
        Some((accepted, listener))
    })
}

async fn node(
    env: Env,
    id: u64,
    directory: Directory,
    dir: PathBuf,
) -> anyhow_free::Result<GroupHandle<Counter>> {
    let listener = env.network.listen(([127, 0, 0, 1], 0).into()).await?;
    directory.set(id, listener.local_addr()?.to_string());
    let (wal, _) = Wal::open(&env, &dir.join("log"), WalOptions::default()).await?;
    let snapshots = SnapshotStore::open(&env, &dir.join("snapshots")).await?;
    let identity = Identity {
        cluster_id: "bench".to_owned(),
        node_id: id,
        profile: Profile::Global,
    };
    let host = Host::new(env.clone(), identity, directory);
    let service = host.service();
    let serving = async move {
        let mut server = raft::tune(tonic::transport::Server::builder());
        let served = server
            .add_service(service)
            .serve_with_incoming(connections(listener));
        drop(served.await);
    };
    env.raft.spawn("server", serving).detach();
    let spec = GroupSpec {
        group: GroupId(1),
        name: "bench".into(),
        wal,
        snapshots,
        options: GroupOptions {
            snapshot_log_bytes: u64::MAX / 4,
            ..GroupOptions::default()
        },
    };
    Ok(host.start_group(spec, Counter(0)).await?)
}

mod anyhow_free {
    pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
}

#[allow(
    clippy::disallowed_methods,
    reason = "the load runs on the caller's runtime"
)]
async fn load(group: &GroupHandle<Counter>, term: u64, in_flight: usize) {
    let until = Instant::now() + RUN;
    let began = Instant::now();
    let workers = (0..in_flight).map(|_| {
        let group = group.clone();
        tokio::spawn(async move {
            let mut times = Vec::new();
            let payload = Bytes::from(vec![7_u8; 300]);
            while Instant::now() < until {
                let sent = Instant::now();
                if let Err(error) = group.propose(term, payload.clone()).await {
                    eprintln!("not committed: {error}");
                    break;
                }
                times.push(sent.elapsed());
            }
            times
        })
    });
    let mut histogram = Histogram::<u64>::new(3).expect("three digits are allowed");
    let mut all = futures::stream::iter(workers).buffer_unordered(in_flight);
    while let Some(Ok(times)) = all.next().await {
        for time in times {
            let _ = histogram.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }
    let count = histogram.len() as f64;
    println!(
        "{in_flight:>4} in flight: {:>8.0} entries/s, p50 {:>6} us, p99 {:>6} us, max {:>6} us",
        count / began.elapsed().as_secs_f64(),
        histogram.value_at_quantile(0.5),
        histogram.value_at_quantile(0.99),
        histogram.max(),
    );
}

fn main() -> anyhow_free::Result<()> {
    let dir = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let dir = tempfile::tempdir_in(dir.unwrap_or_else(|| "/tmp".to_owned()))?;
    // Three nodes share one machine here: each gets one thread a lane.
    let threads = Threads {
        raft: 1,
        edge: 1,
        compute: 1,
    };
    let nodes: Vec<Production> = (0..3)
        .map(|_| Env::production(threads))
        .collect::<io::Result<_>>()?;
    let directory = Directory::new();
    let mut groups = BTreeMap::new();
    for (id, production) in (1..).zip(&nodes) {
        let started = node(
            production.env(),
            id,
            directory.clone(),
            dir.path().join(id.to_string()),
        );
        groups.insert(id, production.block_on(started)?);
    }
    let members = (1..=3).map(|id| (id, Member::default())).collect();
    nodes[0].block_on(groups[&1].initialize(members))?;
    let group = groups[&1].clone();
    nodes[0].block_on(async {
        let mut leadership = group.leadership();
        let term = leadership.wait_for(|said| said.is_self).await?.term;
        for in_flight in [1, 64, 256] {
            load(&group, term, in_flight).await;
        }
        Ok(())
    })
}
