//! The entries of one cell being watched, in log order: every rule asked after each for what it touched.
//! Promise: the work of one entry is bounded by what it touched, not by the state; the first rule that does not hold
//! is named.
//! Not here: the rules (a file each), what holds in a whole state (`check_invariants`).

use super::frame::{About, At, Found, Invariant, Touched};
use super::known::Known;
use super::recent::Recent;
use super::{Violation, all};
use crate::cell::Applied;
use crate::cell::command::Entry;
use crate::cell::state::State;

/// The entries of one cell being watched, in log order.
pub struct Watch {
    known: Known,
    rules: Vec<Box<dyn Invariant>>,
    recent: Recent,
}

impl Watch {
    /// Watches from this state on.
    pub fn begin(state: &State) -> Self {
        Self {
            known: Known::of(state),
            rules: all(Some(state)),
            recent: Recent::default(),
        }
    }

    /// Checks one applied entry.
    ///
    /// # Errors
    /// Names the first rule that does not hold, and what was seen.
    pub fn check(
        &mut self,
        state: &State,
        entry: &Entry,
        applied: &Applied,
    ) -> Result<(), Violation> {
        self.recent.add(state, entry, &applied.events);
        let at = At {
            state,
            entry,
            applied,
        };
        self.each(|rule, known| rule.begins(known, &at))?;
        self.known.now = state.now();
        for event in &applied.events {
            self.each(|rule, known| rule.event(known, &at, event))?;
            self.known.follow(state, event);
        }
        let touched = Touched::by(&applied.events);
        for index in &touched.conversations {
            if let Some(found) = state.conversations.get(index) {
                self.each(|rule, known| rule.touched(known, &at, found))?;
                self.known.put(found);
            }
        }
        self.each(|rule, known| rule.ends(known, &at, &touched))
    }

    /// The last entries that touched somebody, oldest first, a line each.
    pub fn recent(&self, about: &About) -> Vec<String> {
        self.recent.of(about)
    }

    fn each(&mut self, mut ask: impl FnMut(&mut dyn Invariant, &Known) -> Found) -> Found {
        let known = &self.known;
        self.rules
            .iter_mut()
            .try_for_each(|rule| ask(rule.as_mut(), known))
    }

    /// Forgets conversations that are no longer in the state.
    pub fn prune(&mut self, state: &State) {
        self.known.prune(state);
        self.rules.iter_mut().for_each(|rule| rule.prune(state));
    }
}
