//! What clients were promised about conversations: acknowledged messages, answers to request ids, what they read.
//! Promise: checked with each acknowledgement, refusal and read as it comes, and once more at the end.
//! Not here: what replicas have (`groups`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Violation;

/// The last things that are remembered of a conversation.
const EVENTS_MAX: usize = 12;
/// Conversations that readers choose from: about as many as are open at a time, so that they read beside writers.
const RECENT_MAX: usize = 12;

/// One message as somebody sees it: its place and its id.
pub type Seen = (u64, String);

/// All conversations.
#[derive(Debug, Default)]
pub struct Promises {
    conversations: BTreeMap<String, Promised>,
    /// Those that somebody was told of last.
    recent: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Promised {
    /// Each message by its place, as it was first seen by anybody.
    by_place: BTreeMap<u64, String>,
    /// Each message's place.
    by_id: BTreeMap<String, u64>,
    /// When a message was acknowledged, microseconds.
    acknowledged: BTreeMap<String, u64>,
    /// Messages that were refused for good.
    refused: BTreeSet<String>,
    /// The highest place that a read saw, and when that read came back.
    reads: Vec<(u64, u64)>,
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

    fn broken(&self, rule: &'static str, subject: &str, seen: String) -> Violation {
        Violation {
            before: self.events.iter().cloned().collect(),
            ..Violation::new(rule, format!("conversation {subject}"), seen)
        }
    }

    /// A message stands at a place, by anybody's word.
    fn place(&mut self, subject: &str, place: u64, id: &str) -> Result<(), Violation> {
        if let Some(other) = self.by_place.get(&place)
            && other != id
        {
            let seen = format!("message {id} stands at {place}, where {other} stood");
            return Err(self.broken("transcripts are the same for everybody", subject, seen));
        }
        if let Some(other) = self.by_id.get(id)
            && *other != place
        {
            let seen = format!("message {id} stands at {place} and at {other}");
            return Err(self.broken("a request id is answered once", subject, seen));
        }
        if self.refused.contains(id) {
            let seen = format!("message {id} stands at {place} and was refused for good");
            return Err(self.broken("a refusal is final", subject, seen));
        }
        self.by_place.insert(place, id.to_owned());
        self.by_id.insert(id.to_owned(), place);
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
        promised.acknowledged.entry(id.to_owned()).or_insert(now_us);
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
        if let Some(place) = promised.by_id.get(id) {
            let seen = format!("message {id} was refused ({why}) and stands at {place}");
            return Err(promised.broken("a refusal is final", conversation, seen));
        }
        promised.refused.insert(id.to_owned());
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
        let read: BTreeMap<&str, u64> = messages
            .iter()
            .map(|(place, id)| (id.as_str(), *place))
            .collect();
        let before = promised
            .acknowledged
            .iter()
            .filter(|(_, at)| **at <= called_us);
        for (id, at) in before {
            if !read.contains_key(id.as_str()) {
                let seen = format!(
                    "message {id} was acknowledged at {:.3} s and is missing in a read asked at {:.3} s",
                    *at as f64 / 1e6,
                    called_us as f64 / 1e6
                );
                return Err(promised.broken(
                    "an acknowledged message is never absent",
                    conversation,
                    seen,
                ));
            }
        }
        let earlier = promised.reads.iter().filter(|(_, at)| *at <= called_us);
        let most = earlier.map(|(last, _)| *last).max().unwrap_or(0);
        if last < most {
            let seen = format!("a read ends at {last}, and one before it ended at {most}");
            return Err(promised.broken("reads never run back", conversation, seen));
        }
        promised.reads.push((last, now_us));
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
            .map(|promised| promised.acknowledged.len())
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
