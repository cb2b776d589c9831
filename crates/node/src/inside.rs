//! A node seen from within its process: what its replicas have, for whoever runs several nodes and judges them.
//! Promise: reading only; nothing here waits for a lane of the node, and what it shows may be a moment old.
//! Not here: what operators and clients see (`status`, `api`).

use std::sync::Arc;

use domain::cell::Cell;
use domain::ids::{CellId, LogIndex};
use ports::{Group, GroupStatus, Halt, Leadership};
use store::{Chain, GroupId, Kept, Record, Wal, WalError};

use crate::control::CONTROL_GROUP;
use crate::start::Running;

/// The replicas of one running node.
#[derive(Clone)]
pub struct Inside {
    running: Arc<Running>,
}

impl Inside {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        Self { running }
    }

    /// The groups of which the node has a replica, in order; 0 is the control group, others are cells.
    #[must_use]
    pub fn groups(&self) -> Vec<u32> {
        let cells = self.running.cells.all();
        let cells = cells.iter().map(|cell| cell.id.0);
        std::iter::once(CONTROL_GROUP).chain(cells).collect()
    }

    /// The replica's own account of its group, if there is one here.
    #[must_use]
    pub fn status(&self, group: u32) -> Option<GroupStatus> {
        if group == CONTROL_GROUP {
            return Some(self.running.control.status());
        }
        let cell = self.running.cells.get(CellId(group))?;
        Some(cell.group.status())
    }

    /// The node's id.
    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.running.identity.node_id
    }

    /// The last entry of the group's log here, 0 for none.
    #[must_use]
    pub fn last_log(&self, group: u32) -> u64 {
        let last = self.running.wal.group(GroupId(group)).last();
        last.map_or(0, |last| last.index)
    }

    /// What the group's log here keeps of an entry, durable or not.
    #[must_use]
    pub fn kept(&self, group: u32, index: u64) -> Kept {
        self.running.wal.group(GroupId(group)).kept(index)
    }

    /// Who leads the group, as far as this node knows.
    #[must_use]
    pub fn leadership(&self, group: u32) -> Option<Leadership> {
        if group == CONTROL_GROUP {
            return Some(*self.running.control.leadership().borrow());
        }
        let cell = self.running.cells.get(CellId(group))?;
        Some(*cell.group.leadership().borrow())
    }

    /// Why the replica of a cell serves nothing, if it has stopped.
    #[must_use]
    pub fn halted(&self, cell: CellId) -> Option<Arc<Halt>> {
        let cell = self.running.cells.get(cell)?;
        let halted = cell.group.halted();
        halted.borrow().clone()
    }

    /// Reads the state of a cell, and the index that it holds for. The reader must be quick: entries wait.
    pub fn with_cell<T>(&self, cell: CellId, read: impl FnOnce(&Cell, LogIndex) -> T) -> Option<T> {
        let cell = self.running.cells.get(cell)?;
        Some(cell.view.with(read))
    }

    /// Entries `from..to` of the group's log here, each with the chain that its record has, at most `max_bytes` of
    /// payload; empty where none is held. An entry whose record is not written yet has no chain.
    ///
    /// # Errors
    /// When the log has failed.
    pub async fn entries(
        &self,
        group: u32,
        from: u64,
        to: u64,
        max_bytes: usize,
    ) -> Result<Vec<(Record, Option<Chain>)>, WalError> {
        let wal: &Wal = &self.running.wal;
        let log = wal.group(GroupId(group));
        let records = log.read(from..to, max_bytes).await?;
        let with_chain = |record: Record| {
            let chain = log.chain(record.index);
            (record, chain)
        };
        Ok(records.into_iter().map(with_chain).collect())
    }
}
