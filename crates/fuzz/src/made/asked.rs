//! Requests of clients, and frames between nodes.
//! Promise: every kind that a target tells apart is among them.
//! Not here: what they are read as (`api_calls`, `replicas`).

#![expect(
    clippy::needless_update,
    reason = "one form for all messages, also for those of which every field is given"
)]

use pb::api::v1 as api;
use pb::api::v1::work_request::Request as Act;
use pb::raft::v1 as raft;
use pb::raft::v1::forward_call::Request;
use prost::Message;

use super::kind;

const REQUEST_ID: &str = "6f1c2d3e-0000-4abc-8def-0123456789ab";
const CONVERSATION: &str = "c1-9";
const OFFER: &str = "o1-1-3";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A message with these fields and no others.
macro_rules! of {
    ($message:ident { $($field:ident: $value:expr),* $(,)? }) => {
        api::$message { $($field: $value.into(),)* ..api::$message::default() }
    };
}

fn customers() -> Vec<Request> {
    let topics: Vec<String> = vec!["buses".to_owned()];
    vec![
        Request::Open(api::OpenRequest {
            topics,
            ..of!(OpenRequest {
                request_id: REQUEST_ID,
                account: "web-cn",
                customer: "li",
                language: "zh",
                text: "你好",
                device_id: "phone",
                device_counter: 3_u64,
            })
        }),
        Request::Send(of!(SendRequest {
            request_id: "r-2",
            conversation_id: CONVERSATION,
            text: "hello",
        })),
        Request::Mark(of!(MarkRequest {
            conversation_id: CONVERSATION,
            read_sequence: 3_u64
        })),
        Request::GetTranscript(of!(GetTranscriptRequest {
            conversation_id: CONVERSATION
        })),
        Request::Close(of!(CloseRequest {
            request_id: "r-3",
            conversation_id: CONVERSATION,
            reason: "done",
        })),
        Request::Rate(of!(RateRequest {
            request_id: "r-4",
            conversation_id: CONVERSATION,
            score: 5_u32,
            comment: "谢谢",
        })),
    ]
}

fn acts() -> Vec<Act> {
    let intent = || {
        Some(of!(Intent {
            ready: true,
            reason: "back"
        }))
    };
    vec![
        Act::Hello(api::LogInRequest {
            intent: intent(),
            ..of!(LogInRequest {
                agent: "li-wei",
                request_id: "r-5",
                device_id: "desk-1"
            })
        }),
        Act::Heartbeat(of!(HeartbeatRequest { agent: "li-wei" })),
        Act::OfferShown(of!(ShowOfferRequest {
            agent: "li-wei",
            offer_id: OFFER
        })),
        Act::Accept(of!(AcceptOfferRequest {
            agent: "li-wei",
            request_id: "r-6",
            offer_id: OFFER
        })),
        Act::Decline(of!(DeclineOfferRequest {
            agent: "li-wei",
            request_id: "r-7",
            offer_id: OFFER,
            reason: "busy",
        })),
        Act::Reply(of!(ReplyRequest {
            agent: "li-wei",
            request_id: "r-8",
            conversation_id: CONVERSATION,
            text: "good day",
        })),
        Act::Transfer(api::TransferConversationRequest {
            target: Some(api::transfer_conversation_request::Target::ToQueue(
                "travel-en".into(),
            )),
            ..of!(TransferConversationRequest {
                agent: "li-wei",
                request_id: "r-9",
                conversation_id: CONVERSATION,
                note: "go on",
            })
        }),
        Act::SetIntent(api::SetIntentRequest {
            intent: intent(),
            ..of!(SetIntentRequest {
                agent: "li-wei",
                request_id: "r-10"
            })
        }),
    ]
}

fn supervisors() -> Vec<Request> {
    macro_rules! act {
        ($kind:ident($message:ident)) => {
            Request::$kind(of!($message {
                request_id: "r-11",
                staff: "mia",
                reason: "a second look",
                conversation_id: CONVERSATION,
            }))
        };
    }
    vec![
        act!(EndConversation(EndConversationRequest)),
        act!(RequeueConversation(RequeueConversationRequest)),
        act!(ReleaseConversation(ReleaseConversationRequest)),
        Request::AssignConversation(of!(AssignConversationRequest {
            request_id: "r-12",
            staff: "mia",
            reason: "vip",
            agent: "li-wei",
            conversation_id: CONVERSATION,
        })),
        Request::PauseQueue(of!(PauseQueueRequest {
            request_id: "r-13",
            staff: "mia",
            reason: "maintenance",
            queue: "travel-en",
        })),
        Request::ResumeQueue(of!(ResumeQueueRequest {
            request_id: "r-14",
            staff: "mia",
            reason: "over",
            queue: "travel-en",
        })),
        Request::SetAgentIntent(api::SetAgentIntentRequest {
            intent: Some(api::Intent::default()),
            ..of!(SetAgentIntentRequest {
                request_id: "r-15",
                staff: "mia",
                reason: "tea",
                agent: "li-wei",
            })
        }),
        Request::ListConversations(of!(ListConversationsRequest {
            page_token: "1.ff.11"
        })),
        Request::SearchArchive(of!(SearchArchiveRequest {
            account: "web-cn",
            customer: "li",
            page_token: "00ff",
            from_ms: 1_u64,
        })),
    ]
}

