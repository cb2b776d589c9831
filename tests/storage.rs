//! Storage: logs that a crash tore or that lost something, folders and ports that a node cannot have.
//! Promise: what was never acknowledged is cut and said so; what was acknowledged and is damaged stops
//! the node with what to do next; a refusal names the thing.
//! Not here: the formats on disk (`store`).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::{SITES, free_port};
use crate::support::{PATIENCE, TestCluster, binary, folder, people};

/// A node that refuses to start does so within this.
const REFUSES_WITHIN: Duration = Duration::from_secs(30);
/// The head of a segment of the log.
const SEGMENT_HEAD_BYTES: usize = 32;
/// The place that a batch leaves for its marker.
const MARKER_BYTES: usize = 24;

/// Opens some conversations, so that the log holds something.
async fn talk(cluster: &TestCluster, round: &str) -> anyhow::Result<String> {
    let client = cluster.client_at(0)?;
    let mut id = String::new();
    for number in 0..20 {
        id = people::open(&client, &format!("{round}-{number}"), "Guten Tag").await?;
    }
    Ok(id)
}

/// The segments of a node's log, oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "wal") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The segment that is written to, its bytes, and where they end.
fn written(dir: &Path) -> anyhow::Result<(PathBuf, Vec<u8>, usize)> {
    for path in segments(dir).into_iter().rev() {
        let bytes = std::fs::read(&path)?;
        let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        if last >= SEGMENT_HEAD_BYTES {
            return Ok((path, bytes, last + 1));
        }
    }
    anyhow::bail!("the log is empty in {}", dir.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_is_cut_and_said_so() -> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let id = talk(&cluster, "torn").await?;
    cluster.kill(1).await?;
    let (path, mut bytes, end) = written(&cluster.nodes[1].data)?;
    let torn = end.next_multiple_of(8) + MARKER_BYTES;
    bytes[torn..torn + 100].fill(0xab);
    std::fs::write(&path, bytes)?;
    cluster.serve(1)?;
    cluster.healthy(PATIENCE).await?;
    assert!(
        cluster.said(1).contains("was cut off"),
        "{}",
        cluster.said(1)
    );
    let read = cluster.client_at(1)?.customer().transcript(&id).await?;
    assert!(!read.items.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_acknowledged_records_stops_the_node_with_what_to_do() -> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    talk(&cluster, "whole").await?;
    cluster.kill(1).await?;
    let (path, mut bytes, end) = written(&cluster.nodes[1].data)?;
    let middle = SEGMENT_HEAD_BYTES + (end - SEGMENT_HEAD_BYTES) / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&path, bytes)?;
    cluster.serve(1)?;
    let status = cluster.ends(1, REFUSES_WITHIN).await?;
    assert!(!status.success());
    let said = cluster.said(1);
    assert!(
        said.contains("is damaged") && said.contains("antiphon join"),
        "{said}"
    );
    // The two others serve on.
    talk(&cluster, "after").await?;
    serves_under_another_name(&cluster, 1).await
}

/// What the refusal advises, at the addresses of the node that is given up.
async fn serves_under_another_name(cluster: &TestCluster, gone: usize) -> anyhow::Result<()> {
    let dir = folder()?;
    let old = &cluster.nodes[gone];
    let _joined = Command::new(binary())
        .args(["join", &cluster.nodes[0].peer, "--node", "new-n2"])
        .args([
            "--site",
            SITES[gone].0,
            "--api",
            &old.api,
            "--peer",
            &old.peer,
        ])
        .arg("--config")
        .arg(dir.path().join("antiphon.toml"))
        .arg("--data")
        .arg(dir.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    cluster.answers(gone, PATIENCE).await?;
    let client = cluster.client(&[gone])?;
    let id = people::open(&client, "beside", "Guten Tag").await?;
    let read = client.customer().transcript(&id).await?;
    assert!(!read.items.is_empty());
    // It has no vote in the cell: that still counts the node that is given up.
    let status = cluster.status(0).await?;
    assert!(status.nodes.iter().any(|node| node.node == "new-n2"));
    let cell = status.groups.iter().find(|group| group.group == "main");
    let cell = cell.context("the status names the cell")?;
    let voters = cell.members.iter().filter(|member| member.voter);
    let voters: Vec<&str> = voters.map(|member| member.node.as_str()).collect();
    assert!(voters.contains(&old.name.as_str()), "{voters:?}");
    assert!(!voters.contains(&"new-n2"), "{voters:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_another_cluster_or_node_is_refused() -> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let other = Alone::prepare("iad", "iad-n1")?;
    let (founded, said) = other.run(&["init"]).await?;
    assert!(founded, "{said}");
    let (founded, said) = other.run(&["init"]).await?;
    assert!(!founded && said.contains("belongs to"), "{said}");

    // A directory of another cluster, taken to this one.
    let seed = cluster.nodes[0].peer.clone();
    let (joined, said) = other.run(&["join", &seed]).await?;
    assert!(!joined && said.contains("cluster"), "{said}");

    // A directory of another node of this cluster.
    cluster.kill(1).await?;
    let theirs = cluster.nodes[1].data.display().to_string();
    let set = format!("node.data_dir={theirs}");
    let (served, said) = other.run(&["serve", "--set", &set]).await?;
    assert!(!served && said.contains(&theirs), "{said}");
    cluster.serve(1)?;
    cluster.healthy(PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_types,
    reason = "the test is another program that has the port"
)]
async fn a_port_in_use_and_an_unwritable_folder_are_named() -> anyhow::Result<()> {
    let node = Alone::prepare("fra", "fra-n1")?;
    let (founded, said) = node.run(&["init"]).await?;
    assert!(founded, "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for key in ["listen.api", "listen.peer"] {
        let (served, said) = node
            .run(&["serve", "--set", &format!("{key}={address}")])
            .await?;
        assert!(
            !served && said.contains(&address) && said.contains(key),
            "{said}"
        );
    }

    let file = node.dir.path().join("file");
    std::fs::write(&file, "not a folder")?;
    let below = file.join("data").display().to_string();
    let other = Alone::prepare("fra", "fra-n1")?;
    let (founded, said) = other
        .run(&["init", "--set", &format!("node.data_dir={below}")])
        .await?;
    assert!(!founded && said.contains(&below), "{said}");
    Ok(())
}

/// A node that belongs to no cluster yet.
struct Alone {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl Alone {
    fn prepare(site: &str, name: &str) -> anyhow::Result<Self> {
        let dir = folder()?;
        let config = dir.path().join("antiphon.toml");
        let data = dir.path().join("data");
        let text = format!(
            "[cluster]\nname = \"other\"\n[site]\nname = \"{site}\"\n\
             [node]\nname = \"{name}\"\ndata_dir = \"{}\"\n\
             [listen]\napi = \"{}\"\npeer = \"{}\"\n",
            data.display(),
            free_port()?,
            free_port()?,
        );
        std::fs::write(&config, text)?;
        Ok(Self { dir, config })
    }

    /// Runs a command to its end: whether it worked, and what it said.
    async fn run(&self, words: &[&str]) -> anyhow::Result<(bool, String)> {
        let running = Command::new(binary())
            .args(words)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let ended = timeout(REFUSES_WITHIN, running.wait_with_output()).await;
        let ended = ended.with_context(|| format!("`antiphon {}` goes on", words.join(" ")))??;
        Ok((
            ended.status.success(),
            String::from_utf8_lossy(&ended.stderr).into_owned(),
        ))
    }
}
