//! Claims about founding, starting and restarting.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pb::api::v1::GetStatusRequest;
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use runtime::{Env, memory};
use store::{GroupId, Wal, WalOptions};
use tokio::time::timeout;

use crate::config::Config;
use crate::dev::{DevOptions, dev};
use crate::doors::link;
use crate::error::NodeError;
use crate::files;
use crate::found::{Founding, InitOptions, init};
use crate::marks::{self, Ground};
use crate::start::{Node, run};

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

async fn refused(config: Config, env: &Env) -> NodeError {
    match run(config, env.clone()).await {
        Ok(_) => panic!("the node started"),
        Err(error) => error,
    }
}

async fn founded(env: &Env) -> Node {
    init(&config("sha"), env, InitOptions::default())
        .await
        .unwrap();
    run(config("sha"), env.clone()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_directory_is_founded_once() {
    let env = memory::env(1);
    let identity = init(&config("sha"), &env, InitOptions::default())
        .await
        .unwrap();
    assert_eq!(
        (
            identity.node_id,
            identity.node_name.as_str(),
            identity.profile.as_str()
        ),
        (1, "sha-n1", "lan")
    );
    let again = init(&config("sha"), &env, InitOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(again, NodeError::AlreadyInitialised { .. }),
        "{again}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_faulty_first_floor_plan_founds_nothing() {
    let env = memory::env(1);
    let options = InitOptions {
        floor: Some("[nonsense]\nx = 1\n".to_owned()),
        ..InitOptions::default()
    };
    let error = init(&config("sha"), &env, options).await.unwrap_err();
    assert!(matches!(error, NodeError::FloorPlan(_)), "{error}");
    let error = refused(config("sha"), &env).await;
    assert!(matches!(error, NodeError::NoCluster { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_directory_of_another_site_or_profile_is_refused() {
    let env = memory::env(1);
    init(&config("sha"), &env, InitOptions::default())
        .await
        .unwrap();
    let mut other = config("fra");
    other.node.data_dir = "/sha".to_owned();
    let error = refused(other, &env).await.to_string();
    assert!(
        error.starts_with("site.name is \"fra\" in the configuration and \"sha\""),
        "{error}"
    );
    let mut other = config("sha");
    other.cluster.profile = "global".to_owned();
    let error = refused(other, &env).await.to_string();
    assert!(
        error.starts_with("cluster.profile is \"global\""),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_directory_in_use_and_a_port_in_use_are_named() {
    let env = memory::env(1);
    let node = founded(&env).await;
    let error = refused(config("sha"), &env).await.to_string();
    assert!(error.contains("in use by another process"), "{error}");
    let mut taken = config("fra");
    taken.listen.api = node.addresses().api;
    let error = refused(taken, &env).await.to_string();
    assert!(error.starts_with("listen.api = 127.0.0.1:"), "{error}");
    assert!(error.contains("stop it or choose another port"), "{error}");
    node.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_log_was_lost_does_not_vote_again() {
    let env = memory::env(1);
    let node = founded(&env).await;
    node.kill().await;
    let log = Path::new("/sha/log");
    for name in env.disk.list(log).await.unwrap() {
        env.disk.remove(&log.join(name)).await.unwrap();
    }
    let error = refused(config("sha"), &env).await.to_string();
    assert!(
        error.starts_with("the control group ran before on this node and its log in /sha is empty"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_killed_between_its_mark_and_its_first_entry_starts_again() {
    let env = memory::env(1);
    let identity = init(&config("sha"), &env, InitOptions::default())
        .await
        .unwrap();
    let dir = Path::new("/sha");
    let (wal, _) = Wal::open(&env, &dir.join("log"), WalOptions::small())
        .await
        .unwrap();
    let identity = raft::Identity {
        cluster_id: identity.cluster_id,
        node_id: identity.node_id,
        profile: raft::Profile::Lan,
    };
    let host = raft::Host::new(env.clone(), identity, raft::Directory::new());
    for group in [0, 1] {
        let ground = Ground {
            env: &env,
            dir,
            wal: &wal,
            host: &host,
        };
        marks::begin(ground, GroupId(group), ("it", false))
            .await
            .unwrap();
    }
    wal.close().await;
    let advertised = crate::join::Advertised {
        api: "127.0.0.1:1".to_owned(),
        peer: "127.0.0.1:2".to_owned(),
    };
    let mut joining = config("fra");
    let other = Path::new("/fra");
    env.disk.create_dir_all(other).await.unwrap();
    for _ in 0..2 {
        let node = run(config("sha"), env.clone()).await.unwrap();
        joining.cluster.join = vec![node.addresses().peer.to_string()];
        let (joined, _) = crate::join::join(&joining, &env, other, &advertised)
            .await
            .expect("it has founded its cluster");
        assert_eq!(joined.node_id, 2);
        node.kill().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_founding_does_not_found_under_a_joined_identity() {
    let env = memory::env(1);
    let node = founded(&env).await;
    let left = files::read(&env, Path::new("/sha/founding.toml")).await;
    let left = left.unwrap().expect("the founder keeps it at first");
    let mut joining = config("fra");
    joining.cluster.join = vec![node.addresses().peer.to_string()];
    let dir = Path::new("/fra");
    env.disk.create_dir_all(dir).await.unwrap();
    files::write(&env, dir, "founding.toml", left.clone())
        .await
        .unwrap();
    let joined = run(joining, env.clone()).await.unwrap();
    assert_eq!(joined.identity().cluster_id, node.identity().cluster_id);
    let kept = files::read(&env, &dir.join("founding.toml")).await.unwrap();
    assert_eq!(kept, None, "joining removes it");
    files::write(&env, dir, "founding.toml", left)
        .await
        .unwrap();
    let honoured = |id| Founding::load(&env, dir, id);
    assert_eq!(honoured(2).await.unwrap(), None);
    assert!(honoured(1).await.unwrap().is_some());
    joined.kill().await;
    node.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_and_another_profile_are_refused_at_joining() {
    let env = memory::env(1);
    let node = founded(&env).await;
    let seed = node.addresses().peer.to_string();
    let mut same_name = config("fra");
    same_name.node.name = "sha-n1".to_owned();
    same_name.cluster.join = vec![seed.clone()];
    let error = refused(same_name, &env).await.to_string();
    assert!(error.contains("NODE_NAME_TAKEN"), "{error}");
    let mut profile = config("iad");
    profile.cluster.profile = "global".to_owned();
    profile.cluster.join = vec![seed];
    let error = refused(profile, &env).await.to_string();
    assert!(error.contains("PROFILE_DIFFERS"), "{error}");
    node.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_asks_to_join_twice_gets_the_same_id() {
    let env = memory::env(1);
    let node = founded(&env).await;
    let advertised = crate::join::Advertised {
        api: "127.0.0.1:1".to_owned(),
        peer: "127.0.0.1:2".to_owned(),
    };
    let mut joining = config("fra");
    joining.cluster.join = vec![node.addresses().peer.to_string()];
    let dir = PathBuf::from("/fra");
    env.disk.create_dir_all(&dir).await.unwrap();
    let (first, members) = crate::join::join(&joining, &env, &dir, &advertised)
        .await
        .unwrap();
    let (again, _) = crate::join::join(&joining, &env, &dir, &advertised)
        .await
        .unwrap();
    assert_eq!((first.node_id, again.node_id), (2, 2));
    assert_eq!(first.cluster_id, node.identity().cluster_id);
    assert_eq!(members.len(), 2);
    node.kill().await;
}

#[tokio::test(start_paused = true)]
async fn three_nodes_restarted_with_their_directories_are_the_same_cluster() {
    let env = memory::env(1);
    let options = DevOptions {
        data: Some(PathBuf::from("/data")),
        ..DevOptions::default()
    };
    let mut clusters = Vec::new();
    for _ in 0..2 {
        let dev = dev(env.clone(), options.clone()).await.unwrap();
        timeout(Duration::from_secs(20), dev.ready())
            .await
            .expect("they form or find each other again");
        let address = dev.nodes()[1].addresses().api.to_string();
        let channel = link::connect(Arc::clone(&env.network), address, None)
            .await
            .unwrap();
        let status = ClusterServiceClient::new(channel)
            .get_status(GetStatusRequest {})
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (status.nodes.len(), status.groups.len(), status.plan_version),
            (3, 2, 1)
        );
        clusters.push(status.cluster_id);
        for node in dev.nodes() {
            node.kill().await;
        }
    }
    assert_eq!(clusters[0], clusters[1]);
}
