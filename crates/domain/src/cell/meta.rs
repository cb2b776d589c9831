//! The small numbers of a cell: its time, its leaders, its counters, the plan in force.
//! Promise: cell time never runs back; a renewed deadline is computed here and nowhere else.
//! Not here: who proposes what (`conversation`).

use std::collections::BTreeMap;

use super::archive::ArchiveRecord;
use super::checkpoint::{Checkpoint, Digest};
use super::homes::HeldBuckets;
use super::version::FIRST_VERSION;
use crate::ids::{CellId, CellTime, LogIndex, MachineVersion, PlanVersion};

/// Leaders that start less than this apart make a series, in milliseconds.
pub const SERIES_GAP_MS: u64 = 60_000;
/// From this start of a series on, only the time without a leader is added.
pub const SERIES_UNSTABLE: u32 = 3;
/// Additions that a series keeps apart; more are merged into the oldest.
pub const EXTENSIONS_MAX: usize = 32;
/// Most that the wall clock may move cell time after a restart of all voters, in milliseconds.
pub const RESTART_MS_MAX: u64 = 86_400_000;

/// What does not belong to one conversation, agent or queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The cell.
    pub cell: CellId,
    /// The last entry applied.
    pub applied: LogIndex,
    /// The machine version in force; only grows.
    pub version: MachineVersion,
    /// The buckets whose customers' conversations are born here; `None` while nobody has said so: all.
    pub buckets: Option<Box<HeldBuckets>>,
    /// Cell time.
    pub now: CellTime,
    /// The wall clock of the last entry that carried one, Unix milliseconds.
    pub wall_ms: u64,
    /// Matches, lines to be moved or conversations of plans above the limit are left.
    pub more_due: bool,
    /// The last offer's number for agents of this cell.
    pub offers: u64,
    /// Conversations in the state, ended ones included.
    pub conversations: u64,
    /// Conversations in the state that have not ended for their customer.
    pub open: u64,
    /// The plan in force, 0 for none.
    pub plan: PlanVersion,
    /// Plans that were dropped, with the one that is read instead: from snapshots alone, nothing adds
    /// to it any more.
    pub aliases: BTreeMap<PlanVersion, PlanVersion>,
    /// Leaders.
    pub leader: LeaderRecord,
    /// What has left the state for the archives.
    pub archive: ArchiveRecord,
    /// The machine's chain `h`, all zeros before `version::CHAIN_SINCE` is in force. Whoever applies
    /// entries for a replica or a proof moves it on; the machine itself never reads it.
    pub chain: Digest,
    /// The last checkpoint, if there was one.
    pub checkpoint: Option<Checkpoint>,
}

/// What is remembered of leaders' starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderRecord {
    /// Starts seen.
    pub starts: u64,
    /// The last start.
    pub started_at: CellTime,
    /// Starts in the present series.
    pub series: u32,
    /// The last start that gave every lease and offer its full period again.
    pub full_since: CellTime,
    /// Later starts that only added the time without a leader.
    pub extensions: Vec<Extension>,
}

/// Time added by one start of an unstable series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// When.
    pub at: CellTime,
    /// Milliseconds without a leader.
    pub ms: u64,
}

impl LeaderRecord {
    /// When something that began at `since` and lasts `period_ms` is due, with what leaders' starts have given.
    pub fn renewed(&self, since: CellTime, period_ms: u64) -> CellTime {
        let base = since.max(self.full_since);
        let mut due = base.plus_ms(period_ms);
        for extension in &self.extensions {
            if extension.at > base {
                due = due.plus_ms(extension.ms);
            }
        }
        due
    }

    /// How much of a period that began at `since` has passed: it is due when this has reached it.
    pub fn elapsed_ms(&self, since: CellTime, now: CellTime) -> u64 {
        let base = since.max(self.full_since);
        let given = self.extensions.iter().filter(|given| given.at > base);
        given.fold(now.since_ms(base), |left, given| {
            left.saturating_sub(given.ms)
        })
    }

    /// Whether a leader has started since then.
    pub fn started_since(&self, then: CellTime) -> bool {
        self.starts > 0 && self.started_at >= then
    }
}

impl Meta {
    /// The numbers of a cell that has applied nothing.
    pub fn new(cell: CellId) -> Self {
        Self {
            cell,
            applied: LogIndex(0),
            version: FIRST_VERSION,
            buckets: None,
            now: CellTime(0),
            wall_ms: 0,
            more_due: false,
            offers: 0,
            conversations: 0,
            open: 0,
            plan: PlanVersion(0),
            aliases: BTreeMap::new(),
            leader: LeaderRecord::default(),
            archive: ArchiveRecord::default(),
            chain: Digest::default(),
            checkpoint: None,
        }
    }
}
