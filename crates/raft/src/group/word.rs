//! Operators' words in a group's log: that an entry is passed over.
//! Promise: a word is in the log before its giver is answered; those that are known can be asked for.
//! Not here: whether a word may be given (`node`), what a replica does about it (`skip`).

use std::sync::Arc;

use openraft::errors::ClientWriteError;
use pb::raft::v1 as pb;
use ports::{Machine, ProposeError};

use super::GroupHandle;
use crate::types::{Command, Ticket};

/// An operator's word that an entry is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkipWord {
    /// The entry's index.
    pub index: u64,
    /// Who says so.
    pub by: String,
    /// Why, for the record.
    pub reason: String,
    /// When, Unix milliseconds.
    pub wall_ms: u64,
}

impl<M: Machine> GroupHandle<M> {
    /// The index of the word that says that this entry is passed over, if one is known here: words stand in
    /// the log for as long as it is kept.
    #[must_use]
    pub fn passed_over(&self, index: u64) -> Option<u64> {
        self.running.shared.passed.lock().get(&index).copied()
    }

    /// The newest words of that kind, by the entry that is passed over; at most `max`.
    #[must_use]
    pub fn passed(&self, max: usize) -> Vec<(u64, u64)> {
        let passed = self.running.shared.passed.lock();
        let newest = passed.iter().rev().take(max);
        newest.map(|(index, logged)| (*index, *logged)).collect()
    }

    /// Commits the word that an entry is passed over, though this replica may be halted, and waits until
    /// it is taken here. To say it again is harmless.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn skip(&self, word: SkipWord) -> Result<u64, ProposeError> {
        let place = Arc::clone(&self.running.proposals).try_acquire_owned();
        let (ticket, arrives) = Ticket::new(place.map_err(|_| ProposeError::Busy)?);
        let skip = pb::Skip {
            index: word.index,
            by: word.by,
            reason: word.reason,
            wall_ms: word.wall_ms,
        };
        let write = self.running.raft.write(Command::Skip(skip));
        if let Err(error) = write.responder(ticket).await {
            return Err(ProposeError::Stopped {
                reason: error.to_string(),
            });
        }
        match arrives.await {
            Ok(Ok(written)) => Ok(written.log_id.index),
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => Err(ProposeError::NotLeader {
                leader: forward.leader_id,
            }),
            Ok(Err(_)) | Err(_) => Err(ProposeError::OutcomeUnknown),
        }
    }
}
