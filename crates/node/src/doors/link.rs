//! The kept connection from this node's edge to one peer.
//! Promise: it is dialled anew with a jittered pause until it is dropped or the node stops; nothing
//! is carried before both sides have said who they are.
//! Not here: what is carried (`conn`), the other end (`serve`).

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use pb::raft::v1::{
    ForwardHello, ForwardRequest, ForwardResponse, ForwardWindow, forward_request, forward_response,
};
use raft::Directory;
use rpc::raft::v1::forward_service_client::ForwardServiceClient;
use runtime::{Env, Network, Purpose, Stop};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint, Uri};

use super::conn::Conn;
use super::credit::WINDOW;

/// Frames that wait for the connection; full means that senders wait.
const OUT_FRAMES_MAX: usize = 4_096;
/// The largest frame: an answer of the API is at most 16 MiB.
pub(super) const FRAME_BYTES_MAX: usize = 17 * 1024 * 1024;
/// Bytes on the way in one connection: a busy edge on a link of 250 ms.
pub(super) const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Dialling and hello: TCP, HTTP/2 and hello need three round trips of at most 250 ms.
const DIAL_DEADLINE: Duration = Duration::from_secs(2);
/// Pause after a failed attempt.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// Pause after many failed attempts in a row: a peer that restarts should be found soon.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Who speaks.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub(crate) cluster_id: String,
    pub(crate) node_id: u64,
}

/// Keeps one peer connected.
pub(super) struct Link {
    state: watch::Receiver<Option<Arc<Conn>>>,
}

impl Link {
    pub(super) fn start(
        env: &Env,
        speaker: Speaker,
        directory: Directory,
        peer: u64,
        stop: Stop,
    ) -> Self {
        let (says, state) = watch::channel(None);
        let keeper = Keeper {
            env: env.clone(),
            speaker,
            directory,
            peer,
            says,
        };
        let keep = async move {
            tokio::select! {
                biased;
                () = stop.stopped() => {}
                // The link and everybody who waited for it are gone.
                () = keeper.says.closed() => {}
                () = keeper.keep() => {}
            }
            if let Some(conn) = keeper.says.send_replace(None) {
                conn.end();
            }
        };
        env.edge.spawn("forward link", keep).detach();
        Self { state }
    }

    /// The open connection, if there is one.
    pub(super) fn conn(&self) -> Option<Arc<Conn>> {
        self.state.borrow().clone().filter(|conn| !conn.is_closed())
    }

    /// Follows whether the peer is connected.
    pub(super) fn state(&self) -> watch::Receiver<Option<Arc<Conn>>> {
        self.state.clone()
    }
}

struct Keeper {
    env: Env,
    speaker: Speaker,
    directory: Directory,
    peer: u64,
    says: watch::Sender<Option<Arc<Conn>>>,
}

struct Opened {
    out: mpsc::Sender<ForwardRequest>,
    incoming: Streaming<ForwardResponse>,
    /// What the peer takes of each stream.
    window: ForwardWindow,
}

impl Keeper {
    async fn keep(&self) {
        let mut pause = PAUSE_MIN;
        let mut told = None;
        loop {
            match tokio::time::timeout(DIAL_DEADLINE, self.open()).await {
                Ok(Ok(opened)) => {
                    pause = PAUSE_MIN;
                    told = None;
                    self.serve(opened).await;
                }
                Ok(Err(reason)) => self.tell_once(&mut told, reason),
                Err(_) => self.tell_once(&mut told, "no answer in time".to_owned()),
            }
            tokio::time::sleep(self.env.random.jitter(pause, 0.5)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Logs a failure when it is another one than the last.
    fn tell_once(&self, told: &mut Option<String>, reason: String) {
        if told.as_ref() != Some(&reason) {
            tracing::warn!(
                peer = self.peer,
                reason,
                "the forward connection to a peer is down"
            );
            *told = Some(reason);
        }
    }

    async fn open(&self) -> Result<Opened, String> {
        let address = self
            .directory
            .address(self.peer)
            .ok_or("no address is known")?;
        let channel = channel(Arc::clone(&self.env.network), address)
            .await
            .map_err(|error| root_cause(&error))?;
        let mut client = ForwardServiceClient::new(channel)
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX);
        let (out, frames) = mpsc::channel(OUT_FRAMES_MAX);
        out.try_send(self.hello())
            .map_err(|error| error.to_string())?;
        let answered = client.forward(ReceiverStream::new(frames)).await;
        let mut incoming = answered
            .map_err(|status| status.message().to_owned())?
            .into_inner();
        let first = incoming
            .message()
            .await
            .map_err(|status| status.message().to_owned())?;
        match first.and_then(|response| response.frame) {
            Some(forward_response::Frame::Hello(hello))
                if hello.from_node == self.peer && hello.cluster_id == self.speaker.cluster_id =>
            {
                let window = hello.window;
                let window = window.ok_or("it did not say how much of a stream it takes")?;
                Ok(Opened {
                    out,
                    incoming,
                    window,
                })
            }
            Some(forward_response::Frame::Hello(hello)) => Err(format!(
                "it answered as node {} of cluster {}",
                hello.from_node, hello.cluster_id
            )),
            _ => Err("it did not say who it is".to_owned()),
        }
    }

    fn hello(&self) -> ForwardRequest {
        let hello = ForwardHello {
            cluster_id: self.speaker.cluster_id.clone(),
            from_node: self.speaker.node_id,
            to_node: self.peer,
            window: Some(WINDOW),
        };
        ForwardRequest {
            call: 0,
            frame: Some(forward_request::Frame::Hello(hello)),
        }
    }

    /// Delivers answers until the connection ends.
    async fn serve(&self, opened: Opened) {
        let conn = Conn::new(opened.out, opened.window);
        self.says.send_replace(Some(Arc::clone(&conn)));
        tokio::select! {
            biased;
            () = conn.cut.notified() => {}
            () = receive(&conn, opened.incoming) => {}
            () = conn.tell() => {}
        }
        self.says.send_replace(None);
        conn.end();
    }
}

async fn receive(conn: &Conn, mut incoming: Streaming<ForwardResponse>) {
    while let Ok(Some(response)) = incoming.message().await {
        conn.deliver(response);
    }
}

/// An HTTP/2 connection of its own to another node's services of the lane `edge`.
pub(crate) async fn channel(
    network: Arc<dyn Network>,
    address: String,
) -> Result<Channel, tonic::transport::Error> {
    connect(network, address, Some(Purpose::Forwarding)).await
}

/// An HTTP/2 connection; a client's says no purpose.
pub(crate) async fn connect(
    network: Arc<dyn Network>,
    address: String,
    purpose: Option<Purpose>,
) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_static("http://peer")
        .http2_keep_alive_interval(raft::KEEPALIVE_EVERY)
        .keep_alive_timeout(raft::KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let network = Arc::clone(&network);
            let address = address.clone();
            async move {
                let dialled = match purpose {
                    Some(purpose) => purpose.dial(&*network, &address).await,
                    None => network.dial(&address).await,
                };
                dialled.map(TokioIo::new)
            }
        }))
        .await
}

/// The innermost reason; tonic's own text says only "transport error".
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
