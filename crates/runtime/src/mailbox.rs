//! Bounded mailboxes between tasks.
//! Promise: never more than the bound waits; a full mailbox is the sender's to see.
//! Not here: broadcast and watched values (`tokio::sync`).

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// A mailbox that holds at most `bound` messages (at least one). The name appears in errors and
/// metrics.
pub fn bounded<T>(name: &'static str, bound: usize) -> (Sender<T>, Receiver<T>) {
    let (inner, queue) = mpsc::channel(bound.max(1));
    (Sender { name, inner }, Receiver { name, queue })
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

/// The receiving side.
#[derive(Debug)]
pub struct Receiver<T> {
    name: &'static str,
    queue: mpsc::Receiver<T>,
}

impl<T> Receiver<T> {
    /// The next message; `None` when every sender is gone and nothing waits.
    pub async fn recv(&mut self) -> Option<T> {
        self.queue.recv().await
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
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

/// As [`Receiver::recv`], for whoever is polled itself.
impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.queue.poll_recv(context)
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
}
