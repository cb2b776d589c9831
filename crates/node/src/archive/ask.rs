//! What nodes ask each other about archives, and the answers.
//! Promise: an answer is bounded by a page; what cannot be read is not answered for.
//! Not here: the way to a peer (`doors`), what is done with an answer (`collect`, `read`, `repair`).

use std::time::Duration;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use pb::raft::v1::{
    ArchiveCopied, ArchiveCopyRequest, ArchiveFindRequest, ArchiveFound, ArchiveGetRequest,
    ArchiveGot, ArchiveHash, ArchiveHashes, ArchiveHashesRequest, ArchiveHolds,
    ArchiveHoldsRequest, forward_answer, forward_call,
};
use store::archive::{Hashed, Sealing};

use super::CellArchive;
use super::agree::Held;
use super::find::query;

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

    /// Asks all other members at once, none for longer than `within`; the answers come as they arrive. A cell has
    /// as many members as it has sites, some few.
    pub(super) fn ask_peers(
        &self,
        request: &forward_call::Request,
        within: Duration,
    ) -> FuturesUnordered<impl Future<Output = Option<forward_answer::Response>>> {
        let peers = self.peers().into_iter();
        peers
            .map(|peer| self.ask_peer(peer, request.clone(), within))
            .collect()
    }

    /// What is held of a range that is still in this node's state. An archive that holds something else
    /// than the leader's state is compared with our own state, by which alone it is judged.
    async fn answer_holds(&self, asked: &ArchiveHoldsRequest) -> ArchiveHolds {
        let day = self.shared.of.today();
        let left = self.left_upto().0;
        let held = match left <= asked.after && asked.after <= asked.upto {
            true => self.holds(asked.after, asked.upto).await,
            false => None,
        };
        let Some(held) = held else {
            return ArchiveHolds {
                day,
                ..ArchiveHolds::default()
            };
        };
        let expected = asked.digest.as_ref().try_into().ok().map(|digest| Held {
            digest,
            count: asked.count,
        });
        if expected.is_some_and(|expected| expected != held) {
            self.write_anew();
        }
        ArchiveHolds {
            written: true,
            count: held.count,
            digest: Bytes::copy_from_slice(&held.digest),
            day,
        }
    }

    async fn answer_get(&self, asked: &ArchiveGetRequest) -> Option<ArchiveGot> {
        let cell = self.shared.cell.0;
        let before = self.standing(asked.upto);
        let found = self.shared.of.store.get(cell, asked.conversation).await;
        let after = self.standing(asked.upto);
        Some(ArchiveGot {
            record: found.ok()?.map(|record| record.blob).unwrap_or_default(),
            complete: before.complete && after.complete,
            dropped_upto: after.dropped_upto,
        })
    }

    async fn answer_find(&self, asked: &ArchiveFindRequest) -> Option<ArchiveFound> {
        let found = self.find_here(&query(asked), asked.upto).await;
        found.ok().map(ArchiveFound::from)
    }

    async fn answer_hashes(&self, asked: &ArchiveHashesRequest) -> Option<ArchiveHashes> {
        let after = Sealing {
            sealed: asked.sealed,
            conversation: asked.conversation,
        };
        let (store, cell) = (&self.shared.of.store, self.shared.cell.0);
        let page = store.hashes(cell, after, asked.upto).await.ok()?;
        let next = page.next.unwrap_or(after);
        let told = |hashed: &Hashed| {
            Some(ArchiveHash {
                sealed: hashed.at.sealed,
                conversation: hashed.at.conversation,
                hash: Bytes::copy_from_slice(&hashed.hash?),
            })
        };
        Some(ArchiveHashes {
            hashes: page.hashes.iter().filter_map(told).collect(),
            more: page.next.is_some(),
            sealed: next.sealed,
            conversation: next.conversation,
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
        Request::ArchiveFind(asked) => archive.answer_find(asked).await.map(Response::ArchiveFound),
        Request::ArchiveHashes(asked) => archive
            .answer_hashes(asked)
            .await
            .map(Response::ArchiveHashes),
        Request::ArchiveCopy(asked) => archive
            .answer_copy(asked)
            .await
            .map(Response::ArchiveCopied),
        _ => None,
    }
}
