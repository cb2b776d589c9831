//! The data directory of a node: its lock and the identity written into it.
//! Promise: one process at a time; a directory serves one node of one cluster for ever.
//! Not here: what lies in the parts of the directory.

use std::io;
use std::path::{Path, PathBuf};

use runtime::{DiskLock, Env};

/// Who the directory belongs to. Written once, before the first vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id, made at `init`.
    pub cluster_id: String,
    /// Allotted by the control group at `join`; never used twice.
    pub node_id: u64,
    /// The node's name; not an id.
    pub node_name: String,
    /// The site's name.
    pub site: String,
    /// The site's region.
    pub region: String,
    /// The profile of time-outs: `lan`, `regional` or `global`.
    pub profile: String,
}

/// Why a data directory was refused.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The disk failed.
    #[error("the data directory cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// An open data directory; the lock ends when it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Option<Identity>,
    _lock: DiskLock,
}

impl DataDir {
    /// Makes the directory if missing, locks it and reads its identity.
    pub async fn open(_env: &Env, _path: &Path) -> Result<Self, DataDirError> {
        unimplemented!()
    }

    /// Who it belongs to; `None` before the first `claim`.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Writes the identity into an empty directory, durably; in a directory that has one, checks
    /// that it is the same node of the same cluster.
    pub async fn claim(&mut self, _identity: Identity) -> Result<(), DataDirError> {
        unimplemented!()
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log lives.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where snapshots live.
    pub fn snapshot_dir(&self) -> PathBuf {
        self.path.join("snapshots")
    }
}
