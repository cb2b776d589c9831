//! What the tests of this crate share: a machine that counts, nodes on a memory network.
//! Promise: nothing here waits without a bound, and time is tokio's.
//! Not here: the claims (`cluster_test`, `suite_test`, `transport_test`).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures::Stream;
use parking_lot::Mutex;
use ports::{Frozen, Group, Leadership, Machine, Position, RestoreError};
use runtime::memory::{MemoryDisk, MemoryNetwork, Unsynced};
use runtime::{BoxConn, Env, Listener, Purpose, Task};
use store::{GroupId, SnapshotStore, Wal, WalOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::{Directory, GroupHandle, GroupOptions, GroupSpec, Host, Identity, Member, Profile};

/// The group that the tests run.
pub(crate) const GROUP: GroupId = GroupId(7);
/// Longest wait for anything, in tokio's time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A machine that keeps every command, and panics at one.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) kept: Arc<Mutex<Vec<Bytes>>>,
}

/// The command at which a `Ledger` panics.
pub(crate) const POISON: &[u8] = b"poison";

impl Machine for Ledger {
    type Reply = u64;

    fn apply(&mut self, _at: Position, payload: &[u8]) -> u64 {
        assert!(payload != POISON, "poisoned");
        let mut kept = self.kept.lock();
        kept.push(Bytes::copy_from_slice(payload));
        kept.len() as u64
    }

    fn flush(&mut self) {}

    fn freeze(&mut self) -> Box<dyn Frozen> {
        Box::new(FrozenLedger {
            left: self.kept.lock().clone(),
        })
    }

    fn reset(&mut self) {
        self.kept.lock().clear();
    }

    fn restore(&mut self, chunks: Vec<Bytes>) -> Result<(), RestoreError> {
        let mut kept = Vec::new();
        for mut chunk in chunks {
            while chunk.has_remaining() {
                let length = chunk.get_u32() as usize;
                kept.push(chunk.split_to(length));
            }
        }
        *self.kept.lock() = kept;
        Ok(())
    }
}

struct FrozenLedger {
    left: Vec<Bytes>,
}

impl Frozen for FrozenLedger {
    fn next_chunk(&mut self) -> Option<Vec<u8>> {
        if self.left.is_empty() {
            return None;
        }
        let rest = self.left.split_off(self.left.len().min(4));
        let mut chunk = Vec::new();
        for command in std::mem::replace(&mut self.left, rest) {
            chunk.put_u32(u32::try_from(command.len()).unwrap());
            chunk.put_slice(&command);
        }
        Some(chunk)
    }
}

/// A connection as tonic's server takes it.
pub(crate) struct Accepted(BoxConn);

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

/// Serves a host's peers at its port.
pub(crate) async fn listen(host: &Host, port: u16) -> Task<()> {
    let env = &host.transport.env;
    let listener = env
        .network
        .listen(([127, 0, 0, 1], port).into())
        .await
        .unwrap();
    let service = host.service();
    let serving = async move {
        let mut server = crate::tune(tonic::transport::Server::builder());
        let served = server
            .add_service(service)
            .serve_with_incoming(connections(listener));
        served.await.unwrap();
    };
    env.raft.spawn("test-server", serving)
}

pub(crate) fn identity(node_id: u64) -> Identity {
    Identity {
        cluster_id: "test".to_owned(),
        node_id,
        profile: Profile::Lan,
    }
}

pub(crate) fn port(node: u64) -> u16 {
    9_000 + u16::try_from(node).unwrap()
}

/// A node with one group.
pub(crate) struct Node {
    pub(crate) group: GroupHandle<Ledger>,
    pub(crate) kept: Arc<Mutex<Vec<Bytes>>>,
    host: Host,
    wal: Wal,
    server: Task<()>,
}

