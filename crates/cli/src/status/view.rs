//! The screen of `antiphon status`.
//! Promise: state first; tables worst first; NEXT only when there is something to do.
//! Not here: asking (`super`).

use std::collections::BTreeMap;

use client::api::{self, Health};

use super::kept;
use crate::queue;
use crate::table::{columns, grouped, indented, or_dash, span};
use crate::terminal::Terminal;

/// Ids are shown by their first characters.
const ID_CHARS: usize = 8;

/// The whole screen.
pub fn screen(status: &api::GetStatusResponse, terminal: Terminal) -> String {
    let mut text = head(status, terminal);
    text.push_str(&sites(status, terminal));
    if let Some(floor) = status
        .floor
        .as_ref()
        .filter(|floor| !floor.queues.is_empty())
    {
        let heading = terminal.heading("QUEUES");
        text.push_str(&format!(
            "\n{heading}   (worst first, cell {}, index {})\n",
            floor.cell, floor.applied_index
        ));
        text.push_str(&queue::rows(&floor.queues, terminal));
    }
    text.push_str(&nodes(status, terminal));
    text.push_str(&groups(status, terminal));
    text.push_str(&kept::archives(status, terminal));
    text.push_str(&kept::journals(status, terminal));
    if !status.next.is_empty() {
        text.push_str(&format!("\n{}\n", terminal.heading("NEXT")));
        status
            .next
            .iter()
            .for_each(|next| text.push_str(&format!("  {next}\n")));
    }
    text
}

fn head(status: &api::GetStatusResponse, terminal: Terminal) -> String {
    let id: String = status.cluster_id.chars().take(ID_CHARS).collect();
    let sites = by_site(status).len();
    let cluster = terminal.heading("CLUSTER");
    let first = format!(
        "{cluster}  {}   id {id}   {sites} sites   profile {}   plan v{}   asked {}\n",
        or_dash(&status.cluster),
        or_dash(&status.profile),
        status.plan_version,
        or_dash(&status.answered_by)
    );
    let state = match status.health() {
        Health::Ok => terminal.good("OK - everything works"),
        Health::Degraded => terminal.warn(&problem("DEGRADED", status)),
        Health::Down => terminal.bad(&problem("DOWN", status)),
        Health::Unspecified => terminal.warn(&problem("UNKNOWN", status)),
    };
    let mut text = format!("{first}{}    {state}\n", terminal.heading("STATE"));
    for more in status.problems.iter().skip(1) {
        text.push_str(&format!("         {}\n", terminal.warn(more)));
    }
    text
}

fn problem(word: &str, status: &api::GetStatusResponse) -> String {
    match status.problems.first() {
        Some(problem) => format!("{word} - {problem}"),
        None => word.to_owned(),
    }
}

fn by_site(status: &api::GetStatusResponse) -> BTreeMap<&str, Vec<&api::NodeView>> {
    let mut sites: BTreeMap<&str, Vec<&api::NodeView>> = BTreeMap::new();
    for node in &status.nodes {
        sites.entry(&node.site).or_default().push(node);
    }
    sites
}

fn sites(status: &api::GetStatusResponse, terminal: Terminal) -> String {
    let floor = status.floor.clone().unwrap_or_default();
    let mut rows: Vec<(bool, [String; 7])> = Vec::new();
    for (site, nodes) in by_site(status) {
        let up = nodes.iter().filter(|node| node.reachable).count();
        let state = match up {
            0 => terminal.bad("x LOST"),
            up if up < nodes.len() => terminal.warn("! partly"),
            _ => terminal.good("o up"),
        };
        let leads: Vec<&str> = status
            .groups
            .iter()
            .filter(|group| nodes.iter().any(|node| node.node == group.leader))
            .map(|group| group.group.as_str())
            .collect();
        let view = floor
            .sites
            .iter()
            .find(|view| view.site == site)
            .cloned()
            .unwrap_or_default();
        let row = [
            site.to_owned(),
            state,
            format!("{up}/{}", nodes.len()),
            or_dash(&leads.join(", ")),
            view.conversations.to_string(),
            view.waiting.to_string(),
            format!("{}/{}", view.agents_ready, view.agents),
        ];
        rows.push((up == nodes.len(), row));
    }
    rows.sort_by_key(|(whole, _)| *whole);
    let mut table = columns(&[
        "SITE",
        "STATE",
        "NODES>",
        "LEADS",
        "CONVERSATIONS>",
        "WAITING>",
        "AGENTS ready/on>",
    ]);
    rows.into_iter().for_each(|(_, row)| {
        table.add_row(row);
    });
    format!("\n{}\n{}", terminal.heading("SITES"), indented(&table))
}

