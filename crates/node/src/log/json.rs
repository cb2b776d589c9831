//! Log lines as JSON: one object a line, the same keys first in each.
//! Promise: `ts`, `level`, `target` and `message` stand in every line, `site`, `node`, `cell` and `trace_id`
//! where they are known; no key comes twice.
//! Not here: which lines are written (`log`), text for people.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::Place;
use crate::control::CONTROL_NAME;

/// What a line says of where it comes from, after its message.
const CONTEXT: [&str; 4] = ["site", "node", "cell", "trace_id"];
/// What no field of an event may be called, because it stands in every line.
const HEAD: [&str; 4] = ["ts", "level", "target", "message"];
/// Before a field whose name is taken.
const ABOUT: &str = "about_";

/// Writes events as JSON; spans' fields must be formatted as JSON as well.
pub(super) struct JsonLines {
    /// The process's one node; empty names where it is several, whose lanes say it.
    pub(super) place: Place,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let mut known = self.known();
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                known.extend(object(&fields.fields));
            }
        }
        let mut ts = String::new();
        SystemTime.format_time(&mut Writer::new(&mut ts))?;
        let meta = event.metadata();
        write!(out, "{{\"ts\":{}", Value::from(ts))?;
        write!(out, ",\"level\":\"{}\"", meta.level())?;
        write!(out, ",\"target\":{}", Value::from(meta.target()))?;
        write!(out, ",\"message\":{}", Value::from(said.message.as_str()))?;
        said.name_the_cell(&mut known);
        for key in CONTEXT {
            if let Some(value) = known.remove(key) {
                write!(out, ",\"{key}\":{value}")?;
            }
        }
        // What other spans say comes before what the event says of the same name.
        known.extend(said.fields);
        for (key, value) in known {
            write!(out, ",{}:{value}", Value::from(key))?;
        }
        writeln!(out, "}}")
    }
}

impl JsonLines {
    /// What is known before any span is asked.
    fn known(&self) -> Map<String, Value> {
        let named = [("site", &self.place.site), ("node", &self.place.node)];
        let known = named.into_iter().filter(|(_, name)| !name.is_empty());
        known
            .map(|(key, name)| (key.to_owned(), Value::from(name.as_str())))
            .collect()
    }
}

/// The fields of a span as they were formatted.
fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn note(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if name == "message" {
            self.message = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            return;
        }
        let taken = HEAD.contains(&name) || name == "site" || name == "node";
        let name = if taken {
            format!("{ABOUT}{name}")
        } else {
            name.to_owned()
        };
        self.fields.insert(name, value);
    }

    /// Moves what the event says of its cell and trace to where every line has it. A group that is not the
    /// control group is a cell.
    fn name_the_cell(&mut self, known: &mut Map<String, Value>) {
        for key in ["cell", "trace_id"] {
            if let Some(value) = self.fields.remove(key) {
                known.insert(key.to_owned(), value);
            }
        }
        let group = self.fields.get("group").and_then(Value::as_str);
        if group.is_some_and(|group| group != CONTROL_NAME)
            && let Some(cell) = self.fields.remove("group")
        {
            known.insert("cell".to_owned(), cell);
        }
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string fails only if the value itself refuses to be shown: what came is kept.
        let _ = write!(text, "{value:?}");
        self.note(field, Value::from(text));
    }
}
