//! What handles and the log's task share.
//! Promise: a failure, once set, stays.
//! Not here: the mailbox; the task must not keep its own senders alive.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::journal::Journal;
use super::segment::Segment;
use super::state::State;
use super::types::{Health, Laggard, WalError, WalOptions};
use crate::GroupId;
use crate::metrics::Metrics;

/// One group's state. Lock order: a group's state, then `Core::segments`.
pub struct Group {
    pub id: GroupId,
    pub state: Mutex<State>,
}

pub struct Core {
    pub options: WalOptions,
    pub health: watch::Sender<Health>,
    pub metrics: Metrics,
    /// Where segments go that no group needs, if they are kept at all.
    pub journal: Option<Journal>,
    /// All but the prepared one. The last is written to.
    pub segments: Mutex<BTreeMap<u32, Arc<Segment>>>,
    pub groups: Mutex<BTreeMap<GroupId, Arc<Group>>>,
}

impl Core {
    pub fn group(&self, id: GroupId) -> Arc<Group> {
        let mut groups = self.groups.lock();
        groups
            .entry(id)
            .or_insert_with(|| {
                Arc::new(Group {
                    id,
                    state: Mutex::default(),
                })
            })
            .clone()
    }

    pub fn all_groups(&self) -> Vec<Arc<Group>> {
        self.groups.lock().values().cloned().collect()
    }

    pub fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        self.segments.lock().get(&number).cloned()
    }

    /// The first failure is the one that is told.
    pub fn fail(&self, reason: &str) {
        self.change_health(Health::Failed {
            reason: reason.into(),
        });
    }

    /// Sets the health unless the log has failed.
    pub fn change_health(&self, health: Health) {
        self.health.send_if_modified(|present| {
            let changes = !matches!(present, Health::Failed { .. }) && *present != health;
            if changes {
                *present = health;
            }
            changes
        });
    }

    pub fn check(&self) -> Result<(), WalError> {
        match &*self.health.borrow() {
            Health::Failed { reason } => Err(WalError::Failed {
                reason: reason.clone(),
            }),
            Health::Good | Health::NoSpace { .. } => Ok(()),
        }
    }

    /// Why the log takes nothing any more.
    pub fn end(&self) -> WalError {
        self.check().err().unwrap_or(WalError::Closed)
    }

    pub fn laggards(&self, segments_max: u64) -> Vec<Laggard> {
        let active = self
            .segments
            .lock()
            .last_key_value()
            .map_or(0, |(number, _)| *number);
        let mut laggards: Vec<Laggard> = Vec::new();
        for group in self.all_groups() {
            if let Some((oldest, purge_to)) = group.state.lock().written.oldest_segment() {
                let segments = u64::from(active.saturating_sub(oldest)) + 1;
                laggards.push(Laggard {
                    group: group.id,
                    segments,
                    purge_to,
                });
            }
        }
        laggards.retain(|laggard| laggard.segments > segments_max);
        laggards.sort_by_key(|laggard| (std::cmp::Reverse(laggard.segments), laggard.group));
        laggards
    }

    /// The oldest segment that some group needs, if any does.
    pub fn oldest_needed(&self) -> Option<u32> {
        let groups = self.all_groups();
        groups
            .iter()
            .filter_map(|group| Some(group.state.lock().written.oldest_segment()?.0))
            .min()
    }
}
