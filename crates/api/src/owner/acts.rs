//! Acts of one stream that are under way.
//! Promise: each reaches the cell before the next one is looked at; the bound is the caller's to keep.
//! Not here: what an answer becomes on the stream (`customer`, `desk`).

use conversation::{ActError, CellHandle};
use domain::cell::command::Command;
use domain::cell::reply::Done;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::limits;

/// What was asked, and what came of it.
pub(crate) type Answered<A> = (A, Result<Done, ActError>);

/// Acts under way, each with what identifies it to its client.
pub(crate) struct Acts<A> {
    handle: CellHandle,
    under_way: FuturesUnordered<BoxFuture<'static, Answered<A>>>,
}

impl<A: Send + 'static> Acts<A> {
    pub(crate) fn new(handle: CellHandle) -> Self {
        Self {
            handle,
            under_way: FuturesUnordered::new(),
        }
    }

    /// Starts an act: it has been handed to its conversation when this returns. Gives the answer if
    /// there is one at once.
    pub(crate) fn start(&mut self, about: A, command: Command) -> Option<Answered<A>> {
        let handle = self.handle.clone();
        let mut act = async move { (about, handle.act(command).await) }.boxed();
        // Polled here and not only by the set: the set promises no order among new futures, and the
        // order of a client's sends is kept.
        if let Some(answered) = (&mut act).now_or_never() {
            return Some(answered);
        }
        self.under_way.push(act);
        None
    }

    /// The next answer; waits for ever while nothing is under way.
    pub(crate) async fn next(&mut self) -> Answered<A> {
        match self.under_way.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }

    /// The next outcome that is certain, while the owner goes away: what was committed is said, what is
    /// not known is asked again elsewhere under the same id. `None` when nothing more comes by then.
    pub(crate) async fn last(&mut self, by: Instant) -> Option<Answered<A>> {
        while !self.is_empty() {
            let (about, outcome) = timeout_at(by, self.next()).await.ok()?;
            if matches!(outcome, Ok(_) | Err(ActError::Refused(_))) {
                return Some((about, outcome));
            }
        }
        None
    }

    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < limits::STREAM_ACTS_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// Waits for `by`, without it for ever.
pub(super) async fn until(by: Option<Instant>) {
    match by {
        Some(by) => sleep_until(by).await,
        None => std::future::pending().await,
    }
}
