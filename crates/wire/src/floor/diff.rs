//! What differs between two floor plans, key by key, in the words of `floor.toml`.
//! Promise: no difference is told exactly when the plans are equal; each value stands as the text of the
//! plan has it.
//! Not here: whether a plan is sound (`domain::control::check`), how people read it (`api`, `cli`).

use std::collections::BTreeMap;

use domain::plan::FloorPlan;

use super::render::{INTAKE, Section, Value, sections};

/// Pairs of rows of two intake tables that are compared, about 1,000 rows each; of larger ones rows of
/// the same place are compared.
const ROW_PAIRS_MAX: usize = 1_000_000;

/// What became of a part of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Only the later plan has it.
    Added,
    /// Only the earlier plan has it.
    Removed,
    /// Both have it, with other values.
    Changed,
}

/// A part that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDifference {
    /// What became of it.
    pub kind: DifferenceKind,
    /// The first word of its header: `queue`, `intake`; empty for the keys before the first header.
    pub section: &'static str,
    /// Which one: the queue's name; a row of the intake table by its place from 1, of a removed row the
    /// place that it had; empty where there is one alone.
    pub name: String,
    /// The keys that differ, in the order of the text.
    pub keys: Vec<KeyDifference>,
}

/// A key that differs. Values stand as TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDifference {
    /// The key; of an inline table `table.key`.
    pub key: String,
    /// The earlier value, if there was one.
    pub old: Option<String>,
    /// The later value, if there is one.
    pub new: Option<String>,
}

/// Keys and values, inline tables spread.
type Pairs = Vec<(String, String)>;

/// What `after` has otherwise than `before`, in the order of the text; without a plan before, all of it.
pub fn differences(before: Option<&FloorPlan>, after: &FloorPlan) -> Vec<PlanDifference> {
    let (old, old_rows) = parts(before);
    let (new, new_rows) = parts(Some(after));
    let mut found: Vec<(usize, PlanDifference)> = Vec::new();
    for (place, (part, pairs)) in &old {
        let told = match new.get(place) {
            None => Some(whole(DifferenceKind::Removed, part, pairs)),
            Some((_, now)) => changed(part, pairs, now),
        };
        found.extend(told.map(|told| (place.0, told)));
    }
    for (place, (part, pairs)) in new.iter().filter(|(place, _)| !old.contains_key(*place)) {
        found.push((place.0, whole(DifferenceKind::Added, part, pairs)));
    }
    let row = |told| (rank(INTAKE), told);
    found.extend(rows(&old_rows, &new_rows).into_iter().map(row));
    // Stable: within a section removed and changed parts by name, then added ones; rows by place.
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, told)| told).collect()
}

