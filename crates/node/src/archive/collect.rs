//! While this node leads a cell: asks the voters what they hold of what is sealed, and says what may leave.
//! Promise: what is asked for is what the leader's state has, so a leader whose own archive is sick holds
//! nothing up; our own word is read back from disk like everybody else's; nobody is waited for longer than
//! a second; a range that is asked for stays the same until it has left.
//! Not here: judging the words (`agree`), answering (`ask`), proposing (`conversation`).

use std::sync::Arc;
use std::time::Duration;

use conversation::{CellReplica, Safe};
use domain::cell::archive::{ArchiveRecord, ArchivedUpto};
use domain::cell::checkpoint::Digest;
use domain::cell::conversation::Conversation;
use domain::ids::{LogIndex, NodeId};
use futures::future::join_all;
use pb::raft::v1::{ArchiveHoldsRequest, forward_answer, forward_call};
use ports::Group;
use store::archive::{ArchiveError, ChainError, Hash16, Sealing};
use tokio::time::sleep;

use super::CellArchive;
use super::agree::{Held, Word, day_reached, fold, may_leave};
use super::record::hash_of;

/// How often the voters are asked.
const ROUND: Duration = Duration::from_millis(500);
/// Nobody is waited for longer.
const ASK_WAIT: Duration = Duration::from_secs(1);
/// Conversations that leave by one entry at most: letting them go takes milliseconds.
const LEAVING_MAX: usize = 2_048;

/// The task that asks.
pub(crate) struct Collector {
    archive: CellArchive,
    group: raft::GroupHandle<CellReplica>,
    leaving: Option<Leaving>,
    /// How often it was asked for.
    rounds: u32,
}

/// A range that is to leave, as the leader's state has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Leaving {
    after: LogIndex,
    upto: LogIndex,
    hashes: Arc<[Hash16]>,
    /// What the hashes come to.
    held: Held,
}

impl Leaving {
    fn new(after: LogIndex, upto: LogIndex, hashes: Vec<Hash16>) -> Self {
        Self {
            after,
            upto,
            held: Held::of(&hashes),
            hashes: hashes.into(),
        }
    }
}

impl Collector {
    pub(crate) fn new(archive: CellArchive, group: raft::GroupHandle<CellReplica>) -> Self {
        Self {
            archive,
            group,
            leaving: None,
            rounds: 0,
        }
    }

    /// Asks again and again until the node stops.
    pub(crate) async fn run(mut self) {
        let stop = self.archive.shared.of.stop.clone();
        while stop.unless(sleep(ROUND)).await.is_some() && stop.unless(self.round()).await.is_some()
        {
        }
    }

    /// Without a word of this round there is none: an old one may be about another state.
    async fn round(&mut self) {
        let leadership = *self.group.leadership().borrow();
        let safe = match leadership.is_self && !self.archive.is_halted() {
            true => self.collect(leadership.term).await,
            false => {
                self.leaving = None;
                None
            }
        };
        self.archive.shared.safe.send_replace(safe);
    }

    /// What may leave the state, by the word of enough voters.
    async fn collect(&mut self, term: u64) -> Option<Safe> {
        let leaving = self.next_leaving().await;
        let forgets = self.archive.has_old_ranges();
        if leaving.hashes.is_empty() && !forgets {
            return None;
        }
        let words = self.ask(&leaving).await;
        self.rounds = self.rounds.saturating_add(1);
        let day = day_reached(&words)?;
        let keep_from_day = day.saturating_sub(self.archive.shared.of.options.archive_days);
        let record = self.archive.record();
        if record.upto != leaving.after {
            return None;
        }
        let next = match leaving.hashes.is_empty() {
            true => forgetting(&record, leaving.upto, keep_from_day)?,
            false if may_leave(leaving.held, &words, self.rounds) => {
                leaves(&record, &leaving, (day, keep_from_day))
            }
            false => return None,
        };
        Some(Safe {
            term,
            after: leaving.after,
            next,
        })
    }

