//! Claims about the audit journal of a node that runs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pb::api::v1::{GetStatusRequest, JournalView};
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use runtime::Env;
use runtime::memory::{self, ManualClock, MemoryDisk};
use store::{GroupId, GroupLog, Record};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::doors::link;
use crate::found::{InitOptions, init};
use crate::start::{Node, run};

const DAY_MS: u64 = 86_400_000;
const MIB: u64 = 1 << 20;
/// A group that is none of the node's own: it fills the log which they share.
const FILLER: GroupId = GroupId(77);

fn config(site: &str) -> Config {
    let mut config = Config::default();
    config.site.name = site.to_owned();
    config.node.data_dir = format!("/{site}");
    config.listen.api.set_port(0);
    config.listen.peer.set_port(0);
    config.listen.admin = "127.0.0.1:0".to_owned();
    config.limits.log_segment_mib = 1;
    config
}

/// Three sites; the first is the one that is looked at.
async fn formed(env: &Env) -> [Node; 3] {
    init(&config("sha"), env, InitOptions::default())
        .await
        .unwrap();
    let first = run(config("sha"), env.clone()).await.unwrap();
    let join = |site| {
        let mut joining = config(site);
        joining.cluster.join = vec![first.addresses().peer.to_string()];
        run(joining, env.clone())
    };
    let nodes = [
        first.clone(),
        join("fra").await.unwrap(),
        join("iad").await.unwrap(),
    ];
    for node in &nodes {
        is_ready(node).await;
    }
    nodes
}

async fn is_ready(node: &Node) {
    let mut ready = node.ready();
    let wait = ready.wait_for(|ready| *ready);
    drop(
        timeout(Duration::from_secs(60), wait)
            .await
            .expect("it forms"),
    );
}

/// The first node again.
async fn started(env: &Env) -> Node {
    let node = run(config("sha"), env.clone()).await.unwrap();
    is_ready(&node).await;
    node
}

/// Appends to the filler's log; one batch each, so that no segment gets longer than it should be.
async fn append(log: &GroupLog, bytes: usize) {
    let record = Record {
        term: 1,
        leader_node: 1,
        index: log.last().map_or(1, |last| last.index + 1),
        payload: Bytes::from(vec![0x5a; bytes]),
    };
    let (reply, answer) = oneshot::channel();
    log.append(vec![record], |outcome| drop(reply.send(outcome)))
        .await
        .unwrap();
    answer.await.unwrap().unwrap();
}

/// Fills some 24 segments and lets go of them, until the node's own groups have moved on too.
async fn fill(node: &Node) {
    let log = node.wal().group(FILLER);
    for _ in 0..24 {
        append(&log, 900 << 10).await;
    }
    let moved_on = async {
        while node.wal().segments() > 3 {
            sleep(Duration::from_secs(1)).await;
            // Each purge lets segments go that no group needs any more.
            append(&log, 1).await;
            log.purge(log.last().unwrap(), None).await.unwrap();
        }
    };
    timeout(Duration::from_secs(300), moved_on)
        .await
        .expect("the laggards purge their logs");
    // One sweep of the keeper.
    sleep(Duration::from_secs(11)).await;
}

async fn shown(env: &Env, node: &Node) -> JournalView {
    let address = node.addresses().api.to_string();
    let channel = link::connect(env.network.clone(), address, None)
        .await
        .unwrap();
    let answer = ClusterServiceClient::new(channel)
        .get_status(GetStatusRequest {})
        .await
        .unwrap();
    let nodes = answer.into_inner().nodes;
    let view = nodes.into_iter().find(|view| view.node == "sha-n1");
    let view = view.expect("it is of the cluster");
    assert_eq!(view.problems, [] as [String; 0]);
    view.journal.expect("it answers")
}

#[tokio::test(start_paused = true)]
async fn the_status_shows_the_journal_and_its_bounds_hold_while_the_node_runs_and_over_a_start() {
    let (disk, clock) = (MemoryDisk::default(), ManualClock::default());
    let env = Env {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(clock.clone()),
        ..memory::env(1)
    };
    let [node, fra, iad] = formed(&env).await;
    assert_eq!(shown(&env, &node).await.segments, 0);
    fill(&node).await;
    let view = shown(&env, &node).await;
    assert!(view.segments >= 16 && view.bytes >= 16 * MIB, "{view:?}");
    assert_eq!((view.keeps_days, view.keeps_gib), (30, 16));
    assert_eq!(view.oldest_day, 20_454);
    let names: Vec<&str> = view.ranges.iter().map(|range| &*range.group).collect();
    assert_eq!(names, ["control", "main", "cell 77"]);
    assert!(view.ranges.iter().all(|range| range.first <= range.last));
    // Room runs short: the journal leaves 64 segments, not one byte less.
    let used: u64 = disk
        .paths()
        .iter()
        .map(|path| disk.content(path).unwrap().len() as u64)
        .sum();
    disk.faults(|faults| faults.capacity_bytes = Some(used + 60 * MIB));
    sleep(Duration::from_secs(11)).await;
    let short = shown(&env, &node).await;
    assert!(
        short.segments < view.segments && short.segments > 0,
        "{short:?}"
    );
    assert!(env.disk.free_space("/sha".as_ref()).await.unwrap() >= 64 * MIB);
    disk.faults(|faults| faults.capacity_bytes = None);
    // A node that starts knows it, and an old one is dropped by the clock alone.
    node.kill().await;
    let node = started(&env).await;
    assert_eq!(shown(&env, &node).await.segments, short.segments);
    clock.advance_ms(31 * DAY_MS);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(shown(&env, &node).await.segments, 0);
    for node in [node, fra, iad] {
        node.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_the_journal_a_node_starts() {
    let env = memory::env(2);
    let [node, fra, iad] = formed(&env).await;
    fill(&node).await;
    node.kill().await;
    let dir = std::path::Path::new("/sha/journal");
    let names = env.disk.list(dir).await.unwrap();
    assert!(names.len() >= 16, "{names:?}");
    let open = runtime::Open {
        create: runtime::Create::Never,
        lane: runtime::DiskLane::Bulk,
    };
    for (at, name) in names.iter().enumerate() {
        let path = dir.join(name);
        let file = env.disk.open(&path, open).await.unwrap();
        match at % 4 {
            0 => env.disk.remove(&path).await.unwrap(),
            1 => file.truncate(at as u64 * 1_000).await.unwrap(),
            2 => file
                .write_at(at as u64 * 2_000, Bytes::from(vec![0xa5; 512]))
                .await
                .unwrap(),
            _ => file.truncate(0).await.unwrap(),
        }
    }
    let node = started(&env).await;
    fill(&node).await;
    assert!(shown(&env, &node).await.segments >= 16);
    node.kill().await;
    for name in env.disk.list(dir).await.unwrap() {
        env.disk.remove(&dir.join(name)).await.unwrap();
    }
    let node = started(&env).await;
    assert_eq!(shown(&env, &node).await.segments, 0);
    for node in [node, fra, iad] {
        node.kill().await;
    }
}
