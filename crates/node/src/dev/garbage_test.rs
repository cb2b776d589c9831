//! Bytes that are no request: before HTTP/2, in its frames, in the frames of gRPC, in messages, in gRPC-Web.
//! Promise: each connection is answered or closed within the time that a silent one has, and the node serves on.
//! Not here: requests that can be read and hold what they may not (`hostile_test`).

use std::time::Duration;

use api::limits;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use pb::api::v1::{AttachBegin, AttachRequest, ErrorReason, attach_request};
use prost::Message as _;
use runtime::{BoxConn, Env, memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

use super::stubs_test::{Raw, Stubs};
use super::talk_test::formed_with;
use super::{Dev, DevOptions};

/// How HTTP/2 begins, with settings that say nothing.
const BEGUN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// No connection that says nothing more lasts longer: a ping and the wait for its answer.
const SILENCE: Duration = limits::SERVER_KEEPALIVE_EVERY
    .saturating_add(limits::SERVER_KEEPALIVE_WAIT)
    .saturating_add(limits::SERVER_HANDSHAKE_WAIT);
const SEND: &str = "/antiphon.api.v1.ConversationService/Send";
const ATTACH: &str = "/antiphon.api.v1.ConversationService/Attach";
const WATCH: &str = "/antiphon.api.v1.FloorService/WatchFloor";

async fn floor(env: &Env) -> Dev {
    let options = DevOptions {
        floor: Some(include_str!("reasons_test/floor.toml").to_owned()),
        ..DevOptions::default()
    };
    formed_with(env, options).await
}

async fn dial(env: &Env, dev: &Dev) -> BoxConn {
    let api = dev.nodes()[0].addresses().api.to_string();
    env.network.dial(&api).await.unwrap()
}

/// Says these bytes and no more, and hears the other side to its end.
async fn said(env: &Env, dev: &Dev, bytes: &[u8]) -> Vec<u8> {
    let mut connection = dial(env, dev).await;
    // The node may close while this is written: that is an answer too.
    let _ = connection.write_all(bytes).await;
    let mut heard = Vec::new();
    let hearing = connection.read_to_end(&mut heard);
    let ended = timeout(SILENCE + Duration::from_secs(1), hearing).await;
    assert!(
        ended.is_ok(),
        "{:?} holds a connection",
        Bytes::copy_from_slice(bytes)
    );
    heard
}

/// One frame of HTTP/2 with this length in its head, whatever follows.
fn frame(length: u32, kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, 0]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test(start_paused = true)]
async fn connections_that_speak_no_http_2_are_answered_or_closed_and_the_node_serves_on() {
    let env = memory::env(72);
    let dev = floor(&env).await;
    let begun = |more: Vec<u8>| [BEGUN, &more].concat();
    let mut sayings = vec![
        Vec::new(),
        vec![0xff; 4_096],
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
        BEGUN[..20].to_vec(),
        begun(vec![0xee; 64]),
        // A frame of 16 MiB, where 16 KiB were agreed upon; half a frame; a frame of a stream that never began.
        begun(frame(0x00ff_ffff, 0, 1, &[0; 100])),
        begun(frame(400, 1, 1, &[0x82; 7])),
        begun(frame(4, 0, 9, &[0; 4])),
        // Headers that no table of the format knows; a window that grows by nothing; settings of half a size.
        begun(frame(6, 1, 1, &[0xff; 6])),
        begun(frame(4, 8, 0, &[0; 4])),
        begun(frame(5, 4, 0, &[0; 5])),
    ];
    for length in [1, 17, 300, 5_000] {
        let random = (0..length).map(|_| env.random.next_u64().to_le_bytes()[0]);
        sayings.push(random.collect());
        let random = (0..length).map(|_| env.random.next_u64().to_le_bytes()[0]);
        sayings.push(begun(random.collect()));
    }
    for saying in sayings {
        said(&env, &dev, &saying).await;
    }
    Stubs::at(&env, &dev.nodes()[0]).await.opened("ann").await;
    dev.shutdown().await;
}

/// The reason of a refusal.
fn reason(status: &Status) -> ErrorReason {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{status:?}"));
    let name = format!("ERROR_REASON_{}", info.reason);
    ErrorReason::from_str_name(&name).unwrap_or_else(|| panic!("{status:?}"))
}