    /// What has been asked for, as long as it has not left; else what is sealed by now.
    async fn next_leaving(&mut self) -> Leaving {
        let after = self.archive.left_upto();
        if let Some(leaving) = &self.leaving
            && leaving.after == after
        {
            return leaving.clone();
        }
        let (after, upto, sealed) = self.archive.shared.view.with(|cell, applied| {
            let after = cell.state().meta().archive.upto;
            let sealed = cell.state().sealed_between(after, applied, LEAVING_MAX + 1);
            (after, applied, sealed)
        });
        let upto = match sealed.last() {
            // What one entry seals leaves as a whole.
            Some((last, _)) if sealed.len() > LEAVING_MAX => LogIndex(last.0 - 1),
            Some((last, _)) => *last,
            None => upto,
        };
        let sealed = sealed.into_iter().filter(|(index, _)| *index <= upto);
        let sealed: Vec<_> = sealed.map(|(_, conversation)| conversation).collect();
        let leaving = Leaving::new(after, upto, self.archive.hashes(sealed).await);
        self.leaving = (!leaving.hashes.is_empty()).then(|| leaving.clone());
        self.rounds = 0;
        leaving
    }

    async fn ask(&self, leaving: &Leaving) -> Vec<Word> {
        let voters = self.group.status().voters;
        let words = voters.iter().map(|voter| self.word(*voter, leaving));
        join_all(words).await
    }

    /// What one voter says: this node like any other.
    async fn word(&self, voter: u64, leaving: &Leaving) -> Word {
        let of = &self.archive.shared.of;
        let expected = leaving.held;
        let (after, upto) = (leaving.after.0, leaving.upto.0);
        let (held, day) = match voter == of.node {
            true => {
                let held = self.archive.holds(after, upto);
                (held.await, Some(of.today()))
            }
            false => {
                let request = forward_call::Request::ArchiveHolds(ArchiveHoldsRequest {
                    after,
                    upto,
                    count: expected.count,
                    digest: expected.digest.to_vec().into(),
                });
                read_word(self.archive.ask_peer(voter, request, ASK_WAIT).await)
            }
        };
        if voter == of.node && held.is_some_and(|held| held != expected) {
            self.archive.write_anew();
        }
        Word {
            site: self.archive.site_of(voter),
            held,
            day,
        }
    }
}

fn read_word(answer: Option<forward_answer::Response>) -> (Option<Held>, Option<u32>) {
    let Some(forward_answer::Response::ArchiveHolds(holds)) = answer else {
        return (None, None);
    };
    let digest = holds.digest.as_ref().try_into().ok();
    let held = digest.filter(|_| holds.written).map(|digest| Held {
        digest,
        count: holds.count,
    });
    (held, Some(holds.day))
}

/// The word that a range may leave. A day that has not come yet prolongs the last range.
fn leaves(
    record: &ArchiveRecord,
    leaving: &Leaving,
    (day, keep_from_day): (u32, u32),
) -> ArchivedUpto {
    let day = record.ranges.last().map_or(day, |last| last.day.max(day));
    let start = record.digest_before(day).0;
    ArchivedUpto {
        upto: leaving.upto,
        count: leaving.held.count,
        day,
        digest: Digest(fold(start, &leaving.hashes)),
        keep_from_day,
    }
}

/// The word that old ranges are forgotten while nothing leaves: the last one goes on, by nothing.
fn forgetting(record: &ArchiveRecord, upto: LogIndex, keep_from_day: u32) -> Option<ArchivedUpto> {
    let (first, last) = (record.ranges.first()?, record.ranges.last()?);
    (first.day < keep_from_day && record.upto < upto).then_some(ArchivedUpto {
        upto,
        count: 0,
        day: last.day,
        digest: last.digest,
        keep_from_day,
    })
}

impl CellArchive {
    /// What the state remembers of what has left.
    pub(super) fn record(&self) -> ArchiveRecord {
        let view = &self.shared.view;
        view.with(|cell, _| cell.state().meta().archive.clone())
    }

    /// Up to which entry what was sealed has left the state.
    pub(super) fn left_upto(&self) -> LogIndex {
        let view = &self.shared.view;
        view.with(|cell, _| cell.state().meta().archive.upto)
    }

