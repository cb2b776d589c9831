//! The duties of the control group's leader: does what `step` decides until nothing is left.
//! Promise: level-triggered; a duty that fails is tried again after a pause, others meanwhile.
//! Not here: deciding what is due (`step`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::cell::version::NEWEST_VERSION;
use domain::control::ControlCommand;
use domain::control::command::{Addresses, ApplyPlan, ClusterId, CreateCell, Found, Profile};
use domain::ids::{CellId, NodeId, NodeName, PlanVersion, RequestId, SiteId, StaffId};
use ports::{Group, GroupStatus};
use raft::{Directory, GroupHandle, Member};
use runtime::{Env, Stop};
use store::Identity;
use tokio::time::{Instant, timeout};

use super::machine::ControlMachine;
use super::step::{self, Action, MAIN_CELL, Seen};
use super::{Proposer, codec, convert};
use crate::cells::Cells;
use crate::found::Founding;
use crate::join::Advertised;

/// How often the leader looks when nothing is heard.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often it looks while the cluster forms.
const LOOK_EVERY_FORMING: Duration = Duration::from_millis(10);
/// One duty may take this long.
const DUTY_WAIT: Duration = Duration::from_secs(5);
/// A node that was tried in vain rests this long.
const REST: Duration = Duration::from_secs(2);
/// A member that answered the leader within this time is there.
const FRESH_MS: u64 = 1_000;
/// Entries that a learner may trail when it becomes a voter.
const TRAIL_MAX: u64 = 1_000;
/// Who asks for what the leader does by itself.
const SYSTEM: &str = "antiphon";

/// What the duties need.
pub(crate) struct Reconciler {
    pub(crate) env: Env,
    pub(crate) group: GroupHandle<ControlMachine>,
    pub(crate) proposer: Proposer,
    pub(crate) cells: Cells,
    pub(crate) identity: Identity,
    pub(crate) advertised: Advertised,
    pub(crate) directory: Directory,
    pub(crate) dir: PathBuf,
    pub(crate) founding: Option<Founding>,
    pub(crate) resting: BTreeMap<u64, Instant>,
}

