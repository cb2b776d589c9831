//! Refusals: what customers and operators may not do, each with its typed reason.
//! Promise: one cluster; a refusal changes nothing, and the next good call is answered.
//! Not here: offers and agents (`offers`), streams that misbehave (`streams`).

use client::api::{self, ErrorReason};
use client::{Client, Event};

use crate::cluster::Setup;
use crate::support::people::{self, message, opening, reason, refusal};
use crate::support::{TestCluster, data, within};

/// The largest text of a message.
const TEXT_BYTES_MAX: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_of_customers_and_operators_gets_its_reason() -> anyhow::Result<()> {
    let setup = Setup {
        floor: Some(data("floor.toml")),
        ..Default::default()
    };
    let cluster = TestCluster::start_with(setup).await?;
    let client = cluster.client_at(0)?;
    a_message_without_text_is_refused(&client).await?;
    a_text_above_64_kib_is_refused_and_one_of_64_kib_is_not(&client).await?;
    an_unknown_and_a_closed_conversation_are_refused(&client).await?;
    an_unknown_queue_and_account_are_refused(&client).await?;
    a_request_id_stands_for_one_text(&client).await?;
    a_cursor_from_the_future_is_refused(&client).await?;
    a_plan_with_an_unknown_skill_is_refused_with_its_place(&client).await?;
    a_plan_made_against_another_version_is_refused(&client).await?;
    Ok(())
}

async fn a_message_without_text_is_refused(client: &Client) -> anyhow::Result<()> {
    let id = people::open(client, "empty", "Hallo").await?;
    let customer = client.customer();
    let answer = customer.send(message(&id, "")).await;
    assert_eq!(reason(answer), ErrorReason::MessageEmpty);
    let stream = customer.attach(&id, 0);
    let unsent = stream.send("").await.expect_err("it has no text");
    assert_eq!(unsent.error.reason, ErrorReason::MessageEmpty);
    assert!(stream.send("Da bin ich").await?.sequence > 0);
    Ok(())
}

async fn a_text_above_64_kib_is_refused_and_one_of_64_kib_is_not(
    client: &Client,
) -> anyhow::Result<()> {
    let id = people::open(client, "large", "Hallo").await?;
    let customer = client.customer();
    let large = "x".repeat(TEXT_BYTES_MAX + 1);
    let refused = refusal(customer.send(message(&id, &large)).await);
    assert_eq!(refused.reason, ErrorReason::MessageTooLarge);
    let limit = refused.metadata.get("limitBytes").map(String::as_str);
    assert_eq!(limit, Some("65536"), "{refused:?}");
    let sent = customer.send(message(&id, &large[1..])).await?;
    let read = customer.transcript(&id).await?;
    assert_eq!(
        read.items.last().map(|item| item.sequence),
        Some(sent.sequence)
    );
    let opened = customer.open(opening("large too", &large)).await;
    assert_eq!(reason(opened), ErrorReason::MessageTooLarge);
    Ok(())
}

async fn an_unknown_and_a_closed_conversation_are_refused(client: &Client) -> anyhow::Result<()> {
    let id = people::open(client, "closes", "Hallo").await?;
    let customer = client.customer();
    let close = api::CloseRequest {
        conversation_id: id.clone(),
        ..Default::default()
    };
    customer.close(close).await?;
    let answer = customer.send(message(&id, "Noch etwas")).await;
    assert_eq!(reason(answer), ErrorReason::ConversationClosed);

    let unknown = another_id(&id);
    let answer = customer.send(message(&unknown, "Hallo")).await;
    assert_eq!(reason(answer), ErrorReason::ConversationNotFound);
    let answer = customer.transcript(&unknown).await;
    assert_eq!(reason(answer), ErrorReason::ConversationNotFound);
    let mut stream = customer.attach(&unknown, 0);
    match within("the end of the stream", stream.next()).await? {
        Some(Event::Ended(error)) => assert_eq!(error.reason, ErrorReason::ConversationNotFound),
        other => panic!("the stream went on with {other:?}"),
    }
    Ok(())
}

/// An id of the same form that nobody has.
fn another_id(id: &str) -> String {
    let cell = id.split('-').next().unwrap_or_default();
    format!("{cell}-999999999")
}

