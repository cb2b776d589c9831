//! A client that floods its stream and reads nothing.
//! Promise: what it can put in is bounded by what it leaves unread, and others are answered meanwhile.
//! Not here: clients that only listen and do not read (`streams` of the black-box tests), figures (`bench`).

use std::time::Duration;

use pb::api::v1::{AttachRequest, GetTranscriptRequest, OpenRequest, SendRequest, attach_request};
use runtime::memory;
use tokio::time::{Instant, timeout};

use super::DevOptions;
use super::stubs_test::{Attached, Stubs, opening};
use super::talk_test::{by_role, formed_with};

/// What the flooder would send.
const FLOOD: usize = 40_000;
/// Bytes of each text: many messages, so that answers are what fills up.
const TEXT_BYTES: usize = 1_024;
/// What it can put in before it is stopped. Answers and its own messages come back to it, which makes at least 1 KiB
/// for each that is stored: 64 of them fill the window that it does not open. Until then 128 are proposed, and
/// 1 MiB of its messages, which is 960, wait in the window of the node; each queue on the way, of 256 and 1,024,
/// is counted in full.
const TAKEN_MAX: usize = 64 + 128 + 960 + 256 + 1_024;
/// It is stopped when it cannot put one more in for so long.
const STOPPED: Duration = Duration::from_secs(30);
/// An answer to somebody else takes no longer.
const OTHERS_WAIT: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_client_that_floods_and_reads_nothing_is_stopped_and_others_are_answered() {
    let env = memory::env(75);
    let floor = include_str!("reasons_test/floor.toml");
    // Without bounds on how fast a customer may write: the harder case.
    let floor = floor.replace("customer_commands_max = 40", "customer_commands_max = 0");
    let options = DevOptions {
        floor: Some(floor),
        ..DevOptions::default()
    };
    let dev = formed_with(&env, options).await;
    let (_, leader) = by_role(&dev).await;
    // At the leader, and one hop away from it.
    for at in [leader, (leader + 1) % 3] {
        let mut node = Stubs::at(&env, &dev.nodes()[at]).await;
        let id = node.opened(&format!("flood-{at}")).await;
        let flooder = Stubs::at(&env, &dev.nodes()[at]).await;
        let stream = Attached::begin(flooder.channel, &id, 0).await.unwrap();
        let taken = flood(&stream, &id).await;
        assert!(taken <= TAKEN_MAX, "{taken} messages were taken");
        let others = Instant::now();
        let request = OpenRequest {
            request_id: node.id(),
            ..opening(&format!("other-{at}"))
        };
        let opened = node.customers.open(request).await.unwrap().into_inner();
        let request = SendRequest {
            conversation_id: opened.conversation_id,
            request_id: node.id(),
            text: "and I?".to_owned(),
            ..SendRequest::default()
        };
        node.customers.send(request).await.unwrap();
        assert!(others.elapsed() <= OTHERS_WAIT, "{:?}", others.elapsed());
        // What was taken is there, and its reader can have it.
        let request = GetTranscriptRequest {
            conversation_id: id,
            ..GetTranscriptRequest::default()
        };
        let read = node.customers.get_transcript(request).await.unwrap();
        assert!(!read.into_inner().items.is_empty());
    }
    dev.shutdown().await;
}

/// Sends until nothing more is taken; how many were.
async fn flood(stream: &Attached, id: &str) -> usize {
    let text = "x".repeat(TEXT_BYTES);
    for number in 0..FLOOD {
        let request = Some(attach_request::Request::Send(SendRequest {
            conversation_id: id.to_owned(),
            request_id: format!("flood-{number}"),
            text: text.clone(),
            ..SendRequest::default()
        }));
        let sending = stream.up.send(AttachRequest { request });
        if timeout(STOPPED, sending).await.is_err() {
            return number;
        }
    }
    FLOOD
}
