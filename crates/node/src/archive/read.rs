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

#[async_trait::async_trait]
impl Archive for CellArchive {
    async fn conversation(
        &self,
        cell: u32,
        conversation: u64,
    ) -> Result<Option<Bytes>, ArchiveError> {
        let complete = self.is_complete();
        let reason = match self.shared.of.store.get(cell, conversation).await {
            Ok(Some(record)) => return Ok(Some(record.blob)),
            Ok(None) if complete => return Ok(None),
            Ok(None) => "this node does not have everything yet".to_owned(),
            Err(error) => error.to_string(),
        };
        for peer in self.peers() {
            let request = forward_call::Request::ArchiveGet(ArchiveGetRequest { conversation });
            let answer = self.ask_peer(peer, request, ASK_WAIT).await;
            if let Some(forward_answer::Response::ArchiveGot(got)) = answer {
                if !got.record.is_empty() {
                    return Ok(Some(got.record));
                }
                if got.complete {
                    return Ok(None);
                }
            }
        }
        Err(ArchiveError::Unreachable { reason })
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
