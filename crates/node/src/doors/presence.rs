//! Which edges are connected to this node.
//! Promise: one function, `our_fault`, decides whether a silent client may be silent because of us.
//! Not here: what follows from it (`conversation`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conversation::Edge;
use domain::ids::{NodeId, SiteId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Without a connection for this long, an edge's clients are silent by our fault.
const OUR_FAULT_AFTER: Duration = Duration::from_secs(2);

/// Connections from the edges of other nodes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Presence {
    inner: Arc<Inner>,
}

struct Inner {
    own: Place,
    /// One entry for each node that was ever connected or asked about.
    edges: Mutex<BTreeMap<NodeId, Seen>>,
    /// Since when sites have been asked about of which no edge was ever connected.
    unseen: Mutex<BTreeMap<SiteId, Instant>>,
}

/// A node and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) node: NodeId,
    pub(crate) site: SiteId,
}

struct Seen {
    /// `None` until it first connects.
    site: Option<SiteId>,
    open: u32,
    last: Instant,
}

impl Seen {
    fn never() -> Self {
        Self {
            site: None,
            open: 0,
            last: Instant::now(),
        }
    }

    fn is_lost(&self) -> bool {
        self.open == 0 && self.last.elapsed() >= OUR_FAULT_AFTER
    }
}

impl Presence {
    pub(crate) fn new(own: Place) -> Self {
        Self {
            inner: Arc::new(Inner {
                own,
                edges: Mutex::default(),
                unseen: Mutex::default(),
            }),
        }
    }

    /// Notes a connection from an edge until the returned mark is dropped.
    pub(crate) fn connected(&self, edge: &Place) -> Mark {
        let mut edges = self.inner.edges.lock();
        let seen = edges.entry(edge.node).or_insert_with(Seen::never);
        seen.site = Some(edge.site.clone());
        seen.open += 1;
        Mark {
            presence: self.clone(),
            node: edge.node,
        }
    }

    /// Whether this node has had no connection to the client's edge for two seconds. What was
    /// never seen counts from the first question on.
    pub(crate) fn our_fault(&self, edge: &Edge) -> bool {
        match edge {
            Edge::Node(node) => self.is_lost(*node),
            Edge::AnyOf(site) => self.is_site_lost(site),
        }
    }

    fn is_lost(&self, node: NodeId) -> bool {
        let mut edges = self.inner.edges.lock();
        node != self.inner.own.node && edges.entry(node).or_insert_with(Seen::never).is_lost()
    }

    fn is_site_lost(&self, site: &SiteId) -> bool {
        if *site == self.inner.own.site {
            return false;
        }
        let edges = self.inner.edges.lock();
        let mut known = edges
            .values()
            .filter(|seen| seen.site.as_ref() == Some(site))
            .peekable();
        if known.peek().is_some() {
            return known.all(Seen::is_lost);
        }
        drop(known);
        drop(edges);
        let mut unseen = self.inner.unseen.lock();
        let since = *unseen.entry(site.clone()).or_insert_with(Instant::now);
        since.elapsed() >= OUR_FAULT_AFTER
    }
}

impl conversation::Faults for Presence {
    fn our_fault(&self, edge: &Edge) -> bool {
        Self::our_fault(self, edge)
    }
}

/// A connection that is open.
pub(crate) struct Mark {
    presence: Presence,
    node: NodeId,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut edges = self.presence.inner.edges.lock();
        if let Some(seen) = edges.get_mut(&self.node) {
            seen.open = seen.open.saturating_sub(1);
            seen.last = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(node: u64, site: &str) -> Place {
        Place {
            node: NodeId(node),
            site: SiteId::new(site).unwrap(),
        }
    }

    fn presence() -> Presence {
        Presence::new(place(1, "fra"))
    }

    fn node(id: u64) -> Edge {
        Edge::Node(NodeId(id))
    }

    fn any_of(site: &str) -> Edge {
        Edge::AnyOf(SiteId::new(site).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_without_a_connection_for_two_seconds_is_our_fault() {
        let presence = presence();
        let first = presence.connected(&place(2, "sha"));
        let second = presence.connected(&place(2, "sha"));
        drop(first);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!presence.our_fault(&node(2)));
        drop(second);
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert!(!presence.our_fault(&node(2)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(presence.our_fault(&node(2)));
        let _again = presence.connected(&place(2, "sha"));
        assert!(!presence.our_fault(&node(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_is_lost_even_where_another_one_of_its_site_is_connected() {
        let presence = presence();
        drop(presence.connected(&place(2, "sha")));
        let other = presence.connected(&place(3, "sha"));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(presence.our_fault(&node(2)));
        assert!(!presence.our_fault(&node(3)));
        assert!(
            !presence.our_fault(&any_of("sha")),
            "a client whose edge is unknown may come back through the other"
        );
        drop(other);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(presence.our_fault(&any_of("sha")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_own_edge_is_never_cut_off_and_another_of_the_own_site_may_be() {
        let presence = presence();
        drop(presence.connected(&place(4, "fra")));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!presence.our_fault(&node(1)));
        assert!(!presence.our_fault(&any_of("fra")));
        assert!(presence.our_fault(&node(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_seen_counts_from_the_first_question() {
        let presence = presence();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!presence.our_fault(&node(5)));
        assert!(!presence.our_fault(&any_of("iad")));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(presence.our_fault(&node(5)));
        assert!(presence.our_fault(&any_of("iad")));
    }
}
