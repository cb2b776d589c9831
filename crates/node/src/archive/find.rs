//! Searching the archive of a cell: here, or where a peer has what this node lacks.
//! Promise: a page is given only by an archive that has checked everything that has left; what is damaged in
//! it is looked for in the others, one by one, and counted where none has it.
//! Not here: one conversation by its id (`read`), who may search (`api`).

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::iter;
use pb::raft::v1::{ArchiveFindRequest, ArchiveFound, ArchiveLost, forward_answer, forward_call};
use ports::{Archive as _, ArchiveBy, ArchiveError, ArchivePage, ArchiveQuery};
use store::archive::{Found, Lost, PAGE_BYTES_MAX, Page, PageToken, Record, Within};
use tokio::time::{Instant, timeout_at};

use super::CellArchive;
use super::read::ASK_WAIT;
use super::record::of_bytes;

/// Records of one page that are asked for at once where they are damaged: of some kilobytes each.
const FILLS_AT_ONCE: usize = 8;
/// What has not come by then stays left out.
const FILL_WAIT: Duration = Duration::from_secs(1);

/// A page as one archive has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The records that can be read.
    records: Vec<Bytes>,
    /// Those that cannot, in the order of the page.
    lost: Vec<Lost>,
    /// Those of which only the number is known.
    nameless: u32,
    next: Option<Vec<u8>>,
    /// The archive has checked everything that it keeps of what had left.
    complete: bool,
}

impl Read {
    fn damaged(&self) -> u32 {
        let named = u32::try_from(self.lost.len()).unwrap_or(u32::MAX);
        named.saturating_add(self.nameless)
    }

    /// The page with each lost record in its place that was found: `None` for one that is of no such page.
    fn filled(self, found: Vec<(Lost, Option<Bytes>)>) -> ArchivePage {
        let mut damaged = self.damaged();
        let mut bytes: usize = self.records.iter().map(Bytes::len).sum();
        let mut found = found.into_iter().peekable();
        let mut records = Vec::new();
        let places = self.records.len();
        let rest = self.records.into_iter().map(Some).chain([None]);
        for (place, record) in (0..=places).zip(rest) {
            while let Some((_, other)) = found.next_if(|(lost, _)| lost.before <= place) {
                let size = other.as_ref().map_or(0, Bytes::len);
                // An answer between nodes holds no more.
                if bytes + size <= PAGE_BYTES_MAX {
                    bytes += size;
                    damaged -= 1;
                    records.extend(other);
                }
            }
            records.extend(record);
        }
        ArchivePage {
            records,
            damaged,
            next: self.next,
        }
    }
}

impl From<Read> for ArchiveFound {
    fn from(read: Read) -> Self {
        let named = |lost: &Lost| ArchiveLost {
            conversation: lost.conversation,
            before: u32::try_from(lost.before).unwrap_or(u32::MAX),
        };
        Self {
            damaged: read.damaged(),
            lost: read.lost.iter().map(named).collect(),
            records: read.records,
            next: read.next.unwrap_or_default().into(),
            complete: read.complete,
        }
    }
}

impl From<ArchiveFound> for Read {
    fn from(found: ArchiveFound) -> Self {
        let named = |lost: &ArchiveLost| Lost {
            conversation: lost.conversation,
            before: lost.before as usize,
        };
        let lost: Vec<Lost> = found.lost.iter().map(named).collect();
        let names = u32::try_from(lost.len()).unwrap_or(u32::MAX);
        Self {
            records: found.records,
            nameless: found.damaged.saturating_sub(names),
            lost,
            next: (!found.next.is_empty()).then(|| found.next.to_vec()),
            complete: found.complete,
        }
    }
}

