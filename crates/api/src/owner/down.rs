//! The owner's way down to one client.
//! Promise: at most `STREAM_DOWN_BOUND` messages and `STREAM_DOWN_BYTES_MAX` bytes of text wait; a backlog
//! is made as its reader reads; whoever reads too slowly is told so last.
//! Not here: what is said (`customer`, `desk`).

use pb::api::v1::Refusal;
use ports::StreamDown;
use runtime::mailbox;
use tokio::time::timeout;

use crate::errors::slow_consumer;
use crate::limits;

/// Sends to one client.
pub(crate) struct Down {
    queue: mailbox::WeighedSender<StreamDown>,
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
    let (queue, receiver) = mailbox::weighed(
        "stream.down",
        limits::STREAM_DOWN_BOUND,
        limits::STREAM_DOWN_BYTES_MAX,
    );
    (Down { queue }, receiver)
}

impl Down {
    /// Says something without waiting.
    pub(crate) fn push(&mut self, message: StreamDown) -> Result<(), Unheard> {
        let weight = message.weight();
        self.queue
            .try_send(message, weight)
            .map_err(|error| match error {
                mailbox::SendError::Full(_) => Unheard::Slow,
                mailbox::SendError::Closed(_) => Unheard::Gone,
            })
    }

    /// Says something of a backlog: waits for a reader that still catches up.
    pub(crate) async fn catch_up(&mut self, message: StreamDown) -> Result<(), Unheard> {
        let weight = message.weight();
        while !self.queue.fits(weight, limits::STREAM_BACKLOG_BYTES_MAX) {
            let half = self.queue.waiting() / 2;
            timeout(limits::CATCH_UP_WAIT, self.queue.read_down_to(half))
                .await
                .map_err(|_| Unheard::Slow)?
                .map_err(|_| Unheard::Gone)?;
        }
        self.push(message)
    }

    /// Ends the stream with its last message.
    pub(crate) fn quiet(self, last: StreamDown) {
        self.queue.last(last);
    }

    /// Ends the stream for a reason.
    pub(crate) fn fail(self, refusal: Refusal) {
        self.queue.last(StreamDown::Failed(Box::new(refusal)));
    }

    /// Ends the stream after something could not be said.
    pub(crate) fn unheard(self, unheard: Unheard) {
        if unheard == Unheard::Slow {
            self.fail(slow_consumer());
        }
    }
}

#[cfg(test)]
#[path = "down_test.rs"]
mod down_test;
