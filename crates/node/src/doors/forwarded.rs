//! A stream whose owner is another node, pulled by whoever reads it.
//! Promise: nothing is taken from the client while the owner has granted nothing or the connection has no
//! room; the owner learns how the client's side ended and whose fault it was, however it ended.
//! Not here: the connection (`conn`), the owner's end (`session`).

use std::sync::Arc;

use futures::{Stream, StreamExt};
use pb::raft::v1::{ForwardRequest, forward_request};
use ports::{Opened, StreamDown, StreamUp, Ups};
use runtime::mailbox;

use super::conn::Conn;
use super::credit::{Credit, Read, Room};

/// A stream over the hop.
pub(super) struct Forwarded {
    pub(super) conn: Arc<Conn>,
    pub(super) call: u64,
    /// What the owner grants.
    pub(super) credit: Arc<Credit>,
    pub(super) down: mailbox::Receiver<StreamDown>,
    /// What was read of it and not granted yet.
    pub(super) read: Read,
    pub(super) client: Client,
}

/// The client's side of it.
pub(super) enum Client {
    /// Nobody has joined it yet.
    Awaited,
    /// It may send.
    On(Ups),
    /// It has ended, and the owner was told so.
    Over,
}

/// What happens next.
enum Moved {
    Down(Option<StreamDown>),
    Up(Option<StreamUp>),
    /// Look again.
    Again,
}

impl Forwarded {
    /// The stream for whoever pulls.
    pub(super) fn opened(self) -> Opened {
        Opened::new(move |ups| Box::pin(self.joined(ups)))
    }

    fn joined(mut self, ups: Ups) -> impl Stream<Item = StreamDown> + Send {
        self.client = Client::On(ups);
        futures::stream::unfold(self, |mut stream| async move {
            let message = stream.next().await?;
            Some((message, stream))
        })
    }

    async fn next(&mut self) -> Option<StreamDown> {
        loop {
            match self.moved().await {
                Moved::Down(message) => {
                    self.note_read(message.as_ref());
                    return message;
                }
                Moved::Up(Some(StreamUp::Stop { our_fault })) => self.stop(our_fault),
                Moved::Up(Some(message)) => self.send(message).await,
                Moved::Up(None) => self.stop(false),
                Moved::Again => {}
            }
        }
    }

    fn note_read(&mut self, message: Option<&StreamDown>) {
        if let Some(message @ StreamDown::Message(_)) = message
            && let Some(granted) = self.read.note(message.weight())
        {
            let telling = &self.conn.telling;
            telling.note(self.call, |news| news.read += granted);
        }
    }

    /// What comes first. Without a grant the client is not read.
    async fn moved(&mut self) -> Moved {
        let room = match &self.client {
            Client::On(_) => self.credit.room(),
            Client::Awaited | Client::Over => Room::Closed,
        };
        tokio::select! {
            biased;
            message = self.down.recv() => Moved::Down(message),
            () = self.credit.changed(), if room == Room::None => Moved::Again,
            up = self.client.next(), if room == Room::Some => Moved::Up(up),
        }
    }

    /// Sends a message as the connection has room.
    async fn send(&mut self, message: StreamUp) {
        self.credit.spend(message.weight());
        let Some(up) = message.into_forward() else {
            return;
        };
        let frame = ForwardRequest {
            call: self.call,
            frame: Some(forward_request::Frame::Up(up)),
        };
        // A connection that is gone ends the way down as well.
        let _ = self.conn.out.send(frame).await;
    }

    fn stop(&mut self, our_fault: bool) {
        self.client = Client::Over;
        self.conn
            .telling
            .note(self.call, |news| news.stop = Some(our_fault));
    }
}

impl Client {
    /// The next message; pending where none can come.
    async fn next(&mut self) -> Option<StreamUp> {
        match self {
            Self::On(ups) => ups.next().await,
            Self::Awaited | Self::Over => std::future::pending().await,
        }
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        let stop = match &self.client {
            // Given up before anybody joined it: cut off by us, or it might have been.
            Client::Awaited => Some(true),
            Client::On(ups) => Some(ups.our_fault()),
            Client::Over => None,
        };
        self.conn.unread(self.call, stop);
    }
}
