//! Layers of configuration: a flag over the environment over the file over the default.
//! Promise: all faults of the file's keys are listed with line, column and what may have been
//! meant; of each value it is known which layer gave it.
//! Not here: reading the file or the environment (`cli`).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use domain::control::suggest::nearest;
use toml::de::DeTable;
use toml::{Table, Value};

use super::keys::{self, KEYS, Kind};
use super::{Config, ConfigProblem};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The default.
    Default,
    /// The program itself, as `dev` sets up its sites.
    Program,
    /// A file.
    File {
        /// Its path.
        path: String,
        /// The line of the key, from 1.
        line: usize,
    },
    /// This variable of the environment.
    Env(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Program => f.write_str("program"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What the layers are made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Path and text of the file, if there is one.
    pub file: Option<(String, String)>,
    /// The environment, as (name, value); what does not begin with `ANTIPHON_` is ignored.
    pub env: Vec<(String, String)>,
    /// Flags, as (`section.key`, value). Lists are parted by commas.
    pub flags: Vec<(String, String)>,
}

/// A fault of one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The file with line and column, the variable or the flag.
    pub place: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean {suggestion}?"),
            None => Ok(()),
        }
    }
}

impl From<ConfigProblem> for ConfigFault {
    fn from(problem: ConfigProblem) -> Self {
        Self {
            place: problem.key,
            message: problem.message,
            suggestion: None,
        }
    }
}

/// A configuration and where each value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layered {
    /// The values in force.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Layered {
    /// Lays the sources over the defaults.
    ///
    /// # Errors
    /// Every fault that was found; never an empty list.
    pub fn load(sources: &Sources) -> Result<Self, Vec<ConfigFault>> {
        let mut layers = Layers::default();
        if let Some((path, text)) = &sources.file {
            layers.file(path, text);
        }
        layers.env(&sources.env);
        layers.flags(&sources.flags);
        layers.finish()
    }

    /// Where the value of `section.key` came from; `None` for a key that does not exist.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }

    /// A configuration that the program itself made: what is no default came from it.
    #[must_use]
    pub fn of_program(config: Config) -> Self {
        let own = Self {
            config: Config::default(),
            origins: keys::names().map(|name| (name, Origin::Default)).collect(),
        };
        let differs = own.changes(&config);
        let origins = own.origins.into_iter().map(|(name, origin)| {
            let from_program = differs.iter().any(|change| change.key == name);
            (
                name,
                if from_program {
                    Origin::Program
                } else {
                    origin
                },
            )
        });
        Self {
            origins: origins.collect(),
            config,
        }
    }

    /// The keys whose values are others in `later`, in order.
    #[must_use]
    pub fn changes(&self, later: &Config) -> Vec<KeyChange> {
        let (old, new) = (table_of(&self.config), table_of(later));
        let change = |(section, key, _): &(&str, &str, Kind)| {
            let old = old.get(*section)?.get(*key)?;
            let new = new.get(*section)?.get(*key)?;
            (old != new).then(|| KeyChange {
                key: format!("{section}.{key}"),
                old: old.to_string(),
                new: new.to_string(),
            })
        };
        KEYS.iter().filter_map(change).collect()
    }

    /// This configuration with the values and origins of `keys` taken from `later`.
    #[must_use]
    pub(super) fn taking(&self, later: &Self, keys: &[&str]) -> Self {
        let (mut table, new) = (table_of(&self.config), table_of(&later.config));
        let mut origins = self.origins.clone();
        for name in keys {
            let Some((section, key)) = name.split_once('.') else {
                continue;
            };
            let value = new.get(section).and_then(|section| section.get(key));
            if let (Some(value), Some(Value::Table(into))) = (value, table.get_mut(section)) {
                into.insert(key.to_owned(), value.clone());
            }
            if let Some(origin) = later.origins.get(*name) {
                origins.insert((*name).to_owned(), origin.clone());
            }
        }
        match Config::deserialize_table(table) {
            Ok(config) => Self { config, origins },
            // Both were read by the same rules, key by key; nothing is taken over rather than guessed.
            Err(_) => self.clone(),
        }
    }

    /// Every key in order with its value as TOML and its origin; what `antiphon config show` prints.
    #[must_use]
    pub fn values(&self) -> Vec<(String, String, Origin)> {
        let table = table_of(&self.config);
        let row = |(section, key, _): &(&str, &str, Kind)| {
            let value = table.get(*section)?.get(*key)?.to_string();
            let name = format!("{section}.{key}");
            let origin = self.origins.get(&name)?.clone();
            Some((name, value, origin))
        };
        KEYS.iter().filter_map(row).collect()
    }
}

