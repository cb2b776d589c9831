//! Three sites in one process: to look at, to try out, to test against.
//! Promise: the nodes are those of production, over the same `run`; everything binds loopback.
//! Not here: what is printed (`cli`), sample dialogues (`cli`).

mod wan;

#[cfg(test)]
mod archive_mend_test;
#[cfg(test)]
pub(crate) mod archive_test;
#[cfg(test)]
pub(crate) mod canary_test;
#[cfg(test)]
mod dev_test;
#[cfg(test)]
mod flood_test;
#[cfg(test)]
mod garbage_test;
#[cfg(test)]
mod hostile_test;
#[cfg(test)]
pub(crate) mod proof_test;
#[cfg(test)]
mod reasons_test;
#[cfg(test)]
mod skip_test;
#[cfg(test)]
mod stubs_test;
#[cfg(test)]
pub(crate) mod talk_test;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, select_all, try_join_all};
use runtime::Env;
use runtime::memory::MemoryDisk;
use tracing::Instrument;

use crate::Profile;
use crate::config::{API_PORT, Config, Layered, TelemetryConfig};
use crate::error::NodeError;
use crate::found::{InitOptions, init};
use crate::hands::Process;
use crate::log::Place;
use crate::start::{Node, run_in};

pub use wan::{Links, one_way};

/// The sites, in the order of their nodes' ids and ports.
pub const SITES: [(&str, &str); 3] = [
    ("sha", "cn-east"),
    ("fra", "eu-central"),
    ("iad", "us-east"),
];
/// Between the ports of two nodes.
const PORT_STEP: u16 = 10;
/// MiB of a log segment in memory.
const MEMORY_SEGMENT_MIB: u32 = 1;
/// MiB of a log segment on disk: three nodes share one.
const DISK_SEGMENT_MIB: u32 = 16;
/// A drain of a cluster that goes away as a whole need not wait for clients.
const DRAIN_MS: u64 = 2_000;

/// How three sites are started.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// The API port of the first node; the others follow in steps of ten, peers one above, metrics two. 0
    /// lets the system choose all of them.
    pub port: u16,
    /// Where state is kept; `None` keeps it in memory.
    pub data: Option<PathBuf>,
    /// Adds the round trips of real distances between the sites.
    pub wan: bool,
    /// The floor plan as TOML; `None` is the sample plan.
    pub floor: Option<String>,
    /// Bytes of a node's archive above which its oldest days are dropped.
    #[cfg(test)]
    pub(crate) archive_max_bytes: Option<u64>,
    /// Traces of all nodes.
    pub telemetry: TelemetryConfig,
    /// What the process can do for operators; the nodes share its log.
    pub process: Process,
}

impl Default for DevOptions {
    fn default() -> Self {
        Self {
            port: API_PORT,
            data: None,
            wan: false,
            floor: None,
            #[cfg(test)]
            archive_max_bytes: None,
            telemetry: TelemetryConfig::default(),
            process: Process::default(),
        }
    }
}

impl DevOptions {
    /// The profile that fits the distances: `global` with `wan`, else `lan`.
    #[must_use]
    pub fn profile(&self) -> Profile {
        if self.wan {
            wan::profile()
        } else {
            Profile::Lan
        }
    }
}

/// Three running nodes.
#[derive(Clone)]
pub struct Dev {
    nodes: Vec<Node>,
}

impl Dev {
    /// The nodes, in the order of [`SITES`].
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The API addresses, in the order of [`SITES`].
    #[must_use]
    pub fn api_addresses(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| node.addresses().api.to_string())
            .collect()
    }

    /// Resolves when every node takes clients' calls.
    pub async fn ready(&self) {
        let wait = |node: &Node| {
            let mut ready = node.ready();
            // A node that has failed never becomes ready; `failure` tells.
            async move { drop(ready.wait_for(|ready| *ready).await) }
        };
        join_all(self.nodes.iter().map(wait)).await;
    }

    /// Resolves when one of the nodes can be of no more use, and says why.
    pub async fn failure(&self) -> Arc<NodeError> {
        let failures = self.nodes.iter().map(|node| Box::pin(node.failure()));
        select_all(failures).await.0
    }

    /// All nodes go away together.
    pub async fn shutdown(&self) {
        join_all(self.nodes.iter().map(Node::shutdown)).await;
    }
}