/// Posts a body to a method, whatever it holds; how the call ended.
async fn posted(node: &Stubs, path: &str, kind: &str, body: &[u8]) -> (HeaderMap, Vec<u8>) {
    let request = Request::post(format!("http://node{path}"))
        .header("content-type", kind)
        .header("te", "trailers")
        .body(Body::new(Full::new(Bytes::copy_from_slice(body))))
        .unwrap();
    let mut channel = node.channel.clone();
    let answered = channel.ready().await.unwrap().call(request).await.unwrap();
    let (head, body) = answered.into_parts();
    let body = body.collect().await.unwrap();
    let mut headers = head.headers;
    headers.extend(body.trailers().cloned().unwrap_or_default());
    (headers, body.to_bytes().to_vec())
}

#[tokio::test(start_paused = true)]
async fn frames_and_messages_that_are_none_are_refused_with_a_reason() {
    use ErrorReason as R;
    let env = memory::env(73);
    let dev = floor(&env).await;
    let mut node = Stubs::at(&env, &dev.nodes()[0]).await;
    let id = node.opened("ann").await;
    let cases: [(&[u8], R); 7] = [
        (&[], R::MessageMalformed),
        (&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff], R::MessageMalformed),
        // Half a head, half a message, a flag that does not exist.
        (&[0, 0, 0], R::MessageMalformed),
        (&[0, 0, 0, 0, 100, 10, 1, b'c'], R::MessageMalformed),
        (&[7, 0, 0, 0, 0], R::MessageMalformed),
        // It says that it is compressed, and nothing said how.
        (&[1, 0, 0, 0, 1, 0], R::MessageMalformed),
        (&[0, 0xff, 0xff, 0xff, 0xff], R::MessageTooLarge),
    ];
    for (body, expected) in cases {
        let (headers, _) = posted(&node, SEND, "application/grpc", body).await;
        let status = Status::from_header_map(&headers).unwrap();
        assert_eq!(reason(&status), expected, "{body:?}");
        assert_eq!(status.code(), Code::InvalidArgument, "{body:?}");
        let (headers, _) = posted(&node, WATCH, "application/grpc", body).await;
        let status = Status::from_header_map(&headers).unwrap();
        // Nothing at all is a request to watch that asks for nothing in particular, but it must be said.
        assert_eq!(reason(&status), expected, "{body:?}");
    }
    let begin = attach_request::Request::Begin(AttachBegin {
        conversation_id: id,
        cursor: 0,
        observe: true,
    });
    let request = Some(begin);
    let begin = AttachRequest { request }.encode_to_vec();
    let raw = Raw(node.channel.clone());
    for messages in [vec![vec![0xff; 9]], vec![begin, vec![0xff; 9]]] {
        let mut down = raw.stream(ATTACH, stream::iter(messages)).await.unwrap();
        let status = loop {
            match down.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a word"),
                Err(status) => break status,
            }
        };
        assert_eq!(reason(&status), R::StreamProtocol);
    }
    node.opened("bob").await;
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_sends_garbage_is_told_so() {
    let env = memory::env(74);
    let dev = floor(&env).await;
    let mut node = Stubs::at(&env, &dev.nodes()[0]).await;
    let bodies: [(&str, &[u8]); 6] = [
        ("application/grpc-web+proto", &[]),
        ("application/grpc-web+proto", &[0xff; 300]),
        ("application/grpc-web+proto", &[0, 0, 0, 0, 100, 1]),
        ("application/grpc-web-text", b"!!!! this is no base64 !!!!"),
        ("application/grpc-web-text", b"AAAAAA"),
        ("application/grpc-web-text", b"//////////8="),
    ];
    for (kind, body) in bodies {
        let (headers, _) = posted(&node, SEND, kind, body).await;
        let status = Status::from_header_map(&headers).expect("it is answered");
        assert_eq!(status.code(), Code::InvalidArgument, "{kind} {body:?}");
        let bad = [ErrorReason::MessageMalformed, ErrorReason::MessageTooLarge];
        assert!(
            bad.contains(&reason(&status)),
            "{kind} {body:?}: {status:?}"
        );
    }
    node.opened("ann").await;
    dev.shutdown().await;
}
