//! The parts of `antiphon status` about what nodes keep within bounds: archives and audit journals.
//! Promise: size, age and bounds look the same for both; nothing where no node keeps anything.
//! Not here: searching an archive (`archive`), reading a journal (`verify`).

use client::api;

use crate::table::{columns, days_ago, grouped, indented, or_dash};
use crate::terminal::Terminal;

/// Size, oldest day and bounds, as the columns SIZE, OLDEST and KEEPS show them.
fn bounds(bytes: u64, oldest_day: u32, (days, gib): (u32, u32), now_ms: u64) -> [String; 3] {
    [
        format!("{} MiB", grouped(bytes >> 20)),
        days_ago(oldest_day, now_ms),
        format!("{days} d, {gib} GiB"),
    ]
}

/// The table of archives, with its heading; empty when there is nothing to show.
pub fn archives(status: &api::GetStatusResponse, terminal: Terminal) -> String {
    let mut table = columns(&[
        "NODE",
        "CONVERSATIONS>",
        "SIZE>",
        "OLDEST",
        "KEEPS",
        "WAITING>",
        "STATE",
    ]);
    let shown = |archive: &&api::ArchiveView| {
        archive.conversations + archive.waiting > 0 || !archive.complete || archive.indexing
    };
    let mut any = false;
    for node in &status.nodes {
        let Some(archive) = node.archive.as_ref().filter(shown) else {
            continue;
        };
        any = true;
        let state = match (archive.complete, archive.indexing) {
            (false, _) => terminal.warn("! fetching"),
            (true, true) => terminal.warn("! indexing"),
            (true, false) => terminal.good("o whole"),
        };
        let keeps = (archive.keeps_days, archive.keeps_gib);
        let [size, oldest, keeps] =
            bounds(archive.bytes, archive.oldest_day, keeps, status.wall_ms);
        table.add_row([
            node.node.clone(),
            grouped(archive.conversations),
            size,
            oldest,
            keeps,
            grouped(archive.waiting),
            state,
        ]);
    }
    match any {
        true => format!("\n{}\n{}", terminal.heading("ARCHIVE"), indented(&table)),
        false => String::new(),
    }
}

/// The table of journals, with its heading; empty when there is nothing to show.
pub fn journals(status: &api::GetStatusResponse, terminal: Terminal) -> String {
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
        let keeps = (journal.keeps_days, journal.keeps_gib);
        let [size, oldest, keeps] =
            bounds(journal.bytes, journal.oldest_day, keeps, status.wall_ms);
        let segments = grouped(journal.segments);
        let own = [node.node.clone(), segments, size, oldest, keeps];
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
        let text = journals(&status(20), Terminal::plain());
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[1], ["JOURNAL"]);
        let node = "sha-n1 20 1 280 MiB 4 days ago 30 d, 16 GiB control 0 17";
        assert_eq!(lines[3].join(" "), node);
        assert_eq!(lines[4].join(" "), "main 12 345 99 999");
        assert_eq!(journals(&status(0), Terminal::plain()), "");
    }
    #[test]
    fn an_archive_is_shown_with_its_bounds_and_what_waits_for_it() {
        let of = |archive| {
            let mut status = status(0);
            status.nodes[0].archive = Some(archive);
            archives(&status, Terminal::plain())
        };
        let archive = api::ArchiveView {
            conversations: 12_345,
            bytes: 80 << 20,
            oldest_day: 20_453,
            keeps_days: 90,
            keeps_gib: 64,
            complete: false,
            waiting: 4_321,
            ..Default::default()
        };
        let text = of(archive);
        let row = text.lines().nth(3).unwrap_or_default();
        let words: Vec<&str> = row.split_whitespace().collect();
        let node = "sha-n1 12 345 80 MiB 1 day ago 90 d, 64 GiB 4 321 ! fetching";
        assert_eq!(words.join(" "), node);
        let empty = api::ArchiveView {
            complete: true,
            ..Default::default()
        };
        assert_eq!(of(empty), "");
    }
}
