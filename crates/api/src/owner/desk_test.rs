//! Claims about agents' streams at the owner of a cell, through the door.

use std::time::Duration;

use domain::plan::{FloorPlan, WrapUpMode};
use pb::api::v1::attach_response::Response as Told;
use pb::api::v1::work_request::Request as Act;
use pb::api::v1::work_response::Response as Worked;
use pb::api::v1::*;
use pb::raft::v1::forward_answer::Response as Answer;
use pb::raft::v1::forward_call::Request as Call;
use ports::{StreamDown, StreamUp};
use tokio::time::timeout;

use super::clients::*;
use super::one_node::Node;

#[tokio::test(start_paused = true)]
async fn an_agent_takes_an_offer_answers_and_closes() {
    let node = Node::start().await;
    let mut ana = Seat::take(&node, "ana", "d1").await;
    assert!(matches!(ana.next().await, Worked::Ready(_)));
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let mut customer = attach(&node, &id, 0).await.expect("attached");
    let offer = until!(ana.next(), Worked::Offer(offer) => offer);
    assert_eq!(
        offer
            .conversation
            .as_ref()
            .expect("a summary")
            .conversation_id,
        id
    );
    assert!(offer.expires_in_ms > 0);
    ana.accept("a1", &offer);
    let held = until!(ana.next(), Worked::Conversation(held) => held);
    let texts: Vec<_> = held
        .items
        .iter()
        .filter_map(|item| item.content.clone())
        .collect();
    assert!(
        texts
            .iter()
            .any(|content| matches!(content, item::Content::Message(said) if said.text == "hello"))
    );
    let owner_epoch = held.conversation.expect("a summary").owner_epoch;
    ana.reply("m1", &id, owner_epoch, "good day");
    let said = until!(told(&mut customer), Told::Item(Item { content: Some(item::Content::Message(said)), .. })
        if said.text == "good day" => said);
    assert_eq!(said.author.expect("an author").display_name, "ANA");
    let done = until!(ana.next(), Worked::Done(done) if done.request_id == "m1" => done);
    assert!(done.sequence > 0);
    ana.act(Act::Close(CloseConversationRequest {
        request_id: "c1".into(),
        conversation_id: id.clone(),
        owner_epoch,
        ..Default::default()
    }));
    until!(ana.next(), Worked::Summary(summary) if summary.state() == ConversationState::WrapUp);
    ana.act(Act::FinishWrapUp(FinishWrapUpRequest {
        request_id: "f1".into(),
        conversation_id: id.clone(),
        owner_epoch,
        ..Default::default()
    }));
    let gone = until!(ana.next(), Worked::Gone(gone) => gone);
    assert_eq!((gone.conversation_id, gone.reason.as_str()), (id, "closed"));
}

