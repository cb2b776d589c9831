//! What streams are refused and ended for: a beginning that is none, a cursor ahead of everything, one reader too
//! many, a node that goes.

use pb::api::v1::{
    AttachBegin, AttachRequest, ErrorReason as R, SendRequest, attach_request, attach_response,
};
use runtime::Env;
use tonic::Status;
use tonic::transport::Channel;

use super::{Heard, formed};
use crate::dev::Dev;
use crate::dev::stubs_test::{Attached, Stubs};
use crate::dev::talk_test::by_role;

/// Streams that one conversation bears.
const BORNE: usize = 64;

pub(super) async fn play() -> Heard {
    let (env, dev) = formed(64).await;
    let mut heard = Heard::default();
    let mut node = Stubs::at(&env, &dev.nodes()[0]).await;
    let id = node.opened("ann").await;
    beginnings(&node, &mut heard, &id).await;
    words(&node, &mut heard, &id).await;
    crowd(&node, &mut heard, &id).await;
    drain(&env, &dev, &mut heard, &id).await;
    dev.shutdown().await;
    heard
}

/// What a stream that begins so hears first.
async fn first(
    channel: &Channel,
    first: attach_request::Request,
) -> Result<Option<attach_response::Response>, Status> {
    Attached::open(channel.clone(), first).await?.next().await
}

fn begin(id: &str, cursor: u64) -> attach_request::Request {
    attach_request::Request::Begin(AttachBegin {
        conversation_id: id.to_owned(),
        cursor,
        observe: false,
    })
}

fn send(id: &str, text: &str) -> attach_request::Request {
    attach_request::Request::Send(SendRequest {
        conversation_id: id.to_owned(),
        request_id: format!("{}-{}", text.len(), id),
        text: text.to_owned(),
        ..SendRequest::default()
    })
}

async fn beginnings(node: &Stubs, heard: &mut Heard, id: &str) {
    let early = first(&node.channel, send(id, "too early")).await;
    heard.call(R::StreamProtocol, early);
    let future = first(&node.channel, begin(id, 999)).await;
    let said = heard.call(R::CursorFromTheFuture, future);
    assert!(said.contains_key("lastSequence"), "{said:?}");
}

/// A text that is refused, and the stream goes on; a second beginning, and it ends.
async fn words(node: &Stubs, heard: &mut Heard, id: &str) {
    use attach_response::Response;
    let stream = Attached::begin(node.channel.clone(), id, 0).await;
    let mut stream = stream.unwrap();
    let up = stream.up.clone();
    let say = async |request| {
        let request = Some(request);
        up.send(AttachRequest { request }).await.unwrap();
    };
    say(send(id, "")).await;
    say(send(id, "heard")).await;
    let (mut refused, mut sent) = (0, 0);
    while refused + sent < 2 {
        match stream.next().await.unwrap().expect("it goes on") {
            Response::Refused(empty) => {
                let reason = empty.refusal.unwrap_or_default().reason();
                assert_eq!(reason, R::MessageEmpty);
                refused += 1;
            }
            Response::Sent(_) => sent += 1,
            _ => {}
        }
    }
    assert_eq!((refused, sent), (1, 1));
    say(begin(id, 0)).await;
    let ended = loop {
        match stream.next().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    heard.call(R::StreamProtocol, ended);
}

async fn crowd(node: &Stubs, heard: &mut Heard, id: &str) {
    let mut held = Vec::new();
    for _ in 0..BORNE {
        let stream = Attached::begin(node.channel.clone(), id, 0).await;
        let mut stream = stream.unwrap();
        stream.next().await.unwrap().expect("it is welcomed");
        held.push(stream);
    }
    heard.call(
        R::ResourceExhausted,
        first(&node.channel, begin(id, 0)).await,
    );
}

/// The leader goes: its streams are ended with a word, and new ones are refused.
async fn drain(env: &Env, dev: &Dev, heard: &mut Heard, id: &str) {
    let (_, leader) = by_role(dev).await;
    let going = &dev.nodes()[leader];
    let node = Stubs::at(env, going).await;
    let stream = Attached::begin(node.channel.clone(), id, 0).await;
    let mut stream = stream.unwrap();
    stream.next().await.unwrap().expect("it is welcomed");
    let (_, refused) = tokio::join!(going.shutdown(), first(&node.channel, begin(id, 0)));
    heard.call(R::NodeDraining, refused);
    loop {
        let said = stream.next().await.unwrap().expect("an end is told");
        if let attach_response::Response::Ended(ended) = said {
            heard.ended(R::NodeDraining, &ended);
            assert!(ended.cursor > 0 && !ended.endpoints.is_empty(), "{ended:?}");
            return;
        }
    }
}
