//! Whether the node takes clients' calls, and why not.
//! Promise: said anew whenever it changes, from the first leaders until the node drains; an election alone
//! does not take it back.
//! Not here: who is told (`admin`, `api::Health`), the drain (`drain`).

use std::sync::Arc;
use std::time::Duration;

use domain::control::state::Cell;
use ports::{Cluster, Group, Machine};
use raft::{GroupHandle, Profile};
use runtime::Stop;
use tokio::time::sleep;

use crate::control::{CONTROL_NAME, StateWatch};
use crate::follow;
use crate::start::Running;

/// How often readiness is looked at until it is reached for the first time.
const FIRST_EVERY: Duration = Duration::from_millis(10);
/// How often it is looked at from then on.
const EVERY: Duration = Duration::from_millis(250);
/// Election time-outs without a word of a quorum after which a group does not work: a leader's lease, the
/// longest wait of a follower, and one election that was split.
const SILENT_ELECTIONS: u32 = 3;
/// At least as long as a member may be silent to its leader and count as reachable.
const SILENT_MIN: Duration = Duration::from_secs(2);

/// What readiness is derived from.
pub(crate) struct Readiness {
    pub(crate) node: Arc<Running>,
    pub(crate) control: StateWatch,
    pub(crate) profile: Profile,
}

impl Readiness {
    /// Says whether the node is ready until it stops.
    pub(crate) async fn run(self, stop: Stop) {
        stop.unless(self.follow()).await;
    }

    async fn follow(&self) {
        while !self.has_leaders() {
            sleep(FIRST_EVERY).await;
        }
        follow::caught_up(&self.node.control, &self.node.cells).await;
        let mut said = None;
        loop {
            let obstacle = self.obstacle();
            if said.as_ref() != Some(&obstacle) {
                if !self.say(obstacle.as_deref()).await {
                    return;
                }
                said = Some(obstacle);
            }
            sleep(EVERY).await;
        }
    }

    /// Tells everybody who asks; false once the node drains.
    async fn say(&self, obstacle: Option<&str>) -> bool {
        let node = &self.node;
        let is_ready = obstacle.is_none();
        // The drain begins before it takes readiness back, so whoever comes second finds it begun.
        let mut drains = false;
        node.ready.send_if_modified(|said| {
            drains = node.cluster.draining();
            !drains && std::mem::replace(said, is_ready) != is_ready
        });
        if drains {
            return false;
        }
        node.health.set_ready(is_ready).await;
        if node.cluster.draining() {
            node.health.set_ready(false).await;
            return false;
        }
        let at_node = &node.identity.node_name;
        match obstacle {
            None => tracing::info!(at_node, "the node is ready"),
            Some(reason) => tracing::warn!(at_node, reason, "the node takes no clients"),
        }
        true
    }

    /// Whether the control group and a cell have had leaders: from then on clients can be served.
    fn has_leaders(&self) -> bool {
        let us = self.node.identity.node_id;
        let member = |cell: &Cell| cell.members.values().any(|node| node.0 == us);
        let control = self.control.borrow();
        let elsewhere = |cell: &Cell| cell.running && !member(cell);
        let elsewhere = control.cells.values().any(elsewhere);
        let cells = self.node.cells.all();
        let led = |cell: &Arc<crate::cells::LocalCell>| has_leader(&cell.group);
        has_leader(&self.node.control) && (elsewhere || cells.iter().any(led))
    }

    /// Why the node can be of no use to a client, if it cannot.
    fn obstacle(&self) -> Option<String> {
        if let store::Health::Failed { reason } = &*self.node.wal.health().borrow() {
            return Some(format!("its log has failed: {reason}"));
        }
        let silent = SILENT_MIN.max(self.profile.election_max() * SILENT_ELECTIONS);
        let cells = self.node.cells.all();
        obstacle_of(&self.node.control, CONTROL_NAME, silent).or_else(|| {
            cells
                .iter()
                .find_map(|cell| obstacle_of(&cell.group, &cell.name, silent))
        })
    }
}

fn has_leader<M: Machine>(group: &GroupHandle<M>) -> bool {
    group.leadership().borrow().leader.is_some()
}

fn obstacle_of<M: Machine>(group: &GroupHandle<M>, name: &str, silent: Duration) -> Option<String> {
    if group.halted().borrow().is_some() {
        return Some(format!("its replica of {name} is halted"));
    }
    match group.in_touch(silent) {
        true => None,
        false => Some(format!("{name} has no quorum that reaches this node")),
    }
}
