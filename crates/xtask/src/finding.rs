//! Findings: what a check has to say about one place in the repository.
//! Promise: prints as `file:line: rule: text`, which editors can jump to; sorts by place.
//! Not here: the checks (`tidy`, `layers`).

use std::fmt;

/// One fault, with its place and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path from the root of the repository, with `/` between its parts.
    pub file: String,
    /// Line, counted from 1; 0 means the whole file.
    pub line: usize,
    /// Short name of the rule, the same that a waiver names.
    pub rule: &'static str,
    /// What is wrong and what to do.
    pub text: String,
}

impl Finding {
    /// A finding about one line of a file.
    pub fn at(file: &str, line: usize, rule: &'static str, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            rule,
            text: text.into(),
        }
    }

    /// A finding about a file as a whole.
    pub fn whole(file: &str, rule: &'static str, text: impl Into<String>) -> Self {
        Self::at(file, 0, rule, text)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}: {}", self.file, self.rule, self.text),
            line => write!(out, "{}:{line}: {}: {}", self.file, self.rule, self.text),
        }
    }
}

/// Prints every finding and a closing line. True when there was none.
pub fn report(check: &str, mut findings: Vec<Finding>) -> bool {
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    println!("{check}: {} findings", findings.len());
    findings.is_empty()
}
