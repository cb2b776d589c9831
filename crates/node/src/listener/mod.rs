//! A listener of the node: its own accept loop, the limits that the libraries leave open, a drain
//! that ends.
//! Promise: the number of connections, of their streams and of their calls is bounded; a
//! connection that says nothing is closed; a connection between nodes is served by the lane of its
//! purpose and reaches the services of that lane alone; at the drain's deadline nothing is left.
//! Not here: the services (`api`, `raft`, `doors::serve`).

mod preface;

#[cfg(test)]
mod lanes_test;
#[cfg(test)]
mod listener_test;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::metrics::{RpcMetrics, Verdict};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use runtime::{BoxConn, Lane, Listener, Purpose, PurposeError, Random, Stop, StopSource};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

use self::preface::{Prefaced, Spoken};

/// Pause after an accept that failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two warnings of connections that are no nodes of this version: each dials again and again.
const REFUSED_TOLD_EVERY: Duration = Duration::from_secs(10);
/// Spread of a connection's age, so that clients do not come back all at once.
const AGE_SPREAD: f64 = 0.1;
/// Age of a connection of the admin listener: a monitor keeps one.
const ADMIN_AGE: Duration = Duration::from_secs(3_600);
/// Bytes that one connection may have on its way out.
const SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// The bounds of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// HTTP/2 streams of one connection.
    pub(crate) streams: u32,
    /// Calls of one connection under way; streams count until they have begun.
    pub(crate) calls: usize,
    /// How long a call may take with the reading of its request, before a stream has begun.
    pub(crate) call_wait: Duration,
    /// Resets by our own errors before a connection is closed.
    pub(crate) local_resets: usize,
    /// Bytes of a request's header list.
    pub(crate) header_bytes: u32,
    /// Flow-control window of a stream and of a connection, bytes.
    pub(crate) window_bytes: u32,
    /// HTTP/2 ping to a silent client.
    pub(crate) keepalive_every: Duration,
    /// Without an answer for this long it is gone.
    pub(crate) keepalive_wait: Duration,
    /// From accepting until the client has said which protocol it speaks.
    pub(crate) handshake_wait: Duration,
    /// A connection is asked to be made anew after this.
    pub(crate) age: Option<Duration>,
}

impl Bounds {
    /// For clients.
    pub(crate) fn api(connections: usize, age: Duration) -> Self {
        Self {
            connections,
            streams: api::limits::SERVER_STREAMS_PER_CONNECTION,
            calls: api::limits::SERVER_CALLS_PER_CONNECTION,
            call_wait: api::limits::SERVER_CALL_WAIT,
            local_resets: api::limits::SERVER_LOCAL_RESETS_MAX,
            header_bytes: api::limits::SERVER_HEADER_BYTES_MAX,
            window_bytes: 1024 * 1024,
            keepalive_every: api::limits::SERVER_KEEPALIVE_EVERY,
            keepalive_wait: api::limits::SERVER_KEEPALIVE_WAIT,
            handshake_wait: api::limits::SERVER_HANDSHAKE_WAIT,
            age: Some(age),
        }
    }

    /// For a monitor or two and a person who looks: a page each.
    pub(crate) fn admin() -> Self {
        Self {
            connections: 16,
            streams: 4,
            calls: 4,
            header_bytes: 8 * 1024,
            window_bytes: 64 * 1024,
            ..Self::api(16, ADMIN_AGE)
        }
    }

    /// For other nodes: four connections from each of 64, and as many that are ending.
    pub(crate) fn peers() -> Self {
        Self {
            connections: 512,
            streams: 1_024,
            calls: 1_024,
            call_wait: api::limits::SERVER_CALL_WAIT,
            local_resets: 256,
            header_bytes: 16 * 1024,
            window_bytes: 8 * 1024 * 1024,
            keepalive_every: raft::KEEPALIVE_EVERY,
            keepalive_wait: raft::KEEPALIVE_TIMEOUT,
            handshake_wait: Duration::from_secs(5),
            age: None,
        }
    }
}

