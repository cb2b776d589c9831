//! Tables: columns that line up, and the small forms of time, share and state in them.
//! Promise: plain text; every cell is readable without colour.
//! Not here: which rows come first (each command).

use comfy_table::{CellAlignment, Table, presets};

/// A table of the given columns; those whose name ends in `>` stand right.
pub fn columns(names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(names.iter().map(|name| name.trim_end_matches('>')));
    for (at, name) in names.iter().enumerate() {
        if let Some(column) = table.column_mut(at) {
            column.set_padding((0, 2));
            if name.ends_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
}

/// The table as text, each line indented.
pub fn indented(table: &Table) -> String {
    let lines = table.lines();
    lines
        .map(|line| format!("  {}\n", line.trim_end()))
        .collect()
}

/// `0:38`, `2:05:11`; `-` for zero.
pub fn clock(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (ms, hours) {
        (0, _) => "-".to_owned(),
        (_, 0) => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    }
}

/// `12 s`, `4 min`, `3 h`, `9 d`.
pub fn span(ms: u64) -> String {
    match ms / 1_000 {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 3_600 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// How long ago a UTC day was, counted from 1970-01-01: `today`, `1 day ago`; `-` for none, which is 0.
pub fn days_ago(day: u32, now_ms: u64) -> String {
    if day == 0 {
        return "-".to_owned();
    }
    match (now_ms / 86_400_000).saturating_sub(u64::from(day)) {
        0 => "today".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

/// `91.2%`; `-` when there was no case.
pub fn percent(basis_points: Option<u32>) -> String {
    match basis_points {
        Some(points) => format!("{}.{}%", points / 100, points % 100 / 10),
        None => "-".to_owned(),
    }
}

/// Digits in groups of three: `1 204 331`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(" ")
}

/// Text in one line of at most `width` characters.
pub fn short(text: &str, width: usize) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match line.chars().count() > width {
        true => line
            .chars()
            .take(width.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => line,
    }
}

/// `-` for nothing.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_shares_and_numbers_have_one_form_each() {
        assert_eq!(
            [0, 9_999, 65_000, 7_511_000].map(clock),
            ["-", "0:09", "1:05", "2:05:11"]
        );
        assert_eq!(
            [5_000, 240_000, 10_800_000, 777_600_000].map(span),
            ["5 s", "4 min", "3 h", "9 d"]
        );
        assert_eq!(
            [Some(9_128), Some(10_000), None].map(percent),
            ["91.2%", "100.0%", "-"]
        );
        assert_eq!(
            [7, 1_000, 1_204_331].map(grouped),
            ["7", "1 000", "1 204 331"]
        );
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(short("退款多久到账", 4), "退款多…");
        assert_eq!(short("a\nb", 4), "a b");
    }

    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let mut table = columns(&["QUEUE", "WAITING>"]);
        table.add_row(["refunds", "12"]);
        table.add_row(["x", "7"]);
        assert_eq!(
            indented(&table),
            "  QUEUE    WAITING\n  refunds       12\n  x              7\n"
        );
    }
}
