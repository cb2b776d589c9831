//! Claims about calls and customers' streams at the owner of a cell, through the door.

use pb::api::v1::attach_response::Response as Told;
use pb::api::v1::*;
use pb::raft::v1::forward_answer::Response as Answer;
use pb::raft::v1::forward_call::Request as Call;
use ports::{StreamDown, StreamUp};
use tokio::time::timeout;

use super::clients::*;
use super::one_node::Node;
use crate::limits;

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
async fn a_client_that_writes_more_often_than_it_may_is_not_read_for_a_while() {
    let node = Node::start_with(|plan| plan.policy.customer_commands_max = 4).await;
    let id = opened(&node, "o1", "li", "hello").await.conversation_id;
    let mut stream = attach(&node, &id, 0).await.expect("attached");
    let asked = 4 * limits::STREAM_ACTS_MAX;
    for n in 0..asked {
        say(&stream, &format!("r{n}"), "again");
    }
    let (mut refused, mut seen) = (0, 0);
    let until = tokio::time::Instant::now() + limits::FLOOD_HELD_MAX / 2;
    while let Ok(message) = tokio::time::timeout_at(until, told(&mut stream)).await {
        match message {
            Told::Refused(no) => {
                assert_eq!(no.refusal.unwrap().reason(), ErrorReason::RateLimited);
                refused += 1;
            }
            Told::Sent(_) => seen += 1,
            _ => {}
        }
    }
    assert!(refused > 0, "the limit holds");
    assert!(
        refused <= limits::STREAM_ACTS_MAX,
        "{refused} were read and refused"
    );
    // Later all of it is answered: nothing that was written is passed over.
    while refused + seen < asked {
        match told(&mut stream).await {
            Told::Refused(_) => refused += 1,
            Told::Sent(_) => seen += 1,
            _ => {}
        }
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
async fn a_listing_that_looks_at_more_than_one_look_may_see_shows_all_and_each_once() {
    let node = Node::start_with(|plan| {
        for queue in plan.queues.values_mut() {
            queue.waiting_max = 10_000;
        }
    })
    .await;
    let count = limits::LISTING_SCAN_MAX + 4;
    for n in 1..=count {
        opened(&node, &format!("o{n}"), &format!("customer-{n}"), "hello").await;
    }
    let (mut token, mut places) = (String::new(), Vec::new());
    loop {
        let ask = ListConversationsRequest {
            page_size: 1_000,
            page_token: token,
            state: ConversationState::Queued.into(),
            ..Default::default()
        };
        let Ok(Answer::ListConversations(page)) = node.ask(Call::ListConversations(ask)).await
        else {
            panic!("no page");
        };
        places.extend(page.conversations.iter().map(|found| found.position));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<_> = (1..).take(count).collect();
    assert_eq!(places, expected);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_goes_away_answers_what_it_has_committed_before_the_stream_ends() {
    let node = Node::start().await;
    let id = opened(&node, "o1", "anna", "").await.conversation_id;
    let mut stream = attach(&node, &id, 0).await.expect("attached");
    node.answers(false);
    say(&stream, "m1", "is anybody there?");
    until!(told(&mut stream), Told::Item(Item { content: Some(item::Content::Message(said)), .. })
        if said.text == "is anybody there?");
    node.follow();
    // All tasks run in turn here: the conversation's actor has let go of the stream after these.
    while node.owner.handle.serves() {
        tokio::task::yield_now().await;
    }
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    node.answers(true);
    let sent = until!(told(&mut stream), Told::Sent(sent) => sent);
    assert_eq!(sent.request_id, "m1");
    let end = stream.down.recv().await.expect("an end");
    let StreamDown::Failed(refusal) = end else {
        panic!("not an end: {end:?}");
    };
    assert_eq!(refusal.reason(), ErrorReason::NotLeader);
}

#[tokio::test(start_paused = true)]
async fn a_listing_by_an_unknown_queue_or_agent_says_so() {
    let node = Node::start().await;
    let of_queue = ListConversationsRequest {
        queue: "nowhere".into(),
        ..Default::default()
    };
    let of_agent = ListConversationsRequest {
        agent: "nobody".into(),
        ..Default::default()
    };
    for (ask, reason) in [
        (of_queue, ErrorReason::QueueNotFound),
        (of_agent, ErrorReason::AgentNotFound),
    ] {
        let refused = node.ask(Call::ListConversations(ask)).await;
        assert_eq!(refused.expect_err("unknown").reason(), reason);
    }
}
