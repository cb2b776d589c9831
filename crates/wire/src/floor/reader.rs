//! Reads tables of a TOML document and remembers where everything stands.
//! Promise: every fault is kept with its place; reading goes on after a fault.
//! Not here: which keys a table has (`sections`, `queues`).

use std::collections::BTreeMap;
use std::str::FromStr;

use domain::control::suggest::nearest;
use domain::control::{PathStep, PlanPath};
use domain::ids::IdError;
use toml_edit::{Item, TableLike, Value};

use super::FloorFault;
use super::values;

/// One table of the document.
pub(super) struct Section<'d> {
    table: &'d dyn TableLike,
    path: PlanPath,
    /// Where the table begins, in bytes.
    at: usize,
}

impl Section<'_> {
    /// The name of the record that the table is: the last key on the way to it.
    pub(super) fn name(&self) -> &str {
        match self.path.0.last() {
            Some(PathStep::Key(name)) => name,
            Some(PathStep::Index(_)) | None => "",
        }
    }
}

/// The reader of one document.
pub(super) struct Reader<'d> {
    text: &'d str,
    faults: Vec<(usize, String, Option<String>)>,
    places: BTreeMap<PlanPath, usize>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(text: &'d str) -> Self {
        Self {
            text,
            faults: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    pub(super) fn root(&mut self, table: &'d dyn TableLike) -> Section<'d> {
        Section {
            table,
            path: PlanPath::default(),
            at: 0,
        }
    }

    pub(super) fn fault(&mut self, at: usize, message: String, suggestion: Option<String>) {
        self.faults.push((at, message, suggestion));
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// All faults in order of their places.
    pub(super) fn into_faults(self) -> Vec<FloorFault> {
        let text = self.text;
        let mut faults: Vec<FloorFault> = self
            .faults
            .into_iter()
            .map(|(at, message, suggestion)| {
                let (line, column) = line_and_column(text, at);
                FloorFault {
                    line,
                    column,
                    message,
                    suggestion,
                }
            })
            .collect();
        faults.sort();
        faults
    }

    /// Where a path stands; for what is not written in the file, where the nearest table around
    /// it stands.
    pub(super) fn place_of(&self, path: &PlanPath) -> usize {
        let mut path = path.clone();
        loop {
            if let Some(at) = self.places.get(&path) {
                return *at;
            }
            if path.0.pop().is_none() {
                return 0;
            }
        }
    }

    /// Refuses keys that are not `known`.
    pub(super) fn only(&mut self, section: &Section<'_>, known: &[&str]) {
        for (key, _) in section.table.iter() {
            if known.contains(&key) {
                continue;
            }
            let at = key_place(section, key);
            if key == "step" || key == "steps" {
                self.fault(
                    at,
                    format!("\"{key}\": overflow steps are not built yet"),
                    None,
                );
                continue;
            }
            let suggestion = nearest(key, known.iter().copied()).map(str::to_owned);
            let message = match section.path.0.is_empty() {
                true => format!("unknown key \"{key}\""),
                false => format!("unknown key \"{key}\" in {}", section.path),
            };
            self.fault(at, message, suggestion);
        }
    }

    /// A table inside a table; `None` if it is absent or no table.
    pub(super) fn table(&mut self, section: &Section<'d>, key: &str) -> Option<Section<'d>> {
        let item = self.item(section, key)?;
        let path = section.path.key(key);
        match item.as_table_like() {
            Some(table) => Some(Section {
                table,
                at: self.place_of(&path),
                path,
            }),
            None => self.wrong(&path, item, "a table"),
        }
    }

    /// The tables inside a table of tables, each with its key.
    pub(super) fn tables(
        &mut self,
        section: &Section<'d>,
        key: &str,
    ) -> Vec<(String, Section<'d>)> {
        let Some(outer) = self.table(section, key) else {
            return Vec::new();
        };
        let keys: Vec<String> = outer.table.iter().map(|(key, _)| key.to_owned()).collect();
        keys.into_iter()
            .filter_map(|key| self.table(&outer, &key).map(|found| (key, found)))
            .collect()
    }

    /// The tables of an array of tables.
    pub(super) fn rows(&mut self, section: &Section<'d>, key: &str) -> Vec<Section<'d>> {
        let Some(item) = self.item(section, key) else {
            return Vec::new();
        };
        let path = section.path.key(key);
        let tables: Vec<(&'d dyn TableLike, Option<usize>)> = match item {
            Item::ArrayOfTables(tables) => tables
                .iter()
                .map(|table| (table as &dyn TableLike, start(table.span())))
                .collect(),
            Item::Value(Value::Array(rows)) if rows.iter().all(Value::is_inline_table) => rows
                .iter()
                .filter_map(|row| {
                    Some((row.as_inline_table()? as &dyn TableLike, start(row.span())))
                })
                .collect(),
            _ => self
                .wrong(&path, item, "a list of tables")
                .unwrap_or_default(),
        };
        let rows = tables.into_iter().enumerate().map(|(index, (table, at))| {
            let path = path.index(index);
            Section {
                table,
                at: at.unwrap_or(section.at),
                path,
            }
        });
        let rows: Vec<_> = rows.collect();
        self.places
            .extend(rows.iter().map(|row| (row.path.clone(), row.at)));
        rows
    }

    /// The keys of a table of plain values.
    pub(super) fn keys(&self, section: &Section<'d>) -> Vec<String> {
        section
            .table
            .iter()
            .map(|(key, _)| key.to_owned())
            .collect()
    }

    /// A text.
    pub(super) fn text(&mut self, section: &Section<'d>, key: &str) -> Option<String> {
        let item = self.item(section, key)?;
        match item.as_str() {
            Some(text) => Some(text.to_owned()),
            None => self.wrong(&section.path.key(key), item, "a text"),
        }
    }

    /// A whole number from 0 on.
    pub(super) fn number<T: TryFrom<i64>>(
        &mut self,
        section: &Section<'d>,
        key: &str,
    ) -> Option<T> {
        let item = self.item(section, key)?;
        match item.as_integer().map(T::try_from) {
            Some(Ok(number)) => Some(number),
            Some(Err(_)) => self.wrong(&section.path.key(key), item, "a number within its range"),
            None => self.wrong(&section.path.key(key), item, "a whole number"),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, section: &Section<'d>, key: &str) -> Option<bool> {
        let item = self.item(section, key)?;
        item.as_bool()
            .or_else(|| self.wrong(&section.path.key(key), item, "true or false"))
    }

    /// A time such as `"20s"`, in milliseconds.
    pub(super) fn duration(&mut self, section: &Section<'d>, key: &str) -> Option<u64> {
        let item = self.item(section, key)?;
        let time = item.as_str().and_then(values::parse_duration);
        time.or_else(|| {
            self.wrong(
                &section.path.key(key),
                item,
                "a time such as \"20s\", \"10m\" or \"24h\"",
            )
        })
    }

    /// A share such as `"80%"`, in thousandths.
    pub(super) fn share(&mut self, section: &Section<'d>, key: &str) -> Option<u32> {
        let item = self.item(section, key)?;
        let share = item.as_str().and_then(values::parse_share);
        share.or_else(|| {
            self.wrong(
                &section.path.key(key),
                item,
                "a share such as \"80%\" or \"82.5%\"",
            )
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        section: &Section<'d>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(section, key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known = words.iter().map(|(word, _)| *word);
        let suggestion = nearest(&text, known.clone()).map(str::to_owned);
        let path = section.path.key(key);
        let list: Vec<&str> = known.collect();
        let message = format!("{path}: \"{text}\" is none of {}", list.join(", "));
        self.fault(self.place_of(&path), message, suggestion);
        None
    }

    /// A name.
    pub(super) fn name<T: FromStr<Err = IdError>>(
        &mut self,
        section: &Section<'d>,
        key: &str,
    ) -> Option<T> {
        let text = self.text(section, key)?;
        let path = section.path.key(key);
        self.parse_name(&path, &text)
    }

    /// A table's own key as a name.
    pub(super) fn key_name<T: FromStr<Err = IdError>>(
        &mut self,
        path: &Section<'_>,
        key: &str,
    ) -> Option<T> {
        self.parse_name(&path.path, key)
    }

    /// A name that must be there.
    pub(super) fn required_name<T: FromStr<Err = IdError>>(
        &mut self,
        section: &Section<'d>,
        key: &str,
    ) -> Option<T> {
        self.require(section, key)
            .then(|| self.name(section, key))
            .flatten()
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, section: &Section<'d>, key: &str) -> Option<String> {
        self.require(section, key)
            .then(|| self.text(section, key))
            .flatten()
    }

    fn require(&mut self, section: &Section<'_>, key: &str) -> bool {
        let there = section.table.contains_key(key);
        if !there {
            self.fault(
                section.at,
                format!("{} lacks \"{key}\"", section.path),
                None,
            );
        }
        there
    }

    fn parse_name<T: FromStr<Err = IdError>>(&mut self, path: &PlanPath, text: &str) -> Option<T> {
        match text.parse() {
            Ok(name) => Some(name),
            Err(problem) => {
                self.fault(
                    self.place_of(path),
                    format!("{path}: the name {problem}"),
                    None,
                );
                None
            }
        }
    }

    /// Looks a key up and remembers where it stands.
    fn item(&mut self, section: &Section<'d>, key: &str) -> Option<&'d Item> {
        let item = section.table.get(key)?;
        // A table stands where its name stands; a value where it begins itself.
        let named = key_place(section, key);
        let at = if item.is_value() {
            start(item.span()).unwrap_or(named)
        } else {
            named
        };
        self.places.insert(section.path.key(key), at);
        Some(item)
    }

    fn wrong<T>(&mut self, path: &PlanPath, item: &Item, wanted: &str) -> Option<T> {
        let found = item.type_name();
        self.fault(
            self.place_of(path),
            format!("{path} must be {wanted}, not {}", article(found)),
            None,
        );
        None
    }
}

fn article(kind: &str) -> String {
    match kind {
        "integer" | "array" | "inline table" | "array of tables" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

fn key_place(section: &Section<'_>, key: &str) -> usize {
    section
        .table
        .key(key)
        .and_then(|key| start(key.span()))
        .unwrap_or(section.at)
}

fn start(span: Option<std::ops::Range<usize>>) -> Option<usize> {
    span.map(|span| span.start)
}

/// Line and column of a byte offset, both from 1; the column counts characters.
pub(super) fn line_and_column(text: &str, at: usize) -> (u32, u32) {
    let at = (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count())
        + 1;
    let bounded = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (bounded(line), bounded(column))
}
