//! What a seed stands for: how many sites, how far apart, who calls, which faults.
//! Promise: everything is drawn from the seed and the options alone.
//! Not here: when which fault comes (`faults::plan`).

use std::fmt;

use node::Profile;
use runtime::Random;

/// Milliseconds of a simulated hour.
const HOUR_MS: f64 = 3_600_000.0;

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Simulated hours of the phase with faults.
    pub hours: f64,
}

/// What one run does.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The seed.
    pub seed: u64,
    /// How long faults come, simulated milliseconds.
    pub safety_ms: u64,
    /// Nodes of each site, in the order of the sites.
    pub sites: Vec<usize>,
    /// The last node is not there when the cluster forms: it joins later.
    pub joins_late: bool,
    /// How far time moves at once.
    pub tick_ms: u64,
    /// The cluster's timing profile.
    pub profile: Profile,
    /// One-way delay between two sites, at least and at most, microseconds; each pair has one between them.
    pub delay_us: (u64, u64),
    /// How much longer a piece may take.
    pub jitter_us: u64,
    /// Bytes that a connection has on the way in each direction.
    pub window: usize,
    /// Customers of each site.
    pub customers: usize,
    /// Mean pause between the acts of a customer or an agent, milliseconds.
    pub pace_ms: u64,
    /// What a sync of a disk takes.
    pub sync_ms: u64,
    /// MiB of log that make a snapshot due; with 0 twice the last one is enough.
    pub snapshot_log_mib: u32,
    /// Entries that are kept behind a snapshot.
    pub keep_entries: u32,
    /// Mean pause between two faults, milliseconds.
    pub fault_every_ms: u64,
}

impl Params {
    /// Those of a seed.
    #[must_use]
    pub fn draw(options: &Options) -> Self {
        let random = Random::from_seed(options.seed ^ 0x5eed);
        let between = |least: u64, most: u64| least + random.below(most - least + 1);
        let far = random.below(4) == 0;
        let sites = between(3, 4 + u64::from(random.below(4) == 0)) as usize;
        let nodes = (0..sites).map(|_| 1 + usize::from(random.below(4) == 0));
        let sites: Vec<usize> = nodes.collect();
        // Three sites are the least that forms.
        let spare = sites.len() > 3 || sites.last().is_some_and(|nodes| *nodes > 1);
        // Most centers are quiet most of the time: what rests and what times out comes into its own there.
        let quiet = random.below(3) == 0;
        let snapshot_log_mib = u32::from(random.below(3) == 0);
        let keep_entries = [0, 20, 1_000][random.below(3) as usize];
        Self {
            seed: options.seed,
            safety_ms: (options.hours * HOUR_MS) as u64,
            sites,
            joins_late: spare && random.below(2) == 0,
            tick_ms: match (quiet, far) {
                (true, _) => between(3, 8),
                (false, true) => between(2, 5),
                (false, false) => between(1, 2),
            },
            profile: if far { Profile::Global } else { Profile::Lan },
            delay_us: if far { (20_000, 110_000) } else { (200, 2_000) },
            jitter_us: if far {
                between(0, 20_000)
            } else {
                between(0, 1_000)
            },
            window: 1 << between(14, 19),
            customers: between(2, 6) as usize,
            pace_ms: if quiet {
                between(3_000, 20_000)
            } else {
                between(200, 3_000)
            },
            sync_ms: if random.below(4) == 0 {
                between(10, 60)
            } else {
                between(0, 3)
            },
            snapshot_log_mib,
            // With frequent snapshots and nothing kept, an entry is purged before any witness has seen it.
            keep_entries: keep_entries.max(if snapshot_log_mib == 0 { 100 } else { 0 }),
            fault_every_ms: between(4_000, 40_000),
        }
    }

    /// Nodes in all.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.sites.iter().sum()
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sites {:?}{} profile {:?} tick {} ms, delay {}-{} us + {} us, window {} B, {} customers a site, pace {} ms, \
             sync {} ms, {} entries kept, a fault each {} ms, {} s of faults",
            self.sites,
            if self.joins_late {
                ", the last node joins late,"
            } else {
                ""
            },
            self.profile,
            self.tick_ms,
            self.delay_us.0,
            self.delay_us.1,
            self.jitter_us,
            self.window,
            self.customers,
            self.pace_ms,
            self.sync_ms,
            self.keep_entries,
            self.fault_every_ms,
            self.safety_ms / 1_000
        )
    }
}
