//! Gate: the commands around tidy and layers that a change passes before it lands.
//! Promise: `check` writes nothing to the tree; every step runs, and the failed ones are named at the end.
//! Not here: the test run, which takes longer (`cargo test --workspace`), and what CI adds (`.ci/run`).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Formatting, without writing.
const FORMAT_CHECK: &[&str] = &["fmt", "--all", "--check"];
/// Lints of every target, tests and benchmarks included.
const LINT_CHECK: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--locked",
    "--",
    "-D",
    "warnings",
];
/// What clippy can mend by itself, also in a tree with changes.
const LINT_FIX: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--fix",
    "--allow-dirty",
    "--allow-staged",
];
/// Formatting, after the lints were mended.
const FORMAT_FIX: &[&str] = &["fmt", "--all"];

/// The cargo that started us, else the one on the path.
pub fn cargo() -> String {
    #[allow(
        clippy::disallowed_methods,
        reason = "cargo tells its own path in no other way"
    )]
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Format and lints. True when both pass.
pub fn check(root: &Path) -> Result<bool> {
    run_all(root, &[FORMAT_CHECK, LINT_CHECK])
}

/// Mends what can be mended. True when every command ended well.
pub fn fix(root: &Path) -> Result<bool> {
    run_all(root, &[LINT_FIX, FORMAT_FIX])
}

fn run_all(root: &Path, commands: &[&[&str]]) -> Result<bool> {
    let mut passed = true;
    for arguments in commands {
        passed &= run(root, arguments)?;
    }
    Ok(passed)
}

fn run(root: &Path, arguments: &[&str]) -> Result<bool> {
    println!("cargo {}", arguments.join(" "));
    let status = Command::new(cargo())
        .current_dir(root)
        .args(arguments)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        println!("failed: cargo {}", arguments.join(" "));
    }
    Ok(status.success())
}
