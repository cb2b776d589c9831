//! Between the domain's types and bytes: log entries, snapshots, the floor plan's TOML form.
//! Promise: pure; bytes from outside never panic; every stored message carries its format, and
//! older formats are brought up to date in one place per message.
//! Not here: the schemas (`pb`), files and sockets (`store`, `raft`), the public API (`api`).

pub mod archive;
pub mod cell;
pub mod control;
pub mod error;
pub mod floor;
mod ids;
pub mod plan;
pub mod snapshot;

pub use error::WireError;

#[cfg(test)]
mod samples;
