//! Planted defects, for tests of what a defect may harm, and planted states that take long to come to. A
//! marker with more behind it panics aloud, with all of the text in what it says.
//! Promise: nothing of it is in a build without the feature `defects`.
//! Not here: catching a defect (`apply`).

#[cfg(any(test, feature = "defects"))]
use super::{Cell, homes::HeldBuckets, state::CONVERSATIONS_MAX};
#[cfg(any(test, feature = "defects"))]
use crate::ids::PlanVersion;

/// A message with this text, or a customer with this name, breaks `decide`.
#[cfg(any(test, feature = "defects"))]
pub(crate) const IN_DECIDE: &str = "\u{2620} decide";
/// A customer with this name breaks the search for an agent.
#[cfg(any(test, feature = "defects"))]
pub(crate) const IN_MATCHING: &str = "\u{2620} matching";
/// A customer with this name breaks the conversation's deadline.
#[cfg(any(test, feature = "defects"))]
pub(crate) const IN_DEADLINE: &str = "\u{2620} deadline";

/// A message with this text breaks `evolve`, which stops every replica.
#[cfg(any(test, feature = "defects"))]
pub(crate) const IN_EVOLVE: &str = "\u{2620} evolve";

/// Where a defect can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    Decide,
    Matching,
    Deadline,
    Evolve,
}

/// Breaks if the text names this spot.
#[cfg(any(test, feature = "defects"))]
pub(crate) fn trip(spot: Spot, text: &[u8]) {
    let marker = match spot {
        Spot::Decide => IN_DECIDE,
        Spot::Matching => IN_MATCHING,
        Spot::Deadline => IN_DEADLINE,
        Spot::Evolve => IN_EVOLVE,
    };
    if text == marker.as_bytes() {
        // Unwinds as a panic does, without the report that would fill the output of tests.
        std::panic::resume_unwind(Box::new("a planted defect"));
    }
    let more = text.strip_prefix(marker.as_bytes());
    if more.is_some_and(|more| more.first() == Some(&b' ')) {
        panic!("a planted defect: {}", String::from_utf8_lossy(text));
    }
}

/// Does nothing in this build.
#[cfg(not(any(test, feature = "defects")))]
pub(crate) fn trip(_spot: Spot, _text: &[u8]) {}

/// A state that a cell comes to only in a long life, or beside other cells.
#[cfg(any(test, feature = "defects"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// It keeps as many conversations as it may.
    Full,
    /// Every bucket is another cell's.
    OthersBuckets,
    /// It has adopted no floor plan.
    NoPlan,
}

#[cfg(any(test, feature = "defects"))]
impl Cell {
    /// Brings this replica to a state. Planted in one replica alone it makes that one differ.
    pub fn plant(&mut self, planted: Planted) {
        let meta = &mut self.plantable().meta;
        match planted {
            Planted::Full => meta.conversations = CONVERSATIONS_MAX,
            Planted::OthersBuckets => meta.buckets = Some(Box::new(HeldBuckets::default())),
            Planted::NoPlan => meta.plan = PlanVersion(0),
        }
    }
}
