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

/// Every act that stands in the record, with this reason.
fn acts_because(reason: &str) -> Vec<(&'static str, Result<(), Refusal>)> {
    macro_rules! act {
        ($name:literal, $check:path, $request:ident { $($field:ident: $value:expr),* }) => {
            ($name, $check(&$request {
                request_id: "r1".into(),
                staff: "mia".into(),
                reason: reason.to_owned(),
                $($field: $value,)*
                ..Default::default()
            }).map(drop))
        };
    }
    use pb::api::v1::floor_service_transfer_conversation_request::Target;
    use pb::api::v1::{
        AssignConversationRequest, EndConversationRequest, ReleaseConversationRequest,
        RequeueConversationRequest,
    };
    let id = || "c1-7".to_owned();
    let intent = |ready| {
        let reason = if ready { "" } else { "tea" }.to_owned();
        Some(Intent { ready, reason })
    };
    let to = Some(Target::ToAgent("ana".into()));
    vec![
        act!(
            "end",
            staff::end,
            EndConversationRequest {
                conversation_id: id()
            }
        ),
        act!(
            "transfer",
            staff::transfer,
            FloorServiceTransferConversationRequest {
                conversation_id: id(),
                target: to
            }
        ),
        act!(
            "requeue",
            staff::requeue,
            RequeueConversationRequest {
                conversation_id: id()
            }
        ),
        act!(
            "assign",
            staff::assign,
            AssignConversationRequest {
                conversation_id: id(),
                agent: "ana".into()
            }
        ),
        act!(
            "release",
            staff::release,
            ReleaseConversationRequest {
                conversation_id: id()
            }
        ),
        act!(
            "set not ready",
            staff::set_agent_intent,
            SetAgentIntentRequest {
                agent: "ana".into(),
                intent: intent(false)
            }
        ),
        act!(
            "set ready",
            staff::set_agent_intent,
            SetAgentIntentRequest {
                agent: "ana".into(),
                intent: intent(true)
            }
        ),
        act!(
            "pause",
            staff::pause,
            PauseQueueRequest {
                queue: "sales".into()
            }
        ),
        act!(
            "resume",
            staff::resume,
            ResumeQueueRequest {
                queue: "sales".into()
            }
        ),
        ("skip", staff::why(reason)),
    ]
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
