//! Setting a conversation aside after a defect, and what everybody who had it is told.
//! Promise: `Quarantined` alone is enough for the state; the events beside it tell and count.
//! Not here: catching the defect (`apply`).

use crate::cell::conversation::{Conversation, Ending, Phase};
use crate::cell::draft::{Draft, next_epoch};
use crate::cell::event::{Event, Tally};
use crate::cell::floor::OfferOutcome;

/// Takes a conversation from whoever has it and sets it aside.
pub(crate) fn quarantine(draft: &mut Draft<'_>, conversation: &Conversation) {
    let (id, index) = (conversation.id, draft.index());
    draft.end_work(conversation);
    if let Phase::Offered(offer) = &conversation.phase {
        draft.end_offer(conversation, offer, OfferOutcome::Rescinded);
    }
    draft.push(Event::Quarantined {
        conversation: id,
        index,
    });
    if conversation.phase.owner().is_some() {
        draft.owner(conversation, None, next_epoch(conversation.owner_epoch));
    }
    match &conversation.phase {
        Phase::Offered(offer) => draft.agent_done(&offer.agent, false),
        Phase::Active(active) => draft.agent_done(&active.agent, true),
        Phase::WrapUp(wrap_up) => {
            draft.count(conversation, Tally::Handled);
            draft.agent_done(&wrap_up.agent, true);
            draft.push(Event::Ended {
                conversation: id,
                how: Ending::Closed,
            });
        }
        Phase::Bot | Phase::Queued(_) | Phase::OnHold(_) | Phase::Closed(_) => {}
    }
}
