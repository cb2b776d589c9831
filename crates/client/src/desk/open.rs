//! How the stream of a desk is opened.
//! Promise: as much waits for the connection as its state may send at once.
//! Not here: waiting (`follow`), what a message means (`step`).

use futures::FutureExt as _;
use pb::api::v1 as api;
use rpc::api::v1::agent_service_client::AgentServiceClient;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::transport::Channel;

use super::step::{ACTS_MAX, State};
use crate::follow::Followed;
use crate::link::Opening;

/// A snapshot names up to a hundred conversations of up to 1 MiB each; one message holds one.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Followed for State {
    /// Every act at once, the hello, heartbeats and markers.
    const UP_BOUND: usize = ACTS_MAX + 64;

    fn open(
        channel: Channel,
        up: Request<ReceiverStream<api::WorkRequest>>,
    ) -> Opening<api::WorkResponse> {
        async move {
            AgentServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .work(up)
                .await
        }
        .boxed()
    }
}
