//! `antiphon floor diff`: a plan against the one in force, key by key.
//! Promise: data to stdout in the words of `floor.toml`; ends with 0 exactly when nothing would change.
//! Not here: finding the differences (the cluster does).

use std::path::Path;

use client::api::{self, DifferenceKind};

use super::{faulty, read};
use crate::args::Output;
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::terminal::Terminal;

pub async fn diff(reach: &Reach, file: &Path, terminal: Terminal) -> Result<Exit, Failure> {
    let toml = read(file)?;
    let request = api::CheckFloorPlanRequest { toml };
    let checked = reach.client.operator().check_floor_plan(request).await?;
    if reach.output == Output::Json {
        json::print("CheckFloorPlanResponse", &checked)?;
    }
    if !checked.faults.is_empty() {
        return Err(faulty(file, &checked.faults, checked.current_version));
    }
    if reach.output == Output::Table {
        out!("{}", text(&checked, terminal));
        say(&checked, file);
    }
    Ok(match differs(&checked) {
        true => Exit::Degraded,
        false => Exit::Ok,
    })
}

/// Whether the plan is another one than that in force.
pub fn differs(checked: &api::CheckFloorPlanResponse) -> bool {
    !checked.differences.is_empty() || checked.differences_left_out > 0
}

fn say(checked: &api::CheckFloorPlanResponse, file: &Path) {
    let version = checked.current_version;
    if !differs(checked) {
        eprintln!("{} is version {version}, which is in force", file.display());
        return;
    }
    eprintln!("version {version} is in force");
    eprintln!(
        "try: antiphon floor apply {} --expect {version}",
        file.display()
    );
}

/// A paragraph for each part that differs.
pub fn text(checked: &api::CheckFloorPlanResponse, terminal: Terminal) -> String {
    let mut text = String::new();
    for difference in &checked.differences {
        paragraph(&mut text, difference, terminal);
    }
    if checked.differences_left_out > 0 {
        text.push_str(&format!("and {} more\n", checked.differences_left_out));
    }
    text
}

fn paragraph(text: &mut String, difference: &api::PlanDifference, terminal: Terminal) {
    let header = header(difference);
    let line = match difference.kind() {
        DifferenceKind::Added => terminal.good(&format!("+ {header}")),
        DifferenceKind::Removed => terminal.bad(&format!("- {header}")),
        DifferenceKind::Changed | DifferenceKind::Unspecified => {
            terminal.warn(&format!("~ {header}"))
        }
    };
    text.push_str(&format!("{line}\n"));
    for key in &difference.keys {
        let (name, old, new) = (&key.key, &key.old_value, &key.new_value);
        let line = match (old, new) {
            (Some(old), Some(new)) => format!("  ~ {name} = {old} -> {new}"),
            (Some(old), None) => format!("  - {name} = {old}"),
            (None, new) => format!("  + {name} = {}", new.as_deref().unwrap_or_default()),
        };
        text.push_str(&format!("{line}\n"));
    }
}

/// The header as the file has it; a row of the intake table with its place.
fn header(difference: &api::PlanDifference) -> String {
    let (section, name) = (difference.section.as_str(), difference.name.as_str());
    match (section, name) {
        ("", _) => "(before the first header)".to_owned(),
        ("intake", place) => format!("[[intake]] {place}"),
        (section, "") => format!("[{section}]"),
        (section, name) => format!("[{section}.{name}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, old: Option<&str>, new: Option<&str>) -> api::KeyDifference {
        api::KeyDifference {
            key: key.to_owned(),
            old_value: old.map(str::to_owned),
            new_value: new.map(str::to_owned),
        }
    }

    fn part(
        kind: DifferenceKind,
        (section, name): (&str, &str),
        keys: Vec<api::KeyDifference>,
    ) -> api::PlanDifference {
        api::PlanDifference {
            kind: kind.into(),
            section: section.to_owned(),
            name: name.to_owned(),
            keys,
        }
    }

    #[test]
    fn a_difference_is_told_in_the_words_of_the_file() {
        let changed = vec![
            key("paused", Some("false"), Some("true")),
            key("skills.orders", Some("2"), None),
        ];
        let checked = api::CheckFloorPlanResponse {
            differences: vec![
                part(
                    DifferenceKind::Changed,
                    ("policy", ""),
                    vec![key("lost", Some("\"60s\""), Some("\"90s\""))],
                ),
                part(
                    DifferenceKind::Added,
                    ("intake", "3"),
                    vec![key("queue", None, Some("\"orders\""))],
                ),
                part(DifferenceKind::Changed, ("queue", "orders"), changed),
                part(DifferenceKind::Removed, ("agent", "bo"), Vec::new()),
            ],
            differences_left_out: 2,
            ..Default::default()
        };
        assert!(differs(&checked));
        assert_eq!(
            text(&checked, Terminal::plain()),
            "~ [policy]\n  ~ lost = \"60s\" -> \"90s\"\n\
             + [[intake]] 3\n  + queue = \"orders\"\n\
             ~ [queue.orders]\n  ~ paused = false -> true\n  - skills.orders = 2\n\
             - [agent.bo]\nand 2 more\n"
        );
    }

    #[test]
    fn an_equal_plan_has_no_paragraph() {
        let checked = api::CheckFloorPlanResponse::default();
        assert!(!differs(&checked));
        assert_eq!(text(&checked, Terminal::plain()), "");
    }
}
