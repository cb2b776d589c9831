//! Items and notes of a transcript.
//! Promise: a reader gets every item, also one whose text is not readable.
//! Not here: in which order they come (`owner`).

use std::collections::BTreeMap;

use domain::cell::conversation::Conversation;
use domain::cell::transcript::{
    Author as By, HoldReason, Item, ItemKind, Message, RemarkItem, RequeueReason,
};
use domain::ids::{AgentId, Body};
use pb::api::v1::author::Kind;
use pb::api::v1::change::Kind as ChangeKind;
use pb::api::v1::{self as api, Author, Change, InternalNote};

/// Names for people to read, kept for one stream or one listing.
pub(crate) struct Speakers {
    customer: Author,
    agents: BTreeMap<AgentId, String>,
}

impl Speakers {
    /// The speakers of a conversation.
    pub(crate) fn of(conversation: &Conversation) -> Self {
        let customer = Author {
            kind: Kind::Customer.into(),
            name: conversation.customer.to_string(),
            display_name: conversation.display_name.to_string(),
        };
        Self {
            customer,
            agents: BTreeMap::new(),
        }
    }

    /// An author; `look_up` is asked once for each agent's name.
    pub(crate) fn author(&mut self, by: &By, look_up: impl FnOnce(&AgentId) -> String) -> Author {
        match by {
            By::Customer => self.customer.clone(),
            By::Agent(agent) => {
                let display_name = match self.agents.get(agent) {
                    Some(name) => name.clone(),
                    None => self
                        .agents
                        .entry(agent.clone())
                        .or_insert_with(|| look_up(agent))
                        .clone(),
                };
                Author {
                    kind: Kind::Agent.into(),
                    name: agent.to_string(),
                    display_name,
                }
            }
            By::Bot => Author {
                kind: Kind::Bot.into(),
                ..Author::default()
            },
            By::Staff(staff) => Author {
                kind: Kind::Staff.into(),
                name: staff.to_string(),
                display_name: staff.to_string(),
            },
            By::Machine => Author {
                kind: Kind::System.into(),
                ..Author::default()
            },
        }
    }
}

/// An item as readers get it.
pub(crate) fn item(
    item: &Item,
    speakers: &mut Speakers,
    look_up: impl FnOnce(&AgentId) -> String,
) -> api::Item {
    use api::item::Content;
    let content = match &item.kind {
        ItemKind::Message(message) => Content::Message(self::message(message, speakers, look_up)),
        kind => Content::Change(change(kind, speakers, look_up)),
    };
    api::Item {
        sequence: item.sequence.0,
        at_ms: item.at.0,
        wall_ms: item.wall_ms,
        content: Some(content),
    }
}

fn message(
    message: &Message,
    speakers: &mut Speakers,
    look_up: impl FnOnce(&AgentId) -> String,
) -> api::Message {
    api::Message {
        request_id: message.id.to_string(),
        author: Some(speakers.author(&message.author, look_up)),
        text: text(&message.body),
        sent_ms: message.sent_ms,
    }
}

fn change(
    kind: &ItemKind,
    speakers: &mut Speakers,
    look_up: impl FnOnce(&AgentId) -> String,
) -> Change {
    let change = |kind: ChangeKind, text: String| Change {
        kind: kind.into(),
        text,
        ..Change::default()
    };
    match kind {
        // A message is no change; `item` never asks for one.
        ItemKind::Message(_) => Change::default(),
        ItemKind::Joined {
            agent,
            display_name,
        } => {
            let by = Author {
                kind: Kind::Agent.into(),
                name: agent.to_string(),
                display_name: display_name.to_string(),
            };
            Change {
                by: Some(by),
                ..change(ChangeKind::Joined, String::new())
            }
        }
        ItemKind::Requeued { reason } => {
            change(ChangeKind::Requeued, requeue_word(*reason).to_owned())
        }
        ItemKind::Held { reason } => change(ChangeKind::Held, hold_word(*reason).to_owned()),
        ItemKind::Resumed => change(ChangeKind::Resumed, String::new()),
        ItemKind::TransferredToQueue { queue } => {
            change(ChangeKind::Transferred, queue.to_string())
        }
        ItemKind::TransferredToAgent { agent } => {
            let by = speakers.author(&By::Agent(agent.clone()), look_up);
            change(ChangeKind::Transferred, by.display_name)
        }
        ItemKind::Continued { to } => Change {
            conversation_id: to.to_string(),
            ..change(ChangeKind::Continued, String::new())
        },
        ItemKind::Notice { text, .. } => change(ChangeKind::Notice, text.to_string()),
        ItemKind::Closed { by, .. } => Change {
            by: Some(speakers.author(by, look_up)),
            ..change(ChangeKind::Closed, String::new())
        },
    }
}

/// A note as agents and supervisors get it.
pub(crate) fn note(
    note: &RemarkItem,
    speakers: &mut Speakers,
    look_up: impl FnOnce(&AgentId) -> String,
) -> InternalNote {
    InternalNote {
        number: note.number,
        after_sequence: note.after.0,
        at_ms: note.at.0,
        wall_ms: note.wall_ms,
        author: Some(speakers.author(&note.author, look_up)),
        text: text(&note.body),
    }
}

/// The text of a body. What is no text (a key that is gone) reads as replacement characters.
fn text(body: &Body) -> String {
    String::from_utf8_lossy(&body.bytes).into_owned()
}

fn requeue_word(reason: RequeueReason) -> &'static str {
    match reason {
        RequeueReason::AgentLost => "agent out of reach",
        RequeueReason::AgentLeft => "agent logged out",
        RequeueReason::NoFirstReply => "no first reply",
        RequeueReason::AgentBusy => "agent busy",
        RequeueReason::Quarantined => "set aside",
        RequeueReason::BySupervisor => "by a supervisor",
    }
}

fn hold_word(reason: HoldReason) -> &'static str {
    match reason {
        HoldReason::ByAgent => "by the agent",
        HoldReason::CustomerSilent => "customer silent",
        HoldReason::AgentLost => "agent out of reach",
    }
}
