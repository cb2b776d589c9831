//! Credit: how much of one stream may be on the way to the other node and wait there.
//! Promise: a sender that asks before each message is never more than one message above the other side's
//! window; what was read there comes back in batches of half a window, never message by message.
//! Not here: carrying grants (`conn`, `serve`).

use std::collections::VecDeque;
use std::task::Context;

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use pb::raft::v1::ForwardWindow;

/// What this node takes of each stream ahead of its reader, both as an owner and as an edge. Messages: a
/// client that keeps 256 on the way, which is what the owner's own mailbox holds; with a round trip of
/// 250 ms that is 1,000 a second. Bytes: four texts of 64 KiB, or 256 messages of 1 KiB with their
/// envelopes; a round trip of 250 ms carries 1 MiB of it a second. 20,000 streams that nobody reads, all at
/// once, take 5 GB.
pub(super) const WINDOW: ForwardWindow = ForwardWindow {
    messages: 256,
    bytes: 256 * 1024,
};

/// Whether a further message may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// One may.
    Some,
    /// Not before the other side has read.
    None,
    /// Never again: the stream is over, or nobody reads it.
    Closed,
}

/// The sender's account of one direction of one stream.
pub(super) struct Credit {
    messages_max: usize,
    bytes_max: usize,
    state: Mutex<State>,
    changed: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// The weights of messages that were sent and not read yet, oldest first.
    unread: VecDeque<usize>,
    /// Their sum.
    bytes: usize,
    closed: bool,
}

impl Credit {
    /// A direction whose far end takes `window`.
    pub(super) fn new(window: ForwardWindow) -> Self {
        Self {
            messages_max: usize::try_from(window.messages.max(1)).unwrap_or(usize::MAX),
            bytes_max: usize::try_from(window.bytes).unwrap_or(usize::MAX),
            state: Mutex::default(),
            changed: AtomicWaker::new(),
        }
    }

    /// Whether a further message may be sent now.
    pub(super) fn room(&self) -> Room {
        self.room_in(&self.state.lock())
    }

    fn room_in(&self, state: &State) -> Room {
        if state.closed {
            return Room::Closed;
        }
        let fits = state.unread.len() < self.messages_max
            && (state.unread.is_empty() || state.bytes < self.bytes_max);
        if fits { Room::Some } else { Room::None }
    }

    /// Notes that a message was sent.
    pub(super) fn spend(&self, weight: usize) {
        let mut state = self.state.lock();
        state.unread.push_back(weight);
        state.bytes += weight;
    }

    /// The far end has read so many. More than were sent are as many as were sent.
    pub(super) fn grant(&self, messages: u32) {
        let mut state = self.state.lock();
        let had_room = self.room_in(&state) == Room::Some;
        for _ in 0..messages {
            let Some(weight) = state.unread.pop_front() else {
                break;
            };
            state.bytes -= weight;
        }
        if state.unread.is_empty() {
            // An idle stream keeps no room for a busy hour.
            state.unread.shrink_to(IDLE_WEIGHTS);
        }
        drop(state);
        if !had_room {
            self.changed.wake();
        }
    }

    /// No further message may be sent.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.wake();
    }

    /// Whether a further message may be sent now; the task is woken when room is made or the credit closed.
    /// For one task.
    pub(super) fn watch(&self, context: &mut Context<'_>) -> Room {
        // Before the look: a change between the two is not missed.
        self.changed.register(context.waker());
        self.room()
    }
}

/// Weights that an idle stream keeps room for.
const IDLE_WEIGHTS: usize = 8;

/// The reader's account: what was read and not granted yet.
#[derive(Default)]
pub(super) struct Read {
    messages: u32,
    bytes: usize,
}

impl Read {
    /// Notes that a message of `weight` bytes was read; how many to grant now, if it is time.
    pub(super) fn note(&mut self, weight: usize) -> Option<u32> {
        self.messages += 1;
        self.bytes += weight;
        let half = usize::try_from(WINDOW.bytes / 2).unwrap_or(usize::MAX);
        let due = self.messages >= WINDOW.messages / 2 || self.bytes >= half;
        due.then(|| std::mem::take(self).messages)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    fn credit(messages: u32, bytes: u32) -> Credit {
        Credit::new(ForwardWindow { messages, bytes })
    }

    #[test]
    fn messages_and_bytes_on_the_way_are_bounded_and_one_alone_always_fits() {
        let credit = credit(3, 100);
        for weight in [10, 20] {
            assert_eq!(credit.room(), Room::Some);
            credit.spend(weight);
        }
        credit.spend(10);
        assert_eq!(credit.room(), Room::None, "three messages");
        credit.grant(2);
        assert_eq!(credit.room(), Room::Some);
        credit.spend(90);
        assert_eq!(credit.room(), Room::None, "100 bytes");
        credit.grant(9);
        assert_eq!(credit.room(), Room::Some, "a grant too many is none");
        credit.spend(1_000);
        assert_eq!(credit.room(), Room::None);
        credit.grant(1);
        assert_eq!(credit.room(), Room::Some);
        credit.close();
        assert_eq!(credit.room(), Room::Closed);
    }

    #[test]
    fn a_reader_grants_by_halves_and_so_that_a_full_window_is_always_granted() {
        let mut read = Read::default();
        let granted: Vec<u32> = (0..256).filter_map(|_| read.note(300)).collect();
        assert_eq!(granted, [128, 128]);
        // Whatever closes the window of its sender is at least half of it once it was read.
        for weight in [1, 300, 2_048, 70_000, 1 << 20] {
            let credit = Credit::new(WINDOW);
            let mut read = Read::default();
            let mut sent = 0;
            while credit.room() == Room::Some {
                credit.spend(weight);
                sent += 1;
            }
            let granted: Vec<u32> = (0..sent).filter_map(|_| read.note(weight)).collect();
            assert!(!granted.is_empty(), "{weight}");
        }
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_with_a_grant_and_ends_with_the_stream() {
        let credit = credit(1, 100);
        let room = poll_fn(|context| match credit.watch(context) {
            Room::None => Poll::Pending,
            room => Poll::Ready(room),
        });
        let mut room = pin!(room);
        credit.spend(1);
        let (waited, ()) = tokio::join!(room.as_mut(), async { credit.grant(1) });
        assert_eq!(waited, Room::Some);
        credit.spend(1);
        let (waited, ()) = tokio::join!(room.as_mut(), async { credit.close() });
        assert_eq!(waited, Room::Closed);
    }
}
