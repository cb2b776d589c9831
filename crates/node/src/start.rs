//! Starting a node, in the order in which its parts need each other.
//! Promise: ports, directory and log are checked before anything is served; whatever stops the
//! start is named with what to do; a running node ends only by `shutdown` or by its `failure`.
//! Not here: what the parts do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::{Health, Streams};
use pb::api::v1::NodeView;
use ports::Group;
use raft::{GroupHandle, GroupOptions, Host};
use runtime::{Env, Listener, StopSource};
use store::archive::{Archive, ArchiveOptions};
use store::{DataDir, Identity, JournalOptions, SnapshotStore, Wal, WalOptions};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::assemble::{Given, assemble};
use crate::cells::Cells;
use crate::cluster::ClusterView;
use crate::config::{Config, ConfigFault, Layered, LimitsConfig, Live, Reloaded};
use crate::control::ControlMachine;
use crate::doors::Doors;
use crate::error::NodeError;
use crate::found::check_identity;
use crate::hands::{Hands, Process};
use crate::join::{self, Advertised};
use crate::listener::Server;
use crate::telemetry::Telemetry;

/// Log segments below this size are those of tests and of `dev`: caches shrink with them.
const SMALL_SEGMENT_MIB: u32 = 8;

/// Segments of the log for which the audit journal leaves room on the disk: with those of 64 MiB 4 GiB, in which
/// the next snapshot of a million conversations has room, and what is archived between two sweeps.
const JOURNAL_LEAVES_SEGMENTS: u64 = 64;

/// A running node. Dropping it does not stop it.
#[derive(Clone)]
pub struct Node {
    running: Arc<Running>,
}

/// The parts of a running node that its end needs.
pub(crate) struct Running {
    pub(crate) identity: Identity,
    pub(crate) addresses: Addresses,
    pub(crate) cluster: Arc<ClusterView>,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) failure: watch::Sender<Option<Arc<NodeError>>>,
    pub(crate) health: Health,
    pub(crate) api: Server,
    pub(crate) peer: Server,
    /// It answers until the node has gone: what happens meanwhile is seen from there.
    pub(crate) admin: Option<Server>,
    pub(crate) streams: Streams,
    pub(crate) control: GroupHandle<ControlMachine>,
    pub(crate) cells: Cells,
    pub(crate) host: Host,
    pub(crate) wal: Wal,
    pub(crate) stop: StopSource,
    pub(crate) doors: Doors,
    #[cfg(test)]
    pub(crate) telemetry: Telemetry,
    pub(crate) hands: Hands,
    pub(crate) live: Live,
    /// The directory's lock, until the node has gone.
    pub(crate) data: parking_lot::Mutex<Option<DataDir>>,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For clients.
    pub api: SocketAddr,
    /// For other nodes.
    pub peer: SocketAddr,
    /// For whoever looks after the node, if it listens there.
    pub admin: Option<SocketAddr>,
}

