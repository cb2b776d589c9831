//! Text: what no text file may hold, whatever its language.
//! Promise: one finding for each line and rule.
//! Not here: the code itself (`calls`), lock files' sources (`manifests`).
//!
//! The refused words are put together from halves, so that this file does not refuse itself.

use crate::finding::Finding;
use crate::tree::{TextFile, extension_of};

/// Marks of work left for later; later has a tracker.
const LATER: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Words about how a text came about, not about the product.
const ABOUT_THE_WRITING: &[&str] = &[
    concat!("Cla", "ude"),
    concat!("L", "LM"),
    concat!("sub", "agent"),
    concat!("issue ", "#"),
];

/// Folders of one machine. A path in the repository starts at its root.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/", "work"),
    concat!("/", "root"),
    concat!("/", "home"),
    concat!("/tmp/", "bash"),
];

/// Hosts that packages are fetched from: the clients know theirs, and a mirror's name helps nobody.
const PACKAGE_HOSTS: &[&str] = &[
    concat!("registry.", "npmjs.org"),
    concat!("registry.", "yarnpkg.com"),
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
    concat!("pypi.org", "/simple"),
    concat!("files.", "pythonhosted.org"),
    concat!("deb.", "debian.org"),
    concat!("proxy.", "golang.org"),
];

/// Texts of others, kept as they came.
const VERBATIM: &[&str] = &["LICENSE"];

/// All findings in one file's text.
pub fn check(file: &TextFile, findings: &mut Vec<Finding>) {
    if VERBATIM.contains(&file.path.as_str()) {
        return;
    }
    let rust = extension_of(&file.path) == "rs";
    for (at, line) in file.text.split('\n').enumerate() {
        for (rule, text) in faults(line, rust) {
            findings.push(Finding::at(&file.path, at + 1, rule, text));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::whole(
            &file.path,
            "last-line",
            "end the last line with a line break",
        ));
    }
}

fn faults(line: &str, rust: bool) -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    let mut add = |rule, text: String| faults.push((rule, text));
    let content = line.strip_suffix('\r').unwrap_or(line);
    if content.len() < line.len() {
        add("line-ending", "CRLF: end lines with LF".to_owned());
    }
    if content.ends_with([' ', '\t']) {
        add("trailing-space", "remove the space at the end".to_owned());
    }
    if rust && content.contains('\t') {
        add("tab", "indent with spaces, write \\t in strings".to_owned());
    }
    if let Some(mark) = LATER.iter().find(|mark| holds_word(content, mark)) {
        add(
            "later",
            format!("`{mark}`: do it now, or write it down where work is planned"),
        );
    }
    if let Some(word) = ABOUT_THE_WRITING
        .iter()
        .find(|word| holds_word(content, word))
    {
        add(
            "word",
            format!("`{word}`: say what holds for the product, not how the text came about"),
        );
    }
    if let Some(folder) = MACHINE_FOLDERS
        .iter()
        .find(|folder| holds_folder(content, folder))
    {
        add(
            "machine-path",
            format!("`{folder}` is a folder of one machine: start at the root of the repository"),
        );
    }
    if let Some(host) = PACKAGE_HOSTS.iter().find(|host| content.contains(**host)) {
        add(
            "package-host",
            format!("`{host}`: name the package, its client knows the host"),
        );
    }
    faults
}

/// Whether `word` stands by itself: no letter or digit right before or after.
fn holds_word(line: &str, word: &str) -> bool {
    let ends_in_letter = word.ends_with(|c: char| c.is_ascii_alphanumeric());
    line.match_indices(word).any(|(at, _)| {
        let after = &line[at + word.len()..];
        let goes_on = ends_in_letter && after.starts_with(is_word_part);
        !goes_on && !follows_word(&line[..at])
    })
}

/// Whether `folder` starts a path in the line, rather than following another part of one.
fn holds_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].ends_with(|c: char| is_word_part(c) || "./-}*)".contains(c));
        let after = line[at + folder.len()..].starts_with(|c: char| is_word_part(c) || c == '-');
        !before && (!after || folder.ends_with("bash"))
    })
}

fn follows_word(before: &str) -> bool {
    before.ends_with(is_word_part)
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::fixture::found;

    fn found_in_prose(line: &str) -> Vec<(usize, &'static str)> {
        found("docs/a.md", &format!("# A\n{line}\n"))
    }

    #[test]
    fn each_mark_of_later_work_is_found() {
        for mark in LATER {
            assert_eq!(
                found_in_prose(&format!("{mark}: mend this")),
                [(2, "later")],
                "{mark}"
            );
            assert_eq!(
                found("a.proto", &format!("// {mark}\n")),
                [(1, "later")],
                "{mark}"
            );
            assert_eq!(
                found_in_prose(&format!("{mark}S and MY{mark}")),
                [],
                "{mark} inside words"
            );
        }
    }

    #[test]
    fn each_word_about_the_writing_is_found() {
        for word in ABOUT_THE_WRITING {
            assert_eq!(
                found_in_prose(
                    &format!("as {word}1 said")
                        .replace("1", if word.ends_with('#') { "1" } else { "" })
                ),
                [(2, "word")],
                "{word}"
            );
        }
        assert_eq!(found_in_prose("see tantivy#718"), []);
    }

    #[test]
    fn each_machine_folder_is_found_and_a_relative_path_is_not() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(
                found("a.sh", &format!("cd {folder}/main\n")),
                [(1, "machine-path")],
                "{folder}"
            );
            assert_eq!(
                found("a.sh", &format!("cd \"{folder}\"\n")),
                [(1, "machine-path")],
                "{folder}"
            );
            assert_eq!(
                found("a.sh", &format!("cd offers{folder}\n")),
                [],
                "{folder}"
            );
        }
        assert_eq!(
            found("a.sh", &format!("cd {}ers\n", MACHINE_FOLDERS[0])),
            []
        );
    }

    #[test]
    fn each_package_host_is_found_and_documentation_is_not() {
        for host in PACKAGE_HOSTS {
            assert_eq!(
                found_in_prose(&format!("from https://{host}/a")),
                [(2, "package-host")],
                "{host}"
            );
        }
        assert_eq!(
            found_in_prose("<https://crates.io/crates/tonic> <https://docs.rs/tonic>"),
            []
        );
    }

    #[test]
    fn spaces_tabs_and_line_ends_are_checked() {
        assert_eq!(found_in_prose("end "), [(2, "trailing-space")]);
        assert_eq!(found_in_prose("end\r"), [(2, "line-ending")]);
        assert_eq!(
            found_in_prose("end \r"),
            [(2, "line-ending"), (2, "trailing-space")]
        );
        assert_eq!(
            found("a.rs", "//! Owns a.\n\tfn a() {}\n").first(),
            Some(&(2, "tab"))
        );
        assert_eq!(found("Makefile", "a:\n\tb\n"), []);
        assert_eq!(found("a.toml", "a = 1"), [(0, "last-line")]);
    }

    #[test]
    fn the_licence_is_kept_as_it_came() {
        assert_eq!(found("LICENSE", "words \n"), []);
    }
}
