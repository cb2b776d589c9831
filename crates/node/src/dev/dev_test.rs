//! Claims about three nodes in one process: forming, status, restart, refusals, drain.

use std::sync::Arc;
use std::time::Duration;

use pb::api::v1::watch_floor_response::Response as Told;
use pb::api::v1::{
    FloorView, GetStatusRequest, GetStatusResponse, Health, WatchFloorRequest, WatchFloorResponse,
};
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use rpc::api::v1::floor_service_client::FloorServiceClient;
use runtime::memory::MemoryDisk;
use runtime::{Env, memory};
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use super::{Dev, DevOptions, config, dev};
use crate::doors::link;
use crate::start::{Node, run};

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

pub(super) async fn status(env: &Env, node: &Node) -> GetStatusResponse {
    let channel = link::connect(env.network.clone(), node.addresses().api.to_string(), None)
        .await
        .unwrap();
    ClusterServiceClient::new(channel)
        .get_status(GetStatusRequest {})
        .await
        .unwrap()
        .into_inner()
}

/// Asks a node until its status is as wanted.
pub(super) async fn status_until(
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

/// One more node of the first site, which holds no replica of the cell.
async fn joined(env: &Env, dev: &Dev) -> Node {
    let options = DevOptions {
        port: 0,
        ..DevOptions::default()
    };
    let mut config = config(&options, 0);
    config.node.name = "sha-n2".to_owned();
    config.cluster.join = vec![dev.nodes()[2].addresses().peer.to_string()];
    let env = Env {
        random: env.random.fork(),
        disk: Arc::new(MemoryDisk::default()),
        ..env.clone()
    };
    let node = run(config, env).await.unwrap();
    let mut ready = node.ready();
    let waited = timeout(Duration::from_secs(20), ready.wait_for(|ready| *ready)).await;
    assert!(waited.is_ok(), "the fourth node takes calls");
    node
}

async fn view(floor: &mut Streaming<WatchFloorResponse>) -> FloorView {
    let told = timeout(Duration::from_secs(10), floor.message()).await;
    match told.expect("a view in time").unwrap().unwrap().response {
        Some(Told::Floor(view)) => view,
        other => panic!("not a view: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_replica_shows_the_floor_of_one_that_has_it_whichever_is_left() {
    let env = memory::env(4);
    let dev = formed(&env).await;
    let fourth = joined(&env, &dev).await;
    let own = status_until(&env, &fourth, is_ok).await;
    let expected = status_until(&env, &dev.nodes()[0], is_ok).await;
    let (own, expected) = (own.floor.unwrap(), expected.floor.unwrap());
    assert!(!own.queues.is_empty() && own.applied_index > 0, "{own:?}");
    assert_eq!(own.queues.len(), expected.queues.len());
    let api = fourth.addresses().api.to_string();
    let channel = link::connect(env.network.clone(), api, None).await;
    let request = WatchFloorRequest { every_ms: 250 };
    let mut service = FloorServiceClient::new(channel.unwrap());
    let mut floor = service.watch_floor(request).await.unwrap().into_inner();
    let first = view(&mut floor).await;
    assert_eq!(first.endpoints.len(), 3);
    assert_eq!(first.queues.len(), expected.queues.len());
    for gone in &dev.nodes()[..2] {
        gone.kill().await;
        let later = view(&mut floor).await;
        assert_eq!(later.queues.len(), expected.queues.len());
        assert!(later.applied_index >= first.applied_index);
    }
    // The last one, and whatever was under way: a stream for which nobody answers ends with a reason.
    dev.nodes()[2].kill().await;
    let ended = timeout(Duration::from_secs(60), async {
        loop {
            match floor
                .message()
                .await
                .unwrap()
                .and_then(|told| told.response)
            {
                Some(Told::Ended(ended)) => return ended,
                Some(Told::Floor(_)) => {}
                None => panic!("the stream broke off without a word"),
            }
        }
    });
    let ended = ended.await.expect("an end in time");
    assert_eq!(ended.reason(), pb::api::v1::ErrorReason::NotLeader);
    assert_eq!(ended.endpoints.len(), 3);
    fourth.kill().await;
}
