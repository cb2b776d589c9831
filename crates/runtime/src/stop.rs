//! Stopping tasks from outside.
//! Promise: a stop is seen by every clone and child, at once or at their next look, and is for ever.
//! Not here: aborting (`Task::abort`), order of shutdown (`node`).

use std::sync::Arc;

use futures::future::select_all;
use tokio::sync::watch;

/// Asks tasks to stop. Dropping the last clone asks as well: the scope that owned them has ended.
#[derive(Clone, Debug)]
pub struct StopSource {
    sender: Arc<watch::Sender<bool>>,
    parents: Vec<watch::Receiver<bool>>,
}

/// Tells a task that it should stop.
#[derive(Clone, Debug)]
pub struct Stop {
    chain: Vec<watch::Receiver<bool>>,
}

impl Default for StopSource {
    fn default() -> Self {
        Self::new()
    }
}

impl StopSource {
    /// A source without a parent.
    pub fn new() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(false)),
            parents: Vec::new(),
        }
    }

    /// Asks every [`Stop`] of this source and its children to stop.
    pub fn stop(&self) {
        self.sender.send_replace(true);
    }

    /// The other end.
    pub fn token(&self) -> Stop {
        let mut chain = self.parents.clone();
        chain.push(self.sender.subscribe());
        Stop { chain }
    }
}

impl Stop {
    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        self.chain
            .iter()
            .any(|link| *link.borrow() || link.has_changed().is_err())
    }

    /// Resolves when a stop is asked for. Safe to drop and call again.
    pub async fn stopped(&self) {
        let mut chain = self.chain.clone();
        // An error means that the source is gone, which counts as a stop.
        let links = chain
            .iter_mut()
            .map(|link| Box::pin(async { drop(link.wait_for(|stop| *stop).await) }));
        select_all(links).await;
    }

    /// Lets a future go on unless a stop is asked for first: `None` then, and it is dropped.
    pub async fn unless<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stopped() => None,
            done = future => Some(done),
        }
    }

    /// A source whose tokens stop with this one, or alone.
    pub fn child(&self) -> StopSource {
        StopSource {
            sender: Arc::new(watch::Sender::new(false)),
            parents: self.chain.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_done_before_a_stop_is_done_and_what_is_not_is_dropped() {
        let source = StopSource::new();
        let stop = source.token();
        assert_eq!(stop.unless(async { 7 }).await, Some(7));
        source.stop();
        assert_eq!(stop.unless(std::future::pending::<()>()).await, None);
        assert_eq!(stop.unless(async { 7 }).await, None, "a stop goes first");
    }

    #[tokio::test]
    async fn a_stop_reaches_children_but_not_parents() {
        let parent = StopSource::new();
        let child = parent.token().child();
        let other = parent.token().child();
        child.stop();
        child.token().stopped().await;
        assert!(!parent.token().is_stopped());
        assert!(!other.token().is_stopped());
        parent.stop();
        other.token().stopped().await;
        assert!(other.token().is_stopped());
    }

    #[tokio::test]
    async fn a_dropped_source_is_a_stop() {
        let source = StopSource::new();
        let stop = source.token();
        drop(source);
        stop.stopped().await;
        assert!(stop.is_stopped());
    }
}
