//! What every node does as the control state moves on: addresses, connections, its own record.
//! Promise: level-triggered; what was missed once is made up for at the next change.
//! Not here: the leader's duties (`control::reconcile`), cells (`cells`).

use std::sync::Arc;
use std::time::Duration;

use domain::cell::version::NEWEST_VERSION;
use domain::ids::NodeId;
use pb::raft::v1::{AnnounceRequest, ForwardCall, forward_call};
use ports::{Door, Machine};
use raft::{Directory, GroupHandle, Members};
use runtime::{Env, Stop};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cells::Cells;
use crate::config::Config;
use crate::control::{CONTROL_GROUP, CONTROL_NAME, StateWatch};
use crate::doors::{Doors, millis};
use crate::join::Advertised;
use crate::listener::Room;
use crate::start::Running;

/// One attempt to announce.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(5);
/// Pause after an attempt that failed.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(500);
/// How long a restarted node may take to apply what its log holds before it is ready regardless: a
/// log of 256 MiB beside its snapshot in a few seconds.
const RECOVERY_WAIT: Duration = Duration::from_secs(10);

/// Takes over what changes in the configuration while the node runs.
pub(crate) async fn settings(mut config: watch::Receiver<Config>, node: Arc<Running>, stop: Stop) {
    loop {
        let room = room(&config.borrow_and_update());
        node.api.adjust(room);
        tokio::select! {
            biased;
            () = stop.stopped() => return,
            changed = config.changed() => if changed.is_err() { return },
        }
    }
}

/// What the configuration gives clients.
pub(crate) fn room(config: &Config) -> Room {
    Room {
        connections: usize::try_from(config.limits.connections).unwrap_or(usize::MAX),
        age: Some(Duration::from_secs(config.limits.connection_age_s)),
    }
}

/// Keeps addresses and connections as the control state says.
pub(crate) async fn addresses(
    mut control: StateWatch,
    us: u64,
    directory: Directory,
    doors: Doors,
    stop: Stop,
) {
    loop {
        {
            let parts = control.borrow_and_update().clone();
            for (id, node) in &parts.nodes {
                match node.removed_wall_ms {
                    None if id.0 != us => directory.set(id.0, node.addresses.peer.clone()),
                    None => {}
                    Some(_) => directory.remove(id.0),
                }
            }
            if parts.cluster.is_some() {
                let living: Vec<u64> = parts.living_nodes().map(|(id, _)| id.0).collect();
                directory.set_members(Members {
                    living: living.iter().copied().collect(),
                    newest: parts.nodes.keys().map(|id| id.0).max().unwrap_or(0),
                });
                doors.keep(&living);
            }
        }
        tokio::select! {
            biased;
            () = stop.stopped() => return,
            changed = control.changed() => if changed.is_err() { return },
        }
    }
}

/// Tells the control group where this node listens whenever its record says otherwise.
pub(crate) async fn announce(
    env: Env,
    mut control: StateWatch,
    us: u64,
    advertised: Advertised,
    doors: Doors,
    stop: Stop,
) {
    let keep = async {
        loop {
            let differs = {
                let parts = control.borrow_and_update();
                parts.nodes.get(&NodeId(us)).is_some_and(|node| {
                    node.addresses.api != advertised.api
                        || node.addresses.peer != advertised.peer
                        || node.program != crate::VERSION
                        || node.machine != NEWEST_VERSION
                })
            };
            if differs && !announce_once(us, &advertised, &doors).await {
                tokio::time::sleep(env.random.jitter(ANNOUNCE_PAUSE, 0.5)).await;
            } else if control.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.stopped() => {}
        () = keep => {}
    }
}

async fn announce_once(us: u64, advertised: &Advertised, doors: &Doors) -> bool {
    let request = AnnounceRequest {
        node_id: us,
        api_address: advertised.api.clone(),
        peer_address: advertised.peer.clone(),
        version: crate::VERSION.to_owned(),
        machine_version: NEWEST_VERSION.0,
    };
    let call = ForwardCall {
        group: CONTROL_GROUP,
        deadline_ms: millis(ANNOUNCE_WAIT),
        request: Some(forward_call::Request::Announce(request)),
        ..ForwardCall::default()
    };
    match doors.call(call).await {
        Ok(_) => true,
        Err(refusal) => {
            tracing::warn!(
                reason = refusal.message,
                "this node's addresses could not be announced"
            );
            false
        }
    }
}

/// Waits until the replicas here have applied what was committed when they started, so that a
/// restarted node does not read backwards. Without a quorum nobody can tell: then the node goes on,
/// and says so.
pub(crate) async fn caught_up<M: Machine>(control: &GroupHandle<M>, cells: &Cells) {
    let until = Instant::now() + RECOVERY_WAIT;
    let left = || until.saturating_duration_since(Instant::now());
    let mut late = Vec::new();
    if control.recovered(left()).await.is_err() {
        late.push(CONTROL_NAME.to_owned());
    }
    for cell in cells.all() {
        if cell.group.recovered(left()).await.is_err() {
            late.push(format!("cell {}", cell.name));
        }
    }
    if !late.is_empty() {
        let groups = late.join(", ");
        tracing::warn!(groups, "a replica has not caught up with its log in time");
    }
}
