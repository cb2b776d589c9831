//! The only clock, source of randomness, spawner, network and disk of a node.
//! Promise: a node built on an [`Env`] touches the outside through it alone, so that the same node
//! runs in production, in tests and in the simulation.
//! Not here: what is sent or stored (`rpc`, `raft`, `store`).

mod clock;
mod compute;
mod disk;
mod lane;
pub mod mailbox;
pub mod measure;
mod network;
pub mod panics;
mod purpose;
mod random;
mod stop;
mod supervise;
pub mod trace;
mod usage;

pub mod memory;
pub mod real;

use std::sync::Arc;

pub use clock::WallClock;
pub use compute::Compute;
pub use disk::{Commit, Create, Disk, DiskFile, DiskLane, DiskLock, Open};
pub use lane::{AbortOnDrop, Lane, Task, TaskEnd};
pub use network::{BoxConn, Conn, Listener, Network};
pub use purpose::{PURPOSE_BYTES, Purpose, PurposeError};
pub use random::Random;
pub use stop::{Stop, StopSource};
pub use supervise::supervise;
pub use trace::Tracer;
pub use usage::Usage;

/// All that a node may use of the outside. Cheap to clone; handed down from `node`.
#[derive(Clone)]
pub struct Env {
    /// Wall time, for display and calendars only; durations come from `tokio::time`.
    pub clock: Arc<dyn WallClock>,
    /// The node's one generator.
    pub random: Random,
    /// Tasks of consensus, log and peers; never starved by clients.
    pub raft: Lane,
    /// Tasks of clients, conversations and everything else.
    pub edge: Lane,
    /// Work for a processor off both lanes: encoding, hashing, compression.
    pub compute: Compute,
    /// Listening and dialling.
    pub network: Arc<dyn Network>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// What the process uses of its machine, to be shown.
    pub usage: Arc<dyn Usage>,
    /// Makes spans of requests that are traced; off unless the node exports them.
    pub tracer: Tracer,
}

impl Env {
    /// The same for one of several nodes of a process: what its tasks log stands in `place`.
    #[must_use]
    pub fn within(mut self, place: &tracing::Span) -> Self {
        self.raft = self.raft.within(place.clone());
        self.edge = self.edge.within(place.clone());
        self
    }
}
