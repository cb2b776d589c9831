//! The process of one node: log, signals, end.
//! Promise: the first SIGTERM or SIGINT drains the node and exits 0; the second one exits at once; SIGHUP
//! reads the configuration again.
//! Not here: what draining is (`node`).

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use node::config::Layered;
use node::log::{Logs, Place, subscriber};
use node::{Config, Node, Process};
use runtime::real::{Production, Threads};
use runtime::{Env, Lane};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Exit, Failure};
use crate::local::of_node;
use crate::local::settings::{self, Layers};

/// Tasks that are left after a node's end are given up after this.
const LANES_GRACE: Duration = Duration::from_millis(500);
/// What a shell says of a process that ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// Runs a node until a signal ends it; `layers` read its configuration again on SIGHUP.
pub fn run(layered: Layered, layers: Layers) -> Result<Exit, Failure> {
    let config = &layered.config;
    let process = Process {
        logs: Some(start_log(config, Place::of(config))?),
        settings: Some(Arc::new(layers)),
    };
    let production = Env::production(Threads::default())?;
    let ended = production.block_on(serve(layered, production.env(), process));
    production.shutdown(LANES_GRACE);
    ended
}

/// Makes the node's log that of this process.
pub fn start_log(config: &Config, place: Place) -> Result<Logs, Failure> {
    let terminal = std::io::stderr().is_terminal();
    let (subscriber, logs) = subscriber(config, place, terminal, std::io::stderr)
        .map_err(|error| settings::invalid(&error.to_string()))?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| Failure::plain(error.to_string()))?;
    // What a panic says may be what a customer wrote: only its place goes into the log.
    runtime::panics::log_places();
    Ok(logs)
}

/// Ends the lanes of a process that started nodes.
pub fn end(production: Production) {
    production.shutdown(LANES_GRACE);
}

async fn serve(layered: Layered, env: Env, process: Process) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let starting = node::run_in(layered, env.clone(), process);
    let node = tokio::select! {
        biased;
        () = signals.next() => return Ok(Exit::Ok),
        started = starting => started.map_err(of_node)?,
    };
    announce(&node);
    let ended = loop {
        tokio::select! {
            biased;
            () = signals.next() => break Ok(Exit::Ok),
            error = node.failure() => break Err(Failure::plain(error.to_string())),
            // The log has said what came of it; nobody else waits for an answer.
            _ = hangup.recv() => drop(node.reload("SIGHUP")),
        }
    };
    signals.exit_at_the_next(&env.edge);
    node.shutdown().await;
    ended
}

/// The line that says that the API listens; tools wait for it.
fn announce(node: &Node) {
    let addresses = node.addresses();
    let name = &node.identity().node_name;
    let admin = addresses
        .admin
        .map_or_else(|| "off".to_owned(), |address| address.to_string());
    eprintln!(
        "ready api={} peer={} admin={admin} node={name}",
        addresses.api, addresses.peer
    );
}

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes both signals over.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    pub async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// From now on a signal ends the process at once.
    pub fn exit_at_the_next(mut self, lane: &Lane) {
        let exit = async move {
            self.next().await;
            std::process::exit(INTERRUPTED);
        };
        lane.spawn("second signal", exit).detach();
    }
}
