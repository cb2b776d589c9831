//! Raw: streams of the generated stubs, for clients that misbehave.
//! Promise: nothing is read unless the test reads it; nothing resumes.
//! Not here: clients as they should be (`client`).

use anyhow::Context as _;
use client::api::{self, attach_request, attach_response, work_request, work_response};
use rpc::api::v1::agent_service_client::AgentServiceClient;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use super::within;

/// Windows of HTTP/2 as its standard sets them: little is on the way to who does not read.
const WINDOW_BYTES: u32 = 65_535;

/// A connection to one node.
pub async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    Ok(endpoint.connect().await?)
}

/// One attach stream.
pub struct Attached {
    /// What goes up.
    pub up: mpsc::Sender<api::AttachRequest>,
    /// What comes down.
    pub down: Streaming<api::AttachResponse>,
}

impl Attached {
    /// Opens a stream whose first message is `first`. The answer is not read yet.
    pub async fn open(channel: Channel, first: attach_request::Request) -> Result<Self, Status> {
        let (up, ups) = mpsc::channel(8);
        let request = Some(first);
        // The queue is empty: it takes the first message.
        up.try_send(api::AttachRequest { request }).ok();
        let mut stub = ConversationServiceClient::new(channel);
        let down = stub.attach(ReceiverStream::new(ups)).await?.into_inner();
        Ok(Self { up, down })
    }

    /// Follows a conversation from its beginning, and reads the welcome.
    pub async fn observe(channel: Channel, conversation_id: &str) -> anyhow::Result<Self> {
        let mut attached = Self::open(channel, begin(conversation_id, 0, true)).await?;
        let first = attached.next().await?.context("the stream ended")?;
        anyhow::ensure!(
            matches!(first, attach_response::Response::Welcome(_)),
            "it began with {first:?}"
        );
        Ok(attached)
    }

    /// The next message; none at the stream's end.
    pub async fn next(&mut self) -> anyhow::Result<Option<attach_response::Response>> {
        let message = within("a message of the stream", self.down.message()).await??;
        Ok(message.and_then(|message| message.response))
    }

    /// Reads on until the server ends the stream; how it did.
    pub async fn ended(&mut self) -> anyhow::Result<api::StreamEnded> {
        loop {
            let message = self.next().await?.context("it broke off without a word")?;
            if let attach_response::Response::Ended(ended) = message {
                return Ok(ended);
            }
        }
    }
}

/// The first message as it should be.
pub fn begin(conversation_id: &str, cursor: u64, observe: bool) -> attach_request::Request {
    attach_request::Request::Begin(api::AttachBegin {
        conversation_id: conversation_id.to_owned(),
        cursor,
        observe,
    })
}

/// One Work stream.
pub struct Desk {
    _up: mpsc::Sender<api::WorkRequest>,
    down: Streaming<api::WorkResponse>,
}

impl Desk {
    /// One more device of an agent who is logged in. It reads the welcome and nothing else.
    pub async fn open(channel: Channel, agent: &str, device: &str) -> anyhow::Result<Self> {
        let (up, ups) = mpsc::channel(8);
        let hello = work_request::Request::Hello(api::LogInRequest {
            agent: agent.to_owned(),
            device_id: device.to_owned(),
            request_id: format!("{device}-hello"),
            ..Default::default()
        });
        let request = Some(hello);
        up.try_send(api::WorkRequest { request })?;
        let mut stub = AgentServiceClient::new(channel);
        let mut down = stub.work(ReceiverStream::new(ups)).await?.into_inner();
        let first = within("the welcome", down.message()).await??;
        let first = first.and_then(|first| first.response);
        anyhow::ensure!(
            matches!(first, Some(work_response::Response::Welcome(_))),
            "it began with {first:?}"
        );
        Ok(Self { _up: up, down })
    }

    /// Reads on until the server ends the stream; how it did.
    pub async fn ended(&mut self) -> anyhow::Result<api::StreamEnded> {
        loop {
            let message = within("a message of the desk", self.down.message()).await??;
            let message = message.context("it broke off without a word")?;
            if let Some(work_response::Response::Ended(ended)) = message.response {
                return Ok(ended);
            }
        }
    }
}
