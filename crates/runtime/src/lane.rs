//! Lanes: the only places where a task is spawned.
//! Promise: a panic of any task is logged with the names of lane and task, also when nobody awaits it; what a
//! task logs stands in the lane's span, so that several nodes of one process are told apart.
//! Not here: building the runtimes (`real`), restarting tasks (nothing does; see `supervise`).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

/// A spawner with a name.
#[derive(Clone, Debug)]
pub struct Lane {
    name: &'static str,
    handle: Handle,
    place: Span,
}

impl Lane {
    /// A lane whose tasks run on the runtime of `handle`.
    pub fn new(name: &'static str, handle: Handle) -> Self {
        Self {
            name,
            handle,
            place: Span::none(),
        }
    }

    /// The same lane for a node that shares its process with others: what its tasks log stands in
    /// `place`. A process of one node needs none and pays for none.
    #[must_use]
    pub fn within(&self, place: Span) -> Self {
        Self {
            place,
            ..self.clone()
        }
    }

    /// Where the lane's tasks log, for what a library runs beside the lane.
    pub fn place(&self) -> &Span {
        &self.place
    }

    /// The name given at construction.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The runtime behind the lane, for libraries that ask for one.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Starts `future`. Dropping the returned task does not stop it.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where a task is spawned"
    )]
    pub fn spawn<T, F>(&self, name: &'static str, future: F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let lane = self.name;
        let guarded = AssertUnwindSafe(future).catch_unwind().map(move |ended| {
            // What it said may be what somebody wrote: it goes no further.
            ended.map_err(|_said| {
                tracing::error!(lane, task = name, "a task panicked");
                TaskEnd::Panicked
            })
        });
        Task {
            join: self.handle.spawn(guarded.instrument(self.place.clone())),
        }
    }
}

/// Why a task gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskEnd {
    /// The task panicked; the log has named the line.
    #[error("the task panicked")]
    Panicked,
    /// The task was aborted, or its runtime has shut down.
    #[error("the task was aborted")]
    Aborted,
}

/// A running task. Await it for its value; drop or [`Task::detach`] it to let it run on.
#[must_use = "await the task, detach it, or bind it to a guard"]
#[derive(Debug)]
pub struct Task<T> {
    join: JoinHandle<Result<T, TaskEnd>>,
}

impl<T> Task<T> {
    /// Stops the task at its next await.
    pub fn abort(&self) {
        self.join.abort();
    }

    /// Whether the task has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }

    /// Lets the task run on by itself.
    pub fn detach(self) {}

    /// Binds the task's life to the returned guard.
    pub fn abort_on_drop(self) -> AbortOnDrop<T> {
        AbortOnDrop { task: self }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskEnd>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.join.poll_unpin(cx).map(|joined| match joined {
            Ok(ended) => ended,
            Err(_) => Err(TaskEnd::Aborted),
        })
    }
}

/// Aborts its task when dropped.
#[derive(Debug)]
pub struct AbortOnDrop<T> {
    task: Task<T>,
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, TaskEnd>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.poll_unpin(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> Lane {
        Lane::new("test", Handle::current())
    }

    #[tokio::test]
    async fn a_task_gives_its_value() {
        assert_eq!(lane().spawn("sum", async { 1 + 1 }).await, Ok(2));
    }

    #[tokio::test]
    async fn a_panic_is_an_end_and_what_it_said_goes_no_further() {
        let task = lane().spawn("broken", async { panic!("out of {}", "order") });
        let ended: Result<(), TaskEnd> = task.await;
        assert_eq!(ended, Err(TaskEnd::Panicked));
        assert_eq!(ended.unwrap_err().to_string(), "the task panicked");
    }

    #[tokio::test]
    async fn a_dropped_guard_aborts_its_task() {
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let task = lane().spawn("waiting", async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(task.abort_on_drop());
        assert!(ended.await.is_err());
    }
}
