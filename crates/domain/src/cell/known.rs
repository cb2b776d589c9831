//! Which messages a conversation knows, by their ids: how a copy is recognised.
//! Promise: an id is found, or found missing, in a time that does not grow with the transcript.
//! Not here: comparing the ids themselves (`conversation`).

/// Up to so many items their tags are looked through one by one: two cache lines.
const SCANNED_MAX: usize = 32;

/// Up to so many items the room for tags grows by four.
const FEW: usize = 16;

/// The tags of a transcript's items (`RequestId::tag`, 0 for what is no message) and where they are.
/// Derived from the items, never stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownMessages {
    tags: Vec<u32>,
    /// A hash table over `tags`: a place plus 1, 0 for an empty slot. At most half full; a power of
    /// two long, or empty while the tags are few. A conversation has far fewer than 65,535 items.
    slots: Box<[u16]>,
}

impl KnownMessages {
    /// How many items it has seen.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether it has seen none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The tags in order of the items.
    pub fn tags(&self) -> &[u32] {
        &self.tags
    }

    /// Adds the tag of the next item.
    pub(crate) fn push(&mut self, tag: u32) {
        let place = self.tags.len();
        if place == self.tags.capacity() && place < FEW {
            // Most transcripts are short: doubling would leave half of each empty.
            self.tags.reserve_exact(4);
        }
        self.tags.push(tag);
        if self.tags.len() <= SCANNED_MAX {
            return;
        }
        if self.tags.len() * 2 > self.slots.len() {
            self.index_anew();
        } else {
            self.enter(tag, place);
        }
    }

    /// The places of the items with this tag, in order or not.
    pub(crate) fn places(&self, tag: u32) -> impl Iterator<Item = usize> + '_ {
        let scanned = if self.slots.is_empty() {
            &self.tags[..]
        } else {
            &[]
        };
        let scanned = scanned.iter().enumerate();
        let scanned = scanned.filter_map(move |(place, have)| (*have == tag).then_some(place));
        scanned.chain(self.probed(tag))
    }

    /// Gives back what was reserved for more items.
    pub(crate) fn shrink(&mut self) {
        self.tags.shrink_to_fit();
    }

    fn probed(&self, tag: u32) -> impl Iterator<Item = usize> + '_ {
        let mask = self.slots.len().wrapping_sub(1);
        let first = home(tag);
        let slots = (0..self.slots.len()).map(move |step| self.slots[(first + step) & mask]);
        let taken = slots.take_while(|slot| *slot != 0);
        let places = taken.map(|slot| usize::from(slot) - 1);
        places.filter(move |place| self.tags[*place] == tag)
    }

    fn index_anew(&mut self) {
        let length = (self.tags.len() * 2).next_power_of_two();
        self.slots = vec![0; length].into();
        for place in 0..self.tags.len() {
            self.enter(self.tags[place], place);
        }
    }

    /// Enters a tag into the table, which has room; what is no message is never looked for.
    fn enter(&mut self, tag: u32, place: usize) {
        let Ok(slot) = u16::try_from(place + 1) else {
            return;
        };
        if tag == 0 || self.slots.is_empty() {
            return;
        }
        let mask = self.slots.len() - 1;
        let mut at = home(tag) & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

/// Where a tag's search begins: ids are random, but nobody promises that their tails are.
fn home(tag: u32) -> usize {
    // Knuth's multiplier spreads neighbours; its high bits are the mixed ones.
    (tag.wrapping_mul(2_654_435_769) >> 16) as usize
}

impl FromIterator<u32> for KnownMessages {
    fn from_iter<I: IntoIterator<Item = u32>>(tags: I) -> Self {
        let tags: Vec<u32> = tags.into_iter().collect();
        let mut known = Self {
            tags,
            slots: Box::default(),
        };
        if known.tags.len() > SCANNED_MAX {
            known.index_anew();
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(known: &KnownMessages, tag: u32) -> Vec<usize> {
        let mut places: Vec<_> = known.places(tag).collect();
        places.sort_unstable();
        places
    }

    #[test]
    fn every_tag_is_found_at_each_of_its_places_however_many_there_are() {
        let mut known = KnownMessages::default();
        // Many equal tags, neighbours, and items that are no messages.
        let tags: Vec<u32> = (0..2_100).map(|n: u32| (n % 700) & !1).collect();
        for (count, tag) in tags.iter().enumerate() {
            known.push(*tag);
            let last = found(&known, *tag);
            assert!(*tag == 0 || last.last() == Some(&count));
        }
        for tag in (2..700).step_by(2) {
            let wanted: Vec<_> = (0..tags.len()).filter(|at| tags[*at] == tag).collect();
            assert_eq!(found(&known, tag), wanted);
        }
        for missing in [701, 999, u32::MAX] {
            assert_eq!(found(&known, missing), [0; 0]);
        }
    }

    #[test]
    fn what_is_built_at_once_finds_what_was_built_step_by_step() {
        for count in [0, 1, 31, 32, 33, 64, 500] {
            let tags: Vec<u32> = (1..=count).map(|n| n * 7).collect();
            let at_once: KnownMessages = tags.iter().copied().collect();
            assert_eq!(at_once.tags(), tags);
            for (place, tag) in tags.iter().enumerate() {
                assert_eq!(found(&at_once, *tag), [place]);
            }
            assert_eq!(found(&at_once, 3), [0; 0]);
        }
    }
}
