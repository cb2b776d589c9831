//! Proposing to the control group as its leader.
//! Promise: entries carry control time, which never runs back while one node leads.
//! Not here: what is proposed (`owner`, `reconcile`).

use std::sync::Arc;

use domain::control::reply::{ControlDone, ControlReply};
use domain::control::{ControlCommand, ControlEntry, ControlRefusal};
use domain::ids::CellTime;
use parking_lot::Mutex;
use ports::{Group, ProposeError};
use runtime::Env;
use tokio::time::Instant;

use super::{StateWatch, codec};

/// The right to propose, where this node leads. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proposer {
    group: Arc<dyn Group<ControlReply>>,
    state: StateWatch,
    env: Env,
    clock: Arc<Mutex<Option<Anchor>>>,
}

/// Control time as the leader of one term counts it.
#[derive(Clone, Copy)]
struct Anchor {
    term: u64,
    now: CellTime,
    at: Instant,
}

/// Why a command has no reply of the machine, or its "no".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error(transparent)]
    Refused(#[from] ControlRefusal),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

impl Proposer {
    pub(crate) fn new(group: Arc<dyn Group<ControlReply>>, state: StateWatch, env: Env) -> Self {
        Self {
            group,
            state,
            env,
            clock: Arc::default(),
        }
    }

    pub(crate) fn group(&self) -> &Arc<dyn Group<ControlReply>> {
        &self.group
    }

    pub(crate) fn state(&self) -> &StateWatch {
        &self.state
    }

    /// The wall clock, Unix milliseconds, for display.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.env.clock.now_ms()
    }

    /// Proposes in the present term and gives the machine's answer.
    pub(crate) async fn propose(
        &self,
        command: ControlCommand,
    ) -> Result<ControlDone, ControlError> {
        let leadership = *self.group.leadership().borrow();
        if !leadership.is_self {
            return Err(ProposeError::NotLeader {
                leader: leadership.leader,
            }
            .into());
        }
        let entry = ControlEntry {
            at: self.stamp(leadership.term),
            wall_ms: self.env.clock.now_ms(),
            command,
        };
        let committed = self
            .group
            .propose(leadership.term, codec::encode_entry(&entry))
            .await?;
        Ok(committed.reply?)
    }

    fn stamp(&self, term: u64) -> CellTime {
        let now = self.state.borrow().now;
        let mut clock = self.clock.lock();
        let anchor = clock.filter(|anchor| anchor.term == term);
        let anchor = *clock.insert(anchor.unwrap_or(Anchor {
            term,
            now,
            at: Instant::now(),
        }));
        anchor
            .now
            .plus_ms(crate::doors::millis(anchor.at.elapsed()))
            .max(now)
    }
}
