//! Copies: a request that comes again.
//! Promise: it has the first answer, and nothing is written or counted a second time.
//! Not here: where answers are kept (`requests`).

use crate::cell::command::*;
use crate::cell::event::Event;
use crate::cell::refusal::Refusal;
use crate::cell::{Applied, State};
use crate::ids::{CellTime, PlanVersion};

/// A command with a request id, as it was first answered.
pub(super) struct First {
    pub(super) command: Command,
    applied: Applied,
    now: CellTime,
    plan: PlanVersion,
}

impl First {
    /// `None` for what nobody sends again with its id, and for what was refused.
    pub(super) fn of(entry: &Entry, applied: &Applied, state: &State) -> Option<Self> {
        let has_id = !matches!(
            entry.command,
            Command::LeaderStarted(_)
                | Command::Tick(_)
                | Command::MatchMore
                | Command::AdoptPlan(_)
                | Command::CustomerPresence(_)
                | Command::Lease(_)
                | Command::OfferShown(_)
                | Command::ArchivedUpto(_)
        );
        (has_id && applied.reply.is_ok()).then(|| Self {
            command: entry.command.clone(),
            applied: applied.clone(),
            now: state.now(),
            plan: state.meta().plan,
        })
    }
}

/// One of the last two dozen that there are.
pub(super) fn pick_first(back: u8, firsts: &[Option<First>]) -> Option<usize> {
    let known: Vec<usize> = (0..firsts.len())
        .filter(|at| firsts[*at].is_some())
        .collect();
    let back = usize::from(back) % known.len().clamp(1, 24);
    known.len().checked_sub(back + 1).map(|at| known[at])
}

/// The same request again has the first answer, and nothing is written or counted.
pub(super) fn check_copy(first: &First, done: &Applied, state: &State) {
    let of_agent = matches!(
        first.command,
        Command::LogIn(_)
            | Command::LogOut(_)
            | Command::SetIntent(_)
            | Command::SetNextStatus(_)
            | Command::PauseQueue(_)
            | Command::ResumeQueue(_)
    );
    let young = state.now().since_ms(first.now) < crate::cell::requests::REQUEST_KEPT_MS;
    // A plan may have taken the record away, with what it remembered.
    if !young || (of_agent && state.meta().plan != first.plan) {
        return;
    }
    // What has left answers from the archive.
    if !matches!(done.reply, Err(Refusal::LookAgain { .. })) {
        assert_eq!(done.reply, first.applied.reply, "{:?}", first.command);
    }
    let changed = done
        .events
        .iter()
        .find(|event| matches!(event, Event::ItemAdded { .. } | Event::Counted { .. }));
    assert_eq!(changed, None, "a copy of {:?}", first.command);
}
