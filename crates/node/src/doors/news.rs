//! News of streams for the other node, told as the connection has room.
//! Promise: whoever notes something never waits; at most one entry a stream; every stream has its turn.
//! Not here: what is counted (`credit`), frames of messages (`conn`, `session`).

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// What is to be told of one stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Messages that were read: as many may follow.
    pub(super) read: u32,
    /// Nobody reads any more.
    pub(super) unread: bool,
    /// Nothing follows from the client, and whether that is our fault.
    pub(super) stop: Option<bool>,
}

/// What waits to be told on one connection.
#[derive(Default)]
pub(super) struct Telling {
    waiting: Mutex<BTreeMap<u64, News>>,
    noted: Notify,
}

impl Telling {
    /// Notes something of a stream.
    pub(super) fn note(&self, call: u64, change: impl FnOnce(&mut News)) {
        change(self.waiting.lock().entry(call).or_default());
        self.noted.notify_one();
    }

    /// Tells what is noted, for as long as the connection lasts.
    pub(super) async fn tell<F>(&self, out: &mpsc::Sender<F>, frames: fn(u64, News) -> Vec<F>) {
        loop {
            self.noted.notified().await;
            // All that is there, then what came meanwhile: a busy stream does not come twice before others.
            let waiting = std::mem::take(&mut *self.waiting.lock());
            let frames = waiting
                .into_iter()
                .flat_map(|(call, news)| frames(call, news));
            for frame in frames {
                if out.send(frame).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_noted_without_room_is_told_once_and_in_turn() {
        let telling = Telling::default();
        let (out, mut told) = mpsc::channel(1);
        for call in [2, 1, 2] {
            telling.note(call, |news| news.read += 1);
        }
        let reading = async {
            assert_eq!(told.recv().await, Some((1, 1)));
            telling.note(1, |news| news.read += 7);
            assert_eq!(told.recv().await, Some((2, 2)), "before the first again");
            assert_eq!(told.recv().await, Some((1, 7)));
        };
        tokio::select! { biased;
            () = telling.tell(&out, |call, news| vec![(call, news.read)]) => panic!("it goes on"),
            () = reading => {}
        }
    }
}
