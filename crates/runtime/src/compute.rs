//! Work for a processor, off the lanes.
//! Promise: at most [`WAITING_JOBS_MAX`] jobs wait; a panic of a job is raised where it is awaited.
//! Not here: anything that waits for a disk, a peer or a clock.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};
use std::{io, thread};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

/// Jobs queued or running in one pool: one snapshot's encoding and some tens of small jobs. Full
/// means that the caller waits.
const WAITING_JOBS_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// A place to run long computations. Cheap to clone.
#[derive(Clone)]
pub struct Compute {
    pool: Option<Arc<Pool>>,
}

struct Pool {
    jobs: mpsc::SyncSender<Job>,
    room: Arc<Semaphore>,
}

impl Compute {
    /// A pool of `threads` threads (at least one), which end when the last clone is dropped.
    #[allow(clippy::disallowed_methods, reason = "the pool owns its threads")]
    pub fn threads(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(WAITING_JOBS_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads.max(1) {
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("compute-{number}"))
                .spawn(move || work(&queue))?;
        }
        let room = Arc::new(Semaphore::new(WAITING_JOBS_MAX));
        Ok(Self {
            pool: Some(Arc::new(Pool { jobs, room })),
        })
    }

    /// Runs each job where it is awaited: tests and the simulation, which own every thread.
    pub fn inline() -> Self {
        Self { pool: None }
    }

    /// Runs `job` and gives its value. A panic of the job is raised in the caller. A job whose
    /// future is dropped still runs once queued.
    pub fn run<T, F>(&self, job: F) -> impl Future<Output = T> + Send + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let pool = self.pool.clone();
        async move {
            match pool {
                None => job(),
                Some(pool) => pool.run(job).await,
            }
        }
    }
}

impl Pool {
    async fn run<T, F>(&self, job: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let room = self
            .room
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (reply, answer) = oneshot::channel();
        let guarded = Box::new(move || {
            // Nobody may be waiting any more; the job's value is then dropped.
            let _ = reply.send(catch_unwind(AssertUnwindSafe(job)));
            drop(room);
        });
        // Never blocks: the semaphore lets in no more than the channel holds.
        self.jobs
            .send(guarded)
            .expect("threads live as long as the pool");
        match answer.await.expect("a guarded job always answers") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // Waiting under the lock is meant: one idle thread waits for the queue, the others for it.
        let job = queue.lock().recv();
        match job {
            Ok(job) => job(),
            Err(mpsc::RecvError) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pool_and_an_inline_compute_give_the_same_value() {
        assert_eq!(Compute::inline().run(|| 6 * 7).await, 42);
        assert_eq!(Compute::threads(2).unwrap().run(|| 6 * 7).await, 42);
    }

    #[tokio::test]
    async fn a_pool_outlives_a_panicking_job() {
        let compute = Compute::threads(1).unwrap();
        let job = AssertUnwindSafe(compute.run(|| panic!("bad job")));
        let ended: Result<(), _> = futures::FutureExt::catch_unwind(job).await;
        assert!(ended.is_err());
        assert_eq!(compute.run(|| 1).await, 1);
    }
}
