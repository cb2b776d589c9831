//! What an API listener counts of its calls: how many, how they ended, how long they took.
//! Promise: a traced call has a span, one that failed by our fault always; each call is counted once, when its
//! last word is given or its client has gone, and as what its client was told, also where the listener ended
//! it; a path that is no method of ours is counted under one name, so that nobody can add series.
//! Not here: the page on which it stands (`node::metrics`), messages of streams.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::TryFutureExt;
use futures::future::MapOk;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use runtime::Tracer;
use runtime::measure::{CALL_BOUNDS_US, Counter, Histogram, Kind, Series};
use runtime::trace::{OpenSpan, SpanKind, TRACEPARENT, TraceParent};
use tokio::time::Instant;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

/// Calls by their end.
pub const REQUESTS: Series = Series {
    name: "antiphon_rpc_requests_total",
    kind: Kind::Counter,
    help: "Calls of the public API that have ended, by gRPC code; a stream is one call.",
    labels: &["service", "method", "code"],
};
/// Their time.
pub const DURATION: Series = Series {
    name: "antiphon_rpc_duration_seconds",
    kind: Kind::Histogram,
    help: "Time from a unary call's head to its last word; streams are left out.",
    labels: &["service", "method"],
};
/// Streams now.
pub const OPEN_STREAMS: Series = Series {
    name: "antiphon_rpc_open_streams",
    kind: Kind::Gauge,
    help: "Streams of customers, agents and floors that are open.",
    labels: &[],
};

/// How a call ended, as gRPC writes it.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// The name of what is no method of ours.
const OTHER: &str = "other";

/// One method of the API.
#[derive(Debug)]
pub struct Method {
    /// `antiphon.api.v1.ConversationService`.
    pub service: String,
    /// `Send`.
    pub method: String,
    path: String,
    ended: [Counter; CODES.len()],
    /// Times of a unary method; none for a stream.
    pub took: Option<Histogram>,
}

impl Method {
    fn new(service: &str, method: &str, is_unary: bool) -> Self {
        Self {
            service: service.to_owned(),
            method: method.to_owned(),
            path: format!("/{service}/{method}"),
            ended: Default::default(),
            took: is_unary.then(|| Histogram::new(CALL_BOUNDS_US)),
        }
    }

    /// Calls that ended, by the name of the code; codes that never came are left out.
    pub fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.ended.iter().map(Counter::get);
        CODES
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }
}

/// The calls of an API listener.
#[derive(Debug)]
pub struct RpcMetrics {
    /// By path.
    methods: Vec<Method>,
    other: Method,
}

impl RpcMetrics {
    /// Nothing counted yet, for every method of the schema.
    ///
    /// # Errors
    /// When the schema that was compiled in cannot be read.
    pub fn new() -> Result<Self, prost::DecodeError> {
        let schema = FileDescriptorSet::decode(pb::DESCRIPTORS)?;
        let public = schema
            .file
            .iter()
            .filter(|file| file.package() == crate::server::PUBLIC_PACKAGE);
        let mut methods = Vec::new();
        for file in public {
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                methods.extend(service.method.iter().map(|method| {
                    let is_unary = !method.client_streaming() && !method.server_streaming();
                    Method::new(&name, method.name(), is_unary)
                }));
            }
        }
        methods.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self {
            methods,
            other: Method::new(OTHER, OTHER, false),
        })
    }

    /// Every method, and what is none.
    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().chain([&self.other])
    }

    /// Counts a call that was answered before any service heard of it.
    pub fn refused(&self, path: &str, code: Code) {
        let method = self.at(self.find(path));
        if let Some(count) = method.ended.get(code as usize) {
            count.count();
        }
    }

    /// Where the method of a path stands.
    fn find(&self, path: &str) -> Option<usize> {
        self.methods
            .binary_search_by(|method| method.path.as_str().cmp(path))
            .ok()
    }

    fn at(&self, found: Option<usize>) -> &Method {
        found.map_or(&self.other, |at| &self.methods[at])
    }
}

/// What a listener answers to a call in place of its service. It travels in the request's extensions and is
/// given before the service is dropped; without it a dropped call is one that its client gave up.
#[derive(Debug, Clone, Default)]
pub struct Verdict(Arc<OnceLock<Code>>);

impl Verdict {
    /// Says how the call ends. The first word counts.
    pub fn give(&self, code: Code) {
        // A second word changes nothing.
        let _ = self.0.set(code);
    }

