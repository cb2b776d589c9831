//! Every replica of a cell proven by its own node, and what they say compared.
//! Promise: a node that does not answer is named; what runs is asked about again, never waited for.
//! Not here: the proof itself (`live`).

use std::sync::Arc;
use std::time::Duration;

use domain::ids::CellId;
use futures::future::join_all;
use pb::api::v1::{Refusal, ReplicaProof, VerifyCellRequest, VerifyCellResponse, replica_proof};
use pb::raft::v1::{ProveRequest, forward_answer};

use crate::refuse;
use crate::status::{Gatherer, OwnAccount};

/// One question to one node.
const ASK_WAIT: Duration = Duration::from_secs(2);

/// Asks every member; the first question of a proof fixes the index at which they are compared.
pub(crate) async fn verify(
    gatherer: &Gatherer,
    request: VerifyCellRequest,
) -> Result<VerifyCellResponse, Refusal> {
    let (id, members) = members(gatherer, &request.cell)?;
    let index = match request.index {
        0 => common_index(gatherer, &request.cell).await,
        index => index,
    };
    let ask = ProveRequest {
        proof: request.proof,
        index,
    };
    let asked = members
        .into_iter()
        .map(|(node, name)| ask_one(gatherer, (node, name), id, ask.clone()));
    let replicas = join_all(asked).await;
    Ok(VerifyCellResponse { index, replicas })
}

fn members(gatherer: &Gatherer, name: &str) -> Result<(CellId, Vec<(u64, String)>), Refusal> {
    let control = gatherer.account.control.borrow();
    let mut cells = control.cells.iter();
    let found = cells.find(|(_, cell)| cell.name == name);
    let (id, cell) = found.ok_or_else(|| {
        refuse::field_invalid("cell", format!("{name} is no cell of this cluster"))
    })?;
    let members = cell.members.values().map(|member| {
        let node = control.nodes.get(member);
        let name = node.map_or_else(
            || format!("node {}", member.0),
            |node| node.name.to_string(),
        );
        (member.0, name)
    });
    Ok((*id, members.collect()))
}

async fn common_index(gatherer: &Gatherer, cell: &str) -> u64 {
    let accounts = gatherer.accounts().await;
    let views = accounts.iter().flat_map(|account| &account.groups);
    let applied = views
        .filter(|view| view.group == cell)
        .map(|view| view.commanded);
    super::live::common(applied).0
}

async fn ask_one(
    gatherer: &Gatherer,
    (node, name): (u64, String),
    cell: CellId,
    ask: ProveRequest,
) -> ReplicaProof {
    let answer = if node == gatherer.account.node {
        gatherer.account.prove(cell.0, ask)
    } else {
        let doors = &gatherer.doors;
        match doors.prove(node, cell.0, ask, ASK_WAIT).await {
            Some(forward_answer::Response::Prove(proof)) => Some(proof),
            _ => None,
        }
    };
    let unreachable = || ReplicaProof {
        state: replica_proof::State::Unreachable.into(),
        ..ReplicaProof::default()
    };
    ReplicaProof {
        node: name,
        ..answer.unwrap_or_else(unreachable)
    }
}

/// What the node's own replicas are proven with.
pub(crate) type OwnProofs = Arc<(super::live::Proofs, super::live::Sources)>;
