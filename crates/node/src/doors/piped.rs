//! A stream whose owner is another node: a queue for each direction, pulled as one.
//! Promise: both queues are bounded; nothing is taken from the client while the queue up has no room.
//! Not here: frames (`conn`, `serve`).

use std::pin::Pin;

use futures::{Stream, StreamExt};
use ports::{Opened, StreamDown, StreamUp, Ups};
#[cfg(test)]
use runtime::Lane;
use runtime::mailbox;

/// Both directions of a stream; both are bounded.
pub(super) struct DoorStream {
    /// To the owner. Dropping it means that the client has gone.
    pub(super) up: mailbox::Sender<StreamUp>,
    /// To the edge. Closed without `Failed`: the path broke.
    pub(super) down: mailbox::Receiver<StreamDown>,
}

impl DoorStream {
    /// Reads a stream in a task of its own; `room` messages of the client wait for the owner.
    #[cfg(test)]
    pub(super) fn of(opened: Opened, room: usize, lane: &Lane) -> Self {
        let (up, mut ups) = mailbox::bounded("stream.up", room);
        let (give, down) = mailbox::bounded("stream.down", room);
        let mut downs = opened.join(Box::pin(futures::stream::poll_fn(move |context| {
            ups.poll_recv(context)
        })));
        let pump = async move {
            // An error means that nobody reads any more: the owner learns it by the drop.
            while let Some(message) = downs.next().await
                && give.send(message).await.is_ok()
            {}
        };
        lane.spawn("stream between nodes", pump).detach();
        Self { up, down }
    }

    /// The same for whoever pulls.
    pub(super) fn opened(self) -> Opened {
        Opened::new(move |ups| Box::pin(self.joined(ups)))
    }

    fn joined(self, ups: Ups) -> impl Stream<Item = StreamDown> + Send {
        let carried = Carried {
            stream: self,
            ups: Some(ups),
            waiting: None,
        };
        futures::stream::unfold(carried, |mut carried| async move {
            let message = carried.next().await?;
            Some((message, carried))
        })
    }
}

/// A stream whose client's side is moved by whoever reads the other one.
struct Carried {
    stream: DoorStream,
    /// None once the client's side has ended.
    ups: Option<Ups>,
    /// A message of the client for which there was no room.
    waiting: Option<StreamUp>,
}

enum Moved {
    Down(Option<StreamDown>),
    Up(Option<StreamUp>),
    Sent,
}

impl Carried {
    async fn next(&mut self) -> Option<StreamDown> {
        loop {
            match self.moved().await {
                Moved::Down(message) => return message,
                Moved::Up(message) => {
                    let message = message.unwrap_or(StreamUp::Stop { our_fault: false });
                    if matches!(message, StreamUp::Stop { .. }) {
                        self.ups = None;
                    }
                    match self.stream.up.try_send(message) {
                        Err(mailbox::SendError::Full(message)) => self.waiting = Some(message),
                        // Closed: what comes down says why.
                        Ok(()) | Err(mailbox::SendError::Closed(_)) => {}
                    }
                }
                Moved::Sent => {}
            }
        }
    }

    async fn moved(&mut self) -> Moved {
        let Self {
            stream: DoorStream { up, down },
            ups,
            waiting,
        } = self;
        tokio::select! {
            biased;
            message = down.recv() => Moved::Down(message),
            room = up.reserve(), if waiting.is_some() => {
                if let (Ok(room), Some(message)) = (room, waiting.take()) {
                    room.send(message);
                }
                Moved::Sent
            }
            message = next(ups), if waiting.is_none() => Moved::Up(message),
        }
    }
}

/// The next message of the client; pending once its side has ended.
async fn next(ups: &mut Option<Ups>) -> Option<StreamUp> {
    match ups {
        Some(ups) => Pin::new(ups).next().await,
        None => std::future::pending().await,
    }
}
