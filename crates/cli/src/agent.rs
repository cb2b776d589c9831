//! `antiphon agent`: people who answer.
//! Promise: every agent of the plan, by name, page by page; who set an intent is shown beside it.
//! Not here: what an agent can do (the floor plan says).

mod explain;

use pb::api::v1::{self as api, LeaseState};

use crate::args::{AgentArgs, AgentCommand, AgentSetArgs, Output};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::prefix;
use crate::reach::Reach;
use crate::table::{clock, columns, indented, or_dash};
use crate::terminal::{Terminal, staff};

pub async fn run(args: AgentArgs, terminal: Terminal) -> Result<Exit, Failure> {
    match args.command {
        AgentCommand::List { site, reach } => list(&Reach::of(&reach)?, &site, terminal).await,
        AgentCommand::Show { name, reach } => {
            let reach = Reach::of(&reach)?;
            let name = prefix::agent(&reach, name).await?;
            show(&reach, name, terminal).await
        }
        AgentCommand::Explain { name, reach } => {
            let reach = Reach::of(&reach)?;
            let name = prefix::agent(&reach, name).await?;
            explain::run(&reach, name).await
        }
        AgentCommand::Set(args) => set(args, terminal).await,
    }
}

async fn list(reach: &Reach, site: &str, terminal: Terminal) -> Result<Exit, Failure> {
    let agents = reach.client.supervisor().agents(site).await?;
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

async fn show(reach: &Reach, agent: String, terminal: Terminal) -> Result<Exit, Failure> {
    let request = api::GetAgentRequest { agent };
    let shown = reach.client.supervisor().get_agent(request).await?;
    if reach.output == Output::Json {
        json::print("GetAgentResponse", &shown)?;
        return Ok(Exit::Ok);
    }
    let agent = shown.agent.unwrap_or_default();
    out!("{}", rows(std::slice::from_ref(&agent), terminal));
    if !agent.set_by.is_empty() {
        outln!("  set by {}: {}", agent.set_by, agent.set_why);
    }
    let mut table = columns(&["CONVERSATION", "STATE", "QUEUE", "CUSTOMER", "AGE>"]);
    for one in &shown.conversations {
        table.add_row([
            one.conversation_id.clone(),
            crate::conversation::state_word(one.state()).to_owned(),
            one.queue.clone(),
            one.customer.clone(),
            clock(one.age_ms),
        ]);
    }
    if !shown.conversations.is_empty() {
        out!("{}", indented(&table));
    }
    eprintln!("at log index {}", shown.applied_index);
    Ok(Exit::Ok)
}

async fn set(args: AgentSetArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let agent = prefix::agent(&reach, args.name).await?;
    let (intent, said) = match args.not_ready {
        Some(reason) => (
            api::Intent {
                ready: false,
                reason,
            },
            "not ready",
        ),
        None => (
            api::Intent {
                ready: true,
                reason: String::new(),
            },
            "ready",
        ),
    };
    terminal.confirm(&format!("Set agent {agent} {said}?"), args.yes)?;
    let request = api::SetAgentIntentRequest {
        agent: agent.clone(),
        staff: staff(),
        reason: args.reason.unwrap_or_else(|| intent.reason.clone()),
        intent: Some(intent),
        request_id: args.once.request_id,
    };
    let done = reach.client.supervisor().set_agent_intent(request).await?;
    match reach.output {
        Output::Json => json::print("SetAgentIntentResponse", &done)?,
        Output::Table => eprintln!("{agent} is {said}"),
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
    let set_by = match agent.set_by.as_str() {
        "" => String::new(),
        staff => format!(" (by {staff})"),
    };
    match intent.reason.as_str() {
        "" => format!("{word}{set_by}"),
        reason => format!("{word}: {reason}{set_by}"),
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
