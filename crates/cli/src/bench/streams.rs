//! Streams: what idle, unread and flooding streams cost the servers, and the clients beside them.
//! Promise: three processes; each kind of load comes alone, beside the same writers in a closed loop;
//! memory is what the kernel counts as resident, before the load and at its highest during it.
//! Not here: streams (`load`), the closed loop (`lines`), the processes (`cluster`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::bail;
use client::api::{self, attach_request, attach_response};
use runtime::{AbortOnDrop, Lane};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::cluster::{LocalCluster, START_PATIENCE};
use super::ground::{self, Limits};
use super::lines::{DRAIN, Lines, TEXT_BYTES};
use super::load::{self, Attached, Opened, Readers};
use super::usage;
use crate::args::StreamsArgs;
use crate::replay::figures::Spread;

/// Conversations of the writers beside whom everything else happens.
const WRITERS: usize = 4_000;
/// Messages of theirs on the way at once.
const IN_FLIGHT: usize = 16;
/// The same where customers are held back: so few that none of them writes as often as is allowed, 16
/// times in ten seconds.
const IN_FLIGHT_LIMITED: usize = 2;
/// Conversations that are written in as fast as they answer, each with [`UNREAD_EACH`] observers.
const TALKERS: usize = 4;
/// Streams of one of them that are never read; a conversation takes 64.
const UNREAD_EACH: usize = 60;
/// Streams that write without waiting for an answer.
const FLOODERS: usize = 16;
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// Between two looks at the servers' memory.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After a load, until the servers have given back what they give back.
const SETTLE: Duration = Duration::from_secs(2);

/// The writers, and the servers' memory, beside one kind of load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Beside {
    /// The writers' acknowledged messages in a second.
    pub acked_per_s: f64,
    /// Their time from call to acknowledgement.
    pub ack_ms: Spread,
    /// What all three servers had resident at their highest, above what they had before the load.
    pub grown_mib: f64,
}

/// Streams on which nothing happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Idle {
    /// The writers meanwhile.
    #[serde(flatten)]
    pub beside: Beside,
    /// Bytes that all three servers took for each stream, its conversation and actor not counted.
    pub bytes_each: f64,
}

/// Streams that are never read, of conversations in which much is said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unread {
    /// The writers meanwhile.
    #[serde(flatten)]
    pub beside: Beside,
    /// Streams.
    pub streams: u64,
    /// Bytes of text that each of them would have had to read.
    pub text_bytes_each: u64,
    /// Streams that the server ended because they were not read.
    pub ended_slow: u64,
}

/// Streams that write without waiting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flood {
    /// The writers meanwhile.
    #[serde(flatten)]
    pub beside: Beside,
    /// Streams.
    pub streams: u64,
    /// Messages that were taken.
    pub acked: u64,
    /// Messages that were refused.
    pub refused: u64,
}

/// The whole result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Idle streams.
    pub streams: u32,
    /// Seconds of each window.
    pub seconds: u32,
    /// Nothing but the writers.
    pub alone: Beside,
    /// Idle streams at the leader's node, where the writers are.
    pub idle_at_leader: Idle,
    /// Idle streams at another node.
    pub idle_elsewhere: Idle,
    /// Never read, at the leader's node.
    pub unread: Unread,
    /// Nothing but the writers, customers held back as a plan does that says nothing of it.
    pub alone_limited: Beside,
    /// Floods at the leader's node, under these limits.
    pub flood: Flood,
}

/// Runs the whole benchmark.
pub async fn run(args: &StreamsArgs, lane: &Lane) -> anyhow::Result<Report> {
    let dir = ground::data_dir(args.data.as_deref())?;
    // Two clusters: processes that have served streams before hold memory for the next ones.
    let idle = ground::on_cluster(&dir.path().join("1"), async |cluster| {
        elsewhere(args, lane, cluster).await
    })
    .await?;
    ground::on_cluster(&dir.path().join("2"), async |cluster| {
        at_leader(args, lane, cluster, idle).await
    })
    .await
}

/// Idle streams at another node than the leader's.
async fn elsewhere(
    args: &StreamsArgs,
    lane: &Lane,
    cluster: &LocalCluster,
) -> anyhow::Result<Idle> {
    let stage = Stage::set(args, lane, cluster).await?;
    let at = &cluster.nodes[(stage.leader + 1) % cluster.nodes.len()].api;
    let idle = stage.idle(at, args.streams).await?;
    stage.same_leader().await?;
    Ok(idle)
}

