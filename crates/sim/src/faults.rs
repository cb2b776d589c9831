//! Faults: which come when, drawn from the seed, and what each does to the world.
//! Promise: a plan is the same whatever happens in the run, so that a part of it can be played alone; every fault
//! that lasts is mended at its end, and all are at the end of the phase.
//! Not here: what must hold meanwhile (`judge`).

use std::fmt;
use std::str::FromStr;

use runtime::Random;
use runtime::memory::{SyncFault, Unsynced};

use crate::cluster::Cluster;
use crate::params::Params;
use crate::world::{End, HostId, MILLION, World};

/// How long a fault lasts, milliseconds, at least and at most.
const LASTS_MS: (u64, u64) = (500, 20_000);

/// A node whose disk was damaged is out of reach for so long when it is back.
const ALONE_MS: u64 = 3_000;
/// So many bytes at the end of a file hold its last few records.
const LAST_BYTES: u64 = 512;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A process dies; its machine goes on.
    Crash,
    /// A machine loses its power, and what was not synced with it.
    Power,
    /// All machines lose their power at once.
    Blackout,
    /// A process goes away in order, as in a rolling restart.
    Restart,
    /// A process stands still and wakes later.
    Freeze,
    /// Nothing passes between a node and all others; every second time clients still reach it.
    Isolate,
    /// Nothing passes between two nodes.
    Cut,
    /// Nothing passes from one node to another, or from all others to one; the other direction works.
    OneWay,
    /// One of the connections of consensus between two nodes carries nothing.
    Stall,
    /// One node's links are slow.
    Slow,
    /// One node's links lose pieces.
    Loss,
    /// A wall clock jumps.
    Clock,
    /// A monotonic clock runs too fast or too slow.
    Drift,
    /// A disk takes long to sync.
    SlowDisk,
    /// A sync fails.
    SyncFails,
    /// A disk is full.
    DiskFull,
    /// Bits of a file flip while its node is down.
    BitFlip,
    /// The archive of a node that is down loses its tail.
    ArchiveTail,
    /// The node that joins late is started, if it has not been yet.
    Join,
    /// A node goes away in order and does not come back.
    Leave,
    /// A machine loses its power and its disk, and comes back with an empty one: every second time under its old name.
    Empty,
}

/// Every kind, with its name.
pub const KINDS: [(Kind, &str); 21] = [
    (Kind::Crash, "crash"),
    (Kind::Power, "power"),
    (Kind::Blackout, "blackout"),
    (Kind::Restart, "restart"),
    (Kind::Freeze, "freeze"),
    (Kind::Isolate, "isolate"),
    (Kind::Cut, "cut"),
    (Kind::OneWay, "one-way"),
    (Kind::Stall, "stall"),
    (Kind::Slow, "slow"),
    (Kind::Loss, "loss"),
    (Kind::Clock, "clock"),
    (Kind::Drift, "drift"),
    (Kind::SlowDisk, "slow-disk"),
    (Kind::SyncFails, "sync-fails"),
    (Kind::DiskFull, "disk-full"),
    (Kind::BitFlip, "bit-flip"),
    (Kind::ArchiveTail, "archive-tail"),
    (Kind::Join, "join"),
    (Kind::Leave, "leave"),
    (Kind::Empty, "empty"),
];

impl Kind {
    /// Whether it hits a process that runs, and comes to nothing where none does.
    fn needs_process(self) -> bool {
        matches!(
            self,
            Self::Crash
                | Self::Power
                | Self::Restart
                | Self::Freeze
                | Self::BitFlip
                | Self::ArchiveTail
                | Self::Leave
                | Self::Empty
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(kind, _)| kind == self);
        f.write_str(name.map_or("?", |(_, name)| name))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind).ok_or_else(|| {
            let known: Vec<&str> = KINDS.iter().map(|(_, name)| *name).collect();
            format!("no fault is called {name}: {}", known.join(", "))
        })
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the plan.
    pub number: usize,
    /// When it comes, milliseconds after the load began.
    pub at_ms: u64,
    /// How long it lasts.
    pub for_ms: u64,
    /// What it is.
    pub kind: Kind,
    /// The node that it hits.
    pub node: usize,
    /// It hits whoever leads the first cell at that moment, if anybody does.
    pub at_leader: bool,
    /// Another node.
    pub other: usize,
    /// A number for whatever else there is to choose.
    pub draw: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fault {} at {} ms for {} ms: {} of {}node {}, other {}, draw {}",
            self.number,
            self.at_ms,
            self.for_ms,
            self.kind,
            if self.at_leader {
                "the leader, else of "
            } else {
                ""
            },
            self.node,
            self.other,
            self.draw
        )
    }
}

