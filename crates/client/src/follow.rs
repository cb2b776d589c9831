//! Followed streams: one loop that waits and does what the kind's step decides.
//! Promise: ends when the handle is dropped, the stream is refused or nothing works for too long; while
//! the reader has no room, the stream is not read.
//! Not here: what a message means (`attach::step`, `desk::step`), opening a stream (`link`).

use std::collections::VecDeque;
use std::sync::Arc;

use pb::api::v1 as api;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::transport::Channel;

use crate::call::Core;
use crate::error::CallError;
use crate::link::{Link, Opening};

/// The state of one kind of stream, which decides without waiting.
pub(crate) trait Steps: Sized + Send + 'static {
    /// What goes up.
    type Up: Send + 'static;
    /// What comes down.
    type Down: Send + 'static;
    /// What the handle asks for.
    type Command: Send + 'static;
    /// What the reader gets.
    type Event: Send + 'static;
    /// How something that was asked for ended.
    type Settled: Send + 'static;

    /// The first message of a stream.
    fn begin(&self) -> Self::Up;
    /// Takes over what the handle asks for.
    fn on_command(&mut self, command: Self::Command) -> Vec<Step<Self>>;
    /// What a message of the server means.
    fn on_message(&mut self, now: Instant, message: Self::Down) -> Vec<Step<Self>>;
    /// The stream broke: what is on the way is to be sent again.
    fn on_broke(&mut self, error: &CallError) -> Vec<Step<Self>>;
    /// The time of [`Steps::wakes_at`] has come.
    fn on_clock(&mut self, now: Instant) -> Vec<Step<Self>>;
    /// When [`Steps::on_clock`] or [`Steps::due`] has something to do.
    fn wakes_at(&self) -> Option<Instant>;
    /// The next message that is due up; asked until there is none.
    fn due(&mut self, now: Instant) -> Option<Self::Up>;
    /// Ends for good: everything that waits gets its answer, then the reader gets the end.
    fn end(&mut self, error: CallError) -> Vec<Step<Self>>;
    /// The stream works at `address`, at first or again.
    fn resumed(&self, address: String) -> Self::Event;
    /// Nothing follows.
    fn ended(error: CallError) -> Self::Event;
}

/// How the stream of such a state is opened.
pub(crate) trait Followed: Steps {
    /// Messages that may wait for the connection.
    const UP_BOUND: usize;

    /// Opens a stream on a connection.
    fn open(channel: Channel, up: Request<ReceiverStream<Self::Up>>) -> Opening<Self::Down>;
}

/// What the loop does next, in order.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a step lives for a moment")]
pub(crate) enum Step<K: Steps> {
    /// Hand the event to the reader.
    Emit(K::Event),
    /// Tell the caller how what it asked for ended.
    Settle(oneshot::Sender<K::Settled>, K::Settled),
    /// Send up what is lost when the stream is down.
    Say(K::Up),
    /// The stream is accepted.
    Welcomed(Vec<api::Endpoint>),
    /// Give the stream up and open another one.
    Reconnect(CallError, Vec<api::Endpoint>),
    /// Stop for good.
    End(CallError),
}

/// All that can happen to a followed stream.
enum Input<K: Steps> {
    Asked(K::Command),
    HandleDropped,
    Heard(K::Down),
    Broke(CallError),
    Clock,
    Delivered,
}

struct Follower<K: Steps> {
    core: Arc<Core>,
    state: K,
    link: Link<K::Up, K::Down>,
    commands: mpsc::Receiver<K::Command>,
    events: mpsc::Sender<K::Event>,
    /// Events for which the reader's queue had no room; while there are any, the stream is not read.
    backlog: VecDeque<K::Event>,
    ended: bool,
}

/// Follows one stream to its end.
pub(crate) async fn follow<K: Followed>(
    core: Arc<Core>,
    state: K,
    commands: mpsc::Receiver<K::Command>,
    events: mpsc::Sender<K::Event>,
) {
    let mut follower = Follower {
        state,
        link: Link::new(core.clone(), K::UP_BOUND, K::open),
        core,
        commands,
        events,
        backlog: VecDeque::new(),
        ended: false,
    };
    while !(follower.ended && follower.backlog.is_empty()) {
        match follower.next().await {
            Input::HandleDropped => return,
            input => follower.on(input),
        }
    }
}

impl<K: Followed> Follower<K> {
    async fn next(&mut self) -> Input<K> {
        let wakes_at = self.state.wakes_at();
        let clock = async move {
            match wakes_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let state = &self.state;
        let reads = self.backlog.is_empty() && !self.ended;
        tokio::select! {
            biased;
            () = self.events.closed() => Input::HandleDropped,
            // Before what is asked: a caller that never pauses holds back no heartbeat.
            () = clock => Input::Clock,
            command = self.commands.recv(), if !self.ended => {
                command.map_or(Input::HandleDropped, Input::Asked)
            }
            Ok(permit) = self.events.reserve(), if !self.backlog.is_empty() => {
                if let Some(event) = self.backlog.pop_front() {
                    permit.send(event);
                }
                Input::Delivered
            }
            heard = self.link.next(|| state.begin()), if reads => match heard {
                Ok(message) => Input::Heard(message),
                Err(error) => Input::Broke(error),
            },
        }
    }

    fn on(&mut self, input: Input<K>) {
        let now = Instant::now();
        let steps = match input {
            Input::Asked(command) => self.state.on_command(command),
            Input::Heard(message) => self.state.on_message(now, message),
            Input::Broke(error) if self.link.is_hopeless() => self.state.end(error),
            Input::Broke(error) => self.state.on_broke(&error),
            Input::Clock => self.state.on_clock(now),
            Input::Delivered | Input::HandleDropped => Vec::new(),
        };
        for step in steps {
            self.perform(step);
        }
        if self.ended {
            return;
        }
        while let Some(message) = self.state.due(now) {
            // A full queue means that the connection takes nothing: the attempt time-out moves on.
            self.link.send(message);
        }
    }

    fn perform(&mut self, step: Step<K>) {
        match step {
            Step::Emit(event) => self.emit(event),
            Step::Settle(answer, result) => {
                // The caller may have stopped waiting; what it asked for has its end all the same.
                answer.send(result).ok();
            }
            Step::Say(message) => {
                self.link.send(message);
            }
            Step::Welcomed(endpoints) => {
                self.link.welcomed();
                self.core.pool.learn(&endpoints);
                let address = self.link.address().unwrap_or_default().to_owned();
                self.emit(self.state.resumed(address));
            }
            Step::Reconnect(error, endpoints) => {
                self.core.pool.learn(&endpoints);
                self.link.broke(error);
            }
            Step::End(error) => {
                self.emit(K::ended(error));
                self.ended = true;
                self.commands.close();
            }
        }
    }

    fn emit(&mut self, event: K::Event) {
        if !self.backlog.is_empty() {
            return self.backlog.push_back(event);
        }
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            self.backlog.push_back(event);
        }
    }
}
