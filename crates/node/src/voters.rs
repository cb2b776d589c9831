//! The other replicas of a cell, asked for a checkpoint over the stream between nodes.
//! Promise: what a replica does not say in time counts as unknown; nothing is asked twice here.
//! Not here: who is asked and what follows (`conversation`).

use std::time::Duration;

use conversation::{Seen, Voters};
use domain::cell::checkpoint::Digest;
use domain::ids::{CellId, LogIndex};
use pb::raft::v1::cell_mark_response::Seen as Said;
use pb::raft::v1::{CellBehind, CellForgotten, CellMark, CellMarkResponse};

use crate::doors::Doors;

/// One question to one node.
const ASK_WAIT: Duration = Duration::from_secs(1);

/// The replicas of one cell on other nodes.
pub(crate) struct PeerVoters {
    doors: Doors,
    cell: CellId,
}

impl PeerVoters {
    pub(crate) fn new(doors: Doors, cell: CellId) -> Self {
        Self { doors, cell }
    }
}

#[async_trait::async_trait]
impl Voters for PeerVoters {
    async fn seen(&self, node: u64, index: LogIndex) -> Seen {
        let asked = self.doors.cell_mark(node, self.cell.0, index.0, ASK_WAIT);
        asked.await.map_or(Seen::Unknown, heard)
    }
}

/// What a node answers for its own replica.
pub(crate) fn answer(seen: Seen) -> CellMarkResponse {
    let said = match seen {
        Seen::Mark { log, machine } => Said::Mark(CellMark {
            log_chain: log.0.to_vec().into(),
            machine_chain: machine.0.to_vec().into(),
        }),
        Seen::Behind => Said::Behind(CellBehind {}),
        Seen::Unknown => Said::Forgotten(CellForgotten {}),
    };
    CellMarkResponse { seen: Some(said) }
}

fn heard(response: CellMarkResponse) -> Seen {
    match response.seen {
        Some(Said::Mark(mark)) => both(&mark).unwrap_or(Seen::Unknown),
        Some(Said::Behind(_)) => Seen::Behind,
        Some(Said::Forgotten(_)) | None => Seen::Unknown,
    }
}

fn both(mark: &CellMark) -> Option<Seen> {
    Some(Seen::Mark {
        log: Digest(mark.log_chain.as_ref().try_into().ok()?),
        machine: Digest(mark.machine_chain.as_ref().try_into().ok()?),
    })
}
