//! Lookups: entries of all files, in memory and in the index, merged into one order.
//! Promise: an answer is complete at one moment between call and return; an index that turns out broken
//! is set aside and the lookup goes on with the next one.
//! Not here: reading the records (`reader`).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::core::{Core, Holds};
use super::entries::{Entries, Hit, Table, hit, key, key_before};
use super::index::{Index, IndexFault};
use super::pages::{Mark, Sheet, Span};
use super::segment::FileId;
use super::types::ArchiveError;

/// How often a lookup begins again because a file or the index changed under it: more than that is a
/// rebuild that the caller should know of.
const TRIES_MAX: usize = 4;

/// The order of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query {
    pub table: Table,
    /// Of the customer or agent.
    pub hash: Option<[u8; 8]>,
    pub cell: Option<u32>,
    /// (major, conversation) of the smallest and largest key, both included.
    pub low: (u64, u64),
    pub high: (u64, u64),
    /// Only what ranks below this.
    pub before: Option<(u64, u64, u32)>,
    pub direction: Direction,
    /// Different records wanted.
    pub limit: usize,
}

impl Query {
    /// All places of one conversation.
    pub fn of_conversation(cell: u32, conversation: u64) -> Self {
        Self {
            table: Table::Id,
            hash: None,
            cell: Some(cell),
            low: (conversation, conversation),
            high: (conversation, conversation),
            before: None,
            direction: Direction::Up,
            limit: 1,
        }
    }

    fn takes(&self, file: FileId, mark: &Mark) -> bool {
        let customer = (self.table == Table::Customer)
            .then_some(self.hash)
            .flatten();
        self.cell.is_none_or(|cell| cell == file.cell)
            && mark.span(self.table).meets(&(self.low.0..=self.high.0))
            && customer.is_none_or(|hash| mark.customers.may_hold(&hash))
    }

    /// The keys wanted of `file`.
    fn keys(&self, file: FileId) -> Option<RangeInclusive<Vec<u8>>> {
        let low = key(self.table, self.hash, self.low.0, self.low.1);
        let mut high = key(self.table, self.hash, self.high.0, self.high.1);
        if let Some((major, conversation, cell)) = self.before {
            let bound = key(self.table, self.hash, major, conversation);
            let bound = match file.cell < cell {
                true => bound,
                false => key_before(&bound)?,
            };
            high = high.min(bound);
        }
        (low <= high).then_some(low..=high)
    }

    fn in_memory(&self, file: FileId, entries: &Entries, hits: &mut Vec<Hit>) {
        let Some(keys) = self.keys(file) else { return };
        let within = entries.within(self.table, &keys.start()[..]..=&keys.end()[..]);
        let found = within.filter_map(|entry| hit(self.table, file, entry));
        match self.direction {
            Direction::Up => hits.extend(found.take(self.limit)),
            Direction::Down => hits.extend(found.rev().take(self.limit)),
        }
    }

    fn in_index(
        &self,
        index: &dyn Index,
        file: FileId,
        hits: &mut Vec<Hit>,
    ) -> Result<(), IndexFault> {
        let Some(keys) = self.keys(file) else {
            return Ok(());
        };
        let sheet = Sheet {
            index,
            file,
            table: self.table,
        };
        let enough = hits.len() + self.limit;
        let mut visit = |entry: &[u8]| {
            hits.extend(hit(self.table, file, entry));
            hits.len() < enough
        };
        let keys = &keys.start()[..]..=&keys.end()[..];
        match self.direction {
            Direction::Up => sheet.up(keys, &mut visit),
            Direction::Down => sheet.down(keys, &mut visit),
        }
    }

    fn sort(&self, hits: &mut [Hit]) {
        hits.sort_by(|a, b| match self.direction {
            Direction::Up => a.rank().cmp(&b.rank()),
            Direction::Down => b.rank().cmp(&a.rank()),
        });
    }