/// The faults of a seed, in the order in which they come.
#[must_use]
pub fn plan(params: &Params, kinds: &[Kind]) -> Vec<Fault> {
    let random = Random::from_seed(params.seed ^ 0xfa17);
    let mut faults = Vec::new();
    let mut at_ms = 0;
    let nodes = params.nodes() as u64;
    while !kinds.is_empty() {
        at_ms += 1 + random.below(2 * params.fault_every_ms);
        if at_ms >= params.safety_ms {
            break;
        }
        let node = random.below(nodes) as usize;
        let other = (node + 1 + random.below(nodes - 1) as usize) % nodes as usize;
        faults.push(Fault {
            number: faults.len(),
            at_ms,
            for_ms: LASTS_MS.0 + random.below(LASTS_MS.1 - LASTS_MS.0),
            kind: kinds[random.below(kinds.len() as u64) as usize],
            node,
            at_leader: random.below(3) == 0,
            other,
            draw: random.next_u64(),
        });
    }
    faults
}

/// The faults in force.
#[derive(Default)]
pub struct Faults {
    lasting: Vec<(u64, Fault)>,
    /// The site in which a disk was damaged, lies or is gone: never two of them.
    damaged: Option<usize>,
    /// Those disks' nodes, and those that left: they may refuse to start, and then need another disk.
    hurt: Vec<usize>,
    /// How many came, by kind.
    pub counts: std::collections::BTreeMap<Kind, u64>,
}

impl Faults {
    /// Lets a fault happen; whether it could.
    pub fn begin(
        &mut self,
        world: &mut World,
        cluster: &mut Cluster,
        params: &Params,
        (fault, until_ms): (&Fault, u64),
    ) -> bool {
        let fault = &aimed(cluster, fault);
        let node = fault.node;
        let busy = self.lasting.iter().any(|(_, lasting)| {
            lasting.kind == fault.kind && (lasting.node == node || fault.kind == Kind::Blackout)
        });
        if busy || !self.may_damage(cluster, fault) {
            return false;
        }
        let done = happen(world, cluster, params, fault);
        if done
            && matches!(
                fault.kind,
                Kind::BitFlip | Kind::SyncFails | Kind::Leave | Kind::Empty
            )
        {
            self.hurt.push(node);
        }
        if done {
            *self.counts.entry(fault.kind).or_default() += 1;
            self.lasting.push((until_ms, fault.clone()));
        }
        done
    }

    /// Whether a node has to serve again once all is mended: all but those whose log was damaged or is gone.
    pub fn must_serve(&self, node: usize) -> bool {
        !self.hurt.contains(&node)
    }

    /// Whether damage to a disk stays within one site.
    fn may_damage(&mut self, cluster: &Cluster, fault: &Fault) -> bool {
        if !matches!(
            fault.kind,
            Kind::BitFlip | Kind::SyncFails | Kind::ArchiveTail | Kind::Leave | Kind::Empty
        ) {
            return true;
        }
        let site = cluster.nodes()[fault.node].site;
        // A cell has three voters at three sites, however many sites there are: it survives one.
        *self.damaged.get_or_insert(site) == site
    }

    /// Mends what has lasted long enough; the faults that ended.
    pub fn mend(
        &mut self,
        world: &mut World,
        cluster: &mut Cluster,
        params: &Params,
        now_ms: u64,
    ) -> Vec<Fault> {
        let (over, lasting) = std::mem::take(&mut self.lasting)
            .into_iter()
            .partition(|(until_ms, _)| *until_ms <= now_ms);
        self.lasting = lasting;
        let over: Vec<(u64, Fault)> = over;
        let over: Vec<Fault> = over.into_iter().map(|(_, fault)| fault).collect();
        for fault in &over {
            self.end(world, cluster, params, fault);
            if fault.kind == Kind::BitFlip && fault.draw.is_multiple_of(2) {
                self.begin_alone(world, cluster, fault, now_ms);
            }
        }
        over
    }

