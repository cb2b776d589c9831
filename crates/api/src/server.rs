//! The routes of a node's API listener.
//! Promise: the services of `antiphon.api.v1`, health, and reflection of that package alone; receive
//! limits as `limits` says, and a typed refusal beyond them; gRPC-Web for browsers.
//! Not here: the listener. `node` builds the server and sets on it what tonic leaves open, from the
//! constants `limits::SERVER_*`: `max_concurrent_streams`, `http2_max_local_error_reset_streams`,
//! `http2_max_header_list_size`, `concurrency_limit_per_connection`, `load_shed`, keepalive,
//! `max_connection_age`, and `accept_http1` for gRPC-Web.

mod undecoded;

use prost::Message;
use prost_types::FileDescriptorSet;
use rpc::api::v1::agent_service_server::AgentServiceServer;
use rpc::api::v1::cluster_service_server::ClusterServiceServer;
use rpc::api::v1::conversation_service_server::ConversationServiceServer;
use rpc::api::v1::floor_service_server::FloorServiceServer;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_web::GrpcWebLayer;

use self::undecoded::UndecodedLayer;
use crate::edge::{Agents, Clusters, Conversations, Edge, Floors};
use crate::limits;
use crate::metrics::CountedLayer;

/// The only package that reflection shows.
pub(crate) const PUBLIC_PACKAGE: &str = "antiphon.api.v1";
/// The process is there and answers.
const LIVENESS: &str = "liveness";
/// The node takes clients' calls.
const READINESS: &str = "readiness";

type ConversationsServer = ConversationServiceServer<Conversations>;
type AgentsServer = AgentServiceServer<Agents>;
type FloorsServer = FloorServiceServer<Floors>;
type ClustersServer = ClusterServiceServer<Clusters>;

/// Names whose health follows readiness; the empty name is the whole server.
const READY_NAMES: [&str; 6] = [
    "",
    READINESS,
    ConversationsServer::NAME,
    AgentsServer::NAME,
    FloorsServer::NAME,
    ClustersServer::NAME,
];

/// Why the routes could not be built: the schema that was compiled in cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RoutesError {
    /// The compiled schema is damaged.
    #[error("the compiled schema cannot be read")]
    Schema(#[from] prost::DecodeError),
    /// Reflection does not take it.
    #[error("reflection cannot serve the schema")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// What a node tells health checks. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// A node that is alive and not ready.
    pub async fn new() -> Self {
        let health = Self {
            reporter: HealthReporter::new(),
        };
        health
            .reporter
            .set_service_status(LIVENESS, ServingStatus::Serving)
            .await;
        health.set_ready(false).await;
        health
    }

    /// Says whether the node takes calls: to be set when it serves and unset when it drains.
    pub async fn set_ready(&self, ready: bool) {
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in READY_NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// All services of a node's API listener.
///
/// # Errors
/// When the compiled schema cannot be reflected.
pub fn routes(edge: &Edge, health: &Health) -> Result<Routes, RoutesError> {
    let conversations = ConversationServiceServer::new(Conversations(edge.clone()))
        .max_decoding_message_size(limits::RECEIVE_BYTES_MAX)
        .max_encoding_message_size(limits::SEND_BYTES_MAX);
    let agents = AgentServiceServer::new(Agents(edge.clone()))
        .max_decoding_message_size(limits::RECEIVE_BYTES_MAX)
        .max_encoding_message_size(limits::SEND_BYTES_MAX);
    let floors = FloorServiceServer::new(Floors(edge.clone()))
        .max_decoding_message_size(limits::RECEIVE_BYTES_MAX)
        .max_encoding_message_size(limits::SEND_BYTES_MAX);
    let clusters = ClusterServiceServer::new(Clusters(edge.clone()))
        .max_decoding_message_size(limits::RECEIVE_CLUSTER_BYTES_MAX)
        .max_encoding_message_size(limits::SEND_BYTES_MAX);
    let health = HealthService::from_health_reporter(health.reporter.clone());
    let public = public_schema()?;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_file_descriptor_set(public.clone())
        .include_reflection_service(false);
    let reflection_alpha = tonic_reflection::server::Builder::configure()
        .register_file_descriptor_set(public)
        .include_reflection_service(false);
    let routes = Routes::new(conversations)
        .add_service(agents)
        .add_service(floors)
        .add_service(clusters)
        .add_service(tonic_health::pb::health_server::HealthServer::new(health))
        .add_service(reflection.build_v1()?)
        .add_service(reflection_alpha.build_v1alpha()?);
    let router = routes
        .into_axum_router()
        .layer(UndecodedLayer)
        .layer(CountedLayer {
            metrics: edge.rpc().clone(),
            tracer: edge.tracer().clone(),
        })
        .layer(GrpcWebLayer::new());
    Ok(Routes::from(router).prepare())
}

/// The public package's files alone: what nodes say to each other and what is stored is nobody's business.
fn public_schema() -> Result<FileDescriptorSet, prost::DecodeError> {
    let mut schema = FileDescriptorSet::decode(pb::DESCRIPTORS)?;
    schema.file.retain(|file| file.package() == PUBLIC_PACKAGE);
    Ok(schema)
}

#[cfg(test)]
#[path = "server_test.rs"]
mod server_test;
