//! Conversations on the leader of their cell: actors, streams, leases, the leader's own duties.
//! Promise: whatever is answered or shown was committed; a bound that is reached is a refusal with
//! a retry hint.
//! Not here: decisions (`domain`), consensus (`raft`), gRPC (`api`).

#[cfg(test)]
extern crate self as conversation;

mod actor;
mod clock;
mod concern;
mod error;
mod handle;
mod hub;
mod leader;
mod leases;
mod left;
mod limits;
mod marks;
pub mod metrics;
mod replica;
mod stream;

pub use error::ActError;
pub use handle::{Act, CellHandle, CellParts, start, start_known};
pub use leader::{Edge, Faults, Registry, Seen, Voters};
pub use left::{ArchivedPage, Archives, Safe, archive_key};
pub use replica::{CellReplica, View, replica};
pub use stream::{AttachEvent, Attachment, Desk, DeskEvent, EndReason, MarkFrom};