impl Node {
    /// Where it listens, with the ports that were chosen.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.running.addresses
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.running.identity
    }

    /// Follows whether it takes clients' calls: from the first leaders on until it drains.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.running.ready.subscribe()
    }

    /// Whether this node leads a cell, as far as it knows.
    #[must_use]
    pub fn leads_a_cell(&self) -> bool {
        let cells = self.running.cells.all();
        cells
            .iter()
            .any(|cell| cell.group.leadership().borrow().is_self)
    }

    /// What its replicas have, for whoever runs several nodes in one process and judges them.
    #[must_use]
    pub fn inside(&self) -> crate::inside::Inside {
        crate::inside::Inside::new(self.running.clone())
    }

    /// The cells that have a replica here.
    #[cfg(test)]
    pub(crate) fn cells(&self) -> &crate::cells::Cells {
        &self.running.cells
    }

    /// Resolves when the node can be of no more use, and says why.
    pub async fn failure(&self) -> Arc<NodeError> {
        let mut failure = self.running.failure.subscribe();
        match failure
            .wait_for(Option::is_some)
            .await
            .map(|failure| failure.clone())
        {
            Ok(Some(error)) => error,
            _ => std::future::pending().await,
        }
    }

    /// Reads the configuration again, as `by` asked for, and takes over the keys that a running node can take
    /// over. The log says what was taken over and what waits for a restart.
    ///
    /// # Errors
    /// Every fault of the configuration; then nothing has changed.
    pub fn reload(&self, by: &str) -> Result<Reloaded, Vec<ConfigFault>> {
        self.running.hands.reload(by)
    }

    /// Goes away in order; returns within `drain.deadline_ms` and a second. A second call returns
    /// at once.
    pub async fn shutdown(&self) {
        let deadline_ms = self.running.live.follow().borrow().drain.deadline_ms;
        let deadline = Duration::from_millis(deadline_ms);
        self.running.drain(deadline).await;
    }

    #[cfg(test)]
    pub(crate) fn wal(&self) -> &Wal {
        &self.running.wal
    }

    #[cfg(test)]
    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.running.telemetry
    }

    /// Stops at once and tells nobody, as the end of its process would: for tests.
    pub async fn kill(&self) {
        self.running.api.cut();
        self.running.close().await;
    }
}

/// Ports that are bound and not yet served.
pub(crate) struct Bound {
    pub(crate) api: Box<dyn Listener>,
    pub(crate) peer: Box<dyn Listener>,
    pub(crate) admin: Option<Box<dyn Listener>>,
    pub(crate) addresses: Addresses,
    pub(crate) advertised: Advertised,
}

/// What the disk holds.
pub(crate) struct Kept {
    pub(crate) dir: PathBuf,
    pub(crate) data: DataDir,
    pub(crate) identity: Identity,
    pub(crate) seeds: Vec<NodeView>,
    pub(crate) wal: Wal,
    pub(crate) snapshots: SnapshotStore,
    pub(crate) archive: Archive,
    pub(crate) archive_options: ArchiveOptions,
    pub(crate) group_options: GroupOptions,
}

/// Starts a node: a founder after `init`, a member after it joined, or a new one that joins first.
///
/// # Errors
/// See [`NodeError`]; nothing is left running.
pub async fn run(config: Config, env: Env) -> Result<Node, NodeError> {
    run_in(Layered::of_program(config), env, Process::default()).await
}

/// The same in a process that lets operators change its log and read its configuration again.
///
/// # Errors
/// See [`NodeError`]; nothing is left running.
pub async fn run_in(layered: Layered, env: Env, process: Process) -> Result<Node, NodeError> {
    let config = layered.config.clone();
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(NodeError::Config(problems));
    }
    let stop = StopSource::new();
    let given = Given {
        live: Live::new(layered, process.settings),
        logs: process.logs,
        started: Instant::now(),
    };
    let (telemetry, env) = Telemetry::start(&config, env, stop.token())?;
    let started = start((&config, &env), telemetry, given, stop.clone()).await;
    if started.is_err() {
        stop.stop();
    }
    started
}

async fn start(
    (config, env): (&Config, &Env),
    telemetry: Telemetry,
    given: Given,
    stop: StopSource,
) -> Result<Node, NodeError> {
    let bound = bind(config, env).await?;
    let kept = open(config, env, &bound.advertised).await?;
    let running = assemble((config, env), (bound, kept), telemetry, given, stop).await?;
    Ok(Node { running })
}

