//! What a node shows of itself to Prometheus: every series of its parts on one page, and their manual.
//! Promise: each number is read when it is asked for; nothing on the way of a message takes a lock or looks a
//! label up for it; labels have few values, never a conversation or a customer.
//! Not here: counting (`metrics` of each part), serving the page (`admin`).

mod floor;
mod manual;
mod page;
mod process;

#[cfg(test)]
mod deploy_test;
#[cfg(test)]
mod metrics_test;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::metrics::RpcMetrics;
use domain::ids::NodeId;
use ports::{Group, GroupStatus, Machine};
use raft::GroupHandle;
use runtime::measure::{Kind, Series};
use tokio::time::timeout;

use self::floor::Floor;
use self::page::Page;
use crate::archive::Waiting;
use crate::cells::LocalCell;
use crate::control::CONTROL_NAME;
use crate::status::{Account, REACHABLE_MS};
use crate::telemetry::{self, Telemetry};

pub use manual::manual;

/// No disk is waited for longer when it is asked for its free space.
const DISK_WAIT: Duration = Duration::from_secs(1);

const BUILD_INFO: Series = Series {
    name: "antiphon_build_info",
    kind: Kind::Gauge,
    help: "1, with the program's version and the node's place, to be joined to other series.",
    labels: &["version", "cluster", "site", "node"],
};
const READY: Series = Series {
    name: "antiphon_node_ready",
    kind: Kind::Gauge,
    help: "1 while the node takes clients' calls; else 0.",
    labels: &[],
};
const UP_SECONDS: Series = Series {
    name: "antiphon_node_up_seconds",
    kind: Kind::Gauge,
    help: "Time since the node started.",
    labels: &[],
};
const CLOCK_OFFSET: Series = Series {
    name: "antiphon_clock_offset_seconds",
    kind: Kind::Gauge,
    help: "How far the node's wall clock is ahead of its peers', by the one in their middle, looked at every 10 s; \
           absent while no peer answers.",
    labels: &[],
};
const DISK_FREE: Series = Series {
    name: "antiphon_disk_free_bytes",
    kind: Kind::Gauge,
    help: "Bytes that may still be written where the node keeps its data.",
    labels: &[],
};
const LOG_FAILED: Series = Series {
    name: "antiphon_store_log_failed",
    kind: Kind::Gauge,
    help: "1 when the write-ahead log has failed for good: the node acknowledges nothing any more; else 0.",
    labels: &[],
};
const REPLICA_HALTED: Series = Series {
    name: "antiphon_replica_halted",
    kind: Kind::Gauge,
    help: "1 when this replica has stopped applying entries and serves nothing; its log and vote go on; else 0.",
    labels: &["group"],
};
const ARCHIVE_WAITING: Series = Series {
    name: "antiphon_archive_waiting",
    kind: Kind::Gauge,
    help: "Conversations that have ended and not left the cell's state for the archives; at 10,000 nothing new is \
           opened. Shown by the cell's leader alone.",
    labels: &["cell"],
};
const ARCHIVE_WAITING_BYTES: Series = Series {
    name: "antiphon_archive_waiting_bytes",
    kind: Kind::Gauge,
    help: "What they weigh; at 64 MiB nothing new is opened. Shown by the cell's leader alone.",
    labels: &["cell"],
};
const ARCHIVE_BYTES: Series = Series {
    name: "antiphon_archive_bytes",
    kind: Kind::Gauge,
    help: "Bytes of the node's archive on disk, indexes included, looked at every 10 s.",
    labels: &[],
};
const ARCHIVE_COMPLETE: Series = Series {
    name: "antiphon_archive_complete",
    kind: Kind::Gauge,
    help: "1 while everything that has left the cells' states and is kept is in the node's archive with the agreed hash; \
           0 while it looks, or fetches something from another node.",
    labels: &[],
};

/// Every series, in the order of the page.
fn table() -> Vec<Series> {
    let node = [
        BUILD_INFO,
        READY,
        UP_SECONDS,
        CLOCK_OFFSET,
        DISK_FREE,
        LOG_FAILED,
    ];
    let store = [
        store::metrics::FSYNC_SECONDS,
        store::metrics::LOG_SEGMENTS,
        store::metrics::JOURNAL_SEGMENTS,
        store::metrics::JOURNAL_BYTES,
    ];
    let rpc = [
        api::metrics::REQUESTS,
        api::metrics::DURATION,
        api::metrics::OPEN_STREAMS,
    ];
    let raft = [
        raft::metrics::TERM,
        raft::metrics::HAS_LEADER,
        raft::metrics::IS_LEADER,
        raft::metrics::HAS_QUORUM,
        raft::metrics::COMMIT_INDEX,
        raft::metrics::APPLIED_INDEX,
        raft::metrics::VOTERS,
        raft::metrics::VOTERS_REACHABLE,
        raft::metrics::FOLLOWER_LAG,
        raft::metrics::APPEND_SECONDS,
        raft::metrics::ELECTIONS,
        raft::metrics::FAILOVER_SECONDS,
        REPLICA_HALTED,
    ];
    let actors = [
        conversation::metrics::ACTORS,
        conversation::metrics::MAILBOX_DEPTH,
        conversation::metrics::BUSY_RATIO,
        conversation::metrics::ACTOR_FAILURES,
    ];
    let archive = [
        ARCHIVE_WAITING,
        ARCHIVE_WAITING_BYTES,
        ARCHIVE_BYTES,
        ARCHIVE_COMPLETE,
    ];
    let traces = [telemetry::SPANS_SENT, telemetry::SPANS_DROPPED];
    let mut table = Vec::new();
    for part in [
        &node[..],
        &store,
        &rpc,
        &raft,
        &actors,
        &archive,
        floor::SERIES,
        &traces,
        process::SERIES,
    ] {
        table.extend_from_slice(part);
    }
    table
}

