//! Shape: header, length and names of files, functions and types.
//! Promise: one finding for each file, function, test module or name that breaks a limit.
//! Not here: what the code calls (`calls`).

use crate::finding::Finding;
use crate::rust_code::RustCode;
use crate::tree::{TextFile, Tree, extension_of, file_name};

/// One screen: a function that is read without scrolling is checked by eye.
const FUNCTION_LINES_MAX: usize = 70;
/// Twice the length aimed for; past it the file has two subjects.
const FILE_LINES_MAX: usize = 600;
/// Past it the tests hide the code, and move to `x_test.rs`.
const TEST_MODULE_LINES_MAX: usize = 200;

/// Parts of a name that say nothing about what the thing is.
const EMPTY_TYPE_WORDS: &[&str] = &["Manager", "Helper", "Util", "Utils"];
/// The same for modules and files.
const EMPTY_MODULE_WORDS: &[&str] = &["manager", "managers", "helper", "helpers", "util", "utils"];

/// Header and length of one Rust file.
pub fn check_text(file: &TextFile, findings: &mut Vec<Finding>) {
    let path = &file.path;
    match file
        .text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "))
    {
        None => findings.push(Finding::at(
            path,
            1,
            "header",
            "first line must be a `//!` header: owns, promises, not here",
        )),
        Some(subject) if subject.starts_with("Placeholder") => {
            findings.push(Finding::at(
                path,
                1,
                "header",
                "the header is a placeholder: say what the file owns",
            ));
        }
        Some(_) => {}
    }
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        let text = format!("{lines} lines, at most {FILE_LINES_MAX}: split it by subject");
        findings.push(Finding::whole(path, "file-length", text));
    }
}

/// Lengths and names inside one Rust file.
pub fn check_code(file: &TextFile, code: &RustCode, findings: &mut Vec<Finding>) {
    let path = &file.path;
    for function in &code.functions {
        let lines = function.lines.count();
        if lines > FUNCTION_LINES_MAX {
            let text = format!(
                "`{}` has {lines} lines, at most {FUNCTION_LINES_MAX}: let the parent branch and children compute",
                function.name
            );
            findings.push(Finding::at(
                path,
                function.lines.first,
                "function-length",
                text,
            ));
        }
    }
    for module in &code.test_modules {
        let lines = module.count();
        if lines > TEST_MODULE_LINES_MAX {
            let text = format!(
                "test module has {lines} lines, at most {TEST_MODULE_LINES_MAX}: move it to `x_test.rs`"
            );
            findings.push(Finding::at(path, module.first, "test-module-length", text));
        }
    }
    for named in &code.names {
        if let Some(word) = empty_word(&named.name) {
            findings.push(Finding::at(
                path,
                named.line,
                "name",
                empty_name(&named.name, word),
            ));
        }
    }
}

/// Names of Rust files and of the folders that hold them.
pub fn file_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension("rs") {
        let stem = file_name(&file.path)
            .trim_end_matches(extension_of(&file.path))
            .trim_end_matches('.');
        let folders = file
            .path
            .rsplit_once('/')
            .map_or("", |(folders, _)| folders);
        let word = folders.split('/').chain([stem]).find_map(empty_word);
        if let Some(word) = word {
            findings.push(Finding::whole(
                &file.path,
                "name",
                empty_name(&file.path, word),
            ));
        }
    }
    findings
}

fn empty_name(name: &str, word: &str) -> String {
    format!("`{name}`: `{word}` does not say what it is; use the noun of the domain")
}

fn empty_word(name: &str) -> Option<&'static str> {
    let in_type = EMPTY_TYPE_WORDS
        .iter()
        .find(|word| camel_parts(name).any(|part| part == **word));
    in_type
        .or_else(|| {
            EMPTY_MODULE_WORDS
                .iter()
                .find(|word| name.split('_').any(|part| part == **word))
        })
        .copied()
}

/// `OfferQueue` as `Offer`, `Queue`.
fn camel_parts(name: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = name
        .char_indices()
        .filter(|(_, c)| c.is_uppercase())
        .map(|(at, _)| at)
        .collect();
    starts.push(name.len());
    (1..starts.len()).map(move |next| &name[starts[next - 1]..starts[next]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::fixture::{found, found_in_code};

    /// A function of `lines` lines, its braces included.
    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert_eq!(found("a.rs", "fn a() {}\n"), [(1, "header")]);
        assert_eq!(found("a.rs", "\n//! Late.\n"), [(1, "header")]);
        assert_eq!(found("a.rs", "//! Placeholder.\n"), [(1, "header")]);
        assert_eq!(found("a.rs", "//! Owns a.\nfn a() {}\n"), []);
    }

    #[test]
    fn a_function_may_have_seventy_lines_and_no_more() {
        assert_eq!(found_in_code("a.rs", &function(FUNCTION_LINES_MAX)), []);
        assert_eq!(
            found_in_code("a.rs", &function(FUNCTION_LINES_MAX + 1)),
            [(2, "function-length")]
        );
    }

    #[test]
    fn methods_and_default_methods_are_measured_too() {
        let method = format!(
            "struct A;\nimpl A {{\n{}}}\ntrait B {{\n{}}}\n",
            function(71),
            function(71)
        );
        assert_eq!(
            found_in_code("a.rs", &method),
            [(4, "function-length"), (77, "function-length")]
        );
    }

    #[test]
    fn a_file_may_have_six_hundred_lines_and_no_more() {
        let file =
            |lines: usize| format!("//! Owns a.\n{}", "const A: u8 = 0;\n".repeat(lines - 1));
        assert_eq!(found("a.rs", &file(FILE_LINES_MAX)), []);
        assert_eq!(
            found("a.rs", &file(FILE_LINES_MAX + 1)),
            [(0, "file-length")]
        );
    }

    #[test]
    fn a_long_inline_test_module_is_found() {
        let module = |lines: usize| {
            format!(
                "#[cfg(test)]\nmod tests {{\n{}}}\n",
                "const A: u8 = 0;\n".repeat(lines - 2)
            )
        };
        assert_eq!(found_in_code("a.rs", &module(TEST_MODULE_LINES_MAX)), []);
        assert_eq!(
            found_in_code("a.rs", &module(TEST_MODULE_LINES_MAX + 1)),
            [(3, "test-module-length")]
        );
    }

    #[test]
    fn an_empty_name_is_found_in_types_modules_and_files() {
        assert_eq!(
            found_in_code("a.rs", "struct OfferManager;\n"),
            [(2, "name")]
        );
        assert_eq!(found_in_code("a.rs", "enum HelperKind {}\n"), [(2, "name")]);
        assert_eq!(found_in_code("a.rs", "mod string_utils;\n"), [(2, "name")]);
        assert_eq!(found_in_code("a/util.rs", ""), [(0, "name")]);
        assert_eq!(found_in_code("a/helpers/b.rs", ""), [(0, "name")]);
        assert_eq!(
            found_in_code("a.rs", "struct Utilisation;\nstruct Managed;\n"),
            []
        );
    }

    #[test]
    fn code_that_does_not_parse_is_found() {
        assert_eq!(found_in_code("a.rs", "fn a( {}\n").len(), 1);
    }
}
