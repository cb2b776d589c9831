//! The judge of a run: what all replicas and all clients say, held against what was promised.
//! Promise: a violation names its rule, its subject and the last things that were seen of it; nothing that is
//! judged knows of it.
//! Not here: the rules inside one cell's state (`domain::cell::invariants`, played by `node::Prover`).

pub mod conversation;
#[cfg(test)]
mod conversation_test;
pub mod groups;
pub mod history;
pub mod linear;
#[cfg(test)]
mod linear_test;
pub mod promises;
mod replicas;
mod witness;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::trace::Trace;
use conversation::{Extent, Judgement};
use groups::Groups;
use history::History;
use promises::Promises;
use replicas::Replicas;
pub use witness::Witness;

/// Violations that are kept: the first one counts, the others may say more about it.
const VIOLATIONS_MAX: usize = 16;

/// Something that was promised and does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: &'static str,
    /// The conversation, agent, entry or node that it is about.
    pub subject: String,
    /// What was seen.
    pub seen: String,
    /// The last things that touched the subject.
    pub before: Vec<String>,
}

impl Violation {
    /// A violation of which nothing more is known.
    pub fn new(rule: &'static str, subject: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            rule,
            subject: subject.into(),
            seen: seen.into(),
            before: Vec::new(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "violation: {}", self.rule)?;
        writeln!(f, "  of {}: {}", self.subject, self.seen)?;
        for line in &self.before {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

/// The judge; clones share it.
#[derive(Clone)]
pub struct Judge {
    shared: Arc<Shared>,
}

struct Shared {
    now_us: AtomicU64,
    groups: Mutex<Groups>,
    replicas: Mutex<Replicas>,
    promises: Mutex<Promises>,
    history: Mutex<History>,
    violations: Mutex<Vec<Violation>>,
    trace: Trace,
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new(trace: Trace) -> Self {
        Self {
            shared: Arc::new(Shared {
                now_us: AtomicU64::new(0),
                groups: Mutex::default(),
                replicas: Mutex::default(),
                promises: Mutex::default(),
                history: Mutex::default(),
                violations: Mutex::default(),
                trace,
            }),
        }
    }

    /// Moves the judge's clock, which all clients share.
    pub fn set_now_us(&self, now_us: u64) {
        self.shared.now_us.store(now_us, Ordering::Relaxed);
    }

    /// Microseconds since the world began.
    pub fn now_us(&self) -> u64 {
        self.shared.now_us.load(Ordering::Relaxed)
    }

    /// A witness of one node, in one life of its process.
    pub fn witness(&self, node: usize) -> Witness {
        Witness::new(self.clone(), node)
    }

    /// The logs and disks of the nodes.
    pub fn replicas<T>(&self, look: impl FnOnce(&mut Replicas) -> T) -> T {
        look(&mut self.shared.replicas.lock())
    }

    /// Looks at the files of every node.
    pub fn check_files(&self, nodes: usize) {
        for node in 0..nodes {
            let found = self.replicas(|replicas| replicas.check_files(node));
            if let Err((rule, seen)) = found {
                self.accuse(Violation::new(rule, format!("node {node}"), seen));
            }
        }
    }

    /// What is known of the groups.
    pub fn groups<T>(&self, look: impl FnOnce(&mut Groups) -> T) -> T {
        look(&mut self.shared.groups.lock())
    }

    /// What was promised to clients.
    pub fn promises<T>(&self, look: impl FnOnce(&mut Promises) -> T) -> T {
        look(&mut self.shared.promises.lock())
    }

    /// What clients did.
    pub fn history<T>(&self, look: impl FnOnce(&mut History) -> T) -> T {
        look(&mut self.shared.history.lock())
    }

    /// Notes something for the trace.
    pub fn note(&self, what: impl FnOnce() -> String) {
        self.shared.trace.note(self.now_us(), what);
    }

    /// Keeps a violation.
    pub fn accuse(&self, violation: Violation) {
        self.note(|| format!("violation {} {}", violation.rule, violation.subject));
        let mut violations = self.shared.violations.lock();
        if violations.len() < VIOLATIONS_MAX {
            violations.push(violation);
        }
    }

    /// Keeps what does not hold.
    pub fn check(&self, found: Result<(), Violation>) {
        if let Err(violation) = found {
            self.accuse(violation);
        }
    }

    /// Judges the history by conversation, once the run is over. A run that a violation has ended lacks the calls that
    /// were under way.
    pub fn conclude(&self) -> Judgement {
        let extent = match self.is_violated() {
            true => Extent::Cut,
            false => Extent::Whole,
        };
        let judgement = self.history(|history| conversation::judge(history.calls(), extent));
        for violation in &judgement.violations {
            self.accuse(violation.clone());
        }
        judgement
    }

    /// The violations so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.violations.lock().clone()
    }

    /// Whether there is one.
    pub fn is_violated(&self) -> bool {
        !self.shared.violations.lock().is_empty()
    }
}
