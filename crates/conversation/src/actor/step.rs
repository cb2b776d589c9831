//! What an actor decides: which streams get what, when the customer came or went, when to rest.
//! Promise: each stream gets items in order, without gap or repeat.
//! Not here: awaiting (`run`).

use std::sync::{Arc, OnceLock};

use domain::cell::transcript::Item;
use domain::ids::{NodeId, Sequence};
use runtime::mailbox;

use super::{IDLE_MS, STREAMS_MAX};
use crate::limits::Window;
use crate::stream::{ATTACH_EVENTS_MAX, AttachEvent, EndReason, MarkFrom, Outlet};

/// Least time between two markers of one side, in milliseconds; more often is of no use to a reader.
const MARK_MS: u64 = 100;

struct Stream {
    key: u64,
    observe: bool,
    last: Sequence,
    outlet: Outlet<AttachEvent>,
}

/// Who wants a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewReader {
    /// No customer: attached or not, it says nothing about presence.
    pub(crate) observe: bool,
    /// Through which it came.
    pub(crate) edge: NodeId,
}

/// The reader's side of a new stream.
pub(crate) struct Reader {
    pub(crate) events: mailbox::Receiver<AttachEvent>,
    pub(crate) why: Arc<OnceLock<EndReason>>,
}

/// A change of the customer's presence, to be proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Presence {
    pub(crate) attached: bool,
    pub(crate) our_fault: bool,
}

/// The memory of an actor; nothing here is needed after a change of leader.
pub(crate) struct Streams {
    streams: Vec<Stream>,
    /// The edge of the customer's latest stream.
    pub(crate) edge: Option<NodeId>,
    /// The commands of the customer in the present window.
    pub(crate) window: Window,
    idle_since_ms: u64,
    /// Without work and streams for so long, the actor rests.
    rests_after_ms: u64,
    marked_ms: [u64; 2],
}

impl Streams {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            streams: Vec::new(),
            edge: None,
            window: Window::default(),
            idle_since_ms: now_ms,
            rests_after_ms: IDLE_MS,
            marked_ms: [0; 2],
        }
    }

    /// Whether one more stream may be attached.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.len() < STREAMS_MAX
    }

    /// Adds a stream whose reader has everything up to `last`.
    pub(crate) fn attach(&mut self, key: u64, new: NewReader, last: Sequence) -> Reader {
        let (sender, events) = mailbox::bounded("attachment", ATTACH_EVENTS_MAX);
        let why = Arc::new(OnceLock::new());
        let outlet = Outlet {
            sender,
            why: why.clone(),
        };
        self.streams.push(Stream {
            key,
            observe: new.observe,
            last,
            outlet,
        });
        if !new.observe {
            self.edge = Some(new.edge);
        }
        Reader { events, why }
    }

    /// Forgets a stream; true when it was the customer's last one.
    pub(crate) fn leave(&mut self, key: u64) -> bool {
        let before = self.customer_streams();
        self.streams.retain(|stream| stream.key != key);
        before > 0 && self.customer_streams() == 0
    }

    /// Forgets streams whose reader has gone without a word.
    pub(crate) fn sweep(&mut self) {
        self.streams
            .retain(|stream| !stream.outlet.sender.is_closed());
    }

    pub(crate) fn customer_streams(&self) -> usize {
        self.streams.iter().filter(|stream| !stream.observe).count()
    }

    /// Gives the next item to every stream that lacks it; false when a stream lacks an earlier one.
    pub(crate) fn item(&mut self, item: &Arc<Item>) -> bool {
        let mut complete = true;
        self.streams.retain_mut(|stream| {
            if item.sequence <= stream.last {
                return true;
            }
            if item.sequence.0 != stream.last.0 + 1 {
                complete = false;
                return true;
            }
            stream.last = item.sequence;
            stream.outlet.give(AttachEvent::Item(item.clone()))
        });
        complete
    }

    /// The sequence up to which every stream has everything.
    pub(crate) fn complete_to(&self) -> Option<Sequence> {
        self.streams.iter().map(|stream| stream.last).min()
    }

    /// Gives an event that is no item to every stream.
    pub(crate) fn tell(&mut self, event: &AttachEvent) {
        self.streams
            .retain(|stream| stream.outlet.give(event.clone()));
    }

    /// Gives an event that is no item to one stream.
    pub(crate) fn tell_one(&mut self, key: u64, event: AttachEvent) {
        let stream = self.streams.iter().find(|stream| stream.key == key);
        // One that takes nothing is dropped with the next event for all.
        let _ = stream.map(|stream| stream.outlet.give(event));
    }

    /// Whether a side may pass a marker on at `now_ms`: at most one in [`MARK_MS`].
    pub(crate) fn may_mark(&mut self, from: &MarkFrom, now_ms: u64) -> bool {
        let side = &mut self.marked_ms[usize::from(*from != MarkFrom::Customer)];
        let may = *side == 0 || now_ms.saturating_sub(*side) >= MARK_MS;
        if may {
            *side = now_ms.max(1);
        }
        may
    }

    /// Passes a marker on: not back to the customer's own streams.
    pub(crate) fn mark(&mut self, from: &MarkFrom, typing: bool, read: Sequence) {
        let own = *from == MarkFrom::Customer;
        self.streams.retain(|stream| {
            (own && !stream.observe)
                || stream.outlet.give(AttachEvent::Marker {
                    from: from.clone(),
                    typing,
                    read,
                })
        });
    }

    /// Ends every stream for a reason.
    pub(crate) fn end(&mut self, why: EndReason) {
        for stream in self.streams.drain(..) {
            stream.outlet.end(why);
        }
    }

    /// Notes work at `now_ms`.
    pub(crate) fn worked(&mut self, now_ms: u64) {
        self.idle_since_ms = now_ms;
    }

    /// The conversation is over, little more is to come: the actor rests as soon as it need not remember any
    /// more what its customer sent within `window_ms`.
    pub(crate) fn is_over(&mut self, window_ms: u64) {
        self.rests_after_ms = window_ms.min(IDLE_MS);
    }

    /// Without work and streams for so many milliseconds, the actor rests.
    pub(crate) fn rests_after_ms(&self) -> u64 {
        self.rests_after_ms
    }

    /// Whether the actor may be passivated at `now_ms`.
    pub(crate) fn may_rest(&self, now_ms: u64) -> bool {
        self.streams.is_empty() && now_ms.saturating_sub(self.idle_since_ms) >= self.rests_after_ms
    }
}

