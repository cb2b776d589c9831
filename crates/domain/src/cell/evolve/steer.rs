//! What supervisors' acts do: receipts without an offer, queues that pause and go on.
//! Promise: waiting work of a queue moves in the order of its places, at most so many at a time.
//! Not here: who may act (`decide::staff`).

use std::sync::Arc;

use crate::cell::derived::{LineKey, QueueIndex, Spot};
use crate::cell::floor::Steered;
use crate::cell::receipts::{RECEIPTS_MAX, Receipt};
use crate::cell::state::State;
use crate::ids::{ConversationId, LogIndex, QueueId};

impl State {
    /// Keeps a receipt; the oldest one goes.
    pub(super) fn add_receipt(&mut self, id: ConversationId, receipt: &Arc<Receipt>) {
        if let Some(record) = self.conversations.get_mut(&id.index) {
            if record.receipts.len() >= RECEIPTS_MAX {
                record.receipts.remove(0);
            }
            record.receipts.reserve_exact(1);
            record.receipts.push(receipt.clone());
        }
    }

    /// Notes who paused a queue or let it go on. Its waiting work is moved after this, in parts.
    pub(super) fn steer(&mut self, queue: &QueueId, steered: &Steered) {
        let Some(record) = self.queue_mut(queue) else {
            return;
        };
        record.steered = Some(Box::new(steered.clone()));
        self.note_aside(queue);
        if !steered.paused {
            let waiting = self.derived.agents.iter();
            let waiting = waiting.filter(|(_, index)| !index.own_line.is_empty());
            let names: Vec<_> = waiting.map(|(name, _)| name.clone()).collect();
            self.derived.own_lines_open.extend(names);
        }
    }

    /// Lets the work from a place on stand aside, and the work before it stand in its lines.
    pub(super) fn stand_aside(&mut self, queue: &QueueId, from: Option<LineKey>) {
        let record = self.queues.get(queue);
        let moved = self.between(queue, record.and_then(|record| record.aside_from), from);
        let before: Vec<_> = moved.iter().map(|index| self.spot(*index)).collect();
        if let Some(record) = self.queue_mut(queue) {
            record.aside_from = from;
        }
        for (index, before) in moved.iter().zip(before) {
            let after = self.spot(*index);
            self.shift(before, after);
        }
        self.note_aside(queue);
    }

    fn spot(&self, index: LogIndex) -> Option<Spot> {
        let found = self.conversations.get(&index)?;
        Some(Spot::of(self, found))
    }

    /// What waits in a queue between two places; `None` is behind all of them.
    fn between(
        &self,
        queue: &QueueId,
        one: Option<LineKey>,
        other: Option<LineKey>,
    ) -> Vec<LogIndex> {
        let Some(index) = self.derived.queues.get(queue) else {
            return Vec::new();
        };
        let (from, to) = match (one, other) {
            (None, None) => return Vec::new(),
            (Some(from), None) | (None, Some(from)) => (from, None),
            (Some(one), Some(other)) => (one.min(other), Some(one.max(other))),
        };
        let line = index.line.range(from..);
        line.take_while(|key| to.is_none_or(|to| **key < to))
            .map(|key| key.index)
            .collect()
    }

    fn note_aside(&mut self, queue: &QueueId) {
        let settled = self
            .queues
            .get(queue)
            .is_none_or(|record| record.aside_from == record.aside_wanted());
        if settled {
            self.derived.to_stand_aside.remove(queue);
        } else {
            self.derived.to_stand_aside.insert(queue.clone());
        }
    }

    /// The next part of a queue's line that is to be moved, by the place up to which it is moved: the
    /// youngest work stands aside first and the oldest comes back first, so that those who wait are
    /// asked for in their order at every index.
    pub(crate) fn next_aside(&self, limit: usize) -> Option<(QueueId, Option<LineKey>)> {
        let queue = self.derived.to_stand_aside.first()?;
        let (record, index) = (self.queues.get(queue), self.derived.queues.get(queue));
        let wanted = record.and_then(|record| record.aside_wanted());
        let (Some(record), Some(QueueIndex { line, .. })) = (record, index) else {
            return Some((queue.clone(), wanted));
        };
        let reached = match (record.aside_from, wanted) {
            (None, Some(_)) => line.iter().rev().nth(limit - 1).copied(),
            (Some(from), Some(_)) => line.range(..from).rev().nth(limit - 1).copied(),
            (Some(from), None) => line.range(from..).nth(limit).copied(),
            (None, None) => None,
        };
        Some((queue.clone(), reached.or(wanted)))
    }
}