    /// Whether nothing in files from `span` on can come before what is wanted of `hits`.
    fn is_settled(&self, hits: &[Hit], span: Span) -> bool {
        let ahead = hits.iter().filter(|hit| match self.direction {
            Direction::Up => hit.major < span.min,
            Direction::Down => hit.major > span.max,
        });
        let records: BTreeSet<(u64, u64, u32)> = ahead.map(Hit::rank).collect();
        records.len() >= self.limit
    }

    /// Cuts `hits` to those of the first `limit` records; copies of one record stay together.
    fn cut(&self, hits: &mut Vec<Hit>) {
        self.sort(hits);
        let mut records = 0;
        let mut last = None;
        let kept = hits.iter().take_while(|hit| {
            records += usize::from(last != Some(hit.rank()));
            last = Some(hit.rank());
            records <= self.limit
        });
        let kept = kept.count();
        hits.truncate(kept);
    }
}

/// Where one query must still look.
struct Plan {
    query: Query,
    hits: Vec<Hit>,
    files: Vec<(FileId, Arc<Mark>)>,
}

impl Plan {
    fn run(mut self, index: &dyn Index) -> Result<Vec<Hit>, IndexFault> {
        let table = self.query.table;
        match self.query.direction {
            Direction::Up => self.files.sort_by_key(|(_, mark)| mark.span(table).min),
            Direction::Down => {
                self.files
                    .sort_by_key(|(_, mark)| std::cmp::Reverse(mark.span(table).max));
            }
        }
        for (file, mark) in &self.files {
            if self.query.is_settled(&self.hits, mark.span(table)) {
                break;
            }
            self.query.in_index(index, *file, &mut self.hits)?;
        }
        self.query.cut(&mut self.hits);
        Ok(self.hits)
    }
}

impl Core {
    /// The hits of each query, in its order.
    pub async fn look_up(
        self: &Arc<Self>,
        queries: Vec<Query>,
    ) -> Result<Vec<Vec<Hit>>, ArchiveError> {
        for _ in 0..TRIES_MAX {
            self.until_whole().await?;
            let Some((index, plans)) = self.plan(&queries) else {
                continue;
            };
            let marks: Vec<(FileId, Arc<Mark>)> =
                plans.iter().flat_map(|plan| plan.files.clone()).collect();
            let answered = index
                .run(|index| plans.into_iter().map(|plan| plan.run(index)).collect())
                .await;
            match answered {
                Ok(hits) => return Ok(hits),
                Err(IndexFault::Page { file, .. }) if self.has_changed(file, &marks) => {}
                Err(fault) => self.fault(index.generation, &fault),
            }
        }
        Err(self.rebuilding())
    }

    fn plan(&self, queries: &[Query]) -> Option<(super::index::Opened, Vec<Plan>)> {
        let state = self.state.lock();
        let index = state.index.clone()?;
        if !state.is_whole() {
            return None;
        }
        let plans = queries.iter().map(|query| {
            let mut plan = Plan {
                query: query.clone(),
                hits: Vec::new(),
                files: Vec::new(),
            };
            for (&id, file) in &state.files {
                match &file.holds {
                    Holds::Active(entries) if query.cell.is_none_or(|cell| cell == id.cell) => {
                        query.in_memory(id, entries, &mut plan.hits);
                    }
                    Holds::Indexed(mark) if query.takes(id, mark) => {
                        plan.files.push((id, mark.clone()));
                    }
                    _ => {}
                }
            }
            plan
        });
        Some((index, plans.collect()))
    }

    /// Whether a file was dropped or indexed anew since `marks` were read.
    fn has_changed(&self, file: u64, marks: &[(FileId, Arc<Mark>)]) -> bool {
        let file = FileId::unpacked(file);
        let state = self.state.lock();
        let Some((_, before)) = marks.iter().find(|(id, _)| *id == file) else {
            return false;
        };
        match state.files.get(&file).map(|state| &state.holds) {
            Some(Holds::Indexed(mark)) => !Arc::ptr_eq(mark, before),
            _ => true,
        }
    }
}