/// A part by the order of its section and its name.
type Place = (usize, String);
/// The header of a part.
type Part = (&'static str, String);

fn parts(plan: Option<&FloorPlan>) -> (BTreeMap<Place, (Part, Pairs)>, Vec<Pairs>) {
    let mut named = BTreeMap::new();
    let mut rows = Vec::new();
    for section in plan.map(sections).unwrap_or_default() {
        let pairs = spread(&section);
        match section.kind {
            INTAKE => rows.push(pairs),
            kind => {
                let place = (rank(kind), section.name.clone());
                named.insert(place, ((kind, section.name), pairs));
            }
        }
    }
    (named, rows)
}

/// The order of sections in the text.
fn rank(kind: &str) -> usize {
    const ORDER: [&str; 10] = [
        "", "policy", "site", "skill", "language", "channel", "account", INTAKE, "queue", "agent",
    ];
    let found = ORDER.iter().position(|known| *known == kind);
    found.unwrap_or(ORDER.len())
}

fn spread(section: &Section) -> Pairs {
    let mut pairs = Pairs::new();
    for (key, value) in &section.pairs {
        match value {
            Value::Plain(value) => pairs.push((key.clone(), value.clone())),
            Value::Inline(inside) => pairs.extend(
                inside
                    .iter()
                    .map(|(inner, value)| (format!("{key}.{inner}"), value.clone())),
            ),
        }
    }
    pairs
}

fn whole(kind: DifferenceKind, (section, name): &Part, pairs: &Pairs) -> PlanDifference {
    let key = |(key, value): &(String, String)| {
        let (old, new) = match kind {
            DifferenceKind::Removed => (Some(value.clone()), None),
            DifferenceKind::Added | DifferenceKind::Changed => (None, Some(value.clone())),
        };
        KeyDifference {
            key: key.clone(),
            old,
            new,
        }
    };
    PlanDifference {
        kind,
        section,
        name: name.clone(),
        keys: pairs.iter().map(key).collect(),
    }
}

fn changed((section, name): &Part, old: &Pairs, new: &Pairs) -> Option<PlanDifference> {
    let value = |pairs: &Pairs, key: &str| {
        let found = pairs.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.clone())
    };
    let only_new = new
        .iter()
        .filter(|(key, _)| old.iter().all(|(known, _)| known != key));
    let keys = old.iter().chain(only_new).map(|(key, _)| KeyDifference {
        key: key.clone(),
        old: value(old, key),
        new: value(new, key),
    });
    let keys: Vec<KeyDifference> = keys.filter(|key| key.old != key.new).collect();
    (!keys.is_empty()).then(|| PlanDifference {
        kind: DifferenceKind::Changed,
        section,
        name: name.clone(),
        keys,
    })
}

/// Rows have no names: rows that both tables have in the same order are the same row, and what lies
/// between two of those is compared row by row.
fn rows(old: &[Pairs], new: &[Pairs]) -> Vec<PlanDifference> {
    let mut found = Vec::new();
    let (mut at_old, mut at_new) = (0, 0);
    for (same_old, same_new) in common(old, new).into_iter().chain([(old.len(), new.len())]) {
        let part = |at: usize| (INTAKE, (at + 1).to_string());
        let paired = (same_old - at_old).min(same_new - at_new);
        for step in 0..paired {
            let (old, new) = (&old[at_old + step], &new[at_new + step]);
            found.extend(changed(&part(at_new + step), old, new));
        }
        let gone = (at_old + paired..same_old)
            .map(|at| whole(DifferenceKind::Removed, &part(at), &old[at]));
        let come =
            (at_new + paired..same_new).map(|at| whole(DifferenceKind::Added, &part(at), &new[at]));
        found.extend(gone.chain(come));
        (at_old, at_new) = (same_old + 1, same_new + 1);
    }
    found
}

/// The places of the longest run of rows that both tables have in the same order.
fn common(old: &[Pairs], new: &[Pairs]) -> Vec<(usize, usize)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let inner_old = &old_rest[..old_rest.len() - tail];
    let inner_new = &new_rest[..new_rest.len() - tail];
    let mut same: Vec<(usize, usize)> = (0..head).map(|at| (at, at)).collect();
    if inner_old.len().saturating_mul(inner_new.len()) <= ROW_PAIRS_MAX {
        let inner = longest(inner_old, inner_new);
        same.extend(inner.into_iter().map(|(a, b)| (head + a, head + b)));
    }
    let ends = (old.len() - tail..old.len()).zip(new.len() - tail..new.len());
    same.extend(ends);
    same
}

/// The longest common subsequence, by the table of the lengths that are left.
fn longest(old: &[Pairs], new: &[Pairs]) -> Vec<(usize, usize)> {
    let width = new.len() + 1;
    let mut lengths = vec![0_usize; (old.len() + 1) * width];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            lengths[a * width + b] = match old[a] == new[b] {
                true => lengths[(a + 1) * width + b + 1] + 1,
                false => lengths[(a + 1) * width + b].max(lengths[a * width + b + 1]),
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut same = Vec::new();
    while a < old.len() && b < new.len() {
        if old[a] == new[b] {
            same.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if lengths[(a + 1) * width + b] >= lengths[a * width + b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    same
}
