//! The node's log for people: text or JSON lines on standard error.
//! Promise: each line says of which site and node it is, also where a process is several nodes; no line holds
//! what customers or agents wrote, whatever the level.
//! Not here: what is logged; metrics, traces (`telemetry`).

mod json;
pub(crate) mod level;
mod ring;

use runtime::trace::LOG_PLACE;
use tracing::{Span, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use self::json::JsonLines;

use crate::config::{Config, LogFormat};

pub use level::{Level, Levels};
pub use ring::Ring;

/// What the last lines are kept of, whatever the log lets through. What libraries say of themselves is for
/// those who look into them: openraft alone would push everything else out within minutes.
const KEPT: &str = "info,openraft=error,h2=error,hyper=error,tonic=error,tower=error,sled=error";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("log.level = \"{level}\" cannot be read: {reason}")]
pub struct LogError {
    /// The value.
    pub level: String,
    /// What is wrong with it.
    pub reason: String,
}

impl LogError {
    /// What is wrong, for a sentence that begins with what was given.
    #[must_use]
    pub fn told(&self) -> String {
        format!("= \"{}\" cannot be read: {}", self.level, self.reason)
    }
}

/// What can be done with a process's log beside writing it. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    /// What it lets through.
    pub levels: Levels,
    /// Its last lines, `info` and above.
    pub ring: Ring,
}

/// What the log lines of a process say of it; empty where it is several nodes.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The site.
    pub site: String,
    /// The node.
    pub node: String,
}

impl Place {
    /// That of a node that is configured so.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            site: config.site.name.clone(),
            node: config.node_name(),
        }
    }

    /// The span in which one of several nodes of a process logs. It is on at every level, so that also the
    /// only line of a quiet log says where it comes from.
    #[must_use]
    pub fn span(&self) -> Span {
        let Self { site, node } = self;
        tracing::error_span!(target: LOG_PLACE, parent: None, "node", site, node)
    }
}

