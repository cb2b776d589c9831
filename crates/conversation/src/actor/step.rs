//! What an actor decides: which streams get what, when the customer came or went, when to rest.
//! Promise: each stream gets items in order, without gap or repeat.
//! Not here: awaiting (`run`).

use std::sync::{Arc, OnceLock};

use domain::cell::transcript::Item;
use domain::ids::Sequence;
use runtime::mailbox;

use super::{IDLE_MS, STREAMS_MAX};
use crate::limits::Window;
use crate::stream::{ATTACH_EVENTS_MAX, AttachEvent, EndReason, MarkFrom, Outlet};

struct Stream {
    key: u64,
    observe: bool,
    last: Sequence,
    outlet: Outlet<AttachEvent>,
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
    /// The commands of the customer in the present window.
    pub(crate) window: Window,
    idle_since_ms: u64,
}

impl Streams {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            streams: Vec::new(),
            window: Window::default(),
            idle_since_ms: now_ms,
        }
    }

    /// Whether one more stream may be attached.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.len() < STREAMS_MAX
    }

    /// Adds a stream whose reader has everything up to `last`.
    pub(crate) fn attach(&mut self, key: u64, observe: bool, last: Sequence) -> Reader {
        let (sender, events) = mailbox::bounded("attachment", ATTACH_EVENTS_MAX);
        let why = Arc::new(OnceLock::new());
        let outlet = Outlet {
            sender,
            why: why.clone(),
        };
        self.streams.push(Stream {
            key,
            observe,
            last,
            outlet,
        });
        Reader { events, why }
    }

    /// Forgets a stream; tells whether the customer's last one has gone.
    pub(crate) fn leave(&mut self, key: u64, our_fault: bool) -> Option<Presence> {
        let before = self.customer_streams();
        self.streams.retain(|stream| stream.key != key);
        self.gone_since(before, our_fault)
    }

    /// Forgets streams whose reader has gone without a word.
    pub(crate) fn sweep(&mut self) -> Option<Presence> {
        let before = self.customer_streams();
        self.streams
            .retain(|stream| !stream.outlet.sender.is_closed());
        self.gone_since(before, false)
    }

    fn gone_since(&self, before: usize, our_fault: bool) -> Option<Presence> {
        let gone = before > 0 && self.customer_streams() == 0;
        gone.then_some(Presence {
            attached: false,
            our_fault,
        })
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

    /// Whether the actor may be passivated at `now_ms`.
    pub(crate) fn may_rest(&self, now_ms: u64) -> bool {
        self.streams.is_empty() && now_ms.saturating_sub(self.idle_since_ms) >= IDLE_MS
    }
}
