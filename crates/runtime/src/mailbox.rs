//! Bounded mailboxes between tasks.
//! Promise: never more than the bound waits; a full mailbox is the sender's to see.
//! Not here: broadcast and watched values (`tokio::sync`).

use std::collections::VecDeque;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// A mailbox that holds at most `bound` messages (at least one). The name appears in errors and
/// metrics.
pub fn bounded<T>(name: &'static str, bound: usize) -> (Sender<T>, Receiver<T>) {
    let (inner, queue) = mpsc::channel(bound.max(1));
    let meter = None;
    (Sender { name, inner }, Receiver { name, queue, meter })
}

/// A mailbox that holds at most `bound` messages (at least one) and `bytes_max` bytes of them, with one
/// place kept for a last word.
pub fn weighed<T>(
    name: &'static str,
    bound: usize,
    bytes_max: usize,
) -> (WeighedSender<T>, Receiver<T>) {
    let bound = bound.max(1);
    let (sender, receiver) = bounded(name, bound + 1);
    let weighed = WeighedSender {
        sender,
        bound,
        bytes_max,
        weights: VecDeque::new(),
        bytes: 0,
    };
    (weighed, receiver)
}

/// Why a message was not taken; it is handed back.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError<T> {
    /// The bound is reached.
    #[error("the mailbox is full")]
    Full(T),
    /// The receiver is gone.
    #[error("the mailbox is closed")]
    Closed(T),
}

/// The mailbox is closed: its receiver is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mailbox {name} is closed")]
pub struct Closed {
    /// The mailbox's name.
    pub name: &'static str,
}

/// The sending side. Cheap to clone.
#[derive(Debug)]
pub struct Sender<T> {
    name: &'static str,
    inner: mpsc::Sender<T>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            inner: self.inner.clone(),
        }
    }
}

/// A place kept in a mailbox.
pub struct Permit<'a, T> {
    inner: mpsc::Permit<'a, T>,
}

impl<T> Permit<'_, T> {
    /// Puts `message` into the place; cannot fail.
    pub fn send(self, message: T) {
        self.inner.send(message);
    }
}

impl<T> Sender<T> {
    /// Puts `message` in without waiting.
    pub fn try_send(&self, message: T) -> Result<(), SendError<T>> {
        self.inner.try_send(message).map_err(|error| match error {
            TrySendError::Full(message) => SendError::Full(message),
            TrySendError::Closed(message) => SendError::Closed(message),
        })
    }

    /// Puts `message` in, waiting for room; fails with [`SendError::Closed`] only.
    pub async fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.inner
            .send(message)
            .await
            .map_err(|error| SendError::Closed(error.0))
    }

    /// Waits for room and keeps it, so that the message can be made at the moment of sending.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, Closed> {
        let inner = self
            .inner
            .reserve()
            .await
            .map_err(|_| Closed { name: self.name })?;
        Ok(Permit { inner })
    }

    /// Messages waiting now, places kept by permits included.
    pub fn len(&self) -> usize {
        self.inner.max_capacity() - self.inner.capacity()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Resolves when the receiver is gone.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }

    /// The mailbox's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The one sending side of a mailbox that weighs its messages.
#[derive(Debug)]
pub struct WeighedSender<T> {
    sender: Sender<T>,
    bound: usize,
    bytes_max: usize,
    /// The weights of the messages that may still wait, oldest first.
    weights: VecDeque<usize>,
    /// Their sum.
    bytes: usize,
}

impl<T> WeighedSender<T> {
    /// Whether a message of `weight` bytes fits below `bytes_max`; one alone always does.
    pub fn fits(&mut self, weight: usize, bytes_max: usize) -> bool {
        // The queue is in order: what it no longer holds are the oldest.
        while self.weights.len() > self.sender.len() {
            self.bytes -= self.weights.pop_front().unwrap_or_default();
        }
        self.weights.len() < self.bound && (self.bytes == 0 || self.bytes + weight <= bytes_max)
    }

    /// Puts `message` in without waiting.
    ///
    /// # Errors
    /// [`SendError::Full`] at either bound.
    pub fn try_send(&mut self, message: T, weight: usize) -> Result<(), SendError<T>> {
        if !self.fits(weight, self.bytes_max) {
            return Err(match self.sender.is_closed() {
                true => SendError::Closed(message),
                false => SendError::Full(message),
            });
        }
        self.sender.try_send(message)?;
        self.weights.push_back(weight);
        self.bytes += weight;
        Ok(())
    }

    /// Puts a last message into the place that was kept for it.
    pub fn last(self, message: T) {
        // Only a receiver that is gone has no place.
        let _ = self.sender.try_send(message);
    }

    /// Messages that may still wait, by the last look.
    pub fn waiting(&self) -> usize {
        self.weights.len()
    }

