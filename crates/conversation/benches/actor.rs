//! What a conversation's actor takes in memory, counted by the allocator.
//! Promise: counts what goes when actors without streams rest: task, mailbox, place in the table.
//! Not here: the conversation's state (`domain`, benchmark `memory`), streams.
//!
//! Goal: with its actor at most 6 KiB an open conversation, of which its state takes at most 4.

#[path = "../../domain/benches/counting/mod.rs"]
mod counting;
#[allow(dead_code, reason = "this benchmark needs a part of it")]
#[path = "../tests/floor/mod.rs"]
mod floor;
#[allow(dead_code, reason = "this benchmark needs a part of it")]
#[path = "../tests/group/mod.rs"]
mod group;

use std::time::Duration;

use counting::live;
use domain::plan::FloorPlan;
use floor::Floor;

/// Actors that are measured together.
const CONVERSATIONS: u64 = 20_000;
/// Time goes on in such steps, each of which lets some tens of tasks have their turn.
const STEP: Duration = Duration::from_millis(50);
/// Steps after which every actor has gone: a hundred seconds, three times what an actor without work stays.
const STEPS_MAX: usize = 2_000;

/// Takes away what holds a load back.
fn unlimited(plan: &mut FloorPlan) {
    plan.policy.customer_commands_max = 0;
    for queue in plan.queues.values_mut() {
        queue.waiting_max = u32::MAX;
    }
}

async fn measure() {
    let floor = Floor::with_plan(unlimited).await;
    for customer in 0..CONVERSATIONS {
        let conversation = floor.open(&format!("customer-{customer}")).await;
        let sent = floor.cell.act(floor.send(conversation, "hello"));
        sent.await.expect("sent");
    }
    let active = live();
    for _ in 0..STEPS_MAX {
        tokio::time::advance(STEP).await;
    }
    let view = floor.cell.view();
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
