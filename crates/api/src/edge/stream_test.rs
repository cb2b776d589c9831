//! Claims about streams at the edge; the test is client and owner.

use std::sync::atomic::Ordering;

use futures::StreamExt;
use pb::api::v1::attach_request::Request as Ask;
use pb::api::v1::attach_response::Response as Told;
use pb::api::v1::{
    AttachBegin, AttachRequest, AttachResponse, AttachWelcome, ErrorReason, Item, SendRequest,
    StreamEnded,
};
use ports::StreamUp;
use runtime::mailbox;
use tonic::Code;
use tonic_types::StatusExt;

use super::super::attach::AttachKind;
use super::super::fake::{Client, Fake, Owned, client, edge, elsewhere};
use super::*;

fn ask(request: Ask) -> AttachRequest {
    AttachRequest {
        request: Some(request),
    }
}

fn begin(cursor: u64) -> AttachRequest {
    ask(Ask::Begin(AttachBegin {
        conversation_id: "c1-7".into(),
        cursor,
        observe: false,
    }))
}

fn send(request_id: &str, text: &str) -> AttachRequest {
    ask(Ask::Send(SendRequest {
        request_id: request_id.into(),
        text: text.into(),
        ..SendRequest::default()
    }))
}

fn told(response: Told) -> StreamDown {
    StreamDown::Message(Box::new(forward_down::Response::Attach(AttachResponse {
        response: Some(response),
    })))
}

fn item(sequence: u64) -> StreamDown {
    told(Told::Item(Item {
        sequence,
        ..Item::default()
    }))
}

