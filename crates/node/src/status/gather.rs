//! Gathering the accounts of all nodes.
//! Promise: every member is asked at once and none is waited for longer than a second.
//! Not here: what follows from the accounts (`sentences`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::Floor;
use futures::future::join_all;
use pb::api::v1::{
    GetStatusResponse, GroupView, NodeView, Refusal, SkipEntryRequest, SkipEntryResponse,
    VerifyCellRequest, VerifyCellResponse,
};
use pb::raft::v1::NodeStatusResponse;
use ports::Operator;
use runtime::Stop;
use tokio::time::Instant;

use super::sentences::{CLOCK_OFFSET_MS_MAX, conclude, order};
use super::{Account, Notes, OwnAccount};
use crate::doors::Doors;
use crate::doors::millis;

/// No node is waited for longer.
const ASK_WAIT: Duration = Duration::from_secs(1);
/// How often a node compares its clock with its peers'.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// The first comparison comes soon after the start.
const CLOCK_FIRST: Duration = Duration::from_secs(1);

/// Asks every member.
pub(crate) struct Gatherer {
    pub(crate) account: Arc<Account>,
    pub(crate) doors: Doors,
    pub(crate) floor: Arc<dyn Floor>,
}

/// An account with when it was given, measured here.
struct Heard {
    account: NodeStatusResponse,
    round_trip: Duration,
    clock_offset_ms: i64,
}

#[async_trait::async_trait]
impl Operator for Gatherer {
    async fn status(&self) -> GetStatusResponse {
        let own = self.account.account();
        let (heard, floor) = tokio::join!(self.ask_all(), self.floor.floor());
        let control = self.account.control.borrow().clone();
        let us = own.node.clone().unwrap_or_default();
        let view = |(id, node): (domain::ids::NodeId, &domain::control::state::Node)| {
            if id.0 == us.node_id {
                return us.clone();
            }
            heard
                .get(&id.0)
                .map_or_else(|| crate::control::node_view(id, node), |heard| heard.view())
        };
        let mut nodes: Vec<NodeView> = control.living_nodes().map(view).collect();
        nodes.sort_by(|a, b| (&a.site, &a.node).cmp(&(&b.site, &b.node)));
        let mut status = GetStatusResponse {
            cluster: control
                .cluster
                .as_ref()
                .map(|cluster| cluster.name.clone())
                .unwrap_or_default(),
            cluster_id: control
                .cluster
                .as_ref()
                .map(|cluster| cluster.id.to_string())
                .unwrap_or_default(),
            profile: control
                .cluster
                .as_ref()
                .map(|cluster| cluster.profile.to_string())
                .unwrap_or_default(),
            plan_version: control.plan_version().0,
            nodes,
            groups: groups(&own, &heard),
            floor,
            answered_by: us.node,
            wall_ms: own.wall_ms,
            ..GetStatusResponse::default()
        };
        conclude(&mut status);
        status
    }

    async fn verify_cell(&self, request: VerifyCellRequest) -> Result<VerifyCellResponse, Refusal> {
        crate::verify::ask::verify(self, request).await
    }

    async fn skip_entry(&self, request: SkipEntryRequest) -> Result<SkipEntryResponse, Refusal> {
        crate::skip::skip(self, request).await
    }
}

impl Heard {
    fn view(&self) -> NodeView {
        let mut view = self.account.node.clone().unwrap_or_default();
        view.reachable = true;
        view.clock_offset_ms = self.clock_offset_ms;
        view.round_trip_us = u64::try_from(self.round_trip.as_micros()).unwrap_or(u64::MAX);
        view
    }
}

impl Gatherer {
    /// The accounts of this node and of every member that answers.
    pub(crate) async fn accounts(&self) -> Vec<NodeStatusResponse> {
        let own = self.account.account();
        let heard = self.ask_all().await;
        let others = heard.into_values().map(|heard| heard.account);
        std::iter::once(own).chain(others).collect()
    }

    async fn ask_all(&self) -> BTreeMap<u64, Heard> {
        let us = self.account.node;
        let peers: Vec<u64> = {
            let control = self.account.control.borrow();
            control
                .living_nodes()
                .map(|(id, _)| id.0)
                .filter(|id| *id != us)
                .collect()
        };
        let asked = peers
            .into_iter()
            .map(|peer| async move { (peer, self.ask(peer).await) });
        join_all(asked)
            .await
            .into_iter()
            .filter_map(|(peer, heard)| Some((peer, heard?)))
            .collect()
    }

    async fn ask(&self, peer: u64) -> Option<Heard> {
        let start = Instant::now();
        let account = self.doors.node_status(peer, ASK_WAIT).await?;
        let round_trip = start.elapsed();
        let then = account.wall_ms.saturating_add(millis(round_trip / 2));
        let clock_offset_ms = difference(then, self.account.env.clock.now_ms());
        Some(Heard {
            account,
            round_trip,
            clock_offset_ms,
        })
    }

    /// Compares this node's clock with its peers' for as long as the node runs; says so when it
    /// is off, and when it is right again.
    pub(crate) async fn watch_clock(self: Arc<Self>, notes: Notes, stop: Stop) {
        let mut pause = CLOCK_FIRST;
        let mut judge = ClockJudge::default();
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = CLOCK_EVERY;
            let heard = self.ask_all().await;
            let mut offsets: Vec<i64> = heard.values().map(|heard| heard.clock_offset_ms).collect();
            offsets.sort_unstable();
            let judged = judge.hear(&offsets);
            if let Judged::OffSinceNow(problem) = &judged {
                tracing::warn!(
                    at_node = self.account.node,
                    problem,
                    "the wall clock is off"
                );
            }
            notes.set(judged.problem().into_iter().collect(), ahead(&offsets));
        }
    }
}

