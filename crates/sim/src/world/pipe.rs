//! One direction of a connection: bytes under way, bytes that have arrived, and who waits for either.
//! Promise: bytes arrive in the order in which they were written, none twice; what is on the way or unread never
//! exceeds the window.
//! Not here: when a piece is due and whether its link carries it (`net`).

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;

/// The first pause before a lost or blocked piece is sent again, as Linux has it.
pub(super) const RETRANSMIT_US: u64 = 200_000;
/// No pause is longer. Linux doubles up to two minutes; both ends of ours give a silent connection up long before.
pub(super) const RETRANSMIT_US_MAX: u64 = 6_400_000;

/// A host of the world, by its place in it.
pub type HostId = usize;

/// What was written at once, or the end of the stream.
pub(super) struct Piece {
    pub(super) due_us: u64,
    pub(super) content: Content,
}

pub(super) enum Content {
    Bytes(Bytes),
    End,
}

/// One direction.
pub(super) struct Pipe {
    pub(super) from: HostId,
    pub(super) to: HostId,
    /// The other direction of the same connection.
    pub(super) twin: u64,
    /// What the connection is for, once its first bytes have said so; 0 for those of clients.
    pub(super) purpose: u32,
    /// Whether it carries nothing for now.
    pub(super) stalled: bool,
    pub(super) under_way: VecDeque<Piece>,
    /// Whether an event will look at the first piece.
    pub(super) scheduled: bool,
    pub(super) retransmit_us: u64,
    last_due_us: u64,
    arrived: VecDeque<Bytes>,
    /// Bytes written and not yet known to have been read.
    outstanding: usize,
    /// Bytes read of which the writer does not know, because nothing comes back to it.
    untold: usize,
    ended: bool,
    reset: bool,
    pub(super) writer_gone: bool,
    pub(super) reader_gone: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// What a read finds.
pub(super) enum Read {
    Bytes(Bytes),
    End,
    Reset,
    Nothing,
}

impl Pipe {
    pub(super) fn new(from: HostId, to: HostId, twin: u64) -> Self {
        Self {
            from,
            to,
            twin,
            purpose: 0,
            stalled: false,
            under_way: VecDeque::new(),
            scheduled: false,
            retransmit_us: RETRANSMIT_US,
            last_due_us: 0,
            arrived: VecDeque::new(),
            outstanding: 0,
            untold: 0,
            ended: false,
            reset: false,
            writer_gone: false,
            reader_gone: false,
            reader: None,
            writer: None,
        }
    }

    /// Room for more bytes; `None` when the other end has reset the connection.
    pub(super) fn room(&self, window: usize) -> Option<usize> {
        (!self.reset).then(|| window.saturating_sub(self.outstanding))
    }

    /// Puts a piece on the way, not before those that are on it; when it is due.
    pub(super) fn push(&mut self, due_us: u64, content: Content) -> u64 {
        let due_us = due_us.max(self.last_due_us);
        self.last_due_us = due_us;
        if let Content::Bytes(bytes) = &content {
            self.outstanding += bytes.len();
        }
        self.under_way.push_back(Piece { due_us, content });
        due_us
    }

    /// Hands the first piece to the reader.
    pub(super) fn arrive(&mut self) {
        match self.under_way.pop_front().map(|piece| piece.content) {
            Some(Content::Bytes(bytes)) => self.arrived.push_back(bytes),
            Some(Content::End) => self.ended = true,
            None => return,
        }
        self.retransmit_us = RETRANSMIT_US;
        wake(&mut self.reader);
    }

    /// Takes at most `most` bytes. `told` says whether word of it gets back to the writer.
    pub(super) fn read(&mut self, most: usize, told: bool) -> Read {
        let Some(mut first) = self.arrived.pop_front() else {
            return match (self.ended, self.reset) {
                (_, true) => Read::Reset,
                (true, false) => Read::End,
                (false, false) => Read::Nothing,
            };
        };
        let taken = first.split_to(first.len().min(most));
        if !first.is_empty() {
            self.arrived.push_front(first);
        }
        match told {
            true => self.credit(taken.len()),
            false => self.untold += taken.len(),
        }
        Read::Bytes(taken)
    }

    /// Tells the writer of all that was read.
    pub(super) fn tell(&mut self) {
        let untold = std::mem::take(&mut self.untold);
        self.credit(untold);
    }

    fn credit(&mut self, bytes: usize) {
        if bytes > 0 {
            self.outstanding = self.outstanding.saturating_sub(bytes);
            wake(&mut self.writer);
        }
    }

    /// The connection is broken: nothing more arrives, and both ends are told.
    pub(super) fn break_off(&mut self) {
        self.reset = true;
        self.under_way.clear();
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(pipe: &mut Pipe, most: usize) -> Vec<u8> {
        match pipe.read(most, true) {
            Read::Bytes(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn bytes_keep_their_order_whatever_each_was_delayed() {
        let mut pipe = Pipe::new(0, 1, 1);
        assert_eq!(pipe.push(50, Content::Bytes(Bytes::from_static(b"ab"))), 50);
        assert_eq!(pipe.push(20, Content::Bytes(Bytes::from_static(b"cd"))), 50);
        pipe.push(60, Content::End);
        for _ in 0..3 {
            pipe.arrive();
        }
        assert_eq!(bytes(&mut pipe, 1), b"a");
        assert_eq!(bytes(&mut pipe, 9), b"b");
        assert_eq!(bytes(&mut pipe, 9), b"cd");
        assert!(matches!(pipe.read(9, true), Read::End));
    }

    #[test]
    fn the_window_counts_what_is_unread_and_what_the_writer_does_not_know_to_be_read() {
        let mut pipe = Pipe::new(0, 1, 1);
        pipe.push(0, Content::Bytes(Bytes::from_static(b"abcd")));
        assert_eq!(pipe.room(6), Some(2));
        pipe.arrive();
        assert!(matches!(pipe.read(4, false), Read::Bytes(_)));
        assert_eq!(pipe.room(6), Some(2), "no word gets back");
        pipe.tell();
        assert_eq!(pipe.room(6), Some(6));
        pipe.break_off();
        assert_eq!(pipe.room(6), None);
    }
}
