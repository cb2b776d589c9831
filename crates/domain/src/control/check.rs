//! Judges a floor plan: what can never work, what names nothing, what makes no sense.
//! Promise: pure and complete: every fault of a plan is listed, each with its place; a plan
//! without faults can be adopted by a cell.
//! Not here: the TOML form with lines and columns, and the size of the encoded plan (`wire`).

mod attributes;
mod intake;
mod queues;
mod timers;

use std::fmt;

use super::suggest::nearest;
use crate::plan::FloorPlan;

/// Work classes of one cell: requirement sets with a strategy x channels. Each has its own line and its own
/// ordered set of free agents, so their number bounds what an agent's change of state costs.
pub const CLASSES_MAX: usize = 256;
/// The cells that a plan may name: the only one that a cluster has so far.
pub const CELL_NAMES: [&str; 1] = ["main"];
/// Largest capacity of an agent and largest cost of a channel, in units.
pub const UNITS_MAX: u32 = 1_000_000;
/// Longest timer: seven days. A longer one is a slip of units.
pub const TIMER_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
/// Longest text that customers read, in bytes.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Longest display name and team, in bytes.
pub const LABEL_BYTES_MAX: usize = 256;
/// Largest boost: a day, so that starvation is bounded by a day.
pub const BOOST_MS_MAX: u64 = 24 * 3_600 * 1_000;

/// One step of the way to a place in the plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// A key of a table.
    Key(String),
    /// A position in an array, from 0.
    Index(usize),
}

/// A place in the plan, in the words of `floor.toml`: `queue.orders-en.skills.orders`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PlanPath(pub Vec<PathStep>);

impl PlanPath {
    /// The path through these keys.
    pub fn keys<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| PathStep::Key(key.to_owned()))
                .collect(),
        )
    }

    /// The same path, one key deeper.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(PathStep::Key(key.to_owned()));
        Self(steps)
    }

    /// The same path, one position deeper.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(PathStep::Index(index));
        Self(steps)
    }
}

impl fmt::Display for PlanPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Key(key) if at == 0 => f.write_str(key)?,
                PathStep::Key(key) => write!(f, ".{key}")?,
                PathStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PlanFault {
    /// Where.
    pub path: PlanPath,
    /// What.
    pub problem: PlanProblem,
    /// A known word that may have been meant.
    pub suggestion: Option<String>,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanProblem {
    /// A name that the plan does not define.
    #[error("there is no {kind} \"{name}\"")]
    Unknown {
        /// `skill`, `language`, `queue`, `site`, `channel`, `cell`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A level outside the scale.
    #[error("level {level} is outside 1 to 5")]
    LevelOutOfRange {
        /// The level.
        level: u8,
    },
    /// The same skill or language twice, or out of order.
    #[error("requirements must be sorted and name each skill and language once")]
    RequirementsUnsorted,
    /// Nobody has what the queue requires.
    #[error("no agent can serve this queue: {nearest}")]
    NobodyEligible {
        /// Who comes nearest and lacks what.
        nearest: String,
    },
    /// The eligible agents can never hold one conversation of a channel that reaches the queue.
    #[error(
        "channel {channel} reaches this queue, but no eligible agent can hold its {cost} units"
    )]
    ChannelBeyondCapacity {
        /// The channel.
        channel: String,
        /// Its cost in units.
        cost: u32,
    },
    /// An agent who can hold no conversation at all.
    #[error("a capacity of {capacity} units can serve no channel; the cheapest costs {cheapest}")]
    CapacityServesNothing {
        /// The agent's units.
        capacity: u32,
        /// The cheapest channel's units.
        cheapest: u32,
    },
    /// More work classes than a cell keeps.
    #[error(
        "{sets} requirement sets with their strategies x {channels} channels are {classes} work classes; {limit} are allowed"
    )]
    TooManyClasses {
        /// Different requirement sets; one that queues use with two strategies counts twice.
        sets: usize,
        /// Channels.
        channels: usize,
        /// Their product.
        classes: usize,
        /// The limit.
        limit: usize,
    },
    /// A number outside its range.
    #[error("{value} is outside {least} to {most}")]
    OutOfRange {
        /// The number.
        value: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// A timer outside its range.
    #[error("{value_ms} ms is outside {least_ms} ms to {most_ms} ms")]
    TimerOutOfRange {
        /// The time.
        value_ms: u64,
        /// The least allowed.
        least_ms: u64,
        /// The most allowed.
        most_ms: u64,
    },
    /// Two timers in the wrong order.
    #[error("{value_ms} ms must be longer than {earlier}, which is {earlier_ms} ms")]
    TimerOrder {
        /// The time.
        value_ms: u64,
        /// The other timer, by its key.
        earlier: &'static str,
        /// The other time.
        earlier_ms: u64,
    },
    /// A text that is empty or too long.
    #[error("a text of {bytes} bytes is outside {least} to {most} bytes")]
    TextLength {
        /// Its bytes.
        bytes: usize,
        /// The least allowed.
        least: usize,
        /// The most allowed.
        most: usize,
    },
    /// A rule that an earlier rule hides.
    #[error("this rule is never reached: rule {by} fits everything that it fits")]
    RuleUnreachable {
        /// The hiding rule, counted from 1.
        by: usize,
    },
    /// A boost that the queue does away with.
    #[error("queue \"{queue}\" allows no boost: its boost_max is 0")]
    BoostNotAllowed {
        /// The queue.
        queue: String,
    },
    /// A boost that every queue does away with.
    #[error("no queue that this account reaches allows a boost: boost_max is 0 in all of them")]
    BoostAllowedNowhere,
    /// An account whose conversations may find no queue.
    #[error("there is no queue for conversations that no intake rule fits")]
    NoFallback,
    /// Not a name of the IANA form.
    #[error("\"{zone}\" is not a time zone such as \"Europe/Berlin\"")]
    BadTimeZone {
        /// The text.
        zone: String,
    },
    /// Larger than a log entry may be.
    #[error("the plan has {bytes} bytes encoded, {limit} are allowed")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// Every fault of the plan, in order of the file's sections; empty for a plan that may be applied.
pub fn check(plan: &FloorPlan) -> Vec<PlanFault> {
    let mut faults = Faults::default();
    timers::check_policy(plan, &mut faults);
    attributes::check(plan, &mut faults);
    timers::check_channels(plan, &mut faults);
    intake::check(plan, &mut faults);
    queues::check(plan, &mut faults);
    faults.0
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<PlanFault>);

impl Faults {
    fn add(&mut self, path: PlanPath, problem: PlanProblem) {
        self.0.push(PlanFault {
            path,
            problem,
            suggestion: None,
        });
    }

    /// Adds a fault unless `name` is among `known`.
    fn require_known<'a>(
        &mut self,
        path: PlanPath,
        (kind, name): (&'static str, &str),
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        if known.clone().any(|candidate| candidate == name) {
            return;
        }
        let suggestion = nearest(name, known).map(str::to_owned);
        self.0.push(PlanFault {
            path,
            problem: PlanProblem::Unknown {
                kind,
                name: name.to_owned(),
            },
            suggestion,
        });
    }

    fn require_range(&mut self, path: PlanPath, value: u64, (least, most): (u64, u64)) {
        if !(least..=most).contains(&value) {
            self.add(path, PlanProblem::OutOfRange { value, least, most });
        }
    }

    fn require_text(&mut self, path: PlanPath, text: &str, (least, most): (usize, usize)) {
        let bytes = text.len();
        if !(least..=most).contains(&bytes) {
            self.add(path, PlanProblem::TextLength { bytes, least, most });
        }
    }
}
