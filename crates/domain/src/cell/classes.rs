//! Classes of work: the same requirements, channel and strategy share one line and one free set.
//! Promise: a class that no work and no plan needs is dropped; numbers of classes decide nothing.
//! Not here: who stands in them (`derived`).

use std::collections::{BTreeMap, BTreeSet};

use super::capacity::FreeKey;
use super::derived::LineKey;
use crate::ids::{AgentId, ChannelId, PlanVersion, QueueId};
use crate::plan::{Requirement, Strategy};

/// Classes that a plan may produce; `floor check` refuses more. Plans that are still pinned may add to it.
pub const CLASSES_MAX: usize = 256;

/// A class's number in this replica's memory; never stored, decides nothing.
pub(crate) type ClassId = u16;

/// What makes work the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassKey {
    /// What an agent must have.
    pub requires: Vec<Requirement>,
    /// The channel.
    pub channel: ChannelId,
    /// How an agent is picked.
    pub strategy: Strategy,
}

/// One class.
#[derive(Debug, Clone)]
pub(crate) struct Class {
    pub(crate) key: ClassKey,
    pub(crate) line: BTreeSet<LineKey>,
    pub(crate) free: BTreeSet<FreeKey>,
    /// Logged-in agents who may serve it and are not free.
    pub(crate) busy: BTreeSet<AgentId>,
    /// Something changed since a search found no match here.
    pub(crate) open: bool,
}

/// All classes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Classes {
    slots: Vec<Option<Class>>,
    ids: BTreeMap<ClassKey, ClassId>,
    cache: BTreeMap<QueueId, Vec<(PlanVersion, ChannelId, ClassId)>>,
    /// Classes that are `open`.
    open: Vec<ClassId>,
    /// Counts the changes of which classes there are and of agents' profiles.
    state: u64,
}

impl Classes {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClassId, &Class)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(id, slot)| slot.as_ref().map(|class| (id as ClassId, class)))
    }

    pub(crate) fn get(&self, id: ClassId) -> Option<&Class> {
        self.slots.get(usize::from(id)).and_then(Option::as_ref)
    }

    fn get_mut(&mut self, id: ClassId) -> Option<&mut Class> {
        self.slots.get_mut(usize::from(id)).and_then(Option::as_mut)
    }

    pub(crate) fn cached(
        &self,
        queue: &QueueId,
        channel: &ChannelId,
        version: PlanVersion,
    ) -> Option<ClassId> {
        let rows = self.cache.get(queue)?;
        rows.iter()
            .find(|(plan, name, _)| *plan == version && name == channel)
            .map(|(_, _, id)| *id)
    }

    pub(crate) fn cache(
        &mut self,
        queue: &QueueId,
        channel: &ChannelId,
        version: PlanVersion,
        id: ClassId,
    ) {
        self.cache
            .entry(queue.clone())
            .or_default()
            .push((version, channel.clone(), id));
    }

    /// The class's number, and whether it is new.
    pub(crate) fn intern(
        &mut self,
        requires: Vec<Requirement>,
        channel: &ChannelId,
        strategy: Strategy,
    ) -> (ClassId, bool) {
        let key = ClassKey {
            requires,
            channel: channel.clone(),
            strategy,
        };
        if let Some(id) = self.ids.get(&key) {
            return (*id, false);
        }
        let class = Class {
            key: key.clone(),
            line: BTreeSet::new(),
            free: BTreeSet::new(),
            busy: BTreeSet::new(),
            open: false,
        };
        let id = match self.slots.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[id] = Some(class);
        self.ids.insert(key, id as ClassId);
        self.state += 1;
        (id as ClassId, true)
    }

    /// Drops classes without work; the plan that needs one makes it known again.
    pub(crate) fn drop_empty(&mut self) -> Vec<ClassId> {
        let empty: Vec<ClassId> = self
            .iter()
            .filter(|(_, class)| class.line.is_empty())
            .map(|(id, _)| id)
            .collect();
        for id in &empty {
            if let Some(class) = self.slots[usize::from(*id)].take() {
                self.ids.remove(&class.key);
            }
        }
        self.open.retain(|id| !empty.contains(id));
        for rows in self.cache.values_mut() {
            rows.retain(|(_, _, id)| !empty.contains(id));
        }
        self.cache.retain(|_, rows| !rows.is_empty());
        self.state += 1;
        empty
    }

    /// Forgets which classes the work of these queues is of: rules that were read for them are others now.
    pub(crate) fn forget(&mut self, queues: &BTreeSet<QueueId>) {
        self.cache.retain(|queue, _| !queues.contains(queue));
    }

    fn mark_open(&mut self, id: ClassId) {
        let Some(class) = self.get_mut(id) else {
            return;
        };
        if class.open || class.line.is_empty() || class.free.is_empty() {
            return;
        }
        class.open = true;
        self.open.push(id);
    }

    pub(crate) fn join(&mut self, id: ClassId, key: LineKey) {
        if let Some(class) = self.get_mut(id) {
            class.line.insert(key);
            self.mark_open(id);
        }
    }

    pub(crate) fn leave(&mut self, id: ClassId, key: &LineKey) {
        if let Some(class) = self.get_mut(id) {
            class.line.remove(key);
        }
    }

    /// An agent stands in a class, free or busy.
    pub(crate) fn stand(&mut self, id: ClassId, agent: &AgentId, key: Option<FreeKey>) {
        let Some(class) = self.get_mut(id) else {
            return;
        };
        match key {
            None => drop(class.busy.insert(agent.clone())),
            Some(key) => {
                class.free.insert(key);
                self.mark_open(id);
            }
        }
    }

    /// An agent no longer stands in a class as before.
    pub(crate) fn step_down(&mut self, id: ClassId, agent: &AgentId, key: Option<&FreeKey>) {
        let Some(class) = self.get_mut(id) else {
            return;
        };
        match key {
            None => drop(class.busy.remove(agent)),
            Some(key) => drop(class.free.remove(key)),
        }
    }

    /// Changes whenever agents have to be compared with the classes anew.
    pub(crate) fn state(&self) -> u64 {
        self.state
    }

    /// Agents' profiles have changed.
    pub(crate) fn profiles_changed(&mut self) {
        self.state += 1;
    }

    /// Something about the work in this class changed, so that a search may find a match.
    pub(crate) fn reopen(&mut self, id: ClassId) {
        self.mark_open(id);
    }

    /// Every class may have become matchable.
    pub(crate) fn reopen_all(&mut self) {
        let ids: Vec<ClassId> = self.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.mark_open(id);
        }
    }

    pub(crate) fn open(&self) -> &[ClassId] {
        &self.open
    }

    /// A search found no match in these.
    pub(crate) fn close(&mut self, ids: &[ClassId]) {
        for id in ids {
            if let Some(class) = self.get_mut(*id) {
                class.open = false;
            }
        }
        self.open.retain(|id| !ids.contains(id));
    }
}
