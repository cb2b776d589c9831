//! Claims about an entry that stops every replica, and about one that only harms its conversation,
//! over three nodes in one process.

use std::time::Duration;

use client::api::wait_cause::Kind;
use client::api::{ExplainConversationRequest, ReleaseConversationRequest, SendRequest, WaitCause};
use client::{AgentDesk, Client, DeskEvent};
use pb::api::v1::{ErrorReason, Health, SkipEntryRequest, SkipEntryResponse};
use pb::raft::v1::SkipWordRequest;
use ports::Group;
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use runtime::{Env, memory};
use tokio::time::timeout;

use super::Dev;
use super::dev_test::{status, status_until};
use super::proof_test::{cell, chained, halted, said};
use super::talk_test::{WAIT, by_role, client_of, desks, formed, opened, opened_as, texts};
use crate::doors::link;

/// A message with this text breaks `evolve`, and one with the other `decide`.
const POISON: &str = "\u{2620} evolve";
const UNWELL: &str = "\u{2620} decide";

async fn skip(env: &Env, dev: &Dev, at: usize, index: u64) -> Result<SkipEntryResponse, String> {
    let api = dev.nodes()[at].addresses().api.to_string();
    let channel = link::connect(env.network.clone(), api, None).await.unwrap();
    let request = SkipEntryRequest {
        cell: "main".to_owned(),
        index,
        staff: "mia".to_owned(),
        reason: "it stops every replica".to_owned(),
    };
    let skipped = ClusterServiceClient::new(channel).skip_entry(request).await;
    skipped
        .map(tonic::Response::into_inner)
        .map_err(|refused| refused.message().to_owned())
}

/// The message that stops every replica. Its client asks again with the same id.
fn poison(id: &str) -> SendRequest {
    SendRequest {
        conversation_id: id.to_owned(),
        request_id: "poison-1".to_owned(),
        text: POISON.to_owned(),
        ..SendRequest::default()
    }
}

