//! What a due deadline does.
//! Promise: one deadline, one step; one that was renewed is put back and has not fired.
//! Not here: when something is due (`deadlines`).

use mutants::{Mutant, planted};

use crate::cell::command::Tick;
use crate::cell::conversation::{Conversation, Held, Phase, Waiting};
use crate::cell::deadlines::{Timer, first_due};
use crate::cell::defects;
use crate::cell::draft::Draft;
use crate::cell::event::{Event, Subject, Warning};
use crate::cell::transcript::{HoldReason, RequeueReason};
use crate::ids::{AgentId, CellTime};

/// Fires one entry of the deadline index.
pub(crate) fn due(draft: &mut Draft<'_>, subject: &Subject, tick: &Tick) {
    match subject {
        Subject::Agent(name) => pause_over(draft, name),
        Subject::Conversation(index) => {
            if let Some(conversation) = draft.state.conversations.get(index) {
                defects::trip(
                    defects::Spot::Deadline,
                    conversation.display_name.as_bytes(),
                );
                if let Some((at, timer)) = first_due(draft.state, conversation)
                    && at <= draft.now()
                {
                    fire(draft, conversation, timer, tick);
                }
            }
            draft.push(Event::DeadlinePutBack {
                subject: subject.clone(),
            });
        }
    }
}

/// Ends the pauses of an agent that are over.
fn pause_over(draft: &mut Draft<'_>, name: &AgentId) {
    let now = draft.now();
    if let Some(agent) = draft.agent(name) {
        for pause in agent.channels.iter_mut().filter(|pause| pause.until <= now) {
            pause.until = CellTime(0);
        }
    }
}

fn fire(draft: &mut Draft<'_>, conversation: &Conversation, timer: Timer, tick: &Tick) {
    match (timer, &conversation.phase) {
        (Timer::OfferLapses, Phase::Offered(offer)) => {
            super::offer::lapse(draft, conversation, offer, tick);
            if planted(Mutant::DeadlineTwice) {
                super::offer::lapse(draft, conversation, offer, tick);
            }
        }
        (Timer::CustomerGone, _) => gone(draft, conversation),
        (Timer::PreferenceEnds, Phase::Queued(waiting)) => {
            let phase = Phase::Queued(Waiting {
                prefer: waiting.prefer.clone(),
                held: Held::No,
            });
            draft.phase(conversation, phase, conversation.owner_epoch);
        }
        (Timer::PassEnds, _) => {
            draft.push(Event::PassesLapsed {
                conversation: conversation.id,
                upto: draft.now(),
            });
        }
        (Timer::FirstReplyWarn, Phase::Active(active)) => {
            warn(draft, conversation, &active.agent, Warning::FirstReply)
        }
        (Timer::SilenceWarn, Phase::Active(active)) => {
            warn(draft, conversation, &active.agent, Warning::CustomerSilent)
        }
        (Timer::FirstReplyReclaim, Phase::Active(_)) => {
            let waiting = Waiting {
                prefer: None,
                held: Held::No,
            };
            draft.requeue(conversation, RequeueReason::NoFirstReply, waiting);
        }
        (Timer::SilenceHold, Phase::Active(active)) => {
            super::own::put_on_hold(draft, conversation, active, HoldReason::CustomerSilent);
        }
        (Timer::OwnerLost, Phase::Active(active)) => {
            super::lease::owner_lost(draft, conversation, active)
        }
        (Timer::HoldOver, Phase::OnHold(_)) => super::lease::hold_over(draft, conversation),
        (Timer::Seals, _) => {
            let index = draft.index();
            draft.push(Event::Sealed {
                conversation: conversation.id,
                index,
            });
        }
        (Timer::WrapUpOver, Phase::WrapUp(_)) => super::own::end_wrap_up(draft, conversation),
        _ => {}
    }
}

/// A customer gone for too long: a waiting one has abandoned; with a bot the conversation just ends.
fn gone(draft: &mut Draft<'_>, conversation: &Conversation) {
    if conversation.phase == Phase::Bot {
        super::close::end(
            draft,
            conversation,
            crate::cell::conversation::Ending::Closed,
            crate::cell::transcript::Author::Customer,
        );
    } else {
        // Whose client was never seen gave no sign of leaving and has waited until now.
        let left_at = conversation.gone.map_or(draft.now(), |gone| gone.at);
        super::close::abandon(draft, conversation, left_at);
    }
}

fn warn(draft: &mut Draft<'_>, conversation: &Conversation, agent: &AgentId, warning: Warning) {
    draft.push(Event::Warned {
        conversation: conversation.id,
        agent: agent.clone(),
        warning,
    });
}
