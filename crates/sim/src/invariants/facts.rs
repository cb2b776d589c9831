//! What clients were told of one conversation.
//! Promise: facts alone, as they were told; those that contradict each other are kept as the first one had it.
//! Not here: what must hold of them (a file each).

use std::collections::{BTreeMap, BTreeSet};

/// One message as somebody sees it: its place and its id.
pub type Seen = (u64, String);

/// What was told of one conversation.
#[derive(Debug, Default)]
pub struct Facts {
    /// Each message by its place, as it was first seen by anybody.
    pub by_place: BTreeMap<u64, String>,
    /// Each message's place.
    pub by_id: BTreeMap<String, u64>,
    /// When a message was acknowledged, microseconds.
    pub acknowledged: BTreeMap<String, u64>,
    /// Messages that were refused for good.
    pub refused: BTreeSet<String>,
    /// The highest place that a read saw, and when that read came back.
    pub reads: Vec<(u64, u64)>,
}

impl Facts {
    /// A message stands at a place, by anybody's word.
    pub fn place(&mut self, place: u64, id: &str) {
        self.by_place.insert(place, id.to_owned());
        self.by_id.insert(id.to_owned(), place);
    }
}
