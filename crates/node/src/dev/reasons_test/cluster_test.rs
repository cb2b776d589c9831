//! What a node that begins, or that asks to join, is told.
//!
//! Joining is asked on the port for nodes: no other call has these reasons.

use std::sync::Arc;

use pb::api::v1::{ErrorReason as R, OpenRequest};
use pb::raft::v1::JoinRequest;
use rpc::raft::v1::forward_service_client::ForwardServiceClient;
use runtime::memory;

use super::Heard;
use crate::dev::stubs_test::{Stubs, opening};
use crate::dev::{DevOptions, config};
use crate::doors::link;
use crate::found::{InitOptions, init};
use crate::start::run;

pub(super) async fn play() -> Heard {
    let env = memory::env(65);
    let options = DevOptions {
        port: 0,
        ..DevOptions::default()
    };
    let config = config(&options, 0);
    init(&config, &env, InitOptions::default()).await.unwrap();
    let node = run(config, env.clone()).await.unwrap();
    let mut heard = Heard::default();
    let mut stubs = Stubs::at(&env, &node).await;
    let request = OpenRequest {
        request_id: stubs.id(),
        ..opening("ann")
    };
    heard.call(R::ClusterForming, stubs.customers.open(request).await);

    let peer = node.addresses().peer.to_string();
    let channel = link::channel(Arc::clone(&env.network), peer).await.unwrap();
    let mut nodes = ForwardServiceClient::new(channel);
    let joining = JoinRequest {
        request_id: "join-1".to_owned(),
        node: "fra-n1".to_owned(),
        site: "fra".to_owned(),
        api_address: "127.0.0.1:1".to_owned(),
        peer_address: "127.0.0.1:2".to_owned(),
        version: crate::VERSION.to_owned(),
        ..JoinRequest::default()
    };
    let other = JoinRequest {
        cluster_id: "another".to_owned(),
        ..joining.clone()
    };
    heard.call(R::WrongCluster, nodes.join(other).await);
    let named = JoinRequest {
        node: node.identity().node_name.clone(),
        ..joining.clone()
    };
    let said = heard.call(R::NodeNameTaken, nodes.join(named).await);
    assert_eq!((&*said["name"], &*said["node"]), ("sha-n1", "1"));
    let slow = JoinRequest {
        profile: "global".to_owned(),
        ..joining.clone()
    };
    let said = heard.call(R::ProfileDiffers, nodes.join(slow).await);
    assert_eq!((&*said["cluster"], &*said["node"]), ("lan", "global"));
    nodes.join(joining).await.unwrap();
    node.kill().await;
    heard
}
