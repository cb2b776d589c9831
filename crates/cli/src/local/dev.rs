//! `antiphon dev`: three sites in one process.
//! Promise: starts with what the program carries; prints where to connect and what to try.
//! Not here: the nodes (`node::dev`), the sample dialogues (`demo`).

use node::dev::{Dev, DevOptions, SITES};
use node::log::{Logs, Place};
use node::{Config, Process};
use runtime::real::Threads;
use runtime::{Env, Lane};

use crate::args::DevArgs;
use crate::failure::{Exit, Failure};
use crate::local::process::{self, Signals};
use crate::local::{demo, of_node};
use crate::terminal::Terminal;

pub fn dev(args: DevArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let mut config = Config::default();
    config.log.level = log_level();
    let logs = process::start_log(&config, Place::default())?;
    let production = Env::production(Threads::default())?;
    let ended = production.block_on(run(args, production.env(), (terminal, logs)));
    process::end(production);
    ended
}

/// Three nodes at once would bury what there is to read; `ANTIPHON_LOG_LEVEL` says otherwise.
#[allow(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
fn log_level() -> String {
    std::env::var("ANTIPHON_LOG_LEVEL").unwrap_or_else(|_| "error".to_owned())
}

async fn run(args: DevArgs, env: Env, (terminal, logs): (Terminal, Logs)) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let options = DevOptions {
        port: args.port,
        data: args.data.clone(),
        wan: args.wan,
        process: Process {
            logs: Some(logs),
            settings: None,
        },
        ..DevOptions::default()
    };
    let dev = tokio::select! {
        biased;
        () = signals.next() => return Ok(Exit::Ok),
        started = node::dev::dev(env.clone(), options) => started.map_err(of_node)?,
    };
    let ready = tokio::select! {
        biased;
        () = signals.next() => None,
        () = dev.ready() => Some(Ok(())),
        error = dev.failure() => Some(Err(Failure::plain(error.to_string()))),
    };
    let ended = match ready {
        None => Ok(Exit::Ok),
        Some(Err(failure)) => Err(failure),
        Some(Ok(())) => {
            let places = Places::of(&dev);
            out!("{}", banner(&args, &places, terminal));
            attend(&args, &dev, &env.edge, &mut signals).await
        }
    };
    signals.exit_at_the_next(&env.edge);
    dev.shutdown().await;
    ended
}

/// Lets the sites work until a signal comes.
async fn attend(
    args: &DevArgs,
    dev: &Dev,
    lane: &Lane,
    signals: &mut Signals,
) -> Result<Exit, Failure> {
    let demo = match args.no_demo {
        true => None,
        false => Some(
            lane.spawn("demo", demo::play(dev.api_addresses(), lane.clone()))
                .abort_on_drop(),
        ),
    };
    let ended = tokio::select! {
        biased;
        () = signals.next() => Ok(Exit::Ok),
        error = dev.failure() => Err(Failure::plain(error.to_string())),
    };
    drop(demo);
    ended
}

/// Where the nodes listen, in the order of the sites.
struct Places {
    api: Vec<String>,
    admin: Vec<String>,
}

impl Places {
    fn of(dev: &Dev) -> Self {
        let admins = dev.nodes().iter().map(|node| node.addresses().admin);
        Self {
            api: dev.api_addresses(),
            admin: admins
                .flatten()
                .map(|address| format!("http://{address}/metrics"))
                .collect(),
        }
    }
}

fn banner(args: &DevArgs, places: &Places, terminal: Terminal) -> String {
    let sites: Vec<&str> = SITES.iter().map(|(site, _)| *site).collect();
    let addresses = &places.api;
    let place: Vec<String> = sites
        .iter()
        .zip(addresses)
        .map(|(site, address)| format!("{address} ({site})"))
        .collect();
    let api = format!("  API   {}\n", place.join("   "));
    if args.headless {
        return api;
    }
    let metrics = format!("  metrics  {}\n", places.admin.join("   "));
    let state = match &args.data {
        Some(folder) => format!("kept in {}", folder.display()),
        None => "in memory".to_owned(),
    };
    let distance = if args.wan {
        ", as far apart as three continents"
    } else {
        ""
    };
    let title = format!(
        "antiphon dev - 3 sites ({}) in one process, {state}{distance}",
        sites.join(", ")
    );
    let demo = match args.no_demo {
        true => "",
        false => "  demo  sample dialogues are playing; --no-demo leaves the floor empty\n",
    };
    let all = addresses.join(",");
    let first = addresses.first().map_or("", String::as_str);
    format!(
        "{}, {}\n{api}{metrics}{demo}try:  antiphon status --watch --addr {first}\n      \
         antiphon queue list --addr {first}\n      \
         antiphon conversation list --addr {first}\n      \
         antiphon replay FILE.jsonl --addr {all}\n",
        terminal.heading(&title),
        terminal.warn("NOT for production"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(headless: bool) -> DevArgs {
        DevArgs {
            data: None,
            port: 7400,
            headless,
            no_demo: true,
            wan: false,
        }
    }

    #[test]
    fn the_banner_says_where_to_connect_and_what_to_try() {
        let addresses = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(str::to_owned);
        let places = Places {
            api: addresses.to_vec(),
            admin: vec!["http://127.0.0.1:4/metrics".to_owned()],
        };
        let text = banner(&args(false), &places, Terminal::plain());
        assert!(text.contains("  metrics  http://127.0.0.1:4/metrics\n"));
        assert!(text.starts_with(
            "antiphon dev - 3 sites (sha, fra, iad) in one process, in memory, NOT for production\n"
        ));
        assert!(
            text.contains("  API   127.0.0.1:1 (sha)   127.0.0.1:2 (fra)   127.0.0.1:3 (iad)\n")
        );
        assert!(text.contains("try:  antiphon status --watch --addr 127.0.0.1:1\n"));
        assert_eq!(
            banner(&args(true), &places, Terminal::plain())
                .lines()
                .count(),
            1
        );
    }
}
