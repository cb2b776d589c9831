//! From the control state to the records of its snapshot.
//! Promise: a fixed order: head, sites, nodes, cells, buckets, plans, requests.
//! Not here: the way back (`control_from_wire`).

use ::pb::store::v1::{self as pb, control_record::Record as Body};
use domain::control::reply::RequestPlace;
use domain::control::requests::RequestRow;
use domain::control::state::{Cell, Node};
use domain::control::{ControlDone, ControlParts};
use domain::ids::{CellId, NodeId};

use super::CONTROL_FORMAT;
use crate::control::to_wire::{addresses, members, profile};
use crate::error::machine_to_wire;
use crate::ids::request_id_to_wire;

pub(super) type Record = pb::ControlRecord;

pub(super) fn records(parts: &ControlParts) -> Vec<Record> {
    let head = std::iter::once(Body::Head(head(parts)));
    let sites = parts.sites.iter().map(|(id, site)| {
        Body::Site(pb::ControlSite {
            site: id.to_string(),
            time_zone: site.time_zone.clone(),
        })
    });
    let nodes = parts
        .nodes
        .iter()
        .map(|(id, found)| Body::Node(node(*id, found)));
    let cells = parts
        .cells
        .iter()
        .map(|(id, found)| Body::Cell(cell(*id, found)));
    let buckets = parts.buckets.regions.iter().map(|(region, cells)| {
        Body::Buckets(pb::ControlBuckets {
            region: region.to_string(),
            runs: runs(cells),
        })
    });
    let plans = parts.plans.iter().map(|stored| {
        Body::Plan(pb::ControlPlan {
            version: stored.version.0,
            wall_ms: stored.wall_ms,
            by: stored.by.to_string(),
            plan: Some(crate::plan::plan_to_wire(&stored.plan)),
        })
    });
    let requests = parts.requests.iter().flat_map(|(place, requests)| {
        requests
            .rows
            .iter()
            .map(|row| Body::Request(request(*place, row)))
    });
    let bodies = head
        .chain(sites)
        .chain(nodes)
        .chain(cells)
        .chain(buckets)
        .chain(plans)
        .chain(requests);
    bodies.map(|body| Record { record: Some(body) }).collect()
}

pub(super) fn tail(records: u64) -> Record {
    Record {
        record: Some(Body::Tail(pb::SnapshotTail { records })),
    }
}

fn head(parts: &ControlParts) -> pb::ControlHead {
    let cluster = parts.cluster.as_ref();
    pb::ControlHead {
        format: CONTROL_FORMAT,
        applied: parts.applied.0,
        now_ms: parts.now.0,
        wall_ms: parts.wall_ms,
        cluster: cluster.map(|cluster| cluster.id.to_string()),
        cluster_name: cluster
            .map(|cluster| cluster.name.clone())
            .unwrap_or_default(),
        profile: cluster
            .map_or(pb::Profile::Unspecified, |cluster| profile(cluster.profile))
            .into(),
        next_node: parts.next_node.0,
        next_cell: parts.next_cell.0,
        first_cell: parts.buckets.first.map(|cell| cell.0),
    }
}

fn node(id: NodeId, node: &Node) -> pb::ControlNode {
    pb::ControlNode {
        id: id.0,
        name: node.name.to_string(),
        site: node.site.to_string(),
        addresses: Some(addresses(&node.addresses)),
        program: node.program.clone(),
        machine_version: machine_to_wire(node.machine),
        request_id: node.request_id.as_ref().map(request_id_to_wire),
        fingerprint: node.fingerprint,
        joined_wall_ms: node.joined_wall_ms,
        removed_wall_ms: node.removed_wall_ms,
    }
}

fn cell(id: CellId, cell: &Cell) -> pb::ControlCell {
    pb::ControlCell {
        id: id.0,
        name: cell.name.clone(),
        home: cell.home.to_string(),
        members: members(&cell.members),
        running: cell.running,
    }
}

/// Neighbouring buckets of one cell as one row: a region is one row until buckets move.
fn runs(cells: &[CellId]) -> Vec<pb::BucketRun> {
    let mut runs: Vec<pb::BucketRun> = Vec::new();
    for cell in cells {
        match runs.last_mut() {
            Some(run) if run.cell == cell.0 => run.length += 1,
            _ => runs.push(pb::BucketRun {
                length: 1,
                cell: cell.0,
            }),
        }
    }
    runs
}

fn request(place: RequestPlace, row: &RequestRow) -> pb::ControlRequest {
    use pb::control_request::Done;
    let place = match place {
        RequestPlace::Nodes => pb::RequestPlace::Nodes,
        RequestPlace::Cells => pb::RequestPlace::Cells,
        RequestPlace::Plan => pb::RequestPlace::Plan,
    };
    let done = match &row.done {
        ControlDone::Nothing => Done::Nothing(pb::DoneNothing {}),
        ControlDone::Joined { node } => Done::Joined(node.0),
        ControlDone::CellCreated { cell } => Done::CellCreated(cell.0),
        ControlDone::PlanApplied { version, unchanged } => Done::PlanApplied(pb::DonePlan {
            version: version.0,
            unchanged: *unchanged,
        }),
    };
    pb::ControlRequest {
        place: place.into(),
        principal: row.principal.clone(),
        request_id: Some(request_id_to_wire(&row.request_id)),
        fingerprint: row.fingerprint,
        at_ms: row.at.0,
        done: Some(done),
    }
}
