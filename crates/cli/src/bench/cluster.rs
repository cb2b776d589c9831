//! Cluster: three `antiphon serve` processes on loopback, with data in a folder of their own.
//! Promise: ports are free ones of this machine; starting ends with a healthy cluster or with what the
//! nodes said; a process that was started is killed and reaped at the end, whatever happens.
//! Not here: what is asked of the cluster (`load`, the black-box tests, which share this file).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use client::{Client, Options, api};
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Three nodes found a cluster in a second or two; a busy machine takes ten times as long.
pub const START_PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A node asks all others before it answers, and waits a second for one that is not there.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// A failure shows so much of what each node said.
const SHOWN_BYTES: usize = 6_000;

/// Sites and regions of the nodes, as the sample floor plan names them.
pub const SITES: [(&str, &str); 3] = [("fra", "eu"), ("sha", "cn"), ("iad", "us")];

/// One node of the cluster.
pub struct LocalNode {
    /// Its name, `fra-n1`.
    pub name: String,
    /// host:port for clients.
    pub api: String,
    /// host:port for nodes.
    pub peer: String,
    /// host:port for metrics.
    pub admin: String,
    /// Its configuration.
    pub config: PathBuf,
    /// Its data.
    pub data: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

/// Three nodes.
pub struct LocalCluster {
    binary: PathBuf,
    /// The nodes, in the order in which they joined.
    pub nodes: Vec<LocalNode>,
}

/// How a cluster is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The first floor plan; the sample without it.
    pub floor: Option<PathBuf>,
    /// Lines that every node's configuration gets, `section.key=value`.
    pub set: Vec<String>,
}

impl LocalCluster {
    /// Founds a cluster of `binary` in `dir` and waits until it is healthy.
    pub async fn start(binary: &Path, dir: &Path, setup: &Setup) -> anyhow::Result<Self> {
        let mut cluster = Self {
            binary: binary.to_owned(),
            nodes: Vec::new(),
        };
        for at in 0..SITES.len() {
            let node = LocalNode::prepare(dir, at)?;
            cluster.nodes.push(node);
        }
        cluster.init(setup).await?;
        cluster.serve(0)?;
        cluster.answers(0, START_PATIENCE).await?;
        for at in 1..SITES.len() {
            cluster.join(at, setup).await?;
        }
        cluster.healthy(START_PATIENCE).await?;
        Ok(cluster)
    }

    async fn init(&self, setup: &Setup) -> anyhow::Result<()> {
        let mut command = self.command(0, &["init", "--profile", "lan"], setup);
        if let Some(floor) = &setup.floor {
            command.arg("--floor").arg(floor);
        }
        let status = command.status().await?;
        if !status.success() {
            bail!("`antiphon init` ended with {status}\n{}", self.logs());
        }
        Ok(())
    }

    /// Joins and runs: `join` either goes on as the node or leaves that to `serve`.
    async fn join(&mut self, at: usize, setup: &Setup) -> anyhow::Result<()> {
        let seed = self.nodes[0].peer.clone();
        let mut command = self.command(at, &["join", &seed], setup);
        self.nodes[at].child = Some(command.spawn().context("cannot start the node")?);
        let deadline = Instant::now() + START_PATIENCE;
        let mut look = every();
        while Instant::now() < deadline {
            look.tick().await;
            let ended = self.nodes[at].child.as_mut().map(Child::try_wait);
            match ended.transpose()?.flatten() {
                Some(status) if status.success() => {
                    self.serve(at)?;
                    return self.answers(at, START_PATIENCE).await;
                }
                Some(status) => bail!("`antiphon join` ended with {status}\n{}", self.logs()),
                None if self.status(at).await.is_ok() => return Ok(()),
                None => {}
            }
        }
        bail!("`antiphon join` did not end in time\n{}", self.logs())
    }

    fn command(&self, at: usize, words: &[&str], setup: &Setup) -> Command {
        let node = &self.nodes[at];
        let mut command = Command::new(&self.binary);
        command.args(words).arg("--config").arg(&node.config);
        for line in &setup.set {
            command.arg("--set").arg(line);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        for stream in [Command::stdout, Command::stderr] {
            stream(&mut command, node.log_file());
        }
        command
    }

    /// Starts the process of a node that is a member.
    pub fn serve(&mut self, at: usize) -> anyhow::Result<()> {
        let mut command = self.command(at, &["serve"], &Setup::default());
        self.nodes[at].child = Some(command.spawn().context("cannot start the node")?);
        Ok(())
    }

    /// Kills a node's process as a power cut would, and reaps it.
    pub async fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        if let Some(mut child) = self.nodes[at].child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Asks a node's process to end, as an init system does; how it ended.
    pub async fn terminate(&mut self, at: usize, within: Duration) -> anyhow::Result<ExitStatus> {
        let mut child = self.nodes[at]
            .child
            .take()
            .context("the node does not run")?;
        let pid = child
            .id()
            .context("the node has ended already")?
            .to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await?;
        let waited = timeout(within, child.wait()).await;
        let ended =
            waited.with_context(|| format!("it still runs after {within:?}\n{}", self.logs()));
        Ok(ended??)
    }

    /// The exit status of a node's process that is expected to end by itself.
    pub async fn ends(&mut self, at: usize, within: Duration) -> anyhow::Result<ExitStatus> {
        let mut child = self.nodes[at]
            .child
            .take()
            .context("the node does not run")?;
        let waited = timeout(within, child.wait()).await;
        let ended =
            waited.with_context(|| format!("it still runs after {within:?}\n{}", self.logs()));
        Ok(ended??)
    }

    /// The process of a node.
    pub fn pid(&self, at: usize) -> Option<u32> {
        self.nodes[at].child.as_ref().and_then(Child::id)
    }

    /// What a node answers about the cluster.
    pub async fn status(&self, at: usize) -> anyhow::Result<api::GetStatusResponse> {
        let operator = self.client(&[at])?.operator();
        Ok(operator.get_status(api::GetStatusRequest {}).await?)
    }

    /// A client of these nodes alone that gives up soon: for looks, not for work.
    pub fn client(&self, nodes: &[usize]) -> anyhow::Result<Client> {
        let options = Options {
            call_budget: LOOK_TIMEOUT,
            learn_endpoints: false,
            ..Options::default()
        };
        let addresses = nodes.iter().map(|at| self.nodes[*at].api.clone());
        Ok(Client::connect(addresses, options)?)
    }

    /// All API addresses, in the order of the nodes.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.api.clone()).collect()
    }

