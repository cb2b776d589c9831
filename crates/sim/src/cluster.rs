//! The nodes of a run: production nodes on simulated hosts, started again by whoever looks after them.
//! Promise: a node keeps its disk through every end of its process; what its replicas have is told to the judge.
//! Not here: what is done to hosts (`faults`), judging (`judge`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use node::config::Config;
use node::{InitOptions, Inside, NodeError, init};
use parking_lot::Mutex;
use runtime::Env;
use runtime::memory::{Faults, MemoryDisk, Unsynced};
use tokio::time::sleep;

use crate::judge::Judge;
use crate::params::Params;
use crate::world::{End, HostId, World, address};

/// Ports of every node.
const API_PORT: u16 = 7400;
const PEER_PORT: u16 = 7401;
/// The group of the first cell.
const FIRST_CELL: u32 = 1;
/// Whoever looks after a node starts it again after this.
const START_AGAIN: Duration = Duration::from_secs(1);
/// How often what a node has is told to the judge.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// One node.
pub struct NodeHost {
    /// Its place in the world.
    pub host: HostId,
    /// Its site, counted from 0.
    pub site: usize,
    /// Its disk in the present life.
    pub disk: MemoryDisk,
    config: Config,
    founder: bool,
    /// It left for good.
    gone: bool,
    seen: Arc<Seen>,
}

/// What is seen of a running process.
#[derive(Default)]
struct Seen {
    inside: Mutex<Option<Inside>>,
    ready: Mutex<bool>,
    failed: Mutex<Option<String>>,
    stop: tokio::sync::Notify,
}

/// The nodes.
pub struct Cluster {
    nodes: Vec<NodeHost>,
    /// The node that is not there from the beginning, until it joins.
    late: Option<usize>,
    judge: Judge,
    sync: Duration,
}

impl Cluster {
    /// Nodes on hosts of their own, none of them running.
    pub fn new(world: &mut World, params: &Params, judge: &Judge) -> Self {
        let mut nodes: Vec<NodeHost> = Vec::new();
        for (site, count) in params.sites.iter().enumerate() {
            for number in 1..=*count {
                let name = format!("s{}-n{number}", site + 1);
                let host = world.add_host(&name);
                let founder = nodes.is_empty();
                let mut config = config(site, &name, host, nodes.first());
                config.limits.snapshot_log_mib = params.snapshot_log_mib;
                config.limits.keep_entries = params.keep_entries;
                nodes.push(NodeHost {
                    host,
                    site,
                    disk: MemoryDisk::default(),
                    config,
                    founder,
                    gone: false,
                    seen: Arc::default(),
                });
            }
        }
        Self {
            late: params.joins_late.then(|| nodes.len() - 1),
            nodes,
            judge: judge.clone(),
            sync: Duration::from_millis(params.sync_ms),
        }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[NodeHost] {
        &self.nodes
    }

    /// Where clients reach the nodes, those of `site` first.
    pub fn api_addresses(&self, site: usize) -> Vec<String> {
        let mut nodes: Vec<&NodeHost> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| (node.site != site, node.host));
        let addresses = nodes
            .iter()
            .map(|node| address(node.host, API_PORT).to_string());
        addresses.collect()
    }

    /// Where clients reach the node of a host.
    pub fn api_address(&self, host: HostId) -> String {
        address(host, API_PORT).to_string()
    }

    /// The nodes that the cluster forms of.
    pub fn first(&self) -> Vec<usize> {
        let all = 0..self.nodes.len();
        all.filter(|at| self.late != Some(*at)).collect()
    }

    /// Starts the node that joins late; whether there was one.
    pub fn join_late(&mut self, world: &mut World, params: &Params) -> bool {
        let late = self.late;
        if let Some(at) = late {
            self.start(world, at, params);
        }
        late.is_some()
    }

    /// The node that leads the first cell by its own word, the one of the highest term.
    pub fn leader(&self) -> Option<usize> {
        let term = |at: usize| {
            let leadership = self.inside(at)?.leadership(FIRST_CELL)?;
            leadership.is_self.then_some((leadership.term, at))
        };
        let leading = (0..self.nodes.len()).filter_map(term).max();
        leading.map(|(_, at)| at)
    }

    /// A node goes away in order, and nobody starts it again.
    pub fn leave(&mut self, at: usize) {
        self.nodes[at].gone = true;
        self.stop(at);
    }

    /// A node's machine loses its power and its disk. It has an empty one when it is started again, and joins under
    /// its name of before or another.
    pub fn empty(&mut self, world: &mut World, at: usize, same_name: bool) {
        self.end(world, at, End::PowerCut, &Unsynced::Lost);
        let join = self.peers_of(at);
        let node = &mut self.nodes[at];
        node.disk = MemoryDisk::default();
        node.founder = false;
        node.config.cluster.join = join;
        if !same_name {
            node.config.node.name.push_str("-again");
        }
    }

    /// Where a node reaches all others.
    fn peers_of(&self, at: usize) -> Vec<String> {
        let others = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        others
            .map(|(_, node)| address(node.host, PEER_PORT).to_string())
            .collect()
    }