/// The bounds that may change while a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Connections at a time; those above it that are open already go on.
    pub(crate) connections: usize,
    /// A connection that is accepted from now on is asked to be made anew after this.
    pub(crate) age: Option<Duration>,
}

/// Connections of any listener: the largest value of `limits.connections`.
const CONNECTIONS_MAX: usize = 65_536;

/// A listener that serves.
pub(crate) struct Server {
    connections: Arc<Semaphore>,
    room: watch::Sender<Room>,
    accepting: StopSource,
    leaving: StopSource,
    cutting: StopSource,
}

/// Services and the lane that serves them: connections, frames and calls.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) routes: Routes,
    /// Where calls are counted that the listener answers itself; the services count the others.
    pub(crate) calls: Option<Arc<RpcMetrics>>,
    pub(crate) lane: Lane,
}

/// Who connects to a listener.
pub(crate) enum Callers {
    /// Clients.
    Clients(Served),
    /// Other nodes, whose connections say what they are for.
    Nodes {
        /// Taken by the lane that accepts.
        consensus: Served,
        /// Moved to their own lane before anything is decoded: clients' load stays there.
        forwarding: Served,
    },
}

impl Callers {
    /// The lane that accepts.
    fn accepting(&self) -> &Lane {
        match self {
            Self::Clients(served) => &served.lane,
            Self::Nodes { consensus, .. } => &consensus.lane,
        }
    }
}

struct Shared {
    callers: Callers,
    bounds: Bounds,
    room: watch::Receiver<Room>,
    random: Random,
    leaving: Stop,
    cutting: Stop,
    /// When a connection was last refused with a warning.
    told: Mutex<Option<Instant>>,
}

impl Server {
    /// Serves `callers` on `listener`.
    pub(crate) fn start(
        listener: Box<dyn Listener>,
        callers: Callers,
        bounds: Bounds,
        random: &Random,
    ) -> Self {
        let (accepting, leaving, cutting) =
            (StopSource::new(), StopSource::new(), StopSource::new());
        let room = watch::Sender::new(Room {
            connections: bounds.connections,
            age: bounds.age,
        });
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let shared = Arc::new(Shared {
            callers,
            bounds,
            room: room.subscribe(),
            random: random.fork(),
            leaving: leaving.token(),
            cutting: cutting.token(),
            told: Mutex::default(),
        });
        let lane = shared.callers.accepting().clone();
        let accept = accept(listener, shared, connections.clone(), accepting.token());
        lane.spawn("accept", accept).detach();
        Self {
            connections,
            room,
            accepting,
            leaving,
            cutting,
        }
    }

    /// Goes on with these bounds.
    pub(crate) fn adjust(&self, room: Room) {
        self.room.send_replace(room);
    }

    /// Takes no further connections.
    pub(crate) fn stop_accepting(&self) {
        self.accepting.stop();
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        CONNECTIONS_MAX - self.connections.available_permits()
    }

    /// Asks every connection to finish what is under way, and cuts at `until` what is left.
    pub(crate) async fn drain(&self, until: Instant) {
        self.stop_accepting();
        self.leaving.stop();
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        if timeout_at(until, self.connections.acquire_many(all))
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.open(),
                "connections are cut at the drain's deadline"
            );
        }
        self.cut();
    }

    /// Drops every connection.
    pub(crate) fn cut(&self) {
        self.accepting.stop();
        self.cutting.stop();
    }
}

async fn accept(
    mut listener: Box<dyn Listener>,
    shared: Arc<Shared>,
    open: Arc<Semaphore>,
    stop: Stop,
) {
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        let (connection, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // No other task takes permits, so that the count holds until this one is taken.
        let limit = shared.room.borrow().connections.min(CONNECTIONS_MAX);
        let has_room = CONNECTIONS_MAX - open.available_permits() < limit;
        let permit = match has_room {
            true => open.clone().try_acquire_owned().ok(),
            false => None,
        };
        let Some(permit) = permit else {
            if !full {
                tracing::warn!(limit, "further connections are closed at once");
            }
            full = true;
            continue;
        };
        full = false;
        let by = Instant::now() + shared.bounds.handshake_wait;
        let arrived = Arrived {
            connection,
            from,
            by,
            shared: shared.clone(),
            permit,
        };
        let lane = shared.callers.accepting();
        match &shared.callers {
            Callers::Clients(served) => lane.spawn("connection", arrived.serve(served.clone())),
            Callers::Nodes { .. } => lane.spawn("connection of a node", arrived.sort()),
        }
        .detach();
    }
}

