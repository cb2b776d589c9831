//! Entries and snapshots of the two machines, and conversations that have left.
//! Promise: see the crate; what was read is written again with the same meaning, and a machine applies it.
//! Not here: the files in which they lie (`wals`, `snapshots`, `archived`).

use domain::cell::command::Command;
use domain::control::ControlCommand;
use domain::ids::LogIndex;
use wire::cell::Applier;
use wire::snapshot::{CellChunks, ControlChunks, decode_cell, decode_control};

use crate::made;

/// An entry of a cell.
pub fn cell_entry(data: &[u8]) {
    let Ok((entry, trace)) = wire::cell::decode_traced(data) else {
        return;
    };
    let written = wire::cell::encode_traced(&entry, trace.clone());
    assert_eq!(
        wire::cell::decode_traced(&written),
        Ok((entry.clone(), trace))
    );
    // Only a plan without faults is ever proposed.
    if let Command::AdoptPlan(adopted) = &entry.command
        && !wire::plan::check_plan(&adopted.plan).is_empty()
    {
        return;
    }
    made::with_cell(|cell| {
        let index = LogIndex(cell.applied().0 + 1);
        Applier::default().apply(cell, index, &entry);
    });
}

/// An entry of the control group.
pub fn control_entry(data: &[u8]) {
    let Ok(entry) = wire::control::decode_entry(data) else {
        return;
    };
    let written = wire::control::encode_entry(&entry);
    assert_eq!(wire::control::decode_entry(&written), Ok(entry.clone()));
    if let ControlCommand::ApplyPlan(asked) = &entry.command {
        let stored = wire::plan::encode_plan(&asked.plan);
        assert_eq!(wire::plan::decode_plan(&stored).as_ref(), Ok(&*asked.plan));
    }
    made::with_control(|control| {
        let index = LogIndex(control.parts().applied.0 + 1);
        control.apply(index, &entry);
    });
}

/// The chunks of an input: behind the first byte, which says how long each is.
fn chunks(data: &[u8]) -> Option<Vec<&[u8]>> {
    let (size, bytes) = data.split_first()?;
    // Long ones most of the time: cuts are found in short inputs as well.
    let size = match size % 8 {
        0 => bytes.len().max(1),
        size => 1 << (size + 3),
    };
    Some(bytes.chunks(size).collect())
}

/// The snapshot of a cell.
pub fn cell_snapshot(data: &[u8]) {
    let Some(Ok(cell)) = chunks(data).map(|chunks| decode_cell(&chunks)) else {
        return;
    };
    let written: Vec<_> = CellChunks::new(cell.freeze()).collect();
    let again = decode_cell(&written).expect("what was written can be read");
    assert!(again == cell, "a cell comes back as it was");
    let twice: Vec<_> = CellChunks::new(again.freeze()).collect();
    assert_eq!(twice, written);
}

/// The snapshot of the control group.
pub fn control_snapshot(data: &[u8]) {
    let Some(Ok(control)) = chunks(data).map(|chunks| decode_control(&chunks)) else {
        return;
    };
    let written: Vec<_> = ControlChunks::new(control.parts()).collect();
    let again = decode_control(&written).expect("what was written can be read");
    assert_eq!(again.parts(), control.parts());
}

/// A conversation as it lies in an archive.
pub fn archived_conversation(data: &[u8]) {
    let Ok(conversation) = wire::archive::decode(data) else {
        return;
    };
    let written = wire::archive::encode(&conversation);
    let again = wire::archive::decode(&written);
    assert_eq!(again.as_ref(), Ok(&conversation));
    // What a reader asks of it.
    let last = conversation.last_sequence();
    let items = conversation
        .items_after(domain::ids::Sequence(0), usize::MAX)
        .count() as u64;
    assert!(items <= last.0, "items are counted from 1");
}
