//! Whether this process has heard a leader since it began.
//! Promise: what an earlier process left in the log or the vote is no sign of a leader.
//! Not here: how long the cell had none (cell time: `clock`).

use ports::GroupStatus;

/// Where the log ended when this process began.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// `None` until the group has read it.
    log_end: Option<u64>,
}

impl History {
    /// Looks at the group; the first look after it has read its disk counts.
    pub(crate) fn note(&mut self, status: &GroupStatus) {
        if self.log_end.is_none() && status.term > 0 {
            self.log_end = Some(status.last_log);
        }
    }

    /// Whether an entry was applied that this process did not find in its log: only a leader gives
    /// one, and its first act is one. The vote tells nothing: it names the leader of before a
    /// restart, and ourselves before a quorum has.
    pub(crate) fn has_heard(&self, applied: u64) -> bool {
        self.log_end.is_some_and(|end| applied > end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(term: u64, last_log: u64) -> GroupStatus {
        GroupStatus {
            term,
            last_log,
            leader: Some(7),
            ..GroupStatus::default()
        }
    }

    #[test]
    fn a_leader_is_heard_by_an_entry_that_was_not_in_the_log() {
        let mut history = History::default();
        history.note(&status(0, 0)); // the disk is not read yet
        history.note(&status(3, 40));
        history.note(&status(4, 60));
        assert!(!history.has_heard(40), "replayed");
        assert!(history.has_heard(41));
    }

    #[test]
    fn a_node_that_knows_nothing_has_heard_nobody() {
        assert!(!History::default().has_heard(9));
    }
}
