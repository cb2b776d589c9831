//! A new floor plan: taken if its version is higher, void otherwise.
//! Promise: total; whoever the plan lacks keeps the work in hand and gets no more.
//! Not here: what the plan may contain (`control`), what adopting changes (`evolve::plan`).

use super::lease::{LetGo, let_go, rescind_offers};
use crate::cell::capacity::is_eligible;
use crate::cell::draft::Draft;
use crate::cell::event::{Alarm, Event};
use crate::cell::reply::Done;
use crate::ids::AgentId;
use crate::plan::VersionedPlan;

pub(super) fn adopt(draft: &mut Draft<'_>, plan: &VersionedPlan) -> Done {
    let state = draft.state;
    if plan.version <= state.meta.plan {
        return Done::Nothing;
    }
    let missing: Vec<&AgentId> = state
        .agents
        .keys()
        .filter(|name| !plan.plan.agents.contains_key(*name))
        .collect();
    for name in missing {
        rescind_offers(draft, name);
        let_go(draft, name, LetGo::All);
    }
    draft.push(Event::PlanAdopted { plan: plan.clone() });
    for (queue, rules) in &plan.plan.queues {
        let serves = |(name, profile): (&AgentId, &crate::plan::AgentPlan)| {
            let record =
                crate::cell::agent::Agent::new(name.clone(), std::sync::Arc::new(profile.clone()));
            is_eligible(&record, &rules.requires)
        };
        if !plan.plan.agents.iter().any(serves) {
            draft.push(Event::Alarm(Alarm::NobodyEligible {
                queue: queue.clone(),
            }));
        }
    }
    Done::Nothing
}
