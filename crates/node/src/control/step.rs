//! What the control group's leader has to do next so that the cluster is as it should be.
//! Promise: decided from state and members alone; done twice it harms nobody; one thing at a time.
//! Not here: doing it (`reconcile`), where voters stand (`domain::control::placement`).

use std::collections::{BTreeMap, BTreeSet};

use domain::control::ControlParts;
use domain::control::placement::control_voters;
use domain::ids::{CellId, NodeId, SiteId};

/// The one cell that this version runs.
pub(crate) const MAIN_CELL: &str = "main";
/// Fewer sites cannot lose one.
pub(crate) const SITES_MIN: usize = 3;

/// What the leader sees of its group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Voters of the control group.
    pub(crate) voters: BTreeSet<u64>,
    /// Its learners.
    pub(crate) learners: BTreeSet<u64>,
    /// Nodes that were tried in vain a moment ago: others come first.
    pub(crate) resting: BTreeSet<u64>,
    /// Whether this node founded the cluster and has not yet brought its first plan in.
    pub(crate) founding: bool,
    /// Cells whose members have all been heard by their leader.
    pub(crate) complete: BTreeSet<CellId>,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Propose `Found`.
    Found,
    /// Bring the first floor plan in.
    FirstPlan,
    /// Make a node a learner of the control group and let it catch up.
    AddLearner(NodeId),
    /// Take a removed node out of the control group.
    RemoveLearner(NodeId),
    /// Make exactly these nodes voters of the control group.
    SetVoters(BTreeSet<u64>),
    /// Create the cell with these members.
    CreateCell {
        /// Where its leader is preferred.
        home: SiteId,
        /// One node per site.
        members: BTreeMap<SiteId, NodeId>,
    },
    /// Record that a cell has had its first election and that every member takes part.
    CellRunning(CellId),
}

/// The next action, or `None` when all is done.
pub(crate) fn next(parts: &ControlParts, seen: &Seen) -> Option<Action> {
    if parts.cluster.is_none() {
        return seen.founding.then_some(Action::Found);
    }
    if parts.plans.is_empty() && seen.founding {
        return Some(Action::FirstPlan);
    }
    learner(parts, seen)
        .or_else(|| voters(parts, seen))
        .or_else(|| cell(parts, seen))
        .or_else(|| running(parts, seen))
}

fn learner(parts: &ControlParts, seen: &Seen) -> Option<Action> {
    let member = |id: u64| seen.voters.contains(&id) || seen.learners.contains(&id);
    let missing = parts
        .living_nodes()
        .map(|(id, _)| id)
        .find(|id| !member(id.0) && !seen.resting.contains(&id.0));
    if let Some(node) = missing {
        return Some(Action::AddLearner(node));
    }
    let living = |id: u64| parts.living_nodes().any(|(node, _)| node.0 == id);
    let gone = seen
        .learners
        .iter()
        .find(|id| !living(**id) && !seen.resting.contains(*id))?;
    Some(Action::RemoveLearner(NodeId(*gone)))
}

/// One voter per site as soon as there are three sites; with fewer, the founder alone: a second
/// voter without a third would only add a way to lose the majority.
fn voters(parts: &ControlParts, seen: &Seen) -> Option<Action> {
    let wanted: BTreeSet<u64> = control_voters(parts).values().map(|node| node.0).collect();
    if wanted.len() < SITES_MIN || wanted == seen.voters {
        return None;
    }
    let ready = |id: &u64| seen.voters.contains(id) || seen.learners.contains(id);
    let resting = wanted.iter().any(|id| seen.resting.contains(id));
    (!resting && wanted.iter().all(ready)).then_some(Action::SetVoters(wanted))
}

fn cell(parts: &ControlParts, seen: &Seen) -> Option<Action> {
    if parts.cells.values().any(|cell| cell.name == MAIN_CELL) {
        return None;
    }
    let members = control_voters(parts);
    let wanted: BTreeSet<u64> = members.values().map(|node| node.0).collect();
    if members.len() < SITES_MIN || wanted != seen.voters {
        return None;
    }
    let (home, _) = members.iter().min_by_key(|(_, node)| **node)?;
    Some(Action::CreateCell {
        home: home.clone(),
        members: members.clone(),
    })
}

fn running(parts: &ControlParts, seen: &Seen) -> Option<Action> {
    let found = parts
        .cells
        .iter()
        .find(|(id, cell)| !cell.running && seen.complete.contains(id));
    found.map(|(id, _)| Action::CellRunning(*id))
}
