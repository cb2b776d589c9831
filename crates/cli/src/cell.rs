//! `antiphon cell`: replicated groups, their replicas, and an entry that stops them.
//! Promise: what is passed over was asked about first; the next command to type is said.
//! Not here: whether an entry may be passed over (the cluster decides).

use client::api;

use crate::args::{CellArgs, CellCommand, Output};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{columns, grouped, indented, or_dash, span};
use crate::terminal::{Terminal, staff};

pub async fn run(args: CellArgs, terminal: Terminal) -> Result<Exit, Failure> {
    match args.command {
        CellCommand::Show { reach } => show(&Reach::of(&reach)?, terminal).await,
        CellCommand::Skip {
            cell,
            index,
            reason,
            yes,
            reach,
        } => {
            let reach = Reach::of(&reach)?;
            let question = format!(
                "Pass over entry {index} of cell {cell} on every replica, for good? Its effect will be missing."
            );
            terminal.confirm(&question, yes)?;
            let request = api::SkipEntryRequest {
                cell,
                index,
                staff: staff(),
                reason,
            };
            skip(&reach, request).await
        }
    }
}

async fn show(reach: &Reach, terminal: Terminal) -> Result<Exit, Failure> {
    let operator = reach.client.operator();
    let status = operator.get_status(api::GetStatusRequest {}).await?;
    match reach.output {
        Output::Json => json::print("GetStatusResponse", &status)?,
        Output::Table => {
            out!("{}", rows(&status.groups, terminal));
            for next in status.next.iter().filter(|next| next.contains(" cell ")) {
                eprintln!("{next}");
            }
        }
    }
    let halted =
        |group: &api::GroupView| group.members.iter().any(|member| member.halted.is_some());
    match status.groups.iter().any(halted) {
        true => Ok(Exit::Degraded),
        false => Ok(Exit::Ok),
    }
}

/// A row for each replica, and under the table why those that stopped did.
fn rows(groups: &[api::GroupView], terminal: Terminal) -> String {
    let mut table = columns(&["CELL", "NODE", "ROLE", "TRAILS>", "CHECKPOINT>", "STATE"]);
    let mut reasons = String::new();
    for group in groups {
        let checkpoint = match group.checkpoint {
            0 => "-".to_owned(),
            index => format!("{} ({} ago)", grouped(index), span(group.checkpoint_age_ms)),
        };
        for member in &group.members {
            let role = match (member.voter, member.node == group.leader) {
                (_, true) => "leader",
                (true, false) => "voter",
                (false, false) => "learner",
            };
            let state = match (&member.halted, member.reachable) {
                (Some(halt), _) => {
                    reasons.push_str(&format!(
                        "\n{} {}: {}\n",
                        group.group, member.node, halt.reason
                    ));
                    terminal.bad(&format!("x stopped at {}", grouped(halt.index)))
                }
                (None, true) => terminal.good("o applies"),
                (None, false) => terminal.warn("? no answer"),
            };
            table.add_row([
                group.group.clone(),
                member.node.clone(),
                role.to_owned(),
                or_dash(&member.trails.map(grouped).unwrap_or_default()),
                checkpoint.clone(),
                state,
            ]);
        }
    }
    format!("{}{reasons}", indented(&table))
}

async fn skip(reach: &Reach, request: api::SkipEntryRequest) -> Result<Exit, Failure> {
    let (cell, index) = (request.cell.clone(), request.index);
    let skipped = reach.client.operator().skip_entry(request).await?;
    if reach.output == Output::Json {
        json::print("SkipEntryResponse", &skipped)?;
    } else {
        eprintln!(
            "entry {index} of cell {cell} is passed over, as entry {} says; going on: {}",
            skipped.logged,
            or_dash(&skipped.going_on.join(", "))
        );
    }
    if skipped.behind.is_empty() {
        return Ok(Exit::Ok);
    }
    let behind = skipped.behind.join(", ");
    let sentence =
        format!("entry {index} is passed over, and these replicas do not go on yet: {behind}");
    let failure = Failure::plain(sentence).with_exit(Exit::TimedOut);
    Err(failure.with_next("antiphon cell show"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_stopped_is_shown_with_where_and_why() {
        let member = |node: &str, halted| api::MemberView {
            node: node.into(),
            voter: true,
            reachable: true,
            halted,
            ..Default::default()
        };
        let halt = api::HaltView {
            index: 1_234,
            reason: "the machine panicked".into(),
            skippable: true,
        };
        let group = api::GroupView {
            group: "main".into(),
            leader: "sha-n1".into(),
            checkpoint: 1_000,
            checkpoint_age_ms: 5_000,
            members: vec![member("sha-n1", None), member("fra-n1", Some(halt))],
            ..Default::default()
        };
        let text = rows(&[group], Terminal::plain());
        assert!(
            text.contains("leader") && text.contains("o applies"),
            "{text}"
        );
        assert!(text.contains("x stopped at 1 234"), "{text}");
        assert!(
            text.ends_with("main fra-n1: the machine panicked\n"),
            "{text}"
        );
    }
}
