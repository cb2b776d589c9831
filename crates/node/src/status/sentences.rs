//! What is wrong with a cluster, as sentences, and what to type next.
//! Promise: pure; each sentence names what it is about.
//! Not here: gathering (`gather`).

use domain::cell::archive::{ENDED_BYTES_MAX, ENDED_MAX};
use pb::api::v1::{ArchiveView, GetStatusResponse, GroupView, Health, NodeView};

use super::survive::{Survives, Voter, survives};
use crate::control::CONTROL_NAME;

/// A wall clock further off than this is a problem, in milliseconds.
pub(crate) const CLOCK_OFFSET_MS_MAX: i64 = 500;
/// Fewer sites cannot lose one.
const SITES_MIN: usize = 3;
/// So much of what refuses new conversations is a problem, in per cent: half of it may rest before it is
/// archived.
const ENDED_PERCENT: u64 = 80;

/// Fills in what follows from nodes and groups: losses survived, problems, health, next commands.
pub(super) fn conclude(status: &mut GetStatusResponse) {
    let survived: Vec<Survives> = status
        .groups
        .iter()
        .map(|group| survives(&voters(group, &status.nodes)))
        .collect();
    for (group, survived) in status.groups.iter_mut().zip(&survived) {
        group.survives_nodes = survived.nodes;
        group.survives_sites = survived.sites;
    }
    let mut problems: Vec<String> = status.nodes.iter().flat_map(node_problems).collect();
    problems.extend(site_problem(&status.nodes));
    let formed = status.groups.len() > 1;
    for (group, survived) in status.groups.iter().zip(&survived) {
        problems.extend(group_problem(group, *survived, formed));
        problems.extend(archives_behind(group));
    }
    if status.plan_version == 0 {
        problems.push("no floor plan is in force".to_owned());
    }
    let down = !formed
        || survived.iter().any(|group| !group.serves)
        || status.groups.iter().any(|group| stops_all(group).is_some())
        || status.groups.iter().any(|g| g.leader.is_empty());
    let health = match (down, problems.is_empty()) {
        (true, _) => Health::Down,
        (false, false) => Health::Degraded,
        (false, true) => Health::Ok,
    };
    status.next = next(status, formed);
    status.problems = problems;
    status.health = health.into();
}

fn voters(group: &GroupView, nodes: &[NodeView]) -> Vec<Voter> {
    let voter = |name: &str, reachable: bool| {
        let node = nodes.iter().find(|node| node.node == name);
        let site = node.map(|node| node.site.clone()).unwrap_or_default();
        Voter {
            site,
            alive: node.map_or(reachable, |node| node.reachable),
        }
    };
    let members = group.members.iter().filter(|member| member.voter);
    members
        .map(|member| voter(&member.node, member.reachable))
        .collect()
}

fn node_problems(node: &NodeView) -> Vec<String> {
    if !node.reachable {
        return vec![format!(
            "node {} of site {} does not answer",
            node.node, node.site
        )];
    }
    let mut problems: Vec<String> = node
        .problems
        .iter()
        .map(|said| format!("node {}: {said}", node.node))
        .collect();
    problems.extend(
        node.archive
            .as_ref()
            .and_then(|archive| over_cap(&node.node, archive)),
    );
    if node.clock_offset_ms.abs() > CLOCK_OFFSET_MS_MAX {
        let offset = node.clock_offset_ms;
        problems.push(format!(
            "the wall clock of node {} is {offset} ms off that of the answering node",
            node.node
        ));
    }
    problems
}

fn site_problem(nodes: &[NodeView]) -> Option<String> {
    let mut sites: Vec<&str> = nodes.iter().map(|node| node.site.as_str()).collect();
    sites.sort_unstable();
    sites.dedup();
    if sites.len() >= SITES_MIN {
        return None;
    }
    let names = sites.join(", ");
    Some(match sites.len() {
        2 => format!(
            "there are two sites ({names}): the cluster cannot survive the loss of either; add a third"
        ),
        count => format!(
            "there is {count} site ({names}) of at least three: add nodes at two further sites"
        ),
    })
}

