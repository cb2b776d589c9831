//! The owner's way down to one client.
//! Promise: at most `STREAM_DOWN_BOUND` messages wait; whoever reads too slowly is told so last.
//! Not here: what is said (`customer`, `desk`).

use pb::api::v1::Refusal;
use ports::StreamDown;
use runtime::mailbox;
use tokio::time::timeout;

use crate::errors::slow_consumer;
use crate::limits;

/// Sends to one client.
pub(crate) struct Down {
    sender: mailbox::Sender<StreamDown>,
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
    (Down { sender }, receiver)
}

impl Down {
    /// Says something without waiting.
    pub(crate) fn push(&self, message: StreamDown) -> Result<(), Unheard> {
        self.sender.try_send(message).map_err(|error| match error {
            mailbox::SendError::Full(_) => Unheard::Slow,
            mailbox::SendError::Closed(_) => Unheard::Gone,
        })
    }

    /// Says something of a backlog: waits for a reader that still catches up.
    pub(crate) async fn catch_up(&self, message: StreamDown) -> Result<(), Unheard> {
        match self.sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(mailbox::SendError::Closed(_)) => Err(Unheard::Gone),
            Err(mailbox::SendError::Full(message)) => {
                match timeout(limits::CATCH_UP_WAIT, self.sender.send(message)).await {
                    Ok(sent) => sent.map_err(|_| Unheard::Gone),
                    Err(_) => Err(Unheard::Slow),
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use pb::api::v1::{AttachResponse, ErrorReason};
    use pb::raft::v1::forward_down;

    use super::*;

    fn message() -> StreamDown {
        StreamDown::Message(forward_down::Response::Attach(AttachResponse::default()))
    }

    #[tokio::test]
    async fn a_reader_that_reads_nothing_is_slow_and_told_so_when_it_reads() {
        let (down, mut reader) = down();
        for _ in 0..limits::STREAM_DOWN_BOUND {
            down.push(message()).expect("below the bound");
        }
        assert_eq!(down.push(message()), Err(Unheard::Slow));
        let reading = async {
            let mut last = None;
            while let Some(message) = reader.recv().await {
                last = Some(message);
            }
            last
        };
        let (last, ()) = tokio::join!(reading, down.unheard(Unheard::Slow));
        let Some(StreamDown::Failed(refusal)) = last else {
            panic!("not the reason")
        };
        assert_eq!(refusal.reason(), ErrorReason::SlowConsumer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_catches_up_is_waited_for_but_not_for_ever() {
        let (down, _reader) = down();
        for _ in 0..limits::STREAM_DOWN_BOUND {
            down.catch_up(message()).await.expect("below the bound");
        }
        assert_eq!(down.catch_up(message()).await, Err(Unheard::Slow));
    }
}
