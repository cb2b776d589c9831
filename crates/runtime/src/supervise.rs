//! Supervision: a task whose panic somebody must act on.
//! Promise: the callback is called once, after the panic was logged, and only for a panic.
//! Not here: restarting. State after a panic is unknown; the owner decides what is dropped.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::lane::{Lane, Task};

/// Runs `future` on `lane`. Should it panic, that is logged and `on_panic` is called.
pub fn supervise<F, P>(lane: &Lane, name: &'static str, future: F, on_panic: P) -> Task<()>
where
    F: Future<Output = ()> + Send + 'static,
    P: FnOnce() + Send + 'static,
{
    let lane_name = lane.name();
    // No `async` block: it would hold the future twice, as what it was given and as what it awaits.
    let supervised = AssertUnwindSafe(future).catch_unwind().map(move |ended| {
        // What it said may be what somebody wrote: it goes no further.
        if ended.is_err() {
            tracing::error!(lane = lane_name, task = name, "a supervised task panicked");
            on_panic();
        }
    });
    lane.spawn(name, supervised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Handle;

    #[tokio::test]
    async fn a_panic_reaches_the_callback() {
        let (told, heard) = tokio::sync::oneshot::channel();
        let lane = Lane::new("test", Handle::current());
        let task = supervise(&lane, "broken", async { panic!("gone") }, || {
            let _ = told.send(());
        });
        assert_eq!(heard.await, Ok(()));
        assert_eq!(task.await, Ok(()));
    }
}
