//! Supervision: a task whose panic somebody must act on.
//! Promise: the callback is called once, after the panic was logged, and only for a panic.
//! Not here: restarting. State after a panic is unknown; the owner decides what is dropped.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use crate::lane::{Lane, Task, panic_text};

/// Runs `future` on `lane`. Should it panic, the panic is logged and `on_panic` gets its text.
pub fn supervise<F, P>(lane: &Lane, name: &'static str, future: F, on_panic: P) -> Task<()>
where
    F: Future<Output = ()> + Send + 'static,
    P: FnOnce(String) + Send + 'static,
{
    let lane_name = lane.name();
    lane.spawn(name, async move {
        if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
            let panic = panic_text(panic.as_ref());
            tracing::error!(
                lane = lane_name,
                task = name,
                panic,
                "supervised task panicked"
            );
            on_panic(panic);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Handle;

    #[tokio::test]
    async fn a_panic_reaches_the_callback() {
        let (told, heard) = tokio::sync::oneshot::channel();
        let lane = Lane::new("test", Handle::current());
        let task = supervise(&lane, "broken", async { panic!("gone") }, |panic| {
            drop(told.send(panic))
        });
        assert_eq!(heard.await, Ok("gone".to_owned()));
        assert_eq!(task.await, Ok(()));
    }
}
