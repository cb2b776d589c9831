//! Manifests: each crate takes the lints of the workspace; locked packages come from the public registries.
//! Promise: reads `crates/*/Cargo.toml`, `Cargo.lock` and `package-lock.json`.
//! Not here: who may depend on whom (`layers`); licences and bans (`deny.toml`).

use toml::{Table, Value};

use crate::finding::Finding;
use crate::tree::{TextFile, Tree, file_name};

/// The one source of locked crates: crates.io, by the name that cargo gives it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Fields of `[package]` that every crate takes from the workspace.
const SHARED_FIELDS: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// All findings in manifests and lock files.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.files() {
        match file_name(&file.path) {
            "Cargo.toml" if file.path.starts_with("crates/") => check_manifest(file, findings),
            "Cargo.lock" => check_cargo_lock(file, findings),
            "package-lock.json" => check_npm_lock(file, findings),
            _ => {}
        }
    }
}

fn check_manifest(file: &TextFile, findings: &mut Vec<Finding>) {
    let manifest: Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => {
            findings.push(Finding::whole(
                &file.path,
                "manifest",
                format!("does not parse: {error}"),
            ));
            return;
        }
    };
    if !from_workspace(manifest.get("lints")) {
        findings.push(Finding::whole(
            &file.path,
            "manifest",
            "add `[lints]` with `workspace = true`",
        ));
    }
    let package = manifest.get("package");
    for field in SHARED_FIELDS {
        if !from_workspace(package.and_then(|package| package.get(field))) {
            findings.push(Finding::whole(
                &file.path,
                "manifest",
                format!("write `{field}.workspace = true`"),
            ));
        }
    }
}

fn from_workspace(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

fn check_cargo_lock(file: &TextFile, findings: &mut Vec<Finding>) {
    for (at, line) in file.text.lines().enumerate() {
        let Some(source) = line.strip_prefix("source = ") else {
            continue;
        };
        if source.trim_matches('"') != CRATES_IO {
            let text =
                format!("{source}: take the crate from crates.io, or publish it there first");
            findings.push(Finding::at(&file.path, at + 1, "lock-source", text));
        }
    }
}

fn check_npm_lock(file: &TextFile, findings: &mut Vec<Finding>) {
    for (at, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("\"resolved\"") {
            let text =
                "drop it (`npm install --omit-lockfile-registry-resolved`): the checksum stays";
            findings.push(Finding::at(&file.path, at + 1, "lock-source", text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::fixture::found;

    fn good() -> String {
        let fields: String = SHARED_FIELDS
            .iter()
            .map(|field| format!("{field}.workspace = true\n"))
            .collect();
        format!("[package]\nname = \"a\"\n{fields}\n[lints]\nworkspace = true\n")
    }

    #[test]
    fn a_crate_that_takes_the_lints_of_the_workspace_has_no_finding() {
        assert_eq!(found("crates/a/Cargo.toml", &good()), []);
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let bare = good().replace("[lints]\nworkspace = true\n", "");
        assert_eq!(found("crates/a/Cargo.toml", &bare), [(0, "manifest")]);
        let own = good().replace(
            "[lints]\nworkspace = true\n",
            "[lints.rust]\nunused = \"allow\"\n",
        );
        assert_eq!(found("crates/a/Cargo.toml", &own), [(0, "manifest")]);
        assert_eq!(
            found("crates/a/Cargo.toml", "not toml\n"),
            [(0, "manifest")]
        );
    }

    #[test]
    fn a_field_of_its_own_is_found() {
        for field in SHARED_FIELDS {
            let own = good().replace(&format!("\n{field}.workspace = true"), "");
            assert_eq!(
                found("crates/a/Cargo.toml", &own),
                [(0, "manifest")],
                "{field}"
            );
        }
    }

    #[test]
    fn a_crate_from_elsewhere_is_found() {
        let lock = format!("[[package]]\nname = \"a\"\nsource = \"{CRATES_IO}\"\n");
        assert_eq!(found("Cargo.lock", &lock), []);
        assert_eq!(
            found("Cargo.lock", &lock.replace("registry+", "git+")),
            [(3, "lock-source")]
        );
    }

    #[test]
    fn a_host_in_the_npm_lock_is_found() {
        assert_eq!(
            found(
                "a/package-lock.json",
                "{\n  \"resolved\": \"https://mirror/a.tgz\"\n}\n"
            ),
            [(2, "lock-source")]
        );
        assert_eq!(
            found(
                "a/package-lock.json",
                "{\n  \"integrity\": \"sha512-a\"\n}\n"
            ),
            []
        );
    }
}
