//! Claims about the stateless checks.

use pb::api::v1::work_request::Request;
use pb::api::v1::{
    AcceptOfferRequest, ErrorReason, FloorServiceTransferConversationRequest, Intent, OpenRequest,
    PauseQueueRequest, RateRequest, ReplyRequest, ResumeQueueRequest, SendRequest,
    SetAgentIntentRequest,
};

use super::*;

fn refused<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (ErrorReason, String) {
    let refusal = result.expect_err("should be refused");
    let field = refusal.metadata.get("field").cloned().unwrap_or_default();
    (refusal.reason(), field)
}

fn a_send(text: &str) -> SendRequest {
    SendRequest {
        request_id: "r1".into(),
        text: text.into(),
        ..SendRequest::default()
    }
}

fn an_open() -> OpenRequest {
    OpenRequest {
        request_id: "r1".into(),
        account: "web-cn".into(),
        customer: "li".into(),
        ..OpenRequest::default()
    }
}

#[test]
fn what_is_named_in_the_group_that_is_no_cell_does_not_exist() {
    let id = conversation("c0-5");
    assert_eq!(refused(id).0, ErrorReason::ConversationNotFound);
    assert_eq!(refused(offer("o0-1-1")).0, ErrorReason::OfferNotFound);
    assert!(conversation("c1-5").is_ok() && offer("o1-1-1").is_ok());
}

#[test]
fn an_empty_message_is_refused() {
    assert_eq!(
        refused(customer::send(&a_send(""))).0,
        ErrorReason::MessageEmpty
    );
}

#[test]
fn a_message_over_64_kib_is_refused_with_its_size_and_the_limit() {
    assert_eq!(customer::send(&a_send(&"x".repeat(65_536))), Ok(()));
    let refusal = customer::send(&a_send(&"x".repeat(65_537))).expect_err("too large");
    assert_eq!(refusal.reason(), ErrorReason::MessageTooLarge);
    assert_eq!(refusal.metadata["bytes"], "65537");
    assert_eq!(refusal.metadata["limitBytes"], "65536");
}

#[test]
fn a_missing_or_malformed_request_id_is_refused_by_name() {
    for id in ["", "a b", "\u{e4}", &"x".repeat(37)] {
        let request = SendRequest {
            request_id: id.into(),
            text: "hi".into(),
            ..SendRequest::default()
        };
        assert_eq!(
            refused(customer::send(&request)),
            (ErrorReason::FieldInvalid, "request_id".into()),
            "{id}"
        );
    }
}

#[test]
fn an_open_needs_account_and_customer_and_bounded_topics() {
    assert_eq!(customer::open(&an_open()), Ok(()));
    let unnamed = OpenRequest {
        customer: String::new(),
        ..an_open()
    };
    assert_eq!(refused(customer::open(&unnamed)).1, "customer");
    let nowhere = OpenRequest {
        account: "a\n".into(),
        ..an_open()
    };
    assert_eq!(refused(customer::open(&nowhere)).1, "account");
    let chatty = OpenRequest {
        topics: vec!["t".into(); 17],
        ..an_open()
    };
    assert_eq!(refused(customer::open(&chatty)).1, "topics");
}

#[test]
fn a_score_outside_1_to_5_is_refused() {
    for score in [0, 6] {
        let request = RateRequest {
            request_id: "r1".into(),
            score,
            ..RateRequest::default()
        };
        assert_eq!(
            refused(customer::rate(&request)).0,
            ErrorReason::ScoreOutOfRange
        );
    }
}

#[test]
fn ids_that_do_not_parse_are_refused_by_name() {
    assert_eq!(
        refused(conversation("17")),
        (ErrorReason::FieldInvalid, "conversation_id".into())
    );
    let accept = AcceptOfferRequest {
        request_id: "r1".into(),
        offer_id: "c1-2".into(),
        ..Default::default()
    };
    assert_eq!(
        refused(act(&Request::Accept(accept))),
        (ErrorReason::FieldInvalid, "offer_id".into())
    );
}

#[test]
fn an_act_gives_back_the_text_that_a_refusal_would_lose() {
    let reply = ReplyRequest {
        request_id: "r1".into(),
        text: "hello".into(),
        ..ReplyRequest::default()
    };
    assert_eq!(described(&Request::Reply(reply)).draft, "hello");
}

#[test]
fn an_act_of_a_supervisor_says_who_and_why() {
    use ErrorReason::FieldInvalid;
    let pause = PauseQueueRequest {
        queue: "sales".into(),
        request_id: "r1".into(),
        staff: "mia".into(),
        reason: "maintenance".into(),
    };
    assert_eq!(staff::pause(&pause), Ok(()));
    let nobody = PauseQueueRequest {
        staff: String::new(),
        ..pause.clone()
    };
    assert_eq!(
        refused(staff::pause(&nobody)),
        (FieldInvalid, "staff".into())
    );
}

