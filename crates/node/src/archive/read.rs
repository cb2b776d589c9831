//! Reading the archive of a cell: here, or where a peer has what this node lacks.
//! Promise: a conversation is said to be missing only by an archive that has everything.
//! Not here: who may read (`api`).

use std::time::Duration;

use bytes::Bytes;
use pb::raft::v1::{ArchiveGetRequest, forward_answer, forward_call};
use ports::{Archive, ArchiveBy, ArchiveError, ArchivePage, ArchiveQuery};
use store::archive::{Found, Page, PageToken};

use super::CellArchive;

/// No peer is waited for longer.
const ASK_WAIT: Duration = Duration::from_secs(1);

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
    fn if_before(self, before: Self) -> Self {
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
        let dropped_upto = 0;
        let left_upto = self.record().upto.0;
        let kept = self.kept_ranges();
        let checked = self.shared.checked.lock();
        let whole = kept.iter().all(|range| checked.has(range));
        Standing {
            complete: whole && upto <= left_upto && !self.is_halted(),
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
        let upto = self.record().upto.0;
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
        for peer in self.peers() {
            let request =
                forward_call::Request::ArchiveGet(ArchiveGetRequest { conversation, upto });
            let answer = self.ask_peer(peer, request, ASK_WAIT).await;
            let Some(forward_answer::Response::ArchiveGot(got)) = answer else {
                everywhere = false;
                continue;
            };
            let theirs = Standing {
                complete: got.complete,
                dropped_upto: got.dropped_upto,
            };
            if !got.record.is_empty() {
                return Ok(Some(got.record));
            }
            if theirs.lacks_nothing_of(conversation) {
                return Ok(None);
            }
            everywhere &= theirs.complete;
        }
        match everywhere {
            true => Ok(None),
            false => Err(ArchiveError::Unreachable { reason }),
        }
    }

    async fn find(&self, cell: u32, query: ArchiveQuery) -> Result<ArchivePage, ArchiveError> {
        let after = match &query.after {
            None => None,
            Some(token) => Some(PageToken::from_bytes(token).ok_or(ArchiveError::BadToken)?),
        };
        let page = Page {
            after,
            records_max: query.size,
        };
        let store = &self.shared.of.store;
        let closed = query.from_ms..=query.to_ms.saturating_sub(1);
        let found = match &query.by {
            ArchiveBy::Customer(key) => store.by_customer(key, page).await,
            ArchiveBy::Agent(agent) => store.by_agent(agent, closed.clone(), page).await,
            ArchiveBy::Time => store.by_time(Some(cell), closed.clone(), page).await,
        };
        let found = found.map_err(|error| ArchiveError::Unreachable {
            reason: error.to_string(),
        })?;
        let Found {
            records,
            damaged,
            next,
        } = found;
        let of_cell = |record: &store::archive::Record| {
            record.cell == cell && closed.contains(&record.closed_wall_ms)
        };
        Ok(ArchivePage {
            records: records
                .into_iter()
                .filter(of_cell)
                .map(|record| record.blob)
                .collect(),
            damaged,
            next: next.map(|token| token.to_bytes().to_vec()),
        })
    }
}
