//! What holds of queues that supervisors pause.
//! Promise: judged by the stored records alone.
//! Not here: where their work stands one by one (`invariants`).

use super::super::conversation::Phase;
use super::super::floor::QueueRecord;
use super::super::receipts::Found;
use super::super::state::State;
use super::Violation;

/// What a supervisor has paused makes no offers, but to agents whom a transfer of owned work names; and
/// its waiting work stands where it should, or is on its way.
pub(super) fn check_paused(state: &State, queue: &QueueRecord) -> Result<(), Violation> {
    let broken = || Violation::Paused {
        queue: queue.name.clone(),
    };
    let paused = queue.steered.as_ref().filter(|steered| steered.paused);
    if !state.meta.more_due && paused.is_some() != queue.aside_from.is_some() {
        return Err(broken());
    }
    let Some(paused) = paused else {
        return Ok(());
    };
    let theirs = state
        .conversations()
        .filter(|found| found.queue == queue.name);
    for conversation in theirs {
        if let Phase::Offered(offer) = &conversation.phase {
            let named = conversation
                .receipts
                .last()
                .is_some_and(|receipt| receipt.found == Found::Named);
            if offer.made_at > paused.at && !named {
                return Err(broken());
            }
        }
    }
    Ok(())
}
