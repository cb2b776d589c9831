//! Every deadline is in the index in time and ends an offer once.

use super::Rule;
use super::frame::{About, At, Found, Invariant, Whole, broken};
use super::known::Known;
use crate::cell::deadlines::first_due;
use crate::cell::event::Event;
use crate::cell::floor::OfferOutcome;
use crate::ids::{AgentId, CellTime, ConversationId, OfferId};

#[derive(Default)]
pub(super) struct DeadlinesFireOnce {
    /// When a leader's start last gave every offer its full period.
    full_since: CellTime,
}

impl DeadlinesFireOnce {
    /// From a state in which a leader's start last gave every offer its full period then.
    pub(super) fn since(full_since: CellTime) -> Self {
        Self { full_since }
    }
}

impl Invariant for DeadlinesFireOnce {
    fn whole(&self, whole: &Whole<'_>) -> Found {
        whole.state.conversations().try_for_each(|found| {
            let due = first_due(whole.state, found).map(|(at, _)| at);
            if due.is_none_or(|due| found.deadline.is_some_and(|at| at <= due)) {
                return Ok(());
            }
            let id = found.id;
            let what = format!("deadline of {id} is later than its first timer, or missing");
            broken(Rule::DeadlinesFireOnce, id, what)
        })
    }

    fn event(&mut self, known: &Known, _: &At<'_>, event: &Event) -> Found {
        match event {
            Event::LeaderStarted { full: true, .. } => {
                self.full_since = known.now;
                Ok(())
            }
            Event::OfferEnded {
                offer,
                conversation,
                agent,
                outcome,
                ..
            } => self.offer_ended(known, (*offer, *conversation, agent), *outcome),
            _ => Ok(()),
        }
    }
}

impl DeadlinesFireOnce {
    fn offer_ended(
        &self,
        known: &Known,
        (offer, id, agent): (OfferId, ConversationId, &AgentId),
        outcome: OfferOutcome,
    ) -> Found {
        let Some(seen) = known.seen(id.index) else {
            return Ok(());
        };
        let fails = |what: String| {
            let about = About::Both(id, agent.clone());
            broken(Rule::DeadlinesFireOnce, about, what)
        };
        if seen.offer.map(|(open, _)| open) != Some(offer) {
            return fails(format!("offer {offer} of {id} ended and was not open"));
        }
        if outcome != OfferOutcome::Expired {
            return Ok(());
        }
        if seen.deadline.is_none_or(|deadline| deadline > known.now) {
            return fails(format!("offer {offer} of {id} lapsed before its deadline"));
        }
        let Some((made_at, period_ms)) = seen.offered else {
            return Ok(());
        };
        let begins = made_at.max(self.full_since);
        if known.now >= begins.plus_ms(period_ms) {
            return Ok(());
        }
        fails(format!(
            "an offer of {id} lapsed before its period after a leader's start"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::conversation::Phase;
    use crate::cell::tests::support::*;

    #[test]
    fn an_offer_that_ends_twice_or_before_its_time_is_seen() {
        let (floor, ann) = asked();
        let Phase::Offered(offer) = floor.phase(ann).clone() else {
            panic!("ana is asked")
        };
        let ended = |outcome| Event::OfferEnded {
            offer: offer.id,
            conversation: ann,
            queue: queue("sales"),
            site: site("fra"),
            agent: agent("ana"),
            outcome,
            at: CellTime(0),
        };
        let mut made = Made::of(&floor);
        made.events = vec![ended(OfferOutcome::Declined)];
        assert_eq!(made.judged_by(DeadlinesFireOnce::default()), Ok(()));
        made.events.push(ended(OfferOutcome::Declined));
        assert_eq!(made.breaks(), Rule::DeadlinesFireOnce);
        made.events = vec![ended(OfferOutcome::Expired)];
        assert_eq!(made.breaks(), Rule::DeadlinesFireOnce, "before its time");
    }
}