macro_rules! act {
    ($name:literal, $check:path, $reason:ident, $request:ident { $($field:ident: $value:expr),* }) => {
        ($name, $check(&$request {
            request_id: "r1".into(),
            staff: "mia".into(),
            reason: $reason.to_owned(),
            $($field: $value,)*
        }).map(drop))
    };
}

type Act = (&'static str, Result<(), Refusal>);

/// Every act on a conversation, with this reason.
fn on_conversations(reason: &str) -> [Act; 5] {
    use pb::api::v1::floor_service_transfer_conversation_request::Target;
    use pb::api::v1::{
        AssignConversationRequest, EndConversationRequest, ReleaseConversationRequest,
        RequeueConversationRequest,
    };
    let id = || "c1-7".to_owned();
    let to = Some(Target::ToAgent("ana".into()));
    [
        act!(
            "end",
            staff::end,
            reason,
            EndConversationRequest {
                conversation_id: id()
            }
        ),
        act!(
            "transfer",
            staff::transfer,
            reason,
            FloorServiceTransferConversationRequest {
                conversation_id: id(),
                target: to,
                wait: false
            }
        ),
        act!(
            "requeue",
            staff::requeue,
            reason,
            RequeueConversationRequest {
                conversation_id: id()
            }
        ),
        act!(
            "assign",
            staff::assign,
            reason,
            AssignConversationRequest {
                conversation_id: id(),
                agent: "ana".into(),
                wait: false
            }
        ),
        act!(
            "release",
            staff::release,
            reason,
            ReleaseConversationRequest {
                conversation_id: id()
            }
        ),
    ]
}

/// Every other act that stands in a record, with this reason.
fn on_others(reason: &str) -> [Act; 5] {
    let intent = |ready| {
        let reason = if ready { "" } else { "tea" }.to_owned();
        Some(Intent { ready, reason })
    };
    [
        act!(
            "set not ready",
            staff::set_agent_intent,
            reason,
            SetAgentIntentRequest {
                agent: "ana".into(),
                intent: intent(false)
            }
        ),
        act!(
            "set ready",
            staff::set_agent_intent,
            reason,
            SetAgentIntentRequest {
                agent: "ana".into(),
                intent: intent(true)
            }
        ),
        act!(
            "pause",
            staff::pause,
            reason,
            PauseQueueRequest {
                queue: "sales".into()
            }
        ),
        act!(
            "resume",
            staff::resume,
            reason,
            ResumeQueueRequest {
                queue: "sales".into()
            }
        ),
        ("skip", staff::why(reason)),
    ]
}

fn acts_because(reason: &str) -> impl Iterator<Item = Act> {
    on_conversations(reason)
        .into_iter()
        .chain(on_others(reason))
}

#[test]
fn no_act_of_a_supervisor_or_an_operator_is_taken_without_words_for_why() {
    for (name, taken) in acts_because("it has to be") {
        assert_eq!(taken, Ok(()), "{name}");
    }
    for wordless in ["", " ", "\t\n", "\u{3000}", &"x".repeat(1_025)] {
        for (name, taken) in acts_because(wordless) {
            let told = refused(taken);
            let expected = (ErrorReason::FieldInvalid, "reason".to_owned());
            assert_eq!(told, expected, "{name} because of {wordless:?}");
        }
    }
}

#[test]
fn a_supervisor_sets_an_intent_and_passes_on_to_somebody() {
    use ErrorReason::FieldInvalid;
    let set = SetAgentIntentRequest {
        agent: "ana".into(),
        request_id: "r1".into(),
        staff: "mia".into(),
        intent: None,
        reason: "asked for".into(),
    };
    assert_eq!(
        refused(staff::set_agent_intent(&set)),
        (FieldInvalid, "intent".into())
    );
    let not_ready = |reason: &str| SetAgentIntentRequest {
        intent: Some(Intent {
            ready: false,
            reason: reason.into(),
        }),
        ..set.clone()
    };
    assert_eq!(staff::set_agent_intent(&not_ready("tea")), Ok(()));
    let long = not_ready(&"x".repeat(129));
    assert_eq!(
        refused(staff::set_agent_intent(&long)),
        (FieldInvalid, "intent.reason".into())
    );
    let transfer = FloorServiceTransferConversationRequest {
        conversation_id: "c1-7".into(),
        request_id: "r1".into(),
        staff: "mia".into(),
        reason: "speaks Chinese".into(),
        ..Default::default()
    };
    assert_eq!(
        refused(staff::transfer(&transfer)),
        (FieldInvalid, "target".into())
    );
}
