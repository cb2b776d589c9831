//! Where the leader of a group is believed to be.
//! Promise: what the local replica knows comes first; a hint is believed until it is disproved.
//! Not here: asking (`mod`).

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::{CellId, NodeId};
use parking_lot::{Mutex, RwLock};
use pb::api::v1::Refusal;
use ports::Leadership;
use tokio::sync::watch;

use crate::control::StateWatch;
use crate::refuse;

/// Where to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// This node leads, or may.
    Here,
    /// That node leads, or may know who does.
    Peer(u64),
    /// No node is known that could be asked.
    Nowhere,
}

pub(super) struct Routes {
    us: u64,
    control: StateWatch,
    local: RwLock<BTreeMap<u32, watch::Receiver<Leadership>>>,
    hints: Mutex<BTreeMap<u32, Hint>>,
}

/// What is believed of a group that has no replica here, or none that knows its leader.
#[derive(Clone, Copy, Default)]
struct Hint {
    leader: Option<u64>,
    /// Counts the members that were asked in vain.
    turn: usize,
}

impl Routes {
    pub(super) fn new(us: u64, control: StateWatch) -> Self {
        Self {
            us,
            control,
            local: RwLock::default(),
            hints: Mutex::default(),
        }
    }

    /// Takes a local replica's word on who leads `group`.
    pub(super) fn follow(&self, group: u32, leadership: watch::Receiver<Leadership>) {
        self.local.write().insert(group, leadership);
    }

    /// Where to ask.
    pub(super) fn find(&self, group: u32) -> Route {
        let known = self.known(group);
        if known.is_some_and(|known| known.is_self) {
            return Route::Here;
        }
        match known.and_then(|known| known.leader) {
            // Elected and not yet confirmed: its own refusal says so, and the pause passes.
            Some(leader) if leader == self.us => Route::Here,
            Some(leader) => Route::Peer(leader),
            None => self.guess(group),
        }
    }

    /// Clients name groups: only one that has members is remembered.
    fn guess(&self, group: u32) -> Route {
        let members = self.members(group);
        let mut hints = self.hints.lock();
        let hint = match members.is_empty() {
            true => hints.get(&group).copied().unwrap_or_default(),
            false => *hints.entry(group).or_default(),
        };
        match hint.leader.filter(|leader| *leader != self.us) {
            Some(leader) => Route::Peer(leader),
            None if members.is_empty() => Route::Nowhere,
            None => Route::Peer(members[hint.turn % members.len()]),
        }
    }

    /// Whether the cluster has cells and this group is none of them, by what this node knows.
    pub(super) fn is_unknown_cell(&self, group: u32) -> bool {
        let parts = self.control.borrow();
        group != 0 && !parts.cells.is_empty() && !parts.cells.contains_key(&CellId(group))
    }

    /// Other nodes that hold a replica of the group.
    fn members(&self, group: u32) -> Vec<u64> {
        let parts = self.control.borrow();
        let all: Vec<u64> = match group {
            0 => parts.living_nodes().map(|(id, _)| id.0).collect(),
            cell => parts
                .cells
                .get(&CellId(cell))
                .map_or_else(Vec::new, |cell| {
                    cell.members.values().map(|id| id.0).collect()
                }),
        };
        all.into_iter().filter(|node| *node != self.us).collect()
    }

    /// Groups that something is remembered of.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.hints.lock().len()
    }

    fn known(&self, group: u32) -> Option<Leadership> {
        self.local
            .read()
            .get(&group)
            .map(|leadership| *leadership.borrow())
    }

    /// The leader's node id as far as this node knows.
    pub(super) fn hint(&self, group: u32) -> Option<u64> {
        let known = self.known(group).and_then(|known| known.leader);
        known.or_else(|| self.hints.lock().get(&group).and_then(|hint| hint.leader))
    }

    /// Believes that `leader` leads. Whether that is news.
    pub(super) fn learn(&self, group: u32, leader: u64) -> bool {
        let mut hints = self.hints.lock();
        let hint = hints.entry(group).or_default();
        let news = hint.leader != Some(leader);
        hint.leader = Some(leader);
        // A local replica is asked first, so a hint is news only where there is none that knows.
        news && self.known(group).and_then(|known| known.leader).is_none()
    }

    /// A refusal as clients read it: they know nodes by name, nodes know each other by id.
    pub(super) fn named(&self, refusal: Refusal) -> Refusal {
        let Some(leader) = refuse::leader_of(&refusal) else {
            return refusal;
        };
        let parts = self.control.borrow();
        let name = parts.nodes.get(&NodeId(leader)).map(|node| &node.name);
        refuse::with_leader_name(refusal, name.map(ToString::to_string))
    }

    /// `peer` could not be reached, or knows of no leader: another one is asked next.
    pub(super) fn forget(&self, group: u32, peer: u64) {
        let mut hints = self.hints.lock();
        let Some(hint) = hints.get_mut(&group) else {
            return;
        };
        hint.turn = hint.turn.wrapping_add(1);
        if hint.leader == Some(peer) {
            hint.leader = None;
        }
    }

    /// Resolves when the local replica learns of another leader, or after `pause`.
    pub(super) async fn changed(&self, group: u32, pause: Duration) {
        let leadership = self.local.read().get(&group).cloned();
        let Some(mut leadership) = leadership else {
            tokio::time::sleep(pause).await;
            return;
        };
        leadership.mark_unchanged();
        tokio::select! {
            biased;
            _ = leadership.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
