//! Bounded mailboxes between tasks.
//! Promise: never more than the bound waits; a full mailbox is the sender's to see; an empty one holds next
//! to nothing, so that ten thousands of idle streams and conversations can each have theirs.
//! Not here: broadcast and watched values (`tokio::sync`).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, TryAcquireError};
use tokio::task::coop::poll_proceed;

/// Messages for which an emptied mailbox keeps room: what an idle one gets now and then. The room for a burst
/// is given back with its last message.
const KEPT_SLOTS: usize = 8;

/// A mailbox that holds at most `bound` messages (at least one). The name appears in errors and
/// metrics.
pub fn bounded<T>(name: &'static str, bound: usize) -> (Sender<T>, Receiver<T>) {
    let bound = bound.clamp(1, Semaphore::MAX_PERMITS);
    let shared = Arc::new(Shared {
        name,
        bound,
        room: Semaphore::new(bound),
        gone: Notify::new(),
        state: Mutex::new(State {
            waiting: VecDeque::new(),
            reader: None,
            senders: 1,
            end: End::Open,
        }),
    });
    let sender = Sender {
        shared: Arc::clone(&shared),
    };
    (sender, Receiver { shared })
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

/// What both sides hold. A queue of `tokio` takes a kilobyte before anything is in it: a block of 32 places
/// and room against false sharing.
#[derive(Debug)]
struct Shared<T> {
    name: &'static str,
    bound: usize,
    /// A permit for each place; whoever takes one out of here fills the place or gives it back.
    room: Semaphore,
    /// Told once, when no more messages are taken.
    gone: Notify,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    reader: Option<Waker>,
    senders: usize,
    end: End,
}

/// What the receiver still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything.
    Open,
    /// What waits, and what comes into places that were kept before.
    Closed,
    /// Nothing.
    Gone,
}

impl<T> State<T> {
    fn take(&mut self) -> Option<T> {
        let message = self.waiting.pop_front();
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT_SLOTS {
            self.waiting = VecDeque::new();
        }
        message
    }
}

impl<T> Shared<T> {
    /// Fills a place that was kept; hands the message back when nobody will read it.
    fn fill(&self, message: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.end == End::Gone {
            return Err(message);
        }
        state.waiting.push_back(message);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(())
    }

    /// Gives a place back that was kept and not filled.
    fn leave(&self) {
        self.room.add_permits(1);
        let mut state = self.state.lock();
        // A closed mailbox ends with the last place.
        let reader = match state.end {
            End::Open => None,
            End::Closed | End::Gone => state.reader.take(),
        };
        drop(state);
        wake(reader);
    }

    fn take(&self) -> Option<T> {
        let message = self.state.lock().take()?;
        self.room.add_permits(1);
        Some(message)
    }

    /// Takes no more, but gives what waits.
    fn close(&self) {
        self.room.close();
        self.state.lock().end = End::Closed;
        self.gone.notify_waiters();
    }

    /// Takes and gives nothing any more.
    fn abandon(&self) {
        self.room.close();
        let mut state = self.state.lock();
        state.end = End::Gone;
        // Dropped outside the lock: an answer that is never given wakes whoever waits for it.
        let unread = std::mem::take(&mut state.waiting);
        let reader = state.reader.take();
        drop(state);
        drop((unread, reader));
        self.gone.notify_waiters();
    }
}

fn wake(reader: Option<Waker>) {
    if let Some(reader) = reader {
        reader.wake();
    }
}

/// The sending side. Cheap to clone.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.state.lock().senders += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.senders -= 1;
        let reader = match state.senders {
            0 => state.reader.take(),
            _ => None,
        };
        drop(state);
        wake(reader);
    }
}

/// A place kept in a mailbox; dropped without a message it is free again.
#[derive(Debug)]
pub struct Permit<'a, T> {
    shared: &'a Shared<T>,
    filled: bool,
}

impl<T> Permit<'_, T> {
    /// Puts `message` into the place; cannot fail.
    pub fn send(mut self, message: T) {
        self.filled = true;
        // A receiver that has gone reads nothing more.
        let _ = self.shared.fill(message);
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if !self.filled {
            self.shared.leave();
        }
    }
}

impl<T> Sender<T> {
    /// Puts `message` in without waiting.
    pub fn try_send(&self, message: T) -> Result<(), SendError<T>> {
        match self.shared.room.try_acquire() {
            Ok(place) => place.forget(),
            Err(TryAcquireError::NoPermits) => return Err(SendError::Full(message)),
            Err(TryAcquireError::Closed) => return Err(SendError::Closed(message)),
        }
        self.shared.fill(message).map_err(SendError::Closed)
    }

    /// Puts `message` in, waiting for room; fails with [`SendError::Closed`] only.
    pub async fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.shared.room.acquire().await {
            Ok(place) => place.forget(),
            Err(_) => return Err(SendError::Closed(message)),
        }
        self.shared.fill(message).map_err(SendError::Closed)
    }

    /// Waits for room and keeps it, so that the message can be made at the moment of sending.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, Closed> {
        let name = self.shared.name;
        let place = self.shared.room.acquire().await;
        place.map_err(|_| Closed { name })?.forget();
        Ok(Permit {
            shared: &self.shared,
            filled: false,
        })
    }

    /// Messages waiting now, places kept by permits included.
    pub fn len(&self) -> usize {
        self.shared.bound - self.shared.room.available_permits()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.room.is_closed()
    }

    /// Resolves when the receiver is gone.
    pub async fn closed(&self) {
        // Made before the look: an end between the two is not missed.
        let gone = self.shared.gone.notified();
        if !self.is_closed() {
            gone.await;
        }
    }

    /// The mailbox's name.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }
}

/// The receiving side.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The next message; `None` when every sender is gone and nothing waits.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        // A task whose mailbox is never empty lets others run all the same.
        let turn = std::task::ready!(poll_proceed(context));
        let mut state = self.shared.state.lock();
        let message = state.take();
        let is_over = message.is_none()
            && match state.end {
                End::Open => state.senders == 0,
                // A place that was kept before may still be filled.
                End::Closed | End::Gone => {
                    self.shared.room.available_permits() == self.shared.bound
                }
            };
        if message.is_none() && !is_over {
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        turn.made_progress();
        if message.is_some() {
            self.shared.room.add_permits(1);
        }
        Poll::Ready(message)
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<T> {
        self.shared.take()
    }

    /// Takes no more messages; those that wait can still be received.
    pub fn close(&mut self) {
        self.shared.close();
    }

    /// Messages waiting now.
    pub fn len(&self) -> usize {
        self.shared.state.lock().waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mailbox's name.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

/// As [`Receiver::recv`], for whoever is polled itself.
impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(context)
    }
}

#[cfg(test)]
#[path = "mailbox_test.rs"]
mod mailbox_test;