/// Nodes that share a network; each has a disk that outlives it.
pub(crate) struct Cluster {
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) options: GroupOptions,
    directory: Directory,
    network: MemoryNetwork,
    disks: BTreeMap<u64, Arc<MemoryDisk>>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            nodes: BTreeMap::new(),
            options: GroupOptions::default(),
            directory: Directory::new(),
            network: MemoryNetwork::default(),
            disks: BTreeMap::new(),
        }
    }

    /// Three running voters.
    pub(crate) async fn of_three() -> Self {
        Self::of_three_with(GroupOptions::default()).await
    }

    pub(crate) async fn of_three_with(options: GroupOptions) -> Self {
        let mut cluster = Self::new();
        cluster.options = options;
        for id in 1..=3 {
            cluster.start(id).await;
        }
        let members = (1..=3).map(|id| (id, member(id))).collect();
        cluster.nodes[&1].group.initialize(members).await.unwrap();
        cluster
    }

    fn env(&mut self, id: u64) -> Env {
        let disk = self.disks.entry(id).or_default();
        Env {
            network: Arc::new(self.network.clone()),
            disk: Arc::clone(disk) as Arc<dyn runtime::Disk>,
            ..runtime::memory::env(id)
        }
    }

    /// Starts node `id` from what its disk holds.
    pub(crate) async fn start(&mut self, id: u64) {
        let env = self.env(id);
        self.directory.set(id, format!("127.0.0.1:{}", port(id)));
        let (wal, _) = Wal::open(&env, Path::new("/log"), WalOptions::small())
            .await
            .unwrap();
        let snapshots = SnapshotStore::open(&env, Path::new("/snapshots"))
            .await
            .unwrap();
        let host = Host::new(env, identity(id), self.directory.clone());
        let server = listen(&host, port(id)).await;
        let ledger = Ledger::default();
        let kept = Arc::clone(&ledger.kept);
        let spec = GroupSpec {
            group: GROUP,
            name: "ledger".into(),
            wal: wal.clone(),
            snapshots,
            options: self.options.clone(),
        };
        let group = host.start_group(spec, ledger).await.unwrap();
        let node = Node {
            group,
            kept,
            host,
            wal,
            server,
        };
        self.nodes.insert(id, node);
    }

    /// Ends node `id` as a loss of power would: what was not synced is gone.
    pub(crate) async fn kill(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        let survivor = self.disks[&id].crash(&Unsynced::Lost);
        self.disks.insert(id, Arc::new(survivor));
        node.host.stop();
        node.group.shutdown().await;
        node.server.abort();
        // The port is free once the task is gone.
        let _ = node.server.await;
    }

    /// The node that leads, once one does, and its term.
    pub(crate) async fn leader(&self) -> (u64, u64) {
        let waiting = self.nodes.iter().map(|(id, node)| {
            let mut leadership = node.group.leadership();
            Box::pin(async move {
                let said = leadership.wait_for(|said| said.is_self).await.unwrap();
                (*id, said.term)
            })
        });
        let first = futures::future::select_all(waiting);
        tokio::time::timeout(PATIENCE, first)
            .await
            .expect("nobody leads")
            .0
    }

    /// Proposes on whoever leads until it is committed.
    pub(crate) async fn commit(&self, command: &'static [u8]) -> u64 {
        let trying = async {
            loop {
                let (id, term) = self.leader().await;
                let group = &self.nodes[&id].group;
                match group.propose(term, Bytes::from_static(command)).await {
                    Ok(committed) => return committed.index,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, trying)
            .await
            .expect("nothing commits")
    }

    /// Waits until node `id` has purged its log up to `index`.
    pub(crate) async fn purged(&self, id: u64, index: u64) {
        let log = self.nodes[&id].wal.group(GROUP);
        let waiting = async {
            while log.purged().is_none_or(|purged| purged.index < index) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it is not purged");
    }

    /// Waits until node `id` has applied `index`.
    pub(crate) async fn applied(&self, id: u64, index: u64) {
        let mut applied = self.nodes[&id].group.applied();
        let waiting = applied.wait_for(|applied| *applied >= index);
        let _ = tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it stays behind")
            .unwrap();
    }

    pub(crate) fn kept(&self, id: u64) -> Vec<Bytes> {
        self.nodes[&id].kept.lock().clone()
    }
}

pub(crate) fn member(id: u64) -> Member {
    Member {
        name: format!("n{id}"),
        site: "here".to_owned(),
    }
}

/// Waits until `leadership` is as wanted.
pub(crate) async fn until(
    group: &GroupHandle<Ledger>,
    wanted: impl FnMut(&Leadership) -> bool,
) -> Leadership {
    let mut leadership = group.leadership();
    let waiting = leadership.wait_for(wanted);
    *tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("in time")
        .unwrap()
}
