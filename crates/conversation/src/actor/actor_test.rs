//! A defect in one conversation's actor, planted.
//! Promise: it harms no other conversation, is counted, and its own conversation goes on.
//! Not here: defects of the machine (`domain`).

#[allow(dead_code, reason = "this test needs a part of it")]
#[path = "../../tests/group/mod.rs"]
mod group;

use std::sync::Arc;
use std::time::Duration;

use domain::cell::command::{Actor, Command, Open, Send};
use domain::cell::reply::Done;
use domain::ids::{
    AccountId, Body, CellId, ConversationId, CustomerKey, NodeId, PlanVersion, RequestId, Sequence,
    SiteId,
};
use domain::plan::VersionedPlan;
use runtime::StopSource;
use tokio::sync::watch;

use super::ToActor;
use crate::handle::{CellHandle, CellParts, start};
use crate::leader::{Edge, Faults};
use crate::stream::EndReason;

const EDGE: NodeId = NodeId(1);

struct NoFault;

impl Faults for NoFault {
    fn our_fault(&self, _edge: &Edge) -> bool {
        false
    }
}

async fn opened(cell: &CellHandle, customer: &str) -> ConversationId {
    let open = Command::Open(Open {
        request_id: RequestId::new(customer).expect("well formed"),
        account: AccountId::new("web-de").expect("well formed"),
        customer: CustomerKey::new(customer).expect("well formed"),
        display_name: String::new(),
        site: SiteId::new("fra").expect("well formed"),
        queue: None,
        language: None,
        topics: Vec::new(),
        boost_ms: 0,
        bot_first: false,
        body: None,
        sent_ms: 0,
        instance: None,
        previous: None,
    });
    match cell.act(open).await {
        Ok(Done::Opened(opened)) => opened.conversation,
        other => panic!("not opened: {other:?}"),
    }
}

fn message(conversation: ConversationId, id: &str) -> Command {
    Command::Send(Send {
        conversation,
        request_id: RequestId::new(id).expect("well formed"),
        author: Actor::Customer,
        body: Body::clear(id),
        sent_ms: 0,
        instance: None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_actor_harms_no_other_and_is_reported() {
    let (replica, view) = crate::replica::replica(CellId(1));
    let group = Arc::new(group::LocalGroup::new(replica));
    let plan = wire::floor::parse(wire::floor::SAMPLE).expect("the sample has no fault");
    let plan = VersionedPlan {
        version: PlanVersion(1),
        plan: Arc::new(plan),
    };
    let (_plan, newest) = watch::channel(Some(plan));
    let stop = StopSource::new();
    let (cell, task) = start(CellParts {
        cell: CellId(1),
        env: runtime::memory::env(1),
        group: group.clone(),
        view: view.clone(),
        plan: newest,
        faults: Arc::new(NoFault),
        interrupted_after_ms: 300,
        archives: crate::left::Archives::none(),
        stop: stop.token(),
    });
    task.detach();
    group.lead(1);
    while !cell.serves() || view.with(|cell, _| cell.state().plan().is_none()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (broken, other) = (opened(&cell, "anna").await, opened(&cell, "bert").await);
    let mut lost = cell
        .attach(broken, Sequence(0), true, EDGE)
        .await
        .expect("attached");
    let mut kept = cell
        .attach(other, Sequence(0), true, EDGE)
        .await
        .expect("attached");

    let actor = view.shared.hub.live(broken).expect("it is live");
    assert!(actor.mailbox.try_send(ToActor::Panic).is_ok());
    while lost.events.recv().await.is_some() {}

    assert_eq!(lost.why(), EndReason::Failed);
    assert_eq!(view.actor_failures(), 1);
    cell.act(message(other, "unharmed"))
        .await
        .expect("the other goes on");
    assert!(kept.events.recv().await.is_some());
    cell.act(message(broken, "again"))
        .await
        .expect("a new actor takes over");
    let again = cell
        .attach(broken, Sequence(0), true, EDGE)
        .await
        .expect("attached");
    let texts = again
        .backlog
        .iter()
        .filter(|item| item.message().is_some())
        .count();
    assert_eq!(texts, 1);
}
