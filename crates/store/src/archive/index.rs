//! The index as a seam: an ordered map of bytes that may fail, panic or hang at any call.
//! Promise: whatever it does, the caller gets an answer or an [`IndexFault`] within [`CALL_MAX`].
//! Not here: what the bytes mean (`pages`), what is done about a fault (`rebuild`).

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use runtime::Compute;

/// How long one call may take before the index counts as hung: a thousand times what the largest
/// batch takes, that of a whole file.
pub const CALL_MAX: Duration = Duration::from_secs(30);

/// How long a broken index may take to close before it is left to its thread.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// A key and its new value; `None` removes it.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What is wrong with an index. Whatever it is, the index is set aside and built anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexFault {
    /// It reported an error.
    #[error("it reports an error: {0}")]
    Failed(String),
    /// It panicked.
    #[error("it panicked")]
    Panicked,
    /// A call has not returned.
    #[error("a call does not return")]
    Hung,
    /// A page is missing or damaged, unless the file has changed in between.
    #[error("{what}")]
    Page {
        /// The file.
        file: u64,
        /// What is wrong.
        what: String,
    },
}

/// An ordered map of bytes. Every call may block.
pub trait Index: Send {
    /// The last pair whose key lies in `low..=high`.
    fn last_within(&self, low: &[u8], high: &[u8]) -> Result<Option<Pair>, IndexFault>;

    /// All pairs whose keys begin with `prefix`, in order.
    fn each(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), IndexFault>;

    /// Makes all changes or none.
    fn write(&mut self, changes: Vec<Change>) -> Result<(), IndexFault>;

    /// Writes out what is in memory, so that less is to be built after a restart.
    fn flush(&mut self) -> Result<(), IndexFault>;

    /// Whether its files are still there.
    fn check(&self) -> Result<(), IndexFault>;

    /// Bytes on disk.
    fn bytes(&self) -> u64;
}

/// Opens indexes of one kind.
pub trait OpenIndex: Send + Sync + 'static {
    /// Opens the index below `dir`, made if missing.
    fn open(&self, dir: &Path) -> Result<Box<dyn Index>, IndexFault>;

    /// Moves the index below `dir` away, if there is one, and removes older ones so moved.
    fn set_aside(&self, dir: &Path) -> Result<(), IndexFault>;

    /// Where its blocking calls run. Each opened index gets its own, so that one that hangs holds up
    /// nothing else.
    fn compute(&self) -> io::Result<Compute>;
}

/// An index in memory: memory disks, tests, the simulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryIndexes;

#[derive(Default)]
struct MemoryIndex {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl OpenIndex for MemoryIndexes {
    fn open(&self, _: &Path) -> Result<Box<dyn Index>, IndexFault> {
        Ok(Box::new(MemoryIndex::default()))
    }

    fn set_aside(&self, _: &Path) -> Result<(), IndexFault> {
        Ok(())
    }

    fn compute(&self) -> io::Result<Compute> {
        Ok(Compute::inline())
    }
}

impl Index for MemoryIndex {
    fn last_within(&self, low: &[u8], high: &[u8]) -> Result<Option<Pair>, IndexFault> {
        let mut range = self.pairs.range(low.to_vec()..=high.to_vec());
        Ok(range
            .next_back()
            .map(|(key, value)| (key.clone(), value.clone())))
    }

    fn each(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), IndexFault> {
        self.pairs
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn write(&mut self, changes: Vec<Change>) -> Result<(), IndexFault> {
        for (key, value) in changes {
            match value {
                Some(value) => drop(self.pairs.insert(key, value)),
                None => drop(self.pairs.remove(&key)),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IndexFault> {
        Ok(())
    }

    fn check(&self) -> Result<(), IndexFault> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }
}

/// One opened index and the thread of its calls. Cheap to clone.
///
/// The calls have a pool of their own: they wait for a disk, which those of `Compute` at large must
/// not, and the disk's thread would let every reader wait while a run of some megabytes is written.
#[derive(Clone)]
pub struct Opened {
    compute: Compute,
    index: Arc<Mutex<Option<Box<dyn Index>>>>,
    /// Tells this index from the one before.
    pub generation: u64,
}

impl Opened {
    /// Opens the index below `dir`.
    pub async fn open(
        opener: &Arc<dyn OpenIndex>,
        dir: &Path,
        generation: u64,
    ) -> Result<Self, IndexFault> {
        let failed = |error: io::Error| IndexFault::Failed(error.to_string());
        let opened = Self {
            compute: opener.compute().map_err(failed)?,
            index: Arc::default(),
            generation,
        };
        let (opener, dir, place) = (opener.clone(), dir.to_owned(), opened.index.clone());
        opened
            .guarded(CALL_MAX, move || {
                *place.lock() = Some(opener.open(&dir)?);
                Ok(())
            })
            .await?;
        Ok(opened)
    }

    /// The same, after what is below `dir` has been moved away.
    pub async fn replace(
        opener: &Arc<dyn OpenIndex>,
        dir: &Path,
        generation: u64,
    ) -> Result<Self, IndexFault> {
        let failed = |error: io::Error| IndexFault::Failed(error.to_string());
        let mover = Self {
            compute: opener.compute().map_err(failed)?,
            index: Arc::default(),
            generation,
        };
        let (moving, place) = (opener.clone(), dir.to_owned());
        let moved = mover.guarded(CALL_MAX, move || moving.set_aside(&place));
        moved.await?;
        Self::open(opener, dir, generation).await
    }

    /// Runs `job` on the index's thread.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Index) -> Result<T, IndexFault> + Send + 'static,
    ) -> Result<T, IndexFault> {
        let index = self.index.clone();
        self.guarded(CALL_MAX, move || match index.lock().as_mut() {
            Some(index) => job(index.as_mut()),
            None => Err(IndexFault::Failed("it is closed".to_owned())),
        })
        .await
    }

    /// Closes the index. One that hangs is left to its thread.
    pub async fn close(&self) -> Result<(), IndexFault> {
        let index = self.index.clone();
        self.guarded(CLOSE_MAX, move || {
            let open = index.lock().take();
            drop(open);
            Ok(())
        })
        .await
    }

    async fn guarded<T: Send + 'static>(
        &self,
        at_most: Duration,
        job: impl FnOnce() -> Result<T, IndexFault> + Send + 'static,
    ) -> Result<T, IndexFault> {
        let guarded = move || catch_unwind(AssertUnwindSafe(job));
        match tokio::time::timeout(at_most, self.compute.run(guarded)).await {
            Err(_) => Err(IndexFault::Hung),
            Ok(Ok(outcome)) => outcome,
            // What it said may be a customer's key.
            Ok(Err(_said)) => Err(IndexFault::Panicked),
        }
    }
}
