//! The ground that decoders of files stand on: a runtime with paused time, a disk in memory.
//! Promise: nothing of the machine is touched; waits end at once.
//! Not here: what lies on the disk (each target).

use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use runtime::memory::{self, MemoryDisk};
use runtime::{Create, Disk, DiskLane, Env, Open};
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread asks the machine for nothing"),
    );
}

/// Runs to the end. A wait without anybody to end it takes no time.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with_borrow_mut(|runtime| runtime.block_on(work))
}

/// Lets tasks that were spawned run until they wait.
pub async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// An environment on this disk; inside [`block_on`].
pub fn env(disk: &MemoryDisk) -> Env {
    Env {
        disk: Arc::new(disk.clone()),
        ..memory::env(1)
    }
}

/// Puts a file on the disk.
pub async fn put(disk: &MemoryDisk, path: &Path, content: &[u8]) {
    let open = Open {
        create: Create::IfMissing,
        lane: DiskLane::Bulk,
    };
    let written = async {
        if let Some(dir) = path.parent() {
            disk.create_dir_all(dir).await?;
        }
        let file = disk.open(path, open).await?;
        file.write_at(0, Bytes::copy_from_slice(content)).await
    };
    written
        .await
        .expect("a disk in memory has no fault of its own");
}