fn nodes(status: &api::GetStatusResponse, terminal: Terminal) -> String {
    let mut nodes: Vec<&api::NodeView> = status.nodes.iter().collect();
    nodes.sort_by_key(|node| node.reachable);
    let mut table = columns(&[
        "NODE",
        "STATE",
        "API",
        "UP>",
        "STREAMS>",
        "MEMORY>",
        "ROUND TRIP>",
        "CLOCK>",
        "VERSION",
    ]);
    for node in nodes {
        let known = |text: String| if node.reachable { text } else { "-".to_owned() };
        let state = match (node.reachable, node.problems.first()) {
            (false, _) => terminal.bad("x no answer"),
            (true, Some(problem)) => terminal.warn(&format!("! {problem}")),
            (true, None) => terminal.good("o up"),
        };
        table.add_row([
            node.node.clone(),
            state,
            node.api_address.clone(),
            known(span(node.up_ms)),
            known(node.streams.to_string()),
            known(format!("{} MiB", node.resident_mib)),
            known(format!(
                "{}.{} ms",
                node.round_trip_us / 1_000,
                node.round_trip_us % 1_000 / 100
            )),
            known(format!("{:+} ms", node.clock_offset_ms)),
            node.version.clone(),
        ]);
    }
    format!("\n{}\n{}", terminal.heading("NODES"), indented(&table))
}

fn groups(status: &api::GetStatusResponse, terminal: Terminal) -> String {
    let mut text = format!("\n{}\n", terminal.heading("RAFT"));
    let mut table = columns(&[
        "GROUP",
        "LEADER",
        "TERM>",
        "COMMIT>",
        "APPLIED>",
        "SNAPSHOT>",
        "CHECKPOINT>",
        "TRAIL",
        "SURVIVES",
    ]);
    for group in &status.groups {
        let leader = match group.leader.as_str() {
            "" => terminal.bad("x none"),
            leader => leader.to_owned(),
        };
        table.add_row([
            group.group.clone(),
            leader,
            group.term.to_string(),
            grouped(group.committed),
            grouped(group.applied),
            grouped(group.snapshot),
            grouped(group.checkpoint),
            trail(group),
            survives(group, terminal),
        ]);
    }
    text.push_str(&indented(&table));
    text
}

/// How far each member but the leader is behind.
fn trail(group: &api::GroupView) -> String {
    let others = group
        .members
        .iter()
        .filter(|member| member.node != group.leader);
    let words: Vec<String> = others
        .map(|member| {
            let behind = match (member.reachable, member.trails) {
                (false, _) => "no answer".to_owned(),
                (true, Some(entries)) => grouped(entries),
                (true, None) => "?".to_owned(),
            };
            let role = if member.voter { "" } else { " (learner)" };
            format!("{}{role} {behind}", member.node)
        })
        .collect();
    or_dash(&words.join(", "))
}

fn survives(group: &api::GroupView, terminal: Terminal) -> String {
    let plural = |count: u32, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    let text = format!(
        "{}, {}",
        plural(group.survives_nodes, "node"),
        plural(group.survives_sites, "site")
    );
    match group.survives_nodes {
        0 => terminal.warn(&text),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, site: &str, reachable: bool) -> api::NodeView {
        api::NodeView {
            node: name.into(),
            site: site.into(),
            reachable,
            ..Default::default()
        }
    }

    fn degraded() -> api::GetStatusResponse {
        api::GetStatusResponse {
            cluster: "acme".into(),
            cluster_id: "7f3a91d0-aaaa".into(),
            profile: "lan".into(),
            plan_version: 18,
            health: Health::Degraded.into(),
            problems: vec!["site fra is not reachable".into()],
            nodes: vec![node("sha-n1", "sha", true), node("fra-n1", "fra", false)],
            groups: vec![api::GroupView {
                group: "main".into(),
                term: 14,
                leader: "sha-n1".into(),
                committed: 1_204_331,
                members: vec![
                    api::MemberView {
                        node: "sha-n1".into(),
                        voter: true,
                        trails: Some(0),
                        reachable: true,
                        halted: None,
                    },
                    api::MemberView {
                        node: "fra-n1".into(),
                        voter: true,
                        trails: None,
                        reachable: false,
                        halted: None,
                    },
                ],
                ..Default::default()
            }],
            next: vec!["antiphon status --watch".into()],
            ..Default::default()
        }
    }

    #[test]
    fn the_state_comes_first_and_the_worst_site_heads_its_table() {
        let text = screen(&degraded(), Terminal::plain());
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("CLUSTER  acme   id 7f3a91d0   2 sites   profile lan   plan v18")
        );
        assert_eq!(lines[1], "STATE    DEGRADED - site fra is not reachable");
        let sites: Vec<&&str> = lines
            .iter()
            .skip_while(|line| **line != "SITES")
            .skip(2)
            .take(2)
            .collect();
        assert!(sites[0].contains("fra") && sites[0].contains("x LOST"));
        assert!(sites[1].contains("sha") && sites[1].contains("main"));
        assert!(text.contains("1 204 331"));
        assert!(text.contains("fra-n1 no answer"));
        assert!(text.ends_with("NEXT\n  antiphon status --watch\n"));
    }

    #[test]
    fn a_healthy_cluster_has_nothing_next() {
        let status = api::GetStatusResponse {
            health: Health::Ok.into(),
            ..Default::default()
        };
        let text = screen(&status, Terminal::plain());
        assert!(text.contains("STATE    OK - everything works"));
        assert!(!text.contains("NEXT"));
    }
}
