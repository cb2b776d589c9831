//! What a new floor plan does: records made, renewed and retired, old plans kept or read as others.
//! Promise: total; nothing with live work is deleted.
//! Not here: moving lines and what names an old plan, which takes more entries (`apply`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::cell::agent::Agent;
use crate::cell::derived::Gauges;
use crate::cell::floor::QueueRecord;
use crate::cell::state::State;
use crate::ids::{AgentId, ConversationId, LogIndex, PlanVersion, QueueId};
use crate::plan::{FloorPlan, VersionedPlan};

impl State {
    pub(super) fn adopt(&mut self, plan: &VersionedPlan) {
        self.plans.insert(plan.version, plan.plan.clone());
        self.meta.plan = plan.version;
        let revived = self.adopt_queues(&plan.plan);
        self.adopt_agents(&plan.plan);
        self.drop_plans();
        if revived {
            self.rebuild();
            let all: Vec<LogIndex> = self.conversations().map(|found| found.id.index).collect();
            for index in all {
                self.refresh_deadline(index);
            }
        } else {
            let dropped = self.derived.classes.drop_empty();
            self.derived.classes.profiles_changed();
            for index in self.derived.agents.values_mut() {
                index.stands_in.retain(|class, _| !dropped.contains(class));
            }
            let names: Vec<AgentId> = self.agents.keys().cloned().collect();
            for name in names {
                self.reindex_agent(&name);
            }
        }
        self.derived.classes.reopen_all();
    }

    /// Whether a queue that was retired is back, so that work of older plans is classed by new rules.
    fn adopt_queues(&mut self, plan: &FloorPlan) -> bool {
        let mut revived = false;
        let queues = Arc::make_mut(&mut self.queues);
        for (name, content) in &plan.queues {
            match queues.get_mut(name) {
                Some(record) => {
                    let record = Arc::make_mut(record);
                    revived |= record.retired;
                    record.retired = false;
                    record.plan = Arc::new(content.clone());
                }
                None => drop(queues.insert(name.clone(), Arc::new(new_queue(name, content)))),
            }
        }
        let derived = &self.derived.queues;
        queues.retain(|name, record| {
            if plan.queues.contains_key(name) {
                return true;
            }
            Arc::make_mut(record).retired = true;
            let live = |gauges: &Gauges| *gauges != Gauges::default();
            let busy = derived
                .get(name)
                .is_some_and(|index| index.gauges.values().any(live));
            busy || !record.totals.is_empty()
        });
        revived
    }

    fn adopt_agents(&mut self, plan: &FloorPlan) {
        let agents = Arc::make_mut(&mut self.agents);
        for (name, profile) in &plan.agents {
            match agents.get_mut(name) {
                Some(record) => {
                    let record = Arc::make_mut(record);
                    record.retired = false;
                    if *record.profile != *profile {
                        record.profile = Arc::new(profile.clone());
                    }
                }
                None => {
                    let record = Agent::new(name.clone(), Arc::new(profile.clone()));
                    agents.insert(name.clone(), Arc::new(record));
                }
            }
        }
        let mut gone = Vec::new();
        for (name, record) in agents.iter_mut() {
            if plan.agents.contains_key(name) {
                continue;
            }
            let index = self.derived.agents.get(name);
            let busy = index
                .is_some_and(|index| !index.conversations.is_empty() || !index.own_line.is_empty());
            if busy || record.session.is_some() {
                Arc::make_mut(record).retired = true;
            } else {
                gone.push(name.clone());
            }
        }
        for name in gone {
            let record = Arc::make_mut(&mut self.agents).remove(&name);
            if let Some(at) = record.and_then(|record| record.deadline) {
                self.derived.agent_deadlines.remove(&(at, name.clone()));
            }
            self.reindex_agent(&name);
        }
    }

    /// Drops plans that nothing names.
    pub(crate) fn drop_plans(&mut self) {
        let derived = &self.derived;
        let is_named = |version: &PlanVersion| {
            let all = (*version, LogIndex(0))..=(*version, LogIndex(u64::MAX));
            derived.pinned.range(all.clone()).next().is_some()
                || derived.classed.range(all).next().is_some()
        };
        self.meta.aliases.retain(|from, _| is_named(from));
        let aliases = &self.meta.aliases;
        let in_force = self.meta.plan;
        self.plans.retain(|version, _| {
            *version == in_force || is_named(version) || aliases.values().any(|to| to == version)
        });
    }

    pub(super) fn repin(&mut self, conversations: &[ConversationId], plan: PlanVersion) {
        for id in conversations {
            self.change(id.index, |record| record.pinned = plan);
        }
    }
}

fn new_queue(name: &QueueId, plan: &crate::plan::QueuePlan) -> QueueRecord {
    QueueRecord {
        name: name.clone(),
        plan: Arc::new(plan.clone()),
        retired: false,
        totals: BTreeMap::new(),
        window: VecDeque::new(),
        spike_since: None,
    }
}
