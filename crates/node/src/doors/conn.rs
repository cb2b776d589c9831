//! One open forward connection, as the edge's side sees it: calls and streams by their numbers.
//! Promise: a call gets one answer or learns that the path broke; a stream's messages go up as the owner
//! grants it and come down as the client reads; tables and queues are bounded.
//! Not here: dialling (`link`), how much is granted (`credit`), finding the leader (`mod`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pb::api::v1::Refusal;
use pb::raft::v1::{
    ForwardCall, ForwardGrant, ForwardRequest, ForwardResponse, ForwardStop, ForwardUnread,
    ForwardUp, ForwardWindow, forward_answer, forward_request, forward_response,
};
use ports::StreamDown;
use runtime::mailbox;
use tokio::sync::{Notify, mpsc, oneshot};

use super::credit::{Credit, Read, WINDOW};
use super::forwarded::{Client, Forwarded};
use super::news::{News, Telling};
use crate::refuse;

/// Calls and streams under way on one connection: the streams of one node (20,000) and its unary
/// calls, rounded up. One more is refused.
const CALLS_MAX: usize = 32_768;
/// Messages that wait for one stream's reader at the edge: what the owner was granted, and its last word.
const STREAM_DOWN_BOUND: usize = WINDOW.messages as usize + 1;

/// Who waits under a number.
enum Waiter {
    Call(oneshot::Sender<Result<forward_answer::Response, Refusal>>),
    Stream(Reader),
}

/// The reader of a stream.
struct Reader {
    give: mailbox::Sender<StreamDown>,
    /// Told once, by the first answer: the owner serves the stream or refuses it.
    opened: Option<oneshot::Sender<Result<(), Refusal>>>,
    /// The way up.
    up: Arc<Credit>,
}

/// A stream that is over takes nothing up.
impl Drop for Reader {
    fn drop(&mut self) {
        self.up.close();
    }
}

/// How a remote call ended without an answer.
#[derive(Debug)]
pub(super) enum CallEnd {
    /// Nothing was sent.
    NotSent(Refusal),
    /// It was sent and the path broke, or the deadline passed.
    Broken,
}

/// An open connection to one peer.
pub(super) struct Conn {
    pub(super) out: mpsc::Sender<ForwardRequest>,
    /// What the owner's side takes of each stream.
    window: ForwardWindow,
    table: Mutex<BTreeMap<u64, Waiter>>,
    /// What the owners are to be told of their streams.
    pub(super) telling: Telling,
    last: AtomicU64,
    /// Asks the keeper to drop the connection.
    pub(super) cut: Notify,
}

