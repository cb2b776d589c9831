//! `antiphon queue`: lines of work.
//! Promise: worst first, as the cluster orders them.
//! Not here: changing a queue (the floor plan does).

use pb::api::v1 as api;

use crate::args::{Output, QueueArgs, QueueCommand};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{clock, columns, indented, percent};
use crate::terminal::Terminal;

pub async fn run(args: QueueArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let QueueCommand::List { reach } = args.command;
    let reach = Reach::of(&reach)?;
    let supervisor = reach.client.supervisor();
    let listed = supervisor.list_queues(api::ListQueuesRequest {}).await?;
    match reach.output {
        Output::Json => json::print("ListQueuesResponse", &listed)?,
        Output::Table => {
            out!("{}", rows(&listed.queues, terminal));
            eprintln!("at log index {}", listed.applied_index);
        }
    }
    Ok(Exit::Ok)
}

/// The table of queues, in the order given.
pub fn rows(queues: &[api::QueueView], terminal: Terminal) -> String {
    let mut table = columns(&[
        "QUEUE",
        "CLASS",
        "WAITING>",
        "LONGEST>",
        "OFFERED>",
        "ACTIVE>",
        "HELD>",
        "WRAP-UP>",
        "FREE/STAFF>",
        "SERVICE LEVEL>",
        "STATE",
    ]);
    for queue in queues {
        let level = queue.service_level.clone().unwrap_or_default();
        let measured = match level.definition {
            0 => "-".to_owned(),
            definition => {
                let threshold = level.threshold_ms / 1_000;
                format!(
                    "{} ({definition}) in {threshold} s",
                    percent(level.basis_points)
                )
            }
        };
        table.add_row([
            queue.queue.clone(),
            queue.urgency.clone(),
            queue.waiting.to_string(),
            clock(queue.longest_wait_ms),
            queue.offered.to_string(),
            queue.active.to_string(),
            queue.on_hold.to_string(),
            queue.wrap_up.to_string(),
            format!("{}/{}", queue.agents_free, queue.agents_staffed),
            measured,
            state(queue, &level, terminal),
        ]);
    }
    indented(&table)
}

fn state(queue: &api::QueueView, level: &api::ServiceLevel, terminal: Terminal) -> String {
    let missed = level
        .basis_points
        .is_some_and(|points| points < level.target_basis_points);
    match (queue.paused, queue.agents_staffed, missed) {
        (true, _, _) => terminal.warn("|| paused"),
        (_, 0, _) => terminal.bad("x nobody staffed"),
        (_, _, true) => terminal.warn("! below target"),
        _ => terminal.good("ok"),
    }
}
