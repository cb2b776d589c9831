//! How the stream of a followed conversation is opened.
//! Promise: as much waits for the connection as its state may send at once.
//! Not here: waiting (`follow`), what a message means (`step`).

use futures::FutureExt as _;
use pb::api::v1 as api;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::transport::Channel;

use super::step::State;
use crate::follow::Followed;
use crate::link::Opening;

impl Followed for State {
    /// The begin, one message on the way and a few markers.
    const UP_BOUND: usize = 16;

    fn open(
        channel: Channel,
        up: Request<ReceiverStream<api::AttachRequest>>,
    ) -> Opening<api::AttachResponse> {
        async move { ConversationServiceClient::new(channel).attach(up).await }.boxed()
    }
}