/// Everything at the leader's node, beside what was measured elsewhere.
async fn at_leader(
    args: &StreamsArgs,
    lane: &Lane,
    cluster: &LocalCluster,
    idle_elsewhere: Idle,
) -> anyhow::Result<Report> {
    let stage = Stage::set(args, lane, cluster).await?;
    let at = &cluster.nodes[stage.leader].api;
    let now = Memory::now(cluster);
    let alone = stage.beside(&now, IN_FLIGHT).await?;
    let idle_at_leader = stage.idle(at, args.streams).await?;
    let unread = stage.unread(at).await?;
    ground::limit(cluster, Limits::Customers).await?;
    let now = Memory::now(cluster);
    let alone_limited = stage.beside(&now, IN_FLIGHT_LIMITED).await?;
    let flood = stage.flood(at).await?;
    stage.same_leader().await?;
    Ok(Report {
        streams: args.streams,
        seconds: args.seconds,
        alone,
        idle_at_leader,
        idle_elsewhere,
        unread,
        alone_limited,
        flood,
    })
}

/// What the servers have resident together, in MiB.
struct Memory(f64);

impl Memory {
    fn now(cluster: &LocalCluster) -> Self {
        let pids = (0..cluster.nodes.len()).filter_map(|at| cluster.pid(at));
        Self(pids.map(usage::rss_mib).sum())
    }
}

struct Stage<'a> {
    leader: usize,
    seconds: u32,
    lane: &'a Lane,
    cluster: &'a LocalCluster,
    account: String,
    lines: Lines,
    _readers: Readers,
}

impl<'a> Stage<'a> {
    /// The writers are attached at the leader's node.
    async fn set(
        args: &StreamsArgs,
        lane: &'a Lane,
        cluster: &'a LocalCluster,
    ) -> anyhow::Result<Self> {
        let account = ground::limit(cluster, Limits::Lifted).await?;
        let leader = cluster.leader(START_PATIENCE).await?;
        let at = &cluster.nodes[leader].api;
        let writing = load::open(at, &account, 0, WRITERS).await?;
        let writers = load::attach(at, writing, false).await?;
        let (lines, readers) = load::write(lane, writers, &[0; WRITERS], 1);
        Ok(Self {
            leader,
            seconds: args.seconds,
            lane,
            cluster,
            account,
            lines,
            _readers: readers,
        })
    }

    async fn same_leader(&self) -> anyhow::Result<()> {
        match self.cluster.leader(START_PATIENCE).await? == self.leader {
            true => Ok(()),
            false => bail!("the leader changed while it was measured"),
        }
    }

    /// The writers' window beside whatever is on.
    async fn beside(&self, before: &Memory, in_flight: usize) -> anyhow::Result<Beside> {
        self.lines.begin(in_flight);
        sleep(WARM_UP).await;
        let began = Instant::now();
        self.lines.measure(true);
        let end = began + Duration::from_secs(self.seconds.into());
        let mut highest = Memory::now(self.cluster).0;
        while Instant::now() < end {
            sleep(LOOK_EVERY).await;
            highest = highest.max(Memory::now(self.cluster).0);
            if let Some(fault) = self.lines.fault() {
                bail!("the writers cannot go on: {fault}");
            }
        }
        let measured = self.lines.measure(false);
        let took = began.elapsed().as_secs_f64();
        self.lines.drain().await?;
        let per_s = measured.ack.count() as f64 / took;
        Ok(Beside {
            acked_per_s: per_s.round(),
            ack_ms: measured.ack.spread(),
            grown_mib: ((highest - before.0) * 10.0).round() / 10.0,
        })
    }

    async fn open(&self, at: &str, group: usize, count: usize) -> anyhow::Result<Vec<Opened>> {
        let first = group * 1_000_000;
        load::open(at, &self.account, first, count).await
    }

