//! Claims about the page of a node and its manual.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use runtime::{Env, memory};

use super::*;
use crate::dev::archive_test::{ended, message};
use crate::dev::talk_test::{by_role, client_of, formed, opened, opened_as};

/// What the admin port of a node answers: status and body.
async fn fetched(env: &Env, address: &str, path: &str) -> (u16, String) {
    let connection = env.network.dial(address).await.unwrap();
    let (mut sender, driving) =
        hyper::client::conn::http1::handshake::<_, Empty<bytes::Bytes>>(TokioIo::new(connection))
            .await
            .unwrap();
    let driving = async { drop(driving.await) };
    env.edge.spawn("http", driving).detach();
    let request = http::Request::get(path).header("host", address);
    let request = request.body(Empty::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The samples of a page by their name with labels.
fn samples(page: &str) -> BTreeMap<&str, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name, value.parse().unwrap())
        })
        .collect()
}

#[test]
fn the_manual_is_what_the_table_says() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/metrics.md");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(
        kept == manual(),
        "deploy/metrics.md is stale: cargo run -p node --example metrics_manual > deploy/metrics.md"
    );
}

#[test]
fn names_end_in_their_unit_and_come_once() {
    let mut names = BTreeSet::new();
    for series in table() {
        let name = series.name;
        assert!(names.insert(name), "{name} comes twice");
        assert_eq!(
            name.ends_with("_total"),
            series.kind == Kind::Counter,
            "{name}"
        );
        assert!(
            name.starts_with("antiphon_") || name.starts_with("process_"),
            "{name}"
        );
        assert!(series.help.ends_with('.'), "{name}: {}", series.help);
        for unit in ["_ms", "_us", "_mib", "_percent"] {
            assert!(!name.contains(unit), "{name}");
        }
        for label in series.labels {
            assert!(
                !["conversation", "customer", "agent"].contains(label),
                "{name}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_series_of_the_table_and_no_other_is_on_the_page_once() {
    let env = memory::env(41);
    let dev = formed(&env, false).await;
    let address = dev.nodes()[0].addresses().admin.unwrap().to_string();
    let (status, page) = fetched(&env, &address, "/metrics").await;
    assert_eq!(status, 200);
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: Vec<String> = types.map(str::to_owned).collect();
    let declared: Vec<String> = table()
        .iter()
        .map(|series| format!("{} {}", series.name, series.kind))
        .collect();
    assert_eq!(shown, declared);
    let helps = page.lines().filter(|line| line.starts_with("# HELP "));
    assert_eq!(helps.count(), declared.len());
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let known = table().iter().any(|series| {
            let rest = name.strip_prefix(series.name);
            rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        });
        assert!(known, "{line}");
    }
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_s_page_has_the_floor_and_each_page_has_its_own_calls() {
    let env = memory::env(42);
    let dev = formed(&env, false).await;
    let (order, leader) = by_role(&dev).await;
    let customers = client_of(&env, &order[..1]);
    opened(&customers).await;
    let ends = opened_as(&customers, "bob").await;
    ended(&customers, &message(&ends, "the-message", "bye")).await;
    let edge = dev.api_addresses().iter().position(|at| *at == order[0]);
    let offered = "antiphon_conversations_offered_total{";
    let calls = "antiphon_rpc_requests_total{service=\"antiphon.api.v1.ConversationService\",\
                 method=\"Open\",code=\"OK\"}";
    for (at, node) in dev.nodes().iter().enumerate() {
        let address = node.addresses().admin.unwrap().to_string();
        let (_, page) = fetched(&env, &address, "/metrics").await;
        let samples = samples(&page);
        let of = |prefix: &str| -> f64 {
            let found = samples.iter().filter(|(name, _)| name.starts_with(prefix));
            found.map(|(_, value)| value).sum()
        };
        let leads = f64::from(u8::from(at == leader));
        assert_eq!(of(offered), leads * 2.0, "{page}");
        assert_eq!(of("antiphon_queue_waiting{"), leads, "{page}");
        assert_eq!(samples["antiphon_raft_is_leader{group=\"main\"}"], leads);
        assert_eq!(samples["antiphon_raft_has_quorum{group=\"main\"}"], leads);
        assert_eq!(samples["antiphon_raft_has_leader{group=\"main\"}"], 1.0);
        assert_eq!(of("antiphon_raft_voters{group=\"main\"}"), leads * 3.0);
        assert_eq!(
            of("antiphon_raft_voters_reachable{group=\"main\"}"),
            leads * 3.0
        );
        let opens = f64::from(u8::from(Some(at) == edge)) * 2.0;
        assert_eq!(of(calls), opens, "{page}");
        assert!(samples["antiphon_raft_elections_total{group=\"main\"}"] >= 1.0);
        assert!(samples["antiphon_store_fsync_seconds_count"] > 0.0);
        assert_eq!(samples["antiphon_node_ready"], 1.0);
        let waits = "antiphon_archive_waiting{cell=\"main\"}";
        assert_eq!(samples.get(waits).copied(), (at == leader).then_some(1.0));
        assert_eq!(samples["antiphon_archive_complete"], 1.0);
        let appended = samples["antiphon_raft_append_seconds_count{group=\"main\"}"];
        assert_eq!(appended > 0.0, at == leader);
    }
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_line_grows_older_on_the_page_while_nothing_else_happens() {
    let env = memory::env(43);
    let dev = formed(&env, false).await;
    let (order, leader) = by_role(&dev).await;
    opened(&client_of(&env, &order[..1])).await;
    let address = dev.nodes()[leader].addresses().admin.unwrap().to_string();
    let oldest = async || {
        let (_, page) = fetched(&env, &address, "/metrics").await;
        let samples = samples(&page);
        let found = samples
            .iter()
            .filter(|(name, _)| name.starts_with("antiphon_queue_oldest_seconds{"));
        found.map(|(_, value)| *value).sum::<f64>()
    };
    let before = oldest().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = oldest().await;
    assert!((4.9..6.0).contains(&(after - before)), "{before} {after}");
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn health_is_told_and_nothing_else() {
    let env = memory::env(44);
    let dev = formed(&env, false).await;
    let address = dev.nodes()[0].addresses().admin.unwrap().to_string();
    let answers = async |path: &str| fetched(&env, &address, path).await;
    assert_eq!(answers("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(answers("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(answers("/").await.0, 404);
    assert_eq!(
        answers("/antiphon.api.v1.ClusterService/GetStatus").await.0,
        404
    );
    dev.shutdown().await;
}

/// Asks one node's admin port for its readiness until it is told so.
async fn ready_until(env: &Env, address: &str, status: u16) {
    let asking = async {
        while fetched(env, address, "/readyz").await.0 != status {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = timeout(Duration::from_secs(30), asking).await;
    assert!(told.is_ok(), "/readyz never answers {status}");
}

#[tokio::test(start_paused = true)]
async fn who_is_left_without_a_quorum_is_not_ready_and_says_so_on_its_page() {
    // The leader that is left leads on by its own word; the follower that is left knows its last leader.
    for left_leads in [true, false] {
        let env = memory::env(45 + u64::from(left_leads));
        let dev = formed(&env, false).await;
        let (_, leader) = by_role(&dev).await;
        let left = match left_leads {
            true => leader,
            false => (leader + 1) % 3,
        };
        let address = dev.nodes()[left].addresses().admin.unwrap().to_string();
        ready_until(&env, &address, 200).await;
        for (_, node) in dev.nodes().iter().enumerate().filter(|(at, _)| *at != left) {
            node.kill().await;
        }
        ready_until(&env, &address, 503).await;
        let (_, page) = fetched(&env, &address, "/metrics").await;
        let samples = samples(&page);
        assert_eq!(samples["antiphon_node_ready"], 0.0);
        for group in ["main", "control"] {
            let quorum = format!("antiphon_raft_has_quorum{{group=\"{group}\"}}");
            assert_eq!(samples[quorum.as_str()], 0.0, "{page}");
        }
        let leads = samples["antiphon_raft_is_leader{group=\"main\"}"];
        assert_eq!(leads, f64::from(u8::from(left_leads)));
        dev.nodes()[left].kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_replica_is_halted_is_not_ready_and_the_others_are() {
    let env = memory::env(47);
    let dev = formed(&env, false).await;
    let (order, leader) = by_role(&dev).await;
    let client = client_of(&env, &order[..1]);
    let odd = (leader + 1) % 3;
    crate::dev::proof_test::chained(&dev).await;
    crate::dev::proof_test::cell(&dev, odd).view.spoil(1);
    opened(&client).await;
    crate::dev::proof_test::halted(&dev, odd).await;
    for (at, node) in dev.nodes().iter().enumerate() {
        let address = node.addresses().admin.unwrap().to_string();
        let status = if at == odd { 503 } else { 200 };
        ready_until(&env, &address, status).await;
    }
    dev.shutdown().await;
}
