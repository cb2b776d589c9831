//! What a node says of its audit journal.
//! Promise: read from memory; nothing is waited for.
//! Not here: keeping it (`store`), when it is swept (`archive::upkeep`).

use domain::control::ControlParts;
use domain::ids::CellId;
use pb::api::v1::{JournalRange, JournalView};
use store::{GroupId, Journal};

use crate::control::{CONTROL_GROUP, CONTROL_NAME};

/// The journal as it is now; its entries as of the last look.
pub(super) fn view(journal: &Journal, control: &ControlParts) -> JournalView {
    let status = journal.status();
    let bounds = journal.options();
    let range = |range: &store::JournalRange| JournalRange {
        group: name_of(range.group, control),
        first: range.first,
        last: range.last,
    };
    JournalView {
        segments: status.segments,
        bytes: status.bytes,
        oldest_day: status.oldest_day.unwrap_or_default(),
        keeps_days: bounds.days,
        keeps_gib: u32::try_from(bounds.max_bytes >> 30).unwrap_or(u32::MAX),
        ranges: status.ranges.iter().map(range).collect(),
        fault: status.fault.as_deref().unwrap_or_default().to_owned(),
    }
}

fn name_of(group: GroupId, control: &ControlParts) -> String {
    if group.0 == CONTROL_GROUP {
        return CONTROL_NAME.to_owned();
    }
    match control.cells.get(&CellId(group.0)) {
        Some(cell) => cell.name.to_string(),
        None => format!("cell {}", group.0),
    }
}

/// What is wrong with it, as a sentence for people.
pub(super) fn problem(journal: &Journal) -> Option<String> {
    let fault = journal.status().fault?;
    Some(format!("the audit journal is not kept: {fault}"))
}