/// Sends it, and gives up waiting for the answer; the index.
async fn poisoned(dev: &Dev, client: &Client, id: &str) -> u64 {
    let customer = client.customer();
    let sending = timeout(Duration::from_millis(500), customer.send(poison(id)));
    assert!(
        !matches!(sending.await, Ok(Ok(_))),
        "nobody can have applied it"
    );
    let first = halted(dev, 0).await.index;
    for at in 1..3 {
        assert_eq!(halted(dev, at).await.index, first);
    }
    first
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_stops_every_replica_is_skipped_and_all_of_them_serve_again() {
    let env = memory::env(31);
    let dev = formed(&env, false).await;
    chained(&dev).await;
    let client = client_of(&env, &dev.api_addresses());
    let id = opened(&client).await;
    said(&client, &id, "before").await;
    let healthy = skip(&env, &dev, 0, 3).await.expect_err("nothing is wrong");
    assert!(
        healthy.contains("nothing is to be passed over"),
        "{healthy}"
    );
    let index = poisoned(&dev, &client, &id).await;
    let down = status_until(&env, &dev.nodes()[0], |status| {
        status.health() == Health::Down && !status.groups[1].leader.is_empty()
    });
    let down = down.await;
    let next = format!("antiphon cell skip --cell main --index {index}");
    assert!(
        down.next.iter().any(|line| line.starts_with(&next)),
        "{:?}",
        down.next
    );
    for at in 0..3 {
        assert!(
            !cell(&dev, at).group.leadership().borrow().is_self,
            "nobody serves"
        );
    }
    let other = skip(&env, &dev, 1, index - 1)
        .await
        .expect_err("not that one");
    assert!(other.contains("not at"), "{other}");
    let skipped = skip(&env, &dev, 1, index).await.unwrap();
    assert!(skipped.logged > index);
    assert_eq!(
        (skipped.going_on.len(), skipped.behind.len()),
        (3, 0),
        "{skipped:?}"
    );
    // Whoever has lost the answer asks again, here at another node, and is answered as the first time.
    let repeated = skip(&env, &dev, 2, index).await.unwrap();
    assert_eq!(repeated.logged, skipped.logged);
    assert_eq!((repeated.going_on.len(), repeated.behind.len()), (3, 0));
    said(&client, &id, "after").await;
    let again = client.customer().send(poison(&id)).await;
    let again = again.expect_err("the same command is not proposed again");
    assert_eq!(again.reason_name(), "MACHINE_DEFECT", "{again:?}");
    for at in 0..3 {
        let one = client_of(&env, &dev.api_addresses()[at..=at]);
        assert_eq!(texts(&one, &id).await, ["hello", "before", "after"]);
        assert_eq!(*cell(&dev, at).group.halted().borrow(), None);
    }
    let served = status(&env, &dev.nodes()[2]).await;
    assert_eq!(served.problems, Vec::<String>::new());
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_has_applied_an_entry_writes_no_word_that_it_is_passed_over() {
    let env = memory::env(33);
    let dev = formed(&env, false).await;
    chained(&dev).await;
    let (order, leader) = by_role(&dev).await;
    let client = client_of(&env, &order[..2]);
    let id = opened(&client).await;
    said(&client, &id, "acknowledged").await;
    let led = cell(&dev, leader);
    let index = *led.group.applied().borrow();
    let before = led.group.status().last_log;
    let word = SkipWordRequest {
        index,
        by: "mia".to_owned(),
        reason: "it has stopped two replicas, and the third has woken up".to_owned(),
    };
    let written = crate::skip::write(&led, word, 0).await;
    let refused = written.expect_err("its effect was acknowledged");
    assert_eq!(refused.reason(), ErrorReason::WrongState, "{refused:?}");
    said(&client, &id, "still here").await;
    assert_eq!(
        texts(&client, &id).await,
        ["hello", "acknowledged", "still here"]
    );
    assert_eq!(led.group.passed_over(index), None);
    assert!(led.group.status().last_log > before);
    dev.shutdown().await;
}

/// A conversation that a defect has set aside.
async fn set_aside(client: &Client) -> String {
    let id = opened(client).await;
    let unwell = SendRequest {
        conversation_id: id.clone(),
        text: UNWELL.to_owned(),
        ..SendRequest::default()
    };
    let refused = client.customer().send(unwell).await;
    let refused = refused.expect_err("it is set aside");
    assert_eq!(refused.reason_name(), "MACHINE_DEFECT", "{refused:?}");
    assert!(refused.retry_after.is_some(), "{refused:?}");
    id
}

#[tokio::test(start_paused = true)]
async fn a_defect_in_a_decision_sets_one_conversation_aside_and_the_others_go_on() {
    let env = memory::env(32);
    let dev = formed(&env, false).await;
    let (order, _) = by_role(&dev).await;
    let client = client_of(&env, &order[..2]);
    let id = set_aside(&client).await;
    assert_eq!(texts(&client, &id).await, ["hello"], "reading works");
    for at in 0..3 {
        assert_eq!(*cell(&dev, at).group.halted().borrow(), None);
    }
    let well = opened_as(&client, "bob").await;
    said(&client, &well, "still here").await;
    assert_eq!(texts(&client, &well).await, ["hello", "still here"]);
    dev.shutdown().await;
}

/// Why a conversation waits, and its place in line from 1.
async fn explained(client: &Client, id: &str) -> (Vec<WaitCause>, u32) {
    let request = ExplainConversationRequest {
        conversation_id: id.to_owned(),
    };
    let explained = client.supervisor().explain_conversation(request).await;
    let explained = explained.unwrap();
    (explained.causes, explained.conversation.unwrap().position)
}

/// The conversation that a desk is offered first.
async fn offered_first(mut desk: AgentDesk) -> String {
    let offered = async {
        loop {
            let event = desk.next().await.expect("the desk stays");
            if let DeskEvent::Offer(offer) = event {
                return offer.conversation.unwrap().conversation_id;
            }
        }
    };
    timeout(WAIT, offered).await.expect("work is offered")
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_says_so_and_goes_on_at_its_old_place_when_it_is_released() {
    let env = memory::env(34);
    let dev = formed(&env, false).await;
    let (order, _) = by_role(&dev).await;
    let client = client_of(&env, &order[..2]);
    let id = set_aside(&client).await;
    let later = opened_as(&client, "bob").await;
    let (why, _) = explained(&client, &id).await;
    assert_eq!(why[0].kind(), Kind::SetAside, "{why:?}");
    assert!(why[0].log_index > 0, "{why:?}");
    let (_, place) = explained(&client, &later).await;
    assert_eq!(place, 1, "what is set aside keeps nobody waiting");
    let release = ReleaseConversationRequest {
        conversation_id: id.clone(),
        staff: "mia".to_owned(),
        reason: "the program was mended".to_owned(),
        ..ReleaseConversationRequest::default()
    };
    let supervisor = client.supervisor();
    supervisor.release_conversation(release).await.unwrap();
    let (why, place) = explained(&client, &id).await;
    let is_set_aside = why.iter().any(|cause| cause.kind() == Kind::SetAside);
    assert!(!is_set_aside, "{why:?}");
    assert_eq!((place, explained(&client, &later).await.1), (1, 2));
    said(&client, &id, "at last").await;
    let desk = desks(&client).swap_remove(0);
    assert_eq!(offered_first(desk).await, id);
    dev.shutdown().await;
}
