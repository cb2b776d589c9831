//! From the domain's control commands to stored ones.
//! Promise: every field is written, tables in order of their keys.
//! Not here: the way back (`from_wire`).

use std::collections::BTreeMap;

use ::pb::store::v1::{self as pb, control_entry::Command as Stored};
use domain::control::command::{
    Addresses, ApplyPlan, ControlCommand, ControlEntry, CreateCell, Found, Join, NodeAddress,
    PlaceCell, Profile, RemoveNode, SiteProfile,
};
use domain::ids::{NodeId, SiteId};

use super::CONTROL_ENTRY_FORMAT;
use crate::error::machine_to_wire;
use crate::ids::request_id_to_wire;

pub(super) fn entry(entry: &ControlEntry) -> pb::ControlEntry {
    pb::ControlEntry {
        format: CONTROL_ENTRY_FORMAT,
        at_ms: entry.at.0,
        wall_ms: entry.wall_ms,
        command: Some(command(&entry.command)),
    }
}

fn command(command: &ControlCommand) -> Stored {
    match command {
        ControlCommand::Found(asked) => Stored::Found(found(asked)),
        ControlCommand::Join(asked) => Stored::Join(join(asked)),
        ControlCommand::NodeAddress(moved) => Stored::NodeAddress(node_address(moved)),
        ControlCommand::RemoveNode(asked) => Stored::RemoveNode(remove_node(asked)),
        ControlCommand::CreateCell(asked) => Stored::CreateCell(create_cell(asked)),
        ControlCommand::PlaceCell(placed) => Stored::PlaceCell(place_cell(placed)),
        ControlCommand::CellRunning { cell } => {
            Stored::CellRunning(pb::CellRunning { cell: cell.0 })
        }
        ControlCommand::ApplyPlan(asked) => Stored::ApplyPlan(apply_plan(asked)),
    }
}

pub(crate) fn profile(profile: Profile) -> pb::Profile {
    match profile {
        Profile::Lan => pb::Profile::Lan,
        Profile::Regional => pb::Profile::Regional,
        Profile::Global => pb::Profile::Global,
    }
}

pub(crate) fn addresses(addresses: &Addresses) -> pb::Addresses {
    pb::Addresses {
        peer: addresses.peer.clone(),
        api: addresses.api.clone(),
    }
}

pub(crate) fn members(members: &BTreeMap<SiteId, NodeId>) -> Vec<pb::Member> {
    members
        .iter()
        .map(|(site, node)| pb::Member {
            site: site.to_string(),
            node: node.0,
        })
        .collect()
}

fn site(site: &SiteProfile) -> pb::SiteProfile {
    pb::SiteProfile {
        site: site.site.to_string(),
        time_zone: site.time_zone.clone(),
    }
}

fn found(found: &Found) -> pb::Found {
    pb::Found {
        cluster: found.cluster.to_string(),
        cluster_name: found.cluster_name.clone(),
        profile: profile(found.profile).into(),
        node: found.node.to_string(),
        site: Some(site(&found.site)),
        addresses: Some(addresses(&found.addresses)),
        program: found.program.clone(),
        machine_version: machine_to_wire(found.machine),
    }
}

fn join(join: &Join) -> pb::Join {
    pb::Join {
        request_id: Some(request_id_to_wire(&join.request_id)),
        node: join.node.to_string(),
        site: Some(site(&join.site)),
        addresses: Some(addresses(&join.addresses)),
        profile: profile(join.profile).into(),
        program: join.program.clone(),
        machine_version: machine_to_wire(join.machine),
    }
}

fn node_address(moved: &NodeAddress) -> pb::NodeAddress {
    pb::NodeAddress {
        node: moved.node.0,
        addresses: Some(addresses(&moved.addresses)),
        profile: profile(moved.profile).into(),
        program: moved.program.clone(),
        machine_version: machine_to_wire(moved.machine),
    }
}

fn remove_node(remove: &RemoveNode) -> pb::RemoveNode {
    pb::RemoveNode {
        request_id: Some(request_id_to_wire(&remove.request_id)),
        by: remove.by.to_string(),
        node: remove.node.0,
    }
}

fn create_cell(create: &CreateCell) -> pb::CreateCell {
    pb::CreateCell {
        request_id: Some(request_id_to_wire(&create.request_id)),
        by: create.by.to_string(),
        name: create.name.clone(),
        home: create.home.to_string(),
        members: members(&create.members),
    }
}

fn place_cell(placed: &PlaceCell) -> pb::PlaceCell {
    pb::PlaceCell {
        cell: placed.cell.0,
        members: members(&placed.members),
    }
}

fn apply_plan(apply: &ApplyPlan) -> pb::ApplyPlan {
    pb::ApplyPlan {
        request_id: Some(request_id_to_wire(&apply.request_id)),
        by: apply.by.to_string(),
        expected: apply.expected.0,
        plan: Some(crate::plan::plan_to_wire(&apply.plan)),
    }
}