fn group_problem(group: &GroupView, survived: Survives, formed: bool) -> Option<String> {
    let name = &group.group;
    if let Some((index, stopped)) = stops_all(group) {
        return Some(format!(
            "group {name} serves nothing: {stopped} of its replicas stopped at entry {index}"
        ));
    }
    if !survived.serves {
        return Some(format!(
            "group {name} has lost its majority: nothing can be acknowledged"
        ));
    }
    if group.leader.is_empty() {
        return Some(format!("group {name} has no leader at present"));
    }
    if formed && survived.sites == 0 {
        return Some(format!(
            "group {name} would not survive the loss of one more site"
        ));
    }
    None
}

/// The newest day alone takes more of an archive than it may have.
fn over_cap(node: &str, archive: &ArchiveView) -> Option<String> {
    let tenths = (archive.over_bytes.saturating_mul(10) >> 30).max(1);
    let (gib, tenth, cap) = (tenths / 10, tenths % 10, archive.keeps_gib);
    (archive.over_bytes > 0).then(|| {
        format!(
            "the archive of node {node} is {gib}.{tenth} GiB over its {cap} GiB: the newest day takes it and is not \
             dropped; raise storage.archive_max_gib, or give it a larger disk"
        )
    })
}

/// So much has ended and not left the state that soon nothing new is opened.
fn archives_behind(group: &GroupView) -> Option<String> {
    let (count, bytes) = (group.ended_waiting, group.ended_waiting_bytes);
    let near = |now: u64, max: u64| now.saturating_mul(100) >= max * ENDED_PERCENT;
    (near(count, ENDED_MAX) || near(bytes, ENDED_BYTES_MAX)).then(|| {
        format!(
            "{count} ended conversations of {}, {} MiB, wait for the archives: at {ENDED_MAX}, or {} MiB, nothing new \
             is opened",
            group.group,
            bytes >> 20,
            ENDED_BYTES_MAX >> 20
        )
    })
}

fn next(status: &GetStatusResponse, formed: bool) -> Vec<String> {
    let mut next = Vec::new();
    if !formed {
        let seed = status
            .nodes
            .iter()
            .find(|node| node.reachable)
            .map_or("", |node| node.peer_address.as_str());
        next.push(format!(
            "antiphon join {seed} --site NAME    on a machine of a further site"
        ));
    }
    if status.nodes.iter().any(|node| !node.reachable) {
        next.push(
            "antiphon status --watch    see the node come back, or start it: antiphon serve"
                .to_owned(),
        );
    }
    for group in &status.groups {
        if let Some((index, _)) = stops_all(group) {
            next.push(format!(
                "antiphon cell skip --cell {} --index {index} --reason WHY    pass over the entry that stops \
                 every replica",
                group.group
            ));
        }
    }
    if status.plan_version == 0 {
        next.push("antiphon floor apply floor.toml    bring a floor plan into force".to_owned());
    }
    next
}

/// The entry at which a majority of the voters stopped, and how many did.
fn stops_all(group: &GroupView) -> Option<(u64, usize)> {
    let voters = group.members.iter().filter(|member| member.voter);
    let halts = group.members.iter().filter(|member| member.voter);
    let halts: Vec<u64> = halts
        .filter_map(|member| member.halted.as_ref())
        .filter(|halt| halt.skippable)
        .map(|halt| halt.index)
        .collect();
    let majority = voters.count() / 2 + 1;
    let first = *halts.iter().min()?;
    let at_first = halts.iter().filter(|index| **index == first).count();
    (at_first >= majority).then_some((first, at_first))
}

/// The control group comes first, cells by name.
pub(super) fn order(groups: &mut [GroupView]) {
    groups.sort_by(|a, b| {
        (a.group != CONTROL_NAME, &a.group).cmp(&(b.group != CONTROL_NAME, &b.group))
    });
}
