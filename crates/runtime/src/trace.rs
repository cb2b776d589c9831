//! Traces: one request's way through the cluster, as spans that an exporter takes away.
//! Promise: a request that nobody traces costs a look at its headers and, where a trace could begin, one drawn
//! number; spans never wait for the exporter: what it cannot take is dropped and counted.
//! Not here: sending spans anywhere (`node::telemetry`), what a span is called (whoever makes it).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::mailbox::{self, Receiver, Sender};
use crate::measure::Counter;
use crate::{Env, Random};

/// The header and field in which a trace travels, as W3C names it.
pub const TRACEPARENT: &str = "traceparent";
/// The target of spans that say where a log line comes from; on at every level of the log.
pub const LOG_PLACE: &str = "place";
/// Spans that wait for the exporter: at 20,000 traced messages a second of four spans each, a tenth of a
/// second; at the default share of 5 %, two. More are dropped.
const SPANS_MAX: usize = 8_192;
/// A replica that reads its log again shows no entry older than this: it was shown when it was new.
const APPLIED_MS_MAX: u64 = 60_000;

/// A traced request and the span in it that goes on elsewhere. Only what is sampled has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace, not 0.
    pub id: u128,
    /// The span, not 0.
    pub span: u64,
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.id, self.span)
    }
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceParent {
    /// Go on with this trace.
    Sampled(Trace),
    /// Whoever began it decided against it.
    NotSampled,
}

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not of the form 00-<32 hex digits>-<16 hex digits>-<2 hex digits>")]
pub struct BadTraceParent;

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    /// Reads the W3C form; a version that is not known is read as far as it is the same.
    fn from_str(text: &str) -> Result<Self, BadTraceParent> {
        let mut parts = text.split('-');
        let mut next = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits);
            let part = part.filter(|part| part.bytes().all(is_lower_hex));
            part.ok_or(BadTraceParent)
        };
        let version = next(2)?;
        let (id, span, flags) = (next(32)?, next(16)?, next(2)?);
        let known = version == "00";
        if version == "ff" || known && parts.next().is_some() {
            return Err(BadTraceParent);
        }
        let id = u128::from_str_radix(id, 16).map_err(|_| BadTraceParent)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| BadTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| BadTraceParent)?;
        match (id, span) {
            (0, _) | (_, 0) => Err(BadTraceParent),
            _ if flags & 1 == 0 => Ok(Self::NotSampled),
            _ => Ok(Self::Sampled(Trace { id, span })),
        }
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

impl Trace {
    /// The trace that a text goes on with, if it says so.
    pub fn read(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(TraceParent::Sampled(trace)) => Some(trace),
            Ok(TraceParent::NotSampled) | Err(BadTraceParent) => None,
        }
    }

    /// In which what is logged of the request stands, so that its lines name the trace.
    pub fn log_span(&self) -> tracing::Span {
        let trace_id = format!("{:032x}", self.id);
        tracing::error_span!(target: LOG_PLACE, "traced", trace_id)
    }
}

/// What a span is to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Answers a call.
    Server,
    /// Hands something on and does not wait.
    Producer,
    /// Does what was handed on.
    Consumer,
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where it stands.
    pub trace: Trace,
    /// The span before it, in the same trace; 0 for the first.
    pub parent: u64,
    /// What caused it, in another trace.
    pub link: Option<Trace>,
    /// Its name, of few: a method of the API, a part of the way.
    pub name: String,
    /// What it is to the one before.
    pub kind: SpanKind,
    /// Nanoseconds since 1970, by this node's clock.
    pub begun_ns: u64,
    /// Nanoseconds since 1970, by this node's clock.
    pub ended_ns: u64,
    /// What is known beside; nothing that people wrote.
    pub facts: Vec<(&'static str, Fact)>,
    /// Why it failed, in a word that is the same each time.
    pub failed: Option<&'static str>,
}

/// Something known of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A name.
    Text(String),
    /// A number.
    Number(i64),
}

/// Makes spans for one node. Cheap to clone; switched off it does nothing.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Shared>>);

struct Shared {
    random: Random,
    /// Of 2^64 draws, so many begin a trace.
    begin_below: u64,
    spans: Sender<Span>,
    dropped: Counter,
    began: Instant,
    began_ns: u64,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Tracer"
        } else {
            "Tracer(off)"
        })
    }
}

impl Tracer {
    /// One that begins a trace for `millionths` of the requests that come without one, and the spans that an
    /// exporter is to take away.
    pub fn new(env: &Env, millionths: u32) -> (Self, Receiver<Span>) {
        let (spans, ended) = mailbox::bounded("spans", SPANS_MAX);
        let share = u128::from(millionths.min(1_000_000)) << 64;
        let shared = Shared {
            random: env.random.fork(),
            begin_below: u64::try_from(share / 1_000_000).unwrap_or(u64::MAX),
            spans,
            dropped: Counter::default(),
            began: Instant::now(),
            began_ns: env.clock.now_ms().saturating_mul(1_000_000),
        };
        (Self(Some(Arc::new(shared))), ended)
    }

