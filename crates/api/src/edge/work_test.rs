//! Claims about agents' streams at the edge; the test is client and owner.

use futures::StreamExt;
use pb::api::v1::work_request::Request as Act;
use pb::api::v1::work_response::Response as Worked;
use pb::api::v1::{HeartbeatRequest, LogInRequest, ReplyRequest, WorkWelcome};
use ports::StreamDown;

use super::super::fake::{client, edge, elsewhere};
use super::super::stream::{Responses, start};
use super::*;
use crate::limits;

fn act(request: Act) -> WorkRequest {
    WorkRequest {
        request: Some(request),
    }
}

fn hello() -> WorkRequest {
    act(Act::Hello(LogInRequest {
        agent: "ana".into(),
        request_id: "r0".into(),
        device_id: "d1".into(),
        ..LogInRequest::default()
    }))
}

async fn next_refused(responses: &mut Responses<WorkResponse>) -> (u64, pb::api::v1::WorkRefused) {
    let response = responses.next().await.expect("a message");
    match worked(response.expect("no status")) {
        (number, Worked::Refused(refused)) => (number, refused),
        other => panic!("not a refusal: {other:?}"),
    }
}

fn worked(response: WorkResponse) -> (u64, Worked) {
    (response.number, response.response.expect("a response"))
}

#[tokio::test]
async fn an_agents_responses_are_numbered_and_a_refused_text_comes_back_as_a_draft() {
    let (edge, fake) = edge();
    let (client, sent) = client();
    let mut responses = start::<WorkKind>(&edge, sent, None).expect("a stream");
    client.send(hello());
    let text = "x".repeat(limits::TEXT_BYTES_MAX + 1);
    let reply = ReplyRequest {
        request_id: "r1".into(),
        conversation_id: "c1-7".into(),
        text: text.clone(),
        ..ReplyRequest::default()
    };
    client.send(act(Act::Reply(reply)));
    client.send(act(Act::Heartbeat(HeartbeatRequest {
        agent: "bo".into(),
        session: 0,
    })));
    let (number, refused) = next_refused(&mut responses).await;
    assert_eq!(
        (number, refused.draft, refused.conversation_id.as_str()),
        (1, text, "c1-7")
    );
    let (number, refused) = next_refused(&mut responses).await;
    assert_eq!(
        (
            number,
            refused.refusal.expect("why").metadata["field"].as_str()
        ),
        (2, "agent")
    );
    let owner = fake
        .opened
        .lock()
        .expect("no panic")
        .pop_front()
        .expect("opened");
    let welcome = WorkResponse {
        number: 0,
        response: Some(Worked::Welcome(WorkWelcome::default())),
    };
    owner
        .down
        .try_send(StreamDown::Message(Box::new(forward_down::Response::Work(
            welcome,
        ))))
        .expect("room");
    let (number, welcome) = worked(
        responses
            .next()
            .await
            .expect("a message")
            .expect("no status"),
    );
    let Worked::Welcome(welcome) = welcome else {
        panic!("not a welcome")
    };
    assert_eq!((number, welcome.endpoints), (3, vec![elsewhere()]));
}
