//! Reading the archive of a cell: here, or where a peer has what this node lacks.
//! Promise: a conversation is said to be missing only by an archive that has checked everything up to where
//! the asker knows things to have left; a page is given only by such an archive.
//! Not here: who may read (`api`).

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use pb::raft::v1::{ArchiveFindRequest, ArchiveGetRequest, forward_answer, forward_call};
use ports::{Archive, ArchiveBy, ArchiveError, ArchivePage, ArchiveQuery};
use store::archive::{Found, Page, PageToken, Within};

use super::CellArchive;
use super::repair::is_kept;

/// Peers are asked together, and none is waited for longer.
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

    /// From this archive where it has everything, else from a peer that has: a page that lacks what this
    /// node lacks looks like any other.
    async fn find(&self, _cell: u32, query: ArchiveQuery) -> Result<ArchivePage, ArchiveError> {
        let token = query.after.as_deref().map(PageToken::from_bytes);
        if token.is_some_and(|token| token.is_none()) {
            return Err(ArchiveError::BadToken);
        }
        let upto = self.left_upto().0;
        let (ours, reason) = match self.find_here(&query, upto).await {
            Ok((page, true)) if page.damaged == 0 => return Ok(page),
            Ok((page, true)) => (Some(page), String::new()),
            Ok((_, false)) => (None, "this node does not have everything".to_owned()),
            Err(error) => (None, error.to_string()),
        };
        let request = forward_call::Request::ArchiveFind(asked(query, upto));
        let mut asked = self.ask_peers(&request, ASK_WAIT);
        while let Some(answer) = asked.next().await {
            if let Some(forward_answer::Response::ArchiveFound(found)) = answer
                && found.complete
                && (found.damaged == 0 || ours.is_none())
            {
                return Ok(ArchivePage {
                    records: found.records,
                    damaged: found.damaged,
                    next: (!found.next.is_empty()).then(|| found.next.to_vec()),
                });
            }
        }
        ours.ok_or(ArchiveError::Unreachable { reason })
    }
}

impl CellArchive {
    /// A page of this archive, and whether it has everything that it keeps of what had left.
    pub(super) async fn find_here(
        &self,
        query: &ArchiveQuery,
        upto: u64,
    ) -> Result<(ArchivePage, bool), store::archive::ArchiveError> {
        let page = Page {
            after: query.after.as_deref().and_then(PageToken::from_bytes),
            records_max: query.size,
        };
        let within = Within {
            cell: Some(self.shared.cell.0),
            closed_ms: query.from_ms..=query.to_ms.saturating_sub(1),
        };
        let store = &self.shared.of.store;
        let before = self.standing(upto);
        let found = match &query.by {
            ArchiveBy::Customer(key) => store.by_customer(key, within, page).await,
            ArchiveBy::Agent(agent) => store.by_agent(agent, within, page).await,
            ArchiveBy::Time => store.by_time(within, page).await,
        };
        let Found {
            records,
            damaged,
            next,
        } = found?;
        let page = ArchivePage {
            records: records.into_iter().map(|record| record.blob).collect(),
            damaged,
            next: next.map(|token| token.to_bytes().to_vec()),
        };
        Ok((page, self.standing(upto).if_before(before).complete))
    }
}

/// A query as a peer is asked.
fn asked(query: ArchiveQuery, upto: u64) -> ArchiveFindRequest {
    let (customer, agent) = match query.by {
        ArchiveBy::Customer(key) => (key, String::new()),
        ArchiveBy::Agent(agent) => (Bytes::new(), agent),
        ArchiveBy::Time => (Bytes::new(), String::new()),
    };
    ArchiveFindRequest {
        customer,
        agent,
        from_ms: query.from_ms,
        to_ms: query.to_ms,
        after: query.after.unwrap_or_default().into(),
        size: u32::try_from(query.size).unwrap_or(u32::MAX),
        upto,
    }
}

/// The query that a peer asks; it has looked at the token itself.
pub(super) fn query(asked: &ArchiveFindRequest) -> ArchiveQuery {
    let by = match (asked.customer.is_empty(), asked.agent.is_empty()) {
        (false, _) => ArchiveBy::Customer(asked.customer.clone()),
        (true, false) => ArchiveBy::Agent(asked.agent.clone()),
        (true, true) => ArchiveBy::Time,
    };
    ArchiveQuery {
        by,
        from_ms: asked.from_ms,
        to_ms: asked.to_ms,
        after: (!asked.after.is_empty()).then(|| asked.after.to_vec()),
        size: asked.size as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_reaches_a_peer_as_it_was_asked() {
        let by = [
            ArchiveBy::Customer(Bytes::from_static(b"web\0zoe")),
            ArchiveBy::Agent("ana".to_owned()),
            ArchiveBy::Time,
        ];
        for (by, after) in by.into_iter().zip([None, Some(vec![1; 20]), None]) {
            let whole = ArchiveQuery {
                by,
                from_ms: 5,
                to_ms: 9,
                after,
                size: 7,
            };
            assert_eq!(query(&asked(whole.clone(), 3)), whole);
        }
    }

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
