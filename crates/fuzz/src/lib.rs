//! Fuzz targets: one function for each decoder of bytes that come from outside the process.
//! Promise: each calls the product's own decoder and nothing that was written for it, panics when a claim
//! about what was decoded does not hold, and gives the same answer for the same bytes.
//! Not here: the engine that looks for inputs by coverage (`engine`, a workspace of its own); how a run is
//! started (`run.sh`).

pub mod mutate;
pub mod pack;

mod api_calls;
mod archived;
mod ground;
mod history;
mod machines;
mod made;
mod replicas;
mod seal;
mod snapshots;
mod texts;
mod wals;

pub use api_calls::{api_request, forward_frame};
pub use archived::{archive_files, archive_index, archive_search};
pub use history::sim_history;
pub use machines::{
    archived_conversation, cell_entry, cell_snapshot, control_entry, control_snapshot,
};
pub use replicas::raft_frame;
pub use snapshots::snapshot_file;
pub use texts::{config, connection_head, floor_plan, identity, tokens};
pub use wals::{wal_journal, wal_open, wal_scan};

/// Longest input that the engine makes: what lies behind it is found in less.
pub const INPUT_BYTES_MAX: usize = 16 * 1024;

/// A decoder under test.
pub struct Target {
    /// Its name, that of the function.
    pub name: &'static str,
    /// Decodes an input and holds the claims against it.
    pub run: fn(&[u8]),
    /// Inputs that real encoders made.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident from $seeds:path,)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            run: $name,
            seeds: $seeds,
        }),*];
    };
}

targets! {
    api_request from made::calls,
    forward_frame from made::forward_frames,
    raft_frame from made::raft_frames,
    cell_entry from made::cell_entries,
    control_entry from made::control_entries,
    cell_snapshot from made::cell_snapshots,
    control_snapshot from made::control_snapshots,
    archived_conversation from made::archived_conversations,
    wal_scan from wals::seeds,
    wal_open from wals::seeds,
    wal_journal from wals::seeds,
    snapshot_file from snapshots::seeds,
    archive_files from archived::file_seeds,
    archive_index from archived::index_seeds,
    archive_search from archived::search_seeds,
    floor_plan from texts::plan_seeds,
    config from texts::config_seeds,
    identity from texts::identity_seeds,
    tokens from texts::token_seeds,
    connection_head from texts::head_seeds,
    sim_history from history::seeds,
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
