//! Claims about supervisors' acts and explanations at the owner of a cell, through the door.

use pb::api::v1::work_request::Request as Act;
use pb::api::v1::work_response::Response as Worked;
use pb::api::v1::*;
use pb::raft::v1::forward_answer::Response as Answer;
use pb::raft::v1::forward_call::Request as Call;

use super::clients::*;
use super::one_node::Node;

/// A desk with a conversation that `agent` holds, and the epoch in which the agent speaks.
async fn holding(node: &Node, agent: &str) -> (Seat, String, u64) {
    let mut seat = Seat::take(node, agent, &format!("device-{agent}")).await;
    let opened = opened(node, "o1", "li", "hello").await;
    let offer = until!(seat.next(), Worked::Offer(offer) => offer);
    seat.accept("a1", &offer);
    let held = until!(seat.next(), Worked::Conversation(held) => held);
    let owner_epoch = held.conversation.expect("a summary").owner_epoch;
    (seat, opened.conversation_id, owner_epoch)
}

fn requeue(id: &str, request_id: &str) -> Call {
    Call::RequeueConversation(RequeueConversationRequest {
        conversation_id: id.into(),
        request_id: request_id.into(),
        staff: "mia".into(),
        reason: "too slow".into(),
    })
}

fn pause(request_id: &str) -> Call {
    Call::PauseQueue(PauseQueueRequest {
        queue: "help".into(),
        request_id: request_id.into(),
        staff: "mia".into(),
        reason: "maintenance".into(),
    })
}

fn resume(request_id: &str) -> Call {
    Call::ResumeQueue(ResumeQueueRequest {
        queue: "help".into(),
        request_id: request_id.into(),
        staff: "mia".into(),
        reason: "done".into(),
    })
}

async fn explained(node: &Node, id: &str) -> ExplainConversationResponse {
    let ask = ExplainConversationRequest {
        conversation_id: id.into(),
    };
    match node.ask(Call::ExplainConversation(ask)).await {
        Ok(Answer::ExplainConversation(explained)) => explained,
        other => panic!("not explained: {other:?}"),
    }
}

async fn explained_agent(node: &Node, agent: &str) -> ExplainAgentResponse {
    let ask = ExplainAgentRequest {
        agent: agent.into(),
    };
    match node.ask(Call::ExplainAgent(ask)).await {
        Ok(Answer::ExplainAgent(explained)) => explained,
        other => panic!("not explained: {other:?}"),
    }
}

fn wait_kinds(explained: &ExplainConversationResponse) -> Vec<wait_cause::Kind> {
    explained.causes.iter().map(WaitCause::kind).collect()
}

