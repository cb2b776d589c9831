//! Claims about desks: session, heartbeats, resume, drafts.
//! Promise: the clock is paused; the nodes are in memory.
//! Not here: conversations of customers (`streams.rs`).

mod fake;

use std::time::Duration;

use client::api::{self, ErrorReason};
use client::{AgentDesk, DeskEvent, DeskLogin};
use fake::{Fake, Mode, refusal};

const ALL: &[&str] = &["a:1", "b:1", "c:1"];
const CUSTOMER: api::author::Kind = api::author::Kind::Customer;

fn desk(fake: &Fake) -> AgentDesk {
    fake.client(ALL).agent().desk(DeskLogin {
        agent: "ana".into(),
        ready: true,
        ..Default::default()
    })
}

fn offer(id: &str) -> api::Offer {
    api::Offer {
        offer_id: id.into(),
        owner_epoch: 1,
        ..Default::default()
    }
}

/// Events up to and including the next one that `is_last` names.
async fn until(desk: &mut AgentDesk, is_last: impl Fn(&DeskEvent) -> bool) -> Vec<DeskEvent> {
    let mut events = Vec::new();
    loop {
        let event = desk.next().await.expect("the desk goes on");
        let last = is_last(&event);
        events.push(event);
        if last {
            return events;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_moves_keeps_session_and_device_and_shows_only_what_changed() {
    let fake = Fake::of(ALL);
    fake.store(CUSTOMER, "1", "hello");
    {
        let mut shared = fake.shared.lock().unwrap();
        shared.holds = true;
        shared.offers = vec![offer("o1"), offer("o2")];
    }
    let mut desk = desk(&fake);
    let before = until(&mut desk, |event| *event == DeskEvent::Ready).await;
    assert!(
        before
            .iter()
            .any(|event| matches!(event, DeskEvent::Held(held) if held.items.len() == 1))
    );
    assert_eq!(
        before
            .iter()
            .filter(|event| matches!(event, DeskEvent::Offer(_)))
            .count(),
        2
    );

    fake.shared.lock().unwrap().offers = vec![offer("o2"), offer("o3")];
    fake.set("a:1", Mode::Refusing);
    fake.store(CUSTOMER, "2", "are you there?");
    let after = until(&mut desk, |event| matches!(event, DeskEvent::OfferEnded(_))).await;

    let offers: Vec<&str> = after
        .iter()
        .filter_map(|event| match event {
            DeskEvent::Offer(offer) => Some(offer.offer_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(offers, ["o3"]);
    assert!(matches!(after.last(), Some(DeskEvent::OfferEnded(ended)) if ended.offer_id == "o1"));
    let items: Vec<u64> = after
        .iter()
        .filter_map(|event| match event {
            DeskEvent::Item { item, .. } => Some(item.sequence),
            _ => None,
        })
        .collect();
    assert_eq!(items, [2]);
    assert!(
        !after
            .iter()
            .any(|event| matches!(event, DeskEvent::Held(_)))
    );
    let hellos = fake.shared.lock().unwrap().hellos.clone();
    assert_eq!(hellos.len(), 2);
    assert_eq!((hellos[0].session, hellos[1].session), (0, 77));
    assert_eq!(hellos[0].device_id, hellos[1].device_id);
    assert_ne!(hellos[0].request_id, hellos[1].request_id);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_the_snapshot_no_longer_names_is_gone() {
    let fake = Fake::of(ALL);
    fake.shared.lock().unwrap().holds = true;
    let mut desk = desk(&fake);
    until(&mut desk, |event| *event == DeskEvent::Ready).await;
    fake.shared.lock().unwrap().holds = false;
    fake.set("a:1", Mode::Refusing);
    let after = until(&mut desk, |event| matches!(event, DeskEvent::Gone(_))).await;
    assert!(
        matches!(after.last(), Some(DeskEvent::Gone(gone)) if gone.conversation_id == "main-1")
    );
}

#[tokio::test(start_paused = true)]
async fn heartbeats_go_as_often_as_the_server_asks() {
    let fake = Fake::of(ALL);
    let mut desk = desk(&fake);
    until(&mut desk, |event| *event == DeskEvent::Ready).await;
    tokio::time::sleep(Duration::from_millis(10_500)).await;
    let beats = fake.shared.lock().unwrap().beats;
    assert_eq!(beats, 10);
}

#[tokio::test(start_paused = true)]
async fn a_refused_reply_comes_back_as_a_draft() {
    let fake = Fake::of(ALL);
    let stale = refusal(ErrorReason::StaleOwnerEpoch, 0);
    fake.shared.lock().unwrap().refusals.push_back(stale);
    let desk = desk(&fake);
    let failed = desk.reply("main-1", 1, "my answer").await.unwrap_err();
    assert_eq!(failed.error.reason, ErrorReason::StaleOwnerEpoch);
    assert_eq!(failed.draft.as_deref(), Some("my answer"));
}

#[tokio::test(start_paused = true)]
async fn an_act_without_answer_is_asked_again_with_its_id_at_another_node() {
    let fake = Fake::of(ALL);
    fake.shared.lock().unwrap().swallow_acks = 1;
    let desk = desk(&fake);
    let (first, second) =
        tokio::join!(desk.reply("main-1", 1, "r1"), desk.reply("main-1", 1, "r2"),);
    assert_eq!((first.unwrap().sequence, second.unwrap().sequence), (1, 2));
    let ids = fake.ids();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], ids[1], "r1 again, and r2 not before it");
    assert_eq!(fake.asked_nodes(), ["a:1", "b:1", "b:1"]);
}

#[tokio::test(start_paused = true)]
async fn acts_on_different_subjects_do_not_wait_for_each_other() {
    let fake = Fake::of(ALL);
    let limited = refusal(ErrorReason::RateLimited, 5_000);
    fake.shared.lock().unwrap().refusals.push_back(limited);
    let desk = desk(&fake);
    let begun = tokio::time::Instant::now();
    let accepting = offer("o1");
    let slow = desk.reply("main-1", 1, "r1");
    let quick = async {
        desk.accept(&accepting).await.unwrap();
        begun.elapsed()
    };
    let (slow, quick) = tokio::join!(slow, quick);
    slow.unwrap();
    assert!(quick < Duration::from_secs(1), "{quick:?}");
    assert!(begun.elapsed() >= Duration::from_secs(5));
}
