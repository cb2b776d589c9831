//! Where each node is reached.
//! Promise: an address set here is used by the next connection; nothing in the log names one.
//! Not here: how addresses are learned (`node`).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// Node ids and their peer addresses, written `host:port`. Clones share the same entries.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    entries: Arc<RwLock<BTreeMap<u64, String>>>,
}

impl Directory {
    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where `node` is reached.
    pub fn set(&self, node: u64, address: impl Into<String>) {
        self.entries.write().insert(node, address.into());
    }

    /// Forgets `node`.
    pub fn remove(&self, node: u64) {
        self.entries.write().remove(&node);
    }

    /// Where `node` is reached, if known.
    #[must_use]
    pub fn address(&self, node: u64) -> Option<String> {
        self.entries.read().get(&node).cloned()
    }
}
