//! Which kinds of deadlines a tick has fired, told by what happened.
//! Promise: read from the state before and the events, not from the index of deadlines.
//! Not here: when something is due (`deadlines`).

use crate::cell::conversation::{Ending, Held, Phase};
use crate::cell::event::{Event, Warning};
use crate::cell::floor::OfferOutcome;
use crate::cell::transcript::{HoldReason, ItemKind, RequeueReason};
use crate::cell::{Applied, State};
use crate::ids::CellTime;

/// Every kind of deadline that there is.
pub(super) const KINDS: [&str; 13] = [
    "an offer lapses",
    "the first reply is warned of",
    "the first reply is reclaimed",
    "the owner is lost",
    "silence is warned of",
    "silence puts on hold",
    "a customer who is gone abandons",
    "a preference ends",
    "a pass ends",
    "a hold is over",
    "wrap-up is over",
    "what has ended is sealed",
    "an agent's pause is over",
];

/// The kinds of deadlines that fired in this tick.
pub(super) fn fired(before: &State, done: &Applied) -> Vec<&'static str> {
    done.events
        .iter()
        .filter_map(|event| kind(before, event))
        .collect()
}

fn kind(before: &State, event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::OfferEnded {
            outcome: OfferOutcome::Expired,
            ..
        } => "an offer lapses",
        Event::Warned { warning, .. } => match warning {
            Warning::FirstReply => "the first reply is warned of",
            Warning::CustomerSilent => "silence is warned of",
            Warning::OwnerLost => "the owner is lost",
        },
        Event::ItemAdded { item, .. } => return of_item(&item.kind),
        Event::Ended {
            how: Ending::Abandoned { .. },
            ..
        } => "a customer who is gone abandons",
        Event::Ended {
            how: Ending::HoldOver,
            ..
        } => "a hold is over",
        Event::PassesLapsed { .. } => "a pass ends",
        Event::Sealed { .. } => "what has ended is sealed",
        Event::PhaseChanged {
            conversation,
            phase,
            ..
        } => {
            let was = &before.conversation(*conversation)?.phase;
            return of_change(was, phase);
        }
        Event::AgentChanged { agent } => {
            let was = before.agent(&agent.name)?;
            let ended = was.channels.iter().any(|pause| {
                let now = agent.pause(&pause.channel).map(|now| now.until);
                pause.until > CellTime(0) && now == Some(CellTime(0))
            });
            return ended.then_some("an agent's pause is over");
        }
        _ => return None,
    })
}

fn of_item(kind: &ItemKind) -> Option<&'static str> {
    match kind {
        ItemKind::Requeued {
            reason: RequeueReason::NoFirstReply,
        } => Some("the first reply is reclaimed"),
        ItemKind::Requeued {
            reason: RequeueReason::AgentLost,
        }
        | ItemKind::Held {
            reason: HoldReason::AgentLost,
        } => Some("the owner is lost"),
        ItemKind::Held {
            reason: HoldReason::CustomerSilent,
        } => Some("silence puts on hold"),
        _ => None,
    }
}

fn of_change(was: &Phase, is: &Phase) -> Option<&'static str> {
    match (was, is) {
        (Phase::WrapUp(_), Phase::Closed(_)) => Some("wrap-up is over"),
        (Phase::Queued(was), Phase::Queued(is))
            if matches!(was.held, Held::For { .. }) && is.held == Held::No =>
        {
            Some("a preference ends")
        }
        _ => None,
    }
}
