//! The logs and disks of all nodes, for what must be on a quorum, and what must be bounded.
//! Promise: a process that has ended is known by what its disk had then; nothing is held of it.
//! Not here: judging (`invariants`).

use std::collections::BTreeMap;
use std::path::Path;

use node::Inside;
use runtime::memory::MemoryDisk;
use store::Kept;

use crate::invariants::Found;
use crate::invariants::files_bounded::{self, Limits};

/// One running process.
struct Replica {
    id: u64,
    inside: Inside,
    disk: MemoryDisk,
    segment_bytes: u64,
}

/// All nodes.
#[derive(Default)]
pub struct Replicas {
    running: BTreeMap<usize, Replica>,
    /// By node id and group, the last entry that was on the disk when the last process ended.
    ended: BTreeMap<(u64, u32), u64>,
}

impl Replicas {
    /// A process of a node runs.
    pub fn starts(&mut self, node: usize, inside: &Inside, disk: &MemoryDisk, segment_bytes: u64) {
        let id = inside.node_id();
        self.ended.retain(|(of, _), _| *of != id);
        let (inside, disk) = (inside.clone(), disk.clone());
        let replica = Replica {
            id,
            inside,
            disk,
            segment_bytes,
        };
        self.running.insert(node, replica);
    }

    /// It ends now.
    pub fn ends(&mut self, node: usize) {
        let Some(replica) = self.running.remove(&node) else {
            return;
        };
        for group in replica.inside.groups() {
            let last = replica.inside.last_log(group);
            let on_disk = |index: &u64| replica.has(group, *index, None);
            let synced = (0..=last).rev().find(on_disk);
            self.ended.insert((replica.id, group), synced.unwrap_or(0));
        }
    }

    /// Those of some voters that have an entry on their disks, with the chain that the leader's log has there.
    pub fn holders(&self, leader: usize, group: u32, index: u64, voters: &[u64]) -> Vec<u64> {
        let leading = self.running.get(&leader);
        let chain = leading.and_then(|leading| match leading.inside.kept(group, index) {
            Kept::At { chain, .. } => Some(chain.0),
            Kept::Missing | Kept::Purged => None,
        });
        let has = |id: &u64| {
            let running = self.running.values().find(|replica| replica.id == *id);
            match running {
                Some(replica) => replica.has(group, index, chain),
                // It had this and more when it ended: what others committed since was not cut off there.
                None => self.ended.get(&(*id, group)).is_some_and(|at| index <= *at),
            }
        };
        voters.iter().copied().filter(has).collect()
    }

    /// Whether the files of a node are within their bounds.
    ///
    /// # Errors
    /// When they are not.
    pub fn check_files(&self, node: usize) -> Found {
        let Some(replica) = self.running.get(&node) else {
            return Ok(());
        };
        let limits = Limits {
            segment_bytes: replica.segment_bytes,
            groups: replica.inside.groups().len(),
        };
        let files = replica.disk.sizes();
        let files = files.iter().map(|(path, bytes)| (Path::new(path), *bytes));
        files_bounded::check(limits, files)
    }
}

impl Replica {
    /// Whether a power cut now would leave the entry, with this chain where one is asked for.
    fn has(&self, group: u32, index: u64, asked: Option<[u8; 16]>) -> bool {
        match self.inside.kept(group, index) {
            Kept::Missing => false,
            Kept::Purged => true,
            Kept::At {
                file,
                offset,
                bytes,
                chain,
            } => {
                let found = self.disk.synced(&file, offset, bytes);
                let stands = |found: Vec<u8>| found.windows(16).any(|part| part == chain.0);
                asked.is_none_or(|asked| asked == chain.0) && found.is_some_and(stands)
            }
        }
    }
}
