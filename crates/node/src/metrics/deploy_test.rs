//! Claims about what operators are given beside the page: alerts and their runbook.

use std::collections::BTreeSet;
use std::path::Path;

use super::table;

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    std::fs::read_to_string(path.join(name)).unwrap()
}

/// The names of series in a text.
fn series(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words
        .filter(|word| word.starts_with("antiphon_") || word.starts_with("process_"))
        .collect()
}

/// What follows a key at the beginnings of lines, without quotes.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches("- ");
        line.strip_prefix(key)?.strip_prefix(": ")
    });
    lines.map(|value| value.trim_matches('"')).collect()
}

/// The places of a Markdown text, as links name them.
fn places(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter_map(|line| line.strip_prefix("## "));
    headings
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect()
}

#[test]
fn every_alert_has_its_place_in_the_runbook_and_every_place_its_alert() {
    let alerts = deployed("alerts.yml");
    let names = values(&alerts, "alert");
    let links = values(&alerts, "runbook");
    assert_eq!(names.len(), links.len(), "each alert names its place");
    assert!(names.len() >= 12, "{names:?}");
    let linked: BTreeSet<String> = links
        .iter()
        .map(|link| link.strip_prefix("runbook.md#").unwrap_or(link).to_owned())
        .collect();
    assert_eq!(linked, places(&deployed("runbook.md")));
}

#[test]
fn every_alert_is_tried() {
    let tried = deployed("alerts_test.yml");
    for name in values(&deployed("alerts.yml"), "alert") {
        assert!(tried.contains(name), "{name} is in no test of the rules");
    }
}

#[test]
fn alerts_and_runbook_name_series_that_there_are() {
    let table = table();
    for file in ["alerts.yml", "alerts_test.yml", "runbook.md"] {
        for name in series(&deployed(file)) {
            let known = table.iter().any(|series| {
                let rest = name.strip_prefix(series.name);
                rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
            });
            assert!(known, "{file} names {name}");
        }
    }
}
