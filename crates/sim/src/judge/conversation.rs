//! One conversation as an object that does one thing at a time, and every conversation of a history judged so.
//! Promise: what is kept of a history loses no order that it can have, and finds none that it cannot have, by what the
//! answers say; a conversation that was not decided is named.
//! Not here: the search (`linear`), what is judged as it comes (`promises`).
//!
//! Places make the search short: a message that anybody was told of stands at one place, so the order of messages is
//! known before it begins. A message whose outcome is unknown is found by its place in what others read; one that
//! nobody ever saw may be left out, because an order without it is an order still.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Violation;
use super::history::{Call, Outcome};
use super::linear::{Object, Timed, Verdict, cannot_be_ordered, order};

/// States of one conversation that are looked at. With 64 calls one has about 100 bytes, twice: 40 MB, some seconds.
const STATES_MAX: usize = 200_000;
/// Calls that a violation shows.
const SHOWN_MAX: usize = 12;
/// The reason of a refusal that says that a conversation has ended.
const CLOSED: &str = "CONVERSATION_CLOSED";
/// The reason of a refusal that says that there is no such conversation.
const NOT_FOUND: &str = "CONVERSATION_NOT_FOUND";

/// What was judged, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Conversations whose calls were ordered, or cannot be.
    pub conversations: usize,
    /// Their calls.
    pub calls: usize,
    /// Calls among them that came while another one to the same conversation had not come back.
    pub side_by_side: usize,
    /// Conversations whose search met its bound, or of which a call is missing.
    pub not_decided: Vec<String>,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

/// Whether a history has every call that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It has: a message that nobody sent is a violation.
    Whole,
    /// Calls that were under way at its end are missing.
    Cut,
}

/// Judges each conversation of a history.
pub fn judge(calls: &[Call], extent: Extent) -> Judgement {
    let mut judgement = Judgement::default();
    let places = match Places::of(calls) {
        Ok(places) => places,
        Err(violation) => {
            judgement.violations.push(violation);
            return judgement;
        }
    };
    let mut conversations = BTreeMap::<&str, Vec<(&Call, Timed<Act>)>>::new();
    for call in calls {
        match places.act(call) {
            Ok(Some((conversation, timed))) => {
                let of_it = conversations.entry(conversation).or_default();
                of_it.push((call, timed));
            }
            Ok(None) => {}
            Err(violation) => judgement.violations.push(violation),
        }
    }
    for (id, calls) in conversations {
        match (places.nobody_sent(id, &calls), extent) {
            (None, _) => judge_one(id, calls, &mut judgement),
            (Some(violation), Extent::Whole) => judgement.violations.push(violation),
            // Who sent it was under way: when it was called is not known.
            (Some(_), Extent::Cut) => judgement.not_decided.push(id.to_owned()),
        }
    }
    judgement
}

fn judge_one(id: &str, mut calls: Vec<(&Call, Timed<Act>)>, judgement: &mut Judgement) {
    calls.sort_by_key(|(call, _)| (call.call_ns, call.id));
    let timed: Vec<Timed<Act>> = calls.iter().map(|(_, timed)| timed.clone()).collect();
    judgement.conversations += 1;
    judgement.calls += timed.len();
    judgement.side_by_side += side_by_side(&timed);
    match order(&Conversation, &timed, STATES_MAX) {
        Verdict::Ordered => {}
        Verdict::NotDecided => judgement.not_decided.push(id.to_owned()),
        Verdict::NoOrder => {
            let needed = cannot_be_ordered(&Conversation, &timed, STATES_MAX, soften);
            let seen = format!(
                "{} of its {} calls cannot stand in one order",
                needed.len(),
                calls.len()
            );
            let mut violation =
                Violation::new("linearizability", format!("conversation {id}"), seen);
            let shown = needed.iter().take(SHOWN_MAX);
            violation.before = shown.map(|at| told(calls[*at].0)).collect();
            judgement.violations.push(violation);
        }
    }
}

/// Calls that began before an earlier one had come back.
fn side_by_side(calls: &[Timed<Act>]) -> usize {
    let mut latest = None;
    let mut count = 0;
    for call in calls {
        count += usize::from(latest.is_some_and(|latest| call.called <= latest));
        latest = latest.max(Some(call.returned.unwrap_or(u64::MAX)));
    }
    count
}

/// A call in a line, for whoever reads of a violation.
fn told(call: &Call) -> String {
    let at = |ns: u64| format!("{:.3}", ns as f64 / 1e9);
    let returned = call
        .return_ns
        .map_or_else(|| "never".to_owned(), |ns| format!("{} s", at(ns)));
    format!(
        "{:>10} s to {returned}: {} {} {} {:?} {}",
        at(call.call_ns),
        call.client,
        call.op,
        call.args,
        call.outcome,
        call.value
    )
}

/// What a call was without its answer: a message may have its effect later, all else says nothing.
fn soften(call: &Timed<Act>) -> Option<Timed<Act>> {
    matches!(call.act, Act::Store { .. }).then(|| Timed {
        returned: None,
        ..call.clone()
    })
}

