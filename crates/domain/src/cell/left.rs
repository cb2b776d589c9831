//! Conversations that have left the state: what a copy of one in an archive answers.
//! Promise: a command that names one is answered as it would be if the record were still here; nothing
//! is changed.
//! Not here: finding the copy (`store`), when a record leaves (`archive`).

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::apply::DEFECT_RETRY_MS;
use super::command::{Command, Open};
use super::conversation::{Conversation, Phase};
use super::decide::{self, wrong_state};
use super::draft::Draft;
use super::refusal::Refusal;
use super::reply::{Done, Opened, Reply};
use super::state::State;
use super::transcript::{Author, ItemKind};
use crate::ids::AgentId;

impl State {
    /// Judges a command by the copy of a conversation that has left: the first answer to a copy of what
    /// was asked before, a refusal for anything else.
    ///
    /// # Errors
    /// The refusal that the record itself would give.
    pub fn answer_for_left(&self, left: &Arc<Conversation>, command: &Command) -> Reply {
        let mut alone = Self::new(self.meta.cell);
        alone.meta = self.meta.clone();
        alone.plans = self.plans.clone();
        alone.queues = self.queues.clone();
        alone.agents = self.agents.clone();
        alone.conversations.insert(left.id.index, left.clone());
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let mut draft = Draft::new(&alone);
            let done = decide::decide(&mut draft, command)?;
            if draft.finish().is_empty() {
                Ok(done)
            } else {
                Err(wrong_state(left))
            }
        }));
        judged.unwrap_or_else(|_| {
            Err(Refusal::MachineDefect {
                conversation: Some(left.id),
                index: self.meta.applied,
                retry_after_ms: DEFECT_RETRY_MS,
            })
        })
    }
}

/// The first answer to an `open` whose message the copy of a conversation that has left holds.
///
/// # Errors
/// When the same id came with another text.
pub fn opened_before(left: &Conversation, open: &Open) -> Result<Option<Done>, Refusal> {
    let Some(body) = &open.body else {
        return Ok(None);
    };
    let sent = decide::recall_message(left, &open.request_id, &Author::Customer, body)?;
    Ok(sent.map(|sent| {
        Done::Opened(Opened {
            conversation: sent.conversation,
            queue: left.queue.clone(),
            sequence: Some(sent.sequence),
            existing: true,
            text: Arc::default(),
        })
    }))
}

impl Conversation {
    /// The agents who took part: who owned it, wrote or remarked.
    pub fn took_part(&self) -> BTreeSet<AgentId> {
        let mut found = BTreeSet::new();
        for item in &self.items {
            match item.kind {
                ItemKind::Joined { agent, .. } => drop(found.insert(agent)),
                ItemKind::Message(message) => found.extend(agent_of(&message.author)),
                _ => {}
            }
        }
        found.extend(
            self.remarks
                .iter()
                .filter_map(|remark| agent_of(&remark.author)),
        );
        if let Phase::Closed(closed) = &self.phase {
            found.extend(closed.agent.clone());
        }
        found
    }

    /// The leader's wall clock at its last item, Unix milliseconds: for an ended one, about its end.
    pub fn last_wall_ms(&self) -> u64 {
        let last = self.items.last().map(|item| item.wall_ms);
        last.unwrap_or(self.created_wall_ms)
            .max(self.created_wall_ms)
    }

    /// Milliseconds from the first line to the first agent, if one ever took it.
    pub fn first_wait_ms(&self) -> Option<u64> {
        let joined = self
            .items
            .iter()
            .find(|item| matches!(item.kind, ItemKind::Joined { .. }));
        joined.map(|item| item.at.since_ms(self.aged_from))
    }
}

fn agent_of(author: &Author) -> Option<AgentId> {
    match author {
        Author::Agent(agent) => Some(agent.clone()),
        _ => None,
    }
}
