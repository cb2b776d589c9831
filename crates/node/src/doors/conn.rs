//! One open forward connection, as the edge's side sees it: calls and streams by their numbers.
//! Promise: a call gets one answer or learns that the path broke; a stream whose reader is slow is
//! ended alone; tables and queues are bounded.
//! Not here: dialling (`link`), finding the leader (`mod`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::errors;
use parking_lot::Mutex;
use pb::api::v1::Refusal;
use pb::raft::v1::{
    ForwardCall, ForwardRequest, ForwardResponse, ForwardStop, ForwardUp, forward_answer,
    forward_request, forward_response,
};
use ports::{StreamDown, StreamUp};
use runtime::{Lane, mailbox};
use tokio::sync::{Notify, mpsc, oneshot};

use super::piped::DoorStream;
use crate::refuse;

/// Calls and streams under way on one connection: the streams of one node (20,000) and its unary
/// calls, rounded up. One more is refused.
const CALLS_MAX: usize = 32_768;
/// Messages that wait for one stream's reader at the edge. A reader that is further behind is ended
/// and resumes from its cursor.
const STREAM_DOWN_BOUND: usize = 4_096;
/// Bytes of them: twice what waits at the owner.
const STREAM_DOWN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Messages of one client that wait for the connection. Full means that its sending waits.
const STREAM_UP_BOUND: usize = 256;

/// Who waits under a number.
enum Waiter {
    Call(oneshot::Sender<Result<forward_answer::Response, Refusal>>),
    Stream(Reader),
}

/// The reader of a stream.
struct Reader {
    give: mailbox::WeighedSender<StreamDown>,
    /// Told once, by the first answer: the owner serves the stream or refuses it.
    opened: Option<oneshot::Sender<Result<(), Refusal>>>,
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
    table: Mutex<BTreeMap<u64, Waiter>>,
    last: AtomicU64,
    /// Asks the keeper to drop the connection.
    pub(super) cut: Notify,
}

impl Conn {
    pub(super) fn new(out: mpsc::Sender<ForwardRequest>) -> Arc<Self> {
        Arc::new(Self {
            out,
            table: Mutex::default(),
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
        let (give, down) =
            mailbox::weighed("forward.down", STREAM_DOWN_BOUND, STREAM_DOWN_BYTES_MAX);
        let (opened, opening) = oneshot::channel();
        let call = self.enter(Waiter::Stream(Reader {
            give,
            opened: Some(opened),
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
        let (up, ups) = mailbox::bounded("forward.up", STREAM_UP_BOUND);
        lane.spawn("forward stream up", carry_up(call, ups, self.out.clone()))
            .detach();
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
        let weight = message.weight();
        let Err(error) = reader.give.try_send(message, weight) else {
            return;
        };
        // Gone, or too slow: that stream ends and no other.
        let ended = table.remove(&call);
        drop(table);
        if let (Some(Waiter::Stream(reader)), mailbox::SendError::Full(_)) = (ended, error) {
            let slow = Box::new(errors::slow_consumer());
            reader.give.last(StreamDown::Failed(slow));
        }
        self.stop(call);
    }

    /// Tells the owner that nobody reads the stream any more.
    fn stop(&self, call: u64) {
        let stop = forward_request::Frame::Stop(ForwardStop { our_fault: false });
        // Without room the owner learns it by the next message that finds nobody.
        let _ = self.out.try_send(ForwardRequest {
            call,
            frame: Some(stop),
        });
    }

    fn fail(&self, call: u64, refusal: Refusal) {
        match self.table.lock().remove(&call) {
            Some(Waiter::Call(waiting)) => drop(waiting.send(Err(refusal))),
            Some(Waiter::Stream(Reader {
                opened: Some(opened),
                ..
            })) => drop(opened.send(Err(refusal))),
            // An empty refusal is the quiet end of a stream.
            Some(Waiter::Stream(Reader { give, .. })) if refusal != Refusal::default() => {
                give.last(StreamDown::Failed(Box::new(refusal)));
            }
            Some(Waiter::Stream(_)) | None => {}
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
            self.conn.stop(self.call);
        }
    }
}

/// Carries one stream's messages to the connection until the client stops.
async fn carry_up(
    call: u64,
    mut ups: mailbox::Receiver<StreamUp>,
    out: mpsc::Sender<ForwardRequest>,
) {
    loop {
        let (frame, last) = match ups.recv().await {
            Some(StreamUp::Message(request)) => {
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
