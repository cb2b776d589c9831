//! Where each node is reached, and which nodes there are.
//! Promise: an address set here is used by the next connection; a node that is gone is not heard any
//! more once it is known here; nothing in the log names an address.
//! Not here: how both are learned (`node`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

/// Node ids, their peer addresses, written `host:port`, and who is a member. Clones share the same
/// entries.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    entries: Arc<RwLock<BTreeMap<u64, String>>>,
    members: Arc<watch::Sender<Option<Members>>>,
}

/// The nodes of the cluster as this node last heard. Ids are allotted in order and never again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Those that were not removed.
    pub living: BTreeSet<u64>,
    /// The newest id that is known to be allotted.
    pub newest: u64,
}

/// What a node is to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A member, or nothing is known of members yet.
    Member,
    /// Not known yet: its id is newer than the list. It may bring the list, so it is heard about the
    /// group that holds it; else a node that was away while others joined could never come back.
    Newer,
    /// Removed, or never a member.
    Gone,
}

impl Members {
    fn standing(&self, node: u64) -> Standing {
        if self.living.contains(&node) {
            Standing::Member
        } else if node > self.newest {
            Standing::Newer
        } else {
            Standing::Gone
        }
    }
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

    /// Sets who is a member; until then every node of the cluster is heard.
    pub fn set_members(&self, members: Members) {
        self.members.send_if_modified(|known| {
            let news = known.as_ref() != Some(&members);
            *known = Some(members);
            news
        });
    }

    /// What `node` is to this one.
    pub(crate) fn standing(&self, node: u64) -> Standing {
        let members = self.members.borrow();
        members
            .as_ref()
            .map_or(Standing::Member, |members| members.standing(node))
    }

    /// Follows changes of who is a member.
    pub(crate) fn watch_members(&self) -> watch::Receiver<Option<Members>> {
        self.members.subscribe()
    }

    /// Resolves when `node` is known to be gone.
    pub(crate) async fn gone(&self, node: u64) {
        let mut members = self.watch_members();
        let gone = |members: &Option<Members>| {
            let known = members.as_ref();
            known.is_some_and(|members| members.standing(node) == Standing::Gone)
        };
        if members.wait_for(gone).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_gone_once_a_newer_list_lacks_it_and_newer_than_an_old_list_before() {
        let directory = Directory::new();
        assert_eq!(directory.standing(4), Standing::Member, "no list yet");
        let list = |living: &[u64], newest| Members {
            living: living.iter().copied().collect(),
            newest,
        };
        directory.set_members(list(&[1, 2, 3], 3));
        assert_eq!(directory.standing(3), Standing::Member);
        assert_eq!(directory.standing(4), Standing::Newer);
        directory.set_members(list(&[1, 2, 4], 4));
        assert_eq!(directory.standing(3), Standing::Gone);
        assert_eq!(directory.standing(4), Standing::Member);
        assert_eq!(directory.standing(0), Standing::Gone);
    }
}
