//! Which edges are connected to this node.
//! Promise: one function, `our_fault`, decides whether a silent client may be silent because of us.
//! Not here: what follows from it (`conversation`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::SiteId;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Without a connection for this long, a site's clients are silent by our fault.
const OUR_FAULT_AFTER: Duration = Duration::from_secs(2);

/// Connections from the edges of other nodes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Presence {
    inner: Arc<Inner>,
}

struct Inner {
    own_site: SiteId,
    sites: Mutex<BTreeMap<SiteId, Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    open: u32,
    last: Instant,
}

impl Presence {
    pub(crate) fn new(own_site: SiteId) -> Self {
        Self {
            inner: Arc::new(Inner {
                own_site,
                sites: Mutex::default(),
            }),
        }
    }

    /// Notes a connection from an edge of `site` until the returned mark is dropped.
    pub(crate) fn connected(&self, site: SiteId) -> Mark {
        let mut sites = self.inner.sites.lock();
        let seen = sites.entry(site.clone()).or_insert(Seen {
            open: 0,
            last: Instant::now(),
        });
        seen.open += 1;
        Mark {
            presence: self.clone(),
            site,
        }
    }

    /// Whether no edge of `site` has been connected to this node for two seconds. A site that was
    /// never seen counts from the first question on.
    pub(crate) fn our_fault(&self, site: &SiteId) -> bool {
        if *site == self.inner.own_site {
            return false;
        }
        let mut sites = self.inner.sites.lock();
        let seen = sites.entry(site.clone()).or_insert(Seen {
            open: 0,
            last: Instant::now(),
        });
        seen.open == 0 && seen.last.elapsed() >= OUR_FAULT_AFTER
    }
}

impl conversation::Faults for Presence {
    fn our_fault(&self, site: &SiteId) -> bool {
        Self::our_fault(self, site)
    }
}

/// A connection that is open.
pub(crate) struct Mark {
    presence: Presence,
    site: SiteId,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut sites = self.presence.inner.sites.lock();
        if let Some(seen) = sites.get_mut(&self.site) {
            seen.open = seen.open.saturating_sub(1);
            seen.last = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> SiteId {
        SiteId::new(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_without_a_connection_for_two_seconds_is_our_fault() {
        let presence = Presence::new(site("fra"));
        let first = presence.connected(site("sha"));
        let second = presence.connected(site("sha"));
        drop(first);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!presence.our_fault(&site("sha")));
        drop(second);
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert!(!presence.our_fault(&site("sha")));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(presence.our_fault(&site("sha")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_own_site_is_never_cut_off() {
        let presence = Presence::new(site("fra"));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!presence.our_fault(&site("fra")));
        assert!(
            !presence.our_fault(&site("iad")),
            "counted from the first question"
        );
    }
}
