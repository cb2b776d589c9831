//! Crew: which agents of the plan take a seat when not all of them shall.
//! Promise: every queue that one more agent can help to serve gets its turn, those with the fewest
//! first; queues that nobody of the crew can serve are named.
//! Not here: who gets which conversation: the machine alone decides that.

use std::collections::BTreeMap;

use anyhow::Context as _;
use client::api;

/// The worth of the first agent of a queue; each further one is worth half of the one before.
const GAIN: u64 = 1 << HALVINGS_MAX;
/// After so many agents one more is worth 1.
const HALVINGS_MAX: u64 = 40;

/// What each queue asks of an agent, by the plan.
#[derive(Debug, Default)]
pub struct Queues(BTreeMap<String, Needs>);

#[derive(Debug, Default)]
struct Needs {
    skills: BTreeMap<String, u32>,
    languages: BTreeMap<String, u32>,
}

impl Queues {
    /// Of the plan's text.
    pub fn of_plan(text: &str) -> anyhow::Result<Self> {
        let plan: toml::Table = text.parse().context("the floor plan is not TOML")?;
        let queues = plan.get("queue").and_then(toml::Value::as_table);
        let queues = queues.into_iter().flatten().map(|(name, queue)| {
            let needs = Needs {
                skills: levels(queue.get("skills")),
                languages: levels(queue.get("languages")),
            };
            (name.clone(), needs)
        });
        Ok(Self(queues.collect()))
    }

    /// So many agents; all without a number.
    pub fn crew(
        &self,
        mut all: Vec<api::AgentSummary>,
        wanted: Option<u32>,
    ) -> Vec<api::AgentSummary> {
        let wanted = wanted.map_or(all.len(), |wanted| {
            usize::try_from(wanted).unwrap_or(usize::MAX)
        });
        if wanted >= all.len() {
            return all;
        }
        all.sort_by(|one, other| one.agent.cmp(&other.agent));
        let mut served: BTreeMap<&str, u64> = BTreeMap::new();
        let mut crew: Vec<api::AgentSummary> = Vec::new();
        while crew.len() < wanted && !all.is_empty() {
            let worth = |agent: &api::AgentSummary| -> u64 {
                let seats = |queue: &str| served.get(queue).copied().unwrap_or(0);
                let queues = self.served_by(agent);
                queues
                    .map(|queue| GAIN >> seats(queue).min(HALVINGS_MAX))
                    .sum()
            };
            let best = (0..all.len()).rev().max_by_key(|at| worth(&all[*at]));
            let agent = all.remove(best.unwrap_or(0));
            for queue in self.served_by(&agent) {
                *served.entry(queue).or_default() += 1;
            }
            crew.push(agent);
        }
        crew
    }

    /// Queues that nobody of the crew can serve.
    pub fn unserved(&self, crew: &[api::AgentSummary]) -> Vec<&str> {
        let served = |needs: &Needs| crew.iter().any(|agent| needs.are_met_by(agent));
        let unserved = self.0.iter().filter(|(_, needs)| !served(needs));
        unserved.map(|(name, _)| name.as_str()).collect()
    }

    fn served_by(&self, agent: &api::AgentSummary) -> impl Iterator<Item = &str> {
        let served = self.0.iter().filter(|(_, needs)| needs.are_met_by(agent));
        served.map(|(name, _)| name.as_str())
    }
}

impl Needs {
    fn are_met_by(&self, agent: &api::AgentSummary) -> bool {
        let skilled = self
            .skills
            .iter()
            .all(|(name, level)| has(agent.skills.get(name), *level));
        let speaks = self
            .languages
            .iter()
            .all(|(name, level)| has(agent.languages.get(name), *level));
        skilled && speaks
    }
}

fn has(level: Option<&u32>, needed: u32) -> bool {
    level.is_some_and(|level| *level >= needed)
}

fn levels(table: Option<&toml::Value>) -> BTreeMap<String, u32> {
    let entries = table.and_then(toml::Value::as_table).into_iter().flatten();
    let levels = entries.filter_map(|(name, level)| {
        let level = u32::try_from(level.as_integer()?).ok()?;
        Some((name.clone(), level))
    });
    levels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
        [queue.a]
        languages = { en = 3 }
        [queue.b]
        languages = { zh = 3 }
        skills = { city = 2 }
    "#;

    fn agent(name: &str, language: &str, level: u32) -> api::AgentSummary {
        api::AgentSummary {
            agent: name.to_owned(),
            skills: [("city".to_owned(), 5)].into(),
            languages: [(language.to_owned(), level)].into(),
            ..Default::default()
        }
    }

    fn all() -> Vec<api::AgentSummary> {
        vec![
            agent("ann", "en", 5),
            agent("bob", "en", 5),
            agent("cai", "zh", 2),
            agent("dai", "zh", 4),
        ]
    }

    fn names(crew: &[api::AgentSummary]) -> Vec<&str> {
        crew.iter().map(|agent| agent.agent.as_str()).collect()
    }

    #[test]
    fn two_agents_serve_two_queues() {
        let queues = Queues::of_plan(PLAN).unwrap();
        let crew = queues.crew(all(), Some(2));
        assert_eq!(names(&crew), ["ann", "dai"]);
        assert_eq!(queues.unserved(&crew), Vec::<&str>::new());
    }

    #[test]
    fn a_queue_that_nobody_can_serve_is_named() {
        let queues = Queues::of_plan(PLAN).unwrap();
        let crew = queues.crew(all(), Some(1));
        assert_eq!(names(&crew), ["ann"]);
        assert_eq!(queues.unserved(&crew), ["b"]);
    }

    #[test]
    fn all_take_a_seat_where_no_number_is_given() {
        let queues = Queues::of_plan(PLAN).unwrap();
        assert_eq!(queues.crew(all(), None).len(), 4);
        assert_eq!(queues.crew(all(), Some(9)).len(), 4);
    }
}