/// What the page is read from.
pub(crate) struct Metrics {
    pub(crate) account: Arc<Account>,
    pub(crate) rpc: Arc<RpcMetrics>,
    pub(crate) telemetry: Telemetry,
    pub(crate) dir: PathBuf,
    /// Of the node, as the build's information has them.
    pub(crate) place: Placed,
}

/// Where a node stands.
pub(crate) struct Placed {
    pub(crate) cluster: String,
    pub(crate) site: String,
    pub(crate) node: String,
}

impl Metrics {
    /// The whole page as it is now.
    pub(crate) async fn page(&self, is_ready: bool) -> String {
        let account = &self.account;
        let mut page = Page::default();
        let Placed {
            cluster,
            site,
            node,
        } = &self.place;
        page.series(&BUILD_INFO)
            .sample(&[crate::VERSION, cluster, site, node], 1);
        page.one(&READY, u8::from(is_ready));
        page.one(&UP_SECONDS, account.started.elapsed().as_secs());
        let mut offset = page.series(&CLOCK_OFFSET);
        if let Some(ms) = account.notes.clock_ahead_ms() {
            offset.sample(&[], ms as f64 / 1_000.0);
        }
        // A disk that does not answer is left out: no number is better than an old one.
        let free = account.env.disk.free_space(&self.dir);
        let mut disk = page.series(&DISK_FREE);
        if let Ok(Ok(bytes)) = timeout(DISK_WAIT, free).await {
            disk.sample(&[], bytes);
        }
        self.store(&mut page);
        self.calls(&mut page);
        self.groups(&mut page);
        self.actors(&mut page);
        self.archives(&mut page);
        floor::write(&mut page, &self.floors());
        let (sent, dropped) = self.telemetry.counts();
        page.one(&telemetry::SPANS_SENT, sent);
        page.one(&telemetry::SPANS_DROPPED, dropped);
        process::write(&mut page, &*account.env.usage);
        page.into_text()
    }

    fn store(&self, page: &mut Page) {
        let wal = &self.account.wal;
        let failed = matches!(&*wal.health().borrow(), store::Health::Failed { .. });
        page.one(&LOG_FAILED, u8::from(failed));
        page.series(&store::metrics::FSYNC_SECONDS)
            .histogram(&[], &wal.metrics().fsync.read());
        page.one(&store::metrics::LOG_SEGMENTS, wal.segments());
        let journal = wal
            .journal()
            .map(store::Journal::status)
            .unwrap_or_default();
        page.one(&store::metrics::JOURNAL_SEGMENTS, journal.segments);
        page.one(&store::metrics::JOURNAL_BYTES, journal.bytes);
    }

    fn calls(&self, page: &mut Page) {
        let mut requests = page.series(&api::metrics::REQUESTS);
        for method in self.rpc.methods() {
            for (code, count) in method.ended() {
                requests.sample(&[&method.service, &method.method, code], count);
            }
        }
        let mut duration = page.series(&api::metrics::DURATION);
        for method in self.rpc.methods() {
            let took = method.took.as_ref().map(|took| took.read());
            // A method that nobody has called would be fifteen lines of zeros.
            if let Some(took) = took.filter(|took| took.count() > 0) {
                duration.histogram(&[&method.service, &method.method], &took);
            }
        }
        let streams = self.account.streams.count();
        page.one(&api::metrics::OPEN_STREAMS, streams);
    }

