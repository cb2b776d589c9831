//! Claims about conversations that have left the state, over three nodes in one process.

use std::time::Duration;

use client::api::{
    CloseRequest, ErrorReason, ListEarlierConversationsRequest, SearchArchiveRequest, SendRequest,
};
use client::{Client, Event};
use domain::ids::{CellId, ConversationId};
use runtime::{Env, memory};
use tokio::time::{sleep, timeout};

use super::Dev;
use super::talk_test::{WAIT, client_of, formed, opened, texts};
use crate::archive::CellArchive;

/// Until a conversation that has ended is sealed, with some time for the archives.
pub(crate) const RESTED: Duration = Duration::from_secs(660);

pub(crate) fn archives(dev: &Dev) -> Vec<CellArchive> {
    let of = |node: &crate::start::Node| {
        let cell = node.cells().get(CellId(1)).expect("the cell is here");
        cell.archive.clone()
    };
    dev.nodes().iter().map(of).collect()
}

pub(crate) fn has(archive: &CellArchive, id: ConversationId) -> bool {
    let view = &archive.shared.view;
    view.with(|cell, _| cell.conversation(id).is_some())
}

/// Waits until every replica has let a conversation go.
pub(crate) async fn left(dev: &Dev, id: &str) -> ConversationId {
    let id: ConversationId = id.parse().unwrap();
    let gone = async {
        while archives(dev).iter().any(|archive| has(archive, id)) {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(WAIT, gone).await.expect("it leaves every state");
    id
}

/// Waits until an archive has everything that has left.
pub(crate) async fn whole(archive: &CellArchive) {
    let whole = async {
        while !archive.is_complete() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(WAIT, whole)
        .await
        .expect("what is missing is mended");
}

pub(crate) async fn ended(client: &Client, first: &SendRequest) -> u64 {
    let sent = client.customer().send(first.clone()).await.unwrap();
    let close = CloseRequest {
        conversation_id: first.conversation_id.clone(),
        request_id: "the-end".to_owned(),
        ..CloseRequest::default()
    };
    client.customer().close(close).await.unwrap();
    sent.sequence
}

pub(crate) fn message(conversation: &str, request_id: &str, text: &str) -> SendRequest {
    SendRequest {
        conversation_id: conversation.to_owned(),
        request_id: request_id.to_owned(),
        text: text.to_owned(),
        ..SendRequest::default()
    }
}

/// A client of one node alone.
pub(crate) fn at(env: &Env, dev: &Dev, node: usize) -> Client {
    client_of(env, &dev.api_addresses()[node..=node])
}

#[tokio::test(start_paused = true)]
async fn what_has_left_is_read_answered_found_and_mended_from_the_archives() {
    let env = memory::env(41);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let id = opened(&client).await;
    let sent = message(&id, "the-message", "where is my order?");
    let sequence = ended(&client, &sent).await;
    sleep(RESTED).await;
    let left = left(&dev, &id).await;
    is_read_and_answers_copies(&env, &dev, (&id, &sent, sequence)).await;
    is_linked_and_found(&env, &dev, &id).await;
    is_found_where_it_is_damaged(&env, &dev, &id).await;
    is_mended(&dev, left).await;
    dev.shutdown().await;
}

/// A block of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Block {
    First,
    Last,
}

/// Damages a block of each segment of the archive at a site.
pub(crate) async fn damage(archive: &CellArchive, at: usize, block: Block) {
    let disk = &archive.shared.of.env.disk;
    let dir = std::path::Path::new("/memory").join(super::SITES[at].0);
    let dir = dir.join("archive/1");
    for name in disk.list(&dir).await.unwrap() {
        let open = runtime::Open {
            create: runtime::Create::Never,
            lane: runtime::DiskLane::Bulk,
        };
        let file = disk.open(&dir.join(name), open).await.unwrap();
        let offset = match block {
            // Behind the heads of file and frame.
            Block::First => 200,
            Block::Last => file.len().await.unwrap().saturating_sub(40),
        };
        let noise = bytes::Bytes::from_static(&[0xa5; 32]);
        file.write_at(offset, noise).await.unwrap();
    }
}

/// A record that is damaged at the node that searches is found at another one, and fetched from it.
async fn is_found_where_it_is_damaged(env: &Env, dev: &Dev, id: &str) {
    let leader = dev
        .nodes()
        .iter()
        .position(crate::start::Node::leads_a_cell);
    let leader = leader.expect("somebody leads");
    let archive = &archives(dev)[leader];
    damage(archive, leader, Block::First).await;
    let supervisor = at(env, dev, leader).supervisor();
    let found = supervisor.search_archive(SearchArchiveRequest::default());
    let found = found.await.unwrap();
    assert_eq!((found.conversations.len(), found.damaged), (1, 0));
    assert_eq!(found.conversations[0].conversation_id, id);
    let id: ConversationId = id.parse().unwrap();
    let mended = async {
        while archive.shared.of.store.get(1, id.index.0).await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(WAIT, mended).await.expect("it is fetched");
}

/// Read, and answering copies, at every node.
async fn is_read_and_answers_copies(
    env: &Env,
    dev: &Dev,
    (id, sent, sequence): (&str, &SendRequest, u64),
) {
    for node in 0..3 {
        let client = at(env, dev, node);
        let customer = client.customer();
        let read = texts(&client, id).await;
        assert_eq!(read, ["hello", "where is my order?"]);
        let again = client.customer().send(sent.clone()).await.unwrap();
        assert_eq!(again.sequence, sequence, "the first answer again");
        let other = customer.send(message(id, "another", "hello?"));
        let refused = other.await.expect_err("it has ended");
        assert_eq!(refused.reason, ErrorReason::ConversationClosed);
        let changed = customer.send(message(id, "the-message", "other"));
        let refused = changed.await.expect_err("the id was used");
        assert_eq!(refused.reason, ErrorReason::RequestIdReused);
    }
    let client = at(env, dev, 0);
    let mut attached = client.customer().attach(id, 0);
    let first = timeout(WAIT, attached.next()).await.expect("it answers");
    assert!(first.is_some_and(|event| !matches!(event, Event::Ended(_))));
}

/// A customer who comes back is linked to what has left, and found at every node.
async fn is_linked_and_found(env: &Env, dev: &Dev, id: &str) {
    let client = client_of(env, &dev.api_addresses());
    let next = opened(&client).await;
    assert_ne!(next, id);
    let request = ListEarlierConversationsRequest {
        conversation_id: next,
        ..ListEarlierConversationsRequest::default()
    };
    let earlier = client
        .agent()
        .list_earlier_conversations(request)
        .await
        .unwrap();
    let earlier: Vec<_> = earlier.conversations.iter().collect();
    assert_eq!(earlier.len(), 1);
    assert_eq!(earlier[0].conversation_id, id);
    for node in 0..3 {
        let search = SearchArchiveRequest {
            account: "web-us".to_owned(),
            customer: "ann".to_owned(),
            ..SearchArchiveRequest::default()
        };
        let supervisor = at(env, dev, node).supervisor();
        let found = supervisor.search_archive(search).await.unwrap();
        assert_eq!(found.conversations.len(), 1);
        assert_eq!(found.conversations[0].conversation_id, id);
    }
}

/// A range that is missing, or wrong, in one archive is fetched from a peer.
async fn is_mended(dev: &Dev, left: ConversationId) {
    for archive in archives(dev) {
        let store = &archive.shared.of.store;
        let record = store.get(1, left.index.0).await.unwrap();
        let mut record = record.expect("every archive has it");
        let at = record.sealing();
        // One archive loses it, the next one has something else under its name.
        store.discard(1, at, at).await.unwrap();
        record.blob = wire::archive::encode(&{
            let mut other = wire::archive::decode(&record.blob).unwrap();
            other.handled_ms += 1;
            other
        })
        .into();
        let is_first = archive.shared.of.node == 1;
        if !is_first {
            store.append(vec![record]).await.unwrap();
        }
        archive.doubt();
        whole(&archive).await;
        let mended = store.get(1, left.index.0).await.unwrap();
        let mended = mended.expect("it was fetched");
        let read = wire::archive::decode(&mended.blob).unwrap();
        assert_eq!(read.handled_ms, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_while_only_one_site_has_it() {
    let env = memory::env(44);
    let dev = formed(&env, false).await;
    let client = client_of(&env, &dev.api_addresses());
    let id = opened(&client).await;
    ended(&client, &message(&id, "the-message", "bye")).await;
    let id: ConversationId = id.parse().unwrap();
    let leader = dev
        .nodes()
        .iter()
        .position(crate::start::Node::leads_a_cell);
    let leader = leader.expect("somebody leads");
    // The others go on, but their archives take nothing any more.
    for (at, archive) in archives(&dev).iter().enumerate() {
        if at != leader {
            archive.shared.of.store.close().await;
        }
    }
    sleep(RESTED).await;
    sleep(WAIT).await;
    let archive = &archives(&dev)[leader];
    assert!(
        archive
            .shared
            .view
            .with(|cell, _| { cell.conversation(id).is_some_and(|found| found.is_sealed()) })
    );
    assert!(has(archive, id), "sealed and kept");
    dev.shutdown().await;
}
