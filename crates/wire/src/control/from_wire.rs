//! From stored control commands to the domain's.
//! Promise: every field is checked; nothing is guessed.
//! Not here: the way there (`to_wire`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ::pb::store::v1::{self as pb, control_entry::Command as Stored};
use domain::control::command::{
    Addresses, ApplyPlan, ClusterId, ControlCommand, ControlEntry, CreateCell, Found, Join,
    NodeAddress, PlaceCell, Profile, RemoveNode, SiteProfile,
};
use domain::ids::{CellId, CellTime, NodeId, PlanVersion, SiteId};

use crate::error::{WireError, machine_version};
use crate::ids::{name, need, request_id};

type Read<T> = Result<T, WireError>;

pub(super) fn entry(stored: &pb::ControlEntry) -> Read<ControlEntry> {
    let asked = need(stored.command.as_ref(), "command")?;
    Ok(ControlEntry {
        at: CellTime(stored.at_ms),
        wall_ms: stored.wall_ms,
        command: command(asked)?,
    })
}

fn command(stored: &Stored) -> Read<ControlCommand> {
    Ok(match stored {
        Stored::Found(asked) => ControlCommand::Found(found(asked)?),
        Stored::Join(asked) => ControlCommand::Join(join(asked)?),
        Stored::NodeAddress(moved) => ControlCommand::NodeAddress(node_address(moved)?),
        Stored::RemoveNode(asked) => ControlCommand::RemoveNode(RemoveNode {
            request_id: request_id(asked.request_id.as_ref())?,
            by: name(&asked.by, "by")?,
            node: NodeId(asked.node),
        }),
        Stored::CreateCell(asked) => ControlCommand::CreateCell(create_cell(asked)?),
        Stored::PlaceCell(placed) => ControlCommand::PlaceCell(PlaceCell {
            cell: CellId(placed.cell),
            members: members(&placed.members)?,
        }),
        Stored::CellRunning(running) => ControlCommand::CellRunning {
            cell: CellId(running.cell),
        },
        Stored::ApplyPlan(asked) => ControlCommand::ApplyPlan(apply_plan(asked)?),
    })
}

pub(crate) fn cluster(text: &str) -> Read<ClusterId> {
    ClusterId::new(text).map_err(|problem| WireError::BadId {
        field: "cluster",
        problem,
    })
}

pub(crate) fn profile(value: i32) -> Read<Profile> {
    match pb::Profile::try_from(value) {
        Ok(pb::Profile::Lan) => Ok(Profile::Lan),
        Ok(pb::Profile::Regional) => Ok(Profile::Regional),
        Ok(pb::Profile::Global) => Ok(Profile::Global),
        Ok(pb::Profile::Unspecified) | Err(_) => Err(WireError::BadValue {
            field: "profile",
            value: u64::from(value.unsigned_abs()),
        }),
    }
}

pub(crate) fn addresses(stored: Option<&pb::Addresses>) -> Read<Addresses> {
    let stored = need(stored, "addresses")?;
    Ok(Addresses {
        peer: stored.peer.clone(),
        api: stored.api.clone(),
    })
}

pub(crate) fn members(stored: &[pb::Member]) -> Read<BTreeMap<SiteId, NodeId>> {
    let mut members = BTreeMap::new();
    for member in stored {
        if members
            .insert(name(&member.site, "members.site")?, NodeId(member.node))
            .is_some()
        {
            return Err(WireError::Repeated {
                field: "members",
                key: member.site.clone(),
            });
        }
    }
    Ok(members)
}

fn site(stored: Option<&pb::SiteProfile>) -> Read<SiteProfile> {
    let stored = need(stored, "site")?;
    Ok(SiteProfile {
        site: name(&stored.site, "site")?,
        time_zone: stored.time_zone.clone(),
    })
}

fn found(stored: &pb::Found) -> Read<Found> {
    Ok(Found {
        cluster: cluster(&stored.cluster)?,
        cluster_name: stored.cluster_name.clone(),
        profile: profile(stored.profile)?,
        node: name(&stored.node, "node")?,
        site: site(stored.site.as_ref())?,
        addresses: addresses(stored.addresses.as_ref())?,
        program: stored.program.clone(),
        machine: machine_version(stored.machine_version),
    })
}

fn join(stored: &pb::Join) -> Read<Join> {
    Ok(Join {
        request_id: request_id(stored.request_id.as_ref())?,
        node: name(&stored.node, "node")?,
        site: site(stored.site.as_ref())?,
        addresses: addresses(stored.addresses.as_ref())?,
        profile: profile(stored.profile)?,
        program: stored.program.clone(),
        machine: machine_version(stored.machine_version),
    })
}

fn node_address(stored: &pb::NodeAddress) -> Read<NodeAddress> {
    Ok(NodeAddress {
        node: NodeId(stored.node),
        addresses: addresses(stored.addresses.as_ref())?,
        profile: profile(stored.profile)?,
        program: stored.program.clone(),
        machine: machine_version(stored.machine_version),
    })
}

fn create_cell(stored: &pb::CreateCell) -> Read<CreateCell> {
    Ok(CreateCell {
        request_id: request_id(stored.request_id.as_ref())?,
        by: name(&stored.by, "by")?,
        name: stored.name.clone(),
        home: name(&stored.home, "home")?,
        members: members(&stored.members)?,
    })
}

fn apply_plan(stored: &pb::ApplyPlan) -> Read<ApplyPlan> {
    Ok(ApplyPlan {
        request_id: request_id(stored.request_id.as_ref())?,
        by: name(&stored.by, "by")?,
        expected: PlanVersion(stored.expected),
        plan: Arc::new(crate::plan::plan_from_wire(need(
            stored.plan.as_ref(),
            "plan",
        )?)?),
    })
}
