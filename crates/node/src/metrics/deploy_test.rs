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

/// The names of the alerts that a test of the rules expects to fire: those that have labels then, and those
/// that are counted.
fn expected(tests: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut asked = None;
    for line in tests.lines() {
        let line = line.trim().trim_start_matches("- ");
        if let Some(name) = line.strip_prefix("alertname: ") {
            asked = Some(name);
        } else if line.starts_with("exp_labels: ") {
            found.extend(asked.take());
        }
        let counted = line.split("alertname=\"").nth(1);
        found.extend(counted.and_then(|rest| rest.split('"').next()));
    }
    found
}

#[test]
fn every_alert_is_tried_and_seen_to_fire() {
    let tests = deployed("alerts_test.yml");
    let expected = expected(&tests);
    for name in values(&deployed("alerts.yml"), "alert") {
        assert!(
            expected.contains(name),
            "no test of the rules expects {name} to fire"
        );
    }
}

#[test]
fn an_alert_that_is_only_expected_not_to_fire_is_not_tried() {
    let tests = "- { alertname: Quiet, eval_time: 4m, exp_alerts: [] }\n\
                 - alertname: Loud\n  exp_alerts:\n    - exp_labels: { severity: page }\n\
                 - { labels: '{alertname=\"Counted\"}', value: 1 }\n";
    assert_eq!(expected(tests), BTreeSet::from(["Counted", "Loud"]));
}

#[test]
fn a_halted_replica_is_cured_by_the_command_that_cures_it() {
    let runbook = deployed("runbook.md");
    let place = runbook
        .split("\n## ")
        .find(|place| place.starts_with("Replica halted"));
    let place = place.unwrap();
    let skip = place.find("`antiphon cell skip --cell main --index INDEX --reason TEXT`");
    let replace = place.find("join a new");
    assert!(skip.is_some() && skip < replace, "{place}");
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
