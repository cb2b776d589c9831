//! Requests to the control group as commands, its refusals as API refusals.
//! Promise: total; the sentence is the machine's own.
//! Not here: judging (`domain::control`).

use domain::cell::version::FIRST_VERSION;
use domain::control::ControlRefusal;
use domain::control::command::{Addresses, Join, NodeAddress, Profile, SiteProfile};
use domain::control::state::Cluster;
use domain::ids::{IdError, MachineVersion, NodeId, NodeName, RequestId, SiteId};
use pb::api::v1::{ErrorReason as R, NodeView, Refusal};
use pb::raft::v1::{AnnounceRequest, JoinRequest};
use ports::ProposeError;

use super::propose::ControlError;
use crate::refuse::{self, field_invalid, refusal};

/// The time zone of a site until its floor plan says another.
const TIME_ZONE: &str = "UTC";

pub(super) fn bad<'a>(field: &'a str) -> impl Fn(IdError) -> Refusal + 'a {
    move |error| field_invalid(field, error)
}

/// The refusal of a node that takes this cluster for another one.
pub(crate) fn wrong_cluster(ours: &str, theirs: &str) -> Refusal {
    let message = format!("this is cluster {ours}, not {theirs}");
    refusal(R::WrongCluster, message, 0)
}

/// A node's request to join, against the cluster's own id and profile.
pub(super) fn join(request: &JoinRequest, cluster: &Cluster) -> Result<Join, Refusal> {
    if !request.cluster_id.is_empty() && request.cluster_id != cluster.id.to_string() {
        return Err(wrong_cluster(&cluster.id.to_string(), &request.cluster_id));
    }
    let profile = match request.profile.as_str() {
        "" => cluster.profile,
        word => Profile::from_word(word)
            .ok_or_else(|| field_invalid("profile", "is none of lan, regional, global"))?,
    };
    Ok(Join {
        request_id: RequestId::new(&request.request_id).map_err(bad("request_id"))?,
        node: NodeName::new(&request.node).map_err(bad("node"))?,
        site: SiteProfile {
            site: SiteId::new(&request.site).map_err(bad("site"))?,
            time_zone: TIME_ZONE.to_owned(),
        },
        addresses: Addresses {
            peer: request.peer_address.clone(),
            api: request.api_address.clone(),
        },
        profile,
        program: request.version.clone(),
        machine: machine(request.machine_version),
    })
}

/// What a node says of its program; one that says nothing knows the first version.
fn machine(said: u32) -> MachineVersion {
    MachineVersion(said.max(FIRST_VERSION.0))
}

/// A site as the founder describes it.
pub(crate) fn site_profile(site: SiteId) -> SiteProfile {
    SiteProfile {
        site,
        time_zone: TIME_ZONE.to_owned(),
    }
}

pub(super) fn announce(request: AnnounceRequest, profile: Profile) -> NodeAddress {
    NodeAddress {
        node: NodeId(request.node_id),
        addresses: Addresses {
            peer: request.peer_address,
            api: request.api_address,
        },
        profile,
        program: request.version,
        machine: machine(request.machine_version),
    }
}

/// A member as the control state has it; what only the node itself knows is left empty.
pub(crate) fn node_view(id: NodeId, node: &domain::control::state::Node) -> NodeView {
    NodeView {
        node_id: id.0,
        node: node.name.to_string(),
        site: node.site.to_string(),
        api_address: node.addresses.api.clone(),
        peer_address: node.addresses.peer.clone(),
        version: node.program.clone(),
        ..NodeView::default()
    }
}

/// What the caller reads when a control command was not done.
pub(super) fn control_error(error: &ControlError) -> Refusal {
    match error {
        ControlError::Refused(refused) => control_refusal(refused),
        ControlError::Propose(error) => propose_error(error),
    }
}

fn propose_error(error: &ProposeError) -> Refusal {
    match error {
        ProposeError::NotLeader { leader } => refuse::not_leader(*leader),
        ProposeError::Busy => refusal(R::ResourceExhausted, "too much is under way", 250),
        ProposeError::TooLarge { bytes, limit } => too_large(*bytes, *limit),
        ProposeError::OutcomeUnknown => refuse::outcome_unknown(),
        ProposeError::Stopped { .. } => refuse::not_leader(None),
    }
}

fn too_large(bytes: u64, limit: u64) -> Refusal {
    let message = format!("the command has {bytes} bytes, the limit is {limit}");
    let mut refused = refusal(R::MessageTooLarge, message, 0);
    for (key, value) in [("bytes", bytes), ("limit", limit)] {
        refused.metadata.insert(key.to_owned(), value.to_string());
    }
    refused
}

fn control_refusal(refused: &ControlRefusal) -> Refusal {
    use ControlRefusal as C;
    let retry = match refused {
        C::TooManyRequests { retry_after_ms } => (*retry_after_ms).max(1),
        C::NotFounded => 500,
        _ => 0,
    };
    let reason = match refused {
        C::NotFounded => R::ClusterForming,
        C::AlreadyFounded { .. } | C::NodeNotFound { .. } | C::NodeRemoved { .. } => {
            R::WrongCluster
        }
        C::ProfileDiffers { .. } => R::ProfileDiffers,
        C::NodeNameInUse { .. } => R::NodeNameTaken,
        C::PlanVersionDiffers { .. } => R::PlanVersionStale,
        C::RequestIdReused { .. } => R::RequestIdReused,
        C::TooManyRequests { .. } => R::RateLimited,
        C::TooManyNodes { .. } | C::TooManyCells { .. } => R::ResourceExhausted,
        C::MachineDefect { .. } => R::MachineDefect,
        _ => R::FieldInvalid,
    };
    let mut said = refusal(reason, refused.to_string(), retry);
    for (key, value) in values(refused) {
        said.metadata.insert(key.to_owned(), value);
    }
    said
}

/// What the sentence names, for those who do not read sentences.
fn values(refused: &ControlRefusal) -> Vec<(&'static str, String)> {
    use ControlRefusal as C;
    match refused {
        C::PlanVersionDiffers { expected, current } => vec![
            ("expected", expected.to_string()),
            ("version", current.to_string()),
        ],
        C::BadText { field, limit } => {
            vec![("field", (*field).to_owned()), ("limit", limit.to_string())]
        }
        C::RequestIdReused { request_id } => vec![("requestId", request_id.to_string())],
        C::ProfileDiffers { cluster, node } => {
            vec![("cluster", cluster.to_string()), ("node", node.to_string())]
        }
        C::NodeNameInUse { name, node } => {
            vec![("name", name.to_string()), ("node", node.to_string())]
        }
        C::NodeNotFound { node } | C::NodeRemoved { node } => vec![("node", node.to_string())],
        C::TooManyNodes { limit } | C::TooManyCells { limit } => {
            vec![("limit", limit.to_string())]
        }
        C::MachineDefect { index } => vec![("logIndex", index.to_string())],
        _ => Vec::new(),
    }
}