    /// A node whose disk was damaged comes back out of everybody's reach: what it has of its own is seen before the
    /// others make up for it.
    fn begin_alone(&mut self, world: &World, cluster: &Cluster, fault: &Fault, now_ms: u64) {
        let Some(until_ms) = now_ms.checked_add(ALONE_MS) else {
            return;
        };
        let alone = Fault {
            kind: Kind::Isolate,
            ..fault.clone()
        };
        change_links(world, cluster, &alone, true);
        self.lasting.push((until_ms, alone));
    }

    fn end(&self, world: &mut World, cluster: &mut Cluster, params: &Params, fault: &Fault) {
        let host = cluster.nodes()[fault.node].host;
        match fault.kind {
            Kind::Crash
            | Kind::Power
            | Kind::Restart
            | Kind::BitFlip
            | Kind::ArchiveTail
            | Kind::Empty => {
                start_again(world, cluster, params, fault.node);
            }
            Kind::Blackout => {
                for at in 0..cluster.nodes().len() {
                    start_again(world, cluster, params, at);
                }
            }
            Kind::Freeze if world.is_frozen(host) => world.wake(host),
            Kind::Freeze | Kind::Join | Kind::Leave => {}
            Kind::Clock => world.clock(host).set_offset_ms(0),
            Kind::Drift => world.set_drift_ppm(host, 0),
            Kind::SlowDisk | Kind::SyncFails | Kind::DiskFull => {
                let sync = cluster.sync();
                cluster.nodes()[fault.node].disk.faults(|faults| {
                    faults.sync_delay = sync;
                    faults.capacity_bytes = None;
                    if fault.kind == Kind::SyncFails {
                        faults.sync = None;
                    }
                });
            }
            Kind::Isolate | Kind::Cut | Kind::OneWay | Kind::Stall | Kind::Slow | Kind::Loss => {
                change_links(world, cluster, fault, false);
            }
        }
    }
}

/// The fault as it hits: another node where it is aimed at the leader.
fn aimed(cluster: &Cluster, fault: &Fault) -> Fault {
    let mut fault = fault.clone();
    let leader = cluster.leader().filter(|_| fault.at_leader);
    if let Some(leader) = leader.filter(|leader| *leader != fault.node) {
        if fault.other == leader {
            fault.other = fault.node;
        }
        fault.node = leader;
    }
    fault
}

/// Does to the world what a fault does at its beginning; whether it could.
fn happen(world: &mut World, cluster: &mut Cluster, params: &Params, fault: &Fault) -> bool {
    let node = fault.node;
    let host = cluster.nodes()[node].host;
    if fault.kind.needs_process() && (!world.is_up(host) || world.is_frozen(host)) {
        return false;
    }
    match fault.kind {
        Kind::Crash => cluster.end(world, node, End::Killed, &Unsynced::Kept),
        Kind::Power => cluster.end(world, node, End::PowerCut, &unsynced(fault.draw)),
        Kind::Blackout => {
            for at in 0..cluster.nodes().len() {
                cluster.end(world, at, End::PowerCut, &unsynced(fault.draw ^ at as u64));
            }
        }
        Kind::Restart => cluster.stop(node),
        Kind::Freeze => world.freeze(host),
        Kind::BitFlip => {
            cluster.end(world, node, End::Killed, &Unsynced::Kept);
            return damage(cluster, node, fault.draw);
        }
        Kind::ArchiveTail => {
            cluster.end(world, node, End::Killed, &Unsynced::Kept);
            return cut_archive(cluster, node, fault.draw);
        }
        Kind::Join => return cluster.join_late(world, params),
        Kind::Leave => cluster.leave(node),
        Kind::Empty => cluster.empty(world, node, fault.draw.is_multiple_of(2)),
        Kind::Clock => {
            let off_ms = (fault.draw % 1_200_001) as i64 - 600_000;
            world.clock(host).set_offset_ms(off_ms);
        }
        Kind::Drift => world.set_drift_ppm(host, (fault.draw % 1_001) as i64 - 500),
        Kind::SlowDisk | Kind::SyncFails | Kind::DiskFull => disk(cluster, fault),
        Kind::Isolate | Kind::Cut | Kind::OneWay | Kind::Stall | Kind::Slow | Kind::Loss => {
            change_links(world, cluster, fault, true);
        }
    }
    true
}

fn start_again(world: &mut World, cluster: &mut Cluster, params: &Params, at: usize) {
    if !world.is_up(cluster.nodes()[at].host) {
        cluster.start(world, at, params);
    }
}

