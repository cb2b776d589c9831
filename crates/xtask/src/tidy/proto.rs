//! Proto: each element of a schema has a comment above it.
//! Promise: names each message, field, enum, value, oneof, service and rpc without one.
//! Not here: names, packages and breaking changes, which buf checks in CI.
//!
//! The reader goes line by line, which is enough for files in the usual layout; buf parses.

use crate::finding::Finding;
use crate::tree::TextFile;

/// Starts of a line that declares nothing that a reader of the manual sees.
const SILENT: &[&str] = &[
    "syntax",
    "package",
    "import",
    "option",
    "reserved",
    "extensions",
    "}",
    "]",
    "{",
];

/// Findings in one schema.
pub fn check(file: &TextFile, findings: &mut Vec<Finding>) {
    let mut commented = false;
    let mut ended = true;
    let mut in_block_comment = false;
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if in_block_comment || line.starts_with("/*") {
            in_block_comment = !line.ends_with("*/");
            commented = true;
            continue;
        }
        if line.starts_with("//") {
            commented = true;
            continue;
        }
        if ended && declares(line) && !commented {
            let text =
                format!("`{line}` has no comment above it: say what it means, its unit and bounds");
            findings.push(Finding::at(&file.path, at + 1, "proto-comment", text));
        }
        ended = line.is_empty() || ends_statement(line);
        commented = false;
    }
}

fn declares(line: &str) -> bool {
    !line.is_empty() && !SILENT.iter().any(|start| line.starts_with(start))
}

/// A field or rpc may run over several lines.
fn ends_statement(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or("").trim_end();
    code.ends_with([';', '{', '}'])
}

#[cfg(test)]
mod tests {
    use crate::tidy::fixture::found;

    const GOOD: &str = "syntax = \"proto3\";\npackage a.v1;\n\n// An offer.\nmessage Offer {\n  // Its id.\n  string id = 1;\n  \
        reserved 2;\n  /* When it lapses,\n     in ms. */\n  uint64 lapses_ms = 3 [\n    deprecated = true\n  ];\n}\n\n// Ends.\nenum End {\n  // Unknown.\n  \
        END_UNSPECIFIED = 0;\n}\n\n// Offers.\nservice Offers {\n  // Takes it.\n  rpc Accept(A)\n    returns (B);\n}\n";

    #[test]
    fn a_commented_schema_has_no_finding() {
        assert_eq!(found("a.proto", GOOD), []);
    }

    #[test]
    fn each_element_without_a_comment_is_found() {
        for (comment, line) in [
            ("// An offer.\n", 4),
            ("  // Its id.\n", 6),
            ("// Ends.\n", 16),
            ("  // Unknown.\n", 18),
            ("// Offers.\n", 22),
            ("  // Takes it.\n", 24),
        ] {
            let bare = GOOD.replacen(comment, "", 1);
            assert_ne!(bare, GOOD, "{comment}");
            assert_eq!(
                found("a.proto", &bare),
                [(line, "proto-comment")],
                "{comment}"
            );
        }
    }

    #[test]
    fn a_comment_belongs_to_the_next_line_alone() {
        let schema = "// An offer.\nmessage Offer {\n  // Its id.\n  string id = 1;\n  string agent = 2;\n}\n";
        assert_eq!(found("a.proto", schema), [(5, "proto-comment")]);
    }
}
