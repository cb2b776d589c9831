//! What clients were promised about conversations: acknowledged messages, answers to request ids, what they read.
//! Promise: checked with each acknowledgement, refusal and read as it comes, and once more at the end.
//! Not here: what replicas have (`groups`).

use std::collections::{BTreeMap, VecDeque};

use super::Violation;
use crate::invariants::facts::Facts;
pub use crate::invariants::facts::Seen;
use crate::invariants::{
    Breach, acknowledged_present, answered_once, reads_advance, refusal_final, same_transcripts,
};

/// The last things that are remembered of a conversation.
const EVENTS_MAX: usize = 12;
/// Conversations that readers choose from: about as many as are open at a time, so that they read beside writers.
const RECENT_MAX: usize = 12;

/// All conversations.
#[derive(Debug, Default)]
pub struct Promises {
    conversations: BTreeMap<String, Promised>,
    /// Those that somebody was told of last.
    recent: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Promised {
    facts: Facts,
    events: VecDeque<String>,
}

impl Promised {
    fn tell(&mut self, now_us: u64, what: impl FnOnce() -> String) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events
            .push_back(format!("{:>10.3} s {}", now_us as f64 / 1e6, what()));
    }

    fn broken(&self, subject: &str, (rule, seen): Breach) -> Violation {
        Violation {
            before: self.events.iter().cloned().collect(),
            ..Violation::new(rule, format!("conversation {subject}"), seen)
        }
    }

    /// A message stands at a place, by anybody's word.
    fn place(&mut self, subject: &str, place: u64, id: &str) -> Result<(), Violation> {
        let facts = &self.facts;
        let judged = same_transcripts::check(facts, place, id)
            .and_then(|()| answered_once::check(facts, place, id))
            .and_then(|()| refusal_final::check_placed(facts, place, id));
        judged.map_err(|breach| self.broken(subject, breach))?;
        self.facts.place(place, id);
        Ok(())
    }
}

impl Promises {
    fn of(&mut self, conversation: &str) -> &mut Promised {
        if !self.conversations.contains_key(conversation) {
            if self.recent.len() == RECENT_MAX {
                self.recent.pop_front();
            }
            self.recent.push_back(conversation.to_owned());
        }
        self.conversations
            .entry(conversation.to_owned())
            .or_default()
    }

    /// One of the conversations that somebody was told of last, as a draw has it.
    pub fn recent(&self, draw: u64) -> Option<String> {
        let at = draw % self.recent.len().max(1) as u64;
        self.recent.get(at as usize).cloned()
    }

    /// A message was acknowledged at a place.
    ///
    /// # Errors
    /// When it contradicts what anybody was told before.
    pub fn acknowledged(
        &mut self,
        now_us: u64,
        conversation: &str,
        (place, id): (u64, &str),
    ) -> Result<(), Violation> {
        let promised = self.of(conversation);
        promised.tell(now_us, || format!("{id} acknowledged at {place}"));
        let told = promised.facts.acknowledged.entry(id.to_owned());
        told.or_insert(now_us);
        promised.place(conversation, place, id)
    }

    /// A message was refused for good: it must never appear.
    ///
    /// # Errors
    /// When it has.
    pub fn refused(
        &mut self,
        now_us: u64,
        conversation: &str,
        id: &str,
        why: &str,
    ) -> Result<(), Violation> {
        let promised = self.of(conversation);
        promised.tell(now_us, || format!("{id} refused: {why}"));
        refusal_final::check_refused(&promised.facts, id, why)
            .map_err(|breach| promised.broken(conversation, breach))?;
        promised.facts.refused.insert(id.to_owned());
        Ok(())
    }

    /// A message was seen in a stream, at a place.
    ///
    /// # Errors
    /// When it contradicts what anybody was told before.
    pub fn seen(&mut self, conversation: &str, (place, id): (u64, &str)) -> Result<(), Violation> {
        self.of(conversation).place(conversation, place, id)
    }

