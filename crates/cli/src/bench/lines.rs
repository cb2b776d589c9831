//! Lines: the conversations of the load and the messages on their way.
//! Promise: a closed loop: at most one message on the way in a conversation, so many in all as were
//! begun; conversations take turns; only what falls into the window is measured.
//! Not here: streams (`load`).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use client::api::{self, attach_request};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::replay::figures::Times;

/// Bytes of a message's text.
pub const TEXT_BYTES: usize = 256;
/// What is on the way at the end is answered within this.
pub const DRAIN: Duration = Duration::from_secs(10);
/// An observer is at most so many messages of its conversation behind.
const RECENT: usize = 8;

/// One conversation.
struct Line {
    up: mpsc::Sender<api::AttachRequest>,
    /// Numbers of its last messages, and when they were sent.
    recent: VecDeque<(u64, Instant)>,
    /// The last item that was seen: where the next stream resumes.
    cursor: u64,
}

/// What was measured in a window.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Call to acknowledgement.
    pub ack: Times,
    /// Call to receipt by an observer at another node.
    pub delivery: Times,
}

struct State {
    lines: Vec<Line>,
    idle: VecDeque<usize>,
    next: u64,
    on_way: usize,
    stopping: bool,
    measuring: Option<Measured>,
    fault: Option<String>,
}

/// All conversations; cheap to clone.
#[derive(Clone)]
pub struct Lines {
    state: Arc<Mutex<State>>,
    text: Arc<str>,
}

impl Lines {
    /// Lines that write into `ups`, and stand at `cursors`.
    pub fn new(ups: Vec<(mpsc::Sender<api::AttachRequest>, u64)>, first: u64) -> Self {
        let lines: Vec<Line> = ups
            .into_iter()
            .map(|(up, cursor)| Line {
                up,
                cursor,
                recent: VecDeque::with_capacity(RECENT),
            })
            .collect();
        let state = State {
            idle: (0..lines.len()).collect(),
            lines,
            next: first,
            on_way: 0,
            stopping: false,
            measuring: None,
            fault: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            text: "The parcel was due on Monday. ".repeat(9)[..TEXT_BYTES].into(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `in_flight` messages on their way; each acknowledgement sends the next one, until they are
    /// stopped.
    pub fn begin(&self, in_flight: usize) {
        let mut state = self.state();
        state.stopping = false;
        for _ in 0..in_flight {
            self.send_next(&mut state);
        }
    }

    /// Sends nothing more.
    pub fn stop(&self) {
        self.state().stopping = true;
    }

    /// Sends nothing more, and waits for what is on the way, [`DRAIN`] at most.
    pub async fn drain(&self) -> anyhow::Result<()> {
        self.stop();
        let deadline = Instant::now() + DRAIN;
        while self.on_way() > 0 {
            if Instant::now() >= deadline {
                bail!(
                    "{} messages were not acknowledged within {DRAIN:?}",
                    self.on_way()
                );
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Messages on the way.
    pub fn on_way(&self) -> usize {
        self.state().on_way
    }

    /// The number that the next message gets.
    pub fn next_number(&self) -> u64 {
        self.state().next
    }

    /// From now on what arrives is measured; gives what was measured until now.
    pub fn measure(&self, on: bool) -> Measured {
        let window = on.then(Measured::default);
        std::mem::replace(&mut self.state().measuring, window).unwrap_or_default()
    }

    /// Where each line stands.
    pub fn cursors(&self) -> Vec<u64> {
        self.state().lines.iter().map(|line| line.cursor).collect()
    }

    /// Why the load cannot go on, if it cannot.
    pub fn fault(&self) -> Option<String> {
        self.state().fault.clone()
    }

    /// The load cannot go on.
    pub fn fail(&self, why: String) {
        let mut state = self.state();
        if !state.stopping {
            state.fault.get_or_insert(why);
        }
    }

    /// A message was acknowledged.
    pub fn acked(&self, line: usize, sent: &api::SendResponse) {
        let now = Instant::now();
        let mut state = self.state();
        let state = &mut *state;
        let Some(of) = state.lines.get_mut(line) else {
            return;
        };
        of.cursor = of.cursor.max(sent.sequence);
        if let (Some((_, at)), Some(measured)) = (of.recent.back(), &mut state.measuring) {
            measured.ack.add(now - *at);
        }
        state.idle.push_back(line);
        state.on_way = state.on_way.saturating_sub(1);
        self.send_next(state);
    }

    /// An observer received a message.
    pub fn received(&self, line: usize, request_id: &str) {
        let now = Instant::now();
        let number = u64::from_str_radix(request_id, 16);
        let mut state = self.state();
        let state = &mut *state;
        let (Ok(number), Some(measured)) = (number, &mut state.measuring) else {
            return;
        };
        let of = state.lines.get(line);
        let sent = of.and_then(|of| of.recent.iter().find(|(sent, _)| *sent == number));
        if let Some((_, at)) = sent {
            measured.delivery.add(now - *at);
        }
    }

    fn send_next(&self, state: &mut State) {
        if state.stopping {
            return;
        }
        let Some(line) = state.idle.pop_front() else {
            return;
        };
        let number = state.next;
        let of = &mut state.lines[line];
        if of.recent.len() == RECENT {
            of.recent.pop_front();
        }
        of.recent.push_back((number, Instant::now()));
        let send = api::SendRequest {
            request_id: format!("{number:016x}"),
            text: self.text.as_ref().to_owned(),
            ..Default::default()
        };
        let request = Some(attach_request::Request::Send(send));
        if of.up.try_send(api::AttachRequest { request }).is_err() {
            state
                .fault
                .get_or_insert("a stream takes no more".to_owned());
            return;
        }
        state.next += 1;
        state.on_way += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sequence: u64) -> api::SendResponse {
        api::SendResponse {
            sequence,
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn conversations_take_turns_and_none_has_two_messages_on_the_way() {
        let (ups, mut downs): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| mpsc::channel(4))
            .map(|(up, down)| ((up, 0), down))
            .unzip();
        let lines = Lines::new(ups, 1);
        lines.begin(2);
        assert_eq!(lines.on_way(), 2);
        assert!(downs[2].try_recv().is_err());
        lines.acked(0, &sent(7));
        assert!(downs[2].try_recv().is_ok());
        assert!(downs[0].try_recv().is_ok());
        assert!(downs[0].try_recv().is_err());
        assert_eq!(lines.cursors(), [7, 0, 0]);
        assert_eq!(lines.next_number(), 4);
    }

    #[tokio::test]
    async fn only_what_falls_into_the_window_is_measured() {
        let (up, _down) = mpsc::channel(8);
        let lines = Lines::new(vec![(up, 0)], 1);
        lines.begin(1);
        lines.acked(0, &sent(1));
        lines.measure(true);
        lines.acked(0, &sent(2));
        lines.received(0, "0000000000000002");
        lines.received(0, "00000000000000ff");
        lines.stop();
        let measured = lines.measure(false);
        assert_eq!((measured.ack.count(), measured.delivery.count()), (1, 1));
        lines.acked(0, &sent(3));
        assert_eq!(lines.on_way(), 0);
    }
}