fn reason_of(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

struct Attached {
    client: Option<Client<AttachRequest>>,
    responses: Responses<AttachResponse>,
    owner: Owned,
    edge: Edge,
    fake: Arc<Fake>,
}

/// A stream of conversation c1-7 that is on, its welcome read.
async fn attached(cursor: u64) -> Attached {
    let (edge, fake) = edge();
    let (client, sent) = client();
    let mut responses = start::<AttachKind>(&edge, sent, None).expect("a stream");
    client.send(begin(cursor));
    let opening = async {
        let owner = loop {
            if let Some(owner) = fake.opened.lock().expect("no panic").pop_front() {
                break owner;
            }
            tokio::task::yield_now().await;
        };
        owner
            .down
            .try_send(told(Told::Welcome(AttachWelcome::default())))
            .expect("room");
        owner
    };
    let (owner, welcome) = tokio::join!(opening, responses.next());
    assert_eq!((owner.first.group, owner.first.site.as_str()), (1, "fra"));
    let welcome = welcome.expect("a welcome").expect("no status");
    let Some(Told::Welcome(welcome)) = welcome.response else {
        panic!("not a welcome")
    };
    assert_eq!(
        welcome.endpoints,
        [elsewhere()],
        "the first answer names other endpoints"
    );
    Attached {
        client: Some(client),
        responses,
        owner,
        edge,
        fake,
    }
}

impl Attached {
    fn client(&self) -> &Client<AttachRequest> {
        self.client.as_ref().expect("not gone")
    }

    async fn told(&mut self) -> Told {
        let response = self
            .responses
            .next()
            .await
            .expect("a message")
            .expect("no status");
        response.response.expect("a response")
    }

    async fn status(&mut self) -> Status {
        self.responses
            .next()
            .await
            .expect("an end")
            .expect_err("a status")
    }
}

#[tokio::test]
async fn messages_reach_the_owner_in_order_and_items_the_client() {
    let mut stream = attached(0).await;
    stream.client().send(send("r1", "one"));
    stream.client().send(send("r2", "two"));
    for expected in ["r1", "r2"] {
        let Some(StreamUp::Message(up)) = stream.owner.up.recv().await else {
            panic!("not a message");
        };
        let forward_up::Request::Attach(up) = *up else {
            panic!("not a customer's message");
        };
        let Some(Ask::Send(send)) = up.request else {
            panic!("not a send")
        };
        assert_eq!(send.request_id, expected);
    }
    stream.owner.down.try_send(item(1)).expect("room");
    assert!(matches!(stream.told().await, Told::Item(item) if item.sequence == 1));
}

#[tokio::test]
async fn an_empty_or_oversized_text_is_refused_and_the_stream_lives_on() {
    let mut stream = attached(0).await;
    stream.client().send(send("r1", ""));
    stream
        .client()
        .send(send("r2", &"x".repeat(limits::TEXT_BYTES_MAX + 1)));
    stream.client().send(send("", "hi"));
    stream.client().send(send("r4", "fine"));
    let expected = [
        ("r1", ErrorReason::MessageEmpty),
        ("r2", ErrorReason::MessageTooLarge),
        ("", ErrorReason::FieldInvalid),
    ];
    for (id, reason) in expected {
        let Told::Refused(refused) = stream.told().await else {
            panic!("not a refusal")
        };
        assert_eq!(
            (
                refused.request_id.as_str(),
                refused.refusal.expect("why").reason()
            ),
            (id, reason)
        );
    }
    assert!(matches!(
        stream.owner.up.recv().await,
        Some(StreamUp::Message(_))
    ));
}

#[tokio::test]
async fn what_is_refused_is_answered_although_the_client_has_ended_its_side_and_its_owner_too() {
    let mut stream = attached(0).await;
    stream.client().send(send("r1", ""));
    stream.client().send(send("r2", ""));
    stream.client = None;
    // Both have happened before the response is read.
    let stop = stream.owner.up.recv().await;
    assert!(matches!(stop, Some(StreamUp::Stop { our_fault: false })));
    let over = told(Told::Ended(StreamEnded::default()));
    stream.owner.down.try_send(over).expect("room");
    for id in ["r1", "r2"] {
        let Told::Refused(refused) = stream.told().await else {
            panic!("not a refusal")
        };
        assert_eq!(refused.request_id, id);
    }
    assert!(stream.responses.next().await.is_none(), "a quiet end");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_always_has_more_to_say_does_not_put_the_drain_off() {
    let mut stream = attached(3).await;
    stream.fake.draining.store(true, Ordering::Relaxed);
    stream.edge.streams().drain(std::time::Duration::ZERO).await;
    let end = loop {
        let _ = stream.owner.down.try_send(item(4));
        match stream.told().await {
            Told::Item(_) => tokio::time::advance(std::time::Duration::from_millis(1)).await,
            other => break other,
        }
    };
    let Told::Ended(ended) = end else {
        panic!("not the end")
    };
    assert_eq!(ended.reason(), ErrorReason::NodeDraining);
}

#[tokio::test]
async fn another_conversation_inside_a_stream_is_refused() {
    let mut stream = attached(0).await;
    let foreign = SendRequest {
        conversation_id: "c1-8".into(),
        request_id: "r1".into(),
        ..SendRequest::default()
    };
    stream.client().send(ask(Ask::Send(foreign)));
    let Told::Refused(refused) = stream.told().await else {
        panic!("not a refusal")
    };
    assert_eq!(
        refused.refusal.expect("why").metadata["field"],
        "conversation_id"
    );
}

#[tokio::test]
async fn a_stream_that_sends_garbage_ends_with_its_reason() {
    for garbage in [AttachRequest { request: None }, begin(0)] {
        let mut stream = attached(0).await;
        stream.client().send(garbage);
        let status = stream.status().await;
        assert_eq!(
            (status.code(), reason_of(&status).as_str()),
            (Code::InvalidArgument, "STREAM_PROTOCOL")
        );
        assert!(matches!(
            stream.owner.up.recv().await,
            Some(StreamUp::Stop { our_fault: false })
        ));
    }
    let mut stream = attached(0).await;
    let undecodable = Status::internal("failed to decode Protobuf message");
    stream.client().0.try_send(Err(undecodable)).expect("room");
    assert_eq!(reason_of(&stream.status().await), "STREAM_PROTOCOL");
}

#[tokio::test]
async fn garbage_is_the_reason_also_when_the_owner_has_ended_its_side_first() {
    let mut stream = attached(0).await;
    stream.client().send(AttachRequest { request: None });
    let (owner, responses) = (&mut stream.owner, &mut stream.responses);
    let owning = async {
        let told_to_stop = owner.up.recv().await;
        assert!(matches!(told_to_stop, Some(StreamUp::Stop { .. })));
        let quiet = told(Told::Ended(StreamEnded::default()));
        owner.down.try_send(quiet).expect("room");
    };
    let ((), end) = tokio::join!(biased; owning, responses.next());
    let status = end.expect("an end").expect_err("a status");
    assert_eq!(reason_of(&status), "STREAM_PROTOCOL");
}

#[tokio::test]
async fn a_first_message_that_is_not_begin_ends_the_stream() {
    let (edge, fake) = edge();
    let (client, sent) = client();
    let mut responses = start::<AttachKind>(&edge, sent, None).expect("a stream");
    client.send(send("r1", "hi"));
    let status = responses
        .next()
        .await
        .expect("an end")
        .expect_err("a status");
    assert_eq!(reason_of(&status), "STREAM_PROTOCOL");
    assert!(
        fake.opened.lock().expect("no panic").is_empty(),
        "the owner was not asked"
    );
    assert_eq!(edge.streams().count(), 1, "until the response is dropped");
    drop(responses);
    assert_eq!(edge.streams().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_first_message_is_ended() {
    let (edge, _fake) = edge();
    let (_client, sent) = client::<AttachRequest>();
    let mut responses = start::<AttachKind>(&edge, sent, None).expect("a stream");
    let status = responses
        .next()
        .await
        .expect("an end")
        .expect_err("a status");
    assert_eq!(reason_of(&status), "STREAM_PROTOCOL");
}

#[tokio::test]
async fn an_unknown_conversation_ends_the_call_with_the_machines_reason() {
    let (edge, fake) = edge();
    let refusal = errors::refusal(
        ErrorReason::ConversationNotFound,
        "conversation c1-7 does not exist",
    );
    *fake.refuse_open.lock().expect("no panic") = Some(refusal);
    let (client, sent) = client();
    let mut responses = start::<AttachKind>(&edge, sent, None).expect("a stream");
    client.send(begin(0));
    let status = responses
        .next()
        .await
        .expect("an end")
        .expect_err("a status");
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::NotFound, "CONVERSATION_NOT_FOUND")
    );
    assert!(responses.next().await.is_none());
}

#[tokio::test]
async fn a_broken_path_interrupts_and_ends_with_endpoints_and_cursor() {
    let mut stream = attached(3).await;
    stream.owner.down.try_send(item(4)).expect("room");
    let (_up, down) = (
        &stream.owner.up,
        std::mem::replace(&mut stream.owner.down, mailbox::bounded("none", 1).0),
    );
    drop(down);
    assert!(matches!(stream.told().await, Told::Item(_)));
    assert!(matches!(stream.told().await, Told::Interrupted(_)));
    let Told::Ended(ended) = stream.told().await else {
        panic!("not the end")
    };
    assert_eq!((ended.reason(), ended.cursor), (ErrorReason::NotLeader, 4));
    assert_eq!(ended.endpoints, [elsewhere()]);
    assert!(ended.retry_after_ms > 0);
    assert!(stream.responses.next().await.is_none());
}

#[tokio::test]
async fn a_slow_reader_is_dropped_with_its_cursor() {
    let mut stream = attached(3).await;
    for sequence in 4..=6 {
        stream.owner.down.try_send(item(sequence)).expect("room");
    }
    stream
        .owner
        .down
        .try_send(StreamDown::Failed(Box::new(errors::slow_consumer())))
        .expect("room");
    for _ in 4..=6 {
        assert!(matches!(stream.told().await, Told::Item(_)));
    }
    let Told::Ended(ended) = stream.told().await else {
        panic!("not the end")
    };
    assert_eq!(
        (ended.reason(), ended.cursor),
        (ErrorReason::SlowConsumer, 6)
    );
    assert_eq!(ended.endpoints, [elsewhere()]);
}

#[tokio::test]
async fn a_stream_that_got_nothing_yet_resumes_from_the_cursor_it_came_with() {
    let mut stream = attached(9).await;
    stream
        .owner
        .down
        .try_send(StreamDown::Failed(Box::new(errors::quorum_lost())))
        .expect("room");
    assert!(matches!(stream.told().await, Told::Interrupted(_)));
    let Told::Ended(ended) = stream.told().await else {
        panic!("not the end")
    };
    assert_eq!((ended.reason(), ended.cursor), (ErrorReason::QuorumLost, 9));
}

#[tokio::test(start_paused = true)]
async fn draining_ends_streams_with_endpoints_and_tells_the_owner_whose_fault_it_is() {
    let mut stream = attached(3).await;
    stream.fake.draining.store(true, Ordering::Relaxed);
    stream.edge.streams().drain(std::time::Duration::ZERO).await;
    let Told::Ended(ended) = stream.told().await else {
        panic!("not the end")
    };
    assert_eq!(
        (ended.reason(), ended.cursor),
        (ErrorReason::NodeDraining, 3)
    );
    assert_eq!(ended.endpoints, [elsewhere()]);
    assert!(ended.retry_after_ms > 0);
    assert!(matches!(
        stream.owner.up.recv().await,
        Some(StreamUp::Stop { our_fault: true })
    ));
    let (_client, sent) = client::<AttachRequest>();
    let refused = start::<AttachKind>(&stream.edge, sent, None)
        .err()
        .expect("no new stream");
    assert_eq!(reason_of(&refused), "NODE_DRAINING");
}

#[tokio::test]
async fn a_client_that_leaves_is_no_fault_of_ours() {
    let Attached {
        client,
        responses,
        mut owner,
        ..
    } = attached(0).await;
    drop(responses);
    assert!(
        owner.up.recv().await.is_none(),
        "its side ends without a word about us"
    );
    drop(client);
}

#[tokio::test]
async fn a_client_that_has_ended_its_side_still_reads_what_is_under_way() {
    let mut stream = attached(0).await;
    stream.client().send(send("r1", "last words"));
    stream.client = None;
    assert!(matches!(
        stream.owner.up.recv().await,
        Some(StreamUp::Message(_))
    ));
    assert!(matches!(
        stream.owner.up.recv().await,
        Some(StreamUp::Stop { our_fault: false })
    ));
    stream.owner.down.try_send(item(1)).expect("room");
    let over = told(Told::Ended(StreamEnded::default()));
    stream.owner.down.try_send(over).expect("room");
    assert!(matches!(stream.told().await, Told::Item(_)));
    assert!(stream.responses.next().await.is_none(), "a quiet end");
}

#[tokio::test]
async fn a_path_that_breaks_after_the_client_has_ended_its_side_is_no_good_end() {
    let mut stream = attached(0).await;
    stream.client().send(send("r1", "last words"));
    stream.client = None;
    while let Some(StreamUp::Message(_)) = stream.owner.up.recv().await {}
    stream.owner.down.try_send(item(1)).expect("room");
    stream.owner.down = mailbox::bounded("none", 1).0;
    assert!(matches!(stream.told().await, Told::Item(_)));
    assert!(matches!(stream.told().await, Told::Interrupted(_)));
    let Told::Ended(ended) = stream.told().await else {
        panic!("not the end")
    };
    assert_eq!((ended.reason(), ended.cursor), (ErrorReason::NotLeader, 1));
    assert_eq!(ended.endpoints, [elsewhere()], "where it goes on");
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_while_the_node_drains_is_said_before_the_end() {
    let mut stream = attached(3).await;
    stream.client().send(send("r1", "the last one"));
    let message = stream.owner.up.recv().await;
    assert!(matches!(message, Some(StreamUp::Message(_))));
    stream.fake.draining.store(true, Ordering::Relaxed);
    stream.edge.streams().drain(std::time::Duration::ZERO).await;
    let owner = &mut stream.owner;
    let responses = &mut stream.responses;
    let answering = async {
        let stop = owner.up.recv().await;
        assert!(matches!(stop, Some(StreamUp::Stop { our_fault: true })));
        owner.down.try_send(item(4)).expect("room");
        let over = told(Told::Ended(StreamEnded::default()));
        owner.down.try_send(over).expect("room");
    };
    let ((), first) = tokio::join!(answering, responses.next());
    let first = first.expect("a message").expect("no status");
    assert!(matches!(first.response, Some(Told::Item(item)) if item.sequence == 4));
    let Told::Ended(ended) = stream.told().await else {
        panic!("not the end")
    };
    assert_eq!(
        (ended.reason(), ended.cursor),
        (ErrorReason::NodeDraining, 4)
    );
}

#[tokio::test]
async fn a_draining_leader_ends_its_streams_for_that_reason_and_not_for_the_hand_over() {
    let mut stream = attached(3).await;
    stream.fake.draining.store(true, Ordering::Relaxed);
    let handed_over = StreamDown::Failed(Box::new(errors::not_leader(Some("2"))));
    stream.owner.down.try_send(handed_over).expect("room");
    let Told::Ended(ended) = stream.told().await else {
        panic!("not the end")
    };
    assert_eq!(
        (ended.reason(), ended.cursor),
        (ErrorReason::NodeDraining, 3)
    );
    assert_eq!(ended.endpoints, [elsewhere()]);
}

#[tokio::test]
async fn a_node_full_of_streams_refuses_with_a_retry_hint() {
    let (edge, _fake) = edge();
    let open: Vec<_> = (0..2)
        .map(|_| start::<AttachKind>(&edge, client().1, None).expect("room"))
        .collect();
    let refused = start::<AttachKind>(&edge, client().1, None)
        .err()
        .expect("full");
    assert_eq!(
        (refused.code(), reason_of(&refused).as_str()),
        (Code::ResourceExhausted, "RESOURCE_EXHAUSTED")
    );
    assert!(refused.get_error_details().retry_info().is_some());
    drop(open);
}
