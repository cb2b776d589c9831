//! What can be asked of the archive.
//! Promise: each answer is bounded; a damaged record is told, never served.
//! Not here: how entries are found and merged (`lookup`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::Archive;
use super::core::Holds;
use super::entries::{Hit, Table, name_hash};
use super::lookup::{Direction, Query};
use super::reader::{Read, Reader, copies};
use super::types::{
    ArchiveError, ChainError, Chained, Figures, Found, HASHED_BYTES_MAX, HASHES_MAX, Hash16,
    Hashed, Hashes, Lost, PAGE_BYTES_MAX, PAGE_RECORDS_MAX, Page, PageToken, Record, Sealed,
    Sealing, Within, chain_step,
};

impl Archive {
    /// Whether a record is there, by the index alone.
    pub async fn contains(
        &self,
        cell: u32,
        sealed: u64,
        conversation: u64,
    ) -> Result<bool, ArchiveError> {
        let at = Sealing {
            sealed,
            conversation,
        };
        Ok(!self.ordered(cell, at, at, 1).await?.is_empty())
    }

    /// A conversation; `None` if it is not there.
    pub async fn get(&self, cell: u32, conversation: u64) -> Result<Option<Record>, ArchiveError> {
        let query = Query::of_conversation(cell, conversation);
        let hits = self
            .core
            .look_up(vec![query])
            .await?
            .pop()
            .unwrap_or_default();
        match Reader::new(self.core.clone()).any(&hits).await? {
            Read::Kept(kept) => Ok(Some(kept.record)),
            Read::Gone => Ok(None),
            Read::Damaged(damage) => Err(ArchiveError::Damaged {
                cell,
                conversation,
                damage,
            }),
        }
    }

    /// Conversations of a customer, by the key given with each record, newest first.
    pub async fn by_customer(
        &self,
        customer: &[u8],
        within: Within,
        page: Page,
    ) -> Result<Found, ArchiveError> {
        let hash = Some(name_hash(customer));
        let query = newest(Table::Customer, hash, within, page);
        self.found(query, |record| record.customer == customer)
            .await
    }

    /// Conversations, newest first.
    pub async fn by_time(&self, within: Within, page: Page) -> Result<Found, ArchiveError> {
        let query = newest(Table::Time, None, within, page);
        self.found(query, |_| true).await
    }

    /// Conversations that an agent owned, newest first.
    pub async fn by_agent(
        &self,
        agent: &str,
        within: Within,
        page: Page,
    ) -> Result<Found, ArchiveError> {
        let hash = Some(name_hash(agent.as_bytes()));
        let query = newest(Table::Agent, hash, within, page);
        let of_agent = |record: &Record| record.agents.iter().any(|name| name == agent);
        self.found(query, of_agent).await
    }

    /// Records of a cell behind `after` and sealed up to `upto_sealed`, in the order of sealing: for a
    /// peer to copy. At most [`PAGE_RECORDS_MAX`] and, from the second on, [`PAGE_BYTES_MAX`].
    pub async fn in_order(
        &self,
        cell: u32,
        after: Sealing,
        upto_sealed: u64,
    ) -> Result<Sealed, ArchiveError> {
        let mut page = Sealed::default();
        let Some(from) = after.next() else {
            return Ok(page);
        };
        let hits = self.ordered(
            cell,
            from,
            Sealing::last_of(upto_sealed),
            PAGE_RECORDS_MAX + 1,
        );
        let hits = hits.await?;
        let mut reader = Reader::new(self.core.clone());
        let (mut bytes, mut last) = (0, after);
        for (number, copies) in copies(&hits).enumerate() {
            if number == PAGE_RECORDS_MAX {
                page.next = Some(last);
                break;
            }
            match reader.any(copies).await? {
                Read::Kept(kept) => {
                    bytes += kept.record.blob.len();
                    if bytes > PAGE_BYTES_MAX && !page.records.is_empty() {
                        page.next = Some(last);
                        break;
                    }
                    page.records.push(kept.record);
                }
                Read::Damaged(_) => page.damaged += 1,
                Read::Gone => {}
            }
            last = sealing(&copies[0]);
        }
        Ok(page)
    }

    /// Places and hashes of the records of a cell behind `after` and sealed up to `upto_sealed`, in the
    /// order of sealing, as they are read back from disk. At most [`HASHES_MAX`].
    pub async fn hashes(
        &self,
        cell: u32,
        after: Sealing,
        upto_sealed: u64,
    ) -> Result<Hashes, ArchiveError> {
        let mut page = Hashes::default();
        let Some(from) = after.next() else {
            return Ok(page);
        };
        let hits = self.ordered(cell, from, Sealing::last_of(upto_sealed), HASHES_MAX + 1);
        let hits = hits.await?;
        let mut reader = Reader::new(self.core.clone());
        let (mut bytes, mut last) = (0, after);
        for (number, copies) in copies(&hits).enumerate() {
            if number == HASHES_MAX || bytes > HASHED_BYTES_MAX {
                page.next = Some(last);
                break;
            }
            last = sealing(&copies[0]);
            let hash = match reader.any(copies).await? {
                Read::Kept(kept) => {
                    bytes += kept.record.blob.len();
                    Some(kept.blob_hash)
                }
                Read::Damaged(_) => None,
                Read::Gone => continue,
            };
            page.hashes.push(Hashed { at: last, hash });
        }
        Ok(page)
    }

