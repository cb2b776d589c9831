//! Spans in the form of the OpenTelemetry protocol.
//! Promise: ids as W3C orders their bytes; nothing but what the span holds.
//! Not here: sending them (`mod`).

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as Exported, Status, span, status,
};
use runtime::trace::{Fact, Span, SpanKind, Trace};

use crate::config::Config;

/// The trace and its span are recorded: the one flag that W3C has.
const SAMPLED: u32 = 1;

/// Which node the spans are of.
pub(super) fn resource(config: &Config) -> Resource {
    let facts = [
        ("service.name", "antiphon".to_owned()),
        ("service.version", crate::VERSION.to_owned()),
        ("service.instance.id", config.node_name()),
        ("antiphon.site", config.site.name.clone()),
    ];
    Resource {
        attributes: facts
            .map(|(key, text)| fact(key, Fact::Text(text)))
            .to_vec(),
        ..Resource::default()
    }
}

/// One export.
pub(super) fn request(resource: &Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "antiphon".to_owned(),
        version: crate::VERSION.to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: spans.into_iter().map(exported).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn exported(ended: Span) -> Exported {
    let parent = match ended.parent {
        0 => Vec::new(),
        parent => parent.to_be_bytes().to_vec(),
    };
    Exported {
        trace_id: trace_id(ended.trace),
        span_id: ended.trace.span.to_be_bytes().to_vec(),
        parent_span_id: parent,
        flags: SAMPLED,
        name: ended.name,
        kind: kind(ended.kind).into(),
        start_time_unix_nano: ended.begun_ns,
        end_time_unix_nano: ended.ended_ns,
        attributes: ended
            .facts
            .into_iter()
            .map(|(key, value)| fact(key, value))
            .collect(),
        links: ended.link.map(link).into_iter().collect(),
        status: ended.failed.map(|why| Status {
            message: why.to_owned(),
            code: status::StatusCode::Error.into(),
        }),
        ..Exported::default()
    }
}

fn link(cause: Trace) -> span::Link {
    span::Link {
        trace_id: trace_id(cause),
        span_id: cause.span.to_be_bytes().to_vec(),
        flags: SAMPLED,
        ..span::Link::default()
    }
}

fn trace_id(trace: Trace) -> Vec<u8> {
    trace.id.to_be_bytes().to_vec()
}

fn kind(kind: SpanKind) -> span::SpanKind {
    match kind {
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
    }
}

fn fact(key: &str, value: Fact) -> KeyValue {
    let value = match value {
        Fact::Text(text) => any_value::Value::StringValue(text),
        Fact::Number(number) => any_value::Value::IntValue(number),
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
