//! A followed conversation as one kind of stream: what it opens and what is asked of its state.
//! Promise: one message on the way; a marker is lost when the stream is down.
//! Not here: waiting (`follow`), what a message means (`step`).

use futures::FutureExt as _;
use pb::api::v1 as api;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::step::{State, Step};
use super::{Command, Event, Unsent};
use crate::error::CallError;
use crate::follow::Followed;
use crate::link::Opening;

// `Self::name` is the state's own method of that name, not the trait's.
impl Followed for State {
    type Up = api::AttachRequest;
    type Down = api::AttachResponse;
    type Command = Command;
    type Event = Event;
    type Settled = Result<api::SendResponse, Unsent>;

    /// The begin, one message on the way and a few markers.
    const UP_BOUND: usize = 16;

    fn open(
        channel: Channel,
        up: ReceiverStream<api::AttachRequest>,
    ) -> Opening<api::AttachResponse> {
        async move { ConversationServiceClient::new(channel).attach(up).await }.boxed()
    }

    fn begin(&self) -> api::AttachRequest {
        Self::begin(self)
    }

    fn on_command(&mut self, command: Command) -> Vec<Step> {
        match command {
            Command::Send {
                request,
                answer,
                deadline,
            } => self.submit(request, answer, deadline),
            Command::Mark(mark) => vec![Step::Say(api::AttachRequest {
                request: Some(api::attach_request::Request::Mark(mark)),
            })],
        }
    }

    fn on_message(&mut self, now: Instant, message: api::AttachResponse) -> Vec<Step> {
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

    fn due(&mut self, now: Instant) -> Option<api::AttachRequest> {
        self.pump(now)
    }

    fn end(&mut self, error: CallError) -> Vec<Step> {
        Self::end(self, error)
    }

    fn resumed(&self, address: String) -> Event {
        let cursor = self.cursor();
        Event::Resumed { address, cursor }
    }

    fn ended(error: CallError) -> Event {
        Event::Ended(error)
    }
}
