//! Claims about followed conversations: order, resume, one message on the way, drafts.
//! Promise: the clock is paused; the nodes are in memory.
//! Not here: desks (`desks.rs`), single calls (`calls.rs`).

mod fake;

use std::time::Duration;

use client::api::{self, ErrorReason};
use client::{Conversation, Event, Kind};
use fake::{Fake, Mode, refusal, text_of};
use tokio::time::timeout;

const ALL: &[&str] = &["a:1", "b:1", "c:1"];
const AGENT: api::author::Kind = api::author::Kind::Agent;

async fn items(conversation: &mut Conversation, count: usize) -> Vec<api::Item> {
    let mut items = Vec::new();
    while items.len() < count {
        match conversation.next().await.expect("the stream goes on") {
            Event::Item(item) => items.push(item),
            Event::Ended(error) => panic!("ended: {error}"),
            _ => {}
        }
    }
    items
}

fn sequences(items: &[api::Item]) -> Vec<u64> {
    items.iter().map(|item| item.sequence).collect()
}

async fn resumed(conversation: &mut Conversation) -> (String, u64) {
    loop {
        if let Some(Event::Resumed { address, cursor }) = conversation.next().await {
            return (address, cursor);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_resumes_at_another_node_with_neither_gap_nor_repeat() {
    let fake = Fake::of(ALL);
    fake.shared.lock().unwrap().repeat = 2;
    let mut conversation = fake.client(ALL).customer().attach("main-1", 0);
    for at in 0..3 {
        fake.store(AGENT, &format!("1-{at}"), "x");
    }
    let mut seen = items(&mut conversation, 3).await;
    fake.set("a:1", Mode::Refusing);
    for at in 0..4 {
        fake.store(AGENT, &format!("2-{at}"), "x");
    }
    assert_eq!(resumed(&mut conversation).await, ("b:1".to_owned(), 3));
    seen.extend(items(&mut conversation, 4).await);
    fake.set("b:1", Mode::Refusing);
    fake.store(AGENT, "3", "x");
    seen.extend(items(&mut conversation, 1).await);
    assert_eq!(sequences(&seen), (1..=8).collect::<Vec<u64>>());
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_asked_for_again_from_the_cursor() {
    let fake = Fake::of(ALL);
    for at in 0..5 {
        fake.store(AGENT, &format!("{at}"), "x");
    }
    fake.shared.lock().unwrap().skip_once = Some(3);
    let mut conversation = fake.client(ALL).customer().attach("main-1", 0);
    let seen = items(&mut conversation, 5).await;
    assert_eq!(sequences(&seen), [1, 2, 3, 4, 5]);
    let begun = fake.shared.lock().unwrap().begun.clone();
    assert_eq!(begun, [("a:1".to_owned(), 0), ("b:1".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn an_unacknowledged_message_is_sent_again_with_its_id_before_the_next_one() {
    let fake = Fake::of(ALL);
    fake.shared.lock().unwrap().swallow_acks = 1;
    let conversation = fake.client(ALL).customer().attach("main-1", 0);
    let writer = conversation.writer();
    let (first, second) = tokio::join!(conversation.send("m1"), writer.send("m2"));
    assert_eq!(first.unwrap().sequence, 1);
    assert_eq!(second.unwrap().sequence, 2);
    assert_eq!(fake.texts(), ["m1", "m2"]);
    let ids = fake.ids();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], ids[1], "m1 again, and m2 not before it");
    assert_eq!(fake.asked_nodes(), ["a:1", "b:1", "b:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_node_dies_is_acknowledged_by_another_one() {
    let fake = Fake::of(ALL);
    let mut conversation = fake.client(ALL).customer().attach("main-1", 0);
    resumed(&mut conversation).await;
    fake.set("a:1", Mode::BlackHole);
    let sent = conversation.send("m1").await.unwrap();
    assert_eq!(sent.sequence, 1);
    assert_eq!(fake.texts(), ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_text_comes_back_as_it_was() {
    let fake = Fake::of(ALL);
    let refused = refusal(ErrorReason::ConversationClosed, 0);
    fake.shared.lock().unwrap().refusals.push_back(refused);
    let conversation = fake.client(ALL).customer().attach("main-1", 0);
    let unsent = conversation.send("my words").await.unwrap_err();
    assert_eq!(unsent.error.reason, ErrorReason::ConversationClosed);
    assert_eq!(unsent.draft.text, "my words");
    let again = conversation.send_again(unsent.draft.clone()).await.unwrap();
    assert_eq!(again.request_id, unsent.draft.request_id);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_a_hint_is_waited_out_on_the_same_stream() {
    let fake = Fake::of(ALL);
    let limited = refusal(ErrorReason::RateLimited, 2_000);
    fake.shared.lock().unwrap().refusals.push_back(limited);
    let conversation = fake.client(ALL).customer().attach("main-1", 0);
    let begun = tokio::time::Instant::now();
    conversation.send("m1").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2));
    let ids = fake.ids();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    assert_eq!(fake.shared.lock().unwrap().begun.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_refused_with_a_hint_outlives_the_end_of_its_stream() {
    let fake = Fake::of(ALL);
    let limited = refusal(ErrorReason::RateLimited, 2_000);
    fake.shared.lock().unwrap().refusals.push_back(limited);
    let conversation = fake.client(ALL).customer().attach("main-1", 0);
    let mut sending = std::pin::pin!(conversation.send("m1"));
    let second = Duration::from_secs(1);
    timeout(second, &mut sending).await.unwrap_err();
    assert_eq!(fake.ids().len(), 1, "refused once");
    ALL.iter()
        .for_each(|address| fake.set(address, Mode::Refusing));
    timeout(3 * second, &mut sending).await.unwrap_err();
    fake.set("b:1", Mode::Up);
    let sent = timeout(10 * second, sending).await.expect("it reconnects");
    assert_eq!(sent.unwrap().sequence, 1);
    assert_eq!(fake.asked_nodes(), ["a:1", "b:1"]);
    assert_eq!(fake.ids()[0], fake.ids()[1]);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_acknowledgement_is_told_as_unknown_after_the_budget() {
    let fake = Fake::of(ALL);
    fake.shared.lock().unwrap().swallow_acks = 1_000;
    let conversation = fake.client(ALL).customer().attach("main-1", 0);
    let begun = tokio::time::Instant::now();
    let unsent = conversation.send("m1").await.unwrap_err();
    assert_eq!(unsent.error.kind, Kind::OutcomeUnknown);
    assert_eq!(unsent.draft.text, "m1");
    assert_eq!(begun.elapsed(), Duration::from_secs(15));
    let ids = fake.ids();
    assert!(ids.iter().all(|id| *id == unsent.draft.request_id));
}

#[tokio::test(start_paused = true)]
async fn submitted_messages_are_answered_by_events_in_order() {
    let fake = Fake::of(ALL);
    let mut conversation = fake.client(ALL).customer().attach("main-1", 0);
    let first = conversation.submit("m1").await.unwrap();
    let second = conversation.submit("m2").await.unwrap();
    let mut acked = Vec::new();
    while acked.len() < 2 {
        if let Some(Event::Acked(sent)) = conversation.next().await {
            acked.push(sent.request_id);
        }
    }
    assert_eq!(acked, [first, second]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_pauses_gets_everything_later() {
    let fake = Fake::of(ALL);
    let mut conversation = fake.client(ALL).customer().attach("main-1", 0);
    for at in 0..5_000 {
        fake.store(AGENT, &format!("{at}"), "x");
    }
    let seen = items(&mut conversation, 5_000).await;
    assert_eq!(sequences(&seen), (1..=5_000).collect::<Vec<u64>>());
    assert_eq!(text_of(&seen[0]), "x");
}

#[tokio::test(start_paused = true)]
async fn a_stream_gives_up_after_two_minutes_without_any_node() {
    let fake = Fake::of(ALL);
    ALL.iter()
        .for_each(|address| fake.set(address, Mode::Refusing));
    let begun = tokio::time::Instant::now();
    let mut conversation = fake.client(ALL).customer().attach("main-1", 0);
    let ended = conversation.next().await;
    let took = begun.elapsed();
    assert!(matches!(ended, Some(Event::Ended(error)) if error.kind == Kind::Unreachable));
    assert!(
        took >= Duration::from_secs(120) && took < Duration::from_secs(125),
        "{took:?}"
    );
    assert!(conversation.next().await.is_none());
}