impl CellArchive {
    /// From this archive where it has everything, else from a peer that has: a page that lacks what this
    /// node lacks looks like any other. Of pages with damaged records the one with the fewest is taken.
    pub(super) async fn search(&self, query: ArchiveQuery) -> Result<ArchivePage, ArchiveError> {
        let token = query.after.as_deref().map(PageToken::from_bytes);
        if token.is_some_and(|token| token.is_none()) {
            return Err(ArchiveError::BadToken);
        }
        let upto = self.left_upto().0;
        let (mut best, reason) = match self.find_here(&query, upto).await {
            Ok(read) if read.complete => (Some(read), String::new()),
            Ok(_) => (None, "this node does not have everything".to_owned()),
            Err(error) => (None, error.to_string()),
        };
        let is_whole = |best: &Option<Read>| best.as_ref().is_some_and(|best| best.damaged() == 0);
        if !is_whole(&best) {
            let request = forward_call::Request::ArchiveFind(asked(query.clone(), upto));
            let mut asked = self.ask_peers(&request, ASK_WAIT);
            while !is_whole(&best)
                && let Some(answer) = asked.next().await
            {
                let Some(forward_answer::Response::ArchiveFound(found)) = answer else {
                    continue;
                };
                let theirs = Read::from(found);
                let fewer = |best: &Read| theirs.damaged() < best.damaged();
                if theirs.complete && best.as_ref().is_none_or(fewer) {
                    best = Some(theirs);
                }
            }
        }
        let best = best.ok_or(ArchiveError::Unreachable { reason })?;
        let found = self.find_lost(&query, &best.lost).await;
        Ok(best.filled(found))
    }

    /// Looks in all archives for what is damaged in the one that a page is of; nothing for what has only the
    /// hash of a name in common with what is looked for.
    async fn find_lost(&self, query: &ArchiveQuery, lost: &[Lost]) -> Vec<(Lost, Option<Bytes>)> {
        let deadline = Instant::now() + FILL_WAIT;
        let cell = self.shared.cell.0;
        let one = |lost: Lost| async move {
            let found = self.conversation(cell, lost.conversation);
            let blob = timeout_at(deadline, found).await.ok()?.ok()??;
            let record = of_bytes(blob)?;
            let wanted = is_of(query, &record).then_some(record.blob);
            Some((lost, wanted))
        };
        let found = iter(lost.iter().copied()).map(one).buffered(FILLS_AT_ONCE);
        found.filter_map(std::future::ready).collect().await
    }

    /// A page of this archive.
    pub(super) async fn find_here(
        &self,
        query: &ArchiveQuery,
        upto: u64,
    ) -> Result<Read, store::archive::ArchiveError> {
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
        Ok(Read {
            records: records.into_iter().map(|record| record.blob).collect(),
            lost: damaged,
            nameless: 0,
            next: next.map(|token| token.to_bytes().to_vec()),
            complete: self.standing(upto).if_before(before).complete,
        })
    }
}

/// Whether a record is what is looked for.
fn is_of(query: &ArchiveQuery, record: &Record) -> bool {
    match &query.by {
        ArchiveBy::Customer(key) => record.customer == *key,
        ArchiveBy::Agent(agent) => record.agents.iter().any(|name| name == agent),
        ArchiveBy::Time => true,
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

    fn lost(conversation: u64, before: usize) -> Lost {
        Lost {
            conversation,
            before,
        }
    }

    #[test]
    fn what_was_found_elsewhere_stands_in_its_place_and_the_rest_is_counted() {
        let blob = |text: &'static str| Bytes::from_static(text.as_bytes());
        let page = Read {
            records: vec![blob("b"), blob("d")],
            lost: vec![lost(5, 0), lost(3, 1), lost(1, 2), lost(0, 2)],
            nameless: 1,
            ..Read::default()
        };
        let same = Read::from(ArchiveFound::from(page.clone()));
        assert_eq!(same, page, "it is the same where a peer gives it");
        let found = vec![
            (lost(5, 0), Some(blob("a"))),
            (lost(3, 1), None),
            (lost(1, 2), Some(blob("e"))),
        ];
        let filled = page.filled(found);
        assert_eq!(filled.records, [blob("a"), blob("b"), blob("d"), blob("e")]);
        assert_eq!(filled.damaged, 2, "one has no copy, and one no name");
    }

    #[test]
    fn a_page_takes_no_more_than_an_answer_may_hold() {
        let page = Read {
            records: vec![Bytes::from(vec![0; PAGE_BYTES_MAX])],
            lost: vec![lost(5, 0)],
            ..Read::default()
        };
        let filled = page.filled(vec![(lost(5, 0), Some(Bytes::from_static(b"a")))]);
        assert_eq!((filled.records.len(), filled.damaged), (1, 1));
    }
}
