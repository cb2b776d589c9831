//! `antiphon agent`: people who answer.
//! Promise: every agent of the plan, by name, page by page.
//! Not here: changing an agent (the floor plan does).

use pb::api::v1::{self as api, LeaseState};

use crate::args::{AgentArgs, AgentCommand, Output};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{clock, columns, indented, or_dash};
use crate::terminal::Terminal;

pub async fn run(args: AgentArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let AgentCommand::List { site, reach } = args.command;
    let reach = Reach::of(&reach)?;
    let agents = reach.client.supervisor().agents(&site).await?;
    match reach.output {
        Output::Json => {
            let listed = api::ListAgentsResponse {
                agents,
                ..Default::default()
            };
            json::print("ListAgentsResponse", &listed)?;
        }
        Output::Table => out!("{}", rows(&agents, terminal)),
    }
    Ok(Exit::Ok)
}

fn rows(agents: &[api::AgentSummary], terminal: Terminal) -> String {
    let mut table = columns(&[
        "AGENT",
        "NAME",
        "SITE",
        "LEASE",
        "INTENT",
        "LOAD>",
        "HELD>",
        "IDLE>",
        "LANGUAGES",
        "SKILLS",
    ]);
    for agent in agents {
        table.add_row([
            agent.agent.clone(),
            agent.display_name.clone(),
            agent.site.clone(),
            lease(agent.lease(), terminal),
            intent(agent),
            format!("{}/{}", agent.used, agent.capacity),
            agent.conversations.to_string(),
            clock(agent.idle_ms),
            levels(&agent.languages),
            levels(&agent.skills),
        ]);
    }
    indented(&table)
}

fn lease(lease: LeaseState, terminal: Terminal) -> String {
    match lease {
        LeaseState::Alive => terminal.good("o alive"),
        LeaseState::Suspect => terminal.warn("? silent"),
        LeaseState::Lost => terminal.bad("x lost"),
        LeaseState::Offline | LeaseState::Unspecified => "- offline".to_owned(),
    }
}

fn intent(agent: &api::AgentSummary) -> String {
    let intent = agent.intent.clone().unwrap_or_default();
    let word = match (agent.session, intent.ready) {
        (0, _) => "-",
        (_, true) => "ready",
        (_, false) => "not ready",
    };
    match intent.reason.as_str() {
        "" => word.to_owned(),
        reason => format!("{word}: {reason}"),
    }
}

fn levels(levels: &std::collections::HashMap<String, u32>) -> String {
    let mut words: Vec<String> = levels
        .iter()
        .map(|(name, level)| format!("{name} {level}"))
        .collect();
    words.sort();
    or_dash(&words.join(", "))
}