/// A connection that has said nothing yet.
struct Arrived {
    connection: BoxConn,
    from: SocketAddr,
    /// It must have said what it speaks by then.
    by: Instant,
    shared: Arc<Shared>,
    permit: OwnedSemaphorePermit,
}

impl Arrived {
    /// Hears what a node's connection is for and hands it to the lane of that.
    async fn sort(mut self) {
        let Callers::Nodes {
            consensus,
            forwarding,
        } = &self.shared.callers
        else {
            return;
        };
        let (consensus, forwarding) = (consensus.clone(), forwarding.clone());
        let cutting = self.shared.cutting.clone();
        let heard = tokio::select! {
            biased;
            () = cutting.stopped() => return,
            heard = timeout_at(self.by, Purpose::of(&mut self.connection)) => heard,
        };
        match heard {
            Ok(Ok(Purpose::Consensus)) => self.serve(consensus).await,
            Ok(Ok(Purpose::Forwarding)) => {
                let lane = forwarding.lane.clone();
                lane.spawn("forward connection", self.move_and_serve(forwarding))
                    .detach();
            }
            Ok(Err(PurposeError::Ended(error))) => {
                tracing::debug!(%error, "a connection ended before it spoke");
            }
            Ok(Err(reason)) => self.shared.refuse(self.from, &reason),
            Err(_) => tracing::debug!("a connection said nothing and is closed"),
        }
    }

    async fn move_and_serve(mut self, served: Served) {
        match self.connection.moved_here() {
            Ok(connection) => self.connection = connection,
            Err(error) => {
                tracing::warn!(%error, "a connection could not change its lane and is closed");
                return;
            }
        }
        self.serve(served).await;
    }

    async fn serve(self, served: Served) {
        let Self {
            connection,
            by,
            shared,
            permit,
            ..
        } = self;
        let spoken = timeout_at(by, preface::read(connection));
        let cutting = shared.cutting.clone();
        tokio::select! {
            biased;
            () = cutting.stopped() => {}
            spoken = spoken => match spoken {
                Ok(Ok((Spoken::Http2, connection))) => {
                    serve_http2(connection, &shared, served).await;
                }
                Ok(Ok((Spoken::Http1, connection))) => {
                    serve_http1(connection, &shared, served).await;
                }
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended before it spoke"),
                Err(_) => tracing::debug!("a connection said nothing and is closed"),
            },
        }
        drop(permit);
    }
}

impl Shared {
    /// Says why a connection to the port for nodes is closed.
    fn refuse(&self, from: SocketAddr, reason: &PurposeError) {
        let now = Instant::now();
        let mut told = self.told.lock();
        if told.is_none_or(|told| now >= told + REFUSED_TOLD_EVERY) {
            *told = Some(now);
            tracing::warn!(%from, %reason, "a connection to the port for nodes is refused");
        } else {
            tracing::debug!(%from, %reason, "a connection to the port for nodes is refused");
        }
    }
}

/// What is asked of a connection from outside.
enum Asked {
    /// The node leaves, or the connection is old: it ends when what is under way is done.
    Leave,
    /// It ends now.
    Cut,
}

/// What may be asked of a connection. Only what has come is looked at: each wait by itself takes a lock that
/// all connections share whenever it is polled, and a busy connection is polled for every frame.
fn asked(shared: &Shared) -> FuturesUnordered<BoxFuture<'_, Asked>> {
    let cut = shared.cutting.stopped().map(|()| Asked::Cut);
    let leave = shared.leaving.stopped().map(|()| Asked::Leave);
    let old = age(shared).map(|()| Asked::Leave);
    [cut.boxed(), leave.boxed(), old.boxed()]
        .into_iter()
        .collect()
}

