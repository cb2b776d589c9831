//! Raft groups: consensus, its log and its transport. The only crate that names openraft.
//! Promise: a group behaves as `ports::Group` says; what it acknowledges is durable at a majority.
//! Not here: what entries mean (`ports::Machine`), where groups are placed (`node`).

#[cfg(test)]
mod cluster_test;
mod directory;
mod error;
mod group;
mod host;
mod log;
pub mod metrics;
mod profile;
mod replica;
mod serve;
mod skip;
#[cfg(test)]
mod suite_test;
#[cfg(test)]
mod testing;
mod transport;
mod types;
mod upkeep;
pub mod wire;

pub use directory::{Directory, Members};
pub use error::{MemberError, StartError};
pub use group::{GroupHandle, GroupOptions, GroupSpec, SkipWord};
pub use host::Host;
pub use profile::Profile;
pub use transport::{Identity, Inbox, KEEPALIVE_EVERY, KEEPALIVE_TIMEOUT, RECEIVE_BYTES_MAX, tune};
pub use types::Member;