impl Conn {
    pub(super) fn new(out: mpsc::Sender<ForwardRequest>, window: ForwardWindow) -> Arc<Self> {
        Arc::new(Self {
            out,
            window,
            table: Mutex::default(),
            telling: Telling::default(),
            last: AtomicU64::new(0),
            cut: Notify::new(),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.out.is_closed()
    }

    fn enter(&self, waiter: Waiter) -> Result<u64, Refusal> {
        let mut table = self.table.lock();
        if table.len() >= CALLS_MAX {
            return Err(refuse::exhausted("calls to the leader", CALLS_MAX));
        }
        let call = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        table.insert(call, waiter);
        Ok(call)
    }

    /// Asks and waits; the caller bounds the wait.
    pub(super) async fn call(
        self: &Arc<Self>,
        request: ForwardCall,
    ) -> Result<Result<forward_answer::Response, Refusal>, CallEnd> {
        let (answer, answered) = oneshot::channel();
        let call = self.enter(Waiter::Call(answer)).map_err(CallEnd::NotSent)?;
        let _leave = Leave {
            conn: self,
            call,
            armed: true,
        };
        let frame = ForwardRequest {
            call,
            frame: Some(forward_request::Frame::Unary(request)),
        };
        if self.out.send(frame).await.is_err() {
            return Err(CallEnd::NotSent(refuse::not_leader(None)));
        }
        answered.await.map_err(|_| CallEnd::Broken)
    }

    /// Opens a stream; returns when its first answer has come. The caller bounds the wait.
    pub(super) async fn open(self: &Arc<Self>, first: ForwardUp) -> Result<Forwarded, Refusal> {
        let (give, down) = mailbox::bounded("forward.down", STREAM_DOWN_BOUND);
        let (opened, opening) = oneshot::channel();
        let credit = Arc::new(Credit::new(self.window));
        let call = self.enter(Waiter::Stream(Reader {
            give,
            opened: Some(opened),
            up: credit.clone(),
        }))?;
        let leave = Leave {
            conn: self,
            call,
            armed: true,
        };
        let frame = ForwardRequest {
            call,
            frame: Some(forward_request::Frame::Up(first)),
        };
        if self.out.send(frame).await.is_err() {
            return Err(refuse::not_leader(None));
        }
        // A path that broke before the first answer: nothing was shown, the stream is opened anew.
        opening
            .await
            .unwrap_or_else(|_| Err(refuse::not_leader(None)))?;
        leave.disarm();
        Ok(Forwarded {
            conn: self.clone(),
            call,
            credit,
            down,
            read: Read::default(),
            client: Client::Awaited,
            sending: None,
        })
    }

    /// Gives a frame to whoever waits for it.
    pub(super) fn deliver(&self, response: ForwardResponse) {
        use forward_response::Frame;
        match response.frame {
            Some(Frame::Down(down)) => {
                if let Some(message) = down.response {
                    self.give(response.call, StreamDown::Message(Box::new(message)));
                }
            }
            Some(Frame::Answer(answer)) => {
                let answer = answer
                    .response
                    .ok_or_else(|| refuse::internal("an answer without content"));
                self.answer(response.call, answer);
            }
            Some(Frame::Failed(refusal)) => self.fail(response.call, refusal),
            Some(Frame::Grant(grant)) => {
                if let Some(Waiter::Stream(reader)) = self.table.lock().get(&response.call) {
                    reader.up.grant(grant.messages);
                }
            }
            Some(Frame::Hello(_)) | None => {}
        }
    }

    fn answer(&self, call: u64, answer: Result<forward_answer::Response, Refusal>) {
        if let Some(Waiter::Call(waiting)) = self.table.lock().remove(&call) {
            // Whoever gave up waiting has no use for the answer.
            let _ = waiting.send(answer);
        }
    }

    fn give(&self, call: u64, message: StreamDown) {
        let mut table = self.table.lock();
        let Some(Waiter::Stream(reader)) = table.get_mut(&call) else {
            return;
        };
        if let Some(opened) = reader.opened.take() {
            // Whoever gave up waiting has taken the stream out of the table.
            let _ = opened.send(Ok(()));
        }
        if reader.give.len() < STREAM_DOWN_BOUND - 1 && reader.give.try_send(message).is_ok() {
            return;
        }
        // The reader has gone, or the owner keeps to no window: that stream ends and no other.
        let ended = table.remove(&call);
        drop(table);
        if let Some(Waiter::Stream(reader)) = ended {
            let refusal = refuse::internal("the owner sent more than it was granted");
            // A reader that has gone needs no reason.
            let _ = reader.give.try_send(StreamDown::Failed(Box::new(refusal)));
        }
        self.note_end(call, Some(true));
    }

    /// The stream's reader has gone; `stop` says whose fault it is, unless the owner was told that nothing
    /// follows. A stream that its owner has ended before is not in the table.
    pub(super) fn unread(&self, call: u64, stop: Option<bool>) {
        let ended = self.table.lock().remove(&call);
        if ended.is_some() {
            self.note_end(call, stop);
        }
    }

    fn note_end(&self, call: u64, stop: Option<bool>) {
        self.telling.note(call, |news| {
            news.unread = true;
            news.stop = news.stop.or(stop);
        });
    }

    /// Tells the owners of their streams, for as long as the connection lasts.
    pub(super) async fn tell(&self) {
        self.telling.tell(&self.out, frames).await;
    }

    fn fail(&self, call: u64, refusal: Refusal) {
        match self.table.lock().remove(&call) {
            Some(Waiter::Call(waiting)) => drop(waiting.send(Err(refusal))),
            Some(Waiter::Stream(mut reader)) => match reader.opened.take() {
                Some(opened) => drop(opened.send(Err(refusal))),
                // An empty refusal is the quiet end of a stream. There is a place for the last word.
                None if refusal != Refusal::default() => {
                    let _ = reader.give.try_send(StreamDown::Failed(Box::new(refusal)));
                }
                None => {}
            },
            None => {}
        }
    }

    /// The connection is gone: everything on it learns that the path broke.
    pub(super) fn end(&self) {
        self.table.lock().clear();
    }
}

/// Takes a call out of the table when its caller gives up.
struct Leave<'a> {
    conn: &'a Conn,
    call: u64,
    armed: bool,
}

impl Leave<'_> {
    /// The call stays in the table: its stream has begun.
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let waiter = self.conn.table.lock().remove(&self.call);
        if matches!(waiter, Some(Waiter::Stream(_))) {
            // Whoever gave up has waited for us.
            self.conn.note_end(self.call, Some(true));
        }
    }
}

/// What is noted of a stream, as frames.
fn frames(call: u64, news: News) -> Vec<ForwardRequest> {
    use forward_request::Frame;
    let read = match news {
        News { unread: true, .. } => Some(Frame::Unread(ForwardUnread {})),
        News { read: 0, .. } => None,
        News { read, .. } => Some(Frame::Grant(ForwardGrant { messages: read })),
    };
    let stop = news
        .stop
        .map(|our_fault| Frame::Stop(ForwardStop { our_fault }));
    let frames = read.into_iter().chain(stop).map(Some);
    frames.map(|frame| ForwardRequest { call, frame }).collect()
}
