//! The task behind a followed conversation: one loop that waits and does what `step` decides.
//! Promise: ends when the handle is dropped, the stream is refused or nothing works for too long.
//! Not here: what a message means (`step`).

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt as _;
use pb::api::v1 as api;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::step::{State, Step};
use super::{Begin, Command, Event};
use crate::call::Core;
use crate::error::CallError;
use crate::link::{Link, Opening};

/// The begin, one message on the way and a few markers.
const UP_BOUND: usize = 16;

/// All that can happen to a followed conversation.
enum Input {
    Asked(Command),
    HandleDropped,
    Heard(api::AttachResponse),
    Broke(CallError),
    Clock,
    Delivered,
}

struct Follower {
    core: Arc<Core>,
    state: State,
    link: Link<api::AttachRequest, api::AttachResponse>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    /// Events for which the reader's queue had no room; while there are any, the stream is not read.
    backlog: VecDeque<Event>,
    ended: bool,
}

/// Follows one conversation to its end.
pub(super) async fn follow(
    core: Arc<Core>,
    begin: Begin,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
) {
    let mut follower = Follower {
        state: State::new(&core, begin),
        link: Link::new(core.clone(), UP_BOUND, open),
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

fn open(channel: Channel, up: ReceiverStream<api::AttachRequest>) -> Opening<api::AttachResponse> {
    async move { ConversationServiceClient::new(channel).attach(up).await }.boxed()
}

impl Follower {
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
            command = self.commands.recv(), if !self.ended => {
                command.map_or(Input::HandleDropped, Input::Asked)
            }
            () = clock => Input::Clock,
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
            Input::Asked(Command::Send {
                request,
                answer,
                deadline,
            }) => self.state.submit(request, answer, deadline),
            Input::Asked(Command::Mark(mark)) => {
                self.link.send(api::AttachRequest {
                    request: Some(api::attach_request::Request::Mark(mark)),
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
        if let Some(message) = self.state.pump(now) {
            // A full queue means that the connection takes nothing: the attempt time-out moves on.
            self.link.send(message);
        }
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Emit(event) => self.emit(event),
            Step::Settle(answer, result) => {
                // The caller may have stopped waiting; the message has its end all the same.
                answer.send(result).ok();
            }
            Step::Welcomed(endpoints) => {
                self.link.welcomed();
                self.core.pool.learn(&endpoints);
                let address = self.link.address().unwrap_or_default().to_owned();
                let cursor = self.state.cursor();
                self.emit(Event::Resumed { address, cursor });
            }
            Step::Reconnect(error, endpoints) => {
                self.core.pool.learn(&endpoints);
                self.link.broke(error);
            }
            Step::End(error) => {
                self.emit(Event::Ended(error));
                self.ended = true;
                self.commands.close();
            }
        }
    }

    fn emit(&mut self, event: Event) {
        if !self.backlog.is_empty() {
            return self.backlog.push_back(event);
        }
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            self.backlog.push_back(event);
        }
    }
}
