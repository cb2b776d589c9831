//! What one node's replicas have, told to the judge as it comes.
//! Promise: every entry that the node has applied is told once in each life of its process, in order.
//! Not here: judging (`groups`).

use std::collections::BTreeMap;

use domain::ids::CellId;
use node::Inside;
use ports::GroupStatus;

use super::{Judge, Violation};
use crate::invariants::committed_on_quorum::{self, Said};

/// Bytes of entries that are looked at together.
const LOOK_BYTES: usize = 1 << 20;

/// A witness of one process.
pub struct Witness {
    judge: Judge,
    node: usize,
    /// The next entry of each group.
    next: BTreeMap<u32, u64>,
    /// When the whole state of each cell was last compared, milliseconds.
    compared_ms: BTreeMap<u32, u64>,
}

/// The whole state of a replica is compared about this often, and first when its process has begun.
const COMPARE_MS: u64 = 2_000;

impl Witness {
    pub(super) fn new(judge: Judge, node: usize) -> Self {
        Self {
            judge,
            node,
            next: BTreeMap::new(),
            compared_ms: BTreeMap::new(),
        }
    }

    /// Tells what the node has by now.
    pub async fn look(&mut self, inside: &Inside) {
        for group in inside.groups() {
            let Some(leadership) = inside.leadership(group) else {
                continue;
            };
            let Some(status) = inside.status(group) else {
                continue;
            };
            let node = self.node;
            if leadership.is_self {
                let last = status.last_log;
                let led = self
                    .judge
                    .groups(|groups| groups.leads(node, group, leadership.term, last));
                self.judge.check(led);
                self.quorum(group, leadership.term, &status);
            }
            let holds = (status.applied, status.last_log);
            let held = self.judge.groups(|groups| groups.holds(node, group, holds));
            self.judge.check(held);
            self.entries(inside, group, status.applied).await;
            let now_ms = self.judge.now_us() / 1_000;
            let clock = self.judge.groups(|groups| groups.clock(group, now_ms));
            self.judge.check(clock);
            self.state(inside, group);
            self.whole(inside, group, now_ms);
        }
    }

    /// What a leader calls committed, against the disks of the voters.
    fn quorum(&self, group: u32, term: u64, status: &GroupStatus) {
        let said = Said {
            term,
            voters: status.voters.clone(),
            last_log: status.last_log,
            committed: status.committed,
        };
        let (judge, node) = (&self.judge, self.node);
        let Some(index) = judge.groups(|groups| groups.said(group, &said)) else {
            return;
        };
        let held = judge.replicas(|known| known.holders(node, group, index, &said.voters));
        if let Err((rule, seen)) = committed_on_quorum::check(index, &said.voters, &held) {
            let subject = format!("group {group} in term {term}");
            judge.accuse(Violation::new(rule, subject, seen));
        }
    }

    async fn entries(&mut self, inside: &Inside, group: u32, applied: u64) {
        let next = self.next.entry(group).or_default();
        while *next <= applied {
            // A log that has failed tells nothing more; the node gives up by itself.
            let Ok(found) = inside.entries(group, *next, applied + 1, LOOK_BYTES).await else {
                return;
            };
            if found.is_empty() {
                return;
            }
            for (record, chain) in &found {
                *next = record.index + 1;
                let taken = self
                    .judge
                    .groups(|groups| groups.applied(self.node, group, record, *chain));
                match taken {
                    Ok(true) => self.judge.note(|| {
                        format!(
                            "entry {group} {} {} {}",
                            record.index, record.term, record.leader_node
                        )
                    }),
                    Ok(false) => {}
                    Err(violation) => self.judge.accuse(violation),
                }
            }
        }
    }

    /// Compares the whole state of a cell where that is due and the judge stands at the same entry.
    fn whole(&mut self, inside: &Inside, group: u32, now_ms: u64) {
        let last = self.compared_ms.get(&group);
        if last.is_some_and(|last| now_ms < last + COMPARE_MS) {
            return;
        }
        let (judge, node) = (&self.judge, self.node);
        let compared = inside.with_cell(CellId(group), |cell, index| {
            judge.groups(|groups| groups.whole(node, group, (cell, index.0)))
        });
        match compared {
            Some(Ok(true)) => drop(self.compared_ms.insert(group, now_ms)),
            Some(Ok(false)) | None => {}
            Some(Err(violation)) => judge.accuse(violation),
        }
    }

    fn state(&self, inside: &Inside, group: u32) {
        let cell = CellId(group);
        if let Some(halt) = inside.halted(cell) {
            let subject = format!("node {} of group {group}", self.node);
            let seen = format!("entry {}: {}", halt.index, halt.reason);
            self.judge
                .accuse(Violation::new("a replica goes on", subject, seen));
        }
        let chain = inside.with_cell(cell, |cell, index| (index.0, cell.state().meta().chain.0));
        if let Some((index, chain)) = chain {
            let same = self
                .judge
                .groups(|groups| groups.state(self.node, group, index, chain));
            self.judge.check(same);
        }
    }
}
