//! Links: one bidirectional stream that is opened again at another endpoint whenever it breaks.
//! Promise: one stream at a time; opening, first answer and the time without a working stream are
//! bounded; what is said on the stream is the caller's.
//! Not here: what is resumed and sent again (`attach`, `desk`).

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::backoff::Backoff;
use crate::call::{Core, moves_on};
use crate::error::{CallError, Kind};
use crate::pool::{Lease, Wish};

/// A stream that is being opened.
pub(crate) type Opening<D> = BoxFuture<'static, Result<Response<Streaming<D>>, Status>>;
/// Opens a stream on a connection; the receiver is what goes up.
pub(crate) type Open<U, D> = fn(Channel, Request<ReceiverStream<U>>) -> Opening<D>;

/// One stream, opened again and again.
pub(crate) struct Link<U, D> {
    core: Arc<Core>,
    open: Open<U, D>,
    /// Messages that may wait for the connection.
    queue: usize,
    phase: Phase<U, D>,
    backoff: Backoff,
    wish: Wish,
    /// Since when no stream works; none while one does.
    down_since: Option<Instant>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "one a stream, and open most of its life"
)]
enum Phase<U, D> {
    Waiting {
        until: Instant,
    },
    Opening {
        lease: Lease,
        up: mpsc::Sender<U>,
        opening: Opening<D>,
        by: Instant,
    },
    Open {
        lease: Lease,
        up: mpsc::Sender<U>,
        down: Streaming<D>,
        /// The first answer is due by then; none once the caller is content.
        welcome_by: Option<Instant>,
    },
}

impl<U, D> Link<U, D>
where
    U: Send + 'static,
    D: Send + 'static,
{
    pub(crate) fn new(core: Arc<Core>, queue: usize, open: Open<U, D>) -> Self {
        let backoff = Backoff::new(&core.options);
        let now = Instant::now();
        Self {
            core,
            open,
            queue,
            phase: Phase::Waiting { until: now },
            backoff,
            wish: Wish::default(),
            down_since: Some(now),
        }
    }

    /// The next message, or why the stream broke; then the next call opens another one, whose first
    /// message up is `begin`. May be dropped at any await and called again.
    pub(crate) async fn next(&mut self, begin: impl Fn() -> U) -> Result<D, CallError> {
        loop {
            match &mut self.phase {
                Phase::Waiting { until } => {
                    sleep_until(*until).await;
                    self.begin(begin());
                }
                Phase::Opening { opening, by, .. } => {
                    let opened = timeout_at(*by, opening).await;
                    let error = match opened {
                        Ok(Ok(answer)) => {
                            self.opened(answer.into_inner());
                            continue;
                        }
                        Ok(Err(status)) => CallError::from_status(&status),
                        Err(_) => self.silent(),
                    };
                    return Err(self.broke(error));
                }
                Phase::Open {
                    down, welcome_by, ..
                } => {
                    let heard = match welcome_by {
                        Some(by) => timeout_at(*by, down.message()).await,
                        None => Ok(down.message().await),
                    };
                    let error = match heard {
                        Ok(Ok(Some(message))) => return Ok(message),
                        Ok(Ok(None)) => {
                            CallError::local(Kind::OutcomeUnknown, "the server ended the stream")
                        }
                        Ok(Err(status)) => CallError::from_status(&status),
                        Err(_) => self.silent(),
                    };
                    return Err(self.broke(error));
                }
            }
        }
    }

    fn begin(&mut self, first: U) {
        let lease = self.core.pool.pick(&self.wish);
        let (up, waiting) = mpsc::channel(self.queue.max(1));
        if up.try_send(first).is_err() {
            tracing::error!("an empty queue took no message");
        }
        let asked = self.core.request(ReceiverStream::new(waiting));
        let opening = (self.open)(lease.channel.clone(), asked);
        self.phase = Phase::Opening {
            lease,
            up,
            opening,
            by: Instant::now() + self.core.options.attempt_timeout,
        };
    }

    fn opened(&mut self, down: Streaming<D>) {
        let until = Instant::now();
        match std::mem::replace(&mut self.phase, Phase::Waiting { until }) {
            Phase::Opening { lease, up, by, .. } => {
                self.phase = Phase::Open {
                    lease,
                    up,
                    down,
                    welcome_by: Some(by),
                };
            }
            other => self.phase = other,
        }
    }

    fn silent(&self) -> CallError {
        let address = self.address().unwrap_or("the endpoint");
        let patience = self.core.options.attempt_timeout;
        let message = format!("{address} did not answer within {patience:?}");
        CallError::local(Kind::OutcomeUnknown, message)
    }

    /// The server has accepted the stream: from now on it may be silent.
    pub(crate) fn welcomed(&mut self) {
        if let Phase::Open {
            lease, welcome_by, ..
        } = &mut self.phase
        {
            *welcome_by = None;
            self.core.pool.worked(lease);
            self.backoff.reset();
            self.wish = Wish::default();
            self.down_since = None;
        }
    }

    /// Gives the present stream up for `error` and opens another one after a pause.
    pub(crate) fn broke(&mut self, error: CallError) -> CallError {
        let now = Instant::now();
        self.down_since.get_or_insert(now);
        if let Phase::Opening { lease, .. } | Phase::Open { lease, .. } = &self.phase {
            if error.blames_endpoint() {
                self.core.pool.failed(lease);
            }
            self.wish = Wish {
                leader: error.leader_hint().map(str::to_owned),
                avoid: moves_on(&error).then(|| lease.address.clone()),
            };
        }
        let pause = self.backoff.next(&self.core.seams, error.retry_after);
        self.phase = Phase::Waiting { until: now + pause };
        error
    }

    /// Whether no stream has worked for so long that the caller should give up.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.down_since
            .is_some_and(|since| since.elapsed() >= self.core.options.retry_for)
    }

    /// Sends up; false when there is no stream or its queue is full.
    pub(crate) fn send(&self, message: U) -> bool {
        match &self.phase {
            Phase::Open { up, .. } => up.try_send(message).is_ok(),
            Phase::Opening { .. } | Phase::Waiting { .. } => false,
        }
    }

    /// The endpoint in use.
    pub(crate) fn address(&self) -> Option<&str> {
        match &self.phase {
            Phase::Waiting { .. } => None,
            Phase::Opening { lease, .. } | Phase::Open { lease, .. } => Some(&lease.address),
        }
    }
}
