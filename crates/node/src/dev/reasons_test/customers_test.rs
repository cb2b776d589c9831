//! What customers may not: texts, names, ids and states that are refused.

use pb::api::v1::{
    CloseRequest, ErrorReason as R, GetTranscriptRequest, OpenRequest, RateRequest, SendRequest,
};
use tonic::{Response, Status};

use super::{Heard, formed};
use crate::dev::stubs_test::{Raw, Stubs, opening};

/// The longest text, one byte longer.
const TOO_LONG: usize = 64 * 1024 + 1;
/// More than the floor lets a customer ask in its window.
const HASTY: usize = 64;

pub(super) async fn play() -> Heard {
    let (env, dev) = formed(61).await;
    let (mut node, mut heard) = (Stubs::at(&env, &dev.nodes()[0]).await, Heard::default());
    texts(&mut node, &mut heard).await;
    names(&mut node, &mut heard).await;
    ids(&mut node, &mut heard).await;
    ends(&mut node, &mut heard).await;
    haste(&mut node, &mut heard).await;
    dev.shutdown().await;
    heard
}

async fn send(
    node: &mut Stubs,
    conversation: &str,
    text: &str,
) -> Result<Response<pb::api::v1::SendResponse>, Status> {
    let request = SendRequest {
        conversation_id: conversation.to_owned(),
        request_id: node.id(),
        text: text.to_owned(),
        ..SendRequest::default()
    };
    node.customers.send(request).await
}

async fn rate(
    node: &mut Stubs,
    conversation: &str,
    score: u32,
) -> Result<Response<pb::api::v1::RateResponse>, Status> {
    let request = RateRequest {
        conversation_id: conversation.to_owned(),
        request_id: node.id(),
        score,
        ..RateRequest::default()
    };
    node.customers.rate(request).await
}

async fn texts(node: &mut Stubs, heard: &mut Heard) {
    let id = node.opened("texts").await;
    heard.call(R::MessageEmpty, send(node, &id, "").await);
    let long = "x".repeat(TOO_LONG);
    let said = heard.call(R::MessageTooLarge, send(node, &id, &long).await);
    assert_eq!(said["limitBytes"], "65536");
    send(node, &id, &long[1..]).await.unwrap();
    let frame = "x".repeat(api::limits::RECEIVE_BYTES_MAX);
    let said = heard.call(R::MessageTooLarge, send(node, &id, &frame).await);
    assert_eq!(said["limitBytes"], "262144", "it is not even decoded");
    let raw = Raw(node.channel.clone());
    let path = "/antiphon.api.v1.ConversationService/Send";
    // A field of a number that does not exist, of a type that does not exist.
    heard.call(R::MessageMalformed, raw.call(path, vec![0xff; 40]).await);
    // A text that ends before its length does, and one that is no text.
    heard.call(R::MessageMalformed, raw.call(path, vec![10, 9, b'c']).await);
    heard.call(R::MessageMalformed, raw.call(path, vec![10, 1, 0xc3]).await);
    send(node, &id, "still here").await.unwrap();
}

async fn names(node: &mut Stubs, heard: &mut Heard) {
    let to = |queue: &str, request_id: String| OpenRequest {
        request_id,
        queue: queue.to_owned(),
        ..opening("names")
    };
    let request = to("nowhere", node.id());
    heard.call(R::QueueNotFound, node.customers.open(request).await);
    let request = OpenRequest {
        account: "nowhere".to_owned(),
        ..to("", node.id())
    };
    heard.call(R::AccountNotFound, node.customers.open(request).await);
    let unnamed = OpenRequest {
        customer: String::new(),
        ..to("", node.id())
    };
    let said = heard.call(R::FieldInvalid, node.customers.open(unnamed).await);
    assert_eq!(said["field"], "customer");
    node.opened_in("first", "narrow").await;
    let request = to("narrow", node.id());
    let said = heard.call(R::QueueFull, node.customers.open(request).await);
    assert_eq!((&*said["queue"], &*said["limit"]), ("narrow", "1"));
}

async fn ids(node: &mut Stubs, heard: &mut Heard) {
    let id = node.opened("ids").await;
    let first = SendRequest {
        conversation_id: id.clone(),
        request_id: node.id(),
        text: "eins".to_owned(),
        ..SendRequest::default()
    };
    let sent = node.customers.send(first.clone()).await.unwrap();
    let again = node.customers.send(first.clone()).await.unwrap();
    assert_eq!(again.into_inner().sequence, sent.into_inner().sequence);
    let other = SendRequest {
        text: "zwei".to_owned(),
        ..first
    };
    heard.call(R::RequestIdReused, node.customers.send(other).await);
    // In a cell, in a cell that does not exist, and in the group that is no cell.
    for unknown in ["c1-999999999", "c77-5", "c0-5"] {
        let answer = send(node, unknown, "Hallo").await;
        heard.call(R::ConversationNotFound, answer);
        let request = GetTranscriptRequest {
            conversation_id: unknown.to_owned(),
            ..GetTranscriptRequest::default()
        };
        let answer = node.customers.get_transcript(request).await;
        heard.call(R::ConversationNotFound, answer);
    }
}

async fn ends(node: &mut Stubs, heard: &mut Heard) {
    let id = node.opened("ends").await;
    heard.call(R::ScoreOutOfRange, rate(node, &id, 6).await);
    heard.call(R::WrongState, rate(node, &id, 5).await);
    let close = CloseRequest {
        conversation_id: id.clone(),
        request_id: node.id(),
        ..CloseRequest::default()
    };
    node.customers.close(close).await.unwrap();
    heard.call(R::ConversationClosed, send(node, &id, "one more").await);
    rate(node, &id, 5).await.unwrap();
    let said = heard.call(R::NotAllowed, rate(node, &id, 4).await);
    assert_eq!(said["act"], "rate twice");
}

async fn haste(node: &mut Stubs, heard: &mut Heard) {
    let id = node.opened("hasty").await;
    for _ in 0..HASTY {
        if let Err(refused) = send(node, &id, "now").await {
            heard.call(R::RateLimited, Err::<(), _>(refused));
            return;
        }
    }
    panic!("{HASTY} messages at once were taken");
}
