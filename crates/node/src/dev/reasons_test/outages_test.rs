//! What a node says whose cluster has lost its majority: the leader that is left, and a follower.

use pb::api::v1::{
    ErrorReason as R, GetTranscriptRequest, GetTranscriptResponse, SendRequest, SendResponse,
};
use tonic::{Response, Status};

use super::{Heard, formed};
use crate::dev::Dev;
use crate::dev::stubs_test::Stubs;
use crate::dev::talk_test::by_role;

/// A cluster with a conversation, of which one node is left: its leader, or one that follows.
struct Left {
    dev: Dev,
    at: usize,
    node: Stubs,
    id: String,
}

pub(super) async fn play() -> Heard {
    let mut heard = Heard::default();
    let mut leader = left(66, 0).await;
    // It believes that it leads: what is asked at first goes into its log, and may yet be done.
    heard.call(R::OutcomeUnknown, leader.send().await);
    heard.call(R::QuorumLost, leader.send().await);
    heard.call(R::QuorumLost, leader.read().await);
    leader.end().await;
    let mut follower = left(69, 1).await;
    // A read is asked again when its path broke. An act on a path that still seemed whole has an unknown outcome.
    heard.call(R::NotLeader, follower.read().await);
    heard.call(R::NotLeader, follower.send().await);
    follower.end().await;
    heard
}

async fn left(seed: u64, after_leader: usize) -> Left {
    let (env, dev) = formed(seed).await;
    let (_, leader) = by_role(&dev).await;
    let at = (leader + after_leader) % 3;
    let mut node = Stubs::at(&env, &dev.nodes()[at]).await;
    let id = node.opened("ann").await;
    for other in [(at + 1) % 3, (at + 2) % 3] {
        dev.nodes()[other].kill().await;
    }
    Left { dev, at, node, id }
}

impl Left {
    async fn send(&mut self) -> Result<Response<SendResponse>, Status> {
        let request = SendRequest {
            conversation_id: self.id.clone(),
            request_id: self.node.id(),
            text: "is anybody there?".to_owned(),
            ..SendRequest::default()
        };
        self.node.customers.send(request).await
    }

    async fn read(&mut self) -> Result<Response<GetTranscriptResponse>, Status> {
        let request = GetTranscriptRequest {
            conversation_id: self.id.clone(),
            ..GetTranscriptRequest::default()
        };
        self.node.customers.get_transcript(request).await
    }

    async fn end(self) {
        self.dev.nodes()[self.at].kill().await;
    }
}
