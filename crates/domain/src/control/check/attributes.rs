//! Sites and agents: names that must exist, levels, capacities.
//! Promise: an agent who passes can hold at least one conversation.
//! Not here: whether a queue finds agents (`queues`).

use super::{Faults, LABEL_BYTES_MAX, PlanPath, PlanProblem, UNITS_MAX};
use crate::ids::{LanguageId, SiteId, SkillId};
use crate::plan::{AgentPlan, FloorPlan, Level};

/// Longest time zone name in bytes; the longest of the database has 32.
const TIME_ZONE_BYTES_MAX: usize = 64;

pub(super) fn check(plan: &FloorPlan, faults: &mut Faults) {
    for (id, site) in &plan.sites {
        let path = PlanPath::keys(["site", id.as_str()]);
        faults.require_text(path.key("name"), &site.display_name, (1, LABEL_BYTES_MAX));
        if !has_time_zone_form(&site.time_zone) {
            let problem = PlanProblem::BadTimeZone {
                zone: site.time_zone.clone(),
            };
            faults.add(path.key("time_zone"), problem);
        }
    }
    for (id, agent) in &plan.agents {
        check_agent(plan, &PlanPath::keys(["agent", id.as_str()]), agent, faults);
    }
}

fn check_agent(plan: &FloorPlan, path: &PlanPath, agent: &AgentPlan, faults: &mut Faults) {
    faults.require_text(path.key("name"), &agent.display_name, (1, LABEL_BYTES_MAX));
    faults.require_known(
        path.key("cell"),
        ("cell", &agent.cell),
        super::CELL_NAMES.into_iter(),
    );
    faults.require_text(path.key("team"), &agent.team, (0, LABEL_BYTES_MAX));
    let site = ("site", agent.site.as_str());
    faults.require_known(
        path.key("site"),
        site,
        plan.sites.keys().map(SiteId::as_str),
    );
    for (skill, level) in &agent.skills {
        let place = path.key("skills").key(skill.as_str());
        require_skill(plan, (&place, skill, *level), faults);
    }
    for (language, level) in &agent.languages {
        let place = path.key("languages").key(language.as_str());
        require_language(plan, (&place, language, *level), faults);
    }
    for (channel, count) in &agent.count_max {
        let place = path.key("count_max").key(channel.as_str());
        let known = plan.channels.keys().map(crate::ids::ChannelId::as_str);
        faults.require_known(place.clone(), ("channel", channel.as_str()), known);
        faults.require_range(place, (*count).into(), (0, UNITS_MAX.into()));
    }
    check_capacity(plan, path, agent, faults);
}

fn check_capacity(plan: &FloorPlan, path: &PlanPath, agent: &AgentPlan, faults: &mut Faults) {
    let path = path.key("capacity");
    faults.require_range(path.clone(), agent.capacity.into(), (1, UNITS_MAX.into()));
    let costs = plan
        .channels
        .iter()
        .filter(|(id, _)| agent.count_max.get(*id) != Some(&0));
    let Some(cheapest) = costs.map(|(_, channel)| channel.cost).min() else {
        return;
    };
    if agent.capacity < cheapest {
        faults.add(
            path,
            PlanProblem::CapacityServesNothing {
                capacity: agent.capacity,
                cheapest,
            },
        );
    }
}

pub(super) fn require_skill(
    plan: &FloorPlan,
    (path, skill, level): (&PlanPath, &SkillId, Level),
    faults: &mut Faults,
) {
    faults.require_known(
        path.clone(),
        ("skill", skill.as_str()),
        plan.skills.keys().map(SkillId::as_str),
    );
    require_level(path, level, faults);
}

pub(super) fn require_language(
    plan: &FloorPlan,
    (path, language, level): (&PlanPath, &LanguageId, Level),
    faults: &mut Faults,
) {
    let known = plan.languages.keys().map(LanguageId::as_str);
    faults.require_known(path.clone(), ("language", language.as_str()), known);
    require_level(path, level, faults);
}

fn require_level(path: &PlanPath, level: Level, faults: &mut Faults) {
    if !(1..=5).contains(&level.0) {
        faults.add(
            path.clone(),
            PlanProblem::LevelOutOfRange { level: level.0 },
        );
    }
}

/// Whether a text looks like `Europe/Berlin` or `UTC`; whether it exists is asked of the tz
/// database by whoever may read it.
fn has_time_zone_form(zone: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "_-+".contains(letter))
    };
    zone.len() <= TIME_ZONE_BYTES_MAX
        && (zone == "UTC" || zone.contains('/'))
        && zone.split('/').all(part)
}
