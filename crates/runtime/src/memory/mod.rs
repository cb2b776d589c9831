//! In-memory pieces: a disk with faults, a network inside one process, a clock that is set by hand.
//! Promise: no thread, no file, no socket; the same calls give the same results.
//! Not here: delays and cuts of a network between sites (the simulation).

mod clock;
mod disk;
mod faults;
mod network;
mod usage;

use std::sync::Arc;

use tokio::runtime::Handle;

pub use clock::ManualClock;
pub use disk::MemoryDisk;
pub use faults::{Faults, SyncFault, Unsynced};
pub use network::MemoryNetwork;
pub use usage::SteadyUsage;

use crate::{Compute, Env, Lane, Random, Tracer};

/// An environment for tests: both lanes on the current tokio runtime, `compute` inline, an empty
/// memory disk and network, a manual clock at 2026-01-01. Replace fields to share or keep a piece.
///
/// # Panics
/// Outside a tokio runtime.
pub fn env(seed: u64) -> Env {
    Env {
        clock: Arc::new(ManualClock::default()),
        random: Random::from_seed(seed),
        raft: Lane::new("raft", Handle::current()),
        edge: Lane::new("edge", Handle::current()),
        compute: Compute::inline(),
        network: Arc::new(MemoryNetwork::default()),
        disk: Arc::new(MemoryDisk::default()),
        usage: Arc::new(SteadyUsage),
        tracer: Tracer::default(),
    }
}
