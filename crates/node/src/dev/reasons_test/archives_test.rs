//! What archives that fail cost: what has left cannot be read, and then nothing new is begun.

use std::time::Duration;

use domain::ids::{CellId, ConversationId};
use futures::StreamExt;
use pb::api::v1::{
    CloseRequest, ErrorReason as R, GetTranscriptRequest, OpenRequest, SendRequest, SendResponse,
};
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use runtime::memory;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::{FLOOR, Heard};
use crate::archive::CellArchive;
use crate::dev::stubs_test::{Stubs, opening};
use crate::dev::talk_test::{WAIT, formed_with};
use crate::dev::{Dev, DevOptions};

/// Until a conversation that has ended is sealed, with some time for the archives.
const RESTED: Duration = Duration::from_secs(660);
/// The longest text.
const TEXT_BYTES: usize = 64 * 1024;
/// 64 MiB of ended conversations are the bound; each holds 1 MiB, and goes on in another one.
const TEXTS: usize = 1_100;
/// Messages of one customer on the way.
const AT_ONCE: usize = 16;

pub(super) async fn play() -> Heard {
    let env = memory::env(67);
    // Without bounds on how fast a customer may write.
    let floor = FLOOR.replace("customer_commands_max = 40", "customer_commands_max = 0");
    let options = DevOptions {
        floor: Some(floor),
        ..DevOptions::default()
    };
    let dev = formed_with(&env, options).await;
    let mut heard = Heard::default();
    let mut node = Stubs::at(&env, &dev.nodes()[0]).await;
    let id = node.opened("ann").await;
    let close = CloseRequest {
        conversation_id: id.clone(),
        request_id: node.id(),
        ..CloseRequest::default()
    };
    node.customers.close(close).await.unwrap();
    // tidy: allow(sleep) played on the paused clock of the scene that calls this
    sleep(RESTED).await;
    left(&dev, &id).await;
    read(&mut node, &id).await.unwrap();
    for archive in archives(&dev) {
        archive.shared.of.store.close().await;
    }
    heard.call(R::ArchiveUnreachable, read(&mut node, &id).await);

    let talks = node.opened("bob").await;
    talk(&node.channel, &talks).await;
    let request = OpenRequest {
        request_id: node.id(),
        ..opening("eve")
    };
    let said = heard.call(R::ArchiveBehind, node.customers.open(request).await);
    assert_ne!(said["waiting"], "0");
    dev.shutdown().await;
    heard
}

fn archives(dev: &Dev) -> Vec<CellArchive> {
    let of = |node: &crate::start::Node| {
        let cell = node.cells().get(CellId(1)).expect("the cell is here");
        cell.archive.clone()
    };
    dev.nodes().iter().map(of).collect()
}

/// Waits until every replica has let a conversation go.
async fn left(dev: &Dev, id: &str) {
    let id: ConversationId = id.parse().unwrap();
    let has = |archive: &CellArchive| {
        let view = &archive.shared.view;
        view.with(|cell, _| cell.conversation(id).is_some())
    };
    let gone = async {
        while archives(dev).iter().any(has) {
            // tidy: allow(sleep) played on the paused clock of the scene that calls this
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(WAIT, gone).await.expect("it leaves every state");
}

async fn read(
    node: &mut Stubs,
    id: &str,
) -> Result<tonic::Response<pb::api::v1::GetTranscriptResponse>, tonic::Status> {
    let request = GetTranscriptRequest {
        conversation_id: id.to_owned(),
        ..GetTranscriptRequest::default()
    };
    node.customers.get_transcript(request).await
}

/// One customer writes more than all that may wait for the archives.
async fn talk(channel: &Channel, id: &str) {
    let text = "x".repeat(TEXT_BYTES);
    let sending = (0..TEXTS).map(|number| {
        let request = SendRequest {
            conversation_id: id.to_owned(),
            request_id: format!("long-{number}"),
            text: text.clone(),
            ..SendRequest::default()
        };
        let mut stub = ConversationServiceClient::new(channel.clone());
        async move { stub.send(request).await }
    });
    let mut sending = futures::stream::iter(sending).buffer_unordered(AT_ONCE);
    while let Some(sent) = sending.next().await {
        let sent: SendResponse = sent.unwrap().into_inner();
        assert!(sent.sequence > 0);
    }
}
