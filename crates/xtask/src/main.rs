//! xtask: the checks of the house, as `cargo xtask check|fix|tidy|layers`.
//! Promise: each check lists all its findings and ends with 1 if there is one.
//! Not here: anything of the product; xtask imports none of our crates.

mod finding;
mod gate;
#[cfg(test)]
mod house_test;
mod layers;
mod rust_code;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "usage: cargo xtask check|fix|tidy|layers
  check   format, clippy, tidy and layers; writes nothing
  fix     lets clippy and rustfmt mend what they can
  tidy    house rules over every file
  layers  which crate imports which";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let passed = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check(&root()),
        ["fix"] => gate::fix(&root()),
        ["tidy"] => tidy(&root()),
        ["layers"] => layers(&root()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(root: &Path) -> Result<bool> {
    let commands = gate::check(root)?;
    let tidy = tidy(root)?;
    let layers = layers(root)?;
    Ok(commands && tidy && layers)
}

fn tidy(root: &Path) -> Result<bool> {
    let tree = tree::Tree::read(root)?;
    Ok(finding::report("tidy", tidy::check(&tree)))
}

fn layers(root: &Path) -> Result<bool> {
    let graph = layers::Graph::read(root)?;
    Ok(finding::report("layers", layers::check(&graph)))
}

/// The root of the repository that this binary was built from.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .unwrap_or(manifest)
        .to_path_buf()
}