    async fn idle(&self, at: &str, streams: u32) -> anyhow::Result<Idle> {
        let streams = usize::try_from(streams)?;
        let opened = self.open(at, 1, streams).await?;
        sleep(SETTLE).await;
        let before = Memory::now(self.cluster);
        eprintln!("attaching {streams} idle streams at {at}");
        let attached = load::attach(at, opened, false).await?;
        sleep(SETTLE).await;
        let grown = Memory::now(self.cluster).0 - before.0;
        let beside = self.beside(&before, IN_FLIGHT).await?;
        drop(attached);
        sleep(SETTLE).await;
        let bytes_each = (grown * 1_048_576.0 / streams as f64).round();
        eprintln!("  {bytes_each} bytes each, writers beside {beside:?}");
        Ok(Idle { beside, bytes_each })
    }

    async fn unread(&self, at: &str) -> anyhow::Result<Unread> {
        eprintln!(
            "attaching {} streams that nobody reads",
            TALKERS * UNREAD_EACH
        );
        let opened = self.open(at, 2, TALKERS).await?;
        let before = Memory::now(self.cluster);
        let mut unread = Vec::new();
        for _ in 0..UNREAD_EACH {
            unread.extend(load::attach(at, opened.clone(), true).await?);
        }
        let talkers = load::attach(at, opened, false).await?;
        let (talk, readers) = load::write(self.lane, talkers, &[0; TALKERS], 1 << 32);
        talk.begin(TALKERS);
        let beside = self.beside(&before, IN_FLIGHT).await?;
        let said = talk.cursors().iter().sum::<u64>() / TALKERS as u64;
        talk.drain().await?;
        drop(readers);
        let streams = unread.len() as u64;
        let looked = futures::future::join_all(unread.into_iter().map(was_slow)).await;
        let ended_slow = looked.into_iter().map(u64::from).sum();
        sleep(SETTLE).await;
        Ok(Unread {
            beside,
            streams,
            text_bytes_each: said * TEXT_BYTES as u64,
            ended_slow,
        })
    }

    async fn flood(&self, at: &str) -> anyhow::Result<Flood> {
        eprintln!("{FLOODERS} streams write without waiting");
        let opened = self.open(at, 3, FLOODERS).await?;
        let before = Memory::now(self.cluster);
        let attached = load::attach(at, opened, false).await?;
        let counts = Arc::new(Counts::default());
        let flooding: Vec<_> = attached
            .into_iter()
            .flat_map(|attached| flood_one(self.lane, attached, &counts))
            .collect();
        let beside = self.beside(&before, IN_FLIGHT_LIMITED).await?;
        drop(flooding);
        Ok(Flood {
            beside,
            streams: FLOODERS as u64,
            acked: counts.acked.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
        })
    }
}

/// Reads what was sent to a stream that was not read until now; whether it was ended for that.
async fn was_slow(mut attached: Attached) -> bool {
    let reading = async {
        while let Ok(Some(message)) = attached.down.message().await {
            if let Some(attach_response::Response::Ended(ended)) = message.response {
                return ended.reason() == api::ErrorReason::SlowConsumer;
            }
        }
        false
    };
    timeout(DRAIN, reading).await.unwrap_or(false)
}

#[derive(Default)]
struct Counts {
    next: AtomicU64,
    acked: AtomicU64,
    refused: AtomicU64,
}

/// One task that writes as fast as the transport takes it, one that counts the answers.
fn flood_one(lane: &Lane, attached: Attached, counts: &Arc<Counts>) -> [AbortOnDrop<()>; 2] {
    let Attached { up, mut down } = attached;
    let numbers = counts.clone();
    let writing = async move {
        let text = "again ".repeat(TEXT_BYTES / 6);
        loop {
            let number = numbers.next.fetch_add(1, Ordering::Relaxed);
            let send = api::SendRequest {
                request_id: format!("flood-{number:016x}"),
                text: text.clone(),
                ..Default::default()
            };
            let request = Some(attach_request::Request::Send(send));
            if up.send(api::AttachRequest { request }).await.is_err() {
                return;
            }
        }
    };
    let counts = counts.clone();
    let counting = async move {
        while let Ok(Some(message)) = down.message().await {
            match message.response {
                Some(attach_response::Response::Sent(_)) => &counts.acked,
                Some(attach_response::Response::Refused(_)) => &counts.refused,
                _ => continue,
            }
            .fetch_add(1, Ordering::Relaxed);
        }
    };
    [
        lane.spawn("flood", writing).abort_on_drop(),
        lane.spawn("flood.answers", counting).abort_on_drop(),
    ]
}
