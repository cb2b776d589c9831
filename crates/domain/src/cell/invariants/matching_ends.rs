//! Matching that goes on ends within the steps that the work needs.
//!
//! The bound: a `MatchMore` makes 64 matches, each of which takes one conversation that waits out of its line, so for W
//! that wait `ceil(W / 64)` of them suffice. Before it matches, the same entry moves up to 1,024 conversations to the
//! lines of a new plan, as many to another plan than one above the limit, and those of one queue that a supervisor has
//! steered; until all have moved, an entry may find nothing to match. So there may be one entry for each step of the
//! longest of these moves beside them, and the last of those matches as well. How many of W find an agent is not asked:
//! that would need the very search that is judged.

use std::collections::BTreeMap;

use super::Rule;
use super::frame::{About, At, Found, Invariant, broken};
use super::known::Known;
use super::plain;
use crate::cell::apply::RECLASS_MAX;
use crate::cell::command::Command;
use crate::cell::conversation::Phase;
use crate::cell::matching::MATCHES_MAX;
use crate::cell::state::{PLANS_MAX, State};
use crate::ids::QueueId;

#[derive(Default)]
pub(super) struct MatchingEnds {
    /// `MatchMore` entries since more was due first or something happened beside them, and how many suffice.
    more: Option<(u64, u64)>,
}

impl Invariant for MatchingEnds {
    fn begins(&mut self, _: &Known, at: &At<'_>) -> Found {
        if !at.state.meta.more_due {
            self.more = None;
            return Ok(());
        }
        let goes_on = matches!(at.entry.command, Command::MatchMore);
        match &mut self.more {
            Some((steps, suffice)) if goes_on => {
                *steps += 1;
                if *steps < *suffice {
                    return Ok(());
                }
                let what = format!("matching is not at its end after {steps} entries");
                broken(Rule::MatchingEnds, About::Cell, what)
            }
            // An entry in which nothing happened leaves no more to do than there was.
            Some(_) if at.applied.events.is_empty() => Ok(()),
            _ => {
                self.more = Some((0, suffices(at.state)));
                Ok(())
            }
        }
    }
}

/// Entries after which nothing is left to do.
fn suffices(state: &State) -> u64 {
    let plan = state.meta.plan;
    let (mut waiting, mut behind, mut live) = (0_usize, 0_usize, 0_usize);
    let mut of_queues = BTreeMap::<&QueueId, usize>::new();
    for found in state.conversations() {
        live += usize::from(!matches!(found.phase, Phase::Closed(_)));
        if plain::waits(found) {
            waiting += 1;
            behind += usize::from(found.classed_by != plan);
            *of_queues.entry(&found.queue).or_default() += 1;
        }
    }
    let named = match state.plans.len() > PLANS_MAX {
        true => live.max(1),
        false => 0,
    };
    let steered = state.queues.values().filter(|queue| {
        let paused = queue.steered.as_ref().is_some_and(|steered| steered.paused);
        // While a part has moved, the place is neither none nor the first one.
        paused != queue.aside_from.is_some() || queue.aside_from != queue.aside_wanted()
    });
    let asides = steered.map(|queue| {
        let of_queue = of_queues.get(&queue.name).copied().unwrap_or(0);
        of_queue.max(1).div_ceil(RECLASS_MAX)
    });
    let moves = [
        behind.div_ceil(RECLASS_MAX),
        named.div_ceil(RECLASS_MAX),
        asides.sum(),
    ];
    let longest = moves.into_iter().max().unwrap_or(0);
    (longest + waiting.div_ceil(MATCHES_MAX)).max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use super::super::made::*;
    use super::*;
    use crate::cell::Applied;
    use crate::cell::command::Entry;
    use crate::cell::reply::Done;
    use crate::cell::tests::support::*;

    /// How many `MatchMore` entries are taken of a cell in which more is due and that never gets on.
    fn taken(floor: &Floor) -> usize {
        let before = floor.state().clone();
        let mut state = before.clone();
        state.meta.more_due = true;
        let mut watch = Watch::begin(&before);
        let applied = Applied {
            reply: Ok(Done::Nothing),
            events: Vec::new(),
        };
        let entry = |command| Entry {
            at: state.now(),
            wall_ms: 0,
            command,
        };
        watch
            .check(&state, &entry(Command::tick()), &applied)
            .unwrap();
        let go_on = entry(Command::MatchMore);
        (0..100)
            .take_while(|_| watch.check(&state, &go_on, &applied).is_ok())
            .count()
    }

    #[test]
    fn matching_that_goes_on_longer_than_the_work_needs_is_seen() {
        let mut floor = Floor::new();
        assert_eq!(taken(&floor), 0, "nothing waits: one entry is enough");
        for n in 0..64 {
            floor.open(&format!("c{n}"));
        }
        assert_eq!(taken(&floor), 0, "one entry for 64");
        floor.open("one more");
        assert_eq!(taken(&floor), 1, "a second one for the 65th");
    }

    #[test]
    fn lines_of_a_new_plan_take_one_entry_more() {
        let mut floor = Floor::new();
        floor.open("ann");
        let mut made = Made::of(&floor);
        made.after.meta.plan.0 += 1;
        assert_eq!(suffices(&made.before), 1);
        assert_eq!(suffices(&made.after), 2);
    }

    #[test]
    fn ticks_without_effect_do_not_hide_that_it_never_ends() {
        let (floor, ..) = busy();
        let mut state = floor.state().clone();
        state.meta.more_due = true;
        let mut watch = Watch::begin(&state);
        let applied = Applied {
            reply: Ok(Done::Nothing),
            events: Vec::new(),
        };
        let commands = [Command::tick(), Command::MatchMore].into_iter().cycle();
        let taken = commands.take(100).take_while(|command| {
            let entry = Entry {
                at: state.now(),
                wall_ms: 0,
                command: command.clone(),
            };
            watch.check(&state, &entry, &applied).is_ok()
        });
        assert_eq!(taken.count(), 1, "bob waits: one entry is enough");
    }
}
