//! `antiphon floor`: the plan of queues, skills and agents.
//! Promise: a plan is applied only against the version that it was made for; faults come with their place.
//! Not here: what makes a plan good (the cluster decides).

mod diff;
mod history;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use client::api::{self, ErrorReason};
use client::{CallError, REQUEST_ID, reason_name};

use crate::args::{FloorArgs, FloorCommand, Output};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::terminal::{Terminal, staff};

pub async fn run(args: FloorArgs, terminal: Terminal) -> Result<Exit, Failure> {
    match args.command {
        FloorCommand::Show { version, reach } => show(&Reach::of(&reach)?, version).await,
        FloorCommand::Check { file, reach } => check(&Reach::of(&reach)?, &file).await,
        FloorCommand::Diff { file, reach } => {
            diff::diff(&Reach::of(&reach)?, &file, terminal).await
        }
        FloorCommand::History { reach } => history::history(&Reach::of(&reach)?).await,
        FloorCommand::Revert {
            to,
            expect,
            dry_run,
            yes,
            once,
            reach,
        } => {
            let wish = history::Wish {
                to,
                expect,
                dry_run,
                yes,
                request_id: once.request_id,
            };
            history::revert(&Reach::of(&reach)?, wish, terminal).await
        }
        FloorCommand::Apply {
            file,
            expect,
            dry_run,
            yes,
            once,
            reach,
        } => {
            let wish = Wish {
                file,
                expect,
                dry_run,
                yes,
                request_id: once.request_id,
            };
            apply(&Reach::of(&reach)?, wish, terminal).await
        }
    }
}

async fn show(reach: &Reach, version: u64) -> Result<Exit, Failure> {
    let operator = reach.client.operator();
    let plan = match operator
        .get_floor_plan(api::GetFloorPlanRequest { version })
        .await
    {
        Ok(plan) => plan,
        Err(error) if version > 0 && error.reason == ErrorReason::FieldInvalid => {
            let in_force = api::GetFloorPlanRequest { version: 0 };
            let in_force = operator.get_floor_plan(in_force).await?;
            return Err(not_there(version, in_force.version));
        }
        Err(error) => return Err(error.into()),
    };
    match reach.output {
        Output::Json => json::print("GetFloorPlanResponse", &plan)?,
        Output::Table => {
            out!("{}", plan.toml);
            eprintln!("version {}", plan.version);
        }
    }
    Ok(Exit::Ok)
}

/// A version that the cluster does not have: none was ever so high, or it was given up since.
fn not_there(version: u64, in_force: u64) -> Failure {
    let sentence = match version > in_force {
        true => format!("there was never a version {version}; version {in_force} is in force"),
        false => format!("version {version} is not kept any more; version {in_force} is in force"),
    };
    let failure = Failure::plain(sentence).with_reason(reason_name(ErrorReason::FieldInvalid));
    failure
        .with_exit(Exit::Refused)
        .with_next("antiphon floor show")
}

async fn check(reach: &Reach, file: &Path) -> Result<Exit, Failure> {
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
        print_changes(&checked.changes);
        eprintln!(
            "try: antiphon floor apply {} --expect {}",
            file.display(),
            checked.current_version
        );
    }
    Ok(Exit::Ok)
}

struct Wish {
    file: PathBuf,
    expect: Option<u64>,
    dry_run: bool,
    yes: bool,
    request_id: String,
}

async fn apply(reach: &Reach, wish: Wish, terminal: Terminal) -> Result<Exit, Failure> {
    let operator = reach.client.operator();
    let toml = read(&wish.file)?;
    let checked = operator
        .check_floor_plan(api::CheckFloorPlanRequest { toml: toml.clone() })
        .await?;
    if !checked.faults.is_empty() {
        return Err(faulty(&wish.file, &checked.faults, checked.current_version));
    }
    let expected_version = wish.expect.unwrap_or(checked.current_version);
    if !wish.dry_run && !wish.yes {
        for change in &checked.changes {
            eprintln!("  {change}");
        }
        let question = format!("Apply this over version {expected_version}?");
        terminal.confirm(&question, wish.yes)?;
    }
    let request = api::ApplyFloorPlanRequest {
        toml,
        expected_version,
        dry_run: wish.dry_run,
        staff: staff(),
        request_id: wish.request_id,
    };
    let applied = operator.apply_floor_plan(request).await;
    let applied = applied.map_err(|error| unanswered(error, expected_version))?;
    if reach.output == Output::Json {
        json::print("ApplyFloorPlanResponse", &applied)?;
    }
    if !applied.faults.is_empty() {
        return Err(faulty(&wish.file, &applied.faults, applied.version));
    }
    if reach.output == Output::Table {
        print_changes(&applied.changes);
        say_version(&applied, wish.dry_run);
    }
    if applied.behind.is_empty() {
        return Ok(Exit::Ok);
    }
    Err(behind(applied.version, &applied.behind))
}

