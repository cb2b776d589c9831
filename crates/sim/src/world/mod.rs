//! A world of hosts in one thread: each has a runtime, a monotonic clock, a wall clock and a place in the network.
//! Promise: time moves in ticks; in each the network delivers what is due, then every host runs until it has
//! nothing left to do in that tick; the same seed gives the same course. A frozen host does not run, its sockets
//! fill, and when it wakes its clock has moved on. A host that ends drops everything it had, without a word if its
//! power was cut.
//! Not here: what runs on a host (`cluster`, `load`), which faults come when (`faults`).

mod clock;
mod conn;
mod net;
mod pipe;
#[cfg(test)]
mod world_test;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use runtime::memory::{MemoryDisk, SteadyUsage};
use runtime::{Compute, Env, Lane, Random, Tracer};
use tokio::runtime::Runtime;

pub use clock::SimClock;
pub use net::{Carried, Link, MILLION, Net, address};
pub use pipe::HostId;

use crate::trace::Trace;
use conn::HostNet;

/// Microseconds in a millisecond.
const MS_US: u64 = 1_000;
/// One in this many: drift is counted so.
const PPM: i64 = 1_000_000;

/// How a host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process dies: the kernel closes its connections and keeps what was written to files.
    Killed,
    /// The power is cut: nobody is told, and what was not synced is lost.
    PowerCut,
}

/// The world.
pub struct World {
    net: Net,
    hosts: Vec<Host>,
    order: Random,
    random: Random,
    now_us: u64,
    tick_ms: u64,
    trace: Trace,
}

struct Host {
    name: String,
    place: tracing::Span,
    runtime: Option<Runtime>,
    clock: SimClock,
    frozen: bool,
    /// Milliseconds by which its monotonic clock is behind the world, as it was frozen.
    owed_ms: u64,
    /// Millionths by which its monotonic clock is too fast, and what that has come to in millionths of a millisecond.
    drift_ppm: i64,
    drifted: i64,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64, tick_ms: u64, window: usize, trace: Trace) -> Self {
        let random = Random::from_seed(seed);
        Self {
            net: Net::new(random.next_u64(), window, trace.clone()),
            hosts: Vec::new(),
            order: random.fork(),
            random,
            now_us: 0,
            tick_ms: tick_ms.max(1),
            trace,
        }
    }

    /// Its network.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Time since it began, milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_us / MS_US
    }

    /// Adds a host on which nothing runs.
    pub fn add_host(&mut self, name: &str) -> HostId {
        self.hosts.push(Host {
            name: name.to_owned(),
            place: tracing::error_span!("host", name),
            runtime: None,
            clock: SimClock::default(),
            frozen: false,
            owed_ms: 0,
            drift_ppm: 0,
            drifted: 0,
        });
        self.net.add_host()
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Whether something runs on a host; a frozen one counts.
    pub fn is_up(&self, host: HostId) -> bool {
        self.hosts[host].runtime.is_some()
    }

    /// Whether a host is frozen.
    pub fn is_frozen(&self, host: HostId) -> bool {
        self.hosts[host].frozen
    }

    /// A host's wall clock.
    pub fn clock(&self, host: HostId) -> &SimClock {
        &self.hosts[host].clock
    }

    /// Sets by how many millionths a host's monotonic clock is too fast.
    pub fn set_drift_ppm(&mut self, host: HostId, drift_ppm: i64) {
        self.hosts[host].drift_ppm = drift_ppm;
    }

    /// Starts a process on a host, with a disk that it may use alone. Whatever ran there must have ended.
    ///
    /// # Panics
    /// When the system gives no runtime.
    pub fn start<F>(&mut self, host: HostId, disk: MemoryDisk, process: impl FnOnce(Env) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.net.power_on(host);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread needs nothing of the system");
        let handle = runtime.handle().clone();
        let at = &mut self.hosts[host];
        let env = Env {
            clock: Arc::new(at.clock.clone()),
            random: Random::from_seed(self.random.next_u64()),
            raft: Lane::new("raft", handle.clone()),
            edge: Lane::new("edge", handle),
            compute: Compute::inline(),
            network: Arc::new(HostNet::new(&self.net, host)),
            disk: Arc::new(disk),
            usage: Arc::new(SteadyUsage),
            tracer: Tracer::default(),
        };
        let env = env.within(&at.place);
        env.edge.clone().spawn("process", process(env)).detach();
        at.runtime = Some(runtime);
        (at.frozen, at.owed_ms, at.drifted) = (false, 0, 0);
        self.trace
            .note(self.now_us, || format!("start {}", self.hosts[host].name));
    }

    /// Ends what runs on a host.
    pub fn end(&mut self, host: HostId, end: End) {
        if end == End::PowerCut {
            self.net.power_off(host);
        }
        self.trace.note(self.now_us, || {
            format!("end {} {end:?}", self.hosts[host].name)
        });
        let at = &mut self.hosts[host];
        at.frozen = false;
        // Dropping the runtime drops every task, and with them connections and files.
        drop(at.runtime.take());
    }

    /// Stops a host until it is woken.
    pub fn freeze(&mut self, host: HostId) {
        self.hosts[host].frozen = true;
        self.trace
            .note(self.now_us, || format!("freeze {}", self.hosts[host].name));
    }

    /// Lets a frozen host go on: all that it missed is there at once.
    pub fn wake(&mut self, host: HostId) {
        let at = &mut self.hosts[host];
        at.frozen = false;
        let owed = Duration::from_millis(std::mem::take(&mut at.owed_ms));
        if let Some(runtime) = &at.runtime {
            runtime.block_on(async { tokio::time::advance(owed).await });
        }
        self.trace
            .note(self.now_us, || format!("wake {}", self.hosts[host].name));
    }

    /// Moves time on by one tick.
    pub fn step(&mut self) {
        self.now_us += self.tick_ms * MS_US;
        self.net.run_until(self.now_us);
        let first = self.order.below(self.hosts.len() as u64) as usize;
        for place in 0..self.hosts.len() {
            let at = (first + place) % self.hosts.len();
            self.hosts[at].clock.set_us(self.now_us);
            self.hosts[at].run(self.tick_ms);
        }
    }
}

impl Host {
    fn run(&mut self, tick_ms: u64) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        if self.frozen {
            self.owed_ms += tick_ms;
            return;
        }
        self.drifted += self.drift_ppm * tick_ms as i64;
        let whole = self.drifted / PPM;
        let ms = (tick_ms as i64 + whole).max(0);
        self.drifted -= (ms - tick_ms as i64) * PPM;
        if ms > 0 {
            runtime.block_on(async { tokio::time::sleep(Duration::from_millis(ms as u64)).await });
        }
    }
}
