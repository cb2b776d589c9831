//! Claims about archives that differ, lack something or cannot be written, over three nodes in one process.

use std::time::Duration;

use bytes::Bytes;
use client::Client;
use client::api::OpenRequest;
use conversation::archive_key;
use domain::ids::{AccountId, ConversationId, CustomerKey};
use pb::raft::v1::{ArchiveHoldsRequest, forward_answer, forward_call};
use ports::{Archive as _, ArchiveBy, ArchiveError, ArchiveQuery};
use runtime::memory;
use store::archive::{Facts, Record};
use tokio::time::{Instant, sleep, timeout};

use super::Dev;
use super::archive_test::{Block, RESTED, archives, at, damage, ended, has, left, message, whole};
use super::proof_test::{cell, chained, halted};
use super::talk_test::{WAIT, by_role, client_of, formed, opened, texts};
use crate::archive::{CellArchive, answer};

/// A conversation that has ended and rested, and what was said last in it.
async fn sealed(client: &Client, text: &str) -> String {
    let id = opened(client).await;
    ended(client, &message(&id, text, text)).await;
    sleep(RESTED).await;
    id
}

async fn record(archive: &CellArchive, id: ConversationId) -> Option<Record> {
    let store = &archive.shared.of.store;
    store.get(1, id.index.0).await.unwrap()
}

async fn lose(archive: &CellArchive, id: ConversationId) -> Record {
    let found = record(archive, id).await.expect("it was archived");
    let (store, at) = (&archive.shared.of.store, found.sealing());
    store.discard(1, at, at).await.unwrap();
    found
}

/// Puts something else under the name of an archived conversation.
async fn falsify(archive: &CellArchive, id: ConversationId) {
    let mut found = lose(archive, id).await;
    let mut other = wire::archive::decode(&found.blob).unwrap();
    other.handled_ms += 1;
    found.blob = wire::archive::encode(&other).into();
    archive.shared.of.store.append(vec![found]).await.unwrap();
}

fn left_upto(archive: &CellArchive) -> u64 {
    let view = &archive.shared.view;
    view.with(|cell, _| cell.state().meta().archive.upto.0)
}

