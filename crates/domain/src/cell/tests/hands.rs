//! A supervisor's hands in tests: acts in sentences, and random ones.
//! Promise: each act carries a reason, so that what is recorded can be looked for.
//! Not here: claims (`staff_test`, `pause_test`, the property test).

use super::support::*;
use crate::cell::command::*;
use crate::cell::reply::Reply;
use crate::ids::ConversationId;

impl Floor {
    pub fn queue_act(&mut self, name: &str, reason: &str) -> QueueAct {
        QueueAct {
            queue: queue(name),
            request_id: self.fresh(),
            staff: staff(),
            reason: reason.into(),
        }
    }

    pub fn pause(&mut self, name: &str) -> Reply {
        let act = self.queue_act(name, "maintenance");
        self.ask(Command::PauseQueue(act))
    }

    pub fn resume_queue(&mut self, name: &str) -> Reply {
        let act = self.queue_act(name, "done");
        self.ask(Command::ResumeQueue(act))
    }

    pub fn requeue(&mut self, id: ConversationId) -> Reply {
        let request_id = self.fresh();
        self.ask(Command::Requeue(Requeue {
            conversation: id,
            request_id,
            staff: staff(),
            reason: "the customer complains".into(),
        }))
    }

    pub fn assign_command(&mut self, id: ConversationId, name: &str, wait: bool) -> Assign {
        Assign {
            conversation: id,
            request_id: self.fresh(),
            staff: staff(),
            agent: agent(name),
            wait,
            reason: "knows the case".into(),
        }
    }

    pub fn assign(&mut self, id: ConversationId, name: &str, wait: bool) -> Reply {
        let act = self.assign_command(id, name, wait);
        self.ask(Command::Assign(act))
    }
}

/// Work taken from its agent, or an agent named for it; `a` and `b` choose.
pub(super) fn supervised(
    floor: &mut Floor,
    (a, b): (u8, u8),
    conversation: ConversationId,
    name: &str,
) -> Command {
    let request_id = floor.fresh();
    let reason = if a.is_multiple_of(3) { "" } else { "asked for" };
    if b.is_multiple_of(3) {
        return Command::Requeue(Requeue {
            conversation,
            request_id,
            staff: staff(),
            reason: reason.into(),
        });
    }
    Command::Assign(Assign {
        conversation,
        request_id,
        staff: staff(),
        agent: agent(name),
        wait: b.is_multiple_of(2),
        reason: reason.into(),
    })
}

/// One queue in four steps is paused; what is paused mostly goes on in the next such step, so that runs
/// do not stand still.
pub(super) fn steered(floor: &mut Floor, (a, b): (u8, u8)) -> Command {
    let names = ["sales", "billing"];
    let state = floor.state();
    let paused = names.into_iter().find(|name| {
        let record = state.queue(&queue(name));
        record.is_some_and(|record| record.paused_by().is_some())
    });
    let pauses = b.is_multiple_of(4);
    let name = paused
        .filter(|_| !pauses)
        .unwrap_or(names[usize::from(a) % 2]);
    let act = floor.queue_act(name, "maintenance");
    if pauses {
        Command::PauseQueue(act)
    } else {
        Command::ResumeQueue(act)
    }
}