    fn groups(&self, page: &mut Page) {
        let mut groups = vec![Shown::of(CONTROL_NAME, &self.account.group)];
        let cells = self.account.cells.all();
        groups.extend(cells.iter().map(|cell| Shown::of(&cell.name, &cell.group)));
        let each = |page: &mut Page, series: &Series, number: fn(&Shown) -> Option<u64>| {
            let mut samples = page.series(series);
            for group in &groups {
                if let Some(number) = number(group) {
                    samples.sample(&[&group.name], number);
                }
            }
        };
        each(page, &raft::metrics::TERM, |group| Some(group.status.term));
        each(page, &raft::metrics::HAS_LEADER, |group| {
            Some(group.status.leader.is_some().into())
        });
        each(page, &raft::metrics::IS_LEADER, |group| {
            Some(group.leads.into())
        });
        each(page, &raft::metrics::HAS_QUORUM, |group| {
            Some((group.leads && group.status.quorum_ok).into())
        });
        each(page, &raft::metrics::COMMIT_INDEX, |group| {
            Some(group.status.committed)
        });
        each(page, &raft::metrics::APPLIED_INDEX, |group| {
            Some(group.status.applied)
        });
        each(page, &raft::metrics::VOTERS, |group| {
            group.leads.then_some(group.status.voters.len() as u64)
        });
        each(page, &raft::metrics::VOTERS_REACHABLE, |group| {
            group.leads.then(|| group.reachable_voters())
        });
        self.lags(page, &groups);
        let mut append = page.series(&raft::metrics::APPEND_SECONDS);
        for group in &groups {
            append.histogram(&[&group.name], &group.append);
        }
        each(page, &raft::metrics::ELECTIONS, |group| {
            Some(group.elections)
        });
        let mut failover = page.series(&raft::metrics::FAILOVER_SECONDS);
        for group in groups.iter().filter(|group| group.failover.count() > 0) {
            failover.histogram(&[&group.name], &group.failover);
        }
        each(page, &REPLICA_HALTED, |group| Some(group.halted.into()));
    }

    fn lags(&self, page: &mut Page, groups: &[Shown]) {
        let control = self.account.control.borrow().clone();
        let name = |node: u64| match control.nodes.get(&NodeId(node)) {
            Some(node) => node.name.to_string(),
            None => format!("node {node}"),
        };
        let mut lags = page.series(&raft::metrics::FOLLOWER_LAG);
        for group in groups.iter().filter(|group| group.leads) {
            for follower in &group.status.followers {
                let lag = group.status.last_log.saturating_sub(follower.matched);
                lags.sample(&[&group.name, &name(follower.node)], lag);
            }
        }
    }

    fn actors(&self, page: &mut Page) {
        let cells = self.account.cells.all();
        let mut actors = page.series(&conversation::metrics::ACTORS);
        for cell in &cells {
            actors.sample(&[&cell.name], cell.view.actors());
        }
        let waiting: Vec<_> = cells.iter().map(|cell| cell.view.waiting()).collect();
        let mut depth = page.series(&conversation::metrics::MAILBOX_DEPTH);
        for (cell, waiting) in cells.iter().zip(&waiting) {
            depth.sample(&[&cell.name, "sum"], waiting.sum);
            depth.sample(&[&cell.name, "max"], waiting.max);
        }
        let mut busy = page.series(&conversation::metrics::BUSY_RATIO);
        for (cell, waiting) in cells.iter().zip(&waiting) {
            busy.sample(&[&cell.name], waiting.busy_ratio());
        }
        let mut failures = page.series(&conversation::metrics::ACTOR_FAILURES);
        for cell in &cells {
            failures.sample(&[&cell.name], cell.view.actor_failures());
        }
    }

    fn archives(&self, page: &mut Page) {
        let cells = self.account.cells.all();
        let led = |cell: &&Arc<LocalCell>| cell.group.leadership().borrow().is_self;
        let waiting: Vec<(&str, Waiting)> = cells
            .iter()
            .filter(led)
            .map(|cell| (cell.name.as_str(), cell.archive.waiting()))
            .collect();
        let mut counts = page.series(&ARCHIVE_WAITING);
        for (cell, waiting) in &waiting {
            counts.sample(&[cell], waiting.count);
        }
        let mut bytes = page.series(&ARCHIVE_WAITING_BYTES);
        for (cell, waiting) in &waiting {
            bytes.sample(&[cell], waiting.bytes);
        }
        let view = self.account.cells.archive_view().unwrap_or_default();
        page.one(&ARCHIVE_BYTES, view.bytes);
        page.one(&ARCHIVE_COMPLETE, u8::from(view.complete));
    }

    /// Of the cells that this node leads.
    fn floors(&self) -> Vec<Floor> {
        let cells = self.account.cells.all();
        let led = cells
            .iter()
            .filter(|cell| cell.group.leadership().borrow().is_self);
        led.map(|cell| Floor::read(&cell.name, &cell.view))
            .collect()
    }
}

/// A group's replica at one moment.
struct Shown {
    name: String,
    status: GroupStatus,
    leads: bool,
    halted: bool,
    append: runtime::measure::Counted,
    elections: u64,
    failover: runtime::measure::Counted,
}

impl Shown {
    fn of<M: Machine>(name: &str, group: &GroupHandle<M>) -> Self {
        Self {
            name: name.to_owned(),
            status: group.status(),
            leads: group.leadership().borrow().is_self,
            halted: group.halted().borrow().is_some(),
            append: group.counted().append.read(),
            elections: group.counted().elections.get(),
            failover: group.counted().failover.read(),
        }
    }

    /// Voters that have answered of late, the leader included.
    fn reachable_voters(&self) -> u64 {
        let answered = self.status.followers.iter().filter(|follower| {
            self.status.voters.contains(&follower.node)
                && follower.last_ack_ms.is_some_and(|ms| ms <= REACHABLE_MS)
        });
        1 + answered.count() as u64
    }
}