/// A key whose value differs between two configurations. Values stand as TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The key, `section.key`.
    pub key: String,
    /// The earlier value.
    pub old: String,
    /// The later value.
    pub new: String,
}

fn table_of(config: &Config) -> Table {
    Table::try_from(config).unwrap_or_default()
}

/// The layers while they are laid.
#[derive(Default)]
struct Layers {
    values: Table,
    origins: BTreeMap<String, Origin>,
    faults: Vec<ConfigFault>,
}

impl Layers {
    fn fault(&mut self, place: String, message: String, suggestion: Option<String>) {
        self.faults.push(ConfigFault {
            place,
            message,
            suggestion,
        });
    }

    fn set(&mut self, section: &str, key: &str, value: Value, origin: Origin) {
        let table = self
            .values
            .entry(section.to_owned())
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(table) = table {
            table.insert(key.to_owned(), value);
        }
        self.origins.insert(format!("{section}.{key}"), origin);
    }

    fn file(&mut self, path: &str, text: &str) {
        let before = self.faults.len();
        let mut lines = BTreeMap::new();
        match DeTable::parse(text) {
            Ok(table) => {
                self.unknown_keys(path, text, table.get_ref());
                lines = lines_of(text, table.get_ref());
            }
            Err(error) => self.fault(
                at(path, text, error.span()),
                error.message().to_owned(),
                None,
            ),
        }
        if self.faults.len() > before {
            return;
        }
        if let Err(error) = toml::from_str::<Config>(text) {
            self.fault(
                at(path, text, error.span()),
                first_line(error.message()),
                None,
            );
            return;
        }
        let table: Table = text.parse().unwrap_or_default();
        for (section, keys) in table {
            let Value::Table(keys) = keys else { continue };
            for (key, value) in keys {
                let line = lines.get(&(section.clone(), key.clone())).copied();
                let origin = Origin::File {
                    path: path.to_owned(),
                    line: line.unwrap_or(1),
                };
                self.set(&section, &key, value, origin);
            }
        }
    }

    /// Every key that does not exist, in the order of the text.
    fn unknown_keys(&mut self, path: &str, text: &str, table: &DeTable<'_>) {
        let mut found: Vec<(Range<usize>, String, Option<String>)> = Vec::new();
        for (section, value) in table.iter() {
            let name = section.get_ref().as_ref();
            if !keys::sections().any(|known| known == name) {
                let meant = nearest(name, keys::sections()).map(|meant| format!("[{meant}]"));
                found.push((section.span(), format!("unknown section [{name}]"), meant));
                continue;
            }
            let keys = value
                .get_ref()
                .as_table()
                .into_iter()
                .flat_map(|table| table.iter());
            for (key, _) in keys {
                let word = key.get_ref().as_ref();
                if keys::keys_of(name).all(|known| known != word) {
                    let meant = nearest(word, keys::keys_of(name)).map(str::to_owned);
                    found.push((key.span(), format!("unknown key {word} in [{name}]"), meant));
                }
            }
        }
        found.sort_by_key(|(span, _, _)| span.start);
        for (span, message, meant) in found {
            self.fault(at(path, text, Some(span)), message, meant);
        }
    }

