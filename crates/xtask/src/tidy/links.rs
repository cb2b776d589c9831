//! Links: local links of Markdown files lead somewhere.
//! Promise: checks the file, and the heading when the link names one.
//! Not here: links to other hosts, which no check without a network can follow.

use crate::finding::Finding;
use crate::tree::{TextFile, Tree, extension_of};

/// Findings in one Markdown file.
pub fn check(tree: &Tree, file: &TextFile, findings: &mut Vec<Finding>) {
    for (line, text) in prose(&file.text) {
        for target in targets(&text) {
            if let Some(fault) = fault(tree, file, &target) {
                findings.push(Finding::at(
                    &file.path,
                    line,
                    "link",
                    format!("`{target}`: {fault}"),
                ));
            }
        }
    }
}

/// Lines outside fenced blocks, numbered from 1, without `inline code`.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
            lines.push((at + 1, outside));
        }
    }
    lines
}

/// The targets of `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let inline = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target);
    let reference = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target);
    let all = inline
        .chain(reference)
        .map(|target| target.split(' ').next().unwrap_or("").to_owned());
    all.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

fn fault(tree: &Tree, file: &TextFile, target: &str) -> Option<String> {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = if path.is_empty() {
        Some(file.path.clone())
    } else {
        resolve(folder, path)
    };
    let Some(path) = path else {
        return Some("leads out of the repository".to_owned());
    };
    if !tree.holds(&path) {
        return Some(format!("there is no {path}"));
    }
    let document = tree
        .file(&path)
        .filter(|_| extension_of(&path) == "md" && !heading.is_empty())?;
    let known = headings(&document.text)
        .iter()
        .any(|known| known == heading);
    (!known).then(|| format!("{path} has no heading #{heading}"))
}

/// `docs` and `../a.md` give `a.md`; a path above the root gives nothing.
fn resolve(folder: &str, path: &str) -> Option<String> {
    let from = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchors that code hosts give to headings.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut anchors = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced && line.starts_with('#') {
            anchors.push(anchor(line.trim_start_matches('#').trim()));
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use crate::tidy;
    use crate::tree::Tree;

    fn found(markdown: &str) -> Vec<(usize, &'static str)> {
        let tree = Tree::of(&[
            ("docs/a.md", markdown),
            ("docs/b.md", "# The `one` house\n"),
            ("proto/x.proto", ""),
        ]);
        tidy::check(&tree)
            .iter()
            .map(|finding| (finding.line, finding.rule))
            .collect()
    }

    #[test]
    fn a_link_to_a_file_or_folder_that_is_there_has_no_finding() {
        let links = "[b](b.md) [p](../proto) [x](../proto/x.proto) [h](b.md#the-one-house) [r](/docs/b.md)\n";
        assert_eq!(found(links), []);
        assert_eq!(
            found("[out](https://example.org/none) [me](#a)\n# A\n[ref]: b.md\n"),
            []
        );
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        assert_eq!(found("# A\n[c](c.md)\n"), [(2, "link")]);
        assert_eq!(found("[c](../../c.md)\n"), [(1, "link")]);
        assert_eq!(found("[b](b.md#the-other-house)\n"), [(1, "link")]);
        assert_eq!(found("[none](#none)\n"), [(1, "link")]);
        assert_eq!(found("[ref]: c.md\n"), [(1, "link")]);
    }

    #[test]
    fn code_is_not_a_link() {
        assert_eq!(found("`[c](c.md)`\n```\n[c](c.md)\n```\n"), []);
    }
}
