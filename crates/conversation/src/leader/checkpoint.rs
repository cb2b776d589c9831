//! Checkpoints: when one is due, asking every voter, and what a majority had.
//! Promise: only a value that a majority of the voters reported is proposed; an idle cell writes none.
//! Not here: comparing a logged checkpoint with this replica (`replica`), the loop (`run`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use domain::cell::checkpoint::{Checkpoint, Digest, Mark};
use domain::cell::version::CHAIN_SINCE;
use domain::ids::{CellTime, LogIndex, MachineVersion};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep};

use super::Duties;

/// Entries after which the next checkpoint is due.
const ENTRIES: u64 = 10_000;
/// Milliseconds of cell time after which one is due if anything was asked of the cell meanwhile.
const EVERY_MS: u64 = 60_000;
/// A voter that has not applied so far is asked again after this time.
const AGAIN: Duration = Duration::from_millis(50);
/// For so long voters are waited for. One that trails further back has other troubles, which the
/// status names.
const WITHIN: Duration = Duration::from_secs(5);
/// Pause after voters were asked in vain.
const PAUSE: Duration = Duration::from_secs(10);

/// What a replica says of one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Both chains there.
    Mark {
        /// The log's.
        log: Digest,
        /// The machine's.
        machine: Digest,
    },
    /// It has not applied or not written so far.
    Behind,
    /// It does not remember that index, or cannot be reached.
    Unknown,
}

/// The other replicas of a cell.
#[async_trait::async_trait]
pub trait Voters: Send + Sync + 'static {
    /// What the replica on `node` has at `index`, asked once and not waited for long.
    async fn seen(&self, node: u64, index: LogIndex) -> Seen;
}

/// Reaches nobody: a cell without other nodes.
pub(crate) struct NoVoters;

#[async_trait::async_trait]
impl Voters for NoVoters {
    async fn seen(&self, _node: u64, _index: LogIndex) -> Seen {
        Seen::Unknown
    }
}

/// What decides whether a checkpoint is due.
#[derive(Debug, Clone, Copy)]
struct Progress {
    version: MachineVersion,
    /// The last command applied.
    applied: LogIndex,
    last: Option<Checkpoint>,
    now: CellTime,
}

/// Whether a checkpoint is due. Its own entry is none that asks for the next: a cell of which nothing
/// is asked writes nothing.
fn is_due(progress: Progress) -> bool {
    if progress.version < CHAIN_SINCE {
        return false;
    }
    let (index, logged, at) = match progress.last {
        Some(last) => (last.mark.index, last.logged, last.at),
        None => (LogIndex(0), LogIndex(0), CellTime(0)),
    };
    let many = progress.applied.0.saturating_sub(index.0) >= ENTRIES;
    let late = progress.now.since_ms(at) >= EVERY_MS;
    progress.applied > logged && (many || late)
}

/// The value that more than half of `voters` said.
fn majority(voters: usize, said: &BTreeMap<u64, Seen>) -> Option<(Digest, Digest)> {
    said.values().find_map(|one| {
        let alike = said.values().filter(|other| *other == one).count();
        match one {
            Seen::Mark { log, machine } if alike * 2 > voters => Some((*log, *machine)),
            _ => None,
        }
    })
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Collected {
    /// A majority had this.
    Agreed(Mark),
    /// No value has a majority: a sentence for people.
    NotAgreed(String),
}

/// Asks every voter for what it had at one index.
async fn collect(duties: Asked, voters: Vec<u64>, index: LogIndex) -> Collected {
    let until = Instant::now() + WITHIN;
    let count = voters.len();
    let ask = |voter: u64| {
        let duties = duties.clone();
        async move { (voter, duties.ask(voter, index, until).await) }
    };
    let mut asked: FuturesUnordered<_> = voters.into_iter().map(ask).collect();
    let mut said = BTreeMap::new();
    while let Some((voter, seen)) = asked.next().await {
        said.insert(voter, seen);
        if let Some((log, machine)) = majority(count, &said) {
            return Collected::Agreed(Mark {
                index,
                log,
                machine,
            });
        }
    }
    Collected::NotAgreed(sentence(index, &said))
}

fn sentence(index: LogIndex, said: &BTreeMap<u64, Seen>) -> String {
    let mut sentence = format!(
        "no majority of the voters agrees on what they had at log index {index}, so nothing was noted:"
    );
    for (place, (node, seen)) in said.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = match seen {
            Seen::Mark { log, machine } => {
                write!(
                    sentence,
                    "{comma} node {node} has log {log} machine {machine}"
                )
            }
            Seen::Behind => write!(sentence, "{comma} node {node} is not so far"),
            Seen::Unknown => write!(sentence, "{comma} node {node} did not say"),
        };
    }
    sentence
}

/// What asking needs.
#[derive(Clone)]
struct Asked {
    core: Arc<crate::handle::Core>,
    voters: Arc<dyn Voters>,
    us: Option<u64>,
}

impl Asked {
    /// What one voter had, asked again while it is behind and there is time.
    async fn ask(&self, voter: u64, index: LogIndex, until: Instant) -> Seen {
        loop {
            let seen = match self.us == Some(voter) {
                true => self.core.seen(index),
                false => self.voters.seen(voter, index).await,
            };
            if seen != Seen::Behind || Instant::now() + AGAIN >= until {
                return seen;
            }
            sleep(AGAIN).await;
        }
    }
}