    /// Resolves when at most `left` messages wait.
    ///
    /// # Errors
    /// [`Closed`] when the receiver is gone.
    pub async fn read_down_to(&self, left: usize) -> Result<(), Closed> {
        let mut free = Vec::new();
        while free.len() + left <= self.bound {
            free.push(self.sender.reserve().await?);
        }
        Ok(())
    }
}

/// Learns what the reader of a mailbox takes; dropped with the reader. Called by the reader's task: it
/// must not wait.
pub trait Meter<T>: Send {
    /// The reader has taken `message` out.
    fn took(&mut self, message: &T);
}

/// The receiving side.
pub struct Receiver<T> {
    name: &'static str,
    queue: mpsc::Receiver<T>,
    meter: Option<Box<dyn Meter<T>>>,
}

impl<T> std::fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("name", &self.name)
            .field("waiting", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl<T> Receiver<T> {
    /// The same with a meter that learns what is taken from now on.
    #[must_use]
    pub fn metered(mut self, meter: impl Meter<T> + 'static) -> Self {
        self.meter = Some(Box::new(meter));
        self
    }

    /// The next message; `None` when every sender is gone and nothing waits.
    pub async fn recv(&mut self) -> Option<T> {
        let message = self.queue.recv().await?;
        Some(self.taken(message))
    }

    /// As [`Receiver::recv`], for whoever is polled itself.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let polled = self.queue.poll_recv(context);
        polled.map(|message| message.map(|message| self.taken(message)))
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<T> {
        let message = self.queue.try_recv().ok()?;
        Some(self.taken(message))
    }

    fn taken(&mut self, message: T) -> T {
        if let Some(meter) = &mut self.meter {
            meter.took(&message);
        }
        message
    }

    /// Takes no more messages; those that wait can still be received.
    pub fn close(&mut self) {
        self.queue.close();
    }

    /// Messages waiting now.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The mailbox's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_hands_the_message_back() {
        let (sender, mut receiver) = bounded("test", 1);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Err(SendError::Full(2)));
        assert_eq!(sender.len(), 1);
        assert_eq!(receiver.try_recv(), Some(1));
        assert_eq!(receiver.try_recv(), None);
        drop(receiver);
        assert_eq!(sender.try_send(3), Err(SendError::Closed(3)));
    }

    #[test]
    fn a_weighed_mailbox_is_bounded_in_messages_and_bytes_and_keeps_a_place_for_a_last_word() {
        let (mut sender, mut receiver) = weighed("test", 3, 10);
        assert_eq!(sender.try_send('a', 25), Ok(()), "one alone always fits");
        assert_eq!(sender.try_send('b', 1), Err(SendError::Full('b')), "bytes");
        assert_eq!(receiver.try_recv(), Some('a'));
        for message in ['b', 'c', 'd'] {
            assert_eq!(sender.try_send(message, 1), Ok(()));
        }
        assert_eq!(
            sender.try_send('e', 0),
            Err(SendError::Full('e')),
            "messages"
        );
        sender.last('z');
        let rest: String = std::iter::from_fn(|| receiver.try_recv()).collect();
        assert_eq!(rest, "bcdz");
    }

    #[tokio::test]
    async fn a_meter_learns_what_is_taken_and_that_the_reader_has_gone() {
        struct Sum(std::sync::Arc<parking_lot::Mutex<(u32, bool)>>);
        impl Meter<u32> for Sum {
            fn took(&mut self, message: &u32) {
                self.0.lock().0 += message;
            }
        }
        impl Drop for Sum {
            fn drop(&mut self) {
                self.0.lock().1 = true;
            }
        }
        let seen = std::sync::Arc::default();
        let (sender, receiver) = bounded("test", 4);
        let mut receiver = receiver.metered(Sum(std::sync::Arc::clone(&seen)));
        for message in [1, 2, 4] {
            assert_eq!(sender.try_send(message), Ok(()));
        }
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(receiver.try_recv(), Some(2));
        assert_eq!(*seen.lock(), (3, false));
        drop(receiver);
        assert_eq!(*seen.lock(), (3, true));
    }

    #[tokio::test]
    async fn whoever_waits_for_a_reader_goes_on_when_few_enough_messages_wait() {
        let (mut sender, mut receiver) = weighed("test", 4, 100);
        for message in 0..4 {
            assert_eq!(sender.try_send(message, 1), Ok(()));
        }
        let waiting = async {
            sender.read_down_to(2).await.expect("the reader is there");
            sender
        };
        let reading = async {
            assert_eq!(receiver.recv().await, Some(0));
            assert_eq!(receiver.recv().await, Some(1));
            receiver
        };
        let (sender, receiver) = tokio::join!(waiting, reading);
        drop(receiver);
        assert_eq!(sender.read_down_to(0).await, Err(Closed { name: "test" }));
    }
}
