//! Commands that run on this machine alone: nodes and their configuration.
//! Promise: thin; what a node is, is the crate `node`. A signal ends a node in order, a second one at once.
//! Not here: talking to a cluster (all other modules).

mod check;
mod demo;
mod dev;
mod process;
mod settings;

use std::path::Path;

use node::config::Layered;
use node::{Config, InitOptions, NodeError, Profile};
use runtime::Env;
use runtime::real::Threads;

pub use check::check;
pub use dev::dev;

use crate::args::{ConfigCommand, InitArgs, JoinArgs, NodeArgs, Output, ServeArgs};
use crate::failure::{Exit, Failure};
use crate::local::settings::Layers;
use crate::table::{columns, indented};

/// Claims an empty data directory for the first node of a new cluster.
pub fn init(args: InitArgs) -> Result<Exit, Failure> {
    let file = settings::file_to_write(&args.node);
    let layered = settings::load(&args.node, &[])?;
    let floor = args.floor.as_deref().map(read).transpose()?;
    let options = InitOptions {
        profile: Profile::from_word(args.profile.word()),
        floor,
    };
    let production = Env::production(Threads::default())?;
    let founded = production.block_on(node::init(&layered.config, &production.env(), options));
    let identity = founded.map_err(of_node)?;
    settings::write(&file, &layered)?;
    eprintln!(
        "founded cluster {} ({})",
        layered.config.cluster.name, identity.cluster_id
    );
    eprintln!(
        "  profile {}, first node {} at site {}",
        identity.profile, identity.node_name, identity.site
    );
    eprintln!("now: antiphon serve --config {}", file.display());
    eprintln!(
        "then, on the other sites: antiphon join {} --site SITE",
        layered.config.listen.peer
    );
    Ok(Exit::Ok)
}

/// Runs a node.
pub fn serve(args: ServeArgs) -> Result<Exit, Failure> {
    run(args.node, Vec::new())
}

/// Runs a node whose configuration can be read again.
fn run(args: NodeArgs, more: Vec<(String, String)>) -> Result<Exit, Failure> {
    let layered = settings::load(&args, &more)?;
    process::run(layered, Layers::new(args, more))
}

/// Runs a node that becomes a member first; a restart is `antiphon serve`.
pub fn join(args: JoinArgs) -> Result<Exit, Failure> {
    let file = settings::file_to_write(&args.node);
    let more = vec![("cluster.join".to_owned(), args.members.join(","))];
    let layered = settings::load(&args.node, &more)?;
    settings::write(&file, &layered)?;
    let members = args.members.join(", ");
    eprintln!("joining through {members}; this process serves from then on");
    eprintln!(
        "every later start: antiphon serve --config {}",
        file.display()
    );
    run(args.node, more)
}

/// Configuration: defaults, check, values in force.
pub fn config(command: ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Schema => outln!("{:#}", Config::schema()),
        ConfigCommand::Reload { .. } => {
            return Err(Failure::plain("this command asks a running node"));
        }
        ConfigCommand::Default => out!("{}", Config::default_toml()),
        ConfigCommand::Check { node } => {
            check_config(&node)?;
            eprintln!("the configuration can work");
        }
        ConfigCommand::Show { node, output } => show(&settings::load(&node, &[])?, output),
    }
    Ok(Exit::Ok)
}

fn check_config(node: &NodeArgs) -> Result<(), Failure> {
    let layered = settings::load(node, &[])?;
    let problems = layered.config.problems();
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    match problems.len() {
        0 => Ok(()),
        1 => Err(settings::invalid("the configuration has one problem")),
        many => Err(settings::invalid(&format!(
            "the configuration has {many} problems"
        ))),
    }
}

fn show(layered: &Layered, output: Output) {
    let values = layered.values();
    if output == Output::Json {
        let keys = values.into_iter().map(|(key, value, origin)| {
            let live = Config::is_live(&key);
            let origin = origin.to_string();
            let told = serde_json::json!({"value": value, "origin": origin, "live": live});
            (key, told)
        });
        outln!("{:#}", serde_json::Value::Object(keys.collect()));
        return;
    }
    let mut table = columns(&["KEY", "VALUE", "FROM", "TAKEN OVER"]);
    for (key, value, origin) in values {
        let when = match Config::is_live(&key) {
            true => "by reload",
            false => "at start",
        };
        table.add_row([key, value, origin.to_string(), when.to_owned()]);
    }
    out!("{}", indented(&table));
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| Failure::unreadable(file, &error))
}

/// A node's error as the command line tells it.
fn of_node(error: NodeError) -> Failure {
    let sentence = error.to_string();
    let failure = Failure::plain(sentence);
    match error {
        NodeError::Config(_) => settings::invalid(&failure.sentence),
        NodeError::JoinRefused { reason, message } => Failure {
            sentence: format!("the cluster refused this node: {message}"),
            next: Some(after_refusal(&reason).to_owned()),
            reason: Some(reason),
            exit: Exit::Refused,
        },
        NodeError::JoinUnanswered { .. } => failure
            .with_exit(Exit::Unreachable)
            .with_next("antiphon status --addr HOST:PORT, on a node of the cluster"),
        NodeError::AlreadyInitialised { .. } => failure
            .with_exit(Exit::Refused)
            .with_next("antiphon serve, or antiphon init --data DIR with an empty one"),
        NodeError::NoCluster { .. } => failure
            .with_exit(Exit::Refused)
            .with_next("antiphon init, or antiphon join HOST:PORT"),
        NodeError::IdentityDiffers { .. } => failure
            .with_exit(Exit::Refused)
            .with_next("antiphon config show, for where each value comes from"),
        NodeError::OtherCluster { .. } => failure
            .with_exit(Exit::Refused)
            .with_next("the same command with --data DIR, an empty one"),
        NodeError::FloorPlan(_) => failure
            .with_reason("PLAN_INVALID")
            .with_exit(Exit::Refused)
            .with_next("correct the plan, then the same command again"),
        NodeError::Listen { .. } => failure.with_next("antiphon check"),
        _ => failure,
    }
}

/// What to do when the cluster did not take a node in.
fn after_refusal(reason: &str) -> &'static str {
    match reason {
        "NODE_NAME_TAKEN" => {
            "the same command with --node NAME; antiphon status --addr HOST:PORT lists the names in use"
        }
        "PROFILE_DIFFERS" => "the same command with --set cluster.profile=PROFILE, the cluster's",
        _ => "antiphon check, then antiphon status --addr HOST:PORT, on a node of the cluster",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_a_start_says_what_to_try() {
        let dir = || "/data".to_owned();
        let refused = |reason: &str| NodeError::JoinRefused {
            reason: reason.to_owned(),
            message: "the name fra-n1 is in use by node 2".to_owned(),
        };
        let initialised = NodeError::AlreadyInitialised {
            dir: dir(),
            node: "fra-n1".to_owned(),
            cluster: "c".to_owned(),
        };
        let other = NodeError::OtherCluster {
            dir: dir(),
            message: "it is of cluster c".to_owned(),
        };
        for (error, next) in [
            (refused("NODE_NAME_TAKEN"), "--node NAME"),
            (refused("PROFILE_DIFFERS"), "cluster.profile"),
            (refused("WRONG_CLUSTER"), "antiphon check"),
            (initialised, "antiphon serve"),
            (NodeError::NoCluster { dir: dir() }, "antiphon init"),
            (other, "--data DIR"),
        ] {
            let failure = of_node(error);
            assert_eq!(failure.exit, Exit::Refused, "{failure:?}");
            assert!(failure.next.unwrap().contains(next), "{next}");
        }
    }
}
