//! `antiphon log level` and `antiphon config reload`: a running node's log and configuration.
//! Promise: what is changed is changed at one node, which is named; an address that fails is not replaced
//! by another node's.
//! Not here: what a filter says, which keys are taken over (the node decides).

use std::time::Duration;

use client::api;

use crate::args::{LogArgs, LogCommand, Output};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::span;
use crate::terminal::staff;

pub async fn run(args: LogArgs) -> Result<Exit, Failure> {
    let LogCommand::Level {
        filter,
        lasts,
        reset,
        node,
        reach,
    } = args.command;
    let reach = Reach::of(&reach)?;
    match (filter, reset) {
        (None, false) => show(&reach, node.unwrap_or_default()).await,
        (None, true) => set(&reach, node, (String::new(), lasts)).await,
        (Some(filter), _) => set(&reach, node, (filter, lasts)).await,
    }
}

async fn show(reach: &Reach, node: String) -> Result<Exit, Failure> {
    let request = api::GetLogLevelRequest { node };
    let answer = reach.client.operator().get_log_level(request).await?;
    match reach.output {
        Output::Json => json::print("GetLogLevelResponse", &answer)?,
        Output::Table => print(&answer.level.unwrap_or_default()),
    }
    Ok(Exit::Ok)
}

async fn set(
    reach: &Reach,
    node: Option<String>,
    (filter, lasts): (String, Duration),
) -> Result<Exit, Failure> {
    let request = api::SetLogLevelRequest {
        node: named(reach, node).await?,
        filter,
        for_ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
        staff: staff(),
    };
    let answer = reach.client.operator().set_log_level(request).await?;
    match reach.output {
        Output::Json => json::print("SetLogLevelResponse", &answer)?,
        Output::Table => print(&answer.level.unwrap_or_default()),
    }
    Ok(Exit::Ok)
}

/// A call that is asked again may reach another node: the one at the address is named first.
async fn named(reach: &Reach, node: Option<String>) -> Result<String, Failure> {
    if let Some(node) = node {
        return Ok(node);
    }
    let request = api::GetLogLevelRequest::default();
    let answer = reach.client.operator().get_log_level(request).await?;
    Ok(answer.level.unwrap_or_default().node)
}

fn print(level: &api::LogLevelView) {
    outln!("{}", level.filter);
    eprintln!("{}", sentence(level));
}

fn sentence(level: &api::LogLevelView) -> String {
    let node = &level.node;
    match level.falls_back_ms {
        0 => format!("{node}: as configured"),
        left => format!(
            "{node}: for {}, then {} again",
            span(left),
            level.configured
        ),
    }
}

/// Lets a node read its configuration again.
pub async fn reload(reach: &Reach, node: Option<String>) -> Result<Exit, Failure> {
    let request = api::ReloadConfigRequest {
        node: named(reach, node).await?,
        staff: staff(),
    };
    let answer = reach.client.operator().reload_config(request).await?;
    if reach.output == Output::Json {
        json::print("ReloadConfigResponse", &answer)?;
    }
    if !answer.faults.is_empty() {
        return Err(faulty(&answer));
    }
    if reach.output == Output::Table {
        out!("{}", text(&answer));
    }
    Ok(Exit::Ok)
}

fn text(answer: &api::ReloadConfigResponse) -> String {
    let line = |what: &str, change: &api::ConfigChange| {
        let (key, old, new) = (&change.key, &change.old_value, &change.new_value);
        format!("{what} {key} {old} -> {new}\n")
    };
    let taken = answer
        .taken
        .iter()
        .map(|change| line("taken over:", change));
    let waiting = answer
        .waiting
        .iter()
        .map(|change| line("needs a restart:", change));
    match answer.taken.is_empty() && answer.waiting.is_empty() {
        true => format!("{}: nothing differs\n", answer.node),
        false => taken.chain(waiting).collect(),
    }
}

fn faulty(answer: &api::ReloadConfigResponse) -> Failure {
    for fault in &answer.faults {
        let meant = match fault.suggestion.as_str() {
            "" => String::new(),
            suggestion => format!("; did you mean {suggestion}?"),
        };
        eprintln!("{}: {}{meant}", fault.place, fault.message);
    }
    let node = &answer.node;
    Failure::plain(format!(
        "{node} goes on with what it has: its configuration has faults"
    ))
    .with_reason("CONFIG_INVALID")
    .with_exit(Exit::Refused)
    .with_next("antiphon config check, on the machine of the node")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_says_when_the_configured_one_comes_back() {
        let mut level = api::LogLevelView {
            node: "fra-n1".into(),
            filter: "debug".into(),
            configured: "info".into(),
            falls_back_ms: 600_000,
        };
        assert_eq!(sentence(&level), "fra-n1: for 10 min, then info again");
        level.falls_back_ms = 0;
        assert_eq!(sentence(&level), "fra-n1: as configured");
    }

    #[test]
    fn what_was_taken_over_and_what_waits_are_told_apart() {
        let change = |key: &str| api::ConfigChange {
            key: key.into(),
            old_value: "1".into(),
            new_value: "2".into(),
        };
        let mut answer = api::ReloadConfigResponse {
            node: "fra-n1".into(),
            taken: vec![change("limits.connections")],
            waiting: vec![change("limits.log_segment_mib")],
            ..Default::default()
        };
        assert_eq!(
            text(&answer),
            "taken over: limits.connections 1 -> 2\nneeds a restart: limits.log_segment_mib 1 -> 2\n"
        );
        answer.taken.clear();
        answer.waiting.clear();
        assert_eq!(text(&answer), "fra-n1: nothing differs\n");
        assert_eq!(faulty(&answer).exit, Exit::Refused);
    }
}