/// Drives a connection until it ends; asks it to end when the node leaves or it is old.
macro_rules! drive {
    ($connection:expr, $shared:expr) => {{
        let mut connection = std::pin::pin!($connection);
        let mut asked = asked($shared);
        let ended = loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => break ended,
                Some(asked) = asked.next() => match asked {
                    Asked::Cut => return,
                    Asked::Leave => connection.as_mut().graceful_shutdown(),
                },
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection broke");
        }
    }};
}

async fn serve_http2(connection: Prefaced, shared: &Arc<Shared>, served: Served) {
    let bounds = &shared.bounds;
    let mut builder = http2::Builder::new(LaneExecutor { lane: served.lane });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_local_error_reset_streams(Some(bounds.local_resets))
        .max_header_list_size(bounds.header_bytes)
        .initial_stream_window_size(bounds.window_bytes)
        .initial_connection_window_size(bounds.window_bytes)
        .keep_alive_interval(Some(bounds.keepalive_every))
        .keep_alive_timeout(bounds.keepalive_wait)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    let answering = Answering::new(served.routes, served.calls, bounds);
    let service = service_fn(move |request| answering.clone().answering(request));
    drive!(
        builder.serve_connection(TokioIo::new(connection), service),
        shared
    );
}

async fn serve_http1(connection: Prefaced, shared: &Arc<Shared>, served: Served) {
    let bounds = &shared.bounds;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.handshake_wait)
        .max_buf_size(64 * 1024);
    let answering = Answering::new(served.routes, served.calls, bounds);
    let service = service_fn(move |request| answering.clone().answering(request));
    drive!(
        builder.serve_connection(TokioIo::new(connection), service),
        shared
    );
}

async fn age(shared: &Shared) {
    let age = shared.room.borrow().age;
    match age {
        Some(age) => tokio::time::sleep(shared.random.jitter(age, AGE_SPREAD)).await,
        None => std::future::pending().await,
    }
}

/// What a call is answered with.
type Answered = Result<Response<Body>, Infallible>;

/// What one connection's calls are answered with.
#[derive(Clone)]
struct Answering {
    routes: Routes,
    counted: Option<Arc<RpcMetrics>>,
    calls: Arc<Semaphore>,
    limit: usize,
    wait: Duration,
}

impl Answering {
    fn new(routes: Routes, counted: Option<Arc<RpcMetrics>>, bounds: &Bounds) -> Self {
        Self {
            routes,
            counted,
            calls: Arc::new(Semaphore::new(bounds.calls)),
            limit: bounds.calls,
            wait: bounds.call_wait,
        }
    }

    /// One call. Boxed: the task of a stream keeps the room that its answer took, for as long as it is on.
    fn answering(self, request: Request<Incoming>) -> BoxFuture<'static, Answered> {
        self.answer(request).boxed()
    }

    /// One call, unless its connection has too many under way. Whoever sends half a request holds nothing
    /// for long.
    async fn answer(mut self, mut request: Request<Incoming>) -> Answered {
        let Ok(_permit) = self.calls.try_acquire() else {
            let refused = api::errors::exhausted("calls of this connection", self.limit);
            let status = api::errors::status(refused);
            if let Some(counted) = &self.counted {
                counted.refused(request.uri().path(), status.code());
            }
            return Ok(status.into_http());
        };
        let verdict = Verdict::default();
        request.extensions_mut().insert(verdict.clone());
        let mut answering = std::pin::pin!(self.routes.call(request));
        match tokio::time::timeout(self.wait, answering.as_mut()).await {
            Ok(answered) => answered,
            Err(_) => {
                let status = api::errors::status(api::errors::outcome_unknown());
                // The service is dropped after this, and counts what the client is told.
                verdict.give(status.code());
                Ok(status.into_http())
            }
        }
    }
}

/// Lets hyper start tasks on a lane.
#[derive(Clone)]
struct LaneExecutor {
    lane: Lane,
}

impl<F> Executor<F> for LaneExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.lane.spawn("http2 stream", future).detach();
    }
}
