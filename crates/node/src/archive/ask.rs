//! What nodes ask each other about archives, and the answers.
//! Promise: an answer is bounded by a page; what cannot be read is not answered for.
//! Not here: the way to a peer (`doors`), what is done with an answer (`collect`, `read`, `repair`).

use std::time::Duration;

use bytes::Bytes;
use pb::raft::v1::{
    ArchiveCopied, ArchiveCopyRequest, ArchiveGetRequest, ArchiveGot, ArchiveHolds,
    ArchiveHoldsRequest, forward_answer, forward_call,
};
use store::archive::Sealing;

use super::CellArchive;

impl CellArchive {
    /// Asks one peer about this cell's archive; `None` when it does not answer in time.
    pub(super) async fn ask_peer(
        &self,
        peer: u64,
        request: forward_call::Request,
        within: Duration,
    ) -> Option<forward_answer::Response> {
        let doors = &self.shared.of.doors;
        doors
            .ask_node(peer, self.shared.cell.0, request, within)
            .await
    }

    async fn answer_holds(&self, asked: &ArchiveHoldsRequest) -> ArchiveHolds {
        let Ok(start) = asked.start.as_ref().try_into() else {
            return ArchiveHolds::default();
        };
        let held = self.holds(asked.after, asked.upto, start).await;
        held.map_or_else(ArchiveHolds::default, |held| ArchiveHolds {
            written: true,
            count: held.count,
            digest: Bytes::copy_from_slice(&held.digest),
        })
    }

    async fn answer_get(&self, asked: &ArchiveGetRequest) -> Option<ArchiveGot> {
        let cell = self.shared.cell.0;
        let found = self
            .shared
            .of
            .store
            .get(cell, asked.conversation)
            .await
            .ok()?;
        Some(ArchiveGot {
            record: found.map(|record| record.blob).unwrap_or_default(),
            complete: self.is_complete(),
        })
    }

    async fn answer_copy(&self, asked: &ArchiveCopyRequest) -> Option<ArchiveCopied> {
        let after = Sealing {
            sealed: asked.sealed,
            conversation: asked.conversation,
        };
        let cell = self.shared.cell.0;
        let page = self
            .shared
            .of
            .store
            .in_order(cell, after, asked.upto)
            .await
            .ok()?;
        let next = page.next.unwrap_or(after);
        Some(ArchiveCopied {
            records: page.records.into_iter().map(|record| record.blob).collect(),
            more: page.next.is_some(),
            sealed: next.sealed,
            conversation: next.conversation,
        })
    }
}

/// Answers a peer's question about an archive; `None` for what is none, or cannot be answered.
pub(crate) async fn answer(
    archive: &CellArchive,
    request: &forward_call::Request,
) -> Option<forward_answer::Response> {
    use forward_answer::Response;
    use forward_call::Request;
    match request {
        Request::ArchiveHolds(asked) => {
            Some(Response::ArchiveHolds(archive.answer_holds(asked).await))
        }
        Request::ArchiveGet(asked) => archive.answer_get(asked).await.map(Response::ArchiveGot),
        Request::ArchiveCopy(asked) => archive
            .answer_copy(asked)
            .await
            .map(Response::ArchiveCopied),
        _ => None,
    }
}
