//! A new floor plan: taken if its version is higher, void otherwise.
//! Promise: total; whoever the plan lacks keeps the work in hand and gets no more.
//! Not here: what the plan may contain (`control`), what adopting changes (`evolve::plan`).

use super::lease::{LetGo, let_go, let_go_where, rescind_offers};
use crate::cell::capacity::{can_ever_hold, is_eligible};
use crate::cell::conversation::Conversation;
use crate::cell::draft::Draft;
use crate::cell::event::{Alarm, Event};
use crate::cell::reply::Done;
use crate::cell::state::UNKNOWN_CHANNEL;
use crate::ids::AgentId;
use crate::plan::{FloorPlan, VersionedPlan};

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
    let_go_of_vain(draft, &plan.plan);
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

/// Lets go of what waits for one agent who, by the new plan, can never hold it.
fn let_go_of_vain(draft: &mut Draft<'_>, plan: &FloorPlan) {
    for (name, profile) in &plan.agents {
        let_go_where(draft, name, |conversation: &Conversation| {
            let channel = plan.channels.get(&conversation.channel);
            let channel = channel.unwrap_or(&UNKNOWN_CHANNEL);
            !can_ever_hold(channel, profile, &conversation.channel)
        });
    }
}
