//! The task behind a desk: one loop that waits and does what `step` decides.
//! Promise: ends when the handle is dropped, the login is refused or nothing works for too long.
//! Not here: what a message means (`step`).

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt as _;
use pb::api::v1 as api;
use rpc::api::v1::agent_service_client::AgentServiceClient;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::step::{ACTS_MAX, State, Step};
use super::{Command, DeskEvent, DeskLogin};
use crate::call::Core;
use crate::error::CallError;
use crate::link::{Link, Opening};

/// Every act at once, the hello, heartbeats and markers.
const UP_BOUND: usize = ACTS_MAX + 64;
/// A snapshot names up to a hundred conversations of up to 1 MiB each; one message holds one.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// All that can happen to a desk.
enum Input {
    Asked(Command),
    HandleDropped,
    Heard(api::WorkResponse),
    Broke(CallError),
    Clock,
    Delivered,
}

struct Seat {
    core: Arc<Core>,
    state: State,
    link: Link<api::WorkRequest, api::WorkResponse>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<DeskEvent>,
    /// Events for which the reader's queue had no room; while there are any, the stream is not read.
    backlog: VecDeque<DeskEvent>,
    ended: bool,
}

/// Keeps one desk to its end.
pub(super) async fn work(
    core: Arc<Core>,
    login: DeskLogin,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<DeskEvent>,
) {
    let mut seat = Seat {
        state: State::new(&core, login),
        link: Link::new(core.clone(), UP_BOUND, open),
        core,
        commands,
        events,
        backlog: VecDeque::new(),
        ended: false,
    };
    while !(seat.ended && seat.backlog.is_empty()) {
        match seat.next().await {
            Input::HandleDropped => return,
            input => seat.on(input),
        }
    }
}

fn open(channel: Channel, up: ReceiverStream<api::WorkRequest>) -> Opening<api::WorkResponse> {
    async move {
        AgentServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .work(up)
            .await
    }
    .boxed()
}

impl Seat {
    async fn next(&mut self) -> Input {
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

    fn on(&mut self, input: Input) {
        let now = Instant::now();
        let steps = match input {
            Input::Asked(Command::Act {
                request,
                answer,
                deadline,
            }) => self.state.submit(request, answer, deadline),
            Input::Asked(Command::Say(request)) => {
                self.link.send(api::WorkRequest {
                    request: Some(request),
                });
                Vec::new()
            }
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
        if let Some(beat) = self.state.beat(now) {
            self.link.send(beat);
        }
        while let Some(message) = self.state.pump(now) {
            // A full queue means that the connection takes nothing: the attempt time-out moves on.
            self.link.send(message);
        }
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Emit(event) => self.emit(event),
            Step::Settle(answer, result) => {
                // The caller may have stopped waiting; the act has its end all the same.
                answer.send(result).ok();
            }
            Step::Welcomed(endpoints) => {
                self.link.welcomed();
                self.core.pool.learn(&endpoints);
                let address = self.link.address().unwrap_or_default().to_owned();
                let session = self.state.session();
                self.emit(DeskEvent::Resumed { session, address });
            }
            Step::Reconnect(error, endpoints) => {
                self.core.pool.learn(&endpoints);
                self.link.broke(error);
            }
            Step::End(error) => {
                self.emit(DeskEvent::Ended(error));
                self.ended = true;
                self.commands.close();
            }
        }
    }

    fn emit(&mut self, event: DeskEvent) {
        if !self.backlog.is_empty() {
            return self.backlog.push_back(event);
        }
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            self.backlog.push_back(event);
        }
    }
}
