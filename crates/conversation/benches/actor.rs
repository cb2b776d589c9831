//! What a conversation's actor takes in memory, counted by the allocator.
//! Promise: counts what goes when actors without streams rest: task, mailbox, place in the table.
//! Not here: the conversation's state (`domain`, benchmark `memory`), streams.
//!
//! Goal: with its actor at most 6 KiB an open conversation, of which its state takes at most 4.

#[path = "../../domain/benches/counting/mod.rs"]
mod counting;
#[allow(dead_code, reason = "this benchmark needs a part of it")]
#[path = "../tests/group/mod.rs"]
mod group;

use std::sync::Arc;
use std::time::Duration;

use conversation::{Archives, CellHandle, CellParts, Edge, Faults};
use domain::cell::command::{Actor, Command, Open, Send};
use domain::cell::reply::Done;
use domain::ids::{Body, CellId, ConversationId, PlanVersion, RequestId};
use domain::plan::{FloorPlan, VersionedPlan};
use runtime::StopSource;
use tokio::sync::watch;

use counting::live;
use group::LocalGroup;

/// Actors that are measured together.
const CONVERSATIONS: u64 = 20_000;
/// Time goes on in such steps, each of which lets some tens of tasks have their turn.
const STEP: Duration = Duration::from_millis(50);
/// Steps after which every actor has gone: a hundred seconds, three times what an actor without work stays.
const STEPS_MAX: usize = 2_000;

struct NoFault;

impl Faults for NoFault {
    fn our_fault(&self, _edge: &Edge) -> bool {
        false
    }
}

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is a name"))
}

fn request(n: u64) -> RequestId {
    RequestId::new(&format!("{n:08x}-0000-4000-8000-{n:012x}")).expect("a well-formed UUID")
}

/// The sample, without what holds a load back.
fn plan() -> FloorPlan {
    let mut plan = wire::floor::parse(wire::floor::SAMPLE).expect("the sample has no fault");
    plan.policy.customer_commands_max = 0;
    for queue in plan.queues.values_mut() {
        queue.waiting_max = u32::MAX;
    }
    plan
}

async fn begin(cell: &CellHandle, customer: u64) -> ConversationId {
    let opened = cell.act(Command::Open(Open {
        request_id: request(customer),
        account: name("web-de"),
        customer: name(&format!("customer-{customer:08}")),
        display_name: String::new(),
        site: name("fra"),
        queue: None,
        language: None,
        topics: Vec::new(),
        boost_ms: 0,
        bot_first: false,
        body: None,
        sent_ms: 0,
        instance: None,
        previous: None,
    }));
    match opened.await {
        Ok(Done::Opened(opened)) => opened.conversation,
        other => panic!("not opened: {other:?}"),
    }
}

async fn write(cell: &CellHandle, customer: u64, conversation: ConversationId) {
    let sent = cell.act(Command::Send(Send {
        conversation,
        request_id: request(CONVERSATIONS + customer),
        author: Actor::Customer,
        body: Body::clear("hello"),
        sent_ms: 0,
        instance: None,
    }));
    sent.await.expect("sent");
}

async fn measure() {
    let (replica, view) = conversation::replica(CellId(1));
    let group = Arc::new(LocalGroup::new(replica));
    let (_plan, newest) = watch::channel(Some(VersionedPlan {
        version: PlanVersion(1),
        plan: Arc::new(plan()),
    }));
    let stop = StopSource::new();
    let (cell, task) = conversation::start(CellParts {
        cell: CellId(1),
        env: runtime::memory::env(1),
        group: group.clone(),
        view: view.clone(),
        plan: newest,
        faults: Arc::new(NoFault),
        interrupted_after_ms: 300,
        archives: Archives::none(),
        stop: stop.token(),
    });
    task.detach();
    group.lead(1);
    while !cell.serves() || view.with(|cell, _| cell.state().plan().is_none()) {
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    for customer in 0..CONVERSATIONS {
        let conversation = begin(&cell, customer).await;
        write(&cell, customer, conversation).await;
    }
    let active = live();
    for _ in 0..STEPS_MAX {
        tokio::time::advance(STEP).await;
    }
    assert_eq!(view.actors(), 0, "all have gone");
    let rested = live();
    let open = view.with(|cell, _| cell.state().meta().open);
    assert_eq!(open, CONVERSATIONS, "all are still open");
    let each = |bytes: usize| bytes / CONVERSATIONS as usize;
    println!(
        "an actor without streams: {} bytes, {} with the allocator's own",
        each(active.0 - rested.0),
        each(active.1 - rested.1)
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(measure());
}
