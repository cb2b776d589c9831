//! Starting a node, in the order in which its parts need each other.
//! Promise: ports, directory and log are checked before anything is served; whatever stops the
//! start is named with what to do; a running node ends only by `shutdown` or by its `failure`.
//! Not here: what the parts do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::{Edge, EdgeParts, Health, OneCell, Streams};
use domain::control::command::FIRST_CELL;
use domain::ids::SiteId;
use pb::api::v1::NodeView;
use ports::Group;
use raft::{Directory, GroupHandle, GroupOptions, GroupSpec, Host, Member, Profile};
use runtime::{Env, Listener, StopSource};
use store::{DataDir, GroupId, Identity, SnapshotStore, Wal, WalOptions};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::service::Routes;

use crate::cells::{Cells, CellsParts};
use crate::cluster::{ClusterView, NodeFloor};
use crate::config::Config;
use crate::control::owner::ControlOwner;
use crate::control::reconcile::Reconciler;
use crate::control::{
    CONTROL_GROUP, CONTROL_NAME, ControlMachine, PlanWatch, Proposer, StateWatch, control_machine,
};
use crate::doors::link::Speaker;
use crate::doors::presence::Presence;
use crate::doors::serve::Forwards;
use crate::doors::{Doors, DoorsParts};
use crate::error::NodeError;
use crate::follow;
use crate::found::{Founding, check_identity};
use crate::join::{self, Advertised};
use crate::listener::{Bounds, Server};
use crate::marks;
use crate::status::{Account, Gatherer, Notes};

/// Log segments below this size are those of tests and of `dev`: caches shrink with them.
const SMALL_SEGMENT_MIB: u32 = 8;

/// A running node. Dropping it does not stop it.
#[derive(Clone)]
pub struct Node {
    running: Arc<Running>,
    drain_deadline: Duration,
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
    pub(crate) streams: Streams,
    pub(crate) control: GroupHandle<ControlMachine>,
    pub(crate) cells: Cells,
    pub(crate) host: Host,
    pub(crate) wal: Wal,
    pub(crate) stop: StopSource,
    pub(crate) doors: Doors,
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

    /// Goes away in order; returns within `drain.deadline_ms` and a second. A second call returns
    /// at once.
    pub async fn shutdown(&self) {
        self.running.drain(self.drain_deadline).await;
    }

    /// Stops at once and tells nobody, as the end of its process would: for tests.
    pub async fn kill(&self) {
        self.running.api.cut();
        self.running.close().await;
    }
}

/// Ports that are bound and not yet served.
struct Bound {
    api: Box<dyn Listener>,
    peer: Box<dyn Listener>,
    addresses: Addresses,
    advertised: Advertised,
}

/// What the disk holds.
struct Kept {
    dir: PathBuf,
    data: DataDir,
    identity: Identity,
    seeds: Vec<NodeView>,
    wal: Wal,
    snapshots: SnapshotStore,
    notices: Vec<String>,
}

/// Starts a node: a founder after `init`, a member after it joined, or a new one that joins first.
///
/// # Errors
/// See [`NodeError`]; nothing is left running.
pub async fn run(config: Config, env: Env) -> Result<Node, NodeError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(NodeError::Config(problems));
    }
    let bound = bind(&config, &env).await?;
    let kept = open(&config, &env, &bound.advertised).await?;
    let stop = StopSource::new();
    let started = serve(&config, &env, bound, kept, stop.clone()).await;
    if started.is_err() {
        stop.stop();
    }
    started
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
    for (key, address) in [("listen.api", api_address), ("listen.peer", peer_address)] {
        if !address.ip().is_loopback() {
            tracing::warn!(key, %address, "OPEN TO OTHER MACHINES WITHOUT CREDENTIALS: whoever reaches this port may do everything");
        }
    }
    Ok(Bound {
        api,
        peer,
        addresses: Addresses {
            api: api_address,
            peer: peer_address,
        },
        advertised,
    })
}