    fn env(&mut self, variables: &[(String, String)]) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix("ANTIPHON_") else {
                continue;
            };
            let lower = rest.to_lowercase();
            let Some((section, key)) = lower.split_once('_') else {
                continue;
            };
            if !keys::sections().any(|known| known == section) {
                self.misspelt_section(name, section, key);
                continue;
            }
            match kind_of(section, key) {
                Some(kind) => self.text(
                    name.clone(),
                    (section, key, kind),
                    text,
                    Origin::Env(name.clone()),
                ),
                None => {
                    let meant = nearest(key, keys::keys_of(section));
                    let meant = meant.map(|meant| keys::env_name(section, meant));
                    self.fault(name.clone(), "no such key".to_owned(), meant);
                }
            }
        }
    }

    /// Other programs put variables of theirs under our name, and the command line has its own: only what
    /// is one slip away from a key is a fault.
    fn misspelt_section(&mut self, name: &str, section: &str, key: &str) {
        let meant =
            nearest(section, keys::sections()).filter(|meant| kind_of(meant, key).is_some());
        if let Some(meant) = meant {
            let meant = keys::env_name(meant, key);
            self.fault(name.to_owned(), "no such key".to_owned(), Some(meant));
        }
    }

    fn flags(&mut self, flags: &[(String, String)]) {
        for (name, text) in flags {
            let found = name
                .split_once('.')
                .and_then(|(section, key)| Some((section, key, kind_of(section, key)?)));
            match found {
                Some(key) => self.text(format!("flag {name}"), key, text, Origin::Flag),
                None => {
                    let known: Vec<String> = keys::names().collect();
                    let meant = nearest(name, known.iter().map(String::as_str));
                    let meant = meant.map(str::to_owned);
                    self.fault(format!("flag {name}"), "no such key".to_owned(), meant);
                }
            }
        }
    }

    /// One value that came as text.
    fn text(
        &mut self,
        place: String,
        (section, key, kind): (&str, &str, Kind),
        text: &str,
        origin: Origin,
    ) {
        let value = match kind {
            Kind::Text => Some(Value::String(text.to_owned())),
            Kind::Texts => Some(Value::Array(list(text))),
            Kind::Flag => text.parse().ok().map(Value::Boolean),
            Kind::Number => text.parse().ok().map(Value::Integer),
            Kind::Share => text.parse().ok().map(Value::Float),
        };
        let mut alone = Table::new();
        if let Some(value) = value.clone() {
            alone.insert(
                section.to_owned(),
                Value::Table(Table::from_iter([(key.to_owned(), value)])),
            );
        }
        let fits = Config::deserialize_table(alone);
        match (value, fits) {
            (Some(value), Ok(_)) => self.set(section, key, value, origin),
            (None, _) => self.fault(place, format!("\"{text}\" is not {}", word(kind)), None),
            (_, Err(error)) => self.fault(
                place,
                format!("\"{text}\": {}", first_line(error.message())),
                None,
            ),
        }
    }

    fn finish(self) -> Result<Layered, Vec<ConfigFault>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let config = Config::deserialize_table(self.values).map_err(|error| {
            vec![ConfigFault {
                place: "configuration".to_owned(),
                message: first_line(error.message()),
                suggestion: None,
            }]
        })?;
        let mut origins = self.origins;
        for (section, key, _) in KEYS {
            origins
                .entry(format!("{section}.{key}"))
                .or_insert(Origin::Default);
        }
        Ok(Layered { config, origins })
    }
}

impl Config {
    fn deserialize_table(table: Table) -> Result<Self, toml::de::Error> {
        table.try_into()
    }
}

fn kind_of(section: &str, key: &str) -> Option<Kind> {
    KEYS.iter()
        .find(|(of, name, _)| *of == section && *name == key)
        .map(|(_, _, kind)| *kind)
}

fn list(text: &str) -> Vec<Value> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(|part| Value::String(part.to_owned())).collect()
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Texts => "a list",
        Kind::Flag => "true or false",
        Kind::Number => "a whole number",
        Kind::Share => "a number from 0 to 1",
    }
}

/// The line of each key of a file, from 1.
fn lines_of(text: &str, table: &DeTable<'_>) -> BTreeMap<(String, String), usize> {
    let mut lines = BTreeMap::new();
    for (section, value) in table.iter() {
        let Some(keys) = value.get_ref().as_table() else {
            continue;
        };
        for (key, _) in keys.iter() {
            let name = (section.get_ref().to_string(), key.get_ref().to_string());
            lines.insert(name, line_of(text, key.span().start));
        }
    }
    lines
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// `path:line:column` of a byte range.
fn at(path: &str, text: &str, span: Option<Range<usize>>) -> String {
    let Some(span) = span else {
        return path.to_owned();
    };
    let before = text.get(..span.start).unwrap_or(text);
    let line = line_of(text, span.start);
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{path}:{line}:{column}")
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or(message).to_owned()
}
