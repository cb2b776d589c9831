//! The traffic between replicas: one stream per peer and lane, each its own TCP connection,
//! carrying every group.
//! Promise: a heartbeat never waits behind an append, nor an append behind a snapshot; a stream
//! carries nothing before both sides have said who they are; every call has a deadline.
//! Not here: what the calls mean (`openraft`), TLS and listening (`node`).

mod connect;
mod inbox;
mod link;
mod peer;
mod sessions;
#[cfg(test)]
mod transport_test;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use pb::raft::v1 as pb;
use runtime::{Env, Stop};

pub use inbox::Inbox;
pub(crate) use inbox::{Inbound, Piece, failure};
pub(crate) use link::{Answer, Link};
pub(crate) use peer::Peers;

use crate::directory::Directory;
use crate::profile::Profile;

/// The largest message that a node takes: two append batches, so that one always fits.
pub const RECEIVE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a connection between nodes is probed.
pub const KEEPALIVE_EVERY: Duration = Duration::from_millis(500);
/// How long a probe may go unanswered.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_millis(700);
/// Bytes on the way in one stream: the appends of one window on a link of 250 ms.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Appends of one session that may be unanswered; openraft queues as many at the receiver.
pub(crate) const APPENDS_IN_FLIGHT_MAX: usize = 64;
/// Bytes of appends of one session that may be unanswered: four full batches.
pub(crate) const APPEND_BYTES_IN_FLIGHT_MAX: usize = 8 * 1024 * 1024;

/// Streams that one peer may open: three, and as many that are ending.
const STREAMS_MAX: u32 = 1_024;

/// Sets what tonic leaves open on the server between nodes: probes, windows, streams.
#[must_use]
pub fn tune(server: tonic::transport::Server) -> tonic::transport::Server {
    server
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
}

/// Who this node is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The cluster that it belongs to.
    pub cluster_id: String,
    /// Its node id.
    pub node_id: u64,
    /// The cluster's timing profile.
    pub profile: Profile,
}

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Signal,
    Append,
    Snapshot,
}

impl Lane {
    pub(crate) fn to_wire(self) -> pb::Lane {
        match self {
            Self::Signal => pb::Lane::Signal,
            Self::Append => pb::Lane::Append,
            Self::Snapshot => pb::Lane::Snapshot,
        }
    }
}

/// The links of a node, by peer and lane.
type Links = BTreeMap<(u64, Lane), Arc<Link>>;

/// A node's end of all its lanes.
#[derive(Clone)]
pub(crate) struct Transport {
    pub(crate) env: Env,
    pub(crate) identity: Arc<Identity>,
    pub(crate) directory: Directory,
    pub(crate) stop: Stop,
    groups: Arc<RwLock<BTreeMap<u32, Arc<dyn Inbound>>>>,
    links: Arc<Mutex<Links>>,
}

impl Transport {
    pub(crate) fn new(env: Env, identity: Identity, directory: Directory, stop: Stop) -> Self {
        Self {
            env,
            identity: Arc::new(identity),
            directory,
            stop,
            groups: Arc::default(),
            links: Arc::default(),
        }
    }

    /// Lets peers reach `group`.
    pub(crate) fn serve(&self, group: u32, inbound: Arc<dyn Inbound>) {
        self.groups.write().insert(group, inbound);
    }

    /// Stops answering for `group`.
    pub(crate) fn forget(&self, group: u32) {
        self.groups.write().remove(&group);
    }

    pub(crate) fn group(&self, group: u32) -> Option<Arc<dyn Inbound>> {
        self.groups.read().get(&group).cloned()
    }

    /// The link to `peer` on `lane`; it connects when first used.
    pub(crate) fn link(&self, peer: u64, lane: Lane) -> Arc<Link> {
        let mut links = self.links.lock();
        let link = links
            .entry((peer, lane))
            .or_insert_with(|| Link::start(self, peer, lane));
        Arc::clone(link)
    }

    /// Cuts every append connection, so that the next append dials anew.
    pub(crate) fn rebuild_appends(&self) {
        for ((_, lane), link) in self.links.lock().iter() {
            if *lane == Lane::Append {
                link.cut("the commit index stands still");
            }
        }
    }
}
