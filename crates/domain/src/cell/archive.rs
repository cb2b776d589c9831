//! Leaving the state: ended conversations rest, are sealed, and go when archives have them.
//! Promise: what is sealed never changes; nothing leaves but by `ArchivedUpto`; how much waits to leave
//! is bounded, and full means that nothing new is opened.
//! Not here: the archives themselves (`store`), when an archive counts as safe (`conversation`).
//!
//! An ended conversation rests for ten minutes of cell time, in which it may be rated and answers copies
//! of what was asked before; then a deadline seals it. Where very many end, the oldest are sealed sooner:
//! an archive answers copies as well, but takes no rating. An episode that went on in another one is never
//! sealed sooner, because a copy of its messages may name the later one.

use super::checkpoint::Digest;
use super::conversation::{Conversation, Ending, Phase};
use super::event::Event;
use super::floor::CustomerRecord;
use super::refusal::Refusal;
use super::requests::REQUEST_KEPT_MS;
use super::state::{CustomerAt, State};
use crate::ids::{CellTime, ConversationId, LogIndex};

/// Ended conversations in the state; more, and nothing is opened until some have left.
pub const ENDED_MAX: u64 = 10_000;
/// Their weight in bytes, likewise.
pub const ENDED_BYTES_MAX: u64 = 64 << 20;
/// Resting conversations above which the oldest are sealed before their time: the other half of
/// [`ENDED_MAX`] is for those that are being archived.
pub const RESTING_MAX: usize = 5_000;
/// Their weight in bytes, likewise.
pub const RESTING_BYTES_MAX: u64 = 32 << 20;
/// Conversations that one entry seals before their time at most: more than it can end.
pub const SEALS_MAX: usize = 512;
/// Entries of customers without a conversation in the state that one `ArchivedUpto` looks at.
pub const CUSTOMERS_FORGOTTEN_MAX: usize = 16_384;
/// What an item weighs beside its text, in bytes: about what it takes in memory.
const ITEM_BYTES: u64 = 160;
/// What a conversation weighs beside its items, in bytes.
const CONVERSATION_BYTES: u64 = 1_024;
/// An `open` that was refused because too much waits for the archive is tried again after this long.
pub(crate) const ARCHIVE_RETRY_MS: u64 = 2_000;

/// A command for what has just left is answered by the archive when it comes again after this long.
pub(crate) const LOOK_AGAIN_MS: u64 = 20;

/// A range of sealed conversations that every counted archive holds, one per UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedRange {
    /// Sealed by entries after this one.
    pub after: LogIndex,
    /// Up to and with this one.
    pub upto: LogIndex,
    /// The day on which the range was begun, counted from 1970-01-01: one that a majority of the voters had
    /// reached by their wall clocks, or that of the range before.
    pub day: u32,
    /// How many conversations.
    pub count: u64,
    /// The hash over them, in order of sealing, beginning from zeros.
    pub digest: Digest,
}

/// What a leader proposes when enough archives hold everything that was sealed up to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivedUpto {
    /// The last index at which something of the range was sealed, or any later one.
    pub upto: LogIndex,
    /// How many conversations were sealed after the last range and up to this index.
    pub count: u64,
    /// The UTC day that a majority of the voters have reached, never before that of the last range: a range
    /// of the same day is prolonged.
    pub day: u32,
    /// The hash of the whole range, what it had before included.
    pub digest: Digest,
    /// Ranges of earlier days are forgotten, because archives no longer keep them.
    pub keep_from_day: u32,
}

/// What the cell remembers of what has left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArchiveRecord {
    /// Everything that was sealed up to this entry has left.
    pub upto: LogIndex,
    /// What has left, oldest first, within the days that are kept.
    pub ranges: Vec<ArchivedRange>,
}

impl ArchiveRecord {
    /// The range that one of this day would prolong.
    pub fn of_day(&self, day: u32) -> Option<&ArchivedRange> {
        self.ranges.last().filter(|range| range.day == day)
    }

    /// The hash from which that of the next range of this day goes on.
    pub fn digest_before(&self, day: u32) -> Digest {
        self.of_day(day)
            .map(|range| range.digest)
            .unwrap_or_default()
    }