/// What was done to a conversation, with the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    /// A message was stored, the `rank`th of all counted from 0, at its place; by an agent who spoke in an epoch.
    Store {
        rank: usize,
        place: u64,
        epoch: Option<u64>,
    },
    /// A transcript with so many messages and items, whether it says that it has ended, in an epoch.
    Read {
        stored: usize,
        last: u64,
        ended: Option<bool>,
        epoch: Option<u64>,
    },
    /// An agent has it from this epoch on.
    Accept { epoch: u64 },
    /// Its agent did something in an epoch, and gave it away or not.
    Own { epoch: u64, gives_away: bool },
    /// It was ended, by its agent in an epoch.
    End { epoch: Option<u64> },
    /// Something was refused because it had ended.
    Ended,
    /// Something was refused because it did not exist.
    Missing,
}

/// How far a conversation is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stands {
    /// Messages.
    stored: usize,
    /// The last place that is known to be taken; the machine may take more at any time.
    last: u64,
    /// The epoch that is known to have begun; the machine may begin more at any time.
    epoch: u64,
    end: End,
}

/// Whether it takes more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    No,
    /// It does not, and its last place was not seen yet.
    Somewhere,
    /// It does not, and this is its last place.
    At(u64),
}

/// The object.
struct Conversation;

impl Object for Conversation {
    type Act = Act;
    type State = Stands;

    fn begin(&self) -> Stands {
        Stands {
            stored: 0,
            last: 0,
            epoch: 0,
            end: End::No,
        }
    }

    fn step(&self, state: &Stands, act: &Act) -> Option<Stands> {
        let open = state.end == End::No;
        let in_force = |epoch: u64| epoch >= state.epoch;
        match *act {
            // The same id again has the first answer, whatever happened since.
            Act::Store { rank, .. } if rank < state.stored => Some(state.clone()),
            Act::Store { rank, place, epoch } => {
                let fits = open && rank == state.stored && place > state.last;
                (fits && epoch.is_none_or(in_force)).then(|| Stands {
                    stored: rank + 1,
                    last: place,
                    epoch: epoch.unwrap_or(state.epoch),
                    end: End::No,
                })
            }
            Act::Read {
                stored,
                last,
                ended,
                epoch,
            } => {
                let end = end_as_read(state, last, ended)?;
                (stored == state.stored && epoch.is_none_or(in_force)).then(|| Stands {
                    stored,
                    last,
                    epoch: epoch.unwrap_or(state.epoch),
                    end,
                })
            }
            Act::Accept { epoch } => (open && epoch > state.epoch).then(|| Stands {
                epoch,
                ..state.clone()
            }),
            Act::Own { epoch, gives_away } => (open && in_force(epoch)).then(|| Stands {
                epoch: epoch + u64::from(gives_away),
                ..state.clone()
            }),
            Act::End { epoch } => (open && epoch.is_none_or(in_force)).then(|| Stands {
                epoch: epoch.unwrap_or(state.epoch) + 1,
                end: End::Somewhere,
                ..state.clone()
            }),
            Act::Ended => Some(Stands {
                end: if open { End::Somewhere } else { state.end },
                ..state.clone()
            }),
            Act::Missing => (*state == self.begin()).then(|| state.clone()),
        }
    }
}

/// The end that a read shows, if it can be: the item that ends a conversation is its last one.
fn end_as_read(state: &Stands, last: u64, ended: Option<bool>) -> Option<End> {
    match (state.end, ended) {
        (End::No, None | Some(false)) => (last >= state.last).then_some(End::No),
        (End::No, Some(true)) | (End::Somewhere, None | Some(true)) => {
            (last > state.last).then_some(End::At(last))
        }
        (End::At(at), None | Some(true)) => (last == at).then_some(state.end),
        (End::Somewhere | End::At(_), Some(false)) => None,
    }
}

/// Where each message stands that anybody was told of.
#[derive(Default)]
struct Places<'h> {
    by_id: BTreeMap<&'h str, (&'h str, u64)>,
    by_place: BTreeMap<&'h str, BTreeMap<u64, &'h str>>,
    /// Conversations that go on under another id: an end of them may be that of a later one.
    go_on: BTreeSet<&'h str>,
}

/// The id of a message, as its client made it.
fn message_of(call: &Call) -> Option<&str> {
    matches!(&*call.op, "send" | "open").then(|| call.args["id"].as_str())?
}

/// The messages that a read shows, with their places.
fn shown(call: &Call) -> impl Iterator<Item = (u64, &str)> {
    let messages = match &call.value {
        Value::Array(messages) => Some(messages),
        value => value["messages"].as_array(),
    };
    let messages = messages.map_or(&[][..], Vec::as_slice).iter();
    messages.filter_map(|message| Some((message[0].as_u64()?, message[1].as_str()?)))
}

