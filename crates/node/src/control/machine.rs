//! The control machine behind its group: entries in, replies out, the newest state published.
//! Promise: readers see the state between batches of entries, never inside one entry.
//! Not here: deciding (`domain::control`), proposing (`propose`).

use std::sync::Arc;

use bytes::Bytes;
use domain::control::reply::ControlReply;
use domain::control::{Control, ControlParts};
use domain::ids::LogIndex;
use ports::{Frozen, Machine, Position, RestoreError};
use tokio::sync::watch;

use super::codec;
use super::{PlanWatch, StateWatch};

/// The machine that the control group applies its entries to.
pub(crate) struct ControlMachine {
    control: Control,
    state: watch::Sender<Arc<ControlParts>>,
    plan: watch::Sender<Option<domain::plan::VersionedPlan>>,
}

/// An empty control machine and what it publishes.
pub(crate) fn control_machine() -> (ControlMachine, StateWatch, PlanWatch) {
    let (state, states) = watch::channel(Arc::default());
    let (plan, plans) = watch::channel(None);
    (
        ControlMachine {
            control: Control::new(),
            state,
            plan,
        },
        states,
        plans,
    )
}

impl ControlMachine {
    fn publish(&self) {
        self.state
            .send_replace(Arc::new(self.control.parts().clone()));
        let newest = self.control.plan();
        self.plan.send_if_modified(|plan| {
            let changed =
                plan.as_ref().map(|plan| plan.version) != newest.as_ref().map(|plan| plan.version);
            if changed {
                *plan = newest;
            }
            changed
        });
    }
}

impl Machine for ControlMachine {
    type Reply = ControlReply;

    fn apply(&mut self, at: Position, payload: &[u8]) -> ControlReply {
        match codec::decode_entry(payload) {
            Ok(entry) => self.control.apply(LogIndex(at.index), &entry).reply,
            // A newer or damaged entry: this replica must not go on (design, rule 2).
            Err(error) => panic!(
                "log entry {} cannot be read by this version: {error}",
                at.index
            ),
        }
    }

    fn flush(&mut self) {
        self.publish();
    }

    fn freeze(&mut self) -> Box<dyn Frozen> {
        Box::new(Chunks(codec::chunks(self.control.parts().clone())))
    }

    fn reset(&mut self) {
        self.control = Control::new();
        self.publish();
    }

    fn restore(&mut self, chunks: Vec<Bytes>) -> Result<(), RestoreError> {
        self.control = codec::from_chunks(&chunks).map_err(|reason| RestoreError { reason })?;
        self.publish();
        Ok(())
    }
}

struct Chunks<I>(I);

impl<I: Iterator<Item = Vec<u8>> + Send> Frozen for Chunks<I> {
    fn next_chunk(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }
}
