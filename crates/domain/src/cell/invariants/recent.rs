//! The last entries, and whom each of them touched: for whoever reads of a breach.
//! Promise: bounded; what is remembered is words and names, never what anybody wrote.
//! Not here: judging.

use std::collections::VecDeque;

use super::frame::About;
use crate::cell::command::{Command, Entry};
use crate::cell::event::Event;
use crate::cell::floor::OfferOutcome;
use crate::cell::state::State;
use crate::ids::{AgentId, CellTime, ConversationId, LogIndex};

/// Entries that are remembered: at 200 bytes each, 3 MiB.
const ENTRIES_MAX: usize = 16_384;
/// Entries that are told of one subject.
const TOLD_MAX: usize = 12;

/// One entry that touched somebody.
struct Past {
    index: LogIndex,
    at: CellTime,
    command: &'static str,
    touches: Vec<Touch>,
}

/// What one event did to whom.
struct Touch {
    conversation: Option<LogIndex>,
    agent: Option<AgentId>,
    word: &'static str,
}

/// The last entries of a cell.
#[derive(Default)]
pub(super) struct Recent {
    entries: VecDeque<Past>,
}

impl Recent {
    /// Remembers an entry.
    pub(super) fn add(&mut self, state: &State, entry: &Entry, events: &[Event]) {
        let touches: Vec<Touch> = events.iter().filter_map(touch).collect();
        if touches.is_empty() {
            return;
        }
        if self.entries.len() == ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Past {
            index: state.meta.applied,
            at: state.now(),
            command: word(&entry.command),
            touches,
        });
    }

    /// The last entries that touched somebody, oldest first; of the cell as a whole, the last ones.
    pub(super) fn of(&self, about: &About) -> Vec<String> {
        let lines = self
            .entries
            .iter()
            .rev()
            .filter_map(|past| line(past, about));
        let mut lines: Vec<String> = lines.take(TOLD_MAX).collect();
        lines.reverse();
        lines
    }
}

fn line(past: &Past, about: &About) -> Option<String> {
    let told = past.touches.iter().filter(|touch| is_about(touch, about));
    let told: Vec<String> = told
        .map(|touch| match &touch.agent {
            Some(agent) => format!("{} ({agent})", touch.word),
            None => touch.word.to_owned(),
        })
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "entry {} at {} ms, {}: {}",
            past.index.0,
            past.at.0,
            past.command,
            told.join(", ")
        )
    })
}

fn is_about(touch: &Touch, about: &About) -> bool {
    let of = |id: &ConversationId| touch.conversation == Some(id.index);
    let by = |name: &AgentId| touch.agent.as_ref() == Some(name);
    match about {
        About::Cell | About::Queue(_) => true,
        About::Conversation(id) => of(id),
        About::Agent(name) => by(name),
        About::Both(id, name) => of(id) || by(name),
    }
}

fn touch(event: &Event) -> Option<Touch> {
    let of = |id: ConversationId, agent: Option<&AgentId>, word| {
        Some(Touch {
            conversation: Some(id.index),
            agent: agent.cloned(),
            word,
        })
    };
    match event {
        Event::Opened { conversation } => of(conversation.id, None, "opened"),
        Event::ItemAdded { conversation, .. } => of(*conversation, None, "an item"),
        Event::RemarkAdded { conversation, .. } => of(*conversation, None, "a remark"),
        Event::PhaseChanged {
            conversation,
            phase,
            ..
        } => {
            let agent = phase.taken().map(|(agent, _)| agent).or(phase.owner());
            of(*conversation, agent, phase.word())
        }
        Event::OwnerChanged {
            conversation,
            owner,
            ..
        } => of(*conversation, owner.as_ref(), "another owner"),
        Event::QueueEntered { conversation, .. } => of(*conversation, None, "entered a queue"),
        Event::OfferMade(made) => of(made.conversation, Some(&made.agent), "an offer made"),
        Event::OfferShown { conversation, .. } => of(*conversation, None, "the offer shown"),
        Event::OfferEnded {
            conversation,
            agent,
            outcome,
            ..
        } => of(*conversation, Some(agent), offer_word(*outcome)),
        Event::PassedOver {
            conversation,
            passed,
            ..
        } => of(*conversation, Some(&passed.agent), "passed over"),
        Event::Sealed { conversation, .. } => of(*conversation, None, "sealed"),
        Event::PassesLapsed { conversation, .. } => of(*conversation, None, "passes lapsed"),
        Event::CustomerPresence { conversation, gone } => {
            let word = gone.map_or("the customer came", |_| "the customer went");
            of(*conversation, None, word)
        }
        Event::Warned {
            conversation,
            agent,
            ..
        } => of(*conversation, Some(agent), "warned"),
        Event::Ended { conversation, .. } => of(*conversation, None, "ended"),
        Event::Quarantined { conversation, .. } => of(*conversation, None, "set aside"),
        Event::Released { conversation } => of(*conversation, None, "put back"),
        Event::Decided { conversation, .. } => of(*conversation, None, "decided"),
        Event::Remembered { .. } => None,
        Event::AgentChanged { agent } => Some(Touch {
            conversation: None,
            agent: Some(agent.name.clone()),
            word: "changed",
        }),
        Event::LeaderStarted { .. } => Some(Touch {
            conversation: None,
            agent: None,
            word: "a leader started",
        }),
        _ => None,
    }
}

