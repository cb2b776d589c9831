//! What one floor plan changes against another, for people to read before they apply it.
//! Promise: a line for each queue, agent, account, channel and rule that differs; bounded.
//! Not here: whether the plan is sound (`wire::floor`, `domain::control`).

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

use domain::plan::{AccountPlan, AgentPlan, FloorPlan, IntakeRule, QueuePlan};
use pb::api::v1::PlanFault;
use wire::floor::duration_text;

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
        account,
    );
    intake(&mut lines, &before.intake, &after.intake);
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
fn keyed<K: Ord + Display, V: PartialEq>(
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

/// Rules have no names: of a table as long as before each rule that differs is named by its place,
/// of another one the lengths are.
fn intake(lines: &mut Vec<String>, before: &[IntakeRule], after: &[IntakeRule]) {
    if before.len() != after.len() {
        lines.push(format!(
            "intake: {} rules instead of {}",
            after.len(),
            before.len()
        ));
        return;
    }
    for (at, (old, new)) in before.iter().zip(after).enumerate() {
        if old != new {
            lines.push(format!(
                "intake rule {}: {}",
                at + 1,
                rule(old, new).join(", ")
            ));
        }
    }
}

fn rule(old: &IntakeRule, new: &IntakeRule) -> Vec<String> {
    let mut found = Vec::new();
    if (&old.language, &old.topic) != (&new.language, &new.topic) {
        found.push("fits another language or topic".to_owned());
    }
    moved(&mut found, "queue", &old.queue, &new.queue);
    time(&mut found, "boost", old.boost_ms, new.boost_ms);
    found
}

fn account(old: &AccountPlan, new: &AccountPlan) -> Vec<String> {
    let mut found = Vec::new();
    moved(&mut found, "channel", &old.channel, &new.channel);
    moved(&mut found, "site", &old.site, &new.site);
    moved(&mut found, "queue", &old.queue, &new.queue);
    time(&mut found, "boost", old.boost_ms, new.boost_ms);
    found
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
    time(&mut found, "boost_max", old.boost_ms_max, new.boost_ms_max);
    for (name, differs) in [
        ("requirements", old.requires != new.requires),
        ("timers", old.timers != new.timers),
        ("service level", old.service_level != new.service_level),
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

fn moved<T: PartialEq + Display>(found: &mut Vec<String>, name: &str, old: &T, new: &T) {
    if old != new {
        found.push(format!("{name} {old} -> {new}"));
    }
}

fn time(found: &mut Vec<String>, name: &str, old_ms: u64, new_ms: u64) {
    if old_ms != new_ms {
        let (old, new) = (duration_text(old_ms), duration_text(new_ms));
        found.push(format!("{name} {old} -> {new}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::ids::{AccountId, AgentId, ChannelId, QueueId, SiteId, TenantId};
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

    /// The plan with one account and one rule of these boosts.
    fn boosted(account_ms: u64, rule_ms: u64) -> FloorPlan {
        let queue = QueueId::new("help").expect("a name");
        let account = AccountPlan {
            channel: ChannelId::new("web").expect("a name"),
            site: SiteId::new("fra").expect("a name"),
            queue: queue.clone(),
            boost_ms: account_ms,
        };
        let rule = IntakeRule {
            language: None,
            topic: None,
            queue,
            boost_ms: rule_ms,
        };
        FloorPlan {
            accounts: BTreeMap::from([(AccountId::new("web").expect("a name"), account)]),
            intake: vec![rule],
            ..plan_with(&[])
        }
    }

    #[test]
    fn a_boost_that_changes_is_told_with_both_times() {
        assert_eq!(
            between(Some(&boosted(0, 90_000)), &boosted(30_000, 120_000)),
            [
                "account web: boost 0s -> 30s",
                "intake rule 1: boost 90s -> 2m"
            ]
        );
    }

    #[test]
    fn a_table_of_another_length_is_told_by_its_lengths() {
        let mut after = boosted(0, 0);
        after.intake.clear();
        assert_eq!(
            between(Some(&boosted(0, 0)), &after),
            ["intake: 0 rules instead of 1"]
        );
    }

    #[test]
    fn the_same_plan_changes_nothing() {
        let plan = plan_with(&[("ana", 100)]);
        assert!(between(Some(&plan), &plan).is_empty());
    }
}