fn idle_kinds(explained: &ExplainAgentResponse) -> Vec<idle_cause::Kind> {
    explained.causes.iter().map(IdleCause::kind).collect()
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_work_is_taken_learns_who_did_it_and_gets_the_refused_text_back() {
    let node = Node::start().await;
    let (mut ana, id, owner_epoch) = holding(&node, "ana").await;
    let done = node.ask(requeue(&id, "s1")).await;
    assert!(
        matches!(done, Ok(Answer::RequeueConversation(_))),
        "{done:?}"
    );
    let gone = until!(ana.next(), Worked::Gone(gone) => gone);
    assert_eq!(gone.conversation_id, id);
    assert_eq!(gone.reason, "back in a line: by supervisor mia, too slow");
    ana.reply("r1", &id, owner_epoch, "one moment");
    let (reason, refused) = ana.refused().await;
    assert_eq!(reason, ErrorReason::StaleOwnerEpoch);
    assert_eq!(refused.draft, "one moment");
    let explained = explained(&node, &id).await;
    assert_eq!(wait_kinds(&explained), [wait_cause::Kind::NobodyFree]);
    assert_eq!(
        (explained.eligible, explained.logged_in, explained.line),
        (2, 1, 1)
    );
    let verdict = &explained.agents[0];
    assert_eq!(
        (verdict.why(), verdict.ends_in_ms > 0),
        (WhyNot::Declined, true)
    );
    let told: Vec<_> = explained
        .receipts
        .iter()
        .map(|one| {
            (
                one.decision.as_str(),
                one.outcome.as_str(),
                one.why.as_str(),
            )
        })
        .collect();
    let offered = ("offered", "accepted", "");
    assert_eq!(told, [offered, ("requeued", "", "too slow")]);
    let by = explained.receipts[1].by.as_ref().expect("who");
    assert_eq!((by.kind(), by.name.as_str()), (author::Kind::Staff, "mia"));
    let kinds = explained.changes.iter().map(|item| match &item.content {
        Some(item::Content::Change(change)) => change.kind(),
        other => panic!("not a change: {other:?}"),
    });
    use change::Kind;
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [Kind::Notice, Kind::Joined, Kind::Requeued]
    );
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_says_who_paused_it_wherever_it_is_shown() {
    let node = Node::start().await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let nobody = explained(&node, &id).await;
    assert_eq!(wait_kinds(&nobody), [wait_cause::Kind::NobodyLoggedIn]);
    let done = node.ask(pause("s1")).await;
    assert!(matches!(done, Ok(Answer::PauseQueue(_))), "{done:?}");
    let mut ana = Seat::take(&node, "ana", "d1").await;
    let paused = explained(&node, &id).await;
    assert_eq!(wait_kinds(&paused), [wait_cause::Kind::PausedBySupervisor]);
    let cause = &paused.causes[0];
    assert_eq!(
        (cause.staff.as_str(), cause.reason.as_str()),
        ("mia", "maintenance")
    );
    let shown = node
        .ask(Call::GetQueue(GetQueueRequest {
            queue: "help".into(),
        }))
        .await;
    let Ok(Answer::GetQueue(shown)) = shown else {
        panic!("not shown")
    };
    let queue = shown.queue.expect("a queue");
    let steered = queue.steered.expect("who paused it");
    assert!(queue.paused && !queue.paused_by_plan && steered.paused);
    assert_eq!(
        (steered.staff.as_str(), steered.reason.as_str()),
        ("mia", "maintenance")
    );
    let idle = explained_agent(&node, "ana").await;
    assert_eq!(idle_kinds(&idle), []);
    assert_eq!(
        (idle.work[0].why(), idle.work[0].waiting),
        (WhyNot::QueuePaused, 1)
    );
    let twice = node.ask(pause("s2")).await.expect_err("paused already");
    assert_eq!(twice.reason(), ErrorReason::QueuePaused);
    assert_eq!(
        (
            twice.metadata["by"].as_str(),
            twice.metadata["why"].as_str()
        ),
        ("mia", "maintenance")
    );
    assert!(node.ask(resume("s3")).await.is_ok());
    until!(ana.next(), Worked::Offer(_));
    let again = node.ask(resume("s4")).await.expect_err("it goes on");
    assert_eq!(again.reason(), ErrorReason::QueueNotPaused);
    assert_eq!(again.metadata["byPlan"], "false");
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_is_explained_by_what_was_chosen_set_missed_and_lacking() {
    let node = Node::start().await;
    let off = explained_agent(&node, "bo").await;
    use idle_cause::Kind;
    assert_eq!(idle_kinds(&off), [Kind::LoggedOut, Kind::NothingWaits]);
    let mut ana = Seat::take(&node, "ana", "d1").await;
    let set = Call::SetAgentIntent(SetAgentIntentRequest {
        agent: "ana".into(),
        request_id: "s1".into(),
        staff: "mia".into(),
        intent: Some(Intent {
            ready: false,
            reason: "training".into(),
        }),
        reason: "new product".into(),
    });
    assert!(node.ask(set).await.is_ok());
    let told = until!(ana.next(), Worked::Agent(told) => told);
    assert_eq!(
        (told.set_by.as_str(), told.set_why.as_str()),
        ("mia", "new product")
    );
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let idle = explained_agent(&node, "ana").await;
    assert_eq!(idle_kinds(&idle), [Kind::NotReady]);
    let cause = &idle.causes[0];
    let said = (
        cause.reason.as_str(),
        cause.staff.as_str(),
        cause.why.as_str(),
    );
    assert_eq!(said, ("training", "mia", "new product"));
    assert_eq!(
        (idle.work[0].why(), &idle.work[0].conversation_id),
        (WhyNot::NotReady, &id)
    );
    let mut bo = Seat::take(&node, "bo", "d2").await;
    let offer = until!(bo.next(), Worked::Offer(offer) => offer);
    bo.act(Act::Decline(DeclineOfferRequest {
        request_id: "d1".into(),
        offer_id: offer.offer_id,
        reason: "in a call".into(),
        ..Default::default()
    }));
    until!(bo.next(), Worked::OfferEnded(_));
    let idle = explained_agent(&node, "ana").await;
    let excluded = idle.receipts[0].receipt.clone().expect("a receipt");
    assert_eq!(
        (excluded.agent.as_str(), excluded.declined.as_str()),
        ("bo", "in a call")
    );
    assert_eq!(excluded.excluded[0].reason, "not ready");
    let idle = explained_agent(&node, "bo").await;
    assert_eq!(idle.work[0].why(), WhyNot::Declined);
    assert!(idle.work[0].ends_in_ms > 0);
    assert_eq!(idle.receipts[0].conversation_id, id);
}

#[tokio::test(start_paused = true)]
async fn whom_and_what_nobody_knows_is_not_explained() {
    let node = Node::start().await;
    let ask = ExplainAgentRequest {
        agent: "nobody".into(),
    };
    let refused = node
        .ask(Call::ExplainAgent(ask))
        .await
        .expect_err("unknown");
    assert_eq!(refused.reason(), ErrorReason::AgentNotFound);
    let ask = ExplainConversationRequest {
        conversation_id: "c1-999".into(),
    };
    let refused = node.ask(Call::ExplainConversation(ask)).await;
    let refused = refused.expect_err("unknown");
    assert_eq!(refused.reason(), ErrorReason::ConversationNotFound);
}