impl Reconciler {
    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: Stop) {
        tokio::select! {
            biased;
            () = stop.stopped() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&mut self) {
        let mut leadership = self.group.leadership();
        let mut state = self.proposer.state().clone();
        loop {
            if leadership
                .wait_for(|leadership| leadership.is_self)
                .await
                .is_err()
            {
                return;
            }
            if self.turn().await {
                continue;
            }
            let forming = state
                .borrow_and_update()
                .cells
                .values()
                .all(|cell| !cell.running);
            let pause = if forming {
                LOOK_EVERY_FORMING
            } else {
                LOOK_EVERY
            };
            tokio::select! {
                biased;
                _ = state.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does the next thing. Whether there was one and it was done.
    async fn turn(&mut self) -> bool {
        let seen = self.look().await;
        let parts = self.proposer.state().borrow().clone();
        let Some(action) = step::next(&parts, &seen) else {
            self.forget_founding(parts.cluster.is_some() && !parts.plans.is_empty())
                .await;
            return false;
        };
        let node = match &action {
            Action::AddLearner(node) | Action::RemoveLearner(node) => Some(node.0),
            _ => None,
        };
        let said = format!("{action:?}");
        match timeout(DUTY_WAIT, self.act(action)).await {
            Ok(Ok(())) => {
                tracing::info!(action = said, "the control group's leader acted");
                true
            }
            Ok(Err(reason)) => self.failed(node, &said, &reason),
            Err(_) => self.failed(node, &said, "no answer in time"),
        }
    }

    fn failed(&mut self, node: Option<u64>, action: &str, reason: &str) -> bool {
        tracing::warn!(
            action,
            reason,
            "a duty of the control group's leader failed"
        );
        if let Some(node) = node {
            self.resting.insert(node, Instant::now() + REST);
        }
        false
    }

    async fn look(&mut self) -> Seen {
        let now = Instant::now();
        self.resting.retain(|_, until| *until > now);
        let status = self.group.status();
        let mut resting: BTreeSet<u64> = self.resting.keys().copied().collect();
        resting.extend(silent(&status));
        Seen {
            voters: status.voters.iter().copied().collect(),
            learners: status.learners.iter().copied().collect(),
            resting,
            founding: self.founding.is_some(),
            complete: self.complete().await,
        }
    }

    /// Cells that are not marked as running and whose leader has heard every member.
    async fn complete(&self) -> BTreeSet<CellId> {
        let parts = self.proposer.state().borrow().clone();
        let mut complete = BTreeSet::new();
        for (id, _) in parts.cells.iter().filter(|(_, cell)| !cell.running) {
            if self.cells.is_complete(*id).await {
                complete.insert(*id);
            }
        }
        complete
    }

    async fn act(&self, action: Action) -> Result<(), String> {
        match action {
            Action::Found => self.propose(self.found()?).await,
            Action::FirstPlan => self.propose(self.first_plan()?).await,
            Action::AddLearner(node) => {
                let member = self.member(node).ok_or("the node is gone")?;
                self.group
                    .add_learner(node.0, member)
                    .await
                    .map_err(|error| error.to_string())
            }
            Action::RemoveLearner(node) => {
                let removed = self.group.remove_learners(BTreeSet::from([node.0])).await;
                removed.map_err(|error| error.to_string())
            }
            Action::SetVoters(voters) => self
                .group
                .set_voters(voters)
                .await
                .map_err(|error| error.to_string()),
            Action::CreateCell { home, members } => self.propose(create_cell(home, members)?).await,
            Action::CellRunning(cell) => self.propose(ControlCommand::CellRunning { cell }).await,
        }
    }

    async fn propose(&self, command: ControlCommand) -> Result<(), String> {
        self.proposer
            .propose(command)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn member(&self, node: NodeId) -> Option<Member> {
        let parts = self.proposer.state().borrow();
        let found = parts.nodes.get(&node)?;
        // Replication begins at once: it must not race the task that follows addresses.
        self.directory.set(node.0, found.addresses.peer.clone());
        Some(Member {
            name: found.name.to_string(),
            site: found.site.to_string(),
        })
    }

    fn found(&self) -> Result<ControlCommand, String> {
        let founding = self.founding.as_ref().ok_or("this node founded nothing")?;
        let site = SiteId::new(&self.identity.site).map_err(|error| error.to_string())?;
        Ok(ControlCommand::Found(Found {
            cluster: ClusterId::new(&self.identity.cluster_id)
                .map_err(|error| error.to_string())?,
            cluster_name: founding.cluster_name.clone(),
            profile: Profile::from_word(&self.identity.profile).unwrap_or(Profile::Lan),
            node: NodeName::new(&self.identity.node_name).map_err(|error| error.to_string())?,
            site: convert::site_profile(site),
            addresses: Addresses {
                peer: self.advertised.peer.clone(),
                api: self.advertised.api.clone(),
            },
            program: crate::VERSION.to_owned(),
            machine: NEWEST_VERSION,
        }))
    }

    fn first_plan(&self) -> Result<ControlCommand, String> {
        let founding = self.founding.as_ref().ok_or("this node founded nothing")?;
        let plan =
            codec::parse_floor(&founding.floor).map_err(|_| "the first floor plan has faults")?;
        Ok(ControlCommand::ApplyPlan(ApplyPlan {
            request_id: request_id("first-plan")?,
            by: system()?,
            expected: PlanVersion(0),
            plan: Arc::new(plan),
        }))
    }

    async fn forget_founding(&mut self, known: bool) {
        if known && self.founding.is_some() {
            match Founding::done(&self.env, &self.dir).await {
                Ok(()) => self.founding = None,
                Err(error) => tracing::warn!(%error, "the founding file cannot be removed"),
            }
        }
    }
}

/// Members that have not answered of late or are far behind.
fn silent(status: &GroupStatus) -> impl Iterator<Item = u64> + '_ {
    let there = |node: u64, matched: u64, ack_ms: Option<u64>| {
        let near = status.last_log.saturating_sub(matched) <= TRAIL_MAX;
        (near && ack_ms.is_none_or(|ack_ms| ack_ms <= FRESH_MS) && matched > 0)
            || status.voters.contains(&node)
    };
    let followers = status.followers.iter();
    followers
        .filter(move |one| !there(one.node, one.matched, one.last_ack_ms))
        .map(|one| one.node)
}

fn create_cell(home: SiteId, members: BTreeMap<SiteId, NodeId>) -> Result<ControlCommand, String> {
    Ok(ControlCommand::CreateCell(CreateCell {
        request_id: request_id("create-main")?,
        by: system()?,
        name: MAIN_CELL.to_owned(),
        home,
        members,
    }))
}

fn request_id(text: &str) -> Result<RequestId, String> {
    RequestId::new(text).map_err(|error| error.to_string())
}

fn system() -> Result<StaffId, String> {
    StaffId::new(SYSTEM).map_err(|error| error.to_string())
}
