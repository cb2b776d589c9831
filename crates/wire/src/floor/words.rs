//! The words of `floor.toml` for choices, and their values.
//! Promise: one table for both directions, so that they cannot differ.
//! Not here: what a choice does (`domain`).

use domain::plan::{OnAgentLost, ServiceLevelDefinition, Strategy, Urgency, WrapUpMode};

pub(super) const URGENCY: &[(&str, Urgency)] = &[
    ("emergency", Urgency::Emergency),
    ("normal", Urgency::Normal),
    ("background", Urgency::Background),
];

pub(super) const STRATEGY: &[(&str, Strategy)] = &[
    ("longest-idle", Strategy::LongestIdle),
    ("least-load", Strategy::LeastLoad),
];

pub(super) const ON_AGENT_LOST: &[(&str, OnAgentLost)] = &[
    ("hold", OnAgentLost::Hold),
    ("requeue", OnAgentLost::Requeue),
    ("notify", OnAgentLost::Notify),
];

pub(super) const WRAP_UP: &[(&str, WrapUpMode)] = &[
    ("optional", WrapUpMode::Optional),
    ("mandatory", WrapUpMode::Mandatory),
    ("time-boxed", WrapUpMode::TimeBoxed),
    ("time-boxed-without-exit", WrapUpMode::TimeBoxedWithoutExit),
    ("on-request", WrapUpMode::OnRequest),
];

pub(super) const DEFINITION: &[(&str, ServiceLevelDefinition)] = &[
    (
        "abandoned-in-count",
        ServiceLevelDefinition::AbandonedInCount,
    ),
    ("answered-only", ServiceLevelDefinition::AnsweredOnly),
    (
        "all-abandoned-against",
        ServiceLevelDefinition::AllAbandonedAgainst,
    ),
    (
        "late-abandoned-against",
        ServiceLevelDefinition::LateAbandonedAgainst,
    ),
    (
        "short-abandoned-for",
        ServiceLevelDefinition::ShortAbandonedFor,
    ),
    (
        "short-abandoned-out",
        ServiceLevelDefinition::ShortAbandonedOut,
    ),
];

/// The word of a value.
pub(super) fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words
        .iter()
        .find(|(_, known)| known == value)
        .map_or("", |(word, _)| *word)
}
