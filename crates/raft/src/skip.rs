//! Passing an entry over: what a replica does when an operator's word to do so is committed.
//! Promise: the same entries are applied and passed over on every replica; a state that holds the
//! effect of a passed entry serves nothing.
//! Not here: whether the word may be given (`node`), proposing it (`group`).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use pb::raft::v1 as pb;
use ports::{Cure, Halt, Machine, Position};
use prost::Message;
use store::{GroupLog, Record};

use crate::log::READ_BYTES_MAX;
use crate::replica::{Replica, header_of};
use crate::types::Body;

/// The entries that committed words in the log say are passed over, each with the index of its first
/// word. A word that is not known to be committed does not count: it may be cut off. Its replica stops at
/// the entry again, and goes on when it hears that the word is committed.
pub(crate) async fn committed(log: &GroupLog) -> io::Result<BTreeMap<u64, u64>> {
    let mut skips = BTreeMap::new();
    let Some(mark) = log.committed() else {
        return Ok(skips);
    };
    let mark = pb::LogId::decode(mark).map_err(io::Error::other)?;
    let mut next = log.purged().map_or(0, |purged| purged.index + 1);
    while next <= mark.index {
        let records = read(log, next, mark.index + 1).await?;
        let Some(last) = records.last() else { break };
        next = last.index + 1;
        for record in records {
            let logged = record.index;
            if let Some(skip) = body_of(record)?.skip() {
                skips.entry(skip.index).or_insert(logged);
            }
        }
    }
    Ok(skips)
}

async fn read(log: &GroupLog, from: u64, to: u64) -> io::Result<Vec<Record>> {
    let read = log.read(from..to, READ_BYTES_MAX).await;
    read.map_err(io::Error::other)
}

fn body_of(record: Record) -> io::Result<Body> {
    Body::from_encoded(record.payload).map_err(io::Error::other)
}

impl<M: Machine> Replica<M> {
    /// Whether a committed word says that the entry is passed over.
    pub(crate) fn is_passed_over(&self, index: u64) -> bool {
        self.shared.passed.lock().contains_key(&index)
    }

    /// Takes a word that is committed at `logged`: from here on the entry counts as passed over. A replica
    /// that stopped there, or has applied it, makes its state anew without it.
    pub(crate) async fn pass_over(&mut self, skip: &pb::Skip, logged: u64) {
        let index = skip.index;
        tracing::warn!(
            group = self.place.group.0,
            index,
            by = skip.by,
            reason = skip.reason,
            "an entry is passed over"
        );
        let reached = self.applied.map_or(0, |applied| applied.index);
        let known = self.is_passed_over(index);
        self.shared.passed.lock().entry(index).or_insert(logged);
        if known || reached < index {
            return;
        }
        // While the state is being made it must not be read, nor take the place of one that is whole.
        self.stop_at(
            index,
            "its state is being made anew without this entry",
            Cure::Skip,
        );
        match self.make_anew(index, reached).await {
            Ok(true) => {
                self.shared.halted.send_replace(None);
                tracing::info!(group = self.place.group.0, index, "the replica goes on");
            }
            // It stopped at another entry, and has said so.
            Ok(false) => {}
            Err(error) => {
                let reason =
                    format!("its state could not be made anew: {error}; start the node again");
                self.stop_at(index, &reason, Cure::Skip);
            }
        }
    }

    fn stop_at(&self, index: u64, reason: &str, cure: Cure) {
        let reason = reason.into();
        let halt = Halt {
            index,
            reason,
            cure,
        };
        self.shared.halted.send_replace(Some(Arc::new(halt)));
    }

    /// Applies snapshot and log up to `reached`, but for what is passed over; whether it came so far.
    async fn make_anew(&mut self, skipped: u64, reached: u64) -> io::Result<bool> {
        let current = self.place.store.current(self.place.group).await;
        let current = current.map_err(io::Error::other)?;
        let held = current.as_ref().map(header_of).transpose()?;
        let held = held
            .and_then(|header| header.last_log_id)
            .map(|id| id.index);
        if held >= Some(skipped) {
            self.stop_at(
                skipped,
                "its snapshot holds the effect of this entry, which the others have passed over: stop \
                 this node, keep its data directory aside and start nothing on it; join under another \
                 node name with an empty directory",
                Cure::Replace,
            );
            return Ok(false);
        }
        match &current {
            Some(file) => self.restore(file).await?,
            None => {
                if self.call("reset", skipped, Machine::reset).is_none() {
                    return Ok(false);
                }
            }
        }
        let log = self.place.log.clone();
        let mut next = held.map_or_else(
            || log.purged().map_or(0, |purged| purged.index + 1),
            |held| held + 1,
        );
        while next <= reached {
            let records = read(&log, next, reached + 1).await?;
            let Some(last) = records.last() else {
                return Err(io::Error::other(format!("the log lacks entry {next}")));
            };
            next = last.index + 1;
            for record in records {
                if self.apply_again(record)?.is_none() {
                    return Ok(false);
                }
            }
            if self.call("flush", next, Machine::flush).is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Applies one entry of the log again; `None` when the machine stopped at it.
    fn apply_again(&mut self, record: Record) -> io::Result<Option<()>> {
        let at = Position {
            index: record.index,
            term: record.term,
        };
        let body = body_of(record)?;
        let Some(command) = body.command() else {
            return Ok(Some(()));
        };
        if self.is_passed_over(at.index) {
            return Ok(self.call("passed_over", at.index, |machine| {
                machine.passed_over(at, command)
            }));
        }
        let applied = self.call("apply", at.index, |machine| machine.apply(at, command));
        Ok(applied.map(drop))
    }
}
