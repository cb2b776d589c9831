//! One lane to one peer, kept connected while it is used.
//! Promise: a call either gets answers or its channel closes; a broken connection closes every
//! call on it at once and the next use dials anew.
//! Not here: deadlines of single calls (`peer`, `sessions`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pb::raft::v1 as pb;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tonic::Streaming;

use super::connect::{self, ConnectError};
use super::{Lane, Transport};

/// Pause after a failed attempt: short, because a peer that restarts should be heard soon; a
/// refused connection costs little.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Pause after many failed attempts in a row.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// The body of an answer.
pub(crate) type Answer = pb::exchange_response::Body;

/// Whether the lane is open.
#[derive(Clone)]
enum State {
    /// Not tried yet, or being tried.
    Connecting,
    Up(Arc<Conn>),
    Down(Arc<ConnectError>),
}

/// One lane to one peer.
pub(crate) struct Link {
    peer: u64,
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
}

/// An open connection and the calls that wait on it.
pub(crate) struct Conn {
    out: mpsc::Sender<pb::ExchangeRequest>,
    calls: Mutex<BTreeMap<u64, mpsc::Sender<Answer>>>,
    last_call: AtomicU64,
    heard: Mutex<Instant>,
    cut: Notify,
}

impl Link {
    /// A link that connects when it is first used.
    pub(crate) fn start(transport: &Transport, peer: u64, lane: Lane) -> Arc<Self> {
        let (says, state) = watch::channel(State::Connecting);
        let wanted = Arc::new(Notify::new());
        let task = Keeper {
            transport: transport.clone(),
            peer,
            lane,
            says,
            wanted: Arc::clone(&wanted),
        };
        transport.env.raft.spawn("raft-link", task.run()).detach();
        Arc::new(Self {
            peer,
            state,
            wanted,
        })
    }

    /// The open connection; waits for one that is being made until `deadline`.
    pub(crate) async fn conn(&self, deadline: Instant) -> Result<Arc<Conn>, Arc<ConnectError>> {
        let mut state = self.state.clone();
        if let State::Up(conn) = &*state.borrow_and_update()
            && !conn.out.is_closed()
        {
            return Ok(Arc::clone(conn));
        }
        self.wanted.notify_one();
        let settled = tokio::time::timeout_at(deadline, async {
            while state.changed().await.is_ok() {
                match &*state.borrow_and_update() {
                    State::Up(conn) => return Ok(Arc::clone(conn)),
                    State::Down(error) => return Err(Arc::clone(error)),
                    State::Connecting => {}
                }
            }
            Err(self.silent("this node is stopping, or the peer was removed"))
        });
        match settled.await {
            Ok(result) => result,
            Err(_) => match &*self.state.borrow() {
                State::Down(error) => Err(Arc::clone(error)),
                State::Up(_) | State::Connecting => Err(self.silent("still connecting")),
            },
        }
    }

    fn silent(&self, reason: &str) -> Arc<ConnectError> {
        Arc::new(ConnectError::Unreachable {
            node: self.peer,
            address: String::new(),
            reason: reason.to_owned(),
        })
    }

    /// Drops the connection, if there is one.
    pub(crate) fn cut(&self, reason: &'static str) {
        if let State::Up(conn) = &*self.state.borrow() {
            tracing::warn!(peer = self.peer, reason, "a connection is cut");
            conn.cut.notify_one();
        }
    }
}

impl Conn {
    /// Begins a call that gets at most `answers_max` answers at a time.
    pub(crate) fn call(self: &Arc<Self>, group: u32, answers_max: usize) -> Call {
        let id = self.last_call.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answers) = mpsc::channel(answers_max);
        self.calls.lock().insert(id, answer);
        Call {
            id,
            group,
            answers,
            conn: Arc::clone(self),
        }
    }

    fn deliver(&self, response: pb::ExchangeResponse) {
        *self.heard.lock() = Instant::now();
        let Some(body) = response.body else { return };
        let call = self.calls.lock().get(&response.call).cloned();
        // A call that was given up has no entry; one that got more answers than it asked for is
        // ended, because an answer is missing from it.
        if let Some(call) = call
            && call.try_send(body).is_err()
        {
            self.calls.lock().remove(&response.call);
        }
    }
}

