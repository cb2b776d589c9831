//! What the control machine says to each command.
//! Promise: reads only; every "no" names its cause.
//! Not here: changing the state (`state`), judging a plan's content (`check`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{
    Addresses, ApplyPlan, ControlCommand, CreateCell, FIRST_NODE, Found, Join, NodeAddress,
    PlaceCell, Profile, RemoveNode, SiteProfile,
};
use super::placement::cells_of_node;
use super::reply::{ADDRESS_BYTES_MAX, ControlDone, ControlEvent, ControlRefusal, RequestPlace};
use super::requests::{Fingerprint, RequestRow};
use super::state::{CELLS_MAX, Cell, Cluster, ControlParts, NODES_MAX, Node, StoredPlan};
use crate::ids::{
    CellId, NAME_BYTES_MAX, NodeId, NodeName, PlanVersion, RequestId, SiteId, StaffId,
};

/// Longest time zone name and program version in bytes.
const WORD_BYTES_MAX: usize = 64;

type Decided = Result<(ControlDone, Vec<ControlEvent>), ControlRefusal>;

pub(super) fn decide(parts: &ControlParts, command: &ControlCommand) -> Decided {
    if let ControlCommand::Found(found) = command {
        return decide_found(parts, found);
    }
    let cluster = parts.cluster.as_ref().ok_or(ControlRefusal::NotFounded)?;
    match command {
        ControlCommand::Found(found) => decide_found(parts, found),
        ControlCommand::Join(join) => decide_join(parts, cluster, join),
        ControlCommand::NodeAddress(moved) => decide_address(parts, cluster, moved),
        ControlCommand::RemoveNode(remove) => decide_remove(parts, remove),
        ControlCommand::CreateCell(create) => decide_create_cell(parts, create),
        ControlCommand::PlaceCell(place) => decide_place_cell(parts, place),
        ControlCommand::CellRunning { cell } => decide_running(parts, *cell),
        ControlCommand::ApplyPlan(apply) => decide_apply_plan(parts, apply),
    }
}

fn decide_found(parts: &ControlParts, found: &Found) -> Decided {
    if let Some(cluster) = &parts.cluster {
        if cluster.id == found.cluster {
            return Ok((ControlDone::Joined { node: FIRST_NODE }, Vec::new()));
        }
        return Err(ControlRefusal::AlreadyFounded {
            cluster: cluster.id.clone(),
        });
    }
    check_text("cluster name", &found.cluster_name, NAME_BYTES_MAX)?;
    check_node(&found.site, &found.addresses, &found.program)?;
    let founded = ControlEvent::Founded {
        cluster: found.cluster.clone(),
        name: found.cluster_name.clone(),
        profile: found.profile,
    };
    let node = Node {
        name: found.node.clone(),
        site: found.site.site.clone(),
        addresses: found.addresses.clone(),
        program: found.program.clone(),
        machine: found.machine,
        request_id: None,
        fingerprint: 0,
        joined_wall_ms: parts.wall_ms,
        removed_wall_ms: None,
    };
    let joined = ControlEvent::NodeJoined {
        id: FIRST_NODE,
        node: Box::new(node),
        site: found.site.clone(),
    };
    Ok((
        ControlDone::Joined { node: FIRST_NODE },
        vec![founded, joined],
    ))
}

fn decide_join(parts: &ControlParts, cluster: &Cluster, join: &Join) -> Decided {
    let fingerprint = Fingerprint::default()
        .text(join.node.as_str())
        .text(join.site.site.as_str())
        .finish();
    let earlier = parts
        .nodes
        .iter()
        .find(|(_, node)| node.request_id.as_ref() == Some(&join.request_id));
    if let Some((id, node)) = earlier {
        return repeat_join(*id, node, (join, fingerprint));
    }
    check_profile(cluster, join.profile)?;
    check_node(&join.site, &join.addresses, &join.program)?;
    if let Some((node, _)) = living_by_name(parts, &join.node) {
        return Err(ControlRefusal::NodeNameInUse {
            name: join.node.clone(),
            node,
        });
    }
    if parts.living_nodes().count() >= NODES_MAX {
        return Err(ControlRefusal::TooManyNodes { limit: NODES_MAX });
    }
    let node = Node {
        name: join.node.clone(),
        site: join.site.site.clone(),
        addresses: join.addresses.clone(),
        program: join.program.clone(),
        machine: join.machine,
        request_id: Some(join.request_id.clone()),
        fingerprint,
        joined_wall_ms: parts.wall_ms,
        removed_wall_ms: None,
    };
    let id = parts.next_node;
    let joined = ControlEvent::NodeJoined {
        id,
        node: Box::new(node),
        site: join.site.clone(),
    };
    Ok((ControlDone::Joined { node: id }, vec![joined]))
}

