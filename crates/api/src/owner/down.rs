//! The owner's way down to one client.
//! Promise: at most `STREAM_DOWN_BOUND` messages and `STREAM_DOWN_BYTES_MAX` bytes of text wait; a backlog
//! is made as its reader reads; whoever reads too slowly is told so last.
//! Not here: what is said (`customer`, `desk`).

use std::collections::VecDeque;

use pb::api::v1::{Item, Refusal, attach_response, item, work_response};
use pb::raft::v1::forward_down;
use ports::StreamDown;
use runtime::mailbox;
use tokio::time::timeout;

use crate::errors::slow_consumer;
use crate::limits;

/// Bytes that a message takes beside its texts: ids, times, names. An estimate from above for most.
const ENVELOPE_BYTES: usize = 256;

/// Sends to one client.
pub(crate) struct Down {
    sender: mailbox::Sender<StreamDown>,
    /// The weights of the messages that may still wait, oldest first.
    weights: VecDeque<usize>,
    /// Their sum.
    bytes: usize,
}

/// Why nothing more can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unheard {
    /// The client, or the edge, is gone.
    Gone,
    /// The bound is reached.
    Slow,
}

/// Both ends.
pub(crate) fn down() -> (Down, mailbox::Receiver<StreamDown>) {
    let (sender, receiver) = mailbox::bounded("stream.down", limits::STREAM_DOWN_BOUND);
    let down = Down {
        sender,
        weights: VecDeque::new(),
        bytes: 0,
    };
    (down, receiver)
}

impl Down {
    /// Says something without waiting.
    pub(crate) fn push(&mut self, message: StreamDown) -> Result<(), Unheard> {
        let weight = weight(&message);
        if !self.fits(weight, limits::STREAM_DOWN_BYTES_MAX) {
            return Err(self.without_room());
        }
        self.put(message, weight)
    }

    /// Says something of a backlog: waits for a reader that still catches up.
    pub(crate) async fn catch_up(&mut self, message: StreamDown) -> Result<(), Unheard> {
        let weight = weight(&message);
        while !self.fits(weight, limits::STREAM_BACKLOG_BYTES_MAX) {
            let half = self.weights.len() / 2;
            timeout(limits::CATCH_UP_WAIT, self.read_down_to(half))
                .await
                .map_err(|_| Unheard::Slow)??;
        }
        self.put(message, weight)
    }

    /// Whether a message fits into `bytes_max`; one alone always does.
    fn fits(&mut self, weight: usize, bytes_max: usize) -> bool {
        // The queue is in order: what it no longer holds are the oldest.
        while self.weights.len() > self.sender.len() {
            self.bytes -= self.weights.pop_front().unwrap_or_default();
        }
        let has_place = self.weights.len() < limits::STREAM_DOWN_BOUND;
        has_place && (self.bytes == 0 || self.bytes + weight <= bytes_max)
    }

    fn put(&mut self, message: StreamDown, weight: usize) -> Result<(), Unheard> {
        self.sender
            .try_send(message)
            .map_err(|_| self.without_room())?;
        self.weights.push_back(weight);
        self.bytes += weight;
        Ok(())
    }

    fn without_room(&self) -> Unheard {
        if self.sender.is_closed() {
            Unheard::Gone
        } else {
            Unheard::Slow
        }
    }

    /// Resolves when at most `left` messages wait.
    async fn read_down_to(&self, left: usize) -> Result<(), Unheard> {
        let mut free = Vec::new();
        while free.len() + left < limits::STREAM_DOWN_BOUND {
            free.push(self.sender.reserve().await.map_err(|_| Unheard::Gone)?);
        }
        Ok(())
    }

    /// Ends the stream with its last message, waiting a while for a reader that has no room.
    pub(crate) async fn quiet(self, last: StreamDown) {
        // Whoever does not read even this sees the path broken, and asks again.
        let _ = timeout(limits::CATCH_UP_WAIT, self.sender.send(last)).await;
    }

    /// Ends the stream for a reason; waits a while for a reader that has no room.
    pub(crate) async fn fail(self, refusal: Refusal) {
        // Whoever does not read even this sees the path broken, which says the same with less.
        let _ = timeout(
            limits::CATCH_UP_WAIT,
            self.sender.send(StreamDown::Failed(refusal)),
        )
        .await;
    }

    /// Ends the stream after something could not be said.
    pub(crate) async fn unheard(self, unheard: Unheard) {
        if unheard == Unheard::Slow {
            self.fail(slow_consumer()).await;
        }
    }
}

/// Bytes that a message holds while it waits, nearly.
fn weight(message: &StreamDown) -> usize {
    let StreamDown::Message(message) = message else {
        return ENVELOPE_BYTES;
    };
    let texts = match message {
        forward_down::Response::Attach(attach) => match &attach.response {
            Some(attach_response::Response::Item(item)) => text_bytes(item),
            _ => 0,
        },
        forward_down::Response::Work(work) => work.response.as_ref().map_or(0, worked_bytes),
    };
    ENVELOPE_BYTES + texts
}

fn worked_bytes(response: &work_response::Response) -> usize {
    use work_response::Response;
    match response {
        Response::Item(item) => item.item.as_ref().map_or(0, text_bytes),
        Response::Note(note) => note.note.as_ref().map_or(0, |note| note.text.len()),
        Response::Conversation(held) => {
            let items = held.items.iter().map(text_bytes);
            let notes = held.notes.iter().map(|note| note.text.len());
            let envelopes = (held.items.len() + held.notes.len()) * ENVELOPE_BYTES;
            items.chain(notes).sum::<usize>() + envelopes
        }
        Response::Refused(refused) => refused.draft.len(),
        _ => 0,
    }
}

fn text_bytes(item: &Item) -> usize {
    match &item.content {
        Some(item::Content::Message(message)) => message.text.len(),
        Some(item::Content::Change(change)) => change.text.len(),
        None => 0,
    }
}

#[cfg(test)]
#[path = "down_test.rs"]
mod down_test;
