//! Claims about three nodes in one process: forming, status, restart, refusals, drain.

use std::time::Duration;

use pb::api::v1::{GetStatusRequest, GetStatusResponse, Health};
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use runtime::{Env, memory};
use tokio::time::{Instant, timeout};

use super::{Dev, DevOptions, dev};
use crate::doors::link;
use crate::start::Node;

async fn formed(env: &Env) -> Dev {
    let options = DevOptions {
        port: 0,
        ..DevOptions::default()
    };
    let dev = dev(env.clone(), options).await.unwrap();
    timeout(Duration::from_secs(20), dev.ready())
        .await
        .expect("three nodes form a cluster");
    dev
}

async fn status(env: &Env, node: &Node) -> GetStatusResponse {
    let channel = link::client_channel(env.network.clone(), node.addresses().api.to_string())
        .await
        .unwrap();
    ClusterServiceClient::new(channel)
        .get_status(GetStatusRequest {})
        .await
        .unwrap()
        .into_inner()
}

/// Asks a node until its status is as wanted.
async fn status_until(
    env: &Env,
    node: &Node,
    wanted: impl Fn(&GetStatusResponse) -> bool,
) -> GetStatusResponse {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let status = status(env, node).await;
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_ok(status: &GetStatusResponse) -> bool {
    status.health() == Health::Ok
}

#[tokio::test(start_paused = true)]
async fn three_nodes_form_one_cluster_that_survives_the_loss_of_any_site() {
    let env = memory::env(1);
    let dev = formed(&env).await;
    for node in dev.nodes() {
        let status = status_until(&env, node, is_ok).await;
        assert_eq!(status.nodes.len(), 3);
        let groups: Vec<&str> = status
            .groups
            .iter()
            .map(|group| group.group.as_str())
            .collect();
        assert_eq!(groups, ["control", "main"]);
        for group in &status.groups {
            assert_eq!(
                group.members.iter().filter(|member| member.voter).count(),
                3
            );
            assert_eq!((group.survives_nodes, group.survives_sites), (1, 1));
        }
        assert_eq!(status.plan_version, 1);
        assert_eq!(status.problems, Vec::<String>::new());
    }
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_is_named_and_the_rest_serve_on() {
    let env = memory::env(2);
    let dev = formed(&env).await;
    status_until(&env, &dev.nodes()[1], is_ok).await;
    dev.nodes()[0].kill().await;
    let wanted = |status: &GetStatusResponse| {
        status.health() == Health::Degraded
            && status.groups.iter().all(|group| !group.leader.is_empty())
    };
    let status = status_until(&env, &dev.nodes()[1], wanted).await;
    assert!(
        status
            .problems
            .contains(&"node sha-n1 of site sha does not answer".to_owned()),
        "{:?}",
        status.problems
    );
    assert!(status.groups.iter().all(|group| group.survives_sites == 0));
    dev.nodes()[1].kill().await;
    dev.nodes()[2].kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_hands_over_and_ends_within_its_deadline() {
    let env = memory::env(3);
    let dev = formed(&env).await;
    let before = status_until(&env, &dev.nodes()[2], is_ok).await;
    let leader = before.groups[1].leader.clone();
    let led = dev
        .nodes()
        .iter()
        .find(|node| node.identity().node_name == leader)
        .unwrap();
    let other = dev
        .nodes()
        .iter()
        .find(|node| node.identity().node_name != leader)
        .unwrap();
    let start = Instant::now();
    led.shutdown().await;
    assert!(
        start.elapsed() <= Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    assert!(!*led.ready().borrow());
    let after = status_until(&env, other, |status| {
        !status.groups[1].leader.is_empty() && status.groups[1].leader != leader
    });
    assert_ne!(after.await.groups[1].leader, leader);
}
