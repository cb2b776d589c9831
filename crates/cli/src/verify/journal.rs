//! The part of `antiphon verify --data DIR` about the audit journal.
//! Promise: what does not hold is named by group, entry and place; a gap to the log is said.
//! Not here: reading it (`node`).

use node::{JournalBreach, JournalProof};

use super::name_of;
use crate::failure::Failure;
use crate::table::{columns, days_ago, grouped, indented, or_dash};
use crate::terminal::Terminal;

/// Breaches that are printed; programs get all that are told one by one.
const BREACHES_SHOWN: usize = 10;

/// As programs read it.
pub fn as_json(proof: &JournalProof) -> serde_json::Value {
    let groups = proof.groups.iter().map(|held| {
        serde_json::json!({
            "group": held.group,
            "name": name_of(held.group),
            "first": held.first,
            "last": held.last,
            "entries": held.entries,
            "gap": held.gap.map(|(first, last)| serde_json::json!({ "first": first, "last": last })),
        })
    });
    let breaches = proof.breaches.iter().map(|breach| {
        serde_json::json!({
            "group": breach.entries.map(|(group, ..)| group),
            "first": breach.entries.map(|(_, first, _)| first),
            "last": breach.entries.map(|(.., last)| last),
            "seen": breach.seen,
            "place": breach.place,
        })
    });
    serde_json::json!({
        "segments": proof.segments,
        "bytes": proof.bytes,
        "oldestDay": proof.oldest_day,
        "newestDay": proof.newest_day,
        "groups": serde_json::Value::from_iter(groups),
        "breaches": serde_json::Value::from_iter(breaches),
        "moreBreaches": proof.more_breaches,
        "unreadable": proof.unreadable,
    })
}

/// A heading, a row for each group, and what does not hold.
pub fn rows(proof: &JournalProof, now_ms: u64, terminal: Terminal) -> String {
    let heading = terminal.heading("JOURNAL");
    if let Some(reason) = &proof.unreadable {
        let said = terminal.bad(&format!("x it cannot be read: {reason}"));
        return format!("\n{heading}\n  {said}\n");
    }
    if proof.segments == 0 {
        return format!("\n{heading}\n  it is empty\n");
    }
    let mut table = columns(&["GROUP", "ENTRIES>", "FROM>", "TO>", "GAP TO THE LOG"]);
    for held in &proof.groups {
        let gap = held.gap.map(|(first, last)| {
            let both = format!("{} to {}", grouped(first), grouped(last));
            terminal.warn(&both)
        });
        table.add_row([
            name_of(held.group),
            grouped(held.entries),
            grouped(held.first),
            grouped(held.last),
            or_dash(&gap.unwrap_or_default()),
        ]);
    }
    let size = format!(
        "{} segments, {} MiB, the oldest of {}",
        grouped(proof.segments),
        grouped(proof.bytes >> 20),
        days_ago(proof.oldest_day.unwrap_or_default(), now_ms)
    );
    let mut text = format!("\n{heading}   ({size})\n{}", indented(&table));
    for breach in proof.breaches.iter().take(BREACHES_SHOWN) {
        text.push_str(&format!(
            "  {}\n",
            terminal.bad(&format!("x {}", said(breach)))
        ));
    }
    let shown = proof.breaches.len().min(BREACHES_SHOWN) as u64;
    let more = proof.breaches.len() as u64 - shown + proof.more_breaches;
    if more > 0 {
        let line = format!("x and {} more, which --output json tells", grouped(more));
        text.push_str(&format!("  {}\n", terminal.bad(&line)));
    }
    text
}

fn said(breach: &JournalBreach) -> String {
    match breach.entries {
        Some((group, ..)) => format!("{}, {breach}", name_of(group)),
        None => breach.to_string(),
    }
}

/// What does not hold of the journal, as the command's failure.
pub fn failure(proof: &JournalProof) -> Option<Failure> {
    let sentence = match (&proof.unreadable, proof.breaches.first()) {
        (Some(reason), _) => format!("the audit journal cannot be read: {reason}"),
        (None, Some(breach)) => format!("the audit journal: {}", said(breach)),
        (None, None) => return None,
    };
    let next = "the same command on another node, whose journal has these entries too; this one may start: its log and snapshots hold";
    let failure = Failure::plain(sentence).with_reason("JOURNAL_DAMAGED");
    Some(failure.with_next(next))
}

#[cfg(test)]
mod tests {
    use node::JournalledGroup;

    use super::*;

    fn proof() -> JournalProof {
        let breach = JournalBreach {
            entries: Some((1, 7, 7)),
            seen: "a record does not fit its checksum",
            place: "file a.wal, byte 9".into(),
        };
        JournalProof {
            segments: 3,
            bytes: 3 << 20,
            oldest_day: Some(20_453),
            newest_day: Some(20_454),
            groups: vec![JournalledGroup {
                group: 1,
                first: 2,
                last: 1_900,
                entries: 1_898,
                gap: Some((1_901, 2_000)),
            }],
            breaches: vec![breach; 12],
            more_breaches: 5,
            unreadable: None,
        }
    }

    #[test]
    fn what_it_holds_and_what_does_not_hold_is_printed_and_counted() {
        let now_ms = 20_454 * 86_400_000;
        let text = rows(&proof(), now_ms, Terminal::plain());
        assert!(
            text.contains("(3 segments, 3 MiB, the oldest of 1 day ago)"),
            "{text}"
        );
        assert!(text.contains("1 901 to 2 000"), "{text}");
        let line =
            "x cell c1, at entry 7: a record does not fit its checksum (file a.wal, byte 9)\n";
        assert_eq!(text.matches(line).count(), BREACHES_SHOWN);
        assert!(text.contains("x and 7 more"), "{text}");
        let failure = failure(&proof()).expect("it is damaged");
        assert!(failure.sentence.contains("cell c1, at entry 7"));
        assert_eq!(as_json(&proof())["groups"][0]["gap"]["last"], 2_000);
    }

    #[test]
    fn an_empty_journal_is_no_failure_and_one_that_cannot_be_read_is() {
        let empty = JournalProof::default();
        assert!(failure(&empty).is_none());
        assert!(rows(&empty, 0, Terminal::plain()).contains("it is empty"));
        let unreadable = JournalProof {
            unreadable: Some("not a folder".into()),
            ..JournalProof::default()
        };
        assert!(failure(&unreadable).is_some());
        assert!(rows(&unreadable, 0, Terminal::plain()).contains("not a folder"));
    }
}
