//! What a new floor plan does: records made, renewed and retired, old plans kept or read as others.
//! Promise: total; nothing with live work is deleted.
//! Not here: moving lines and what names an old plan, which takes more entries (`apply`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::cell::agent::Agent;
use crate::cell::derived::{Gauges, Spot};
use crate::cell::floor::QueueRecord;
use crate::cell::state::State;
use crate::ids::{AgentId, ConversationId, LogIndex, PlanVersion, QueueId};
use crate::plan::{FloorPlan, VersionedPlan};

impl State {
    pub(super) fn adopt(&mut self, plan: &VersionedPlan) {
        let revived = self.revived_by(&plan.plan);
        let moved = self.leave_lines(&revived);
        self.plans.insert(plan.version, plan.plan.clone());
        self.meta.plan = plan.version;
        self.adopt_queues(&plan.plan);
        self.enter_lines(&revived, &moved);
        self.adopt_agents(&plan.plan);
        self.drop_plans();
        let dropped = self.derived.classes.drop_empty();
        self.derived.classes.profiles_changed();
        for index in self.derived.agents.values_mut() {
            index.stands_in.retain(|class, _| !dropped.contains(class));
        }
        let names: Vec<AgentId> = self.agents.keys().cloned().collect();
        for name in names {
            self.reindex_agent(&name);
        }
        self.derived.classes.reopen_all();
    }

    /// Queues that were retired and are back: work of plans that lack them is judged by new rules.
    fn revived_by(&self, plan: &FloorPlan) -> BTreeSet<QueueId> {
        let retired = self.queues.values().filter(|record| record.retired);
        let back = retired.filter(|record| plan.queues.contains_key(&record.name));
        back.map(|record| record.name.clone()).collect()
    }

    /// Takes what waits in these queues out of every index, while the old rules can still be read.
    fn leave_lines(&mut self, queues: &BTreeSet<QueueId>) -> Vec<LogIndex> {
        let lines = queues
            .iter()
            .filter_map(|queue| self.derived.queues.get(queue));
        let waiting: Vec<LogIndex> = lines
            .flat_map(|index| index.line.iter().map(|key| key.index))
            .collect();
        for index in &waiting {
            let found = self.conversations.get(index);
            if let Some(spot) = found.map(|found| Spot::of(self, found)) {
                self.shift(Some(spot), None);
            }
        }
        waiting
    }

    /// Puts it back by the new rules; timers of everything that lives in these queues are compared
    /// with the index anew.
    fn enter_lines(&mut self, queues: &BTreeSet<QueueId>, waiting: &[LogIndex]) {
        if queues.is_empty() {
            return;
        }
        self.derived.classes.forget(queues);
        for index in waiting {
            let found = self.conversations.get(index);
            if let Some(spot) = found.map(|found| Spot::of(self, found)) {
                self.shift(None, Some(spot));
            }
        }
        let alive = self.derived.pinned.iter().map(|(_, index)| *index);
        let theirs = alive.filter(|index| {
            let found = self.conversations.get(index);
            found.is_some_and(|found| queues.contains(&found.queue))
        });
        for index in theirs.collect::<Vec<_>>() {
            self.refresh_deadline(index);
        }
    }

    fn adopt_queues(&mut self, plan: &FloorPlan) {
        let queues = Arc::make_mut(&mut self.queues);
        for (name, content) in &plan.queues {
            match queues.get_mut(name) {
                Some(record) => {
                    let record = Arc::make_mut(record);
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
            busy || !record.totals.is_empty() || record.paused_by().is_some()
        });
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
        steered: None,
        aside_from: None,
        requests: Vec::new(),
    }
}