async fn an_unknown_queue_and_account_are_refused(client: &Client) -> anyhow::Result<()> {
    let customer = client.customer();
    let to_queue = api::OpenRequest {
        queue: "nowhere".to_owned(),
        ..opening("lost", "Hallo")
    };
    assert_eq!(
        reason(customer.open(to_queue).await),
        ErrorReason::QueueNotFound
    );
    let on_account = api::OpenRequest {
        account: "nowhere".to_owned(),
        ..opening("lost", "Hallo")
    };
    assert_eq!(
        reason(customer.open(on_account).await),
        ErrorReason::AccountNotFound
    );
    Ok(())
}

async fn a_request_id_stands_for_one_text(client: &Client) -> anyhow::Result<()> {
    let id = people::open(client, "repeats", "Hallo").await?;
    let customer = client.customer();
    let first = api::SendRequest {
        request_id: client.request_id(),
        ..message(&id, "eins")
    };
    let sent = customer.send(first.clone()).await?;
    let again = customer.send(first.clone()).await?;
    assert_eq!(again.sequence, sent.sequence);
    let other = api::SendRequest {
        text: "zwei".to_owned(),
        ..first
    };
    assert_eq!(
        reason(customer.send(other).await),
        ErrorReason::RequestIdReused
    );
    let read = customer.transcript(&id).await?;
    assert_eq!(
        read.items.last().map(|item| item.sequence),
        Some(sent.sequence)
    );
    Ok(())
}

async fn a_cursor_from_the_future_is_refused(client: &Client) -> anyhow::Result<()> {
    let id = people::open(client, "future", "Hallo").await?;
    let mut stream = client.customer().attach(&id, 999);
    match within("the end of the stream", stream.next()).await? {
        Some(Event::Ended(error)) => {
            assert_eq!(error.reason, ErrorReason::CursorFromTheFuture);
            assert!(error.metadata.contains_key("lastSequence"), "{error:?}");
        }
        other => panic!("the stream went on with {other:?}"),
    }
    Ok(())
}

async fn a_plan_with_an_unknown_skill_is_refused_with_its_place(
    client: &Client,
) -> anyhow::Result<()> {
    let operator = client.operator();
    let plan = operator
        .get_floor_plan(api::GetFloorPlanRequest { version: 0 })
        .await?;
    let bad = plan
        .toml
        .replacen("skills = { help = 1 }", "skills = { halp = 1 }", 1);
    assert_ne!(bad, plan.toml);
    let line = bad
        .lines()
        .position(|line| line.contains("halp"))
        .map(|at| at + 1);
    let request = api::CheckFloorPlanRequest { toml: bad.clone() };
    let checked = operator.check_floor_plan(request).await?;
    let named = |fault: &&api::PlanFault| fault.suggestion.contains("help");
    let fault = checked.faults.iter().find(named);
    let fault = fault.expect("the check says which skill may have been meant");
    assert!(fault.message.contains("halp"), "{fault:?}");
    assert_eq!(usize::try_from(fault.line).ok(), line, "{fault:?}");
    assert!(fault.column > 0, "{fault:?}");

    let request = api::ApplyFloorPlanRequest {
        toml: bad,
        expected_version: plan.version,
        ..Default::default()
    };
    // Faults are an answer with their places, not a refusal; nothing was changed.
    let applied = operator.apply_floor_plan(request).await?;
    assert_eq!(applied.faults, checked.faults);
    assert_eq!(applied.version, plan.version);
    Ok(())
}

async fn a_plan_made_against_another_version_is_refused(client: &Client) -> anyhow::Result<()> {
    let operator = client.operator();
    let plan = operator
        .get_floor_plan(api::GetFloorPlanRequest { version: 0 })
        .await?;
    let request = api::ApplyFloorPlanRequest {
        toml: plan.toml.replace("capacity = 50", "capacity = 75"),
        expected_version: plan.version + 7,
        ..Default::default()
    };
    let refused = refusal(operator.apply_floor_plan(request).await);
    assert_eq!(refused.reason, ErrorReason::PlanVersionStale);
    let version = refused.metadata.get("version").cloned();
    assert_eq!(version, Some(plan.version.to_string()), "{refused:?}");
    Ok(())
}
