//! A stream whose owner is another node, pulled by whoever reads it.
//! Promise: nothing is taken from the client while the owner has granted nothing or the connection has no
//! room; the owner learns how the client's side ended and whose fault it was, however it ended.
//! Not here: the connection (`conn`), the owner's end (`session`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use pb::raft::v1::{ForwardRequest, forward_request};
use ports::{Opened, StreamDown, StreamUp, Ups};
use runtime::mailbox;
use tokio::sync::mpsc::error::TrySendError;

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
    /// A message for which the connection has no room yet.
    pub(super) sending: Option<BoxFuture<'static, ()>>,
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

impl Forwarded {
    /// The stream for whoever pulls.
    pub(super) fn opened(mut self) -> Opened {
        Opened::new(move |ups| {
            self.client = Client::On(ups);
            Box::pin(self)
        })
    }

    fn note_read(&mut self, message: Option<&StreamDown>) {
        if let Some(message @ StreamDown::Message(_)) = message
            && let Some(granted) = self.read.note(message.weight())
        {
            let telling = &self.conn.telling;
            telling.note(self.call, |news| news.read += granted);
        }
    }

    /// The client's next message. Without a grant, or while the connection has no room for the last one, it
    /// is not read.
    fn poll_up(&mut self, context: &mut Context<'_>) -> Poll<Option<StreamUp>> {
        if let Some(sending) = &mut self.sending {
            ready!(sending.poll_unpin(context));
            self.sending = None;
        }
        let Client::On(ups) = &mut self.client else {
            return Poll::Pending;
        };
        match self.credit.watch(context) {
            Room::Some => ups.poll_next_unpin(context),
            Room::None | Room::Closed => Poll::Pending,
        }
    }

    /// Sends a message as the connection has room.
    fn send(&mut self, message: StreamUp) {
        self.credit.spend(message.weight());
        let Some(up) = message.into_forward() else {
            return;
        };
        let frame = ForwardRequest {
            call: self.call,
            frame: Some(forward_request::Frame::Up(up)),
        };
        // A connection that is gone ends the way down as well.
        if let Err(TrySendError::Full(frame)) = self.conn.out.try_send(frame) {
            let out = self.conn.out.clone();
            let sending = async move {
                let _ = out.send(frame).await;
            };
            self.sending = Some(sending.boxed());
        }
    }

    fn stop(&mut self, our_fault: bool) {
        self.client = Client::Over;
        self.conn
            .telling
            .note(self.call, |news| news.stop = Some(our_fault));
    }
}

/// What comes down goes first. In one turn no more goes up than the owner has granted.
impl Stream for Forwarded {
    type Item = StreamDown;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamDown>> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(message) = this.down.poll_next_unpin(context) {
                this.note_read(message.as_ref());
                return Poll::Ready(message);
            }
            match ready!(this.poll_up(context)) {
                Some(StreamUp::Stop { our_fault }) => this.stop(our_fault),
                Some(message) => this.send(message),
                None => this.stop(false),
            }
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
