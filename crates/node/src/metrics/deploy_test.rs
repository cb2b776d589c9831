//! Claims about what operators are given beside the page: alerts and their runbook, a dashboard.

use std::collections::BTreeSet;
use std::path::Path;

use runtime::measure::Series;
use serde_json::Value;

use super::table;

/// Labels that Prometheus adds, or that each histogram has.
const COMMON_LABELS: [&str; 3] = ["instance", "job", "le"];

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

/// The series that a name in an expression is of.
fn of_name(name: &str) -> Option<Series> {
    table().into_iter().find(|series| {
        let rest = name.strip_prefix(series.name);
        rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
    })
}

#[test]
fn alerts_and_runbook_name_series_that_there_are() {
    for file in ["alerts.yml", "alerts_test.yml", "runbook.md"] {
        for name in series(&deployed(file)) {
            assert!(of_name(name).is_some(), "{file} names {name}");
        }
    }
}

/// The labels that a selector behind a series' name asks for.
fn asked_labels<'t>(expression: &'t str, name: &str) -> Vec<&'t str> {
    let behind = expression.split(name).skip(1);
    let selectors = behind.filter_map(|rest| rest.strip_prefix('{')?.split('}').next());
    let asked = selectors.flat_map(|selector| selector.split(','));
    asked
        .filter_map(|pair| pair.split(['=', '!']).next())
        .collect()
}

/// What is wrong with an expression.
fn faults(expression: &str) -> Vec<String> {
    let named = series(expression);
    let mut faults = Vec::new();
    for name in &named {
        let Some(series) = of_name(name) else {
            faults.push(format!("there is no series {name}"));
            continue;
        };
        for label in asked_labels(expression, name) {
            if !series.labels.contains(&label) && !COMMON_LABELS.contains(&label) {
                faults.push(format!("{name} has no label {label}"));
            }
        }
    }
    if named.is_empty() {
        faults.push("it names no series".to_owned());
    }
    faults
}

#[test]
fn the_dashboard_asks_for_series_and_labels_that_there_are() {
    let dashboard: Value = serde_json::from_str(&deployed("dashboards/antiphon.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut rows = Vec::new();
    let mut asked = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        if panel["type"] == "row" {
            rows.push(title);
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title} asks for nothing");
        assert_ne!(panel["description"], "", "{title} says not what it shows");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let expression = target["expr"].as_str().unwrap();
            assert_eq!(faults(expression), Vec::<String>::new(), "{title}");
            asked.extend(series(expression).into_iter().map(str::to_owned));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        for name in series(variable["definition"].as_str().unwrap_or_default()) {
            assert!(of_name(name).is_some(), "a variable asks for {name}");
        }
    }
    let subjects = [
        "Calls, by method",
        "Raft",
        "Disk",
        "Archive",
        "Queues",
        "Agents",
    ];
    assert_eq!(rows, subjects);
    for name in [
        "antiphon_rpc_requests_total",
        "antiphon_rpc_duration_seconds_bucket",
    ] {
        assert!(asked.contains(name), "rate, errors and durations: {name}");
    }
}

#[test]
fn an_expression_with_a_wrong_name_or_label_has_a_fault() {
    let good = "sum by (queue) (rate(antiphon_queue_wait_seconds_sum{cell=~\"$cell\"}[5m]))";
    assert_eq!(faults(good), Vec::<String>::new());
    let faulty = |expression: &str| faults(expression).join(", ");
    let name = faulty("antiphon_queue_length");
    assert_eq!(name, "there is no series antiphon_queue_length");
    let label = faulty("antiphon_actor_mailbox_depth{instance=\"a\",stat=\"max\"}");
    assert_eq!(label, "antiphon_actor_mailbox_depth has no label stat");
    assert_eq!(faulty("up == 0"), "it names no series");
}