    fn add(&mut self, next: &ArchivedUpto) {
        let after = self.upto;
        self.upto = next.upto;
        match self.ranges.last_mut().filter(|range| range.day == next.day) {
            Some(range) => {
                range.upto = next.upto;
                range.count += next.count;
                range.digest = next.digest;
            }
            None => self.ranges.push(ArchivedRange {
                after,
                upto: next.upto,
                day: next.day,
                count: next.count,
                digest: next.digest,
            }),
        }
        self.ranges.retain(|range| range.day >= next.keep_from_day);
    }
}

/// How an ended conversation waits to leave the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// When it ended.
    ended_at: CellTime,
    /// Whether it may be sealed before its time.
    soon: bool,
    /// The entry that sealed it.
    sealed: Option<LogIndex>,
    /// Bytes.
    weight: u64,
}

impl Leaving {
    pub(crate) fn of(conversation: &Conversation) -> Option<Self> {
        let Phase::Closed(closed) = &conversation.phase else {
            return None;
        };
        let remarks = conversation.remarks.iter();
        let remark_bytes: u64 = remarks.map(|remark| remark.body.bytes.len() as u64).sum();
        let text_bytes = conversation.message_bytes.saturating_sub(remark_bytes);
        Some(Self {
            ended_at: closed.at,
            soon: closed.how != Ending::Continued,
            sealed: closed.sealed,
            weight: CONVERSATION_BYTES + ITEM_BYTES * conversation.items.len() as u64 + text_bytes,
        })
    }
}

/// Everything that has ended and is still in the state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// Not sealed and free to be before its time, by when it ended, with its weight.
    resting: std::collections::BTreeMap<(CellTime, LogIndex), u64>,
    resting_bytes: u64,
    /// By the entry that sealed it, then by its own.
    sealed: std::collections::BTreeSet<(LogIndex, LogIndex)>,
    count: u64,
    bytes: u64,
    /// Entries of customers without a conversation in the state, by when they may be forgotten.
    customers: std::collections::BTreeSet<(CellTime, CustomerAt)>,
}

impl Ended {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What they weigh, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many of them are sealed.
    pub fn sealed(&self) -> usize {
        self.sealed.len()
    }

    pub(crate) fn put_in(&mut self, index: LogIndex, leaving: &Leaving) {
        self.count += 1;
        self.bytes += leaving.weight;
        match leaving.sealed {
            Some(sealed) => drop(self.sealed.insert((sealed, index))),
            None if leaving.soon => {
                self.resting_bytes += leaving.weight;
                self.resting
                    .insert((leaving.ended_at, index), leaving.weight);
            }
            None => {}
        }
    }

    pub(crate) fn take_out(&mut self, index: LogIndex, leaving: &Leaving) {
        self.count -= 1;
        self.bytes -= leaving.weight;
        match leaving.sealed {
            Some(sealed) => drop(self.sealed.remove(&(sealed, index))),
            None if leaving.soon => {
                self.resting_bytes -= leaving.weight;
                self.resting.remove(&(leaving.ended_at, index));
            }
            None => {}
        }
    }

    /// The next one to be sealed before its time, if too many rest.
    pub(crate) fn too_many(&self) -> Option<LogIndex> {
        let over = self.resting.len() > RESTING_MAX || self.resting_bytes > RESTING_BYTES_MAX;
        let ((_, oldest), _) = self.resting.first_key_value().filter(|_| over)?;
        Some(*oldest)
    }

    /// Those that were sealed up to an entry, in order.
    fn sealed_upto(&self, upto: LogIndex) -> impl Iterator<Item = (LogIndex, LogIndex)> + '_ {
        let all = ..=(upto, LogIndex(u64::MAX));
        self.sealed.range(all).copied()
    }
}

impl State {
    /// What has ended and not left.
    pub fn ended(&self) -> &Ended {
        &self.derived.ended
    }

    /// Whether a conversation that is not in the state may have been: what is born later than the last
    /// sealed one that left has not.
    pub fn may_have_left(&self, id: ConversationId) -> bool {
        id.cell == self.meta.cell
            && id.index < self.meta.archive.upto
            && self.conversation(id).is_none()
    }

    /// Sealed conversations after an entry and up to another, in order of sealing, at most `limit`.
    pub fn sealed_between(
        &self,
        after: LogIndex,
        upto: LogIndex,
        limit: usize,
    ) -> Vec<(LogIndex, std::sync::Arc<Conversation>)> {
        let all = (after, LogIndex(u64::MAX))..=(upto, LogIndex(u64::MAX));
        let found = self.derived.ended.sealed.range(all).take(limit);
        let read = |(sealed, index): &(LogIndex, LogIndex)| {
            Some((*sealed, self.conversations.get(index)?.clone()))
        };
        found.filter_map(read).collect()
    }