    /// Waits until a node answers.
    pub async fn answers(&self, at: usize, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        let mut look = every();
        loop {
            look.tick().await;
            match self.status(at).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    let name = &self.nodes[at].name;
                    bail!("{name} does not answer: {error:#}\n{}", self.logs());
                }
                Err(_) => {}
            }
        }
    }

    /// Waits until every node says that everything is as it should be.
    pub async fn healthy(&self, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        let mut look = every();
        for at in 0..self.nodes.len() {
            loop {
                look.tick().await;
                let status = self.status(at).await;
                if status.as_ref().is_ok_and(is_healthy) {
                    break;
                }
                if Instant::now() >= deadline {
                    let said = status.map(|it| it.problems.join("; "));
                    let name = &self.nodes[at].name;
                    bail!("{name} is not healthy: {said:?}\n{}", self.logs());
                }
            }
        }
        Ok(())
    }

    /// The node that leads the conversations' cell, by the word of a node that runs.
    pub async fn leader(&self, within: Duration) -> anyhow::Result<usize> {
        let deadline = Instant::now() + within;
        let mut look = every();
        while Instant::now() < deadline {
            look.tick().await;
            for at in 0..self.nodes.len() {
                let Ok(status) = self.status(at).await else {
                    continue;
                };
                let cell = status.groups.iter().find(|group| group.group != "control");
                let leader = cell.map_or("", |group| &group.leader);
                if let Some(leads) = self.nodes.iter().position(|node| node.name == leader) {
                    return Ok(leads);
                }
            }
        }
        bail!("the cell has no leader after {within:?}\n{}", self.logs())
    }

    /// What a node printed so far.
    pub fn said(&self, at: usize) -> String {
        let read = std::fs::read(&self.nodes[at].log).unwrap_or_default();
        String::from_utf8_lossy(&read).into_owned()
    }

    /// The end of what each node printed, for a failure's message.
    pub fn logs(&self) -> String {
        let tail = |at: usize| {
            let said = self.said(at);
            let from = said.len().saturating_sub(SHOWN_BYTES);
            let from = (from..=said.len()).find(|at| said.is_char_boundary(*at));
            format!(
                "--- {} said:\n{}\n",
                self.nodes[at].name,
                &said[from.unwrap_or(0)..]
            )
        };
        (0..self.nodes.len()).map(tail).collect()
    }
}

impl LocalNode {
    fn prepare(dir: &Path, at: usize) -> anyhow::Result<Self> {
        let (site, region) = SITES[at];
        let name = format!("{site}-n1");
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir)?;
        let node = Self {
            api: free_port()?.to_string(),
            peer: free_port()?.to_string(),
            admin: free_port()?.to_string(),
            config: dir.join("antiphon.toml"),
            data: dir.join("data"),
            log: dir.join("log"),
            child: None,
            name,
        };
        node.configure(site, region)?;
        Ok(node)
    }

    fn configure(&self, site: &str, region: &str) -> anyhow::Result<()> {
        let Self {
            name,
            api,
            peer,
            admin,
            ..
        } = self;
        let data = self.data.display();
        let text = format!(
            "[cluster]\nname = \"local\"\n\
             [site]\nname = \"{site}\"\nregion = \"{region}\"\n\
             [node]\nname = \"{name}\"\ndata_dir = \"{data}\"\n\
             [listen]\napi = \"{api}\"\npeer = \"{peer}\"\nadmin = \"{admin}\"\n\
             [log]\nlevel = \"warn\"\n"
        );
        std::fs::write(&self.config, text)?;
        Ok(())
    }

    fn log_file(&self) -> Stdio {
        let opened = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log);
        opened.map_or_else(|_| Stdio::null(), Stdio::from)
    }
}

fn is_healthy(status: &api::GetStatusResponse) -> bool {
    let reachable = status.nodes.iter().filter(|node| node.reachable).count();
    status.health() == api::Health::Ok && reachable == SITES.len()
}

fn every() -> tokio::time::Interval {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

/// A port of loopback that nobody uses at present.
#[allow(
    clippy::disallowed_types,
    reason = "the operating system is asked for a port; nothing is listened to"
)]
pub fn free_port() -> anyhow::Result<SocketAddr> {
    // Each process begins at a place of its own; two that meet find the port taken and go on.
    let begin = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap_or(0);
    for _ in 0..PORTS {
        let next = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + (begin.wrapping_add(next)) % PORTS;
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return Ok(listener.local_addr()?);
        }
    }
    anyhow::bail!(
        "no port between {FIRST_PORT} and {} is free",
        FIRST_PORT + PORTS
    )
}

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up): a port
/// that is free here is not taken by a connection before its node listens.
const FIRST_PORT: u16 = 12_000;
/// How many ports are tried.
const PORTS: u16 = 20_000;
/// The next one to try in this process.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
