//! The way from an edge to the owner of a group.
//! Promise: a call answered with a refusal that carries a retry hint may be asked again with the
//! same request id; a stream that closes without a word has lost its path.
//! Not here: finding the leader (`node`), judging the call (`api::owner`).

use pb::api::v1::{Endpoint, GetStatusResponse, Refusal};
use pb::raft::v1::{ForwardCall, ForwardUp, forward_answer, forward_down, forward_up};
use runtime::mailbox;

/// The answer to a unary call.
pub type CallAnswer = Result<forward_answer::Response, Refusal>;

/// Reaches the owner of the group that a call names.
#[async_trait::async_trait]
pub trait Door: Send + Sync + 'static {
    /// Asks and waits, no longer than the call's own deadline.
    async fn call(&self, call: ForwardCall) -> CallAnswer;

    /// Opens a stream with its first message.
    ///
    /// # Errors
    /// A refusal when nobody serves the group at present or too many streams are open.
    async fn open(&self, first: ForwardUp) -> Result<DoorStream, Refusal>;
}

/// Both directions of a stream between an edge and an owner; both are bounded.
pub struct DoorStream {
    /// To the owner. Dropping it means that the client has gone.
    pub up: mailbox::Sender<StreamUp>,
    /// To the edge. Closed without `Failed`: the path broke.
    pub down: mailbox::Receiver<StreamDown>,
}

/// A message of a client's stream on its way up.
#[derive(Debug)]
pub enum StreamUp {
    /// What the client sent.
    Message(forward_up::Request),
    /// The client is gone, or the edge is.
    Stop {
        /// The edge goes away: the client's lease gets the longer grace.
        our_fault: bool,
    },
}

/// A message of a client's stream on its way down.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "all but the last message of a stream are of the large kind"
)]
pub enum StreamDown {
    /// What the client gets.
    Message(forward_down::Response),
    /// The stream failed; nothing follows.
    Failed(Refusal),
}

/// What an edge tells its clients about the cluster.
pub trait Cluster: Send + Sync + 'static {
    /// Where else clients can connect: nodes of other sites first.
    fn endpoints(&self) -> Vec<Endpoint>;
    /// The edge's own site.
    fn site(&self) -> String;
    /// The edge's own node name.
    fn node_name(&self) -> String;
    /// Whether the node is going away.
    fn draining(&self) -> bool;
}

/// What the operator's services ask of the node.
#[async_trait::async_trait]
pub trait Operator: Send + Sync + 'static {
    /// The whole cluster as this node sees it, asking every member that it can reach.
    async fn status(&self) -> GetStatusResponse;
}