    /// Whether the state has ranges that are kept no longer, by this node's clock.
    fn has_old_ranges(&self) -> bool {
        let oldest = self.record().ranges.first().map(|range| range.day);
        oldest.is_some_and(|day| day < self.shared.of.keep_from())
    }

    /// The hashes of conversations as archives have them.
    pub(super) async fn hashes(&self, sealed: Vec<Arc<Conversation>>) -> Vec<Hash16> {
        let compute = &self.shared.of.env.compute;
        let hash = move || {
            sealed
                .iter()
                .map(|conversation| hash_of(conversation))
                .collect()
        };
        compute.run(hash).await
    }

    /// What this node's archive holds of a range that is still in the state, read back from disk; `None`
    /// where it cannot say.
    pub(super) async fn holds(&self, after: u64, upto: u64) -> Option<Held> {
        let written = self.shared.checked.lock().written();
        if after < written.after || written.upto < upto {
            return None;
        }
        let cell = self.shared.cell.0;
        match self.shared.of.store.chain(cell, after, upto, [0; 16]).await {
            Ok(chained) => Some(Held {
                digest: chained.digest,
                count: chained.count,
            }),
            Err(error) => {
                tracing::warn!(cell, after, upto, %error, "a range of the archive cannot be read back");
                // What is only busy, or a disk that fails, is not mended by writing once more.
                if matches!(error, ChainError::Missing { .. }) {
                    self.write_anew();
                }
                None
            }
        }
    }

    /// Has give way whatever is here from one place to another.
    pub(super) async fn discard(&self, from: Sealing, to: Sealing) -> Result<(), ArchiveError> {
        let store = &self.shared.of.store;
        store.discard(self.shared.cell.0, from, to).await
    }

    fn site_of(&self, node: u64) -> String {
        let control = self.shared.of.control.borrow();
        let known = control.nodes.get(&NodeId(node));
        known.map(|node| node.site.to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use domain::cell::archive::ArchivedRange;

    use super::*;

    fn record(days: &[u32]) -> ArchiveRecord {
        let range = |(at, day): (usize, &u32)| ArchivedRange {
            after: LogIndex(at as u64 * 10),
            upto: LogIndex(at as u64 * 10 + 10),
            day: *day,
            count: 1,
            digest: Digest([at as u8 + 1; 16]),
        };
        ArchiveRecord {
            upto: LogIndex(days.len() as u64 * 10),
            ranges: days.iter().enumerate().map(range).collect(),
        }
    }

    fn leaving() -> Leaving {
        Leaving::new(LogIndex(20), LogIndex(30), vec![[7; 16], [8; 16]])
    }

    #[test]
    fn a_range_of_the_same_day_goes_on_from_the_hash_before_and_of_another_from_zeros() {
        let record = record(&[100, 101]);
        let same = leaves(&record, &leaving(), (101, 11));
        assert_eq!(same.digest.0, fold([2; 16], &leaving().hashes));
        let next = leaves(&record, &leaving(), (102, 12));
        assert_eq!((next.day, next.keep_from_day), (102, 12));
        assert_eq!(next.digest.0, leaving().held.digest);
    }

    #[test]
    fn a_day_before_the_last_range_prolongs_it() {
        let record = record(&[100, 101]);
        let next = leaves(&record, &leaving(), (0, 0));
        assert_eq!((next.day, next.keep_from_day), (101, 0));
        assert_eq!(next.digest.0, fold([2; 16], &leaving().hashes));
    }

    #[test]
    fn old_ranges_are_forgotten_though_nothing_leaves() {
        let record = record(&[100, 101]);
        assert_eq!(forgetting(&record, LogIndex(25), 100), None, "none is old");
        assert_eq!(
            forgetting(&record, LogIndex(20), 101),
            None,
            "no entry since"
        );
        let next = forgetting(&record, LogIndex(25), 101).expect("one is old");
        assert_eq!((next.count, next.day, next.digest.0), (0, 101, [2; 16]));
    }
}