    /// Whether anything is made of spans here.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Spans that the exporter could not take.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |shared| shared.dropped.get())
    }

    /// Begins the span of something that came with this `traceparent`, or with none: then a share of them
    /// begins a trace. `None` where it is not traced.
    pub fn begin(
        &self,
        asked: Option<TraceParent>,
        name: &str,
        kind: SpanKind,
    ) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        match asked {
            Some(TraceParent::NotSampled) => None,
            Some(TraceParent::Sampled(trace)) => Some(shared.child(trace, name, kind)),
            None if shared.random.next_u64() < shared.begin_below => {
                Some(shared.first(Instant::now(), name, kind))
            }
            None => None,
        }
    }

    /// Begins a span after another one of its trace.
    pub fn after(&self, trace: Trace, name: &str, kind: SpanKind) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        Some(shared.child(trace, name, kind))
    }

    /// The span of something that failed and that nobody traced: alone, but kept.
    pub fn late(&self, begun: Instant, name: &str, kind: SpanKind) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        Some(shared.first(begun, name, kind))
    }

    /// The span of an entry's application, begun at `begun`; its trace is its own and names `cause`. Entries of
    /// long ago, by the wall clock of who proposed them, are read again and not shown again.
    pub fn applied(&self, cause: Trace, begun: Instant, wall_ms: u64) -> Option<OpenSpan> {
        let shared = self.0.as_ref()?;
        let now_ms = shared.at_ns(begun) / 1_000_000;
        if wall_ms.saturating_add(APPLIED_MS_MAX) < now_ms {
            return None;
        }
        let mut span = shared.first(begun, "apply", SpanKind::Consumer);
        span.0.link = Some(cause);
        Some(span)
    }
}

impl Shared {
    fn first(self: &Arc<Self>, begun: Instant, name: &str, kind: SpanKind) -> OpenSpan {
        let high = u128::from(self.number());
        let trace = Trace {
            id: high << 64 | u128::from(self.random.next_u64()),
            span: 0,
        };
        self.open(trace, begun, (name, kind))
    }

    fn child(self: &Arc<Self>, after: Trace, name: &str, kind: SpanKind) -> OpenSpan {
        self.open(after, Instant::now(), (name, kind))
    }

    fn open(
        self: &Arc<Self>,
        after: Trace,
        begun: Instant,
        (name, kind): (&str, SpanKind),
    ) -> OpenSpan {
        OpenSpan(Box::new(Open {
            shared: self.clone(),
            trace: Trace {
                id: after.id,
                span: self.number(),
            },
            parent: after.span,
            link: None,
            name: name.to_owned(),
            kind,
            begun,
            facts: Vec::new(),
            failed: None,
        }))
    }

    /// A number that is not 0.
    fn number(&self) -> u64 {
        self.random.next_u64().max(1)
    }

    fn at_ns(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.began_ns.saturating_add(since)
    }
}

/// A span that is on; it ends when it is dropped. Boxed: most calls and acts have room for one and none in it.
#[must_use = "a span ends when it is dropped"]
pub struct OpenSpan(Box<Open>);

struct Open {
    shared: Arc<Shared>,
    trace: Trace,
    parent: u64,
    link: Option<Trace>,
    name: String,
    kind: SpanKind,
    begun: Instant,
    facts: Vec<(&'static str, Fact)>,
    failed: Option<&'static str>,
}

impl fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.0.name, self.0.trace)
    }
}

impl OpenSpan {
    /// What goes on elsewhere.
    pub fn trace(&self) -> Trace {
        self.0.trace
    }

    /// Notes a name: an id of ours, never what people wrote.
    pub fn text(&mut self, key: &'static str, text: impl Into<String>) {
        self.0.facts.push((key, Fact::Text(text.into())));
    }

    /// Notes a number.
    pub fn number(&mut self, key: &'static str, number: u64) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.0.facts.push((key, Fact::Number(number)));
    }

    /// Notes that it failed.
    pub fn fail(&mut self, why: &'static str) {
        self.0.failed = Some(why);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let shared = &self.shared;
        let span = Span {
            trace: self.trace,
            parent: self.parent,
            link: self.link,
            name: std::mem::take(&mut self.name),
            kind: self.kind,
            begun_ns: shared.at_ns(self.begun),
            ended_ns: shared.at_ns(Instant::now()),
            facts: std::mem::take(&mut self.facts),
            failed: self.failed,
        };
        if shared.spans.try_send(span).is_err() {
            shared.dropped.count();
        }
    }
}

#[cfg(test)]
#[path = "trace_test.rs"]
mod trace_test;
