//! Replay: whole dialogues through three processes, also while these are killed.
//! Promise: every transcript reads back exactly: no acknowledged message missing, none doubled.
//! Not here: what a node says when it goes in order (`drain`).

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::support::{PATIENCE, TestCluster, binary};

/// Eight times as fast as people type: the dialogues last long enough to kill three nodes in turn.
const SLOW: [&str; 4] = ["--speed", "8", "--concurrency", "20"];
/// A node that was killed is back and has caught up within this.
const BACK_WITHIN: Duration = PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn real_dialogues_pass_through_three_processes_exactly() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    let summary = cluster.replay(&[])?.ends_exactly().await?;
    let number = |key: &str| summary[key]["p50"].as_f64().unwrap_or_default();
    assert!(number("ack_ms") > 0.0 && number("delivery_ms") > 0.0 && number("wait_ms") > 0.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_in_turn_is_killed_and_nothing_is_lost_or_doubled() -> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let mut replay = cluster.replay(&SLOW)?;
    cluster.busy().await?;
    for at in 0..3 {
        cluster.kill(at).await?;
        // The two others go on without it before it comes back.
        cluster.leader(PATIENCE).await?;
        cluster.serve(at)?;
        cluster.healthy(BACK_WITHIN).await?;
    }
    assert!(
        replay.is_running(),
        "the replay was over before the faults were"
    );
    replay.ends_exactly().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_three_nodes_are_killed_at_once_and_nothing_is_lost_or_doubled() -> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let mut replay = cluster.replay(&SLOW)?;
    cluster.busy().await?;
    for at in 0..3 {
        cluster.kill(at).await?;
    }
    for at in 0..3 {
        cluster.serve(at)?;
    }
    cluster.healthy(BACK_WITHIN).await?;
    assert!(
        replay.is_running(),
        "the replay was over before the faults were"
    );
    replay.ends_exactly().await?;
    is_proven(&mut cluster).await
}

/// What was written through the kills holds every rule: on the nodes that run, and on a folder of one
/// that was killed again.
async fn is_proven(cluster: &mut TestCluster) -> anyhow::Result<()> {
    let addresses = cluster.addresses().join(",");
    let live = verified(&["--addr", &addresses]).await?;
    let replicas = live["cells"]["main"]["replicas"]
        .as_array()
        .context("replicas")?;
    ensure!(replicas.len() == 3, "{live}");
    let hash = &replicas[0]["stateHash"];
    ensure!(
        replicas.iter().all(|one| one["stateHash"] == *hash),
        "{live}"
    );
    cluster.kill(1).await?;
    let folder = cluster.nodes[1].data.display().to_string();
    let proofs = verified(&["--data", &folder]).await?;
    let main = &proofs["groups"][1];
    ensure!(
        main["breach"].is_null() && main["conversations"] == 20,
        "{proofs}"
    );
    Ok(())
}

/// What a proof says that finds nothing wrong.
async fn verified(arguments: &[&str]) -> anyhow::Result<Value> {
    let mut proof = Command::new(binary());
    let proof = proof
        .arg("verify")
        .args(arguments)
        .args(["--output", "json"]);
    let ended = proof.kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.success(),
        "verify ended with {}:\n{said}",
        ended.status
    );
    Ok(serde_json::from_slice(&ended.stdout)?)
}
