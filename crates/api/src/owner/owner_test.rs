//! Claims about the owner of a cell, through the door, on a cell that commits at once.

use std::time::Duration;

use pb::api::v1::attach_request::Request as Ask;
use pb::api::v1::attach_response::Response as Told;
use pb::api::v1::work_request::Request as Act;
use pb::api::v1::work_response::Response as Worked;
use pb::api::v1::*;
use pb::raft::v1::forward_answer::Response as Answer;
use pb::raft::v1::forward_call::Request as Call;
use pb::raft::v1::{ForwardUp, forward_down, forward_up};
use ports::{Door, DoorStream, StreamDown, StreamUp};
use tokio::time::timeout;

use super::one_node::{CELL, Node};

const PATIENCE: Duration = Duration::from_secs(5);

async fn opened(node: &Node, request_id: &str, customer: &str, text: &str) -> OpenResponse {
    let open = OpenRequest {
        request_id: request_id.into(),
        account: "web-cn".into(),
        customer: customer.into(),
        display_name: "Li".into(),
        text: text.into(),
        ..OpenRequest::default()
    };
    match node.ask(Call::Open(open)).await {
        Ok(Answer::Open(opened)) => opened,
        other => panic!("not opened: {other:?}"),
    }
}

fn a_send(id: &str, request_id: &str, text: &str) -> SendRequest {
    SendRequest {
        conversation_id: id.into(),
        request_id: request_id.into(),
        text: text.into(),
        ..SendRequest::default()
    }
}

async fn sent(
    node: &Node,
    id: &str,
    request_id: &str,
    text: &str,
) -> Result<SendResponse, ErrorReason> {
    match node.ask(Call::Send(a_send(id, request_id, text))).await {
        Ok(Answer::Send(sent)) => Ok(sent),
        Ok(other) => panic!("another answer: {other:?}"),
        Err(refusal) => Err(refusal.reason()),
    }
}

async fn attach(node: &Node, id: &str, cursor: u64) -> Result<DoorStream, Refusal> {
    let begin = AttachBegin {
        conversation_id: id.into(),
        cursor,
        observe: false,
    };
    let first = AttachRequest {
        request: Some(Ask::Begin(begin)),
    };
    let request = Some(forward_up::Request::Attach(first));
    node.owner
        .open(ForwardUp {
            group: CELL.0,
            site: "fra".into(),
            request,
            ..ForwardUp::default()
        })
        .await
}

async fn told(stream: &mut DoorStream) -> Told {
    let message = timeout(PATIENCE, stream.down.recv())
        .await
        .expect("in time")
        .expect("not closed");
    match message {
        StreamDown::Message(forward_down::Response::Attach(response)) => {
            response.response.expect("a response")
        }
        other => panic!("not a customer's message: {other:?}"),
    }
}

/// The next message of a kind; others are passed over.
macro_rules! until {
    ($next:expr, $pattern:pat $(if $guard:expr)?) => {
        while !matches!($next.await, $pattern $(if $guard)?) {}
    };
    ($next:expr, $pattern:pat $(if $guard:expr)? => $value:expr) => {
        loop {
            match $next.await {
                $pattern $(if $guard)? => break $value,
                _ => {}
            }
        }
    };
}

fn say(stream: &DoorStream, request_id: &str, text: &str) {
    let request = Some(Ask::Send(a_send("", request_id, text)));
    let message = StreamUp::Message(forward_up::Request::Attach(AttachRequest { request }));
    stream.up.try_send(message).expect("room");
}

struct Seat {
    stream: DoorStream,
    session: u64,
}

impl Seat {
    async fn take(node: &Node, agent: &str, device: &str) -> Self {
        let hello = LogInRequest {
            agent: agent.into(),
            request_id: format!("login-{device}"),
            device_id: device.into(),
            session: 0,
            intent: Some(Intent {
                ready: true,
                reason: String::new(),
            }),
        };
        let first = WorkRequest {
            request: Some(Act::Hello(hello)),
        };
        let request = Some(forward_up::Request::Work(first));
        let opened = node
            .owner
            .open(ForwardUp {
                group: CELL.0,
                site: "fra".into(),
                request,
                ..ForwardUp::default()
            })
            .await;
        let mut seat = Self {
            stream: opened.expect("a desk"),
            session: 0,
        };
        let Worked::Welcome(welcome) = seat.next().await else {
            panic!("not a welcome")
        };
        seat.session = welcome.session;
        seat
    }

