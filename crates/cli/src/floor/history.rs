//! `antiphon floor history` and `antiphon floor revert`: versions that were, and going back to one.
//! Promise: a revert is asked for with what it changes, names the version that it replaces, and makes a new
//! version.
//! Not here: keeping versions (the cluster).

use std::path::Path;

use client::api;

use super::{behind, diff, fault_line, not_there, print_changes, unanswered};
use crate::args::Output;
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{columns, indented, span};
use crate::terminal::{Terminal, staff};

/// Lists the versions that are kept.
pub async fn history(reach: &Reach) -> Result<Exit, Failure> {
    let listed = list(reach).await?;
    match reach.output {
        Output::Json => json::print("ListFloorPlansResponse", &listed)?,
        Output::Table => {
            out!("{}", table(&listed));
            if let Some(before) = listed.versions.get(1) {
                eprintln!("try: antiphon floor revert --to {}", before.version);
            }
        }
    }
    Ok(Exit::Ok)
}

async fn list(reach: &Reach) -> Result<api::ListFloorPlansResponse, Failure> {
    let request = api::ListFloorPlansRequest {};
    Ok(reach.client.operator().list_floor_plans(request).await?)
}

fn table(listed: &api::ListFloorPlansResponse) -> String {
    let mut table = columns(&["VERSION>", "APPLIED", "BY", "QUEUES>", "AGENTS>", "CHANGED"]);
    for version in &listed.versions {
        let age = listed.wall_ms.saturating_sub(version.applied_wall_ms);
        table.add_row([
            version.version.to_string(),
            format!("{} ago", span(age)),
            version.staff.clone(),
            version.queues.to_string(),
            version.agents.to_string(),
            changed(version),
        ]);
    }
    indented(&table)
}

/// The first change and how many there are beside it.
fn changed(version: &api::FloorPlanVersion) -> String {
    let more = version.changes.len().saturating_sub(1) + version.changes_left_out as usize;
    match (version.changes.first(), more) {
        (None, _) => "-".to_owned(),
        (Some(first), 0) => first.clone(),
        (Some(first), more) => format!("{first}, and {more} more"),
    }
}

/// What is wanted of a revert.
pub struct Wish {
    pub to: Option<u64>,
    pub expect: Option<u64>,
    pub dry_run: bool,
    pub yes: bool,
    pub request_id: String,
}

/// Brings the content of an earlier version into force.
pub async fn revert(reach: &Reach, wish: Wish, terminal: Terminal) -> Result<Exit, Failure> {
    let (to, in_force) = target(&list(reach).await?, wish.to)?;
    let expected = wish.expect.unwrap_or(in_force);
    let operator = reach.client.operator();
    let toml = operator
        .get_floor_plan(api::GetFloorPlanRequest { version: to })
        .await?
        .toml;
    let request = api::CheckFloorPlanRequest { toml };
    let checked = operator.check_floor_plan(request).await?;
    if wish.dry_run {
        match reach.output {
            Output::Json => json::print("CheckFloorPlanResponse", &checked)?,
            Output::Table => {
                out!("{}", diff::text(&checked, terminal));
                eprintln!("nothing was changed; version {in_force} is in force");
                eprintln!("try: antiphon floor revert --to {to} --expect {in_force}");
            }
        }
        return Ok(Exit::Ok);
    }
    if !wish.yes {
        eprint!("{}", diff::text(&checked, terminal.talk()));
    }
    let question = format!("Bring the content of version {to} into force over version {expected}?");
    terminal.confirm(&question, wish.yes)?;
    let request = api::RevertFloorPlanRequest {
        to_version: to,
        expected_version: expected,
        staff: staff(),
        request_id: wish.request_id,
    };
    let reverted = operator.revert_floor_plan(request).await;
    let reverted = reverted.map_err(|error| unanswered(error, expected))?;
    told(reach, to, &reverted)
}

fn told(reach: &Reach, to: u64, reverted: &api::RevertFloorPlanResponse) -> Result<Exit, Failure> {
    if reach.output == Output::Json {
        json::print("RevertFloorPlanResponse", reverted)?;
    }
    if !reverted.faults.is_empty() {
        return Err(faulty(to, reverted));
    }
    let version = reverted.version;
    if reach.output == Output::Table {
        print_changes(&reverted.changes);
        eprintln!("version {version} is in force, with the content of version {to}");
    }
    match reverted.behind.is_empty() {
        true => Ok(Exit::Ok),
        false => Err(behind(version, &reverted.behind)),
    }
}

/// The version that is meant and the one in force.
fn target(
    listed: &api::ListFloorPlansResponse,
    wanted: Option<u64>,
) -> Result<(u64, u64), Failure> {
    let mut versions = listed.versions.iter().map(|version| version.version);
    let in_force = versions.next().unwrap_or_default();
    match wanted {
        Some(to) if to == in_force || versions.any(|kept| kept == to) => Ok((to, in_force)),
        Some(to) => Err(not_there(to, in_force).with_next("antiphon floor history")),
        None => match versions.next() {
            Some(before) => Ok((before, in_force)),
            None => Err(
                Failure::plain(format!("version {in_force} is the only one that is kept"))
                    .with_reason("NO_EARLIER_VERSION")
                    .with_exit(Exit::Refused)
                    .with_next("antiphon floor apply FILE"),
            ),
        },
    }
}

/// An earlier version that the rules of today refuse.
fn faulty(to: u64, reverted: &api::RevertFloorPlanResponse) -> Failure {
    let name = format!("version {to}");
    for fault in &reverted.faults {
        eprintln!("{}", fault_line(Path::new(&name), fault));
    }
    let sentence = format!(
        "{name} cannot come into force any more; version {} stays",
        reverted.version
    );
    Failure::plain(sentence)
        .with_reason("PLAN_INVALID")
        .with_exit(Exit::Refused)
        .with_next(format!(
            "antiphon floor show --version {to} > FILE, correct it, then antiphon floor apply FILE"
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(versions: &[u64]) -> api::ListFloorPlansResponse {
        let version = |version: &u64| api::FloorPlanVersion {
            version: *version,
            applied_wall_ms: version * 60_000,
            staff: "lin".to_owned(),
            queues: 6,
            agents: 40,
            changes: vec!["agent bo: removed".to_owned(), "agent cy: added".to_owned()],
            changes_left_out: 3,
        };
        api::ListFloorPlansResponse {
            versions: versions.iter().map(version).collect(),
            wall_ms: 600_000,
        }
    }

    #[test]
    fn a_version_is_told_with_its_age_its_author_and_its_first_change() {
        let text = table(&listed(&[5]));
        let row = text.lines().nth(1).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[..6], ["5", "5", "min", "ago", "lin", "6"]);
        assert!(row.ends_with("agent bo: removed, and 4 more"), "{row}");
    }

    #[test]
    fn without_a_version_the_one_before_is_meant() {
        assert_eq!(target(&listed(&[9, 8, 7]), None).unwrap(), (8, 9));
        assert_eq!(target(&listed(&[9, 8, 7]), Some(7)).unwrap(), (7, 9));
        let gone = target(&listed(&[9, 8, 7]), Some(2)).unwrap_err();
        assert_eq!(
            (gone.exit, gone.next.as_deref()),
            (Exit::Refused, Some("antiphon floor history"))
        );
        assert!(gone.sentence.contains("not kept any more"));
        let first = target(&listed(&[1]), None).unwrap_err();
        assert_eq!(first.reason.as_deref(), Some("NO_EARLIER_VERSION"));
    }
}
