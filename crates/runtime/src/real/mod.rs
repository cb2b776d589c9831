//! Production pieces: system clock, TCP, disk threads, two tokio runtimes.
//! Promise: nothing here holds a decision; each piece is the thinnest form of its seam.
//! Not here: configuration (`node`).

mod coalesced;
mod disk;
mod tcp;
mod usage;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::runtime::{Builder, Runtime};

pub use disk::RealDisk;
pub use tcp::Tcp;
pub use usage::ProcessUsage;

use crate::{Compute, Env, Lane, Random, Tracer, WallClock};

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "the production clock"
    )]
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Threads of a production node; each at least one.
#[derive(Clone, Copy, Debug)]
pub struct Threads {
    /// Of the lane `raft`.
    pub raft: usize,
    /// Of the lane `edge`.
    pub edge: usize,
    /// Of `compute`.
    pub compute: usize,
}

impl Default for Threads {
    /// Half the processors for `raft`, at most two; one per processor for `edge`, one for `compute`.
    /// On two processors a second thread for `raft` only takes turns with the first: measured with
    /// `bench messages`, one thread acknowledged a tenth more at the other node.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            raft: (processors / 2).clamp(1, 2),
            edge: processors,
            compute: 1,
        }
    }
}

/// A production environment and the runtimes that carry it. Keep it as long as the node runs.
pub struct Production {
    env: Env,
    raft: Runtime,
    edge: Runtime,
}

impl Env {
    /// Builds the runtimes, disk threads and pool of a production node.
    pub fn production(threads: Threads) -> io::Result<Production> {
        let raft = runtime("raft", threads.raft)?;
        let edge = runtime("edge", threads.edge)?;
        let env = Env {
            clock: Arc::new(SystemClock),
            random: Random::from_os(),
            raft: Lane::new("raft", raft.handle().clone()),
            edge: Lane::new("edge", edge.handle().clone()),
            compute: Compute::threads(threads.compute)?,
            network: Arc::new(Tcp),
            disk: Arc::new(RealDisk::start()?),
            usage: Arc::new(ProcessUsage::own()),
            tracer: Tracer::default(),
        };
        Ok(Production { env, raft, edge })
    }
}

impl Production {
    /// The environment to hand down.
    pub fn env(&self) -> Env {
        self.env.clone()
    }

    /// Runs `future` on the calling thread, inside the lane `edge`, until it ends.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.edge.block_on(future)
    }

    /// Ends both lanes; tasks that do not end within `grace` each are left behind.
    pub fn shutdown(self, grace: Duration) {
        self.edge.shutdown_timeout(grace);
        self.raft.shutdown_timeout(grace);
    }
}

fn runtime(name: &'static str, threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name(name)
        .enable_all()
        .build()
}