    /// Refuses an `open` while too much waits to leave.
    pub(crate) fn check_room_for_ended(&self) -> Result<(), Refusal> {
        let ended = &self.derived.ended;
        if ended.count < ENDED_MAX && ended.bytes < ENDED_BYTES_MAX {
            return Ok(());
        }
        Err(Refusal::ArchiveBehind {
            waiting: ended.count,
            bytes: ended.bytes,
            retry_after_ms: ARCHIVE_RETRY_MS,
        })
    }

    /// Seals a conversation: from here on its record does not change.
    pub(crate) fn seal(&mut self, id: ConversationId, index: LogIndex) {
        self.forget_requests(id);
        self.change(id.index, |record| {
            if let Phase::Closed(closed) = &mut record.phase {
                closed.sealed = Some(index);
            }
        });
    }

    /// Lets go what archives hold.
    pub(crate) fn archived(&mut self, next: &ArchivedUpto) {
        let leaving: Vec<_> = self.derived.ended.sealed_upto(next.upto).collect();
        for (_, index) in leaving {
            self.drop_conversation(index);
        }
        self.meta.archive.add(next);
        self.forget_customers();
    }

    /// Takes a sealed conversation out of the state.
    pub(crate) fn drop_conversation(&mut self, index: LogIndex) {
        self.set_deadline(index, None);
        let Some(found) = self.conversations.remove(&index) else {
            return;
        };
        self.meta.conversations = self.meta.conversations.saturating_sub(1);
        let spot = super::derived::Spot::of(self, &found);
        self.shift(Some(spot), None);
        let at = CustomerAt::new(&found.account, &found.customer);
        self.note_customer(at);
    }

    /// Notes the entry of a customer who has no conversation in the state any more.
    pub(crate) fn note_customer(&mut self, at: CustomerAt) {
        let Some(record) = self.customers.get(&at) else {
            return;
        };
        if let Some(due) = self.forgotten_at(record) {
            self.derived.ended.customers.insert((due, at));
        }
    }

    /// A customer who comes back is not forgotten.
    pub(crate) fn keep_customer(&mut self, at: &CustomerAt) {
        let Some(record) = self.customers.get(at) else {
            return;
        };
        if let Some(due) = self.forgotten_at(record) {
            self.derived.ended.customers.remove(&(due, at.clone()));
        }
    }

    /// Changes what is remembered of a customer; the entry stays noted under the time that follows.
    pub(crate) fn change_customer(
        &mut self,
        at: CustomerAt,
        change: impl FnOnce(&mut CustomerRecord),
    ) {
        self.keep_customer(&at);
        if let Some(record) = self.customers.get_mut(&at) {
            change(record);
        }
        self.note_customer(at);
    }

    /// When a customer's entry is of no use any more; `None` while the state has the last conversation.
    fn forgotten_at(&self, record: &CustomerRecord) -> Option<CellTime> {
        let has = |id: Option<ConversationId>| id.is_some_and(|id| self.conversation(id).is_some());
        if has(record.open) || has(record.last) {
            return None;
        }
        let youngest = record.requests.iter().map(|row| row.at).max();
        Some(youngest.map_or(CellTime(0), |at| at.plus_ms(REQUEST_KEPT_MS)))
    }

    /// Forgets entries of customers whose remembered answers nobody may ask for any more.
    fn forget_customers(&mut self) {
        for _ in 0..CUSTOMERS_FORGOTTEN_MAX {
            let first = self.derived.ended.customers.first();
            let Some((_, at)) = first.filter(|(due, _)| *due <= self.meta.now) else {
                return;
            };
            let at = at.clone();
            self.derived.ended.customers.pop_first();
            self.customers.remove(&at);
        }
    }
}

/// Judges a leader's word that archives hold what was sealed.
pub(crate) fn archived(state: &State, next: &ArchivedUpto) -> Result<Vec<Event>, Refusal> {
    let meta = &state.meta;
    if next.upto <= meta.archive.upto {
        // Said before: a leader that did not hear the answer says it again.
        return Ok(Vec::new());
    }
    let count = state.derived.ended.sealed_upto(next.upto).count() as u64;
    if next.upto >= meta.applied || count != next.count {
        return Err(Refusal::ArchiveDiffers {
            upto: next.upto,
            count,
            said: next.count,
        });
    }
    Ok(vec![Event::Archived(*next)])
}