    /// Reads the blobs of a cell that were sealed after `after` up to `upto` back from disk and folds
    /// them onto `start` with [`chain_step`], in the order of (sealed, conversation). A record that is
    /// known and cannot be read ends it with [`ChainError::Missing`]; one that this archive never had,
    /// or lost with the index that knew it, shows in digest and count.
    pub async fn chain(
        &self,
        cell: u32,
        after: u64,
        upto: u64,
        start: Hash16,
    ) -> Result<Chained, ChainError> {
        let mut chained = Chained {
            digest: start,
            count: 0,
        };
        let mut reader = Reader::new(self.core.clone());
        let mut from = Sealing::last_of(after).next();
        while let Some(first) = from {
            let hits = self.ordered(cell, first, Sealing::last_of(upto), PAGE_RECORDS_MAX);
            let hits = hits.await?;
            for copies in copies(&hits) {
                let at = sealing(&copies[0]);
                match reader.any(copies).await? {
                    Read::Kept(kept) => {
                        chained.digest = chain_step(chained.digest, kept.blob_hash);
                        chained.count += 1;
                    }
                    Read::Damaged(damage) => return Err(ChainError::Missing { cell, at, damage }),
                    Read::Gone => {}
                }
            }
            from = hits.last().and_then(|last| sealing(last).next());
        }
        Ok(chained)
    }

    /// What was closed on the UTC days `days` (days since 1970-01-01), by day and queue.
    pub async fn figures(
        &self,
        days: RangeInclusive<u32>,
    ) -> Result<BTreeMap<(u32, String), Figures>, ArchiveError> {
        self.core.until_whole().await?;
        let mut sums: BTreeMap<(u32, String), Figures> = BTreeMap::new();
        let state = self.core.state.lock();
        for (id, file) in &state.files {
            let day = u32::from(id.day);
            let queues = match &file.holds {
                _ if !days.contains(&day) => continue,
                Holds::Active(entries) => &entries.figures,
                Holds::Indexed(mark) => &mark.figures,
                // It has just begun to be indexed anew.
                Holds::Unindexed => {
                    drop(state);
                    return Err(self.core.rebuilding());
                }
            };
            for (queue, figures) in queues {
                sums.entry((day, queue.clone())).or_default().merge(figures);
            }
        }
        Ok(sums)
    }

    async fn ordered(
        &self,
        cell: u32,
        from: Sealing,
        to: Sealing,
        limit: usize,
    ) -> Result<Vec<Hit>, ArchiveError> {
        if from > to {
            return Ok(Vec::new());
        }
        let query = Query {
            table: Table::Order,
            hash: None,
            cell: Some(cell),
            low: (from.sealed, from.conversation),
            high: (to.sealed, to.conversation),
            before: None,
            direction: Direction::Up,
            limit,
        };
        Ok(self
            .core
            .look_up(vec![query])
            .await?
            .pop()
            .unwrap_or_default())
    }

    async fn found(
        &self,
        query: Query,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Found, ArchiveError> {
        let records_max = query.limit - 1;
        let hits = self
            .core
            .look_up(vec![query])
            .await?
            .pop()
            .unwrap_or_default();
        let mut reader = Reader::new(self.core.clone());
        let mut page = Found::default();
        let (mut bytes, mut last) = (0, None);
        for (number, copies) in copies(&hits).enumerate() {
            if number == records_max {
                page.next = last;
                break;
            }
            match reader.any(copies).await? {
                // Another customer or agent may have the same hash.
                Read::Kept(kept) if wanted(&kept.record) => {
                    bytes += kept.record.blob.len();
                    if bytes > PAGE_BYTES_MAX && !page.records.is_empty() {
                        page.next = last;
                        break;
                    }
                    page.records.push(kept.record);
                }
                Read::Damaged(_) => page.damaged.push(Lost {
                    conversation: copies[0].conversation,
                    before: page.records.len(),
                }),
                Read::Kept(_) | Read::Gone => {}
            }
            last = Some(PageToken {
                closed_ms: copies[0].major,
                conversation: copies[0].conversation,
                cell: copies[0].file.cell,
            });
        }
        Ok(page)
    }
}

fn newest(table: Table, hash: Option<[u8; 8]>, within: Within, page: Page) -> Query {
    let before = page
        .after
        .map(|token| (token.closed_ms, token.conversation, token.cell));
    Query {
        table,
        hash,
        cell: within.cell,
        low: (*within.closed_ms.start(), 0),
        high: (*within.closed_ms.end(), u64::MAX),
        before,
        direction: Direction::Down,
        // One more shows whether a page follows.
        limit: page.records_max.clamp(1, PAGE_RECORDS_MAX) + 1,
    }
}

fn sealing(hit: &Hit) -> Sealing {
    Sealing {
        sealed: hit.major,
        conversation: hit.conversation,
    }
}

impl Sealing {
    /// The place before this one; `None` before the first.
    pub fn before(self) -> Option<Self> {
        match self.conversation.checked_sub(1) {
            Some(conversation) => Some(Self {
                conversation,
                ..self
            }),
            None => self.sealed.checked_sub(1).map(Self::last_of),
        }
    }

    /// Behind every record that the entry `sealed` has sealed.
    pub fn last_of(sealed: u64) -> Self {
        Self {
            sealed,
            conversation: u64::MAX,
        }
    }

    fn next(self) -> Option<Self> {
        match self.conversation.checked_add(1) {
            Some(conversation) => Some(Self {
                conversation,
                ..self
            }),
            None => self.sealed.checked_add(1).map(|sealed| Self {
                sealed,
                conversation: 0,
            }),
        }
    }
}
