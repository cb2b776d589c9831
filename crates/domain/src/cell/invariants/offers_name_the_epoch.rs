//! A pending offer names the owner epoch in force, and an agent who is there.

use super::Rule;
use super::frame::{About, At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::command::LeaseState;
use crate::cell::conversation::{Conversation, Offer, Phase};
use crate::ids::ConversationId;

#[derive(Default)]
pub(super) struct OffersNameTheEpoch;

impl Invariant for OffersNameTheEpoch {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        whole.state.conversations().try_for_each(|found| {
            let Phase::Offered(offer) = &found.phase else {
                return Ok(());
            };
            let agent = whole.state.agents.get(&offer.agent);
            let there = agent.is_some_and(|agent| {
                agent.session == Some(offer.session) && agent.lease == LeaseState::Alive
            });
            match there {
                true => Ok(()),
                false => to_nobody(found.id, offer),
            }
        })
    }

    fn touched(&mut self, known: &Known, at: &At<'_>, is: &Conversation) -> Found {
        let (Phase::Offered(offer), Some(was)) = (&is.phase, known.seen(is.id.index)) else {
            return Ok(());
        };
        let named = was.offer.filter(|(open, _)| *open == offer.id);
        if named.is_none_or(|(_, epoch)| epoch != is.owner_epoch) {
            let what = format!("offer {} of {} names another epoch", offer.id, is.id);
            let about = About::Both(is.id, offer.agent.clone());
            return broken(Rule::OffersNameTheEpoch, about, what);
        }
        let agent = at.state.agents.get(&offer.agent);
        match agent.is_some_and(|agent| agent.session == Some(offer.session)) {
            true => Ok(()),
            false => to_nobody(is.id, offer),
        }
    }
}

fn to_nobody(id: ConversationId, offer: &Offer) -> Found {
    let what = format!(
        "offer {} is made to an agent who is out of reach or logged in anew",
        offer.id
    );
    let about = About::Both(id, offer.agent.clone());
    broken(Rule::OffersNameTheEpoch, about, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;

    #[test]
    fn an_offer_of_another_epoch_is_seen() {
        let (floor, ann) = asked();
        let mut made = Made::of(&floor);
        made.touch(ann);
        assert_eq!(made.judged(), Ok(()));
        made.after(ann).owner_epoch.0 += 1;
        assert_eq!(made.breaks(), Rule::OffersNameTheEpoch);
    }

    #[test]
    fn an_offer_to_nobody_is_seen() {
        let (floor, ann) = asked();
        let mut made = Made::of(&floor);
        made.touch(ann);
        person(&mut made.after, "ana").session = None;
        assert_eq!(made.breaks(), Rule::OffersNameTheEpoch);
        let mut state = floor.state().clone();
        assert_eq!(whole(&OffersNameTheEpoch, &state), Ok(()));
        person(&mut state, "ana").lease = LeaseState::Lost;
        let found = whole(&OffersNameTheEpoch, &state);
        assert_eq!(rule_of(found), Some(Rule::OffersNameTheEpoch));
    }
}