fn unsynced(draw: u64) -> Unsynced {
    match draw % 2 {
        0 => Unsynced::Lost,
        _ => Unsynced::Torn(Random::from_seed(draw)),
    }
}

fn disk(cluster: &Cluster, fault: &Fault) {
    let disk = &cluster.nodes()[fault.node].disk;
    let used: u64 = disk
        .paths()
        .iter()
        .filter_map(|path| disk.content(path))
        .map(|content| content.len() as u64)
        .sum();
    disk.faults(|faults| match fault.kind {
        Kind::SlowDisk => {
            faults.sync_delay = std::time::Duration::from_millis(20 + fault.draw % 180)
        }
        Kind::DiskFull => faults.capacity_bytes = Some(used + fault.draw % 65_536),
        _ if fault.draw.is_multiple_of(2) => faults.sync = Some(SyncFault::Once),
        _ => faults.sync = Some(SyncFault::Forever),
    });
}

/// Flips a bit somewhere in the files of a node that does not run, its identity excepted: whoever loses that has
/// another disk.
fn damage(cluster: &Cluster, at: usize, draw: u64) -> bool {
    let disk = &cluster.nodes()[at].disk;
    let paths: Vec<_> = disk
        .paths()
        .into_iter()
        .filter(|path| {
            ["log", "snapshots", "archive"]
                .iter()
                .any(|part| path.iter().any(|step| step == *part))
        })
        .filter(|path| {
            disk.content(path)
                .is_some_and(|content| !content.is_empty())
        })
        .collect();
    if paths.is_empty() {
        return false;
    }
    let path = &paths[(draw % paths.len() as u64) as usize];
    // A segment is mostly zeros that nothing reads.
    let content = disk.content(path).unwrap_or_default();
    let last = content.iter().rposition(|byte| *byte != 0);
    let len = last.map_or(1, |last| last as u64 + 1);
    // What was written last is what a torn tail looks like.
    let back = if draw.is_multiple_of(3) {
        len.min(LAST_BYTES)
    } else {
        len
    };
    disk.damage(path, len - 1 - (draw / 7) % back, &[1 << (draw % 8)]);
    true
}

/// Cuts bytes off the end of an archive file of a node that does not run.
fn cut_archive(cluster: &Cluster, at: usize, draw: u64) -> bool {
    let disk = &cluster.nodes()[at].disk;
    let segments: Vec<_> = disk
        .paths()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    let Some(path) = segments.last() else {
        return false;
    };
    let len = disk.content(path).map_or(0, |content| content.len() as u64);
    let keep = len.saturating_sub(1 + draw % 4_096);
    disk.cut_file(path, keep);
    true
}

fn change_links(world: &World, cluster: &Cluster, fault: &Fault, begin: bool) {
    let host = cluster.nodes()[fault.node].host;
    let other = cluster.nodes()[fault.other].host;
    let pairs: Vec<(HostId, HostId)> = match fault.kind {
        Kind::Cut => vec![(host, other), (other, host)],
        Kind::OneWay if fault.draw.is_multiple_of(2) => cluster
            .nodes()
            .iter()
            .map(|node| (node.host, host))
            .filter(|(from, to)| from != to)
            .collect(),
        Kind::OneWay | Kind::Stall => vec![(host, other)],
        // Clients may still reach it, and it must not tell them what has passed.
        Kind::Isolate if fault.draw.is_multiple_of(2) => cluster
            .nodes()
            .iter()
            .map(|node| node.host)
            .filter(|at| *at != host)
            .flat_map(|at| [(host, at), (at, host)])
            .collect(),
        _ => (0..world.hosts())
            .filter(|at| *at != host)
            .flat_map(|at| [(host, at), (at, host)])
            .collect(),
    };
    for (from, to) in pairs {
        if fault.kind == Kind::Stall {
            world.net().stall(from, to, begin.then_some(fault.draw));
            continue;
        }
        world.net().link(from, to, |link| match fault.kind {
            Kind::Isolate | Kind::Cut | Kind::OneWay => {
                link.cuts = if begin {
                    link.cuts + 1
                } else {
                    link.cuts.saturating_sub(1)
                }
            }
            Kind::Slow => {
                link.slower_us = if begin {
                    50_000 + fault.draw % 300_000
                } else {
                    0
                }
            }
            _ => {
                link.loss = if begin {
                    MILLION / 100 + fault.draw % (MILLION / 10)
                } else {
                    0
                }
            }
        });
    }
}
