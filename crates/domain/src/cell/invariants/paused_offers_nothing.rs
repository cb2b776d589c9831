//! A queue that a supervisor has paused offers nothing, but to agents whom a transfer of owned work names; and its
//! waiting work stands where it should, or is on its way.

use super::Rule;
use super::frame::{Found, Invariant, Whole, broken};
use crate::cell::conversation::Phase;
use crate::cell::floor::QueueRecord;
use crate::cell::receipts::Found as HowFound;
use crate::cell::state::State;

#[derive(Default)]
pub(super) struct PausedOffersNothing;

impl Invariant for PausedOffersNothing {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        let mut queues = whole.state.queues.values();
        queues.try_for_each(|queue| check(whole.state, queue))
    }
}

fn check(state: &State, queue: &QueueRecord) -> Found {
    let fails = || {
        let what = format!(
            "queue {} is paused and offers work, or its work stands in the wrong lines",
            queue.name
        );
        broken(Rule::PausedOffersNothing, &queue.name, what)
    };
    let paused = queue.steered.as_ref().filter(|steered| steered.paused);
    if !state.meta.more_due && paused.is_some() != queue.aside_from.is_some() {
        return fails();
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
                .is_some_and(|receipt| receipt.found == HowFound::Named);
            if offer.made_at > paused.at && !named {
                return fails();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::floor::Steered;
    use crate::cell::tests::support::*;
    use crate::ids::CellTime;

    fn paused_at(state: &mut State, at: CellTime) {
        let record = state.queue_mut(&queue("sales")).unwrap();
        record.steered = Some(Box::new(Steered {
            paused: true,
            by: staff(),
            why: "too much".into(),
            at,
            wall_ms: 0,
        }));
        record.aside_from = record.aside_wanted();
    }

    #[test]
    fn an_offer_made_while_paused_is_seen_and_one_from_before_is_not() {
        let (floor, _) = asked();
        let mut state = floor.state().clone();
        paused_at(&mut state, floor.state().now());
        assert_eq!(whole(&PausedOffersNothing, &state), Ok(()));
        paused_at(&mut state, CellTime(0));
        let found = whole(&PausedOffersNothing, &state);
        assert_eq!(rule_of(found), Some(Rule::PausedOffersNothing));
    }

    #[test]
    fn work_of_a_paused_queue_that_never_stood_aside_is_seen() {
        let (floor, ..) = busy();
        let mut state = floor.state().clone();
        paused_at(&mut state, floor.state().now());
        state.queue_mut(&queue("sales")).unwrap().aside_from = None;
        let found = whole(&PausedOffersNothing, &state);
        assert_eq!(rule_of(found), Some(Rule::PausedOffersNothing));
        state.meta.more_due = true;
        assert_eq!(whole(&PausedOffersNothing, &state), Ok(()), "on its way");
    }
}
