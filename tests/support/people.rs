//! People: customers and agents of the tests, through the SDK.
//! Promise: each wait has a deadline and names what it waits for.
//! Not here: what they do wrong (the tests).

use anyhow::bail;
use client::api::{self, ErrorReason};
use client::{AgentDesk, CallError, Client, DeskEvent, DeskLogin};

use super::within;

/// Opens a conversation on the sample plan's German line, which three agents serve.
pub async fn open(client: &Client, customer: &str, text: &str) -> anyhow::Result<String> {
    let opened = client.customer().open(opening(customer, text)).await?;
    Ok(opened.conversation_id)
}

/// What `open` asks.
pub fn opening(customer: &str, text: &str) -> api::OpenRequest {
    api::OpenRequest {
        account: "web-de".to_owned(),
        customer: customer.to_owned(),
        language: "de".to_owned(),
        text: text.to_owned(),
        ..Default::default()
    }
}

/// A message for a conversation.
pub fn message(conversation_id: &str, text: &str) -> api::SendRequest {
    api::SendRequest {
        conversation_id: conversation_id.to_owned(),
        text: text.to_owned(),
        ..Default::default()
    }
}

/// Takes a seat and waits until the desk is ready; the session.
pub async fn seat(client: &Client, agent: &str) -> anyhow::Result<(AgentDesk, u64)> {
    let mut desk = client.agent().desk(DeskLogin {
        agent: agent.to_owned(),
        ready: true,
        ..Default::default()
    });
    let mut session = 0;
    loop {
        match event(&mut desk).await? {
            DeskEvent::Resumed { session: now, .. } => session = now,
            DeskEvent::Ready => return Ok((desk, session)),
            _ => {}
        }
    }
}

/// The next event of a desk that works.
pub async fn event(desk: &mut AgentDesk) -> anyhow::Result<DeskEvent> {
    match within("an event at the desk", desk.next()).await? {
        Some(DeskEvent::Ended(error)) => bail!("the desk ended: {error}"),
        Some(event) => Ok(event),
        None => bail!("the desk ended"),
    }
}

/// The next offer at a desk.
pub async fn offer(desk: &mut AgentDesk) -> anyhow::Result<api::Offer> {
    loop {
        if let DeskEvent::Offer(offer) = event(desk).await? {
            return Ok(offer);
        }
    }
}

/// Opens a conversation and lets the agent take it; its id and owner epoch.
pub async fn taken(
    client: &Client,
    desk: &mut AgentDesk,
    customer: &str,
) -> anyhow::Result<(String, u64)> {
    let id = open(client, customer, "Guten Tag").await?;
    let offered = offer(desk).await?;
    let done = desk.accept(&offered).await?;
    anyhow::ensure!(
        done.conversation_id == id,
        "another conversation was offered"
    );
    Ok((id, done.owner_epoch))
}

/// The reason of a call that must be refused.
pub fn reason<T: std::fmt::Debug>(answer: Result<T, CallError>) -> ErrorReason {
    refusal(answer).reason
}

/// The refusal of a call that must be refused.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, CallError>) -> CallError {
    answer.expect_err("the call was to be refused")
}