/// A call under way. Dropping it forgets the answers that are still to come.
pub(crate) struct Call {
    id: u64,
    group: u32,
    answers: mpsc::Receiver<Answer>,
    conn: Arc<Conn>,
}

/// The connection is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Call {
    /// Sends a frame; waits while the connection has too many unsent ones.
    pub(crate) async fn send(&self, body: pb::exchange_request::Body) -> Result<(), Gone> {
        let frame = pb::ExchangeRequest {
            call: self.id,
            group: self.group,
            body: Some(body),
        };
        self.conn.out.send(frame).await.map_err(|_| Gone)
    }

    /// Sends a frame if there is room for it.
    pub(crate) fn send_now(&self, body: pb::exchange_request::Body) {
        let frame = pb::ExchangeRequest {
            call: self.id,
            group: self.group,
            body: Some(body),
        };
        // Only for farewells: without it the receiver forgets when the connection ends.
        let _ = self.conn.out.try_send(frame);
    }

    /// The next answer, or `None` when the connection is gone.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }

    /// Cuts the connection if nothing at all was heard on it since `sent`.
    pub(crate) fn cut_if_silent_since(&self, sent: Instant) {
        if *self.conn.heard.lock() < sent {
            self.conn.cut.notify_one();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.conn.calls.lock().remove(&self.id);
    }
}

/// Keeps one lane connected while it is wanted.
struct Keeper {
    transport: Transport,
    peer: u64,
    lane: Lane,
    says: watch::Sender<State>,
    wanted: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let stop = self.transport.stop.clone();
        tokio::select! {
            biased;
            () = stop.stopped() => {}
            // Ids are not used again: nothing will be said to this peer.
            () = self.transport.directory.gone(self.peer) => {}
            () = self.keep() => {}
        }
        if let State::Up(conn) = self.says.send_replace(State::Connecting) {
            conn.calls.lock().clear();
        }
    }

    async fn keep(&self) {
        let mut pause = PAUSE_MIN;
        let mut told = None;
        loop {
            self.wanted.notified().await;
            match connect::open(&self.transport, self.peer, self.lane).await {
                Ok(opened) => {
                    pause = PAUSE_MIN;
                    told = None;
                    self.serve(opened).await;
                }
                Err(error) => {
                    self.tell_once(&mut told, &error);
                    self.says.send_replace(State::Down(Arc::new(error)));
                    tokio::time::sleep(self.transport.env.random.jitter(pause, 0.5)).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Logs a failure when it is another one than the last.
    fn tell_once(&self, told: &mut Option<String>, error: &ConnectError) {
        let text = error.to_string();
        if told.as_ref() != Some(&text) {
            tracing::warn!(peer = self.peer, lane = ?self.lane, reason = text, "a peer is not reached");
            *told = Some(text);
        }
    }

    /// Delivers answers until the connection ends.
    async fn serve(&self, opened: connect::Opened) {
        let conn = Arc::new(Conn {
            out: opened.out,
            calls: Mutex::default(),
            last_call: AtomicU64::new(0),
            heard: Mutex::new(Instant::now()),
            cut: Notify::new(),
        });
        self.says.send_replace(State::Up(Arc::clone(&conn)));
        tokio::select! {
            biased;
            () = conn.cut.notified() => {}
            () = receive(&conn, opened.incoming) => {}
        }
        self.says.send_replace(State::Connecting);
        conn.calls.lock().clear();
    }
}

async fn receive(conn: &Conn, mut incoming: Streaming<pb::ExchangeResponse>) {
    while let Ok(Some(response)) = incoming.message().await {
        conn.deliver(response);
    }
}
