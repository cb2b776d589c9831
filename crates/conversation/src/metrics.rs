//! What is shown of a cell's actors and of its floor.
//! Promise: read when somebody asks; nothing is counted on the way of a message.
//! Not here: the page on which it stands (`node::metrics`); the floor's counters, which are folds of the log
//! (`domain`).

use runtime::measure::{Kind, Series};

/// Actors.
pub const ACTORS: Series = Series {
    name: "antiphon_actors",
    kind: Kind::Gauge,
    help: "Conversations with a live actor on this node.",
    labels: &["cell"],
};
/// Failed actors.
pub const ACTOR_FAILURES: Series = Series {
    name: "antiphon_actor_failures_total",
    kind: Kind::Counter,
    help: "Actors that have failed; each harmed its own conversation's streams alone.",
    labels: &["cell"],
};
/// Actors with work.
pub const BUSY_RATIO: Series = Series {
    name: "antiphon_actor_busy_ratio",
    kind: Kind::Gauge,
    help: "Share of the actors in whose mailbox a message waits at this moment; a share that stays near 1 means that \
           they cannot keep up.",
    labels: &["cell"],
};
/// What waits for actors.
pub const MAILBOX_DEPTH: Series = Series {
    name: "antiphon_actor_mailbox_depth",
    kind: Kind::Gauge,
    help: "Messages that wait in actors' mailboxes: of all actors together (sum) and of the fullest one (max, at most \
           256).",
    labels: &["cell", "of"],
};

/// What waits in the mailboxes of a cell's actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// In all of them.
    pub sum: usize,
    /// In the fullest.
    pub max: usize,
    /// Actors that were looked at.
    pub actors: usize,
    /// Those among them that have not taken up all of theirs.
    pub busy: usize,
}

impl Waiting {
    /// The share of actors that have something to do, 0 to 1.
    #[must_use]
    pub fn busy_ratio(&self) -> f64 {
        self.busy as f64 / self.actors.max(1) as f64
    }
}