    fn given(&self) -> Option<Code> {
        self.0.get().copied()
    }
}

/// Counts the calls of the services that it wraps, and shows those that are traced.
#[derive(Debug, Clone)]
pub(crate) struct CountedLayer {
    pub(crate) metrics: Arc<RpcMetrics>,
    pub(crate) tracer: Tracer,
}

impl<S> Layer<S> for CountedLayer {
    type Service = CountedService<S>;

    fn layer(&self, inner: S) -> CountedService<S> {
        CountedService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose calls are counted and not traced.
pub fn counted<S>(metrics: Arc<RpcMetrics>, service: S) -> CountedService<S> {
    let tracer = Tracer::default();
    CountedLayer { metrics, tracer }.layer(service)
}

/// Services whose calls are counted.
#[derive(Debug, Clone)]
pub struct CountedService<S> {
    inner: S,
    layer: CountedLayer,
}

type Watch<B> = Box<dyn FnOnce(Response<B>) -> Response<CountedBody<B>> + Send>;

impl<S, A, B> Service<Request<A>> for CountedService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = MapOk<S::Future, Watch<B>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        // Counted as cancelled if the call is dropped before it is answered.
        let mut call = Call::begin(&self.layer, request.uri().path(), request.headers());
        call.verdict = request.extensions().get().cloned();
        // What comes after goes on with our span.
        if let Some(span) = &call.span
            && let Ok(ours) = HeaderValue::try_from(span.trace().to_string())
        {
            request.headers_mut().insert(TRACEPARENT, ours);
        }
        self.inner.call(request).map_ok(Box::new(move |response| {
            call.heard(response.headers());
            response.map(|body| CountedBody { body, call })
        }))
    }
}

/// What headers say of a trace; a text that is no `traceparent` says nothing.
pub(crate) fn asked(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
}

/// A call that is counted once.
#[derive(Debug)]
struct Call {
    layer: CountedLayer,
    method: Option<usize>,
    begun: Instant,
    counted: bool,
    /// Whether it came with a word about being traced.
    was_asked: bool,
    /// What the listener may say in place of the service.
    verdict: Option<Verdict>,
    /// Its span, if it is a unary call and traced. The messages of a stream have one each.
    span: Option<OpenSpan>,
}

impl Call {
    fn begin(layer: &CountedLayer, path: &str, headers: &HeaderMap) -> Self {
        let method = layer.metrics.find(path);
        let mut call = Self {
            layer: layer.clone(),
            method,
            begun: Instant::now(),
            counted: false,
            was_asked: false,
            verdict: None,
            span: None,
        };
        if layer.tracer.is_on() && layer.metrics.at(method).took.is_some() {
            let asked = asked(headers);
            call.was_asked = asked.is_some();
            call.span = layer.tracer.begin(asked, path, SpanKind::Server);
        }
        call
    }

    /// Counts the call if these headers or trailers say how it ended.
    fn heard(&mut self, headers: &HeaderMap) {
        if let Some(status) = Status::from_header_map(headers) {
            self.end(status.code());
        }
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.counted, true) {
            return;
        }
        let metrics = self.layer.metrics.clone();
        let method = metrics.at(self.method);
        if let Some(count) = method.ended.get(code as usize) {
            count.count();
        }
        if let Some(took) = &method.took {
            took.count(self.begun.elapsed());
            self.end_span(code, method);
        }
    }

    /// Ends the span. A call that failed by our fault has one also if it was not drawn.
    fn end_span(&mut self, code: Code, method: &Method) {
        let is_ours = matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        let tracer = &self.layer.tracer;
        let mut span = self.span.take();
        if span.is_none() && is_ours && !self.was_asked {
            span = tracer.late(self.begun, &method.path, SpanKind::Server);
        }
        if let Some(span) = &mut span {
            let name = CODES.get(code as usize).copied().unwrap_or(OTHER);
            span.text("rpc.response.status_code", name);
            if is_ours {
                span.fail(name);
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let verdict = self.verdict.as_ref().and_then(Verdict::given);
        self.end(verdict.unwrap_or(Code::Cancelled));
    }
}

/// A response whose trailers are looked at.
#[derive(Debug)]
pub struct CountedBody<B> {
    body: B,
    call: Call,
}

impl<B: http_body::Body + Unpin> http_body::Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(trailers) = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok()?.trailers_ref())
        {
            self.call.heard(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "metrics_test.rs"]
mod metrics_test;
