//! Where a customer's conversations are born, as the control state says.
//! Promise: every edge that knows the same map and plan finds the same cell.
//! Not here: asking the cell (`api`), the cell's own word on it (`cell::homes`).

use super::buckets::Bucket;
use super::state::ControlParts;
use crate::ids::{AccountId, CellId, CustomerKey};

/// Why no cell can be named; all of it passes, so a caller may ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoHome {
    /// There is no floor plan or no cell yet.
    #[error("the first cell is not formed yet")]
    Forming,
    /// The map names a cell of which this node knows nothing.
    #[error("cell {cell}, which holds this customer, is not known here yet")]
    UnknownCell {
        /// The cell.
        cell: CellId,
    },
}

impl ControlParts {
    /// The cell in which the conversations of a customer are born: that of the customer's bucket in
    /// the region of the account. An account that the plan lacks has no region; the first cell says so.
    ///
    /// # Errors
    /// While the map names no cell, or one that this state lacks.
    pub fn home_of(&self, account: &AccountId, customer: &CustomerKey) -> Result<CellId, NoHome> {
        let plan = &self.plans.last().ok_or(NoHome::Forming)?.plan;
        let cell = match plan.accounts.get(account) {
            Some(found) => {
                let bucket = Bucket::of(&plan.tenant, account, customer);
                self.buckets.cell_of(&found.site, bucket)
            }
            None => self.buckets.first,
        };
        let cell = cell.ok_or(NoHome::Forming)?;
        if self.cells.contains_key(&cell) {
            Ok(cell)
        } else {
            Err(NoHome::UnknownCell { cell })
        }
    }
}
