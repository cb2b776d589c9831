//! Messages: acknowledged messages a second over attach streams, at the leader's node and elsewhere.
//! Promise: three processes, data on a disk, fsync before each acknowledgement; all conversations are
//! open and attached before the warm-up of 2 s; only then is measured.
//! One conversation in ten is observed at another node for the time to receipt: all of them would
//! double what the servers send, and a tenth is enough for percentiles. Conversations wait in a line
//! without agents, so nothing but messages enters the log.
//! Not here: streams (`load`), the closed loop (`lines`), the processes (`cluster`).

use std::time::Duration;

use anyhow::bail;
use runtime::Lane;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::cluster::{LocalCluster, START_PATIENCE};
use super::ground::{self, Limits};
use super::lines::{Lines, Measured};
use super::load::{self, Opened, Readers};
use super::usage;
use crate::args::MessagesArgs;
use crate::replay::figures::Spread;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// One conversation in so many is observed.
const OBSERVED_OF: usize = 10;

/// What was measured with writers at one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Acknowledged messages in a second.
    pub acked_per_s: f64,
    /// Call to acknowledgement.
    pub ack_ms: Spread,
    /// Call to receipt by an observer at another node.
    pub delivery_ms: Spread,
    /// Processor seconds of all three servers for a thousand acknowledged messages.
    pub server_cpu_s_per_1000: f64,
    /// The most memory that one server had resident.
    pub peak_rss_mib: f64,
    /// Processors that this generator kept busy, of those of the machine.
    pub generator_cpus: f64,
}

/// The whole result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Messages on the way at once.
    pub in_flight: u32,
    /// Open conversations.
    pub conversations: u32,
    /// Seconds measured.
    pub seconds: u32,
    /// Writers at the leader's node.
    #[serde(flatten)]
    pub leader_node: Figures,
    /// Writers at another node.
    pub other_node: Figures,
}

/// Runs the whole benchmark.
pub async fn run(args: &MessagesArgs, lane: &Lane) -> anyhow::Result<Report> {
    if args.conversations < args.in_flight {
        bail!(
            "a conversation carries one message at a time: give as many conversations as messages in flight"
        );
    }
    let dir = ground::data_dir(args.data.as_deref())?;
    ground::on_cluster(dir.path(), async |cluster| {
        measure_both(args, lane, cluster).await
    })
    .await
}

async fn measure_both(
    args: &MessagesArgs,
    lane: &Lane,
    cluster: &LocalCluster,
) -> anyhow::Result<Report> {
    let account = ground::limit(cluster, Limits::Lifted).await?;
    let leader = cluster.leader(START_PATIENCE).await?;
    let nodes = cluster.nodes.len();
    let (other, third) = ((leader + 1) % nodes, (leader + 2) % nodes);
    let count = usize::try_from(args.conversations)?;
    eprintln!("opening {count} conversations");
    let opened = load::open(&cluster.nodes[leader].api, &account, 0, count).await?;
    let mut stage = Stage {
        args,
        lane,
        cluster,
        opened,
        next: 1,
    };
    let leader_node = stage.measure(leader, other).await?;
    let other_node = stage.measure(other, third).await?;
    if cluster.leader(START_PATIENCE).await? != leader {
        bail!("the leader changed while it was measured");
    }
    Ok(Report {
        in_flight: args.in_flight,
        conversations: args.conversations,
        seconds: args.seconds,
        leader_node,
        other_node,
    })
}

struct Stage<'a> {
    args: &'a MessagesArgs,
    lane: &'a Lane,
    cluster: &'a LocalCluster,
    opened: Vec<Opened>,
    /// The number of the next message: ids do not repeat between the two rounds.
    next: u64,
}

impl Stage<'_> {
    /// Writers at one node, observers at another.
    async fn measure(&mut self, writers_at: usize, observers_at: usize) -> anyhow::Result<Figures> {
        let nodes = &self.cluster.nodes;
        eprintln!(
            "attaching at {}, observing at {}",
            nodes[writers_at].name, nodes[observers_at].name
        );
        let writers = load::attach(&nodes[writers_at].api, self.opened.clone(), false).await?;
        let observed: Vec<Opened> = self.opened.iter().step_by(OBSERVED_OF).cloned().collect();
        let observers = load::attach(&nodes[observers_at].api, observed, true).await?;
        let cursors: Vec<u64> = self.opened.iter().map(|opened| opened.cursor).collect();
        let (lines, readers) = load::write(self.lane, writers, &cursors, self.next);
        let watching = load::observe(self.lane, observers, &lines, |at| at * OBSERVED_OF);
        let figures = self.window(&lines).await?;
        self.finish(&lines, readers, watching).await?;
        Ok(figures)
    }

    async fn window(&self, lines: &Lines) -> anyhow::Result<Figures> {
        lines.begin(usize::try_from(self.args.in_flight)?);
        sleep(WARM_UP).await;
        let before = self.cpu();
        let began = Instant::now();
        lines.measure(true);
        for _ in 0..self.args.seconds {
            sleep(Duration::from_secs(1)).await;
            if let Some(fault) = lines.fault() {
                bail!("the load cannot go on: {fault}");
            }
        }
        let measured = lines.measure(false);
        Ok(self.figures(&measured, began.elapsed(), before))
    }

    fn figures(&self, measured: &Measured, took: Duration, before: (f64, f64)) -> Figures {
        let (servers, generator) = self.cpu();
        let acked = (measured.ack.count() as f64).max(1.0);
        let round = |value: f64, digits: f64| (value * digits).round() / digits;
        let pids = self.pids();
        let rss = pids.map(usage::peak_rss_mib).fold(0.0, f64::max);
        Figures {
            acked_per_s: round((measured.ack.count() as f64) / took.as_secs_f64(), 10.0),
            ack_ms: measured.ack.spread(),
            delivery_ms: measured.delivery.spread(),
            server_cpu_s_per_1000: round((servers - before.0) / acked * 1_000.0, 100_000.0),
            peak_rss_mib: round(rss, 10.0),
            generator_cpus: round((generator - before.1) / took.as_secs_f64(), 100.0),
        }
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        (0..self.cluster.nodes.len()).filter_map(|at| self.cluster.pid(at))
    }

    /// Processor seconds of the servers, and of this process.
    fn cpu(&self) -> (f64, f64) {
        (
            self.pids().map(usage::cpu_s).sum(),
            usage::cpu_s(std::process::id()),
        )
    }

    /// Waits for what is on the way, and keeps where the conversations stand.
    async fn finish(
        &mut self,
        lines: &Lines,
        writers: Readers,
        observers: Readers,
    ) -> anyhow::Result<()> {
        lines.drain().await?;
        for (opened, cursor) in self.opened.iter_mut().zip(lines.cursors()) {
            opened.cursor = cursor;
        }
        self.next = lines.next_number();
        drop((writers, observers));
        Ok(())
    }
}
