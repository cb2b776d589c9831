//! Memory is bounded: every list in a record and in the cell has its bound.

use super::Rule;
use super::frame::{About, At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::agent::DEVICES_MAX;
use crate::cell::archive::RESTING_MAX;
use crate::cell::conversation::{
    Conversation, Ending, ITEMS_MAX, ITEMS_RESERVE, PASSED_OVER_MAX, Phase,
};
use crate::cell::floor::{ENDED_OFFERS_MAX, SPIKE_WINDOW_S};
use crate::cell::meta::EXTENSIONS_MAX;
use crate::cell::receipts::{EXCLUSIONS_MAX, RECEIPTS_MAX};
use crate::cell::requests::REQUESTS_MAX;
use crate::cell::state::{CONVERSATIONS_MAX, PLANS_MAX, State};

/// Rows of one table: customers', agents' and staff's.
const ROWS_MAX: usize = 3 * REQUESTS_MAX;
/// Topics of one conversation.
const TOPICS_MAX: usize = 16;
/// Items beyond the reserve: those that end a conversation are always written.
const LAST_ITEMS: usize = 2;

#[derive(Default)]
pub(super) struct MemoryBounded;

impl Invariant for MemoryBounded {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        let state = whole.state;
        state.conversations().try_for_each(|found| check(found))?;
        for agent in state.agents.values() {
            let name = &agent.name;
            within(name, "devices", agent.devices.len(), DEVICES_MAX)?;
            within(name, "requests", agent.requests.len(), ROWS_MAX)?;
        }
        for queue in state.queues.values() {
            let name = &queue.name;
            let seconds = SPIKE_WINDOW_S as usize + 1;
            within(name, "seconds of its window", queue.window.len(), seconds)?;
            within(name, "requests", queue.requests.len(), ROWS_MAX)?;
        }
        check_cell(state)
    }

    fn touched(&mut self, _: &Known, _: &At<'_>, is: &Conversation) -> Found {
        check(is)
    }
}

fn within(about: impl Into<About>, what: &str, have: usize, most: usize) -> Found {
    if have <= most {
        return Ok(());
    }
    let about = about.into();
    let what = format!("{about} has {have} {what}, and {most} are the most");
    broken(Rule::MemoryBounded, about, what)
}

fn check(found: &Conversation) -> Found {
    let items = ITEMS_MAX + ITEMS_RESERVE + LAST_ITEMS;
    within(found.id, "items and remarks", found.entries(), items)?;
    within(
        found.id,
        "agents passed over",
        found.passed_over.len(),
        PASSED_OVER_MAX,
    )?;
    within(found.id, "receipts", found.receipts.len(), RECEIPTS_MAX)?;
    within(found.id, "requests", found.requests.len(), ROWS_MAX)?;
    within(found.id, "topics", found.topics.len(), TOPICS_MAX)?;
    let named = found.receipts.iter().map(|receipt| receipt.excluded.len());
    let most = named.max().unwrap_or(0);
    within(found.id, "agents named in a receipt", most, EXCLUSIONS_MAX)
}

fn check_cell(state: &State) -> Found {
    let cell = || About::Cell;
    for shard in &state.ended_offers {
        within(
            cell(),
            "ended offers in a shard",
            shard.len(),
            ENDED_OFFERS_MAX,
        )?;
    }
    let given = state.meta.leader.extensions.len();
    within(cell(), "extensions of deadlines", given, EXTENSIONS_MAX)?;
    if !state.meta.more_due {
        within(cell(), "floor plans", state.plans.len(), PLANS_MAX)?;
    }
    let all = state.meta.conversations as usize;
    within(cell(), "conversations", all, CONVERSATIONS_MAX as usize)?;
    let customers = state.customers.iter();
    for (_, customer) in customers {
        let about = customer.last.map_or(About::Cell, About::from);
        within(
            about,
            "requests of its customer",
            customer.requests.len(),
            ROWS_MAX,
        )?;
    }
    let resting = state.conversations().filter(|found| {
        let rests = matches!(
            &found.phase,
            Phase::Closed(closed) if closed.sealed.is_none() && closed.how != Ending::Continued
        );
        rests && found.quarantined.is_none()
    });
    within(
        cell(),
        "resting conversations",
        resting.count(),
        RESTING_MAX,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::made::*;
    use super::*;
    use crate::cell::conversation::PassedOver;
    use crate::cell::meta::Extension;
    use crate::cell::tests::support::*;
    use crate::ids::CellTime;

    fn judged(change: impl FnOnce(&mut State)) -> Option<Rule> {
        let (floor, ..) = busy();
        let mut state = floor.state().clone();
        change(&mut state);
        rule_of(whole(&MemoryBounded, &state))
    }

    #[test]
    fn what_a_floor_makes_is_within_its_bounds() {
        assert_eq!(judged(|_| {}), None);
    }

    #[test]
    fn a_record_over_its_bound_is_seen_when_it_is_touched_and_in_a_whole_state() {
        let (floor, ann, _) = busy();
        let mut made = Made::of(&floor);
        made.touch(ann);
        assert_eq!(made.judged_by(MemoryBounded), Ok(()));
        let passed = |n| PassedOver {
            agent: agent(&format!("a{n}")),
            until: CellTime(0),
        };
        made.after(ann).passed_over = (0..=PASSED_OVER_MAX).map(passed).collect();
        let found = made.judged_by(MemoryBounded);
        assert_eq!(rule_of(found), Some(Rule::MemoryBounded));
        let found = whole(&MemoryBounded, &made.after);
        assert_eq!(rule_of(found), Some(Rule::MemoryBounded));
    }

    #[test]
    fn receipts_requests_and_devices_over_their_bounds_are_seen() {
        let (floor, ann, _) = busy();
        let found = judged(|state| {
            let record = record(state, ann);
            let receipt = record.receipts.first().expect("of the offer").clone();
            record.receipts = vec![receipt; RECEIPTS_MAX + 1];
        });
        assert_eq!(found, Some(Rule::MemoryBounded));
        let row = floor
            .conversation(ann)
            .requests
            .first()
            .expect("one")
            .clone();
        let found = judged(|state| record(state, ann).requests = vec![row; ROWS_MAX + 1]);
        assert_eq!(found, Some(Rule::MemoryBounded));
        let found = judged(|state| {
            person(state, "ana").devices = vec![device("desk"); DEVICES_MAX + 1];
        });
        assert_eq!(found, Some(Rule::MemoryBounded));
    }

    #[test]
    fn lists_of_the_cell_over_their_bounds_are_seen() {
        let given = Extension {
            at: CellTime(0),
            ms: 1,
        };
        let found = judged(|state| {
            state.meta.leader.extensions = vec![given; EXTENSIONS_MAX + 1];
        });
        assert_eq!(found, Some(Rule::MemoryBounded));
        let found = judged(|state| {
            let plan = Arc::new(plan());
            for version in 1..=PLANS_MAX as u64 + 1 {
                let version = crate::ids::PlanVersion(version);
                state.plans.insert(version, plan.clone());
            }
        });
        assert_eq!(found, Some(Rule::MemoryBounded));
    }
}
