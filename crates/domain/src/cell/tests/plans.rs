//! Random floor plans.
//! Promise: each bit of the number decides one thing.
//! Not here: when they are adopted (the property test).

use super::support::*;
use crate::plan::*;

pub(super) fn random_plan(n: u16) -> FloorPlan {
    let mut plan = plan();
    plan.agents.insert(agent("dea"), agent_plan("dea", 50));
    for (at, (_, profile)) in plan.agents.iter_mut().enumerate() {
        if at.is_multiple_of(2) {
            profile
                .skills
                .insert(skill("law"), Level(1 + (n % 3) as u8));
        }
        profile.capacity = match n & 2_052 {
            4 => 50,
            2_052 => 25,
            _ => 100,
        };
    }
    if n & 8 != 0 {
        plan.agents.remove(&agent("dea"));
    }
    if n & 16 != 0 {
        plan.queues.remove(&queue("billing"));
    }
    if let Some(billing) = plan.queues.get_mut(&queue("billing")) {
        billing.requires = vec![Requirement::Skill(skill("law"), Level(2))];
        billing.strategy = Strategy::LeastLoad;
        billing.on_agent_lost = OnAgentLost::Hold;
        billing.paused = n & 256 != 0;
        billing.boost_ms_max = 5_000;
        // Later than the other queue's: an agent with work of both loses the one and keeps the other.
        billing.timers.agent_lost_ms = 90_000;
    }
    let sales = plan.queues.get_mut(&queue("sales")).unwrap();
    sales.paused = n & 32 != 0;
    sales.wrap_up = if n & 64 != 0 {
        WrapUpMode::Mandatory
    } else {
        WrapUpMode::Optional
    };
    if n & 512 != 0 && n & 1024 != 0 {
        plan.queues.remove(&queue("sales"));
    }
    plan
}
