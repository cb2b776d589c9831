//! Joining a cluster through any of its nodes.
//! Promise: the same data directory gets the same node id, however often it asks; a refusal that
//! cannot pass is reported at once.
//! Not here: allotting ids (`domain::control`), catching up (`control::reconcile`).

use std::path::Path;
use std::time::Duration;

use domain::cell::version::NEWEST_VERSION;
use pb::api::v1::{NodeView, Refusal};
use pb::raft::v1::{JoinRequest, JoinResponse};
use rpc::raft::v1::forward_service_client::ForwardServiceClient;
use runtime::Env;
use store::Identity;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::config::Config;
use crate::doors::link;
use crate::error::NodeError;
use crate::files;
use crate::found::Founding;

/// Keeps the request's id, so that a repeat after a crash gets the same node id.
const REQUEST_FILE: &str = "join-request";
/// A node that is started before its cluster waits this long.
const JOIN_WAIT: Duration = Duration::from_secs(60);
/// One attempt at one address.
const ATTEMPT_WAIT: Duration = Duration::from_secs(12);
/// A seed that is up answers a question about its cluster within this; the start waits no longer.
const SEED_WAIT: Duration = Duration::from_millis(400);
/// The stable reason of a refusal by a node of another cluster.
const WRONG_CLUSTER: &str = "WRONG_CLUSTER";
/// Pause between rounds over all addresses.
const ROUND_PAUSE: Duration = Duration::from_millis(250);

/// Where the node will be reached.
#[derive(Debug, Clone)]
pub(crate) struct Advertised {
    pub(crate) api: String,
    pub(crate) peer: String,
}

/// A refusal as the end of a call.
pub(crate) fn status(refusal: &Refusal) -> Status {
    api::errors::status(refusal.clone())
}

/// Asks the cluster for an id; gives the identity to keep and the members to begin with.
pub(crate) async fn join(
    config: &Config,
    env: &Env,
    dir: &Path,
    advertised: &Advertised,
) -> Result<(Identity, Vec<NodeView>), NodeError> {
    // An `init` that was interrupted before it claimed the directory.
    Founding::done(env, dir).await?;
    let request = JoinRequest {
        request_id: request_id(env, dir).await?,
        node: config.node_name(),
        site: config.site.name.clone(),
        region: config.site.region.clone(),
        api_address: advertised.api.clone(),
        peer_address: advertised.peer.clone(),
        cluster_id: String::new(),
        profile: config.cluster.profile.clone(),
        version: crate::VERSION.to_owned(),
        machine_version: NEWEST_VERSION.0,
    };
    let joined = ask(config, env, &request).await?;
    let identity = Identity {
        cluster_id: joined.cluster_id,
        node_id: joined.node_id,
        node_name: request.node,
        site: request.site,
        region: request.region,
        profile: joined.profile,
    };
    Ok((identity, joined.nodes))
}

/// Asks the configured seeds whether they are of the directory's cluster. Seeds that do not answer
/// in time say nothing: a node must start when it is the first one up.
///
/// # Errors
/// When a seed is of another cluster.
pub(crate) async fn same_cluster(
    config: &Config,
    env: &Env,
    identity: &Identity,
) -> Result<(), NodeError> {
    let asked = config.cluster.join.iter().map(|seed| {
        let request = JoinRequest {
            cluster_id: identity.cluster_id.clone(),
            ..JoinRequest::default()
        };
        timeout(SEED_WAIT, ask_one(env, seed, request))
    });
    for answer in futures::future::join_all(asked).await {
        if let Ok(Err(status)) = answer
            && reason(&status) == WRONG_CLUSTER
        {
            return Err(NodeError::OtherCluster {
                dir: config.node.data_dir.clone(),
                message: status.message().to_owned(),
            });
        }
    }
    Ok(())
}

async fn request_id(env: &Env, dir: &Path) -> Result<String, NodeError> {
    if let Some(kept) = files::read(env, &dir.join(REQUEST_FILE)).await? {
        return Ok(String::from_utf8_lossy(&kept).trim().to_owned());
    }
    let fresh = env.random.uuid();
    files::write(env, dir, REQUEST_FILE, fresh.clone().into()).await?;
    Ok(fresh)
}

async fn ask(config: &Config, env: &Env, request: &JoinRequest) -> Result<JoinResponse, NodeError> {
    let start = Instant::now();
    let mut last = String::new();
    while start.elapsed() < JOIN_WAIT {
        for seed in &config.cluster.join {
            let said = match timeout(ATTEMPT_WAIT, ask_one(env, seed, request.clone())).await {
                Ok(Ok(joined)) => return Ok(joined),
                Ok(Err(status)) if is_final(&status) => return Err(refused(&status)),
                Ok(Err(status)) => format!("{seed}: {}", status.message()),
                Err(_) => format!("{seed}: no answer in time"),
            };
            if said != last {
                tracing::warn!(reason = said, "the cluster cannot be joined yet");
                last = said;
            }
        }
        tokio::time::sleep(env.random.jitter(ROUND_PAUSE, 0.5)).await;
    }
    let seeds = config.cluster.join.join(", ");
    Err(NodeError::JoinUnanswered {
        seeds,
        waited_s: JOIN_WAIT.as_secs(),
        last,
    })
}

async fn ask_one(env: &Env, seed: &str, request: JoinRequest) -> Result<JoinResponse, Status> {
    let channel = link::channel(env.network.clone(), seed.to_owned());
    let channel = channel
        .await
        .map_err(|error| Status::unavailable(link::root_cause(&error)))?;
    let joined = ForwardServiceClient::new(channel).join(request).await?;
    Ok(joined.into_inner())
}

/// Whether asking again would get the same answer.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::InvalidArgument
            | Code::PermissionDenied
    )
}

/// The stable reason of a refusal, else the code.
fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

fn refused(status: &Status) -> NodeError {
    NodeError::JoinRefused {
        reason: reason(status),
        message: status.message().to_owned(),
    }
}
