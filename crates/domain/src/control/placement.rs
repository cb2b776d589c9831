//! Placement: which nodes vote.
//! Promise: the same nodes give the same answer; no site gets two votes in one group.
//! Not here: bringing the answer about (`node`, `raft`).

use std::collections::BTreeMap;

use super::state::ControlParts;
use crate::ids::{CellId, NodeId, SiteId};

/// Voters of the control group: a third and a fifth site add safety, further ones only cost.
pub const CONTROL_VOTERS_MAX: usize = 5;

/// The voters that the control group should have: the longest-standing living node of each
/// site, an odd number of sites, the longest-standing sites first. Two sites give two voters,
/// because one alone would be the loss of everything with that site.
pub fn control_voters(parts: &ControlParts) -> BTreeMap<SiteId, NodeId> {
    let mut oldest: Vec<(NodeId, &SiteId)> = oldest_of_each_site(parts)
        .into_iter()
        .map(|(s, n)| (n, s))
        .collect();
    oldest.sort();
    let keep = match oldest.len() {
        0..=3 => oldest.len(),
        4 => 3,
        _ => CONTROL_VOTERS_MAX,
    };
    oldest
        .into_iter()
        .take(keep)
        .map(|(node, site)| (site.clone(), node))
        .collect()
}

/// The members that a new cell would get: the longest-standing living node of each site.
pub fn cell_members(parts: &ControlParts) -> BTreeMap<SiteId, NodeId> {
    oldest_of_each_site(parts)
        .into_iter()
        .map(|(site, node)| (site.clone(), node))
        .collect()
}

/// Cells that the node is a member of.
pub fn cells_of_node(parts: &ControlParts, node: NodeId) -> impl Iterator<Item = CellId> + '_ {
    let holds =
        move |members: &BTreeMap<SiteId, NodeId>| members.values().any(|member| *member == node);
    parts
        .cells
        .iter()
        .filter(move |(_, cell)| holds(&cell.members))
        .map(|(id, _)| *id)
}

fn oldest_of_each_site(parts: &ControlParts) -> BTreeMap<&SiteId, NodeId> {
    let mut oldest = BTreeMap::new();
    for (id, node) in parts.living_nodes() {
        oldest.entry(&node.site).or_insert(id);
    }
    oldest
}
