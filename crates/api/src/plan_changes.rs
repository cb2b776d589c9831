//! What one floor plan changes against another: key by key, and as lines to read before it is applied.
//! Promise: a line for each part of the plan that differs; both forms are bounded.
//! Not here: finding the differences (`wire::floor`), whether the plan is sound (`domain::control`).

use domain::plan::FloorPlan;
use pb::api::v1 as api;
use pb::api::v1::PlanFault;
use wire::floor::{DifferenceKind, KeyDifference, PlanDifference, differences};

use crate::limits;

/// Keys of one part that a line names.
const KEYS_SHOWN: usize = 6;
/// Characters of a value that a line shows.
const VALUE_SHOWN: usize = 40;

/// The lines, in the order of the text. Without a plan before, everything is new.
pub fn between(before: Option<&FloorPlan>, after: &FloorPlan) -> Vec<String> {
    if before.is_none() {
        return vec![format!(
            "the first floor plan: {} sites, {} queues, {} agents",
            after.sites.len(),
            after.queues.len(),
            after.agents.len()
        )];
    }
    let mut lines: Vec<String> = differences(before, after).iter().map(line).collect();
    if lines.len() > limits::CHANGES_MAX {
        let more = lines.len() - limits::CHANGES_MAX;
        lines.truncate(limits::CHANGES_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// What differs, key by key, as the API tells it; and how many parts were left out beside them.
pub fn listed(before: Option<&FloorPlan>, after: &FloorPlan) -> (Vec<api::PlanDifference>, u32) {
    let all = differences(before, after);
    let mut bytes = 0;
    let fits = |told: &&PlanDifference| {
        bytes += size(told);
        bytes <= limits::DIFFERENCES_BYTES_MAX
    };
    let listed: Vec<api::PlanDifference> = all.iter().take_while(fits).map(of_api).collect();
    let left_out = u32::try_from(all.len() - listed.len()).unwrap_or(u32::MAX);
    (listed, left_out)
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

/// Bytes of the texts of a difference.
fn size(told: &PlanDifference) -> usize {
    let value = |value: &Option<String>| value.as_ref().map_or(0, String::len);
    let key = |key: &KeyDifference| key.key.len() + value(&key.old) + value(&key.new);
    told.section.len() + told.name.len() + told.keys.iter().map(key).sum::<usize>()
}

fn of_api(told: &PlanDifference) -> api::PlanDifference {
    let kind = match told.kind {
        DifferenceKind::Added => api::DifferenceKind::Added,
        DifferenceKind::Removed => api::DifferenceKind::Removed,
        DifferenceKind::Changed => api::DifferenceKind::Changed,
    };
    let key = |key: &KeyDifference| api::KeyDifference {
        key: key.key.clone(),
        old_value: key.old.clone(),
        new_value: key.new.clone(),
    };
    api::PlanDifference {
        kind: kind.into(),
        section: told.section.to_owned(),
        name: told.name.clone(),
        keys: told.keys.iter().map(key).collect(),
    }
}

fn line(told: &PlanDifference) -> String {
    let part = [told.section, &told.name];
    let part: Vec<&str> = part.into_iter().filter(|word| !word.is_empty()).collect();
    let part = match part.is_empty() {
        true => "plan".to_owned(),
        false => part.join(" "),
    };
    let what = match told.kind {
        DifferenceKind::Added => "added".to_owned(),
        DifferenceKind::Removed => "removed".to_owned(),
        DifferenceKind::Changed => keys(&told.keys),
    };
    format!("{part}: {what}")
}

fn keys(keys: &[KeyDifference]) -> String {
    let key = |key: &KeyDifference| match (&key.old, &key.new) {
        (Some(old), Some(new)) => format!("{} {} -> {}", key.key, short(old), short(new)),
        (None, Some(new)) => format!("{} {} added", key.key, short(new)),
        _ => format!("{} removed", key.key),
    };
    let mut shown: Vec<String> = keys.iter().take(KEYS_SHOWN).map(key).collect();
    if keys.len() > KEYS_SHOWN {
        shown.push(format!("and {} more", keys.len() - KEYS_SHOWN));
    }
    shown.join(", ")
}

fn short(value: &str) -> String {
    match value.char_indices().nth(VALUE_SHOWN) {
        Some((end, _)) => format!("{}...", value.get(..end).unwrap_or(value)),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::ids::{AccountId, AgentId, ChannelId, QueueId, SiteId, TenantId};
    use domain::plan::{AccountPlan, AgentPlan, FloorPolicy, IntakeRule};

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
                "account web: boost \"0s\" -> \"30s\"",
                "intake 1: boost \"90s\" -> \"2m\""
            ]
        );
    }

    #[test]
    fn a_row_that_is_gone_is_told_by_its_place() {
        let mut after = boosted(0, 0);
        after.intake.clear();
        assert_eq!(between(Some(&boosted(0, 0)), &after), ["intake 1: removed"]);
    }

    #[test]
    fn the_same_plan_changes_nothing() {
        let plan = plan_with(&[("ana", 100)]);
        assert!(between(Some(&plan), &plan).is_empty());
    }

    #[test]
    fn a_line_shows_the_beginning_of_a_long_value_and_of_many_keys() {
        let key = |n: usize| KeyDifference {
            key: format!("k{n}"),
            old: Some("1".into()),
            new: Some("ü".repeat(50)),
        };
        let line = keys(&(0..8).map(key).collect::<Vec<_>>());
        let first = format!("k0 1 -> {}..., k1", "ü".repeat(40));
        assert!(line.starts_with(&first), "{line}");
        assert!(line.ends_with(", and 2 more"), "{line}");
    }

    #[test]
    fn what_does_not_fit_the_answer_is_counted() {
        let names: Vec<String> = (0..20_000).map(|n| format!("agent-{n:05}")).collect();
        let agents: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 100)).collect();
        let (listed, left_out) = listed(None, &plan_with(&agents));
        assert!(left_out > 0 && !listed.is_empty());
        // Beside the agents: the keys before the first header and the policy.
        assert_eq!(listed.len() + left_out as usize, names.len() + 2);
        let bytes: usize = listed.iter().map(prost::Message::encoded_len).sum();
        assert!(bytes <= 2 * limits::DIFFERENCES_BYTES_MAX, "{bytes}");
    }
}