async fn open(config: &Config, env: &Env, advertised: &Advertised) -> Result<Kept, NodeError> {
    let dir = PathBuf::from(&config.node.data_dir);
    let mut data = DataDir::open(env, &dir).await?;
    let mut seeds = Vec::new();
    let identity = match data.identity().cloned() {
        Some(identity) => identity,
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
    let notices: Vec<String> = notices.iter().map(ToString::to_string).collect();
    for notice in &notices {
        tracing::warn!(node = identity.node_name, notice, "the log was put right");
    }
    let snapshots = SnapshotStore::open(env, &data.snapshot_dir()).await?;
    Ok(Kept {
        dir,
        data,
        identity,
        seeds,
        wal,
        snapshots,
        notices,
    })
}

fn wal_options(config: &Config) -> WalOptions {
    let mib = config.limits.log_segment_mib;
    let base = if mib < SMALL_SEGMENT_MIB {
        WalOptions::small()
    } else {
        WalOptions::default()
    };
    WalOptions {
        segment_bytes: u64::from(mib) << 20,
        ..base
    }
}

/// The control group and the way to it.
struct ControlParts {
    host: Host,
    directory: Directory,
    group: GroupHandle<ControlMachine>,
    state: StateWatch,
    plan: PlanWatch,
    founding: Option<Founding>,
    profile: Profile,
}

async fn start_control(
    env: &Env,
    kept: &Kept,
    addresses: &Addresses,
) -> Result<ControlParts, NodeError> {
    let identity = &kept.identity;
    let profile = Profile::from_name(&identity.profile).unwrap_or(Profile::Lan);
    let directory = Directory::new();
    for seed in kept
        .seeds
        .iter()
        .filter(|seed| seed.node_id != identity.node_id)
    {
        directory.set(seed.node_id, seed.peer_address.clone());
    }
    let raft_identity = raft::Identity {
        cluster_id: identity.cluster_id.clone(),
        node_id: identity.node_id,
        profile,
    };
    let host = Host::new(env.clone(), raft_identity, directory.clone());
    let founding = Founding::load(env, &kept.dir).await?;
    let group = GroupId(CONTROL_GROUP);
    marks::begin(
        env,
        &kept.dir,
        &kept.wal,
        group,
        ("the control group", false),
    )
    .await?;
    let (machine, state, plan) = control_machine();
    let spec = GroupSpec {
        group,
        wal: kept.wal.clone(),
        snapshots: kept.snapshots.clone(),
        options: GroupOptions::default(),
    };
    let group = host.start_group(spec, machine).await?;
    if founding.is_some() && !group.is_initialized().await {
        let member = Member {
            name: identity.node_name.clone(),
            site: identity.site.clone(),
        };
        group
            .initialize(BTreeMap::from([(identity.node_id, member)]))
            .await?;
    }
    tracing::info!(
        node = identity.node_name,
        node_id = identity.node_id,
        cluster = identity.cluster_id,
        api = %addresses.api,
        peer = %addresses.peer,
        "the node has started its {CONTROL_NAME} replica"
    );
    Ok(ControlParts {
        host,
        directory,
        group,
        state,
        plan,
        founding,
        profile,
    })
}

async fn serve(
    config: &Config,
    env: &Env,
    bound: Bound,
    kept: Kept,
    stop: StopSource,
) -> Result<Node, NodeError> {
    let control = start_control(env, &kept, &bound.addresses).await?;
    let identity = kept.identity.clone();
    let doors = Doors::new(DoorsParts {
        env: env.clone(),
        speaker: Speaker {
            cluster_id: identity.cluster_id.clone(),
            node_id: identity.node_id,
        },
        directory: control.directory.clone(),
        control: control.state.clone(),
        stop: stop.token(),
    });
    let presence = Presence::new(SiteId::new(&identity.site).map_err(std::io::Error::other)?);
    let cells = Cells::new(CellsParts {
        env: env.clone(),
        node: identity.node_id,
        dir: kept.dir.clone(),
        host: control.host.clone(),
        wal: kept.wal.clone(),
        snapshots: kept.snapshots.clone(),
        doors: doors.clone(),
        presence: presence.clone(),
        control: control.state.clone(),
        plan: control.plan.clone(),
        interrupted_after_ms: crate::doors::millis(control.profile.election_max()),
        stop: stop.token(),
    });
    let proposer = Proposer::new(
        Arc::new(control.group.clone()),
        control.state.clone(),
        env.clone(),
    );
    let owner = ControlOwner {
        proposer: proposer.clone(),
        cells: cells.clone(),
    };
    doors.serve(CONTROL_GROUP, Arc::new(owner), control.group.leadership());

    let streams = Streams::new(api::limits::STREAMS_MAX);
    let account = Arc::new(Account {
        env: env.clone(),
        node: identity.node_id,
        started: Instant::now(),
        control: control.state.clone(),
        group: control.group.clone(),
        cells: cells.clone(),
        streams: streams.clone(),
        wal: kept.wal.clone(),
        notes: Notes::default(),
    });
    account.notes.set(kept.notices.clone());
    let forwards = Forwards {
        doors: doors.clone(),
        presence,
        control: control.state.clone(),
        account: account.clone(),
    };
    let peer_routes = Routes::new(control.host.service())
        .add_service(forwards.service())
        .prepare();
    let peer = Server::start(
        bound.peer,
        peer_routes,
        Bounds::peers(),
        &env.raft,
        &env.random,
    );

    let floor = Arc::new(NodeFloor::new(cells.clone()));
    let cluster = Arc::new(ClusterView::new(
        identity.clone(),
        control.state.clone(),
        doors.clone(),
    ));
    let gatherer = Arc::new(Gatherer {
        account: account.clone(),
        doors: doors.clone(),
        floor: floor.clone(),
    });
    let edge = Edge::new(EdgeParts {
        door: Arc::new(doors.clone()),
        cluster: cluster.clone(),
        operator: gatherer.clone(),
        floor,
        homes: Arc::new(OneCell(FIRST_CELL)),
        streams: streams.clone(),
        lane: env.edge.clone(),
    });
    let health = Health::new().await;
    let connections = usize::try_from(config.limits.connections).unwrap_or(usize::MAX);
    let bounds = Bounds::api(
        connections,
        Duration::from_secs(config.limits.connection_age_s),
    );
    let api = Server::start(
        bound.api,
        api::routes(&edge, &health)?,
        bounds,
        &env.edge,
        &env.random,
    );

    let running = Arc::new(Running {
        addresses: bound.addresses,
        cluster,
        ready: watch::Sender::new(false),
        failure: watch::Sender::new(None),
        health,
        api,
        peer,
        streams,
        control: control.group.clone(),
        cells: cells.clone(),
        host: control.host.clone(),
        wal: kept.wal.clone(),
        stop,
        doors: doors.clone(),
        data: parking_lot::Mutex::new(Some(kept.data)),
        identity,
    });
    let reconciler = Reconciler {
        env: env.clone(),
        group: control.group.clone(),
        proposer,
        cells,
        identity: running.identity.clone(),
        advertised: bound.advertised.clone(),
        dir: kept.dir,
        founding: control.founding.clone(),
        resting: BTreeMap::new(),
    };
    let notes = account.notes.clone();
    let token = running.stop.token();
    env.edge
        .spawn(
            "clock watch",
            gatherer.watch_clock(notes, kept.notices, token.clone()),
        )
        .detach();
    env.raft.spawn("reconcile", reconciler.run(token)).detach();
    follow_control(env, &running, control, bound.advertised, doors);
    Ok(Node {
        running,
        drain_deadline: Duration::from_millis(config.drain.deadline_ms),
    })
}

/// Starts the tasks that follow the control state.
fn follow_control(
    env: &Env,
    running: &Arc<Running>,
    control: ControlParts,
    advertised: Advertised,
    doors: Doors,
) {
    let (us, stop) = (running.identity.node_id, &running.stop);
    let addresses = follow::addresses(
        control.state.clone(),
        us,
        control.directory,
        doors.clone(),
        stop.token(),
    );
    env.edge.spawn("follow addresses", addresses).detach();
    let announce = follow::announce(
        env.clone(),
        control.state.clone(),
        us,
        advertised,
        doors,
        stop.token(),
    );
    env.edge.spawn("announce", announce).detach();
    let (node, token) = (running.clone(), stop.token());
    env.raft
        .spawn("follow cells", async move {
            let error = tokio::select! {
                biased;
                () = token.stopped() => return,
                error = node.cells.clone().follow() => error,
            };
            tracing::error!(node = node.identity.node_name, %error, "the node can be of no more use");
            node.failure.send_replace(Some(Arc::new(error)));
        })
        .detach();
    let node = running.clone();
    let ready = follow::readiness(
        control.state,
        control.group.leadership(),
        us,
        running.cells.clone(),
        stop.token(),
    );
    env.edge
        .spawn("readiness", async move {
            if ready.await && !ports::Cluster::draining(&*node.cluster) {
                node.health.set_ready(true).await;
                node.ready.send_replace(true);
                tracing::info!(node = node.identity.node_name, "the node is ready");
            }
        })
        .detach();
}