/// A node asks again because the first answer was lost; it may listen elsewhere by now.
fn repeat_join(id: NodeId, node: &Node, (join, fingerprint): (&Join, u64)) -> Decided {
    if node.fingerprint != fingerprint {
        return Err(ControlRefusal::RequestIdReused {
            request_id: join.request_id.clone(),
        });
    }
    if node.removed_wall_ms.is_some() {
        return Err(ControlRefusal::NodeRemoved { node: id });
    }
    Ok((ControlDone::Joined { node: id }, Vec::new()))
}

fn decide_address(parts: &ControlParts, cluster: &Cluster, moved: &NodeAddress) -> Decided {
    let node = living_node(parts, moved.node)?;
    check_profile(cluster, moved.profile)?;
    check_addresses(&moved.addresses)?;
    check_text("program version", &moved.program, WORD_BYTES_MAX)?;
    let same_program = node.program == moved.program && node.machine == moved.machine;
    if same_program && node.addresses == moved.addresses {
        return Ok((ControlDone::Nothing, Vec::new()));
    }
    Ok((
        ControlDone::Nothing,
        vec![ControlEvent::NodeMoved(moved.clone())],
    ))
}

fn decide_remove(parts: &ControlParts, remove: &RemoveNode) -> Decided {
    let fingerprint = Fingerprint::default().number(remove.node.0).finish();
    let request = Request {
        place: RequestPlace::Nodes,
        by: &remove.by,
        id: &remove.request_id,
        fingerprint,
    };
    if let Some(done) = request.earlier(parts)? {
        return Ok((done, Vec::new()));
    }
    living_node(parts, remove.node)?;
    if let Some(cell) = cells_of_node(parts, remove.node).next() {
        return Err(ControlRefusal::NodeInCell {
            node: remove.node,
            cell,
        });
    }
    if parts.living_nodes().count() == 1 {
        return Err(ControlRefusal::LastNode { node: remove.node });
    }
    let removed = ControlEvent::NodeRemoved { node: remove.node };
    Ok(request.answered(parts, ControlDone::Nothing, Some(removed)))
}

fn decide_create_cell(parts: &ControlParts, create: &CreateCell) -> Decided {
    let fingerprint = create
        .members
        .iter()
        .fold(
            Fingerprint::default()
                .text(&create.name)
                .text(create.home.as_str()),
            |hash, (site, node)| hash.text(site.as_str()).number(node.0),
        )
        .finish();
    let request = Request {
        place: RequestPlace::Cells,
        by: &create.by,
        id: &create.request_id,
        fingerprint,
    };
    if let Some(done) = request.earlier(parts)? {
        return Ok((done, Vec::new()));
    }
    check_text("cell name", &create.name, NAME_BYTES_MAX)?;
    if let Some((id, _)) = parts
        .cells
        .iter()
        .find(|(_, cell)| cell.name == create.name)
    {
        return Err(ControlRefusal::CellNameInUse {
            name: create.name.clone(),
            cell: *id,
        });
    }
    if parts.cells.len() >= CELLS_MAX {
        return Err(ControlRefusal::TooManyCells { limit: CELLS_MAX });
    }
    check_members(parts, &create.members)?;
    if !create.members.contains_key(&create.home) {
        return Err(ControlRefusal::HomeWithoutMember {
            site: create.home.clone(),
        });
    }
    let cell = Cell {
        name: create.name.clone(),
        home: create.home.clone(),
        members: create.members.clone(),
        running: false,
    };
    let id = parts.next_cell;
    let created = ControlEvent::CellCreated {
        id,
        cell: Box::new(cell),
    };
    Ok(request.answered(parts, ControlDone::CellCreated { cell: id }, Some(created)))
}

fn decide_place_cell(parts: &ControlParts, place: &PlaceCell) -> Decided {
    let cell = parts
        .cells
        .get(&place.cell)
        .ok_or(ControlRefusal::CellNotFound { cell: place.cell })?;
    check_members(parts, &place.members)?;
    if cell.members == place.members {
        return Ok((ControlDone::Nothing, Vec::new()));
    }
    Ok((
        ControlDone::Nothing,
        vec![ControlEvent::CellPlaced(place.clone())],
    ))
}

fn decide_running(parts: &ControlParts, id: CellId) -> Decided {
    let cell = parts
        .cells
        .get(&id)
        .ok_or(ControlRefusal::CellNotFound { cell: id })?;
    let changed = if cell.running {
        Vec::new()
    } else {
        vec![ControlEvent::CellStarted { cell: id }]
    };
    Ok((ControlDone::Nothing, changed))
}

