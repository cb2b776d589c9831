//! The floor plan as people write it: `floor.toml`.
//! Promise: `parse(render(p))` gives p for every plan; each fault has its line and column, and
//! all faults of a file are listed at once; a plan that `parse` gives has no fault of `check`.
//! Not here: what makes a plan impossible (`domain::control::check`), applying it (`control`).

mod diff;
mod queues;
mod reader;
mod render;
mod sections;
mod values;
mod words;

use std::fmt;

use domain::control::PlanFault;
use domain::plan::FloorPlan;
use toml_edit::Document;

use crate::plan::check_plan;
use reader::Reader;

pub use diff::{DifferenceKind, KeyDifference, PlanDifference, differences};
pub use render::render;
pub use values::duration_text;

#[cfg(test)]
mod diff_test;
#[cfg(test)]
mod floor_test;

/// The plan that `dev` starts with: three sites, six queues, forty agents.
pub const SAMPLE: &str = include_str!("../../../deploy/floor.toml");

/// One fault of a `floor.toml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FloorFault {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// A known word that may have been meant.
    pub suggestion: Option<String>,
}

impl fmt::Display for FloorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean \"{suggestion}\"?"),
            None => Ok(()),
        }
    }
}

/// Reads a plan and judges it.
///
/// # Errors
/// Every fault in order of its place. Faults of form hide those of meaning, because a plan that
/// cannot be read cannot be judged.
pub fn parse(text: &str) -> Result<FloorPlan, Vec<FloorFault>> {
    read(text, check_plan)
}

/// Reads a plan without judging it, as `floor show` of an old version needs.
///
/// # Errors
/// Every fault of form in order of its place.
pub fn parse_unchecked(text: &str) -> Result<FloorPlan, Vec<FloorFault>> {
    read(text, |_| Vec::new())
}

fn read(
    text: &str,
    check: impl Fn(&FloorPlan) -> Vec<PlanFault>,
) -> Result<FloorPlan, Vec<FloorFault>> {
    let document = Document::parse(text).map_err(|error| vec![syntax_fault(text, &error)])?;
    let mut reader = Reader::new(text);
    let root = reader.root(document.as_table());
    let Some(plan) = sections::plan(&mut reader, &root) else {
        return Err(reader.into_faults());
    };
    if reader.has_faults() {
        return Err(reader.into_faults());
    }
    for fault in check(&plan) {
        let message = match fault.path.0.is_empty() {
            true => fault.problem.to_string(),
            false => fault.to_string(),
        };
        let at = reader.place_of(&fault.path);
        reader.fault(at, message, fault.suggestion);
    }
    if reader.has_faults() {
        Err(reader.into_faults())
    } else {
        Ok(plan)
    }
}

fn syntax_fault(text: &str, error: &toml_edit::TomlError) -> FloorFault {
    let at = error.span().map_or(0, |span| span.start);
    let (line, column) = reader::line_and_column(text, at);
    FloorFault {
        line,
        column,
        message: error.message().to_owned(),
        suggestion: None,
    }
}