/// The archives of the cell's leader and of the others.
async fn leader_first(dev: &Dev) -> (CellArchive, Vec<CellArchive>) {
    let (_, leader) = by_role(dev).await;
    let mut archives = archives(dev);
    (archives.remove(leader), archives)
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_holds_something_else_changes_nothing_here_and_keeps_nothing_from_leaving() {
    let env = memory::env(51);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let x = left(&dev, &sealed(&client, "x").await).await;
    let y = left(&dev, &sealed(&client, "y").await).await;
    let (ours, others) = leader_first(&dev).await;
    let good = record(&ours, x).await.expect("it was archived");
    falsify(&others[0], x).await;
    let lost = lose(&others[1], y).await;
    lose(&ours, y).await;
    ours.doubt();
    sleep(WAIT).await;
    assert_eq!(record(&ours, x).await, Some(good), "ours is not given up");
    assert_eq!(record(&ours, y).await, None);
    assert!(!ours.is_complete());
    left(&dev, &sealed(&client, "z").await).await;
    // A peer is whole again: the range is mended from it, and from it alone.
    let store = &others[1].shared.of.store;
    store.append(vec![lost.clone()]).await.unwrap();
    whole(&ours).await;
    assert_eq!(record(&ours, y).await, Some(lost));
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_halted_replica_is_not_believed_that_something_does_not_exist() {
    let env = memory::env(52);
    let dev = formed(&env, false).await;
    chained(&dev).await;
    let client = client_of(&env, &dev.api_addresses());
    left(&dev, &sealed(&client, "early").await).await;
    let (_, leader) = by_role(&dev).await;
    // The one that is asked first.
    let odd = (0..3).find(|at| *at != leader).unwrap();
    cell(&dev, odd).view.spoil(1);
    opened(&client).await;
    halted(&dev, odd).await;
    let id = sealed(&client_of(&env, &dev.api_addresses()), "late").await;
    let ours = archives(&dev).remove(leader);
    let late: ConversationId = id.parse().unwrap();
    let gone = async {
        while has(&ours, late) {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(WAIT, gone).await.expect("it leaves");
    lose(&ours, late).await;
    ours.doubt();
    assert_eq!(
        texts(&at(&env, &dev, leader), &id).await.last().unwrap(),
        "late"
    );
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_never_existed_is_said_so_at_once_while_more_and_more_leaves() {
    let env = memory::env(53);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    left(&dev, &sealed(&client, "first").await).await;
    let (ours, _) = leader_first(&dev).await;
    whole(&ours).await;
    for round in 0..5 {
        let before = left_upto(&ours);
        let text = format!("round-{round}");
        let id = sealed(&client, &text);
        let mut applied = ours.shared.view.applied();
        let watch = async {
            while left_upto(&ours) == before {
                applied.changed().await.unwrap();
            }
            ours.conversation(1, 2).await
        };
        let (_, found) = tokio::join!(id, timeout(RESTED + WAIT, watch));
        assert_eq!(found.expect("something leaves"), Ok(None));
    }
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_sick_archive_at_the_leader_alone_keeps_nothing_from_leaving() {
    let env = memory::env(54);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let (ours, _) = leader_first(&dev).await;
    ours.shared.of.store.close().await;
    let id = sealed(&client, "bye").await;
    left(&dev, &id).await;
    for node in 0..3 {
        let read = texts(&at(&env, &dev, node), &id).await;
        assert_eq!(read.last().unwrap(), "bye");
    }
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sealed_gives_way_before_the_range_leaves() {
    let env = memory::env(55);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    left(&dev, &sealed(&client, "first").await).await;
    for archive in archives(&dev) {
        let odd = Record {
            cell: 1,
            sealed: left_upto(&archive) + 1,
            conversation: 3,
            customer: Bytes::from_static(b"web\0nobody"),
            agents: Vec::new(),
            queue: "sales".to_owned(),
            opened_wall_ms: 0,
            closed_wall_ms: 0,
            facts: Facts::default(),
            blob: Bytes::from_static(b"of another history"),
        };
        archive.shared.of.store.append(vec![odd]).await.unwrap();
    }
    left(&dev, &sealed(&client, "second").await).await;
    for archive in archives(&dev) {
        whole(&archive).await;
        assert_eq!(archive.shared.of.store.get(1, 3).await, Ok(None));
    }
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_silent_delays_no_answer_that_another_one_has() {
    let env = memory::env(60);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let x = left(&dev, &sealed(&client, "x").await).await;
    let (_, leader) = by_role(&dev).await;
    let all = archives(&dev);
    for archive in &all {
        whole(archive).await;
    }
    let ours = &all[leader];
    // The one that is named first.
    let first = ours.peers()[0];
    let silent = all.iter().position(|one| one.shared.of.node == first);
    dev.nodes()[silent.unwrap()].shutdown().await;
    let lost = lose(ours, x).await;
    ours.doubt();
    let begun = Instant::now();
    assert_eq!(ours.conversation(1, x.index.0).await, Ok(Some(lost.blob)));
    assert_eq!(ours.find(1, of_ann()).await.unwrap().records.len(), 1);
    assert!(begun.elapsed() < Duration::from_millis(200), "it waited");
    dev.shutdown().await;
}

fn of_ann() -> ArchiveQuery {
    let (account, customer) = (AccountId::new("web-us"), CustomerKey::new("ann"));
    ArchiveQuery {
        by: ArchiveBy::Customer(archive_key(&account.unwrap(), &customer.unwrap())),
        from_ms: 0,
        to_ms: u64::MAX,
        after: None,
        size: 10,
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_where_something_is_missing_is_answered_by_a_peer_or_refused() {
    let env = memory::env(57);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let x = left(&dev, &sealed(&client, "x").await).await;
    let (ours, others) = leader_first(&dev).await;
    let whole_page = ours.find(1, of_ann()).await.unwrap();
    assert_eq!(whole_page.records.len(), 1);
    lose(&ours, x).await;
    ours.doubt();
    assert_eq!(ours.find(1, of_ann()).await, Ok(whole_page));
    others.iter().for_each(CellArchive::doubt);
    let refused = ours.find(1, of_ann()).await;
    assert!(
        matches!(refused, Err(ArchiveError::Unreachable { .. })),
        "nobody has looked at everything: {refused:?}"
    );
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_that_comes_again_after_a_later_conversation_has_its_first_answer() {
    let env = memory::env(58);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let open = |request_id: &str| OpenRequest {
        request_id: request_id.to_owned(),
        account: "web-us".to_owned(),
        customer: "ann".to_owned(),
        language: "en".to_owned(),
        text: request_id.to_owned(),
        ..OpenRequest::default()
    };
    let first = client.customer().open(open("first")).await.unwrap();
    ended(&client, &message(&first.conversation_id, "bye", "bye")).await;
    sleep(RESTED).await;
    left(&dev, &first.conversation_id).await;
    let second = client.customer().open(open("second")).await.unwrap();
    assert_ne!(second.conversation_id, first.conversation_id);
    let again = client.customer().open(open("first")).await.unwrap();
    assert_eq!(again.conversation_id, first.conversation_id);
    assert!(again.existing);
    assert_eq!(texts(&client, &second.conversation_id).await, ["second"]);
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_question_about_what_has_left_changes_nothing() {
    let env = memory::env(56);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let x = left(&dev, &sealed(&client, "x").await).await;
    let (ours, _) = leader_first(&dev).await;
    let before = record(&ours, x).await;
    let asked = forward_call::Request::ArchiveHolds(ArchiveHoldsRequest {
        after: 0,
        upto: left_upto(&ours),
        count: 7,
        digest: vec![9; 16].into(),
    });
    let said = answer(&ours, &asked).await;
    let Some(forward_answer::Response::ArchiveHolds(said)) = said else {
        panic!("it answers");
    };
    assert!(!said.written);
    sleep(WAIT).await;
    assert_eq!(record(&ours, x).await, before);
    assert!(ours.is_complete());
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_damaged_at_every_node_has_all_that_any_of_them_can_read() {
    let env = memory::env(61);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let mut ids = Vec::new();
    for text in ["x", "y", "z"] {
        ids.push(left(&dev, &sealed(&client, text).await).await);
    }
    let archives = archives(&dev);
    for archive in &archives {
        whole(archive).await;
    }
    let whole_page = archives[0].find(1, of_ann()).await.unwrap();
    assert_eq!(whole_page.records.len(), 3);
    damage(&archives[0], 0, Block::First).await;
    damage(&archives[1], 1, Block::Last).await;
    damage(&archives[2], 2, Block::First).await;
    damage(&archives[2], 2, Block::Last).await;
    let ours = &archives[0];
    assert_eq!(ours.find(1, of_ann()).await, Ok(whole_page.clone()));
    damage(&archives[1], 1, Block::First).await;
    let page = ours.find(1, of_ann()).await.unwrap();
    assert_eq!(page.records, whole_page.records[..2], "the newest two");
    assert_eq!(page.damaged, 1, "the oldest is whole nowhere");
    dev.shutdown().await;
}