    /// A whole transcript was read between two moments: its last place, and the messages in it.
    ///
    /// # Errors
    /// When a message is missing that was acknowledged before the read began, or that an earlier read saw; when one
    /// stands elsewhere.
    pub fn read(
        &mut self,
        (called_us, now_us): (u64, u64),
        conversation: &str,
        last: u64,
        messages: &[Seen],
    ) -> Result<(), Violation> {
        let promised = self.of(conversation);
        promised.tell(now_us, || {
            format!(
                "read up to {last}, asked at {:.3} s",
                called_us as f64 / 1e6
            )
        });
        for (place, id) in messages {
            promised.place(conversation, *place, id)?;
        }
        acknowledged_present::check(&promised.facts, called_us, messages)
            .and_then(|()| reads_advance::check(&promised.facts, called_us, last))
            .map_err(|breach| promised.broken(conversation, breach))?;
        promised.facts.reads.push((last, now_us));
        Ok(())
    }

    /// Something that touched a conversation, for whoever reads of a violation.
    pub fn tell(&mut self, now_us: u64, conversation: &str, what: impl FnOnce() -> String) {
        self.of(conversation).tell(now_us, what);
    }

    /// Every conversation that anybody was told of.
    pub fn conversations(&self) -> Vec<String> {
        self.conversations.keys().cloned().collect()
    }

    /// Messages that were acknowledged.
    pub fn messages(&self) -> usize {
        self.conversations
            .values()
            .map(|promised| promised.facts.acknowledged.len())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(messages: &[(u64, &str)]) -> Vec<Seen> {
        messages
            .iter()
            .map(|(place, id)| (*place, (*id).to_owned()))
            .collect()
    }

    #[test]
    fn a_lost_acknowledged_message_is_found() {
        let mut promises = Promises::default();
        promises.acknowledged(10, "c", (2, "a")).unwrap();
        assert_eq!(
            promises.read((5, 20), "c", 1, &[]),
            Ok(()),
            "asked before the acknowledgement"
        );
        let found = promises.read((11, 20), "c", 1, &[]).unwrap_err();
        assert_eq!(found.rule, "an acknowledged message is never absent");
        assert!(
            found
                .before
                .iter()
                .any(|line| line.contains("a acknowledged at 2"))
        );
    }

    #[test]
    fn two_messages_at_a_place_and_one_at_two_places_are_found() {
        let mut promises = Promises::default();
        promises.acknowledged(1, "c", (2, "a")).unwrap();
        promises.acknowledged(2, "c", (2, "a")).unwrap();
        let same_place = promises.acknowledged(3, "c", (2, "b")).unwrap_err();
        assert_eq!(same_place.rule, "transcripts are the same for everybody");
        let same_id = promises.seen("c", (5, "a")).unwrap_err();
        assert_eq!(same_id.rule, "a request id is answered once");
    }

    #[test]
    fn a_refused_message_that_appears_is_found_in_either_order() {
        let mut promises = Promises::default();
        promises.refused(1, "c", "a", "CLOSED").unwrap();
        assert_eq!(
            promises.seen("c", (2, "a")).unwrap_err().rule,
            "a refusal is final"
        );
        promises.seen("c", (3, "b")).unwrap();
        assert_eq!(
            promises.refused(4, "c", "b", "CLOSED").unwrap_err().rule,
            "a refusal is final"
        );
    }

    #[test]
    fn a_read_that_runs_back_is_found() {
        let mut promises = Promises::default();
        promises.read((1, 2), "c", 5, &seen(&[(2, "a")])).unwrap();
        assert_eq!(
            promises.read((1, 3), "c", 4, &seen(&[(2, "a")])),
            Ok(()),
            "side by side"
        );
        let found = promises
            .read((4, 5), "c", 4, &seen(&[(2, "a")]))
            .unwrap_err();
        assert_eq!(found.rule, "reads never run back");
    }
}