async fn bind(config: &Config, env: &Env) -> Result<Bound, NodeError> {
    let listen = |key, address| async move {
        let listened = env.network.listen(address).await;
        let listener = listened.map_err(|source| NodeError::Listen {
            key,
            address,
            source,
        })?;
        let address = listener.local_addr()?;
        Ok::<_, NodeError>((listener, address))
    };
    let (api, api_address) = listen("listen.api", config.listen.api).await?;
    let (peer, peer_address) = listen("listen.peer", config.listen.peer).await?;
    let admin = match config.listen.admin() {
        Ok(Some(address)) => Some(listen("listen.admin", address).await?),
        // What cannot be read was refused as a problem of the configuration.
        Ok(None) | Err(_) => None,
    };
    let (admin, admin_address) = admin.unzip();
    let or_own = |set: &str, own: SocketAddr| {
        if set.is_empty() {
            own.to_string()
        } else {
            set.to_owned()
        }
    };
    let advertised = Advertised {
        api: or_own(&config.listen.advertise_api, api_address),
        peer: or_own(&config.listen.advertise_peer, peer_address),
    };
    let listened = [
        ("listen.api", Some(api_address)),
        ("listen.peer", Some(peer_address)),
        ("listen.admin", admin_address),
    ];
    for (key, address) in listened {
        if let Some(address) = address
            && !address.ip().is_loopback()
        {
            tracing::warn!(key, %address, "OPEN TO OTHER MACHINES WITHOUT CREDENTIALS: whoever reaches this port may do everything");
        }
    }
    Ok(Bound {
        api,
        peer,
        addresses: Addresses {
            api: api_address,
            peer: peer_address,
            admin: admin_address,
        },
        admin,
        advertised,
    })
}

async fn open(config: &Config, env: &Env, advertised: &Advertised) -> Result<Kept, NodeError> {
    let dir = PathBuf::from(&config.node.data_dir);
    let mut data = DataDir::open(env, &dir).await?;
    let mut seeds = Vec::new();
    let identity = match data.identity().cloned() {
        Some(identity) => {
            join::same_cluster(config, env, &identity).await?;
            identity
        }
        None if config.cluster.join.is_empty() => {
            return Err(NodeError::NoCluster {
                dir: config.node.data_dir.clone(),
            });
        }
        None => {
            let (identity, members) = join::join(config, env, &dir, advertised).await?;
            data.claim(identity.clone()).await?;
            seeds = members;
            identity
        }
    };
    check_identity(config, &identity)?;
    let (wal, notices) = Wal::open(env, &data.log_dir(), wal_options(config)).await?;
    // A cut torn tail is the usual trace of a crash: said, and nothing that anybody has to mend.
    for notice in &notices {
        tracing::warn!(
            at_node = identity.node_name,
            %notice,
            "the log was put right"
        );
    }
    let snapshots = SnapshotStore::open(env, &data.snapshot_dir()).await?;
    let archive_options = archive_options(config);
    let archive = crate::archive::open(env, &dir, archive_options).await?;
    Ok(Kept {
        dir,
        data,
        identity,
        seeds,
        wal,
        snapshots,
        archive,
        archive_options,
        group_options: group_options(&config.limits),
    })
}

fn group_options(limits: &LimitsConfig) -> GroupOptions {
    GroupOptions {
        snapshot_log_bytes: u64::from(limits.snapshot_log_mib) << 20,
        keep_entries: u64::from(limits.keep_entries),
        ..GroupOptions::default()
    }
}

fn archive_options(config: &Config) -> ArchiveOptions {
    let max_bytes = u64::from(config.storage.archive_max_gib) << 30;
    #[cfg(test)]
    let max_bytes = config.storage.archive_max_bytes.unwrap_or(max_bytes);
    ArchiveOptions {
        archive_days: config.storage.archive_days,
        archive_max_bytes: max_bytes,
        ..ArchiveOptions::default()
    }
}

fn wal_options(config: &Config) -> WalOptions {
    let mib = config.limits.log_segment_mib;
    let base = if mib < SMALL_SEGMENT_MIB {
        WalOptions::small()
    } else {
        WalOptions::default()
    };
    let segment_bytes = u64::from(mib) << 20;
    WalOptions {
        segment_bytes,
        journal: Some(JournalOptions {
            days: config.storage.journal_days,
            max_bytes: u64::from(config.storage.journal_max_gib) << 30,
            free_bytes_min: JOURNAL_LEAVES_SEGMENTS * segment_bytes,
        }),
        ..base
    }
}