impl<'h> Places<'h> {
    fn of(calls: &'h [Call]) -> Result<Self, Violation> {
        let mut places = Self::default();
        for call in calls.iter().filter(|call| call.outcome == Outcome::Ok) {
            let at = call.value["sequence"].as_u64().filter(|place| *place > 0);
            if let (Some(id), Some(place)) = (message_of(call), at) {
                places.put(&call.conversation, place, id)?;
            }
            if call.op == "read" {
                for (place, id) in shown(call) {
                    places.put(&call.conversation, place, id)?;
                }
                if call.value["goes_on"] == true {
                    places.go_on.insert(&call.conversation);
                }
            }
            if let Some(named) = call.args["to"]
                .as_str()
                .filter(|to| *to != call.conversation)
            {
                places.go_on.insert(named);
            }
        }
        Ok(places)
    }

    fn put(&mut self, conversation: &'h str, place: u64, id: &'h str) -> Result<(), Violation> {
        let subject = || format!("conversation {conversation}");
        let first = self.by_id.entry(id).or_insert((conversation, place));
        if *first != (conversation, place) {
            let (other, at) = *first;
            let seen = format!("message {id} stands at {place}, and at {at} of {other}");
            return Err(Violation::new(
                "a request id is answered once",
                subject(),
                seen,
            ));
        }
        let there = self.by_place.entry(conversation).or_default();
        let first = there.entry(place).or_insert(id);
        if *first != id {
            let seen = format!("message {id} stands at {place}, where {first} stood");
            return Err(Violation::new(
                "transcripts are the same for everybody",
                subject(),
                seen,
            ));
        }
        Ok(())
    }

    /// How many messages stand before a place.
    fn rank(&self, conversation: &str, place: u64) -> usize {
        let there = self.by_place.get(conversation);
        there.map_or(0, |there| there.range(..place).count())
    }

    /// What a call was to which conversation, as far as its answer says anything.
    fn act(&self, call: &'h Call) -> Result<Option<(&'h str, Timed<Act>)>, Violation> {
        let timed = |conversation, act| {
            let returned = match call.outcome {
                Outcome::Unknown => None,
                Outcome::Ok | Outcome::Refused => call.return_ns,
            };
            let called = call.call_ns;
            let timed = Timed {
                act,
                called,
                returned,
            };
            Ok(Some((conversation, timed)))
        };
        let placed = message_of(call).and_then(|id| self.by_id.get(id));
        match (placed, call.outcome) {
            (Some((conversation, place)), Outcome::Refused) => {
                let seen = format!("{} was refused and stands at {place}", call.args["id"]);
                let subject = format!("conversation {conversation}");
                let mut violation = Violation::new("a refusal is final", subject, seen);
                violation.before.push(told(call));
                return Err(violation);
            }
            (Some((conversation, place)), _) => {
                let (rank, place) = (self.rank(conversation, *place), *place);
                let epoch = call.args["epoch"].as_u64();
                return timed(*conversation, Act::Store { rank, place, epoch });
            }
            (None, _) => {}
        }
        match self.other(call).filter(|_| !call.conversation.is_empty()) {
            Some(act) => timed(&call.conversation, act),
            None => Ok(None),
        }
    }

    /// What a call was that stored no message.
    fn other(&self, call: &Call) -> Option<Act> {
        let epoch = call.args["epoch"].as_u64();
        match (&*call.op, call.outcome) {
            (_, Outcome::Unknown) => None,
            (_, Outcome::Refused) => match call.value["reason"].as_str() {
                Some(CLOSED) => Some(Act::Ended),
                Some(NOT_FOUND) => Some(Act::Missing),
                _ => None,
            },
            ("read", Outcome::Ok) => {
                let last = shown(call).last().map_or(0, |(place, _)| place);
                Some(Act::Read {
                    stored: shown(call).count(),
                    last: call.value["last"].as_u64().unwrap_or(last),
                    ended: call.value["ended"].as_bool(),
                    epoch: call.value["epoch"].as_u64(),
                })
            }
            ("accept", Outcome::Ok) => Some(Act::Accept {
                epoch: call.value["epoch"].as_u64()?,
            }),
            ("hold" | "resume", Outcome::Ok) => Some(Act::Own {
                epoch: epoch?,
                gives_away: false,
            }),
            ("transfer", Outcome::Ok) => Some(Act::Own {
                epoch: epoch?,
                gives_away: true,
            }),
            ("close" | "end", Outcome::Ok) if !self.go_on.contains(&*call.conversation) => {
                Some(Act::End { epoch })
            }
            ("close" | "end", Outcome::Ok) => Some(Act::Ended),
            _ => None,
        }
    }

    /// A message that somebody read and nobody sent.
    fn nobody_sent(&self, id: &str, calls: &[(&Call, Timed<Act>)]) -> Option<Violation> {
        let sent: BTreeSet<&str> = calls
            .iter()
            .filter_map(|(call, _)| message_of(call))
            .collect();
        let there = self.by_place.get(id)?;
        let (place, message) = there
            .iter()
            .find(|(_, message)| !sent.contains(**message))?;
        let seen = format!("message {message} stands at {place}, and nobody sent it");
        let mut violation = Violation::new(
            "a message comes from its client",
            format!("conversation {id}"),
            seen,
        );
        let reads = calls.iter().filter(|(call, _)| {
            call.op == "read" && shown(call).any(|(_, shown)| shown == *message)
        });
        violation.before = reads.take(1).map(|(call, _)| told(call)).collect();
        Some(violation)
    }
}
