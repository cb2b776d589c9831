//! Made by real encoders: entries of two short histories, their states, requests and frames.
//! Promise: the same at every run.
//! Not here: files (each target makes its own through `store`).

mod asked;
mod played;

use bytes::Bytes;
use domain::cell::Cell;
use domain::control::Control;
use prost::Message;
use wire::snapshot::{CellChunks, ControlChunks};

pub use asked::{calls, forward_frames, raft_frames};
use played::{cell_history, control_history, other_commands};

thread_local! {
    static CELL: Cell = cell_history().0;
    static CONTROL: Control = control_history().0;
}

/// Bytes that look like nothing.
pub fn blob(len: usize) -> Bytes {
    (0..len).map(|at| (at * 37 + 11) as u8).collect()
}

/// Gives a cell with a short history, which is forgotten afterwards.
pub fn with_cell(look: impl FnOnce(&mut Cell)) {
    look(&mut CELL.with(Cell::clone));
}

/// Gives a control group with a short history, which is forgotten afterwards.
pub fn with_control(look: impl FnOnce(&mut Control)) {
    look(&mut CONTROL.with(Control::clone));
}

/// An entry of each kind.
pub fn cell_entries() -> Vec<Vec<u8>> {
    let (_, played) = cell_history();
    played
        .iter()
        .chain(&other_commands())
        .map(wire::cell::encode_entry)
        .collect()
}

/// An entry of each kind.
pub fn control_entries() -> Vec<Vec<u8>> {
    let (_, played) = control_history();
    played.iter().map(wire::control::encode_entry).collect()
}

/// A cell, in one chunk and in small ones.
pub fn cell_snapshots() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for cell in [Cell::new(domain::ids::CellId(1)), CELL.with(Cell::clone)] {
        let whole: Vec<u8> = CellChunks::new(cell.freeze()).flatten().collect();
        seeds.extend([0, 3].map(|size| [&[size], &whole[..]].concat()));
    }
    seeds
}

/// A control group, likewise.
pub fn control_snapshots() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for control in [Control::new(), CONTROL.with(Control::clone)] {
        let whole: Vec<u8> = ControlChunks::new(control.parts()).flatten().collect();
        seeds.extend([0, 3].map(|size| [&[size], &whole[..]].concat()));
    }
    seeds
}

/// Every conversation of the history, in whatever phase it is.
pub fn archived_conversations() -> Vec<Vec<u8>> {
    CELL.with(|cell| {
        let all = cell.state().conversations();
        all.map(|found| wire::archive::encode(found)).collect()
    })
}

/// A message behind the byte that says which it is.
fn kind(kind: u8, message: &impl Message) -> Vec<u8> {
    [&[kind], &message.encode_to_vec()[..]].concat()
}
