//! The house rules as tests: `cargo test` runs tidy and layers on this repository.
//! Promise: a change that breaks a house rule fails its own test run.

use crate::finding::Finding;
use crate::{layers, root, tidy, tree};

fn listed(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(|finding| format!("\n{finding}"))
        .collect()
}

#[test]
fn this_repository_is_tidy() {
    let tree = tree::Tree::read(&root()).unwrap();
    assert!(
        tree.holds("crates/xtask/src/house_test.rs"),
        "the whole repository is read"
    );
    let findings = tidy::check(&tree);
    assert!(findings.is_empty(), "{}", listed(&findings));
}

#[test]
fn this_workspace_keeps_its_layers() {
    let graph = layers::Graph::read(&root()).unwrap();
    assert!(graph.ours().count() > 1, "the whole workspace is read");
    let findings = layers::check(&graph);
    assert!(findings.is_empty(), "{}", listed(&findings));
}
