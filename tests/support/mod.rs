//! Support: clusters and replays of the tests, and waiting for conditions.
//! Promise: a cluster that a failed test leaves behind prints what its nodes said.
//! Not here: starting processes (`cluster`).

pub mod canaries;
pub mod people;
pub mod raw;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::{Client, Options};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};

use crate::cluster::{LocalCluster, Setup};

/// A busy machine of two processors needs a multiple of what it takes alone.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A replay with faults is over within this.
pub const REPLAY_PATIENCE: Duration = Duration::from_secs(150);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The program under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_antiphon"))
}

/// How a command of the program ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

/// Runs a command of the program to its end, with nobody to answer questions.
pub async fn run(arguments: &[&str]) -> anyhow::Result<Ended> {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    command.kill_on_drop(true);
    let ended = within(&arguments.join(" "), command.output()).await??;
    Ok(Ended {
        code: ended.status.code(),
        stdout: String::from_utf8(ended.stdout)?,
        stderr: String::from_utf8(ended.stderr)?,
    })
}

/// A file of the tests' own data.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data")
        .join(name)
}

/// An empty folder on a disk.
pub fn folder() -> anyhow::Result<TempDir> {
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    made.context("cannot make a folder")
}

/// Three nodes in a folder of their own.
pub struct TestCluster {
    cluster: LocalCluster,
    /// Removed when the test ends.
    _dir: TempDir,
}

impl TestCluster {
    /// With the sample floor plan.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Setup::default()).await
    }

    /// As it is set up.
    pub async fn start_with(setup: Setup) -> anyhow::Result<Self> {
        let dir = folder()?;
        let cluster = LocalCluster::start(binary(), dir.path(), &setup).await?;
        Ok(Self { cluster, _dir: dir })
    }

    /// A client that prefers one node and falls back on the others.
    pub fn client_at(&self, at: usize) -> anyhow::Result<Client> {
        let mut addresses = self.cluster.addresses();
        addresses.rotate_left(at);
        Ok(Client::connect(addresses, Options::default())?)
    }

    /// Conversations that agents have taken so far, by any node that answers.
    pub async fn answered(&self) -> u64 {
        for at in 0..self.cluster.nodes.len() {
            if let Ok(status) = self.cluster.status(at).await {
                let queues = status.floor.unwrap_or_default().queues;
                return queues.iter().map(|queue| queue.answered).sum();
            }
        }
        0
    }

    /// Stops a node's process where it is, as on a machine that hangs; returns when it stands still.
    pub async fn freeze(&self, at: usize) -> anyhow::Result<()> {
        let pid = self.signal(at, "-STOP").await?;
        until("a process that stands still", || async {
            // The state follows the name, which is in brackets.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| stat.contains(") T "))
        })
        .await
    }

    /// Asks a node's process to read its configuration again.
    pub async fn hang_up(&self, at: usize) -> anyhow::Result<()> {
        self.signal(at, "-HUP").await?;
        Ok(())
    }

    /// Lets a node's process go on.
    pub async fn thaw(&self, at: usize) -> anyhow::Result<()> {
        self.signal(at, "-CONT").await?;
        Ok(())
    }

    async fn signal(&self, at: usize, signal: &str) -> anyhow::Result<u32> {
        let pid = self.cluster.pid(at).context("the node does not run")?;
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &pid.to_string()]).status().await?;
        ensure!(sent.success(), "`kill {signal} {pid}` ended with {sent}");
        Ok(pid)
    }

    /// Waits until a replay keeps agents busy.
    pub async fn busy(&self) -> anyhow::Result<()> {
        until("agents at work", || async { self.answered().await >= 10 }).await
    }

    /// Replays the tests' dialogues at all three nodes.
    pub fn replay(&self, arguments: &[&str]) -> anyhow::Result<Replay> {
        let child = Command::new(binary())
            .arg("replay")
            .args([data("dialogues-en.jsonl"), data("dialogues-zh.jsonl")])
            .args(["--addr", &self.cluster.addresses().join(",")])
            .args(["--output", "json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Replay { child })
    }
}

impl Deref for TestCluster {
    type Target = LocalCluster;

    fn deref(&self) -> &LocalCluster {
        &self.cluster
    }
}

impl DerefMut for TestCluster {
    fn deref_mut(&mut self) -> &mut LocalCluster {
        &mut self.cluster
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.cluster.logs());
        }
    }
}

/// A replay that runs.
pub struct Replay {
    child: Child,
}

impl Replay {
    /// Whether it still plays.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end and asserts that every transcript read back exactly as it was said.
    pub async fn ends_exactly(self) -> anyhow::Result<Value> {
        let ended = timeout(REPLAY_PATIENCE, self.child.wait_with_output()).await;
        let ended = ended.context("the replay does not end")??;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(
            ended.status.success(),
            "the replay ended with {}:\n{said}",
            ended.status
        );
        let summary: Value = serde_json::from_slice(&ended.stdout)?;
        ensure!(summary["mismatches"] == 0, "{summary}\n{said}");
        ensure!(summary["conversations"] == 20, "{summary}");
        ensure!(summary["messages"] == turns()?, "{summary}");
        Ok(summary)
    }
}

/// Turns of the tests' dialogues.
fn turns() -> anyhow::Result<usize> {
    let mut turns = 0;
    for name in ["dialogues-en.jsonl", "dialogues-zh.jsonl"] {
        for line in std::fs::read_to_string(data(name))?.lines() {
            let dialogue: Value = serde_json::from_str(line)?;
            turns += dialogue["turns"].as_array().map_or(0, Vec::len);
        }
    }
    Ok(turns)
}

/// Waits until a condition holds.
pub async fn until<F, Fut>(what: &str, mut condition: F) -> anyhow::Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut look = interval(LOOK_EVERY);
    while !condition().await {
        if Instant::now() >= deadline {
            bail!("{what}: not within {PATIENCE:?}");
        }
        look.tick().await;
    }
    Ok(())
}

/// Waits for one thing.
pub async fn within<T>(what: &str, wait: impl Future<Output = T>) -> anyhow::Result<T> {
    let waited = timeout(PATIENCE, wait).await;
    waited.with_context(|| format!("{what}: not within {PATIENCE:?}"))
}