fn decide_apply_plan(parts: &ControlParts, apply: &ApplyPlan) -> Decided {
    let fingerprint = Fingerprint::default().number(apply.expected.0).finish();
    let request = Request {
        place: RequestPlace::Plan,
        by: &apply.by,
        id: &apply.request_id,
        fingerprint,
    };
    if let Some(done) = request.earlier(parts)? {
        return repeat_apply(parts, apply, done);
    }
    let current = parts.plan_version();
    if apply.expected != current {
        return Err(ControlRefusal::PlanVersionDiffers {
            expected: apply.expected,
            current,
        });
    }
    if parts
        .plans
        .last()
        .is_some_and(|stored| stored.plan == apply.plan)
    {
        let done = ControlDone::PlanApplied {
            version: current,
            unchanged: true,
        };
        return Ok(request.answered(parts, done, None));
    }
    let version = PlanVersion(current.0.saturating_add(1));
    let stored = StoredPlan {
        version,
        wall_ms: parts.wall_ms,
        by: apply.by.clone(),
        plan: apply.plan.clone(),
    };
    let applied = ControlEvent::PlanApplied(Arc::new(stored));
    Ok(request.answered(
        parts,
        ControlDone::PlanApplied {
            version,
            unchanged: false,
        },
        Some(applied),
    ))
}

/// The same id again: the plan itself is compared with the one that the first request left, so
/// that no hash of a plan enters the state.
fn repeat_apply(parts: &ControlParts, apply: &ApplyPlan, done: ControlDone) -> Decided {
    let ControlDone::PlanApplied { version, .. } = done else {
        return Ok((done, Vec::new()));
    };
    let differs = parts
        .plans
        .iter()
        .any(|stored| stored.version == version && stored.plan != apply.plan);
    if differs {
        return Err(ControlRefusal::RequestIdReused {
            request_id: apply.request_id.clone(),
        });
    }
    Ok((done, Vec::new()))
}

/// A request that its object remembers.
struct Request<'a> {
    place: RequestPlace,
    by: &'a StaffId,
    id: &'a RequestId,
    fingerprint: u64,
}

impl Request<'_> {
    fn earlier(&self, parts: &ControlParts) -> Result<Option<ControlDone>, ControlRefusal> {
        let Some(requests) = parts.requests.get(&self.place) else {
            return Ok(None);
        };
        requests.find(parts.now, (self.by.as_str(), self.id), self.fingerprint)
    }

    fn answered(
        &self,
        parts: &ControlParts,
        done: ControlDone,
        event: Option<ControlEvent>,
    ) -> (ControlDone, Vec<ControlEvent>) {
        let row = RequestRow {
            principal: self.by.as_str().to_owned(),
            request_id: self.id.clone(),
            fingerprint: self.fingerprint,
            at: parts.now,
            done: done.clone(),
        };
        let remembered = ControlEvent::RequestRemembered {
            place: self.place,
            row,
        };
        (done, event.into_iter().chain([remembered]).collect())
    }
}

fn living_by_name<'a>(parts: &'a ControlParts, name: &NodeName) -> Option<(NodeId, &'a Node)> {
    parts.living_nodes().find(|(_, node)| node.name == *name)
}

fn living_node(parts: &ControlParts, id: NodeId) -> Result<&Node, ControlRefusal> {
    match parts.nodes.get(&id) {
        Some(node) if node.removed_wall_ms.is_none() => Ok(node),
        Some(_) => Err(ControlRefusal::NodeRemoved { node: id }),
        // An id below the counter was given out once; its record has been dropped since.
        None if id < parts.next_node && id >= FIRST_NODE => {
            Err(ControlRefusal::NodeRemoved { node: id })
        }
        None => Err(ControlRefusal::NodeNotFound { node: id }),
    }
}

fn check_members(
    parts: &ControlParts,
    members: &BTreeMap<SiteId, NodeId>,
) -> Result<(), ControlRefusal> {
    if members.is_empty() {
        return Err(ControlRefusal::NoMembers);
    }
    for (site, id) in members {
        if living_node(parts, *id)?.site != *site {
            return Err(ControlRefusal::MemberOfOtherSite {
                node: *id,
                site: site.clone(),
            });
        }
    }
    Ok(())
}

fn check_profile(cluster: &Cluster, node: Profile) -> Result<(), ControlRefusal> {
    if cluster.profile == node {
        return Ok(());
    }
    Err(ControlRefusal::ProfileDiffers {
        cluster: cluster.profile,
        node,
    })
}

fn check_node(
    site: &SiteProfile,
    addresses: &Addresses,
    program: &str,
) -> Result<(), ControlRefusal> {
    check_text("time zone", &site.time_zone, WORD_BYTES_MAX)?;
    check_text("program version", program, WORD_BYTES_MAX)?;
    check_addresses(addresses)
}

fn check_addresses(addresses: &Addresses) -> Result<(), ControlRefusal> {
    check_text("peer address", &addresses.peer, ADDRESS_BYTES_MAX)?;
    check_text("api address", &addresses.api, ADDRESS_BYTES_MAX)
}

fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), ControlRefusal> {
    if text.is_empty() || text.len() > limit {
        return Err(ControlRefusal::BadText { field, limit });
    }
    Ok(())
}
