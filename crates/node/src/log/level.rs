//! The log's filter: reading it, and changing it while the process runs.
//! Promise: a filter that cannot be read says which part of it is wrong; a change made by hand ends by
//! itself, so that a forgotten `trace` does not fill a disk.
//! Not here: the form of lines (`log`), who asks (`hands`), waiting for the end (`hands`).

use std::sync::Arc;
use std::time::Duration;

use domain::control::suggest::nearest;
use parking_lot::Mutex;
use runtime::AbortOnDrop;
use runtime::trace::LOG_PLACE;
use tokio::time::Instant;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::LogError;

/// Bytes of a filter: twenty modules with their levels.
const FILTER_BYTES_MAX: usize = 512;
/// Parts of a filter; each is compared with each call site once.
const PARTS_MAX: usize = 32;
/// The words for a level.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// What openraft warns of, `raft` says as well, once and in our words.
const QUIET: &str = "openraft=error";

/// The filter of a process's log. Cheap to clone.
#[derive(Clone)]
pub struct Levels(Arc<Shared>);

struct Shared {
    handle: reload::Handle<EnvFilter, Registry>,
    state: Mutex<State>,
    /// What ends the filter set by hand: one for the process, however often it is set.
    ending: Mutex<Option<AbortOnDrop<()>>>,
}

struct State {
    configured: String,
    by_hand: Option<ByHand>,
    /// Counts changes by hand, so that the end of an earlier one does not end a later one.
    changes: u64,
}

struct ByHand {
    filter: String,
    until: Instant,
}

/// What a log lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The filter that holds now.
    pub filter: String,
    /// The filter of the configuration.
    pub configured: String,
    /// How long the one that holds now goes on before the configured one holds again; `None` when it is
    /// the configured one.
    pub left: Option<Duration>,
}

/// A change by hand, to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change(u64);

impl Levels {
    /// The filter of the configuration, as a filter of a layer and as what changes it.
    pub(super) fn new(
        configured: &str,
    ) -> Result<(reload::Layer<EnvFilter, Registry>, Self), LogError> {
        let (filter, handle) = reload::Layer::new(read(configured)?);
        let state = State {
            configured: configured.to_owned(),
            by_hand: None,
            changes: 0,
        };
        let shared = Shared {
            handle,
            state: Mutex::new(state),
            ending: Mutex::new(None),
        };
        Ok((filter, Self(Arc::new(shared))))
    }

    /// What the log lets through now.
    #[must_use]
    pub fn now(&self) -> Level {
        let state = self.0.state.lock();
        let configured = state.configured.clone();
        match &state.by_hand {
            None => Level {
                filter: configured.clone(),
                configured,
                left: None,
            },
            Some(by_hand) => Level {
                filter: by_hand.filter.clone(),
                configured,
                left: Some(by_hand.until.saturating_duration_since(Instant::now())),
            },
        }
    }

    /// Takes the filter of a new configuration; one set by hand goes on until its end.
    pub(crate) fn configure(&self, filter: &str) -> Result<(), LogError> {
        let read = read(filter)?;
        let mut state = self.0.state.lock();
        filter.clone_into(&mut state.configured);
        if state.by_hand.is_none() {
            self.take(read)?;
        }
        Ok(())
    }

    /// Sets a filter by hand. The caller ends it at the time that it was set for.
    pub(crate) fn set_by_hand(
        &self,
        filter: &str,
        lasts: Duration,
    ) -> Result<(Change, Instant), LogError> {
        let read = read(filter)?;
        let mut state = self.0.state.lock();
        self.take(read)?;
        let until = Instant::now() + lasts;
        state.changes += 1;
        state.by_hand = Some(ByHand {
            filter: filter.to_owned(),
            until,
        });
        Ok((Change(state.changes), until))
    }

    /// Takes what will end the filter that was set by hand; what would have ended an earlier one is given up.
    pub(crate) fn ended_by(&self, ending: AbortOnDrop<()>) {
        *self.0.ending.lock() = Some(ending);
    }

    /// Ends what was set by hand: this change alone, or any. Whether there was one to end.
    pub(crate) fn end_by_hand(&self, change: Option<Change>) -> Result<bool, LogError> {
        let mut state = self.0.state.lock();
        let other = change.is_some_and(|change| change.0 != state.changes);
        if other || state.by_hand.is_none() {
            return Ok(false);
        }
        self.take(read(&state.configured)?)?;
        state.by_hand = None;
        Ok(true)
    }

    fn take(&self, filter: EnvFilter) -> Result<(), LogError> {
        let shown = filter.to_string();
        self.0.handle.reload(filter).map_err(|error| LogError {
            level: shown,
            reason: error.to_string(),
        })
    }
}

