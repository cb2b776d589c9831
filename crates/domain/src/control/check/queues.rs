//! Queues: requirements that somebody meets, channels that somebody can hold, work classes.
//! Promise: a queue that passes has at least one agent for every channel that reaches it.
//! Not here: who is logged in, which is the cell's concern.

use std::collections::BTreeSet;

use super::attributes::{require_language, require_skill};
use super::timers::check_queue as check_timers;
use super::{
    BOOST_MS_MAX, CLASSES_MAX, Faults, PlanPath, PlanProblem, TEXT_BYTES_MAX, TIMER_MS_MAX,
    UNITS_MAX,
};
use crate::ids::{AgentId, ChannelId, QueueId};
use crate::plan::{AgentPlan, FloorPlan, QueuePlan, Requirement};

pub(super) fn check(plan: &FloorPlan, faults: &mut Faults) {
    for (id, queue) in &plan.queues {
        let path = PlanPath::keys(["queue", id.as_str()]);
        check_requirements(plan, &path, queue, faults);
        check_numbers(&path, queue, faults);
        check_timers(&path.key("timers"), &queue.timers, faults);
        check_texts(&path.key("texts"), queue, faults);
        check_served(plan, (&path, id, queue), faults);
    }
    check_classes(plan, faults);
}

fn check_requirements(plan: &FloorPlan, path: &PlanPath, queue: &QueuePlan, faults: &mut Faults) {
    for requirement in &queue.requires {
        match requirement {
            Requirement::Skill(skill, level) => {
                require_skill(
                    plan,
                    (&path.key("skills").key(skill.as_str()), skill, *level),
                    faults,
                );
            }
            Requirement::Language(language, level) => {
                let place = path.key("languages").key(language.as_str());
                require_language(plan, (&place, language, *level), faults);
            }
        }
    }
    let sorted = queue
        .requires
        .windows(2)
        .all(|pair| attribute(&pair[0]) < attribute(&pair[1]));
    if !sorted {
        faults.add(path.clone(), PlanProblem::RequirementsUnsorted);
    }
}

/// Kind and name of what is required, without the level.
fn attribute(requirement: &Requirement) -> (u8, &str) {
    match requirement {
        Requirement::Skill(skill, _) => (0, skill.as_str()),
        Requirement::Language(language, _) => (1, language.as_str()),
    }
}

fn check_numbers(path: &PlanPath, queue: &QueuePlan, faults: &mut Faults) {
    faults.require_range(
        path.key("waiting_max"),
        queue.waiting_max.into(),
        (1, UNITS_MAX.into()),
    );
    faults.require_range(path.key("boost_max"), queue.boost_ms_max, (0, BOOST_MS_MAX));
    let level = path.key("service_level");
    faults.require_range(
        level.key("target"),
        queue.service_level.target_permille.into(),
        (1, 1_000),
    );
    faults.require_range(
        level.key("within"),
        queue.service_level.threshold_ms,
        (1, TIMER_MS_MAX),
    );
}

fn check_texts(path: &PlanPath, queue: &QueuePlan, faults: &mut Faults) {
    let texts = &queue.texts;
    for (key, text) in [
        ("greeting", &texts.greeting),
        ("full", &texts.full),
        ("paused", &texts.paused),
        ("nobody_staffed", &texts.nobody_staffed),
    ] {
        faults.require_text(path.key(key), text, (0, TEXT_BYTES_MAX));
    }
}

fn check_served(
    plan: &FloorPlan,
    (path, id, queue): (&PlanPath, &QueueId, &QueuePlan),
    faults: &mut Faults,
) {
    let eligible: Vec<&AgentPlan> = plan
        .agents
        .values()
        .filter(|agent| shortfall(queue, agent).is_empty())
        .collect();
    if eligible.is_empty() {
        let nearest = nearest_agent(plan, queue);
        faults.add(path.clone(), PlanProblem::NobodyEligible { nearest });
        return;
    }
    for channel in channels_reaching(plan, id) {
        let Some(kind) = plan.channels.get(channel) else {
            continue;
        };
        let can_hold = |agent: &&AgentPlan| {
            agent.capacity >= kind.cost
                && agent.count_max.get(channel).is_none_or(|count| *count > 0)
        };
        if !eligible.iter().any(can_hold) {
            let problem = PlanProblem::ChannelBeyondCapacity {
                channel: channel.to_string(),
                cost: kind.cost,
            };
            faults.add(path.clone(), problem);
        }
    }
}

/// Channels on which a conversation can come to this queue: a rule of the intake table holds for
/// every account, an account's own queue for its channel.
fn channels_reaching<'a>(plan: &'a FloorPlan, queue: &QueueId) -> BTreeSet<&'a ChannelId> {
    let by_rule = plan.intake.iter().any(|rule| rule.queue == *queue);
    let reaching = plan
        .accounts
        .values()
        .filter(|account| by_rule || account.queue == *queue);
    reaching.map(|account| &account.channel).collect()
}

/// What the agent lacks for the queue: level by level.
fn shortfall<'a>(queue: &'a QueuePlan, agent: &AgentPlan) -> Vec<(&'a Requirement, u8)> {
    let has = |requirement: &Requirement| match requirement {
        Requirement::Skill(skill, _) => agent.skills.get(skill).map_or(0, |level| level.0),
        Requirement::Language(language, _) => {
            agent.languages.get(language).map_or(0, |level| level.0)
        }
    };
    let missing = queue
        .requires
        .iter()
        .map(|requirement| (requirement, has(requirement)));
    missing
        .filter(|(requirement, level)| *level < needed(requirement))
        .collect()
}

fn needed(requirement: &Requirement) -> u8 {
    match requirement {
        Requirement::Skill(_, level) | Requirement::Language(_, level) => level.0,
    }
}

/// The agent who lacks the least, in words: what a person would change first.
fn nearest_agent(plan: &FloorPlan, queue: &QueuePlan) -> String {
    let gap = |missing: &[(&Requirement, u8)]| -> u32 {
        missing
            .iter()
            .map(|(requirement, level)| u32::from(needed(requirement).saturating_sub(*level)))
            .sum()
    };
    let candidates = plan
        .agents
        .iter()
        .map(|(id, agent)| (id, shortfall(queue, agent)));
    let Some((id, missing)) = candidates.min_by_key(|(_, missing)| (missing.len(), gap(missing)))
    else {
        return "the plan has no agents".to_owned();
    };
    sentence(id, &missing)
}

fn sentence(id: &AgentId, missing: &[(&Requirement, u8)]) -> String {
    let parts: Vec<String> = missing
        .iter()
        .map(|(requirement, level)| {
            let (kind, (_, name)) = match requirement {
                Requirement::Skill(..) => ("skill", attribute(requirement)),
                Requirement::Language(..) => ("language", attribute(requirement)),
            };
            match level {
                0 => format!("lacks {kind} {name}"),
                level => format!(
                    "has {kind} {name} at {level}, {} is required",
                    needed(requirement)
                ),
            }
        })
        .collect();
    format!("the nearest, {id}, {}", parts.join(" and "))
}

fn check_classes(plan: &FloorPlan, faults: &mut Faults) {
    let sets = plan
        .queues
        .values()
        .map(|queue| (&queue.requires, queue.strategy))
        .collect::<BTreeSet<_>>()
        .len();
    let channels = plan.channels.len();
    let classes = sets.saturating_mul(channels);
    if classes > CLASSES_MAX {
        let problem = PlanProblem::TooManyClasses {
            sets,
            channels,
            classes,
            limit: CLASSES_MAX,
        };
        faults.add(PlanPath::keys(["queue"]), problem);
    }
}
