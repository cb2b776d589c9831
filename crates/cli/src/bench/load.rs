//! Load: attach streams that write and observe.
//! Promise: a hundred streams on a connection; one task for a stream, woken by its own messages alone;
//! opening is over before anything is measured.
//! The generated stubs are used without the SDK: it keeps a task, three queues and a time-out for each
//! conversation, which would take the processor that the servers are to be measured on.
//! Not here: which message is sent when (`lines`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use client::api::{self, attach_request, attach_response, item};
use futures::{StreamExt as _, TryStreamExt as _};
use hyper_util::rt::TokioIo;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use runtime::real::Tcp;
use runtime::{AbortOnDrop, Lane, Network as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint, Uri};

use super::lines::Lines;

/// The server allows 256.
const STREAMS_PER_CONNECTION: usize = 100;
/// One message and what little else goes up.
const UP_BOUND: usize = 4;
/// Opens and attaches on the way at once while the load is set up.
const SET_UP_AT_ONCE: usize = 128;
/// One open or attach while the load is set up.
const SET_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// A client of customers' service on one connection.
pub type Stub = ConversationServiceClient<Channel>;

/// A conversation of the load.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Its id.
    pub conversation_id: String,
    /// The last item that its streams have seen.
    pub cursor: u64,
}

/// A stream that is on.
pub struct Attached {
    /// What it says.
    pub up: mpsc::Sender<api::AttachRequest>,
    /// What it is told.
    pub down: Streaming<api::AttachResponse>,
}

/// Streams that are read; dropping it ends them.
pub type Readers = Vec<AbortOnDrop<()>>;

/// Opens so many conversations without a first message, of the customers from number `first` on.
pub async fn open(
    address: &str,
    account: &str,
    first: usize,
    count: usize,
) -> anyhow::Result<Vec<Opened>> {
    let channels = Arc::new(connect(address, count.div_ceil(2_500)).await?);
    let opening = (first..first + count).map(|at| {
        let mut stub = Stub::new(channels[at % channels.len()].clone());
        let request = api::OpenRequest {
            request_id: format!("open-{at:016x}"),
            account: account.to_owned(),
            customer: format!("bench-{at}"),
            ..Default::default()
        };
        async move {
            let opened = timeout(SET_UP_TIMEOUT, stub.open(request)).await;
            let opened = opened.context("an open was not answered")??.into_inner();
            anyhow::Ok(Opened {
                conversation_id: opened.conversation_id,
                cursor: 0,
            })
        }
    });
    let opening = futures::stream::iter(opening).buffered(SET_UP_AT_ONCE);
    opening.try_collect().await.context("opening conversations")
}

/// Attaches one stream to each conversation.
pub async fn attach(
    address: &str,
    conversations: Vec<Opened>,
    observe: bool,
) -> anyhow::Result<Vec<Attached>> {
    let connections = conversations.len().div_ceil(STREAMS_PER_CONNECTION);
    let channels = Arc::new(connect(address, connections).await?);
    let attaching = conversations.into_iter().enumerate().map(|(at, opened)| {
        let stub = Stub::new(channels[at / STREAMS_PER_CONNECTION].clone());
        async move {
            let attached = timeout(SET_UP_TIMEOUT, attach_one(stub, opened, observe)).await;
            attached.context("an attach was not answered")?
        }
    });
    let attaching = futures::stream::iter(attaching).buffered(SET_UP_AT_ONCE);
    attaching.try_collect().await.context("attaching streams")
}

/// Connections of the kind that the servers use: a gateway in front of them would do the same.
pub async fn connect(address: &str, connections: usize) -> anyhow::Result<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let mut channels = Vec::new();
    for _ in 0..connections.max(1) {
        let to = address.to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let to = to.clone();
            async move { Tcp.dial(&to).await.map(TokioIo::new) }
        });
        channels.push(endpoint.connect_with_connector(connector).await?);
    }
    Ok(channels)
}

async fn attach_one(mut stub: Stub, opened: Opened, observe: bool) -> anyhow::Result<Attached> {
    let (up, ups) = mpsc::channel(UP_BOUND);
    let begin = api::AttachBegin {
        conversation_id: opened.conversation_id,
        cursor: opened.cursor,
        observe,
    };
    let request = Some(attach_request::Request::Begin(begin));
    up.try_send(api::AttachRequest { request })?;
    let mut down = stub.attach(ReceiverStream::new(ups)).await?.into_inner();
    match down.message().await?.and_then(|first| first.response) {
        Some(attach_response::Response::Welcome(_)) => Ok(Attached { up, down }),
        other => bail!("a stream began with {other:?}"),
    }
}

/// Lets the streams write: each belongs to the line of its index.
pub fn write(
    lane: &Lane,
    attached: Vec<Attached>,
    cursors: &[u64],
    first: u64,
) -> (Lines, Readers) {
    let (ups, downs): (Vec<_>, Vec<_>) = attached
        .into_iter()
        .zip(cursors)
        .map(|(attached, cursor)| ((attached.up, *cursor), attached.down))
        .unzip();
    let lines = Lines::new(ups, first);
    let readers = downs.into_iter().enumerate().map(|(line, down)| {
        let reading = read_answers(lines.clone(), line, down);
        lane.spawn("writer", reading).abort_on_drop()
    });
    let readers = readers.collect();
    (lines, readers)
}

/// Lets the streams observe: each belongs to the line that `line_of` names for its index.
pub fn observe(
    lane: &Lane,
    attached: Vec<Attached>,
    lines: &Lines,
    line_of: impl Fn(usize) -> usize,
) -> Readers {
    let readers = attached.into_iter().enumerate().map(|(at, attached)| {
        let reading = read_items(lines.clone(), line_of(at), attached);
        lane.spawn("observer", reading).abort_on_drop()
    });
    readers.collect()
}

async fn read_answers(lines: Lines, line: usize, mut down: Streaming<api::AttachResponse>) {
    use attach_response::Response;
    loop {
        let response = match down.message().await {
            Ok(Some(message)) => message.response,
            Ok(None) => return lines.fail("a stream ended".to_owned()),
            Err(status) => return lines.fail(format!("a stream broke: {status}")),
        };
        match response {
            Some(Response::Sent(sent)) => lines.acked(line, &sent),
            Some(Response::Refused(refused)) => {
                let refusal = refused.refusal.unwrap_or_default();
                return lines.fail(format!("a message was refused: {}", refusal.message));
            }
            Some(Response::Interrupted(_)) => lines.fail("the leader lost its quorum".to_owned()),
            Some(Response::Ended(ended)) => {
                return lines.fail(format!("a stream was ended: {:?}", ended.reason()));
            }
            _ => {}
        }
    }
}

async fn read_items(lines: Lines, line: usize, mut attached: Attached) {
    while let Ok(Some(message)) = attached.down.message().await {
        if let Some(attach_response::Response::Item(api::Item {
            content: Some(item::Content::Message(message)),
            ..
        })) = message.response
        {
            lines.received(line, &message.request_id);
        }
    }
    lines.fail("an observer's stream ended".to_owned());
}
