//! Traces of a node on their way to a collector.
//! Promise: nothing waits for the collector; what it does not take in time is dropped and counted.
//! Not here: making spans (`runtime::trace`), the protocol's own form (`otlp`); metrics.

mod otlp;

#[cfg(test)]
mod telemetry_test;

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::resource::v1::Resource;
use runtime::mailbox::Receiver;
use runtime::measure::{Counter, Kind, Series};
use runtime::trace::{Span, Tracer};
use runtime::{Env, Network, Stop};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::config::Config;
use crate::error::NodeError;

/// Spans of one export: at 300 bytes each 150 KiB, far below any collector's receive limit of 4 MiB.
const BATCH_MAX: usize = 512;
/// How long a batch waits for more.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// One export.
const EXPORT_WAIT: Duration = Duration::from_secs(5);
/// Pause after an export that failed; spans that come meanwhile wait, as many as `runtime::trace` keeps.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// What waits when the node goes away is exported within this, or not at all.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Spans that a collector has taken.
pub(crate) const SPANS_SENT: Series = Series {
    name: "antiphon_trace_spans_sent_total",
    kind: Kind::Counter,
    help: "Spans that the collector of `telemetry.otlp` has taken.",
    labels: &[],
};
/// Spans that it has not.
pub(crate) const SPANS_DROPPED: Series = Series {
    name: "antiphon_trace_spans_dropped_total",
    kind: Kind::Counter,
    help: "Spans that were dropped because the collector did not take them in time.",
    labels: &[],
};

/// The traces of a node. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Telemetry {
    tracer: Tracer,
    counted: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    sent: Counter,
    dropped: Counter,
}

impl Telemetry {
    /// Begins to export if the configuration names a collector, until `stop` says so; what makes the node's
    /// spans is in the environment that is given back.
    ///
    /// # Errors
    /// When the collector's address cannot be used; nothing is dialled yet.
    pub(crate) fn start(
        config: &Config,
        mut env: Env,
        stop: Stop,
    ) -> Result<(Self, Env), NodeError> {
        if config.telemetry.otlp.is_empty() {
            return Ok((Self::default(), env));
        }
        let channel = channel(&config.telemetry.otlp, env.network.clone())?;
        let (tracer, spans) = Tracer::new(&env, config.telemetry.sample.millionths());
        let telemetry = Self {
            tracer: tracer.clone(),
            counted: Arc::default(),
        };
        let export = Export {
            client: TraceServiceClient::new(channel),
            resource: otlp::resource(config),
            spans,
            counted: telemetry.counted.clone(),
            is_told: false,
        };
        env.edge.spawn("trace export", export.run(stop)).detach();
        env.tracer = tracer;
        Ok((telemetry, env))
    }

    /// Spans that the collector has taken, and spans that were dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let dropped = self.counted.dropped.get() + self.tracer.dropped();
        (self.counted.sent.get(), dropped)
    }
}

/// The way to a collector, dialled through the node's network when it is first needed.
fn channel(address: &str, network: Arc<dyn Network>) -> Result<Channel, NodeError> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(std::io::Error::other)?;
    let connector = tower::service_fn(move |uri: Uri| {
        let network = network.clone();
        async move {
            let host = uri.host().unwrap_or_default();
            let port = uri.port_u16().unwrap_or(OTLP_PORT);
            network
                .dial(&format!("{host}:{port}"))
                .await
                .map(TokioIo::new)
        }
    });
    let endpoint = endpoint.connect_timeout(EXPORT_WAIT);
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// Where collectors listen for OTLP over gRPC.
const OTLP_PORT: u16 = 4_317;

/// Takes spans away.
struct Export {
    client: TraceServiceClient<Channel>,
    resource: Resource,
    spans: Receiver<Span>,
    counted: Arc<Counts>,
    /// That the collector takes nothing was said, and not yet that it does again.
    is_told: bool,
}

impl Export {
    async fn run(mut self, stop: Stop) {
        loop {
            let first = tokio::select! {
                biased;
                () = stop.stopped() => break,
                first = self.spans.recv() => first,
            };
            let Some(first) = first else { return };
            let batch = self.gather(first, &stop).await;
            let count = batch.len();
            if !self.export(batch, EXPORT_WAIT).await {
                (0..count).for_each(|_| self.counted.dropped.count());
                tokio::select! {
                    biased;
                    () = stop.stopped() => break,
                    () = sleep(RETRY_PAUSE) => {}
                }
            }
        }
        let mut last = Vec::new();
        while last.len() < BATCH_MAX
            && let Some(span) = self.spans.try_recv()
        {
            last.push(span);
        }
        if !last.is_empty() {
            self.export(last, LAST_WAIT).await;
        }
    }

    /// A batch that begins with `first`.
    async fn gather(&mut self, first: Span, stop: &Stop) -> Vec<Span> {
        let by = Instant::now() + BATCH_WAIT;
        let mut batch = vec![first];
        while batch.len() < BATCH_MAX {
            let next = tokio::select! {
                biased;
                () = stop.stopped() => return batch,
                next = timeout_at(by, self.spans.recv()) => next,
            };
            match next {
                Ok(Some(span)) => batch.push(span),
                Ok(None) | Err(_) => break,
            }
        }
        batch
    }

    /// Whether the collector took it.
    async fn export(&mut self, batch: Vec<Span>, within: Duration) -> bool {
        let count = batch.len();
        let request = otlp::request(&self.resource, batch);
        let reason = match timeout(within, self.client.export(request)).await {
            Ok(Ok(_)) => {
                (0..count).for_each(|_| self.counted.sent.count());
                if std::mem::take(&mut self.is_told) {
                    tracing::info!("the collector takes traces again");
                }
                return true;
            }
            Ok(Err(status)) => status.message().to_owned(),
            Err(_) => format!("no answer within {within:?}"),
        };
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(reason, "the collector takes no traces; they are dropped");
        }
        false
    }
}
