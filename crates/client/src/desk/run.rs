//! A desk as one kind of stream: what it opens and what is asked of its state.
//! Promise: heartbeats go before acts; what the server does not answer is lost when the stream is down.
//! Not here: waiting (`follow`), what a message means (`step`).

use futures::FutureExt as _;
use pb::api::v1 as api;
use rpc::api::v1::agent_service_client::AgentServiceClient;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::step::{ACTS_MAX, State, Step};
use super::{ActFailed, Command, DeskEvent};
use crate::error::CallError;
use crate::follow::Followed;
use crate::link::Opening;

/// A snapshot names up to a hundred conversations of up to 1 MiB each; one message holds one.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

// `Self::name` is the state's own method of that name, not the trait's.
impl Followed for State {
    type Up = api::WorkRequest;
    type Down = api::WorkResponse;
    type Command = Command;
    type Event = DeskEvent;
    type Settled = Result<api::WorkDone, ActFailed>;

    /// Every act at once, the hello, heartbeats and markers.
    const UP_BOUND: usize = ACTS_MAX + 64;

    fn open(channel: Channel, up: ReceiverStream<api::WorkRequest>) -> Opening<api::WorkResponse> {
        async move {
            AgentServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .work(up)
                .await
        }
        .boxed()
    }

    fn begin(&self) -> api::WorkRequest {
        Self::begin(self)
    }

    fn on_command(&mut self, command: Command) -> Vec<Step> {
        match command {
            Command::Act {
                request,
                answer,
                deadline,
            } => self.submit(request, answer, deadline),
            Command::Say(request) => vec![Step::Say(api::WorkRequest {
                request: Some(request),
            })],
        }
    }

    fn on_message(&mut self, now: Instant, message: api::WorkResponse) -> Vec<Step> {
        Self::on_message(self, now, message)
    }

    fn on_broke(&mut self, error: &CallError) -> Vec<Step> {
        Self::on_broke(self, error)
    }

    fn on_clock(&mut self, now: Instant) -> Vec<Step> {
        Self::on_clock(self, now)
    }

    fn wakes_at(&self) -> Option<Instant> {
        Self::wakes_at(self)
    }

    fn due(&mut self, now: Instant) -> Option<api::WorkRequest> {
        self.beat(now).or_else(|| self.pump(now))
    }

    fn end(&mut self, error: CallError) -> Vec<Step> {
        Self::end(self, error)
    }

    fn resumed(&self, address: String) -> DeskEvent {
        let session = self.session();
        DeskEvent::Resumed { session, address }
    }

    fn ended(error: CallError) -> DeskEvent {
        DeskEvent::Ended(error)
    }
}
