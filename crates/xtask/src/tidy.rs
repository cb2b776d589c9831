//! Tidy: the house rules that a tool can check, over every text file of the repository.
//! Promise: lists all findings, not the first; reads only what it is given.
//! Not here: which crate may import which (`layers`); what clippy, rustfmt, buf and cargo-deny check.

mod calls;
mod links;
mod manifests;
mod proto;
mod shape;
mod text;
mod waivers;

use crate::finding::Finding;
use crate::rust_code::RustCode;
use crate::tree::{TextFile, Tree};

/// Every finding in the tree.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = shape::file_names(tree);
    for file in tree.files() {
        text::check(file, &mut findings);
    }
    for file in tree.with_extension("rs") {
        check_rust(file, &mut findings);
    }
    for file in tree.with_extension("proto") {
        proto::check(file, &mut findings);
    }
    for file in tree.with_extension("md") {
        links::check(tree, file, &mut findings);
    }
    manifests::check(tree, &mut findings);
    findings.sort();
    findings
}

fn check_rust(file: &TextFile, findings: &mut Vec<Finding>) {
    let mut found = Vec::new();
    shape::check_text(file, &mut found);
    match RustCode::parse(&file.text) {
        Ok(code) => {
            shape::check_code(file, &code, &mut found);
            calls::check(file, &code, &mut found);
        }
        Err((line, error)) => found.push(Finding::at(&file.path, line, "parse", error)),
    }
    findings.extend(waivers::apply(file, found));
}

/// Whether all of a file is test code, by its place or name.
fn is_test_file(path: &str) -> bool {
    let folder =
        |name: &str| path.starts_with(&format!("{name}/")) || path.contains(&format!("/{name}/"));
    path.ends_with("_test.rs") || folder("tests") || folder("benches")
}

#[cfg(test)]
mod fixture {
    use super::*;

    /// What tidy finds in one file, as (line, rule).
    pub fn found(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let findings = check(&Tree::of(&[(path, text)]));
        findings
            .iter()
            .map(|finding| (finding.line, finding.rule))
            .collect()
    }

    /// What tidy finds in a Rust file that starts with a good header.
    pub fn found_in_code(path: &str, code: &str) -> Vec<(usize, &'static str)> {
        found(path, &format!("//! Owns the fixture.\n{code}"))
    }
}
