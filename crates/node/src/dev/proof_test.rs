//! Claims about a cell whose replicas differ, over three nodes in one process.

use std::sync::Arc;
use std::time::Duration;

use client::Client;
use domain::ids::LogIndex;
use pb::api::v1::Health;
use ports::{Cure, Group, Halt};
use runtime::{Env, memory};
use tokio::time::timeout;

use super::Dev;
use super::dev_test::status_until;
use super::talk_test::{WAIT, by_role, client_of, formed, opened, texts};
use crate::cells::LocalCell;

/// A checkpoint is due each minute in which something was asked.
const CHECKED: Duration = Duration::from_secs(180);

/// The only cell, as the node at a place has it.
pub(crate) fn cell(dev: &Dev, at: usize) -> Arc<LocalCell> {
    dev.nodes()[at].cells().all().remove(0)
}

pub(crate) async fn said(client: &Client, id: &str, text: &str) {
    let conversation = client.customer().attach(id, 0);
    timeout(WAIT, conversation.send(text))
        .await
        .expect("it is answered")
        .unwrap();
}

/// Waits until the machine's chain goes on in every replica: the version that brings it is in force.
pub(crate) async fn chained(dev: &Dev) {
    let goes_on = |at: usize| {
        let view = cell(dev, at).view.clone();
        view.with(|cell, _| cell.state().meta().chain != Default::default())
    };
    let waiting = async {
        while !(0..3).all(goes_on) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(WAIT, waiting).await.expect("the version is raised");
}

pub(crate) async fn halted(dev: &Dev, at: usize) -> Arc<Halt> {
    let mut halted = cell(dev, at).group.halted();
    let waited = timeout(CHECKED, halted.wait_for(Option::is_some)).await;
    let found = waited.expect("it differs and stops").unwrap();
    found.clone().unwrap()
}

/// A cluster with one conversation: where its leader is, and clients of the other two nodes.
async fn talking(env: &Env) -> (Dev, usize, Client, String) {
    let dev = formed(env, false).await;
    chained(&dev).await;
    let (order, leader) = by_role(&dev).await;
    let client = client_of(env, &order[..2]);
    let id = opened(&client).await;
    (dev, leader, client, id)
}

fn says_what_to_do(halt: &Halt) {
    assert_eq!(halt.cure, Cure::Replace);
    for part in ["at log index ", "the machine chain h", "antiphon join"] {
        assert!(halt.reason.contains(part), "{}", halt.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_differs_halts_and_the_others_serve_on() {
    let env = memory::env(21);
    let (dev, leader, client, id) = talking(&env).await;
    let odd = (leader + 1) % 3;
    cell(&dev, odd).view.spoil(1);
    said(&client, &id, "one").await;
    says_what_to_do(&*halted(&dev, odd).await);
    said(&client, &id, "two").await;
    assert_eq!(texts(&client, &id).await, ["hello", "one", "two"]);
    let name = dev.nodes()[odd].identity().node_name.clone();
    let status = status_until(&env, &dev.nodes()[leader], |status| {
        status.health() == Health::Degraded
    });
    let status = status.await;
    let main = &status.groups[1];
    assert!(main.checkpoint > 0, "{main:?}");
    let member = main.members.iter().find(|member| member.node == name);
    let told = member.unwrap().halted.clone().expect("it is shown");
    assert!(!told.skippable && told.reason.contains("machine chain h"));
    let start = format!("node {name}: the replica of main is halted");
    assert!(status.problems.iter().any(|said| said.starts_with(&start)));
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_differs_halts_and_hands_over() {
    let env = memory::env(22);
    let (dev, leader, client, id) = talking(&env).await;
    cell(&dev, leader).view.spoil(1);
    said(&client, &id, "one").await;
    says_what_to_do(&*halted(&dev, leader).await);
    let other = cell(&dev, (leader + 1) % 3);
    let mut leadership = other.group.leadership();
    let us = dev.nodes()[leader].identity().node_id;
    let moved = leadership.wait_for(|now| now.leader.is_some_and(|leader| leader != us));
    timeout(WAIT, moved).await.expect("it hands over").unwrap();
    said(&client, &id, "two").await;
    assert_eq!(texts(&client, &id).await, ["hello", "one", "two"]);
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nothing_is_logged_and_an_alarm_is_raised() {
    let env = memory::env(23);
    let (dev, leader, client, id) = talking(&env).await;
    cell(&dev, leader).view.spoil(1);
    cell(&dev, (leader + 1) % 3).view.spoil(2);
    said(&client, &id, "one").await;
    let alarmed = status_until_alarm(&env, &dev, leader);
    let alarm = timeout(CHECKED, alarmed).await.expect("an alarm");
    assert!(
        alarm.contains("no majority of the voters agrees"),
        "{alarm}"
    );
    for at in 0..3 {
        let found = cell(&dev, at).view.checkpoint();
        assert_eq!(found.map(|(last, _)| last.mark.index), None::<LogIndex>);
        assert_eq!(*cell(&dev, at).group.halted().borrow(), None);
    }
    said(&client, &id, "two").await;
    dev.shutdown().await;
}

async fn status_until_alarm(env: &Env, dev: &Dev, leader: usize) -> String {
    loop {
        let status = super::dev_test::status(env, &dev.nodes()[leader]).await;
        let mut problems = status.problems.into_iter();
        if let Some(alarm) = problems.find(|said| said.contains("the checkpoint of main")) {
            return alarm;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
