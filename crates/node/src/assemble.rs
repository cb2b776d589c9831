//! Putting a node's parts together, each over those before it.
//! Promise: nothing is served before the control replica has read what the disk holds.
//! Not here: ports and directory (`start`), what the parts do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::metrics::RpcMetrics;
use api::{Edge, EdgeParts, Health, RoutesError, Streams};
use domain::ids::{NodeId, SiteId};
use ports::Group;
use raft::{Directory, GroupHandle, GroupSpec, Host, Member, Profile};
use runtime::{Env, Listener, StopSource};
use store::{GroupId, Identity};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::service::Routes;

use crate::admin::Admin;
use crate::archive::NodeArchive;
use crate::cells::{Cells, CellsParts};
use crate::cluster::{ClusterView, NodeFloor};
use crate::config::{Config, Live};
use crate::control::owner::ControlOwner;
use crate::control::reconcile::Reconciler;
use crate::control::{
    CONTROL_GROUP, CONTROL_NAME, ControlMachine, PlanWatch, Proposer, StateWatch, control_machine,
};
use crate::doors::link::Speaker;
use crate::doors::presence::{Place, Presence};
use crate::doors::serve::Forwards;
use crate::doors::{Doors, DoorsParts};
use crate::error::NodeError;
use crate::follow;
use crate::found::Founding;
use crate::hands::{Hands, HandsParts};
use crate::homes::ControlHomes;
use crate::join::Advertised;
use crate::listener::{Bounds, Callers, Served, Server};
use crate::log::Logs;
use crate::marks::{self, Ground};
use crate::metrics::{Metrics, Placed};
use crate::ready::Readiness;
use crate::start::{Addresses, Bound, Kept, Running};
use crate::status::{Account, Gatherer, Notes};
use crate::telemetry::Telemetry;
use crate::verify::ask::OwnProofs;
use crate::verify::live::{Proofs, Sources};

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
    let founding = Founding::load(env, &kept.dir, identity.node_id).await?;
    let group = GroupId(CONTROL_GROUP);
    let ground = Ground {
        env,
        dir: &kept.dir,
        wal: &kept.wal,
        host: &host,
    };
    marks::begin(ground, group, ("the control group", false)).await?;
    let (machine, state, plan) = control_machine();
    let spec = GroupSpec {
        group,
        name: CONTROL_NAME.into(),
        wal: kept.wal.clone(),
        snapshots: kept.snapshots.clone(),
        options: kept.group_options.clone(),
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
        at_node = identity.node_name,
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

fn proofs(env: &Env, kept: &Kept, stop: &StopSource) -> OwnProofs {
    let sources = Sources {
        env: env.clone(),
        wal: kept.wal.clone(),
        snapshots: kept.snapshots.clone(),
        stop: stop.token(),
    };
    Arc::new((Proofs::default(), sources))
}

/// What lies between the groups and the listeners.
struct Inner {
    doors: Doors,
    presence: Presence,
    cells: Cells,
    proposer: Proposer,
    streams: Streams,
    account: Arc<Account>,
    hands: Hands,
}

/// What the process around the node gives it.
pub(crate) struct Given {
    /// The configuration in force.
    pub(crate) live: Live,
    /// The process's log.
    pub(crate) logs: Option<Logs>,
    /// When the node began to start.
    pub(crate) started: Instant,
}

fn inner(
    env: &Env,
    kept: &Kept,
    control: &ControlParts,
    stop: &StopSource,
    (given, addresses): (&Given, Addresses),
) -> Result<Inner, NodeError> {
    let identity = &kept.identity;
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
    let presence = Presence::new(Place {
        node: NodeId(identity.node_id),
        site: SiteId::new(&identity.site).map_err(std::io::Error::other)?,
    });
    let cells = cells_of(env, kept, control, (&doors, &presence), stop);
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
    let notes = Notes::default();
    let hands = hands((env, stop), (given, identity, addresses), (control, &doors));
    let account = Arc::new(Account {
        env: env.clone(),
        node: identity.node_id,
        started: given.started,
        control: control.state.clone(),
        group: control.group.clone(),
        cells: cells.clone(),
        streams: streams.clone(),
        wal: kept.wal.clone(),
        notes,
        proofs: proofs(env, kept, stop),
    });
    Ok(Inner {
        doors,
        presence,
        cells,
        proposer,
        streams,
        account,
        hands,
    })
}

fn hands(
    (env, stop): (&Env, &StopSource),
    (given, identity, addresses): (&Given, &Identity, Addresses),
    (control, doors): (&ControlParts, &Doors),
) -> Hands {
    Hands::new(HandsParts {
        env: env.clone(),
        identity: identity.clone(),
        addresses,
        started: given.started,
        logs: given.logs.clone(),
        live: given.live.clone(),
        control: control.state.clone(),
        doors: doors.clone(),
        stop: stop.token(),
    })
}

fn cells_of(
    env: &Env,
    kept: &Kept,
    control: &ControlParts,
    (doors, presence): (&Doors, &Presence),
    stop: &StopSource,
) -> Cells {
    let identity = &kept.identity;
    Cells::new(CellsParts {
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
        options: kept.group_options.clone(),
        archive: NodeArchive {
            env: env.clone(),
            node: identity.node_id,
            store: kept.archive.clone(),
            doors: doors.clone(),
            control: control.state.clone(),
            options: kept.archive_options,
            journal: kept.wal.journal().cloned(),
            looked: Arc::default(),
            stop: stop.token(),
        },
        stop: stop.token(),
    })
}

fn serve_peers(
    env: &Env,
    listener: Box<dyn Listener>,
    control: &ControlParts,
    inner: &Inner,
) -> Server {
    let forwards = Forwards {
        doors: inner.doors.clone(),
        presence: inner.presence.clone(),
        control: control.state.clone(),
        account: inner.account.clone(),
        hands: Arc::new(inner.hands.clone()),
    };
    let callers = Callers::Nodes {
        consensus: Served {
            calls: None,
            routes: Routes::new(control.host.service()).prepare(),
            lane: env.raft.clone(),
        },
        forwarding: Served {
            calls: None,
            routes: Routes::new(forwards.service()).prepare(),
            lane: env.edge.clone(),
        },
    };
    Server::start(listener, callers, Bounds::peers(), &env.random)
}

/// The side that clients see.
struct Facing {
    cluster: Arc<ClusterView>,
    gatherer: Arc<Gatherer>,
    health: Health,
    api: Server,
    rpc: Arc<RpcMetrics>,
}

async fn serve_clients(
    (config, env): (&Config, &Env),
    listener: Box<dyn Listener>,
    (kept, control, inner): (&Kept, &ControlParts, &Inner),
) -> Result<Facing, NodeError> {
    let (cells, doors) = (inner.cells.clone(), inner.doors.clone());
    let (state, plan) = (control.state.clone(), control.plan.clone());
    let floor = Arc::new(NodeFloor::new(cells, state, plan, doors));
    let state = control.state.clone();
    let cluster = Arc::new(ClusterView::new(
        kept.identity.clone(),
        state,
        inner.doors.clone(),
    ));
    let gatherer = Arc::new(Gatherer {
        account: inner.account.clone(),
        doors: inner.doors.clone(),
        floor: floor.clone(),
    });
    let rpc = Arc::new(RpcMetrics::new().map_err(RoutesError::from)?);
    let edge = Edge::new(EdgeParts {
        door: Arc::new(inner.doors.clone()),
        cluster: cluster.clone(),
        operator: gatherer.clone(),
        hands: Arc::new(inner.hands.clone()),
        floor,
        homes: Arc::new(ControlHomes::new(control.state.clone())),
        streams: inner.streams.clone(),
        rpc: rpc.clone(),
        tracer: env.tracer.clone(),
    });
    let health = Health::new().await;
    let connections = usize::try_from(config.limits.connections).unwrap_or(usize::MAX);
    let age = Duration::from_secs(config.limits.connection_age_s);
    let callers = Callers::Clients(Served {
        calls: Some(rpc.clone()),
        routes: api::routes(&edge, &health)?,
        lane: env.edge.clone(),
    });
    let bounds = Bounds::api(connections, age);
    let api = Server::start(listener, callers, bounds, &env.random);
    Ok(Facing {
        cluster,
        gatherer,
        health,
        api,
        rpc,
    })
}

/// The side for whoever looks after the node, if it is wanted.
fn serve_admin(
    (config, env): (&Config, &Env),
    listener: Option<Box<dyn Listener>>,
    (kept, account): (&Kept, &Arc<Account>),
    (rpc, telemetry): (Arc<RpcMetrics>, Telemetry),
    ready: watch::Receiver<bool>,
) -> Option<Server> {
    let identity = &kept.identity;
    let metrics = Metrics {
        account: account.clone(),
        rpc,
        telemetry,
        dir: kept.dir.clone(),
        place: Placed {
            cluster: config.cluster.name.clone(),
            site: identity.site.clone(),
            node: identity.node_name.clone(),
        },
    };
    let callers = Callers::Clients(Served {
        calls: None,
        routes: Admin::new(metrics, ready).routes(),
        lane: env.edge.clone(),
    });
    listener.map(|listener| Server::start(listener, callers, Bounds::admin(), &env.random))
}

/// Starts everything over ports that are bound and a directory that is open.
pub(crate) async fn assemble(
    (config, env): (&Config, &Env),
    (bound, kept): (Bound, Kept),
    telemetry: Telemetry,
    given: Given,
    stop: StopSource,
) -> Result<Arc<Running>, NodeError> {
    let control = start_control(env, &kept, &bound.addresses).await?;
    let inner = inner(env, &kept, &control, &stop, (&given, bound.addresses))?;
    let peer = serve_peers(env, bound.peer, &control, &inner);
    let facing = serve_clients((config, env), bound.api, (&kept, &control, &inner)).await?;
    let ready = watch::Sender::new(false);
    let admin = serve_admin(
        (config, env),
        bound.admin,
        (&kept, &inner.account),
        (facing.rpc, telemetry.clone()),
        ready.subscribe(),
    );
    let running = Arc::new(Running {
        addresses: bound.addresses,
        cluster: facing.cluster,
        ready,
        failure: watch::Sender::new(None),
        health: facing.health,
        api: facing.api,
        peer,
        admin,
        streams: inner.streams,
        control: control.group.clone(),
        cells: inner.cells.clone(),
        host: control.host.clone(),
        wal: kept.wal.clone(),
        stop,
        doors: inner.doors.clone(),
        #[cfg(test)]
        telemetry: telemetry.clone(),
        data: parking_lot::Mutex::new(Some(kept.data)),
        identity: kept.identity,
        hands: inner.hands,
        live: given.live,
    });
    let reconciler = Reconciler {
        env: env.clone(),
        group: control.group.clone(),
        proposer: inner.proposer,
        cells: inner.cells,
        identity: running.identity.clone(),
        advertised: bound.advertised.clone(),
        directory: control.directory.clone(),
        dir: kept.dir,
        founding: control.founding.clone(),
        resting: BTreeMap::new(),
    };
    let token = running.stop.token();
    let watching = facing
        .gatherer
        .watch_clock(inner.account.notes.clone(), token.clone());
    env.edge.spawn("clock watch", watching).detach();
    let settings = follow::settings(running.live.follow(), running.clone(), running.stop.token());
    env.edge.spawn("follow settings", settings).detach();
    env.raft.spawn("reconcile", reconciler.run(token)).detach();
    follow_control(env, &running, control, bound.advertised, inner.doors);
    Ok(running)
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
            tracing::error!(at_node = node.identity.node_name, %error, "the node can be of no more use");
            node.failure.send_replace(Some(Arc::new(error)));
        })
        .detach();
    let node = running.clone();
    let readiness = Readiness {
        node,
        control: control.state,
        profile: control.profile,
    };
    env.edge
        .spawn("readiness", readiness.run(stop.token()))
        .detach();
}