fn offer_word(outcome: OfferOutcome) -> &'static str {
    match outcome {
        OfferOutcome::Accepted => "the offer accepted",
        OfferOutcome::Declined => "the offer declined",
        OfferOutcome::Expired => "the offer lapsed",
        OfferOutcome::Rescinded => "the offer rescinded",
        OfferOutcome::Cancelled => "the offer cancelled",
    }
}

/// A command as a word.
fn word(command: &Command) -> &'static str {
    match command {
        Command::LeaderStarted(_) => "leader started",
        Command::Tick(_) => "tick",
        Command::MatchMore => "match more",
        Command::RaiseVersion(_) => "raise version",
        Command::HoldBuckets(_) => "hold buckets",
        Command::AdoptPlan(_) => "adopt plan",
        Command::Open(_) => "open",
        Command::Send(_) => "send",
        Command::CustomerPresence(_) => "customer presence",
        Command::Close(_) => "close",
        Command::Rate(_) => "rate",
        Command::HandOff(_) => "hand off",
        Command::LogIn(_) => "log in",
        Command::LogOut(_) => "log out",
        Command::SetIntent(_) => "set intent",
        Command::SetNextStatus(_) => "set next status",
        Command::Lease(_) => "lease",
        Command::OfferShown(_) => "offer shown",
        Command::Accept(_) => "accept",
        Command::Decline(_) => "decline",
        Command::Note(_) => "note",
        Command::Hold(_) => "hold",
        Command::Resume(_) => "resume",
        Command::Transfer(_) => "transfer",
        Command::FinishWrapUp(_) => "finish wrap-up",
        Command::Release(_) => "release",
        Command::ArchivedUpto(_) => "archived",
        Command::Checkpoint(_) => "checkpoint",
        Command::Requeue(_) => "requeue",
        Command::Assign(_) => "assign",
        Command::PauseQueue(_) => "pause queue",
        Command::ResumeQueue(_) => "resume queue",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use super::*;
    use crate::cell::tests::support::*;

    #[test]
    fn the_last_entries_that_touched_somebody_are_told_and_no_others() {
        let mut floor = Floor::new();
        let mut watch = Watch::begin(floor.state());
        let open = floor.open_command("ann");
        let commands = [
            Command::Open(open.clone()),
            Command::Open(floor.open_command("bob")),
            Command::tick(),
        ];
        let mut ids = Vec::new();
        for command in commands {
            let entry = Entry {
                at: CellTime(floor.at),
                wall_ms: 0,
                command: command.clone(),
            };
            let applied = floor.apply(command);
            watch.check(floor.state(), &entry, &applied).unwrap();
            ids.push(floor.state().meta.applied);
        }
        let ann = ConversationId {
            cell: CELL,
            index: ids[0],
        };
        let told = watch.recent(&About::Conversation(ann));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(&format!("entry {} at", ids[0].0)),
            "{told:?}"
        );
        assert!(told[0].contains("open: opened"), "{told:?}");
        assert_eq!(watch.recent(&About::Cell).len(), 2);
        assert!(watch.recent(&About::Agent(agent("ana"))).is_empty());
    }

    #[test]
    fn no_more_than_twelve_are_told() {
        let mut floor = Floor::new();
        let ann = floor.open("ann");
        let mut recent = Recent::default();
        let event = Event::Released { conversation: ann };
        let entry = Entry {
            at: CellTime(0),
            wall_ms: 0,
            command: Command::tick(),
        };
        for _ in 0..20 {
            recent.add(floor.state(), &entry, std::slice::from_ref(&event));
        }
        assert_eq!(recent.of(&About::Conversation(ann)).len(), TOLD_MAX);
    }
}
