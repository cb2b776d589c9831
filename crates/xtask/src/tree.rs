//! The tree: the files of the repository, as text in memory.
//! Promise: every check sees the same sorted list, whether it came from git, a folder or a test.
//! Not here: what the files must look like (`tidy`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Folders that a walk without git leaves out: build output and fetched tools.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "data"];

/// One text file.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Path from the root, with `/` between its parts.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// The files of a repository. Those that are not UTF-8 are known by name only.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: Vec<TextFile>,
    names: BTreeSet<String>,
}

impl Tree {
    /// Reads the repository under `root`: what git tracks or would track, else all files.
    pub fn read(root: &Path) -> Result<Self> {
        let names = match git_names(root) {
            Some(names) => names,
            None => walked_names(root)?,
        };
        let mut tree = Self::default();
        for name in names {
            let path = root.join(&name);
            if !path.is_file() {
                continue; // removed from the work tree, not yet from the index
            }
            let bytes = fs::read(&path).with_context(|| format!("cannot read {name}"))?;
            tree.names.insert(name.clone());
            if let Ok(text) = String::from_utf8(bytes) {
                tree.files.push(TextFile { path: name, text });
            }
        }
        Ok(tree)
    }

    /// A made-up tree of (path, text) pairs.
    #[cfg(test)]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| TextFile {
            path: (*path).into(),
            text: (*text).into(),
        };
        Self {
            files: pairs.iter().map(file).collect(),
            names: pairs.iter().map(|(path, _)| (*path).to_owned()).collect(),
        }
    }

    /// All text files, in order of path.
    pub fn files(&self) -> &[TextFile] {
        &self.files
    }

    /// The text files whose name ends in `.{extension}`.
    pub fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a TextFile> {
        self.files
            .iter()
            .filter(move |file| extension_of(&file.path) == extension)
    }

    /// The text file at `path`.
    pub fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether `path` is a file or a folder of the tree.
    pub fn holds(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.names.contains(path)
            || self.names.iter().any(|name| name.starts_with(&folder))
    }
}

/// What follows the last dot of the file's name; empty when there is none.
pub fn extension_of(path: &str) -> &str {
    file_name(path)
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
}

/// The last part of a path.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What git tracks, and new files that it does not ignore; `None` without git or a git folder.
fn git_names(root: &Path) -> Option<BTreeSet<String>> {
    let listing = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(listing)
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let names = String::from_utf8(output.stdout).ok()?;
    Some(
        names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

fn walked_names(root: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(root.join(&folder)).with_context(|| format!("cannot list {folder:?}"))?;
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            if !entry.file_type()?.is_dir() {
                names.insert(path);
            } else if !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_the_folder_is_walked_and_build_output_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("crates/a/src/lib.rs", "//! A."),
            ("target/junk.rs", "junk"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::write(folder.path().join("picture.png"), [0xff, 0xfe, 0x00]).unwrap();

        let tree = Tree::read(folder.path()).unwrap();

        let paths: Vec<&str> = tree.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["crates/a/src/lib.rs"]);
        assert!(
            tree.holds("picture.png"),
            "a file that is not text is known by name"
        );
        assert!(tree.holds("crates/a"), "a folder counts");
        assert!(!tree.holds("crates/b"));
    }

    #[test]
    fn an_extension_is_read_from_the_name_alone() {
        assert_eq!(extension_of("a.b/run"), "");
        assert_eq!(extension_of("a/x.rs"), "rs");
    }
}
