//! Whoever declined is passed over for a while.

use std::collections::BTreeMap;

use super::Rule;
use super::frame::{About, At, Found, Invariant, broken};
use super::known::Known;
use crate::cell::conversation::PASSED_OVER_MAX;
use crate::cell::event::{Event, OfferMade};
use crate::cell::state::State;
use crate::ids::{AgentId, CellTime, LogIndex};

/// Who has declined what, and until when that holds.
#[derive(Default)]
pub(super) struct PassesHold {
    until: BTreeMap<LogIndex, BTreeMap<AgentId, CellTime>>,
}

impl Invariant for PassesHold {
    fn event(&mut self, _: &Known, _: &At<'_>, event: &Event) -> Found {
        match event {
            Event::PassedOver {
                conversation,
                passed,
                ..
            } => {
                let of_this = self.until.entry(conversation.index).or_default();
                of_this.insert(passed.agent.clone(), passed.until);
            }
            Event::PassesLapsed { conversation, upto } => {
                if let Some(of_this) = self.until.get_mut(&conversation.index) {
                    of_this.retain(|_, until| *until > *upto);
                }
            }
            Event::QueueEntered { conversation, .. } | Event::Ended { conversation, .. } => {
                self.until.remove(&conversation.index);
            }
            Event::OfferMade(made) => return self.check(made),
            _ => {}
        }
        Ok(())
    }

    fn prune(&mut self, state: &State) {
        self.until
            .retain(|index, _| state.conversations.get(index).is_some());
    }
}

impl PassesHold {
    /// Whoever has declined is not asked again before the time is over, unless by name.
    fn check(&self, made: &OfferMade) -> Found {
        let of_this = self.until.get(&made.conversation.index);
        // Of very many the machine forgets the first.
        let of_this = of_this.filter(|passes| passes.len() < PASSED_OVER_MAX);
        if made.receipt.found.is_by_name()
            || of_this.is_none_or(|passes| !passes.contains_key(&made.agent))
        {
            return Ok(());
        }
        let what = format!("{} was offered again to {}", made.conversation, made.agent);
        let about = About::Both(made.conversation, made.agent.clone());
        broken(Rule::PassesHold, about, what)
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::command::{Command, Decline};
    use crate::ids::ConversationId;

    /// An offer to ana that she declines, and the same offer once more in one entry.
    fn again() -> (Made, ConversationId) {
        let (mut floor, ann) = asked();
        let offered = floor
            .last
            .iter()
            .find(|event| matches!(event, Event::OfferMade(_)));
        let offered = offered.expect("ana is asked").clone();
        let decline = Decline {
            request_id: floor.fresh(),
            offer: floor.offer_ref(ann),
            reason: "busy".into(),
        };
        let mut made = Made::apply(&mut floor, Command::Decline(decline));
        assert_eq!(made.judged(), Ok(()));
        made.events.push(offered);
        (made, ann)
    }

    #[test]
    fn an_offer_to_whoever_has_just_declined_is_seen() {
        let (made, _) = again();
        let found = made.judged_by(PassesHold::default());
        assert_eq!(rule_of(found), Some(Rule::PassesHold));
    }

    #[test]
    fn an_offer_after_the_pass_has_lapsed_holds() {
        let (mut made, ann) = again();
        let lapsed = Event::PassesLapsed {
            conversation: ann,
            upto: CellTime(u64::MAX),
        };
        let last = made.events.len() - 1;
        made.events.insert(last, lapsed);
        assert_eq!(made.judged_by(PassesHold::default()), Ok(()));
    }
}
