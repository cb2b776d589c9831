//! Opening one lane to one peer.
//! Promise: a connection that is handed out has answered `Hello` as the node that was meant.
//! Not here: when to connect and what to do when it breaks (`link`).

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use pb::raft::v1 as pb;
use rpc::raft::v1::raft_service_client::RaftServiceClient;
use runtime::{Network, Purpose};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint, Uri};

use super::{
    KEEPALIVE_EVERY, KEEPALIVE_TIMEOUT, Lane, RECEIVE_BYTES_MAX, STREAM_WINDOW_BYTES, Transport,
};

/// Frames that wait for the connection; full means that senders wait.
const OUT_FRAMES_MAX: usize = 256;

/// Why a peer could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no address is known for node {0}")]
    NoAddress(u64),
    #[error("node {node} at {address}: {reason}")]
    Unreachable {
        node: u64,
        address: String,
        reason: String,
    },
    #[error("node {node} at {address} refused: {reason}: {detail}")]
    Refused {
        node: u64,
        address: String,
        reason: &'static str,
        detail: String,
    },
    #[error("{address} answered as node {answered} of cluster {cluster}, not as node {node}")]
    OtherNode {
        node: u64,
        address: String,
        answered: u64,
        cluster: String,
    },
}

/// An open lane.
pub(crate) struct Opened {
    pub(crate) out: mpsc::Sender<pb::ExchangeRequest>,
    pub(crate) incoming: Streaming<pb::ExchangeResponse>,
}

/// Dials `peer` and says hello.
pub(crate) async fn open(
    transport: &Transport,
    peer: u64,
    lane: Lane,
) -> Result<Opened, ConnectError> {
    let address = transport
        .directory
        .address(peer)
        .ok_or(ConnectError::NoAddress(peer))?;
    let deadline = transport.identity.profile.dial_deadline();
    match tokio::time::timeout(deadline, greet(transport, peer, lane, &address)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Unreachable {
            node: peer,
            address,
            reason: format!("no answer within {} ms", deadline.as_millis()),
        }),
    }
}

async fn greet(
    transport: &Transport,
    peer: u64,
    lane: Lane,
    address: &str,
) -> Result<Opened, ConnectError> {
    let unreachable = |reason: String| ConnectError::Unreachable {
        node: peer,
        address: address.to_owned(),
        reason,
    };
    let channel = channel(Arc::clone(&transport.env.network), address.to_owned())
        .await
        .map_err(|error| unreachable(root_cause(&error)))?;
    let mut client = RaftServiceClient::new(channel)
        .max_decoding_message_size(RECEIVE_BYTES_MAX)
        .max_encoding_message_size(RECEIVE_BYTES_MAX);
    let (out, frames) = mpsc::channel(OUT_FRAMES_MAX);
    out.try_send(hello(transport, peer, lane))
        .map_err(|error| unreachable(error.to_string()))?;
    let answered = client.exchange(ReceiverStream::new(frames)).await;
    let mut incoming = answered
        .map_err(|status| unreachable(status.to_string()))?
        .into_inner();
    let first = incoming
        .message()
        .await
        .map_err(|status| unreachable(status.to_string()))?;
    check_welcome(transport, peer, address, first)?;
    Ok(Opened { out, incoming })
}

fn hello(transport: &Transport, peer: u64, lane: Lane) -> pb::ExchangeRequest {
    let identity = &transport.identity;
    pb::ExchangeRequest {
        call: 0,
        group: 0,
        body: Some(pb::exchange_request::Body::Hello(pb::Hello {
            cluster_id: identity.cluster_id.clone(),
            from_node: identity.node_id,
            to_node: peer,
            profile: identity.profile.name().to_owned(),
            lane: lane.to_wire().into(),
        })),
    }
}

fn check_welcome(
    transport: &Transport,
    peer: u64,
    address: &str,
    first: Option<pb::ExchangeResponse>,
) -> Result<(), ConnectError> {
    use pb::exchange_response::Body;
    match first.and_then(|response| response.body) {
        Some(Body::Welcome(welcome))
            if welcome.node_id == peer && welcome.cluster_id == transport.identity.cluster_id =>
        {
            Ok(())
        }
        Some(Body::Welcome(welcome)) => Err(ConnectError::OtherNode {
            node: peer,
            address: address.to_owned(),
            answered: welcome.node_id,
            cluster: welcome.cluster_id,
        }),
        Some(Body::Refused(refused)) => Err(ConnectError::Refused {
            node: peer,
            address: address.to_owned(),
            reason: refused.reason().as_str_name(),
            detail: refused.detail,
        }),
        _ => Err(ConnectError::Unreachable {
            node: peer,
            address: address.to_owned(),
            reason: "it did not say who it is".to_owned(),
        }),
    }
}

/// An HTTP/2 connection of its own over the node's network.
async fn channel(
    network: Arc<dyn Network>,
    address: String,
) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_static("http://peer")
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES)
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let network = Arc::clone(&network);
            let address = address.clone();
            async move {
                let dialled = Purpose::Consensus.dial(&*network, &address).await;
                dialled.map(TokioIo::new)
            }
        }))
        .await
}

/// The innermost reason; tonic's own text says only "transport error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
