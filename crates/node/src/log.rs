//! The node's log for people: text or JSON lines on standard error.
//! Promise: each JSON line names site and node where the process is one node.
//! Not here: what is logged; metrics.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{
    Format, FormatEvent, FormatFields, Json, JsonFields, Writer,
};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{Config, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("log.level = \"{level}\" cannot be read: {reason}")]
pub struct LogError {
    /// The value.
    pub level: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What the log lines of a process say of it; empty where it is several nodes.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The site.
    pub site: String,
    /// The node.
    pub node: String,
}

/// A subscriber that writes to `out`; the caller makes it the process's own. `terminal` says
/// whether people read it there.
///
/// # Errors
/// When `log.level` cannot be read.
pub fn subscriber<W>(
    config: &Config,
    place: Place,
    terminal: bool,
    out: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = config.log.level.clone();
    let filter = EnvFilter::try_new(&level).map_err(|error| LogError {
        level,
        reason: error.to_string(),
    })?;
    // What openraft warns of, `raft` says as well, once and in our words.
    let quiet = "openraft=error"
        .parse()
        .ok()
        .filter(|_| !config.log.level.contains("openraft"));
    let filter = quiet.into_iter().fold(filter, EnvFilter::add_directive);
    let json = match config.log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let base = tracing_subscriber::fmt::layer().with_writer(out);
    let layer = if json {
        let lines = Lines {
            inner: Format::default().json().flatten_event(true),
            place,
        };
        base.fmt_fields(JsonFields::new())
            .event_format(lines)
            .boxed()
    } else {
        base.with_ansi(terminal).with_target(false).boxed()
    };
    Ok(Box::new(Registry::default().with(filter).with(layer)))
}

/// JSON lines that begin with site and node.
struct Lines {
    inner: Format<Json>,
    place: Place,
}

impl<S, N> FormatEvent<S, N> for Lines
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
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        if self.place.node.is_empty() {
            return out.write_str(&line);
        }
        // Names hold no control characters, so quoting by `Debug` is quoting by JSON.
        let (site, node) = (&self.place.site, &self.place.node);
        write!(
            out,
            "{{\"site\":{site:?},\"node\":{node:?},{}",
            line.strip_prefix('{').unwrap_or(&line)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_names_site_and_node() {
        let memory = Memory::default();
        let out = memory.clone();
        let place = Place {
            site: "fra".to_owned(),
            node: "fra-n1".to_owned(),
        };
        let subscriber = subscriber(&Config::default(), place, false, move || out.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || tracing::info!(count = 3, "hello"));
        let line = String::from_utf8(memory.0.lock().clone()).unwrap();
        assert!(
            line.starts_with("{\"site\":\"fra\",\"node\":\"fra-n1\",\"timestamp\":"),
            "{line}"
        );
        assert!(line.contains("\"message\":\"hello\",\"count\":3"), "{line}");
    }

    #[test]
    fn a_level_that_cannot_be_read_is_refused() {
        let mut config = Config::default();
        config.log.level = "loud=very=much".to_owned();
        assert!(subscriber(&config, Place::default(), false, io::sink).is_err());
    }
}