/// The same command again must name the version that it replaces: the one in force may be its own by now.
fn unanswered(error: CallError, expected: u64) -> Failure {
    let again = error.metadata.get(REQUEST_ID).cloned();
    let failure = Failure::from(error);
    match again {
        Some(id) => failure.with_next(format!(
            "antiphon status, then the same command again with --expect {expected} --request-id {id}"
        )),
        None => failure,
    }
}

/// A plan that is in force and that some cells do not follow yet.
fn behind(version: u64, cells: &[String]) -> Failure {
    let cells = cells.join(", ");
    let sentence = format!("version {version} is in force, and {cells} has not adopted it yet");
    let failure = Failure::plain(sentence).with_reason("PLAN_BEHIND");
    failure
        .with_exit(Exit::TimedOut)
        .with_next("antiphon status")
}

fn say_version(applied: &api::ApplyFloorPlanResponse, dry_run: bool) {
    match dry_run {
        true => eprintln!(
            "nothing was changed; version {} is in force",
            applied.version
        ),
        false => eprintln!(
            "version {} is in force; adopted by {}",
            applied.version,
            applied.adopted.join(", ")
        ),
    }
}

fn print_changes(changes: &[String]) {
    match changes {
        [] => outln!("no changes"),
        changes => changes.iter().for_each(|change| outln!("{change}")),
    }
}

/// Every fault as `file:line:column: what`, then the refusal.
fn faulty(file: &Path, faults: &[api::PlanFault], version: u64) -> Failure {
    for fault in faults {
        eprintln!("{}", fault_line(file, fault));
    }
    let count = match faults.len() {
        1 => "one fault".to_owned(),
        many => format!("{many} faults"),
    };
    let sentence = format!("the plan has {count}; version {version} stays in force");
    let next = format!(
        "correct it where the lines above say, then antiphon floor apply {}",
        file.display()
    );
    let failure = Failure::plain(sentence).with_reason("PLAN_INVALID");
    failure.with_exit(Exit::Refused).with_next(next)
}

fn fault_line(file: &Path, fault: &api::PlanFault) -> String {
    let place = match fault.line {
        0 => file.display().to_string(),
        line => format!("{}:{line}:{}", file.display(), fault.column),
    };
    let meant = match fault.suggestion.as_str() {
        "" => String::new(),
        suggestion => format!("; did you mean {suggestion}?"),
    };
    format!("{place}: {}{meant}", fault.message)
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        false => std::fs::read_to_string(file).map(|content| text = content),
    };
    match read {
        Ok(()) if text.trim().is_empty() => {
            // It would retire every queue and agent, and is what a failed `floor show > FILE` leaves.
            let failure = Failure::usage(format!("{} is empty, which is no plan", file.display()));
            Err(failure.with_next("antiphon floor show > FILE, for one to begin with"))
        }
        Ok(()) => Ok(text),
        Err(error) => Err(Failure::unreadable(file, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_its_place_and_what_was_meant() {
        let fault = api::PlanFault {
            line: 12,
            column: 5,
            message: "unknown key `capacty`".into(),
            suggestion: "capacity".into(),
        };
        assert_eq!(
            fault_line(Path::new("floor.toml"), &fault),
            "floor.toml:12:5: unknown key `capacty`; did you mean capacity?"
        );
    }

    #[test]
    fn an_empty_file_is_no_plan() {
        assert_eq!(read(Path::new("/dev/null")).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_version_that_never_was_is_not_said_to_be_gone() {
        let never = not_there(99, 3);
        assert_eq!(
            never.sentence,
            "there was never a version 99; version 3 is in force"
        );
        assert_eq!(never.exit, Exit::Refused);
        assert!(not_there(1, 30).sentence.contains("not kept any more"));
    }

    #[test]
    fn a_faulty_plan_is_to_be_corrected_not_checked_once_more() {
        let failure = faulty(Path::new("f.toml"), &[api::PlanFault::default()], 18);
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.reason.as_deref(), Some("PLAN_INVALID"));
        let next = failure.next.unwrap();
        assert!(next.starts_with("correct it"), "{next}");
        assert!(next.ends_with("antiphon floor apply f.toml"), "{next}");
    }
}
