//! What agents may not: offers that are not theirs or over, epochs and sessions that have passed, work that they
//! cannot take.

use std::time::Duration;

use client::{AgentDesk, Client, DeskEvent, DeskLogin};
use pb::api::v1::{
    AcceptOfferRequest, AcceptOfferResponse, AssignConversationRequest, AssignConversationResponse,
    CloseConversationRequest, CloseRequest, ErrorReason as R, FinishWrapUpRequest, Intent,
    LogInRequest, LogInResponse, Offer, ReplyRequest, ReplyResponse,
};
use tokio::time::{sleep, timeout};
use tonic::{Response, Status};

use super::{Heard, formed};
use crate::dev::stubs_test::Stubs;
use crate::dev::talk_test::{WAIT, client_of};

/// After this an agent who says nothing is suspect, and not yet lost.
const SILENT: Duration = Duration::from_secs(30);
/// After this an offer has lapsed.
const LAPSED: Duration = Duration::from_secs(21);

type Answer<T> = Result<Response<T>, Status>;

pub(super) async fn play() -> Heard {
    let (env, dev) = formed(62).await;
    let client = client_of(&env, &dev.api_addresses());
    let (mut node, mut heard) = (Stubs::at(&env, &dev.nodes()[1]).await, Heard::default());
    let (id, mut ben) = nobody_who_can(&client, &mut node, &mut heard).await;
    let mut ana = seat(&client, "ana", true).await;
    let epoch = an_offer(&mut node, &mut heard, (&mut ana, &ben), &id).await;
    an_owner(&mut node, &mut heard, (&ana, &ben), (&id, epoch)).await;
    a_late_answer(&mut node, &mut heard, &mut ana).await;
    ready(&ana, false).await;
    ready(&ben, true).await;
    a_full_desk(&mut node, &mut heard, &mut ben).await;
    dev.shutdown().await;
    heard
}

/// A desk with its session.
struct Seat {
    desk: AgentDesk,
    agent: &'static str,
    session: u64,
}

async fn seat(client: &Client, agent: &'static str, ready: bool) -> Seat {
    let mut desk = client.agent().desk(DeskLogin {
        agent: agent.to_owned(),
        device_id: String::new(),
        session: 0,
        ready,
    });
    let mut session = 0;
    loop {
        match event(&mut desk).await {
            DeskEvent::Resumed { session: now, .. } => session = now,
            DeskEvent::Ready => {
                return Seat {
                    desk,
                    agent,
                    session,
                };
            }
            _ => {}
        }
    }
}

async fn event(desk: &mut AgentDesk) -> DeskEvent {
    let event = timeout(WAIT, desk.next()).await;
    event
        .expect("the desk hears something")
        .expect("it goes on")
}

async fn offer(seat: &mut Seat) -> Offer {
    loop {
        if let DeskEvent::Offer(offer) = event(&mut seat.desk).await {
            return offer;
        }
    }
}

async fn ready(seat: &Seat, ready: bool) {
    let reason = String::new();
    seat.desk
        .set_intent(Intent { ready, reason })
        .await
        .unwrap();
}

async fn log_in(node: &mut Stubs, agent: &str) -> Answer<LogInResponse> {
    let request = LogInRequest {
        agent: agent.to_owned(),
        request_id: node.id(),
        device_id: "phone".to_owned(),
        intent: Some(Intent {
            ready: true,
            reason: String::new(),
        }),
        ..LogInRequest::default()
    };
    node.agents.log_in(request).await
}

async fn assign(node: &mut Stubs, id: &str, agent: &str) -> Answer<AssignConversationResponse> {
    let request = AssignConversationRequest {
        conversation_id: id.to_owned(),
        request_id: node.id(),
        staff: "mia".to_owned(),
        agent: agent.to_owned(),
        wait: false,
        reason: "she asked for you".to_owned(),
    };
    node.floor.assign_conversation(request).await
}

/// Named agents who cannot take a conversation, each for a cause of its own; who has not said a word is one.
async fn nobody_who_can(client: &Client, node: &mut Stubs, heard: &mut Heard) -> (String, Seat) {
    heard.call(R::AgentNotFound, log_in(node, "nobody").await);
    log_in(node, "eve").await.unwrap();
    // tidy: allow(sleep) played on the paused clock of the scene that calls this
    sleep(SILENT).await;
    let id = node.opened("one").await;
    heard.call(R::AgentNotFound, assign(node, &id, "nobody").await);
    heard.call(R::AgentUnreachable, assign(node, &id, "eve").await);
    heard.call(R::AgentNotLoggedIn, assign(node, &id, "ben").await);
    log_in(node, "kim").await.unwrap();
    let said = heard.call(R::AgentNotSkilled, assign(node, &id, "kim").await);
    assert_eq!(said["queue"], "desk");
    let ben = seat(client, "ben", false).await;
    heard.call(R::AgentNotReady, assign(node, &id, "ben").await);
    (id, ben)
}

