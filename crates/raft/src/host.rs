//! A node's side of all its groups: identity, peers, the service that peers call.
//! Promise: every group of the node shares three connections per peer, and one of them at a time
//! encodes a snapshot.
//! Not here: one group (`group`), listening (`node`).

use std::sync::Arc;

use rpc::raft::v1::raft_service_server::RaftServiceServer;
use runtime::{Env, StopSource};
use store::{GroupId, Wal};
use tokio::sync::Semaphore;

use crate::directory::Directory;
use crate::error::StartError;
use crate::log::write_first_vote;
use crate::transport::{Identity, Inbox, RECEIVE_BYTES_MAX, Transport};

/// The groups of one node. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) transport: Transport,
    /// The right to encode a snapshot.
    pub(crate) encoding: Arc<Semaphore>,
    stop: Arc<StopSource>,
}

impl Host {
    /// A node without groups yet. Peers are found through `directory`, which may change at any
    /// time.
    #[must_use]
    pub fn new(env: Env, identity: Identity, directory: Directory) -> Self {
        let stop = Arc::new(StopSource::new());
        let transport = Transport::new(env, identity, directory, stop.token());
        Self {
            transport,
            encoding: Arc::new(Semaphore::new(1)),
            stop,
        }
    }

    /// The service to mount on the listener between nodes. The server should be tuned with
    /// [`crate::tune`].
    #[must_use]
    pub fn service(&self) -> RaftServiceServer<Inbox> {
        RaftServiceServer::new(Inbox::new(self.transport.clone()))
            .max_decoding_message_size(RECEIVE_BYTES_MAX)
            .max_encoding_message_size(RECEIVE_BYTES_MAX)
    }

    /// Makes the log of a group that never ran here hold something, durably: the vote of term 0,
    /// which is what openraft assumes where no vote is kept. A log with a vote keeps its own.
    /// From then on an empty log means that a log was lost.
    ///
    /// # Errors
    /// When the log takes nothing.
    pub async fn found_log(&self, wal: &Wal, group: GroupId) -> Result<(), StartError> {
        let log = wal.group(group);
        if log.vote().is_some() || log.last().is_some() {
            return Ok(());
        }
        let written = write_first_vote(&log, self.transport.identity.node_id).await;
        written.map_err(|error| StartError::Storage {
            group,
            reason: error.to_string(),
        })
    }

    /// Ends every connection to and from peers. Groups are shut down one by one before.
    pub fn stop(&self) {
        self.stop.stop();
    }
}
