//! Claims about proofs: of a directory, whole and altered, and of replicas that run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pb::api::v1::replica_proof::State;
use pb::api::v1::{ReplicaProof, VerifyCellRequest};
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use runtime::memory::{self, MemoryDisk};
use runtime::{Disk, Env};
use tokio::time::timeout;

use super::{GroupProof, rules, verify_directory};
use crate::dev::proof_test::{cell, chained, said};
use crate::dev::talk_test::{WAIT, client_of, opened};
use crate::dev::{Dev, DevOptions, dev};
use crate::doors::link;

/// A text that occurs once in a log.
const MARKED: &str = "the parcel is in Leipzig";

/// Three sites on one disk, on which something was said for more than a minute.
async fn talked(env: &Env) -> (Dev, String) {
    let options = DevOptions {
        port: 0,
        data: Some(PathBuf::from("/data")),
        ..DevOptions::default()
    };
    let dev = dev(env.clone(), options).await.unwrap();
    timeout(WAIT, dev.ready()).await.expect("it forms");
    chained(&dev).await;
    let client = client_of(env, &dev.api_addresses());
    let id = opened(&client).await;
    said(&client, &id, MARKED).await;
    for turn in 0..20 {
        said(&client, &id, &format!("turn {turn}")).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    (dev, id)
}

fn env_on(disk: &Arc<MemoryDisk>, seed: u64) -> Env {
    Env {
        disk: disk.clone(),
        ..memory::env(seed)
    }
}

fn contents(disk: &MemoryDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = disk.paths().into_iter();
    paths
        .filter_map(|path| Some((path.clone(), disk.content(&path)?)))
        .collect()
}

async fn proven(disk: &Arc<MemoryDisk>, site: &str) -> Vec<GroupProof> {
    let disk: Arc<dyn Disk> = disk.clone();
    let dir = Path::new("/data").join(site);
    verify_directory(disk, &dir).await.unwrap().groups
}

#[tokio::test(start_paused = true)]
async fn a_good_directory_is_proven_and_not_a_byte_of_it_changes() {
    let disk = Arc::new(MemoryDisk::default());
    let env = env_on(&disk, 41);
    let (dev, _) = talked(&env).await;
    dev.shutdown().await;
    let before = contents(&disk);
    let mut hashes = Vec::new();
    for site in ["sha", "fra", "iad"] {
        let proofs = proven(&disk, site).await;
        assert_eq!(proofs.len(), 2, "the control group and the cell");
        for proof in &proofs {
            assert_eq!(proof.breach, None);
            assert!(
                proof.entries > 0 && proof.from_snapshot.is_none(),
                "{proof:?}"
            );
        }
        let main = &proofs[1];
        assert_eq!((main.conversations, main.messages), (1, 22));
        assert!(main.checkpoints >= 1, "{main:?}");
        assert!(main.last_wall_ms >= main.first_wall_ms);
        hashes.push((main.last, main.state_hash.clone()));
    }
    let same = |(last, hash): &(u64, String)| {
        hashes
            .iter()
            .all(|(other, theirs)| last != other || hash == theirs)
    };
    assert!(hashes.iter().all(same), "{hashes:?}");
    assert!(contents(&disk) == before, "something was written");
}

/// Where a text stands in a log's first segment that holds it.
fn find(disk: &MemoryDisk, site: &str, text: &str) -> (PathBuf, usize) {
    let log = Path::new("/data").join(site).join("log");
    let mut files = disk.paths();
    files.retain(|path| path.starts_with(&log));
    files.sort();
    let found = files.into_iter().find_map(|path| {
        let content = disk.content(&path)?;
        let at = content
            .windows(text.len())
            .position(|window| window == text.as_bytes())?;
        Some((path, at))
    });
    found.expect("it was written")
}

/// Alters a byte of a record and gives the record the checksum that fits.
fn rewrite(disk: &MemoryDisk, (path, at): &(PathBuf, usize)) -> u64 {
    let content = disk.content(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(content[at..at + 4].try_into().unwrap());
    let salt = word(12);
    // The head of the record before the text: kind 3 and the mark of every frame.
    let is_head = |start: &usize| content[start + 9..start + 12] == [3, 0x7f, 0xa4];
    let start = (0..*at).step_by(8).rev().find(is_head).unwrap();
    let length = word(start + 4) as usize;
    let mut frame = content[start..start + length].to_vec();
    frame[at - start] ^= 1;
    let crc = crc32c::crc32c_append(salt, &frame[4..]);
    let mask = (crc ^ word(start)).to_le_bytes();
    disk.damage(path, *at as u64, &[1]);
    disk.damage(path, start as u64, &mask);
    u64::from_le_bytes(content[start + 24..start + 32].try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_altered_entry_with_a_fitting_checksum_is_named() {
    let disk = Arc::new(MemoryDisk::default());
    let env = env_on(&disk, 42);
    let (dev, _) = talked(&env).await;
    dev.shutdown().await;
    let place = find(&disk, "fra", MARKED);
    let index = rewrite(&disk, &place);
    let proofs = proven(&disk, "fra").await;
    let breach = proofs[1].breach.clone().expect("it is seen");
    assert_eq!(
        (breach.index, breach.rule.as_str()),
        (index, rules::LOG_CHAIN)
    );
    let file = format!("file {}", place.0.display());
    assert!(
        breach.place.as_ref().unwrap().starts_with(&file),
        "{breach}"
    );
    assert_eq!(proofs[0].breach, None, "the control group is untouched");
    assert_eq!(proven(&disk, "sha").await[1].breach, None);
}

#[tokio::test(start_paused = true)]
async fn a_directory_in_use_or_without_a_log_is_refused() {
    let disk = Arc::new(MemoryDisk::default());
    let env = env_on(&disk, 43);
    let options = DevOptions {
        port: 0,
        data: Some(PathBuf::from("/data")),
        ..DevOptions::default()
    };
    let dev = dev(env.clone(), options).await.unwrap();
    timeout(WAIT, dev.ready()).await.expect("it forms");
    let refused = verify_directory(disk.clone(), Path::new("/data/sha")).await;
    assert!(refused.unwrap_err().to_string().contains("in use"));
    dev.shutdown().await;
    let refused = verify_directory(disk.clone(), Path::new("/nothing")).await;
    assert!(refused.is_err());
}

/// Asks until no proof runs any more.
async fn asked(env: &Env, dev: &Dev, proof: &str) -> Vec<ReplicaProof> {
    let api = dev.nodes()[0].addresses().api.to_string();
    let channel = link::connect(env.network.clone(), api, None).await.unwrap();
    let mut client = ClusterServiceClient::new(channel);
    let mut request = VerifyCellRequest {
        cell: "main".to_owned(),
        proof: proof.to_owned(),
        index: 0,
    };
    loop {
        let answer = client
            .verify_cell(request.clone())
            .await
            .unwrap()
            .into_inner();
        request.index = answer.index;
        let runs = |one: &ReplicaProof| matches!(one.state(), State::Running | State::Busy);
        if !answer.replicas.iter().any(runs) {
            return answer.replicas;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn replicas_that_run_are_proven_and_compared_and_one_that_differs_is_named() {
    let disk = Arc::new(MemoryDisk::default());
    let env = env_on(&disk, 44);
    let (dev, _) = talked(&env).await;
    let proofs = timeout(WAIT, asked(&env, &dev, "one")).await.unwrap();
    assert_eq!(proofs.len(), 3);
    for proof in &proofs {
        assert_eq!(proof.state(), State::Done, "{proof:?}");
        assert_eq!(proof.state_hash, proofs[0].state_hash);
        assert_eq!(proof.machine_chain, proofs[0].machine_chain);
        assert_eq!(proof.log_chain, proofs[0].log_chain);
        assert!(
            !proof.state_hash.is_empty() && proof.messages == 22,
            "{proof:?}"
        );
    }
    cell(&dev, 1).view.spoil(1);
    let proofs = timeout(WAIT, asked(&env, &dev, "two")).await.unwrap();
    let odd = dev.nodes()[1].identity().node_name.clone();
    for proof in &proofs {
        let wanted = if proof.node == odd {
            State::Broken
        } else {
            State::Done
        };
        assert_eq!(proof.state(), wanted, "{proof:?}");
    }
    // A proof from the snapshot, once the log before it is gone.
    for at in [0, 2] {
        cell(&dev, at).group.snapshot().await.unwrap();
    }
    let proofs = timeout(WAIT, asked(&env, &dev, "three")).await.unwrap();
    let whole: Vec<_> = proofs.iter().filter(|proof| proof.node != odd).collect();
    assert!(
        whole.iter().all(|proof| proof.state() == State::Done),
        "{whole:?}"
    );
    dev.nodes()[2].kill().await;
    let proofs = timeout(WAIT, asked(&env, &dev, "four")).await.unwrap();
    let gone = proofs.iter().find(|proof| proof.node == "iad-n1").unwrap();
    assert_eq!(gone.state(), State::Unreachable);
    dev.nodes()[0].kill().await;
    dev.nodes()[1].kill().await;
}
