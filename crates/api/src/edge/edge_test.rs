//! Claims about unary calls at the edge; the test is the owner.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use pb::api::v1::*;
use pb::raft::v1::{WorkAnswer, forward_answer, forward_call};
use rpc::api::v1::agent_service_server::AgentService;
use rpc::api::v1::cluster_service_server::ClusterService;
use rpc::api::v1::conversation_service_server::ConversationService;
use rpc::api::v1::floor_service_server::FloorService;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::fake::{edge, elsewhere};
use super::{Agents, Clusters, Conversations, Floors};
use crate::errors;

fn reason_of(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

fn an_open() -> OpenRequest {
    OpenRequest {
        request_id: "r1".into(),
        account: "web-cn".into(),
        customer: "li".into(),
        ..OpenRequest::default()
    }
}

#[tokio::test]
async fn an_open_goes_to_the_customers_cell_and_its_answer_names_other_endpoints() {
    let (edge, fake) = edge();
    let answer = OpenResponse {
        conversation_id: "c1-7".into(),
        ..OpenResponse::default()
    };
    fake.answers
        .lock()
        .expect("no panic")
        .push_back(Ok(forward_answer::Response::Open(answer)));
    let mut request = Request::new(an_open());
    request.set_timeout(Duration::from_secs(2));
    let opened = Conversations(edge)
        .open(request)
        .await
        .expect("open")
        .into_inner();
    assert_eq!(
        (opened.conversation_id.as_str(), opened.endpoints),
        ("c1-7", vec![elsewhere()])
    );
    let calls = fake.calls.lock().expect("no panic");
    assert_eq!(
        (calls[0].group, calls[0].site.as_str(), calls[0].deadline_ms),
        (1, "fra", 1_950)
    );
}

#[tokio::test]
async fn what_the_edge_refuses_is_never_asked() {
    let (edge, fake) = edge();
    let conversations = Conversations(edge);
    let empty = SendRequest {
        conversation_id: "c1-7".into(),
        request_id: "r1".into(),
        ..SendRequest::default()
    };
    let refused = conversations
        .send(Request::new(empty))
        .await
        .expect_err("empty");
    assert_eq!(
        (refused.code(), reason_of(&refused).as_str()),
        (Code::InvalidArgument, "MESSAGE_EMPTY")
    );
    let nowhere = SendRequest {
        conversation_id: "7".into(),
        request_id: "r1".into(),
        ..SendRequest::default()
    };
    let refused = conversations
        .send(Request::new(nowhere))
        .await
        .expect_err("not an id");
    assert_eq!(
        refused
            .get_error_details()
            .error_info()
            .expect("why")
            .metadata["field"],
        "conversation_id"
    );
    assert!(fake.calls.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_owner_keeps_its_reason_and_hint() {
    let (edge, fake) = edge();
    fake.answers
        .lock()
        .expect("no panic")
        .push_back(Err(errors::not_leader(Some("sha-n1"))));
    let refused = Conversations(edge)
        .open(Request::new(an_open()))
        .await
        .expect_err("not the leader");
    assert_eq!(
        (refused.code(), reason_of(&refused).as_str()),
        (Code::Unavailable, "NOT_LEADER")
    );
    assert!(refused.get_error_details().retry_info().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_may_have_been_done_if_it_changes_something() {
    let (edge, fake) = edge();
    fake.silent.store(true, Ordering::Relaxed);
    let conversations = Conversations(edge);
    let unknown = conversations
        .open(Request::new(an_open()))
        .await
        .expect_err("no answer");
    assert_eq!(
        (unknown.code(), reason_of(&unknown).as_str()),
        (Code::Unknown, "OUTCOME_UNKNOWN")
    );
    let read = GetTranscriptRequest {
        conversation_id: "c1-7".into(),
        ..GetTranscriptRequest::default()
    };
    let lost = conversations
        .get_transcript(Request::new(read))
        .await
        .expect_err("no answer");
    assert_eq!(
        (lost.code(), reason_of(&lost).as_str()),
        (Code::Unavailable, "QUORUM_LOST")
    );
}

#[tokio::test]
async fn a_unary_act_is_asked_as_the_act_of_the_stream() {
    let (edge, fake) = edge();
    let done = WorkDone {
        conversation_id: "c1-7".into(),
        owner_epoch: 4,
        ..WorkDone::default()
    };
    let answer = WorkAnswer {
        done: Some(done),
        log_in: None,
    };
    fake.answers
        .lock()
        .expect("no panic")
        .push_back(Ok(forward_answer::Response::Work(answer)));
    let agents = Agents(edge);
    let accept = AcceptOfferRequest {
        agent: "ana".into(),
        session: 3,
        request_id: "r1".into(),
        offer_id: "o1-1-5".into(),
        owner_epoch: 3,
    };
    let accepted = agents
        .accept_offer(Request::new(accept.clone()))
        .await
        .expect("taken")
        .into_inner();
    assert_eq!(accepted.owner_epoch, 4);
    let asked = fake.calls.lock().expect("no panic")[0].request.clone();
    let expected = WorkRequest {
        request: Some(work_request::Request::Accept(accept.clone())),
    };
    assert_eq!(asked, Some(forward_call::Request::Work(expected)));
    let nobody = AcceptOfferRequest {
        agent: String::new(),
        ..accept
    };
    let refused = agents
        .accept_offer(Request::new(nobody))
        .await
        .expect_err("no agent");
    assert_eq!(reason_of(&refused), "FIELD_INVALID");
}

#[tokio::test(start_paused = true)]
async fn a_floor_stream_prints_its_index_and_ends_with_endpoints_when_the_node_drains() {
    let (edge, _fake) = edge();
    let floors = Floors(edge.clone());
    let mut views = floors
        .watch_floor(Request::new(WatchFloorRequest { every_ms: 0 }))
        .await
        .expect("on")
        .into_inner();
    let first = views
        .next()
        .await
        .expect("a view")
        .expect("no status")
        .response
        .expect("a response");
    let watch_floor_response::Response::Floor(view) = first else {
        panic!("not a view")
    };
    assert_eq!((view.applied_index, view.endpoints), (7, vec![elsewhere()]));
    edge.streams().drain(Duration::ZERO).await;
    let last = views
        .next()
        .await
        .expect("an end")
        .expect("no status")
        .response
        .expect("a response");
    let watch_floor_response::Response::Ended(ended) = last else {
        panic!("not the end")
    };
    assert_eq!(
        (ended.reason(), ended.endpoints),
        (ErrorReason::NodeDraining, vec![elsewhere()])
    );
}

#[tokio::test]
async fn a_node_is_asked_by_its_name_and_a_name_of_control_characters_is_refused() {
    let (edge, fake) = edge();
    let answer = GetLogLevelResponse {
        level: Some(LogLevelView {
            filter: "info".into(),
            ..LogLevelView::default()
        }),
    };
    let answered = Ok(forward_answer::Response::GetLogLevel(answer.clone()));
    fake.answers.lock().expect("no panic").push_back(answered);
    let ask = |node: &str| {
        let request = Request::new(GetLogLevelRequest { node: node.into() });
        let clusters = Clusters(edge.clone());
        async move { clusters.get_log_level(request).await }
    };
    let told = ask("fra-n1").await.expect("an answer").into_inner();
    assert_eq!(told, answer);
    assert_eq!(fake.acts.lock().expect("no panic")[0].0, "fra-n1");
    let refused = ask("fra\n").await.expect_err("no name");
    assert_eq!(reason_of(&refused), "FIELD_INVALID");
}