fn all() -> Vec<raft::ForwardCall> {
    let work = |act| Request::Work(api::WorkRequest { request: Some(act) });
    let requests = customers().into_iter().chain(acts().into_iter().map(work));
    requests
        .chain(supervisors())
        .map(|request| raft::ForwardCall {
            group: 1,
            site: "fra".to_owned(),
            traceparent: TRACE.to_owned(),
            request: Some(request),
            ..raft::ForwardCall::default()
        })
        .collect()
}

/// Calls in their envelope.
pub fn calls() -> Vec<Vec<u8>> {
    all().iter().map(Message::encode_to_vec).collect()
}

/// Frames of each kind between nodes.
pub fn forward_frames() -> Vec<Vec<u8>> {
    use raft::forward_request::Frame;
    let up = |request| {
        Frame::Up(raft::ForwardUp {
            group: 1,
            request: Some(request),
            ..raft::ForwardUp::default()
        })
    };
    let send = of!(SendRequest {
        request_id: "r-2",
        conversation_id: CONVERSATION,
        text: "hello",
    });
    let attach = api::AttachRequest {
        request: Some(api::attach_request::Request::Send(send)),
    };
    let mut frames: Vec<Frame> = all().into_iter().map(Frame::Unary).collect();
    frames.push(up(raft::forward_up::Request::Attach(attach)));
    frames.extend(acts().into_iter().map(|act| {
        up(raft::forward_up::Request::Work(api::WorkRequest {
            request: Some(act),
        }))
    }));
    frames.push(Frame::Grant(raft::ForwardGrant { messages: 64 }));
    let mut seeds: Vec<Vec<u8>> = frames
        .into_iter()
        .map(|frame| {
            kind(
                0,
                &raft::ForwardRequest {
                    call: 1,
                    frame: Some(frame),
                },
            )
        })
        .collect();
    let joining = raft::JoinRequest {
        request_id: REQUEST_ID.to_owned(),
        node: "sha-n1".to_owned(),
        ..raft::JoinRequest::default()
    };
    seeds.push(kind(1, &raft::ForwardResponse::default()));
    seeds.push(kind(2, &joining));
    seeds.push(kind(
        3,
        &raft::JoinResponse {
            node_id: 2,
            ..raft::JoinResponse::default()
        },
    ));
    seeds
}

fn log_id(index: u64) -> Option<raft::LogId> {
    Some(raft::LogId {
        term: 3,
        leader_node: 1,
        index,
    })
}

fn vote() -> Option<raft::Vote> {
    Some(raft::Vote {
        term: 3,
        node: 1,
        committed: true,
    })
}

fn membership() -> raft::Membership {
    let member = |node: u64, site: &str| raft::Member {
        node,
        name: format!("{site}-n1"),
        site: site.to_owned(),
    };
    raft::Membership {
        configs: vec![raft::VoterSet { nodes: vec![1, 2] }],
        members: vec![member(1, "fra"), member(2, "sha"), member(3, "iad")],
    }
}

fn append() -> raft::AppendCall {
    use raft::entry_body::Kind;
    let bodies = [
        Kind::Command(super::blob(12)),
        Kind::Membership(membership()),
        Kind::Skip(raft::Skip {
            index: 4,
            by: "op".to_owned(),
            ..raft::Skip::default()
        }),
    ];
    let entry = |(index, kind): (u64, Kind)| raft::Entry {
        log_id: log_id(index),
        body: raft::EntryBody { kind: Some(kind) }.encode_to_vec().into(),
    };
    raft::AppendCall {
        vote: vote(),
        prev_log_id: log_id(6),
        leader_commit: log_id(5),
        entries: (7..).zip(bodies).map(entry).collect(),
    }
}

/// Frames of each kind between replicas.
pub fn raft_frames() -> Vec<Vec<u8>> {
    use raft::exchange_request::Body as Call;
    use raft::exchange_response::Body as Answer;
    let voting = raft::VoteCall {
        vote: vote(),
        last_log_id: log_id(6),
        leadership_transfer: true,
    };
    let meta = raft::SnapshotMeta {
        last_log_id: log_id(6),
        membership_log_id: log_id(2),
        membership: Some(membership()),
        chain: super::blob(16),
    };
    let transfer = raft::TransferCall {
        from_leader: vote(),
        to_node: 2,
        last_log_id: log_id(6),
    };
    let begin = raft::SnapshotBegin {
        vote: vote(),
        meta: Some(meta),
    };
    let calls = [
        Call::Vote(voting),
        Call::PreVote(voting),
        Call::Transfer(transfer),
        Call::Heartbeat(append()),
        Call::Append(append()),
        Call::SnapshotBegin(begin),
    ];
    let matched = raft::append_answer::Outcome::Matched(raft::AppendMatched { log_id: log_id(9) });
    let changed = raft::transfer_answer::Refusal::VoteChanged(raft::VoteChanged {
        expected: vote(),
        actual: vote(),
    });
    let answers = [
        Answer::Vote(raft::VoteAnswer {
            vote: vote(),
            granted: true,
            last_log_id: log_id(6),
        }),
        Answer::Append(raft::AppendAnswer {
            outcome: Some(matched),
        }),
        Answer::Transfer(raft::TransferAnswer {
            refusal: Some(changed),
        }),
    ];
    let called = calls.map(|body| {
        let (call, group, body) = (1, 1, Some(body));
        kind(0, &raft::ExchangeRequest { call, group, body })
    });
    let answered = answers.map(|body| {
        kind(
            1,
            &raft::ExchangeResponse {
                call: 1,
                body: Some(body),
            },
        )
    });
    called.into_iter().chain(answered).collect()
}
