//! What a group's replica counts of itself.
//! Promise: one set of numbers for each group of a node; what follows from `ports::GroupStatus` is not counted
//! twice.
//! Not here: the page on which they stand (`node::metrics`).

use runtime::measure::{CALL_BOUNDS_US, Counter, Histogram, Kind, Series};

/// The term.
pub const TERM: Series = gauge(
    "antiphon_raft_term",
    "The group's term as this replica knows it.",
);
/// Whether it leads.
pub const IS_LEADER: Series = gauge(
    "antiphon_raft_is_leader",
    "1 where this replica leads the group, proven by an entry of its term that it has applied; else 0.",
);
/// Whether it leads and is answered.
pub const HAS_QUORUM: Series = gauge(
    "antiphon_raft_has_quorum",
    "1 where this replica leads the group and a quorum of its voters answered within the leader's lease; else 0. A \
     leader that lost its quorum goes on leading and acknowledges nothing.",
);
/// Whether it knows a leader.
pub const HAS_LEADER: Series = gauge(
    "antiphon_raft_has_leader",
    "1 where this replica knows a leader of the group, itself or another; else 0.",
);
/// The commit index.
pub const COMMIT_INDEX: Series = gauge(
    "antiphon_raft_commit_index",
    "The highest log index that this replica knows to be committed.",
);
/// The applied index.
pub const APPLIED_INDEX: Series = gauge(
    "antiphon_raft_applied_index",
    "The highest log index that this replica has applied.",
);
/// Voters.
pub const VOTERS: Series = gauge(
    "antiphon_raft_voters",
    "Voters of the group; shown by its leader alone.",
);
/// Voters that answer.
pub const VOTERS_REACHABLE: Series = gauge(
    "antiphon_raft_voters_reachable",
    "Voters that have answered the leader within 2 s, itself included; shown by the leader alone.",
);
/// How far a follower is behind.
pub const FOLLOWER_LAG: Series = Series {
    name: "antiphon_raft_follower_lag_entries",
    kind: Kind::Gauge,
    help: "Log entries that a member lacks, by the name of its node; shown by the group's leader alone.",
    labels: &["group", "peer"],
};
/// From append to apply.
pub const APPEND_SECONDS: Series = Series {
    name: "antiphon_raft_append_seconds",
    kind: Kind::Histogram,
    help: "Time from handing an entry to the log until it is durable at a majority and applied; counted where it was \
           proposed, entries with an answer alone.",
    labels: &["group"],
};
/// From one leader to the next.
pub const FAILOVER_SECONDS: Series = Series {
    name: "antiphon_failover_seconds",
    kind: Kind::Histogram,
    help: "Time from the last word of the earlier leader until this replica led, proven by an entry of its term; \
           counted where leadership was taken over, hand-overs included.",
    labels: &["group"],
};
/// Leaders seen.
pub const ELECTIONS: Series = Series {
    name: "antiphon_raft_elections_total",
    kind: Kind::Counter,
    help: "Times that this replica saw the group get a leader: a new one, or the same in a new term.",
    labels: &["group"],
};

const fn gauge(name: &'static str, help: &'static str) -> Series {
    Series {
        name,
        kind: Kind::Gauge,
        help,
        labels: &["group"],
    }
}

/// The numbers of one replica.
#[derive(Debug)]
pub struct Metrics {
    /// [`APPEND_SECONDS`].
    pub append: Histogram,
    /// [`ELECTIONS`].
    pub elections: Counter,
    /// [`FAILOVER_SECONDS`].
    pub failover: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            append: Histogram::new(CALL_BOUNDS_US),
            elections: Counter::default(),
            failover: Histogram::new(CALL_BOUNDS_US),
        }
    }
}
