//! Matching that goes on ends within the steps that the work needs.

use super::Rule;
use super::frame::{About, At, Found, Invariant, broken};
use super::known::Known;
use crate::cell::apply::RECLASS_MAX;
use crate::cell::command::Command;
use crate::cell::matching::MATCHES_MAX;

#[derive(Default)]
pub(super) struct MatchingEnds {
    /// `MatchMore` entries in a row, and how many may follow each other.
    more: Option<(u64, u64)>,
}

impl Invariant for MatchingEnds {
    fn begins(&mut self, known: &Known, at: &At<'_>) -> Found {
        if !matches!(at.entry.command, Command::MatchMore) || !at.state.meta.more_due {
            self.more = None;
            return Ok(());
        }
        let waiting = known.line.len().div_ceil(MATCHES_MAX) as u64;
        let moved = known.conversations().div_ceil(RECLASS_MAX) as u64;
        // Lines of a new plan and plans above the limit are moved in the same entries.
        let (steps, most) = self.more.unwrap_or((0, waiting + 2 * moved + 2));
        self.more = Some((steps + 1, most));
        if steps < most {
            return Ok(());
        }
        let what = format!("matching is not at its end after {steps} entries, {most} suffice");
        broken(Rule::MatchingEnds, About::Cell, what)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use super::super::made::*;
    use super::*;
    use crate::cell::Applied;
    use crate::cell::command::Entry;
    use crate::cell::reply::Done;

    #[test]
    fn matching_that_never_ends_is_seen() {
        let (floor, ..) = busy();
        let mut state = floor.state().clone();
        state.meta.more_due = true;
        let mut watch = Watch::begin(&state);
        let entry = Entry {
            at: state.now(),
            wall_ms: 0,
            command: Command::MatchMore,
        };
        let applied = Applied {
            reply: Ok(Done::Nothing),
            events: Vec::new(),
        };
        let steps = (0..100)
            .take_while(|_| watch.check(&state, &entry, &applied).is_ok())
            .count();
        assert_eq!(
            steps, 5,
            "one for the line and four for lines and plans that move"
        );
    }
}
