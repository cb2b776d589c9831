//! Claims about single calls: ids, retries, hints, endpoints, budgets.
//! Promise: the clock is paused, so a claim about time is exact.
//! Not here: streams (`streams.rs`, `desks.rs`).

mod fake;

use std::time::Duration;

use client::api::{self, ErrorReason};
use client::{Kind, Options};
use fake::{Fake, Mode, status};
use tokio::time::Instant;

const ALL: &[&str] = &["a:1", "b:1", "c:1"];

fn message(text: &str) -> api::SendRequest {
    api::SendRequest {
        conversation_id: "main-1".into(),
        text: text.into(),
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_the_request_id_and_moves_to_another_endpoint() {
    let fake = Fake::of(ALL);
    for _ in 0..3 {
        let status = status("NOT_LEADER", None, &[]);
        fake.shared.lock().unwrap().statuses.push_back(status);
    }
    let sent = fake.client(ALL).customer().send(message("hi")).await;
    assert_eq!(sent.unwrap().sequence, 1);
    let ids = fake.ids();
    assert_eq!(ids.len(), 4);
    assert!(!ids[0].is_empty());
    assert!(ids.iter().all(|id| *id == ids[0]));
    let nodes = fake.asked_nodes();
    assert!(nodes.windows(2).all(|pair| pair[0] != pair[1]), "{nodes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_asked_again_with_the_same_id_and_told_only_after_the_budget() {
    let fake = Fake::of(ALL);
    for _ in 0..100 {
        let status = status("OUTCOME_UNKNOWN", None, &[]);
        fake.shared.lock().unwrap().statuses.push_back(status);
    }
    let begun = Instant::now();
    let error = fake
        .client(ALL)
        .customer()
        .send(message("hi"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::OutcomeUnknown);
    assert_eq!(error.reason, ErrorReason::OutcomeUnknown);
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(10) && took <= Duration::from_secs(15),
        "{took:?}"
    );
    let ids = fake.ids();
    assert!(ids.len() > 5);
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(error.metadata.get(client::REQUEST_ID), Some(&ids[0]));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_attempt_is_not_forgotten_behind_later_definite_answers() {
    let fake = Fake::of(ALL);
    {
        let mut shared = fake.shared.lock().unwrap();
        shared
            .statuses
            .push_back(status("OUTCOME_UNKNOWN", None, &[]));
        shared
            .statuses
            .extend((0..100).map(|_| status("QUORUM_LOST", None, &[])));
    }
    let error = fake
        .client(ALL)
        .customer()
        .send(message("hi"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::OutcomeUnknown);
}

#[tokio::test(start_paused = true)]
async fn a_defect_after_an_unknown_attempt_leaves_the_outcome_unknown() {
    for before in [&["OUTCOME_UNKNOWN"][..], &[]] {
        let fake = Fake::of(ALL);
        let statuses = before.iter().chain(&["INTERNAL"]);
        fake.shared
            .lock()
            .unwrap()
            .statuses
            .extend(statuses.map(|reason| status(reason, None, &[])));
        let asked = fake.client(ALL).customer().send(message("hi")).await;
        let expected = match before.is_empty() {
            true => (Kind::Defect, ErrorReason::Internal),
            false => (Kind::OutcomeUnknown, ErrorReason::OutcomeUnknown),
        };
        let error = asked.unwrap_err();
        assert_eq!((error.kind, error.reason), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_an_unknown_attempt_without_an_id_leaves_the_outcome_unknown() {
    let skip = api::SkipEntryRequest {
        cell: "main".into(),
        index: 40,
        ..Default::default()
    };
    for call in 0..3 {
        for unknown_first in [true, false] {
            let fake = Fake::of(ALL);
            let before: &[&str] = match unknown_first {
                true => &["OUTCOME_UNKNOWN"],
                false => &[],
            };
            let statuses = before.iter().chain(&["WRONG_STATE"]);
            fake.shared
                .lock()
                .unwrap()
                .statuses
                .extend(statuses.map(|reason| status(reason, None, &[])));
            let operator = fake.client(ALL).operator();
            let error = match call {
                0 => operator.skip_entry(skip.clone()).await.unwrap_err(),
                1 => operator
                    .set_log_level(Default::default())
                    .await
                    .unwrap_err(),
                _ => operator
                    .reload_config(Default::default())
                    .await
                    .unwrap_err(),
            };
            let expected = match unknown_first {
                true => Kind::OutcomeUnknown,
                false => Kind::Refused,
            };
            assert_eq!(error.kind, expected, "call {call}: {error:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_definite_no_of_the_domain_is_not_asked_again() {
    let fake = Fake::of(ALL);
    let closed = status("CONVERSATION_CLOSED", None, &[]);
    fake.shared.lock().unwrap().statuses.push_back(closed);
    let error = fake
        .client(ALL)
        .customer()
        .send(message("hi"))
        .await
        .unwrap_err();
    assert_eq!(error.reason, ErrorReason::ConversationClosed);
    assert_eq!(error.kind, Kind::Refused);
    assert_eq!(fake.ids().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_hint_is_waited_for() {
    let fake = Fake::of(ALL);
    let limited = status("RATE_LIMITED", Some(Duration::from_secs(3)), &[]);
    fake.shared.lock().unwrap().statuses.push_back(limited);
    let begun = Instant::now();
    fake.client(ALL)
        .customer()
        .send(message("hi"))
        .await
        .unwrap();
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(4),
        "{took:?}"
    );
    assert_eq!(
        fake.asked_nodes(),
        ["a:1", "a:1"],
        "a limit is the same at every edge"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_named_is_asked_next() {
    let fake = Fake::of(ALL);
    let hint = status("NOT_LEADER", None, &[("leader", "c:1")]);
    fake.shared.lock().unwrap().statuses.push_back(hint);
    fake.client(ALL)
        .customer()
        .send(message("hi"))
        .await
        .unwrap();
    assert_eq!(fake.asked_nodes(), ["a:1", "c:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_costs_a_fraction_of_a_second_and_is_then_left() {
    let fake = Fake::of(ALL);
    fake.set("a:1", Mode::Refusing);
    let client = fake.client(ALL);
    let begun = Instant::now();
    client.customer().send(message("1")).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(60));
    let begun = Instant::now();
    client.customer().send(message("2")).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(fake.asked_nodes(), ["b:1", "b:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_costs_one_connect_time_out() {
    let fake = Fake::of(ALL);
    fake.set("a:1", Mode::BlackHole);
    let begun = Instant::now();
    fake.client(ALL)
        .customer()
        .send(message("1"))
        .await
        .unwrap();
    assert!(begun.elapsed() <= client::CONNECT_TIMEOUT_DEFAULT + Duration::from_millis(60));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_the_cluster_named_is_used_when_the_given_one_dies() {
    let fake = Fake::of(ALL);
    fake.shared.lock().unwrap().endpoints = vec![api::Endpoint {
        site: "fra".into(),
        node: "fra-n1".into(),
        address: "b:1".into(),
    }];
    let client = fake.client(&["a:1"]);
    client
        .customer()
        .open(api::OpenRequest::default())
        .await
        .unwrap();
    assert_eq!(client.addresses(), ["a:1", "b:1"]);
    fake.set("a:1", Mode::Refusing);
    client.customer().send(message("hi")).await.unwrap();
    assert_eq!(fake.asked_nodes(), ["a:1", "b:1"]);
}

#[tokio::test(start_paused = true)]
async fn when_no_endpoint_answers_the_call_ends_unreachable_within_its_budget() {
    let fake = Fake::of(ALL);
    ALL.iter()
        .for_each(|address| fake.set(address, Mode::Refusing));
    let options = Options {
        call_budget: Duration::from_secs(5),
        ..Options::default()
    };
    let begun = Instant::now();
    let error = fake
        .client_with(ALL, options)
        .customer()
        .send(message("hi"))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable, "{error:?}");
    assert_eq!(error.reason_name(), "UNREACHABLE");
    assert!(begun.elapsed() <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_never_longer_than_two_minutes() {
    let fake = Fake::of(&["a:1"]);
    fake.set("a:1", Mode::Refusing);
    let options = Options {
        call_budget: Duration::from_secs(86_400),
        ..Options::default()
    };
    let begun = Instant::now();
    let client = fake.client_with(&["a:1"], options);
    client.customer().send(message("hi")).await.unwrap_err();
    assert!(begun.elapsed() <= client::RETRY_FOR_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_transcript_is_read_page_by_page_to_its_end() {
    let fake = Fake::of(ALL);
    for at in 0..10 {
        fake.store(
            api::author::Kind::Customer,
            &format!("id{at}"),
            &format!("t{at}"),
        );
    }
    let read = fake
        .client(ALL)
        .customer()
        .transcript("main-1")
        .await
        .unwrap();
    let texts: Vec<String> = read.items.iter().map(fake::text_of).collect();
    assert_eq!(texts, fake.texts());
    assert_eq!(texts.len(), 10);
}