/// How far our clock is ahead of the one in the middle of our peers', by how far they are ahead of ours, in
/// order. Of two in the middle it is the nearer: one clock that is far off is its own node's problem.
fn ahead(offsets_ms: &[i64]) -> Option<i64> {
    let upper = *offsets_ms.get(offsets_ms.len() / 2)?;
    let lower = *offsets_ms.get((offsets_ms.len() - 1) / 2)?;
    let nearer = if lower.abs() < upper.abs() {
        lower
    } else {
        upper
    };
    Some(nearer.saturating_neg())
}

/// What is known of this node's wall clock.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Right,
    /// It was not before: worth a warning.
    OffSinceNow(String),
    StillOff(String),
}

impl Judged {
    fn problem(self) -> Option<String> {
        match self {
            Self::Right => None,
            Self::OffSinceNow(problem) | Self::StillOff(problem) => Some(problem),
        }
    }
}

/// Judges this node's wall clock by how far its peers' are ahead.
#[derive(Debug, Default)]
struct ClockJudge {
    is_off: bool,
}

impl ClockJudge {
    /// Off one peer it is that peer's own problem; off most of them it is ours.
    fn hear(&mut self, offsets_ms: &[i64]) -> Judged {
        let off = |ms: &&i64| ms.abs() > CLOCK_OFFSET_MS_MAX;
        let ours = offsets_ms.iter().filter(off).count() * 2 > offsets_ms.len();
        let was_off = std::mem::replace(&mut self.is_off, ours);
        let Some(ms) = offsets_ms.iter().find(off).filter(|_| ours) else {
            return Judged::Right;
        };
        let problem = format!(
            "the wall clock is {} ms off its peers: check its time service",
            -ms
        );
        match was_off {
            true => Judged::StillOff(problem),
            false => Judged::OffSinceNow(problem),
        }
    }
}

/// Each group by its leader's account where that is known, else by the newest term.
fn groups(own: &NodeStatusResponse, heard: &BTreeMap<u64, Heard>) -> Vec<GroupView> {
    let mut best: BTreeMap<String, (bool, GroupView)> = BTreeMap::new();
    let accounts = std::iter::once(own).chain(heard.values().map(|heard| &heard.account));
    for account in accounts {
        let name = account
            .node
            .as_ref()
            .map(|node| node.node.as_str())
            .unwrap_or_default();
        for group in &account.groups {
            let leads = !name.is_empty() && group.leader == name;
            let better = best.get(&group.group).is_none_or(|(known_leads, known)| {
                (group.term, leads) > (known.term, *known_leads)
            });
            if better && !group.members.is_empty() {
                best.insert(group.group.clone(), (leads, group.clone()));
            }
        }
    }
    let mut groups: Vec<GroupView> = best.into_values().map(|(_, group)| group).collect();
    let accounts = std::iter::once(own).chain(heard.values().map(|heard| &heard.account));
    for account in accounts {
        note_halts(&mut groups, account);
    }
    for group in &mut groups {
        if let Some(ours) = own.groups.iter().find(|ours| ours.group == group.group) {
            group.applied = ours.applied;
        }
    }
    order(&mut groups);
    groups
}

/// Takes over which replicas are halted: each node knows it of its own alone.
fn note_halts(groups: &mut [GroupView], account: &NodeStatusResponse) {
    for theirs in &account.groups {
        let known = groups.iter_mut().find(|known| known.group == theirs.group);
        let members = known.map(|known| &mut known.members);
        for member in members.into_iter().flatten() {
            let said = theirs.members.iter().find(|said| said.node == member.node);
            if let Some(halted) = said.and_then(|said| said.halted.clone()) {
                member.halted = Some(halted);
            }
        }
    }
}

fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_warned_of(judged: &Judged) -> bool {
        matches!(judged, Judged::OffSinceNow(_))
    }

    #[test]
    fn one_clock_that_is_far_off_does_not_make_ours_wrong() {
        assert_eq!(ahead(&[]), None);
        assert_eq!(ahead(&[700]), Some(-700));
        assert_eq!(ahead(&[3, 9_000]), Some(-3));
        assert_eq!(ahead(&[-9_000, 3]), Some(-3));
        assert_eq!(ahead(&[-9_000, -8_000]), Some(8_000));
        assert_eq!(ahead(&[-5, 600, 640, 7_000]), Some(-600));
    }

    #[test]
    fn a_wall_clock_more_than_half_a_second_off_most_peers_is_warned_of_once() {
        let mut judge = ClockJudge::default();
        assert_eq!(judge.hear(&[]), Judged::Right);
        assert_eq!(judge.hear(&[500, -500]), Judged::Right);
        let first = judge.hear(&[501, 620]);
        assert!(is_warned_of(&first), "{first:?}");
        assert!(first.problem().unwrap().contains("-501 ms off its peers"));
        let later = judge.hear(&[540, 655]);
        assert!(!is_warned_of(&later), "{later:?}");
        assert!(later.problem().is_some(), "status goes on to say it");
        assert_eq!(judge.hear(&[3, 655]), Judged::Right, "one peer is off");
        assert!(is_warned_of(&judge.hear(&[-900, -900])), "off anew");
    }
}
