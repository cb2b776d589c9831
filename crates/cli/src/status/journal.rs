//! The part of `antiphon status` about audit journals.
//! Promise: a row for each node and group; nothing where no node keeps anything.
//! Not here: reading a journal (`verify`).

use client::api;

use crate::table::{columns, days_ago, grouped, indented, or_dash};
use crate::terminal::Terminal;

/// The table, with its heading; empty when there is nothing to show.
pub fn rows(status: &api::GetStatusResponse, terminal: Terminal) -> String {
    let mut table = columns(&[
        "NODE",
        "SEGMENTS>",
        "SIZE>",
        "OLDEST",
        "KEEPS",
        "GROUP",
        "FIRST>",
        "LAST>",
    ]);
    let kept = status
        .nodes
        .iter()
        .filter_map(|node| Some((node, node.journal.as_ref()?)))
        .filter(|(_, journal)| journal.segments > 0);
    let mut any = false;
    for (node, journal) in kept {
        any = true;
        let own = [
            node.node.clone(),
            grouped(journal.segments),
            format!("{} MiB", grouped(journal.bytes >> 20)),
            days_ago(journal.oldest_day, status.wall_ms),
            format!("{} d, {} GiB", journal.keeps_days, journal.keeps_gib),
        ];
        let ranges = journal.ranges.iter().map(|range| {
            let (first, last) = (grouped(range.first), grouped(range.last));
            [range.group.clone(), first, last]
        });
        let mut ranges: Vec<[String; 3]> = ranges.collect();
        if ranges.is_empty() {
            ranges.push([or_dash(""), or_dash(""), or_dash("")]);
        }
        for (at, range) in ranges.into_iter().enumerate() {
            // What is the node's stands once, before its first group.
            let own = own.clone().map(|cell| match at {
                0 => cell,
                _ => String::new(),
            });
            table.add_row(own.into_iter().chain(range));
        }
    }
    match any {
        true => format!("\n{}\n{}", terminal.heading("JOURNAL"), indented(&table)),
        false => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(segments: u64) -> api::GetStatusResponse {
        let range = |group: &str, first, last| api::JournalRange {
            group: group.into(),
            first,
            last,
        };
        let journal = api::JournalView {
            segments,
            bytes: segments * (64 << 20),
            oldest_day: 20_450,
            keeps_days: 30,
            keeps_gib: 16,
            ranges: vec![range("control", 0, 17), range("main", 12_345, 99_999)],
            fault: String::new(),
        };
        let node = api::NodeView {
            node: "sha-n1".into(),
            reachable: true,
            journal: Some(journal),
            ..Default::default()
        };
        api::GetStatusResponse {
            nodes: vec![node],
            wall_ms: 20_454 * 86_400_000 + 5,
            ..Default::default()
        }
    }

    #[test]
    fn a_journal_is_shown_with_its_groups_and_an_empty_one_is_not() {
        let text = rows(&status(20), Terminal::plain());
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1], ["JOURNAL"]);
        let node = "sha-n1 20 1 280 MiB 4 days ago 30 d, 16 GiB control 0 17";
        assert_eq!(lines[3].join(" "), node);
        assert_eq!(lines[4].join(" "), "main 12 345 99 999");
        assert_eq!(rows(&status(0), Terminal::plain()), "");
    }
}
