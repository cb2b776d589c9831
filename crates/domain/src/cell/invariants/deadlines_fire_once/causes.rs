//! What may clear a timer, and what shows that one has fired.
//! Promise: every kind of timer is named.
//! Not here: whether one was due (`deadlines_fire_once`).

use super::super::timers::Armed;
use crate::cell::conversation::Phase;
use crate::cell::deadlines::Timer;
use crate::cell::event::{Event, Warning};
use crate::cell::transcript::HoldReason;
use crate::ids::ConversationId;

/// What an entry did to one conversation, as far as timers go.
#[derive(Default)]
pub(super) struct Causes {
    /// Timers that have fired.
    pub(super) fired: Vec<Armed>,
    moved: bool,
    offer_ended: bool,
    wrote: bool,
    warned: bool,
    presence: bool,
    passes: bool,
    sealed: bool,
    remembered: bool,
    owner_changed: bool,
    set_aside: bool,
    plan: bool,
}

impl Causes {
    /// Follows an event of the conversation, or of its owner or its plan.
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::PhaseChanged { .. } | Event::Opened { .. } => self.moved = true,
            Event::OfferEnded { .. } => self.offer_ended = true,
            Event::ItemAdded { .. } => self.wrote = true,
            Event::Warned { .. } => self.warned = true,
            Event::CustomerPresence { .. } => self.presence = true,
            Event::PassedOver { .. } | Event::PassesLapsed { .. } | Event::QueueEntered { .. } => {
                self.passes = true;
            }
            Event::Sealed { .. } => self.sealed = true,
            Event::Remembered { .. } => self.remembered = true,
            Event::AgentChanged { .. } => self.owner_changed = true,
            Event::Quarantined { .. } | Event::Released { .. } => self.set_aside = true,
            Event::Repinned { .. } | Event::Reclassed { .. } => self.plan = true,
            _ => {}
        }
    }

    /// Whether it stands elsewhere by an earlier event.
    pub(super) fn has_moved(&self) -> bool {
        self.moved
    }
}

/// Whether something happened that clears a timer of this kind.
pub(super) fn clears(causes: &Causes, timer: Timer) -> bool {
    let by_kind = match timer {
        Timer::OfferLapses => causes.offer_ended,
        Timer::FirstReplyReclaim | Timer::FirstReplyWarn => causes.moved || causes.wrote,
        Timer::SilenceHold | Timer::SilenceWarn => causes.moved || causes.wrote,
        Timer::OwnerLost => causes.moved || causes.warned || causes.owner_changed,
        Timer::CustomerGone => causes.moved || causes.presence || causes.wrote,
        Timer::PreferenceEnds => causes.moved,
        Timer::PassEnds => causes.passes || causes.moved,
        Timer::HoldOver | Timer::WrapUpOver => causes.moved,
        Timer::Seals => causes.sealed || causes.remembered,
    };
    by_kind || causes.set_aside || causes.plan
}

/// The timers of which one must have been due for this to happen in a tick.
pub(super) fn moved_by(event: &Event) -> Option<(ConversationId, &'static [Timer])> {
    Some(match event {
        Event::Warned {
            conversation,
            warning,
            ..
        } => {
            let by: &[Timer] = match warning {
                Warning::FirstReply => &[Timer::FirstReplyWarn],
                Warning::CustomerSilent => &[Timer::SilenceWarn],
                Warning::OwnerLost => &[Timer::OwnerLost],
            };
            (*conversation, by)
        }
        Event::PassesLapsed { conversation, .. } => (*conversation, &[Timer::PassEnds]),
        Event::PhaseChanged {
            conversation,
            phase,
            ..
        } => (*conversation, of_phase(phase)?),
        _ => return None,
    })
}

/// The timers that lead to this phase.
fn of_phase(phase: &Phase) -> Option<&'static [Timer]> {
    Some(match phase {
        Phase::Queued(_) => &[
            Timer::OfferLapses,
            Timer::FirstReplyReclaim,
            Timer::OwnerLost,
            Timer::PreferenceEnds,
        ],
        Phase::OnHold(hold) => match hold.reason {
            HoldReason::AgentLost => &[Timer::OwnerLost],
            _ => &[Timer::SilenceHold],
        },
        Phase::Closed(_) | Phase::WrapUp(_) => {
            &[Timer::CustomerGone, Timer::HoldOver, Timer::WrapUpOver]
        }
        // Matching offers work in a tick as in any other entry.
        Phase::Bot | Phase::Offered(_) | Phase::Active(_) => return None,
    })
}

/// The conversation that an event is about.
pub(super) fn conversation_of(event: &Event) -> Option<ConversationId> {
    match event {
        Event::Opened { conversation } => Some(conversation.id),
        Event::ItemAdded { conversation, .. }
        | Event::PhaseChanged { conversation, .. }
        | Event::QueueEntered { conversation, .. }
        | Event::OfferEnded { conversation, .. }
        | Event::PassedOver { conversation, .. }
        | Event::PassesLapsed { conversation, .. }
        | Event::Sealed { conversation, .. }
        | Event::CustomerPresence { conversation, .. }
        | Event::Warned { conversation, .. }
        | Event::Quarantined { conversation, .. }
        | Event::Released { conversation } => Some(*conversation),
        _ => None,
    }
}
