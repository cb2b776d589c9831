//! What one floor plan changes against another, for people to read before they apply it.
//! Promise: a line for each queue, agent, account, channel and rule that differs; bounded.
//! Not here: whether the plan is sound (`wire::floor`, `domain::control`).

use std::collections::BTreeMap;
use std::fmt::Debug;

use domain::plan::{AgentPlan, FloorPlan, QueuePlan};
use pb::api::v1::PlanFault;

use crate::limits;

/// The lines, sorted by kind and name. Without a plan before, everything is new.
pub fn between(before: Option<&FloorPlan>, after: &FloorPlan) -> Vec<String> {
    let Some(before) = before else {
        return vec![format!(
            "the first floor plan: {} sites, {} queues, {} agents",
            after.sites.len(),
            after.queues.len(),
            after.agents.len()
        )];
    };
    let mut lines = Vec::new();
    keyed(&mut lines, "site", &before.sites, &after.sites, |_, _| {
        Vec::new()
    });
    keyed(
        &mut lines,
        "skill",
        &before.skills,
        &after.skills,
        |_, _| Vec::new(),
    );
    keyed(
        &mut lines,
        "language",
        &before.languages,
        &after.languages,
        |_, _| Vec::new(),
    );
    keyed(
        &mut lines,
        "channel",
        &before.channels,
        &after.channels,
        |_, _| Vec::new(),
    );
    keyed(
        &mut lines,
        "account",
        &before.accounts,
        &after.accounts,
        |_, _| Vec::new(),
    );
    if before.intake != after.intake {
        lines.push(format!(
            "intake: {} rules instead of {}",
            after.intake.len(),
            before.intake.len()
        ));
    }
    keyed(&mut lines, "queue", &before.queues, &after.queues, queue);
    keyed(&mut lines, "agent", &before.agents, &after.agents, agent);
    if before.policy != after.policy {
        lines.push("policy: changed".to_owned());
    }
    if lines.len() > limits::CHANGES_MAX {
        let more = lines.len() - limits::CHANGES_MAX;
        lines.truncate(limits::CHANGES_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// The faults of a plan, as the API lists them.
pub fn faults(found: Vec<wire::floor::FloorFault>) -> Vec<PlanFault> {
    let fault = |fault: wire::floor::FloorFault| PlanFault {
        line: fault.line,
        column: fault.column,
        message: fault.message,
        suggestion: fault.suggestion.unwrap_or_default(),
    };
    found.into_iter().map(fault).collect()
}

/// Compares two maps by key; `details` names what differs inside, if it can tell.
fn keyed<K: Ord + std::fmt::Display, V: PartialEq>(
    lines: &mut Vec<String>,
    kind: &str,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    details: fn(&V, &V) -> Vec<String>,
) {
    for (name, old) in before {
        match after.get(name) {
            None => lines.push(format!("{kind} {name}: removed")),
            Some(new) if new != old => {
                let inside = details(old, new);
                let inside = if inside.is_empty() {
                    "changed".to_owned()
                } else {
                    inside.join(", ")
                };
                lines.push(format!("{kind} {name}: {inside}"));
            }
            Some(_) => {}
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(name)) {
        lines.push(format!("{kind} {name}: added"));
    }
}

fn queue(old: &QueuePlan, new: &QueuePlan) -> Vec<String> {
    let mut found = Vec::new();
    changed(&mut found, "paused", &old.paused, &new.paused);
    changed(&mut found, "urgency", &old.urgency, &new.urgency);
    changed(&mut found, "strategy", &old.strategy, &new.strategy);
    changed(
        &mut found,
        "waiting_max",
        &old.waiting_max,
        &new.waiting_max,
    );
    changed(
        &mut found,
        "on_agent_lost",
        &old.on_agent_lost,
        &new.on_agent_lost,
    );
    changed(&mut found, "wrap_up", &old.wrap_up, &new.wrap_up);
    for (name, differs) in [
        ("requirements", old.requires != new.requires),
        ("timers", old.timers != new.timers),
        ("service level", old.service_level != new.service_level),
        ("boost", old.boost_ms_max != new.boost_ms_max),
        ("texts", old.texts != new.texts),
    ] {
        if differs {
            found.push(format!("{name} changed"));
        }
    }
    found
}

fn agent(old: &AgentPlan, new: &AgentPlan) -> Vec<String> {
    let mut found = Vec::new();
    changed(
        &mut found,
        "display_name",
        &old.display_name,
        &new.display_name,
    );
    changed(&mut found, "site", &old.site, &new.site);
    changed(&mut found, "cell", &old.cell, &new.cell);
    changed(&mut found, "capacity", &old.capacity, &new.capacity);
    changed(&mut found, "team", &old.team, &new.team);
    for (name, differs) in [
        ("skills", old.skills != new.skills),
        ("languages", old.languages != new.languages),
        ("counts per channel", old.count_max != new.count_max),
    ] {
        if differs {
            found.push(format!("{name} changed"));
        }
    }
    found
}

fn changed<T: PartialEq + Debug>(found: &mut Vec<String>, name: &str, old: &T, new: &T) {
    if old != new {
        found.push(format!("{name} {old:?} -> {new:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::ids::{AgentId, SiteId, TenantId};
    use domain::plan::FloorPolicy;

    use super::*;

    fn plan_with(agents: &[(&str, u32)]) -> FloorPlan {
        let agent = |capacity| AgentPlan {
            display_name: "Ana".into(),
            site: SiteId::new("fra").expect("a name"),
            cell: "main".into(),
            capacity,
            skills: BTreeMap::new(),
            languages: BTreeMap::new(),
            count_max: BTreeMap::new(),
            team: String::new(),
        };
        FloorPlan {
            tenant: TenantId::new("default").expect("a name"),
            sites: BTreeMap::new(),
            skills: BTreeMap::new(),
            languages: BTreeMap::new(),
            channels: BTreeMap::new(),
            accounts: BTreeMap::new(),
            intake: Vec::new(),
            queues: BTreeMap::new(),
            agents: agents
                .iter()
                .map(|(name, capacity)| (AgentId::new(name).expect("a name"), agent(*capacity)))
                .collect(),
            policy: FloorPolicy::default(),
        }
    }

    #[test]
    fn a_line_names_what_was_added_removed_and_changed() {
        let before = plan_with(&[("ana", 100), ("bo", 100)]);
        let after = plan_with(&[("ana", 80), ("cy", 100)]);
        let lines = between(Some(&before), &after);
        assert_eq!(
            lines,
            [
                "agent ana: capacity 100 -> 80",
                "agent bo: removed",
                "agent cy: added"
            ]
        );
    }

    #[test]
    fn the_same_plan_changes_nothing() {
        let plan = plan_with(&[("ana", 100)]);
        assert!(between(Some(&plan), &plan).is_empty());
    }
}
