//! The list of keys: what a section may hold and of which kind each value is.
//! Promise: the list and the structs of `mod` name the same keys.
//! Not here: values (`layers`).

/// The kind of a value, for text from the environment and from flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Texts,
    Flag,
    Number,
    Share,
}

/// Every key as (section, key, kind), in the order of the default text.
pub(super) const KEYS: &[(&str, &str, Kind)] = &[
    ("cluster", "name", Kind::Text),
    ("cluster", "join", Kind::Texts),
    ("cluster", "profile", Kind::Text),
    ("site", "name", Kind::Text),
    ("site", "region", Kind::Text),
    ("node", "name", Kind::Text),
    ("node", "data_dir", Kind::Text),
    ("listen", "api", Kind::Text),
    ("listen", "peer", Kind::Text),
    ("listen", "admin", Kind::Text),
    ("listen", "allow_non_loopback", Kind::Flag),
    ("listen", "advertise_api", Kind::Text),
    ("listen", "advertise_peer", Kind::Text),
    ("limits", "connections", Kind::Number),
    ("limits", "connection_age_s", Kind::Number),
    ("limits", "log_segment_mib", Kind::Number),
    ("limits", "snapshot_log_mib", Kind::Number),
    ("limits", "keep_entries", Kind::Number),
    ("storage", "archive_days", Kind::Number),
    ("storage", "archive_max_gib", Kind::Number),
    ("storage", "journal_days", Kind::Number),
    ("storage", "journal_max_gib", Kind::Number),
    ("drain", "deadline_ms", Kind::Number),
    ("log", "level", Kind::Text),
    ("log", "format", Kind::Text),
    ("telemetry", "otlp", Kind::Text),
    ("telemetry", "sample", Kind::Share),
];

/// The keys that a running node takes over when its configuration is read again; all others hold from its
/// next start on.
pub(super) const LIVE: &[&str] = &[
    "limits.connections",
    "limits.connection_age_s",
    "drain.deadline_ms",
    "log.level",
];

/// Whether a running node takes the key over.
pub(super) fn is_live(name: &str) -> bool {
    LIVE.contains(&name)
}

/// Every key as `section.key`, in order.
pub(super) fn names() -> impl Iterator<Item = String> {
    KEYS.iter()
        .map(|(section, key, _)| format!("{section}.{key}"))
}

/// Sections in order.
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter().filter_map(move |(section, _, _)| {
        let new = *section != last;
        last = section;
        new.then_some(*section)
    })
}

/// Keys of one section in order.
pub(super) fn keys_of(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter(move |(of, _, _)| *of == section)
        .map(|(_, key, _)| *key)
}

/// The name of a key in the environment.
pub(super) fn env_name(section: &str, key: &str) -> String {
    format!("ANTIPHON_{}_{}", section.to_uppercase(), key.to_uppercase())
}