/// Starts three sites that form one cluster. `env` gives lanes, clock, network and disk; each
/// node gets a generator of its own and, without `data`, a memory disk of its own.
///
/// # Errors
/// See [`NodeError`].
pub async fn dev(env: Env, options: DevOptions) -> Result<Dev, NodeError> {
    let links = Links::new(options.wan);
    let mut configs: Vec<Config> = (0..SITES.len()).map(|at| config(&options, at)).collect();
    let envs: Vec<Env> = configs
        .iter()
        .map(|config| node_env(&env, &options, &links, config))
        .collect();
    let founder = InitOptions {
        profile: Some(options.profile()),
        floor: options.floor.clone(),
    };
    match init(&configs[0], &envs[0], founder)
        .instrument(envs[0].edge.place().clone())
        .await
    {
        // A data directory from an earlier run goes on.
        Ok(_) | Err(NodeError::AlreadyInitialised { .. }) => {}
        Err(error) => return Err(error),
    }
    let start = |config, env| start(config, env, options.process.clone());
    let first = start(configs[0].clone(), envs[0].clone()).await?;
    let seed = first.addresses().peer.to_string();
    let mut joining = Vec::new();
    for (config, env) in configs.drain(..).zip(envs).skip(1) {
        let mut config = config;
        config.cluster.join = vec![seed.clone()];
        joining.push(start(config, env));
    }
    match try_join_all(joining).await {
        Ok(others) => Ok(Dev {
            nodes: std::iter::once(first).chain(others).collect(),
        }),
        Err(error) => {
            first.shutdown().await;
            Err(error)
        }
    }
}

/// Starts a node; what it logs meanwhile says which one it is.
async fn start(config: Config, env: Env, process: Process) -> Result<Node, NodeError> {
    let place = env.edge.place().clone();
    let layered = Layered::of_program(config);
    run_in(layered, env, process).instrument(place).await
}

fn node_env(env: &Env, options: &DevOptions, links: &Links, config: &Config) -> Env {
    let place = Place::of(config);
    let mut node = env.clone().within(&place.span());
    node.random = env.random.fork();
    if options.data.is_none() {
        node.disk = Arc::new(MemoryDisk::default());
    }
    node.network = links.wrap(env, &place.site);
    node
}

fn config(options: &DevOptions, at: usize) -> Config {
    let (site, region) = SITES[at];
    let mut config = Config::default();
    config.cluster.name = "dev".to_owned();
    config.site.name = site.to_owned();
    config.site.region = region.to_owned();
    let memory = Path::new("/memory");
    config.node.data_dir = options
        .data
        .as_deref()
        .unwrap_or(memory)
        .join(site)
        .display()
        .to_string();
    config.limits.log_segment_mib = if options.data.is_some() {
        DISK_SEGMENT_MIB
    } else {
        MEMORY_SEGMENT_MIB
    };
    if options.data.is_none() {
        // What is kept in memory is gone with the process: nobody will ever read it.
        config.storage.journal_days = 0;
    }
    #[cfg(test)]
    {
        config.storage.archive_max_bytes = options.archive_max_bytes;
    }
    config.drain.deadline_ms = DRAIN_MS;
    let port = |above: u16| match options.port {
        0 => 0,
        base => base + PORT_STEP * u16::try_from(at).unwrap_or(0) + above,
    };
    config.listen.api.set_port(port(0));
    config.listen.peer.set_port(port(1));
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, port(2)));
    config.listen.admin = admin.to_string();
    config.telemetry = options.telemetry.clone();
    config
}

/// How long forming may take with a profile, for those who wait for it.
#[must_use]
pub fn forming_time(profile: Profile) -> Duration {
    match profile {
        Profile::Lan => Duration::from_secs(10),
        Profile::Regional | Profile::Global => Duration::from_secs(60),
    }
}