fn accept(node: &mut Stubs, seat: &Seat, offer: &Offer) -> AcceptOfferRequest {
    AcceptOfferRequest {
        agent: seat.agent.to_owned(),
        session: seat.session,
        request_id: node.id(),
        offer_id: offer.offer_id.clone(),
        owner_epoch: offer.owner_epoch,
    }
}

async fn accepted(node: &mut Stubs, request: AcceptOfferRequest) -> Answer<AcceptOfferResponse> {
    node.agents.accept_offer(request).await
}

/// Answers to an offer that is somebody else's, from the past, made up or over; the epoch after it was taken.
async fn an_offer(
    node: &mut Stubs,
    heard: &mut Heard,
    (ana, ben): (&mut Seat, &Seat),
    id: &str,
) -> u64 {
    let offer = offer(ana).await;
    let others = accept(node, ben, &offer);
    heard.call(R::OfferNotYours, accepted(node, others).await);
    for made_up in ["o1-1-999", "o0-1-1"] {
        let mut unknown = accept(node, ana, &offer);
        unknown.offer_id = made_up.to_owned();
        heard.call(R::OfferNotFound, accepted(node, unknown).await);
    }
    let mut old = accept(node, ana, &offer);
    old.owner_epoch -= 1;
    heard.call(R::StaleOwnerEpoch, accepted(node, old).await);
    let mut other = accept(node, ana, &offer);
    other.session += 7;
    let said = heard.call(R::StaleSession, accepted(node, other).await);
    assert_eq!(said["currentSession"], ana.session.to_string());

    let first = accept(node, ana, &offer);
    let taken = accepted(node, first.clone()).await.unwrap().into_inner();
    assert_eq!(taken.conversation_id, id);
    let again = accepted(node, first).await.unwrap().into_inner();
    assert_eq!(again, taken, "a copy has the first answer");
    let twice = accept(node, ana, &offer);
    let said = heard.call(R::OfferEnded, accepted(node, twice).await);
    assert_eq!((&*said["outcome"], &*said["by"]), ("accepted", "ana"));
    taken.owner_epoch
}

async fn reply(
    node: &mut Stubs,
    seat: &Seat,
    (id, owner_epoch): (&str, u64),
) -> Answer<ReplyResponse> {
    let request = ReplyRequest {
        agent: seat.agent.to_owned(),
        session: seat.session,
        request_id: node.id(),
        conversation_id: id.to_owned(),
        owner_epoch,
        text: "Wie kann ich helfen?".to_owned(),
        ..ReplyRequest::default()
    };
    node.agents.reply(request).await
}

async fn an_owner(
    node: &mut Stubs,
    heard: &mut Heard,
    (ana, ben): (&Seat, &Seat),
    (id, epoch): (&str, u64),
) {
    let said = heard.call(R::NotOwner, reply(node, ben, (id, epoch)).await);
    assert_eq!(said["owner"], "ana");
    let said = heard.call(R::StaleOwnerEpoch, reply(node, ana, (id, epoch - 1)).await);
    assert_eq!(said["currentOwnerEpoch"], epoch.to_string());
    reply(node, ana, (id, epoch)).await.unwrap();
}

async fn a_late_answer(node: &mut Stubs, heard: &mut Heard, ana: &mut Seat) {
    let id = node.opened("late").await;
    let offer = offer(ana).await;
    // tidy: allow(sleep) played on the paused clock of the scene that calls this
    sleep(LAPSED).await;
    let late = accept(node, ana, &offer);
    let said = heard.call(R::OfferEnded, accepted(node, late).await);
    assert_eq!(said["outcome"], "expired");
    assert_ne!(said["lateMs"], "0");
    let close = CloseRequest {
        conversation_id: id,
        request_id: node.id(),
        ..CloseRequest::default()
    };
    node.customers.close(close).await.unwrap();
}

/// Ben holds one conversation and can hold no other; after it he has to wait.
async fn a_full_desk(node: &mut Stubs, heard: &mut Heard, ben: &mut Seat) {
    node.opened_in("strict", "strict").await;
    let offer = offer(ben).await;
    let request = accept(node, ben, &offer);
    let taken = accepted(node, request).await.unwrap().into_inner();
    let waits = node.opened("more").await;
    let said = heard.call(R::AgentAtCapacity, assign(node, &waits, "ben").await);
    assert_eq!((&*said["free"], &*said["needed"]), ("0", "25"));
    let close = CloseConversationRequest {
        agent: ben.agent.to_owned(),
        session: ben.session,
        request_id: node.id(),
        conversation_id: taken.conversation_id.clone(),
        owner_epoch: taken.owner_epoch,
        ..CloseConversationRequest::default()
    };
    node.agents.close_conversation(close).await.unwrap();
    let finish = FinishWrapUpRequest {
        agent: ben.agent.to_owned(),
        session: ben.session,
        request_id: node.id(),
        conversation_id: taken.conversation_id,
        owner_epoch: taken.owner_epoch,
    };
    let said = heard.call(R::WrapUpNotOver, node.agents.finish_wrap_up(finish).await);
    assert_ne!(said["remainingMs"], "0");
}
