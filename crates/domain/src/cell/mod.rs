//! The cell machine: conversations, lines, offers, agents and their capacity.
//! Promise: one serial decision maker; `decide` only reads, `evolve` is total.
//! Not here: proposing (`conversation`), storing (`wire`).

pub mod command;
pub mod event;
pub mod refusal;
pub mod reply;

pub mod agent;
pub mod archive;
pub mod checkpoint;
pub mod conversation;
pub mod floor;
pub mod homes;
pub mod items;
pub mod known;
pub mod meta;
pub mod receipts;
pub mod requests;
pub mod transcript;
pub mod version;

pub mod capacity;
pub mod classes;
pub mod deadlines;
pub mod derived;
pub mod explain;
pub mod invariants;
pub mod parts;
pub mod service_level;
pub mod shards;
pub mod state;
pub mod views;

mod apply;
mod decide;
mod defects;
mod draft;
mod evolve;
mod fingerprint;
mod left;
mod matching;
mod share;

#[cfg(test)]
mod tests;

pub use apply::{Applied, Cell};
#[cfg(any(test, feature = "defects"))]
pub use defects::Planted;
pub use left::opened_before;
pub use parts::{FrozenCell, LoadError, Part};
pub use state::State;
