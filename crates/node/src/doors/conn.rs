//! One open forward connection, as the edge's side sees it: calls and streams by their numbers.
//! Promise: a call gets one answer or learns that the path broke; a stream's messages go up as the owner
//! grants it and come down as the client reads; tables and queues are bounded.
//! Not here: dialling (`link`), how much is granted (`credit`), finding the leader (`mod`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pb::api::v1::Refusal;
use pb::raft::v1::{
    ForwardCall, ForwardGrant, ForwardRequest, ForwardResponse, ForwardStop, ForwardUnread,
    ForwardUp, ForwardWindow, forward_answer, forward_request, forward_response,
};
use ports::{StreamDown, StreamUp};
use runtime::{Lane, mailbox};
use tokio::sync::{Notify, mpsc, oneshot};

use super::credit::{Credit, Read, WINDOW};
use super::piped::DoorStream;
use crate::refuse;

/// Calls and streams under way on one connection: the streams of one node (20,000) and its unary
/// calls, rounded up. One more is refused.
const CALLS_MAX: usize = 32_768;
/// Messages that wait for one stream's reader at the edge: what the owner was granted, and its last word.
const STREAM_DOWN_BOUND: usize = WINDOW.messages as usize + 1;
/// Messages of one client that wait for the connection or for the owner's grant: a burst, so that the
/// two tasks on the way do not take turns at every message. Full means that the client's sending waits.
pub(super) const STREAM_UP_BOUND: usize = 64;

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

/// Reports what a stream's reader takes, and its end.
struct Taking {
    conn: Weak<Conn>,
    call: u64,
    read: Read,
}

impl mailbox::Meter<StreamDown> for Taking {
    fn took(&mut self, message: &StreamDown) {
        let granted = self.read.note(message.weight());
        if let (Some(messages), Some(conn)) = (granted, self.conn.upgrade()) {
            conn.tell_later(self.call, |news| news.read += messages);
        }
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.upgrade() {
            conn.unread(self.call);
        }
    }
}

/// What the owner of a stream is to be told when there is room on the connection.
#[derive(Default)]
struct News {
    /// Messages that were read.
    read: u32,
    /// Nobody reads any more.
    unread: bool,
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
    out: mpsc::Sender<ForwardRequest>,
    /// What the owner's side takes of each stream.
    window: ForwardWindow,
    table: Mutex<BTreeMap<u64, Waiter>>,
    /// By stream; at most one entry for each.
    news: Mutex<BTreeMap<u64, News>>,
    has_news: Notify,
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
            news: Mutex::default(),
            has_news: Notify::new(),
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
    pub(super) async fn open(
        self: &Arc<Self>,
        first: ForwardUp,
        lane: &Lane,
    ) -> Result<DoorStream, Refusal> {
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
        let down = down.metered(Taking {
            conn: Arc::downgrade(self),
            call,
            read: Read::default(),
        });
        let (up, ups) = mailbox::bounded("forward.up", STREAM_UP_BOUND);
        let carrying = carry_up(call, ups, self.out.clone(), credit);
        lane.spawn("forward stream up", carrying).detach();
        Ok(DoorStream { up, down })
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
        self.tell_later(call, |news| news.unread = true);
    }

    /// The stream's reader has gone. A stream that its owner has ended before is not in the table.
    fn unread(&self, call: u64) {
        let ended = self.table.lock().remove(&call);
        if ended.is_some() {
            self.tell_later(call, |news| news.unread = true);
        }
    }

    fn tell_later(&self, call: u64, change: impl FnOnce(&mut News)) {
        change(self.news.lock().entry(call).or_default());
        self.has_news.notify_one();
    }

    /// Tells the owners what their streams' readers did, for as long as the connection lasts.
    pub(super) async fn tell(&self) {
        loop {
            self.has_news.notified().await;
            while let Some((call, news)) = self.next_news() {
                let frame = match news.unread {
                    true => forward_request::Frame::Unread(ForwardUnread {}),
                    false => forward_request::Frame::Grant(ForwardGrant {
                        messages: news.read,
                    }),
                };
                let frame = Some(frame);
                if self.out.send(ForwardRequest { call, frame }).await.is_err() {
                    return;
                }
            }
        }
    }

    fn next_news(&self) -> Option<(u64, News)> {
        self.news.lock().pop_first()
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
            let stop = forward_request::Frame::Stop(ForwardStop { our_fault: false });
            // Without room the owner learns it by what it says next, which finds nobody.
            let _ = self.conn.out.try_send(ForwardRequest {
                call: self.call,
                frame: Some(stop),
            });
            self.conn.tell_later(self.call, |news| news.unread = true);
        }
    }
}

/// Carries one stream's messages to the connection, as the owner grants it, until the client stops.
async fn carry_up(
    call: u64,
    mut ups: mailbox::Receiver<StreamUp>,
    out: mpsc::Sender<ForwardRequest>,
    credit: Arc<Credit>,
) {
    loop {
        let goes_on = credit.wait().await;
        if out.is_closed() {
            return;
        }
        let (frame, last) = match ups.recv().await {
            // Nobody would answer it. The stop still follows.
            Some(StreamUp::Message(_)) if !goes_on => continue,
            Some(message @ StreamUp::Message(_)) => {
                credit.spend(message.weight());
                let StreamUp::Message(request) = message else {
                    return;
                };
                let up = ForwardUp {
                    request: Some(*request),
                    ..ForwardUp::default()
                };
                (forward_request::Frame::Up(up), false)
            }
            Some(StreamUp::Stop { our_fault }) => (
                forward_request::Frame::Stop(ForwardStop { our_fault }),
                true,
            ),
            None => (
                forward_request::Frame::Stop(ForwardStop { our_fault: false }),
                true,
            ),
        };
        let sent = out
            .send(ForwardRequest {
                call,
                frame: Some(frame),
            })
            .await;
        if last || sent.is_err() {
            return;
        }
    }
}
