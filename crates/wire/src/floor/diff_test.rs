//! Claims about the difference of two plans.

use domain::plan::FloorPlan;
use proptest::prelude::*;

use super::diff::{DifferenceKind, PlanDifference, differences};
use super::{SAMPLE, parse, parse_unchecked, render};
use crate::samples::plans;

fn sample() -> FloorPlan {
    parse(SAMPLE).expect("the sample is sound")
}

/// The sample after a replacement in its canonical text.
fn sample_with(from: &str, to: &str) -> FloorPlan {
    let text = render(&sample());
    assert!(text.contains(from), "{from} is not in the sample");
    parse_unchecked(&text.replacen(from, to, 1)).expect("the text can be read")
}

/// Differences as `kind section name: key old -> new, ...`.
fn told(before: &FloorPlan, after: &FloorPlan) -> Vec<String> {
    let line = |difference: &PlanDifference| {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let keys = difference
            .keys
            .iter()
            .map(|key| format!("{} {} -> {}", key.key, value(&key.old), value(&key.new)));
        let (kind, section, name) = (difference.kind, difference.section, &difference.name);
        format!(
            "{kind:?} {section} {name}: {}",
            keys.collect::<Vec<_>>().join(", ")
        )
    };
    differences(Some(before), after).iter().map(line).collect()
}

/// The sample with these rows of its intake table, by their places.
fn with_rows(places: &[usize]) -> FloorPlan {
    let sample = sample();
    let row = |place: &usize| sample.intake[*place].clone();
    FloorPlan {
        intake: places.iter().map(row).collect(),
        ..sample
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn plans_differ_exactly_when_a_difference_is_told(old in plans(), new in plans()) {
        prop_assert_eq!(differences(Some(&old), &new).is_empty(), old == new);
        prop_assert!(differences(Some(&new), &new).is_empty());
    }
}

#[test]
fn a_key_is_told_with_both_values_as_the_text_has_them() {
    let name = sample().queues.keys().next().expect("a queue").to_string();
    let mut after = sample();
    let queue = after.queues.values_mut().next().expect("a queue");
    queue.timers.offer_ms = 45_000;
    queue.paused = true;
    let before = sample().queues.values().next().expect("a queue").clone();
    assert!(!before.paused && before.timers.offer_ms == 20_000);
    assert_eq!(
        told(&sample(), &after),
        [format!(
            "Changed queue {name}: paused false -> true, timers.offer \"20s\" -> \"45s\""
        )]
    );
}

#[test]
fn a_skill_of_an_agent_is_a_key_of_its_own() {
    let mut after = sample();
    let (name, agent) = after.agents.iter_mut().next().expect("an agent");
    let name = name.to_string();
    let (skill, level) = agent.skills.pop_first().expect("a skill");
    assert_eq!(
        told(&sample(), &after),
        [format!(
            "Changed agent {name}: skills.{skill} {} -> -",
            level.0
        )]
    );
}

#[test]
fn what_is_new_or_gone_is_told_whole() {
    let mut after = sample();
    let (name, gone) = after.agents.pop_first().expect("an agent");
    let differences = differences(Some(&sample()), &after);
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].kind, DifferenceKind::Removed);
    assert_eq!(differences[0].name, name.to_string());
    let capacity = differences[0].keys.iter().find(|key| key.key == "capacity");
    let capacity = capacity.expect("every value is told");
    assert_eq!(capacity.old, Some(gone.capacity.to_string()));
    assert_eq!(capacity.new, None);
    let added = super::diff::differences(Some(&after), &sample());
    assert_eq!(added[0].kind, DifferenceKind::Added);
}

#[test]
fn a_label_that_changes_is_a_key_of_its_section() {
    let (skill, label) = sample().skills.pop_first().expect("a skill");
    let from = format!("{skill} = \"{label}\"");
    let after = sample_with(&from, &format!("{skill} = \"Other\""));
    assert_eq!(
        told(&sample(), &after),
        [format!("Changed skill : {skill} \"{label}\" -> \"Other\"")]
    );
}

#[test]
fn a_row_that_is_put_in_leaves_the_rows_around_it_alone() {
    let lines = told(&with_rows(&[0, 2, 3]), &with_rows(&[0, 1, 2, 3]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("Added intake 2: "), "{lines:?}");
    let lines = told(&with_rows(&[0, 1, 2, 3]), &with_rows(&[0, 2, 3]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("Removed intake 2: "), "{lines:?}");
}

#[test]
fn a_row_in_the_place_of_another_is_told_by_its_keys() {
    let mut after = with_rows(&[0, 1, 2]);
    after.intake[1].boost_ms += 30_000;
    let lines = told(&with_rows(&[0, 1, 2]), &after);
    assert_eq!(lines, ["Changed intake 2: boost \"0s\" -> \"30s\""]);
}

#[test]
fn without_a_plan_before_everything_is_new() {
    let all = differences(None, &sample());
    assert!(all.iter().all(|told| told.kind == DifferenceKind::Added));
    let sections: usize = sample().queues.len() + sample().agents.len();
    assert!(all.len() > sections, "{}", all.len());
}