/// The leader's checkpoints, one at a time.
pub(super) struct Checkpoints {
    collecting: Option<BoxFuture<'static, Collected>>,
    logging: bool,
    not_before: Instant,
}

impl Checkpoints {
    pub(super) fn new() -> Self {
        Self {
            collecting: None,
            logging: false,
            not_before: Instant::now(),
        }
    }

    /// Begins to ask if a checkpoint is due and none is under way.
    pub(super) fn look(&mut self, duties: &Duties) {
        let under_way = self.collecting.is_some() || self.logging;
        if under_way || Instant::now() < self.not_before {
            return;
        }
        let shared = &duties.core.view.shared;
        let now = shared.clock.lock().stamp(shared.mono_ms());
        let progress = duties.core.view.with(|cell, applied| Progress {
            version: cell.version(),
            applied,
            last: cell.state().meta().checkpoint,
            now,
        });
        if is_due(progress) {
            let status = duties.core.group.status();
            let asked = Asked {
                core: duties.core.clone(),
                voters: duties.voters.clone(),
                us: status.leader,
            };
            self.collecting = Some(collect(asked, status.voters, progress.applied).boxed());
        }
    }

    /// What came of asking; nothing while nobody is asked.
    pub(super) async fn next(&mut self) -> Collected {
        match &mut self.collecting {
            Some(collecting) => {
                let collected = collecting.await;
                self.collecting = None;
                collected
            }
            None => std::future::pending().await,
        }
    }

    /// Judges what came of asking; gives what is to be proposed.
    pub(super) fn collected(&mut self, duties: &Duties, collected: Collected) -> Option<Mark> {
        let alarm = &duties.core.view.shared.alarm;
        match collected {
            Collected::Agreed(mark) => {
                self.logging = true;
                alarm.lock().take();
                Some(mark)
            }
            Collected::NotAgreed(sentence) => {
                tracing::error!(cell = duties.cell.0, sentence, "there is no checkpoint");
                self.not_before = Instant::now() + PAUSE;
                *alarm.lock() = Some(sentence);
                None
            }
        }
    }

    /// The proposal has ended, one way or another.
    pub(super) fn logged(&mut self, failed: bool) {
        self.logging = false;
        if failed {
            self.not_before = Instant::now() + PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(log: u8, machine: u8) -> Seen {
        Seen::Mark {
            log: Digest([log; 16]),
            machine: Digest([machine; 16]),
        }
    }

    fn said(seen: &[Seen]) -> BTreeMap<u64, Seen> {
        (1..).zip(seen.iter().copied()).collect()
    }

    #[test]
    fn a_value_counts_only_with_more_than_half_of_all_voters() {
        let one = (Digest([1; 16]), Digest([7; 16]));
        let (a, b) = (mark(1, 7), mark(1, 8));
        assert_eq!(majority(3, &said(&[a, b, a])), Some(one));
        assert_eq!(majority(3, &said(&[a, Seen::Unknown, a])), Some(one));
        assert_eq!(majority(3, &said(&[a, b, Seen::Behind])), None);
        assert_eq!(majority(3, &said(&[a])), None, "one of three");
        let away = [Seen::Unknown, Seen::Unknown, a];
        assert_eq!(majority(3, &said(&away)), None, "silence is no value");
        assert_eq!(majority(4, &said(&[a, a, b, b])), None);
        assert_eq!(majority(1, &said(&[a])), Some(one));
    }

    #[test]
    fn the_sentence_says_what_each_voter_had() {
        let text = sentence(
            LogIndex(40),
            &said(&[mark(1, 2), Seen::Behind, Seen::Unknown]),
        );
        let has = "node 1 has log 01010101010101010101010101010101 machine 0202";
        assert!(
            text.contains("log index 40") && text.contains(has),
            "{text}"
        );
        assert!(
            text.ends_with(", node 2 is not so far, node 3 did not say"),
            "{text}"
        );
    }

    const QUIET: Progress = Progress {
        version: CHAIN_SINCE,
        applied: LogIndex(12),
        last: Some(Checkpoint {
            mark: Mark {
                index: LogIndex(10),
                log: Digest([0; 16]),
                machine: Digest([0; 16]),
            },
            at: CellTime(5_000),
            logged: LogIndex(11),
        }),
        now: CellTime(5_000 + EVERY_MS),
    };

    #[test]
    fn one_is_due_after_a_minute_with_work_or_after_ten_thousand_entries() {
        assert!(is_due(QUIET));
        let sooner = Progress {
            now: CellTime(4_999 + EVERY_MS),
            ..QUIET
        };
        assert!(!is_due(sooner));
        let busy = Progress {
            applied: LogIndex(10_010),
            ..sooner
        };
        assert!(is_due(busy));
        let first = Progress {
            last: None,
            ..QUIET
        };
        assert!(is_due(first));
        let old = Progress {
            version: MachineVersion(CHAIN_SINCE.0 - 1),
            ..busy
        };
        assert!(!is_due(old), "the version does not know it");
    }

    #[test]
    fn the_entry_of_a_checkpoint_asks_for_no_other() {
        let idle = Progress {
            applied: LogIndex(11),
            now: CellTime(86_400_000),
            ..QUIET
        };
        assert!(!is_due(idle));
    }
}