/// Whether the machine has to learn that the customer came or went: level-triggered, so that
/// quick comings and goings and failed entries end in the truth.
#[derive(Debug, Default)]
pub(crate) struct PresenceWatch {
    /// A stream of the customer was attached under this leader: else its absence says nothing.
    met: bool,
    our_fault: bool,
    under_way: bool,
    look: bool,
    here: bool,
    /// What the machine believes was compared since the last change.
    agreed: bool,
}

impl PresenceWatch {
    /// A stream of the customer was attached.
    pub(crate) fn came(&mut self) {
        self.met = true;
        self.our_fault = false;
        self.look = true;
    }

    /// The customer's last stream has gone.
    pub(crate) fn left(&mut self, our_fault: bool) {
        self.our_fault = our_fault;
        self.look = true;
    }

    /// Something may have changed.
    pub(crate) fn look_again(&mut self) {
        self.look = true;
    }

    /// An entry has ended; after a failure only the next round looks again.
    pub(crate) fn settled(&mut self, failed: bool) {
        self.under_way = false;
        self.look = !failed;
    }

    /// Notes who is attached now, however that came about.
    pub(crate) fn notice(&mut self, here: bool) {
        if here != self.here {
            self.here = here;
            self.met |= here;
            self.look = true;
            self.agreed = false;
        }
    }

    /// Whether nothing is left to tell the machine.
    pub(crate) fn is_settled(&self) -> bool {
        !self.met || self.agreed
    }

    /// Whether there is anything to compare now.
    pub(crate) fn may_look(&self) -> bool {
        self.look && self.met && !self.under_way
    }

    /// The edge of the customer's last stream cannot be reached.
    pub(crate) fn cut_off(&mut self) {
        self.our_fault = true;
    }

    /// The entry to propose where `here` differs from what the machine believes.
    pub(crate) fn differs(&mut self, here: bool, believed: bool) -> Option<Presence> {
        self.look = false;
        self.agreed = here == believed;
        if self.agreed {
            return None;
        }
        self.under_way = true;
        Some(Presence {
            attached: here,
            our_fault: self.our_fault && !here,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_who_leaves_and_comes_back_before_the_commit_ends_up_here() {
        let mut watch = PresenceWatch::default();
        watch.came();
        watch.left(false);
        let gone = watch.differs(false, true).expect("gone is proposed");
        assert!(!gone.attached);
        watch.came();
        assert!(!watch.may_look(), "one entry at a time");
        watch.settled(false);
        assert!(watch.may_look());
        let back = watch
            .differs(true, false)
            .expect("the machine believes the customer gone");
        assert!(back.attached);
    }

    #[test]
    fn a_failed_entry_is_tried_again_at_the_next_round_and_not_at_once() {
        let mut watch = PresenceWatch::default();
        watch.came();
        assert!(watch.differs(true, false).is_some());
        watch.settled(true);
        assert!(!watch.may_look());
        watch.look_again();
        assert!(watch.may_look());
    }

    #[test]
    fn a_new_leader_s_actor_says_nothing_of_a_customer_it_never_met() {
        let mut watch = PresenceWatch::default();
        watch.look_again();
        assert!(!watch.may_look());
    }
}
