//! How a node goes away: readiness off, leadership handed over, streams told, the rest cut.
//! Promise: it ends within the drain's deadline, whatever clients and peers do.
//! Not here: what a stream says when it ends (`api`), connections (`listener`).

use std::sync::Arc;
use std::time::Duration;

use ports::{Group, HandOverError, Machine};
use raft::GroupHandle;
use tokio::time::{Instant, timeout};

use crate::control::CONTROL_NAME;
use crate::listener::Server;
use crate::start::Running;

/// Handing over takes one election; more than this means that nobody can take over.
const HAND_OVER_WAIT: Duration = Duration::from_secs(2);
/// Streams are told within this time, one after the other.
const STREAMS_OVER: Duration = Duration::from_millis(300);
/// Left of the deadline for stopping the groups and closing the log.
const CLOSING: Duration = Duration::from_millis(800);

impl Running {
    /// Goes away; a second call does nothing.
    pub(crate) async fn drain(self: &Arc<Self>, deadline: Duration) {
        if self.cluster.begin_drain() {
            return;
        }
        let until = Instant::now() + deadline.saturating_sub(CLOSING);
        tracing::info!(at_node = self.identity.node_name, "the node is going away");
        self.ready.send_replace(false);
        self.health.set_ready(false).await;
        self.api.stop_accepting();
        let handed = until.min(Instant::now() + HAND_OVER_WAIT);
        tokio::join!(
            hand_over(&self.control, CONTROL_NAME, handed),
            self.cells.hand_over(handed),
        );
        self.streams.drain(STREAMS_OVER).await;
        self.api.drain(until).await;
        if timeout(CLOSING, self.close()).await.is_err() {
            tracing::warn!(
                "the groups did not stop in time; the log holds all that was acknowledged"
            );
        }
        tracing::info!(at_node = self.identity.node_name, "the node has gone");
    }

    /// Stops groups, connections and log, then gives the directory free.
    pub(crate) async fn close(&self) {
        self.stop.stop();
        self.cells.shutdown().await;
        self.control.shutdown().await;
        self.host.stop();
        self.peer.cut();
        self.admin.iter().for_each(Server::cut);
        self.doors.close();
        self.wal.close().await;
        drop(self.data.lock().take());
    }
}

/// Hands over a group that this node leads and waits until it does not lead any more.
pub(crate) async fn hand_over<M: Machine>(group: &GroupHandle<M>, name: &str, until: Instant) {
    let mut leadership = group.leadership();
    if !leadership.borrow().is_self {
        return;
    }
    match group.transfer_leadership().await {
        Ok(()) => {}
        Err(HandOverError::NotLeader { .. }) => return,
        Err(error @ HandOverError::NoHeir) => {
            tracing::warn!(
                group = name,
                %error,
                "leadership is handed to nobody: the group has no leader until another voter is back"
            );
            return;
        }
        Err(error @ HandOverError::Stopped { .. }) => {
            tracing::warn!(group = name, %error, "leadership cannot be handed over");
            return;
        }
    }
    let other = leadership.wait_for(|leadership| !leadership.is_self);
    match tokio::time::timeout_at(until, other).await {
        Ok(_) => tracing::info!(group = name, "leadership was handed over"),
        Err(_) => tracing::warn!(group = name, "nobody took the leadership over in time"),
    }
}
