//! From the records of a control snapshot to the state.
//! Promise: head first, tail last with the right count; every field is checked.
//! Not here: the way there (`control_to_wire`).

use std::sync::Arc;

use ::pb::store::v1::{self as pb, control_record::Record as Body};
use domain::control::reply::RequestPlace;
use domain::control::requests::RequestRow;
use domain::control::state::{Cell, Cluster, Node, Site, StoredPlan};
use domain::control::{BUCKETS, ControlDone, ControlParts};
use domain::ids::{CellId, CellTime, LogIndex, NodeId, PlanVersion};

use super::CONTROL_FORMAT;
use super::chunks::{ChunkReader, not_whole};
use crate::control::from_wire::{addresses, cluster, members, profile};
use crate::error::{WireError, check_format, machine_version};
use crate::ids::{name, need, request_id};

type Read<T> = Result<T, WireError>;

pub(super) fn parts<C: AsRef<[u8]>>(chunks: &[C]) -> Read<ControlParts> {
    let mut reader = ChunkReader::new(chunks);
    let mut next = || -> Read<Option<Body>> {
        let record = reader.next::<pb::ControlRecord>()?;
        record
            .map(|record| need(record.record, "record"))
            .transpose()
    };
    let Some(Body::Head(stored)) = next()? else {
        return Err(not_whole("it does not begin with its head"));
    };
    let mut parts = head(&stored)?;
    let mut records = 1;
    loop {
        match next()? {
            None => return Err(not_whole("its end is missing")),
            Some(Body::Tail(tail)) if tail.records == records => break,
            Some(Body::Tail(_)) => return Err(not_whole("records are missing")),
            Some(record) => load(&mut parts, record)?,
        }
        records += 1;
    }
    match next()? {
        None => Ok(parts),
        Some(_) => Err(not_whole("it goes on after its end")),
    }
}

fn head(stored: &pb::ControlHead) -> Read<ControlParts> {
    check_format(stored.format, CONTROL_FORMAT)?;
    let cluster = match &stored.cluster {
        None => None,
        Some(id) => Some(Cluster {
            id: cluster(id)?,
            name: stored.cluster_name.clone(),
            profile: profile(stored.profile)?,
        }),
    };
    let mut parts = ControlParts {
        applied: LogIndex(stored.applied),
        now: CellTime(stored.now_ms),
        wall_ms: stored.wall_ms,
        cluster,
        next_node: NodeId(stored.next_node),
        next_cell: CellId(stored.next_cell),
        ..ControlParts::default()
    };
    parts.buckets.first = stored.first_cell.map(CellId);
    Ok(parts)
}

fn load(parts: &mut ControlParts, record: Body) -> Read<()> {
    match record {
        Body::Head(_) | Body::Tail(_) => return Err(not_whole("it has two heads")),
        Body::Site(site) => {
            let time_zone = site.time_zone.clone();
            parts
                .sites
                .insert(name(&site.site, "site")?, Site { time_zone });
        }
        Body::Node(stored) => drop(parts.nodes.insert(NodeId(stored.id), node(&stored)?)),
        Body::Cell(stored) => drop(parts.cells.insert(CellId(stored.id), cell(&stored)?)),
        Body::Buckets(stored) => {
            let cells = buckets(&stored.runs)?;
            parts
                .buckets
                .regions
                .insert(name(&stored.region, "region")?, cells);
        }
        Body::Plan(stored) => parts.plans.push(Arc::new(plan(&stored)?)),
        Body::Request(stored) => {
            let (place, row) = request(&stored)?;
            parts.requests.entry(place).or_default().rows.push(row);
        }
    }
    Ok(())
}

fn node(stored: &pb::ControlNode) -> Read<Node> {
    let request_id = match &stored.request_id {
        None => None,
        Some(_) => Some(request_id(stored.request_id.as_ref())?),
    };
    Ok(Node {
        name: name(&stored.name, "node.name")?,
        site: name(&stored.site, "node.site")?,
        addresses: addresses(stored.addresses.as_ref())?,
        program: stored.program.clone(),
        machine: machine_version(stored.machine_version),
        request_id,
        fingerprint: stored.fingerprint,
        joined_wall_ms: stored.joined_wall_ms,
        removed_wall_ms: stored.removed_wall_ms,
    })
}

fn cell(stored: &pb::ControlCell) -> Read<Cell> {
    Ok(Cell {
        name: stored.name.clone(),
        home: name(&stored.home, "cell.home")?,
        members: members(&stored.members)?,
        running: stored.running,
    })
}

fn buckets(runs: &[pb::BucketRun]) -> Read<Vec<CellId>> {
    let mut cells = Vec::with_capacity(usize::from(BUCKETS));
    for run in runs {
        let length = usize::try_from(run.length).unwrap_or(usize::MAX);
        if length > usize::from(BUCKETS) - cells.len() {
            let value = u64::from(run.length);
            return Err(WireError::BadValue {
                field: "buckets.length",
                value,
            });
        }
        cells.extend(std::iter::repeat_n(CellId(run.cell), length));
    }
    if cells.len() < usize::from(BUCKETS) {
        return Err(not_whole("a region lacks buckets"));
    }
    Ok(cells)
}

fn plan(stored: &pb::ControlPlan) -> Read<StoredPlan> {
    Ok(StoredPlan {
        version: PlanVersion(stored.version),
        wall_ms: stored.wall_ms,
        by: name(&stored.by, "plan.by")?,
        plan: Arc::new(crate::plan::plan_from_wire(need(
            stored.plan.as_ref(),
            "plan.plan",
        )?)?),
    })
}

fn request(stored: &pb::ControlRequest) -> Read<(RequestPlace, RequestRow)> {
    use pb::control_request::Done;
    let place = match stored.place() {
        pb::RequestPlace::Nodes => RequestPlace::Nodes,
        pb::RequestPlace::Cells => RequestPlace::Cells,
        pb::RequestPlace::Plan => RequestPlace::Plan,
        pb::RequestPlace::Unspecified => {
            let value = u64::from(stored.place.unsigned_abs());
            return Err(WireError::BadValue {
                field: "request.place",
                value,
            });
        }
    };
    let done = match need(stored.done.as_ref(), "request.done")? {
        Done::Nothing(_) => ControlDone::Nothing,
        Done::Joined(node) => ControlDone::Joined {
            node: NodeId(*node),
        },
        Done::CellCreated(cell) => ControlDone::CellCreated {
            cell: CellId(*cell),
        },
        Done::PlanApplied(applied) => ControlDone::PlanApplied {
            version: PlanVersion(applied.version),
            unchanged: applied.unchanged,
        },
    };
    let row = RequestRow {
        principal: stored.principal.clone(),
        request_id: request_id(stored.request_id.as_ref())?,
        fingerprint: stored.fingerprint,
        at: CellTime(stored.at_ms),
        done,
    };
    Ok((place, row))
}
