//! Stubs of the public API at one node in process, for clients that no library would be.
//! Promise: nothing is asked again, nothing resumes, nothing is read unless the test reads it.
//! Not here: clients as they should be (`client`, through `talk_test`).

use std::sync::Arc;

use bytes::{Buf, BufMut};
use futures::Stream;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use pb::api::v1::{AttachBegin, AttachRequest, AttachResponse, OpenRequest};
use pb::api::v1::{attach_request, attach_response};
use rpc::api::v1::agent_service_client::AgentServiceClient;
use rpc::api::v1::cluster_service_client::ClusterServiceClient;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use rpc::api::v1::floor_service_client::FloorServiceClient;
use runtime::Env;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status, Streaming};

use super::talk_test::WAIT;
use crate::start::Node;

/// Windows of HTTP/2 as its standard sets them: little is on the way to who does not read.
const WINDOW_BYTES: u32 = 65_535;
/// Messages that wait for a stream of a test.
const UPS_MAX: usize = 8;

/// Every service of one node, over one connection.
pub(super) struct Stubs {
    pub(super) customers: ConversationServiceClient<Channel>,
    pub(super) agents: AgentServiceClient<Channel>,
    pub(super) floor: FloorServiceClient<Channel>,
    pub(super) cluster: ClusterServiceClient<Channel>,
    pub(super) channel: Channel,
    name: String,
    asked: u32,
}

impl Stubs {
    pub(super) async fn at(env: &Env, node: &Node) -> Self {
        let channel = connect(env, node).await;
        Self {
            customers: ConversationServiceClient::new(channel.clone()),
            agents: AgentServiceClient::new(channel.clone()),
            floor: FloorServiceClient::new(channel.clone()),
            cluster: ClusterServiceClient::new(channel.clone()),
            channel,
            name: node.identity().node_name.clone(),
            asked: 0,
        }
    }

    /// A request id that nobody has used.
    pub(super) fn id(&mut self) -> String {
        self.asked += 1;
        format!("{}-{}", self.name, self.asked)
    }

    /// A conversation of the account `web`, in its usual line.
    pub(super) async fn opened(&mut self, customer: &str) -> String {
        self.opened_in(customer, "").await
    }

    /// The same in a line.
    pub(super) async fn opened_in(&mut self, customer: &str, queue: &str) -> String {
        let request = OpenRequest {
            request_id: self.id(),
            queue: queue.to_owned(),
            ..opening(customer)
        };
        let opened = self.customers.open(request).await.unwrap();
        opened.into_inner().conversation_id
    }
}

/// What a customer asks for at first, without a request id.
pub(super) fn opening(customer: &str) -> OpenRequest {
    OpenRequest {
        account: "web".to_owned(),
        customer: customer.to_owned(),
        language: "de".to_owned(),
        text: "Guten Tag".to_owned(),
        ..OpenRequest::default()
    }
}

/// A connection of a client.
pub(super) async fn connect(env: &Env, node: &Node) -> Channel {
    let (network, address) = (Arc::clone(&env.network), node.addresses().api.to_string());
    let dial = tower::service_fn(move |_: Uri| {
        let (network, address) = (Arc::clone(&network), address.clone());
        async move { network.dial(&address).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://node")
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    endpoint.connect_with_connector(dial).await.unwrap()
}

/// One attach stream.
pub(super) struct Attached {
    pub(super) up: mpsc::Sender<AttachRequest>,
    pub(super) down: Streaming<AttachResponse>,
}

impl Attached {
    /// Opens a stream whose first message is `first`.
    pub(super) async fn open(
        channel: Channel,
        first: attach_request::Request,
    ) -> Result<Self, Status> {
        let (up, ups) = mpsc::channel(UPS_MAX);
        let request = Some(first);
        up.try_send(AttachRequest { request }).unwrap();
        let mut stub = ConversationServiceClient::new(channel);
        let down = stub.attach(ReceiverStream::new(ups)).await?.into_inner();
        Ok(Self { up, down })
    }

    /// A customer's stream from a place on, not yet read.
    pub(super) async fn begin(channel: Channel, id: &str, cursor: u64) -> Result<Self, Status> {
        let begin = AttachBegin {
            conversation_id: id.to_owned(),
            cursor,
            observe: false,
        };
        Self::open(channel, attach_request::Request::Begin(begin)).await
    }

    /// The next message; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<attach_response::Response>, Status> {
        let message = timeout(WAIT, self.down.message()).await;
        let message = message.expect("the stream says something")?;
        Ok(message.and_then(|message| message.response))
    }
}

/// Calls whose messages are bytes, whatever they hold.
#[derive(Clone)]
pub(super) struct Raw(pub(super) Channel);

impl Raw {
    async fn ready(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.0.clone()).max_decoding_message_size(32 << 20);
        grpc.ready().await.expect("the connection is open");
        grpc
    }

    /// Asks a unary method.
    pub(super) async fn call(&self, path: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
        let path: PathAndQuery = path.parse().unwrap();
        let mut grpc = self.ready().await;
        let answered = grpc.unary(Request::new(message), path, BytesCodec).await;
        answered.map(tonic::Response::into_inner)
    }

    /// Opens a stream of any kind.
    pub(super) async fn stream(
        &self,
        path: &str,
        messages: impl Stream<Item = Vec<u8>> + Send + 'static,
    ) -> Result<Streaming<Vec<u8>>, Status> {
        let path: PathAndQuery = path.parse().unwrap();
        let mut grpc = self.ready().await;
        let opened = grpc.streaming(Request::new(messages), path, BytesCodec);
        opened.await.map(tonic::Response::into_inner)
    }
}

/// Bytes as they are.
#[derive(Clone, Copy)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
