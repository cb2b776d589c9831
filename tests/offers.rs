//! Offers: answers that come twice, late, from the past or beyond capacity.
//! Promise: one cluster; each wrong answer gets its typed reason, and work goes on.
//! Not here: the rules themselves (`domain`), customers (`refusals`).

use client::api::{self, ErrorReason};
use client::{AgentDesk, Client, DeskEvent};

use crate::cluster::Setup;
use crate::support::people::{self, opening, reason, refusal};
use crate::support::{TestCluster, data};

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_twice_late_or_from_the_past_get_their_reason() -> anyhow::Result<()> {
    let setup = Setup {
        floor: Some(data("floor.toml")),
        ..Default::default()
    };
    let cluster = TestCluster::start_with(setup).await?;
    // Customers and agents at different nodes: every call may be one hop away from the leader.
    let client = cluster.client_at(0)?;
    let (mut ana, session) = people::seat(&cluster.client_at(1)?, "ana").await?;
    an_offer_is_accepted_once(&client, &mut ana, session).await?;
    an_accept_after_the_offer_lapsed_is_refused(&client, &mut ana, session).await?;
    an_act_with_an_old_epoch_is_refused(&client, &mut ana).await?;
    let (mut ben, _) = people::seat(&cluster.client_at(2)?, "ben").await?;
    work_beyond_capacity_is_refused(&client, &mut ana, &mut ben).await?;
    an_act_of_an_ended_session_is_refused(&client, &ana, session).await?;
    Ok(())
}

fn accept(session: u64, offer: &api::Offer, request_id: String) -> api::AcceptOfferRequest {
    api::AcceptOfferRequest {
        agent: "ana".to_owned(),
        session,
        request_id,
        offer_id: offer.offer_id.clone(),
        owner_epoch: offer.owner_epoch,
    }
}

async fn close(desk: &AgentDesk, id: &str, epoch: u64) -> anyhow::Result<()> {
    desk.close(id, epoch, "done").await?;
    desk.finish_wrap_up(id, epoch).await?;
    Ok(())
}

async fn an_offer_is_accepted_once(
    client: &Client,
    ana: &mut AgentDesk,
    session: u64,
) -> anyhow::Result<()> {
    people::open(client, "twice", "Guten Tag").await?;
    let offer = people::offer(ana).await?;
    let agent = client.agent();
    let first = accept(session, &offer, client.request_id());
    let accepted = agent.accept_offer(first.clone()).await?;
    let again = agent.accept_offer(first).await?;
    assert_eq!(again, accepted);
    let other = accept(session, &offer, client.request_id());
    let refused = refusal(agent.accept_offer(other).await);
    assert_eq!(refused.reason, ErrorReason::OfferEnded);
    assert!(refused.metadata.contains_key("outcome"), "{refused:?}");
    close(ana, &accepted.conversation_id, accepted.owner_epoch).await
}

async fn an_accept_after_the_offer_lapsed_is_refused(
    client: &Client,
    ana: &mut AgentDesk,
    session: u64,
) -> anyhow::Result<()> {
    let request = api::OpenRequest {
        queue: "quick".to_owned(),
        ..opening("late", "Guten Tag")
    };
    let opened = client.customer().open(request).await?;
    let offer = people::offer(ana).await?;
    ana.offer_shown(&offer.offer_id);
    let outcome = loop {
        if let DeskEvent::OfferEnded(ended) = people::event(ana).await?
            && ended.offer_id == offer.offer_id
        {
            break ended.outcome();
        }
    };
    assert_eq!(outcome, api::offer_ended::Outcome::Expired);
    let late = accept(session, &offer, client.request_id());
    let refused = refusal(client.agent().accept_offer(late).await);
    assert_eq!(refused.reason, ErrorReason::OfferEnded, "{refused:?}");
    let close = api::CloseRequest {
        conversation_id: opened.conversation_id,
        ..Default::default()
    };
    client.customer().close(close).await?;
    Ok(())
}

async fn an_act_with_an_old_epoch_is_refused(
    client: &Client,
    ana: &mut AgentDesk,
) -> anyhow::Result<()> {
    let (id, epoch) = people::taken(client, ana, "epoch").await?;
    let failed = ana.reply(&id, epoch - 1, "Zu spät").await;
    let failed = failed.expect_err("the epoch is old");
    assert_eq!(failed.error.reason, ErrorReason::StaleOwnerEpoch);
    assert_eq!(failed.draft.as_deref(), Some("Zu spät"));
    let current = failed.error.metadata.get("currentOwnerEpoch").cloned();
    assert_eq!(current, Some(epoch.to_string()), "{failed:?}");
    close(ana, &id, epoch).await
}

/// Ben has room for one conversation, Ana for two.
async fn work_beyond_capacity_is_refused(
    client: &Client,
    ana: &mut AgentDesk,
    ben: &mut AgentDesk,
) -> anyhow::Result<()> {
    not_ready(ana).await?;
    let (bens, bens_epoch) = people::taken(client, ben, "full").await?;
    ready(ana).await?;
    let (anas, anas_epoch) = people::taken(client, ana, "moves").await?;
    let to_ben = client::Transfer::Agent {
        name: "ben".to_owned(),
        wait: false,
    };
    let failed = ana.transfer(&anas, anas_epoch, to_ben, "").await;
    let failed = failed.expect_err("Ben is full");
    assert_eq!(
        failed.error.reason,
        ErrorReason::AgentAtCapacity,
        "{failed:?}"
    );

    not_ready(ana).await?;
    ben.hold(&bens, bens_epoch).await?;
    let (second, second_epoch) = people::taken(client, ben, "second").await?;
    let failed = ben.resume(&bens, bens_epoch).await;
    let failed = failed.expect_err("the units are taken");
    assert_eq!(
        failed.error.reason,
        ErrorReason::AgentAtCapacity,
        "{failed:?}"
    );
    close(ben, &second, second_epoch).await?;
    close(ana, &anas, anas_epoch).await
}

async fn not_ready(desk: &AgentDesk) -> anyhow::Result<()> {
    let intent = api::Intent {
        ready: false,
        reason: "a break".to_owned(),
    };
    desk.set_intent(intent).await?;
    Ok(())
}

async fn ready(desk: &AgentDesk) -> anyhow::Result<()> {
    let intent = api::Intent {
        ready: true,
        reason: String::new(),
    };
    desk.set_intent(intent).await?;
    Ok(())
}

async fn an_act_of_an_ended_session_is_refused(
    client: &Client,
    ana: &AgentDesk,
    session: u64,
) -> anyhow::Result<()> {
    ana.log_out().await?;
    let agent = client.agent();
    let log_in = api::LogInRequest {
        agent: "ana".to_owned(),
        device_id: "another".to_owned(),
        ..Default::default()
    };
    let new = agent.log_in(log_in).await?;
    assert_ne!(new.session, session);
    let act = api::SetIntentRequest {
        agent: "ana".to_owned(),
        session,
        intent: Some(api::Intent::default()),
        ..Default::default()
    };
    let refused = refusal(agent.set_intent(act).await);
    assert_eq!(refused.reason, ErrorReason::StaleSession);
    let current = refused.metadata.get("currentSession").cloned();
    assert_eq!(current, Some(new.session.to_string()), "{refused:?}");
    let unknown = api::LogInRequest {
        agent: "nobody".to_owned(),
        device_id: "another".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        reason(agent.log_in(unknown).await),
        ErrorReason::AgentNotFound
    );
    Ok(())
}
