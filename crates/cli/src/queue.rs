//! `antiphon queue`: lines of work.
//! Promise: worst first, as the cluster orders them; a paused one says who paused it and why.
//! Not here: what a queue requires (the floor plan says).

use pb::api::v1 as api;

use crate::args::{Output, QueueActArgs, QueueArgs, QueueCommand};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::prefix;
use crate::reach::Reach;
use crate::table::{clock, columns, indented, percent, span};
use crate::terminal::{Terminal, staff};

pub async fn run(args: QueueArgs, terminal: Terminal) -> Result<Exit, Failure> {
    match args.command {
        QueueCommand::List { reach } => list(&Reach::of(&reach)?, terminal).await,
        QueueCommand::Pause(args) => pause(args, terminal).await,
        QueueCommand::Resume(args) => resume(args, terminal).await,
    }
}

async fn list(reach: &Reach, terminal: Terminal) -> Result<Exit, Failure> {
    let supervisor = reach.client.supervisor();
    let listed = supervisor.list_queues(api::ListQueuesRequest {}).await?;
    match reach.output {
        Output::Json => json::print("ListQueuesResponse", &listed)?,
        Output::Table => {
            out!("{}", rows(&listed.queues, terminal));
            for queue in &listed.queues {
                paused_line(queue)
                    .into_iter()
                    .for_each(|line| outln!("  {line}"));
            }
            eprintln!("at log index {}", listed.applied_index);
        }
    }
    Ok(Exit::Ok)
}

async fn pause(args: QueueActArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let queue = prefix::queue(&reach, args.name).await?;
    terminal.confirm(
        &format!("Pause queue {queue}? What waits keeps its place and is offered to nobody."),
        args.yes,
    )?;
    let request = api::PauseQueueRequest {
        queue: queue.clone(),
        staff: staff(),
        reason: args.reason,
        request_id: args.once.request_id,
    };
    let paused = reach.client.supervisor().pause_queue(request).await?;
    if reach.output == Output::Json {
        json::print("PauseQueueResponse", &paused)?;
    }
    say(&reach, queue).await
}

async fn resume(args: QueueActArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let queue = prefix::queue(&reach, args.name).await?;
    terminal.confirm(&format!("Let queue {queue} go on?"), args.yes)?;
    let request = api::ResumeQueueRequest {
        queue: queue.clone(),
        staff: staff(),
        reason: args.reason,
        request_id: args.once.request_id,
    };
    let resumed = reach.client.supervisor().resume_queue(request).await?;
    if reach.output == Output::Json {
        json::print("ResumeQueueResponse", &resumed)?;
    }
    say(&reach, queue).await
}

/// What became of the queue.
async fn say(reach: &Reach, queue: String) -> Result<Exit, Failure> {
    let request = api::GetQueueRequest { queue };
    let shown = reach.client.supervisor().get_queue(request).await?;
    let queue = shown.queue.unwrap_or_default();
    match paused_line(&queue) {
        Some(line) => eprintln!("{line}; {} wait and keep their place", queue.waiting),
        None => eprintln!(
            "{} goes on; {} wait, {} are offered",
            queue.queue, queue.waiting, queue.offered
        ),
    }
    Ok(Exit::Ok)
}

/// Who or what pauses a queue, in a sentence.
pub fn paused_line(queue: &api::QueueView) -> Option<String> {
    let by_staff = queue.steered.as_ref().filter(|steered| steered.paused);
    match (by_staff, queue.paused_by_plan) {
        (None, false) => None,
        (None, true) => Some(format!("{} is paused by the floor plan", queue.queue)),
        (Some(steered), by_plan) => {
            let since = span(steered.for_ms);
            let (name, staff) = (&queue.queue, &steered.staff);
            let reason = &steered.reason;
            let too = if by_plan {
                ", and by the floor plan"
            } else {
                ""
            };
            Some(format!(
                "{name} is paused by {staff}, {since} ago: {reason}{too}"
            ))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_queue_says_who_paused_it_since_when_and_why() {
        let steered = api::QueueSteered {
            paused: true,
            staff: "mia".into(),
            reason: "maintenance".into(),
            for_ms: 120_000,
            ..Default::default()
        };
        let mut queue = api::QueueView {
            queue: "sales".into(),
            ..Default::default()
        };
        assert_eq!(paused_line(&queue), None);
        queue.steered = Some(steered);
        let line = paused_line(&queue).unwrap();
        assert_eq!(line, "sales is paused by mia, 2 min ago: maintenance");
        queue.paused_by_plan = true;
        queue.steered.as_mut().unwrap().paused = false;
        let line = paused_line(&queue).unwrap();
        assert_eq!(line, "sales is paused by the floor plan");
    }
}
