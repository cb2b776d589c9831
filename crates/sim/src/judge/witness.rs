//! What one node's replicas have, told to the judge as it comes.
//! Promise: every entry that the node has applied is told once in each life of its process, in order.
//! Not here: judging (`groups`).

use std::collections::BTreeMap;

use domain::ids::CellId;
use node::Inside;

use super::{Judge, Violation};

/// Bytes of entries that are looked at together.
const LOOK_BYTES: usize = 1 << 20;

/// A witness of one process.
pub struct Witness {
    judge: Judge,
    node: usize,
    /// The next entry of each group.
    next: BTreeMap<u32, u64>,
}

impl Witness {
    pub(super) fn new(judge: Judge, node: usize) -> Self {
        Self {
            judge,
            node,
            next: BTreeMap::new(),
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
            }
            self.entries(inside, group, status.applied).await;
            self.state(inside, group);
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