#[tokio::test(start_paused = true)]
async fn a_late_or_foreign_act_is_refused_with_who_was_first_and_its_text_comes_back() {
    let node = Node::start().await;
    let mut ana = Seat::take(&node, "ana", "d1").await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let offer = until!(ana.next(), Worked::Offer(offer) => offer);
    ana.accept("a1", &offer);
    let held = until!(ana.next(), Worked::Conversation(held) => held);
    let owner_epoch = held.conversation.expect("a summary").owner_epoch;
    ana.accept("a2", &offer);
    let (reason, refused) = ana.refused().await;
    assert_eq!(reason, ErrorReason::OfferEnded);
    assert_eq!(
        refused.refusal.expect("why").metadata["outcome"],
        "accepted"
    );
    ana.reply("m1", &id, owner_epoch - 1, "too late");
    let (reason, refused) = ana.refused().await;
    assert_eq!(
        (reason, refused.draft.as_str()),
        (ErrorReason::StaleOwnerEpoch, "too late")
    );
    ana.act(Act::Reply(ReplyRequest {
        session: ana.session + 1,
        request_id: "m2".into(),
        conversation_id: id,
        owner_epoch,
        text: "from another login".into(),
        ..ReplyRequest::default()
    }));
    let (reason, refused) = ana.refused().await;
    assert_eq!(
        (reason, refused.draft.as_str()),
        (ErrorReason::StaleSession, "from another login")
    );
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_comes_back_gets_what_it_holds_before_ready() {
    let node = Node::start().await;
    let mut ana = Seat::take(&node, "ana", "d1").await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let offer = until!(ana.next(), Worked::Offer(offer) => offer);
    ana.accept("a1", &offer);
    until!(ana.next(), Worked::Conversation(_));
    drop(ana);
    opened(&node, "o2", "wu", "me too").await;
    let mut again = Seat::take(&node, "ana", "d1").await;
    let Worked::Conversation(held) = again.next().await else {
        panic!("not what is held")
    };
    assert_eq!(held.conversation.expect("a summary").conversation_id, id);
    assert!(matches!(again.next().await, Worked::Offer(_)));
    assert!(matches!(again.next().await, Worked::Ready(_)));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_ends_its_stream() {
    let node = Node::start().await;
    let mut ana = Seat::take(&node, "ana", "d1").await;
    let log_out = LogOutRequest {
        agent: "ana".into(),
        request_id: "x1".into(),
        session: ana.session,
        device_id: String::new(),
    };
    let out = node
        .ask(Call::Work(WorkRequest {
            request: Some(Act::LogOut(log_out)),
        }))
        .await;
    assert!(matches!(out, Ok(Answer::Work(_))), "{out:?}");
    let refusal = loop {
        match timeout(PATIENCE, ana.stream.down.recv())
            .await
            .expect("in time")
            .expect("a reason")
        {
            StreamDown::Failed(refusal) => break refusal,
            StreamDown::Message(_) => {}
        }
    };
    assert_eq!(refusal.reason(), ErrorReason::StaleSession);
}

#[tokio::test(start_paused = true)]
async fn queues_agents_and_receipts_can_be_read() {
    let node = Node::start().await;
    let mut ana = Seat::take(&node, "ana", "d1").await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    until!(ana.next(), Worked::Offer(_));
    let Ok(Answer::ListQueues(queues)) = node.ask(Call::ListQueues(ListQueuesRequest {})).await
    else {
        panic!("no queues");
    };
    assert_eq!(
        (queues.queues[0].queue.as_str(), queues.queues[0].offered),
        ("help", 1)
    );
    let Ok(Answer::ListAgents(agents)) = node
        .ask(Call::ListAgents(ListAgentsRequest::default()))
        .await
    else {
        panic!("no agents");
    };
    let names: Vec<_> = agents
        .agents
        .iter()
        .map(|agent| (agent.agent.as_str(), agent.used))
        .collect();
    assert_eq!(names, [("ana", 25), ("bo", 0)]);
    let ask = GetConversationRequest {
        conversation_id: id,
    };
    let Ok(Answer::GetConversation(shown)) = node.ask(Call::GetConversation(ask)).await else {
        panic!("not shown")
    };
    assert_eq!(
        (
            shown.receipts[0].decision.as_str(),
            shown.receipts[0].agent.as_str()
        ),
        ("offered", "ana")
    );
}

/// A desk with a conversation that `agent` holds, and the epoch in which the agent speaks.
async fn holding(node: &Node, agent: &str) -> (Seat, String, u64) {
    let mut seat = Seat::take(node, agent, &format!("device-{agent}")).await;
    let opened = opened(node, &format!("o-{agent}"), &format!("li-{agent}"), "hello").await;
    let offer = until!(seat.next(), Worked::Offer(offer) => offer);
    seat.accept("a1", &offer);
    let held = until!(seat.next(), Worked::Conversation(held) => held);
    let owner_epoch = held.conversation.expect("a summary").owner_epoch;
    (seat, opened.conversation_id, owner_epoch)
}

fn close(request_id: &str, id: &str, owner_epoch: u64, wrap_up: bool) -> Act {
    Act::Close(CloseConversationRequest {
        request_id: request_id.into(),
        conversation_id: id.into(),
        owner_epoch,
        wrap_up,
        ..Default::default()
    })
}

fn wrap_up_on_request(plan: &mut FloorPlan) {
    for queue in plan.queues.values_mut() {
        queue.wrap_up = WrapUpMode::OnRequest;
    }
}

#[tokio::test(start_paused = true)]
async fn wrap_up_on_request_is_given_when_the_agent_asks_for_it_and_not_otherwise() {
    let node = Node::start_with(wrap_up_on_request).await;
    let (mut ana, id, owner_epoch) = holding(&node, "ana").await;
    ana.act(close("c1", &id, owner_epoch, true));
    until!(ana.next(), Worked::Summary(summary) if summary.state() == ConversationState::WrapUp);
    let node = Node::start_with(wrap_up_on_request).await;
    let (mut ana, id, owner_epoch) = holding(&node, "ana").await;
    ana.act(close("c1", &id, owner_epoch, false));
    let gone = until!(ana.next(), Worked::Gone(gone) => gone);
    assert_eq!((gone.conversation_id, gone.reason.as_str()), (id, "closed"));
}

#[tokio::test(start_paused = true)]
async fn a_unary_close_asks_for_wrap_up_too() {
    let node = Node::start_with(wrap_up_on_request).await;
    let (mut ana, id, owner_epoch) = holding(&node, "ana").await;
    let Act::Close(mut asked) = close("c1", &id, owner_epoch, true) else {
        panic!("not a close")
    };
    (asked.agent, asked.session) = ("ana".into(), ana.session);
    let request = Some(Act::Close(asked));
    let done = node.ask(Call::Work(WorkRequest { request })).await;
    assert!(matches!(done, Ok(Answer::Work(_))), "{done:?}");
    until!(ana.next(), Worked::Summary(summary) if summary.state() == ConversationState::WrapUp);
}

/// What the agent and the next status are, as the desk is told.
async fn chosen(ana: &mut Seat, intent: Option<Intent>, request_id: &str) -> AgentSummary {
    ana.act(Act::SetNextStatus(SetNextStatusRequest {
        request_id: request_id.into(),
        intent,
        ..Default::default()
    }));
    until!(ana.next(), Worked::Agent(agent) => agent)
}

#[tokio::test(start_paused = true)]
async fn a_next_status_that_is_taken_back_leaves_the_present_choice_as_it_is() {
    let node = Node::start().await;
    let (mut ana, ..) = holding(&node, "ana").await;
    let lunch = Intent {
        ready: false,
        reason: "lunch".into(),
    };
    let later = until_known(&mut ana, &lunch).await;
    assert!(later.intent.expect("a choice").ready);
    let back = chosen(&mut ana, None, "n2").await;
    assert_eq!(back.next_status, None);
    assert!(back.intent.expect("a choice").ready);
}

/// Chooses a next status and waits until the desk shows it.
async fn until_known(ana: &mut Seat, next: &Intent) -> AgentSummary {
    let mut shown = chosen(ana, Some(next.clone()), "n1").await;
    while shown.next_status.as_ref() != Some(next) {
        shown = until!(ana.next(), Worked::Agent(agent) => agent);
    }
    shown
}

#[tokio::test(start_paused = true)]
async fn a_desk_is_warned_of_a_first_reply_that_is_missing() {
    let node = Node::start().await;
    let (mut ana, id, _) = holding(&node, "ana").await;
    let warned = loop {
        // The client is alive all the time: it is the reply that is missing.
        ana.act(Act::Heartbeat(HeartbeatRequest::default()));
        tokio::time::advance(Duration::from_secs(1)).await;
        match ana.next_within(Duration::from_millis(100)).await {
            Some(Worked::Warned(warned)) => break warned,
            Some(Worked::Gone(gone)) => panic!("gone without a warning: {gone:?}"),
            _ => {}
        }
    };
    assert_eq!(
        (warned.warning(), warned.conversation_id),
        (work_warned::Warning::FirstReply, id)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_anothers_and_what_nobody_may_do_have_their_own_reasons() {
    let node = Node::start().await;
    let (mut ana, id, owner_epoch) = holding(&node, "ana").await;
    let bo = Seat::take(&node, "bo", "device-bo").await;
    let hold = Act::Hold(HoldConversationRequest {
        agent: "bo".into(),
        session: bo.session,
        request_id: "h1".into(),
        conversation_id: id.clone(),
        owner_epoch,
    });
    let request = Some(hold);
    let refused = node.ask(Call::Work(WorkRequest { request })).await;
    let refused = refused.expect_err("it is ana's");
    assert_eq!(refused.reason(), ErrorReason::NotOwner);
    assert_eq!(refused.metadata["owner"], "ana");
    assert!(refused.message.contains("transfer"), "{}", refused.message);
    ana.act(close("c1", &id, owner_epoch, false));
    until!(ana.next(), Worked::Summary(summary) if summary.state() == ConversationState::WrapUp);
    let rate = |request_id: &str| {
        Call::Rate(RateRequest {
            conversation_id: id.clone(),
            request_id: request_id.into(),
            score: 5,
            ..Default::default()
        })
    };
    node.ask(rate("s1")).await.expect("the first rating");
    let refused = node.ask(rate("s2")).await.expect_err("only once");
    assert_eq!(refused.reason(), ErrorReason::NotAllowed);
    assert_eq!(refused.metadata["act"], "rate twice");
}

#[tokio::test(start_paused = true)]
async fn an_agents_state_is_told_when_it_has_changed_and_not_otherwise() {
    let node = Node::start().await;
    let mut ana = Seat::take(&node, "ana", "d1").await;
    assert!(matches!(ana.next().await, Worked::Ready(_)));
    let ready = |request_id: &str, reason: &str| {
        Act::SetIntent(SetIntentRequest {
            request_id: request_id.into(),
            intent: Some(Intent {
                ready: reason.is_empty(),
                reason: reason.into(),
            }),
            ..Default::default()
        })
    };
    // Ready as before, then something that changes: only that is told.
    ana.act(ready("i1", ""));
    ana.act(ready("i2", "lunch"));
    let agent = until!(ana.next(), Worked::Agent(agent) => agent);
    assert_eq!(agent.intent.expect("a choice").reason, "lunch");
    let again = Seat::take(&node, "ana", "d2").await;
    assert_eq!(
        again.session, ana.session,
        "a device that joins ends nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_stops_is_answered_and_its_stream_ends_with_a_word() {
    let node = Node::start().await;
    let (mut ana, id, owner_epoch) = holding(&node, "ana").await;
    ana.reply("m1", &id, owner_epoch, "last words");
    let stop = StreamUp::Stop { our_fault: false };
    ana.stream.up.try_send(stop).expect("room");
    until!(ana.next(), Worked::Done(done) if done.request_id == "m1");
    until!(ana.next(), Worked::Ended(ended) if ended.reason() == ErrorReason::Unspecified);
    assert!(ana.stream.down.recv().await.is_none());
}
