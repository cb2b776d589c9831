//! Options: the bounds of calls, connections and retries.
//! Promise: each has a unit, a default and an upper bound that holds whatever is asked for.
//! Not here: what happens when a bound is reached (`call`, `link`).

use std::time::Duration;

/// A call with all its retries ends within this time.
pub const CALL_BUDGET_DEFAULT: Duration = Duration::from_secs(15);
/// Retries end for good: servers forget request ids after 10 minutes, so a copy cannot come later.
pub const RETRY_FOR_MAX: Duration = Duration::from_secs(120);
/// A node on another continent answers a SYN within 0.4 s, with one loss within 1.4 s.
pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_millis(1_500);
/// HTTP/2 ping while a stream or call is open.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// A ping without answer for this long ends the connection.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Servers allow 256 streams on a connection; one connection is one flow-control window.
const STREAMS_PER_CONNECTION: usize = 100;
/// 25,600 streams to one endpoint: ten thousand customers of a load generator, twice over.
const CONNECTIONS_PER_ENDPOINT: usize = 256;

/// How a client calls and retries.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time for one call with its retries; at most [`RETRY_FOR_MAX`].
    pub call_budget: Duration,
    /// Time for one attempt; then another endpoint is asked with the same request id.
    pub attempt_timeout: Duration,
    /// Time for a connection to come up.
    pub connect_timeout: Duration,
    /// The first pause between attempts is drawn from zero to this.
    pub backoff_base: Duration,
    /// No pause is drawn from a wider range than zero to this.
    pub backoff_cap: Duration,
    /// Time without a working stream after which a stream gives up; at most [`RETRY_FOR_MAX`].
    pub retry_for: Duration,
    /// Streams and calls on one connection; more open another connection.
    pub streams_per_connection: usize,
    /// Connections to one endpoint; beyond them streams share.
    pub connections_per_endpoint: usize,
    /// Also use the endpoints that the cluster names.
    pub learn_endpoints: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            call_budget: CALL_BUDGET_DEFAULT,
            attempt_timeout: Duration::from_secs(4),
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            backoff_base: Duration::from_millis(50),
            backoff_cap: Duration::from_secs(2),
            retry_for: RETRY_FOR_MAX,
            streams_per_connection: STREAMS_PER_CONNECTION,
            connections_per_endpoint: CONNECTIONS_PER_ENDPOINT,
            learn_endpoints: true,
        }
    }
}

impl Options {
    /// The same within the upper bounds.
    pub(crate) fn bounded(mut self) -> Self {
        self.call_budget = self.call_budget.min(RETRY_FOR_MAX);
        self.retry_for = self.retry_for.min(RETRY_FOR_MAX);
        self.attempt_timeout = self.attempt_timeout.min(RETRY_FOR_MAX);
        self.streams_per_connection = self
            .streams_per_connection
            .clamp(1, STREAMS_PER_CONNECTION * 2);
        self.connections_per_endpoint = self
            .connections_per_endpoint
            .clamp(1, CONNECTIONS_PER_ENDPOINT);
        self
    }
}
