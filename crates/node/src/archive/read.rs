//! Reading a conversation from the archive of a cell: here, or where a peer has what this node lacks.
//! Promise: a conversation is said to be missing only by an archive that has checked everything up to where
//! the asker knows things to have left.
//! Not here: searching (`find`), who may read (`api`).

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use pb::raft::v1::{ArchiveGetRequest, forward_answer, forward_call};
use ports::{Archive, ArchiveError, ArchivePage, ArchiveQuery};

use super::CellArchive;
use super::repair::is_kept;

/// Peers are asked together, and none is waited for longer.
pub(super) const ASK_WAIT: Duration = Duration::from_secs(1);

/// How an archive stands to what has left the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// It has checked everything that it keeps of what has left.
    pub(super) complete: bool,
    /// It has dropped what was sealed up to this entry, for lack of room.
    pub(super) dropped_upto: u64,
}

impl Standing {
    /// Whether a conversation that it does not have does not exist: one is sealed after it was opened.
    fn lacks_nothing_of(self, conversation: u64) -> bool {
        self.complete && self.dropped_upto <= conversation
    }

    /// Complete before and after a look.
    pub(super) fn if_before(self, before: Self) -> Self {
        Self {
            complete: self.complete && before.complete,
            ..self
        }
    }
}

impl CellArchive {
    /// How this archive stands to what had left the state at an index that the asker knows of, at this
    /// moment. A replica that is halted or behind does not know what it lacks.
    pub(super) fn standing(&self, upto: u64) -> Standing {
        let dropped_upto = self.shared.of.store.dropped_upto(self.shared.cell.0);
        let whole = self.shared.view.with(|cell, _| {
            let record = &cell.state().meta().archive;
            let checked = self.shared.checked.lock();
            let mut kept = record
                .ranges
                .iter()
                .filter(|range| is_kept(range, dropped_upto));
            upto <= record.upto.0 && kept.all(|range| checked.has(range))
        });
        Standing {
            complete: whole && !self.is_halted(),
            dropped_upto,
        }
    }
}

#[async_trait::async_trait]
impl Archive for CellArchive {
    async fn conversation(
        &self,
        cell: u32,
        conversation: u64,
    ) -> Result<Option<Bytes>, ArchiveError> {
        let upto = self.left_upto().0;
        let before = self.standing(upto);
        let found = self.shared.of.store.get(cell, conversation).await;
        let ours = self.standing(upto).if_before(before);
        let reason = match found {
            Ok(Some(record)) => return Ok(Some(record.blob)),
            Ok(None) if ours.lacks_nothing_of(conversation) => return Ok(None),
            Ok(None) => "this node does not have everything".to_owned(),
            Err(error) => error.to_string(),
        };
        // What was dropped everywhere for lack of room is nowhere.
        let mut everywhere = ours.complete;
        // A replica that has gone astray may have another record: one that has checked all goes before.
        let mut unsure = None;
        let request = forward_call::Request::ArchiveGet(ArchiveGetRequest { conversation, upto });
        let mut asked = self.ask_peers(&request, ASK_WAIT);
        while let Some(answer) = asked.next().await {
            let Some(forward_answer::Response::ArchiveGot(got)) = answer else {
                everywhere = false;
                continue;
            };
            let theirs = Standing {
                complete: got.complete,
                dropped_upto: got.dropped_upto,
            };
            match got.record.is_empty() {
                false if got.complete => return Ok(Some(got.record)),
                false => unsure = unsure.or(Some(got.record)),
                true => {}
            }
            if theirs.lacks_nothing_of(conversation) {
                return Ok(None);
            }
            everywhere &= theirs.complete;
        }
        match unsure {
            Some(record) => Ok(Some(record)),
            None if everywhere => Ok(None),
            None => Err(ArchiveError::Unreachable { reason }),
        }
    }

    async fn find(&self, _cell: u32, query: ArchiveQuery) -> Result<ArchivePage, ArchiveError> {
        self.search(query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_for_lack_of_room_is_not_said_to_be_nowhere() {
        let of = |complete, dropped_upto| Standing {
            complete,
            dropped_upto,
        };
        assert!(of(true, 0).lacks_nothing_of(5));
        assert!(of(true, 5).lacks_nothing_of(5), "it was sealed later");
        assert!(!of(true, 6).lacks_nothing_of(5));
        assert!(!of(false, 0).lacks_nothing_of(5));
    }
}