    async fn next(&mut self) -> Worked {
        let message = timeout(PATIENCE, self.stream.down.recv())
            .await
            .expect("in time")
            .expect("not closed");
        match message {
            StreamDown::Message(forward_down::Response::Work(response)) => {
                response.response.expect("a response")
            }
            other => panic!("not an agent's message: {other:?}"),
        }
    }

    fn act(&self, act: Act) {
        let message = StreamUp::Message(forward_up::Request::Work(WorkRequest {
            request: Some(act),
        }));
        self.stream.up.try_send(message).expect("room");
    }

    fn accept(&self, request_id: &str, offer: &Offer) {
        self.act(Act::Accept(AcceptOfferRequest {
            request_id: request_id.into(),
            offer_id: offer.offer_id.clone(),
            owner_epoch: offer.owner_epoch,
            ..AcceptOfferRequest::default()
        }));
    }

    fn reply(&self, request_id: &str, id: &str, owner_epoch: u64, text: &str) {
        self.act(Act::Reply(ReplyRequest {
            request_id: request_id.into(),
            conversation_id: id.into(),
            owner_epoch,
            text: text.into(),
            ..ReplyRequest::default()
        }));
    }

    async fn refused(&mut self) -> (ErrorReason, WorkRefused) {
        let refused = until!(self.next(), Worked::Refused(refused) => refused);
        (refused.refusal.as_ref().expect("why").reason(), refused)
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_stored_once_and_its_id_answers_the_same_again() {
    let node = Node::start().await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let first = sent(&node, &id, "r1", "one").await.expect("stored");
    assert_eq!(sent(&node, &id, "r1", "one").await, Ok(first));
    assert_eq!(
        sent(&node, &id, "r1", "another").await,
        Err(ErrorReason::RequestIdReused)
    );
    assert_eq!(
        sent(&node, "c1-9999", "r2", "lost").await,
        Err(ErrorReason::ConversationNotFound)
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_finds_the_open_conversation_and_an_unknown_queue_is_refused() {
    let node = Node::start().await;
    let first = opened(&node, "o1", "li", "hello").await;
    let second = opened(&node, "o2", "li", "again").await;
    assert_eq!(
        (second.existing, second.conversation_id),
        (true, first.conversation_id)
    );
    let nowhere = OpenRequest {
        request_id: "o3".into(),
        account: "web-cn".into(),
        customer: "wu".into(),
        queue: "nowhere".into(),
        ..OpenRequest::default()
    };
    let refused = node
        .ask(Call::Open(nowhere))
        .await
        .expect_err("no such queue");
    assert_eq!(refused.reason(), ErrorReason::QueueNotFound);
}

#[tokio::test(start_paused = true)]
async fn a_transcript_is_paged_and_a_cursor_from_the_future_refused() {
    let node = Node::start().await;
    let id = opened(&node, "o1", "li", "one").await.conversation_id;
    for n in 2..=5 {
        sent(&node, &id, &format!("r{n}"), &format!("message {n}"))
            .await
            .expect("stored");
    }
    let mut after = 0;
    let mut texts = Vec::new();
    loop {
        let ask = GetTranscriptRequest {
            conversation_id: id.clone(),
            after,
            page_size: 2,
            with_notes: false,
        };
        let Ok(Answer::GetTranscript(page)) = node.ask(Call::GetTranscript(ask)).await else {
            panic!("no page")
        };
        for item in &page.items {
            assert_eq!(item.sequence, after + 1, "gapless");
            after = item.sequence;
            if let Some(item::Content::Message(message)) = &item.content {
                texts.push(message.text.clone());
            }
        }
        if !page.more {
            break;
        }
    }
    assert_eq!(
        texts,
        ["one", "message 2", "message 3", "message 4", "message 5"]
    );
    let beyond = GetTranscriptRequest {
        conversation_id: id.clone(),
        after: after + 1,
        ..Default::default()
    };
    let refused = node
        .ask(Call::GetTranscript(beyond))
        .await
        .expect_err("ahead");
    assert_eq!(refused.reason(), ErrorReason::CursorFromTheFuture);
    assert_eq!(refused.metadata["lastSequence"], after.to_string());
    let refused = attach(&node, &id, after + 1).await.err().expect("ahead");
    assert_eq!(refused.reason(), ErrorReason::CursorFromTheFuture);
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_welcome_then_the_backlog_then_what_is_sent_in_order() {
    let node = Node::start().await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let mut stream = attach(&node, &id, 0).await.expect("attached");
    let Told::Welcome(welcome) = told(&mut stream).await else {
        panic!("not a welcome")
    };
    let last = welcome.conversation.expect("a summary").last_sequence;
    for sequence in 1..=last {
        let Told::Item(item) = told(&mut stream).await else {
            panic!("not an item")
        };
        assert_eq!(item.sequence, sequence);
    }
    for n in 1..=20 {
        say(&stream, &format!("r{n}"), &format!("text {n}"));
    }
    let (mut items, mut acks) = (Vec::new(), Vec::new());
    while items.len() < 20 || acks.len() < 20 {
        match told(&mut stream).await {
            Told::Item(item) => match item.content.expect("content") {
                item::Content::Message(message) => items.push((item.sequence, message.text)),
                item::Content::Change(_) => {}
            },
            Told::Sent(sent) => acks.push((sent.sequence, sent.request_id)),
            _ => {}
        }
    }
    acks.sort();
    for (n, ((sequence, text), (acked, request_id))) in (1..).zip(items.into_iter().zip(acks)) {
        assert_eq!((text, request_id), (format!("text {n}"), format!("r{n}")));
        assert_eq!(sequence, acked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_resumes_from_its_cursor_with_neither_gap_nor_repeat() {
    let node = Node::start().await;
    let opening = opened(&node, "o1", "li", "hello").await;
    let id = opening.conversation_id;
    let last = sent(&node, &id, "r1", "one")
        .await
        .expect("stored")
        .sequence;
    let mut stream = attach(&node, &id, last - 1).await.expect("attached");
    assert!(matches!(told(&mut stream).await, Told::Welcome(_)));
    let Told::Item(item) = told(&mut stream).await else {
        panic!("not an item")
    };
    assert_eq!(item.sequence, last);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_is_answered_and_the_stream_ends_quietly() {
    let node = Node::start().await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let mut stream = attach(&node, &id, 0).await.expect("attached");
    say(&stream, "r1", "last words");
    stream
        .up
        .try_send(StreamUp::Stop { our_fault: false })
        .expect("room");
    until!(told(&mut stream), Told::Sent(sent) => assert_eq!(sent.request_id, "r1"));
    while let Some(message) = timeout(PATIENCE, stream.down.recv())
        .await
        .expect("in time")
    {
        assert!(matches!(message, StreamDown::Message(_)), "no failure");
    }
}

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
async fn a_listing_goes_on_where_its_page_ended() {
    let node = Node::start().await;
    for n in 1..=5 {
        opened(&node, &format!("o{n}"), &format!("customer-{n}"), "hello").await;
    }
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let ask = ListConversationsRequest {
            page_size: 2,
            page_token: token,
            ..Default::default()
        };
        let Ok(Answer::ListConversations(page)) = node.ask(Call::ListConversations(ask)).await
        else {
            panic!("no page");
        };
        assert!(page.applied_index > 0);
        seen.extend(
            page.conversations
                .into_iter()
                .map(|found| (found.customer, found.position)),
        );
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (1..=5).map(|n| (format!("customer-{n}"), n)).collect();
    assert_eq!(seen, expected, "longest waiting first, each once");
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