/// A subscriber that writes to `out`, and what can be done with it while it runs; the caller makes it
/// the process's own. `terminal` says whether people read it there.
///
/// # Errors
/// When `log.level` cannot be read.
pub fn subscriber<W>(
    config: &Config,
    place: Place,
    terminal: bool,
    out: W,
) -> Result<(Box<dyn Subscriber + Send + Sync>, Logs), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, levels) = Levels::new(&config.log.level)?;
    let ring = Ring::default();
    let json = match config.log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let base = tracing_subscriber::fmt::layer().with_writer(out);
    let layer = if json {
        base.fmt_fields(JsonFields::new())
            .event_format(JsonLines { place })
            .boxed()
    } else {
        base.with_ansi(terminal).with_target(false).boxed()
    };
    let kept = tracing_subscriber::fmt::layer()
        .with_writer(ring.clone())
        .with_ansi(false)
        .with_filter(level::read(KEPT)?);
    let subscriber = Registry::default()
        .with(layer.with_filter(filter))
        .with(kept);
    Ok((Box::new(subscriber), Logs { levels, ring }))
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

    fn place(node: &str) -> Place {
        Place {
            site: "fra".to_owned(),
            node: node.to_owned(),
        }
    }

    /// What is logged, line by line.
    fn logged(level: &str, place: Place, say: impl FnOnce()) -> Vec<serde_json::Value> {
        let memory = Memory::default();
        let out = memory.clone();
        let mut config = Config::default();
        config.log.level = level.to_owned();
        let (subscriber, _) = subscriber(&config, place, false, move || out.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, say);
        let text = String::from_utf8(memory.0.lock().clone()).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_json_line_says_when_what_and_where() {
        let lines = logged("info", place("fra-n1"), || {
            tracing::info!(count = 3, what = "a \"b\"\n", "hello");
        });
        let [line] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert!(line["ts"].as_str().unwrap().ends_with('Z'), "{line}");
        for (key, value) in [
            ("level", "INFO"),
            ("target", "node::log::tests"),
            ("message", "hello"),
            ("site", "fra"),
            ("node", "fra-n1"),
            ("what", "a \"b\"\n"),
        ] {
            assert_eq!(line[key], value, "{key}");
        }
        assert_eq!(line["count"], 3);
        assert_eq!(line.as_object().unwrap().len(), 8, "{line}");
    }

    #[test]
    fn the_last_lines_are_kept_of_what_nodes_say_and_not_of_what_libraries_do() {
        let mut config = Config::default();
        config.log.level = "error".to_owned();
        let (subscriber, logs) =
            subscriber(&config, place("fra-n1"), false, std::io::sink).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "raft::group", "ours is kept");
            tracing::debug!(target: "raft::group", "too small");
            for n in 0..3_000 {
                tracing::info!(target: "openraft::engine", n, "a heartbeat");
                tracing::warn!(target: "h2::proto", n, "a frame");
            }
            tracing::error!(target: "openraft::core", "it broke");
        });
        let (text, dropped) = logs.ring.text();
        assert_eq!(dropped, 0);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("ours is kept") && lines[1].contains("it broke"));
    }

    #[test]
    fn nodes_of_one_process_are_told_apart_also_in_a_log_of_errors_alone() {
        let lines = logged("error", Place::default(), || {
            for node in ["fra-n1", "fra-n2"] {
                place(node).span().in_scope(|| tracing::error!("broken"));
            }
        });
        let nodes: Vec<_> = lines.iter().map(|line| &line["node"]).collect();
        assert_eq!(nodes, ["fra-n1", "fra-n2"]);
        assert!(lines.iter().all(|line| line["site"] == "fra"));
    }

    #[test]
    fn what_is_logged_of_a_traced_request_names_its_trace() {
        let trace = runtime::trace::Trace { id: 0xab, span: 7 };
        let lines = logged("error", place("fra-n1"), || {
            trace.log_span().in_scope(|| tracing::error!("broken"));
        });
        assert_eq!(lines[0]["trace_id"], format!("{:032x}", 0xab));
        assert_eq!(lines[0]["node"], "fra-n1");
    }

    #[test]
    fn a_group_that_is_a_cell_is_named_so_and_no_field_hides_the_place() {
        let lines = logged("raft=info,node=info", place("fra-n1"), || {
            tracing::info!(group = "main", node = 7, level = "low", "one");
            tracing::info!(group = "control", "other");
        });
        assert_eq!(lines[0]["cell"], "main");
        assert_eq!(lines[0]["node"], "fra-n1");
        assert_eq!(lines[0]["about_node"], 7);
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["about_level"], "low");
        assert_eq!(lines[1]["group"], "control");
        assert!(lines[1].get("cell").is_none());
    }

    #[test]
    fn a_level_that_cannot_be_read_is_refused() {
        let mut config = Config::default();
        config.log.level = "loud=very=much".to_owned();
        assert!(subscriber(&config, Place::default(), false, io::sink).is_err());
    }

    #[test]
    fn the_filter_changes_what_is_written_and_not_what_is_kept() {
        let memory = Memory::default();
        let out = memory.clone();
        let mut config = Config::default();
        config.log.level = "error".to_owned();
        let (subscriber, logs) =
            subscriber(&config, Place::default(), false, move || out.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("first");
            logs.levels.configure("debug").unwrap();
            tracing::debug!("second");
            logs.levels.configure("warn").unwrap();
            tracing::info!("third");
        });
        let written = String::from_utf8(memory.0.lock().clone()).unwrap();
        assert!(
            !written.contains("first") && !written.contains("third"),
            "{written}"
        );
        assert!(written.contains("second"), "{written}");
        let (kept, dropped) = logs.ring.text();
        assert_eq!(dropped, 0);
        assert!(kept.contains("first") && kept.contains("third"), "{kept}");
        assert!(!kept.contains("second"), "{kept}");
    }
}
