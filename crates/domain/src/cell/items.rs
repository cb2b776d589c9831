//! The items of a transcript, packed: what takes most of the room in every open conversation.
//! Promise: items come back as they were put in, each from its place at once; copies of a record share
//! them; equal transcripts are equal however they were made.
//! Not here: what an item is (`transcript`), the form of one (`pack`).
//!
//! An item of its own takes 290 bytes for a message of 100, in two or three allocations. Packed into
//! one it takes 180, and texts that repeat are kept once for the transcript. The price is a copy of each
//! message when it is stored and when it is read.

use std::fmt;
use std::sync::Arc;

use super::known::KnownMessages;
use super::transcript::Item;
use crate::ids::RequestId;

#[cfg(test)]
mod items_test;
mod pack;

use pack::Common;

/// The list of items grows by four up to so many: most transcripts are short, and doubling would leave
/// half of each empty.
const FEW: usize = 16;

/// The items of one transcript, in order. What it is asked for is unpacked anew each time.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Items {
    packed: Vec<Arc<[u8]>>,
    common: Common,
    /// Which messages the items are.
    known: KnownMessages,
}

impl Items {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The items in order.
    pub fn iter(&self) -> Iter<'_> {
        self.after(0)
    }

    /// The items behind the first `count`, in order.
    pub fn after(&self, count: usize) -> Iter<'_> {
        Iter {
            packed: self.packed.get(count..).unwrap_or_default().iter(),
            common: &self.common,
        }
    }

    /// The first item.
    pub fn first(&self) -> Option<Item> {
        self.get(0)
    }

    /// The last item.
    pub fn last(&self) -> Option<Item> {
        self.iter().next_back()
    }

    /// The item at a place, counted from 0.
    pub fn get(&self, place: usize) -> Option<Item> {
        pack::unpack(self.packed.get(place)?, &self.common)
    }

    /// The messages with this id, whoever wrote them.
    pub(crate) fn messages_with(&self, id: &RequestId) -> impl Iterator<Item = Item> {
        let items = self.known.places(id.tag()).filter_map(|at| self.get(at));
        items.filter(|item| item.message().is_some_and(|message| message.id == *id))
    }

    /// The tags of the items' ids in order: [`RequestId::tag`], 0 for what is no message.
    pub(crate) fn tags(&self) -> &[u32] {
        self.known.tags()
    }

    /// Whether these items begin as those do.
    pub(crate) fn begin_with(&self, those: &Self) -> bool {
        those.is_empty()
            || self.packed.starts_with(&those.packed) && self.common.begin_with(&those.common)
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: &Item) {
        if self.is_empty() {
            self.common = Common::of_first(item);
        }
        if self.packed.len() == self.packed.capacity() && self.packed.len() < FEW {
            self.packed.reserve_exact(4);
        }
        self.packed.push(pack::pack(item, &mut self.common));
        let tag = item.message().map_or(0, |message| message.id.tag());
        self.known.push(tag);
    }

    /// Gives back what was reserved for more items.
    pub(crate) fn shrink(&mut self) {
        self.packed.shrink_to_fit();
        self.common.shrink();
        self.known.shrink();
    }

    /// Lets every text be kept where it is kept already, if `known` has an equal one.
    pub(crate) fn share(&mut self, known: impl FnMut(&Arc<str>) -> Option<Arc<str>>) {
        self.common.share(known);
    }
}

impl FromIterator<Item> for Items {
    fn from_iter<I: IntoIterator<Item = Item>>(all: I) -> Self {
        let mut items = Self::default();
        all.into_iter().for_each(|item| items.push(&item));
        items.shrink();
        items
    }
}

/// Shows the items, whose own form hides every text that somebody wrote.
impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'i> IntoIterator for &'i Items {
    type Item = Item;
    type IntoIter = Iter<'i>;

    fn into_iter(self) -> Iter<'i> {
        self.iter()
    }
}

/// Items in order, unpacked one by one; what is skipped is not unpacked. Bytes that are no item would
/// end it: nothing but `pack` makes them.
#[derive(Clone)]
pub struct Iter<'i> {
    packed: std::slice::Iter<'i, Arc<[u8]>>,
    common: &'i Common,
}

impl Iterator for Iter<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        pack::unpack(self.packed.next()?, self.common)
    }

    fn nth(&mut self, n: usize) -> Option<Item> {
        pack::unpack(self.packed.nth(n)?, self.common)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.packed.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Item> {
        pack::unpack(self.packed.next_back()?, self.common)
    }
}

impl ExactSizeIterator for Iter<'_> {}
