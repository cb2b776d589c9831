//! The wiring of a node: configuration, construction order, shutdown order.
//! Promise: `run` is the same function in the binary, in `dev`, in tests and in the simulation;
//! nothing outside its `Env` is touched and nothing is spawned outside its lanes.
//! Not here: consensus (`raft`), decisions (`domain`), what clients see (`api`).

mod admin;
mod archive;
mod assemble;
mod cells;
mod cluster;
pub mod config;
mod control;
mod doors;
mod drain;
mod error;
mod files;
mod follow;
mod found;
mod hands;
mod homes;
mod inside;
mod join;
mod listener;
mod marks;
mod metrics;
mod ready;
mod refuse;
mod skip;
mod start;
mod status;
mod telemetry;
mod verify;
mod voters;

pub mod dev;

pub mod log;

#[cfg(test)]
mod start_test;

pub use config::Config;
pub use domain::control::command::Profile;
pub use error::NodeError;
pub use found::{InitOptions, init};
pub use hands::Process;
pub use inside::Inside;
pub use metrics::manual as metrics_manual;
pub use start::{Addresses, Node, run, run_in};
pub use verify::{
    Breach, DirectoryProof, GroupProof, JournalBreach, JournalProof, JournalledGroup, Prover,
    Tally, VerifyError, verify_directory,
};

/// The program's version, as nodes tell each other.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