/// Reads a filter: a level, or levels of modules, parted by commas.
///
/// # Errors
/// The part that is wrong, and what may have been meant.
pub(crate) fn read(text: &str) -> Result<EnvFilter, LogError> {
    let refused = |reason: String| LogError {
        level: text.chars().take(FILTER_BYTES_MAX).collect(),
        reason,
    };
    if text.len() > FILTER_BYTES_MAX {
        let bytes = text.len();
        return Err(refused(format!(
            "it has {bytes} bytes, the limit is {FILTER_BYTES_MAX}"
        )));
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if parts.len() > PARTS_MAX {
        let count = parts.len();
        return Err(refused(format!(
            "it has {count} parts, the limit is {PARTS_MAX}"
        )));
    }
    for part in &parts {
        check(part).map_err(refused)?;
    }
    let filter = EnvFilter::try_new(parts.join(",")).map_err(|error| refused(error.to_string()))?;
    let quiet = QUIET.parse().ok().filter(|_| !text.contains("openraft"));
    // Spans that say where a line comes from are on at every level.
    let said = format!("{LOG_PLACE}=error").parse().ok();
    let added = quiet.into_iter().chain(said);
    Ok(added.fold(filter, EnvFilter::add_directive))
}

/// A single word that is no level would be taken for a module, whose every event passes while all else
/// falls silent.
fn check(part: &str) -> Result<(), String> {
    match part.split_once('=') {
        None if part.is_empty() => Err("a part of it is empty".to_owned()),
        None if is_level(part) => Ok(()),
        None => Err(format!(
            "`{part}` is neither a level nor MODULE=LEVEL{}",
            meant(part)
        )),
        Some((module, _)) if !is_module(module) => {
            Err(format!("in `{part}`, `{module}` is no module's name"))
        }
        Some((_, level)) if !is_level(level) => Err(format!(
            "in `{part}`, `{level}` is no level{}",
            meant(level)
        )),
        Some(_) => Ok(()),
    }
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
}

fn is_module(word: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
    !word.is_empty() && word.bytes().all(is_of_name)
}

fn meant(word: &str) -> String {
    match nearest(word, LEVELS) {
        Some(level) => format!("; did you mean {level}?"),
        None => format!("; levels are {}", LEVELS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        read(text).unwrap_err().reason
    }

    fn levels() -> Levels {
        Levels::new("info").unwrap().1
    }

    fn set(levels: &Levels, filter: &str, seconds: u64) -> Change {
        let set = levels.set_by_hand(filter, Duration::from_secs(seconds));
        set.unwrap().0
    }

    #[test]
    fn levels_of_all_and_of_modules_are_read() {
        for text in [
            "info",
            "WARN",
            "info,raft=debug",
            " warn , store::wal=trace",
            "off",
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
        assert!(read("info").unwrap().to_string().contains("openraft=error"));
        let loud = read("info,openraft=debug").unwrap().to_string();
        assert!(loud.contains("openraft=debug") && !loud.contains("openraft=error"));
    }

    #[test]
    fn the_part_that_is_wrong_is_named_with_what_was_meant() {
        assert_eq!(
            reason("info,raft=debgu"),
            "in `raft=debgu`, `debgu` is no level; did you mean debug?"
        );
        assert_eq!(
            reason("inf"),
            "`inf` is neither a level nor MODULE=LEVEL; did you mean info?"
        );
        assert_eq!(
            reason("loud"),
            "`loud` is neither a level nor MODULE=LEVEL; levels are off, error, warn, info, debug, trace"
        );
        assert_eq!(
            reason("info,r ft=debug"),
            "in `r ft=debug`, `r ft` is no module's name"
        );
        assert_eq!(reason("info,"), "a part of it is empty");
    }

    #[test]
    fn a_filter_is_bounded() {
        assert_eq!(
            reason(&"x".repeat(600)),
            "it has 600 bytes, the limit is 512"
        );
        let many = vec!["a=info"; 33].join(",");
        assert_eq!(reason(&many), "it has 33 parts, the limit is 32");
    }

    #[tokio::test(start_paused = true)]
    async fn a_filter_set_by_hand_says_how_long_it_holds_and_what_comes_back() {
        let (_filter, levels) = Levels::new("info").unwrap();
        assert_eq!(levels.now().left, None);
        let change = set(&levels, "trace", 60);
        tokio::time::advance(Duration::from_secs(20)).await;
        let now = levels.now();
        assert_eq!(
            (now.filter.as_str(), now.configured.as_str()),
            ("trace", "info")
        );
        assert_eq!(now.left, Some(Duration::from_secs(40)));
        assert!(levels.end_by_hand(Some(change)).unwrap());
        assert_eq!(levels.now().filter, "info");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_earlier_change_leaves_a_later_one_alone() {
        let (_filter, levels) = Levels::new("info").unwrap();
        let first = set(&levels, "trace", 60);
        let second = set(&levels, "debug", 600);
        assert!(!levels.end_by_hand(Some(first)).unwrap());
        assert_eq!(levels.now().filter, "debug");
        assert!(levels.end_by_hand(Some(second)).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_configuration_waits_for_the_end_of_what_was_set_by_hand() {
        let (_filter, levels) = Levels::new("info").unwrap();
        set(&levels, "trace", 60);
        levels.configure("warn").unwrap();
        assert_eq!(levels.now().filter, "trace");
        assert!(levels.end_by_hand(None).unwrap());
        assert_eq!(levels.now().filter, "warn");
        assert!(levels.configure("lod").is_err());
        assert_eq!(levels.now().configured, "warn");
    }

    #[test]
    fn a_process_without_a_log_of_its_own_says_so() {
        // The layer has gone with the subscriber that held it.
        assert!(levels().configure("debug").is_err());
    }
}