    /// Starts a node's process, unless it left for good.
    pub fn start(&mut self, world: &mut World, at: usize, params: &Params) {
        if self.nodes[at].gone {
            return;
        }
        if self.late == Some(at) {
            // The node that the others joined through may have left by now.
            self.nodes[at].config.cluster.join = self.peers_of(at);
            self.late = None;
        }
        let node = &mut self.nodes[at];
        node.seen = Arc::default();
        let sync = self.sync;
        node.disk
            .faults(|faults: &mut Faults| faults.sync_delay = sync);
        let process = Process {
            at,
            config: node.config.clone(),
            founder: node.founder.then(|| InitOptions {
                profile: Some(params.profile),
                floor: Some(crate::load::floor(params)),
            }),
            seen: node.seen.clone(),
            judge: self.judge.clone(),
            disk: node.disk.clone(),
        };
        world.start(node.host, node.disk.clone(), |env| process.run(env));
    }

    /// Ends a node's process; its disk is then as `unsynced` says.
    pub fn end(&mut self, world: &mut World, at: usize, end: End, unsynced: &Unsynced) {
        self.judge.replicas(|replicas| replicas.ends(at));
        let node = &mut self.nodes[at];
        world.end(node.host, end);
        node.disk = node.disk.crash(unsynced);
        if !matches!(unsynced, Unsynced::Kept) {
            self.judge.groups(|groups| groups.lost_power(at));
        }
        *node.seen.inside.lock() = None;
        *node.seen.ready.lock() = false;
    }

    /// Asks a node's process to go away in order.
    pub fn stop(&self, at: usize) {
        self.nodes[at].seen.stop.notify_one();
    }

    /// What a sync of a healthy disk takes.
    pub fn sync(&self) -> Duration {
        self.sync
    }

    /// The place of a node in its process of now, if it runs.
    pub fn inside(&self, at: usize) -> Option<Inside> {
        self.nodes[at].seen.inside.lock().clone()
    }

    /// Whether a node takes clients' calls.
    pub fn is_ready(&self, at: usize) -> bool {
        *self.nodes[at].seen.ready.lock()
    }

    /// Why the process of a node gave up, if it did.
    pub fn failed(&self, at: usize) -> Option<String> {
        self.nodes[at].seen.failed.lock().clone()
    }
}

fn config(site: usize, name: &str, host: HostId, first: Option<&NodeHost>) -> Config {
    let mut config = Config::default();
    config.cluster.name = "sim".to_owned();
    config.site.name = crate::load::SITES[site].to_owned();
    config.site.region = "sim".to_owned();
    config.node.name = name.to_owned();
    config.node.data_dir = "/node".to_owned();
    config.limits.log_segment_mib = 1;
    config.listen.api = SocketAddr::from(([0, 0, 0, 0], API_PORT));
    config.listen.peer = SocketAddr::from(([0, 0, 0, 0], PEER_PORT));
    config.listen.admin = String::new();
    config.listen.allow_non_loopback = true;
    config.listen.advertise_api = address(host, API_PORT).to_string();
    config.listen.advertise_peer = address(host, PEER_PORT).to_string();
    config.cluster.join = first
        .map(|first| address(first.host, PEER_PORT).to_string())
        .into_iter()
        .collect();
    config
}

/// One process of a node, and whoever starts it.
struct Process {
    at: usize,
    config: Config,
    founder: Option<InitOptions>,
    seen: Arc<Seen>,
    judge: Judge,
    disk: MemoryDisk,
}

impl Process {
    async fn run(self, env: Env) {
        loop {
            match self.start(&env).await {
                Ok(node) => {
                    let mut ready = node.ready();
                    let inside = node.inside();
                    *self.seen.inside.lock() = Some(inside.clone());
                    let telling = self.tell(inside, &mut ready);
                    tokio::select! {
                        biased;
                        why = node.failure() => *self.seen.failed.lock() = Some(why.to_string()),
                        () = self.seen.stop.notified() => {
                            node.shutdown().await;
                            *self.seen.failed.lock() = Some("it was asked to go away".to_owned());
                        }
                        () = telling => {}
                    }
                    *self.seen.ready.lock() = false;
                    return;
                }
                Err(error) => {
                    tracing::info!(%error, "the node did not start");
                    sleep(START_AGAIN).await;
                }
            }
        }
    }

    async fn start(&self, env: &Env) -> Result<node::Node, NodeError> {
        if let Some(options) = self.founder.clone() {
            match init(&self.config, env, options).await {
                Ok(_) | Err(NodeError::AlreadyInitialised { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        node::run(self.config.clone(), env.clone()).await
    }

    /// Tells the judge what the node has, again and again.
    async fn tell(&self, inside: Inside, ready: &mut tokio::sync::watch::Receiver<bool>) {
        let segment_bytes = u64::from(self.config.limits.log_segment_mib) << 20;
        let disk = &self.disk;
        self.judge
            .replicas(|replicas| replicas.starts(self.at, &inside, disk, segment_bytes));
        let mut witness = self.judge.witness(self.at);
        loop {
            *self.seen.ready.lock() = *ready.borrow_and_update();
            witness.look(&inside).await;
            sleep(TELL_EVERY).await;
        }
    }
}
