//! A leader's question to the voters: which part of what is sealed do you hold?
//! Promise: our own word is read back from disk like everybody else's; nobody is waited for longer than a
//! second.
//! Not here: judging the words (`agree`), answering (`ask`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::cell::archive::ArchivedUpto;
use domain::cell::checkpoint::Digest;
use domain::ids::{LogIndex, NodeId};
use futures::future::join_all;
use pb::raft::v1::{ArchiveHoldsRequest, forward_answer, forward_call};

use store::archive::{ArchiveError, ChainError, Sealing};

use super::CellArchive;
use super::agree::{Held, Judgement, Word, judge};

/// Nobody is waited for longer.
const ASK_WAIT: Duration = Duration::from_secs(1);
/// Conversations that leave by one entry at most: letting them go takes milliseconds.
const LEAVING_MAX: usize = 2_048;

/// A range that is to leave.
#[derive(Debug, Clone, Copy)]
struct Range {
    after: LogIndex,
    upto: LogIndex,
    count: u64,
    day: u32,
    start: Digest,
}

impl CellArchive {
    /// What may leave the state, by the word of enough voters; `None` where nothing may.
    pub(super) async fn collect(&self, voters: &[u64]) -> Option<ArchivedUpto> {
        let range = self.next_range()?;
        let us = self.shared.of.node;
        let others = voters.iter().filter(|voter| **voter != us);
        let (ours, theirs) = tokio::join!(
            self.holds(range.after.0, range.upto.0, range.start.0),
            join_all(others.map(|voter| self.ask_holds(*voter, range)))
        );
        let own = Word {
            site: self.site_of(us),
            held: ours,
        };
        let words: Vec<Word> = std::iter::once(own).chain(theirs).collect();
        match judge(range.count, &words) {
            Judgement::Safe(digest) => Some(ArchivedUpto {
                upto: range.upto,
                count: range.count,
                day: range.day,
                digest: Digest(digest),
                keep_from_day: self.shared.of.keep_from(),
            }),
            Judgement::Wait => None,
            Judgement::WeDiffer => {
                tracing::warn!(
                    cell = self.shared.cell.0,
                    after = range.after.0,
                    upto = range.upto.0,
                    "this node's archive differs from the others': the range is written anew"
                );
                self.write_anew(range.after.0, range.upto.0).await;
                None
            }
        }
    }

    /// What is sealed, written here, and has not left.
    fn next_range(&self) -> Option<Range> {
        let written = LogIndex(self.shared.written.load(Ordering::Acquire));
        let day = self.shared.of.today();
        let (sealed, after, start) = self.shared.view.with(|cell, _| {
            let archive = &cell.state().meta().archive;
            let sealed = cell
                .state()
                .sealed_between(archive.upto, written, LEAVING_MAX + 1);
            let sealed: Vec<LogIndex> = sealed.into_iter().map(|(index, _)| index).collect();
            // A leader whose clock is behind prolongs the last day.
            let day = archive.ranges.last().map_or(day, |last| last.day.max(day));
            (sealed, archive.upto, (day, archive.digest_before(day)))
        });
        let last = *sealed.last()?;
        let upto = match sealed.len() > LEAVING_MAX {
            true => LogIndex(last.0 - 1),
            false => last,
        };
        let count = sealed.iter().filter(|index| **index <= upto).count() as u64;
        (count > 0).then_some(Range {
            after,
            upto,
            count,
            day: start.0,
            start: start.1,
        })
    }

    /// What this node's archive holds of a range, read back from disk; `None` where it cannot say.
    pub(super) async fn holds(&self, after: u64, upto: u64, start: [u8; 16]) -> Option<Held> {
        if self.shared.written.load(Ordering::Acquire) < upto {
            return None;
        }
        let cell = self.shared.cell.0;
        match self.shared.of.store.chain(cell, after, upto, start).await {
            Ok(chained) => Some(Held {
                digest: chained.digest,
                count: chained.count,
            }),
            Err(error) => {
                tracing::warn!(cell, after, upto, %error, "a range of the archive cannot be read back");
                // What is only busy, or a disk that fails, is not mended by writing once more.
                if matches!(error, ChainError::Missing { .. }) {
                    self.write_anew(after, upto).await;
                }
                None
            }
        }
    }

    /// Lets a range that is still in the state be written once more.
    async fn write_anew(&self, after: u64, upto: u64) {
        if let Err(error) = self.discard(after, upto).await {
            let cell = self.shared.cell.0;
            tracing::warn!(cell, %error, "a range of the archive was not set aside");
        }
        self.shared.written.fetch_min(after, Ordering::AcqRel);
    }

    /// Has give way whatever is here of what was sealed after an entry and up to another.
    pub(super) async fn discard(&self, after: u64, upto: u64) -> Result<(), ArchiveError> {
        let from = Sealing {
            sealed: after.saturating_add(1),
            conversation: 0,
        };
        let to = Sealing {
            sealed: upto,
            conversation: u64::MAX,
        };
        let store = &self.shared.of.store;
        store.discard(self.shared.cell.0, from, to).await
    }

    async fn ask_holds(&self, voter: u64, range: Range) -> Word {
        let request = forward_call::Request::ArchiveHolds(ArchiveHoldsRequest {
            after: range.after.0,
            upto: range.upto.0,
            start: range.start.0.to_vec().into(),
        });
        let answer = self.ask_peer(voter, request, ASK_WAIT).await;
        let held = match answer {
            Some(forward_answer::Response::ArchiveHolds(holds)) if holds.written => {
                let digest = holds.digest.as_ref().try_into().ok();
                digest.map(|digest| Held {
                    digest,
                    count: holds.count,
                })
            }
            _ => None,
        };
        Word {
            site: self.site_of(voter),
            held,
        }
    }

    fn site_of(&self, node: u64) -> String {
        let control = self.shared.of.control.borrow();
        let known = control.nodes.get(&NodeId(node));
        known.map(|node| node.site.to_string()).unwrap_or_default()
    }
}
